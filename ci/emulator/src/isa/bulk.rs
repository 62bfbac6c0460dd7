//! Bulk copies between global and shared memory through the asynchronous proxy. PTX ISA 9.7.9 `cp.async.bulk`.
//!
//! Copies to shared memory are made when the barrier they arrive at is looked at, copies from it when they are waited
//! for: whoever does not wait sees what was there, or sends what came after.

use super::mbarrier::Deferred;
use super::memory::{Where, read_host, resolve, write_host};
use crate::code;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::race::Proxy;
use crate::exec::shared::{Copy, misaligned};
use crate::exec::{Ctx, Flow, Run, Trap, lanes};
use crate::ptx::{Operand, Statement, Type};

pub fn copy(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let spaces: Vec<&str> = m.0.drain(..m.0.len().min(2)).collect();
    let completion = m.one_of(&["mbarrier::complete_tx::bytes", "bulk_group"]);
    d.accesses_shared(16);
    match (spaces.as_slice(), completion, s.operands.as_slice()) {
        (
            ["shared::cta" | "shared::cluster", "global"],
            Some("mbarrier::complete_tx::bytes"),
            [to, from, size, barrier],
        ) => {
            let (to, from, barrier) = (d.address(to)?, d.address(from)?, d.address(barrier)?);
            let size = d.source(size, Type::U32)?;
            Ok(Box::new(move |ctx| {
                for lane in lanes(ctx.exec) {
                    let shared = |address| resolve(Where::Generic, address).1;
                    let to = shared(ctx.get(to.base)[lane].wrapping_add(to.offset));
                    let from = ctx.get(from.base)[lane].wrapping_add(from.offset);
                    let barrier = shared(ctx.get(barrier.base)[lane].wrapping_add(barrier.offset));
                    let size = ctx.get(size)[lane] as u32 as usize;
                    check(to, from, size)?;
                    ctx.span(from, size)?;
                    ctx.shared_async(to, size, true)?;
                    ctx.defer(barrier, Deferred::Bulk { to, from, size })?;
                }
                Ok(Flow::Next)
            }))
        }
        (["global", "shared::cta"], Some("bulk_group"), [to, from, size]) => {
            let (to, from) = (d.address(to)?, d.address(from)?);
            let size = d.source(size, Type::U32)?;
            Ok(Box::new(move |ctx| {
                for lane in lanes(ctx.exec) {
                    let to = ctx.get(to.base)[lane].wrapping_add(to.offset);
                    let from = resolve(Where::Generic, ctx.get(from.base)[lane].wrapping_add(from.offset)).1;
                    let size = ctx.get(size)[lane] as u32 as usize;
                    check(from, to, size)?;
                    ctx.span(to, size)?;
                    ctx.shared_async(from, size, false)?;
                    ctx.warp.stores.start(lane, Copy { to, from, size, source_size: size });
                }
                Ok(Flow::Next)
            }))
        }
        _ => Err("this form is not covered".into()),
    }
}

fn check(shared: u64, global: u64, size: usize) -> Result<(), Trap> {
    match (shared % 16, global % 16, size % 16) {
        (0, 0, 0) => Ok(()),
        (0, 0, _) => Err(Trap::new(code::MISALIGNED_ADDRESS, format!("{size} bytes are no multiple of 16"))),
        (0, _, _) => Err(misaligned("global", global, 16)),
        _ => Err(misaligned("shared", shared, 16)),
    }
}

pub fn commit(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Ok(Box::new(|ctx| {
        lanes(ctx.exec).for_each(|lane| ctx.warp.stores.commit(lane));
        Ok(Flow::Next)
    }))
}

/// `.read` waits until the source has been read, which here is when the copy is made.
pub fn wait(_: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("read");
    let [Operand::Int(pending)] = s.operands.as_slice() else { return Err("a number is expected".into()) };
    let pending = *pending as usize;
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            for copy in ctx.warp.stores.wait(lane, pending) {
                ctx.bulk_out(copy)?;
            }
        }
        Ok(Flow::Next)
    }))
}

impl Ctx<'_> {
    /// The host's address of many bytes of global memory.
    fn span(&mut self, address: u64, size: usize) -> Result<*mut u8, Trap> {
        self.memory.find(address, size as u64).ok_or_else(|| {
            Trap::new(code::ILLEGAL_ADDRESS, format!("global address {address:#x} ({size} bytes) is in no allocation"))
        })
    }

    /// Marks shared bytes as read or written through the asynchronous proxy.
    fn shared_async(&mut self, address: u64, size: usize, write: bool) -> Result<(), Trap> {
        let at = self.shared_at(address, size, 16)?;
        let (race, warp) = (&mut self.block.race, self.warp.index);
        let raced =
            if write { race.write(warp, at, size, Proxy::Async) } else { race.read(warp, at, size, Proxy::Async) };
        raced.map_err(|why| Trap::new(code::LAUNCH_FAILED, why))
    }

    /// Makes a copy to shared memory that was marked when it was started.
    pub fn bulk_in(&mut self, to: u64, from: u64, size: usize) -> Result<(), Trap> {
        let host = self.span(from, size)?;
        let at = self.shared_at(to, size, 1)?;
        for (index, byte) in self.block.shared[at..at + size].iter_mut().enumerate() {
            *byte = read_host(host.wrapping_add(index), 1) as u8;
        }
        Ok(())
    }

    fn bulk_out(&mut self, copy: Copy) -> Result<(), Trap> {
        let host = self.span(copy.to, copy.size)?;
        let at = self.shared_at(copy.from, copy.size, 1)?;
        for (index, byte) in self.block.shared[at..at + copy.size].iter().enumerate() {
            write_host(host.wrapping_add(index), 1, u64::from(*byte));
        }
        Ok(())
    }
}
