//! The four kernels of `memory`: packs of one or four words, in work groups of several sizes.

use super::{Binding, Code, Dispatch, Facts, Kernel, Span, Value, constants, refuse, spans, spread};
use crate::device::DeviceError;

pub(in super::super) static READ: Kernel = Kernel { id: "memory_read", variants: |_, _| names(), dispatches: read };
pub(in super::super) static WRITE: Kernel = Kernel { id: "memory_write", variants: |_, _| names(), dispatches: write };
pub(in super::super) static COPY: Kernel = Kernel { id: "memory_copy", variants: |_, _| names(), dispatches: copy };
pub(in super::super) static TRIAD: Kernel = Kernel { id: "memory_triad", variants: |_, _| names(), dispatches: triad };

/// A way to go through memory.
struct Variant {
    name: &'static str,
    /// Words of a pack.
    width: u64,
    /// Invocations of a work group.
    group: u64,
    /// Turns of the loop, of four packs each.
    turns: u64,
}

/// Few, since each costs a race on every case. Wide packs suit most devices, single words some drivers.
const VARIANTS: [Variant; 3] = [
    Variant { name: "vec4_256_1", width: 4, group: 256, turns: 1 },
    Variant { name: "vec4_64_4", width: 4, group: 64, turns: 4 },
    Variant { name: "scalar_256_2", width: 1, group: 256, turns: 2 },
];

pub(super) fn names() -> Vec<&'static str> {
    VARIANTS.iter().map(|variant| variant.name).collect()
}

fn variant(name: &str) -> &'static Variant {
    VARIANTS.iter().find(|variant| variant.name == name).unwrap_or(&VARIANTS[0])
}

impl Variant {
    /// Packs that one work group goes through.
    fn tile(&self) -> u64 {
        self.group * 4 * self.turns
    }

    /// The kernel's text for spans of this width: that of the packs, or of the words they leave over.
    fn code(&self, width: u64, text: &'static str) -> Code {
        let numbers = [("GROUP", self.group as u32), ("TURNS", self.turns as u32), ("WIDTH", width as u32)];
        let types = match width {
            1 => {
                "alias pack = u32;\nalias number = f32;\nalias choice = bool;\n\
                 fn counting(first: u32) -> u32 { return first; }\n\
                 fn total(sum: u32) -> u32 { return sum; }\n"
            }
            _ => {
                "alias pack = vec4<u32>;\nalias number = vec4<f32>;\nalias choice = vec4<bool>;\n\
                 fn counting(first: u32) -> vec4<u32> { return vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u); }\n\
                 fn total(sum: vec4<u32>) -> u32 { return (sum.x + sum.y) + (sum.z + sum.w); }\n"
            }
        };
        Code { prefix: constants(&numbers) + types, text }
    }

    /// The dispatch of a span that treats all its words alike.
    fn even(&self, span: &Span, text: &'static str, more: &[u32], buffers: usize, facts: &Facts) -> Dispatch {
        let packs = span.words / span.width;
        let mut uniform = vec![((span.start - span.base) / span.width) as u32, packs as u32];
        uniform.extend(more);
        let binding = |argument: usize| Binding { number: argument as u32 + 1, argument, bytes: span.bytes() };
        Dispatch {
            code: self.code(span.width, text),
            entry: "main",
            uniform,
            bindings: (0..buffers).map(binding).collect(),
            grid: spread(packs.div_ceil(self.tile()), facts),
        }
    }
}

/// Words are counted in 32 bits on the device.
pub(super) const WORDS_MAX: u64 = u32::MAX as u64;

fn write(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    match args {
        [Value::Buffer(out), Value::U64(words), Value::U32(key)] if words <= out && *words <= WORDS_MAX => {
            let variant = variant(name);
            let text = include_str!("../../../../kernels/memory_write/wgpu.wgsl");
            let dispatch = |span: &Span| variant.even(span, text, &[(span.start as u32).wrapping_add(*key)], 1, facts);
            Ok(spans(*words, variant.width, facts).iter().map(dispatch).collect())
        }
        _ => refuse("memory_write(out, words: U64, key: U32) with out of words or more"),
    }
}

fn copy(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    match args {
        [Value::Buffer(from), Value::Buffer(to), Value::U64(words)]
            if words <= from && words <= to && *words <= WORDS_MAX =>
        {
            let variant = variant(name);
            let text = include_str!("../../../../kernels/memory_copy/wgpu.wgsl");
            let dispatch = |span: &Span| variant.even(span, text, &[], 2, facts);
            Ok(spans(*words, variant.width, facts).iter().map(dispatch).collect())
        }
        _ => refuse("memory_copy(in, out, words: U64) with buffers of words or more"),
    }
}

fn triad(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    match args {
        [Value::Buffer(b), Value::Buffer(c), Value::Buffer(out), Value::U64(words), Value::F32(scalar)]
            if [b, c, out].iter().all(|buffer| words <= *buffer) && *words <= WORDS_MAX =>
        {
            let variant = variant(name);
            let text = include_str!("../../../../kernels/memory_triad/wgpu.wgsl");
            let dispatch = |span: &Span| variant.even(span, text, &[scalar.to_bits()], 3, facts);
            Ok(spans(*words, variant.width, facts).iter().map(dispatch).collect())
        }
        _ => refuse("memory_triad(b, c, out, words: U64, scalar: F32) with buffers of words or more"),
    }
}

/// Chunks whose sums are written.
pub(super) const PARTS: u64 = 256;

/// The border before chunk `part`, as in the kernel's contract.
fn border(words: u64, part: u64) -> u64 {
    if part == PARTS { words } else { words * part / PARTS / 16 * 16 }
}

fn read(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    match args {
        [Value::Buffer(from), Value::Buffer(out), Value::U64(words)]
            if words <= from && PARTS <= *out && *words <= WORDS_MAX =>
        {
            let text = include_str!("../../../../kernels/memory_read/wgpu.wgsl");
            Ok(chunked(*words, name, text, &[], facts))
        }
        _ => refuse("memory_read(in, out, words: U64) with in of words or more and out of 256 words"),
    }
}

/// The dispatches of a kernel that leaves a sum of every chunk: one that clears the sums, then a row of work groups for
/// each chunk of each span of the input. The kernel's further numbers follow those that tell the range.
pub(super) fn chunked(words: u64, name: &str, text: &'static str, more: &[u32], facts: &Facts) -> Vec<Dispatch> {
    let variant = variant(name);
    let code = |width: u64| {
        let Code { prefix, text } = variant.code(width, text);
        Code { prefix: prefix + include_str!("../../../../kernels/chunks.wgsl"), text }
    };
    let sums = Binding { number: 2, argument: 1, bytes: 0..PARTS * 4 };
    let mut dispatches = vec![Dispatch {
        code: code(variant.width),
        entry: "clear",
        uniform: Vec::new(),
        bindings: vec![sums.clone()],
        grid: [1, 1, 1],
    }];
    for span in spans(words, variant.width, facts).iter().filter(|span| span.words > 0) {
        let end = span.start + span.words;
        let first = (0..PARTS).rfind(|part| border(words, *part) <= span.start).unwrap_or(0);
        let last = (first..PARTS).find(|part| border(words, part + 1) >= end).unwrap_or(PARTS - 1);
        let longest = (first..=last)
            .map(|part| border(words, part + 1).min(end).saturating_sub(border(words, part).max(span.start)))
            .max();
        let slices = (longest.unwrap_or(0) / span.width).div_ceil(variant.tile()).max(1);
        let range = [words, span.start, end, span.base, first].map(|number| number as u32);
        dispatches.push(Dispatch {
            code: code(span.width),
            entry: "main",
            uniform: range.into_iter().chain(more.iter().copied()).collect(),
            bindings: vec![Binding { number: 1, argument: 0, bytes: span.bytes() }, sums.clone()],
            grid: [slices as u32, (last - first + 1) as u32, 1],
        });
    }
    dispatches
}
