//! `memory_copy`: word by word.

use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, require, share, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "memory_copy",
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
    let fits = matches!(args, [Value::Buffer(from), Value::Buffer(to), Value::U64(words)]
        if *words <= from.word_count() && *words <= to.word_count());
    require(fits, "memory_copy(in, out, words: U64) with buffers of words or more")
}

/// Registers moved per turn of the loop.
const UNROLL: usize = 8;

#[inline(always)]
unsafe fn run<V: Words, const NT: bool>(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(from), Value::Buffer(to), Value::U64(words)] = args else { return };
    let range = share(*words, place);
    let (mut at, end) = (range.start as usize, range.end as usize);
    let (from, to) = (from.words().cast_const(), to.words());
    // SAFETY: `at` stays below `words`, which the check held against both buffers; shares start on cache lines.
    unsafe {
        while at + UNROLL * V::COUNT <= end {
            let mut registers = [V::splat(0); UNROLL];
            for (index, register) in registers.iter_mut().enumerate() {
                *register = V::load(from.add(at + index * V::COUNT));
            }
            for (index, register) in registers.iter().enumerate() {
                register.store::<NT>(to.add(at + index * V::COUNT));
            }
            at += UNROLL * V::COUNT;
        }
        while at < end {
            to.add(at).write(from.add(at).read());
            at += 1;
        }
        V::fence();
    }
}
