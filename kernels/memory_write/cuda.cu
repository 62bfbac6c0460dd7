// memory_write for CUDA. Entry memory_write_u<stores of 16 bytes that a thread issues in a row>.
#include "../cuda.cuh"

template <u32 ROWS>
__device__ __forceinline__ void write(uint4* out, u64 words, u32 key) {
    const auto put = [=](u64 at) {
        const u32 first = (u32)at * 4 + key;
        store_once(out + at, make_uint4(first, first + 1, first + 2, first + 3));
    };
    const auto tile = [=](u64 first) {
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) put(first + i * WARP);
    };
    hand_out<ROWS>(words, tile, put, [=](u64 at) { ((u32*)out)[at] = (u32)at + key; });
}

ENTRY(memory_write_u4)(uint4* __restrict__ out, u64 words, u32 key) { write<4>(out, words, key); }

ENTRY(memory_write_u8)(uint4* __restrict__ out, u64 words, u32 key) { write<8>(out, words, key); }
