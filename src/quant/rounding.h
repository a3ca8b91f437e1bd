/* rounding.h - rounding to whole numbers that every CPU clone vectorises; private to this folder. */
#ifndef MIXQ_QUANT_ROUNDING_H
#define MIXQ_QUANT_ROUNDING_H

/* v rounded to a whole number, ties to even, for |v| <= 2^22: above 2^23 floats have no fraction bits, so the
 * first addition rounds and the second is exact. NaN stays NaN; a result of zero is +0. */
static inline float mq_round_small(float v) {
    const float magic = 0x1.8p23f;
    return (v + magic) - magic;
}

#endif
