// matmul for CUDA, of what compute capability 8.0 has. Entry matmul_<format>_<way>.
#include "cores.cuh"
#include "warps.cuh"

MATMUL(matmul_f32_cores_128x128, 256, 2, float, (tiles<Same<float>, 128, 128, 8, 8>))
MATMUL(matmul_f32_cores_64x64, 256, 3, float, (tiles<Same<float>, 64, 64, 4, 4>))
MATMUL(matmul_f32_rows_1, 256, 2, float, (rows<Same<float>, 1>))
MATMUL(matmul_f32_rows_8, 256, 2, float, (rows<Same<float>, 8>))

MATMUL(matmul_f64_cores_64x64, 256, 2, double, (tiles<Same<double>, 64, 64, 4, 4>))
MATMUL(matmul_f64_rows_1, 256, 2, double, (rows<Same<double>, 1>))
MATMUL(matmul_f64_rows_8, 256, 1, double, (rows<Same<double>, 8>))

#define NARROW(name, Format)                                                                     \
    MATMUL(name##_cores_64x64, 256, 2, float, (tiles<Widened<Format>, 64, 64, 4, 4>))            \
    MATMUL(name##_rows_1, 256, 2, float, (rows<Widened<Format>, 1>))                             \
    MATMUL(name##_rows_4, 256, 2, float, (rows<Widened<Format>, 4>))                             \
    WARPS_OF(name##_warps, Format, Narrow<Format>, false)

NARROW(matmul_f16, F16)
NARROW(matmul_bf16, Bf16)
