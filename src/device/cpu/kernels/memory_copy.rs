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
        variant!("avx2_nt", Avx2, run::<Ymm, true, 2>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_nt", Avx512, run::<Zmm, true, 1>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_nt_8", Avx512, run::<Zmm, true, 8>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<Zmm, false, 4>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<Ymm, false, 8>),
        variant!("portable", Nothing, run::<Portable<u32>, false, 4>),
    ],
};

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(from), Value::Buffer(to), Value::U64(words)]
        if *words <= from.word_count() && *words <= to.word_count());
    require(fits, "memory_copy(in, out, words: U64) with buffers of words or more")
}

/// `UNROLL` registers are loaded, then stored, per turn of the loop: a cache line each for the machines
/// that like loads and stores to alternate, several for those that do not.
#[inline(always)]
unsafe fn run<V: Words, const NT: bool, const UNROLL: usize>(args: &[Value], place: Place<'_>) {
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
