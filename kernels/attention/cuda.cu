// attention for CUDA. Entry attention_<format>_d<head_dim>_h<heads>: a block of four warps takes up to so many heads that
// share a KV head, for one sequence and one band of its tokens; `any` head_dim is one up to 256. A warp takes some tokens
// after another by itself and keeps its own largest scores and sums; the four meet once, at the end.
//
// A step of a warp: four lanes share a token's key, and make its score of every head; lanes that hold the same number of
// tokens' values then add them up, weighted. Eight loads of 16 bytes of keys and as many of values are in flight in
// every lane.
#include "../numbers.cuh"

constexpr u32 WARPS = 4, SHARING = 4, FLIGHT = 8;

struct Problem {
    u32 heads, kv_heads, head_dim, first, context, page, pages_each, splits;
};

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

// The largest, or the sum, over lanes whose numbers differ by multiples of `FIRST` below `END`.
template <u32 FIRST, u32 END>
__device__ __forceinline__ float largest(float x) {
#pragma unroll
    for (u32 distance = FIRST; distance < END; distance *= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, distance));
    return x;
}

template <u32 FIRST, u32 END>
__device__ __forceinline__ float total(float x) {
#pragma unroll
    for (u32 distance = FIRST; distance < END; distance *= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
    return x;
}

// DIM: numbers of a head, or the most that it may have where ANY. HEADS: of a block.
template <class Form, u32 DIM, u32 HEADS, bool ANY>
struct Attention {
    static constexpr u32 PACK = Form::PACK;
    static constexpr u32 PACKS = DIM / PACK;          // of a head
    static constexpr u32 MINE = PACKS / SHARING;      // of a key, of one lane
    static constexpr u32 EACH = MINE < FLIGHT ? FLIGHT / MINE : 1; // tokens of a lane in a step
    static constexpr u32 TOKENS = WARP / SHARING * EACH;           // of a warp in a step
    static constexpr u32 ACROSS = PACKS < WARP ? PACKS : WARP;     // lanes that one value takes
    static constexpr u32 ROWS = WARP / ACROSS;        // values that a load of a warp covers
    static constexpr u32 OWN = PACKS / ACROSS;        // packs of a value, of one lane

    struct Shared {
        float q[HEADS][DIM];
        float top[WARPS][HEADS], weight[WARPS][HEADS];
        float value[WARPS][HEADS][DIM];
    };

    float top[HEADS], weight[HEADS], value[HEADS][OWN][PACK];

    static __device__ __forceinline__ bool there(u32 pack, u32 packs) { return !ANY || pack < packs; }

    // The scores of a step's tokens: of token `lane / 4 + 8 u` in `score[u]`, by heads.
    static __device__ __forceinline__ void multiply(float (&score)[EACH][HEADS], const uint4* keys,
                                                    const u32 (&base)[EACH], const Shared& shared, u32 packs) {
        constexpr u32 RUN = MINE < FLIGHT ? MINE : FLIGHT;
#pragma unroll
        for (u32 u = 0; u < EACH; u++) {
#pragma unroll
            for (u32 h = 0; h < HEADS; h++) score[u][h] = 0.0f;
        }
#pragma unroll
        for (u32 run = 0; run < MINE / RUN; run++) {
            uint4 key[EACH][RUN];
#pragma unroll
            for (u32 u = 0; u < EACH; u++) {
#pragma unroll
                for (u32 i = 0; i < RUN; i++) {
                    const u32 pack = (run * RUN + i) * SHARING + lane() % SHARING;
                    key[u][i] = make_uint4(0, 0, 0, 0);
                    if (there(pack, packs)) key[u][i] = load_once(keys + base[u] + pack);
                }
            }
#pragma unroll
            for (u32 i = 0; i < RUN; i++) {
                const u32 at = ((run * RUN + i) * SHARING + lane() % SHARING) * PACK;
                float k[EACH][PACK];
#pragma unroll
                for (u32 u = 0; u < EACH; u++) Form::unpack(k[u], key[u][i]);
#pragma unroll
                for (u32 h = 0; h < HEADS; h++) {
#pragma unroll
                    for (u32 j = 0; j < PACK; j += 4) {
                        const float4 q = *(const float4*)&shared.q[h][at + j];
#pragma unroll
                        for (u32 u = 0; u < EACH; u++) {
                            score[u][h] = __fmaf_rn(q.x, k[u][j], score[u][h]);
                            score[u][h] = __fmaf_rn(q.y, k[u][j + 1], score[u][h]);
                            score[u][h] = __fmaf_rn(q.z, k[u][j + 2], score[u][h]);
                            score[u][h] = __fmaf_rn(q.w, k[u][j + 3], score[u][h]);
                        }
                    }
                }
            }
        }
    }

    // Turns scores into weights, and scales what there is down to a larger top. At least one token is there.
    __device__ __forceinline__ void weigh(float (&score)[EACH][HEADS], const bool (&valid)[EACH]) {
#pragma unroll
        for (u32 h = 0; h < HEADS; h++) {
            float most = top[h];
#pragma unroll
            for (u32 u = 0; u < EACH; u++) {
                const float whole = total<1, SHARING>(score[u][h]);
                score[u][h] = valid[u] ? whole : -infinity();
                most = fmaxf(most, score[u][h]);
            }
            most = largest<SHARING, WARP>(most);
            const float scale = power_of_two(top[h] - most);
            top[h] = most;
            weight[h] *= scale;
#pragma unroll
            for (u32 own = 0; own < OWN; own++) {
#pragma unroll
                for (u32 i = 0; i < PACK; i++) value[h][own][i] *= scale;
            }
#pragma unroll
            for (u32 u = 0; u < EACH; u++) {
                score[u][h] = power_of_two(score[u][h] - most);
                weight[h] += score[u][h];
            }
        }
    }

    // Adds a step's values by their weights.
    __device__ __forceinline__ void gather(const float (&score)[EACH][HEADS], const uint4* values,
                                           const u32 (&base)[EACH], u32 packs) {
        constexpr u32 RUN = FLIGHT / OWN < TOKENS / ROWS ? FLIGHT / OWN : TOKENS / ROWS;
#pragma unroll
        for (u32 run = 0; run < TOKENS / ROWS / RUN; run++) {
            uint4 x[RUN][OWN];
#pragma unroll
            for (u32 i = 0; i < RUN; i++) {
                // Token 8 u + r is that of lanes 4 r and on.
                const u32 token = (run * RUN + i) * ROWS, u = token / 8;
                const u32 from = __shfl_sync(0xffffffff, base[u], (token % 8 + lane() / ACROSS) * SHARING);
#pragma unroll
                for (u32 own = 0; own < OWN; own++) {
                    const u32 pack = own * ACROSS + lane() % ACROSS;
                    x[i][own] = make_uint4(0, 0, 0, 0);
                    if (there(pack, packs)) x[i][own] = load_once(values + from + pack);
                }
            }
#pragma unroll
            for (u32 i = 0; i < RUN; i++) {
                const u32 token = (run * RUN + i) * ROWS, u = token / 8;
                float number[OWN][PACK];
#pragma unroll
                for (u32 own = 0; own < OWN; own++) Form::unpack(number[own], x[i][own]);
#pragma unroll
                for (u32 h = 0; h < HEADS; h++) {
                    const float by = __shfl_sync(0xffffffff, score[u][h], (token % 8 + lane() / ACROSS) * SHARING);
#pragma unroll
                    for (u32 own = 0; own < OWN; own++) {
#pragma unroll
                        for (u32 j = 0; j < PACK; j++) value[h][own][j] = __fmaf_rn(by, number[own][j], value[h][own][j]);
                    }
                }
            }
        }
    }

    // Leaves a warp's sums for the block.
    __device__ __forceinline__ void leave(Shared& shared) {
        const u32 warp = warp_of_block();
#pragma unroll
        for (u32 h = 0; h < HEADS; h++) {
            const float all = total<SHARING, WARP>(weight[h]);
            if (lane() == 0) {
                shared.top[warp][h] = top[h];
                shared.weight[warp][h] = all;
            }
#pragma unroll
            for (u32 own = 0; own < OWN; own++) {
#pragma unroll
                for (u32 i = 0; i < PACK; i++) {
                    const float sum = total<ACROSS, WARP>(value[h][own][i]);
                    if (lane() < ACROSS) shared.value[warp][h][(own * ACROSS + lane()) * PACK + i] = sum;
                }
            }
        }
    }

    // All of a block's tokens.
    __device__ __forceinline__ void attend(Shared& shared, const uint4* keys, const uint4* values, const u32* pages,
                                           u32 kv_head, u32 begin, u32 end, const Problem& p) {
        const u32 packs = ANY ? p.head_dim / PACK : PACKS;
#pragma unroll
        for (u32 h = 0; h < HEADS; h++) {
            top[h] = -infinity(), weight[h] = 0.0f;
#pragma unroll
            for (u32 own = 0; own < OWN; own++) {
#pragma unroll
                for (u32 i = 0; i < PACK; i++) value[h][own][i] = 0.0f;
            }
        }
#pragma unroll 1
        for (u32 step = begin + warp_of_block() * TOKENS; step < end; step += WARPS * TOKENS) {
            u32 base[EACH];
            bool valid[EACH];
#pragma unroll
            for (u32 u = 0; u < EACH; u++) {
                const u32 token = step + u * (WARP / SHARING) + lane() / SHARING, near = min(token, end - 1);
                valid[u] = token < end;
                base[u] = ((pages[near / p.page] * p.kv_heads + kv_head) * p.page + near % p.page) * packs;
            }
            float score[EACH][HEADS];
            multiply(score, keys, base, shared, packs);
            weigh(score, valid);
            gather(score, values, base, packs);
        }
        leave(shared);
    }
};

template <class Form, u32 DIM, u32 HEADS, bool ANY>
__device__ __forceinline__ void attention(const uint4* q, const uint4* keys, const uint4* values, const u32* pages,
                                          float* parts, uint4* out, const Problem& p) {
    typedef Attention<Form, DIM, HEADS, ANY> Block;
    __shared__ alignas(16) typename Block::Shared shared;
    constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;
    // Which band, which of the heads that share a KV head, and which sequence.
    const u32 sharing = p.heads / p.kv_heads, groups = (sharing + HEADS - 1) / HEADS;
    const u32 split = blockIdx.x % p.splits, group = blockIdx.x / p.splits % groups;
    const u32 pair = blockIdx.x / (p.splits * groups), kv_head = pair % p.kv_heads, row = pair / p.kv_heads;
    const u32 count = min(HEADS, sharing - group * HEADS);
    const u64 head = (u64)row * p.heads + kv_head * sharing + group * HEADS;
    const u32 band = ((p.context - p.first + p.splits - 1) / p.splits + 15) / 16 * 16;
    const u32 begin = (u32)min((u64)p.first + (u64)split * band, (u64)p.context);
    const u32 end = min(begin + band, p.context);
    const u32 packs = p.head_dim / Form::PACK;
    const float scale = LOG2_E / sqrtf((float)p.head_dim);
    for (u32 at = threadIdx.x; at < HEADS * Block::PACKS; at += blockDim.x) {
        const u32 h = at / Block::PACKS, pack = at % Block::PACKS;
        float x[Form::PACK] = {};
        if (h < count && pack < packs) Form::unpack(x, load_cached(q + (head + h) * packs + pack));
#pragma unroll
        for (u32 i = 0; i < Form::PACK; i++) shared.q[h][pack * Form::PACK + i] = x[i] * scale;
    }
    __syncthreads();
    Block block;
    block.attend(shared, keys, values, pages + (u64)row * p.pages_each, kv_head, begin, end, p);
    __syncthreads();
    for (u32 at = threadIdx.x; at < count * packs; at += blockDim.x) {
        const u32 h = at / packs, pack = at % packs;
        float top = -infinity(), weight = 0.0f, value[Form::PACK] = {};
#pragma unroll
        for (u32 warp = 0; warp < WARPS; warp++) top = fmaxf(top, shared.top[warp][h]);
#pragma unroll
        for (u32 warp = 0; warp < WARPS; warp++) {
            // A warp without tokens has nothing; nor has a band.
            const float by = shared.weight[warp][h] > 0.0f ? power_of_two(shared.top[warp][h] - top) : 0.0f;
            weight = __fmaf_rn(by, shared.weight[warp][h], weight);
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i++) {
                value[i] = __fmaf_rn(by, shared.value[warp][h][pack * Form::PACK + i], value[i]);
            }
        }
        if (p.splits == 1) {
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i++) value[i] /= weight;
            out[(head + h) * packs + pack] = Form::pack(value);
        } else {
            float* to = parts + ((head + h) * p.splits + split) * (p.head_dim + 2);
            if (pack == 0) *(float2*)to = make_float2(top * LN_2, weight);
#pragma unroll
            for (u32 i = 0; i < Form::PACK; i += 2) {
                *(float2*)(to + 2 + pack * Form::PACK + i) = make_float2(value[i], value[i + 1]);
            }
        }
    }
}

#define ATTENTION(name, Form, DIM, HEADS, ANY)                                                                        \
    extern "C" __global__ void __launch_bounds__(WARPS * WARP, HEADS == 8 ? 2 : HEADS == 4 ? 3 : 4)                   \
        attention_##name(const uint4* q, const uint4* keys, const uint4* values, const u32* pages, float* parts,      \
                         uint4* out, u64, u64 heads, u64 kv_heads, u64 head_dim, u64 first, u64 context, u64 page,    \
                         u64 pages_each, u64 splits, u32) {                                                           \
        const Problem p = {(u32)heads,   (u32)kv_heads, (u32)head_dim,   (u32)first,                                  \
                           (u32)context, (u32)page,     (u32)pages_each, (u32)splits};                                \
        attention<Form, DIM, HEADS, ANY>(q, keys, values, pages, parts, out, p);                                      \
    }

#define FORMAT(name, Form)                                                                                            \
    ATTENTION(name##_d64_h1, Form, 64, 1, false)                                                                      \
    ATTENTION(name##_d64_h8, Form, 64, 8, false)                                                                      \
    ATTENTION(name##_d128_h1, Form, 128, 1, false)                                                                    \
    ATTENTION(name##_d128_h4, Form, 128, 4, false)                                                                    \
    ATTENTION(name##_d128_h8, Form, 128, 8, false)                                                                    \
    ATTENTION(name##_any_h1, Form, 256, 1, true)                                                                      \
    ATTENTION(name##_any_h4, Form, 256, 4, true)

FORMAT(f32, F32)
FORMAT(f16, F16)
FORMAT(bf16, Bf16)
