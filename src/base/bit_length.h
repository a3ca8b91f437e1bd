/* bit_length.h - the width of whole numbers. */
#ifndef MIXQ_BASE_BIT_LENGTH_H
#define MIXQ_BASE_BIT_LENGTH_H

#include <stdint.h>

/* Bits that 0..value take; value >= 0, 0 takes none. */
static inline int mq_bit_length(int64_t value) {
    return value > 0 ? 64 - __builtin_clzll((unsigned long long)value) : 0;
}

#endif
