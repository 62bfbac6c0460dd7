// rotate for CUDA. Entry rotate_<format>: a thread takes four numbers of the first half of a head, and the four that stand
// as far into its second half.
#include "../numbers.cuh"

constexpr u32 ROTARY = 1, BIAS = 2;

struct Problem {
    u64 rows, heads, kv_heads, head_dim, position, page, pages_each;
    u32 flags;
};

// Four numbers in memory, which need no alignment but their own: half a pack of 16-bit numbers.
template <class Form>
struct Four;

template <>
struct Four<F32> {
    typedef uint4 Stored;
    static __device__ __forceinline__ void unpack(float (&x)[4], uint4 four) { F32::unpack(x, four); }
    static __device__ __forceinline__ uint4 pack(const float (&x)[4]) { return F32::pack(x); }
};

template <class Pair>
struct Four<Halves<Pair>> {
    typedef uint2 Stored;
    static __device__ __forceinline__ void unpack(float (&x)[4], uint2 four) {
        Pair::numbers(x[0], x[1], four.x), Pair::numbers(x[2], x[3], four.y);
    }
    static __device__ __forceinline__ uint2 pack(const float (&x)[4]) {
        return make_uint2(Pair::word(x[0], x[1]), Pair::word(x[2], x[3]));
    }
};

template <class Form, class Stored>
__device__ __forceinline__ void biased(float (&x)[4], const Stored* qkv, const Stored* bias, u64 row, u32 at,
                                       u32 flags) {
    Four<Form>::unpack(x, qkv[row + at]);
    if (flags & BIAS) {
        float more[4];
        Four<Form>::unpack(more, bias[at]);
#pragma unroll
        for (u32 i = 0; i < 4; i++) x[i] += more[i];
    }
}

template <class Form, class Stored>
__device__ __forceinline__ void rotate(const Stored* qkv, const Stored* bias, const float4* angles, Stored* q,
                                       Stored* keys, Stored* values, const u32* pages, const Problem& p) {
    // Fours of half a head, of all heads of a row; the work is the first halves'.
    const u32 half = (u32)(p.head_dim / 8), heads = (u32)p.heads, kv_heads = (u32)p.kv_heads;
    const u32 all = heads + 2 * kv_heads;
    each_pack(p.rows, all * half, [&](u64 row, u32 item) {
        const u32 head = item / half, at = head * 2 * half + item % half;
        float x[4], y[4];
        biased<Form>(x, qkv, bias, row * all * 2 * half, at, p.flags);
        biased<Form>(y, qkv, bias, row * all * 2 * half, at + half, p.flags);
        if ((p.flags & ROTARY) && head < heads + kv_heads) {
            const float4 early = angles[item % half * 2], late = angles[item % half * 2 + 1];
            const float c[4] = {early.x, early.z, late.x, late.z}, s[4] = {early.y, early.w, late.y, late.w};
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                const float turned = x[i] * c[i] - y[i] * s[i];
                y[i] = y[i] * c[i] + x[i] * s[i];
                x[i] = turned;
            }
        }
        Stored* to = q + row * heads * 2 * half + at;
        if (head >= heads) {
            const u32 kv_head = (head - heads) % kv_heads;
            const u64 page = pages[row * p.pages_each + p.position / p.page];
            to = head < heads + kv_heads ? keys : values;
            to += ((page * kv_heads + kv_head) * p.page + p.position % p.page) * 2 * half + item % half;
        }
        to[0] = Four<Form>::pack(x);
        to[half] = Four<Form>::pack(y);
    });
}

#define ROTATE(name, Form)                                                                                            \
    ENTRY(rotate_##name)                                                                                              \
    (const Four<Form>::Stored* qkv, const Four<Form>::Stored* bias, const float4* angles, Four<Form>::Stored* q,      \
     Four<Form>::Stored* keys, Four<Form>::Stored* values, const u32* pages, u64 rows, u64 heads, u64 kv_heads,       \
     u64 head_dim, u64 position, u64 page, u64 pages_each, u32, u32 flags) {                                          \
        const Problem p = {rows, heads, kv_heads, head_dim, position, page, pages_each, flags};                       \
        rotate<Form>(qkv, bias, angles, q, keys, values, pages, p);                                                   \
    }

ROTATE(f32, F32)
ROTATE(f16, F16)
ROTATE(bf16, Bf16)
