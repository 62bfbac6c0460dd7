// The operands of mma (see README.md), and its product by single warps.
#pragma once

#include "../matrix.cuh"

// Columns of the sums, and rows of a tile.
constexpr u32 COLUMNS = 256, TILE_ROWS = 64;
// Pairs of products in a round: the second of the first pair adds the difference, that of the next takes it away, ….
constexpr u32 PAIRS = 15;

__device__ __forceinline__ u32 mix(u32 x) {
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    return x ^ (x >> 16);
}

// Whole numbers from -LIMIT to LIMIT.
template <u32 LIMIT>
__device__ __forceinline__ int small(u32 index) {
    return (int)(mix(index) % (2 * LIMIT + 1)) - (int)LIMIT;
}

// What a format's operands are: k's of a product, and elements of the three forms of a and of b.
template <class Format, u32 LIMIT_A, u32 LIMIT_B>
struct Operands {
    static constexpr u32 K = 32 / Format::BYTES;

    // Form 0 is a itself, 1 the difference less a, 2 minus the difference less a.
    static __device__ __forceinline__ u32 a(u32 form, u32 row, u32 k) {
        const int value = small<LIMIT_A>(row * 32 + k), difference = k == row % K;
        return Format::bits(form == 0 ? value : (form == 1 ? difference : -difference) - value);
    }

    static __device__ __forceinline__ u32 b(u32 k, u32 column) {
        return Format::bits(small<LIMIT_B>(0x80000000 | (column * 32 + k)));
    }
};

// Sums of CHAINS accumulators of 16 x 8 in every warp: as many products stand between one of them and its next.
template <class Format, class Operands, u32 CHAINS>
__device__ __forceinline__ void chains(typename Format::Sum* out, u32 tiles, u32 rounds) {
    constexpr u32 WIDE = 4 / Format::BYTES, ACROSS = COLUMNS / (8 * CHAINS);
    const u32 group = lane() / 4, within = lane() % 4;
    const u32 parts = tiles * (TILE_ROWS / 16) * ACROSS, warps = gridDim.x * warps_of_block();
    for (u32 part = blockIdx.x * warps_of_block() + warp_of_block(); part < parts; part += warps) {
        const u32 row = part / ACROSS * 16, column = part % ACROSS * 8 * CHAINS;
        u32 a[3][4], b[CHAINS][2];
        typename Format::Sum d[CHAINS][4];
#pragma unroll
        for (u32 form = 0; form < 3; form++) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                a[form][i] = 0;
#pragma unroll
                for (u32 e = 0; e < WIDE; e++) {
                    const u32 k = within * WIDE + e + 4 * WIDE * (i / 2);
                    a[form][i] |= Operands::a(form, row + group + 8 * (i % 2), k) << (8 * Format::BYTES * e) % 32;
                }
            }
        }
#pragma unroll
        for (u32 chain = 0; chain < CHAINS; chain++) {
#pragma unroll
            for (u32 i = 0; i < 2; i++) {
                b[chain][i] = 0;
#pragma unroll
                for (u32 e = 0; e < WIDE; e++) {
                    const u32 k = within * WIDE + e + 4 * WIDE * i;
                    b[chain][i] |= Operands::b(k, column + 8 * chain + group) << (8 * Format::BYTES * e) % 32;
                }
            }
#pragma unroll
            for (u32 e = 0; e < 4; e++) d[chain][e] = 0;
        }
        const auto multiply = [&](u32 form) {
#pragma unroll
            for (u32 chain = 0; chain < CHAINS; chain++) {
                Format::multiply(d[chain], a[form], b[chain][0], b[chain][1]);
            }
        };
#pragma unroll 1
        for (u32 round = 0; round < rounds; round++) {
#pragma unroll
            for (u32 pair = 0; pair < PAIRS; pair++) {
                multiply(0);
                multiply(1 + pair % 2);
            }
        }
        multiply(0);
#pragma unroll
        for (u32 chain = 0; chain < CHAINS; chain++) {
#pragma unroll
            for (u32 e = 0; e < 4; e++) {
                const u64 at = (u64)(row + group + 8 * (e / 2)) * COLUMNS + column + 8 * chain + 2 * within + e % 2;
                out[at] = d[chain][e];
            }
        }
    }
}

// The format is the entry's own; the argument is there so that all entries are launched alike.
#define CHAINS_OF(name, Format, LIMIT_A, LIMIT_B, CHAINS)                                                          \
    extern "C" __global__ void __launch_bounds__(256, CHAINS == 8 ? 3 : 4)                                         \
        name(Format::Sum* __restrict__ out, u32 format, u64 tiles, u64 rounds) {                                   \
        chains<Format, Operands<Format, LIMIT_A, LIMIT_B>, CHAINS>(out, (u32)tiles, (u32)rounds);                  \
    }
