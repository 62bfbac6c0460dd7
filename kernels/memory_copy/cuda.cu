// memory_copy for CUDA. Entry memory_copy_u<loads of 16 bytes that a thread has in flight>.
#include "../cuda.cuh"

template <u32 ROWS>
__device__ __forceinline__ void copy(const uint4* in, uint4* out, u64 words) {
    const auto tile = [=](u64 first) {
        uint4 x[ROWS];
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) x[i] = load_once(in + first + i * WARP);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) store_once(out + first + i * WARP, x[i]);
    };
    const auto pack = [=](u64 at) { store_once(out + at, load_once(in + at)); };
    hand_out<ROWS>(words, tile, pack, [=](u64 at) { ((u32*)out)[at] = ((const u32*)in)[at]; });
}

ENTRY(memory_copy_u8)(const uint4* __restrict__ in, uint4* __restrict__ out, u64 words) { copy<8>(in, out, words); }

ENTRY(memory_copy_u12)(const uint4* __restrict__ in, uint4* __restrict__ out, u64 words) { copy<12>(in, out, words); }
