/* weight_word.h - how the weights of one slice lie in a layer's memory: what the generator writes and the
 * estimate counts. */
#ifndef MIXQ_ACCEL_WEIGHT_WORD_H
#define MIXQ_ACCEL_WEIGHT_WORD_H

#include "pack/packing.h"

typedef struct mq_weight_word {
    int bits;
    bool raw;      /* the codes, side by side; the slice's pre-adder puts them into their places */
    bool low_bits; /* else the port's word; with it the weights' lowest bits, which repairs need and cannot
                      see in it */
    int64_t place; /* raw: constant ones in d (> 0) or a (< 0) that move the word */
} mq_weight_word;

mq_weight_word mq_weight_word_of(const mq_packing *packing);

#endif
