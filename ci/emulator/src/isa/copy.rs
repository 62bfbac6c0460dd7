//! Asynchronous copies of single threads from global to shared memory. PTX ISA 9.7.9 `cp.async`.
//!
//! A copy is made when it is waited for, not before: what is read too early is what was there.

use crate::code;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::race::Proxy;
use crate::exec::shared::{Copy, misaligned};
use crate::exec::{Ctx, Flow, Run, Trap, lanes};
use crate::ptx::{Operand, Statement, Type};

pub fn start(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let bypass = m.one_of(&["ca", "cg"]).ok_or(".ca or .cg is missing")? == "cg";
    if m.one_of(&["shared", "shared::cta"]).is_none() || !m.flag("global") {
        return Err("only copies from global to shared memory are covered".into());
    }
    m.one_of(&["L2::64B", "L2::128B", "L2::256B"]);
    let [to, from, Operand::Int(size), rest @ ..] = s.operands.as_slice() else {
        return Err("two addresses and a size are expected".into());
    };
    let size = *size as usize;
    if !matches!((size, bypass), (16, _) | (4 | 8, false)) {
        return Err(format!("{size} bytes cannot be copied so"));
    }
    let (to, from) = (d.address(to)?, d.address(from)?);
    // The part of the source that is read; or a predicate that says to read nothing.
    let (source_size, ignore) = match rest {
        [] => (None, None),
        [operand] if d.is_predicate(operand) => (None, Some(d.condition(operand)?)),
        [operand] => (Some(d.source(operand, Type::U32)?), None),
        _ => return Err("cache policies are not covered".into()),
    };
    d.accesses_shared(size);
    Ok(Box::new(move |ctx| {
        let (tos, froms) = (*ctx.get(to.base), *ctx.get(from.base));
        let sizes = source_size.map(|source| *ctx.get(source));
        let ignored = ignore.map_or(0, |condition| condition.get(ctx));
        for lane in lanes(ctx.exec) {
            let (to, from) = (tos[lane].wrapping_add(to.offset), froms[lane].wrapping_add(from.offset));
            let wanted = sizes.map_or(size, |sizes| sizes[lane] as u32 as usize);
            let source_size = if ignored >> lane & 1 == 1 { 0 } else { wanted };
            if source_size > size {
                return Err(Trap::new(code::ILLEGAL_INSTRUCTION, "the source is larger than the copy"));
            }
            if !from.is_multiple_of(size as u64) {
                return Err(misaligned("global", from, size));
            }
            if source_size > 0 {
                ctx.global(from, source_size.next_power_of_two().min(size))?;
            }
            // From here on the destination belongs to the copy.
            ctx.claim(to, size)?;
            ctx.warp.copies.start(lane, Copy { to, from, size, source_size });
        }
        Ok(Flow::Next)
    }))
}

pub fn commit(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Ok(Box::new(|ctx| {
        lanes(ctx.exec).for_each(|lane| ctx.warp.copies.commit(lane));
        Ok(Flow::Next)
    }))
}

pub fn wait_group(_: &mut Decoder<'_>, s: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    let [Operand::Int(pending)] = s.operands.as_slice() else { return Err("a number is expected".into()) };
    let pending = *pending as usize;
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            for copy in ctx.warp.copies.wait(lane, pending) {
                ctx.perform(copy)?;
            }
        }
        Ok(Flow::Next)
    }))
}

pub fn wait_all(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Ok(Box::new(|ctx| {
        for lane in lanes(ctx.exec) {
            for copy in ctx.warp.copies.wait_all(lane) {
                ctx.perform(copy)?;
            }
        }
        Ok(Flow::Next)
    }))
}

impl Ctx<'_> {
    /// Marks shared bytes as being written.
    fn claim(&mut self, to: u64, size: usize) -> Result<(), Trap> {
        let at = self.shared_at(to, size, size)?;
        let raced = self.block.race.write(self.warp.index, at, size, Proxy::Generic);
        raced.map_err(|why| Trap::new(code::LAUNCH_FAILED, why))
    }

    /// Makes a copy that was started, as the warp that waits for it.
    fn perform(&mut self, copy: Copy) -> Result<(), Trap> {
        self.claim(copy.to, copy.size)?;
        self.copy_in(copy)
    }

    /// Makes a copy.
    pub fn copy_in(&mut self, copy: Copy) -> Result<(), Trap> {
        let mut bytes = [0; 16];
        for (index, byte) in bytes[..copy.source_size].iter_mut().enumerate() {
            let host = self.global(copy.from + index as u64, 1)?;
            *byte = super::memory::read_host(host, 1) as u8;
        }
        let at = self.shared_at(copy.to, copy.size, copy.size)?;
        self.block.shared[at..at + copy.size].copy_from_slice(&bytes[..copy.size]);
        Ok(())
    }
}
