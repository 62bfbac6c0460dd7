//! `rotate`: a row of work groups for each sequence, on each part of the KV cache that fits a binding.

use super::numbers::{format, optional, product};
use super::rows::{bands, span};
use super::{Code, Dispatch, Facts, Kernel, Value, constants, refuse};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "rotate", variants, dispatches };

const SIGNATURE: &str = "rotate(qkv, bias, angles, q, keys, values, pages, rows: U64, heads: U64, kv_heads: U64, \
                         head_dim: U64 of a multiple of 8, position: U64, page: U64, pages_each: U64, precision: U32, \
                         flags: U32 of 0 to 3) with buffers of as many numbers, and position within pages_each pages";

const ROTARY: u32 = 1;
const BIAS: u32 = 2;

/// Invocations of a work group.
const GROUP: u64 = 64;

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args {
        [.., Value::U32(precision), Value::U32(_)] if format(*precision, facts).is_some() => vec!["only"],
        _ => Vec::new(),
    }
}

fn dispatches(args: &[Value], _variant: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [
        Value::Buffer(qkv),
        Value::Buffer(bias),
        Value::Buffer(angles),
        Value::Buffer(q),
        Value::Buffer(keys),
        Value::Buffer(values),
        Value::Buffer(pages),
        numbers @ ..,
    ] = args
    else {
        return refuse(SIGNATURE);
    };
    let [
        Value::U64(rows),
        Value::U64(heads),
        Value::U64(kv_heads),
        Value::U64(head_dim),
        Value::U64(position),
        Value::U64(page),
        Value::U64(pages_each),
        Value::U32(precision),
        Value::U32(flags @ 0..=3),
    ] = numbers
    else {
        return refuse(SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(SIGNATURE) };
    let (rotary, biased) = (flags & ROTARY != 0, flags & BIAS != 0);
    let all = kv_heads.saturating_mul(2).saturating_add(*heads);
    let sizes = [*rows, *heads, *kv_heads, *head_dim, *page, *pages_each];
    if sizes.contains(&0)
        || !head_dim.is_multiple_of(8)
        || !product(&[*page, *pages_each]).is_some_and(|tokens| *position < tokens)
        || !product(&[*rows, *pages_each]).is_some_and(|words| words <= *pages)
        || !format.fits(product(&[*rows, all, *head_dim]), *qkv)
        || !format.fits(product(&[*rows, *heads, *head_dim]), *q)
        || (biased && !format.fits(product(&[all, *head_dim]), *bias))
        || (rotary && head_dim > angles)
    {
        return refuse(SIGNATURE);
    }
    // What a page has of one KV head, and how many of those the caches have.
    let Some(unit_bytes) = product(&[*page, *head_dim, format.size]) else { return refuse(SIGNATURE) };
    let units = keys.min(values) * 4 / unit_bytes;
    if units == 0 {
        return refuse(SIGNATURE);
    }
    let code = Code {
        prefix: constants(&[("GROUP", GROUP as u32)])
            + &format!("const ROTARY: bool = {rotary};\n")
            + &format.fours()
            + &optional("bias", 2, biased),
        text: include_str!("../../../../kernels/rotate/wgpu.wgsl"),
    };
    let (from, to) = (all * head_dim * format.size, heads * head_dim * format.size);
    let mut dispatches = Vec::new();
    for band in bands(*rows, &[from, to], facts.groups.into(), facts)? {
        for part in bands(units, &[unit_bytes], u64::from(u32::MAX), facts)? {
            let queries = u64::from(part.first == 0);
            let uniform = [
                *heads,
                *kv_heads,
                head_dim / 8,
                band.first,
                *position,
                *page,
                *pages_each,
                part.first,
                part.count,
                queries,
            ];
            let mut bindings = vec![band.of(0, from), band.of(3, to), part.of(4, unit_bytes), part.of(5, unit_bytes)];
            bindings.push(span(6, 0..rows * pages_each * 4));
            // Without rotation no angle is read, and any buffer may stand for them.
            let angles = if rotary { 2 } else { 6 };
            let bytes = if rotary { head_dim * 4 } else { rows * pages_each * 4 };
            bindings.push(super::Binding { number: 3, ..span(angles, 0..bytes) });
            if biased {
                bindings.push(span(1, 0..from));
            }
            dispatches.push(Dispatch {
                code: code.clone(),
                entry: "main",
                uniform: uniform.map(|number| number as u32).into(),
                bindings,
                grid: [(all * head_dim / 8).div_ceil(GROUP) as u32, band.count as u32, 1],
            });
        }
    }
    Ok(dispatches)
}
