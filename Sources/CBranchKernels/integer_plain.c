/* The arithmetic as the page defines it, one number after the other: what all other kernels have to agree with, and what runs
   where there are none for the processor. */
#define OFFSET 0
#include "integer_common.inc"

static size_t taps_of(const struct lcp_integer_window *window) {
    return window->kernel_height * window->kernel_width * window->channels / window->groups;
}

static size_t padded_bytes(const struct lcp_integer_window *window) {
    return (window->top + window->height + window->bottom) * (window->left + window->width + window->right) * window->channels
           + LCP_INTEGER_MARGIN;
}

static void pad(const struct lcp_integer_window *window, const uint8_t *input, void *padded, size_t begin, size_t end) {
    size_t row = window->width * window->channels, before = window->left * window->channels;
    size_t whole = before + row + window->right * window->channels;
    uint8_t zero = byte_of(window->input_zero);
    for (size_t y = begin; y < end; y++) {
        uint8_t *to = (uint8_t *)padded + y * whole;
        memset(to, zero, whole);
        if (y >= window->top && y < window->top + window->height) memcpy(to + before, input + (y - window->top) * row, row);
    }
}

/* For each output its bias, multiplier and shift, and behind all of them the weights. */
struct head {
    int32_t bias, multiplier, shift;
};

static size_t packed_bytes(const struct lcp_integer_window *window) {
    return window->outputs * (sizeof(struct head) + taps_of(window));
}

static void pack_heads(size_t outputs, const struct lcp_rescaling *rescaling, struct head *heads) {
    for (size_t output = 0; output < outputs; output++) {
        heads[output] = (struct head){rescaling->bias[output], rescaling->multiplier[output], rescaling->shift[output]};
    }
}

static void pack(const struct lcp_integer_window *window, const int8_t *weight, const struct lcp_rescaling *rescaling,
                 void *packed) {
    struct head *heads = packed;
    pack_heads(window->outputs, rescaling, heads);
    memcpy(heads + window->outputs, weight, window->outputs * taps_of(window));
}

static size_t panels(const struct lcp_integer_window *window) { return window->outputs; }
static size_t tiles(const struct lcp_integer_window *window) { return window->output_height * window->output_width; }

static int32_t sum_of(const struct lcp_integer_window *window, const uint8_t *padded, const void *packed, size_t output,
                      size_t y, size_t x) {
    const struct head *heads = packed;
    const int8_t *weight = (const int8_t *)(heads + window->outputs) + output * taps_of(window);
    size_t channels = window->channels / window->groups;
    size_t group = output / (window->outputs / window->groups);
    size_t row = (window->left + window->width + window->right) * window->channels;
    int32_t sum = heads[output].bias;
    for (size_t down = 0; down < window->kernel_height; down++) {
        for (size_t across = 0; across < window->kernel_width; across++) {
            const uint8_t *from = padded + (y * window->stride_down + down) * row
                                  + (x * window->stride_across + across) * window->channels + group * channels;
            for (size_t channel = 0; channel < channels; channel++) {
                sum += *weight++ * (number_of(from[channel]) - window->input_zero);
            }
        }
    }
    return sum;
}

static void convolve(const struct lcp_integer_window *window, const void *padded, const void *packed,
                     const struct lcp_integer_sum *addition, const uint8_t *addend, uint8_t *output, struct lcp_range panels,
                     struct lcp_range tiles) {
    const struct head *heads = packed;
    for (size_t tile = tiles.begin; tile < tiles.end; tile++) {
        for (size_t channel = panels.begin; channel < panels.end; channel++) {
            int32_t sum = sum_of(window, padded, packed, channel, tile / window->output_width, tile % window->output_width);
            int32_t value = rescaled(sum, heads[channel].multiplier, heads[channel].shift, window->output_zero);
            uint8_t *to = output + tile * window->outputs + channel;
            *to = byte_of(clamped(value, window->minimum, window->maximum));
            if (addition) common_add(addition, to, addend + tile * window->outputs + channel, to, 1, 1, 1);
        }
    }
}

static void multiply(const struct lcp_integer_window *window, const void *padded, const void *packed, const float *scale,
                     float *output, struct lcp_range panels) {
    for (size_t channel = panels.begin; channel < panels.end; channel++) {
        output[channel] = (float)sum_of(window, padded, packed, channel, 0, 0) * scale[channel];
    }
}

static size_t packed_depthwise_bytes(const struct lcp_integer_window *window) {
    return window->channels * (sizeof(struct head) + window->kernel_height * window->kernel_width);
}

static void pack_depthwise(const struct lcp_integer_window *window, const int8_t *weight, const struct lcp_rescaling *rescaling,
                           void *packed) {
    struct head *heads = packed;
    pack_heads(window->channels, rescaling, heads);
    memcpy(heads + window->channels, weight, window->channels * window->kernel_height * window->kernel_width);
}

static size_t depthwise_scratch(const struct lcp_integer_window *window) {
    (void)window;
    return 0;
}

static void convolve_depthwise(const struct lcp_integer_window *window, const void *padded, const void *packed, void *scratch,
                               uint8_t *output, size_t begin, size_t end) {
    (void)scratch;
    const struct head *heads = packed;
    const int8_t *weight = (const int8_t *)(heads + window->channels);
    size_t channels = window->channels, row = (window->left + window->width + window->right) * channels;
    output += begin * window->output_width * channels;
    for (size_t y = begin; y < end; y++) {
        for (size_t x = 0; x < window->output_width; x++, output += channels) {
            for (size_t channel = 0; channel < channels; channel++) {
                int32_t sum = heads[channel].bias;
                for (size_t tap = 0; tap < window->kernel_height * window->kernel_width; tap++) {
                    size_t down = y * window->stride_down + tap / window->kernel_width;
                    size_t across = x * window->stride_across + tap % window->kernel_width;
                    const uint8_t *from = (const uint8_t *)padded + down * row + across * channels;
                    sum += weight[tap * channels + channel] * (number_of(from[channel]) - window->input_zero);
                }
                int32_t value = rescaled(sum, heads[channel].multiplier, heads[channel].shift, window->output_zero);
                output[channel] = byte_of(clamped(value, window->minimum, window->maximum));
            }
        }
    }
}

const struct lcp_integer_kernels lcp_integer_plain = {
    .name = "plain C",
    .lanes = 4,
    .group = 1,
    .padded_bytes = padded_bytes,
    .pad = pad,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .panels = panels,
    .tiles = tiles,
    .convolve = convolve,
    .multiply = multiply,
    .packed_depthwise_bytes = packed_depthwise_bytes,
    .pack_depthwise = pack_depthwise,
    .depthwise_scratch = depthwise_scratch,
    .convolve_depthwise = convolve_depthwise,
    COMMON_KERNELS,
};
