#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000  // Later it is part of mosquitto.h.
#include <mqtt_protocol.h>
#endif

// What an event loop needs of Linux and Swift's Glibc module leaves out.
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

// Hidden behind _GNU_SOURCE in <pthread.h>.
extern int pthread_setname_np(pthread_t thread, const char *name);

#include <malloc.h>

// Freed blocks up to so many bytes stay with the process. Swift's module of the C library leaves mallopt out.
static inline void lcp_keep_freed_memory(int bytes) {
#if defined(M_TRIM_THRESHOLD) && defined(M_MMAP_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, bytes);
    mallopt(M_MMAP_THRESHOLD, bytes);
#else
    (void)bytes;
#endif
}
