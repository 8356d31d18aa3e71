#include "variant.h"

size_t lcp_lanes(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
    return 4;
}

static const struct lcp_variant *variant(size_t lanes) {
#if defined(__x86_64__)
    if (lanes == 16) return &lcp_variant_16;
    if (lanes == 8) return &lcp_variant_8;
#else
    (void)lanes;
#endif
    return &lcp_variant_4;
}

size_t lcp_padded_count(const struct lcp_window *window) {
    /* Behind the end a vector may be read that means nothing. */
    return (window->height + window->top + window->bottom) * (window->width + window->left + window->right)
               * window->channels
           + (window->kernel_width + 2) * window->channels + 64;
}

size_t lcp_packed_count(const struct lcp_window *window) { return variant(window->lanes)->packed_count(window); }

void lcp_pack(const struct lcp_window *window, const float *weight, const float *bias, float *packed) {
    variant(window->lanes)->pack(window, weight, bias, packed);
}

void lcp_convolve(const struct lcp_window *window, const float *input, const float *packed, const float *addend,
                  float *scratch, float *output) {
    variant(window->lanes)->convolve(window, input, packed, addend, scratch, output);
}

struct lcp_window lcp_whole_tiles(const struct lcp_window *window) {
    struct lcp_window whole = *window;
    whole.bottom = (window->output_height + 3) / 4 * 4 + 2 - window->height - window->top;
    whole.right = (window->output_width + 3) / 4 * 4 + 2 - window->width - window->left;
    return whole;
}

size_t lcp_winograd_scratch(const struct lcp_window *window, size_t strip) {
    struct lcp_window whole = lcp_whole_tiles(window);
    return (lcp_padded_count(&whole) + 15) / 16 * 16 + 36 * strip * (window->channels + window->outputs) + 16;
}

void lcp_convolve_winograd(const struct lcp_window *window, size_t strip, const float *input, const float *packed,
                           const float *bias, const float *addend, float *scratch, float *output) {
    variant(window->lanes)->convolve_winograd(window, strip, input, packed, bias, addend, scratch, output);
}

size_t lcp_packed_depthwise_count(const struct lcp_window *window) {
    return variant(window->lanes)->packed_depthwise_count(window);
}

void lcp_pack_depthwise(const struct lcp_window *window, const float *weight, const float *bias, float *packed) {
    variant(window->lanes)->pack_depthwise(window, weight, bias, packed);
}

void lcp_convolve_depthwise(const struct lcp_window *window, const float *input, const float *packed, float *scratch,
                            float *output) {
    variant(window->lanes)->convolve_depthwise(window, input, packed, scratch, output);
}

void lcp_pool_maximum(const struct lcp_window *window, const float *input, float *scratch, float *output) {
    variant(window->lanes)->pool_maximum(window, input, scratch, output);
}

size_t lcp_normalization_scratch(size_t channels, size_t size) {
    return LCP_NORMALIZATION_PIXELS * LCP_NORMALIZATION_LINE(channels, size) + 16;
}

void lcp_normalize_responses(size_t lanes, const float *input, float *output, size_t pixels, size_t channels, size_t size,
                             float factor, float beta, float k, float *scratch) {
    variant(lanes)->normalize_responses(input, output, pixels, channels, size, factor, beta, k, scratch);
}
