// matmul for CUDA of compute capability 9.0, by products of warpgroups. Entry matmul_<format>_groups_<tile>.
#include "../wgmma.cuh"
#include "matmul.cuh"

struct WideF16 : F16 {
    // b is stored as [k, n].
    static constexpr bool B_BY_COLUMNS = false;
    typedef Narrow<F16> Out;
    WGMMA_SIZES("k16.f32.f16.f16", ", 1, 1, 0, 1", float, "+f")
};

struct WideBf16 : Bf16 {
    static constexpr bool B_BY_COLUMNS = false;
    typedef Narrow<Bf16> Out;
    WGMMA_SIZES("k16.f32.bf16.bf16", ", 1, 1, 0, 1", float, "+f")
};

struct WideE4m3 : E4m3Bits {
    static constexpr bool B_BY_COLUMNS = true;
    typedef Narrow<Bf16> Out;
    WGMMA_SIZES("k32.f32.e4m3.e4m3", ", 1, 1", float, "+f")
};

// Tiles of 64 GROUPS x BN, each warpgroup with 64 rows of it, and 128 bytes of k. Rows of a, b and c are whole chunks
// of 16 bytes.
template <class Format, u32 GROUPS, u32 BN, u32 STAGES>
struct Groups {
    static constexpr u32 THREADS = GROUPS * WARPGROUP, BM = 64 * GROUPS, BYTES = Format::BYTES, ELEMENTS = 16 / BYTES;
    static constexpr u32 CHUNKS = 8, BK = CHUNKS * ELEMENTS, ATOM = 8 * CHUNKS * 16;
    static constexpr u32 SIZE_A = BM * CHUNKS * 16, SIZE_B = BN * BK * BYTES, STAGE = SIZE_A + SIZE_B;
    // Bytes of the part of b that has the 64 columns of a row of chunks, where rows are k's.
    static constexpr u32 PANEL = BK * CHUNKS * 16;

    static __device__ __forceinline__ void copy(u32 stage, u32 step, const u8* a, const u8* b, const Problem& p,
                                                const Place& at) {
#pragma unroll
        for (u32 first = 0; first < BM * CHUNKS; first += THREADS) {
            const u32 down = (first + threadIdx.x) / CHUNKS, chunk = threadIdx.x % CHUNKS;
            const u32 row = at.row + down, k = step * BK + chunk * ELEMENTS;
            const bool there = row < p.m && k < p.k;
            copy_async(stage + swizzled<CHUNKS>(down, chunk), a + (there ? ((u64)row * p.k + k) * BYTES : 0), there);
        }
#pragma unroll
        for (u32 first = 0; first < SIZE_B / 16; first += THREADS) {
            const u32 down = (first + threadIdx.x) / CHUNKS, chunk = threadIdx.x % CHUNKS;
            u32 k, column;
            if (Format::B_BY_COLUMNS) {
                column = at.column + down;
                k = step * BK + chunk * ELEMENTS;
            } else {
                // Panel after panel; within one, a row for each k.
                column = at.column + down / BK * (CHUNKS * ELEMENTS) + chunk * ELEMENTS;
                k = step * BK + down % BK;
            }
            const bool there = k < p.k && column < p.n;
            const u64 from = Format::B_BY_COLUMNS ? (u64)column * p.k + k : (u64)k * p.n + column;
            copy_async(stage + SIZE_A + swizzled<CHUNKS>(down, chunk), b + (there ? from * BYTES : 0), there);
        }
    }

    static __device__ __forceinline__ void multiply(u32 stage, u32 group, float (&sums)[BN / 2]) {
        fence_products();
#pragma unroll
        for (u32 k = 0; k < CHUNKS / 2; k++) {
            const u64 a = descriptor(stage + group * 8 * ATOM + k * 32, 16, ATOM, BY_128_BYTES);
            // 32 bytes on, or the next 32 / BYTES k's.
            const u64 b = Format::B_BY_COLUMNS
                              ? descriptor(stage + SIZE_A + k * 32, 16, ATOM, BY_128_BYTES)
                              : descriptor(stage + SIZE_A + k * 4 / BYTES * ATOM, PANEL, ATOM, BY_128_BYTES);
            Format::multiply(sums, a, b);
        }
        commit_products();
    }

    static __device__ __forceinline__ void run(const void* a, const void* b, void* c, float* parts, const Problem& p) {
        // Swizzles go by address bits, so tiles are aligned to theirs.
        extern __shared__ __align__(1024) u8 shared[];
        const u32 base = shared_address(shared);
        const Place at = place_of<BM, BN, BK>(p);
        const u32 group = threadIdx.x / WARPGROUP;
        float sums[BN / 2];
#pragma unroll
        for (u32 i = 0; i < BN / 2; i++) sums[i] = 0;
#pragma unroll
        for (u32 i = 0; i < STAGES - 2; i++) {
            if (at.first + i < at.last) copy(base + i * STAGE, at.first + i, (const u8*)a, (const u8*)b, p, at);
            commit_copies();
        }
        u32 now = 0, next = STAGES - 2;
#pragma unroll 1
        for (u32 step = at.first; step < at.last; step++) {
            wait_copies<STAGES - 3>();
            fence_shared();
            __syncthreads();
            multiply(base + now * STAGE, group, sums);
            // The product before this one is done; that before it was in all groups when they passed the barrier, and
            // its stage is filled anew.
            wait_products<1>();
            if (step + STAGES - 2 < at.last) {
                copy(base + next * STAGE, step + STAGES - 2, (const u8*)a, (const u8*)b, p, at);
            }
            commit_copies();
            now = now + 1 == STAGES ? 0 : now + 1;
            next = next + 1 == STAGES ? 0 : next + 1;
        }
        wait_copies<0>();
        wait_products<0>();
#pragma unroll
        for (u32 i = 0; i < BN / 2; i += 2) {
            const u32 row = at.row + 16 * warp_of_block() + lane() / 4 + i / 2 % 2 * 8;
            put_pair<typename Format::Out>(c, parts, p, at, row, at.column + i / 4 * 8 + lane() % 4 * 2, sums[i],
                                           sums[i + 1]);
        }
        finish<typename Format::Out, BM, BN>(c, parts, p, at);
    }
};

#define GROUPS_OF(name, Format)                                                       \
    MATMUL(name##_128x256, 256, 1, float, (Groups<Format, 2, 256, 4>::run))           \
    MATMUL(name##_128x128, 256, 1, float, (Groups<Format, 2, 128, 5>::run))           \
    MATMUL(name##_64x128, 128, 2, float, (Groups<Format, 1, 128, 4>::run))

GROUPS_OF(matmul_f16_groups, WideF16)
GROUPS_OF(matmul_bf16_groups, WideBf16)
GROUPS_OF(matmul_fp8_e4m3_groups, WideE4m3)
