#include "lcp_image_codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

struct lcp_jpeg {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    char reason[LCP_IMAGE_REASON];
    char warning[LCP_IMAGE_REASON];
    bool has_no_end;
};

static void fail(j_common_ptr common) {
    lcp_jpeg *jpeg = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    snprintf(jpeg->reason, sizeof jpeg->reason, "%s", text);
    longjmp(jpeg->failed, 1);
}

/* Of a warning pixels may be missing, but for these: data between two segments, no mark at the end, other versions of a header. */
static void warn(j_common_ptr common, int level) {
    if (level >= 0) return;
    switch (common->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JPEG_EOF:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR: {
        lcp_jpeg *jpeg = common->client_data;
        char text[JMSG_LENGTH_MAX];
        common->err->format_message(common, text);
        snprintf(jpeg->warning, sizeof jpeg->warning, "%s", text);
        if (common->err->msg_code == JWRN_JPEG_EOF) jpeg->has_no_end = true;
        return;
    }
    default: fail(common);
    }
}

static void say_nothing(j_common_ptr common) { (void)common; }

/* What several scans refine is kept until the last one. */
static size_t kept(struct jpeg_decompress_struct *decoder) {
    if (!jpeg_has_multiple_scans(decoder)) return 0;
    size_t blocks = 0;
    for (int i = 0; i < decoder->num_components; i++) {
        blocks += (size_t)decoder->comp_info[i].width_in_blocks * decoder->comp_info[i].height_in_blocks;
    }
    return blocks * sizeof(JBLOCK);
}

lcp_jpeg *lcp_jpeg_open(const uint8_t *bytes, size_t count, lcp_image_header *header, char *reason) {
    lcp_jpeg *jpeg = calloc(1, sizeof *jpeg);
    if (!jpeg) {
        snprintf(reason, LCP_IMAGE_REASON, "there is no memory for it");
        return NULL;
    }
    jpeg->decoder.err = jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = fail;
    jpeg->errors.emit_message = warn;
    jpeg->errors.output_message = say_nothing;
    jpeg->decoder.client_data = jpeg;
    if (setjmp(jpeg->failed)) {
        snprintf(reason, LCP_IMAGE_REASON, "%s", jpeg->reason);
        lcp_jpeg_close(jpeg);
        return NULL;
    }
    jpeg_create_decompress(&jpeg->decoder);
    jpeg_mem_src(&jpeg->decoder, bytes, count);
    jpeg_read_header(&jpeg->decoder, TRUE);
    header->width = jpeg->decoder.image_width;
    header->height = jpeg->decoder.image_height;
    header->channels = (uint32_t)jpeg->decoder.num_components;
    header->kept = kept(&jpeg->decoder);
    header->is_interlaced = jpeg->decoder.progressive_mode;
    return jpeg;
}

/* Whether a progressive image without an end may have lost whole scans: some coefficients were in none. */
static bool lacks_scans(const lcp_jpeg *jpeg) {
    const struct jpeg_decompress_struct *decoder = &jpeg->decoder;
    if (!jpeg->has_no_end || !decoder->progressive_mode || !decoder->coef_bits) return false;
    for (int component = 0; component < decoder->num_components; component++) {
        for (int place = 0; place < DCTSIZE2; place++) {
            if (decoder->coef_bits[component][place] < 0) return true;
        }
    }
    return false;
}

bool lcp_jpeg_start(lcp_jpeg *jpeg, uint32_t channels, uint32_t eighths, uint32_t *width, uint32_t *height) {
    if (setjmp(jpeg->failed)) return false;
    struct jpeg_decompress_struct *decoder = &jpeg->decoder;
    decoder->out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 4 ? JCS_CMYK : JCS_RGB;
    /* libjpeg makes grey of luma only. */
    bool has_luma = decoder->jpeg_color_space == JCS_GRAYSCALE || decoder->jpeg_color_space == JCS_YCbCr ||
                    decoder->jpeg_color_space == JCS_RGB;
    if (channels == 1 && !has_luma) {
        snprintf(jpeg->reason, sizeof jpeg->reason, "its colours have no brightness");
        return false;
    }
    decoder->scale_num = eighths;
    decoder->scale_denom = 8;
    jpeg_start_decompress(decoder);
    if (lacks_scans(jpeg)) {
        snprintf(jpeg->reason, sizeof jpeg->reason, "its last scans are missing");
        return false;
    }
    *width = decoder->output_width;
    *height = decoder->output_height;
    return true;
}

/* Reads to the end: what is wrong there takes no pixel away. */
static void finish(lcp_jpeg *jpeg) {
    if (setjmp(jpeg->failed)) {
        memcpy(jpeg->warning, jpeg->reason, sizeof jpeg->warning);
        return;
    }
    jpeg_finish_decompress(&jpeg->decoder);
}

bool lcp_jpeg_read(lcp_jpeg *jpeg, uint8_t *row) {
    if (setjmp(jpeg->failed)) return false;
    JSAMPROW rows[1] = {row};
    if (jpeg_read_scanlines(&jpeg->decoder, rows, 1) != 1) {
        snprintf(jpeg->reason, sizeof jpeg->reason, "rows are missing");
        return false;
    }
    if (jpeg->decoder.output_scanline == jpeg->decoder.output_height) finish(jpeg);
    return true;
}

const char *lcp_jpeg_reason(const lcp_jpeg *jpeg) { return jpeg->reason; }
const char *lcp_jpeg_warning(const lcp_jpeg *jpeg) { return jpeg->warning[0] ? jpeg->warning : NULL; }
bool lcp_jpeg_is_inverted(const lcp_jpeg *jpeg) { return jpeg->decoder.saw_Adobe_marker; }

void lcp_jpeg_close(lcp_jpeg *jpeg) {
    jpeg_destroy_decompress(&jpeg->decoder);
    free(jpeg);
}

struct encoding {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    char *reason;
    uint8_t *bytes;
    unsigned long count;
};

static void fail_encoding(j_common_ptr common) {
    struct encoding *encoding = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    snprintf(encoding->reason, LCP_IMAGE_REASON, "%s", text);
    longjmp(encoding->failed, 1);
}

uint8_t *lcp_jpeg_encode(const uint8_t *pixels, uint32_t height, uint32_t width, uint32_t channels, int quality, size_t *count,
                         char *reason) {
    struct encoding encoding = {.reason = reason};
    struct jpeg_compress_struct *encoder = &encoding.encoder;
    encoder->err = jpeg_std_error(&encoding.errors);
    encoding.errors.error_exit = fail_encoding;
    encoding.errors.output_message = say_nothing;
    encoder->client_data = &encoding;
    if (setjmp(encoding.failed)) {
        jpeg_destroy_compress(encoder);
        free(encoding.bytes);
        return NULL;
    }
    jpeg_create_compress(encoder);
    jpeg_mem_dest(encoder, &encoding.bytes, &encoding.count);
    encoder->image_width = width;
    encoder->image_height = height;
    encoder->input_components = (int)channels;
    encoder->in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(encoder);
    jpeg_set_quality(encoder, quality, TRUE);
    jpeg_start_compress(encoder, TRUE);
    while (encoder->next_scanline < height) {
        JSAMPROW rows[1] = {(JSAMPROW)(pixels + (size_t)encoder->next_scanline * width * channels)};
        jpeg_write_scanlines(encoder, rows, 1);
    }
    jpeg_finish_compress(encoder);
    jpeg_destroy_compress(encoder);
    *count = encoding.count;
    return encoding.bytes;
}
