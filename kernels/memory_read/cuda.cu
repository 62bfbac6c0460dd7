// memory_read for CUDA. Entry memory_read_u<loads of 16 bytes that a thread has in flight>.
// No two launches may overlap: see chunks.cuh.
#include "../chunks.cuh"

struct Keep {
    static constexpr bool BY_ROW = false;
    template <u32 N>
    __device__ __forceinline__ void operator()(uint4 (&)[N], u64) const {}
};

ENTRY(memory_read_u8)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words) {
    sum_chunks<8>(in, out, words, Keep());
}

ENTRY(memory_read_u10)(const uint4* __restrict__ in, u32* __restrict__ out, u64 words) {
    sum_chunks<10>(in, out, words, Keep());
}
