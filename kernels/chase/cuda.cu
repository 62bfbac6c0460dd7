// chase for CUDA. A chain runs in the first thread of a block; all levels, L1 included, may serve it. Two dependent
// integer instructions, which add the offset to the address of the cycle, are part of every access.
#include "../cuda.cuh"

ENTRY(chase)(const u32* __restrict__ cycle, const u32* __restrict__ starts, u32* __restrict__ out, u64 steps,
             u64 chains) {
    if (threadIdx.x != 0) return;
    const u64 base = __cvta_generic_to_global(cycle);
    for (u64 chain = blockIdx.x; chain < chains; chain += gridDim.x) {
        u32 at = starts[16 * chain], sum = 0;
#pragma unroll 8
        for (u32 step = 0; step < (u32)steps; step++) {
            asm volatile("ld.global.u32 %0, [%1];" : "=r"(at) : "l"(base + at));
            sum += at;
        }
        out[16 * chain] = at;
        out[16 * chain + 1] = sum;
    }
}
