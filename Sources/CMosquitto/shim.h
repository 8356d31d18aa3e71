#include <mosquitto.h>
#include <mqtt_protocol.h>

// What an event loop needs of Linux and Swift's Glibc module leaves out.
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

// Hidden behind _GNU_SOURCE in <pthread.h>.
extern int pthread_setname_np(pthread_t thread, const char *name);
