#ifndef BARE_MQTT_OPTIONS_H
#define BARE_MQTT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum input_kind { INPUT_BARE, INPUT_TENSOR };

struct options {
    const char *host;
    const char *unix_socket;  // NULL: TCP
    int port;
    int protocol;  // MQTT_PROTOCOL_V311 or MQTT_PROTOCOL_V5
    bool watch_stdin;

    const char *pipeline;
    int branch;
    int branches;
    size_t bytes;

    const char *sensor;
    enum input_kind kind;
    size_t input_bytes;
    uint32_t shape[3];
    bool has_shape;
    size_t in_flight;
    size_t frames;
    size_t warmup;
    int timeout_ms;
    int give_up_s;

    const char *topic_filter;
    size_t count;
    int timeout_s;
};

/// Fills `options` from the arguments after the mode's name, or prints what is wrong and exits with 64.
void options_parse(struct options *options, const char *mode, int argc, char **argv);

extern const char usage_text[];

#endif
