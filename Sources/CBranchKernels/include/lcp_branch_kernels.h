/* Kernels for what XNNPACK lacks or is slow at. Activations are HWC, single precision, and lie in memory of the caller's.
   Nothing here allocates or fails: sizes are checked in Swift.

   What takes `begin` and `end` computes a part of the whole: several threads may do that with others at the same time, each
   with a scratch of its own. The bits do not depend on where the parts begin.

   Every kernel exists for vectors of several lengths. `lanes` names one: 4 runs anywhere, 8 needs AVX2 and FMA, 16 needs
   AVX-512F; lcp_lanes() is the longest that this processor has. */
#ifndef LCP_BRANCH_KERNELS_H
#define LCP_BRANCH_KERNELS_H

#include "lcp_activation.h"

#include <stddef.h>
#include <stdint.h>

size_t lcp_lanes(void);

/* A window that slides over a padded feature map. */
struct lcp_window {
    size_t lanes;
    size_t height, width, channels;              /* of the input */
    size_t output_height, output_width, outputs; /* outputs: channels of the output */
    size_t kernel_height, kernel_width;
    size_t stride_down, stride_across;
    size_t top, bottom, left, right; /* padding */
    float minimum, maximum;          /* what the result is clamped to */
};

struct lcp_range {
    size_t begin, end;
};

/* The input with its padding, zeros: `begin` and `end` are rows of that, all of its rows are top + height + bottom. */
size_t lcp_padded_count(const struct lcp_window *window);
void lcp_pad(const struct lcp_window *window, const float *input, float *padded, size_t begin, size_t end);

/* Convolution. Weights are packed once: OHWI to panels of output channels, the bias first. */
size_t lcp_packed_count(const struct lcp_window *window);
void lcp_pack(const struct lcp_window *window, const float *weight, const float *bias, float *packed);
/* The output is computed in so many panels of channels, each in so many tiles of pixels. */
size_t lcp_panels(const struct lcp_window *window);
size_t lcp_tiles(const struct lcp_window *window);
/* `padded` is the input itself where there is no padding. `addend` is NULL, or added before the result is clamped; it has the
   output's shape. */
void lcp_convolve(const struct lcp_window *window, const float *padded, const float *packed, const float *addend,
                  float *output, struct lcp_range panels, struct lcp_range tiles);

/* A 3 × 3 convolution of stride 1 by Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin and Gray, 2016): 36 multiplications in
   place of 144. `packed` has the transformed kernel's 36 places one after the other, each packed as a 1 × 1 convolution with
   bias 0; `bias` has room for whole vectors. `strip` tiles of 4 × 4 pixels are computed together, `begin` and `end` are strips.
   The input is padded as lcp_whole_tiles says, to what whole tiles need. */
struct lcp_window lcp_whole_tiles(const struct lcp_window *window);
size_t lcp_winograd_scratch(const struct lcp_window *window, size_t strip);
void lcp_convolve_winograd(const struct lcp_window *window, size_t strip, const float *padded, const float *packed,
                           const float *bias, const float *addend, float *scratch, float *output, size_t begin,
                           size_t end);

/* Depthwise convolution, `begin` to `end` of the output's rows. Weights are [kernel height, kernel width, channels]. */
size_t lcp_packed_depthwise_count(const struct lcp_window *window);
void lcp_pack_depthwise(const struct lcp_window *window, const float *weight, const float *bias, float *packed);
void lcp_convolve_depthwise(const struct lcp_window *window, const float *padded, const float *packed, float *output,
                            size_t begin, size_t end);

/* The maximum over windows, `begin` to `end` of the output's rows; padding counts as -infinity. */
size_t lcp_pool_scratch(const struct lcp_window *window);
void lcp_pool_maximum(const struct lcp_window *window, const float *input, float *scratch, float *output, size_t begin,
                      size_t end);

/* output = byte * scale + offset, rounded twice; scale and offset repeat every `period` numbers, a multiple of 16. */
void lcp_scale_bytes(size_t lanes, const uint8_t *bytes, float *output, size_t count, const float *scale, const float *offset,
                     size_t period);

/* The numbers that the scratch of lcp_normalize_responses needs. */
size_t lcp_normalization_scratch(size_t channels, size_t size);
/* output = input / (k + factor * sum of squares)^beta, the sum over `size` neighbouring channels: size / 2 before this one,
   and (size - 1) / 2 behind it. */
void lcp_normalize_responses(size_t lanes, const float *input, float *output, size_t pixels, size_t channels, size_t size,
                             float factor, float beta, float k, float *scratch);

/* output = function(input), number by number; both may be the same. */
void lcp_activate(size_t lanes, enum lcp_activation function, float first, float second, const float *input, float *output,
                  size_t count);
/* output = input from 0 up, and input * the channel's slope below. */
void lcp_prelu(size_t lanes, const float *input, const float *slope, float *output, size_t pixels, size_t channels);
/* output = (input - mean) / sqrt(variance + epsilon) * weight + bias, mean and variance over a pixel's channels. */
void lcp_normalize_channels(size_t lanes, const float *input, const float *weight, const float *bias, float epsilon,
                            float *output, size_t pixels, size_t channels);
/* Of every pixel the channels of a table. */
void lcp_pick(const float *input, size_t channels, const int32_t *table, size_t count, float *output, size_t pixels);
/* output = input * the channel's factor. */
void lcp_multiply(size_t lanes, const float *input, const float *factors, float *output, size_t pixels, size_t channels);

#endif
