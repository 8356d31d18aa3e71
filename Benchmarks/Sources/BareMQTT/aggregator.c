// Counts the branches of every frame and publishes a text of a prediction's size once all are there.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "tensor_header.h"

/// Frames under way. A slot is chosen by the frame's number, so that the frames of one sensor never meet in one; whoever
/// comes to a taken slot takes it over, which bounds the table.
enum { SLOTS = 4096 };

struct slot {
    uint64_t sensor;
    uint64_t session;
    uint64_t frame;
    uint64_t branches;  // a bit for each that came
};

struct aggregator {
    const struct options *options;
    char filter[256];
    char topic[256];  // "lcp/NAME/prediction/", the sensor's name is appended
    size_t topic_prefix;
    uint64_t all_branches;
    struct slot slots[SLOTS];
    char *message;
};

static void on_connect(struct mosquitto *client, void *context, int code) {
    struct aggregator *aggregator = context;
    if (connection_accepted(code)) mosquitto_subscribe(client, NULL, aggregator->filter, 0);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)context, (void)id;
    if (!subscription_granted(count, granted)) return;
    puts("ready");
    fflush(stdout);
}

static uint64_t fnv1a(const char *text) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *text; text++) hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001B3);
    return hash;
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *features) {
    struct aggregator *aggregator = context;
    const char *sensor = strrchr(features->topic, '/');
    if (!sensor || !tensor_header_is_present(features->payload, (size_t)features->payloadlen)) return;
    sensor++;
    struct frame_identity identity = tensor_header_identity(features->payload);
    unsigned branch = tensor_header_branch(features->payload);
    if (branch >= (unsigned)aggregator->options->branches) return;

    uint64_t sensor_hash = fnv1a(sensor);
    struct slot *slot = &aggregator->slots[(identity.frame ^ sensor_hash ^ identity.session) % SLOTS];
    if (!slot->branches || slot->frame != identity.frame || slot->session != identity.session ||
        slot->sensor != sensor_hash)
        *slot = (struct slot){.sensor = sensor_hash, .session = identity.session, .frame = identity.frame};
    slot->branches |= UINT64_C(1) << branch;
    if (slot->branches != aggregator->all_branches) return;
    slot->branches = 0;

    size_t length = strlen(sensor);
    if (aggregator->topic_prefix + length >= sizeof aggregator->topic) return;
    memcpy(aggregator->topic + aggregator->topic_prefix, sensor, length + 1);
    // The number has always the same width: what follows it was written once, but for the byte that snprintf ends with.
    int used = snprintf(aggregator->message, 96, "{\"frame\":\"%020" PRIu64 "\",\"pad\":\"", identity.frame);
    aggregator->message[used] = '.';
    mosquitto_publish(client, NULL, aggregator->topic, (int)aggregator->options->bytes, aggregator->message, 0, false);
}

int aggregator_main(const struct options *options) {
    struct aggregator *aggregator = calloc(1, sizeof *aggregator);
    char *message = malloc(options->bytes);
    if (!aggregator || !message) {
        report("no memory for the table of frames");
        return 1;
    }
    aggregator->options = options;
    aggregator->message = message;
    memset(message, '.', options->bytes);
    memcpy(message + options->bytes - 2, "\"}", 2);
    aggregator->all_branches = options->branches == 64 ? UINT64_MAX : (UINT64_C(1) << options->branches) - 1;
    snprintf(aggregator->filter, sizeof aggregator->filter, "lcp/%s/features/+/+", options->pipeline);
    aggregator->topic_prefix = (size_t)snprintf(aggregator->topic, sizeof aggregator->topic, "lcp/%s/prediction/",
                                                options->pipeline);

    struct mosquitto *client = connection_make(options, aggregator);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    int code = role_run(client, options);
    free(message);
    free(aggregator);
    return code;
}
