//! `attention`: a work group for each band of each sequence and some heads that share a KV head; and `attention_join`.

use super::numbers::{Format, format, product};
use super::rows::{Band, bands, span};
use super::{Code, Dispatch, Facts, Kernel, Value, constants, refuse, spread};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "attention", variants, dispatches };
pub(in super::super) static JOIN: Kernel =
    Kernel { id: "attention_join", variants: join_variants, dispatches: join_dispatches };

const SIGNATURE: &str = "attention(q, keys, values, pages, parts, out, rows: U64, heads: U64, kv_heads: U64, head_dim: U64 of \
                         a multiple of 8 up to 256, first: U64, context: U64, page: U64 of a multiple of 16, pages_each: \
                         U64, splits: U64, precision: U32) with kv_heads dividing heads, first below context, context \
                         within pages_each pages, and buffers of as many numbers";

/// Names, and invocations of a work group.
const VARIANTS: [(&str, u64); 3] = [("group_128", 128), ("group_64", 64), ("group_256", 256)];
/// Tokens of a tile.
const TILE: u64 = 64;
/// Heads that a work group takes, at most: work-group memory of 16 KiB, which all devices have, holds their queries and the
/// scores of a tile.
const HEADS_MAX: u64 = 8;
/// Bytes of the queries that it holds, at most.
const QUERIES_MAX: u64 = 4 << 10;

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args.last() {
        Some(Value::U32(precision)) if format(*precision, facts).is_some() => {
            let fit = VARIANTS.iter().filter(|(_, group)| *group <= facts.group);
            fit.map(|(name, _)| *name).collect()
        }
        _ => Vec::new(),
    }
}

/// The numbers among the arguments.
struct Shape {
    rows: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    first: u64,
    context: u64,
    page: u64,
    pages_each: u64,
    splits: u64,
}

impl Shape {
    fn of(args: &[Value]) -> Option<Self> {
        let mut numbers = [0; 9];
        for (number, arg) in numbers.iter_mut().zip(args) {
            let Value::U64(value) = arg else { return None };
            *number = *value;
        }
        let [rows, heads, kv_heads, head_dim, first, context, page, pages_each, splits] = numbers;
        let sizes = [rows, heads, kv_heads, head_dim, page, pages_each, splits];
        let sound = args.len() == 10
            && !sizes.contains(&0)
            && heads.is_multiple_of(kv_heads)
            && head_dim.is_multiple_of(8)
            && head_dim <= 256
            && first < context
            && page.is_multiple_of(16)
            && product(&[page, pages_each]).is_some_and(|tokens| context <= tokens);
        sound.then_some(Self { rows, heads, kv_heads, head_dim, first, context, page, pages_each, splits })
    }

    /// Whether buffers of so many words hold it all.
    fn fits(&self, format: &Format, [q, pages, parts, out]: [u64; 4]) -> bool {
        let numbers = product(&[self.rows, self.heads, self.head_dim]);
        let words = product(&[self.rows, self.heads, self.splits, self.head_dim + 2]);
        format.fits(numbers, q)
            && product(&[self.rows, self.pages_each]).is_some_and(|words| words <= pages)
            && match self.splits {
                1 => format.fits(numbers, out),
                _ => words.is_some_and(|words| words <= parts),
            }
    }

    /// Tokens of a band.
    fn band(&self) -> u64 {
        (self.context - self.first).div_ceil(self.splits).next_multiple_of(16)
    }

    /// Heads that a work group takes: as many of those that share a KV head as it can, in even groups.
    fn together(&self) -> u64 {
        let sharing = self.heads / self.kv_heads;
        let most = HEADS_MAX.min(QUERIES_MAX / (self.head_dim * 4)).max(1);
        sharing.div_ceil(sharing.div_ceil(most))
    }

    /// What a dispatch is told: `band` are its rows and `part` the units of the cache in its bindings.
    fn uniform(&self, band: Band, part: Band) -> Vec<u32> {
        let sharing = self.heads / self.kv_heads;
        let groups = sharing.div_ceil(self.together());
        let numbers = [band.count, band.first, self.kv_heads, sharing, groups, self.first, self.context, self.page];
        let more = [self.pages_each, self.splits, self.band(), part.first, part.count];
        let scale = (1.0 / (self.head_dim as f64).sqrt()) as f32;
        let numbers = numbers.into_iter().chain(more).map(|number| number as u32);
        numbers.chain([scale.to_bits(), f32::NEG_INFINITY.to_bits()]).collect()
    }
}

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [
        Value::Buffer(q),
        Value::Buffer(keys),
        Value::Buffer(values),
        Value::Buffer(pages),
        Value::Buffer(parts),
        Value::Buffer(out),
        numbers @ ..,
    ] = args
    else {
        return refuse(SIGNATURE);
    };
    let (Some(shape), Some(Value::U32(precision))) = (Shape::of(numbers), numbers.last()) else {
        return refuse(SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(SIGNATURE) };
    let Some(unit_bytes) = product(&[shape.page, shape.head_dim, format.size]) else { return refuse(SIGNATURE) };
    let units = keys.min(values) * 4 / unit_bytes;
    if !shape.fits(&format, [*q, *pages, *parts, *out]) || units == 0 {
        return refuse(SIGNATURE);
    }
    let cache = bands(units, &[unit_bytes], u64::from(u32::MAX), facts)?;
    if cache.len() > 1 && shape.pages_each > 1 {
        return Err(DeviceError::Unsupported(format!(
            "keys of several pages to a sequence must fit one binding, which on this device is at most {} MiB",
            facts.binding >> 20
        )));
    }
    let (_, group) = *VARIANTS.iter().find(|(known, _)| *known == name).unwrap_or(&VARIANTS[0]);
    let together = shape.together();
    let sizes = [("GROUP", group), ("HEADS", together), ("PACKS", shape.head_dim / 4), ("TILE", TILE)];
    let code = Code {
        prefix: constants(&sizes.map(|(name, size)| (name, size as u32))) + &format.fours(),
        text: include_str!("../../../../kernels/attention/wgpu.wgsl"),
    };
    let row_bytes = shape.heads * shape.head_dim * format.size;
    let parts_bytes = shape.heads * shape.splits * (shape.head_dim + 2) * 4;
    let (entry, to, to_bytes) = if shape.splits == 1 { ("whole", 5, row_bytes) } else { ("band", 4, parts_bytes) };
    let flop = 4 * shape.heads * shape.head_dim * (shape.context - shape.first);
    let most = (facts.dispatch_flop / flop.max(1)).max(256);
    let groups = shape.kv_heads * (shape.heads / shape.kv_heads).div_ceil(together) * shape.splits;
    let mut dispatches = Vec::new();
    for band in bands(shape.rows, &[row_bytes, to_bytes], most, facts)? {
        for part in &cache {
            dispatches.push(Dispatch {
                code: code.clone(),
                entry,
                uniform: shape.uniform(band, *part),
                bindings: vec![
                    band.of(0, row_bytes),
                    part.of(1, unit_bytes),
                    part.of(2, unit_bytes),
                    span(3, 0..shape.rows * shape.pages_each * 4),
                    band.of(to, to_bytes),
                ],
                grid: spread(band.count * groups, facts),
            });
        }
    }
    Ok(dispatches)
}

const JOIN_SIGNATURE: &str = "attention_join(parts, out, rows: U64, heads: U64, head_dim: U64 of a multiple of 8, splits: \
                              U64, precision: U32) with buffers of as many numbers";

/// Invocations of a work group that joins.
const JOINING: u64 = 64;

fn join_variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args.last() {
        Some(Value::U32(precision)) if format(*precision, facts).is_some() => vec!["only"],
        _ => Vec::new(),
    }
}

fn join_dispatches(args: &[Value], _variant: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [
        Value::Buffer(parts),
        Value::Buffer(out),
        Value::U64(rows),
        Value::U64(heads),
        Value::U64(head_dim),
        Value::U64(splits),
        Value::U32(precision),
    ] = args
    else {
        return refuse(JOIN_SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(JOIN_SIGNATURE) };
    let sizes = [*rows, *heads, *head_dim, *splits];
    if sizes.contains(&0)
        || !head_dim.is_multiple_of(8)
        || !format.fits(product(&[*rows, *heads, *head_dim]), *out)
        || !product(&[*rows, *heads, *splits, head_dim + 2]).is_some_and(|words| words <= *parts)
    {
        return refuse(JOIN_SIGNATURE);
    }
    let code = Code {
        prefix: constants(&[("GROUP", JOINING as u32)]) + &format.fours(),
        text: include_str!("../../../../kernels/attention_join/wgpu.wgsl"),
    };
    let (from, to) = (heads * splits * (head_dim + 2) * 4, heads * head_dim * format.size);
    let packs = head_dim / 4;
    let dispatch = |band: Band| {
        let items = band.count * heads * packs;
        Dispatch {
            code: code.clone(),
            entry: "main",
            uniform: [packs, items, *splits].map(|number| number as u32).into(),
            bindings: vec![band.of(0, from), band.of(1, to)],
            grid: spread(items.div_ceil(JOINING), facts),
        }
    };
    Ok(bands(*rows, &[from, to], u64::from(u32::MAX), facts)?.into_iter().map(dispatch).collect())
}
