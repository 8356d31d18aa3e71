#ifndef BARE_MQTT_TENSOR_HEADER_H
#define BARE_MQTT_TENSOR_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What the yardstick needs of the tensor message: 128 bytes, little-endian.
enum {
    TENSOR_HEADER_BYTES = 128,
    TENSOR_KIND_INPUT = 0,
    TENSOR_KIND_PARTIAL_LOGITS = 2,
};

/// What every role copies from an input to what it makes of it.
struct frame_identity {
    uint64_t session;
    uint64_t frame;
    int64_t capture_time_ns;
    int32_t label;
};

bool tensor_header_is_present(const void *payload, size_t bytes);
struct frame_identity tensor_header_identity(const void *header);
unsigned tensor_header_branch(const void *header);

/// A UINT8 input of three dimensions. The checksum is left to `tensor_header_seal`.
void tensor_header_write_input(uint8_t *header, const uint32_t shape[3], size_t data_bytes);
/// A row of FP32 from one branch.
void tensor_header_write_features(uint8_t *header, unsigned branch, size_t data_bytes);
void tensor_header_set_identity(uint8_t *header, struct frame_identity identity);
/// Writes the header's CRC-32, the last thing to be done to it.
void tensor_header_seal(uint8_t *header);

/// zlib's CRC-32. Ours, to need no library for 128 bytes.
uint32_t crc32_of(const void *bytes, size_t count);
/// XXH64 with seed 0, by which a pipeline names the frame of a bare input.
uint64_t xxh64_of(const void *bytes, size_t count);

static inline uint64_t load_u64(const uint8_t *from) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | from[i];
    return value;
}

static inline uint32_t load_u32(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline void store(uint8_t *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++, value >>= 8) to[i] = (uint8_t)value;
}

#endif
