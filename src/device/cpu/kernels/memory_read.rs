//! `memory_read`: the wrapping sum of each of 256 chunks.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::vector::{Portable, Words};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{Kernel, Value, cut, require, share, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "memory_read",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx2_2", Avx2, run::<Ymm, 2, 2, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<Ymm, 1, 8, 0>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512_2_nta", Avx512, run::<Zmm, 2, 2, 512>),
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<Zmm, 1, 4, 0>),
        variant!("portable", Nothing, run::<Portable<u32>, 1, 4, 0>),
    ],
};

/// Chunks, and words of the output.
pub(super) const PARTS: u64 = 256;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(from), Value::Buffer(out), Value::U64(words)]
        if *words <= from.word_count() && PARTS <= out.word_count());
    require(fits, "memory_read(in, out, words: U64) with in of words or more and out of 256 words")
}

#[inline(always)]
unsafe fn run<V: Words, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize>(
    args: &[Value],
    place: Place<'_>,
) {
    let [Value::Buffer(from), Value::Buffer(out), Value::U64(words)] = args else { return };
    let parts = Parts::<V, STREAMS, UNROLL, AHEAD>(from.words().cast_const(), PhantomData);
    // SAFETY: the check held `words` against the input and 256 words against the output.
    unsafe { sum_chunks(*words, out.words(), place, &parts) };
}

/// How a range of words is summed. No closure: it would not be compiled for the instruction set.
pub(super) trait SumOf {
    /// The sum over a range of words.
    ///
    /// # Safety
    /// The range must lie within the words, and the processor must have the instructions.
    unsafe fn sum_of(&self, range: Range<u64>) -> u32;
}

/// The words of `memory_read`, and how they are read.
struct Parts<V, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize>(*const u32, PhantomData<V>);

impl<V: Words, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize> SumOf
    for Parts<V, STREAMS, UNROLL, AHEAD>
{
    #[inline(always)]
    unsafe fn sum_of(&self, range: Range<u64>) -> u32 {
        // SAFETY: passed on.
        unsafe {
            sum::<V, STREAMS, UNROLL, AHEAD>(self.0.add(range.start as usize), (range.end - range.start) as usize)
        }
    }
}

/// Writes a sum for each of 256 chunks of `words` words.
///
/// Chunks do not end where shares do. The worker that has a chunk's first word writes its sum; one that
/// comes in later in the chunk adds to it once all have written.
///
/// # Safety
/// `part` must be good for ranges of `words` words, `out` for [`PARTS`] words, and all of the team must
/// call it.
#[inline(always)]
pub(super) unsafe fn sum_chunks(words: u64, out: *mut u32, place: Place<'_>, part: &impl SumOf) {
    let range = share(words, place);
    let mut chunk = if range.is_empty() { PARTS } else { chunk_of(words, range.start) };
    let mut late = None;
    while chunk < PARTS && cut(words, chunk, PARTS) < range.end {
        let (start, end) = (cut(words, chunk, PARTS), cut(words, chunk + 1, PARTS));
        let own = start.max(range.start)..end.min(range.end);
        let first = own.start;
        // SAFETY: both ends are borders of `words`.
        let sum = unsafe { part.sum_of(own) };
        if first != start {
            late = Some((chunk, sum));
        } else if start != end {
            // SAFETY: `chunk` is less than `PARTS`; no other worker writes this chunk's sum here.
            unsafe { out.add(chunk as usize).write(sum) };
        }
        chunk += 1;
    }
    if place.index == 0 {
        for empty in (0..PARTS).filter(|part| cut(words, *part, PARTS) == cut(words, part + 1, PARTS)) {
            // SAFETY: less than `PARTS`; nobody else writes the sum of an empty chunk.
            unsafe { out.add(empty as usize).write(0) };
        }
    }
    place.barrier.wait();
    if let Some((chunk, sum)) = late {
        // SAFETY: within the output; from the barrier on it is only added to, atomically.
        unsafe { AtomicU32::from_ptr(out.add(chunk as usize)) }.fetch_add(sum, Ordering::Relaxed);
    }
}

/// The chunk that holds word `at`, which is less than `words`.
fn chunk_of(words: u64, at: u64) -> u64 {
    let mut chunk = (u128::from(at) * u128::from(PARTS) / u128::from(words)) as u64;
    while cut(words, chunk + 1, PARTS) <= at {
        chunk += 1;
    }
    chunk
}

/// The wrapping sum of `count` words, read as `STREAMS` parts side by side, `UNROLL` registers of each per
/// turn of the loop, asking for lines `AHEAD` words before they are needed.
#[inline(always)]
unsafe fn sum<V: Words, const STREAMS: usize, const UNROLL: usize, const AHEAD: usize>(
    from: *const u32,
    count: usize,
) -> u32 {
    let turn = UNROLL * V::COUNT;
    let length = count / STREAMS / turn * turn;
    // SAFETY: every load is within `count` words; the contract of the vectors is the caller's.
    unsafe {
        let mut sums = [[V::splat(0); UNROLL]; STREAMS];
        let mut at = 0;
        while at < length {
            for (stream, sums) in sums.iter_mut().enumerate() {
                let from = from.add(stream * length + at);
                for (index, sum) in sums.iter_mut().enumerate() {
                    if AHEAD > 0 && (index * V::COUNT).is_multiple_of(16) {
                        V::prefetch(from.wrapping_add(AHEAD + index * V::COUNT));
                    }
                    *sum = sum.add(V::load(from.add(index * V::COUNT)));
                }
            }
            at += turn;
        }
        let mut total = 0_u32;
        for sum in sums.into_iter().flatten() {
            total = total.wrapping_add(sum.sum());
        }
        for index in STREAMS * length..count {
            total = total.wrapping_add(from.add(index).read());
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Pattern;
    use crate::device::cpu::memory::Buffer;
    use crate::device::cpu::pool::Pool;
    use crate::units::ByteCount;

    /// With three, five or seven workers, borders of chunks and of shares differ, and a chunk may lie in
    /// the shares of several.
    #[test]
    fn chunks_cut_by_shares_are_summed_whole() {
        for team in [1, 2, 3, 5, 7] {
            // All on one core: slow, and as right as elsewhere.
            let mut pool = Pool::new(&vec![0; team]).unwrap();
            for words in [1, 16, 40, 100, 4096, 4100, 70_001] {
                let buffers = [words * 4, PARTS * 4].map(|bytes| Buffer::new(ByteCount(bytes), 0, &mut pool).unwrap());
                let [from, out] = buffers.each_ref().map(Buffer::span);
                let pattern = Pattern::Words { seed: 1 };
                let args = [Value::Buffer(from), Value::Buffer(out), Value::U64(words)];
                (KERNEL.check)(&args).unwrap();
                for variant in KERNEL.usable() {
                    pool.run(team, &|place| {
                        crate::device::cpu::kernels::fill(from, pattern, place);
                        crate::device::cpu::kernels::fill(out, Pattern::Poison, place);
                        place.barrier.wait();
                        // SAFETY: checked above; the whole team calls it, on buffers of this test.
                        unsafe { (variant.run)(&args, place) };
                    })
                    .unwrap();
                    for part in 0..PARTS {
                        let chunk = cut(words, part, PARTS)..cut(words, part + 1, PARTS);
                        let expected = chunk.fold(0_u32, |sum, index| sum.wrapping_add(pattern.word(index)));
                        // SAFETY: the output has `PARTS` words, and no worker runs.
                        let found = unsafe { out.words().add(part as usize).read() };
                        assert_eq!(found, expected, "{team} workers, {words} words, {}, chunk {part}", variant.name);
                    }
                }
            }
        }
    }
}
