//! `chase`: chains of loads, each from where the last one says.

use super::{Kernel, Value, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "chase", check, variants: &[variant!("portable", Nothing, run)] };

/// Words from one chain's slot to the next: a cache line.
const SLOT: usize = 16;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(_), Value::Buffer(starts), Value::Buffer(out), Value::U64(_),
            Value::U64(chains)]
        if chains.checked_mul(SLOT as u64).is_some_and(|words| words <= starts.word_count().min(out.word_count())));
    require(
        fits,
        "chase(cycle, starts, out, steps: U64, chains: U64) with starts and out of 16 words per chain or more",
    )
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(cycle), Value::Buffer(starts), Value::Buffer(out), rest @ ..] = args else { return };
    let [Value::U64(steps), Value::U64(chains)] = *rest else { return };
    let (base, end) = (cycle.start.as_ptr().cast_const(), cycle.len.saturating_sub(3));
    for chain in (place.index..chains as usize).step_by(place.team) {
        // SAFETY: the check held all slots against the buffer.
        let mut at = unsafe { starts.words().add(chain * SLOT).read() };
        let mut sum = 0_u32;
        for _ in 0..steps {
            // Predicted, so that it costs the chain of loads nothing.
            if at as usize >= end {
                break;
            }
            // SAFETY: four bytes from here are within the buffer, asked just above.
            at = unsafe { base.add(at as usize).cast::<u32>().read_unaligned() };
            sum = sum.wrapping_add(at);
        }
        // SAFETY: the check held all slots against the buffer; each is one worker's.
        unsafe {
            out.words().add(chain * SLOT).write(at);
            out.words().add(chain * SLOT + 1).write(sum);
        }
    }
}
