#define _GNU_SOURCE
#include "lcp_mosquitto_new.h"

#include <errno.h>
#include <mosquitto.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local bool refuses_pairs;

/* Stands before the C library's: the same, but for a thread that is making a client. Where a linker takes the C library's all
   the same, the client has its pair. */
int socketpair(int domain, int type, int protocol, int pair[2]) {
    if (refuses_pairs) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_socketpair, domain, type, protocol, pair);
}

struct mosquitto *lcp_mosquitto_new(const char *identifier, bool clean_start, void *user_data) {
    refuses_pairs = true;
    struct mosquitto *client = mosquitto_new(identifier, clean_start, user_data);
    refuses_pairs = false;
    return client;
}
