//! Atomic operations. PTX ISA 9.7.13 `atom`, `red`.

use std::sync::Arc;

use super::memory::{Where, order, resolve, space};
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::late::{Late, Update, replace};
use crate::exec::{Ctx, Flow, Run, Trap, lanes};
use crate::number::{BF16, F16, Format, Rounding, add_odd};
use crate::ptx::{Statement, Type, sign_extend, truncate};

fn update(name: &str, ty: Type) -> Decoded<Update> {
    let bits = ty.bits();
    let less = move |a: u64, b: u64| {
        if ty.signed() { (sign_extend(a, bits) as i64) < sign_extend(b, bits) as i64 } else { a < b }
    };
    Ok(match name {
        "add" => adder(ty)?,
        "min" if ty.integer() => Arc::new(move |old, b, _| if less(b, old) { b } else { old }),
        "max" if ty.integer() => Arc::new(move |old, b, _| if less(old, b) { b } else { old }),
        "inc" => Arc::new(|old, b, _| if old >= b { 0 } else { old + 1 }),
        "dec" => Arc::new(|old, b, _| if old == 0 || old > b { b } else { old - 1 }),
        "and" => Arc::new(|old, b, _| old & b),
        "or" => Arc::new(|old, b, _| old | b),
        "xor" => Arc::new(|old, b, _| old ^ b),
        "exch" => Arc::new(|_, b, _| b),
        "cas" => Arc::new(|old, compare, new| if old == compare { new } else { old }),
        _ => return Err(format!("'.{name}' is not covered for {ty:?}")),
    })
}

fn adder(ty: Type) -> Decoded<Update> {
    let half = |format: Format, count: u32| -> Update {
        Arc::new(move |old, b, _| {
            (0..count).fold(0, |word, part| {
                let value = |from: u64| format.decode((from >> (16 * part)) as u32 & 0xFFFF);
                let sum = format.encode(add_odd(value(old), value(b)), Rounding::NearestEven, false);
                word | u64::from(sum) << (16 * part)
            })
        })
    };
    Ok(match ty {
        Type::F32 => Arc::new(|old, b, _| (f32::from_bits(old as u32) + f32::from_bits(b as u32)).to_bits().into()),
        Type::F64 => Arc::new(|old, b, _| (f64::from_bits(old) + f64::from_bits(b)).to_bits()),
        Type::F16x2 => half(F16, 2),
        Type::Bf16x2 => half(BF16, 2),
        _ if ty.integer() => Arc::new(move |old, b, _| truncate(old.wrapping_add(b), ty.bits())),
        _ => return Err(format!("not covered for {ty:?}")),
    })
}

const NAMES: [&str; 10] = ["add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"];

pub fn atom(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    decode(d, s, m, true)
}

pub fn red(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    decode(d, s, m, false)
}

fn decode(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, returns: bool) -> Decoded<Run> {
    let operands = &s.operands[..];
    let (to, operands) = if returns { (Some(d.register(&operands[0])?), &operands[1..]) } else { (None, operands) };
    let at = d.address(operands.first().ok_or("an operand is missing")?)?;
    let releases = m.0.iter().any(|word| ["release", "acq_rel"].contains(word));
    order(m);
    m.flag("noftz");
    let space = space(m, at.space)?;
    let name = m.one_of(&NAMES).ok_or("the operation is missing")?;
    let ty = m.ty()?;
    if !matches!(ty.bits(), 32 | 64) {
        return Err(format!("not covered for {ty:?}"));
    }
    if matches!(space, Where::Local | Where::Param) {
        return Err("atomics are for global and shared memory".into());
    }
    if space != Where::Global {
        d.accesses_shared(ty.bytes());
    }
    let expected = if name == "cas" { 3 } else { 2 };
    if operands.len() != expected {
        return Err(format!("{} operands instead of {expected}", operands.len()));
    }
    let b = d.source(&operands[1], ty)?;
    let c = d.source(operands.get(2).unwrap_or(&operands[1]), ty)?;
    let update = update(name, ty)?;
    // Nobody waits for a value that nobody reads.
    let late = !releases && to.is_none_or(|_| d.is_unread(&s.operands[0]));
    let bits = ty.bits();
    Ok(Box::new(move |ctx| {
        let (bases, b, c) = (*ctx.get(at.base), *ctx.get(b), *ctx.get(c));
        let mut old = [0; 32];
        for lane in lanes(ctx.exec) {
            let address = bases[lane].wrapping_add(at.offset);
            let (b, c) = (truncate(b[lane], bits), truncate(c[lane], bits));
            if late && resolve(space, address).0 == Where::Global {
                ctx.atomic_late(Late { address, size: ty.bytes(), update: Arc::clone(&update), operands: [b, c] })?;
            } else {
                old[lane] = ctx.atomic(space, address, ty.bytes(), |old| update(old, b, c))?;
            }
        }
        if let Some(to) = to {
            ctx.set(to, &old);
        }
        Ok(Flow::Next)
    }))
}

impl Ctx<'_> {
    /// Replaces a value of 4 or 8 bytes by a function of it. Returns the old one.
    fn atomic(&mut self, space: Where, address: u64, size: usize, f: impl Fn(u64) -> u64) -> Result<u64, Trap> {
        let (space, address) = resolve(space, address);
        if space == Where::Shared {
            // Taken as a synchronisation of those who use this address, which is lenient: a relaxed one is not.
            self.block.race.acquire(self.warp.index, address);
            let at = self.shared_at(address, size, size)?;
            let mut word = [0; 8];
            word[..size].copy_from_slice(&self.block.shared[at..at + size]);
            let old = u64::from_le_bytes(word);
            self.block.shared[at..at + size].copy_from_slice(&f(old).to_le_bytes()[..size]);
            self.block.race.release(self.warp.index, address);
            return Ok(old);
        }
        let host = self.global(address, size)?;
        // SAFETY: `global` gave an aligned address inside a live allocation.
        Ok(unsafe { replace(host, size, f) })
    }

    /// The same in global memory, to be performed later.
    fn atomic_late(&mut self, late: Late) -> Result<(), Trap> {
        self.global_before(late.address, late.size)?;
        self.block.late.add(late);
        Ok(())
    }
}
