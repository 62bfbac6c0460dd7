// mma for CUDA, of the formats that compute capability 8.9 has beside those of 8.0. On 9.0 the same instructions are
// emulated by those of binary16, so this module is for 8.9 alone.
#include "mma.cuh"

struct E4m3 : E4m3Bits {
    MMA("m16n8k32.row.col.f32.e4m3.e4m3.f32", float, "f")
};

struct E5m2 : E5m2Bits {
    MMA("m16n8k32.row.col.f32.e5m2.e5m2.f32", float, "f")
};

CHAINS_OF(mma_fp8_e4m3_c4, E4m3, 15, 7, 4)
CHAINS_OF(mma_fp8_e4m3_c8, E4m3, 15, 7, 8)
CHAINS_OF(mma_fp8_e5m2_c4, E5m2, 7, 7, 4)
CHAINS_OF(mma_fp8_e5m2_c8, E5m2, 7, 7, 8)
