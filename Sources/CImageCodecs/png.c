#include "lcp_image_codecs.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lcp_png {
    png_structp reader;
    png_infop info;
    const uint8_t *bytes;
    size_t left;
    char reason[LCP_IMAGE_REASON];
    /* Of an interlaced image, which is read at once. */
    uint8_t *whole;
    bool is_interlaced;
    uint32_t height;
    uint32_t next;
};

static void fail(png_structp reader, png_const_charp text) {
    lcp_png *png = png_get_error_ptr(reader);
    snprintf(png->reason, sizeof png->reason, "%s", text);
    png_longjmp(reader, 1);
}

static void say_nothing(png_structp reader, png_const_charp text) {
    (void)reader;
    (void)text;
}

static void read_bytes(png_structp reader, png_bytep target, size_t count) {
    lcp_png *png = png_get_io_ptr(reader);
    if (count > png->left) png_error(reader, "it ends early");
    memcpy(target, png->bytes, count);
    png->bytes += count;
    png->left -= count;
}

lcp_png *lcp_png_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason) {
    lcp_png *png = calloc(1, sizeof *png);
    if (png) png->reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, png, fail, say_nothing);
    if (png && png->reader) png->info = png_create_info_struct(png->reader);
    if (!png || !png->info) {
        snprintf(reason, LCP_IMAGE_REASON, "there is no memory for it");
        if (png) lcp_png_close(png);
        return NULL;
    }
    if (setjmp(png_jmpbuf(png->reader))) {
        snprintf(reason, LCP_IMAGE_REASON, "%s", png->reason);
        lcp_png_close(png);
        return NULL;
    }
    png->bytes = bytes;
    png->left = count;
    png_set_read_fn(png->reader, png, read_bytes);
    /* Chunks that are skipped here cost no memory: texts, profiles and what else a stranger may add. */
    png_set_keep_unknown_chunks(png->reader, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(
        png->reader, PNG_HANDLE_CHUNK_NEVER,
        (png_const_bytep) "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt",
        18);
    png_read_info(png->reader, png->info);
    png_byte type = png_get_color_type(png->reader, png->info);
    bool has_transparency = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png->reader, png->info, PNG_INFO_tRNS);
    png_set_expand(png->reader);
    /* 0x8000 becomes 128: samples are no linear light, whatever their depth (PNG, third edition, 13.12). */
    png_set_scale_16(png->reader);
    png->is_interlaced = png_get_interlace_type(png->reader, png->info) != PNG_INTERLACE_NONE;
    if (png->is_interlaced) png_set_interlace_handling(png->reader);
    png_read_update_info(png->reader, png->info);
    header->width = png_get_image_width(png->reader, png->info);
    header->height = png->height = png_get_image_height(png->reader, png->info);
    header->channels = (type & PNG_COLOR_MASK_COLOR ? 3 : 1) + has_transparency;
    header->is_interlaced = png->is_interlaced;
    header->kept = png->is_interlaced ? png_get_rowbytes(png->reader, png->info) * png->height : 0;
    if (png_get_channels(png->reader, png->info) != header->channels) png_error(png->reader, "its colours are unknown");
    return png;
}

static bool read_whole(lcp_png *png) {
    size_t row = png_get_rowbytes(png->reader, png->info);
    png->whole = calloc(png->height, row);
    png_bytep *rows = malloc(png->height * sizeof *rows);
    if (!png->whole || !rows) {
        free(rows);
        snprintf(png->reason, sizeof png->reason, "there is no memory for it");
        return false;
    }
    for (uint32_t i = 0; i < png->height; i++) rows[i] = png->whole + i * row;
    /* Not volatile: it does not change between here and the jump. */
    if (setjmp(png_jmpbuf(png->reader))) {
        free(rows);
        return false;
    }
    png_read_image(png->reader, rows);
    free(rows);
    return true;
}

bool lcp_png_read(lcp_png *png, uint8_t *row) {
    if (png->is_interlaced) {
        if (!png->whole && !read_whole(png)) return false;
        size_t size = png_get_rowbytes(png->reader, png->info);
        memcpy(row, png->whole + png->next++ * size, size);
        return true;
    }
    if (setjmp(png_jmpbuf(png->reader))) return false;
    png_read_row(png->reader, row, NULL);
    return true;
}

const char *lcp_png_reason(const lcp_png *png) { return png->reason; }

void lcp_png_close(lcp_png *png) {
    png_destroy_read_struct(&png->reader, &png->info, NULL);
    free(png->whole);
    free(png);
}
