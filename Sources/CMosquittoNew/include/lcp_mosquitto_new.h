/* A client of libmosquitto that is served by an event loop of its user's.

   libmosquitto makes a pair of sockets for every client, writes a byte into one for every packet that is sent, to wake its own
   select(), and where nobody calls that, reads none: a system call for each message, which fails from the 300th on. Where it gets
   no pair, it does without. */
#ifndef LCP_MOSQUITTO_NEW_H
#define LCP_MOSQUITTO_NEW_H

#include <stdbool.h>

struct mosquitto;

/* mosquitto_new() without that pair. */
struct mosquitto *lcp_mosquitto_new(const char *identifier, bool clean_start, void *user_data);

#endif
