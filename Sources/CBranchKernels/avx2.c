#if defined(__x86_64__)
#include <stddef.h>
#include <string.h>
#include <math.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define WIDTH 8
#define TILE 6
#define VARIANT lcp_variant_8
#include "kernels.inc"
#pragma clang attribute pop
#endif
