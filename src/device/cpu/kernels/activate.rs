//! `activate`: the non-linear function of an MLP.

use super::stored::{LANES, Stored, array, exp, holds, load, part, start, store, whole, with_stored};
use super::{Kernel, Value, every_set, require};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "activate", check, variants: every_set!(run) };

const GATED: u32 = 1;
const BIAS: u32 = 2;
/// Numbers of a piece of work: one row is cut too, since a step may have only one.
const PIECE: usize = 256;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(input),
            Value::Buffer(bias),
            Value::Buffer(out),
            Value::U64(rows),
            Value::U64(inner),
            Value::U32(precision),
            Value::U32(flags @ 0..4),
        ] => {
            let halves = u64::from(1 + (flags & GATED));
            *inner > 0
                && inner.is_multiple_of(8)
                && holds(input, &[*rows, *inner, halves], *precision)
                && holds(out, &[*rows, *inner], *precision)
                && (flags & BIAS == 0 || holds(bias, &[*inner, halves], *precision))
        }
        _ => false,
    };
    require(
        fits,
        "activate(input, bias, out, rows: U64, inner: U64 of a multiple of 8, precision: U32 of 1, 3, 5, flags: U32 below 4) \
         with buffers that hold them",
    )
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 5) as u32, pieces[], args, place) }
}

#[inline(always)]
unsafe fn pieces<S: Stored>(args: &[Value], place: Place<'_>) {
    let [input, bias, out] = [0, 1, 2].map(|index| start::<S::Bits>(args, index));
    let [rows, inner, flags] = [3, 4, 6].map(|index| whole(args, index));
    let (gated, biased) = (flags as u32 & GATED != 0, flags as u32 & BIAS != 0);
    let width = if gated { 2 * inner } else { inner };
    let each = inner.div_ceil(PIECE);
    // SAFETY: the check held every buffer that the flags name against rows and inner.
    unsafe {
        for piece in part(rows * each, place) {
            let (row, first) = (piece / each, piece % each * PIECE);
            let numbers = |column: usize| {
                let numbers = load::<S>(input.add(row * width + column));
                if !biased {
                    return numbers;
                }
                let bias = load::<S>(bias.add(column));
                array(|lane| numbers[lane] + bias[lane])
            };
            let to = out.add(row * inner);
            for column in (first..(first + PIECE).min(inner)).step_by(LANES) {
                let x = numbers(column);
                let result = if gated {
                    let up = numbers(inner + column);
                    array(|lane| x[lane] / (1.0 + exp(-x[lane])) * up[lane])
                } else {
                    array(|lane| gelu(x[lane]))
                };
                store::<S>(result, to.add(column));
            }
        }
    }
}

/// `x / 2 (1 + tanh(y))`, written as `x / (1 + e^(-2y))`.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    let y = ROOT * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-2.0 * y))
}
