#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
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

static inline __attribute__((always_inline)) integers dot(integers sums, integers values, integers weights) {
    return (integers)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)values, (__m512i)weights);
}

/* Sixteen numbers of each row side by side in a vector; then those of a place together. */
#define INTERLEAVES
static inline __attribute__((always_inline)) void interleave(const uint8_t *const rows[4], uint8_t *mixed, size_t count) {
    const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    for (size_t place = 0; place < count; place += 16) {
        __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(rows[0] + place)));
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[1] + place)), 1);
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[2] + place)), 2);
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[3] + place)), 3);
        /* The compiler knows another way, which is slower. */
        __asm__("" : "+v"(all));
        all = _mm512_permutexvar_epi32(places, all);
        __asm__("" : "+v"(all));
        all = _mm512_shuffle_epi8(all, bytes);
        _mm512_storeu_si512(mixed + place * 4, all);
    }
}

#define FINISHING "integer_avx512_finish.inc"
#include "integer.inc"
#pragma clang attribute pop
#endif
