//! Arithmetic on `f32` and `f64`. PTX ISA 9.7.3.
//!
//! The `.approx` forms are computed exactly and rounded once: hardware is allowed a few units in the last place.

use super::integer::{binary, ternary, type_of, unary, whole};
use super::{half, vector};
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::Run;
use crate::ptx::{Statement, Type};

/// What an instruction asks for beside its type.
#[derive(Clone, Copy)]
struct Mode {
    /// Subnormal inputs and results count as zero.
    flush: bool,
    /// Results are clamped to 0..1, NaN to 0.
    saturate: bool,
}

fn mode(m: &mut Modifiers<'_>) -> Decoded<Mode> {
    if let Some(rounding) = m.one_of(&["rz", "rm", "rp"]) {
        return Err(format!("rounding '.{rounding}' is not covered"));
    }
    m.flag("rn");
    Ok(Mode { flush: m.flag("ftz"), saturate: m.flag("sat") })
}

#[inline(always)]
fn flush(value: f32, mode: Mode) -> f32 {
    if mode.flush && value.abs() < f32::MIN_POSITIVE { 0f32.copysign(value) } else { value }
}

#[inline(always)]
fn read(bits: u64, mode: Mode) -> f32 {
    flush(f32::from_bits(bits as u32), mode)
}

/// The bits of a result; a NaN is the canonical one.
#[inline(always)]
fn write(value: f32, mode: Mode) -> u64 {
    let value = flush(value, mode);
    if mode.saturate {
        // A NaN becomes zero.
        return u64::from(if value > 0.0 { value.min(1.0) } else { 0.0 }.to_bits());
    }
    u64::from(if value.is_nan() { 0x7FFF_FFFF } else { value.to_bits() })
}

macro_rules! arithmetic {
    ($name:ident, $arity:ident, |$($a:ident),+| $body:expr) => {
        pub fn $name(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
            let mode = mode(m)?;
            match m.ty()? {
                Type::F32 if !mode.flush && !mode.saturate => $arity(d, s, Type::F32, |$($a),+| {
                    $(let $a = f32::from_bits($a as u32);)+
                    let result: f32 = $body;
                    u64::from(if result.is_nan() { 0x7FFF_FFFF } else { result.to_bits() })
                }),
                Type::F32 => $arity(d, s, Type::F32, move |$($a),+| {
                    $(let $a = read($a, mode);)+
                    write($body, mode)
                }),
                Type::F64 => $arity(d, s, Type::F64, |$($a),+| {
                    $(let $a = f64::from_bits($a);)+
                    ($body).to_bits()
                }),
                ty => Err(format!("not covered for {ty:?}")),
            }
        }
    };
}

arithmetic!(add, binary, |a, b| a + b);
arithmetic!(sub, binary, |a, b| a - b);
arithmetic!(mul, binary, |a, b| a * b);
arithmetic!(fma_f, ternary, |a, b, c| a.mul_add(b, c));
arithmetic!(div_f, binary, |a, b| a / b);
arithmetic!(rcp_f, unary, |a| 1.0 / a);
arithmetic!(sqrt_f, unary, |a| a.sqrt());

pub fn fma(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let plain = !m.0.iter().any(|word| ["ftz", "sat", "rz", "rm", "rp"].contains(word));
    let quick = match type_of(m)? {
        Type::F32 if plain => vector::fma_f32,
        Type::F64 if plain => vector::fma_f64,
        Type::F32 | Type::F64 => return fma_f(d, s, m),
        _ => return half::fma(d, s, m),
    };
    m.flag("rn");
    let ty = m.ty()?;
    whole(d, s, ty, quick)
}

pub fn div(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.one_of(&["approx", "full"]);
    div_f(d, s, m)
}

pub fn rcp(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("approx");
    rcp_f(d, s, m)
}

pub fn sqrt(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("approx");
    sqrt_f(d, s, m)
}

/// A function that only exists as an approximation: computed in `f64`.
fn approximate(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, f: fn(f64) -> f64) -> Decoded<Run> {
    m.flag("approx");
    let mode = mode(m)?;
    match m.ty()? {
        Type::F32 => unary(d, s, Type::F32, move |a| write(f(f64::from(read(a, mode))) as f32, mode)),
        Type::F64 => unary(d, s, Type::F64, move |a| f(f64::from_bits(a)).to_bits()),
        ty => half::approximate(d, s, ty, f),
    }
}

pub fn rsqrt(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, |a| 1.0 / a.sqrt())
}

pub fn sin(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, f64::sin)
}

pub fn cos(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, f64::cos)
}

pub fn lg2(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, f64::log2)
}

pub fn ex2(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, f64::exp2)
}

pub fn tanh(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    approximate(d, s, m, f64::tanh)
}

/// `abs` and `neg`: the sign bits of a word edited.
pub fn sign(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, f: fn(u64, u64) -> u64) -> Decoded<Run> {
    let mode = mode(m)?;
    let ty = m.ty()?;
    let signs: u64 = match ty {
        Type::F32 => return unary(d, s, ty, move |a| f(u64::from(read(a, mode).to_bits()), 1 << 31)),
        Type::F64 => 1 << 63,
        Type::F16 | Type::Bf16 => 1 << 15,
        Type::F16x2 | Type::Bf16x2 => 0x8000_8000,
        _ => return Err(format!("not covered for {ty:?}")),
    };
    unary(d, s, ty, move |a| f(a, signs))
}

/// `min` and `max`: a NaN loses, unless `.NaN` says it wins; minus zero is less than zero.
pub fn least(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, least: bool) -> Decoded<Run> {
    let nan_wins = m.flag("NaN");
    if let Some(word) = m.one_of(&["xorsign", "abs"]) {
        return Err(format!("'.{word}' is not covered"));
    }
    if s.operands.len() != 3 {
        return Err("three inputs are not covered".into());
    }
    let mode = mode(m)?;
    match m.ty()? {
        Type::F32 => binary(d, s, Type::F32, move |a, b| {
            let (a, b) = (f64::from(read(a, mode)), f64::from(read(b, mode)));
            write(choose(a, b, least, nan_wins) as f32, mode)
        }),
        Type::F64 => {
            binary(d, s, Type::F64, move |a, b| choose(f64::from_bits(a), f64::from_bits(b), least, nan_wins).to_bits())
        }
        ty => half::least(d, s, ty, move |a, b| choose(a, b, least, nan_wins)),
    }
}

fn choose(a: f64, b: f64, least: bool, nan_wins: bool) -> f64 {
    if a.is_nan() || b.is_nan() {
        return if nan_wins || a.is_nan() && b.is_nan() { f64::NAN } else { if a.is_nan() { b } else { a } };
    }
    let a_first = a < b || a == b && a.is_sign_negative();
    if a_first == least { a } else { b }
}

pub fn copysign(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let sign = 1u64 << (ty.bits() - 1);
    // The first operand gives the sign.
    binary(d, s, ty, move |a, b| b & !sign | a & sign)
}

pub fn testp(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let words = ["finite", "infinite", "number", "notanumber", "normal", "subnormal"];
    let test = m.one_of(&words).ok_or("the property is missing")?;
    let ty = m.ty()?;
    let to = d.predicate(&s.operands[0])?;
    let from = d.source(s.operands.get(1).ok_or("an operand is missing")?, ty)?;
    let holds: fn(std::num::FpCategory) -> bool = {
        use std::num::FpCategory::{Infinite, Nan, Normal, Subnormal};
        match test {
            "finite" => |class| !matches!(class, Infinite | Nan),
            "infinite" => |class| class == Infinite,
            "number" => |class| class != Nan,
            "notanumber" => |class| class == Nan,
            "normal" => |class| class == Normal,
            _ => |class| class == Subnormal,
        }
    };
    let is_double = ty == Type::F64;
    Ok(Box::new(move |ctx| {
        let mask = ctx.test2([from, from], |a, _| {
            holds(if is_double { f64::from_bits(a).classify() } else { f32::from_bits(a as u32).classify() })
        });
        ctx.set_predicate(to, mask);
        Ok(crate::exec::Flow::Next)
    }))
}
