//! The WebGPU dialect of every kernel: its text in `kernels/<id>/wgpu.wgsl`, its variants, and how a launch is cut
//! into dispatches.
//!
//! A variant is a prefix of constants and aliases before the kernel's text: a closed list, made ahead of
//! time. A launch becomes several dispatches where its buffers are larger than one binding may be, or its
//! work longer than one dispatch should take. No loop of an invocation runs as often as 65 535 times: Mesa's
//! software driver silently ends it there. No kernel depends on the size of a subgroup.

mod activate;
mod add_norm;
mod attention;
mod cache_read;
mod chase;
mod embed;
mod empty;
mod fma;
mod intensity;
mod matmul;
mod memory;
mod numbers;
mod pattern;
mod rotate;
mod rows;

use std::ops::Range;

pub(super) use matmul::{plans, product};
pub(super) use pattern::fill;

use crate::device::DeviceError;

/// Every kernel that programs launch. To add one: its file, and a row here.
static KERNELS: &[&Kernel] = &[
    &memory::READ,
    &memory::WRITE,
    &memory::COPY,
    &memory::TRIAD,
    &cache_read::KERNEL,
    &chase::KERNEL,
    &fma::KERNEL,
    &intensity::KERNEL,
    &empty::KERNEL,
    &embed::KERNEL,
    &add_norm::KERNEL,
    &rotate::KERNEL,
    &attention::KERNEL,
    &attention::JOIN,
    &activate::KERNEL,
];

/// The kernel with an id.
pub(super) fn find(id: &str) -> Option<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.id == id)
}

/// What kernels need to know of the device.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Features it was opened with.
    pub features: wgpu::Features,
    /// Whether shaders can turn binary16 into binary32 and back, which needs no arithmetic in binary16.
    pub converts_halves: bool,
    /// Bytes that one binding may have, a multiple of 256.
    pub binding: u64,
    /// Work groups in each dimension of a dispatch.
    pub groups: u32,
    /// Invocations of a work group, at most.
    pub group: u64,
    /// FLOP that one dispatch of a long kernel may have, so that no watchdog is met.
    pub dispatch_flop: u64,
}

/// A kernel's argument, its slot resolved to a size in words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// A buffer of so many 32-bit words.
    Buffer(u64),
    /// A 32-bit number.
    U32(u32),
    /// A 64-bit number.
    U64(u64),
    /// A binary32 number.
    F32(f32),
    /// A binary64 number.
    F64(f64),
}

/// Cuts a launch with some arguments, by a variant, into dispatches.
type Cut = fn(&[Value], &str, &Facts) -> Result<Vec<Dispatch>, DeviceError>;

/// A kernel.
pub(super) struct Kernel {
    /// The name of its folder under `kernels/`.
    pub id: &'static str,
    /// The ways to run it with some arguments: none where the device lacks what they need.
    pub variants: fn(&[Value], &Facts) -> Vec<&'static str>,
    /// The dispatches of a launch.
    pub dispatches: Cut,
}

/// One dispatch: what it runs, on which memory, and how much of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dispatch {
    /// The text it is an entry point of.
    pub code: Code,
    /// The entry point.
    pub entry: &'static str,
    /// What the uniform at binding 0 holds; empty for an entry point that has none.
    pub uniform: Vec<u32>,
    /// The storage bindings.
    pub bindings: Vec<Binding>,
    /// Work groups in each dimension.
    pub grid: [u32; 3],
}

/// A text and the prefix that makes a variant of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code {
    /// Constants and aliases.
    pub prefix: String,
    /// The kernel's text.
    pub text: &'static str,
}

/// A part of an argument's buffer at a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    /// Its number in the text.
    pub number: u32,
    /// Which of the launch's buffers, counted over its arguments.
    pub argument: usize,
    /// Bytes of the buffer. The start is a multiple of 256; the end may lie past the last word, up to the next
    /// multiple.
    pub bytes: Range<u64>,
}

/// A refusal of arguments, with the signature they should have had.
fn refuse<T>(signature: &str) -> Result<T, DeviceError> {
    Err(DeviceError::Call { call: "record", message: format!("the arguments do not fit {signature}") })
}

/// The prefix constants that every text knows.
fn constants(list: &[(&str, u32)]) -> String {
    list.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect()
}

/// Bytes that bindings start at multiples of.
const ALIGNMENT: u64 = 256;
/// The same in words.
const ALIGNED_WORDS: u64 = ALIGNMENT / 4;

/// Work groups across and down a dispatch, at least `wanted` together and hardly more.
fn spread(wanted: u64, facts: &Facts) -> [u32; 3] {
    let most = u64::from(facts.groups);
    let down = wanted.max(1).div_ceil(most);
    [wanted.max(1).div_ceil(down) as u32, down.min(most) as u32, 1]
}

/// A run of words that one dispatch works on, in packs of `width` words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// First word of the binding.
    base: u64,
    /// First word worked on.
    start: u64,
    /// Words worked on: a multiple of the width.
    words: u64,
    /// Words of a pack.
    width: u64,
}

impl Span {
    /// The binding's bytes in every buffer of the launch.
    fn bytes(&self) -> Range<u64> {
        let end = (self.start + self.words).next_multiple_of(ALIGNED_WORDS).max(self.base + ALIGNED_WORDS);
        self.base * 4..end * 4
    }
}

/// Cuts words into bindings of whole packs, and a last one of single words where packs leave some over.
fn spans(words: u64, width: u64, facts: &Facts) -> Vec<Span> {
    let whole = words / width * width;
    let most = facts.binding / 4;
    let mut spans: Vec<_> = (0..whole.div_ceil(most))
        .map(|index| {
            let start = index * most;
            Span { base: start, start, words: most.min(whole - start), width }
        })
        .collect();
    if whole < words || words == 0 {
        spans.push(Span { base: whole / ALIGNED_WORDS * ALIGNED_WORDS, start: whole, words: words - whole, width: 1 });
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn facts(binding: u64) -> Facts {
        Facts {
            features: wgpu::Features::empty(),
            converts_halves: true,
            binding,
            groups: 65_535,
            group: 1024,
            dispatch_flop: 1 << 34,
        }
    }

    #[test]
    fn spans_cover_every_word_once_and_start_on_the_alignment() {
        for words in [0, 1, 3, 4, 63, 64, 65, 255, 256, 1000, 1023, 1024, 4096, 4099] {
            for width in [1, 4] {
                let spans = spans(words, width, &facts(1024));
                let mut next = 0;
                for span in &spans {
                    assert_eq!(span.start, next, "{words} words by {width}");
                    assert_eq!(span.bytes().start % ALIGNMENT, 0);
                    assert_eq!((span.start - span.base) % span.width + span.words % span.width, 0);
                    assert!(span.bytes().end - span.bytes().start <= 1024 && !span.bytes().is_empty());
                    assert!(span.bytes().end >= (span.start + span.words) * 4);
                    next = span.start + span.words;
                }
                assert_eq!(next, words, "by {width}");
            }
        }
    }

    #[test]
    fn a_spread_has_enough_work_groups() {
        for wanted in [0, 1, 65_535, 65_536, 1_000_000] {
            let [across, down, _] = spread(wanted, &facts(1024)).map(u64::from);
            assert!(
                across <= 65_535 && down <= 65_535 && across * down >= wanted && across * down < wanted.max(1) + down
            );
        }
    }
}
