// mma for CUDA of compute capability 9.0, whose matrix units take products of warpgroups. Entry
// mma_<format>_n<columns of a product>.
#include "../wgmma.cuh"
#include "mma.cuh"

struct WideF16 : F16 {
    WGMMA_SIZES("k16.f32.f16.f16", ", 1, 1, 0, 0", float, "+f")
};

struct WideBf16 : Bf16 {
    WGMMA_SIZES("k16.f32.bf16.bf16", ", 1, 1, 0, 0", float, "+f")
};

struct WideTf32 : Tf32 {
    WGMMA_SIZES("k8.f32.tf32.tf32", ", 1, 1", float, "+f")
};

struct WideI8 : I8 {
    WGMMA_SIZES("k32.s32.s8.s8", "", int, "+r")
};

struct WideE4m3 : E4m3Bits {
    WGMMA_SIZES("k32.f32.e4m3.e4m3", ", 1, 1", float, "+f")
};

struct WideE5m2 : E5m2Bits {
    WGMMA_SIZES("k32.f32.e5m2.e5m2", ", 1, 1", float, "+f")
};

// Blocks of 8 rows of 16 bytes lie one after another, the two of a row's 32 bytes first.
__device__ __forceinline__ u32 place(u32 row, u32 chunk) { return row / 8 * 256 + chunk * 128 + row % 8 * 16; }

__device__ __forceinline__ u64 plain(const void* matrix) {
    return descriptor(shared_address(matrix), 128, 256, PLAIN);
}

// 16 bytes of an operand whose elements are `of(k)`.
template <class Format, class Of>
__device__ __forceinline__ uint4 packed(u32 chunk, Of of) {
    constexpr u32 WIDE = 4 / Format::BYTES;
    u32 words[4] = {0, 0, 0, 0};
#pragma unroll
    for (u32 e = 0; e < 4 * WIDE; e++) words[e / WIDE] |= of(chunk * 4 * WIDE + e) << 8 * Format::BYTES * (e % WIDE);
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// A warpgroup has 64 x N sums, and GROUPS of them share b. The last groups may have nothing to store.
template <class Format, class Operands, u32 N, u32 GROUPS>
__device__ __forceinline__ void warpgroups(typename Format::Sum* out, u32 tiles, u32 rounds) {
    __shared__ alignas(128) u8 a[GROUPS][3][TILE_ROWS * 32];
    __shared__ alignas(128) u8 b[N * 32];
    constexpr u32 ACROSS = COLUMNS / N;
    const u32 group = threadIdx.x / WARPGROUP, thread = threadIdx.x % WARPGROUP;
    const u32 parts = (tiles + GROUPS - 1) / GROUPS * ACROSS;
    for (u32 part = blockIdx.x; part < parts; part += gridDim.x) {
        const u32 tile = part / ACROSS * GROUPS + group, row = tile * TILE_ROWS, column = part % ACROSS * N;
        for (u32 item = threadIdx.x; item < N * 2; item += GROUPS * WARPGROUP) {
            const auto of = [&](u32 k) { return Operands::b(k, column + item / 2); };
            *(uint4*)(b + place(item / 2, item % 2)) = packed<Format>(item % 2, of);
        }
        for (u32 item = thread; item < 3 * TILE_ROWS * 2; item += WARPGROUP) {
            const u32 form = item / (TILE_ROWS * 2), of_form = item % (TILE_ROWS * 2);
            const auto of = [&](u32 k) { return Operands::a(form, row + of_form / 2, k); };
            *(uint4*)(a[group][form] + place(of_form / 2, of_form % 2)) = packed<Format>(of_form % 2, of);
        }
        fence_shared();
        __syncthreads();
        const u64 from_a[3] = {plain(a[group][0]), plain(a[group][1]), plain(a[group][2])}, from_b = plain(b);
        typename Format::Sum d[N / 2];
#pragma unroll
        for (u32 i = 0; i < N / 2; i++) d[i] = 0;
#pragma unroll 1
        for (u32 round = 0; round < rounds; round++) {
            fence_products();
#pragma unroll
            for (u32 pair = 0; pair < PAIRS; pair++) {
                Format::multiply(d, from_a[0], from_b);
                Format::multiply(d, from_a[1 + pair % 2], from_b);
            }
            commit_products();
            wait_products<1>();
        }
        fence_products();
        Format::multiply(d, from_a[0], from_b);
        commit_products();
        wait_products<0>();
        if (tile < tiles) {
#pragma unroll
            for (u32 i = 0; i < N / 2; i++) {
                const u32 down = 16 * (thread / WARP) + lane() / 4 + i / 2 % 2 * 8;
                out[(u64)(row + down) * COLUMNS + column + i / 4 * 8 + lane() % 4 * 2 + i % 2] = d[i];
            }
        }
        __syncthreads();
    }
}

#define WARPGROUPS_OF(name, Format, LIMIT_A, LIMIT_B, N, GROUPS)                                                   \
    extern "C" __global__ void __launch_bounds__(GROUPS* WARPGROUP, 1)                                             \
        name(Format::Sum* __restrict__ out, u32 format, u64 tiles, u64 rounds) {                                   \
        warpgroups<Format, Operands<Format, LIMIT_A, LIMIT_B>, N, GROUPS>(out, (u32)tiles, (u32)rounds);           \
    }

WARPGROUPS_OF(mma_f16_n128, WideF16, 100, 100, 128, 4)
WARPGROUPS_OF(mma_f16_n256, WideF16, 100, 100, 256, 2)
WARPGROUPS_OF(mma_bf16_n128, WideBf16, 100, 100, 128, 4)
WARPGROUPS_OF(mma_bf16_n256, WideBf16, 100, 100, 256, 2)
WARPGROUPS_OF(mma_tf32_n128, WideTf32, 100, 100, 128, 4)
WARPGROUPS_OF(mma_tf32_n256, WideTf32, 100, 100, 256, 2)
WARPGROUPS_OF(mma_i8_n128, WideI8, 100, 100, 128, 4)
WARPGROUPS_OF(mma_i8_n256, WideI8, 100, 100, 256, 2)
WARPGROUPS_OF(mma_fp8_e4m3_n128, WideE4m3, 15, 7, 128, 4)
WARPGROUPS_OF(mma_fp8_e4m3_n256, WideE4m3, 15, 7, 256, 2)
WARPGROUPS_OF(mma_fp8_e5m2_n128, WideE5m2, 7, 7, 128, 4)
WARPGROUPS_OF(mma_fp8_e5m2_n256, WideE5m2, 7, 7, 256, 2)
