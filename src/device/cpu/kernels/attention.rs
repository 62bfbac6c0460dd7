//! `attention`: one query for each head against a KV cache. Blocks of sixteen tokens are widened once for all heads that
//! share them, and stay in the first cache meanwhile.

use std::ops::Range;

use super::stored::{F32, LANES as STEP, Stored, array, exp, holds, load, part, size_of, start, whole, with_stored};
#[cfg(target_arch = "x86_64")]
use super::vector::{F32x8, F32x16};
use super::vector::{Numbers, Portable};
use super::{Kernel, Value, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel {
    id: "attention",
    check,
    variants: &[
        #[cfg(target_arch = "x86_64")]
        variant!("avx512", Avx512, run::<F32x16>),
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
    q: [f32; HEADS * DIM_MOST],
    sums: [f32; HEADS * DIM_MOST],
    block: [f32; TOKENS * DIM_MOST],
    scores: [[f32; TOKENS]; HEADS],
    most: [f32; HEADS],
    total: [f32; HEADS],
    /// What earlier sums are scaled by before a block is added.
    factors: [f32; HEADS],
}

#[inline(always)]
unsafe fn run<V: Numbers<Element = f32>>(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 15) as u32, bands[V], args, place) }
}

/// A band of a KV head of a sequence is a piece of work, for as many of its heads as go together.
#[inline(always)]
unsafe fn bands<S: Stored, V: Numbers<Element = f32>>(args: &[Value], place: Place<'_>) {
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
                through::<S, V>(&shape, &memory, &mut tiles, row, kv_head, band, head..head + together);
                leave(&shape, &memory, &tiles, band, head..head + together);
            }
        }
    }
}

/// Some heads of a sequence through a band; heads are counted over all sequences.
#[inline(always)]
unsafe fn through<S: Stored, V: Numbers<Element = f32>>(
    shape: &Shape,
    memory: &Memory<S>,
    tiles: &mut Tiles,
    row: usize,
    kv_head: usize,
    band: usize,
    heads: Range<usize>,
) {
    let (dim, width, count) = (shape.head_dim, shape.width(), heads.len());
    let scale = 1.0 / (dim as f32).sqrt();
    // SAFETY: as for `bands`.
    unsafe {
        for head in 0..count {
            for at in 0..dim {
                tiles.q[head * width + at] = scale * S::widen(memory.q.add((heads.start + head) * dim + at).read());
            }
            tiles.q[head * width + dim..(head + 1) * width].fill(0.0);
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
                widen::<S>(memory.keys.add(at), end - token, dim, width, &mut tiles.block);
                score::<V>(tiles, end - token, width, count);
                widen::<S>(memory.values.add(at), end - token, dim, width, &mut tiles.block);
                add::<V>(tiles, end - token, width, count);
            }
            token = end;
        }
    }
}

/// Some tokens' numbers, a row of the tile each. Asks for what the next block will need.
#[inline(always)]
unsafe fn widen<S: Stored>(from: *const S::Bits, tokens: usize, dim: usize, width: usize, to: &mut [f32]) {
    // SAFETY: as for `bands`; what is asked for ahead need not be there.
    unsafe {
        let row_b = dim * std::mem::size_of::<S::Bits>();
        // Two blocks ahead: a block's worth of work is less than what memory takes to answer.
        let ahead = from.cast::<u8>().wrapping_add(2 * tokens * row_b);
        for token in 0..tokens {
            for line in (0..row_b).step_by(64) {
                prefetch(ahead.wrapping_add(token * row_b + line));
            }
            let to = &mut to[token * width..][..width];
            let (row, padding) = to.split_at_mut(dim);
            for (at, numbers) in row.as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
                *numbers = load::<S>(from.add(token * dim + at * STEP));
            }
            padding.fill(0.0);
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

/// The heads' scores of a block of keys, and their exponentials; what was summed before is scaled to the new largest.
#[inline(always)]
unsafe fn score<V: Numbers<Element = f32>>(tiles: &mut Tiles, tokens: usize, width: usize, heads: usize) {
    // SAFETY: tiles hold whole rows; the processor is the caller's matter.
    unsafe {
        let mut head = 0;
        // As many sums as a wide register file holds.
        while V::COUNT == LANES && head + 4 <= heads {
            dots::<V, 4>(tiles, head, tokens, width);
            head += 4;
        }
        while head + 2 <= heads {
            dots::<V, 2>(tiles, head, tokens, width);
            head += 2;
        }
        if head < heads {
            dots::<V, 1>(tiles, head, tokens, width);
        }
        for head in 0..heads {
            let scores = &mut tiles.scores[head];
            scores[tokens..].fill(f32::NEG_INFINITY);
            let most = scores.iter().fold(tiles.most[head], |most, score| if *score > most { *score } else { most });
            let exact = *scores;
            *scores = array(|token| exp(exact[token] - most));
            let factor = exp(tiles.most[head] - most);
            tiles.total[head] = tiles.total[head] * factor + scores.iter().sum::<f32>();
            tiles.most[head] = most;
            tiles.factors[head] = factor;
        }
    }
}

/// The products of `H` heads' queries with a block of keys, four tokens at a time.
#[inline(always)]
unsafe fn dots<V: Numbers<Element = f32>, const H: usize>(tiles: &mut Tiles, head: usize, tokens: usize, width: usize) {
    const SIDE_BY_SIDE: usize = 4;
    // SAFETY: as for `score`; rows past the tokens hold what was there before, and their scores are overwritten.
    unsafe {
        let (q, keys) = (tiles.q.as_ptr().add(head * width), tiles.block.as_ptr());
        for token in (0..tokens).step_by(SIDE_BY_SIDE) {
            let mut sums = [[V::splat(0.0); SIDE_BY_SIDE]; H];
            for at in (0..width).step_by(V::COUNT) {
                let keys: [V; SIDE_BY_SIDE] = array(|next| V::load(keys.add((token + next) * width + at)));
                for (next, sums) in sums.iter_mut().enumerate() {
                    let query = V::load(q.add(next * width + at));
                    for (sum, key) in sums.iter_mut().zip(keys) {
                        *sum = query.multiply_add(key, *sum);
                    }
                }
            }
            for (next, sums) in sums.iter().enumerate() {
                for (at, sum) in sums.iter().enumerate() {
                    let mut lanes = [[0.0_f32; 4]; LANES / 4];
                    sum.store(lanes.as_mut_ptr().cast());
                    // As a tree, so that no addition waits for the one before it.
                    let four: [f32; 4] =
                        array(|lane| (lanes[0][lane] + lanes[1][lane]) + (lanes[2][lane] + lanes[3][lane]));
                    tiles.scores[head + next][token + at] = (four[0] + four[1]) + (four[2] + four[3]);
                }
            }
        }
    }
}

/// Adds a block of values, each by its exponential.
#[inline(always)]
unsafe fn add<V: Numbers<Element = f32>>(tiles: &mut Tiles, tokens: usize, width: usize, heads: usize) {
    // SAFETY: as for `score`.
    unsafe {
        for head in 0..heads {
            let mut at = 0;
            while at + 4 * V::COUNT <= width {
                add_registers::<V, 4>(tiles, head, at, tokens, width);
                at += 4 * V::COUNT;
            }
            while at < width {
                add_registers::<V, 1>(tiles, head, at, tokens, width);
                at += V::COUNT;
            }
        }
    }
}

#[inline(always)]
unsafe fn add_registers<V: Numbers<Element = f32>, const R: usize>(
    tiles: &mut Tiles,
    head: usize,
    at: usize,
    tokens: usize,
    width: usize,
) {
    // SAFETY: as for `score`.
    unsafe {
        let (sums, values) = (tiles.sums.as_mut_ptr().add(head * width + at), tiles.block.as_ptr().add(at));
        let (factor, zero) = (V::splat(tiles.factors[head]), V::splat(0.0));
        let earlier = |index: usize| V::load(sums.add(index * V::COUNT)).multiply_add(factor, zero);
        let mut held: [V; R] = array(earlier);
        for (token, score) in tiles.scores[head].iter().enumerate().take(tokens) {
            let factor = V::splat(*score);
            for (index, held) in held.iter_mut().enumerate() {
                *held = V::load(values.add(token * width + index * V::COUNT)).multiply_add(factor, *held);
            }
        }
        for (index, held) in held.iter().enumerate() {
            held.store(sums.add(index * V::COUNT));
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
