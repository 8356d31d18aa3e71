#define WIDTH 4
/* Output pixels of a tile: with two vectors of channels each, what 16 registers hold; on ARM, which has 32, with four inputs of each
   pixel, too. */
#if defined(__aarch64__)
#define TILE 10
#else
#define TILE 6
#endif
#define VARIANT lcp_variant_4
#include "kernels.inc"
