//! Loads and stores. PTX ISA 9.7.9 `ld`, `st`, `prefetch`, `isspacep`.
//!
//! Caches are not modelled: their hints are checked for spelling and have no effect.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::convert::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW_SIZE};
use crate::code;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::shared::misaligned;
use crate::exec::{Ctx, Flow, Register, Run, Source, Trap, lanes};
use crate::ptx::{Operand, Space, Statement, Type, sign_extend, truncate};

/// Where an instruction accesses memory; `Generic` finds out by the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Generic,
    Global,
    Shared,
    Local,
    Param,
}

/// A generic address as one of a space.
pub fn resolve(space: Where, address: u64) -> (Where, u64) {
    if space != Where::Generic {
        return (space, address);
    }
    for (window, space) in [(SHARED_WINDOW, Where::Shared), (LOCAL_WINDOW, Where::Local), (PARAM_WINDOW, Where::Param)]
    {
        if address.wrapping_sub(window) < WINDOW_SIZE {
            return (space, address - window);
        }
    }
    (Where::Global, address)
}

const SPACES: [&str; 9] =
    ["global", "shared", "shared::cta", "local", "param", "param::entry", "param::func", "const", "shared::cluster"];

/// Takes the space an opcode names.
pub fn space(m: &mut Modifiers<'_>, base: Option<Space>) -> Decoded<Where> {
    Ok(match (m.one_of(&SPACES), base) {
        // Parameters of device functions live in the frame.
        (Some("param" | "param::entry" | "param::func"), Some(Space::Local)) => Where::Local,
        (Some("global" | "const"), _) => Where::Global,
        (Some("shared" | "shared::cta"), _) => Where::Shared,
        (Some("local"), _) => Where::Local,
        (Some("param" | "param::entry" | "param::func"), _) => Where::Param,
        (Some(other), _) => return Err(format!("'.{other}' is not covered")),
        (None, Some(Space::Shared)) => Where::Shared,
        (None, Some(Space::Local)) => Where::Local,
        (None, Some(Space::Param)) => Where::Param,
        (None, Some(Space::Global | Space::Const)) => Where::Global,
        (None, None) => Where::Generic,
    })
}

/// How an access orders others. PTX ISA 8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Weak,
    /// Volatile or relaxed: seen by others, and here taken as a synchronisation, which is lenient.
    Strong,
}

/// Takes what an opcode says of order, scope and caches.
pub fn order(m: &mut Modifiers<'_>) -> Order {
    let strong = m.one_of(&["volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"]).is_some();
    m.flag("weak");
    m.one_of(&["cta", "cluster", "gpu", "sys"]);
    m.one_of(&["ca", "cg", "cs", "lu", "cv", "wb", "wt"]);
    m.matching(|word| word.starts_with("L1::"));
    m.matching(|word| word.starts_with("L2::") && word != "L2::cache_hint");
    if strong { Order::Strong } else { Order::Weak }
}

/// The lane-independent part of a load or store.
struct Access {
    space: Where,
    order: Order,
    ty: Type,
    base: Source,
    offset: u64,
    count: usize,
}

fn vector(m: &mut Modifiers<'_>) -> usize {
    match m.one_of(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some(_) => 8,
        None => 1,
    }
}

fn access(d: &mut Decoder<'_>, m: &mut Modifiers<'_>, address: &Operand) -> Decoded<Access> {
    let at = d.address(address)?;
    let (space, order, count) = (space(m, at.space)?, order(m), vector(m));
    let ty = m.ty()?;
    if ty.bits() > 64 || ty.bits() < 8 {
        return Err(format!("not covered for {ty:?}"));
    }
    if matches!(space, Where::Shared | Where::Generic) {
        d.accesses_shared(ty.bytes() * count);
    }
    Ok(Access { space, order, ty, base: at.base, offset: at.offset, count })
}

/// The registers of `{a, b, c, d}` or of a single operand.
fn list(operand: &Operand) -> &[Operand] {
    match operand {
        Operand::Vector(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

pub fn ld_nc(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.0.insert(0, "global");
    ld(d, s, m)
}

pub fn ldu(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    ld(d, s, m)
}

pub fn ld(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    // The non-coherent path may stand behind a cache operator.
    m.flag("nc");
    if m.flag("L2::cache_hint") {
        return Err("'.L2::cache_hint' is not covered".into());
    }
    let [results, address] = s.operands.as_slice() else { return Err("two operands are expected".into()) };
    let access = access(d, m, address)?;
    let results = list(results);
    if results.len() != access.count {
        return Err(format!("{} registers for {} values", results.len(), access.count));
    }
    let to: Vec<(Register, u32)> = results
        .iter()
        .map(|operand| Ok((d.register(operand)?, d.width(operand, access.ty.bits()))))
        .collect::<Decoded<_>>()?;
    if access.space == Where::Param && access.base.is_constant() {
        return Ok(Box::new(move |ctx| load_parameter(ctx, &access, &to)));
    }
    Ok(Box::new(move |ctx| load(ctx, &access, &to)))
}

/// A parameter is the same for all lanes.
fn load_parameter(ctx: &mut Ctx<'_>, access: &Access, to: &[(Register, u32)]) -> Result<Flow, Trap> {
    let address = ctx.get(access.base)[0].wrapping_add(access.offset);
    let (bits, size) = (access.ty.bits(), access.ty.bytes());
    let values = ctx.load(access.space, 0, address, size, access.count, access.order)?;
    for ((register, width), value) in to.iter().zip(values) {
        let value = if access.ty.signed() { truncate(sign_extend(value, bits), *width) } else { value };
        ctx.set(*register, &[value; 32]);
    }
    Ok(Flow::Next)
}

fn load(ctx: &mut Ctx<'_>, access: &Access, to: &[(Register, u32)]) -> Result<Flow, Trap> {
    let bases = *ctx.get(access.base);
    let (bits, size) = (access.ty.bits(), access.ty.bytes());
    for lane in lanes(ctx.exec) {
        let address = bases[lane].wrapping_add(access.offset);
        let values = ctx.load(access.space, lane, address, size, access.count, access.order)?;
        for ((register, width), value) in to.iter().zip(values) {
            let value = if access.ty.signed() { truncate(sign_extend(value, bits), *width) } else { value };
            ctx.warp.registers[register.0 as usize][lane] = value;
        }
    }
    Ok(Flow::Next)
}

pub fn st(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    if m.0.first() == Some(&"async") || m.flag("L2::cache_hint") {
        return Err("this form is not covered".into());
    }
    let [address, values] = s.operands.as_slice() else { return Err("two operands are expected".into()) };
    let access = access(d, m, address)?;
    let from: Vec<Source> = list(values).iter().map(|operand| d.source(operand, access.ty)).collect::<Decoded<_>>()?;
    if from.len() != access.count {
        return Err(format!("{} registers for {} values", from.len(), access.count));
    }
    Ok(Box::new(move |ctx| {
        let bases = *ctx.get(access.base);
        for lane in lanes(ctx.exec) {
            let mut values = [0; 8];
            for (value, source) in values.iter_mut().zip(&from) {
                *value = ctx.get(*source)[lane];
            }
            let address = bases[lane].wrapping_add(access.offset);
            ctx.store(access.space, lane, address, access.ty.bytes(), &values[..from.len()], access.order)?;
        }
        Ok(Flow::Next)
    }))
}

impl Ctx<'_> {
    /// The host's address of `size` bytes of global memory, where the block's own atomics have been performed.
    #[inline]
    pub fn global(&mut self, address: u64, size: usize) -> Result<*mut u8, Trap> {
        if self.block.late.reaches(address, size) {
            self.block.late.perform(self.memory);
        }
        self.global_before(address, size)
    }

    /// The same before that.
    #[inline]
    pub fn global_before(&mut self, address: u64, size: usize) -> Result<*mut u8, Trap> {
        let align = size.next_power_of_two();
        if !address.is_multiple_of(align as u64) {
            return Err(misaligned("global", address, align));
        }
        self.memory.find(address, size as u64).ok_or_else(|| {
            Trap::new(code::ILLEGAL_ADDRESS, format!("global address {address:#x} ({size} bytes) is in no allocation"))
        })
    }

    /// Loads `count` values of `size` bytes for a lane.
    #[inline]
    pub fn load(
        &mut self,
        space: Where,
        lane: usize,
        address: u64,
        size: usize,
        count: usize,
        order: Order,
    ) -> Result<[u64; 8], Trap> {
        let (space, address) = resolve(space, address);
        let mut values = [0; 8];
        let total = size * count;
        match space {
            Where::Global | Where::Generic => {
                let host = self.global(address, total)?;
                for (index, value) in values[..count].iter_mut().enumerate() {
                    *value = read_host(host.wrapping_add(index * size), size);
                }
            }
            Where::Shared => {
                if order == Order::Strong {
                    self.block.race.acquire(self.warp.index, address);
                    let at = self.shared_at(address, total, total)?;
                    split(&self.block.shared[at..at + total], size, &mut values);
                } else {
                    for chunk in (0..total).step_by(16) {
                        let size_here = (total - chunk).min(16);
                        let bytes = self.read_shared(address + chunk as u64, size_here, total.min(16))?;
                        split(&bytes[..size_here], size, &mut values[chunk / size..]);
                    }
                }
            }
            Where::Local => {
                let at = self.local_at(address, total, lane)?;
                split(&self.warp.local[at..at + total], size, &mut values);
            }
            Where::Param => {
                let at = address as usize;
                let bytes = self.grid.params.get(at..at.saturating_add(total)).ok_or_else(|| {
                    Trap::new(
                        code::ILLEGAL_ADDRESS,
                        format!("parameter address {address:#x} is outside the parameters"),
                    )
                })?;
                split(bytes, size, &mut values);
            }
        }
        Ok(values)
    }

    /// Stores values of `size` bytes for a lane.
    #[inline]
    pub fn store(
        &mut self,
        space: Where,
        lane: usize,
        address: u64,
        size: usize,
        values: &[u64],
        order: Order,
    ) -> Result<(), Trap> {
        let (space, address) = resolve(space, address);
        let total = size * values.len();
        let mut bytes = [0; 64];
        if !matches!(space, Where::Global | Where::Generic) {
            for (index, value) in values.iter().enumerate() {
                bytes[index * size..(index + 1) * size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
        }
        match space {
            Where::Global | Where::Generic => {
                let host = self.global(address, total)?;
                for (index, value) in values.iter().enumerate() {
                    write_host(host.wrapping_add(index * size), size, *value);
                }
            }
            Where::Shared if order == Order::Strong => {
                let at = self.shared_at(address, total, total)?;
                self.block.shared[at..at + total].copy_from_slice(&bytes[..total]);
                self.block.race.release(self.warp.index, address);
            }
            Where::Shared => {
                for chunk in (0..total).step_by(16) {
                    let end = (chunk + 16).min(total);
                    self.write_shared(address + chunk as u64, &bytes[chunk..end], total.min(16))?;
                }
            }
            Where::Local => {
                let at = self.local_at(address, total, lane)?;
                self.warp.local[at..at + total].copy_from_slice(&bytes[..total]);
            }
            Where::Param => return Err(Trap::new(code::ILLEGAL_ADDRESS, "a store to the kernel's parameters")),
        }
        Ok(())
    }

    fn local_at(&self, address: u64, size: usize, lane: usize) -> Result<usize, Trap> {
        if !address.is_multiple_of(size.next_power_of_two() as u64) {
            return Err(misaligned("local", address, size));
        }
        let (frame, at) = (self.grid.kernel.local_bytes, address as usize);
        if at < crate::decode::LOCAL_BASE || at.saturating_add(size) > frame {
            return Err(Trap::new(code::ILLEGAL_ADDRESS, format!("local address {address:#x} is outside the frame")));
        }
        Ok(lane * frame + at)
    }
}

fn split(bytes: &[u8], size: usize, into: &mut [u64]) {
    if size == 4 {
        for (value, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
            *value = u32::from_le_bytes(*bytes).into();
        }
        return;
    }
    for (value, bytes) in into.iter_mut().zip(bytes.chunks(size)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        *value = u64::from_le_bytes(word);
    }
}

/// Reads an aligned value from the memory behind a device address.
#[inline]
pub fn read_host(host: *mut u8, size: usize) -> u64 {
    // SAFETY: `Ctx::global` gave an address inside a live allocation, aligned to the size; devices' memory is accessed
    // through atomics because other blocks, streams and the host may do so at the same time.
    unsafe {
        match size {
            1 => AtomicU8::from_ptr(host).load(Ordering::Relaxed).into(),
            2 => AtomicU16::from_ptr(host.cast()).load(Ordering::Relaxed).into(),
            4 => AtomicU32::from_ptr(host.cast()).load(Ordering::Relaxed).into(),
            _ => AtomicU64::from_ptr(host.cast()).load(Ordering::Relaxed),
        }
    }
}

/// Writes an aligned value to the memory behind a device address.
#[inline]
pub fn write_host(host: *mut u8, size: usize, value: u64) {
    // SAFETY: as in `read_host`.
    unsafe {
        match size {
            1 => AtomicU8::from_ptr(host).store(value as u8, Ordering::Relaxed),
            2 => AtomicU16::from_ptr(host.cast()).store(value as u16, Ordering::Relaxed),
            4 => AtomicU32::from_ptr(host.cast()).store(value as u32, Ordering::Relaxed),
            _ => AtomicU64::from_ptr(host.cast()).store(value, Ordering::Relaxed),
        }
    }
}

/// Caches are not modelled.
pub fn prefetch(_: &mut Decoder<'_>, _: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.one_of(&["global", "local"]);
    m.one_of(&["L1", "L2", "L2::evict_last", "L2::evict_normal"]);
    Ok(Box::new(|_| Ok(Flow::Next)))
}

pub fn isspacep(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let wanted = space(m, None)?;
    let to = d.predicate(&s.operands[0])?;
    let from = d.source(s.operands.get(1).ok_or("an operand is missing")?, Type::U64)?;
    Ok(Box::new(move |ctx| {
        let mask = ctx.test2([from, from], |address, _| resolve(Where::Generic, address).0 == wanted);
        ctx.set_predicate(to, mask);
        Ok(Flow::Next)
    }))
}
