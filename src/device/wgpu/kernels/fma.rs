//! `fma`: packs of four lanes, one, two or four of them side by side in an invocation.

use super::{ALIGNED_WORDS, Binding, Code, Dispatch, Facts, Kernel, Value, constants, refuse, spread};
use crate::device::DeviceError;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "fma", variants, dispatches };

/// How the `precision` argument spells a number format.
const F64: u32 = 0;
const F32: u32 = 1;
const I32: u32 = 2;
const F16: u32 = 3;
const PACKED: u32 = 4;

/// Steps of a chain, at most: with eight a turn, far below what ends a loop.
const ITERATIONS_MAX: u64 = 1 << 18;

/// Name, invocations of a work group, packs of an invocation.
const VARIANTS: [(&str, u64, u64); 4] =
    [("vec4x1_256", 256, 1), ("vec4x2_256", 256, 2), ("vec4x2_64", 64, 2), ("vec4x4_64", 64, 4)];

fn variants(args: &[Value], facts: &Facts) -> Vec<&'static str> {
    match args.get(1) {
        Some(Value::U32(F64)) if !facts.features.contains(wgpu::Features::SHADER_F64) => Vec::new(),
        Some(Value::U32(F16)) if !facts.features.contains(wgpu::Features::SHADER_F16) => Vec::new(),
        Some(Value::U32(F64 | F32 | I32 | F16 | PACKED)) => VARIANTS.iter().map(|(name, ..)| *name).collect(),
        _ => Vec::new(),
    }
}

/// The format's part of the prefix. Every number format starts from the lane's hash.
fn types(precision: u32) -> &'static str {
    match precision {
        F64 => {
            "alias number = f64;\nalias pack = vec4<f64>;\n\
             fn start_of(lane: u32) -> f64 { return f64(bitcast<f32>(0x3f800000u | ((lane * 0x9e3779b1u) >> 9u))); }\n\
             fn advance(x: pack, factor: pack, term: pack) -> pack { return fma(x, factor, term); }\n\
             fn constant(low: u32, high: u32) -> f64 { return bits64(low, high); }\n\
             // A binary64 number from its halves, in steps that are all exact: 53 bits, then a power of two.\n\
             fn bits64(low: u32, high: u32) -> f64 {\n\
             \x20   let mantissa = f64((high & 0xfffffu) | 0x100000u) * 4294967296.0lf + f64(low);\n\
             \x20   var value = mantissa;\n\
             \x20   let exponent = i32((high >> 20u) & 0x7ffu) - 1075;\n\
             \x20   for (var i = 0; i < abs(exponent); i++) { value *= select(2.0lf, 0.5lf, exponent < 0); }\n\
             \x20   return select(value, -value, (high >> 31u) == 1u);\n\
             }\n"
        }
        F32 => {
            "alias number = f32;\nalias pack = vec4<f32>;\n\
             fn start_of(lane: u32) -> f32 { return bitcast<f32>(0x3f800000u | ((lane * 0x9e3779b1u) >> 9u)); }\n\
             fn advance(x: pack, factor: pack, term: pack) -> pack { return fma(x, factor, term); }\n\
             fn constant(low: u32, high: u32) -> f32 { return bitcast<f32>(low); }\n"
        }
        F16 => {
            "enable f16;\nalias number = f16;\nalias pack = vec4<f16>;\n\
             fn start_of(lane: u32) -> f16 { return f16((lane * 0x9e3779b1u) % 2048u) * 0.125h - 256.0h; }\n\
             fn advance(x: pack, factor: pack, term: pack) -> pack { return fma(x, factor, term); }\n\
             fn constant(low: u32, high: u32) -> f16 { return f16(bitcast<f32>(low)); }\n"
        }
        PACKED => {
            "alias number = u32;\nalias pack = vec4<u32>;\n\
             fn start_of(lane: u32) -> u32 { return lane * 0x9e3779b1u; }\n\
             fn dots(x: u32, factor: u32) -> u32 { return bitcast<u32>(dot4I8Packed(x, factor)); }\n\
             fn advance(x: pack, factor: pack, term: pack) -> pack {\n\
             \x20   let f = factor.x;\n\
             \x20   return x + pack(dots(x.x, f), dots(x.y, f), dots(x.z, f), dots(x.w, f));\n\
             }\n\
             fn constant(low: u32, high: u32) -> u32 { return low; }\n"
        }
        // Unsigned, whose overflow every language below defines; the bits are the same.
        _ => {
            "alias number = u32;\nalias pack = vec4<u32>;\n\
             fn start_of(lane: u32) -> u32 { return lane * 0x9e3779b1u; }\n\
             fn advance(x: pack, factor: pack, term: pack) -> pack { return x * factor + term; }\n\
             fn constant(low: u32, high: u32) -> u32 { return low; }\n"
        }
    }
}

/// A number as the two words handed to the kernel.
fn halves(precision: u32, number: f64) -> [u32; 2] {
    match precision {
        F64 => [number.to_bits() as u32, (number.to_bits() >> 32) as u32],
        // Numbers of binary16 are handed over as binary32.
        F32 | F16 => [(number as f32).to_bits(), 0],
        _ => [(number as i32).cast_unsigned(), 0],
    }
}

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    const SIGNATURE: &str = "fma(out, precision: U32 of 0 to 4, lanes: U64, iterations: U64 up to 2^18, factor: F64, \
                             term: F64) with out of lanes numbers or more";
    let [Value::Buffer(out), Value::U32(precision), Value::U64(lanes), Value::U64(iterations), constants_in @ ..] =
        args
    else {
        return refuse(SIGNATURE);
    };
    let ([Value::F64(factor), Value::F64(term)], F64 | F32 | I32 | F16 | PACKED) = (constants_in, *precision) else {
        return refuse(SIGNATURE);
    };
    // Words of two lanes: binary16 has two in a word.
    let words_of_two = match *precision {
        F64 => 4,
        F16 => 1,
        _ => 2,
    };
    let words = |lanes: u64| (lanes * words_of_two).div_ceil(2);
    if *lanes > u64::from(u32::MAX) || words(*lanes) > *out || *iterations > ITERATIONS_MAX {
        return refuse(SIGNATURE);
    }
    let (_, group, chains) = *VARIANTS.iter().find(|(known, ..)| *known == name).unwrap_or(&VARIANTS[0]);
    let code = Code {
        // The format's part first: what it enables must stand before all else.
        prefix: types(*precision).to_owned() + &constants(&[("GROUP", group as u32), ("CHAINS", chains as u32)]),
        text: include_str!("../../../../kernels/fma/wgpu.wgsl"),
    };
    let ([factor_low, factor_high], [term_low, term_high]) = (halves(*precision, *factor), halves(*precision, *term));
    let most = facts.binding / 4 * 2 / words_of_two;
    let part = |index: u64| {
        let first = index * most;
        let count = most.min(lanes - first);
        let end = words(first + count).next_multiple_of(ALIGNED_WORDS).max(ALIGNED_WORDS);
        Dispatch {
            code: code.clone(),
            entry: "main",
            uniform: vec![count as u32, first as u32, *iterations as u32, factor_low, factor_high, term_low, term_high],
            bindings: vec![Binding { number: 1, argument: 0, bytes: words(first) * 4..end * 4 }],
            grid: spread(count.div_ceil(4 * chains * group), facts),
        }
    };
    Ok((0..lanes.div_ceil(most).max(1)).map(part).collect())
}
