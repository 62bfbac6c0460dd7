//! One register of 32-bit lanes, in every width and way of multiplying that products are compiled for.
//!
//! A lane of a sum is a binary32 number. A lane of an operand holds [`Lanes::DEPTH`] neighbours along k: one number
//! widened to binary32, or two of bfloat16 as they are. Everything here is inlined into functions compiled for the
//! right instruction set; called from elsewhere it would be slow, and on an older processor illegal.

use crate::device::cpu::format::Format;

/// A register.
pub(super) trait Lanes: Copy {
    /// Lanes in it, at most [`LANES_MOST`].
    const COUNT: usize;
    /// k's in a lane of an operand: 1 or 2.
    const DEPTH: usize;

    /// The same lane everywhere.
    ///
    /// # Safety
    /// As for every function here: the processor must have the instructions; pointers must be good for what is read
    /// or written.
    unsafe fn splat(lane: u32) -> Self;

    /// Loads [`Self::COUNT`] lanes.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn load(from: *const u32) -> Self;

    /// Stores them.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn store(self, to: *mut u32);

    /// Sums of binary32 numbers.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `self` plus the products of the lanes of two operands, in binary32.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn multiply_add(self, one: Self, other: Self) -> Self;

    /// An operand's lanes for [`Self::COUNT`] columns side by side: of one row or, where a lane holds two k's, of the
    /// row that lies `next` numbers further on too.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn across<F: Format>(from: *const u16, next: usize) -> Self;

    /// An operand's lanes for `COUNT * DEPTH` k's in a row.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn along<F: Format>(from: *const u16) -> Self;

    /// Asks for the line at an address, which need not be mapped, into the second cache.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    #[inline(always)]
    unsafe fn prefetch(_from: *const u16) {}

    /// The lane of one k, or of two.
    #[inline(always)]
    fn lane<F: Format>(first: u16, second: u16) -> u32 {
        if Self::DEPTH == 1 { F::widen(first).to_bits() } else { u32::from(first) | u32::from(second) << 16 }
    }

    /// The sum of all lanes, numbers of binary32.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = [0_u32; LANES_MOST];
        // SAFETY: no register holds more.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut width = Self::COUNT;
        while width > 1 {
            width /= 2;
            for at in 0..width {
                lanes[at] = (f32::from_bits(lanes[at]) + f32::from_bits(lanes[at + width])).to_bits();
            }
        }
        f32::from_bits(lanes[0])
    }
}

/// Lanes of the widest register.
pub(super) const LANES_MOST: usize = 16;

/// Eight lanes in portable code.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 8]);

impl Lanes for Portable {
    const COUNT: usize = 8;
    const DEPTH: usize = 1;

    #[inline(always)]
    unsafe fn splat(lane: u32) -> Self {
        Self([f32::from_bits(lane); 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: good for eight lanes, by contract.
        Self(unsafe { from.cast::<[f32; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        // SAFETY: good for eight lanes, by contract.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    // Not `f32::mul_add`: where the target has no such instruction that is a library call.
    #[inline(always)]
    unsafe fn multiply_add(self, one: Self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + one.0[lane] * other.0[lane]))
    }

    #[inline(always)]
    unsafe fn across<F: Format>(from: *const u16, _next: usize) -> Self {
        // SAFETY: passed on.
        unsafe { Self::along::<F>(from) }
    }

    #[inline(always)]
    unsafe fn along<F: Format>(from: *const u16) -> Self {
        // SAFETY: good for eight numbers, by contract.
        let numbers = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        Self(std::array::from_fn(|lane| F::widen(numbers[lane])))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Pairs, Ymm, Zmm};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Format, Lanes};
    use crate::record::Precision;

    /// Eight lanes in an AVX2 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Ymm(__m256);

    /// Sixteen lanes in an AVX-512 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Zmm(__m512);

    /// Sixteen lanes, each of an operand's a pair of bfloat16 numbers.
    ///
    /// The instruction adds both products to the sum, rounding after each, and takes numbers below the normal range
    /// for zero, in operands and sums: 2^-126, far below what any tolerance here sees.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Pairs(__m512);

    impl Lanes for Ymm {
        const COUNT: usize = 8;
        const DEPTH: usize = 1;

        #[inline(always)]
        unsafe fn splat(lane: u32) -> Self {
            // SAFETY: AVX2 is there, by contract.
            Self(unsafe { _mm256_set1_ps(f32::from_bits(lane)) })
        }

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: AVX2 is there and the address good, by contract.
            Self(unsafe { _mm256_loadu_ps(from.cast()) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u32) {
            // SAFETY: AVX2 is there and the address good, by contract.
            unsafe { _mm256_storeu_ps(to.cast(), self.0) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX2 is there, by contract.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply_add(self, one: Self, other: Self) -> Self {
            // SAFETY: AVX2 and FMA are there, by contract.
            Self(unsafe { _mm256_fmadd_ps(one.0, other.0, self.0) })
        }

        #[inline(always)]
        unsafe fn across<F: Format>(from: *const u16, _next: usize) -> Self {
            // SAFETY: passed on.
            unsafe { Self::along::<F>(from) }
        }

        #[inline(always)]
        unsafe fn along<F: Format>(from: *const u16) -> Self {
            // SAFETY: AVX2 and F16C are there and the address good for eight numbers, by contract.
            unsafe {
                let numbers = _mm_loadu_si128(from.cast());
                Self(match F::PRECISION {
                    Precision::F16 => _mm256_cvtph_ps(numbers),
                    _ => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(numbers))),
                })
            }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const u16) {
            // SAFETY: a hint, good for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
        }
    }

    impl Lanes for Zmm {
        const COUNT: usize = 16;
        const DEPTH: usize = 1;

        #[inline(always)]
        unsafe fn splat(lane: u32) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_set1_ps(f32::from_bits(lane)) })
        }

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: AVX-512 is there and the address good, by contract.
            Self(unsafe { _mm512_loadu_ps(from.cast()) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u32) {
            // SAFETY: AVX-512 is there and the address good, by contract.
            unsafe { _mm512_storeu_ps(to.cast(), self.0) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply_add(self, one: Self, other: Self) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_fmadd_ps(one.0, other.0, self.0) })
        }

        #[inline(always)]
        unsafe fn across<F: Format>(from: *const u16, _next: usize) -> Self {
            // SAFETY: passed on.
            unsafe { Self::along::<F>(from) }
        }

        #[inline(always)]
        unsafe fn along<F: Format>(from: *const u16) -> Self {
            // SAFETY: AVX-512 is there and the address good for sixteen numbers, by contract.
            unsafe {
                let numbers = _mm256_loadu_si256(from.cast());
                Self(match F::PRECISION {
                    Precision::F16 => _mm512_cvtph_ps(numbers),
                    _ => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(numbers))),
                })
            }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const u16) {
            // SAFETY: a hint, good for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
        }
    }

    impl Pairs {
        /// The same bits as the type that the instruction takes.
        #[inline(always)]
        unsafe fn bits(self) -> __m512bh {
            // SAFETY: both are 512 bits without structure.
            unsafe { std::mem::transmute::<__m512, __m512bh>(self.0) }
        }
    }

    impl Lanes for Pairs {
        const COUNT: usize = 16;
        const DEPTH: usize = 2;

        #[inline(always)]
        unsafe fn splat(lane: u32) -> Self {
            // SAFETY: AVX-512 is there, by contract. Through integers, which keep every bit.
            Self(unsafe { _mm512_castsi512_ps(_mm512_set1_epi32(lane.cast_signed())) })
        }

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: AVX-512 is there and the address good, by contract.
            Self(unsafe { _mm512_loadu_ps(from.cast()) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u32) {
            // SAFETY: AVX-512 is there and the address good, by contract.
            unsafe { _mm512_storeu_ps(to.cast(), self.0) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply_add(self, one: Self, other: Self) -> Self {
            // SAFETY: the bfloat16 extension is there, by contract.
            Self(unsafe { _mm512_dpbf16_ps(self.0, one.bits(), other.bits()) })
        }

        #[inline(always)]
        unsafe fn across<F: Format>(from: *const u16, next: usize) -> Self {
            // SAFETY: AVX-512 is there and both addresses good for sixteen numbers, by contract.
            unsafe {
                let [first, second] =
                    [from, from.add(next)].map(|row| _mm512_cvtepu16_epi32(_mm256_loadu_si256(row.cast())));
                Self(_mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32::<16>(second))))
            }
        }

        #[inline(always)]
        unsafe fn along<F: Format>(from: *const u16) -> Self {
            // SAFETY: AVX-512 is there and the address good for 32 numbers, by contract.
            Self(unsafe { _mm512_castsi512_ps(_mm512_loadu_si512(from.cast())) })
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const u16) {
            // SAFETY: a hint, good for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
        }
    }
}
