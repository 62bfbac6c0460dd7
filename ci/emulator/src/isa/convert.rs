//! Moves and conversions. PTX ISA 9.7.9 `mov`, `cvta`, `cvt`.

use super::integer::{operands, unary};
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::{Flow, Run};
use crate::number::{BF16, E4M3, E5M2, F16, Format, Rounding, TF32};
use crate::ptx::{Operand, Statement, Type, sign_extend, truncate};

/// Generic addresses of shared, local and parameter memory. PTX ISA 5.1: windows of the generic address space.
pub const SHARED_WINDOW: u64 = 0x0100_0000_0000;
pub const LOCAL_WINDOW: u64 = 0x0110_0000_0000;
pub const PARAM_WINDOW: u64 = 0x0120_0000_0000;
pub const WINDOW_SIZE: u64 = 1 << 32;

pub fn mov(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    match s.operands.as_slice() {
        [to, from] if ty == Type::Pred => {
            let (to, from) = (d.predicate(to)?, d.condition(from)?);
            Ok(Box::new(move |ctx| {
                let mask = from.get(ctx);
                ctx.set_predicate(to, mask);
                Ok(Flow::Next)
            }))
        }
        [to, Operand::Vector(parts)] => pack(d, ty, to, parts),
        [Operand::Vector(parts), from] => unpack(d, ty, parts, from),
        _ => {
            let (to, [from]) = operands(d, s, ty)?;
            Ok(Box::new(move |ctx| {
                let values = *ctx.get(from);
                ctx.set(to, &values);
                Ok(Flow::Next)
            }))
        }
    }
}

fn part(ty: Type, count: usize) -> Decoded<(u32, Type)> {
    let bits = ty.bits() / count as u32;
    let part = [Type::B8, Type::B16, Type::B32].into_iter().find(|part| part.bits() == bits);
    part.map(|ty| (bits, ty)).ok_or_else(|| format!("{count} parts of {ty:?} are not covered"))
}

/// `mov.b32 %r, {%h0, %h1}`: the first part is the least significant.
fn pack(d: &mut Decoder<'_>, ty: Type, to: &Operand, parts: &[Operand]) -> Decoded<Run> {
    let (bits, part) = part(ty, parts.len())?;
    let to = d.register(to)?;
    let from: Vec<_> = parts.iter().map(|operand| d.source(operand, part)).collect::<Decoded<_>>()?;
    Ok(Box::new(move |ctx| {
        let mut out = [0; 32];
        for (index, source) in from.iter().enumerate() {
            let values = ctx.get(*source);
            for lane in 0..32 {
                out[lane] |= truncate(values[lane], bits) << (index as u32 * bits);
            }
        }
        ctx.set(to, &out);
        Ok(Flow::Next)
    }))
}

fn unpack(d: &mut Decoder<'_>, ty: Type, parts: &[Operand], from: &Operand) -> Decoded<Run> {
    let (bits, _) = part(ty, parts.len())?;
    let from = d.source(from, ty)?;
    let to: Vec<_> = parts.iter().map(|operand| d.register(operand)).collect::<Decoded<_>>()?;
    Ok(Box::new(move |ctx| {
        let values = *ctx.get(from);
        for (index, to) in to.iter().enumerate() {
            ctx.set(*to, &values.map(|value| truncate(value >> (index as u32 * bits), bits)));
        }
        Ok(Flow::Next)
    }))
}

/// Between generic addresses and those of a space.
pub fn cvta(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let to_space = m.flag("to");
    let space = m.one_of(&["global", "const", "shared", "shared::cta", "local", "param", "param::entry"]);
    let window = match space.ok_or("the space is missing")? {
        "global" | "const" => 0,
        "local" => LOCAL_WINDOW,
        "param" | "param::entry" => PARAM_WINDOW,
        _ => SHARED_WINDOW,
    };
    let ty = m.ty()?;
    if to_space {
        unary(d, s, ty, move |a| a.wrapping_sub(window))
    } else {
        unary(d, s, ty, move |a| a.wrapping_add(window))
    }
}

/// The narrow format of a type, and whether a register holds two of it.
fn format(ty: Type) -> Option<(Format, bool)> {
    Some(match ty {
        Type::F16 => (F16, false),
        Type::F16x2 => (F16, true),
        Type::Bf16 => (BF16, false),
        Type::Bf16x2 => (BF16, true),
        Type::Tf32 => (TF32, false),
        Type::E4m3 => (E4M3, false),
        Type::E4m3x2 => (E4M3, true),
        Type::E5m2 => (E5M2, false),
        Type::E5m2x2 => (E5M2, true),
        _ => return None,
    })
}

/// How `cvt` rounds: `.rn`, `.rz`, … between formats, `.rni`, `.rzi`, … to whole numbers.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Exact,
    Nearest,
    Zero,
    Down,
    Up,
    Away,
}

pub fn cvt(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let rounding = m.one_of(&["rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"]);
    let mode = match rounding {
        None => Mode::Exact,
        Some("rn" | "rni") => Mode::Nearest,
        Some("rz" | "rzi") => Mode::Zero,
        Some("rm" | "rmi") => Mode::Down,
        Some("rp" | "rpi") => Mode::Up,
        _ => Mode::Away,
    };
    let whole = rounding.is_some_and(|word| word.ends_with('i'));
    let (flush, relu) = (m.flag("ftz"), m.flag("relu"));
    let saturate = m.one_of(&["sat", "satfinite"]);
    let (to, from) = (m.ty()?, m.ty()?);
    match (format(to), format(from)) {
        (Some((target, true)), None) => {
            // Two values of f32, the first into the upper half.
            let (result, [high, low]) = operands(d, s, from)?;
            let encode = encoder(target, mode, saturate.is_some(), relu)?;
            let bits = to.bits() / 2;
            return Ok(Box::new(move |ctx| {
                ctx.map2(result, [high, low], |high, low| {
                    encode(single(high, flush)) << bits | encode(single(low, flush))
                })
            }));
        }
        (Some((target, true)), Some((origin, true))) => {
            let encode = encoder(target, mode, saturate.is_some(), relu)?;
            let (bits, from_bits) = (to.bits() / 2, from.bits() / 2);
            return unary(d, s, from, move |word| {
                let part = |index: u32| origin.decode(truncate(word >> (index * from_bits), from_bits) as u32);
                encode(part(1)) << bits | encode(part(0))
            });
        }
        _ => {}
    }
    let read = reader(from, flush)?;
    if to.integer() {
        return if from.integer() {
            integers(d, s, to, from, saturate.is_some())
        } else {
            to_integer(d, s, to, from, mode, read)
        };
    }
    if from.integer() {
        return from_integer(d, s, to, from, mode);
    }
    let clamp = saturate == Some("sat");
    let round = move |value: f64| {
        let value = if whole { whole_number(value, mode) } else { value };
        if clamp { if value > 0.0 { value.min(1.0) } else { 0.0 } } else { value }
    };
    match to {
        Type::F64 => unary(d, s, from, move |a| round(read(a)).to_bits()),
        Type::F32 if whole || from != Type::F64 || matches!(mode, Mode::Nearest | Mode::Exact) => {
            unary(d, s, from, move |a| single_bits(round(read(a)) as f32, flush))
        }
        Type::F32 => unary(d, s, from, move |a| single_bits(toward(round(read(a)), mode), flush)),
        _ => {
            let (target, _) = format(to).ok_or_else(|| format!("not covered for {to:?}"))?;
            let encode = encoder(target, mode, saturate == Some("satfinite"), relu)?;
            // tf32 keeps the layout of f32.
            let shift = if to == Type::Tf32 { 13 } else { 0 };
            unary(d, s, from, move |a| encode(round(read(a))) << shift)
        }
    }
}

fn single(bits: u64, flush: bool) -> f64 {
    let value = f32::from_bits(bits as u32);
    f64::from(if flush && value.abs() < f32::MIN_POSITIVE { 0f32.copysign(value) } else { value })
}

fn single_bits(value: f32, flush: bool) -> u64 {
    let value = if flush && value.abs() < f32::MIN_POSITIVE { 0f32.copysign(value) } else { value };
    u64::from(if value.is_nan() { 0x7FFF_FFFF } else { value.to_bits() })
}

/// Reads a floating-point type as `f64`, which holds all values exactly.
fn reader(ty: Type, flush: bool) -> Decoded<Box<dyn Fn(u64) -> f64 + Send + Sync>> {
    Ok(match ty {
        Type::F32 | Type::Tf32 => Box::new(move |bits| single(bits, flush)),
        Type::F64 => Box::new(f64::from_bits),
        _ if ty.integer() => Box::new(|_| f64::NAN),
        _ => {
            let (format, _) = format(ty).ok_or_else(|| format!("not covered for {ty:?}"))?;
            Box::new(move |bits| format.decode(truncate(bits, ty.bits()) as u32))
        }
    })
}

type Encode = Box<dyn Fn(f64) -> u64 + Send + Sync>;

fn encoder(format: Format, mode: Mode, finite: bool, relu: bool) -> Decoded<Encode> {
    let rounding = match mode {
        Mode::Nearest | Mode::Exact => Rounding::NearestEven,
        Mode::Zero => Rounding::Zero,
        Mode::Away => Rounding::NearestAway,
        Mode::Down | Mode::Up => return Err("rounding to a side is not covered for narrow formats".into()),
    };
    Ok(Box::new(move |value| {
        let value = if relu && value < 0.0 { 0.0 } else { value };
        u64::from(format.encode(value, rounding, finite))
    }))
}

fn whole_number(value: f64, mode: Mode) -> f64 {
    match mode {
        Mode::Nearest | Mode::Exact => value.round_ties_even(),
        Mode::Zero => value.trunc(),
        Mode::Down => value.floor(),
        Mode::Up => value.ceil(),
        Mode::Away => value.round(),
    }
}

/// The `f32` beside a value on the side asked for.
fn toward(value: f64, mode: Mode) -> f32 {
    let near = value as f32;
    let exact = f64::from(near);
    match mode {
        Mode::Zero if exact.abs() > value.abs() => {
            if near > 0.0 {
                near.next_down()
            } else {
                near.next_up()
            }
        }
        Mode::Down if exact > value => near.next_down(),
        Mode::Up if exact < value => near.next_up(),
        _ => near,
    }
}

/// The register may be wider than the type: it is filled by the type's sign.
fn extend(value: u64, ty: Type, register_bits: u32) -> u64 {
    if ty.signed() { truncate(sign_extend(value, ty.bits()), register_bits) } else { truncate(value, ty.bits()) }
}

fn integers(d: &mut Decoder<'_>, s: &Statement, to: Type, from: Type, saturate: bool) -> Decoded<Run> {
    let width = d.width(&s.operands[0], to.bits());
    if !saturate && !from.signed() && from.bits() <= to.bits() || from == Type::U64 && to.bits() == 64 {
        return unary(d, s, from, move |a| truncate(a, from.bits()));
    }
    if !saturate && from == Type::S32 && to.bits() == 64 {
        return unary(d, s, from, |a| a as i32 as i64 as u64);
    }
    unary(d, s, from, move |a| {
        let value = if from.signed() {
            i128::from(sign_extend(a, from.bits()) as i64)
        } else {
            i128::from(truncate(a, from.bits()))
        };
        let (low, high) = limits(to);
        extend(if saturate { value.clamp(low, high) } else { value } as u64, to, width)
    })
}

fn limits(ty: Type) -> (i128, i128) {
    let bits = ty.bits();
    if ty.signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// Out of range gives the nearest number there is; NaN gives 0, or the highest bit for 64 bits and `f64`.
fn to_integer(
    d: &mut Decoder<'_>,
    s: &Statement,
    to: Type,
    from: Type,
    mode: Mode,
    read: Box<dyn Fn(u64) -> f64 + Send + Sync>,
) -> Decoded<Run> {
    let width = d.width(&s.operands[0], to.bits());
    let (low, high) = limits(to);
    let wide_nan = to.bits() == 64 || from == Type::F64;
    unary(d, s, from, move |a| {
        let value = whole_number(read(a), mode);
        if value.is_nan() {
            return if wide_nan { 1 << (to.bits() - 1) } else { 0 };
        }
        // The conversion saturates at the limits of i128, far outside those of the type.
        extend((value as i128).clamp(low, high) as u64, to, width)
    })
}

fn from_integer(d: &mut Decoder<'_>, s: &Statement, to: Type, from: Type, mode: Mode) -> Decoded<Run> {
    if !matches!(mode, Mode::Nearest | Mode::Exact | Mode::Zero) {
        return Err("this rounding is not covered".into());
    }
    let signed = from.signed();
    let number = move |a: u64| if signed { sign_extend(a, from.bits()) } else { truncate(a, from.bits()) };
    match to {
        Type::F32 if mode == Mode::Zero => unary(d, s, from, move |a| {
            let a = number(a);
            let exact = if signed { a as i64 as f64 } else { a as f64 };
            if from.bits() == 64 && exact.abs() >= 9.0e15 {
                let near = if signed { a as i64 as f32 } else { a as f32 };
                let over = if signed { near as i128 > i128::from(a as i64) } else { near as u128 > u128::from(a) };
                return u64::from(if over && near > 0.0 { near.next_down() } else { near }.to_bits());
            }
            u64::from(toward(exact, Mode::Zero).to_bits())
        }),
        Type::F32 if signed => unary(d, s, from, move |a| u64::from((number(a) as i64 as f32).to_bits())),
        Type::F32 => unary(d, s, from, move |a| u64::from((number(a) as f32).to_bits())),
        Type::F64 if signed => unary(d, s, from, move |a| (number(a) as i64 as f64).to_bits()),
        Type::F64 => unary(d, s, from, move |a| (number(a) as f64).to_bits()),
        _ => {
            let (target, _) = format(to).ok_or_else(|| format!("not covered for {to:?}"))?;
            let encode = encoder(target, mode, false, false)?;
            unary(d, s, from, move |a| encode(if signed { number(a) as i64 as f64 } else { number(a) as f64 }))
        }
    }
}
