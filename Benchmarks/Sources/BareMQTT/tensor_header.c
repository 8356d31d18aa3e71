#include "tensor_header.h"

#include <string.h>

enum { DTYPE_UINT8 = 2, DTYPE_FP32 = 11 };

enum {
    AT_VERSION = 4, AT_KIND = 5, AT_DTYPE = 6, AT_RANK = 7, AT_HEADER_LENGTH = 8, AT_CHECKSUM = 12, AT_DATA_BYTES = 16,
    AT_SESSION = 24, AT_FRAME = 32, AT_CAPTURE_TIME = 40, AT_BRANCH = 48, AT_BRANCH_COUNT = 50, AT_DIMENSIONS = 80,
    AT_LABEL = 112
};

bool tensor_header_is_present(const void *payload, size_t bytes) {
    return bytes >= TENSOR_HEADER_BYTES && memcmp(payload, "LCPT", 4) == 0;
}

struct frame_identity tensor_header_identity(const void *header) {
    const uint8_t *bytes = header;
    return (struct frame_identity){
        .session = load_u64(bytes + AT_SESSION),
        .frame = load_u64(bytes + AT_FRAME),
        .capture_time_ns = (int64_t)load_u64(bytes + AT_CAPTURE_TIME),
        .label = (int32_t)load_u32(bytes + AT_LABEL),
    };
}

unsigned tensor_header_branch(const void *header) {
    const uint8_t *bytes = header;
    return bytes[AT_BRANCH] | (unsigned)bytes[AT_BRANCH + 1] << 8;
}

static void write_common(uint8_t *header, int kind, int dtype, int rank, size_t data_bytes) {
    memset(header, 0, TENSOR_HEADER_BYTES);
    memcpy(header, "LCPT", 4);
    header[AT_VERSION] = 1;
    header[AT_KIND] = (uint8_t)kind;
    header[AT_DTYPE] = (uint8_t)dtype;
    header[AT_RANK] = (uint8_t)rank;
    store(header + AT_HEADER_LENGTH, TENSOR_HEADER_BYTES, 2);
    store(header + AT_DATA_BYTES, data_bytes, 8);
}

void tensor_header_write_input(uint8_t *header, const uint32_t shape[3], size_t data_bytes) {
    write_common(header, TENSOR_KIND_INPUT, DTYPE_UINT8, 3, data_bytes);
    for (int i = 0; i < 3; i++) store(header + AT_DIMENSIONS + 4 * i, shape[i], 4);
}

void tensor_header_write_features(uint8_t *header, unsigned branch, size_t data_bytes) {
    write_common(header, TENSOR_KIND_PARTIAL_LOGITS, DTYPE_FP32, 1, data_bytes);
    store(header + AT_BRANCH, branch, 2);
    store(header + AT_BRANCH_COUNT, branch + 1, 2);
    store(header + AT_DIMENSIONS, data_bytes / 4, 4);
}

void tensor_header_set_identity(uint8_t *header, struct frame_identity identity) {
    store(header + AT_SESSION, identity.session, 8);
    store(header + AT_FRAME, identity.frame, 8);
    store(header + AT_CAPTURE_TIME, (uint64_t)identity.capture_time_ns, 8);
    store(header + AT_LABEL, (uint32_t)identity.label, 4);
}

void tensor_header_seal(uint8_t *header) {
    store(header + AT_CHECKSUM, 0, 4);
    store(header + AT_CHECKSUM, crc32_of(header, TENSOR_HEADER_BYTES), 4);
}

uint32_t crc32_of(const void *bytes, size_t count) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? UINT32_C(0xEDB88320) : 0);
            table[i] = value;
        }
    const uint8_t *byte = bytes;
    uint32_t crc = UINT32_MAX;
    for (; count; count--) crc = crc >> 8 ^ table[(crc ^ *byte++) & 0xFF];
    return ~crc;
}

static uint64_t rotate(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

static const uint64_t prime1 = UINT64_C(0x9E3779B185EBCA87), prime2 = UINT64_C(0xC2B2AE3D27D4EB4F),
                      prime3 = UINT64_C(0x165667B19E3779F9), prime4 = UINT64_C(0x85EBCA77C2B2AE63),
                      prime5 = UINT64_C(0x27D4EB2F165667C5);

static uint64_t xxh_round(uint64_t lane, uint64_t input) { return rotate(lane + input * prime2, 31) * prime1; }

uint64_t xxh64_of(const void *bytes, size_t count) {
    const uint8_t *at = bytes, *end = at + count;
    uint64_t hash = prime5;
    if (count >= 32) {
        uint64_t lanes[4] = {prime1 + prime2, prime2, 0, 0 - prime1};
        for (; end - at >= 32; at += 32)
            for (int i = 0; i < 4; i++) lanes[i] = xxh_round(lanes[i], load_u64(at + 8 * i));
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
        for (int i = 0; i < 4; i++) hash = (hash ^ xxh_round(0, lanes[i])) * prime1 + prime4;
    }
    hash += count;
    for (; end - at >= 8; at += 8) hash = rotate(hash ^ xxh_round(0, load_u64(at)), 27) * prime1 + prime4;
    if (end - at >= 4) {
        hash = rotate(hash ^ load_u32(at) * prime1, 23) * prime2 + prime3;
        at += 4;
    }
    for (; at < end; at++) hash = rotate(hash ^ *at * prime5, 11) * prime1;
    hash = (hash ^ hash >> 33) * prime2;
    hash = (hash ^ hash >> 29) * prime3;
    return hash ^ hash >> 32;
}
