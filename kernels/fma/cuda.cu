// fma for CUDA. Entry fma_<format>_c<registers of chains in a thread>.
#include "../cuda.cuh"

__device__ __forceinline__ u32 scatter(u64 lane) { return (u32)lane * 0x9e3779b1; }

__device__ __forceinline__ float start_f32(u64 lane) { return __uint_as_float(0x3f800000 | scatter(lane) >> 9); }

// A format: what a register holds, how its lanes start, and one step of them. `index` counts registers.

struct Alone {
    static constexpr u32 LANES = 1;
    // Steps of a round, whose last one has another term: no rounds.
    static constexpr u32 ROUND = 0;
};

struct F64 : Alone {
    typedef double Register;
    static __device__ __forceinline__ double of(double value) { return value; }
    static __device__ __forceinline__ double start(u64 index) { return start_f32(index); }
    static __device__ __forceinline__ double step(double x, double factor, double term) {
        return __fma_rn(x, factor, term);
    }
};

struct F32 : Alone {
    typedef float Register;
    static __device__ __forceinline__ float of(double value) { return (float)value; }
    static __device__ __forceinline__ float start(u64 index) { return start_f32(index); }
    static __device__ __forceinline__ float step(float x, float factor, float term) {
        return __fmaf_rn(x, factor, term);
    }
};

struct I32 : Alone {
    typedef u32 Register;
    static __device__ __forceinline__ u32 of(double value) { return (u32)(int)value; }
    static __device__ __forceinline__ u32 start(u64 index) { return scatter(index); }
    static __device__ __forceinline__ u32 step(u32 x, u32 factor, u32 term) { return x * factor + term; }
};

struct Dot4 : I32 {
    static __device__ __forceinline__ u32 step(u32 x, u32 factor, u32) {
        u32 y;
        asm("dp4a.s32.s32 %0, %1, %2, %1;" : "=r"(y) : "r"(x), "r"(factor));
        return y;
    }
};

// Two lanes to a register, the even one in the low half, as in memory.

__device__ __forceinline__ u32 pair(unsigned short low, unsigned short high) { return low | (u32)high << 16; }

struct F16 {
    typedef u32 Register;
    static constexpr u32 LANES = 2, ROUND = 0;
    static __device__ __forceinline__ unsigned short half(float value) {
        unsigned short bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
        return bits;
    }
    static __device__ __forceinline__ u32 of(double value) { return pair(half((float)value), half((float)value)); }
    static __device__ __forceinline__ unsigned short start_of(u64 lane) {
        return half((float)((int)(scatter(lane) % 2048) - 2048) * 0.125f);
    }
    static __device__ __forceinline__ u32 start(u64 index) {
        return pair(start_of(2 * index), start_of(2 * index + 1));
    }
    static __device__ __forceinline__ u32 step(u32 x, u32 factor, u32 term) {
        u32 y;
        asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(x), "r"(factor), "r"(term));
        return y;
    }
};

struct Bf16 {
    typedef u32 Register;
    static constexpr u32 LANES = 2, ROUND = 256;
    static __device__ __forceinline__ unsigned short half(float value) {
        unsigned short bits;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
        return bits;
    }
    static __device__ __forceinline__ u32 of(double value) { return pair(half((float)value), half((float)value)); }
    static __device__ __forceinline__ unsigned short start_of(u64 lane) {
        return half((float)((int)(scatter(lane) % 128) - 256) * 0.125f);
    }
    static __device__ __forceinline__ u32 start(u64 index) {
        return pair(start_of(2 * index), start_of(2 * index + 1));
    }
    static __device__ __forceinline__ u32 step(u32 x, u32 factor, u32 term) {
        u32 y;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(x), "r"(factor), "r"(term));
        return y;
    }
};

// One step of every chain; those of a thread stand between one step of a chain and its next.
template <class Format, u32 CHAINS>
__device__ __forceinline__ void step(typename Format::Register (&x)[CHAINS], typename Format::Register factor,
                                     typename Format::Register term) {
#pragma unroll
    for (u32 i = 0; i < CHAINS; i++) x[i] = Format::step(x[i], factor, term);
}

template <class Format, u32 CHAINS>
__device__ __forceinline__ void chains(void* out, u64 lanes, u64 iterations, double factor_in, double term_in) {
    typedef typename Format::Register Register;
    // 512 instructions a turn, so that the three of the loop itself take less than a hundredth of the issue slots.
    constexpr u32 STEPS = 512 / CHAINS;
    const Register factor = Format::of(factor_in), term = Format::of(term_in);
    const Register back = Format::of(-254.0 * term_in);
    const u64 registers = (lanes + Format::LANES - 1) / Format::LANES;
    const u32 turns = (u32)(iterations / STEPS), rest = (u32)(iterations % STEPS);
    for (u64 first = (u64)blockIdx.x * blockDim.x * CHAINS; first < registers; first += threads_of_grid() * CHAINS) {
        Register x[CHAINS];
#pragma unroll
        for (u32 i = 0; i < CHAINS; i++) x[i] = Format::start(first + i * blockDim.x + threadIdx.x);
#pragma unroll 1
        for (u32 turn = 1; turn <= turns; turn++) {
#pragma unroll
            for (u32 i = 1; i < STEPS; i++) step<Format>(x, factor, term);
            // The last step of a turn may be the last of a round: rounds are whole turns.
            const bool round_ends = Format::ROUND != 0 && turn * STEPS % max(Format::ROUND, 1u) == 0;
            step<Format>(x, factor, round_ends ? back : term);
        }
#pragma unroll 1
        for (u32 i = 0; i < rest; i++) step<Format>(x, factor, term);
#pragma unroll
        for (u32 i = 0; i < CHAINS; i++) {
            const u64 index = first + i * blockDim.x + threadIdx.x;
            if ((index + 1) * Format::LANES <= lanes) {
                ((Register*)out)[index] = x[i];
            } else if (Format::LANES == 2 && index * 2 < lanes) {
                ((unsigned short*)out)[index * 2] = (unsigned short)x[i];
            }
        }
    }
}

// The precision is the entry's own; the argument is there so that all entries are launched alike.
#define FMA(name, Format, CHAINS)                                                                                  \
    ENTRY(name)(void* __restrict__ out, u32 precision, u64 lanes, u64 iterations, double factor, double term) {     \
        chains<Format, CHAINS>(out, lanes, iterations, factor, term);                                              \
    }

FMA(fma_f64_c4, F64, 4)
FMA(fma_f64_c8, F64, 8)
FMA(fma_f32_c4, F32, 4)
FMA(fma_f32_c8, F32, 8)
FMA(fma_i32_c4, I32, 4)
FMA(fma_i32_c8, I32, 8)
FMA(fma_f16_c4, F16, 4)
FMA(fma_f16_c8, F16, 8)
FMA(fma_dot4_c4, Dot4, 4)
FMA(fma_dot4_c8, Dot4, 8)
FMA(fma_bf16_c4, Bf16, 4)
FMA(fma_bf16_c8, Bf16, 8)
