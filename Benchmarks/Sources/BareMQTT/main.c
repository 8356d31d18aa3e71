#include <stdio.h>
#include <string.h>

#include "connection.h"

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const struct options *);
    } modes[] = {
        {"worker", worker_main},
        {"aggregator", aggregator_main},
        {"client", client_main},
        {"wait", wait_main},
    };
    if (argc < 2) {
        fputs(usage_text, stderr);
        return 64;
    }
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage_text, stdout);
            return 0;
        }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i].name, argv[1])) {
            struct options options;
            options_parse(&options, argv[1], argc - 1, argv + 1);
            mode_name = modes[i].name;
            stop_prepare(&options);
            return modes[i].run(&options);
        }
    fprintf(stderr, "bare-mqtt: there is no mode '%s'; see bare-mqtt --help\n", argv[1]);
    return 64;
}
