//! Control flow. PTX ISA 9.7.12 and 9.7.19.

use std::time::Duration;

use crate::code;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::{Flow, Run, Trap};
use crate::ptx::{Operand, Statement, Type};

pub fn bra(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("uni");
    let [Operand::Name(label)] = s.operands.as_slice() else { return Err("one label is expected".into()) };
    let target = d.target(label);
    Ok(Box::new(move |_| Ok(Flow::Jump(target.get()))))
}

/// Calls are put in place by the decoder itself.
pub fn call(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Err("unexpected here".into())
}

pub fn ret(d: &mut Decoder<'_>, _: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("uni");
    match d.return_target() {
        Some(target) => Ok(Box::new(move |_| Ok(Flow::Jump(target.get())))),
        None => Ok(Box::new(|_| Ok(Flow::Exit))),
    }
}

pub fn exit(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Ok(Box::new(|_| Ok(Flow::Exit)))
}

/// Sleeps on the host if the warp is alone, for the host has better to do than to spin; else others have their turn.
pub fn nanosleep(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.ty()?;
    let time = d.source(s.operands.first().ok_or("an operand is missing")?, Type::U32)?;
    Ok(Box::new(move |ctx| {
        if ctx.grid.block_count() == 1 && ctx.grid.threads_per_block() <= 32 {
            let first = ctx.exec.trailing_zeros() as usize;
            let time = (ctx.get(time)[first] as u32).min(1_000_000);
            std::thread::sleep(Duration::from_nanos(time.into()));
        }
        Ok(Flow::Yield)
    }))
}

pub fn trap(_: &mut Decoder<'_>, _: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    Ok(Box::new(|_| Err(Trap::new(code::LAUNCH_FAILED, "the kernel executed a trap"))))
}
