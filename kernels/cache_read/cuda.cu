// cache_read for CUDA. Entry cache_read_u<loads of 16 bytes that a thread has in flight>. A block reads a unit's words;
// all levels, L1 included, may serve it.
#include "../cuda.cuh"

// The passes of a block over `rows` rows of 512 bytes, handed to the warps in tiles of ROWS rows (the last tile of a
// pass may have fewer). The tiles of all passes are one sequence: no pass waits for the one before, and a unit
// of a few tiles still keeps every warp busy. A pass begins `part` of `parts` into the rows, and goes around.
template <u32 ROWS>
__device__ __forceinline__ uint4 passes_over(const uint4* in, u32 rows, u64 passes, u64 part, u64 parts) {
    // Opaque, or the compiler makes the address anew, from the thread's number on, in every turn.
    const uint4* from;
    asm volatile("mov.u64 %0, %1;" : "=l"(from) : "l"(in));
    const u32 tiles = (rows + ROWS - 1) / ROWS, warps = warps_of_block();
    const u32 hop = warps % tiles;
    const u64 total = passes * tiles;
    uint4 sum = {0, 0, 0, 0};
    u32 tile = (u32)((warp_of_block() + tiles * part / parts) % tiles);
    for (u64 at = warp_of_block(); at < total; at += warps) {
        const uint4* first = from + (u64)tile * (ROWS * WARP);
        uint4 x[ROWS];
        if ((tile + 1) * ROWS <= rows) {
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) x[i] = load_cached(first + i * WARP);
            add(sum, x);
        } else {
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) {
                x[i] = {0, 0, 0, 0};
                if (tile * ROWS + i < rows) x[i] = load_cached(first + i * WARP);
            }
            add(sum, x);
        }
        // at modulo tiles, with no division.
        tile += hop;
        if (tile >= tiles) tile -= tiles;
    }
    return sum;
}

// The first word of a unit's part.
__device__ __forceinline__ u64 border(u64 words, u64 unit, u64 units) {
    if (unit == units) return words;
    return (words / units * unit + words % units * unit / units) / 16 * 16;
}

template <u32 ROWS>
__device__ __forceinline__ void read(const uint4* in, u32* out, u64 words, u64 passes, u64 units, u32 shared) {
    __shared__ u32 sums[16];
    for (u64 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        if (threadIdx.x < 16) sums[threadIdx.x] = 0;
        __syncthreads();
        const u64 start = shared != 0 ? 0 : border(words, unit, units);
        const u64 count = (shared != 0 ? words : border(words, unit + 1, units)) - start;
        const u32 rows = (u32)(count / (4 * WARP)), rest = (u32)(count % (4 * WARP));
        uint4 sum = {0, 0, 0, 0};
        // Blocks that read the same begin at different places: caches may answer many that ask for a line at once with
        // one reading of it.
        if (rows != 0) sum = passes_over<ROWS>(in + start / 4 + lane(), rows, passes, shared != 0 ? unit : 0, units);
        // A row has 128 words, so a thread's packs are always the same words of their lines: a lane's neighbours by
        // 4, 8 and 16 have the same ones.
#pragma unroll
        for (u32 apart = 4; apart < WARP; apart *= 2) {
            sum.x += __shfl_xor_sync(0xffffffff, sum.x, apart);
            sum.y += __shfl_xor_sync(0xffffffff, sum.y, apart);
            sum.z += __shfl_xor_sync(0xffffffff, sum.z, apart);
            sum.w += __shfl_xor_sync(0xffffffff, sum.w, apart);
        }
        if (lane() < 4) {
            atomicAdd(&sums[4 * lane()], sum.x);
            atomicAdd(&sums[4 * lane() + 1], sum.y);
            atomicAdd(&sums[4 * lane() + 2], sum.z);
            atomicAdd(&sums[4 * lane() + 3], sum.w);
        }
        // Words that fill no row, from the second cache on.
        for (u32 word = threadIdx.x; word < rest; word += blockDim.x) {
            const volatile u32* from = (const u32*)in + start + (u64)rows * (4 * WARP) + word;
            u32 more = 0;
            for (u64 pass = 0; pass < passes; pass++) more += *from;
            atomicAdd(&sums[word % 16], more);
        }
        __syncthreads();
        if (threadIdx.x < 16) out[16 * unit + threadIdx.x] = sums[threadIdx.x];
    }
}

ENTRY(cache_read_u4)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words, u64 passes, u64 units,
                     u32 shared) {
    read<4>(in, out, words, passes, units, shared);
}

ENTRY(cache_read_u8)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words, u64 passes, u64 units,
                     u32 shared) {
    read<8>(in, out, words, passes, units, shared);
}
