// matmul for CUDA, of the format that compute capability 8.9 has beside those of 8.0: c is bfloat16, b stored as
// [n, k]. On 9.0 the same instruction is emulated by that of binary16, so this module is for 8.9 alone.
#include "warps.cuh"

struct E4m3 : E4m3Bits {
    MMA("m16n8k32.row.col.f32.e4m3.e4m3.f32", float, "f")
};

WARPS_OF(matmul_fp8_e4m3_warps, E4m3, Narrow<Bf16>, true)
