//! `empty`: every worker leaves a word and goes.

use super::{Kernel, Value, require, variant};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "empty", check, variants: &[variant!("portable", Nothing, run)] };

/// Words from one worker's slot to the next: a cache line.
const SLOT: usize = 16;

fn check(args: &[Value]) -> Result<(), String> {
    let fits = matches!(args, [Value::Buffer(out), Value::U64(slots), Value::U32(_)]
        if slots.checked_mul(SLOT as u64).is_some_and(|words| words <= out.word_count()));
    require(fits, "empty(out, slots: U64, token: U32) with out of 16 words per slot or more")
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    let [Value::Buffer(out), Value::U64(slots), Value::U32(token)] = args else { return };
    for slot in (place.index..*slots as usize).step_by(place.team) {
        // SAFETY: the check held all slots against the buffer; each slot is one worker's.
        unsafe { out.words().add(slot * SLOT).write(token.wrapping_add(slot as u32)) };
    }
}
