//! `add_norm`: a work group for each row.

use super::numbers::{Format, format, optional, product};
use super::rows::{Band, bands, span};
use super::{Code, Dispatch, Facts, Kernel, Value, constants, refuse, spread};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "add_norm", variants, dispatches };

const SIGNATURE: &str = "add_norm(input, delta, bias, gain, shift, sum, out, rows: U64, width: U64 of a multiple of 8, \
                         precision: U32, flags: U32 of 0 to 7) with buffers of as many numbers where the flags use them";

const ADD: u32 = 1;
const BIAS: u32 = 2;
const LAYER: u32 = 4;

/// Names, and the root of the number of invocations of a work group.
const VARIANTS: [(&str, u64); 2] = [("group_256", 16), ("group_64", 8)];

/// Bytes of a row that work-group memory keeps, at most: 16 KiB, which all devices have, less what sums need.
const KEPT_MAX: u64 = 14 << 10;

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args {
        [.., Value::U32(precision), Value::U32(_)] if format(*precision, facts).is_some() => {
            VARIANTS.iter().map(|(name, _)| *name).collect()
        }
        _ => Vec::new(),
    }
}

fn code(format: &Format, side: u64, width: u64, flags: u32) -> Code {
    let (add, layer) = (flags & ADD != 0, flags & LAYER != 0);
    let kept = if width * format.size <= KEPT_MAX { width / 4 } else { 1 };
    let sums = match add {
        true => {
            "@group(0) @binding(6) var<storage, read_write> sum_out: array<stored>;\n\
             fn added(at: u32, pack: u32) -> vec4<f32> { return unpack4(input[at]) + delta_at(at) + bias_at(pack); }\n\
             fn put_sum(at: u32, x: stored) { sum_out[at] = x; }\n"
        }
        false => {
            "fn added(at: u32, pack: u32) -> vec4<f32> { return unpack4(input[at]); }\n\
             fn put_sum(at: u32, x: stored) {}\n"
        }
    };
    Code {
        prefix: constants(&[("GROUP", (side * side) as u32), ("SIDE", side as u32), ("KEPT", kept as u32)])
            + &format!("const LAYER: bool = {layer};\n")
            + &format.fours()
            + &optional("delta", 2, add)
            + &optional("bias", 3, add && flags & BIAS != 0)
            + &optional("shift", 5, layer)
            + sums,
        text: include_str!("../../../../kernels/add_norm/wgpu.wgsl"),
    }
}

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [
        Value::Buffer(input),
        Value::Buffer(delta),
        Value::Buffer(bias),
        Value::Buffer(gain),
        Value::Buffer(shift),
        Value::Buffer(sum),
        Value::Buffer(out),
        Value::U64(rows),
        Value::U64(width),
        Value::U32(precision),
        Value::U32(flags @ 0..=7),
    ] = args
    else {
        return refuse(SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(SIGNATURE) };
    let (add, layer) = (flags & ADD != 0, flags & LAYER != 0);
    let biased = add && flags & BIAS != 0;
    let matrix = |used: bool, words: u64| !used || format.fits(product(&[*rows, *width]), words);
    let vector = |used: bool, words: u64| !used || format.fits(Some(*width), words);
    let matrices = matrix(true, *input) && matrix(true, *out) && matrix(add, *delta) && matrix(add, *sum);
    let vectors = vector(true, *gain) && vector(layer, *shift) && vector(biased, *bias);
    if *width == 0 || !width.is_multiple_of(8) || !matrices || !vectors {
        return refuse(SIGNATURE);
    }
    let (_, side) = *VARIANTS.iter().find(|(known, _)| *known == name).unwrap_or(&VARIANTS[0]);
    let code = code(&format, side, *width, *flags);
    let row_bytes = width * format.size;
    let dispatch = |band: Band| {
        let matrices = [(true, 0), (add, 1), (add, 5), (true, 6)];
        let vectors = [(biased, 2), (true, 3), (layer, 4)];
        let used = |list: &[(bool, usize)]| -> Vec<usize> {
            list.iter().filter(|(used, _)| *used).map(|(_, argument)| *argument).collect()
        };
        let mut bindings: Vec<_> = used(&matrices).into_iter().map(|argument| band.of(argument, row_bytes)).collect();
        bindings.extend(used(&vectors).into_iter().map(|argument| span(argument, 0..row_bytes)));
        Dispatch {
            code: code.clone(),
            entry: "main",
            uniform: vec![(width / 4) as u32, band.count as u32],
            bindings,
            grid: spread(band.count, facts),
        }
    };
    Ok(bands(*rows, &[row_bytes], u64::from(u32::MAX), facts)?.into_iter().map(dispatch).collect())
}
