#include "lcp_kernels.h"

#include <stdlib.h>
#include <string.h>

#pragma clang diagnostic ignored "-Wpsabi"

// Sixteen lanes are one AVX-512 register, two of AVX2, four of NEON and SSE2: so many channels and columns at a time fit the
// registers that there are. A filter's gradient sums over the lanes and so takes one register's worth of them at a time.
#define FILTER_O 4
#if defined(__x86_64__)
#define NAME(x) lcp_avx512_##x
#define TABLE_NAME "avx512"
#define TILE_O 4
#define TILE_X 6
#define TILE_X1 8
#define TILE_X2 8
#define FILTER_LANES 16
#define FILTER_T 6
#define FILTER_T1 8
#define FILTER_T2 8
#define ROOT_ESTIMATE(x) __builtin_ia32_rsqrt14ps512_mask(x, (V){}, 0xffff)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop

#define NAME(x) lcp_avx2_##x
#define TABLE_NAME "avx2"
#define TILE_O 6
#define TILE_X 1
#define TILE_X1 4
#define TILE_X2 2
#define FILTER_LANES 8
#define FILTER_T 3
#define FILTER_T1 8
#define FILTER_T2 5
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif

#define NAME(x) lcp_portable_##x
#define TABLE_NAME "portable"
#define TILE_O 2
#if defined(__aarch64__)
#define TILE_X 3
#define TILE_X1 4
#define TILE_X2 3
#define FILTER_T 6
#define FILTER_T1 8
#define FILTER_T2 8
#else
#define TILE_X 1
#define TILE_X1 2
#define TILE_X2 1
#define FILTER_T 2
#define FILTER_T1 5
#define FILTER_T2 3
#endif
#define FILTER_LANES 4
#include "kernels.inc"

const lcp_kernels *lcp_kernels_named(const char *name) {
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
                && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma")
            ? &lcp_avx512_table : NULL;
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &lcp_avx2_table : NULL;
#endif
    return strcmp(name, "portable") == 0 ? &lcp_portable_table : NULL;
}

const lcp_kernels *lcp_kernels_best(void) {
    static const char *const names[] = {"avx512", "avx2", "portable"};
    const char *wanted = getenv("LCP_KERNELS");
    const lcp_kernels *found = wanted ? lcp_kernels_named(wanted) : NULL;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) found = lcp_kernels_named(names[i]);
    return found;
}

void lcp_gather_pack(const lcp_gather *g, int32_t tile_outputs, const float *weights, float *packed) {
    const int32_t taps = g->rows * g->row_taps;
    for (int32_t group = 0; group < g->groups; group++)
        for (int32_t first = 0; first < g->outputs; first += tile_outputs) {
            const int32_t count = g->outputs - first < tile_outputs ? g->outputs - first : tile_outputs;
            const float *from = weights + (int64_t)group * g->weight_group_stride + (int64_t)first * g->weight_output_stride;
            for (int32_t tap = 0; tap < taps; tap++)
                for (int32_t output = 0; output < count; output++)
                    *packed++ = from[g->tap_weight[tap] + (int64_t)output * g->weight_output_stride];
        }
}
