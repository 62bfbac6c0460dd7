//! `attention`: one query for each head against a KV cache. Blocks of sixteen tokens are made ready once for all heads
//! that share them, and stay in the first cache meanwhile (up to heads of 128): keys turned, so that a register holds the same place of many
//! tokens and no sum goes across it, values as they are.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::stored::BF16_CODE;
use super::stored::{
    F32, LANES as STEP, Stored, array, exp, folded, holds, load, part, size_of, start, whole, with_stored,
};
#[cfg(target_arch = "x86_64")]
use super::vector::{F32x8, F32x16};
use super::vector::{Portable, Turned};
use super::{Kernel, Value, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "attention",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run_avx512),
        #[cfg(target_arch = "x86_64")]
        variant!("avx2", Avx2, run::<F32x8>),
        variant!("portable", Nothing, run::<Portable<f32>>),
    ],
};

/// The largest head.
pub(super) const DIM_MOST: usize = 256;
/// Tokens of a block: pages are whole blocks.
const TOKENS: usize = 16;
/// Heads that go through a band together.
const HEADS: usize = 8;
/// Tiles' rows are whole registers of every width.
const LANES: usize = 16;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(q),
            Value::Buffer(keys),
            Value::Buffer(values),
            Value::Buffer(pages),
            Value::Buffer(parts),
            Value::Buffer(out),
            Value::U64(rows),
            Value::U64(heads),
            Value::U64(kv_heads),
            Value::U64(head_dim),
            Value::U64(first),
            Value::U64(context),
            Value::U64(page),
            Value::U64(pages_each),
            Value::U64(splits),
            Value::U32(precision),
        ] => {
            (8..=DIM_MOST as u64).contains(head_dim)
                && head_dim.is_multiple_of(8)
                && *kv_heads > 0
                && heads.is_multiple_of(*kv_heads)
                && first < context
                && *page > 0
                && page.is_multiple_of(TOKENS as u64)
                && context.div_ceil(*page) <= *pages_each
                && *splits > 0
                && [keys, values].into_iter().all(|cache| holds(cache, &[*kv_heads, *page, *head_dim], *precision))
                && holds(q, &[*rows, *heads, *head_dim], *precision)
                && holds(out, &[*rows, *heads, *head_dim], *precision)
                && holds(pages, &[*rows, *pages_each], F32)
                && (*splits == 1 || holds(parts, &[*rows, *heads, *splits, *head_dim + 2], F32))
        }
        _ => false,
    };
    require(
        fits,
        "attention(q, keys, values, pages, parts, out, rows: U64, heads: U64, kv_heads: U64 that divides them, head_dim: U64 \
         of a multiple of 8 up to 256, first: U64, context: U64 above it, page: U64 of a multiple of 16, pages_each: U64, \
         splits: U64, precision: U32 of 1, 3, 5) with buffers that hold them",
    )
}

/// The shape of a launch.
struct Shape {
    kv_heads: usize,
    head_dim: usize,
    tokens: Range<usize>,
    page: usize,
    pages_each: usize,
    splits: usize,
    /// Numbers that the cache's buffers hold.
    room: usize,
}

impl Shape {
    /// The tokens of a band.
    #[inline(always)]
    fn band(&self, index: usize) -> Range<usize> {
        let each = (self.tokens.end - self.tokens.start).div_ceil(self.splits).next_multiple_of(TOKENS);
        let border = |index: usize| (self.tokens.start + index * each).min(self.tokens.end);
        border(index)..border(index + 1)
    }

    /// Numbers of a tile's row: a head's, in whole registers.
    #[inline(always)]
    fn width(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }
}

/// Where a launch's numbers are.
struct Memory<S: Stored> {
    q: *const S::Bits,
    keys: *const S::Bits,
    values: *const S::Bits,
    pages: *const u32,
    parts: *mut f32,
    out: *mut S::Bits,
}

/// What a worker keeps in its caches.
struct Tiles {
    /// Queries' words, a row for each head.
    q: [f32; HEADS * DIM_MOST],
    sums: [f32; HEADS * DIM_MOST],
    /// A block, a row for each token.
    block: [f32; TOKENS * DIM_MOST],
    /// Keys of a block, a row for each word of them.
    turned: [f32; TOKENS * DIM_MOST],
    scores: [[f32; TOKENS]; HEADS],
    most: [f32; HEADS],
    total: [f32; HEADS],
    /// What earlier sums are scaled by before a block is added.
    factors: [f32; HEADS],
}

/// How queries and keys are multiplied: 32-bit words of them, each with one number or more.
trait Words<S: Stored, V> {
    /// Numbers in a word.
    const DEPTH: usize;

    /// Writes the words of `dim` numbers.
    ///
    /// # Safety
    /// There must be so many; the processor is the caller's matter.
    unsafe fn row(from: *const S::Bits, dim: usize, to: &mut [f32]);

    /// `sum` plus the products of the words.
    ///
    /// # Safety
    /// The processor is the caller's matter.
    unsafe fn add(sum: V, queries: V, keys: V) -> V;
}

/// Each number widened to binary32.
struct Widened;

impl<S: Stored, V: Turned> Words<S, V> for Widened {
    const DEPTH: usize = 1;

    #[inline(always)]
    unsafe fn row(from: *const S::Bits, dim: usize, to: &mut [f32]) {
        for (at, numbers) in to[..dim].as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
            // SAFETY: there are so many.
            *numbers = unsafe { load::<S>(from.add(at * STEP)) };
        }
    }

    #[inline(always)]
    unsafe fn add(sum: V, queries: V, keys: V) -> V {
        // SAFETY: the caller's.
        unsafe { queries.multiply_add(keys, sum) }
    }
}

/// Two numbers of bfloat16 as they are.
#[cfg(target_arch = "x86_64")]
struct Paired;

#[cfg(target_arch = "x86_64")]
impl Words<super::stored::HalfBf16, F32x16> for Paired {
    const DEPTH: usize = 2;

    #[inline(always)]
    unsafe fn row(from: *const u16, dim: usize, to: &mut [f32]) {
        // As integers, which keep every bit.
        for at in (0..dim).step_by(STEP) {
            // SAFETY: there are so many: a head is whole steps.
            unsafe {
                let numbers = from.add(at).cast::<[u16; STEP]>().read_unaligned();
                to.as_mut_ptr().cast::<u16>().add(at).cast::<[u16; STEP]>().write_unaligned(numbers);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(sum: F32x16, queries: F32x16, keys: F32x16) -> F32x16 {
        // SAFETY: the caller's.
        unsafe { sum.add_pairs(queries, keys) }
    }
}

#[inline(always)]
unsafe fn run<V: Turned>(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 15) as u32, bands[V, Widened], args, place) }
}

/// AVX-512, with one instruction for pairs of bfloat16 where the processor has it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn run_avx512(args: &[Value], place: Place<'_>) {
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn paired(args: &[Value], place: Place<'_>) {
        // SAFETY: the same contract; what the code needs is enabled here.
        unsafe { bands::<super::stored::HalfBf16, F32x16, Paired>(args, place) }
    }
    // SAFETY: passed on, to what was just found to be there.
    unsafe {
        if whole(args, 15) as u32 == BF16_CODE && is_x86_feature_detected!("avx512bf16") {
            paired(args, place);
        } else {
            run::<F32x16>(args, place);
        }
    }
}

/// A band of a KV head of a sequence is a piece of work, for as many of its heads as go together.
#[inline(always)]
unsafe fn bands<S: Stored, V: Turned, W: Words<S, V>>(args: &[Value], place: Place<'_>) {
    let room = |index: usize| match args.get(index) {
        Some(Value::Buffer(span)) => span.len / size_of(whole(args, 15) as u32).unwrap_or(4) as usize,
        _ => 0,
    };
    let [rows, heads, kv_heads, head_dim, first, context, page, pages_each, splits] =
        [6, 7, 8, 9, 10, 11, 12, 13, 14].map(|index| whole(args, index));
    let room = room(1).min(room(2));
    let shape = Shape { kv_heads, head_dim, tokens: first..context, page, pages_each, splits, room };
    let memory = Memory::<S> {
        q: start(args, 0),
        keys: start(args, 1),
        values: start(args, 2),
        pages: start(args, 3),
        parts: start(args, 4),
        out: start(args, 5),
    };
    let mut tiles = Tiles {
        q: [0.0; HEADS * DIM_MOST],
        sums: [0.0; HEADS * DIM_MOST],
        block: [0.0; TOKENS * DIM_MOST],
        turned: [0.0; TOKENS * DIM_MOST],
        scores: [[0.0; TOKENS]; HEADS],
        most: [0.0; HEADS],
        total: [0.0; HEADS],
        factors: [0.0; HEADS],
    };
    let group = heads / kv_heads;
    // SAFETY: the check held all but the cache against the shape; a block that a page number puts outside it is left out.
    unsafe {
        for piece in part(rows * kv_heads * splits, place) {
            let (row, kv_head, band) = (piece / splits / kv_heads, piece / splits % kv_heads, piece % splits);
            for head in (0..group).step_by(HEADS) {
                let together = HEADS.min(group - head);
                let head = row * heads + kv_head * group + head;
                through::<S, V, W>(&shape, &memory, &mut tiles, row, kv_head, band, head..head + together);
                leave(&shape, &memory, &tiles, band, head..head + together);
            }
        }
    }
}

/// Some heads of a sequence through a band; heads are counted over all sequences.
#[inline(always)]
unsafe fn through<S: Stored, V: Turned, W: Words<S, V>>(
    shape: &Shape,
    memory: &Memory<S>,
    tiles: &mut Tiles,
    row: usize,
    kv_head: usize,
    band: usize,
    heads: Range<usize>,
) {
    let (dim, width, count) = (shape.head_dim, shape.width(), heads.len());
    let (words, scale) = ((dim / W::DEPTH).next_multiple_of(LANES), 1.0 / (dim as f32).sqrt());
    // SAFETY: as for `bands`.
    unsafe {
        for head in 0..count {
            let to = &mut tiles.q[head * words..][..words];
            to[dim / W::DEPTH..].fill(0.0);
            W::row(memory.q.add((heads.start + head) * dim), dim, to);
        }
        tiles.sums[..count * width].fill(0.0);
        tiles.most = [f32::NEG_INFINITY; HEADS];
        tiles.total = [0.0; HEADS];
        let tokens = shape.band(band);
        let mut token = tokens.start;
        while token < tokens.end {
            let end = (token / TOKENS * TOKENS + TOKENS).min(tokens.end);
            let page = memory.pages.add(row * shape.pages_each + token / shape.page).read() as usize;
            // A page that is not in the cache is left out: its number is data.
            if page < shape.room / (shape.kv_heads * shape.page * dim) {
                let at = ((page * shape.kv_heads + kv_head) * shape.page + token % shape.page) * dim;
                rows::<S, V, W>(memory.keys.add(at), end - token, dim, words, &mut tiles.block);
                turn::<V>(tiles, words);
                score::<S, V, W>(tiles, words, count);
                weigh(tiles, end - token, scale, count);
                rows::<S, V, Widened>(memory.values.add(at), end - token, dim, width, &mut tiles.block);
                add::<V>(tiles, end - token, width, count);
            }
            token = end;
        }
    }
}

/// Some tokens' numbers, a row of the tile each. Asks for what the next block will need.
#[inline(always)]
unsafe fn rows<S: Stored, V, W: Words<S, V>>(
    from: *const S::Bits,
    tokens: usize,
    dim: usize,
    words: usize,
    to: &mut [f32],
) {
    // SAFETY: as for `bands`; what is asked for ahead need not be there.
    unsafe {
        let row_b = dim * std::mem::size_of::<S::Bits>();
        // Two blocks ahead: a block's worth of work is less than what memory takes to answer.
        let ahead = from.cast::<u8>().wrapping_add(2 * tokens * row_b);
        for token in 0..tokens {
            for line in (0..row_b).step_by(64) {
                prefetch(ahead.wrapping_add(token * row_b + line));
            }
            let to = &mut to[token * words..][..words];
            to[dim / W::DEPTH..].fill(0.0);
            W::row(from.add(token * dim), dim, to);
        }
    }
}

#[inline(always)]
fn prefetch(_at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, for any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(_at.cast());
    }
}

/// Rows and columns of the block change places. Rows past its tokens hold what was there before: nobody uses the scores
/// that they give.
#[inline(always)]
unsafe fn turn<V: Turned>(tiles: &mut Tiles, words: usize) {
    // SAFETY: tiles hold whole rows and columns; the processor is the caller's matter.
    unsafe {
        let (from, to) = (tiles.block.as_ptr(), tiles.turned.as_mut_ptr());
        for word in (0..words).step_by(V::COUNT) {
            for token in (0..TOKENS).step_by(V::COUNT) {
                V::turn(from.add(token * words + word), words, to.add(word * TOKENS + token), TOKENS);
            }
        }
    }
}

/// Every head's scores of a block of keys.
#[inline(always)]
unsafe fn score<S: Stored, V: Turned, W: Words<S, V>>(tiles: &mut Tiles, words: usize, heads: usize) {
    // SAFETY: as for `turn`.
    unsafe {
        let mut head = 0;
        while head + 8 <= heads {
            dots::<S, V, W, 8, 1>(tiles, head, words);
            head += 8;
        }
        while head + 4 <= heads {
            dots::<S, V, W, 4, 2>(tiles, head, words);
            head += 4;
        }
        while head + 2 <= heads {
            dots::<S, V, W, 2, 4>(tiles, head, words);
            head += 2;
        }
        if head < heads {
            dots::<S, V, W, 1, 8>(tiles, head, words);
        }
    }
}

/// The products of `H` heads' queries with a block of keys: `P` sums of each head, so that additions do not wait for
/// one another.
#[inline(always)]
unsafe fn dots<S: Stored, V: Turned, W: Words<S, V>, const H: usize, const P: usize>(
    tiles: &mut Tiles,
    head: usize,
    words: usize,
) {
    // SAFETY: as for `turn`; a row has a multiple of sixteen words.
    unsafe {
        let (q, keys) = (tiles.q.as_ptr().add(head * words), tiles.turned.as_ptr());
        for token in (0..TOKENS).step_by(V::COUNT) {
            let mut sums = [[V::splat(0.0); P]; H];
            for word in (0..words).step_by(P) {
                for part in 0..P {
                    let keys = V::load(keys.add((word + part) * TOKENS + token));
                    for (next, sums) in sums.iter_mut().enumerate() {
                        sums[part] = W::add(sums[part], V::splat(q.add(next * words + word + part).read()), keys);
                    }
                }
            }
            let one = V::splat(1.0);
            for (next, sums) in sums.iter().enumerate() {
                let mut sum = sums[0];
                for more in &sums[1..] {
                    sum = more.multiply_add(one, sum);
                }
                sum.store(tiles.scores[head + next].as_mut_ptr().add(token));
            }
        }
    }
}

/// Scores to exponentials; what was summed before is scaled to the new largest.
#[inline(always)]
fn weigh(tiles: &mut Tiles, tokens: usize, scale: f32, heads: usize) {
    for head in 0..heads {
        let found = tiles.scores[head];
        let exact: [f32; TOKENS] = array(|token| if token < tokens { scale * found[token] } else { f32::NEG_INFINITY });
        let larger = |one: f32, other: f32| if other > one { other } else { one };
        let most = larger(tiles.most[head], folded(exact, larger));
        let scores = array(|token| exp(exact[token] - most));
        let factor = exp(tiles.most[head] - most);
        tiles.total[head] = tiles.total[head] * factor + folded(scores, |one, other| one + other);
        tiles.most[head] = most;
        tiles.factors[head] = factor;
        tiles.scores[head] = scores;
    }
}

/// Adds a block of values, each by its exponential.
#[inline(always)]
unsafe fn add<V: Turned>(tiles: &mut Tiles, tokens: usize, width: usize, heads: usize) {
    // SAFETY: as for `turn`.
    unsafe {
        let mut head = 0;
        while head + 2 <= heads {
            add_heads::<V, 2>(tiles, head, tokens, width);
            head += 2;
        }
        if head < heads {
            add_heads::<V, 1>(tiles, head, tokens, width);
        }
    }
}

#[inline(always)]
unsafe fn add_heads<V: Turned, const H: usize>(tiles: &mut Tiles, head: usize, tokens: usize, width: usize) {
    // SAFETY: as for `turn`.
    unsafe {
        let mut at = 0;
        while at + 4 * V::COUNT <= width {
            add_registers::<V, H, 4>(tiles, head, at, tokens, width);
            at += 4 * V::COUNT;
        }
        while at < width {
            add_registers::<V, H, 1>(tiles, head, at, tokens, width);
            at += V::COUNT;
        }
    }
}

#[inline(always)]
unsafe fn add_registers<V: Turned, const H: usize, const R: usize>(
    tiles: &mut Tiles,
    head: usize,
    at: usize,
    tokens: usize,
    width: usize,
) {
    // SAFETY: as for `turn`.
    unsafe {
        let (sums, values) = (tiles.sums.as_mut_ptr().add(head * width + at), tiles.block.as_ptr().add(at));
        let zero = V::splat(0.0);
        let mut held = [[zero; R]; H];
        for (next, held) in held.iter_mut().enumerate() {
            let factor = V::splat(tiles.factors[head + next]);
            for (index, held) in held.iter_mut().enumerate() {
                *held = V::load(sums.add(next * width + index * V::COUNT)).multiply_add(factor, zero);
            }
        }
        for token in 0..tokens {
            let values: [V; R] = array(|index| V::load(values.add(token * width + index * V::COUNT)));
            for (next, held) in held.iter_mut().enumerate() {
                let factor = V::splat(tiles.scores[head + next][token]);
                for (held, value) in held.iter_mut().zip(values) {
                    *held = value.multiply_add(factor, *held);
                }
            }
        }
        for (next, held) in held.iter().enumerate() {
            for (index, held) in held.iter().enumerate() {
                held.store(sums.add(next * width + index * V::COUNT));
            }
        }
    }
}

/// Writes what a band came to: the result itself where there is one band.
#[inline(always)]
unsafe fn leave<S: Stored>(shape: &Shape, memory: &Memory<S>, tiles: &Tiles, band: usize, heads: Range<usize>) {
    let (dim, width) = (shape.head_dim, shape.width());
    // SAFETY: as for `bands`; pieces of work write different places.
    unsafe {
        for (index, head) in heads.enumerate() {
            let sums = &tiles.sums[index * width..][..dim];
            if shape.splits == 1 {
                let factor = 1.0 / tiles.total[index];
                for (at, sum) in sums.iter().enumerate() {
                    memory.out.add(head * dim + at).write(S::narrow(sum * factor));
                }
            } else {
                let to = memory.parts.add((head * shape.splits + band) * (dim + 2));
                to.write(tiles.most[index]);
                to.add(1).write(tiles.total[index]);
                to.add(2).copy_from_nonoverlapping(sums.as_ptr(), dim);
            }
        }
    }
}
