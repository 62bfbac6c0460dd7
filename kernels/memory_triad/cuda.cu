// memory_triad for CUDA. Entry memory_triad_u<loads of 16 bytes that a thread has in flight>, half of each stream.
#include "../cuda.cuh"

__device__ __forceinline__ u32 triad(u32 b, u32 c, float scalar) {
    return __float_as_uint(__fmaf_rn(scalar, __uint_as_float(c), __uint_as_float(b)));
}

template <u32 ROWS>
__device__ __forceinline__ void triad(const uint4* b, const uint4* c, uint4* out, u64 words, float scalar) {
    const auto put = [=](u64 at, uint4 b, uint4 c) {
        store_once(out + at, make_uint4(triad(b.x, c.x, scalar), triad(b.y, c.y, scalar), triad(b.z, c.z, scalar),
                                        triad(b.w, c.w, scalar)));
    };
    const auto tile = [=](u64 first) {
        uint4 x[ROWS], y[ROWS];
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) x[i] = load_once(b + first + i * WARP);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) y[i] = load_once(c + first + i * WARP);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) put(first + i * WARP, x[i], y[i]);
    };
    const auto pack = [=](u64 at) { put(at, load_once(b + at), load_once(c + at)); };
    const auto word = [=](u64 at) { ((u32*)out)[at] = triad(((const u32*)b)[at], ((const u32*)c)[at], scalar); };
    hand_out<ROWS>(words, tile, pack, word);
}

ENTRY(memory_triad_u8)(const uint4* __restrict__ b, const uint4* __restrict__ c, uint4* __restrict__ out, u64 words,
                       float scalar) {
    triad<4>(b, c, out, words, scalar);
}

ENTRY(memory_triad_u12)(const uint4* __restrict__ b, const uint4* __restrict__ c, uint4* __restrict__ out, u64 words,
                        float scalar) {
    triad<6>(b, c, out, words, scalar);
}
