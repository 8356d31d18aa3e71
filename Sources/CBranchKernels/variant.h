/* What each variant of the kernels provides; `kernels.inc` implements it once for every vector length. */
#ifndef LCP_VARIANT_H
#define LCP_VARIANT_H

#include "lcp_branch_kernels.h"

/* Response normalisation keeps the squares of so many pixels, each with zeros around it. */
#define LCP_NORMALIZATION_PIXELS 16
#define LCP_NORMALIZATION_LINE(channels, size) ((channels) + (size) + 16)

struct lcp_variant {
    size_t (*packed_count)(const struct lcp_window *);
    void (*pack)(const struct lcp_window *, const float *, const float *, float *);
    size_t (*panels)(const struct lcp_window *);
    size_t (*tiles_in_row)(const struct lcp_window *);
    void (*convolve)(const struct lcp_window *, const float *, const float *, const float *, float *, struct lcp_range,
                     struct lcp_range);
    void (*convolve_winograd)(const struct lcp_window *, size_t, const float *, const float *, const float *, const float *,
                              float *, float *, size_t, size_t);
    size_t (*packed_depthwise_count)(const struct lcp_window *);
    void (*pack_depthwise)(const struct lcp_window *, const float *, const float *, float *);
    void (*convolve_depthwise)(const struct lcp_window *, const float *, const float *, float *, size_t, size_t);
    void (*pool_maximum)(const struct lcp_window *, const float *, float *, float *, size_t, size_t);
    void (*scale_bytes)(const uint8_t *, float *, size_t, const float *, const float *, size_t);
    void (*activate)(enum lcp_activation, float, float, const float *, float *, size_t);
    void (*prelu)(const float *, const float *, float *, size_t, size_t);
    void (*normalize_channels)(const float *, const float *, const float *, float, float *, size_t, size_t);
    void (*multiply)(const float *, const float *, float *, size_t, size_t);
    void (*normalize_responses)(const float *, float *, size_t, size_t, size_t, float, float, float, float *);
};

extern const struct lcp_variant lcp_variant_4;
#if defined(__x86_64__)
extern const struct lcp_variant lcp_variant_8, lcp_variant_16;
#endif

#endif
