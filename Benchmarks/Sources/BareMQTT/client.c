// The outside client: publishes inputs, takes predictions, and times each frame from the one to the other. It measures a
// pipeline of lcp and the bare one in the same way, so it has to add as little as it can: one thread, no
// `mosquitto_loop_start`. A publish outside a callback is then written to the socket before `mosquitto_publish` returns.

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>

#include "connection.h"
#include "tensor_header.h"

/// A frame under way.
struct flight {
    bool used;
    uint64_t name;     // the frame as a prediction says it: the counter, or the hash of a bare input
    uint64_t counter;  // what the bare C worker reads from a bare input
    int64_t sent_ns;
};

struct measurement {
    const struct options *options;
    char input_topic[256];
    char prediction_topic[256];
    uint8_t *message;
    size_t message_bytes;
    struct frame_identity identity;
    uint64_t *hashes;  // of every bare input, made before the clock starts

    bool subscribed;
    struct flight *flights;
    size_t under_way;
    size_t next;      // the next frame to publish
    bool measuring;   // false while warming up
    size_t answered;
    size_t lost;
    size_t unmatched;  // predictions of no frame under way: late, or not ours
    int64_t first_sent_ns;
    int64_t last_answer_ns;
    int64_t last_sign_ns;  // when anything came last, or the start
    int64_t *latencies_ns;
    size_t prediction_bytes;
};

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void on_connect(struct mosquitto *client, void *context, int code) {
    struct measurement *measurement = context;
    if (connection_accepted(code)) mosquitto_subscribe(client, NULL, measurement->prediction_topic, 0);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)id;
    struct measurement *measurement = context;
    measurement->subscribed = subscription_granted(count, granted);
}

/// The number in `"frame":"1234"`, blanks allowed around the colon.
static bool frame_of_prediction(const char *text, size_t length, uint64_t *frame) {
    static const char key[] = "\"frame\"";
    const char *end = text + length;
    const char *at = memmem(text, length, key, sizeof key - 1);
    if (!at) return false;
    at += sizeof key - 1;
    while (at < end && (*at == ' ' || *at == ':')) at++;
    if (at == end || *at++ != '"') return false;
    const char *first = at;
    uint64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) value = value * 10 + (uint64_t)(*at - '0');
    *frame = value;
    return at > first && at < end && *at == '"';
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *prediction) {
    int64_t now = now_ns();
    (void)client;
    struct measurement *measurement = context;
    measurement->last_sign_ns = now;
    measurement->prediction_bytes = (size_t)prediction->payloadlen;
    uint64_t frame = 0;
    if (!frame_of_prediction(prediction->payload, (size_t)prediction->payloadlen, &frame)) {
        measurement->unmatched++;
        return;
    }
    for (size_t i = 0; i < measurement->options->in_flight; i++) {
        struct flight *flight = &measurement->flights[i];
        if (!flight->used || (flight->name != frame && flight->counter != frame)) continue;
        flight->used = false;
        measurement->under_way--;
        if (measurement->measuring) {
            measurement->latencies_ns[measurement->answered++] = now - flight->sent_ns;
            measurement->last_answer_ns = now;
        }
        return;
    }
    measurement->unmatched++;
}

static void publish_next(struct mosquitto *client, struct measurement *measurement) {
    const struct options *options = measurement->options;
    size_t index = 0;
    while (measurement->flights[index].used) index++;
    struct flight *flight = &measurement->flights[index];
    uint64_t counter = measurement->next++;
    // From 1 on: a frame 0 would look like a payload that nobody filled in.
    *flight = (struct flight){.used = true, .name = counter + 1, .counter = counter + 1};
    measurement->under_way++;
    if (options->kind == INPUT_TENSOR) {
        struct timespec wall;
        clock_gettime(CLOCK_REALTIME, &wall);
        measurement->identity.frame = counter + 1;
        measurement->identity.capture_time_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec;
        tensor_header_set_identity(measurement->message, measurement->identity);
        tensor_header_seal(measurement->message);
    } else {
        store(measurement->message, counter + 1, 8);
        flight->name = measurement->hashes[counter];
    }
    flight->sent_ns = now_ns();
    if (measurement->measuring && !measurement->first_sent_ns) measurement->first_sent_ns = flight->sent_ns;
    int result = mosquitto_publish(client, NULL, measurement->input_topic, (int)measurement->message_bytes,
                                   measurement->message, 0, false);
    if (result != MOSQ_ERR_SUCCESS && stop_code() < 0) {
        report("cannot publish to %s: %s", measurement->input_topic, mosquitto_strerror(result));
        stop_request(1);
    }
}

/// Reads and writes what there is, waiting for it no longer than `timeout_ms`. Returns whether the process is to stop.
static bool turn(struct mosquitto *client, int timeout_ms) {
    short happened = 0;
    int fd = mosquitto_socket(client);
    if (stop_wait(fd, mosquitto_want_write(client) ? POLLIN | POLLOUT : POLLIN, &happened, timeout_ms)) return true;
    if (happened & POLLOUT) mosquitto_loop_write(client, 1);
    if (happened & (POLLIN | POLLHUP | POLLERR)) {
        // loop_read takes one packet a call, whatever it is told.
        int waiting = 0;
        do {
            if (mosquitto_loop_read(client, 1) != MOSQ_ERR_SUCCESS) break;
        } while (ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0);
    }
    return stop_code() >= 0;
}

/// Sends frames until `last` have been sent and none is under way. Returns false where that could not be finished.
static bool run_until(struct mosquitto *client, struct measurement *measurement, size_t last) {
    const struct options *options = measurement->options;
    int64_t timeout_ns = (int64_t)options->timeout_ms * 1000000;
    int64_t next_misc_ns = 0;
    measurement->last_sign_ns = now_ns();
    while (measurement->next < last || measurement->under_way) {
        while (measurement->under_way < options->in_flight && measurement->next < last && stop_code() < 0)
            publish_next(client, measurement);
        // Deadlines are looked at ten times a second, not at every frame.
        int patience = options->timeout_ms < 100 ? options->timeout_ms : 100;
        if (turn(client, patience)) return false;
        int64_t now = now_ns();
        if (now < next_misc_ns) continue;
        next_misc_ns = now + (int64_t)patience * 1000000;
        mosquitto_loop_misc(client);
        for (size_t i = 0; i < options->in_flight; i++) {
            struct flight *flight = &measurement->flights[i];
            if (!flight->used || now - flight->sent_ns < timeout_ns) continue;
            flight->used = false;
            measurement->under_way--;
            if (measurement->measuring) measurement->lost++;
        }
        if (now - measurement->last_sign_ns > (int64_t)options->give_up_s * 1000000000) {
            report("no prediction on %s for %d s: is the pipeline '%s' running, with every branch and an aggregator, and "
                   "does it take this input (%zu bytes, %s)?",
                   measurement->prediction_topic, options->give_up_s, options->pipeline, measurement->message_bytes,
                   options->kind == INPUT_TENSOR ? "a tensor message" : "bare");
            stop_request(1);
            return false;
        }
    }
    return true;
}

static int compare(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/// The value below which a share of the sorted latencies lies, in µs.
static double percentile(const struct measurement *measurement, double share) {
    if (!measurement->answered) return 0;
    size_t index = (size_t)(share * (double)(measurement->answered - 1) + 0.5);
    return (double)measurement->latencies_ns[index] / 1000;
}

static void print_result(struct measurement *measurement) {
    const struct options *options = measurement->options;
    qsort(measurement->latencies_ns, measurement->answered, sizeof *measurement->latencies_ns, compare);
    double sum = 0;
    for (size_t i = 0; i < measurement->answered; i++) sum += (double)measurement->latencies_ns[i];
    double seconds = (double)(measurement->last_answer_ns - measurement->first_sent_ns) / 1e9;
    printf("{\"frames\":%zu,\"lost\":%zu,\"unmatched\":%zu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
           "\"mean_us\":%.1f,\"frames_per_s\":%.1f,\"prediction_bytes\":%zu,\"input_bytes\":%zu,\"kind\":\"%s\","
           "\"in_flight\":%zu}\n",
           measurement->answered, measurement->lost, measurement->unmatched, percentile(measurement, 0.5),
           percentile(measurement, 0.9), percentile(measurement, 0.99),
           measurement->answered ? sum / 1000 / (double)measurement->answered : 0,
           measurement->answered && seconds > 0 ? (double)measurement->answered / seconds : 0,
           measurement->prediction_bytes, measurement->message_bytes, options->kind == INPUT_TENSOR ? "tensor" : "bare",
           options->in_flight);
    fflush(stdout);
}

/// Noise in every input, so that a network that runs has no zeros to be quick about.
static bool prepare_inputs(struct measurement *measurement) {
    const struct options *options = measurement->options;
    size_t header = options->kind == INPUT_TENSOR ? TENSOR_HEADER_BYTES : 0;
    size_t total = options->warmup + options->frames;
    measurement->message_bytes = header + options->input_bytes;
    measurement->message = malloc(measurement->message_bytes);
    measurement->flights = calloc(options->in_flight, sizeof *measurement->flights);
    measurement->latencies_ns = malloc(options->frames * sizeof *measurement->latencies_ns);
    measurement->hashes = options->kind == INPUT_BARE ? malloc(total * sizeof *measurement->hashes) : NULL;
    if (!measurement->message || !measurement->flights || !measurement->latencies_ns ||
        (options->kind == INPUT_BARE && !measurement->hashes))
        return false;
    uint64_t state = 1;
    for (size_t i = header; i < measurement->message_bytes; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        measurement->message[i] = (uint8_t)(state >> 56);
    }
    if (options->kind == INPUT_TENSOR) {
        tensor_header_write_input(measurement->message, options->shape, options->input_bytes);
        measurement->identity.label = -1;
        if (getrandom(&measurement->identity.session, sizeof measurement->identity.session, 0) < 0)
            measurement->identity.session = (uint64_t)now_ns();
    }
    for (size_t i = 0; measurement->hashes && i < total; i++) {
        store(measurement->message, i + 1, 8);
        measurement->hashes[i] = xxh64_of(measurement->message, measurement->message_bytes);
    }
    return true;
}

int client_main(const struct options *options) {
    struct measurement measurement = {.options = options};
    snprintf(measurement.input_topic, sizeof measurement.input_topic, "lcp/%s/input/%s", options->pipeline,
             options->sensor);
    snprintf(measurement.prediction_topic, sizeof measurement.prediction_topic, "lcp/%s/prediction/%s",
             options->pipeline, options->sensor);
    if (!prepare_inputs(&measurement)) {
        report("no memory for %zu frames of %zu bytes", options->frames, options->input_bytes);
        return 1;
    }
    struct mosquitto *client = connection_make(options, &measurement);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    connection_open(client, options);

    int64_t deadline = now_ns() + (int64_t)options->give_up_s * 1000000000;
    bool stop = false;
    while (!stop && !measurement.subscribed) {
        stop = turn(client, 100);
        mosquitto_loop_misc(client);
        if (!stop && !measurement.subscribed && now_ns() > deadline) {
            report("the broker did not acknowledge the subscription within %d s", options->give_up_s);
            stop_request(1);
            stop = true;
        }
    }
    bool finished = !stop && run_until(client, &measurement, options->warmup);
    if (finished) {
        measurement.measuring = true;
        measurement.unmatched = 0;
        finished = run_until(client, &measurement, options->warmup + options->frames);
        // What never came to be answered is lost, also where the run was cut short.
        if (!finished) measurement.lost += measurement.under_way;
        print_result(&measurement);
    }
    if (measurement.unmatched && !measurement.answered)
        report("%zu predictions came, but none of a frame that was sent: they need \"frame\":\"NUMBER\"",
               measurement.unmatched);
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    free(measurement.message);
    free(measurement.flights);
    free(measurement.latencies_ns);
    free(measurement.hashes);
    // Cut short by a signal is no success for whoever wanted a measurement.
    return finished ? 0 : stop_code() > 0 ? stop_code() : 130;
}
