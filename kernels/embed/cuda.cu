// embed for CUDA. Entry embed_<format>: a thread takes 16 bytes of a row.
#include "../numbers.cuh"

template <class Form>
__device__ __forceinline__ void embed(const u32* tokens, const uint4* table, const uint4* positions, uint4* out,
                                      u64 rows, u64 width, u64 position, u32 learned) {
    const u32 packs = (u32)(width / Form::PACK);
    each_pack(rows, packs, [&](u64 row, u32 at) {
        uint4 x = load_once(table + (u64)tokens[row] * packs + at);
        if (learned != 0) {
            float a[Form::PACK], b[Form::PACK];
            Form::unpack(a, x);
            Form::unpack(b, load_cached(positions + position * packs + at));
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i++) a[i] += b[i];
            x = Form::pack(a);
        }
        out[row * packs + at] = x;
    });
}

#define EMBED(name, Form)                                                                                             \
    ENTRY(embed_##name)                                                                                               \
    (const u32* tokens, const uint4* table, const uint4* positions, uint4* out, u64 rows, u64 width, u64 position,    \
     u32, u32 learned) {                                                                                              \
        embed<Form>(tokens, table, positions, out, rows, width, position, learned);                                   \
    }

EMBED(f32, F32)
EMBED(f16, F16)
EMBED(bf16, Bf16)
