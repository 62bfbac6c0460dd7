// activate for CUDA. Entry activate_<format>: a thread makes 16 bytes of a row.
#include "../numbers.cuh"

constexpr u32 GATED = 1, BIAS = 2;

// 1 / (1 + e^-x): nothing where the exponential is infinite.
__device__ __forceinline__ float logistic(float x) { return 1.0f / (1.0f + exponential(-x)); }

template <class Form>
__device__ __forceinline__ void biased(float (&x)[Form::PACK], const uint4* input, const uint4* bias, u64 row, u32 at,
                                       u32 flags) {
    Form::unpack(x, load_once(input + row + at));
    if (flags & BIAS) {
        float more[Form::PACK];
        Form::unpack(more, load_cached(bias + at));
#pragma unroll
        for (u32 i = 0; i < Form::PACK; i++) x[i] += more[i];
    }
}

template <class Form>
__device__ __forceinline__ void activate(const uint4* input, const uint4* bias, uint4* out, u64 rows, u64 inner,
                                         u32 flags) {
    const u32 packs = (u32)(inner / Form::PACK);
    each_pack(rows, packs, [&](u64 row, u32 at) {
        float x[Form::PACK];
        if (flags & GATED) {
            float other[Form::PACK];
            biased<Form>(x, input, bias, row * 2 * packs, at, flags);
            biased<Form>(other, input, bias, row * 2 * packs, packs + at, flags);
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i++) x[i] = x[i] * logistic(x[i]) * other[i];
        } else {
            biased<Form>(x, input, bias, row * packs, at, flags);
            // (1 + tanh z) / 2 is the logistic function of 2 z.
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i++) {
                x[i] *= logistic(1.5957691216057308f * (x[i] + 0.044715f * x[i] * x[i] * x[i]));
            }
        }
        out[row * packs + at] = Form::pack(x);
    });
}

#define ACTIVATE(name, Form)                                                                                          \
    ENTRY(activate_##name)                                                                                            \
    (const uint4* input, const uint4* bias, uint4* out, u64 rows, u64 inner, u32, u32 flags) {                        \
        activate<Form>(input, bias, out, rows, inner, flags);                                                         \
    }

ACTIVATE(f32, F32)
ACTIVATE(f16, F16)
ACTIVATE(bf16, Bf16)
