#include "lcp_image_codecs.h"

void lcp_add_bytes(float *restrict sum, const uint8_t *restrict row, float weight, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] += weight * row[i];
}

void lcp_add_row(float *restrict sum, const float *restrict row, float weight, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] += weight * row[i];
}

void lcp_shorten_row(float *restrict target, const float *restrict row, const lcp_shortening *by, uint32_t channels) {
    const float *weight = by->weights;
    for (size_t i = 0; i < by->count; i++, weight += by->widest) {
        const float *source = row + (size_t)by->starts[i] * channels;
        size_t count = by->counts[i];
        if (channels == 3) {
            float red = 0, green = 0, blue = 0;
            for (size_t k = 0; k < count; k++) {
                red += weight[k] * source[3 * k];
                green += weight[k] * source[3 * k + 1];
                blue += weight[k] * source[3 * k + 2];
            }
            target[3 * i] = red;
            target[3 * i + 1] = green;
            target[3 * i + 2] = blue;
        } else {
            float sum = 0;
            for (size_t k = 0; k < count; k++) sum += weight[k] * source[k];
            target[i] = sum;
        }
    }
}

void lcp_round_row(uint8_t *restrict target, const float *restrict row, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = row[i] + 0.5f;
        target[i] = value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
    }
}
