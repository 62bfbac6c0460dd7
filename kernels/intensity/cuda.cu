// intensity for CUDA. Entry intensity_u<loads of 16 bytes that a thread has in flight>: four chains of each.
// No two launches may overlap: see chunks.cuh.
#include "../chunks.cuh"

struct Steps {
    static constexpr bool BY_ROW = true;
    u32 steps, every;
    float factor, even, odd;

    // `COUNT` steps of every number, COUNT being 1 or even.
    template <u32 COUNT, u32 N>
    __device__ __forceinline__ void walk(float (&x)[N]) const {
#pragma unroll
        for (u32 step = 0; step < COUNT; step++) {
#pragma unroll
            for (u32 i = 0; i < N; i++) x[i] = __fmaf_rn(x[i], factor, step % 2 == 0 ? even : odd);
        }
    }

    // Packs at `at` and at multiples of a row from it, whose lines take steps or not as the first one's does.
    template <u32 N>
    __device__ __forceinline__ void operator()(uint4 (&packs)[N], u64 at) const {
        if (((u32)(at / 4) & (every - 1)) != 0) return;
        float x[4 * N];
#pragma unroll
        for (u32 i = 0; i < N; i++) {
            x[4 * i] = __uint_as_float(packs[i].x);
            x[4 * i + 1] = __uint_as_float(packs[i].y);
            x[4 * i + 2] = __uint_as_float(packs[i].z);
            x[4 * i + 3] = __uint_as_float(packs[i].w);
        }
#pragma unroll 1
        for (u32 turn = 0; turn < steps / 16; turn++) walk<16>(x);
        if (steps & 8) walk<8>(x);
        if (steps & 4) walk<4>(x);
        if (steps & 2) walk<2>(x);
        if (steps & 1) walk<1>(x);
#pragma unroll
        for (u32 i = 0; i < N; i++) {
            packs[i].x = __float_as_uint(x[4 * i]);
            packs[i].y = __float_as_uint(x[4 * i + 1]);
            packs[i].z = __float_as_uint(x[4 * i + 2]);
            packs[i].w = __float_as_uint(x[4 * i + 3]);
        }
    }
};

ENTRY(intensity_u4)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words, u32 steps, u32 every, float factor,
                    float even, float odd) {
    sum_chunks<4>(in, out, words, Steps{steps, every, factor, even, odd});
}

ENTRY(intensity_u8)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words, u32 steps, u32 every, float factor,
                    float even, float odd) {
    sum_chunks<8>(in, out, words, Steps{steps, every, factor, even, odd});
}
