//! `intensity`: reads numbers once, does steps with some or all of them, and sums the bits of what comes out.

use std::marker::PhantomData;
use std::ops::Range;

use super::memory_read::{PARTS, SumOf, sum_chunks};
use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "intensity",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<Zmm, 8, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_nta", Avx512, run::<Zmm, 8, 512>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<Ymm, 8, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2_nta", Avx2, run::<Ymm, 8, 512>),
        variant!("portable", Nothing, run::<Portable<u32>, 4, 0>),
    ],
};

/// Words in a line: all of them take steps, or none.
const LINE: usize = 16;
/// Lines in a turn of the loop: the largest `every`.
const TURN: usize = 8;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(from), Value::Buffer(out), Value::U64(words), Value::U32(_),
            Value::U32(1 | 2 | 4 | 8), Value::F32(_), Value::F32(_), Value::F32(_)]
        if *words <= from.word_count() && PARTS <= out.word_count());
    require(
        fits,
        "intensity(in, out, words: U64, steps: U32, every: U32 of 1, 2, 4, 8, factor: F32, even: F32, odd: F32) with in \
         of words or more and out of 256 words",
    )
}

/// What is done with a number.
#[derive(Clone, Copy)]
struct Steps<T> {
    count: u32,
    factor: T,
    even: T,
    odd: T,
}

#[inline(always)]
unsafe fn run<V: Words, const REGISTERS: usize, const AHEAD: usize>(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(from), Value::Buffer(out), Value::U64(words), rest @ ..] = args else { return };
    let [Value::U32(count), Value::U32(every), Value::F32(factor), Value::F32(even), Value::F32(odd)] = *rest else {
        return;
    };
    let (from, out, steps) = (from.words().cast_const(), out.words(), Steps { count, factor, even, odd });
    // SAFETY: the check held `words` against the input and 256 words against the output.
    unsafe {
        match every {
            1 => sum_chunks(*words, out, place, &Numbers::<V, REGISTERS, AHEAD, 1>(from, steps, PhantomData)),
            2 => sum_chunks(*words, out, place, &Numbers::<V, REGISTERS, AHEAD, 2>(from, steps, PhantomData)),
            4 => sum_chunks(*words, out, place, &Numbers::<V, REGISTERS, AHEAD, 4>(from, steps, PhantomData)),
            _ => sum_chunks(*words, out, place, &Numbers::<V, REGISTERS, AHEAD, 8>(from, steps, PhantomData)),
        }
    }
}

/// Numbers of which every `EVERY`-th line takes steps.
struct Numbers<V, const REGISTERS: usize, const AHEAD: usize, const EVERY: usize>(
    *const u32,
    Steps<f32>,
    PhantomData<V>,
);

impl<V: Words, const REGISTERS: usize, const AHEAD: usize, const EVERY: usize> SumOf
    for Numbers<V, REGISTERS, AHEAD, EVERY>
{
    #[inline(always)]
    unsafe fn sum_of(&self, range: Range<u64>) -> u32 {
        // SAFETY: passed on.
        unsafe { sum::<V, REGISTERS, AHEAD, EVERY>(self.0, range, self.1) }
    }
}

/// The sum over a range that starts with a line, of which every `EVERY`-th takes steps, `REGISTERS`
/// registers side by side.
#[inline(always)]
unsafe fn sum<V: Words, const REGISTERS: usize, const AHEAD: usize, const EVERY: usize>(
    from: *const u32,
    range: Range<u64>,
    steps: Steps<f32>,
) -> u32 {
    const { assert!((TURN * LINE).is_multiple_of(REGISTERS * V::COUNT)) };
    let batch = REGISTERS * V::COUNT;
    let (mut at, end) = (range.start as usize, range.end as usize);
    // SAFETY: every load is within the range; the contract of the vectors is the caller's.
    unsafe {
        let splat = |number: f32| V::splat(number.to_bits());
        let wide =
            Steps { count: steps.count, factor: splat(steps.factor), even: splat(steps.even), odd: splat(steps.odd) };
        let mut sums = [V::splat(0); REGISTERS];
        // Up to the first whole turn, which starts with a line that takes steps.
        while !at.is_multiple_of(TURN * LINE) && at + LINE <= end {
            line::<V, EVERY>(from, at, wide, &mut sums[0]);
            at += LINE;
        }
        while at + TURN * LINE <= end {
            for first in (0..TURN * LINE).step_by(batch) {
                let mut numbers = [V::splat(0); REGISTERS];
                for (index, number) in numbers.iter_mut().enumerate() {
                    let from = from.add(at + first + index * V::COUNT);
                    if AHEAD > 0 && (index * V::COUNT).is_multiple_of(LINE) {
                        V::prefetch(from.wrapping_add(AHEAD));
                    }
                    *number = V::load(from);
                }
                let mut takes = [false; REGISTERS];
                for (index, takes) in takes.iter_mut().enumerate() {
                    *takes = ((first + index * V::COUNT) / LINE).is_multiple_of(EVERY);
                }
                advance(&mut numbers, wide, takes);
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum = sum.add(number);
                }
            }
            at += TURN * LINE;
        }
        while at + LINE <= end {
            line::<V, EVERY>(from, at, wide, &mut sums[0]);
            at += LINE;
        }
        let mut total = 0_u32;
        for sum in sums {
            total = total.wrapping_add(sum.sum());
        }
        // The last few words are no whole line: they go through a register with zeros behind them.
        if at < end {
            let mut last = [0; LINE];
            last[..end - at].copy_from_slice(std::slice::from_raw_parts(from.add(at), end - at));
            let takes = [(at / LINE).is_multiple_of(EVERY)];
            for words in last.chunks_exact_mut(V::COUNT) {
                let mut number = [V::load(words.as_ptr())];
                advance(&mut number, wide, takes);
                number[0].store::<false>(words.as_mut_ptr());
            }
            total = last[..end - at].iter().fold(total, |sum, word| sum.wrapping_add(*word));
        }
        total
    }
}

/// One line: its steps, if it takes them, and its bits to the sum.
#[inline(always)]
unsafe fn line<V: Words, const EVERY: usize>(from: *const u32, at: usize, steps: Steps<V>, sum: &mut V) {
    let takes = [(at / LINE).is_multiple_of(EVERY)];
    for first in (at..at + LINE).step_by(V::COUNT) {
        // SAFETY: passed on.
        unsafe {
            let mut number = [V::load(from.add(first))];
            advance(&mut number, steps, takes);
            *sum = sum.add(number[0]);
        }
    }
}

/// The steps of the registers that take them, side by side.
#[inline(always)]
unsafe fn advance<V: Words, const REGISTERS: usize>(
    numbers: &mut [V; REGISTERS],
    steps: Steps<V>,
    takes: [bool; REGISTERS],
) {
    // SAFETY: the contract of the vectors is the caller's.
    unsafe {
        for _ in 0..steps.count / 2 {
            step(numbers, steps.factor, steps.even, takes);
            step(numbers, steps.factor, steps.odd, takes);
        }
        if !steps.count.is_multiple_of(2) {
            step(numbers, steps.factor, steps.even, takes);
        }
    }
}

/// One step of the registers that take it.
#[inline(always)]
unsafe fn step<V: Words, const REGISTERS: usize>(
    numbers: &mut [V; REGISTERS],
    factor: V,
    term: V,
    takes: [bool; REGISTERS],
) {
    for (number, takes) in numbers.iter_mut().zip(takes) {
        if takes {
            // SAFETY: the contract of the vectors is the caller's.
            *number = unsafe { term.add_scaled(factor, *number) };
        }
    }
}
