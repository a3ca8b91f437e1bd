/* factors.h - the cost table: multiplications that one DSP slice does per cycle, F[kernel][weight
 * bits][activation bits].
 *
 * "published" is the table of AnyPackingNet (ICCAD 2023), copied as data (factors/published.csv). "ideal" is
 * what our packings of class ii reach on a DSP48E2, repair logic apart (plan.h); "ours" what is left of that
 * when it is built (built.h, `realised`). Both are files of this repository that `mixq pack table --csv`
 * writes; a kernel size that is not in them is computed. Any other name is a CSV file: columns
 * kernel,wbit,a2,...,a8, where a1 may stand before a2, and a first column `depthwise` (0 or 1) gives
 * depthwise layers rows of their own. A table without such rows prices them as any layer. What a file does
 * not say is refused, never interpolated. */
#ifndef MIXQ_PACK_FACTORS_H
#define MIXQ_PACK_FACTORS_H

#include <stdbool.h>

#include "base/status.h"
#include "quant/quant.h"

enum { MQ_MAX_KERNELS = 16 };

typedef struct mq_factor_rows {
    int kernel_count;
    int kernel[MQ_MAX_KERNELS];
    double f[MQ_MAX_KERNELS][MQ_BITS_MAX + 1][MQ_BITS_MAX + 1]; /* [which kernel][wbit][abit]; 0 = no entry */
} mq_factor_rows;

typedef enum mq_factor_source { MQ_FACTORS_FILE, MQ_FACTORS_IDEAL, MQ_FACTORS_OURS } mq_factor_source;

typedef struct mq_factors {
    char name[128];
    mq_factor_source source;
    mq_factor_rows rows[2]; /* dense, depthwise */
} mq_factors;

#define MQ_FACTORS_DEFAULT "ours"

/* name: a built-in table or a CSV file's path. */
mq_status mq_factors_load(const char *name, mq_factors *out, mq_error *error) MQ_MUST_CHECK;
/* Computes the rows of a kernel size that a table of ours lacks; others are left as they are. */
mq_status mq_factors_complete(mq_factors *factors, int kernel, bool depthwise, mq_error *error) MQ_MUST_CHECK;
/* Multiplications per DSP and cycle; MQ_USAGE when the table has no entry. */
mq_status mq_factors_get(const mq_factors *factors, int kernel, bool depthwise, int wbit, int abit,
                         double *out, mq_error *error) MQ_MUST_CHECK;

#endif
