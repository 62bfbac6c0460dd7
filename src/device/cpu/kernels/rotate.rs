//! `rotate`: queries, keys and values apart, the first two rotated, the last two appended to the KV cache.

use super::stored::{LANES, Stored, array, holds, load, part, size_of, start, store, whole, with_stored};
use super::{Kernel, Value, every_set, require};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "rotate", check, variants: every_set!(run) };

const ROTARY: u32 = 1;
const BIAS: u32 = 2;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(qkv),
            Value::Buffer(bias),
            Value::Buffer(angles),
            Value::Buffer(q),
            Value::Buffer(keys),
            Value::Buffer(values),
            Value::Buffer(pages),
            Value::U64(rows),
            Value::U64(heads),
            Value::U64(kv_heads),
            Value::U64(head_dim),
            Value::U64(position),
            Value::U64(page),
            Value::U64(pages_each),
            Value::U32(precision),
            Value::U32(flags @ 0..4),
        ] => {
            let Some(all) = kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(*heads)) else {
                return require(false, SIGNATURE);
            };
            (8..=super::attention::DIM_MOST as u64).contains(head_dim)
                && head_dim.is_multiple_of(8)
                && *page > 0
                && position / page < *pages_each
                && *kv_heads > 0
                && [keys, values].into_iter().all(|cache| holds(cache, &[*kv_heads, *page, *head_dim], *precision))
                && holds(qkv, &[*rows, all, *head_dim], *precision)
                && holds(q, &[*rows, *heads, *head_dim], *precision)
                && holds(pages, &[*rows, *pages_each], super::stored::F32)
                && (flags & ROTARY == 0 || *head_dim <= angles.word_count())
                && (flags & BIAS == 0 || holds(bias, &[all, *head_dim], *precision))
        }
        _ => false,
    };
    require(fits, SIGNATURE)
}

const SIGNATURE: &str = "rotate(qkv, bias, angles, q, keys, values, pages, rows: U64, heads: U64, kv_heads: U64, head_dim: \
                         U64 of a multiple of 8 up to 256, position: U64, page: U64, pages_each: U64, precision: U32 of 1, 3, 5, \
                         flags: U32 below 4) with buffers that hold them";

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 14) as u32, vectors[], args, place) }
}

/// Every head's query, key or value is a piece of work.
#[inline(always)]
unsafe fn vectors<S: Stored>(args: &[Value], place: Place<'_>) {
    let [qkv, bias, q, keys, values] = [0, 1, 3, 4, 5].map(|index| start::<S::Bits>(args, index));
    let (angles, pages) = (start::<f32>(args, 2), start::<u32>(args, 6));
    let [rows, heads, kv_heads, head_dim, position, page, pages_each] =
        [7, 8, 9, 10, 11, 12, 13].map(|index| whole(args, index));
    let flags = whole(args, 15) as u32;
    let room = |index: usize| match args.get(index) {
        Some(Value::Buffer(span)) => span.len / size_of(whole(args, 14) as u32).unwrap_or(4) as usize,
        _ => 0,
    };
    let room = room(4).min(room(5));
    let all = heads + 2 * kv_heads;
    // SAFETY: the check held everything but the cache against its buffer; the cache's place depends on data, and is held
    // against it here.
    unsafe {
        for piece in part(rows * all, place) {
            let (row, vector) = (piece / all, piece % all);
            let (from, bias) = (qkv.add(piece * head_dim), bias.wrapping_add(vector * head_dim));
            let to = if vector < heads {
                q.add((row * heads + vector) * head_dim)
            } else {
                let kv_head = (vector - heads) % kv_heads;
                let number = pages.add(row * pages_each + position / page).read() as usize;
                // A page that is not in the cache is left out: its number is data.
                if number >= room / (kv_heads * page * head_dim) {
                    continue;
                }
                let at = ((number * kv_heads + kv_head) * page + position % page) * head_dim;
                if vector < heads + kv_heads { keys.add(at) } else { values.add(at) }
            };
            let numbers = |index: usize| {
                let numbers = load::<S>(from.add(index));
                if flags & BIAS == 0 {
                    return numbers;
                }
                let bias = load::<S>(bias.add(index));
                array(|lane| numbers[lane] + bias[lane])
            };
            let turned = flags & ROTARY != 0 && vector < heads + kv_heads;
            let half = head_dim / 2;
            if turned && half.is_multiple_of(LANES) {
                for index in (0..half).step_by(LANES) {
                    let (x, y) = (numbers(index), numbers(index + half));
                    let angles = angles.add(2 * index).cast::<[[f32; 2]; LANES]>().read_unaligned();
                    store::<S>(array(|i| x[i] * angles[i][0] - y[i] * angles[i][1]), to.add(index));
                    store::<S>(array(|i| y[i] * angles[i][0] + x[i] * angles[i][1]), to.add(index + half));
                }
            } else if turned {
                // Half a head is not whole registers: a copy of it, number by number.
                let mut head = [0.0_f32; super::attention::DIM_MOST];
                for index in (0..head_dim).step_by(LANES) {
                    head[index..index + LANES].copy_from_slice(&numbers(index));
                }
                for index in 0..half {
                    let (x, y) = (head[index], head[index + half]);
                    let (c, s) = (angles.add(2 * index).read(), angles.add(2 * index + 1).read());
                    to.add(index).write(S::narrow(x * c - y * s));
                    to.add(index + half).write(S::narrow(y * c + x * s));
                }
            } else {
                for index in (0..head_dim).step_by(LANES) {
                    store::<S>(numbers(index), to.add(index));
                }
            }
        }
    }
}
