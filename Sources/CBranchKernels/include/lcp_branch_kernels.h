/* Kernels for what XNNPACK lacks or is slow at. Activations are HWC, single precision, and lie in memory of the caller's. */
#ifndef LCP_BRANCH_KERNELS_H
#define LCP_BRANCH_KERNELS_H

#include <stddef.h>

/* The numbers that the scratch of lcp_normalize_responses needs; the caller sets them to zero once. */
size_t lcp_normalization_scratch(size_t channels, size_t size);

/* output = input / (k + factor * sum of squares)^beta, the sum over `size` neighbouring channels: size / 2 before this one,
   and (size - 1) / 2 behind it. */
void lcp_normalize_responses(const float *input, float *output, size_t pixels, size_t channels, size_t size, float factor,
                             float beta, float k, float *scratch);

#endif
