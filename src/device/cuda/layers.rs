//! The kernels of a decode step: what arguments fit them, and their blocks.

use super::kernels::{Kernel, Value};
use super::variants::{Blocks, Variant, way};

/// A buffer's words.
fn words(arg: &Value) -> u64 {
    match arg {
        Value::Buffer(_, words) => *words,
        _ => 0,
    }
}

/// The 64-bit numbers among the arguments, and the 32-bit ones; `None` if they are not so many.
fn numbers<const WIDE: usize, const SHORT: usize>(
    args: &[Value],
    buffers: usize,
) -> Option<([u64; WIDE], [u32; SHORT])> {
    let mut found = ([0; WIDE], [0; SHORT]);
    if args.len() != buffers + WIDE + SHORT {
        return None;
    }
    for (at, arg) in args.iter().enumerate() {
        match (arg, at.checked_sub(buffers)) {
            (Value::Buffer(..), None) => {}
            (Value::U64(number), Some(at)) if at < WIDE => found.0[at] = *number,
            (Value::U32(number), Some(at)) if at >= WIDE => found.1[at - WIDE] = *number,
            _ => return None,
        }
    }
    Some(found)
}

/// Bytes of a number, by what a `precision` argument spells.
fn bytes_of(precision: u32) -> Option<u64> {
    match precision {
        1 => Some(4),
        3 | 5 => Some(2),
        _ => None,
    }
}

fn product(sizes: &[u64]) -> Option<u64> {
    sizes.iter().try_fold(1_u64, |product, size| product.checked_mul(*size))
}

/// Whether a buffer holds the product of these sizes in bytes.
fn holds(buffer: &Value, sizes: &[u64]) -> bool {
    product(sizes).is_some_and(|bytes| bytes <= words(buffer).saturating_mul(4))
}

/// Packs of 16 bytes that one row may have: kernels count them in 32 bits.
const PACKS_MAX: u64 = 1 << 28;

/// Whether a row of so many numbers is one that kernels take.
fn is_row(width: u64) -> bool {
    width > 0 && width.is_multiple_of(8) && width <= 4 * PACKS_MAX
}

/// The blocks of rows whose threads take so many bytes each.
fn blocks(rows: u64, row_bytes: u64, each: u64, threads: u32) -> u64 {
    rows.saturating_mul((row_bytes / each).div_ceil(threads.into()))
}

fn fits_embed(args: &[Value]) -> bool {
    let Some(([rows, width, position], [precision, learned @ 0..=1])) = numbers(args, 4) else { return false };
    let Some(size) = bytes_of(precision) else { return false };
    let positions = position.checked_add(1).is_some_and(|rows| holds(&args[2], &[rows, width, size]));
    is_row(width) && holds(&args[0], &[rows, 4]) && (learned == 0 || positions) && holds(&args[3], &[rows, width, size])
}

fn embed_blocks(args: &[Value], threads: u32) -> u64 {
    let Some(([rows, width, _], [precision, _])) = numbers(args, 4) else { return 0 };
    blocks(rows, width * bytes_of(precision).unwrap_or(4), 16, threads)
}

fn fits_add_norm(args: &[Value]) -> bool {
    let Some(([rows, width], [precision, flags @ 0..=7])) = numbers(args, 7) else { return false };
    let Some(size) = bytes_of(precision) else { return false };
    let (add, bias, layer) = (flags & 1 != 0, flags & 3 == 3, flags & 4 != 0);
    let uses = |used: bool, argument: usize, rows: u64| !used || holds(&args[argument], &[rows, width, size]);
    let matrices = uses(true, 0, rows) && uses(add, 1, rows) && uses(add, 5, rows) && uses(true, 6, rows);
    is_row(width) && matrices && uses(bias, 2, 1) && uses(true, 3, 1) && uses(layer, 4, 1)
}

fn fits_rotate(args: &[Value]) -> bool {
    let Some((sizes, [precision, flags @ 0..=3])) = numbers::<7, 2>(args, 7) else { return false };
    let [rows, heads, kv_heads, head_dim, position, page, pages_each] = sizes;
    let Some(size) = bytes_of(precision) else { return false };
    let all = kv_heads.saturating_mul(2).saturating_add(heads);
    let width = all.saturating_mul(head_dim);
    is_row(width)
        && [heads, kv_heads, head_dim, page, pages_each].iter().all(|size| *size > 0)
        && head_dim.is_multiple_of(8)
        && product(&[page, pages_each]).is_some_and(|tokens| position < tokens)
        && holds(&args[0], &[rows, width, size])
        && (flags & 2 == 0 || holds(&args[1], &[width, size]))
        && (flags & 1 == 0 || holds(&args[2], &[head_dim, 4]))
        && holds(&args[3], &[rows, heads, head_dim, size])
        && holds(&args[6], &[rows, pages_each, 4])
}

/// A thread takes four numbers of either half of a head.
fn rotate_blocks(args: &[Value], threads: u32) -> u64 {
    let Some(([rows, heads, kv_heads, head_dim, ..], _)) = numbers::<7, 2>(args, 7) else { return 0 };
    blocks(rows, (heads + 2 * kv_heads) * head_dim, 8, threads)
}

fn fits_attention(args: &[Value]) -> bool {
    let Some((sizes, [precision])) = numbers::<9, 1>(args, 6) else { return false };
    let [rows, heads, kv_heads, head_dim, first, context, page, pages_each, splits] = sizes;
    let Some(size) = bytes_of(precision) else { return false };
    let counted = [rows, heads, kv_heads, head_dim, page, pages_each, splits, context];
    let cache = words(&args[1]).min(words(&args[2]));
    counted.iter().all(|size| (1..1 << 31).contains(size))
        && heads.is_multiple_of(kv_heads)
        && head_dim.is_multiple_of(8)
        && head_dim <= 256
        && first < context
        && page.is_multiple_of(16)
        && context <= page * pages_each
        // Packs of the cache are counted in 32 bits.
        && cache / 4 <= u64::from(u32::MAX)
        && holds(&args[0], &[rows, heads, head_dim, size])
        && holds(&args[3], &[rows, pages_each, 4])
        && match splits {
            1 => holds(&args[5], &[rows, heads, head_dim, size]),
            _ => holds(&args[4], &[rows, heads, splits, head_dim + 2, 4]),
        }
}

/// Blocks that take up to `TOGETHER` heads of a KV head each.
fn attention_blocks<const TOGETHER: u64>(args: &[Value], _threads: u32) -> u64 {
    let Some(([rows, heads, kv_heads, .., splits], _)) = numbers::<9, 1>(args, 6) else { return 0 };
    let groups = (heads / kv_heads.max(1)).div_ceil(TOGETHER);
    [kv_heads, groups, splits].iter().fold(rows, |blocks, more| blocks.saturating_mul(*more))
}

/// The ways for a head's size and the heads that share a KV head: more heads than there are would be work for nothing.
fn attention_ways(args: &[Value]) -> &'static [Variant] {
    let Some(([_, heads, kv_heads, head_dim, ..], [precision])) = numbers::<9, 1>(args, 6) else { return &[] };
    let Some(format) = [1, 3, 5].iter().position(|known| *known == precision) else { return &[] };
    let alone = usize::from(heads > kv_heads);
    match head_dim {
        64 => D64[format][alone],
        128 => D128[format][alone],
        _ => ANY[format][alone],
    }
}

macro_rules! attention {
    ($format:literal, $dim:literal, $heads:literal, $name:literal) => {
        way($name, concat!("attention_", $format, "_", $dim, "_", $name), 128, Blocks::Of(attention_blocks::<$heads>))
    };
}

/// By format, and by whether several heads share a KV head.
type Ways = [[&'static [Variant]; 2]; 3];

macro_rules! d64 {
    ($format:literal) => {
        [
            &[attention!($format, "d64", 1, "h1")],
            &[attention!($format, "d64", 8, "h8"), attention!($format, "d64", 1, "h1")],
        ]
    };
}

macro_rules! d128 {
    ($format:literal) => {
        [
            &[attention!($format, "d128", 1, "h1")],
            &[
                attention!($format, "d128", 4, "h4"),
                attention!($format, "d128", 8, "h8"),
                attention!($format, "d128", 1, "h1"),
            ],
        ]
    };
}

macro_rules! any {
    ($format:literal) => {
        [
            &[attention!($format, "any", 1, "h1")],
            &[attention!($format, "any", 4, "h4"), attention!($format, "any", 1, "h1")],
        ]
    };
}

static D64: Ways = [d64!("f32"), d64!("f16"), d64!("bf16")];
static D128: Ways = [d128!("f32"), d128!("f16"), d128!("bf16")];
static ANY: Ways = [any!("f32"), any!("f16"), any!("bf16")];

fn fits_join(args: &[Value]) -> bool {
    let Some(([rows, heads, head_dim, splits], [precision])) = numbers(args, 2) else { return false };
    let Some(size) = bytes_of(precision) else { return false };
    is_row(head_dim)
        && (1..1 << 31).contains(&splits)
        && holds(&args[0], &[rows, heads, splits, head_dim + 2, 4])
        && holds(&args[1], &[rows, heads, head_dim, size])
}

/// A row is a head's.
fn join_blocks(args: &[Value], threads: u32) -> u64 {
    let Some(([rows, heads, head_dim, _], [precision])) = numbers::<4, 1>(args, 2) else { return 0 };
    blocks(rows.saturating_mul(heads), head_dim * bytes_of(precision).unwrap_or(4), 16, threads)
}

fn fits_activate(args: &[Value]) -> bool {
    let Some(([rows, inner], [precision, flags @ 0..=3])) = numbers(args, 3) else { return false };
    let Some(size) = bytes_of(precision) else { return false };
    let halves = if flags & 1 != 0 { 2 } else { 1 };
    is_row(inner)
        && holds(&args[0], &[rows, halves, inner, size])
        && (flags & 2 == 0 || holds(&args[1], &[halves, inner, size]))
        && holds(&args[2], &[rows, inner, size])
}

fn activate_blocks(args: &[Value], threads: u32) -> u64 {
    let Some(([rows, inner], [precision, _])) = numbers(args, 3) else { return 0 };
    blocks(rows, inner * bytes_of(precision).unwrap_or(4), 16, threads)
}

/// Blocks that take a row each, at most: hardly more run at once, and those that are done take another row.
const ROWS_AT_ONCE: u64 = 1024;

/// A block for each row.
fn rows(args: &[Value], _threads: u32) -> u64 {
    let rows = args.iter().find_map(|arg| if let Value::U64(rows) = arg { Some(*rows) } else { None });
    rows.unwrap_or(0).min(ROWS_AT_ONCE)
}

/// The ways of a kernel that has one entry for each format, by the `precision` argument, `behind` the last but so many.
fn by_format(args: &[Value], behind: usize, ways: &'static [[Variant; 2]; 3]) -> &'static [Variant] {
    match args.len().checked_sub(behind + 1).and_then(|at| args.get(at)) {
        Some(Value::U32(1)) => &ways[0],
        Some(Value::U32(3)) => &ways[1],
        Some(Value::U32(5)) => &ways[2],
        _ => &[],
    }
}

macro_rules! formats {
    ($id:literal, $blocks:expr, $few:literal, $many:literal) => {
        [
            formats!($id, "_f32", $blocks, $few, $many),
            formats!($id, "_f16", $blocks, $few, $many),
            formats!($id, "_bf16", $blocks, $few, $many),
        ]
    };
    ($id:literal, $format:literal, $blocks:expr, $few:literal, $many:literal) => {
        [
            way(concat!("threads_", $few), concat!($id, $format), $few, Blocks::Of($blocks)),
            way(concat!("threads_", $many), concat!($id, $format), $many, Blocks::Of($blocks)),
        ]
    };
}

static EMBED: [[Variant; 2]; 3] = formats!("embed", embed_blocks, 128, 256);
static ADD_NORM: [[Variant; 2]; 3] = formats!("add_norm", rows, 256, 1024);
static ROTATE: [[Variant; 2]; 3] = formats!("rotate", rotate_blocks, 128, 256);
static JOIN: [[Variant; 2]; 3] = formats!("attention_join", join_blocks, 32, 128);
static ACTIVATE: [[Variant; 2]; 3] = formats!("activate", activate_blocks, 128, 256);

/// The kernels of a decode step.
pub(super) static KERNELS: &[Kernel] = &[
    Kernel {
        id: "embed",
        signature: "embed(tokens, table, positions, out, rows: U64, width: U64 of a multiple of 8, position: U64, \
                    precision: U32, learned: U32) with buffers of as many numbers",
        fits: fits_embed,
        variants: |args, _| Ok(by_format(args, 1, &EMBED)),
    },
    Kernel {
        id: "add_norm",
        signature: "add_norm(input, delta, bias, gain, shift, sum, out, rows: U64, width: U64 of a multiple of 8, \
                    precision: U32, flags: U32 of 0 to 7) with buffers of as many numbers where the flags use them",
        fits: fits_add_norm,
        variants: |args, _| Ok(by_format(args, 1, &ADD_NORM)),
    },
    Kernel {
        id: "rotate",
        signature: "rotate(qkv, bias, angles, q, keys, values, pages, rows: U64, heads: U64, kv_heads: U64, head_dim: U64 \
                    of a multiple of 8, position: U64, page: U64, pages_each: U64, precision: U32, flags: U32 of 0 to 3) \
                    with buffers of as many numbers, and position within pages_each pages",
        fits: fits_rotate,
        variants: |args, _| Ok(by_format(args, 1, &ROTATE)),
    },
    Kernel {
        id: "attention",
        signature: "attention(q, keys, values, pages, parts, out, rows: U64, heads: U64, kv_heads: U64, head_dim: U64 of a \
                    multiple of 8 up to 256, first: U64, context: U64, page: U64 of a multiple of 16, pages_each: U64, \
                    splits: U64, precision: U32) with kv_heads dividing heads, first below context, context within \
                    pages_each pages, and buffers of as many numbers",
        fits: fits_attention,
        variants: |args, _| Ok(attention_ways(args)),
    },
    Kernel {
        id: "attention_join",
        signature: "attention_join(parts, out, rows: U64, heads: U64, head_dim: U64 of a multiple of 8, splits: U64, \
                    precision: U32) with buffers of as many numbers",
        fits: fits_join,
        variants: |args, _| Ok(by_format(args, 0, &JOIN)),
    },
    Kernel {
        id: "activate",
        signature: "activate(input, bias, out, rows: U64, inner: U64 of a multiple of 8, precision: U32, flags: U32 of 0 \
                    to 3) with buffers of as many numbers",
        fits: fits_activate,
        variants: |args, _| Ok(by_format(args, 1, &ACTIVATE)),
    },
];
