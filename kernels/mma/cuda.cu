// mma for CUDA, of the formats that compute capability 8.0 has. Entry mma_<format>_c<accumulators of a warp>.
#include "mma.cuh"

CHAINS_OF(mma_f16_c4, F16, 100, 100, 4)
CHAINS_OF(mma_f16_c8, F16, 100, 100, 8)
CHAINS_OF(mma_bf16_c4, Bf16, 100, 100, 4)
CHAINS_OF(mma_bf16_c8, Bf16, 100, 100, 8)
CHAINS_OF(mma_tf32_c4, Tf32, 100, 100, 4)
CHAINS_OF(mma_tf32_c8, Tf32, 100, 100, 8)
CHAINS_OF(mma_i8_c4, I8, 100, 100, 4)
CHAINS_OF(mma_i8_c8, I8, 100, 100, 8)
