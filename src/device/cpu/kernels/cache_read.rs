//! `cache_read`: every worker sums its part of a working set, pass after pass.

use std::hint::black_box;

use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, cut, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "cache_read",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<Zmm, 1, 8, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<Ymm, 1, 8, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2_2", Avx2, run::<Ymm, 2, 4, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_2_nta", Avx512, run::<Zmm, 2, 2, 512>),
        variant!("portable", Nothing, run::<Portable<u32>, 1, 4, 0>),
    ],
};

/// Sums of a unit: one per place in a line.
const LANES: usize = 16;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(from), Value::Buffer(out), Value::U64(words), Value::U64(_),
            Value::U64(units), Value::U32(_)]
        if *words <= from.word_count()
            && *units > 0
            && units.checked_mul(LANES as u64).is_some_and(|sums| sums <= out.word_count()));
    require(
        fits,
        "cache_read(in, out, words: U64, passes: U64, units: U64, shared: U32) with in of words or more and out of 16 \
         words per unit or more",
    )
}

#[inline(always)]
unsafe fn run<V: Words, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize>(
    args: &[Value],
    place: Place<'_>,
) {
    let [Value::Buffer(from), Value::Buffer(out), Value::U64(words), rest @ ..] = args else { return };
    let [Value::U64(passes), Value::U64(units), Value::U32(shared)] = *rest else { return };
    for unit in (place.index as u64..units).step_by(place.team) {
        let (start, end) = match shared {
            0 => (cut(*words, unit, units), cut(*words, unit + 1, units)),
            _ => (0, *words),
        };
        let from = from.words().cast_const().wrapping_add(start as usize);
        // SAFETY: the part lies within `words`, which the check held against the buffer.
        let sums = unsafe { sums::<V, STREAMS, UNROLL, AHEAD>(from, (end - start) as usize, passes) };
        // SAFETY: the check held 16 words per unit against the buffer; a unit is one worker's.
        unsafe { out.words().add(unit as usize * LANES).copy_from_nonoverlapping(sums.as_ptr(), LANES) };
    }
}

/// `passes` times the sum of every sixteenth of `count` words, read as `STREAMS` parts side by side, `UNROLL`
/// registers of each per turn of the loop, asking for lines `AHEAD` words before they are needed. A turn
/// is whole lines.
#[inline(always)]
unsafe fn sums<V: Words, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize>(
    from: *const u32,
    count: usize,
    passes: u64,
) -> [u32; LANES] {
    const { assert!((UNROLL * V::COUNT).is_multiple_of(LANES)) };
    let turn = UNROLL * V::COUNT;
    let length = count / STREAMS / turn * turn;
    let lines = count / LANES * LANES;
    let mut lanes = [0; LANES];
    // SAFETY: every load is within `count` words; the contract of the vectors is the caller's.
    unsafe {
        let mut sums = [[V::splat(0); UNROLL]; STREAMS];
        // A line is two registers at most.
        let mut rest = [V::splat(0); 2];
        for _ in 0..passes {
            // An address that the compiler cannot tell from the last pass's: else it may read once and multiply.
            let from = black_box(from);
            let mut at = 0;
            while at < length {
                for (stream, sums) in sums.iter_mut().enumerate() {
                    let from = from.add(stream * length + at);
                    for (index, sum) in sums.iter_mut().enumerate() {
                        if AHEAD > 0 && (index * V::COUNT).is_multiple_of(LANES) {
                            V::prefetch(from.wrapping_add(AHEAD + index * V::COUNT));
                        }
                        *sum = sum.add(V::load(from.add(index * V::COUNT)));
                    }
                }
                at += turn;
            }
            for at in (STREAMS * length..lines).step_by(LANES) {
                for (index, sum) in rest.iter_mut().take(LANES / V::COUNT).enumerate() {
                    *sum = sum.add(V::load(from.add(at + index * V::COUNT)));
                }
            }
            for index in lines..count {
                lanes[index - lines] = from.add(index).read().wrapping_add(lanes[index - lines]);
            }
        }
        for sums in &sums {
            add_to(&mut lanes, sums);
        }
        add_to(&mut lanes, &rest[..LANES / V::COUNT]);
    }
    lanes
}

/// Adds registers that together hold whole lines to the sums of the places in a line.
#[inline(always)]
unsafe fn add_to<V: Words>(lanes: &mut [u32; LANES], registers: &[V]) {
    let mut words = [0; LANES];
    for (index, register) in registers.iter().enumerate() {
        // SAFETY: no register holds more than sixteen words; the contract of the vectors is the caller's.
        unsafe { register.store::<false>(words.as_mut_ptr()) };
        let first = index * V::COUNT % LANES;
        for (lane, word) in lanes[first..first + V::COUNT].iter_mut().zip(&words) {
            *lane = lane.wrapping_add(*word);
        }
    }
}
