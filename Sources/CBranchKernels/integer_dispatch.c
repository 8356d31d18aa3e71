#include "lcp_integer_kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

extern const struct lcp_integer_kernels lcp_integer_plain;
#if defined(__x86_64__)
extern const struct lcp_integer_kernels lcp_integer_avx2, lcp_integer_avxvnni, lcp_integer_vnni;
#elif defined(__aarch64__)
extern const struct lcp_integer_kernels lcp_integer_neon, lcp_integer_dot;
#endif

#if defined(__x86_64__)
static int has_avx_vnni(void) {
    unsigned a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
    return (a >> 4) & 1;
}
#endif

const struct lcp_integer_kernels *lcp_integer_kernels_at(size_t number) {
    if (number == 0) return &lcp_integer_plain;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    if (number == 1) return &lcp_integer_avx2;
    if (number == 2 && has_avx_vnni()) return &lcp_integer_avxvnni;
    if (number == 3 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
        return &lcp_integer_vnni;
    }
#elif defined(__aarch64__)
    if (number == 1) return &lcp_integer_neon;
    /* HWCAP_ASIMDDP */
    if (number == 2 && (getauxval(AT_HWCAP) & (1 << 20)) != 0) return &lcp_integer_dot;
#endif
    return 0;
}
