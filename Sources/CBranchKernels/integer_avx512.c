#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma"))), apply_to = function)
#define WIDTH 16
#define TILE 14
#define GROUP 4
#define OFFSET 128
#define COPIES 0
#define VARIANT lcp_integer_vnni
#define NAME "AVX-512 VNNI"
typedef int32_t integers __attribute__((ext_vector_type(16)));
typedef integers activations;

static inline __attribute__((always_inline)) integers dot(integers sums, activations values, integers weights) {
    return (integers)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)values, (__m512i)weights);
}
static inline __attribute__((always_inline)) integers dot_lanes(integers sums, integers values, integers weights) {
    return dot(sums, values, weights);
}
static inline __attribute__((always_inline)) activations broadcast(const uint8_t *at) {
    int32_t value;
    __builtin_memcpy(&value, at, 4);
    return (activations)value;
}
#include "integer.inc"
#pragma clang attribute pop
#endif
