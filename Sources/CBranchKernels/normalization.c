#include "lcp_branch_kernels.h"

#include <math.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(16), aligned(4)));
enum { width = 4 };

size_t lcp_normalization_scratch(size_t channels, size_t size) { return channels + size + width; }

static lanes inverse_power(lanes base, float beta) {
    if (beta == 0.75f) {
        lanes root = __builtin_elementwise_sqrt(base);
        return 1.0f / (root * __builtin_elementwise_sqrt(root));
    }
    if (beta == 0.5f) return 1.0f / __builtin_elementwise_sqrt(base);
    if (beta == 1.0f) return 1.0f / base;
    for (int lane = 0; lane < width; lane++) base[lane] = powf(base[lane], -beta);
    return base;
}

void lcp_normalize_responses(const float *input, float *output, size_t pixels, size_t channels, size_t size, float factor,
                             float beta, float k, float *scratch) {
    float *squares = scratch + size / 2;
    for (size_t pixel = 0; pixel < pixels; pixel++, input += channels, output += channels) {
        for (size_t channel = 0; channel < channels; channel++) squares[channel] = input[channel] * input[channel];
        for (size_t channel = 0; channel < channels; channel += width) {
            lanes sum = {0};
            for (size_t neighbour = 0; neighbour < size; neighbour++) {
                sum += *(const lanes *)(scratch + channel + neighbour);
            }
            lanes scale = inverse_power(k + factor * sum, beta);
            size_t count = channels - channel < width ? channels - channel : width;
            if (count == width) {
                *(lanes *)(output + channel) = *(const lanes *)(input + channel) * scale;
            } else {
                for (size_t lane = 0; lane < count; lane++) output[channel + lane] = input[channel + lane] * scale[lane];
            }
        }
    }
}
