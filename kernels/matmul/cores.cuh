// Matrix products by the plain units: of tiles, and of few rows.
#pragma once

#include "matmul.cuh"

// A format of a and b: an element, and the number that is multiplied.

template <class Number>
struct Same {
    typedef Number Element;
    typedef Number Sum;
    typedef Whole<Number> Out;
    static __device__ __forceinline__ Number number(Number element) { return element; }
};

template <class Format>
struct Widened {
    typedef u16 Element;
    typedef float Sum;
    typedef Narrow<Format> Out;
    static __device__ __forceinline__ float number(u16 element) { return Format::number(element); }
};

__device__ __forceinline__ void load_four(float (&to)[4], const float* from) {
    const float4 x = *(const float4*)from;
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
}

__device__ __forceinline__ void load_four(double (&to)[4], const double* from) {
    const double2 x = ((const double2*)from)[0], y = ((const double2*)from)[1];
    to[0] = x.x, to[1] = x.y, to[2] = y.x, to[3] = y.y;
}

__device__ __forceinline__ float multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double multiply_add(double a, double b, double c) { return __fma_rn(a, b, c); }

// Tiles of BM x BN, of which a thread has TM rows by fours of neighbours and TN columns likewise. Any shape.
template <class Form, u32 BM, u32 BN, u32 TM, u32 TN>
__device__ __forceinline__ void tiles(const void* a_in, const void* b_in, void* c, typename Form::Sum* parts,
                                      const Problem& p) {
    typedef typename Form::Sum Sum;
    typedef typename Form::Element Element;
    constexpr u32 BK = 16, THREADS = BM / TM * (BN / TN), LOADS_A = BM * BK / THREADS, LOADS_B = BN * BK / THREADS;
    // Rows of a are columns here; four more, so that a column's stores go to different banks.
    __shared__ alignas(16) Sum shared_a[BK][BM + 4];
    __shared__ alignas(16) Sum shared_b[BK][BN];
    const Element* a = (const Element*)a_in;
    const Element* b = (const Element*)b_in;
    const Place at = place_of<BM, BN, BK>(p);
    const u32 across = threadIdx.x % (BN / TN), down = threadIdx.x / (BN / TN);
    Sum sums[TM][TN];
#pragma unroll
    for (u32 i = 0; i < TM; i++) {
#pragma unroll
        for (u32 j = 0; j < TN; j++) sums[i][j] = 0;
    }
    Sum next_a[LOADS_A], next_b[LOADS_B];
    const auto load = [&](u32 step) {
#pragma unroll
        for (u32 i = 0; i < LOADS_A; i++) {
            const u32 item = i * THREADS + threadIdx.x, row = at.row + item / BK, k = step * BK + item % BK;
            next_a[i] = row < p.m && k < p.k ? Form::number(a[(u64)row * p.k + k]) : (Sum)0;
        }
#pragma unroll
        for (u32 i = 0; i < LOADS_B; i++) {
            const u32 item = i * THREADS + threadIdx.x, k = step * BK + item / BN, column = at.column + item % BN;
            next_b[i] = k < p.k && column < p.n ? Form::number(b[(u64)k * p.n + column]) : (Sum)0;
        }
    };
    if (at.first < at.last) load(at.first);
#pragma unroll 1
    for (u32 step = at.first; step < at.last; step++) {
        __syncthreads();
#pragma unroll
        for (u32 i = 0; i < LOADS_A; i++) {
            const u32 item = i * THREADS + threadIdx.x;
            shared_a[item % BK][item / BK] = next_a[i];
        }
#pragma unroll
        for (u32 i = 0; i < LOADS_B; i++) {
            const u32 item = i * THREADS + threadIdx.x;
            shared_b[item / BN][item % BN] = next_b[i];
        }
        __syncthreads();
        if (step + 1 < at.last) load(step + 1);
#pragma unroll
        for (u32 k = 0; k < BK; k++) {
            Sum x[TM / 4][4], y[TN / 4][4];
#pragma unroll
            for (u32 i = 0; i < TM / 4; i++) load_four(x[i], &shared_a[k][i * (4 * BM / TM) + down * 4]);
#pragma unroll
            for (u32 j = 0; j < TN / 4; j++) load_four(y[j], &shared_b[k][j * (4 * BN / TN) + across * 4]);
#pragma unroll
            for (u32 i = 0; i < TM; i++) {
#pragma unroll
                for (u32 j = 0; j < TN; j++) {
                    sums[i][j] = multiply_add(x[i / 4][i % 4], y[j / 4][j % 4], sums[i][j]);
                }
            }
        }
    }
#pragma unroll
    for (u32 i = 0; i < TM; i++) {
#pragma unroll
        for (u32 j = 0; j < TN; j++) {
            const u32 row = at.row + i / 4 * (4 * BM / TM) + down * 4 + i % 4;
            const u32 column = at.column + j / 4 * (4 * BN / TN) + across * 4 + j % 4;
            put<typename Form::Out>(c, parts, p, at, row, column, sums[i][j]);
        }
    }
    finish<typename Form::Out, BM, BN>(c, parts, p, at);
}

// Up to ROWS rows, where reading b is all that takes time: a warp reads 32 packs of neighbours of a row of b at a time,
// eight rows of it in flight, and the eight warps of a block share the k's of its part. n and k are multiples of the
// elements of a pack, and k of eight.
template <class Form, u32 ROWS>
__device__ __forceinline__ void rows(const void* a_in, const void* b_in, void* c, typename Form::Sum* parts,
                                     const Problem& p) {
    typedef typename Form::Sum Sum;
    typedef typename Form::Element Element;
    constexpr u32 PACK = 16 / sizeof(Element), WIDTH = WARP * PACK, DEEP = 8, WARPS = 8;
    __shared__ Sum shared[WARPS][WIDTH];
    const Element* a = (const Element*)a_in;
    const Place at = place_of<ROWS, WIDTH, DEEP * WARPS>(p);
    const u32 column = at.column + lane() * PACK;
    const bool there = column < p.n;
    Sum sums[ROWS][PACK];
#pragma unroll
    for (u32 row = 0; row < ROWS; row++) {
#pragma unroll
        for (u32 i = 0; i < PACK; i++) sums[row][i] = 0;
    }
#pragma unroll 1
    for (u32 step = at.first; step < at.last; step++) {
        const u32 k = (step * WARPS + warp_of_block()) * DEEP;
        if (k >= p.k) continue;
        uint4 packs[DEEP];
#pragma unroll
        for (u32 i = 0; i < DEEP; i++) {
            packs[i] = make_uint4(0, 0, 0, 0);
            if (there) packs[i] = load_once((const uint4*)((const Element*)b_in + (u64)(k + i) * p.n + column));
        }
#pragma unroll
        for (u32 row = 0; row < ROWS; row++) {
            // A row past the last is the last once more, and is not stored.
            const Element* from = a + (u64)min(at.row + row, p.m - 1) * p.k + k;
            alignas(16) Element x[DEEP];
#pragma unroll
            for (u32 i = 0; i < DEEP / PACK; i++) ((uint4*)x)[i] = __ldg((const uint4*)from + i);
#pragma unroll
            for (u32 i = 0; i < DEEP; i++) {
                const Element* y = (const Element*)&packs[i];
#pragma unroll
                for (u32 j = 0; j < PACK; j++) {
                    sums[row][j] = multiply_add(Form::number(x[i]), Form::number(y[j]), sums[row][j]);
                }
            }
        }
    }
#pragma unroll
    for (u32 row = 0; row < ROWS; row++) {
        __syncthreads();
#pragma unroll
        for (u32 i = 0; i < PACK; i++) shared[warp_of_block()][lane() * PACK + i] = sums[row][i];
        __syncthreads();
        for (u32 i = threadIdx.x; i < WIDTH; i += blockDim.x) {
            Sum sum = 0;
#pragma unroll
            for (u32 warp = 0; warp < WARPS; warp++) sum += shared[warp][i];
            put<typename Form::Out>(c, parts, p, at, at.row + row, at.column + i, sum);
        }
    }
    finish<typename Form::Out, ROWS, WIDTH>(c, parts, p, at);
}
