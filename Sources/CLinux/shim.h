// Calls of Linux that Swift's Glibc module leaves out.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>

/// A descriptor of a new file that is only in memory, closed when another program is executed; −1 and errno on failure.
static inline int linux_memory_file(const char *name) {
    return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
}
