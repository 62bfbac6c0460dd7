//! Arithmetic on `f16` and `bf16`, single and packed in pairs. PTX ISA 9.7.4.

use super::integer::{binary, ternary, unary, whole};
use super::vector;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::Run;
use crate::number::{BF16, F16, Format, Rounding, add_odd};
use crate::ptx::{Statement, Type};

/// How a value of the type is read and written: its format and how many a register holds.
fn parts(ty: Type) -> Decoded<(Format, u32)> {
    match ty {
        Type::F16 => Ok((F16, 1)),
        Type::F16x2 => Ok((F16, 2)),
        Type::Bf16 => Ok((BF16, 1)),
        Type::Bf16x2 => Ok((BF16, 2)),
        _ => Err(format!("not covered for {ty:?}")),
    }
}

/// Applies a function to each part of the operands.
fn each<const N: usize>((format, count): (Format, u32), operands: [u64; N], f: impl Fn([f64; N]) -> f64) -> u64 {
    (0..count).fold(0, |result, part| {
        let shift = 16 * part;
        let values = operands.map(|word| format.decode((word >> shift) as u32 & 0xFFFF));
        result | u64::from(format.encode(f(values), Rounding::NearestEven, false)) << shift
    })
}

fn mode(m: &mut Modifiers<'_>) -> Decoded<(Type, bool, bool)> {
    if let Some(word) = m.one_of(&["rz", "rm", "rp", "oob"]) {
        return Err(format!("'.{word}' is not covered"));
    }
    m.flag("rn");
    // Without subnormals is a licence hardware rarely uses; here they are kept.
    m.flag("ftz");
    let (saturate, relu) = (m.flag("sat"), m.flag("relu"));
    Ok((m.ty()?, saturate, relu))
}

fn limit(value: f64, saturate: bool, relu: bool) -> f64 {
    if saturate && !(value > 0.0) || relu && value < 0.0 {
        0.0
    } else if saturate {
        value.min(1.0)
    } else {
        value
    }
}

pub fn add(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let (ty, saturate, relu) = mode(m)?;
    let parts = parts(ty)?;
    binary(d, s, ty, move |a, b| each(parts, [a, b], |[a, b]| limit(add_odd(a, b), saturate, relu)))
}

pub fn sub(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let (ty, saturate, relu) = mode(m)?;
    let parts = parts(ty)?;
    binary(d, s, ty, move |a, b| each(parts, [a, b], |[a, b]| limit(add_odd(a, -b), saturate, relu)))
}

pub fn mul(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let (ty, saturate, relu) = mode(m)?;
    let parts = parts(ty)?;
    binary(d, s, ty, move |a, b| each(parts, [a, b], |[a, b]| limit(a * b, saturate, relu)))
}

/// The product of two is exact in `f64`, and the sum is rounded once.
pub fn fma(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let (ty, saturate, relu) = mode(m)?;
    match ty {
        Type::F16x2 if !saturate && !relu => return whole(d, s, ty, vector::fma_f16x2),
        Type::Bf16x2 if !saturate && !relu => return whole(d, s, ty, vector::fma_bf16x2),
        _ => {}
    }
    let parts = parts(ty)?;
    ternary(d, s, ty, move |a, b, c| each(parts, [a, b, c], |[a, b, c]| limit(add_odd(a * b, c), saturate, relu)))
}

pub fn least(
    d: &mut Decoder<'_>,
    s: &Statement,
    ty: Type,
    f: impl Fn(f64, f64) -> f64 + Send + Sync + 'static,
) -> Decoded<Run> {
    let parts = parts(ty)?;
    binary(d, s, ty, move |a, b| each(parts, [a, b], |[a, b]| f(a, b)))
}

pub fn approximate(d: &mut Decoder<'_>, s: &Statement, ty: Type, f: fn(f64) -> f64) -> Decoded<Run> {
    let parts = parts(ty)?;
    unary(d, s, ty, move |a| each(parts, [a], |[a]| f(a)))
}
