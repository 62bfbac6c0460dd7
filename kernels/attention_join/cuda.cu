// attention_join for CUDA. Entry attention_join_<format>: a thread makes 16 bytes of a head.
#include "../numbers.cuh"

template <class Form>
__device__ __forceinline__ void join(const float* parts, uint4* out, u64 heads, u64 head_dim, u64 splits) {
    const u32 packs = (u32)(head_dim / Form::PACK), stride = (u32)head_dim + 2;
    each_pack(heads, packs, [&](u64 head, u32 at) {
        const float* bands = parts + head * splits * stride;
        float top = -__int_as_float(0x7f800000), weight = 0.0f, value[Form::PACK] = {};
        for (u32 band = 0; band < splits; band++) top = fmaxf(top, bands[(u64)band * stride]);
        for (u32 band = 0; band < splits; band++) {
            const float* from = bands + (u64)band * stride;
            const float scale = exponential(from[0] - top);
            weight += scale * from[1];
            // Rows of parts are no whole packs: two numbers at a time.
            const float2* numbers = (const float2*)(from + 2 + at * Form::PACK);
#pragma unroll
            for (u32 i = 0; i < Form::PACK / 2; i++) {
                const float2 x = numbers[i];
                value[2 * i] += scale * x.x;
                value[2 * i + 1] += scale * x.y;
            }
        }
#pragma unroll
        for (u32 i = 0; i < Form::PACK; i++) value[i] /= weight;
        out[head * packs + at] = Form::pack(value);
    });
}

#define JOIN(name, Form)                                                                                              \
    ENTRY(attention_join_##name)                                                                                      \
    (const float* parts, uint4* out, u64 rows, u64 heads, u64 head_dim, u64 splits, u32) {                            \
        join<Form>(parts, out, rows * heads, head_dim, splits);                                                       \
    }

JOIN(f32, F32)
JOIN(f16, F16)
JOIN(bf16, Bf16)
