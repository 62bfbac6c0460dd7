//! `chase`: a chain per work group.

use super::{ALIGNED_WORDS, Binding, Code, Dispatch, Facts, Kernel, Value, refuse};
use crate::device::DeviceError;
use crate::units::ByteCount;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "chase", variants: |_, _| vec!["only"], dispatches };

/// Words from one chain's slot to the next.
const SLOT: u64 = 16;
/// Accesses of a chain, at most, as in the contract.
const STEPS_MAX: u64 = 65_535;

fn dispatches(args: &[Value], _variant: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let [Value::Buffer(cycle), Value::Buffer(starts), Value::Buffer(out), Value::U64(steps), Value::U64(chains)] = args
    else {
        return refuse(SIGNATURE);
    };
    let slots = chains.checked_mul(SLOT).filter(|words| words <= starts && words <= out);
    let (Some(slots), true) = (slots, *steps <= STEPS_MAX && *chains <= u64::from(facts.groups)) else {
        return refuse(SIGNATURE);
    };
    let whole = |words: u64| 0..words.next_multiple_of(ALIGNED_WORDS).max(ALIGNED_WORDS) * 4;
    // A chain may go anywhere, so its range is one binding.
    if whole(*cycle).end > facts.binding {
        let [asked, most] = [*cycle * 4, facts.binding].map(ByteCount);
        return Err(DeviceError::Unsupported(format!(
            "a range of {asked} does not fit one binding, which on this device is at most {most}"
        )));
    }
    let bindings = (1..).zip([*cycle, slots, slots]).map(|(number, words)| Binding {
        number,
        argument: number as usize - 1,
        bytes: whole(words),
    });
    Ok(vec![Dispatch {
        code: Code { prefix: String::new(), text: include_str!("../../../../kernels/chase/wgpu.wgsl") },
        entry: "main",
        uniform: vec![*steps as u32],
        bindings: bindings.collect(),
        grid: [*chains as u32, 1, 1],
    }])
}

const SIGNATURE: &str =
    "chase(cycle, starts, out, steps: U64 up to 65535, chains: U64) with starts and out of 16 words per chain or more";
