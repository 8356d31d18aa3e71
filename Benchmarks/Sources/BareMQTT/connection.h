#ifndef BARE_MQTT_CONNECTION_H
#define BARE_MQTT_CONNECTION_H

#include <mosquitto.h>

#include "options.h"

/// Prints "bare-mqtt MODE: …" on standard error.
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);
extern const char *mode_name;

/// A signal, the end of standard input, or a callback that called `stop_request` ends every mode. Call this before anything
/// starts a thread: the signals are blocked from here on and arrive at the file descriptors below.
void stop_prepare(const struct options *options);
/// From any thread: the process is to end with this exit code.
void stop_request(int code);
/// Waits up to so many milliseconds (-1: without end) for a reason to stop, or for `events` of `fd` (-1: none).
/// Returns whether there is a reason to stop; `*revents` says what happened to `fd`.
bool stop_wait(int fd, short events, short *revents, int timeout_ms);
int stop_code(void);

/// A handle with the protocol and TCP_NODELAY set, not connected. Ends the process where that fails.
struct mosquitto *connection_make(const struct options *options, void *context);
/// Connects, or ends the process with a sentence.
void connection_open(struct mosquitto *client, const struct options *options);
/// For `mosquitto_connect_callback_set`: true where the broker took the connection; reports and stops where not.
bool connection_accepted(int code);
/// For `mosquitto_disconnect_callback_set`: a benchmark does not reconnect, it says what happened and stops.
void connection_lost(struct mosquitto *client, void *context, int code);
/// For `mosquitto_subscribe_callback_set`: true where the broker granted the subscription; reports and stops where not.
bool subscription_granted(int count, const int *granted);

/// Runs a role to its end: callbacks on libmosquitto's own thread, this one waits for a reason to stop.
int role_run(struct mosquitto *client, const struct options *options);

int worker_main(const struct options *options);
int aggregator_main(const struct options *options);
int client_main(const struct options *options);
int wait_main(const struct options *options);

#endif
