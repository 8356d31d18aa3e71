// What Swift's Glibc module leaves out of Linux and the C library.
#pragma once
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Hidden behind _GNU_SOURCE in <pthread.h>.
extern int pthread_setname_np(pthread_t thread, const char *name);

// Hidden behind _GNU_SOURCE in <spawn.h>: the child closes every descriptor from this one on.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

/// A descriptor of a new file that is only in memory, closed when another program is executed; −1 and errno on failure.
static inline int linux_memory_file(const char *name) {
    return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
}

/// Freed blocks up to so many bytes stay with the process, where its C library is glibc.
static inline void lcp_keep_freed_memory(int bytes) {
#if defined(M_TRIM_THRESHOLD) && defined(M_MMAP_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, bytes);
    mallopt(M_MMAP_THRESHOLD, bytes);
#else
    (void)bytes;
#endif
}

/// The processors that this thread is bound to, as bits of bytes; the number of bytes that were written, or −1 and errno.
static inline long linux_bound_processors(unsigned char *bits, size_t size) {
    return syscall(SYS_sched_getaffinity, 0, size, bits);
}

/// Binds this thread to some of them; 0, or −1 and errno.
static inline long linux_bind_to_processors(const unsigned char *bits, size_t size) {
    return syscall(SYS_sched_setaffinity, 0, size, bits);
}

/// Lets sleeps of this thread end at most so many nanoseconds late (prctl(2), PR_SET_TIMERSLACK).
static inline void linux_set_timer_slack(unsigned long nanoseconds) { syscall(SYS_prctl, 29, nanoseconds, 0, 0, 0); }

/// The priority of this thread where it runs before all others (SCHED_FIFO), otherwise 0.
static inline int linux_urgency(void) {
    int priority = 0;
    return syscall(SYS_sched_getscheduler, 0) == 1 && syscall(SYS_sched_getparam, 0, &priority) == 0 ? priority : 0;
}

/// Lets this thread run before all others, with a priority from 1, or like most with 0; 0, or −1 and errno.
static inline long linux_set_urgency(int priority) {
    return syscall(SYS_sched_setscheduler, 0, priority > 0 ? 1 : 0, &priority);
}

/// poll(2) that waits so many nanoseconds, for ever where they are negative.
static inline int linux_poll(struct pollfd *descriptors, nfds_t count, long nanoseconds) {
    // ppoll(2) is hidden behind _GNU_SOURCE.
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return (int)syscall(SYS_ppoll, descriptors, count, nanoseconds < 0 ? (void *)0 : &time, (void *)0, 8);
}

/// Sets the most bytes that a process's files may have from now on, as far as its own limit allows; 0, or −1 and errno.
static inline long linux_limit_files(pid_t process, unsigned long long bytes) {
    struct { unsigned long long current, most; } limit;
    if (syscall(SYS_prlimit64, process, RLIMIT_FSIZE, 0, &limit) != 0) return -1;
    limit.current = bytes < limit.most ? bytes : limit.most;
    return syscall(SYS_prlimit64, process, RLIMIT_FSIZE, &limit, 0);
}

/// Moves this thread to another network namespace, open as a descriptor; 0, or −1 and errno.
static inline int linux_enter_network(int descriptor) {
    return (int)syscall(SYS_setns, descriptor, 0x40000000 /* CLONE_NEWNET */);
}
