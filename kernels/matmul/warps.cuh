// Matrix products by products of warps (mma.sync): compute capability 8.0 and later.
#pragma once

#include "matmul.cuh"

// Tiles of BM x BN, each warp with WM x WN of it. Tiles of a and b wait in STAGES buffers of BK k's, which asynchronous
// copies fill ahead. B_BY_COLUMNS: b is stored as [n, k]. Rows of a, b and c are whole chunks of 16 bytes.
template <class Format, class Out, bool B_BY_COLUMNS, u32 BM, u32 BN, u32 BK, u32 STAGES, u32 WM, u32 WN>
struct Warps {
    static constexpr u32 BYTES = Format::BYTES, THREADS = BM / WM * (BN / WN) * WARP;
    // Chunks of a row of a tile, and elements of a chunk.
    static constexpr u32 ELEMENTS = 16 / BYTES, CHUNKS_A = BK / ELEMENTS;
    static constexpr u32 ROWS_B = B_BY_COLUMNS ? BN : BK, CHUNKS_B = (B_BY_COLUMNS ? BK : BN) / ELEMENTS;
    static constexpr u32 SIZE_A = BM * CHUNKS_A * 16, SIZE_B = ROWS_B * CHUNKS_B * 16, STAGE = SIZE_A + SIZE_B;

    static __device__ __forceinline__ void copy(u32 stage, u32 step, const u8* a, const u8* b, const Problem& p,
                                                const Place& at) {
#pragma unroll
        for (u32 first = 0; first < BM * CHUNKS_A; first += THREADS) {
            const u32 item = first + threadIdx.x, down = item / CHUNKS_A, chunk = item % CHUNKS_A;
            if (BM * CHUNKS_A % THREADS == 0 || item < BM * CHUNKS_A) {
                const u32 row = at.row + down, k = step * BK + chunk * ELEMENTS;
                const bool there = row < p.m && k < p.k;
                const u32 to = stage + swizzled<CHUNKS_A>(down, chunk);
                copy_async(to, a + (there ? ((u64)row * p.k + k) * BYTES : 0), there);
            }
        }
#pragma unroll
        for (u32 first = 0; first < ROWS_B * CHUNKS_B; first += THREADS) {
            const u32 item = first + threadIdx.x, down = item / CHUNKS_B, along = item % CHUNKS_B * ELEMENTS;
            const u32 k = step * BK + (B_BY_COLUMNS ? along : down);
            const u32 column = at.column + (B_BY_COLUMNS ? down : along);
            const bool there = k < p.k && column < p.n;
            const u64 place = B_BY_COLUMNS ? (u64)column * p.k + k : (u64)k * p.n + column;
            const u32 to = stage + SIZE_A + swizzled<CHUNKS_B>(down, item % CHUNKS_B);
            copy_async(to, b + (there ? place * BYTES : 0), there);
        }
    }

    // Adds the product of a stage's tiles; this warp's part of c begins at `row` and `column` of the tile.
    static __device__ __forceinline__ void multiply(u32 stage, u32 row, u32 column, float (&sums)[WM / 16][WN / 8][4]) {
#pragma unroll
        for (u32 k = 0; k < CHUNKS_A; k += 2) {
            u32 x[WM / 16][4], y[WN / 16][4];
#pragma unroll
            for (u32 i = 0; i < WM / 16; i++) {
                load_matrices(x[i], stage + swizzled<CHUNKS_A>(row + 16 * i + lane() % 16, k + lane() / 16));
            }
#pragma unroll
            for (u32 j = 0; j < WN / 16; j++) {
                if (B_BY_COLUMNS) {
                    const u32 down = column + 16 * j + lane() % 8 + lane() / 16 * 8;
                    load_matrices(y[j], stage + SIZE_A + swizzled<CHUNKS_B>(down, k + lane() / 8 % 2));
                } else {
                    const u32 along = (column + 16 * j) / ELEMENTS + lane() / 16;
                    load_matrices_transposed(y[j], stage + SIZE_A + swizzled<CHUNKS_B>(k * 8 + lane() % 16, along));
                }
            }
#pragma unroll
            for (u32 i = 0; i < WM / 16; i++) {
#pragma unroll
                for (u32 j = 0; j < WN / 8; j++) {
                    Format::multiply(sums[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
                }
            }
        }
    }

    static __device__ __forceinline__ void run(const void* a, const void* b, void* c, float* parts, const Problem& p) {
        extern __shared__ __align__(128) u8 shared[];
        const u32 base = shared_address(shared);
        const Place at = place_of<BM, BN, BK>(p);
        const u32 row = warp_of_block() % (BM / WM) * WM, column = warp_of_block() / (BM / WM) * WN;
        float sums[WM / 16][WN / 8][4];
#pragma unroll
        for (u32 i = 0; i < WM / 16 * (WN / 8) * 4; i++) sums[i / 4 / (WN / 8)][i / 4 % (WN / 8)][i % 4] = 0;
#pragma unroll
        for (u32 i = 0; i < STAGES - 1; i++) {
            if (at.first + i < at.last) copy(base + i * STAGE, at.first + i, (const u8*)a, (const u8*)b, p, at);
            commit_copies();
        }
        u32 now = 0, next = STAGES - 1;
#pragma unroll 1
        for (u32 step = at.first; step < at.last; step++) {
            wait_copies<STAGES - 2>();
            // All see this stage, and none reads the one before it any more, which is filled anew.
            __syncthreads();
            if (step + STAGES - 1 < at.last) {
                copy(base + next * STAGE, step + STAGES - 1, (const u8*)a, (const u8*)b, p, at);
            }
            commit_copies();
            multiply(base + now * STAGE, row, column, sums);
            now = now + 1 == STAGES ? 0 : now + 1;
            next = next + 1 == STAGES ? 0 : next + 1;
        }
        wait_copies<0>();
#pragma unroll
        for (u32 i = 0; i < WM / 16; i++) {
#pragma unroll
            for (u32 j = 0; j < WN / 8; j++) {
                const u32 down = at.row + row + 16 * i + lane() / 4;
                const u32 along = at.column + column + 8 * j + lane() % 4 * 2;
                put_pair<Out>(c, parts, p, at, down, along, sums[i][j][0], sums[i][j][1]);
                put_pair<Out>(c, parts, p, at, down + 8, along, sums[i][j][2], sums[i][j][3]);
            }
        }
        finish<Out, BM, BN>(c, parts, p, at);
    }
};

// Tiles for large products, for few rows, and for up to 16 of them, of formats of 16 and of 8 bits; bytes of a stage are
// in src/device/cuda/products.rs too.
#define WARPS_TILE(name, Format, Out, BY_COLUMNS, THREADS, BLOCKS, BM, BN, BYTES_K, STAGES, WM, WN)                  \
    MATMUL(name##_##BM##x##BN, THREADS, BLOCKS, float,                                                               \
           (Warps<Format, Out, BY_COLUMNS, BM, BN, BYTES_K / Format::BYTES, STAGES, WM, WN>::run))
#define WARPS_OF(name, Format, Out, BY_COLUMNS)                                                                      \
    WARPS_TILE(name, Format, Out, BY_COLUMNS, 256, 1, 128, 256, 64, 3, 64, 64)                                       \
    WARPS_TILE(name, Format, Out, BY_COLUMNS, 128, 2, 128, 128, 64, 4, 64, 64)                                       \
    WARPS_TILE(name, Format, Out, BY_COLUMNS, 128, 3, 64, 64, 128, 4, 32, 32)                                        \
    WARPS_TILE(name, Format, Out, BY_COLUMNS, 128, 3, 16, 64, 128, 6, 16, 16)
