// Products of a warpgroup, 64 rows of sums, from shared memory: compute capability 9.0 alone ("a" targets).
#pragma once

#include "matrix.cuh"

constexpr u32 WARPGROUP = 128;

// A matrix in shared memory (PTX ISA, "Matrix descriptor format"): its address, the distances between its blocks in
// bytes, and how chunks are exchanged within it.
enum Swizzle : u64 { PLAIN = 0, BY_128_BYTES = 1ull << 62 };

__device__ __forceinline__ u64 descriptor(u32 address, u32 leading, u32 stride, Swizzle swizzle) {
    return swizzle | (u64)(stride / 16) << 32 | (u64)(leading / 16) << 16 | (address & 0x3ffff) / 16;
}

// What this thread wrote to shared memory can be read by products and bulk copies, once it has passed a barrier.
__device__ __forceinline__ void fence_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Accumulators were written: comes before the products that add to them.
__device__ __forceinline__ void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <u32 PENDING>
__device__ __forceinline__ void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Registers of the sums, by number and by name.
#define WGMMA_64                                                                                                      \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                          \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                                \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                                \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_128                                                                                                     \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                          \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                                \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                                \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "                                \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "                                \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "                                \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "                    \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define WGMMA_8_OF(letter, d, i)                                                                                      \
    letter(d[i]), letter(d[i + 1]), letter(d[i + 2]), letter(d[i + 3]), letter(d[i + 4]), letter(d[i + 5]),           \
        letter(d[i + 6]), letter(d[i + 7])
#define WGMMA_32_OF(letter, d, i)                                                                                     \
    WGMMA_8_OF(letter, d, i), WGMMA_8_OF(letter, d, i + 8), WGMMA_8_OF(letter, d, i + 16),                            \
        WGMMA_8_OF(letter, d, i + 24)
#define WGMMA_64_OF(letter, d, i) WGMMA_32_OF(letter, d, i), WGMMA_32_OF(letter, d, i + 32)
#define WGMMA_128_OF(letter, d, i) WGMMA_64_OF(letter, d, i), WGMMA_64_OF(letter, d, i + 64)

// A product of a warpgroup, 64 x COLUMNS sums of 32 bytes of k: d += a b.
#define WGMMA(COLUMNS, REGISTERS, types, tail, Sum, letter, from_a, from_b)                                           \
    static __device__ __forceinline__ void multiply(Sum (&d)[REGISTERS], u64 a, u64 b) {                              \
        asm volatile("{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\nwgmma.mma_async.sync.aligned.m64n" #COLUMNS types        \
                     " {" WGMMA_##REGISTERS "}, " from_a ", " from_b ", p" tail ";\n}"                                \
                     : WGMMA_##REGISTERS##_OF(letter, d, 0)                                                           \
                     : "l"(a), "l"(b));                                                                               \
    }
#define WGMMA_SIZES(types, tail, Sum, letter)                                                                         \
    WGMMA(128, 64, types, tail, Sum, letter, "%64", "%65")                                                            \
    WGMMA(256, 128, types, tail, Sum, letter, "%128", "%129")
