//! `embed`: a row of work groups for each token, on each part of the table that fits a binding.

use super::numbers::{Format, format, product};
use super::rows::{bands, span};
use super::{ALIGNMENT, Code, Dispatch, Facts, Kernel, Value, constants, refuse};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "embed", variants, dispatches };

const SIGNATURE: &str = "embed(tokens, table, positions, out, rows: U64, width: U64 of a multiple of 8, position: U64, \
                         precision: U32, learned: U32) with tokens of rows words, out of rows times width numbers, and \
                         positions of position + 1 rows where learned is 1";

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args {
        [.., Value::U32(precision), Value::U32(_)] if format(*precision, facts).is_some() => vec!["only"],
        _ => Vec::new(),
    }
}

/// Invocations of a work group.
const GROUP: u64 = 64;

fn code(format: &Format, learned: bool) -> Code {
    let embedded = match learned {
        true => {
            "@group(0) @binding(3) var<storage, read> positions: array<stored>;\n\
             fn embedded(x: stored, pack: u32) -> stored { return pack4(unpack4(x) + unpack4(positions[pack])); }\n"
        }
        false => "fn embedded(x: stored, pack: u32) -> stored { return x; }\n",
    };
    Code {
        prefix: constants(&[("GROUP", GROUP as u32)]) + &format.fours() + embedded,
        text: include_str!("../../../../kernels/embed/wgpu.wgsl"),
    }
}

fn dispatches(args: &[Value], _variant: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [Value::Buffer(tokens), Value::Buffer(table), Value::Buffer(positions), Value::Buffer(out), numbers @ ..] =
        args
    else {
        return refuse(SIGNATURE);
    };
    let [Value::U64(rows), Value::U64(width), Value::U64(position), Value::U32(precision), Value::U32(learned @ 0..=1)] =
        numbers
    else {
        return refuse(SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(SIGNATURE) };
    let learned = *learned == 1;
    let has_position =
        !learned || format.fits(position.checked_add(1).and_then(|rows| rows.checked_mul(*width)), *positions);
    if *width == 0
        || !width.is_multiple_of(8)
        || rows > tokens
        || !format.fits(product(&[*rows, *width]), *out)
        || !has_position
    {
        return refuse(SIGNATURE);
    }
    let row_bytes = width * format.size;
    let table_rows = table * 4 / row_bytes;
    // The position's row, from the alignment before it on.
    let positions_at = position * row_bytes;
    let positions_from = positions_at / ALIGNMENT * ALIGNMENT;
    if table_rows == 0 {
        return refuse(SIGNATURE);
    }
    let code = code(&format, learned);
    let mut dispatches = Vec::new();
    for band in bands(*rows, &[row_bytes], facts.groups.into(), facts)? {
        for part in bands(table_rows, &[row_bytes], u64::from(u32::MAX), facts)? {
            let before = (positions_at - positions_from) / (4 * format.size);
            let uniform = [width / 4, band.count, band.first, part.first, part.count, before];
            let mut bindings = vec![span(0, 0..rows * 4), part.of(1, row_bytes), band.of(3, row_bytes)];
            if learned {
                bindings.push(span(2, positions_from..positions_at + row_bytes));
            }
            dispatches.push(Dispatch {
                code: code.clone(),
                entry: "main",
                uniform: uniform.map(|number| number as u32).into(),
                bindings,
                grid: [(width / 4).div_ceil(GROUP) as u32, band.count as u32, 1],
            });
        }
    }
    Ok(dispatches)
}
