// Numbers in packs of 16 bytes, as the kernels of a decode step take them: four of binary32 or eight of 16 bits, to be
// computed with in binary32.
#pragma once

#include "cuda.cuh"

struct F32 {
    static constexpr u32 PACK = 4;
    static __device__ __forceinline__ void unpack(float (&x)[PACK], uint4 pack) {
        x[0] = __uint_as_float(pack.x), x[1] = __uint_as_float(pack.y);
        x[2] = __uint_as_float(pack.z), x[3] = __uint_as_float(pack.w);
    }
    static __device__ __forceinline__ uint4 pack(const float (&x)[PACK]) {
        return make_uint4(__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3]));
    }
};

// A format of 16 bits by its two numbers of a word, the first in the low half.
template <class Pair>
struct Halves {
    static constexpr u32 PACK = 8;
    static __device__ __forceinline__ void unpack(float (&x)[PACK], uint4 pack) {
        Pair::numbers(x[0], x[1], pack.x), Pair::numbers(x[2], x[3], pack.y);
        Pair::numbers(x[4], x[5], pack.z), Pair::numbers(x[6], x[7], pack.w);
    }
    static __device__ __forceinline__ uint4 pack(const float (&x)[PACK]) {
        return make_uint4(Pair::word(x[0], x[1]), Pair::word(x[2], x[3]), Pair::word(x[4], x[5]),
                          Pair::word(x[6], x[7]));
    }
};

struct PairF16 {
    static __device__ __forceinline__ void numbers(float& low, float& high, u32 word) {
        asm("{ .reg .b16 a, b; mov.b32 {a, b}, %2; cvt.f32.f16 %0, a; cvt.f32.f16 %1, b; }"
            : "=f"(low), "=f"(high)
            : "r"(word));
    }
    static __device__ __forceinline__ u32 word(float low, float high) {
        u32 both;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
};

struct PairBf16 {
    static __device__ __forceinline__ void numbers(float& low, float& high, u32 word) {
        low = __uint_as_float(word << 16), high = __uint_as_float(word & 0xffff0000);
    }
    static __device__ __forceinline__ u32 word(float low, float high) {
        u32 both;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
};

typedef Halves<PairF16> F16;
typedef Halves<PairBf16> Bf16;

// e^x and 2^x, to 2 units of the last place of the result and of x.
__device__ __forceinline__ float power_of_two(float x) {
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float exponential(float x) { return power_of_two(x * 1.4426950408889634f); }

// Hands out the packs of `rows` rows, a run of as many as a block has threads at a time: `pack(row, at)`.
template <class Work>
__device__ __forceinline__ void each_pack(u64 rows, u32 packs, Work work) {
    const u32 runs = (packs + blockDim.x - 1) / blockDim.x;
    for (u64 item = blockIdx.x; item < rows * runs; item += gridDim.x) {
        const u32 at = (u32)(item % runs) * blockDim.x + threadIdx.x;
        if (at < packs) work(item / runs, at);
    }
}

// The sum of a number of each thread of a block, in all of them. A block has up to 1024 threads.
__device__ __forceinline__ float sum_of_block(float x) {
    __shared__ float of_warps[WARP];
#pragma unroll
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
    // What an earlier sum is made of has been read by all.
    __syncthreads();
    if (lane() == 0) of_warps[warp_of_block()] = x;
    __syncthreads();
    x = lane() < warps_of_block() ? of_warps[lane()] : 0.0f;
#pragma unroll
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
    return x;
}
