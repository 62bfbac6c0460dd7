// A chase over pointers, written apart from rooflint's to be compared with it: `chase BYTES [STRIDE]` prints the
// median time of an access in seconds.
//
// One pointer in every STRIDE bytes (64) of a mapping of BYTES, linked by Sattolo's algorithm; one warm-up round,
// then eleven rounds of at least 20 ms and as many accesses as there are pointers.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static uint64_t state = 88172645463325252ull;
static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void *volatile kept;

static double chase(void **at, size_t accesses) {
    double start = now();
    for (size_t i = 0; i < accesses; i++) at = *at;
    kept = at;
    return now() - start;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    size_t bytes = argc > 1 ? strtoull(argv[1], 0, 10) : 1 << 20, stride = argc > 2 ? strtoull(argv[2], 0, 10) : 64;
    size_t count = bytes / stride, *order = malloc(count * sizeof *order), huge = 2 << 20;
    char *mapping = mmap(0, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (count < 2 || !order || mapping == MAP_FAILED) return 1;
    char *base = (char *)(((uintptr_t)mapping + huge - 1) / huge * huge);
    madvise(base, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i++) order[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = next_random() % i, kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (size_t i = 0; i < count; i++) *(void **)(base + i * stride) = base + order[i] * stride;
    size_t accesses = count;
    chase((void **)base, accesses);
    while (chase((void **)base, accesses) < 0.02) accesses *= 2;
    double times[11];
    for (int i = 0; i < 11; i++) times[i] = chase((void **)base, accesses) / accesses;
    qsort(times, 11, sizeof *times, ascending);
    printf("%.6e\n", times[5]);
    return 0;
}
