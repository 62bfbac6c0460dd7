//! `memory_triad`: `out = b + scalar * c` in binary32.

use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, require, share, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "memory_triad",
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
    let fits = matches!(
        args,
        [Value::Buffer(b), Value::Buffer(c), Value::Buffer(out), Value::U64(words), Value::F32(_)]
            if [b, c, out].iter().all(|buffer| *words <= buffer.word_count())
    );
    require(fits, "memory_triad(b, c, out, words: U64, scalar: F32) with buffers of words or more")
}

/// Registers of each stream per turn of the loop.
const UNROLL: usize = 4;

#[inline(always)]
unsafe fn run<V: Words, const NT: bool>(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(b), Value::Buffer(c), Value::Buffer(out), Value::U64(words), Value::F32(scalar)] = args else {
        return;
    };
    let range = share(*words, place);
    let (mut at, end) = (range.start as usize, range.end as usize);
    let (b, c, out) = (b.words().cast_const(), c.words().cast_const(), out.words());
    // SAFETY: `at` stays below `words`, which the check held against all buffers; shares start on cache lines.
    unsafe {
        let factor = V::splat(scalar.to_bits());
        while at + UNROLL * V::COUNT <= end {
            let mut registers = [V::splat(0); UNROLL];
            for (index, register) in registers.iter_mut().enumerate() {
                let offset = at + index * V::COUNT;
                *register = V::load(b.add(offset)).add_scaled(factor, V::load(c.add(offset)));
            }
            for (index, register) in registers.iter().enumerate() {
                register.store::<NT>(out.add(at + index * V::COUNT));
            }
            at += UNROLL * V::COUNT;
        }
        while at < end {
            let sum = f32::from_bits(b.add(at).read()) + scalar * f32::from_bits(c.add(at).read());
            out.add(at).write(sum.to_bits());
            at += 1;
        }
        V::fence();
    }
}
