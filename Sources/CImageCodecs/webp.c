#include "lcp_image_codecs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

struct lcp_webp {
    WebPDecoderConfig config;
    const uint8_t *bytes;
    size_t count;
    int next;
};

lcp_webp *lcp_webp_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason) {
    lcp_webp *webp = calloc(1, sizeof *webp);
    if (!webp || !WebPInitDecoderConfig(&webp->config)) {
        snprintf(reason, LCP_IMAGE_REASON, "there is no memory for it");
        free(webp);
        return NULL;
    }
    webp->bytes = bytes;
    webp->count = count;
    const char *problem = NULL;
    if (WebPGetFeatures(bytes, count, &webp->config.input) != VP8_STATUS_OK) {
        problem = "its header is unknown";
    } else if (webp->config.input.has_animation) {
        problem = "it is an animation; save the frame that is wanted as a picture";
    }
    if (problem) {
        snprintf(reason, LCP_IMAGE_REASON, "%s", problem);
        free(webp);
        return NULL;
    }
    const WebPBitstreamFeatures *input = &webp->config.input;
    header->width = (uint32_t)input->width;
    header->height = (uint32_t)input->height;
    header->channels = input->has_alpha ? 4 : 3;
    /* Lossless ones are unpacked whole, whatever is made of them. */
    header->is_interlaced = input->format != 1;
    header->kept = header->is_interlaced ? (size_t)header->width * header->height * 4 : 0;
    return webp;
}

bool lcp_webp_start(lcp_webp *webp, uint32_t width, uint32_t height) {
    webp->config.options.use_scaling = 1;
    webp->config.options.scaled_width = (int)width;
    webp->config.options.scaled_height = (int)height;
    if (width == (uint32_t)webp->config.input.width && height == (uint32_t)webp->config.input.height) {
        webp->config.options.use_scaling = 0;
    }
    webp->config.output.colorspace = webp->config.input.has_alpha ? MODE_RGBA : MODE_RGB;
    return WebPDecode(webp->bytes, webp->count, &webp->config) == VP8_STATUS_OK;
}

void lcp_webp_read(lcp_webp *webp, uint8_t *row) {
    const WebPRGBABuffer *pixels = &webp->config.output.u.RGBA;
    size_t channels = webp->config.input.has_alpha ? 4 : 3;
    memcpy(row, pixels->rgba + (size_t)webp->next++ * (size_t)pixels->stride, (size_t)webp->config.output.width * channels);
}

void lcp_webp_close(lcp_webp *webp) {
    WebPFreeDecBuffer(&webp->config.output);
    free(webp);
}
