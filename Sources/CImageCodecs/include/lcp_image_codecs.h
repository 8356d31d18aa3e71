#pragma once

/* JPEG, PNG and WebP row by row: what libjpeg and libpng do by setjmp stays on this side. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest reason, with its end. */
#define LCP_IMAGE_REASON 256

typedef struct {
    uint32_t width;
    uint32_t height;
    /* JPEG: 1 grey, 3 colour, 4 printing inks. PNG: 1 or 3, and one more where there is transparency. */
    uint32_t channels;
    /* Bytes that the decoder keeps until the whole image is read: of several scans, of an interlaced image. */
    size_t kept;
    /* A progressive JPEG, an interlaced PNG. */
    bool is_interlaced;
} lcp_image_header;

typedef struct lcp_jpeg lcp_jpeg;

/* Reads a header; the bytes have to stay where they are. NULL, and the reason, where that is not possible. */
lcp_jpeg *lcp_jpeg_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason);
/* Begins with the rows, of 1 channel (grey, Rec. 601), 3 or 4 (inks as they are), at so many eighths of the size, rounded up. */
bool lcp_jpeg_start(lcp_jpeg *jpeg, uint32_t channels, uint32_t eighths, uint32_t *width, uint32_t *height);
/* The next row. */
bool lcp_jpeg_read(lcp_jpeg *jpeg, uint8_t *row);
/* Why the last call failed. */
const char *lcp_jpeg_reason(const lcp_jpeg *jpeg);
/* What was odd about the file, though every row is there: the last such, or NULL. */
const char *lcp_jpeg_warning(const lcp_jpeg *jpeg);
/* Whether the inks are stored inverted, as Adobe's programs do. */
bool lcp_jpeg_is_inverted(const lcp_jpeg *jpeg);
void lcp_jpeg_close(lcp_jpeg *jpeg);

/* A JPEG of 1 or 3 channels, colours at half the resolution (4:2:0): its bytes, for free(). NULL, and the reason, where that is not
   possible. */
uint8_t *lcp_jpeg_encode(const uint8_t *pixels, uint32_t height, uint32_t width, uint32_t channels, int quality, size_t *count,
                         char *reason);

typedef struct lcp_png lcp_png;

lcp_png *lcp_png_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason);
bool lcp_png_read(lcp_png *png, uint8_t *row);
const char *lcp_png_reason(const lcp_png *png);
void lcp_png_close(lcp_png *png);

typedef struct lcp_webp lcp_webp;

/* is_interlaced tells that it is lossless. */
lcp_webp *lcp_webp_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason);
/* Decodes all of it at a size; false where it is damaged, or there is no memory. */
bool lcp_webp_start(lcp_webp *webp, uint32_t width, uint32_t height);
/* The next row, of which there are as many as that size has. */
void lcp_webp_read(lcp_webp *webp, uint8_t *row);
void lcp_webp_close(lcp_webp *webp);

/* How a row becomes shorter, or longer: each of `count` pixels is the sum of some that lie side by side. */
typedef struct {
    size_t count;
    /* The first pixel of each, and how many there are. */
    const uint32_t *starts;
    const uint32_t *counts;
    /* [count, widest] */
    const float *weights;
    size_t widest;
} lcp_shortening;

/* Adds a row times a weight. */
void lcp_add_bytes(float *sum, const uint8_t *row, float weight, size_t count);
void lcp_add_row(float *sum, const float *row, float weight, size_t count);
/* 1 or 3 channels. */
void lcp_shorten_row(float *target, const float *row, const lcp_shortening *by, uint32_t channels);
/* To the nearest whole number, 0 to 255. */
void lcp_round_row(uint8_t *target, const float *row, size_t count);
