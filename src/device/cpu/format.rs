//! The 16-bit formats, to and from binary32, in code without branches that compiles to whole registers.

use crate::record::Precision;

/// A 16-bit number format whose numbers are all numbers of binary32.
pub(super) trait Format: Copy {
    /// Its name.
    const PRECISION: Precision;

    /// The number with these bits.
    fn widen(bits: u16) -> f32;

    /// The nearest number's bits, ties to even.
    fn narrow(number: f32) -> u16;
}

/// IEEE 754 binary16.
#[derive(Clone, Copy)]
pub(super) struct F16;

/// bfloat16: the upper half of binary32.
#[derive(Clone, Copy)]
pub(super) struct Bf16;

/// Sign of binary32.
const SIGN: u32 = 1 << 31;
/// Infinity in binary32.
const INFINITE: u32 = 0x7f80_0000;

impl Format for F16 {
    const PRECISION: Precision = Precision::F16;

    #[inline(always)]
    fn widen(bits: u16) -> f32 {
        let (sign, magnitude) = (u32::from(bits >> 15) << 31, u32::from(bits & 0x7fff));
        // The fraction where binary32 has its own, the exponent made up for by 2^112: exact for small numbers too.
        let finite = (f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23)).to_bits();
        let bits = if magnitude < 0x7c00 { finite } else { magnitude << 13 | INFINITE };
        f32::from_bits(sign | bits)
    }

    #[inline(always)]
    fn narrow(number: f32) -> u16 {
        let bits = number.to_bits();
        let (sign, magnitude) = ((bits >> 31) << 15, bits & !SIGN);
        // Half a step, less the least bit where the last bit kept is even.
        let normal = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13).wrapping_sub(112 << 10);
        // Beside 0.5 binary32 has the steps that binary16 has beside 0: the addition rounds.
        let small = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
        let finite = if magnitude < (127 - 14) << 23 { small } else { normal.min(0x7c00) };
        let rounded = if magnitude > INFINITE { 0x7e00 } else { finite };
        (sign | rounded) as u16
    }
}

impl Format for Bf16 {
    const PRECISION: Precision = Precision::Bf16;

    #[inline(always)]
    fn widen(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    #[inline(always)]
    fn narrow(number: f32) -> u16 {
        let bits = number.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        let nan = bits >> 16 | 0x40;
        (if bits & !SIGN > INFINITE { nan } else { rounded }) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Pattern;

    #[test]
    fn every_number_of_16_bits_is_widened_as_the_standard_says_and_comes_back() {
        for bits in 0..=u16::MAX {
            let (f16, bf16) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            if f16.is_nan() {
                assert!(F16::widen(bits).is_nan() && half::f16::from_bits(F16::narrow(F16::widen(bits))).is_nan());
            } else {
                assert_eq!(F16::widen(bits).to_bits(), f16.to_f32().to_bits(), "{bits:#x}");
                assert_eq!(F16::narrow(F16::widen(bits)), bits);
            }
            if bf16.is_nan() {
                assert!(Bf16::widen(bits).is_nan() && half::bf16::from_bits(Bf16::narrow(Bf16::widen(bits))).is_nan());
            } else {
                assert_eq!(Bf16::widen(bits).to_bits(), bf16.to_f32().to_bits(), "{bits:#x}");
                assert_eq!(Bf16::narrow(Bf16::widen(bits)), bits);
            }
        }
    }

    #[test]
    fn numbers_of_32_bits_go_to_the_nearest_ties_to_even() {
        // Hashed bits, and about every border between two numbers of 16 bits.
        let hashed = (0..200_000).map(|index| Pattern::Words { seed: 4 }.word(index));
        let borders = (0..=u32::from(u16::MAX)).flat_map(|upper| {
            [0x7fff, 0x8000, 0x8001, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000].map(|lower| upper << 16 | lower)
        });
        for bits in hashed.chain(borders) {
            let number = f32::from_bits(bits);
            let [f16, bf16] = [half::f16::from_f32(number).to_bits(), half::bf16::from_f32(number).to_bits()];
            if number.is_nan() {
                assert!(half::f16::from_bits(F16::narrow(number)).is_nan(), "{bits:#x}");
                assert!(half::bf16::from_bits(Bf16::narrow(number)).is_nan(), "{bits:#x}");
            } else {
                assert_eq!((F16::narrow(number), Bf16::narrow(number)), (f16, bf16), "{bits:#x}");
            }
        }
    }
}
