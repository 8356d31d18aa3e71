/* The layers of a branch in eight bits by our kernels and by XNNPACK's, in turns on this processor.

     xnnpack 20 < FILE   the least time of so many rounds for each layer, in nanoseconds: ours, XNNPACK's

   The file is that of ../arm/kernels.c. XNNPACK gets each output's scale of a convolution, and one for all of a fully connected
   layer, which is what it has. */
#define main kernels_main
#include "../arm/kernels.c"
#undef main

#include <time.h>
#include <xnnpack.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static void expect(enum xnn_status status, const char *what) {
    if (status == xnn_status_success) return;
    fprintf(stderr, "XNNPACK cannot %s: status %d\n", what, status);
    exit(1);
}

int main(int count, char **arguments) {
    int rounds = count == 2 ? atoi(arguments[1]) : 0;
    if (rounds < 1) return 2;
    expect(xnn_initialize(0), "start");
    const struct lcp_integer_kernels *kernels = 0;
    for (size_t kind = 0; kind < LCP_INTEGER_KERNELS_COUNT; kind++) {
        if (lcp_integer_kernels_at(kind)) kernels = lcp_integer_kernels_at(kind);
    }
    fprintf(stderr, "%s\n", kernels->name);
    struct layer is = {.groups = 1};
    while (scanf("%15s %zu %zu %zu %zu %zu %zu %zu", is.kind, &is.height, &is.width, &is.channels, &is.outputs, &is.kernel,
                 &is.stride, &is.padding) == 8) {
        int is_depthwise = strcmp(is.kind, "depthwise") == 0, is_connected = strcmp(is.kind, "fc") == 0;
        struct layer flat = flattened(is);
        struct lcp_integer_window window = integer_window(&flat);
        size_t weights = flat.outputs * (is_depthwise ? 1 : flat.channels) * flat.kernel * flat.kernel;
        size_t inputs = flat.height * flat.width * flat.channels;
        int8_t *weight = memory(weights), *input = memory(inputs);
        for (size_t index = 0; index < weights; index++) weight[index] = (int8_t)((int)number(255) - 127);
        for (size_t index = 0; index < inputs; index++) input[index] = (int8_t)((int)number(256) - 128);
        int32_t *bias = memory(4 * flat.outputs);
        int16_t *multiplier = memory(2 * flat.outputs);
        uint8_t *shift = memory(flat.outputs);
        float *scale = memory(4 * flat.outputs);
        for (size_t output = 0; output < flat.outputs; output++) {
            multiplier[output] = 20000;
            shift[output] = 5;
            scale[output] = 0.001f;
        }
        struct lcp_rescaling rescaling = {bias, multiplier, shift};
        int8_t *made = memory(window.output_height * window.output_width * window.outputs);
        xnn_operator_t operator= 0;
        if (is_connected) {
            expect(xnn_create_fully_connected_nc_qs8(flat.channels, flat.outputs, flat.channels, flat.outputs, -128, 1, 0.001f,
                                                     weight, bias, -128, 1, -128, 127, 0, &operator), "make a fully connected layer");
            expect(xnn_setup_fully_connected_nc_qs8(operator, 1, input, made, 0), "ready a fully connected layer");
        } else {
            uint32_t padding = (uint32_t)flat.padding, kernel = (uint32_t)flat.kernel, stride = (uint32_t)flat.stride;
            expect(xnn_create_convolution2d_nhwc_qc8(
                       padding, padding, padding, padding, kernel, kernel, stride, stride, 1, 1,
                       is_depthwise ? (uint32_t)flat.channels : 1, is_depthwise ? 1 : flat.channels,
                       is_depthwise ? 1 : flat.outputs, flat.channels, flat.outputs, -128, 1, scale, weight, bias, -128, 1, -128,
                       127, is_depthwise ? XNN_FLAG_DEPTHWISE_CONVOLUTION : 0, &operator), "make a convolution");
            expect(xnn_setup_convolution2d_nhwc_qc8(operator, 1, flat.height, flat.width, input, made, 0),
                   "ready a convolution");
        }
        double best[2] = {1e18, 1e18};
        for (int round = 0; round < rounds; round++) {
            double times[2];
            for (int part = 0; part < 2; part++) {
                double start = now();
                free(run_integers(kernels, &window, is_depthwise, input, weight, &rescaling, 0, part == 0 ? 1 : 5));
                times[part] = now() - start;
            }
            double ours = (times[1] - times[0]) / 4;
            if (ours > 0 && ours < best[0]) best[0] = ours;
            expect(xnn_run_operator(operator, 0), "run");
            double start = now();
            for (int run = 0; run < 4; run++) expect(xnn_run_operator(operator, 0), "run");
            double theirs = (now() - start) / 4;
            if (theirs < best[1]) best[1] = theirs;
        }
        printf("%s %.0f %.0f\n", is.kind, best[0], best[1]);
        xnn_delete_operator(operator);
        free(weight);
        free(input);
        free(bias);
        free(multiplier);
        free(shift);
        free(scale);
        free(made);
    }
    return 0;
}
