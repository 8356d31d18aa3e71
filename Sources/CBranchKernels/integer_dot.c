#if defined(__aarch64__)
#include <arm_neon.h>
#include <stddef.h>
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

static inline __attribute__((always_inline)) integers dot(integers sums, integers values, integers weights) {
    return (integers)vdotq_s32((int32x4_t)sums, (int8x16_t)weights, (int8x16_t)values);
}

#define INTERLEAVES
static inline __attribute__((always_inline)) void interleave(const uint8_t *const rows[4], uint8_t *mixed, size_t count) {
    for (size_t place = 0; place < count; place += 16) {
        uint8x16x4_t all = {{vld1q_u8(rows[0] + place), vld1q_u8(rows[1] + place), vld1q_u8(rows[2] + place),
                             vld1q_u8(rows[3] + place)}};
        vst4q_u8(mixed + place * 4, all);
    }
}

#define FINISHING "integer_neon_finish.inc"
#include "integer.inc"
#pragma clang attribute pop
#endif
