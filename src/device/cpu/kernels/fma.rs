//! `fma`: chains of `x = x * factor + term` that stay in registers.

use super::stored::F32;
#[cfg(target_arch = "x86_64")]
use super::vector::{F32x8, F32x16, F64x4, F64x8, I32x8, I32x16, PackedYmm, PackedZmm, PairsZmm};
use super::vector::{Numbers, PackedPortable, PairsPortable, Portable};
use super::{Kernel, Value, require, share, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "fma",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run_avx512),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<F64x4, F32x8, I32x8, PackedYmm, PairsPortable, 12>),
        // Eight numbers are two or four of a target's smallest registers: more chains would spill.
        variant!(
            "portable",
            Nothing,
            run::<Portable<f64>, Portable<f32>, Portable<i32>, PackedPortable, PairsPortable, 2>
        ),
    ],
};

/// How the `precision` argument spells the formats that only this kernel has.
const F64: u32 = 0;
const I32: u32 = 2;
const PACKED: u32 = 4;
const PAIRS: u32 = 6;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(out),
            Value::U32(precision),
            Value::U64(lanes),
            Value::U64(_),
            Value::F64(factor),
            Value::F64(_),
        ] => match *precision {
            F64 => *lanes <= out.word_count() / 2,
            F32 | I32 | PAIRS => *lanes <= out.word_count(),
            PACKED => *lanes <= out.word_count() && (*factor as i32 as u32) & 0x8080_8080 == 0,
            _ => false,
        },
        _ => false,
    };
    require(
        fits,
        "fma(out, precision: U32 of 0, 1, 2, 4, 6, lanes: U64, iterations: U64, factor: F64, term: F64) with out of lanes \
         numbers or more, and no byte of a packed factor above 127",
    )
}

/// AVX-512, with one instruction for packed bytes or pairs where the processor has it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn run_avx512(args: &[Value], place: Place<'_>) {
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn packed(args: &[Value], place: Place<'_>) {
        // SAFETY: the same contract; what the code needs is enabled here.
        unsafe { run::<F64x8, F32x16, I32x16, PackedZmm, PairsPortable, 12>(args, place) }
    }
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn paired(args: &[Value], place: Place<'_>) {
        // SAFETY: the same contract; what the code needs is enabled here.
        unsafe { run::<F64x8, F32x16, I32x16, PackedYmm, PairsZmm, 12>(args, place) }
    }
    let asks = |code: u32| matches!(args, [_, Value::U32(precision), ..] if *precision == code);
    // SAFETY: passed on, to what was just found to be there.
    unsafe {
        if asks(PACKED) && is_x86_feature_detected!("avx512vnni") {
            packed(args, place);
        } else if asks(PAIRS) && is_x86_feature_detected!("avx512bf16") {
            paired(args, place);
        } else {
            run::<F64x8, F32x16, I32x16, PackedYmm, PairsPortable, 12>(args, place);
        }
    }
}

#[inline(always)]
unsafe fn run<D, S, I, P, B, const CHAINS: usize>(args: &[Value], place: Place<'_>)
where
    D: Numbers<Element = f64>,
    S: Numbers<Element = f32>,
    I: Numbers<Element = i32>,
    P: Numbers<Element = i32>,
    B: Numbers<Element = f32>,
{
    let [Value::Buffer(out), Value::U32(precision), Value::U64(lanes), Value::U64(iterations), rest @ ..] = args else {
        return;
    };
    let [Value::F64(factor), Value::F64(term)] = *rest else { return };
    let range = share(*lanes, place);
    let range = range.start as usize..range.end as usize;
    let out = out.start.as_ptr();
    // SAFETY: the check held the lanes of this precision against the buffer; shares do not overlap.
    unsafe {
        match *precision {
            F64 => {
                let start = |lane: usize| f64::from(fraction(lane));
                chains::<D, CHAINS>(out.cast(), range, start, *iterations, factor, term);
            }
            F32 => chains::<S, CHAINS>(out.cast(), range, fraction, *iterations, factor as f32, term as f32),
            PAIRS => {
                // Both operands of a step are the same pair.
                let pair = pair_of(factor as f32, term as f32);
                chains::<B, CHAINS>(out.cast(), range, short_fraction, *iterations, pair, pair);
            }
            PACKED => chains::<P, CHAINS>(out.cast(), range, integer, *iterations, factor as i32, 0),
            _ => chains::<I, CHAINS>(out.cast(), range, integer, *iterations, factor as i32, term as i32),
        }
    }
}

/// A 32-bit word for a lane, different for neighbours in every bit.
#[inline(always)]
fn scatter(lane: usize) -> u32 {
    (lane as u32).wrapping_mul(0x9e37_79b1)
}

/// The same as a signed number.
#[inline(always)]
fn integer(lane: usize) -> i32 {
    scatter(lane).cast_signed()
}

/// A number from 1 to 2 for a lane: 23 scattered bits behind the point.
#[inline(always)]
fn fraction(lane: usize) -> f32 {
    f32::from_bits(0x3f80_0000 | scatter(lane) >> 9)
}

/// A number from 1 to 2 for a lane: ten scattered bits behind the point.
#[inline(always)]
fn short_fraction(lane: usize) -> f32 {
    f32::from_bits(0x3f80_0000 | (scatter(lane) >> 22) << 13)
}

/// Two numbers of bfloat16 in a word, the first below; of numbers that need no rounding.
#[inline(always)]
fn pair_of(first: f32, second: f32) -> f32 {
    f32::from_bits(first.to_bits() >> 16 | second.to_bits() & 0xffff_0000)
}

/// Writes the starting values, and runs them through the chains: `CHAINS` registers side by side as long
/// as there are that many, then one by one, then number by number.
#[inline(always)]
unsafe fn chains<V: Numbers, const CHAINS: usize>(
    out: *mut V::Element,
    range: std::ops::Range<usize>,
    start: impl Fn(usize) -> V::Element,
    iterations: u64,
    factor: V::Element,
    term: V::Element,
) {
    // SAFETY: every access is within the range, by contract within the buffer and this worker's own.
    unsafe {
        for lane in range.clone() {
            out.add(lane).write(start(lane));
        }
        let mut at = range.start;
        while at + CHAINS * V::COUNT <= range.end {
            block::<V, CHAINS>(out.add(at), iterations, factor, term);
            at += CHAINS * V::COUNT;
        }
        while at + V::COUNT <= range.end {
            block::<V, 1>(out.add(at), iterations, factor, term);
            at += V::COUNT;
        }
        // The last few lanes go through one register that is wider than they are: it starts with the
        // same number in all the rest, which are dropped.
        if at < range.end {
            let mut last = [factor; 16];
            let left = range.end - at;
            last[..left].copy_from_slice(std::slice::from_raw_parts(out.add(at), left));
            block::<V, 1>(last.as_mut_ptr(), iterations, factor, term);
            std::slice::from_raw_parts_mut(out.add(at), left).copy_from_slice(&last[..left]);
        }
    }
}

/// `iterations` steps of `CHAINS` independent registers, loaded from `at` and stored back.
#[inline(always)]
unsafe fn block<V: Numbers, const CHAINS: usize>(
    at: *mut V::Element,
    iterations: u64,
    factor: V::Element,
    term: V::Element,
) {
    // SAFETY: `at` is good for `CHAINS` registers; the contract of the vectors is the caller's.
    unsafe {
        let (factor, term) = (V::splat(factor), V::splat(term));
        let mut chains = [V::splat(*at); CHAINS];
        for (index, chain) in chains.iter_mut().enumerate() {
            *chain = V::load(at.add(index * V::COUNT));
        }
        for _ in 0..iterations {
            for chain in &mut chains {
                *chain = chain.multiply_add(factor, term);
            }
        }
        for (index, chain) in chains.iter().enumerate() {
            chain.store(at.add(index * V::COUNT));
        }
    }
}
