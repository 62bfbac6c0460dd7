//! One register of 32-bit words or numbers, in every width the kernels are compiled for.
//!
//! Everything here is inlined into functions compiled for the right instruction set (`compiled_for!`);
//! called from elsewhere it would be slow, and on an older processor illegal.

use std::hint::black_box;

/// A register of 32-bit words, also read as binary32 numbers.
pub(super) trait Words: Copy {
    /// Words in a register.
    const COUNT: usize;

    /// The same word everywhere.
    ///
    /// # Safety
    /// As for every function here: the processor must have the instructions; pointers must be good for
    /// [`Self::COUNT`] words.
    unsafe fn splat(word: u32) -> Self;

    /// `first`, `first + 1`, …
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn counting(first: u32) -> Self;

    /// Loads from any word-aligned address.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn load(from: *const u32) -> Self;

    /// Stores; past the caches if `NT`, which needs an address aligned to the register.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn store<const NT: bool>(self, to: *mut u32);

    /// Wrapping addition.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `self + factor * other` in binary32.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn add_scaled(self, factor: Self, other: Self) -> Self;

    /// Wrapping sum of all words.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn sum(self) -> u32 {
        let mut words = [0_u32; 16];
        // SAFETY: no register holds more than sixteen words.
        unsafe { self.store::<false>(words.as_mut_ptr()) };
        words[..Self::COUNT].iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }

    /// Asks for the line at an address, which need not be mapped; it will be read once.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn prefetch(_from: *const u32) {}

    /// Makes non-temporal stores visible to others.
    ///
    /// # Safety
    /// See [`Words::splat`].
    unsafe fn fence() {}
}

/// A register of numbers for chains of multiply-adds.
pub(super) trait Numbers: Copy {
    /// One number.
    type Element: Copy;
    /// Numbers in a register.
    const COUNT: usize;

    /// The same number everywhere.
    ///
    /// # Safety
    /// As for every function here: the processor must have the instructions; pointers must be good for
    /// [`Self::COUNT`] numbers.
    unsafe fn splat(number: Self::Element) -> Self;

    /// Loads from any aligned address.
    ///
    /// # Safety
    /// See [`Numbers::splat`].
    unsafe fn load(from: *const Self::Element) -> Self;

    /// Stores.
    ///
    /// # Safety
    /// See [`Numbers::splat`].
    unsafe fn store(self, to: *mut Self::Element);

    /// `self * factor + term`; fused where the hardware fuses it.
    ///
    /// # Safety
    /// See [`Numbers::splat`].
    unsafe fn multiply_add(self, factor: Self, term: Self) -> Self;
}

/// A register of binary32 numbers whose square blocks can be turned.
pub(super) trait Turned: Numbers<Element = f32> {
    /// Writes [`Numbers::COUNT`] rows of as many words as columns: `from` with `row` words from one to the next, `to` with
    /// `column`. Every bit is kept, whatever the words mean.
    ///
    /// # Safety
    /// See [`Numbers::splat`].
    unsafe fn turn(from: *const f32, row: usize, to: *mut f32, column: usize);
}

/// Eight words in portable code; the compiler uses what every processor of the target has.
#[derive(Clone, Copy)]
pub(super) struct Portable<T>([T; 8]);

impl Words for Portable<u32> {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self([word; 8])
    }

    #[inline(always)]
    unsafe fn counting(first: u32) -> Self {
        Self(std::array::from_fn(|lane| first.wrapping_add(lane as u32)))
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: good for eight words, by contract.
        Self(unsafe { from.cast::<[u32; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn store<const NT: bool>(self, to: *mut u32) {
        // SAFETY: good for eight words, by contract.
        unsafe { to.cast::<[u32; 8]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn add_scaled(self, factor: Self, other: Self) -> Self {
        let lane =
            |lane: usize| f32::from_bits(self.0[lane]) + f32::from_bits(factor.0[lane]) * f32::from_bits(other.0[lane]);
        Self(std::array::from_fn(|index| lane(index).to_bits()))
    }
}

/// The portable form of one number format.
macro_rules! portable_numbers {
    ($name:ty, $element:ty, $multiply_add:expr) => {
        impl Numbers for $name {
            type Element = $element;
            const COUNT: usize = 8;

            #[inline(always)]
            unsafe fn splat(number: $element) -> Self {
                Self([number; 8])
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                // SAFETY: good for eight numbers, by contract.
                Self(unsafe { from.cast::<[$element; 8]>().read() })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                // SAFETY: good for eight numbers, by contract.
                unsafe { to.cast::<[$element; 8]>().write(self.0) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: Self, term: Self) -> Self {
                Self(std::array::from_fn(|lane| $multiply_add(self.0[lane], factor.0[lane], term.0[lane])))
            }
        }
    };
}

// Not `f32::mul_add`: where the target has no such instruction that is a library call.
portable_numbers!(Portable<f32>, f32, |x: f32, a: f32, b: f32| x * a + b);
portable_numbers!(Portable<f64>, f64, |x: f64, a: f64, b: f64| x * a + b);
portable_numbers!(Portable<i32>, i32, |x: i32, a: i32, b: i32| x.wrapping_mul(a).wrapping_add(b));

impl Turned for Portable<f32> {
    #[inline(always)]
    unsafe fn turn(from: *const f32, row: usize, to: *mut f32, column: usize) {
        for at in 0..Self::COUNT {
            for place in 0..Self::COUNT {
                // SAFETY: within both blocks. As integers, which keep every bit.
                unsafe {
                    to.cast::<u32>().add(place * column + at).write(from.cast::<u32>().add(at * row + place).read())
                }
            }
        }
    }
}

/// Eight chains of packed bytes in portable code.
#[derive(Clone, Copy)]
pub(super) struct PackedPortable([i32; 8]);

portable_numbers!(PackedPortable, i32, |x: i32, a: i32, _b: i32| x.wrapping_add(dot4(x, a)));

/// Eight sums of products of pairs of bfloat16 in portable code. The operands of a chain never change: hidden from the
/// compiler, they are multiplied in every step, and not once for all.
#[derive(Clone, Copy)]
pub(super) struct PairsPortable([f32; 8]);

portable_numbers!(PairsPortable, f32, |x: f32, a: f32, b: f32| x
    + (half_of(black_box(a), 16) * half_of(b, 16) + half_of(black_box(a), 0) * half_of(b, 0)));

/// The number of bfloat16 in a word's lower half, moved up by 16 bits, or in its upper one.
#[inline(always)]
fn half_of(word: f32, up: u32) -> f32 {
    f32::from_bits(word.to_bits() << up & 0xffff_0000)
}

/// The dot product of the four signed bytes of two words.
#[inline(always)]
fn dot4(x: i32, factor: i32) -> i32 {
    let byte = |word: i32, at: i32| (word << (24 - 8 * at)) >> 24;
    let product = |at: i32| byte(x, at) * byte(factor, at);
    product(0) + product(1) + product(2) + product(3)
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{F32x8, F32x16, F64x4, F64x8, I32x8, I32x16, PackedYmm, PackedZmm, PairsZmm, Ymm, Zmm};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Numbers, Turned, Words};

    /// Eight words in an AVX2 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Ymm(__m256i);

    /// Sixteen words in an AVX-512 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Zmm(__m512i);

    impl Words for Ymm {
        const COUNT: usize = 8;

        #[inline(always)]
        unsafe fn splat(word: u32) -> Self {
            // SAFETY: AVX2 is there, by contract.
            Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
        }

        #[inline(always)]
        unsafe fn counting(first: u32) -> Self {
            // SAFETY: AVX2 is there, by contract.
            unsafe { Self(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)).add(Self::splat(first)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: AVX2 is there and the address good, by contract.
            Self(unsafe { _mm256_loadu_si256(from.cast()) })
        }

        #[inline(always)]
        unsafe fn store<const NT: bool>(self, to: *mut u32) {
            // SAFETY: AVX2 is there and the address good and, if `NT`, aligned, by contract.
            unsafe { if NT { _mm256_stream_si256(to.cast(), self.0) } else { _mm256_storeu_si256(to.cast(), self.0) } }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX2 is there, by contract.
            Self(unsafe { _mm256_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_scaled(self, factor: Self, other: Self) -> Self {
            // SAFETY: AVX2 and FMA are there, by contract.
            unsafe {
                let [this, factor, other] = [self.0, factor.0, other.0].map(|words| _mm256_castsi256_ps(words));
                Self(_mm256_castps_si256(_mm256_fmadd_ps(factor, other, this)))
            }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const u32) {
            // SAFETY: a hint, good for any address.
            unsafe { _mm_prefetch::<_MM_HINT_NTA>(from.cast()) }
        }

        #[inline(always)]
        unsafe fn fence() {
            // SAFETY: every x86-64 has it.
            unsafe { _mm_sfence() }
        }
    }

    impl Words for Zmm {
        const COUNT: usize = 16;

        #[inline(always)]
        unsafe fn splat(word: u32) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_set1_epi32(word.cast_signed()) })
        }

        #[inline(always)]
        unsafe fn counting(first: u32) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            unsafe {
                Self(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)).add(Self::splat(first))
            }
        }

        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: AVX-512 is there and the address good, by contract.
            Self(unsafe { _mm512_loadu_si512(from.cast()) })
        }

        #[inline(always)]
        unsafe fn store<const NT: bool>(self, to: *mut u32) {
            // SAFETY: AVX-512 is there and the address good and, if `NT`, aligned, by contract.
            unsafe { if NT { _mm512_stream_si512(to.cast(), self.0) } else { _mm512_storeu_si512(to.cast(), self.0) } }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            Self(unsafe { _mm512_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_scaled(self, factor: Self, other: Self) -> Self {
            // SAFETY: AVX-512 is there, by contract.
            unsafe {
                let [this, factor, other] = [self.0, factor.0, other.0].map(|words| _mm512_castsi512_ps(words));
                Self(_mm512_castps_si512(_mm512_fmadd_ps(factor, other, this)))
            }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const u32) {
            // SAFETY: a hint, good for any address.
            unsafe { _mm_prefetch::<_MM_HINT_NTA>(from.cast()) }
        }

        #[inline(always)]
        unsafe fn fence() {
            // SAFETY: every x86-64 has it.
            unsafe { _mm_sfence() }
        }
    }

    /// A register of numbers: type, format, count, and the intrinsics it is made of.
    macro_rules! numbers {
        ($(#[$doc:meta])* $name:ident, $register:ty, $element:ty, $count:literal, $splat:ident, $load:ident,
         $store:ident, |$x:ident, $a:ident, $b:ident| $multiply_add:expr) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(in super::super) struct $name($register);

            impl Numbers for $name {
                type Element = $element;
                const COUNT: usize = $count;

                #[inline(always)]
                unsafe fn splat(number: $element) -> Self {
                    // SAFETY: the instructions are there, by contract.
                    Self(unsafe { $splat(number) })
                }

                #[inline(always)]
                unsafe fn load(from: *const $element) -> Self {
                    // SAFETY: the instructions are there and the address good, by contract.
                    Self(unsafe { $load(from.cast()) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut $element) {
                    // SAFETY: the instructions are there and the address good, by contract.
                    unsafe { $store(to.cast(), self.0) }
                }

                #[inline(always)]
                unsafe fn multiply_add(self, factor: Self, term: Self) -> Self {
                    let ($x, $a, $b) = (self.0, factor.0, term.0);
                    // SAFETY: the instructions are there, by contract.
                    Self(unsafe { $multiply_add })
                }
            }
        };
    }

    numbers!(/// Eight binary32 numbers.
        F32x8, __m256, f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, |x, a, b| _mm256_fmadd_ps(x, a, b));
    numbers!(/// Four binary64 numbers.
        F64x4, __m256d, f64, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, |x, a, b| _mm256_fmadd_pd(x, a, b));
    numbers!(/// Eight 32-bit integers.
        I32x8, __m256i, i32, 8, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256,
        |x, a, b| _mm256_add_epi32(_mm256_mullo_epi32(x, a), b));
    numbers!(/// Sixteen binary32 numbers.
        F32x16, __m512, f32, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, |x, a, b| _mm512_fmadd_ps(x, a, b));
    numbers!(/// Eight binary64 numbers.
        F64x8, __m512d, f64, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, |x, a, b| _mm512_fmadd_pd(x, a, b));
    numbers!(/// Sixteen 32-bit integers.
        I32x16, __m512i, i32, 16, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512,
        |x, a, b| _mm512_add_epi32(_mm512_mullo_epi32(x, a), b));

    impl Turned for F32x8 {
        #[inline(always)]
        unsafe fn turn(from: *const f32, row: usize, to: *mut f32, column: usize) {
            // SAFETY: AVX2 is there and both blocks good, by contract.
            unsafe {
                let mut rows = [_mm256_setzero_ps(); 8];
                for (at, register) in rows.iter_mut().enumerate() {
                    *register = _mm256_loadu_ps(from.add(at * row));
                }
                // Each half of a register is a row of four: neighbours, then pairs of neighbours, then halves.
                let mut next = rows;
                for at in 0..4 {
                    next[2 * at] = _mm256_unpacklo_ps(rows[2 * at], rows[2 * at + 1]);
                    next[2 * at + 1] = _mm256_unpackhi_ps(rows[2 * at], rows[2 * at + 1]);
                }
                for half in [0, 4] {
                    for side in [0, 1] {
                        let (one, other) = (next[half + side], next[half + side + 2]);
                        rows[half + 2 * side] = _mm256_shuffle_ps::<0b01_00_01_00>(one, other);
                        rows[half + 2 * side + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(one, other);
                    }
                }
                for at in 0..4 {
                    let (one, other) = (rows[at], rows[at + 4]);
                    _mm256_storeu_ps(to.add(at * column), _mm256_permute2f128_ps::<0x20>(one, other));
                    _mm256_storeu_ps(to.add((at + 4) * column), _mm256_permute2f128_ps::<0x31>(one, other));
                }
            }
        }
    }

    impl Turned for F32x16 {
        #[inline(always)]
        unsafe fn turn(from: *const f32, row: usize, to: *mut f32, column: usize) {
            const EVEN: i32 = 0b10_00_10_00;
            const ODD: i32 = 0b11_01_11_01;
            // SAFETY: AVX-512 is there and both blocks good, by contract.
            unsafe {
                let mut rows = [_mm512_setzero_ps(); 16];
                for (at, register) in rows.iter_mut().enumerate() {
                    *register = _mm512_loadu_ps(from.add(at * row));
                }
                // Each quarter of a register is a row of four: neighbours, then pairs of neighbours, then quarters.
                let mut next = rows;
                for at in 0..8 {
                    next[2 * at] = _mm512_unpacklo_ps(rows[2 * at], rows[2 * at + 1]);
                    next[2 * at + 1] = _mm512_unpackhi_ps(rows[2 * at], rows[2 * at + 1]);
                }
                for four in [0, 4, 8, 12] {
                    for side in [0, 1] {
                        let (one, other) = (next[four + side], next[four + side + 2]);
                        rows[four + 2 * side] = _mm512_shuffle_ps::<0b01_00_01_00>(one, other);
                        rows[four + 2 * side + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(one, other);
                    }
                }
                for at in 0..4 {
                    // Quarters 0 and 2 or 1 and 3 of two rows, then the same of those.
                    let (one, other) = (rows[at], rows[at + 4]);
                    let (three, four) = (rows[at + 8], rows[at + 12]);
                    let low = _mm512_shuffle_f32x4::<EVEN>(one, other);
                    let high = _mm512_shuffle_f32x4::<EVEN>(three, four);
                    _mm512_storeu_ps(to.add(at * column), _mm512_shuffle_f32x4::<EVEN>(low, high));
                    _mm512_storeu_ps(to.add((at + 8) * column), _mm512_shuffle_f32x4::<ODD>(low, high));
                    let low = _mm512_shuffle_f32x4::<ODD>(one, other);
                    let high = _mm512_shuffle_f32x4::<ODD>(three, four);
                    _mm512_storeu_ps(to.add((at + 4) * column), _mm512_shuffle_f32x4::<EVEN>(low, high));
                    _mm512_storeu_ps(to.add((at + 12) * column), _mm512_shuffle_f32x4::<ODD>(low, high));
                }
            }
        }
    }

    numbers!(/// Sixteen sums of products of pairs of bfloat16, a step in one instruction.
        PairsZmm, __m512, f32, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps,
        |x, a, b| _mm512_dpbf16_ps(x, bits(a), bits(b)));

    /// The same bits as the type that the instruction takes.
    #[inline(always)]
    unsafe fn bits(words: __m512) -> __m512bh {
        // SAFETY: both are 512 bits without structure.
        unsafe { std::mem::transmute::<__m512, __m512bh>(words) }
    }

    impl F32x16 {
        /// `self` plus the products of pairs of bfloat16 in every word of the others. Adds one product after the other,
        /// and takes numbers below the normal range for zero: 2^-126, far below what any tolerance here sees.
        ///
        /// # Safety
        /// The processor must have the bfloat16 extension of AVX-512.
        #[inline(always)]
        pub(in super::super) unsafe fn add_pairs(self, one: Self, other: Self) -> Self {
            // SAFETY: the instruction is there, by contract.
            Self(unsafe { _mm512_dpbf16_ps(self.0, bits(one.0), bits(other.0)) })
        }
    }

    // Packed bytes: the factor's, which are below 128, are the operand that is read as unsigned.
    numbers!(/// Eight chains of packed bytes. No sum of two products passes 16 bits.
        PackedYmm, __m256i, i32, 8, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256,
        |x, a, _b| _mm256_add_epi32(x, _mm256_madd_epi16(_mm256_maddubs_epi16(a, x), _mm256_set1_epi16(1))));
    numbers!(/// Sixteen chains of packed bytes, a step in one instruction.
        PackedZmm, __m512i, i32, 16, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512,
        |x, a, _b| _mm512_dpbusd_epi32(x, a, x));
}
