#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { KEEPALIVE_S = 60, STOP_WITHIN_S = 3 };

const char *mode_name = "";

static int signal_fd = -1;
static int stop_fd = -1;
static int stdin_fd = -1;
static atomic_int exit_code = -1;  // -1: nobody asked to stop
static atomic_bool stopping = false;

void report(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "bare-mqtt %s: ", mode_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void stop_prepare(const struct options *options) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    // Blocked before any thread exists, so that all threads inherit it and only signal_fd sees them.
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0 || stop_fd < 0) {
        report("no file descriptors to wait with: %s; raise `ulimit -n`", strerror(errno));
        exit(1);
    }
    if (options->watch_stdin) stdin_fd = STDIN_FILENO;
}

void stop_request(int code) {
    int nobody = -1;
    atomic_compare_exchange_strong(&exit_code, &nobody, code);  // the first reason is the one that counts
    uint64_t one = 1;
    if (write(stop_fd, &one, sizeof one) < 0) { /* already signalled */ }
}

int stop_code(void) { return atomic_load(&exit_code); }

bool stop_wait(int fd, short events, short *revents, int timeout_ms) {
    struct pollfd fds[] = {
        {.fd = fd, .events = events},
        {.fd = signal_fd, .events = POLLIN},
        {.fd = stop_fd, .events = POLLIN},
        {.fd = stdin_fd, .events = POLLIN},
    };
    int count = poll(fds, sizeof fds / sizeof *fds, timeout_ms);
    if (revents) *revents = count > 0 ? fds[0].revents : 0;
    if (count <= 0) return stop_code() >= 0;
    if (fds[1].revents) stop_request(0);
    if (fds[3].revents) {
        char discarded[256];
        ssize_t got = read(stdin_fd, discarded, sizeof discarded);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) stop_request(0);
    }
    return stop_code() >= 0;
}

struct mosquitto *connection_make(const struct options *options, void *context) {
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, context);
    if (!client) {
        report("no memory for an MQTT client");
        exit(1);
    }
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, options->protocol);
    // Off by default in libmosquitto: Nagle's algorithm would add steps of 40 ms.
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_disconnect_callback_set(client, connection_lost);
    return client;
}

void connection_open(struct mosquitto *client, const struct options *options) {
    // libmosquitto takes a Unix socket's path as the host where the port is 0.
    const char *host = options->unix_socket ? options->unix_socket : options->host;
    int port = options->unix_socket ? 0 : options->port;
    int result = mosquitto_connect(client, host, port, KEEPALIVE_S);
    if (result == MOSQ_ERR_SUCCESS) return;
    const char *why = result == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(result);
    if (port) report("cannot connect to %s:%d: %s; is a broker listening there?", host, port, why);
    else report("cannot connect to the socket %s: %s; is a broker listening there?", host, why);
    exit(1);
}

bool connection_accepted(int code) {
    if (code == 0) return true;
    // MQTT 5 numbers its reasons from 128, 3.1.1 from 1.
    report("the broker refused the connection: %s; the benchmark needs a broker with allow_anonymous true",
           code >= 128 ? mosquitto_reason_string(code) : mosquitto_connack_string(code));
    stop_request(1);
    return false;
}

void connection_lost(struct mosquitto *client, void *context, int code) {
    (void)client;
    (void)context;
    if (code == 0 || atomic_load(&stopping)) return;
    report("lost the connection to the broker: %s", mosquitto_strerror(code));
    stop_request(1);
}

bool subscription_granted(int count, const int *granted) {
    for (int i = 0; i < count; i++)
        if (granted[i] > 2) {
            report("the broker refused the subscription (reason %d); it has to allow shared subscriptions", granted[i]);
            stop_request(1);
            return false;
        }
    return true;
}

int role_run(struct mosquitto *client, const struct options *options) {
    connection_open(client, options);
    int result = mosquitto_loop_start(client);
    if (result != MOSQ_ERR_SUCCESS) {
        report("cannot start libmosquitto's thread: %s", mosquitto_strerror(result));
        return 1;
    }
    while (!stop_wait(-1, 0, NULL, -1)) {}
    atomic_store(&stopping, true);
    // A broker that no longer reads would keep the last bytes, and with them this process, waiting for ever.
    alarm(STOP_WITHIN_S);
    mosquitto_disconnect(client);
    // Forced: after a connection was lost, the thread would otherwise go on trying to reconnect.
    mosquitto_loop_stop(client, stop_code() != 0);
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    return stop_code();
}
