/* exact_run.h - the trained network evaluated exactly, image by image: the oracle of the integer network.
 *
 * Codes of weights and of the image are those of the quantisers, sums of products are integers, and between
 * an accumulator and its activation code everything is real arithmetic on the stored numbers (exact_code.h),
 * decided for every value by itself. Pools, reorg and concat move codes: quantisers are monotone. Nothing of
 * the integer network or of the solver is used. The last layer's result is its accumulators plus the bias in
 * their unit, rounded to even. */
#ifndef MIXQ_LOWER_EXACT_RUN_H
#define MIXQ_LOWER_EXACT_RUN_H

#include "net/checkpoint.h"

typedef struct mq_exact mq_exact;

/* A result of an image: a layer's activation codes, or the last layer's accumulators. */
typedef struct mq_exact_result {
    char name[2 * MQ_MAX_NAME]; /* as the integer network's dump: "<layer>", for a second type "<layer>.2" */
    int h, w, c;
    const int64_t *values; /* [c][h][w] of the last image; owned by mq_exact */
} mq_exact_result;

/* A fixed-precision checkpoint that can be lowered (mq_lower succeeds), borrowed until mq_exact_free. */
mq_status mq_exact_create(const mq_checkpoint *checkpoint, mq_exact **out, mq_error *error) MQ_MUST_CHECK;
void mq_exact_free(mq_exact *exact); /* NULL is fine */

int mq_exact_count(const mq_exact *exact);
const mq_exact_result *mq_exact_at(const mq_exact *exact, int index);
/* NULL when there is none of this name. */
const mq_exact_result *mq_exact_find(const mq_exact *exact, const char *name);

/* image uint8 [h][w][c]. Fills the values of every result. */
void mq_exact_image(mq_exact *exact, const uint8_t *image);

#endif
