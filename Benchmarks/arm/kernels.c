/* The kernels of a branch's layers by themselves, for a processor that is emulated.

     kernels check            every integer kernel beside the plain ones, on random operations
     kernels float 3 < FILE   runs the layers of a file so often, in single precision
     kernels 1 3 < FILE       the same with the integer kernels of that number

   A line of the file is a layer: conv, depthwise or fc, then height, width and channels of its input, outputs, kernel, stride,
   padding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcp_integer_kernels.h"

static unsigned long long state = 88172645463325252ULL;

static unsigned number(unsigned below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % below);
}

static void *memory(size_t bytes) {
    void *result = 0;
    if (posix_memalign(&result, 64, bytes + 512) != 0) abort();
    memset(result, 0, bytes + 512);
    return result;
}

struct layer {
    char kind[16];
    size_t height, width, channels, outputs, kernel, stride, padding, groups;
};

static struct lcp_integer_window integer_window(const struct layer *is) {
    struct lcp_integer_window window = {
        .height = is->height, .width = is->width, .channels = is->channels, .outputs = is->outputs,
        .output_height = (is->height + 2 * is->padding - is->kernel) / is->stride + 1,
        .output_width = (is->width + 2 * is->padding - is->kernel) / is->stride + 1,
        .kernel_height = is->kernel, .kernel_width = is->kernel, .stride_down = is->stride, .stride_across = is->stride,
        .top = is->padding, .bottom = is->padding, .left = is->padding, .right = is->padding, .groups = is->groups,
        .input_zero = -128, .output_zero = -128, .minimum = -128, .maximum = 127,
    };
    return window;
}

/* A layer of single pixels is one long row. */
static struct layer flattened(struct layer is) {
    if (is.kernel == 1 && is.stride == 1 && is.padding == 0) {
        is.width *= is.height;
        is.height = 1;
    }
    return is;
}

/* What an operation makes in numbers; `input` and `weight` are numbers, too. */
static uint8_t *run_integers(const struct lcp_integer_kernels *kernels, const struct lcp_integer_window *window,
                             int is_depthwise, const int8_t *input, const int8_t *weight,
                             const struct lcp_rescaling *rescaling, const struct lcp_integer_sum *sum, int runs) {
    size_t count = window->height * window->width * window->channels;
    size_t output_count = window->output_height * window->output_width * window->outputs;
    uint8_t *bytes = memory(count), *output = memory(output_count), *addend = memory(output_count);
    for (size_t index = 0; index < count; index++) bytes[index] = (uint8_t)(input[index] + kernels->offset);
    for (size_t index = 0; index < output_count; index++) addend[index] = (uint8_t)(input[index % count] + kernels->offset);
    void *padded = memory(kernels->padded_bytes(window));
    void *packed = memory(is_depthwise ? kernels->packed_depthwise_bytes(window) : kernels->packed_bytes(window));
    void *scratch = memory(is_depthwise ? kernels->depthwise_scratch(window) : 0);
    if (is_depthwise) {
        kernels->pack_depthwise(window, weight, rescaling, packed);
    } else {
        kernels->pack(window, weight, rescaling, packed);
    }
    int pads = is_depthwise || kernels->always_pads || window->top;
    for (int run = 0; run < runs; run++) {
        if (pads) kernels->pad(window, bytes, padded, 0, window->top + window->height + window->bottom);
        const void *source = pads ? padded : bytes;
        if (is_depthwise) {
            kernels->convolve_depthwise(window, source, packed, scratch, output, 0, window->output_height);
        } else {
            struct lcp_range panels = {0, kernels->panels(window)}, tiles = {0, kernels->tiles(window)};
            kernels->convolve(window, source, packed, sum, addend, output, panels, tiles);
        }
    }
    for (size_t index = 0; index < output_count; index++) output[index] = (uint8_t)(output[index] - kernels->offset);
    free(bytes);
    free(addend);
    free(padded);
    free(packed);
    free(scratch);
    return output;
}

static int check(void) {
    int failures = 0, compared = 0;
    for (int round = 0; round < 300; round++) {
        int is_depthwise = number(3) == 0;
        struct layer is = {.kernel = 1 + number(5), .stride = 1 + number(2), .groups = 1};
        is.padding = number((unsigned)is.kernel);
        is.height = is.kernel + number(12);
        is.width = is.kernel + number(20);
        is.channels = 1 + number(40);
        is.outputs = is_depthwise ? is.channels : 1 + number(40);
        if (!is_depthwise && number(4) == 0) {
            is.groups = 1 + number(3);
            is.channels *= is.groups;
            is.outputs *= is.groups;
        }
        struct lcp_integer_window window = integer_window(&is);
        window.input_zero = (int)number(256) - 128;
        window.output_zero = (int)number(256) - 128;
        window.minimum = number(2) ? -128 : (int)number(100) - 128;
        size_t length = is_depthwise ? 1 : is.channels / is.groups;
        size_t weights = is.outputs * length * is.kernel * is.kernel, inputs = is.height * is.width * is.channels;
        int8_t *weight = memory(weights), *input = memory(inputs);
        for (size_t index = 0; index < weights; index++) weight[index] = (int8_t)((int)number(255) - 127);
        for (size_t index = 0; index < inputs; index++) input[index] = (int8_t)((int)number(256) - 128);
        int32_t *bias = memory(4 * is.outputs);
        int16_t *multiplier = memory(2 * is.outputs);
        uint8_t *shift = memory(is.outputs);
        for (size_t output = 0; output < is.outputs; output++) {
            bias[output] = (int32_t)number(40000) - 20000;
            multiplier[output] = (int16_t)(16384 + number(16384));
            shift[output] = (uint8_t)number(9);
        }
        struct lcp_rescaling rescaling = {bias, multiplier, shift};
        struct lcp_integer_sum sum = {{3, -70}, {9000, 16384}, 14, 11, -128, 127};
        const struct lcp_integer_sum *added = !is_depthwise && number(2) ? &sum : 0;
        const struct lcp_integer_kernels *plain = lcp_integer_kernels_at(0);
        uint8_t *expected = run_integers(plain, &window, is_depthwise, input, weight, &rescaling, added, 1);
        size_t count = window.output_height * window.output_width * window.outputs;
        for (size_t kind = 1; kind < LCP_INTEGER_KERNELS_COUNT; kind++) {
            const struct lcp_integer_kernels *kernels = lcp_integer_kernels_at(kind);
            if (!kernels) continue;
            uint8_t *found = run_integers(kernels, &window, is_depthwise, input, weight, &rescaling, added, 1);
            compared++;
            if (memcmp(found, expected, count) != 0) {
                failures++;
                printf("%s differ: %s of %zu × %zu × %zu to %zu, kernel %zu, stride %zu, padding %zu, %zu groups%s\n",
                       kernels->name, is_depthwise ? "depthwise" : "convolution", is.height, is.width, is.channels,
                       is.outputs, is.kernel, is.stride, is.padding, is.groups, added ? ", with a sum" : "");
            }
            free(found);
        }
        free(expected);
        free(weight);
        free(input);
        free(bias);
        free(multiplier);
        free(shift);
    }
    printf("%d operations compared, %d differ\n", compared, failures);
    return failures > 0 || compared == 0;
}

static void run_floats(const struct layer *is, int is_depthwise, int runs) {
    struct lcp_integer_window shape = integer_window(is);
    struct lcp_window window = {
        .lanes = 4, .height = shape.height, .width = shape.width, .channels = shape.channels,
        .output_height = shape.output_height, .output_width = shape.output_width, .outputs = shape.outputs,
        .kernel_height = shape.kernel_height, .kernel_width = shape.kernel_width, .stride_down = shape.stride_down,
        .stride_across = shape.stride_across, .top = shape.top, .bottom = shape.bottom, .left = shape.left,
        .right = shape.right, .minimum = 0, .maximum = 1e9f,
    };
    size_t weights = is->outputs * (is_depthwise ? 1 : is->channels) * is->kernel * is->kernel;
    float *weight = memory(4 * weights), *bias = memory(4 * is->outputs);
    float *input = memory(4 * is->height * is->width * is->channels), *padded = memory(4 * lcp_padded_count(&window));
    float *output = memory(4 * window.output_height * window.output_width * window.outputs);
    float *packed = memory(4 * (is_depthwise ? lcp_packed_depthwise_count(&window) : lcp_packed_count(&window)));
    if (is_depthwise) {
        lcp_pack_depthwise(&window, weight, bias, packed);
    } else {
        lcp_pack(&window, weight, bias, packed);
    }
    for (int run = 0; run < runs; run++) {
        if (window.top) lcp_pad(&window, input, padded, 0, window.top + window.height + window.bottom);
        const float *source = window.top ? padded : input;
        if (is_depthwise) {
            lcp_convolve_depthwise(&window, source, packed, output, 0, window.output_height);
        } else {
            struct lcp_range panels = {0, lcp_panels(&window)}, tiles = {0, lcp_tiles(&window)};
            lcp_convolve(&window, source, packed, 0, output, panels, tiles);
        }
    }
    free(weight);
    free(bias);
    free(input);
    free(padded);
    free(output);
    free(packed);
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "check") == 0) return check();
    if (count != 3) return 2;
    int is_float = strcmp(arguments[1], "float") == 0, runs = atoi(arguments[2]);
    const struct lcp_integer_kernels *kernels = is_float ? 0 : lcp_integer_kernels_at((size_t)atoi(arguments[1]));
    if (!is_float && !kernels) return 3;
    struct layer is = {.groups = 1};
    while (scanf("%15s %zu %zu %zu %zu %zu %zu %zu", is.kind, &is.height, &is.width, &is.channels, &is.outputs, &is.kernel,
                 &is.stride, &is.padding) == 8) {
        int is_depthwise = strcmp(is.kind, "depthwise") == 0;
        struct layer flat = flattened(is);
        if (is_float) {
            run_floats(&flat, is_depthwise, runs);
            continue;
        }
        struct lcp_integer_window window = integer_window(&flat);
        size_t weights = flat.outputs * (is_depthwise ? 1 : flat.channels) * flat.kernel * flat.kernel;
        int8_t *weight = memory(weights), *input = memory(flat.height * flat.width * flat.channels);
        struct lcp_rescaling rescaling = {memory(4 * flat.outputs), memory(2 * flat.outputs), memory(flat.outputs)};
        free(run_integers(kernels, &window, is_depthwise, input, weight, &rescaling, 0, runs));
        free(weight);
        free(input);
        free((void *)rescaling.bias);
        free((void *)rescaling.multiplier);
        free((void *)rescaling.shift);
    }
    return 0;
}
