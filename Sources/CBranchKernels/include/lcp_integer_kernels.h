/* Kernels in numbers of eight bits. The arithmetic is specified in Documentation/integer-arithmetic.md, and all of these have
   its bits. Nothing here allocates or fails: sizes are checked in Swift.

   Feature maps are HWC. A number lies in memory as a byte, number + offset modulo 256; the offset is that of the kernels. What
   takes `begin` and `end`, or ranges, computes a part of the whole: several threads may do that with others at the same time,
   each with a scratch of its own. Behind what is read, LCP_INTEGER_MARGIN bytes may be read that mean nothing. */
#ifndef LCP_INTEGER_KERNELS_H
#define LCP_INTEGER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "lcp_branch_kernels.h"

#define LCP_INTEGER_MARGIN 128

/* A window that slides over a padded feature map. */
struct lcp_integer_window {
    size_t height, width, channels;              /* of the input */
    size_t output_height, output_width, outputs; /* outputs: channels of the output */
    size_t kernel_height, kernel_width;
    size_t stride_down, stride_across;
    size_t top, bottom, left, right; /* padding */
    size_t groups;                   /* channels that do not mix */
    int input_zero, output_zero;
    int minimum, maximum; /* what the result is clamped to */
};

/* For each output: its bias, and how its sum is rescaled. */
struct lcp_rescaling {
    const int32_t *bias;
    const int16_t *multiplier;
    const uint8_t *shift;
};

/* output = sum of (number - zero) * factor over the inputs, shifted, plus the output's zero, clamped. */
struct lcp_integer_sum {
    int zero[2];
    int factor[2]; /* below 2^14; 0 where there is one input */
    int shift;     /* 1 to 30 */
    int output_zero;
    int minimum, maximum;
};

/* Response normalisation: see the page. */
struct lcp_integer_response {
    size_t channels, size;
    int input_zero, output_zero;
    int segment_shift, factor_shift;
    const int16_t *table; /* 257 */
};

/* output = the product of (number - zero) of both inputs, rescaled, plus the output's zero. */
struct lcp_integer_product {
    int zero[2];
    int multiplier, shift;
    int output_zero;
};

struct lcp_integer_kernels {
    const char *name;
    int offset;
    size_t lanes, group; /* of a vector, and the numbers that each multiplies at once */
    /* Whether convolutions want their input copied even where it needs no padding. */
    int always_pads;

    size_t (*padded_bytes)(const struct lcp_integer_window *);
    /* Rows `begin` to `end` of the input with its padding, all of them top + height + bottom. */
    void (*pad)(const struct lcp_integer_window *, const uint8_t *input, void *padded, size_t begin, size_t end);

    /* Convolution. Weights are OHWI, their inputs those of a group, and packed once. */
    size_t (*packed_bytes)(const struct lcp_integer_window *);
    void (*pack)(const struct lcp_integer_window *, const int8_t *weight, const struct lcp_rescaling *, void *packed);
    /* The output is computed in so many panels of channels, each in so many tiles of pixels. */
    size_t (*panels)(const struct lcp_integer_window *);
    size_t (*tiles)(const struct lcp_integer_window *);
    /* `sum` is NULL, or says how the result, as the first, and `addend` are added. */
    void (*convolve)(const struct lcp_integer_window *, const void *padded, const void *packed,
                     const struct lcp_integer_sum *sum, const uint8_t *addend, uint8_t *output, struct lcp_range panels,
                     struct lcp_range tiles);
    /* A fully connected layer whose sums become real numbers: (float)sum * scale, for each output. */
    void (*multiply)(const struct lcp_integer_window *, const void *padded, const void *packed, const float *scale,
                     float *output, struct lcp_range panels);

    /* Depthwise convolution, `begin` to `end` of the output's rows. Weights are [kernel height, kernel width, channels]. */
    size_t (*packed_depthwise_bytes)(const struct lcp_integer_window *);
    void (*pack_depthwise)(const struct lcp_integer_window *, const int8_t *weight, const struct lcp_rescaling *,
                           void *packed);
    size_t (*depthwise_scratch)(const struct lcp_integer_window *);
    void (*convolve_depthwise)(const struct lcp_integer_window *, const void *padded, const void *packed, void *scratch,
                               uint8_t *output, size_t begin, size_t end);

    /* The maximum over windows, `begin` to `end` of the output's rows; padding does not count. */
    size_t (*pool_scratch)(const struct lcp_integer_window *);
    void (*pool_maximum)(const struct lcp_integer_window *, const uint8_t *input, void *scratch, uint8_t *output,
                         size_t begin, size_t end);
    /* The mean over windows: the sum of (number - zero), times `weight`, rescaled. */
    void (*pool_mean)(const struct lcp_integer_window *, const uint8_t *input, int weight, int multiplier, int shift,
                      uint8_t *output, size_t begin, size_t end);

    /* Runs of `count` numbers; between two runs of the output lie `step` - `count` that are left alone. `second` may be NULL. */
    void (*add)(const struct lcp_integer_sum *, const uint8_t *first, const uint8_t *second, uint8_t *output, size_t runs,
                size_t count, size_t step);
    /* Pixels of `channels` numbers; a factor for each channel is the same `second` for all of them. */
    void (*product)(const struct lcp_integer_product *, const uint8_t *first, const uint8_t *second, int is_factor,
                    uint8_t *output, size_t pixels, size_t channels);
    /* What each number becomes, from that of -128 to that of 127. */
    void (*look_up)(const int8_t *table, const uint8_t *input, uint8_t *output, size_t count);
    /* For each of `to` channels of a pixel the one of `from` that it is. */
    void (*pick)(const int32_t *channels, const uint8_t *input, uint8_t *output, size_t pixels, size_t from, size_t to);
    size_t (*response_scratch)(const struct lcp_integer_response *);
    void (*normalize_responses)(const struct lcp_integer_response *, const uint8_t *input, void *scratch, uint8_t *output,
                                size_t pixels);

    /* round(byte * scale + offset) + zero, the product and the sum rounded to a float before; scale and offset repeat every
       `period` numbers. */
    void (*quantize_bytes)(const uint8_t *bytes, uint8_t *output, size_t count, const float *scale, const float *offset,
                           size_t period, int zero);
    /* round(real * scale) + zero, the product rounded to a float before. The floats may lie anywhere. */
    void (*quantize)(const void *reals, uint8_t *output, size_t count, float scale, int zero);
    /* (number - zero) * scale */
    void (*dequantize)(const uint8_t *numbers, float *output, size_t count, float scale, int zero);
};

/* The kernels by number, from 0, the plain ones that define the bits, to those for the newest processors; NULL for those that
   this processor cannot run, and behind the last. */
const struct lcp_integer_kernels *lcp_integer_kernels_at(size_t number);
#define LCP_INTEGER_KERNELS_COUNT 4

#endif
