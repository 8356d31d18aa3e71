#include "variant.h"

#include <string.h>

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

void lcp_pad(const struct lcp_window *window, const float *input, float *padded, size_t begin, size_t end) {
    size_t row = window->width * window->channels;
    size_t before = window->left * window->channels, behind = window->right * window->channels;
    float *to = padded + begin * (before + row + behind);
    for (size_t y = begin; y < end; y++) {
        int is_inside = y >= window->top && y < window->top + window->height;
        for (size_t count = is_inside ? before : before + row + behind; count > 0; count--) *to++ = 0;
        if (!is_inside) continue;
        memcpy(to, input + (y - window->top) * row, row * sizeof(float));
        to += row;
        for (size_t count = behind; count > 0; count--) *to++ = 0;
    }
}

size_t lcp_packed_count(const struct lcp_window *window) { return variant(window->lanes)->packed_count(window); }

void lcp_pack(const struct lcp_window *window, const float *weight, const float *bias, float *packed) {
    variant(window->lanes)->pack(window, weight, bias, packed);
}

size_t lcp_panels(const struct lcp_window *window) { return variant(window->lanes)->panels(window); }

size_t lcp_tiles(const struct lcp_window *window) {
    return window->output_height * variant(window->lanes)->tiles_in_row(window);
}

void lcp_convolve(const struct lcp_window *window, const float *padded, const float *packed, const float *addend,
                  float *output, struct lcp_range panels, struct lcp_range tiles) {
    variant(window->lanes)->convolve(window, padded, packed, addend, output, panels, tiles);
}

struct lcp_window lcp_whole_tiles(const struct lcp_window *window) {
    struct lcp_window whole = *window;
    whole.bottom = (window->output_height + 3) / 4 * 4 + 2 - window->height - window->top;
    whole.right = (window->output_width + 3) / 4 * 4 + 2 - window->width - window->left;
    return whole;
}

size_t lcp_winograd_scratch(const struct lcp_window *window, size_t strip) {
    return (36 * strip * (window->channels + window->outputs) + 31) / 16 * 16;
}

void lcp_convolve_winograd(const struct lcp_window *window, size_t strip, const float *padded, const float *packed,
                           const float *bias, const float *addend, float *scratch, float *output, size_t begin,
                           size_t end) {
    variant(window->lanes)->convolve_winograd(window, strip, padded, packed, bias, addend, scratch, output, begin, end);
}

size_t lcp_packed_depthwise_count(const struct lcp_window *window) {
    return variant(window->lanes)->packed_depthwise_count(window);
}

void lcp_pack_depthwise(const struct lcp_window *window, const float *weight, const float *bias, float *packed) {
    variant(window->lanes)->pack_depthwise(window, weight, bias, packed);
}

void lcp_convolve_depthwise(const struct lcp_window *window, const float *padded, const float *packed, float *output,
                            size_t begin, size_t end) {
    variant(window->lanes)->convolve_depthwise(window, padded, packed, output, begin, end);
}

size_t lcp_pool_scratch(const struct lcp_window *window) {
    return ((window->left + window->width + window->right + window->kernel_width) * window->channels + 79) / 16 * 16;
}

void lcp_pool_maximum(const struct lcp_window *window, const float *input, float *scratch, float *output, size_t begin,
                      size_t end) {
    variant(window->lanes)->pool_maximum(window, input, scratch, output, begin, end);
}

void lcp_scale_bytes(size_t lanes, const uint8_t *bytes, float *output, size_t count, const float *scale, const float *offset,
                     size_t period) {
    variant(lanes)->scale_bytes(bytes, output, count, scale, offset, period);
}

size_t lcp_normalization_scratch(size_t channels, size_t size) {
    return (LCP_NORMALIZATION_PIXELS * LCP_NORMALIZATION_LINE(channels, size) + 31) / 16 * 16;
}

void lcp_normalize_responses(size_t lanes, const float *input, float *output, size_t pixels, size_t channels, size_t size,
                             float factor, float beta, float k, float *scratch) {
    variant(lanes)->normalize_responses(input, output, pixels, channels, size, factor, beta, k, scratch);
}

void lcp_activate(size_t lanes, enum lcp_activation function, float first, float second, const float *input, float *output,
                  size_t count) {
    variant(lanes)->activate(function, first, second, input, output, count);
}

void lcp_prelu(size_t lanes, const float *input, const float *slope, float *output, size_t pixels, size_t channels) {
    variant(lanes)->prelu(input, slope, output, pixels, channels);
}

void lcp_multiply(size_t lanes, const float *input, const float *factors, float *output, size_t pixels, size_t channels) {
    variant(lanes)->multiply(input, factors, output, pixels, channels);
}

void lcp_normalize_channels(size_t lanes, const float *input, const float *weight, const float *bias, float epsilon,
                            float *output, size_t pixels, size_t channels) {
    variant(lanes)->normalize_channels(input, weight, bias, epsilon, output, pixels, channels);
}

void lcp_pick(const float *input, size_t channels, const int32_t *table, size_t count, float *output, size_t pixels) {
    for (size_t pixel = 0; pixel < pixels; pixel++, input += channels, output += count) {
        for (size_t at = 0; at < count; at++) output[at] = input[table[at]];
    }
}
