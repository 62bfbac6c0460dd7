//! The data a buffer is filled with: the same bits on every device and on the host.
//!
//! Random words come from a counter-based hash of seed and index, so any element can be computed
//! alone, in any order, by any number of threads. It uses 32-bit operations only, which every shading
//! language has. Two rounds of the `lowbias32` mixer (C. Wellons, "Prospecting for Hash Functions",
//! 2018) are far past what keeps compression and bit-toggle shortcuts away; it is no generator for
//! statistics.

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
    /// Numbers evenly spread over [-1, 1), every bit of the significand in use. Made by
    /// [`Pattern::uniform`].
    Uniform {
        /// Format of the elements: `F64` or `F32`.
        precision: Precision,
        /// Distinguishes one buffer's data from another's.
        seed: u64,
    },
    /// Whole numbers from -4 to 4. Made by [`Pattern::integers`].
    Integers {
        /// Format of the elements: `F64`, `F32` or `I32`.
        precision: Precision,
        /// Distinguishes one buffer's data from another's.
        seed: u64,
    },
}

const POISON: u32 = 0x7fc0_dead;

impl Pattern {
    /// Numbers over [-1, 1) in a floating-point format; `None` for one that has no filling yet.
    pub const fn uniform(precision: Precision, seed: u64) -> Option<Self> {
        match precision {
            Precision::F64 | Precision::F32 => Some(Self::Uniform { precision, seed }),
            _ => None,
        }
    }

    /// Whole numbers from -4 to 4; `None` for a format that has no filling yet.
    pub const fn integers(precision: Precision, seed: u64) -> Option<Self> {
        match precision {
            Precision::F64 | Precision::F32 | Precision::I32 => Some(Self::Integers { precision, seed }),
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
            Self::Uniform { seed, .. } => uniform_f32(seed, index).to_bits(),
            Self::Integers { precision: Precision::F64, seed } => {
                half_of(f64::from(small_integer(seed, index / 2)), index)
            }
            Self::Integers { precision: Precision::I32, seed } => small_integer(seed, index).cast_unsigned(),
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

#[inline(always)]
const fn small_integer(seed: u64, index: u64) -> i32 {
    (hash(seed, index) % 9).cast_signed() - 4
}

/// The low (even `index`) or high (odd) word of a binary64 number.
#[inline(always)]
const fn half_of(value: f64, index: u64) -> u32 {
    (value.to_bits() >> (32 * (index & 1))) as u32
}
