#include <stddef.h>
#include <stdint.h>
// What libFuzzer exports to a program that changes inputs in a way of its own.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maximumSize);
