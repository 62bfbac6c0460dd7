//! Fused multiply-adds of a whole warp, compiled for the host's vector units too: kernels that measure arithmetic do
//! little else. Each gives the same bits as the plain form beside it.

use crate::exec::Lanes;

/// Defines a function of three warps' worth of values that runs with AVX2 and FMA where the host has them. The body
/// stands in both forms as text, so that its closures are compiled with the features of the one they are in.
macro_rules! for_host {
    ($(#[$doc:meta])* $name:ident, |$a:ident, $b:ident, $c:ident| $body:expr) => {
        $(#[$doc])*
        pub fn $name($a: &Lanes, $b: &Lanes, $c: &Lanes) -> Lanes {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn vector($a: &Lanes, $b: &Lanes, $c: &Lanes) -> Lanes {
                    $body
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the host has the features.
                    return unsafe { vector($a, $b, $c) };
                }
            }
            $body
        }
    };
}

/// Both halves of packed words: one step for all lanes after the other, each simple enough for vector instructions.
macro_rules! packed {
    ($a:ident, $b:ident, $c:ident, $value:ident, $bits:ident) => {{
        let part = |shift: u32| -> Lanes {
            let value =
                |from: &Lanes| -> [f64; 32] { std::array::from_fn(|lane| $value(from[lane] >> shift & 0xFFFF)) };
            let (a, b, c) = (value($a), value($b), value($c));
            let sums: [f64; 32] = std::array::from_fn(|lane| add_odd(a[lane] * b[lane], c[lane]));
            std::array::from_fn(|lane| $bits(sums[lane]))
        };
        let (low, high) = (part(0), part(16));
        std::array::from_fn(|lane| low[lane] | high[lane] << 16)
    }};
}

#[inline(always)]
fn single(a: u64, b: u64, c: u64) -> u64 {
    let result = f32::from_bits(a as u32).mul_add(f32::from_bits(b as u32), f32::from_bits(c as u32));
    u64::from(if result.is_nan() { 0x7FFF_FFFF } else { result.to_bits() })
}

#[inline(always)]
fn double(a: u64, b: u64, c: u64) -> u64 {
    f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits()
}

/// The value of a half, without branches: its fields moved into place, the exponent's bias corrected by a product.
#[inline(always)]
fn half(bits: u64) -> f64 {
    let magnitude = (bits as u32 & 0x7FFF) << 13;
    let value = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let value = if magnitude >= 0x7C00 << 13 { f32::from_bits(magnitude | 0x7F80_0000) } else { value };
    f64::from(f32::from_bits(value.to_bits() | (bits as u32 & 0x8000) << 16))
}

/// The half nearest to a value, without branches: rounded by adding and taking away a number whose last place is the
/// result's.
#[inline(always)]
fn to_half(value: f64) -> u64 {
    let magnitude = value.abs();
    let exponent = (magnitude.to_bits() >> 52).clamp(1023 - 14, 1023 + 16);
    let magic = f64::from_bits((exponent + 42) << 52);
    let rounded = (magnitude + magic) - magic;
    let bits = (rounded as f32 * f32::from_bits(0x0780_0000)).to_bits() >> 13;
    let bits = if rounded >= 65536.0 { 0x7C00 } else { bits };
    let sign = (value.to_bits() >> 48) as u32 & 0x8000;
    u64::from(if value.is_nan() { 0x7FFF } else { bits | sign })
}

/// As `number::add_odd`, without branches.
#[inline(always)]
fn add_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let from_b = sum - a;
    let error = (a - (sum - from_b)) + (b - from_b);
    let bits = sum.to_bits();
    let step = if (error > 0.0) == (sum > 0.0) { 1 } else { u64::MAX };
    let inexact = (error > 0.0) | (error < 0.0);
    f64::from_bits(if inexact & (bits & 1 == 0) { bits.wrapping_add(step) } else { bits })
}

#[inline(always)]
fn brain(bits: u64) -> f64 {
    f64::from(f32::from_bits((bits as u32) << 16))
}

/// The bfloat nearest to a value. A value rounded to odd in `f64` is rounded to odd again in `f32`, then to nearest.
#[inline(always)]
fn to_brain(value: f64) -> u64 {
    let near = value as f32;
    let exact = f64::from(near);
    let bits = near.to_bits();
    // One step back where the rounding went outwards, and the last bit tells that something was cut off.
    let outwards = exact.abs() > value.abs();
    let cut = if outwards { bits.wrapping_sub(1) } else { bits };
    let odd = cut | u32::from(exact != value && exact.is_finite() | outwards);
    let rounded = odd.wrapping_add(0x7FFF).wrapping_add(odd >> 16 & 1) >> 16;
    let rounded = if value.is_infinite() { bits >> 16 } else { rounded };
    u64::from(if value.is_nan() { 0x7FFF } else { rounded })
}

for_host! {
    /// `fma.rn.f32`.
    fma_f32, |a, b, c| std::array::from_fn(|lane| single(a[lane], b[lane], c[lane]))
}
for_host! {
    /// `fma.rn.f64`.
    fma_f64, |a, b, c| std::array::from_fn(|lane| double(a[lane], b[lane], c[lane]))
}
for_host! {
    /// `fma.rn.f16x2`.
    fma_f16x2, |a, b, c| packed!(a, b, c, half, to_half)
}
for_host! {
    /// `fma.rn.bf16x2`.
    fma_bf16x2, |a, b, c| packed!(a, b, c, brain, to_brain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{BF16, F16, Rounding};

    #[test]
    fn the_quick_forms_give_the_bits_of_the_plain_ones() {
        for bits in 0..=0xFFFFu32 {
            let (quick, plain) = (half(bits.into()), F16.decode(bits));
            assert!(
                quick == plain && quick.is_sign_negative() == plain.is_sign_negative()
                    || quick.is_nan() && plain.is_nan()
            );
            assert!(brain(bits.into()) == BF16.decode(bits) || BF16.decode(bits).is_nan());
        }
        for (a, b) in [(1.0, 2f64.powi(-80)), (-1.0, 2f64.powi(-80)), (1.5, 2.25), (f64::INFINITY, 1.0), (0.0, -0.0)] {
            assert_eq!(add_odd(a, b).to_bits(), crate::number::add_odd(a, b).to_bits(), "{a} {b}");
        }
        let mut state = 1u64;
        for round in 0..400_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Values near the formats' own, in the middle between two of them, and anywhere.
            let value = match round % 4 {
                0 => f64::from_bits(state),
                1 => F16.decode(state as u32 >> 8 & 0xFFFF) * (1.0 + ((state >> 40 & 7) as f64 - 3.5) * 2f64.powi(-13)),
                2 => {
                    BF16.decode(state as u32 >> 8 & 0xFFFF) * (1.0 + ((state >> 40 & 15) as f64 - 7.5) * 2f64.powi(-10))
                }
                _ => (state >> 11) as f64 * 2f64.powi(-53 + (state % 40) as i32 - 26),
            };
            let nearest = |format: crate::number::Format| u64::from(format.encode(value, Rounding::NearestEven, false));
            assert_eq!(to_half(value), nearest(F16), "{value:e}");
            assert_eq!(to_brain(value), nearest(BF16), "{value:e}");
        }
        for value in [
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            65520.0,
            65519.9,
            f64::from(f32::MAX),
            3.4e38,
            1e300,
        ] {
            assert_eq!(to_half(value), u64::from(F16.encode(value, Rounding::NearestEven, false)), "{value}");
            assert_eq!(to_brain(value), u64::from(BF16.encode(value, Rounding::NearestEven, false)), "{value}");
        }
    }
}
