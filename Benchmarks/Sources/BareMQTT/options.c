#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <mosquitto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char usage_text[] =
    "bare-mqtt: the message pattern of an lcp pipeline in bare C on libmosquitto, and the client that measures either.\n"
    "\n"
    "  bare-mqtt worker     --pipeline NAME --branch K [--bytes B]\n"
    "  bare-mqtt aggregator --pipeline NAME --branches N [--bytes J]\n"
    "  bare-mqtt client     --pipeline NAME [--kind bare|tensor] [--input-bytes N | --shape HxWxC]\n"
    "                       [--in-flight W] [--frames F] [--warmup F] [--sensor ID]\n"
    "                       [--timeout-ms MS] [--give-up S]\n"
    "  bare-mqtt wait       --topic-filter FILTER --count N [--timeout S]\n"
    "\n"
    "Every mode:  --port P (1883)  --host HOST (127.0.0.1)  --unix PATH (instead of TCP)\n"
    "             --protocol 5|3.1.1 (5)  --watch-stdin (stop when standard input closes)\n"
    "\n"
    "  --bytes        size of what a role publishes: features 168 (128 header + 40), prediction 420\n"
    "  --kind         bare: N bytes, a counter in the first eight; tensor: the same behind a tensor header\n"
    "  --input-bytes  bytes of data in an input (784)\n"
    "  --in-flight    frames under way at once: 1 measures latency, more measures throughput (1)\n"
    "  --frames       frames measured (1000), after --warmup frames (100) that are not\n"
    "  --timeout-ms   a frame unanswered for so long is counted as lost (2000)\n"
    "  --give-up      end with an error after so many seconds without any prediction (10)\n"
    "\n"
    "worker and aggregator print \"ready\" once the broker acknowledged their subscription; client prints one line\n"
    "of JSON; wait returns 0 once N retained payloads below the filter say \"state\":\"ready\".\n";

enum {
    OPT_HOST = 1, OPT_PORT, OPT_UNIX, OPT_PROTOCOL, OPT_WATCH_STDIN, OPT_PIPELINE, OPT_BRANCH, OPT_BRANCHES,
    OPT_BYTES, OPT_SENSOR, OPT_KIND, OPT_INPUT_BYTES, OPT_SHAPE, OPT_IN_FLIGHT, OPT_FRAMES, OPT_WARMUP,
    OPT_TIMEOUT_MS, OPT_GIVE_UP, OPT_TOPIC_FILTER, OPT_COUNT, OPT_TIMEOUT, OPT_LAST
};

static const struct option long_options[] = {
    {"host", required_argument, NULL, OPT_HOST},
    {"port", required_argument, NULL, OPT_PORT},
    {"unix", required_argument, NULL, OPT_UNIX},
    {"protocol", required_argument, NULL, OPT_PROTOCOL},
    {"watch-stdin", no_argument, NULL, OPT_WATCH_STDIN},
    {"pipeline", required_argument, NULL, OPT_PIPELINE},
    {"branch", required_argument, NULL, OPT_BRANCH},
    {"branches", required_argument, NULL, OPT_BRANCHES},
    {"bytes", required_argument, NULL, OPT_BYTES},
    {"sensor", required_argument, NULL, OPT_SENSOR},
    {"kind", required_argument, NULL, OPT_KIND},
    {"input-bytes", required_argument, NULL, OPT_INPUT_BYTES},
    {"shape", required_argument, NULL, OPT_SHAPE},
    {"in-flight", required_argument, NULL, OPT_IN_FLIGHT},
    {"frames", required_argument, NULL, OPT_FRAMES},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"timeout-ms", required_argument, NULL, OPT_TIMEOUT_MS},
    {"give-up", required_argument, NULL, OPT_GIVE_UP},
    {"topic-filter", required_argument, NULL, OPT_TOPIC_FILTER},
    {"count", required_argument, NULL, OPT_COUNT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {NULL, 0, NULL, 0},
};

#define BIT(option) (UINT32_C(1) << (option))
#define EVERYWHERE (BIT(OPT_HOST) | BIT(OPT_PORT) | BIT(OPT_UNIX) | BIT(OPT_PROTOCOL) | BIT(OPT_WATCH_STDIN))

/// What a mode takes and what it cannot do without.
static const struct {
    const char *name;
    uint32_t allowed;
    uint32_t required;
} modes[] = {
    {"worker", EVERYWHERE | BIT(OPT_PIPELINE) | BIT(OPT_BRANCH) | BIT(OPT_BYTES), BIT(OPT_PIPELINE) | BIT(OPT_BRANCH)},
    {"aggregator", EVERYWHERE | BIT(OPT_PIPELINE) | BIT(OPT_BRANCHES) | BIT(OPT_BYTES),
     BIT(OPT_PIPELINE) | BIT(OPT_BRANCHES)},
    {"client",
     EVERYWHERE | BIT(OPT_PIPELINE) | BIT(OPT_SENSOR) | BIT(OPT_KIND) | BIT(OPT_INPUT_BYTES) | BIT(OPT_SHAPE) |
         BIT(OPT_IN_FLIGHT) | BIT(OPT_FRAMES) | BIT(OPT_WARMUP) | BIT(OPT_TIMEOUT_MS) | BIT(OPT_GIVE_UP),
     BIT(OPT_PIPELINE)},
    {"wait", EVERYWHERE | BIT(OPT_TOPIC_FILTER) | BIT(OPT_COUNT) | BIT(OPT_TIMEOUT),
     BIT(OPT_TOPIC_FILTER) | BIT(OPT_COUNT)},
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("bare-mqtt: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see bare-mqtt --help\n", stderr);
    va_end(arguments);
    exit(64);
}

static const char *option_name(int value) {
    for (const struct option *option = long_options; option->name; option++)
        if (option->val == value) return option->name;
    return "?";
}

static long number(int option, const char *text, long low, long high) {
    errno = 0;
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high)
        fail("--%s takes a whole number from %ld to %ld, not '%s'", option_name(option), low, high, text);
    return value;
}

/// A pipeline or a sensor is one level of a topic.
static const char *topic_level(int option, const char *text) {
    if (!*text || strlen(text) > 64 || strpbrk(text, "/+#"))
        fail("--%s takes 1 to 64 characters without / + #, not '%s'", option_name(option), text);
    return text;
}

static void parse_shape(struct options *options, const char *text) {
    unsigned height = 0, width = 0, channels = 0;
    int used = 0;
    if (sscanf(text, "%ux%ux%u%n", &height, &width, &channels, &used) != 3 || text[used] || !height || !width ||
        !channels || height > 65536 || width > 65536 || channels > 65536)
        fail("--shape takes HxWxC, such as 28x28x1, not '%s'", text);
    options->shape[0] = height;
    options->shape[1] = width;
    options->shape[2] = channels;
    options->has_shape = true;
}

void options_parse(struct options *options, const char *mode, int argc, char **argv) {
    *options = (struct options){
        .host = "127.0.0.1", .port = 1883, .protocol = MQTT_PROTOCOL_V5, .sensor = "bench", .kind = INPUT_BARE,
        .input_bytes = 784, .in_flight = 1, .frames = 1000, .warmup = 100, .timeout_ms = 2000, .give_up_s = 10,
        .timeout_s = 10,
    };
    size_t index = 0;
    while (index < sizeof modes / sizeof *modes && strcmp(modes[index].name, mode) != 0) index++;
    if (index == sizeof modes / sizeof *modes) fail("there is no mode '%s'", mode);

    uint32_t seen = 0;
    opterr = 0;
    // argv[0] is the mode's name here, which getopt skips as it would a program's.
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option <= 0 || option >= OPT_LAST) fail("'%s' is no option, or lacks its value", argv[optind - 1]);
        if (!(modes[index].allowed & BIT(option))) fail("%s takes no --%s", mode, option_name(option));
        seen |= BIT(option);
        switch (option) {
        case OPT_HOST: options->host = optarg; break;
        case OPT_PORT: options->port = (int)number(option, optarg, 1, 65535); break;
        case OPT_UNIX: options->unix_socket = optarg; break;
        case OPT_PROTOCOL:
            if (!strcmp(optarg, "5")) options->protocol = MQTT_PROTOCOL_V5;
            else if (!strcmp(optarg, "3.1.1")) options->protocol = MQTT_PROTOCOL_V311;
            else fail("--protocol takes 5 or 3.1.1, not '%s'", optarg);
            break;
        case OPT_WATCH_STDIN: options->watch_stdin = true; break;
        case OPT_PIPELINE: options->pipeline = topic_level(option, optarg); break;
        case OPT_BRANCH: options->branch = (int)number(option, optarg, 0, 63); break;
        case OPT_BRANCHES: options->branches = (int)number(option, optarg, 1, 64); break;
        case OPT_BYTES: options->bytes = (size_t)number(option, optarg, 128, 1 << 24); break;
        case OPT_SENSOR: options->sensor = topic_level(option, optarg); break;
        case OPT_KIND:
            if (!strcmp(optarg, "bare")) options->kind = INPUT_BARE;
            else if (!strcmp(optarg, "tensor")) options->kind = INPUT_TENSOR;
            else fail("--kind takes bare or tensor, not '%s'", optarg);
            break;
        case OPT_INPUT_BYTES: options->input_bytes = (size_t)number(option, optarg, 8, 1 << 28); break;
        case OPT_SHAPE: parse_shape(options, optarg); break;
        case OPT_IN_FLIGHT: options->in_flight = (size_t)number(option, optarg, 1, 1000); break;
        case OPT_FRAMES: options->frames = (size_t)number(option, optarg, 1, 10000000); break;
        case OPT_WARMUP: options->warmup = (size_t)number(option, optarg, 0, 10000000); break;
        case OPT_TIMEOUT_MS: options->timeout_ms = (int)number(option, optarg, 1, 3600000); break;
        case OPT_GIVE_UP: options->give_up_s = (int)number(option, optarg, 1, 3600); break;
        case OPT_TOPIC_FILTER: options->topic_filter = optarg; break;
        case OPT_COUNT: options->count = (size_t)number(option, optarg, 1, 1024); break;
        case OPT_TIMEOUT: options->timeout_s = (int)number(option, optarg, 1, 3600); break;
        }
    }
    if (optind < argc) fail("'%s' is no option", argv[optind]);
    for (int option = 1; option < OPT_LAST; option++)
        if (modes[index].required & BIT(option) & ~seen) fail("%s needs --%s", mode, option_name(option));

    if (!options->bytes) options->bytes = strcmp(mode, "worker") == 0 ? 168 : 420;
    if (options->has_shape) {
        uint64_t product = (uint64_t)options->shape[0] * options->shape[1] * options->shape[2];
        if (seen & BIT(OPT_INPUT_BYTES) && product != options->input_bytes)
            fail("--shape has %llu bytes and --input-bytes says %zu: leave one out", (unsigned long long)product,
                 options->input_bytes);
        if (product < 8 || product > 1 << 28) fail("--shape has to come to 8 bytes up to 256 MiB");
        options->input_bytes = (size_t)product;
    } else {
        // A tensor message has to have a shape: without one, a row of bytes.
        options->shape[0] = 1;
        options->shape[1] = (uint32_t)options->input_bytes;
        options->shape[2] = 1;
    }
}
