#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define WIDTH 8
#define TILE 6
#define GROUP 4
#define OFFSET 128
#define COPIES 0
#define VARIANT lcp_integer_avxvnni
#define NAME "AVX-VNNI"
typedef int32_t integers __attribute__((ext_vector_type(8)));

static inline __attribute__((always_inline)) integers dot(integers sums, integers values, integers weights) {
    return (integers)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)values, (__m256i)weights);
}
#include "integer.inc"
#pragma clang attribute pop
#endif
