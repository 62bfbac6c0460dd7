// What the kernels of the matrix units share: asynchronous copies, fragments, and the formats of their numbers.
#pragma once

#include "cuda.cuh"

typedef unsigned char u8;
typedef unsigned short u16;

__device__ __forceinline__ u32 shared_address(const void* in) { return (u32)__cvta_generic_to_shared(in); }

// Copies 16 bytes to shared memory past L1, or writes 16 zeros: `from` is not read then, but must be an address.
__device__ __forceinline__ void copy_async(u32 to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                 "r"(there ? 16 : 0)
                 : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `PENDING` groups of this thread's copies are under way.
template <u32 PENDING>
__device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Where a 16-byte chunk of a row of `CHUNKS` of them lies in shared memory, in bytes: rows follow one another, and in
// each the chunks are exchanged by the row, so that eight rows' chunks of one column lie in different banks. Of rows of
// 128 bytes it is the swizzle that the matrix units of compute capability 9.0 know.
template <u32 CHUNKS>
__device__ __forceinline__ u32 swizzled(u32 row, u32 chunk) {
    constexpr u32 KEYS = CHUNKS < 8 ? CHUNKS : 8;
    const u32 key = row / (8 / KEYS) % KEYS;
    return (row * CHUNKS + (chunk ^ key)) * 16;
}

// Four 8 x 8 matrices of 16-bit elements (or 8 x 16 of 8-bit ones); lane 8 i + r has the address of row r of matrix i.
__device__ __forceinline__ void load_matrices(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// A product of a warp, 16 x 8 sums of 32 bytes of k: d += a b.
#define MMA(shape_and_types, Sum, letter)                                                                             \
    static __device__ __forceinline__ void multiply(Sum (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {                 \
        asm volatile("mma.sync.aligned." shape_and_types " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "            \
                     "{%0, %1, %2, %3};"                                                                              \
                     : "+" letter(d[0]), "+" letter(d[1]), "+" letter(d[2]), "+" letter(d[3])                         \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                 \
    }

// A format: bytes of an element, the sum of its products, and the bits of a small whole number in it.

struct F16 {
    static constexpr u32 BYTES = 2;
    typedef float Sum;
    static __device__ __forceinline__ u32 bits(int value) {
        u16 bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"((float)value));
        return bits;
    }
    // Two numbers, the first in the low half.
    static __device__ __forceinline__ u32 pair(float low, float high) {
        u32 both;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
    static __device__ __forceinline__ float number(u16 bits) {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }
    MMA("m16n8k16.row.col.f32.f16.f16.f32", float, "f")
};

struct Bf16 {
    static constexpr u32 BYTES = 2;
    typedef float Sum;
    static __device__ __forceinline__ u32 bits(int value) { return __float_as_uint((float)value) >> 16; }
    static __device__ __forceinline__ u32 pair(float low, float high) {
        u32 both;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
    static __device__ __forceinline__ float number(u16 bits) { return __uint_as_float((u32)bits << 16); }
    MMA("m16n8k16.row.col.f32.bf16.bf16.f32", float, "f")
};

struct Tf32 {
    static constexpr u32 BYTES = 4;
    typedef float Sum;
    static __device__ __forceinline__ u32 bits(int value) { return __float_as_uint((float)value); }
    MMA("m16n8k8.row.col.f32.tf32.tf32.f32", float, "f")
};

struct I8 {
    static constexpr u32 BYTES = 1;
    typedef int Sum;
    static __device__ __forceinline__ u32 bits(int value) { return (u32)value & 0xff; }
    MMA("m16n8k32.row.col.s32.s8.s8.s32", int, "r")
};

// 8-bit floating point has its products in modules of its own: see the sources for compute capability 8.9 and 9.0.

struct E4m3Bits {
    static constexpr u32 BYTES = 1;
    typedef float Sum;
    // Whole numbers that four bits of significand hold.
    static __device__ __forceinline__ u32 bits(int value) {
        const u32 wide = __float_as_uint((float)value);
        return value == 0 ? 0 : wide >> 31 << 7 | ((wide & 0x7fffffff) >> 20) - (120 << 3);
    }
};

struct E5m2Bits {
    static constexpr u32 BYTES = 1;
    typedef float Sum;
    // Whole numbers that three bits of significand hold.
    static __device__ __forceinline__ u32 bits(int value) {
        const u32 wide = __float_as_uint((float)value);
        return value == 0 ? 0 : wide >> 31 << 7 | ((wide & 0x7fffffff) >> 21) - (112 << 2);
    }
};
