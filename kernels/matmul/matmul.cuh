// What the matrix products share: shapes, the order of tiles, and sums of which several blocks have parts.
#pragma once

#include "../matrix.cuh"

// c[m, n] = a[m, k] b[k, n]. Every tile of c is the work of `splits` blocks, each with a part of the k's. `parts` has
// room for m n sums of each part, and is not touched where there is one.
struct Problem {
    u32 m, n, k, splits;
};

// Blocks that have added their part of a tile: zero between launches, so no two launches of a module may overlap.
constexpr u32 SPLIT_TILES = 4096;
__device__ u32 arrived[SPLIT_TILES];

// Where a block's tile lies, and which part of the k's is its own.
struct Place {
    u32 tile, row, column, split, first, last;
};

// Tiles go down eight rows of tiles and then on to the next column of them, so that blocks that run side by side share
// what they read.
template <u32 BM, u32 BN, u32 BK>
__device__ __forceinline__ Place place_of(const Problem& p) {
    constexpr u32 DOWN = 8;
    const u32 rows = (p.m + BM - 1) / BM, columns = (p.n + BN - 1) / BN, tiles = rows * columns;
    Place at;
    at.tile = blockIdx.x % tiles;
    at.split = blockIdx.x / tiles;
    const u32 band = at.tile / (DOWN * columns) * DOWN, height = min(rows - band, DOWN);
    const u32 within = at.tile % (DOWN * columns);
    at.row = (band + within % height) * BM;
    at.column = within / height * BN;
    const u32 steps = (p.k + BK - 1) / BK, each = (steps + p.splits - 1) / p.splits;
    at.first = min(at.split * each, steps);
    at.last = min(at.first + each, steps);
    return at;
}

// A format of c: how one sum, and two neighbours, are stored.

template <class Number>
struct Whole {
    typedef Number Element;
    static __device__ __forceinline__ Number of(Number sum) { return sum; }
};

template <class Format>
struct Narrow {
    typedef u16 Element;
    static __device__ __forceinline__ u16 of(float sum) { return (u16)Format::pair(sum, 0.0f); }
    static __device__ __forceinline__ u32 pair(float low, float high) { return Format::pair(low, high); }
};

// Stores a sum, or this block's part of it.
template <class Out, class Sum>
__device__ __forceinline__ void put(void* c, Sum* parts, const Problem& p, const Place& at, u32 row, u32 column,
                                    Sum sum) {
    if (row < p.m && column < p.n) {
        const u64 index = (u64)row * p.n + column;
        if (p.splits == 1) {
            ((typename Out::Element*)c)[index] = Out::of(sum);
        } else {
            parts[(u64)at.split * p.m * p.n + index] = sum;
        }
    }
}

// The same for two neighbours of which the first has an even column, where n is even.
template <class Out>
__device__ __forceinline__ void put_pair(void* c, float* parts, const Problem& p, const Place& at, u32 row,
                                         u32 column, float low, float high) {
    if (row < p.m && column < p.n) {
        const u64 index = (u64)row * p.n + column;
        if (p.splits == 1) {
            ((u32*)c)[index / 2] = Out::pair(low, high);
        } else {
            *(float2*)(parts + (u64)at.split * p.m * p.n + index) = make_float2(low, high);
        }
    }
}

// Once all of a block's sums are put: the last block of a tile adds up the parts, in their order.
template <class Out, u32 BM, u32 BN, class Sum>
__device__ __forceinline__ void finish(void* c, const Sum* parts, const Problem& p, const Place& at) {
    __shared__ bool last;
    if (p.splits == 1) return;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicInc(&arrived[at.tile], p.splits - 1) == p.splits - 1;
        __threadfence();
    }
    __syncthreads();
    if (last) {
        for (u32 i = threadIdx.x; i < BM * BN; i += blockDim.x) {
            const u32 row = at.row + i / BN, column = at.column + i % BN;
            if (row < p.m && column < p.n) {
                const u64 index = (u64)row * p.n + column;
                Sum sum = 0;
                for (u32 split = 0; split < p.splits; split++) sum += __ldcg(parts + (u64)split * p.m * p.n + index);
                ((typename Out::Element*)c)[index] = Out::of(sum);
            }
        }
    }
}

#define MATMUL(name, THREADS, BLOCKS, Sum, body)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                  \
        name(const void* __restrict__ a, const void* __restrict__ b, void* __restrict__ c,                         \
             Sum* __restrict__ parts, u32 m, u32 n, u32 k, u32 splits) {                                           \
        const Problem p = {m, n, k, splits};                                                                       \
        body(a, b, c, parts, p);                                                                                   \
    }
