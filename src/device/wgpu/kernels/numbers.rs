//! How numbers lie in words: the part of a prefix that turns words into numbers and back.

use super::Facts;
use crate::record::Precision;

/// What turns a word into two 16-bit numbers, the one of the even index in its low half, and back (`unpack`, `pack`). Every
/// language below has the operations on words. Empty for a format that does not share words.
pub(super) const fn pairs(precision: Precision) -> &'static str {
    match precision {
        Precision::F16 => {
            "fn unpack(word: u32) -> vec2<f32> { return unpack2x16float(word); }\n\
             // To the nearest, ties to even, before the conversion, whose rounding no language fixes.\n\
             fn nearest(x: f32) -> f32 {\n\
             \x20   let bits = bitcast<u32>(x);\n\
             \x20   let normal = bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);\n\
             \x20   return select(normal, round(x * 16777216.0) * 5.9604644775390625e-8, abs(x) < 6.103515625e-5);\n\
             }\n\
             fn pack(x: vec2<f32>) -> u32 { return pack2x16float(vec2<f32>(nearest(x.x), nearest(x.y))); }\n"
        }
        Precision::Bf16 => {
            "fn unpack(word: u32) -> vec2<f32> {\n\
             \x20   return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));\n\
             }\n\
             // To the nearest, ties to even.\n\
             fn upper(x: f32) -> u32 {\n\
             \x20   let bits = bitcast<u32>(x);\n\
             \x20   return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;\n\
             }\n\
             fn pack(x: vec2<f32>) -> u32 { return upper(x.x) | (upper(x.y) << 16u); }\n"
        }
        _ => "",
    }
}

/// A format that kernels take as an argument.
pub(super) struct Format {
    precision: Precision,
    /// Bytes of a number.
    pub size: u64,
}

/// The format that a `precision` argument spells; `None` for one that there is no code for here.
pub(super) fn format(argument: u32, facts: &Facts) -> Option<Format> {
    let precision = match argument {
        1 => Precision::F32,
        3 if facts.converts_halves => Precision::F16,
        5 => Precision::Bf16,
        _ => return None,
    };
    Some(Format { precision, size: precision.size() })
}

impl Format {
    /// The part of the prefix for kernels that take numbers by fours: `stored`, `unpack4` and `pack4`.
    pub fn fours(&self) -> String {
        match self.precision {
            Precision::F32 => "alias stored = vec4<f32>;\n\
                 fn unpack4(x: stored) -> vec4<f32> { return x; }\n\
                 fn pack4(x: vec4<f32>) -> stored { return x; }\n"
                .to_owned(),
            precision => {
                pairs(precision).to_owned()
                    + "alias stored = vec2<u32>;\n\
                       fn unpack4(x: stored) -> vec4<f32> { return vec4<f32>(unpack(x.x), unpack(x.y)); }\n\
                       fn pack4(x: vec4<f32>) -> stored { return stored(pack(x.xy), pack(x.zw)); }\n"
            }
        }
    }

    /// Whether so many numbers fit a buffer of so many words.
    pub fn fits(&self, numbers: Option<u64>, words: u64) -> bool {
        numbers.and_then(|numbers| numbers.checked_mul(self.size)).is_some_and(|bytes| bytes <= words * 4)
    }
}

/// The product of sizes that an argument names; `None` where it is beyond all memory.
pub(super) fn product(sizes: &[u64]) -> Option<u64> {
    sizes.iter().try_fold(1_u64, |product, size| product.checked_mul(*size))
}

/// An argument that a flag may leave out, read by fours: its binding and `NAME_at`, or `NAME_at` alone, which gives zeros.
pub(super) fn optional(name: &str, number: u32, present: bool) -> String {
    match present {
        true => format!(
            "@group(0) @binding({number}) var<storage, read> {name}: array<stored>;\n\
             fn {name}_at(pack: u32) -> vec4<f32> {{ return unpack4({name}[pack]); }}\n"
        ),
        false => format!("fn {name}_at(pack: u32) -> vec4<f32> {{ return vec4<f32>(); }}\n"),
    }
}
