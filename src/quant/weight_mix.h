/* weight_mix.h - the branches of a weight mix and the codes of one number, for weights.c, weight_mix.c and
 * the kernels of weight_mix_avx512.c; private to this folder. */
#ifndef MIXQ_QUANT_WEIGHT_MIX_H
#define MIXQ_QUANT_WEIGHT_MIX_H

#include <math.h>
#include <stdbool.h>

#include "quant/chunks.h"
#include "quant/quant.h"
#include "quant/rounding.h"

/* One branch. Dividing by infinity gives code 0, which is what a step of 0 means. */
typedef struct mq_weight_branch {
    float low, high, divisor, step;
    float inverse; /* of the divisor; 0: divide */
    float weight;  /* softmax */
} mq_weight_branch;

/* Floats of this size are whole, and so is the sum with one that is small. */
#define MQ_WEIGHT_WHOLE 0x1.8p23f

/* Steps between these have an inverse: no remainder of a division underflows, and a thousand of the largest
 * times the inverse of the least is finite. */
#define MQ_WEIGHT_LEAST_STEP 0x1p-58f
#define MQ_WEIGHT_MOST_STEP  0x1p58f

static inline mq_weight_branch mq_weight_branch_of(int bits, bool narrow, double step, float weight) {
    const float size = (float)step;
    return (mq_weight_branch){.low = (float)mq_code_low(bits, true, narrow),
                              .high = (float)mq_code_high(bits, true),
                              .divisor = size == 0 ? INFINITY : size,
                              .step = size,
                              .inverse =
                                  size >= MQ_WEIGHT_LEAST_STEP && size <= MQ_WEIGHT_MOST_STEP ? 1 / size : 0,
                              .weight = weight};
}

/* The code as a float; NaN stays. Clamping first gives the same, since the bounds are whole numbers. */
static inline float mq_weight_code(float w, float low, float high, float divisor) {
    float v = w / divisor;
    v = v < low ? low : v;
    v = v > high ? high : v;
    return mq_round_small(v);
}

/* The code by one rounding of the product with the inverse: within 2^-22 of the middle between two codes it
 * may be the other one than a division's. For sums of many. */
static inline float mq_weight_near_code(float w, const mq_weight_branch *b) {
    float v = fmaf(w, b->inverse, MQ_WEIGHT_WHOLE);
    v = v < MQ_WEIGHT_WHOLE + b->low ? MQ_WEIGHT_WHOLE + b->low : v;
    v = v > MQ_WEIGHT_WHOLE + b->high ? MQ_WEIGHT_WHOLE + b->high : v;
    return v - MQ_WEIGHT_WHOLE;
}

/* Rows of MQ_LANES elements whose products are added in float32 first. */
enum { MQ_WEIGHT_ROWS = 8, MQ_WEIGHT_PIECE = MQ_WEIGHT_ROWS * MQ_LANES };

/* Whether the kernels below may be called, with branches that all have an inverse. */
bool mq_weight_mix_avx512(void);
void mq_weight_mix_avx512_values(const float *w, size_t n, const mq_weight_branch b[MQ_BRANCHES], float *y);
/* lane[j] += the products of dy and near codes; n a multiple of MQ_WEIGHT_PIECE. */
void mq_weight_mix_avx512_sums(const float *w, const float *dy, size_t n,
                               const mq_weight_branch b[MQ_BRANCHES], double lane[MQ_BRANCHES][MQ_LANES]);

#endif
