/* factors.h - the cost table: multiplications that one DSP slice does per cycle, F[kernel][weight
 * bits][activation bits].
 *
 * "published" is the table of AnyPackingNet (ICCAD 2023), copied as data (factors/published.csv). "ideal" and
 * "ideal_depthwise" are what our own packings of class ii reach on a DSP48E2, repair logic apart
 * (factors/ideal.csv, written by `mixq pack table --csv`). Any other name is a CSV file of the same form:
 * kernel,wbit,a2,...,a8. A kernel size or width without an entry is refused, never interpolated. */
#ifndef MIXQ_PACK_FACTORS_H
#define MIXQ_PACK_FACTORS_H

#include "base/status.h"
#include "quant/quant.h"

enum { MQ_MAX_KERNELS = 16 };

typedef struct mq_factors {
    char name[128];
    int kernel_count;
    int kernel[MQ_MAX_KERNELS];
    double f[MQ_MAX_KERNELS][MQ_BITS_MAX + 1][MQ_BITS_MAX + 1]; /* [which kernel][wbit][abit]; 0 = no entry */
} mq_factors;

/* name: a built-in table or a CSV file's path. */
mq_status mq_factors_load(const char *name, mq_factors *out, mq_error *error) MQ_MUST_CHECK;
/* Multiplications per DSP and cycle; MQ_USAGE when the table has no entry. */
mq_status mq_factors_get(const mq_factors *factors, int kernel, int wbit, int abit, double *out,
                         mq_error *error) MQ_MUST_CHECK;

#endif
