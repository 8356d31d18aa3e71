// Waits until so many roles have said, in their retained status, that they are ready.

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connection.h"

enum { MOST_TOPICS = 4096 };

struct waiting {
    const struct options *options;
    struct {
        char *topic;
        bool ready;
    } statuses[MOST_TOPICS];
    size_t known;
    size_t ready;
};

static void on_connect(struct mosquitto *client, void *context, int code) {
    struct waiting *waiting = context;
    if (connection_accepted(code)) mosquitto_subscribe(client, NULL, waiting->options->topic_filter, 0);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)context, (void)id;
    subscription_granted(count, granted);
}

/// Whether the text holds "state":"ready", with or without blanks around the colon.
static bool says_ready(const char *text, size_t length) {
    static const char key[] = "\"state\"", value[] = "\"ready\"";
    const char *end = text + length;
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), key, sizeof key - 1));) {
        at += sizeof key - 1;
        const char *after = at;
        while (after < end && strchr(" \t\r\n:", *after)) after++;
        if ((size_t)(end - after) >= sizeof value - 1 && !memcmp(after, value, sizeof value - 1)) return true;
    }
    return false;
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *status) {
    (void)client;
    struct waiting *waiting = context;
    size_t index = 0;
    while (index < waiting->known && strcmp(waiting->statuses[index].topic, status->topic) != 0) index++;
    if (index == waiting->known) {
        char *topic = index < MOST_TOPICS ? strdup(status->topic) : NULL;
        if (!topic) {
            report("more than %d topics match the filter: narrow it", MOST_TOPICS);
            stop_request(1);
            return;
        }
        waiting->statuses[index].topic = topic;
        waiting->known++;
    }
    // A role that was ready and died says so on the same topic: the last word counts.
    bool ready = says_ready(status->payload, (size_t)status->payloadlen);
    waiting->ready += (size_t)ready - (size_t)waiting->statuses[index].ready;
    waiting->statuses[index].ready = ready;
    if (waiting->ready >= waiting->options->count) stop_request(0);
}

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int wait_main(const struct options *options) {
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (!waiting) {
        report("no memory for the table of statuses");
        return 1;
    }
    waiting->options = options;
    struct mosquitto *client = connection_make(options, waiting);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    connection_open(client, options);

    int64_t deadline = now_ms() + (int64_t)options->timeout_s * 1000;
    bool stop = false;
    while (!stop) {
        int64_t left = deadline - now_ms();
        if (left <= 0) {
            report("after %d s only %zu of %zu statuses below %s say ready (%zu seen): did every role start?",
                   options->timeout_s, waiting->ready, options->count, options->topic_filter, waiting->known);
            stop_request(1);
            break;
        }
        // One thread drives the handle here, so a short look at the clock now and then is all that is needed.
        short happened = 0;
        short wanted = mosquitto_want_write(client) ? POLLIN | POLLOUT : POLLIN;
        stop = stop_wait(mosquitto_socket(client), wanted, &happened, (int)(left < 1000 ? left : 1000));
        if (stop) break;
        if (happened & POLLOUT) mosquitto_loop_write(client, 1);
        if (happened & (POLLIN | POLLHUP | POLLERR)) mosquitto_loop_read(client, 1);
        mosquitto_loop_misc(client);
        stop = stop_code() >= 0;
    }
    // A signal is not success: the caller wanted the roles to be ready.
    int code = waiting->ready >= options->count ? 0 : stop_code() > 0 ? stop_code() : 130;
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    for (size_t i = 0; i < waiting->known; i++) free(waiting->statuses[i].topic);
    free(waiting);
    return code;
}
