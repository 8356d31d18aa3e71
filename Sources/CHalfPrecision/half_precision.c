#include "lcp_half_precision.h"

#include <stdint.h>
#include <string.h>

float lcp_sum_of_magnitudes(const float *values, size_t count) {
    /* Sixteen sums, so that a compiler may keep them in vectors. */
    float sums[16] = {0};
    size_t index = 0;
    for (; index + 16 <= count; index += 16) {
        for (size_t lane = 0; lane < 16; lane++) sums[lane] += __builtin_fabsf(values[index + lane]);
    }
    for (; index < count; index++) sums[0] += __builtin_fabsf(values[index]);
    float sum = 0;
    for (size_t lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}

static float bounded(float value) { return value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value; }

static void to_half(const float *values, size_t count, unsigned char *halves) {
    for (size_t index = 0; index < count; index++) {
        _Float16 half = (_Float16)bounded(values[index]);
        memcpy(halves + 2 * index, &half, 2);
    }
}

static void from_half(const unsigned char *halves, size_t count, float *values) {
    for (size_t index = 0; index < count; index++) {
        _Float16 half;
        memcpy(&half, halves + 2 * index, 2);
        values[index] = (float)half;
    }
}

#if defined(__x86_64__)

#include <immintrin.h>

__attribute__((target("avx,f16c"))) static void to_half_f16c(const float *values, size_t count, unsigned char *halves) {
    const __m256 largest = _mm256_set1_ps(65504.0f), smallest = _mm256_set1_ps(-65504.0f);
    size_t index = 0;
    for (; index + 8 <= count; index += 8) {
        __m256 value = _mm256_max_ps(_mm256_min_ps(_mm256_loadu_ps(values + index), largest), smallest);
        _mm_storeu_si128((__m128i *)(halves + 2 * index), _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
    to_half(values + index, count - index, halves + 2 * index);
}

__attribute__((target("avx,f16c"))) static void from_half_f16c(const unsigned char *halves, size_t count, float *values) {
    size_t index = 0;
    for (; index + 8 <= count; index += 8) {
        _mm256_storeu_ps(values + index, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + 2 * index))));
    }
    from_half(halves + 2 * index, count - index, values + index);
}

static int has_f16c(void) { return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c"); }

#endif

void lcp_to_half(const float *values, size_t count, void *halves) {
#if defined(__x86_64__)
    if (has_f16c()) {
        to_half_f16c(values, count, halves);
        return;
    }
#endif
    to_half(values, count, halves);
}

void lcp_from_half(const void *halves, size_t count, float *values) {
#if defined(__x86_64__)
    if (has_f16c()) {
        from_half_f16c(halves, count, values);
        return;
    }
#endif
    from_half(halves, count, values);
}
