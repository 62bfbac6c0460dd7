//! The data a buffer is filled with: the same bits on every device and on the host.
//!
//! Random words come from a counter-based hash of seed and index, so any element can be computed
//! alone, in any order, by any number of threads. It uses 32-bit operations only, which every shading
//! language has. Two rounds of the `lowbias32` mixer (C. Wellons, "Prospecting for Hash Functions",
//! 2018) are far past what keeps compression and bit-toggle shortcuts away; it is no generator for
//! statistics.
//!
//! Two 16-bit numbers share a word, the one with the even index in its low half, and the word's hash: each is made
//! of the half of the hash that it stands in. A buffer of an odd number of them ends in a whole word. Likewise four 8-bit
//! numbers share a word, each made of its byte of the hash.

use half::f16;

use crate::record::Precision;

/// What a buffer is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every byte zero.
    Zeros,
    /// Every 32-bit word `0x7fc0dead`: a NaN as binary32 and in the upper half of a binary64, so that
    /// an output that was not written cannot pass a check.
    Poison,
    /// Hashed 32-bit words.
    Words {
        /// Distinguishes one buffer's data from another's.
        seed: u64,
    },
    /// Numbers evenly spread over [-1, 1), every bit of the significand in use: multiples of 2^-52 (`F64`),
    /// 2^-23 (`F32`), 2^-10 (`F16`), 2^-7 (`Bf16`) or 2^-4 (`Fp8E4m3`). Made by [`Pattern::uniform`].
    Uniform {
        /// Format of the elements: `F64`, `F32`, `F16`, `Bf16` or `Fp8E4m3`.
        precision: Precision,
        /// Distinguishes one buffer's data from another's.
        seed: u64,
    },
    /// Whole numbers from -4 to 4. Made by [`Pattern::integers`].
    Integers {
        /// Format of the elements: `F64`, `F32`, `F16`, `Bf16`, `Fp8E4m3` or `I32`.
        precision: Precision,
        /// Distinguishes one buffer's data from another's.
        seed: u64,
    },
}

const POISON: u32 = 0x7fc0_dead;

impl Pattern {
    /// Numbers over [-1, 1) in a floating-point format, and any number of 8 bits for `I8`; `None` for a format that has no
    /// filling yet.
    pub const fn uniform(precision: Precision, seed: u64) -> Option<Self> {
        match precision {
            Precision::F64 | Precision::F32 | Precision::F16 | Precision::Bf16 | Precision::Fp8E4m3 => {
                Some(Self::Uniform { precision, seed })
            }
            // Stored as binary32; what units of 19 bits make of the rest is theirs.
            Precision::Tf32 => Some(Self::Uniform { precision: Precision::F32, seed }),
            // Any byte is a number.
            Precision::I8 => Some(Self::Words { seed }),
            _ => None,
        }
    }

    /// Whole numbers from -4 to 4; `None` for a format that has no filling yet.
    pub const fn integers(precision: Precision, seed: u64) -> Option<Self> {
        match precision {
            Precision::F64
            | Precision::F32
            | Precision::F16
            | Precision::Bf16
            | Precision::Fp8E4m3
            | Precision::I32 => Some(Self::Integers { precision, seed }),
            _ => None,
        }
    }

    /// The `index`-th 32-bit word of a buffer filled with this pattern (little-endian).
    #[inline(always)]
    pub fn word(self, index: u64) -> u32 {
        match self {
            Self::Zeros => 0,
            Self::Poison => POISON,
            Self::Words { seed } => hash(seed, index),
            Self::Uniform { precision: Precision::F64, seed } => half_of(uniform_f64(seed, index / 2), index),
            Self::Uniform { precision: Precision::F16, seed } => uniform_f16s(hash(seed, index)),
            Self::Uniform { precision: Precision::Bf16, seed } => uniform_bf16s(hash(seed, index)),
            Self::Uniform { precision: Precision::Fp8E4m3, seed } => {
                quad(hash(seed, index), |byte| e4m3_bits((byte >> 3).cast_signed() - (1 << 4), 1.0 / 16.0))
            }
            Self::Uniform { seed, .. } => uniform_f32(seed, index).to_bits(),
            Self::Integers { precision: Precision::F64, seed } => {
                half_of(f64::from(small_integer(seed, index / 2)), index)
            }
            Self::Integers { precision: Precision::I32, seed } => small_integer(seed, index).cast_unsigned(),
            Self::Integers { precision: Precision::F16, seed } => {
                pair(hash(seed, index), |half| f16_bits((half % 9).cast_signed() - 4, 1.0))
            }
            Self::Integers { precision: Precision::Bf16, seed } => {
                pair(hash(seed, index), |half| bf16_bits((half % 9).cast_signed() - 4, 1.0))
            }
            Self::Integers { precision: Precision::Fp8E4m3, seed } => {
                quad(hash(seed, index), |byte| e4m3_bits((byte % 9).cast_signed() - 4, 1.0))
            }
            Self::Integers { seed, .. } => (small_integer(seed, index) as f32).to_bits(),
        }
    }

    /// Words `start`, `start + 1`, … into a slice. The match is outside the loop, so that each loop
    /// vectorises; backends call it from functions compiled for wider instruction sets.
    #[inline(always)]
    pub fn words_into(self, start: u64, into: &mut [u32]) {
        #[inline(always)]
        fn each(start: u64, into: &mut [u32], word: impl Fn(u64) -> u32) {
            for (index, slot) in (start..).zip(into) {
                *slot = word(index);
            }
        }
        match self {
            Self::Zeros => into.fill(0),
            Self::Poison => into.fill(POISON),
            Self::Words { seed } => each(start, into, |index| hash(seed, index)),
            Self::Uniform { precision: Precision::F32, seed } => {
                each(start, into, |index| uniform_f32(seed, index).to_bits());
            }
            Self::Uniform { precision: Precision::F16, seed } => {
                each(start, into, |index| uniform_f16s(hash(seed, index)));
            }
            Self::Uniform { precision: Precision::Bf16, seed } => {
                each(start, into, |index| uniform_bf16s(hash(seed, index)));
            }
            _ => each(start, into, |index| self.word(index)),
        }
    }

    /// The `index`-th element as a binary32 number, of a buffer that holds those.
    #[inline(always)]
    pub fn f32_at(self, index: u64) -> f32 {
        f32::from_bits(self.word(index))
    }

    /// The `index`-th element as a binary64 number, of a buffer that holds those.
    #[inline(always)]
    pub fn f64_at(self, index: u64) -> f64 {
        let low = u64::from(self.word(2 * index));
        let high = u64::from(self.word(2 * index + 1));
        f64::from_bits(high << 32 | low)
    }

    /// The `index`-th element as binary64, of a buffer that holds numbers of a format: `F64`, `F32` (`Tf32` is stored as
    /// that), `F16`, `Bf16`, `Fp8E4m3` or `I8`. Exact; NaN for other formats, whose elements are no such numbers.
    #[inline(always)]
    pub fn number_at(self, precision: Precision, index: u64) -> f64 {
        let half = || (self.word(index / 2) >> (16 * (index & 1))) as u16;
        match precision {
            Precision::F64 => self.f64_at(index),
            Precision::F32 | Precision::Tf32 => f64::from(self.f32_at(index)),
            Precision::I8 => f64::from((self.word(index / 4) >> (8 * (index & 3))) as i8),
            Precision::F16 => f16::from_bits(half()).to_f64(),
            Precision::Bf16 => f64::from(f32::from_bits(u32::from(half()) << 16)),
            Precision::Fp8E4m3 => e4m3_number((self.word(index / 4) >> (8 * (index & 3))) as u8),
            _ => f64::NAN,
        }
    }

    /// The `index`-th element as a 32-bit integer.
    #[inline(always)]
    pub fn i32_at(self, index: u64) -> i32 {
        self.word(index).cast_signed()
    }
}

#[inline(always)]
const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The hash behind every random pattern: both halves of seed and index take part.
#[inline(always)]
const fn hash(seed: u64, index: u64) -> u32 {
    let first = mix((index as u32) ^ (seed as u32));
    let high = ((index >> 32) as u32).wrapping_mul(0x9e37_79b9).wrapping_add((seed >> 32) as u32);
    mix(first.wrapping_add(high).wrapping_add(0x6a09_e667))
}

/// 24 hashed bits as a signed fraction: exact, whatever the rounding mode.
#[inline(always)]
fn uniform_f32(seed: u64, index: u64) -> f32 {
    ((hash(seed, index) >> 8).cast_signed() - (1 << 23)) as f32 * (1.0 / (1 << 23) as f32)
}

/// 53 hashed bits as a signed fraction.
#[inline(always)]
fn uniform_f64(seed: u64, index: u64) -> f64 {
    let bits = u64::from(hash(seed, 2 * index)) << 32 | u64::from(hash(seed, 2 * index + 1));
    ((bits >> 11).cast_signed() - (1 << 52)) as f64 * (1.0 / (1_i64 << 52) as f64)
}

/// A word of two 16-bit numbers, each made of the same half of a hash.
#[inline(always)]
fn pair(hash: u32, bits_of: impl Fn(u32) -> u32) -> u32 {
    bits_of(hash & 0xffff) | bits_of(hash >> 16) << 16
}

/// A word of four 8-bit numbers, each made of the same byte of a hash.
#[inline(always)]
fn quad(hash: u32, bits_of: impl Fn(u32) -> u32) -> u32 {
    (0..4).fold(0, |word, byte| word | bits_of(hash >> (8 * byte) & 0xff) << (8 * byte))
}

/// The bits of `integer * unit` in E4M3, where that is a normal number of it or zero: those of binary32 with 20 zeros
/// cut off the significand and 120 taken off the exponent.
#[inline(always)]
fn e4m3_bits(integer: i32, unit: f32) -> u32 {
    let bits = (integer as f32 * unit).to_bits();
    let magnitude = ((bits & 0x7fff_ffff) >> 20).wrapping_sub(120 << 3);
    if integer == 0 { 0 } else { bits >> 31 << 7 | magnitude }
}

/// What the bits of an E4M3 number are worth (OCP 8-bit Floating Point Specification, 2023, table 1): no infinities, and
/// one NaN for each sign.
fn e4m3_number(bits: u8) -> f64 {
    let (exponent, significand) = (i32::from(bits >> 3 & 15), f64::from(bits & 7));
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f64::NAN,
        (0, _) => significand * 2.0_f64.powi(-9),
        _ => (8.0 + significand) * 2.0_f64.powi(exponent - 10),
    };
    if bits >> 7 == 0 { magnitude } else { -magnitude }
}

/// 11 bits of each half of a hash as signed fractions in binary16.
#[inline(always)]
fn uniform_f16s(hash: u32) -> u32 {
    pair(hash, |half| f16_bits((half >> 5).cast_signed() - (1 << 10), 1.0 / 1024.0))
}

/// 8 bits of each half of a hash as signed fractions in bfloat16.
#[inline(always)]
fn uniform_bf16s(hash: u32) -> u32 {
    pair(hash, |half| bf16_bits((half >> 8).cast_signed() - (1 << 7), 1.0 / 128.0))
}

/// The bits of `integer * unit` in binary16, where that is a normal number of it or zero: those of binary32 with
/// 13 zeros cut off the significand and 112 taken off the exponent.
#[inline(always)]
fn f16_bits(integer: i32, unit: f32) -> u32 {
    let bits = (integer as f32 * unit).to_bits();
    let magnitude = ((bits & 0x7fff_ffff) >> 13).wrapping_sub(112 << 10);
    if integer == 0 { 0 } else { bits >> 31 << 15 | magnitude }
}

/// The bits of `integer * unit` in bfloat16, where that is a number of it: the upper half of binary32.
#[inline(always)]
fn bf16_bits(integer: i32, unit: f32) -> u32 {
    (integer as f32 * unit).to_bits() >> 16
}

#[inline(always)]
const fn small_integer(seed: u64, index: u64) -> i32 {
    (hash(seed, index) % 9).cast_signed() - 4
}

/// The low (even `index`) or high (odd) word of a binary64 number.
#[inline(always)]
const fn half_of(value: f64, index: u64) -> u32 {
    (value.to_bits() >> (32 * (index & 1))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: [Precision; 2] = [Precision::F16, Precision::Bf16];

    #[test]
    fn numbers_of_16_bits_are_known_for_a_known_hash() {
        // Halves of a hash and what they are: the least, one below zero, zero, one above, the largest.
        let f16s = [(0x0000, 0xbc00), (0x7fff, 0x9400), (0x8000, 0x0000), (0x8020, 0x1400), (0xffff, 0x3bfe)];
        for (half, bits) in f16s {
            assert_eq!(uniform_f16s(half | half << 16), bits | bits << 16, "{half:#x}");
        }
        let bf16s = [(0x0000, 0xbf80), (0x7fff, 0xbc00), (0x8000, 0x0000), (0x8100, 0x3c00), (0xffff, 0x3f7e)];
        for (half, bits) in bf16s {
            assert_eq!(uniform_bf16s(half | half << 16), bits | bits << 16, "{half:#x}");
        }
        assert_eq!(uniform_f16s(0xffff_0000), 0x3bfe_bc00, "the upper half of the hash is the odd element");
    }

    #[test]
    fn every_hash_gives_a_multiple_of_the_step_and_all_multiples_are_given() {
        for (precision, steps, words) in [
            (Precision::F16, 1024.0, uniform_f16s as fn(u32) -> u32),
            (Precision::Bf16, 128.0, uniform_bf16s as fn(u32) -> u32),
        ] {
            let mut seen = std::collections::BTreeSet::new();
            for half in 0..=0xffff_u32 {
                let bits = words(half) as u16;
                let value = match precision {
                    Precision::F16 => f16::from_bits(bits).to_f64(),
                    _ => half::bf16::from_bits(bits).to_f64(),
                };
                let scaled = value * steps;
                assert!(scaled == scaled.trunc() && (-steps..steps).contains(&scaled), "{precision}: {half:#x}");
                seen.insert(scaled as i64);
            }
            assert_eq!(seen.len() as f64, 2.0 * steps);
        }
    }

    #[test]
    fn elements_are_the_halves_of_their_words() {
        for precision in NARROW {
            let patterns = [Pattern::uniform(precision, 9), Pattern::integers(precision, 9)];
            for pattern in patterns.into_iter().flatten().chain([Pattern::Zeros]) {
                for index in 0..1000 {
                    let bytes = pattern.word(index / 2).to_le_bytes();
                    let at = 2 * (index % 2) as usize;
                    let bits = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
                    let expected = match precision {
                        Precision::F16 => f16::from_bits(bits).to_f64(),
                        _ => half::bf16::from_bits(bits).to_f64(),
                    };
                    assert_eq!(pattern.number_at(precision, index), expected);
                }
            }
            assert!(Pattern::Poison.number_at(precision, 1).is_nan(), "poison is NaN in a word's upper half");
        }
    }

    #[test]
    fn integers_of_16_bits_are_minus_4_to_4_and_all_of_them() {
        for precision in NARROW {
            let pattern = Pattern::integers(precision, 3).unwrap();
            let seen: std::collections::BTreeSet<i64> =
                (0..500).map(|index| pattern.number_at(precision, index) as i64).collect();
            assert!(seen.into_iter().eq(-4..=4), "{precision}");
            assert!((0..500).all(|index| pattern.number_at(precision, index).fract() == 0.0));
        }
    }

    #[test]
    fn numbers_of_8_bits_are_known_and_in_range() {
        // One, the least normal and subnormal number, the largest, minus one, and no number.
        for (bits, value) in [(0x38, 1.0), (0x08, 0.015625), (0x01, 0.001953125), (0x7e, 448.0), (0xb8, -1.0)] {
            assert_eq!(e4m3_number(bits), value, "{bits:#x}");
        }
        assert!(e4m3_number(0x7f).is_nan() && e4m3_number(0xff).is_nan());
        let [uniform, integers] = [Pattern::uniform, Pattern::integers].map(|of| of(Precision::Fp8E4m3, 9).unwrap());
        let seen = |pattern: Pattern, scale: f64| -> std::collections::BTreeSet<i64> {
            let number = |index| pattern.number_at(Precision::Fp8E4m3, index) * scale;
            assert!((0..4000).all(|index| number(index).fract() == 0.0));
            (0..4000).map(|index| number(index) as i64).collect()
        };
        assert!(seen(uniform, 16.0).into_iter().eq(-16..16));
        assert!(seen(integers, 1.0).into_iter().eq(-4..=4));
        assert_eq!(quad(0x0403_0201, |byte| byte + 1), 0x0504_0302);
    }

    #[test]
    fn wider_numbers_are_what_their_accessors_give() {
        for index in 0..100 {
            let [f64s, f32s] = [Precision::F64, Precision::F32].map(|form| Pattern::uniform(form, 5).unwrap());
            assert_eq!(f64s.number_at(Precision::F64, index), f64s.f64_at(index));
            assert_eq!(f32s.number_at(Precision::F32, index), f64::from(f32s.f32_at(index)));
        }
    }
}
