#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define WIDTH 8
#define TILE 6
#define GROUP 2
#define OFFSET 0
#define COPIES 1
#define VARIANT lcp_integer_avx2
#define NAME "AVX2"
typedef int32_t integers __attribute__((ext_vector_type(8)));

static inline __attribute__((always_inline)) integers dot(integers sums, integers values, integers weights) {
    return sums + (integers)_mm256_madd_epi16((__m256i)values, (__m256i)weights);
}
#include "integer.inc"
#pragma clang attribute pop
#endif
