//! `add_norm`: adds to the residual stream, and normalises.

use super::stored::{LANES, Stored, array, holds, load, part, start, store, whole, with_stored};
use super::{Kernel, Value, every_set, require};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "add_norm", check, variants: every_set!(run) };

const ADD: u32 = 1;
const BIAS: u32 = 2;
const LAYER: u32 = 4;
/// Added to the mean square, as the contract says.
const LEAST: f32 = 1e-5;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
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
            Value::U32(flags @ 0..8),
        ] => {
            let all = |buffer| holds(buffer, &[*rows, *width], *precision);
            let one = |buffer| holds(buffer, &[*width], *precision);
            let without = |flag: u32| flags & flag == 0;
            *width > 0
                && width.is_multiple_of(8)
                && all(input)
                && all(out)
                && one(gain)
                && (without(ADD) || all(delta) && all(sum))
                && (without(BIAS) || one(bias))
                && (without(LAYER) || one(shift))
        }
        _ => false,
    };
    require(
        fits,
        "add_norm(input, delta, bias, gain, shift, sum, out, rows: U64, width: U64 of a multiple of 8, precision: U32 of 1, \
         3, 5, flags: U32 below 8) with buffers that hold them",
    )
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 9) as u32, rows[], args, place) }
}

#[inline(always)]
unsafe fn rows<S: Stored>(args: &[Value], place: Place<'_>) {
    let [input, delta, bias, gain, shift, sum, out] = [0, 1, 2, 3, 4, 5, 6].map(|index| start::<S::Bits>(args, index));
    let (width, flags) = (whole(args, 8), whole(args, 10) as u32);
    // SAFETY: the check held every buffer that the flags name against rows and width.
    unsafe {
        for row in part(whole(args, 7), place) {
            let at = row * width;
            let mut stream = input.add(at);
            if flags & ADD != 0 {
                for index in (0..width).step_by(LANES) {
                    let (number, delta) = (load::<S>(stream.add(index)), load::<S>(delta.add(at + index)));
                    let mut total: [f32; LANES] = array(|lane| number[lane] + delta[lane]);
                    if flags & BIAS != 0 {
                        let bias = load::<S>(bias.add(index));
                        total = array(|lane| total[lane] + bias[lane]);
                    }
                    store::<S>(total, sum.add(at + index));
                }
                stream = sum.add(at);
            }
            let count = width as f32;
            let layer = flags & LAYER != 0;
            let mean = if layer { total::<S>(stream, width, |number| number) / count } else { 0.0 };
            let square = total::<S>(stream, width, |number| (number - mean) * (number - mean));
            let factor = 1.0 / (square / count + LEAST).sqrt();
            for index in (0..width).step_by(LANES) {
                let (number, gain) = (load::<S>(stream.add(index)), load::<S>(gain.add(index)));
                let mut normed: [f32; LANES] = array(|lane| (number[lane] - mean) * factor * gain[lane]);
                if layer {
                    let shift = load::<S>(shift.add(index));
                    normed = array(|lane| normed[lane] + shift[lane]);
                }
                store::<S>(normed, out.add(at + index));
            }
        }
    }
}

/// The sum of what `of` makes of `count` numbers.
///
/// # Safety
/// There must be so many.
#[inline(always)]
unsafe fn total<S: Stored>(from: *const S::Bits, count: usize, of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for at in (0..count).step_by(LANES) {
        // SAFETY: the caller's; rows are multiples of so many.
        let numbers = unsafe { load::<S>(from.add(at)) };
        sums = array(|lane| sums[lane] + of(numbers[lane]));
    }
    sums.iter().sum()
}
