#if defined(__aarch64__)
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#define WIDTH 4
#define TILE 6
#define GROUP 4
#define OFFSET 0
#define COPIES 0
#define VARIANT lcp_integer_neon
#define NAME "NEON"
typedef int32_t integers __attribute__((ext_vector_type(4)));
/* Two pairs of numbers, each as often as a vector has lanes. Two products fit 16 bits, because no weight is -128. */
#define BROADCASTS
typedef int8x16_t activations;
#define PLACE_OF(lane, k) ((k) / 2 * 8 + (lane) * 2 + (k) % 2)

static inline __attribute__((always_inline)) integers dot(integers sums, activations values, integers weights) {
    int16x8_t products = vmull_s8(vget_low_s8(values), vget_low_s8((int8x16_t)weights));
    products = vmlal_high_s8(products, values, (int8x16_t)weights);
    return (integers)vpadalq_s16((int32x4_t)sums, products);
}
static inline __attribute__((always_inline)) integers dot_lanes(integers sums, integers values, integers weights) {
    int16x8_t low = vmull_s8(vget_low_s8((int8x16_t)values), vget_low_s8((int8x16_t)weights));
    int16x8_t high = vmull_high_s8((int8x16_t)values, (int8x16_t)weights);
    return sums + (integers)vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
}
static inline __attribute__((always_inline)) activations broadcast(const uint8_t *at) {
    int16_t pair[2];
    __builtin_memcpy(pair, at, 4);
    return vcombine_s8((int8x8_t)vdup_n_s16(pair[0]), (int8x8_t)vdup_n_s16(pair[1]));
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
#endif
