// pattern for WebGPU: the words of src/device/pattern.rs, in 32-bit operations.
const GROUP: u32 = 64u;
const TURNS: u32 = 16u;

// Kinds, in the order of the Rust enumeration's formats.
const CONSTANT: u32 = 0u;
const WORDS: u32 = 1u;
const UNIFORM_F32: u32 = 2u;
const UNIFORM_F64: u32 = 3u;
const INTEGERS_I32: u32 = 4u;
const INTEGERS_F32: u32 = 5u;
const INTEGERS_F64: u32 = 6u;
const UNIFORM_F16: u32 = 7u;
const UNIFORM_BF16: u32 = 8u;
const INTEGERS_F16: u32 = 9u;
const INTEGERS_BF16: u32 = 10u;

struct Range {
    words: u32,     // of the binding
    first: u32,     // index of its first word
    kind: u32,
    value: u32,     // of CONSTANT
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read_write> to: array<u32>;

fn mix32(start: u32) -> u32 {
    var x = start;
    x ^= x >> 16u;
    x *= 0x7feb352du;
    x ^= x >> 15u;
    x *= 0x846ca68bu;
    return x ^ (x >> 16u);
}

// Indices are below 2^32, so their upper half is zero.
fn hash(index: u32) -> u32 {
    return mix32(mix32(index ^ range.seed_low) + range.seed_high + 0x6a09e667u);
}

fn small_integer(index: u32) -> i32 {
    return i32(hash(index) % 9u) - 4;
}

// The upper (odd) or lower half of the binary64 number `value * 2^scale`, value being a 64-bit magnitude of
// at most 53 bits with a sign.
fn binary64(negative: bool, high: u32, low: u32, scale: i32, odd: bool) -> u32 {
    if (high | low) == 0u {
        return 0u;
    }
    // Bits below the leading one.
    var top = 31u - countLeadingZeros(low);
    if high != 0u {
        top = 63u - countLeadingZeros(high);
    }
    // To bit 52.
    let by = 52u - top;
    var shifted_high = high;
    var shifted_low = low;
    if by >= 32u {
        shifted_high = low << (by - 32u);
        shifted_low = 0u;
    } else if by > 0u {
        shifted_high = (high << by) | (low >> (32u - by));
        shifted_low = low << by;
    }
    if !odd {
        return shifted_low;
    }
    let exponent = u32(1023 + i32(top) + scale);
    return select(0u, 0x80000000u, negative) | (exponent << 20u) | (shifted_high & 0xfffffu);
}

fn uniform_f64(index: u32) -> u32 {
    let number = index & ~1u;
    // 53 of 64 hashed bits, less 2^52.
    let high = hash(number);
    let low = hash(number + 1u);
    let bits_low = (low >> 11u) | (high << 21u);
    let bits_high = high >> 11u;
    let odd = (index & 1u) == 1u;
    if bits_high >= 0x100000u {
        return binary64(false, bits_high - 0x100000u, bits_low, -52, odd);
    }
    let borrow = select(0u, 1u, bits_low != 0u);
    return binary64(true, 0x100000u - bits_high - borrow, 0u - bits_low, -52, odd);
}

// The bits of `integer * unit` in the 16-bit formats, where that is one of their normal numbers or zero.
fn f16_bits(integer: i32, unit: f32) -> u32 {
    let bits = bitcast<u32>(f32(integer) * unit);
    let magnitude = ((bits & 0x7fffffffu) >> 13u) - (112u << 10u);
    return select(((bits >> 31u) << 15u) | magnitude, 0u, integer == 0);
}

fn bf16_bits(integer: i32, unit: f32) -> u32 {
    return bitcast<u32>(f32(integer) * unit) >> 16u;
}

// A 16-bit number from one half of its word's hash.
fn narrow(half: u32) -> u32 {
    switch range.kind {
        case UNIFORM_F16: { return f16_bits(i32(half >> 5u) - 1024, 0.0009765625); }
        case UNIFORM_BF16: { return bf16_bits(i32(half >> 8u) - 128, 0.0078125); }
        case INTEGERS_F16: { return f16_bits(i32(half % 9u) - 4, 1.0); }
        default: { return bf16_bits(i32(half % 9u) - 4, 1.0); }
    }
}

fn word(index: u32) -> u32 {
    switch range.kind {
        case WORDS: { return hash(index); }
        case UNIFORM_F32: { return bitcast<u32>(f32(i32(hash(index) >> 8u) - 8388608) * 1.1920928955078125e-7); }
        case UNIFORM_F64: { return uniform_f64(index); }
        case INTEGERS_I32: { return bitcast<u32>(small_integer(index)); }
        case INTEGERS_F32: { return bitcast<u32>(f32(small_integer(index))); }
        case INTEGERS_F64: {
            let value = small_integer(index / 2u);
            return binary64(value < 0, 0u, u32(abs(value)), 0, (index & 1u) == 1u);
        }
        case UNIFORM_F16, UNIFORM_BF16, INTEGERS_F16, INTEGERS_BF16: {
            let both = hash(index);
            return narrow(both & 0xffffu) | (narrow(both >> 16u) << 16u);
        }
        default: { return range.value; }
    }
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * (GROUP * TURNS) + lane;
    for (var turn = 0u; turn < TURNS; turn++) {
        let at = first + turn * GROUP;
        if at < range.words {
            to[at] = word(range.first + at);
        }
    }
}
