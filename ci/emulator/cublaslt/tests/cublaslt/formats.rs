//! Formats of elements, by other code than the library's: the `half` crate, and FP8 by its definition.

use half::{bf16, f16};

pub const F32: u32 = 0;
pub const F64: u32 = 1;
pub const F16: u32 = 2;
pub const I8: u32 = 3;
pub const I32: u32 = 10;
pub const BF16: u32 = 14;
pub const E4M3: u32 = 28;
pub const E5M2: u32 = 29;

pub fn bytes_of(format: u32) -> usize {
    match format {
        F64 => 8,
        F32 | I32 => 4,
        F16 | BF16 => 2,
        _ => 1,
    }
}

/// Open Compute Project, OFP8: sign, exponent with a bias, mantissa.
fn fp8(bits: u8, mantissa_bits: i32, bias: i32) -> f64 {
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    let exponent = i32::from(bits & 0x7F) >> mantissa_bits;
    let magnitude =
        if exponent == 0 { mantissa * 2f64.powi(1 - bias) } else { (1.0 + mantissa) * 2f64.powi(exponent - bias) };
    if bits & 0x80 != 0 { -magnitude } else { magnitude }
}

pub fn decode(format: u32, bytes: &[u8]) -> f64 {
    let pair = || [bytes[0], bytes[1]];
    let word = || [bytes[0], bytes[1], bytes[2], bytes[3]];
    match format {
        F64 => f64::from_le_bytes(bytes.try_into().expect("eight bytes")),
        F32 => f32::from_le_bytes(word()).into(),
        I32 => i32::from_le_bytes(word()).into(),
        F16 => f16::from_le_bytes(pair()).to_f64(),
        BF16 => bf16::from_le_bytes(pair()).to_f64(),
        I8 => (bytes[0] as i8).into(),
        // Ones in every bit stand for no number.
        E4M3 if bytes[0] & 0x7F == 0x7F => f64::NAN,
        E5M2 if bytes[0] & 0x7F > 0x7C => f64::NAN,
        E4M3 => fp8(bytes[0], 3, 7),
        E5M2 => fp8(bytes[0], 2, 15),
        other => panic!("format {other}"),
    }
}

/// A scalar's bytes.
pub fn encode(format: u32, value: f64) -> Vec<u8> {
    match format {
        F64 => value.to_le_bytes().to_vec(),
        F32 => (value as f32).to_le_bytes().to_vec(),
        I32 => (value as i32).to_le_bytes().to_vec(),
        F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        other => panic!("no scalar of format {other}"),
    }
}

/// `f32` rounded to the ten bits of TF32's mantissa, ties to even.
fn tf32(value: f64) -> f64 {
    let bits = (value as f32).to_bits();
    let rounded = (bits + 0xFFF + (bits >> 13 & 1)) & !0x1FFF;
    f32::from_bits(rounded).into()
}

/// `f32` rounded to what the inputs of a compute type keep of it.
pub fn input(compute: i32, value: f64) -> f64 {
    match compute {
        74 => f16::from_f32(value as f32).to_f64(),
        75 => bf16::from_f32(value as f32).to_f64(),
        77 => tf32(value),
        _ => value,
    }
}

/// The most that rounding once to nearest is off by, of a value of this size.
pub fn rounding(format: u32, value: f64) -> f64 {
    let (relative, least) = match format {
        F64 => (2f64.powi(-53), 0.0),
        F32 => (2f64.powi(-24), 2f64.powi(-150)),
        F16 => (2f64.powi(-11), 2f64.powi(-25)),
        BF16 => (2f64.powi(-8), 2f64.powi(-134)),
        E4M3 => (2f64.powi(-4), 2f64.powi(-10)),
        E5M2 => (2f64.powi(-3), 2f64.powi(-17)),
        I8 => (0.0, 0.5),
        _ => return 0.0,
    };
    (value.abs() * relative).max(least)
}

/// Elements that look random, are always the same, and are numbers of one size or so.
pub fn filled(format: u32, count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut unit = move || next() as f64 / f64::from(1u32 << 30) - 1.0;
    let sign = |value: f64| if value < 0.0 { 0x80u8 } else { 0 };
    let element = |value: f64| match format {
        F64 => value.to_le_bytes().to_vec(),
        F32 => (value as f32).to_le_bytes().to_vec(),
        F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        BF16 => bf16::from_f64(value).to_le_bytes().to_vec(),
        I32 => ((value * 1000.0) as i32).to_le_bytes().to_vec(),
        I8 => vec![(value * 128.0) as i8 as u8],
        // Exponents 0 to 3 below one, every mantissa and sign.
        E4M3 => vec![sign(value) | ((3 << 3) + (value.abs() * 31.0) as u8)],
        E5M2 => vec![sign(value) | ((11 << 2) + (value.abs() * 15.0) as u8)],
        other => panic!("format {other}"),
    };
    (0..count).flat_map(|_| element(unit())).collect()
}
