/* affine_fits.h - whether a requantisation can be done by DSP slices. */
#ifndef MIXQ_ACCEL_AFFINE_FITS_H
#define MIXQ_ACCEL_AFFINE_FITS_H

#include "inet/inet.h"

/* What the slices of a requantiser take: acc*inc + (bias + offset*inc) of all channels. */
typedef struct mq_affine_words {
    bool acc_wide; /* the accumulator on the 27-bit port, inc on the 18-bit one; else the other way round */
    int inc_bits, bias_bits; /* signed, over all channels, bias with the offset */
    int sum_bits;            /* of every possible sum, 48 at most */
} mq_affine_words;

/* Every channel of a REQUANT is affine and accumulators of acc_bits (any value of them), inc, bias and their
 * sums fit 27 x 18 + 48 bits. offset[c]: what the hardware's accumulators lack, NULL for nothing. words may
 * be NULL. On false *reason (may be NULL) says why. */
bool mq_rtl_affine_fits(const mq_inet_node *requant, const int64_t *offset, int acc_bits,
                        mq_affine_words *words, const char **reason);

#endif
