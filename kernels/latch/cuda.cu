// latch for CUDA. The first thread waits; any other returns at once.
#include "../cuda.cuh"

__device__ __forceinline__ u64 now_ns() {
    u64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
    return now;
}

ENTRY(latch)(const u32* flag, u32* result, u64 timeout_ns) {
    if (thread_of_grid() != 0) return;
    const u64 start = now_ns();
    u32 open, found = 1;
    for (;;) {
        asm volatile("ld.relaxed.sys.global.u32 %0, [%1];"
                     : "=r"(open)
                     : "l"(__cvta_generic_to_global(flag))
                     : "memory");
        if (open != 0) break;
        if (now_ns() - start >= timeout_ns) {
            found = 2;
            break;
        }
        __nanosleep(100);
    }
    asm volatile("st.relaxed.sys.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(result)), "r"(found) : "memory");
}
