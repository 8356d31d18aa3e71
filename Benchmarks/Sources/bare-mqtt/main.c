// The pipeline's message pattern in bare C on libmosquitto: what any overhead is measured against.
//
//   bare-mqtt worker     HOST PORT ROOT BRANCH BYTES    answers every input with BYTES bytes
//   bare-mqtt aggregator HOST PORT ROOT BRANCHES BYTES  answers every frame with BYTES bytes once all branches came
//   bare-mqtt client     HOST PORT ROOT FRAMES WINDOW BYTES KIND HEIGHT WIDTH CHANNELS
//
// Workers and aggregator are written the way most programs are: mosquitto_loop_start, and the answer published in the message
// callback, with TCP_NODELAY. They compute nothing and check nothing. The client is the same for bare C and for lcp: it keeps
// WINDOW frames in flight (KIND `tensor`: tensor messages, `bare`: raw bytes) and prints the median time from publish to
// prediction in microseconds and the frames per second.

#include <inttypes.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MAXIMUM_PAYLOAD = 1 << 20, SLOTS = 4096 };

static char root[200];
static int branch, branches, answer_size;
static uint8_t answer[MAXIMUM_PAYLOAD];
static uint64_t slot_frame[SLOTS];
static int slot_count[SLOTS];

static void fail(const char *what, int result) {
    fprintf(stderr, "bare-mqtt: %s: %s\n", what, mosquitto_strerror(result));
    exit(1);
}

// A frame's number: in a tensor message's header, or the first bytes of a bare input.
static uint64_t frame_of(const struct mosquitto_message *message) {
    uint64_t frame = 0;
    const uint8_t *bytes = message->payload;
    int offset = message->payloadlen >= 128 && !memcmp(bytes, "LCPT", 4) ? 32 : 0;
    if (message->payloadlen >= offset + 8) memcpy(&frame, bytes + offset, 8);
    return frame;
}

static void answer_input(struct mosquitto *client, void *unused, const struct mosquitto_message *message) {
    (void)unused;
    char topic[300];
    uint64_t frame = frame_of(message);
    const char *sensor = strrchr(message->topic, '/') + 1;
    snprintf(topic, sizeof topic, "%s/features/%d/%s", root, branch, sensor);
    memcpy(answer, "LCPT", 4);
    memcpy(answer + 32, &frame, 8);
    mosquitto_publish(client, NULL, topic, answer_size, answer, 0, false);
}

static void join_features(struct mosquitto *client, void *unused, const struct mosquitto_message *message) {
    (void)unused;
    uint64_t frame = frame_of(message);
    int slot = (int)(frame % SLOTS);
    if (slot_frame[slot] != frame || !slot_count[slot]) {
        slot_frame[slot] = frame;
        slot_count[slot] = 0;
    }
    if (++slot_count[slot] < branches) return;
    slot_count[slot] = 0;
    char topic[300];
    snprintf(topic, sizeof topic, "%s/prediction/%s", root, strrchr(message->topic, '/') + 1);
    mosquitto_publish(client, NULL, topic, answer_size, answer, 0, false);
}

static void announce(struct mosquitto *client, void *unused, int mid, int count, const int *granted) {
    (void)client, (void)unused, (void)mid, (void)count, (void)granted;
    puts("ready");
    fflush(stdout);
}

static struct mosquitto *connect_to(const char *host, const char *port) {
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, NULL);
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    int result = mosquitto_connect_bind_v5(client, host, atoi(port), 60, NULL, NULL);
    if (result) fail("connect", result);
    return client;
}

static int serve(const char *host, const char *port, const char *filter,
                 void (*callback)(struct mosquitto *, void *, const struct mosquitto_message *)) {
    struct mosquitto *client = connect_to(host, port);
    mosquitto_message_callback_set(client, callback);
    mosquitto_subscribe_callback_set(client, announce);
    mosquitto_subscribe(client, NULL, filter, 0);
    int result = mosquitto_loop_start(client);
    if (result) fail("loop", result);
    // Standard input is a pipe from whoever started this; its end is the end.
    char byte;
    while (read(0, &byte, 1) > 0) {}
    return 0;
}

// The client.

static uint64_t sent_at[SLOTS], *latencies;
static uint64_t frames, window, sent, received, oldest;
static int size, is_tensor;
static uint8_t *payload;
static char input_topic[300];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t crc32_of(const uint8_t *bytes, int count) {
    uint32_t crc = ~0u;
    for (int index = 0; index < count; index++) {
        crc ^= bytes[index];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void send_frame(struct mosquitto *client) {
    uint64_t frame = sent;
    if (is_tensor) {
        memcpy(payload + 32, &frame, 8);
        memset(payload + 12, 0, 4);
        uint32_t crc = crc32_of(payload, 128);
        memcpy(payload + 12, &crc, 4);
    } else {
        memcpy(payload, &frame, 8);
    }
    sent_at[sent % SLOTS] = now();
    sent++;
    int result = mosquitto_publish(client, NULL, input_topic, size, payload, 0, false);
    if (result) fail("publish", result);
}

static void take_prediction(struct mosquitto *client, void *unused, const struct mosquitto_message *message) {
    (void)client, (void)unused, (void)message;
    // With several frames in flight a prediction is taken for the oldest: the sum of latencies is the same.
    latencies[received] = now() - sent_at[oldest % SLOTS];
    oldest++;
    received++;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static int measure(char **argv) {
    frames = strtoull(argv[0], NULL, 10);
    window = strtoull(argv[1], NULL, 10);
    int data = atoi(argv[2]);
    is_tensor = !strcmp(argv[3], "tensor");
    size = data + (is_tensor ? 128 : 0);
    payload = calloc(1, (size_t)size);
    latencies = calloc(frames, sizeof *latencies);
    for (int index = is_tensor ? 128 : 0; index < size; index++) payload[index] = (uint8_t)(index * 31);
    if (is_tensor) {
        uint16_t header_length = 128;
        uint64_t bytes = (uint64_t)data, session = (uint64_t)getpid() << 32 | (now() & 0xFFFFFFFF);
        uint32_t dimensions[3] = {(uint32_t)atoi(argv[4]), (uint32_t)atoi(argv[5]), (uint32_t)atoi(argv[6])};
        int32_t label = -1;
        memcpy(payload, "LCPT\1\0\2\3", 8);
        memcpy(payload + 8, &header_length, 2);
        memcpy(payload + 16, &bytes, 8);
        memcpy(payload + 24, &session, 8);
        memcpy(payload + 80, dimensions, 12);
        memcpy(payload + 112, &label, 4);
    }
    struct mosquitto *client = connect_to(argv[7], argv[8]);
    char filter[300];
    snprintf(input_topic, sizeof input_topic, "%s/input/bench", root);
    snprintf(filter, sizeof filter, "%s/prediction/bench", root);
    mosquitto_message_callback_set(client, take_prediction);
    mosquitto_subscribe(client, NULL, filter, 0);
    uint64_t start = 0, warmup = frames / 10 + 1, last = now();
    int subscribed = 0, spare = 20;
    while (received < frames) {
        struct pollfd descriptor = {mosquitto_socket(client), (short)(POLLIN | (mosquitto_want_write(client) ? POLLOUT : 0)), 0};
        int ready = poll(&descriptor, 1, subscribed ? 1000 : 10);
        if (ready > 0 && descriptor.revents & POLLOUT) mosquitto_loop_write(client, 1);
        if (ready > 0 && descriptor.revents & ~POLLOUT) {
            int available = 0;
            do {
                uint64_t before = received;
                int result = mosquitto_loop_read(client, 1);
                if (result) fail("read", result);
                if (received != before) last = now();
            } while (!ioctl(mosquitto_socket(client), FIONREAD, &available) && available > 0);
        }
        mosquitto_loop_misc(client);
        // CONNACK and SUBACK come in the first moments; what follows waits for nothing but predictions.
        if (!subscribed && (ready == 0) && --spare == 0) subscribed = 1;
        if (!subscribed) {
            last = now();
            continue;
        }
        if (!start && received >= warmup) start = now();
        while (sent < frames && sent - received < window) send_frame(client);
        if (now() - last > 10000000000ull) {
            fprintf(stderr, "bare-mqtt: no prediction for 10 s, %" PRIu64 " of %" PRIu64 " frames answered\n", received, frames);
            return 1;
        }
    }
    double seconds = (double)(now() - start) / 1e9;
    qsort(latencies + warmup, frames - warmup, sizeof *latencies, compare);
    printf("{\"latency_p50_us\":%.2f,\"frames_per_s\":%.1f}\n", (double)latencies[warmup + (frames - warmup) / 2] / 1e3,
           (double)(frames - warmup) / seconds);
    mosquitto_disconnect(client);
    return 0;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    char filter[300];
    if (argc == 7 && (!strcmp(argv[1], "worker") || !strcmp(argv[1], "aggregator"))) {
        snprintf(root, sizeof root, "%s", argv[4]);
        branch = branches = atoi(argv[5]);
        answer_size = atoi(argv[6]);
        if (answer_size < 128 || answer_size > MAXIMUM_PAYLOAD) return 2;
        if (argv[1][0] == 'w') {
            snprintf(filter, sizeof filter, "$share/branch-%d/%s/input/+", branch, root);
            return serve(argv[2], argv[3], filter, answer_input);
        }
        snprintf(filter, sizeof filter, "%s/features/+/+", root);
        return serve(argv[2], argv[3], filter, join_features);
    }
    if (argc == 12 && !strcmp(argv[1], "client")) {
        snprintf(root, sizeof root, "%s", argv[4]);
        char *arguments[] = {argv[5], argv[6], argv[7], argv[8], argv[9], argv[10], argv[11], argv[2], argv[3]};
        return measure(arguments);
    }
    fprintf(stderr, "usage: see the head of Benchmarks/Sources/bare-mqtt/main.c\n");
    return 2;
}
