#if defined(__x86_64__)
#include <stddef.h>
#include <string.h>
#include <math.h>
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx2,fma"))), apply_to = function)
#define WIDTH 16
#define TILE 14
#define VARIANT lcp_variant_16
#include "kernels.inc"
#pragma clang attribute pop
#endif
