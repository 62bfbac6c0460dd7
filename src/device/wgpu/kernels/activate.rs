//! `activate`: a row of work groups for each row.

use super::numbers::{format, optional, product};
use super::rows::{bands, span};
use super::{Code, Dispatch, Facts, Kernel, Value, constants, refuse};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "activate", variants, dispatches };

const SIGNATURE: &str = "activate(input, bias, out, rows: U64, inner: U64 of a multiple of 8, precision: U32, flags: U32 of \
                         0 to 3) with buffers of as many numbers";

const GATED: u32 = 1;
const BIAS: u32 = 2;

/// Names, and invocations of a work group.
const VARIANTS: [(&str, u64); 2] = [("group_64", 64), ("group_256", 256)];

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args {
        [.., Value::U32(precision), Value::U32(_)] if format(*precision, facts).is_some() => {
            VARIANTS.iter().map(|(name, _)| *name).collect()
        }
        _ => Vec::new(),
    }
}

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [
        Value::Buffer(input),
        Value::Buffer(bias),
        Value::Buffer(out),
        Value::U64(rows),
        Value::U64(inner),
        Value::U32(precision),
        Value::U32(flags @ 0..=3),
    ] = args
    else {
        return refuse(SIGNATURE);
    };
    let Some(format) = format(*precision, facts) else { return refuse(SIGNATURE) };
    let (gated, biased) = (flags & GATED != 0, flags & BIAS != 0);
    let halves = if gated { 2 } else { 1 };
    if *inner == 0
        || !inner.is_multiple_of(8)
        || !format.fits(product(&[*rows, *inner]), *out)
        || !format.fits(product(&[*rows, *inner, halves]), *input)
        || (biased && !format.fits(product(&[*inner, halves]), *bias))
    {
        return refuse(SIGNATURE);
    }
    let (_, group) = *VARIANTS.iter().find(|(known, _)| *known == name).unwrap_or(&VARIANTS[0]);
    let code = Code {
        prefix: constants(&[("GROUP", group as u32)])
            + &format!("const GATED: bool = {gated};\n")
            + &format.fours()
            + &optional("bias", 2, biased),
        text: include_str!("../../../../kernels/activate/wgpu.wgsl"),
    };
    let (from, to) = (inner * halves * format.size, inner * format.size);
    let dispatch = |band: super::rows::Band| {
        let mut bindings = vec![band.of(0, from), band.of(2, to)];
        if biased {
            bindings.push(span(1, 0..from));
        }
        Dispatch {
            code: code.clone(),
            entry: "main",
            uniform: vec![(inner / 4) as u32],
            bindings,
            grid: [(inner / 4).div_ceil(group) as u32, band.count as u32, 1],
        }
    };
    Ok(bands(*rows, &[from, to], facts.groups.into(), facts)?.into_iter().map(dispatch).collect())
}
