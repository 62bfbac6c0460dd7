//! `intensity`: `memory_read` with arithmetic between the load and the sum.

use super::memory::{PARTS, WORDS_MAX, chunked, names};
use super::{Dispatch, Facts, Kernel, Value, refuse};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "intensity", variants: |_, _| names(), dispatches };

/// Steps of a number, at most: with eight a turn, and the turns of the widest variant, far below what ends a loop.
const STEPS_MAX: u32 = 1 << 16;

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    const SIGNATURE: &str = "intensity(in, out, words: U64, steps: U32 up to 65536, every: U32 of 1 to 8, factor: F32, \
                             even: F32, odd: F32) with in of words or more and out of 256 words";
    match args {
        [
            Value::Buffer(from),
            Value::Buffer(out),
            Value::U64(words),
            Value::U32(steps),
            Value::U32(every),
            terms @ ..,
        ] if words <= from
            && PARTS <= *out
            && *words <= WORDS_MAX
            && *steps <= STEPS_MAX
            && (1..=8).contains(every) =>
        {
            let [Value::F32(factor), Value::F32(even), Value::F32(odd)] = terms else { return refuse(SIGNATURE) };
            let text = include_str!("../../../../kernels/intensity/wgpu.wgsl");
            let more = [*steps, *every, factor.to_bits(), even.to_bits(), odd.to_bits()];
            Ok(chunked(*words, name, text, &more, facts))
        }
        _ => refuse(SIGNATURE),
    }
}
