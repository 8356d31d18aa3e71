/* Numbers of half precision (IEEE 754 binary16), little-endian, at any address: with the processor's own instructions where it has
   them. */
#ifndef LCP_HALF_PRECISION_H
#define LCP_HALF_PRECISION_H

#include <stddef.h>

/* The sum of the magnitudes: finite where all numbers are, and it is not too large itself. */
float lcp_sum_of_magnitudes(const float *values, size_t count);

/* Rounds to the nearest, of two the even one; what is too large becomes the largest number, 65504. */
void lcp_to_half(const float *values, size_t count, void *halves);

void lcp_from_half(const void *halves, size_t count, float *values);

#endif
