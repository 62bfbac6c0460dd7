// add_norm for CUDA. Entry add_norm_<format>: a block takes a row, of which each thread keeps KEPT packs in registers; what
// is longer is made again.
#include "../numbers.cuh"

constexpr u32 ADD = 1, BIAS = 2, LAYER = 4, KEPT = 4;

struct Vectors {
    const uint4 *input, *delta, *bias, *gain, *shift;
    uint4 *sum, *out;
};

// A pack of the row as what follows takes it: rounded.
template <class Form>
__device__ __forceinline__ uint4 added(const Vectors& v, u64 row, u32 at, u32 flags) {
    const uint4 input = load_cached(v.input + row + at);
    if (!(flags & ADD)) return input;
    float x[Form::PACK], more[Form::PACK];
    Form::unpack(x, input);
    Form::unpack(more, load_cached(v.delta + row + at));
#pragma unroll
    for (u32 i = 0; i < Form::PACK; i++) x[i] += more[i];
    if (flags & BIAS) {
        Form::unpack(more, load_cached(v.bias + at));
#pragma unroll
        for (u32 i = 0; i < Form::PACK; i++) x[i] += more[i];
    }
    return Form::pack(x);
}

// Adds up a pack's squares about the mean, or its numbers.
template <class Form>
__device__ __forceinline__ float squares(uint4 pack, float mean) {
    float x[Form::PACK], sum = 0.0f;
    Form::unpack(x, pack);
#pragma unroll
    for (u32 i = 0; i < Form::PACK; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

template <class Form>
__device__ __forceinline__ float numbers(uint4 pack) {
    float x[Form::PACK], sum = 0.0f;
    Form::unpack(x, pack);
#pragma unroll
    for (u32 i = 0; i < Form::PACK; i++) sum += x[i];
    return sum;
}

template <class Form>
__device__ __forceinline__ void normalise(const Vectors& v, uint4 pack, u64 row, u32 at, float mean, float scale,
                                          u32 flags) {
    float x[Form::PACK], more[Form::PACK];
    Form::unpack(x, pack);
    Form::unpack(more, load_cached(v.gain + at));
#pragma unroll
    for (u32 i = 0; i < Form::PACK; i++) x[i] = (x[i] - mean) * scale * more[i];
    if (flags & LAYER) {
        Form::unpack(more, load_cached(v.shift + at));
#pragma unroll
        for (u32 i = 0; i < Form::PACK; i++) x[i] += more[i];
    }
    v.out[row + at] = Form::pack(x);
}

template <class Form>
__device__ __forceinline__ void add_norm(const Vectors& v, u64 rows, u64 width, u32 flags) {
    const u32 packs = (u32)(width / Form::PACK), rest = threadIdx.x + KEPT * blockDim.x;
    for (u64 index = blockIdx.x; index < rows; index += gridDim.x) {
        const u64 row = index * packs;
        uint4 kept[KEPT];
        float all = 0.0f;
        const auto take = [&](uint4 pack, u32 at) {
            if (flags & ADD) v.sum[row + at] = pack;
            all += flags & LAYER ? numbers<Form>(pack) : squares<Form>(pack, 0.0f);
        };
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) {
            const u32 at = threadIdx.x + i * blockDim.x;
            if (at < packs) kept[i] = added<Form>(v, row, at, flags);
        }
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) {
            const u32 at = threadIdx.x + i * blockDim.x;
            if (at < packs) take(kept[i], at);
        }
#pragma unroll 1
        for (u32 at = rest; at < packs; at += blockDim.x) take(added<Form>(v, row, at, flags), at);
        float mean = 0.0f, square = sum_of_block(all) / width;
        if (flags & LAYER) {
            mean = square;
            all = 0.0f;
#pragma unroll
            for (u32 i = 0; i < KEPT; i++) {
                if (threadIdx.x + i * blockDim.x < packs) all += squares<Form>(kept[i], mean);
            }
#pragma unroll 1
            for (u32 at = rest; at < packs; at += blockDim.x) {
                all += squares<Form>(added<Form>(v, row, at, flags), mean);
            }
            square = sum_of_block(all) / width;
        }
        const float scale = 1.0f / sqrtf(square + 1e-5f);
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) {
            const u32 at = threadIdx.x + i * blockDim.x;
            if (at < packs) normalise<Form>(v, kept[i], row, at, mean, scale, flags);
        }
#pragma unroll 1
        for (u32 at = rest; at < packs; at += blockDim.x) {
            normalise<Form>(v, added<Form>(v, row, at, flags), row, at, mean, scale, flags);
        }
    }
}

#define ADD_NORM(name, Form)                                                                                          \
    ENTRY(add_norm_##name)                                                                                            \
    (const uint4* input, const uint4* delta, const uint4* bias, const uint4* gain, const uint4* shift, uint4* sum,    \
     uint4* out, u64 rows, u64 width, u32, u32 flags) {                                                               \
        add_norm<Form>(Vectors{input, delta, bias, gain, shift, sum, out}, rows, width, flags);                       \
    }

ADD_NORM(f32, F32)
ADD_NORM(f16, F16)
ADD_NORM(bf16, Bf16)
