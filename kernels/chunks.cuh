// The sums of the 256 chunks of a buffer (see memory_read/README.md), in one launch and without a prior clear.
#pragma once

#include "cuda.cuh"

constexpr u32 CHUNKS = 256;

// What the blocks of a launch have summed so far, and how many of them are done. The last one leaves both zero, as the
// module was loaded: so no two launches of a module's entries may overlap.
__device__ u32 partial[CHUNKS];
__device__ u32 done;

// The first word of a chunk, for words below 2^56.
__device__ __forceinline__ u64 border(u64 words, u32 chunk) {
    return chunk == CHUNKS ? words : words * chunk / CHUNKS / 16 * 16;
}

// A thread's sum so far: two of them, so that additions need not wait for one another.
__device__ __forceinline__ void add(uint2& sum, uint4 x) {
    sum.x += x.x + x.y;
    sum.y += x.z + x.w;
}

// What a warp's threads sum becomes part of a chunk's sum.
__device__ __forceinline__ void give(u32 chunk, uint2 sum) {
    const u32 all = __reduce_add_sync(0xffffffff, sum.x + sum.y);
    if (lane() == 0) {
        atomicAdd(&partial[chunk], all);
    }
}

// The block that comes last writes the sums.
__device__ __forceinline__ void finish(u32* out) {
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (last) {
        for (u32 chunk = threadIdx.x; chunk < CHUNKS; chunk += blockDim.x) {
            out[chunk] = atomicExch(&partial[chunk], 0);
        }
    }
}

// Sums what `change` makes of every chunk's packs: `change(x, at)` is handed an array of packs whose indices are
// `at + WARP * i`. A thread has ROWS loads in flight. `Change::BY_ROW` says that it is long, and what is left of a
// slice goes by it row by row.
//
// A chunk is cut into slices of one to four tiles, each a warp's work: so short that every warp has eight or more of
// them, where there are as many, so that all end together. Neighbouring slices go to different blocks, so that few
// slices still keep all of a device busy. A chunk has fewer than 2^32 packs: 16 TiB in all.
template <u32 ROWS, class Change>
__device__ __forceinline__ void sum_chunks(const uint4* in, u32* out, u64 words, Change change) {
    constexpr u32 TILE = ROWS * WARP;
    // No chunk has more packs than this.
    const u32 most = (u32)((words + 4095) / 4096 * 4 + (words % 4096 == 0 ? 0 : 4));
    const u32 tiles = (most + TILE - 1) / TILE, warps = gridDim.x * warps_of_block();
    const u32 turns = min(max(CHUNKS * tiles / (8 * warps), 1u), 4u);
    const u32 slices = (tiles + turns - 1) / turns, slice = turns * TILE;
    for (u32 item = warp_of_block() * gridDim.x + blockIdx.x; item < CHUNKS * slices; item += warps) {
        const u32 chunk = item / slices;
        const u64 first = border(words, chunk) / 4;
        const u32 packs = (u32)(border(words, chunk + 1) / 4 - first);
        const u32 stop = min(packs, (item % slices + 1) * slice);
        const uint4* from = in + first + lane();
        uint2 sum = {0, 0};
        u32 at = item % slices * slice;
        for (; at + TILE <= stop; at += TILE) {
            uint4 x[ROWS];
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) x[i] = load_once(from + at + i * WARP);
            change(x, first + at + lane());
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) add(sum, x[i]);
        }
        // The tile that the chunk cuts short.
        constexpr u32 REST = Change::BY_ROW ? 1 : ROWS;
#pragma unroll 1
        for (; at < stop; at += REST * WARP) {
            uint4 x[REST];
#pragma unroll
            for (u32 i = 0; i < REST; i++) {
                x[i] = {0, 0, 0, 0};
                if (at + i * WARP + lane() < stop) x[i] = load_once(from + at + i * WARP);
            }
            change(x, first + at + lane());
#pragma unroll
            for (u32 i = 0; i < REST; i++) {
                if (at + i * WARP + lane() < stop) add(sum, x[i]);
            }
        }
        give(chunk, sum);
    }
    // Words that fill no pack are the last chunk's.
    if (blockIdx.x == 0 && threadIdx.x == 0 && words % 4 != 0) {
        const u64 at = words / 4;
        const u32* rest = (const u32*)(in + at);
        const u32 count = words % 4;
        uint4 x[1] = {{rest[0], count > 1 ? rest[1] : 0, count > 2 ? rest[2] : 0, 0}};
        change(x, at);
        atomicAdd(&partial[CHUNKS - 1], x[0].x + (count > 1 ? x[0].y : 0) + (count > 2 ? x[0].z : 0));
    }
    finish(out);
}
