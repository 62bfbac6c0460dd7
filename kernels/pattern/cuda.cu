// pattern for CUDA: the words of src/device/pattern.rs.
#include "../cuda.cuh"

// Kinds, in the order of the Rust enumeration's formats.
enum Kind : u32 {
    CONSTANT = 0,
    WORDS = 1,
    UNIFORM_F32 = 2,
    UNIFORM_F64 = 3,
    INTEGERS_I32 = 4,
    INTEGERS_F32 = 5,
    INTEGERS_F64 = 6,
    UNIFORM_F16 = 7,
    UNIFORM_BF16 = 8,
    INTEGERS_F16 = 9,
    INTEGERS_BF16 = 10,
    UNIFORM_E4M3 = 11,
    INTEGERS_E4M3 = 12,
};

__device__ __forceinline__ u32 mix(u32 x) {
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    return x ^ (x >> 16);
}

__device__ __forceinline__ u32 hash(u64 seed, u64 index) {
    const u32 first = mix((u32)index ^ (u32)seed);
    const u32 high = (u32)(index >> 32) * 0x9e3779b9 + (u32)(seed >> 32);
    return mix(first + high + 0x6a09e667);
}

__device__ __forceinline__ int small_integer(u64 seed, u64 index) { return (int)(hash(seed, index) % 9) - 4; }

// The low (even index) or high (odd) word of a binary64 number.
__device__ __forceinline__ u32 half_of(double value, u64 index) {
    return (u32)((u64)__double_as_longlong(value) >> (32 * (index & 1)));
}

__device__ __forceinline__ double uniform_f64(u64 seed, u64 index) {
    const u64 bits = (u64)hash(seed, 2 * index) << 32 | hash(seed, 2 * index + 1);
    return (double)((long long)(bits >> 11) - (1ll << 52)) * (1.0 / (1ll << 52));
}

// The bits of a number that the format has.

__device__ __forceinline__ u32 f16_bits(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

__device__ __forceinline__ u32 bf16_bits(float value) { return __float_as_uint(value) >> 16; }

// Sixteenths, or whole numbers, that E4M3 has.
__device__ __forceinline__ u32 e4m3_bits(float value) {
    const u32 bits = __float_as_uint(value);
    return value == 0.0f ? 0 : bits >> 31 << 7 | ((bits & 0x7fffffff) >> 20) - (120 << 3);
}

// An 8-bit number from one byte of its word's hash.
template <u32 KIND>
__device__ __forceinline__ u32 byte_of(u32 byte) {
    return KIND == UNIFORM_E4M3 ? e4m3_bits((float)((int)(byte >> 3) - 16) * (1.0f / 16))
                                : e4m3_bits((float)((int)(byte % 9) - 4));
}

// A 16-bit number from one half of its word's hash.
template <u32 KIND>
__device__ __forceinline__ u32 narrow(u32 half) {
    switch (KIND) {
        case UNIFORM_F16: return f16_bits((float)((int)(half >> 5) - 1024) * (1.0f / 1024));
        case UNIFORM_BF16: return bf16_bits((float)((int)(half >> 8) - 128) * (1.0f / 128));
        case INTEGERS_F16: return f16_bits((float)((int)(half % 9) - 4));
        default: return bf16_bits((float)((int)(half % 9) - 4));
    }
}

template <u32 KIND>
__device__ __forceinline__ u32 word_of(u64 index, u32 value, u64 seed) {
    switch (KIND) {
        case WORDS: return hash(seed, index);
        case UNIFORM_F32:
            return __float_as_uint((float)((int)(hash(seed, index) >> 8) - (1 << 23)) * (1.0f / (1 << 23)));
        case UNIFORM_F64: return half_of(uniform_f64(seed, index / 2), index);
        case INTEGERS_I32: return (u32)small_integer(seed, index);
        case INTEGERS_F32: return __float_as_uint((float)small_integer(seed, index));
        case INTEGERS_F64: return half_of(small_integer(seed, index / 2), index);
        case UNIFORM_F16:
        case UNIFORM_BF16:
        case INTEGERS_F16:
        case INTEGERS_BF16: {
            const u32 both = hash(seed, index);
            return narrow<KIND>(both & 0xffff) | narrow<KIND>(both >> 16) << 16;
        }
        case UNIFORM_E4M3:
        case INTEGERS_E4M3: {
            const u32 all = hash(seed, index);
            return byte_of<KIND>(all & 0xff) | byte_of<KIND>(all >> 8 & 0xff) << 8 |
                   byte_of<KIND>(all >> 16 & 0xff) << 16 | byte_of<KIND>(all >> 24) << 24;
        }
        default: return value;
    }
}

template <u32 KIND>
__device__ __forceinline__ void fill(uint4* out, u64 words, u32 value, u64 seed) {
    const auto word = [=](u64 at) { ((u32*)out)[at] = word_of<KIND>(at, value, seed); };
    const auto pack = [=](u64 at) {
        store_once(out + at, make_uint4(word_of<KIND>(4 * at, value, seed), word_of<KIND>(4 * at + 1, value, seed),
                                        word_of<KIND>(4 * at + 2, value, seed),
                                        word_of<KIND>(4 * at + 3, value, seed)));
    };
    hand_out<1>(words, pack, pack, word);
}

// A kind that is not known leaves the buffer as it was.
ENTRY(pattern)(uint4* __restrict__ out, u64 words, u32 kind, u32 value, u64 seed) {
    switch (kind) {
        case CONSTANT: fill<CONSTANT>(out, words, value, seed); break;
        case WORDS: fill<WORDS>(out, words, value, seed); break;
        case UNIFORM_F32: fill<UNIFORM_F32>(out, words, value, seed); break;
        case UNIFORM_F64: fill<UNIFORM_F64>(out, words, value, seed); break;
        case INTEGERS_I32: fill<INTEGERS_I32>(out, words, value, seed); break;
        case INTEGERS_F32: fill<INTEGERS_F32>(out, words, value, seed); break;
        case INTEGERS_F64: fill<INTEGERS_F64>(out, words, value, seed); break;
        case UNIFORM_F16: fill<UNIFORM_F16>(out, words, value, seed); break;
        case UNIFORM_BF16: fill<UNIFORM_BF16>(out, words, value, seed); break;
        case INTEGERS_F16: fill<INTEGERS_F16>(out, words, value, seed); break;
        case INTEGERS_BF16: fill<INTEGERS_BF16>(out, words, value, seed); break;
        case UNIFORM_E4M3: fill<UNIFORM_E4M3>(out, words, value, seed); break;
        case INTEGERS_E4M3: fill<INTEGERS_E4M3>(out, words, value, seed); break;
    }
}
