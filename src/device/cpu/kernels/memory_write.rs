//! `memory_write`: word `i` becomes `i + key`.

use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, require, share, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "memory_write",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_nt", Avx512, run::<Zmm, true>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2_nt", Avx2, run::<Ymm, true>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<Zmm, false>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<Ymm, false>),
        variant!("portable", Nothing, run::<Portable<u32>, false>),
    ],
};

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(out), Value::U64(words), Value::U32(_)] if *words <= out.word_count());
    require(fits, "memory_write(out, words: U64, key: U32) with out of words or more")
}

/// Registers stored per turn of the loop.
const UNROLL: usize = 8;

#[inline(always)]
unsafe fn run<V: Words, const NT: bool>(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(out), Value::U64(words), Value::U32(key)] = args else { return };
    let range = share(*words, place);
    let (mut at, end) = (range.start as usize, range.end as usize);
    let out = out.words();
    // SAFETY: `at` stays below `words`, which the check held against the buffer; shares start on cache lines.
    unsafe {
        let mut value = V::counting((at as u32).wrapping_add(*key));
        let step = V::splat(V::COUNT as u32);
        while at + UNROLL * V::COUNT <= end {
            for _ in 0..UNROLL {
                value.store::<NT>(out.add(at));
                value = value.add(step);
                at += V::COUNT;
            }
        }
        while at < end {
            out.add(at).write((at as u32).wrapping_add(*key));
            at += 1;
        }
        V::fence();
    }
}
