//! Barriers of a block, and fences. PTX ISA 9.7.13 `barrier`, `fence`.

use std::sync::atomic::{Ordering, fence as host_fence};

use crate::code;
use crate::decode::{Condition, Decoded, Decoder, Modifiers};
use crate::exec::{Ctx, Flow, Run, Source, Trap};
use crate::ptx::{Operand, Statement, Type};

/// Which threads take part: the instruction's operands.
struct Who {
    id: Source,
    threads: Option<Source>,
    /// All threads of a warp must arrive together.
    aligned: bool,
}

impl Who {
    fn decode(d: &mut Decoder<'_>, operands: &[Operand], aligned: bool) -> Decoded<Self> {
        let id = d.source(operands.first().ok_or("an operand is missing")?, Type::B32)?;
        let threads = operands.get(1).map(|operand| d.source(operand, Type::B32)).transpose()?;
        Ok(Self { id, threads, aligned })
    }

    /// Arrives. The barrier's number and the generation to wait for; or lanes are missing.
    fn arrive(&self, ctx: &mut Ctx<'_>, votes: u32) -> Result<Result<(u32, u64), Flow>, Trap> {
        if self.aligned && ctx.exec != ctx.warp.alive {
            return Ok(Err(Flow::Gather(ctx.warp.alive)));
        }
        let first = ctx.exec.trailing_zeros() as usize;
        let id = ctx.get(self.id)[first] as u32;
        if id > 15 {
            return Err(Trap::new(code::ILLEGAL_INSTRUCTION, format!("barrier {id}: there are 16")));
        }
        let expected = self.threads.map(|threads| ctx.get(threads)[first] as u32);
        if let Some(expected) = expected
            && (expected % 32 != 0 || expected == 0)
        {
            return Err(Trap::new(
                code::ILLEGAL_INSTRUCTION,
                format!("barrier for {expected} threads: no multiple of 32"),
            ));
        }
        // With a number of threads, a warp counts as a whole.
        let threads = if expected.is_some() { 32 } else { ctx.exec.count_ones() };
        let generation = ctx.block.arrive(ctx.warp.index, id, threads, expected, votes)?;
        Ok(Ok((id, generation)))
    }
}

fn wait(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, aligned: bool) -> Decoded<Run> {
    let who = Who::decode(d, &s.operands, m.flag("aligned") || aligned)?;
    Ok(Box::new(move |ctx| {
        Ok(match who.arrive(ctx, 0)? {
            Ok((id, generation)) => Flow::Barrier(id, generation),
            Err(flow) => flow,
        })
    }))
}

pub fn sync_aligned(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    wait(d, s, m, true)
}

pub fn sync(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    wait(d, s, m, false)
}

fn only_arrive(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, aligned: bool) -> Decoded<Run> {
    let who = Who::decode(d, &s.operands, m.flag("aligned") || aligned)?;
    if who.threads.is_none() {
        return Err("the number of threads is missing".into());
    }
    Ok(Box::new(move |ctx| Ok(who.arrive(ctx, 0)?.err().unwrap_or(Flow::Next))))
}

pub fn arrive_aligned(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    only_arrive(d, s, m, true)
}

pub fn arrive(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    only_arrive(d, s, m, false)
}

/// A barrier that counts the threads whose predicate is true. The count is read by a second instruction behind it.
fn reduce(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, aligned: bool) -> Decoded<Run> {
    let name = m.one_of(&["popc", "and", "or"]).ok_or("the operation is missing")?;
    m.ty()?;
    let [to, rest @ .., condition] = s.operands.as_slice() else { return Err("operands are missing".into()) };
    let who = Who::decode(d, rest, m.flag("aligned") || aligned)?;
    let condition: Condition = d.condition(condition)?;
    let id = who.id;
    let guard = d.guard();
    let arrive: Run = Box::new(move |ctx| {
        let votes = (condition.get(ctx) & ctx.exec).count_ones();
        Ok(match who.arrive(ctx, votes)? {
            Ok((id, generation)) => Flow::Barrier(id, generation),
            Err(flow) => flow,
        })
    });
    d.emit(guard, arrive);
    let result = move |ctx: &Ctx<'_>| {
        let id = ctx.get(id)[ctx.exec.trailing_zeros() as usize] as usize;
        ctx.block.barriers[id].result
    };
    if name == "popc" {
        let to = d.register(to)?;
        return Ok(Box::new(move |ctx| {
            let count = u64::from(result(ctx).0);
            ctx.set(to, &[count; 32]);
            Ok(Flow::Next)
        }));
    }
    let (to, all) = (d.predicate(to)?, name == "and");
    Ok(Box::new(move |ctx| {
        let (votes, threads) = result(ctx);
        let holds = if all { votes == threads } else { votes > 0 };
        ctx.set_predicate(to, if holds { !0 } else { 0 });
        Ok(Flow::Next)
    }))
}

pub fn red_aligned(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    reduce(d, s, m, true)
}

pub fn red(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    reduce(d, s, m, false)
}

/// Memory is coherent here but for what is late; what a fence means to the host's memory, the host's fence does.
pub fn fence(_: &mut Decoder<'_>, _: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.one_of(&["sc", "acq_rel", "acquire", "release"]);
    let block_alone = matches!(m.one_of(&["cta", "cluster", "gpu", "sys", "gl"]), Some("cta"));
    if m.flag("proxy") {
        let proxy = m.matching(|word| word == "alias" || word.starts_with("async")).ok_or("the proxy is missing")?;
        let space = m.one_of(&["global", "shared::cta", "shared::cluster"]);
        // A fence for global memory only does nothing for shared memory.
        let shared = proxy == "async" && space != Some("global");
        return Ok(Box::new(move |ctx| {
            if shared {
                ctx.block.race.fence_async(ctx.warp.index);
            }
            Ok(Flow::Next)
        }));
    }
    Ok(Box::new(move |ctx| {
        if !block_alone {
            // What others of the block did before a barrier included.
            ctx.block.late.perform(ctx.memory);
        }
        host_fence(Ordering::SeqCst);
        Ok(Flow::Next)
    }))
}
