//! Collectives of a warp. PTX ISA 9.7.9 `shfl.sync`, and 9.7.13.

use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::{Ctx, Flow, Mask, Run, Source, lanes};
use crate::ptx::{Operand, Statement, Type, sign_extend, truncate};

/// Makes sure that the lanes a mask names are here; what all of them were given must be the same.
fn together(ctx: &Ctx<'_>, mask: Source) -> Option<Flow> {
    let first = ctx.exec.trailing_zeros() as usize;
    ctx.gather(ctx.get(mask)[first] as Mask)
}

pub fn shfl(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let mode = m.one_of(&["up", "down", "bfly", "idx"]).ok_or("the mode is missing")?.to_owned();
    m.ty()?;
    let (to, valid) = match &s.operands[0] {
        Operand::Pair(to, valid) => (d.register(to)?, Some(d.predicate(valid)?)),
        other => (d.register(other)?, None),
    };
    let [a, b, c, members] = d.sources(&s.operands[1..], Type::B32)?;
    if s.operands.len() != 5 {
        return Err("five operands are expected".into());
    }
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let (a, b, c) = (*ctx.get(a), *ctx.get(b), *ctx.get(c));
        let (mut out, mut mask) = ([0; 32], 0);
        for lane in lanes(ctx.exec) {
            let (from, inside) = source_lane(&mode, lane as u32, b[lane] as u32 & 31, c[lane] as u32);
            // A lane that does not take part has no value to give.
            out[lane] = if ctx.exec >> from & 1 == 1 { truncate(a[from as usize], 32) } else { 0xFFFF_FFFF };
            mask |= u32::from(inside) << lane;
        }
        ctx.set(to, &out);
        if let Some(valid) = valid {
            ctx.set_predicate(valid, mask);
        }
        Ok(Flow::Next)
    }))
}

/// The lane a value comes from, and whether it is in the segment; the pseudocode of `shfl.sync`.
fn source_lane(mode: &str, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (clamp, segment) = (c & 31, c >> 8 & 31);
    let max = lane & segment | clamp & !segment;
    let min = lane & segment;
    let (from, inside) = match mode {
        "up" => (lane.wrapping_sub(b), lane as i32 - b as i32 >= max as i32),
        "down" => (lane + b, lane + b <= max),
        "bfly" => (lane ^ b, lane ^ b <= max),
        _ => (min | b & !segment, min | b & !segment <= max),
    };
    if inside { (from, true) } else { (lane, false) }
}

pub fn sync(d: &mut Decoder<'_>, s: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    let members = d.source(s.operands.first().ok_or("an operand is missing")?, Type::B32)?;
    Ok(Box::new(move |ctx| Ok(together(ctx, members).unwrap_or(Flow::Next))))
}

pub fn vote(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let mode = m.one_of(&["all", "any", "uni", "ballot"]).ok_or("the mode is missing")?;
    m.ty()?;
    let [to, condition, members] = s.operands.as_slice() else { return Err("three operands are expected".into()) };
    let (condition, members) = (d.condition(condition)?, d.source(members, Type::B32)?);
    if mode == "ballot" {
        let to = d.register(to)?;
        return Ok(Box::new(move |ctx| {
            if let Some(flow) = together(ctx, members) {
                return Ok(flow);
            }
            let ballot = condition.get(ctx) & ctx.exec;
            ctx.set(to, &[ballot.into(); 32]);
            Ok(Flow::Next)
        }));
    }
    let to = d.predicate(to)?;
    let holds: fn(Mask, Mask) -> bool = match mode {
        "all" => |ballot, exec| ballot == exec,
        "any" => |ballot, _| ballot != 0,
        _ => |ballot, exec| ballot == exec || ballot == 0,
    };
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let result = if holds(condition.get(ctx) & ctx.exec, ctx.exec) { !0 } else { 0 };
        ctx.set_predicate(to, result);
        Ok(Flow::Next)
    }))
}

pub fn match_any(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let [to, value, members] = s.operands.as_slice() else { return Err("three operands are expected".into()) };
    let (to, value, members) = (d.register(to)?, d.source(value, ty)?, d.source(members, Type::B32)?);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let values = *ctx.get(value);
        let mut out = [0; 32];
        for lane in lanes(ctx.exec) {
            out[lane] = lanes(ctx.exec).filter(|other| values[*other] == values[lane]).map(|other| 1 << other).sum();
        }
        ctx.set(to, &out);
        Ok(Flow::Next)
    }))
}

pub fn match_all(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let [to, value, members] = s.operands.as_slice() else { return Err("three operands are expected".into()) };
    let (to, all) = match to {
        Operand::Pair(to, all) => (d.register(to)?, Some(d.predicate(all)?)),
        other => (d.register(other)?, None),
    };
    let (value, members) = (d.source(value, ty)?, d.source(members, Type::B32)?);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let values = ctx.get(value);
        let first = values[ctx.exec.trailing_zeros() as usize];
        let same = lanes(ctx.exec).all(|lane| values[lane] == first);
        ctx.set(to, &[if same { ctx.exec.into() } else { 0 }; 32]);
        if let Some(all) = all {
            ctx.set_predicate(all, if same { !0 } else { 0 });
        }
        Ok(Flow::Next)
    }))
}

pub fn activemask(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.ty()?;
    let to = d.register(s.operands.first().ok_or("an operand is missing")?)?;
    Ok(Box::new(move |ctx| {
        let exec = ctx.exec;
        ctx.set(to, &[exec.into(); 32]);
        Ok(Flow::Next)
    }))
}

pub fn redux(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let name = m.one_of(&["add", "min", "max", "and", "or", "xor"]).ok_or("the operation is missing")?.to_owned();
    let ty = m.ty()?;
    if ty.bits() != 32 || ty.float() {
        return Err(format!("not covered for {ty:?}"));
    }
    let [to, value, members] = s.operands.as_slice() else { return Err("three operands are expected".into()) };
    let (to, value, members) = (d.register(to)?, d.source(value, ty)?, d.source(members, Type::B32)?);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let values = ctx.get(value);
        let number =
            |lane: usize| (if ty.signed() { sign_extend(values[lane], 32) } else { truncate(values[lane], 32) }) as i64;
        let result = lanes(ctx.exec).map(number).reduce(|a, b| match name.as_str() {
            "add" => a.wrapping_add(b),
            "min" => a.min(b),
            "max" => a.max(b),
            "and" => a & b,
            "or" => a | b,
            _ => a ^ b,
        });
        ctx.set(to, &[truncate(result.unwrap_or_default() as u64, 32); 32]);
        Ok(Flow::Next)
    }))
}

/// Elects the least lane.
pub fn elect(d: &mut Decoder<'_>, s: &Statement, _: &mut Modifiers<'_>) -> Decoded<Run> {
    let [Operand::Pair(to, chosen), members] = s.operands.as_slice() else {
        return Err("d|p and a mask are expected".into());
    };
    let (to, chosen, members) = (d.register(to)?, d.predicate(chosen)?, d.source(members, Type::B32)?);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = together(ctx, members) {
            return Ok(flow);
        }
        let leader = ctx.exec.trailing_zeros();
        ctx.set(to, &[leader.into(); 32]);
        ctx.set_predicate(chosen, 1 << leader);
        Ok(Flow::Next)
    }))
}
