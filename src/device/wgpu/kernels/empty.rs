//! `empty`: one invocation per slot.

use super::{Binding, Code, Dispatch, Facts, Kernel, Value, refuse};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "empty", variants: |_, _| vec!["only"], dispatches };

/// Words from one slot to the next.
const SLOT: u64 = 16;
/// Invocations of a work group.
const GROUP: u64 = 64;

fn dispatches(args: &[Value], _variant: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    let most = (facts.binding / 4 / SLOT).min(u64::from(facts.groups) * GROUP);
    match args {
        [Value::Buffer(out), Value::U64(slots), Value::U32(token)]
            if *slots <= most && slots.checked_mul(SLOT).is_some_and(|words| words <= *out) =>
        {
            let bytes = 0..(slots * SLOT * 4).max(GROUP * 4);
            Ok(vec![Dispatch {
                code: Code { prefix: String::new(), text: include_str!("../../../../kernels/empty/wgpu.wgsl") },
                entry: "main",
                uniform: vec![*slots as u32, *token],
                bindings: vec![Binding { number: 1, argument: 0, bytes }],
                grid: [slots.div_ceil(GROUP).max(1) as u32, 1, 1],
            }])
        }
        _ => refuse("empty(out, slots: U64, token: U32) with out of 16 words per slot or more"),
    }
}
