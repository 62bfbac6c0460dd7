// What the CUDA dialects share. Nothing of the toolkit is included: NVRTC compiles them as nvcc does.
//
// Every kernel gives the right result at any grid and at any block of whole warps, up to 1024 threads.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

// Threads of a warp: the packs of 16 bytes that one load of a warp covers, its row.
constexpr u32 WARP = 32;

// All entries can be launched with any block, so they have at most 64 registers; and so many, since what hides the
// latency of memory is bytes in flight, not threads.
#define ENTRY(name) extern "C" __global__ void __launch_bounds__(1024, 1) name

__device__ __forceinline__ u32 lane() { return threadIdx.x % WARP; }
__device__ __forceinline__ u32 warp_of_block() { return threadIdx.x / WARP; }
__device__ __forceinline__ u32 warps_of_block() { return blockDim.x / WARP; }
__device__ __forceinline__ u64 thread_of_grid() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ u64 threads_of_grid() { return (u64)gridDim.x * blockDim.x; }

// Loads and stores are volatile to the C++ compiler, which then neither removes nor hoists them, nor spreads a row of
// them among their uses.

// A pack that is not used again: it is the first to leave the caches.
__device__ __forceinline__ uint4 load_once(const uint4* from) {
    uint4 x;
    asm volatile("ld.global.cs.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(__cvta_generic_to_global(from)));
    return x;
}

// A pack that all caches may keep, L1 included.
__device__ __forceinline__ uint4 load_cached(const uint4* from) {
    uint4 x;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(__cvta_generic_to_global(from)));
    return x;
}

// A pack that nothing reads soon.
__device__ __forceinline__ void store_once(uint4* to, uint4 x) {
    asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(x.x),
                 "r"(x.y), "r"(x.z), "r"(x.w)
                 : "memory");
}

__device__ __forceinline__ void add(uint4& sum, uint4 x) {
    sum.x += x.x;
    sum.y += x.y;
    sum.z += x.z;
    sum.w += x.w;
}

template <u32 N>
__device__ __forceinline__ void add(uint4& sum, const uint4 (&x)[N]) {
#pragma unroll
    for (u32 i = 0; i < N; i++) add(sum, x[i]);
}

// Hands out all packs of a buffer of `words` words in tiles of `ROWS` rows, one after another to the warps of the grid.
// There are fewer than 2^31 tiles: 8 TiB.
// `tile(first)` works on the packs `first + WARP * i` for i in 0..ROWS, `pack(at)` on a single one where no tile is
// left, and `word(at)` on each of the up to three words that fill no pack.
template <u32 ROWS, class Tile, class Single, class Word>
__device__ __forceinline__ void hand_out(u64 words, Tile tile, Single pack, Word word) {
    constexpr u32 PACKS = ROWS * WARP;
    const u32 tiles = (u32)(words / (4 * PACKS)), warps = gridDim.x * warps_of_block();
    for (u32 index = blockIdx.x * warps_of_block() + warp_of_block(); index < tiles; index += warps) {
        tile((u64)index * PACKS + lane());
    }
    const u64 thread = thread_of_grid();
    for (u64 at = (u64)tiles * PACKS + thread; at < words / 4; at += threads_of_grid()) {
        pack(at);
    }
    if (thread < words % 4) {
        word(words / 4 * 4 + thread);
    }
}
