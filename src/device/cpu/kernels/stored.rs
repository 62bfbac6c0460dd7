//! Numbers as a decode step's buffers store them: widened to binary32 to compute, rounded once to be kept.

use super::Value;
use crate::device::cpu::format::{Bf16, F16, Format};
use crate::device::cpu::memory::Span;

/// How the `precision` argument spells a number format.
pub(super) const F32: u32 = 1;
/// binary16.
pub(super) const F16_CODE: u32 = 3;
/// bfloat16.
pub(super) const BF16_CODE: u32 = 5;

/// A stored format all of whose numbers are numbers of binary32.
pub(super) trait Stored: Copy {
    /// What a number is stored as.
    type Bits: Copy;

    /// The number with these bits.
    fn widen(bits: Self::Bits) -> f32;

    /// The nearest number's bits, ties to even.
    fn narrow(number: f32) -> Self::Bits;
}

impl Stored for f32 {
    type Bits = f32;

    #[inline(always)]
    fn widen(bits: f32) -> f32 {
        bits
    }

    #[inline(always)]
    fn narrow(number: f32) -> f32 {
        number
    }
}

impl<F: Format> Stored for Half<F> {
    type Bits = u16;

    #[inline(always)]
    fn widen(bits: u16) -> f32 {
        F::widen(bits)
    }

    #[inline(always)]
    fn narrow(number: f32) -> u16 {
        F::narrow(number)
    }
}

/// A 16-bit format.
#[derive(Clone, Copy)]
pub(super) struct Half<F>(std::marker::PhantomData<F>);

/// binary16.
pub(super) type HalfF16 = Half<F16>;
/// bfloat16.
pub(super) type HalfBf16 = Half<Bf16>;

/// Bytes of a number of a format; `None` for one that these kernels do not know.
pub(super) fn size_of(precision: u32) -> Option<u64> {
    match precision {
        F32 => Some(4),
        F16_CODE | BF16_CODE => Some(2),
        _ => None,
    }
}

/// Whether a buffer holds `count` numbers of a format. False where the count overflows.
pub(super) fn holds(buffer: &Span, counts: &[u64], precision: u32) -> bool {
    let bytes =
        counts.iter().try_fold(size_of(precision).unwrap_or(u64::MAX), |product, count| product.checked_mul(*count));
    bytes.is_some_and(|bytes| bytes <= buffer.len as u64)
}

/// Calls a generic function with the stored format that a `precision` names; the check has seen that there is one.
macro_rules! with_stored {
    ($precision:expr, $function:ident [$($lanes:ty),*], $($argument:expr),*) => {
        match $precision {
            $crate::device::cpu::kernels::stored::F32 => $function::<f32, $($lanes),*>($($argument),*),
            $crate::device::cpu::kernels::stored::F16_CODE => {
                $function::<$crate::device::cpu::kernels::stored::HalfF16, $($lanes),*>($($argument),*)
            }
            _ => $function::<$crate::device::cpu::kernels::stored::HalfBf16, $($lanes),*>($($argument),*),
        }
    };
}

pub(super) use with_stored;

/// Numbers that are worked on at a time: every row is a multiple of it.
pub(super) const LANES: usize = 8;

/// As many values, each made of its index. (The library's functions on arrays are not always inlined, and would then be
/// compiled for another instruction set than their caller.)
#[inline(always)]
pub(super) fn array<T: Copy, const COUNT: usize>(of: impl Fn(usize) -> T) -> [T; COUNT] {
    let mut all = [of(0); COUNT];
    for (index, slot) in all.iter_mut().enumerate() {
        *slot = of(index);
    }
    all
}

/// Sixteen numbers brought together by halves, so that no step waits for the one before it.
#[inline(always)]
pub(super) fn folded(numbers: [f32; 16], together: impl Fn(f32, f32) -> f32) -> f32 {
    let eight: [f32; 8] = array(|at| together(numbers[at], numbers[at + 8]));
    let four: [f32; 4] = array(|at| together(eight[at], eight[at + 4]));
    together(together(four[0], four[2]), together(four[1], four[3]))
}

/// [`LANES`] numbers, widened.
///
/// # Safety
/// There must be so many.
#[inline(always)]
pub(super) unsafe fn load<S: Stored>(from: *const S::Bits) -> [f32; LANES] {
    // SAFETY: the caller's.
    let bits = unsafe { from.cast::<[S::Bits; LANES]>().read_unaligned() };
    array(|lane| S::widen(bits[lane]))
}

/// Rounds and writes [`LANES`] numbers.
///
/// # Safety
/// There must be room for so many.
#[inline(always)]
pub(super) unsafe fn store<S: Stored>(numbers: [f32; LANES], to: *mut S::Bits) {
    // SAFETY: the caller's.
    unsafe { to.cast::<[S::Bits; LANES]>().write_unaligned(array(|lane| S::narrow(numbers[lane]))) }
}

/// The `index`-th whole number among a kernel's arguments.
#[inline(always)]
pub(super) fn whole(args: &[Value], index: usize) -> usize {
    match args.get(index) {
        Some(Value::U64(number)) => *number as usize,
        Some(Value::U32(number)) => *number as usize,
        _ => 0,
    }
}

/// The start of the buffer that is the `index`-th argument; null where it is none, which the check forbids.
#[inline(always)]
pub(super) fn start<T>(args: &[Value], index: usize) -> *mut T {
    match args.get(index) {
        Some(Value::Buffer(span)) => span.start.as_ptr().cast(),
        _ => std::ptr::null_mut(),
    }
}

/// A worker's contiguous part of `count` equal pieces of work.
#[inline(always)]
pub(super) fn part(count: usize, place: crate::device::cpu::pool::Place<'_>) -> std::ops::Range<usize> {
    count * place.index / place.team..count * (place.index + 1) / place.team
}

/// `e^x` for `x` up to 88, to 2 units of the last place; 0 below -87. Cody-Waite reduction and the polynomial of
/// Cephes' `expf`, in code without branches that compiles to whole registers.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let bounded = x.clamp(-87.0, 88.0);
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number; between the two, the number's last bits are
    // that whole number.
    const ROUND: f32 = 12_582_912.0;
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (bounded - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let mut sum = 1.987_569_2e-4_f32;
    for factor in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + factor;
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let result = (sum * rest * rest + rest + 1.0) * power;
    if x < -87.0 { 0.0 } else { result }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for index in 0..2_000_000 {
            let x = -87.0 + 175.0 * (index as f32 / 2e6);
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() <= 3e-7, "e^{x}: {found} and {exact}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-100.0), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }
}
