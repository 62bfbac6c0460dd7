//! Filling a buffer with a [`Pattern`].

use super::{Binding, Code, Dispatch, Facts, Span, spans, spread};
use crate::device::Pattern;
use crate::record::Precision;

/// Words that one work group writes.
const TILE: u64 = 64 * 16;

/// The dispatches that fill `words` words of a buffer, which fit 32 bits.
pub(in super::super) fn fill(pattern: Pattern, words: u64, facts: &Facts) -> Vec<Dispatch> {
    let (kind, value, seed) = match pattern {
        Pattern::Zeros => (0, 0, 0),
        Pattern::Poison => (0, pattern.word(0), 0),
        Pattern::Words { seed } => (1, 0, seed),
        Pattern::Uniform { precision: Precision::F64, seed } => (3, 0, seed),
        Pattern::Uniform { precision: Precision::F16, seed } => (7, 0, seed),
        Pattern::Uniform { precision: Precision::Bf16, seed } => (8, 0, seed),
        Pattern::Uniform { seed, .. } => (2, 0, seed),
        Pattern::Integers { precision: Precision::I32, seed } => (4, 0, seed),
        Pattern::Integers { precision: Precision::F64, seed } => (6, 0, seed),
        Pattern::Integers { precision: Precision::F16, seed } => (9, 0, seed),
        Pattern::Integers { precision: Precision::Bf16, seed } => (10, 0, seed),
        Pattern::Integers { seed, .. } => (5, 0, seed),
    };
    let dispatch = |span: &Span| Dispatch {
        code: Code { prefix: String::new(), text: include_str!("../../../../kernels/pattern/wgpu.wgsl") },
        entry: "main",
        uniform: vec![span.words as u32, span.start as u32, kind, value, seed as u32, (seed >> 32) as u32],
        bindings: vec![Binding { number: 1, argument: 0, bytes: span.bytes() }],
        grid: spread(span.words.div_ceil(TILE), facts),
    };
    spans(words, 1, facts).iter().map(dispatch).collect()
}
