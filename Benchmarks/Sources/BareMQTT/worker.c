// A branch worker that computes nothing: an input in, features out, published from inside on_message.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "tensor_header.h"

struct worker {
    const struct options *options;
    char filter[256];
    size_t input_prefix;  // length of "lcp/NAME/input/"
    char topic[256];      // "lcp/NAME/features/K/", the sensor's name is appended
    size_t topic_prefix;
    uint8_t *message;
};

static void on_connect(struct mosquitto *client, void *context, int code) {
    struct worker *worker = context;
    if (connection_accepted(code)) mosquitto_subscribe(client, NULL, worker->filter, 0);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)context, (void)id;
    if (!subscription_granted(count, granted)) return;
    puts("ready");
    fflush(stdout);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *input) {
    struct worker *worker = context;
    size_t bytes = (size_t)input->payloadlen;
    struct frame_identity identity = {.label = -1};
    if (tensor_header_is_present(input->payload, bytes)) identity = tensor_header_identity(input->payload);
    else if (bytes >= 8) identity.frame = load_u64(input->payload);  // a pipeline hashes; here the client's counter will do
    else return;

    const char *sensor = input->topic + worker->input_prefix;
    size_t length = strlen(sensor);
    if (worker->topic_prefix + length >= sizeof worker->topic) return;
    memcpy(worker->topic + worker->topic_prefix, sensor, length + 1);
    tensor_header_set_identity(worker->message, identity);
    mosquitto_publish(client, NULL, worker->topic, (int)worker->options->bytes, worker->message, 0, false);
}

int worker_main(const struct options *options) {
    struct worker worker = {.options = options};
    snprintf(worker.filter, sizeof worker.filter, "$share/branch-%d/lcp/%s/input/+", options->branch, options->pipeline);
    worker.input_prefix = strlen("lcp//input/") + strlen(options->pipeline);
    worker.topic_prefix = (size_t)snprintf(worker.topic, sizeof worker.topic, "lcp/%s/features/%d/", options->pipeline,
                                           options->branch);
    worker.message = calloc(1, options->bytes);
    if (!worker.message) {
        report("no memory for features of %zu bytes", options->bytes);
        return 1;
    }
    tensor_header_write_features(worker.message, (unsigned)options->branch, options->bytes - TENSOR_HEADER_BYTES);

    struct mosquitto *client = connection_make(options, &worker);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    int code = role_run(client, options);
    free(worker.message);
    return code;
}
