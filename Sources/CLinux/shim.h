// What Swift's Glibc module leaves out of Linux and the C library.
#pragma once
#include <malloc.h>
#include <pthread.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// Hidden behind _GNU_SOURCE in <pthread.h>.
extern int pthread_setname_np(pthread_t thread, const char *name);

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

/// Sets the most bytes that a process's files may have from now on, as far as its own limit allows; 0, or −1 and errno.
static inline long linux_limit_files(pid_t process, unsigned long long bytes) {
    struct { unsigned long long current, most; } limit;
    if (syscall(SYS_prlimit64, process, RLIMIT_FSIZE, 0, &limit) != 0) return -1;
    limit.current = bytes < limit.most ? bytes : limit.most;
    return syscall(SYS_prlimit64, process, RLIMIT_FSIZE, &limit, 0);
}
