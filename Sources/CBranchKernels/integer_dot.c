#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define WIDTH 4
#define TILE 12
#define GROUP 4
#define OFFSET 0
#define COPIES 0
#define VARIANT lcp_integer_dot
#define NAME "NEON dot product"
typedef int32_t integers __attribute__((ext_vector_type(4)));
typedef integers activations;

static inline __attribute__((always_inline)) integers dot(integers sums, activations values, integers weights) {
    return (integers)vdotq_s32((int32x4_t)sums, (int8x16_t)weights, (int8x16_t)values);
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
