/* affine.h - which inc and bias make clip((acc*inc + bias) >> shift, low, low + levels) a given staircase
 * over every reachable accumulator value.
 *
 * The code must be k on each tread: inc*t + bias >= k*2^shift where code k begins, inc*(t-1) + bias below it
 * one before, the clips giving the ends freedom. For one inc the bias has an interval [low(inc), high(inc)],
 * the largest of some falling lines and the smallest of others, so high - low is concave in inc: the integers
 * inc with a bias are an interval, found by bisection without rounding (128-bit integers). The limits (48
 * bits each, 64 for acc*inc + bias) are lines of the same kind. Private to this folder. */
#ifndef MIXQ_LOWER_AFFINE_H
#define MIXQ_LOWER_AFFINE_H

#include "lower/thresholds.h"

enum {
    MQ_RULE_BITS = 48, /* of inc and of bias, as 1 + bit length of the magnitude */
    MQ_SHIFT_MAX = 62
};

/* One line: of the low ones bias >= v - inc*p, of the high ones bias <= v - inc*p, v = k*2^shift, the high
 * ones less 1. */
typedef struct mq_rule_line {
    int64_t p;
    int k;
} mq_rule_line;

/* A channel's staircase over its reachable accumulators, turned so that it rises. */
typedef struct mq_staircase {
    bool falling;      /* turned: stands for -acc, inc is the negative one */
    int64_t low, high; /* reachable, after turning */
    int first, last;   /* codes at both ends */
    int low_count, high_count;
    mq_rule_line low_line[MQ_LEVELS_MAX + 1], high_line[MQ_LEVELS_MAX + 1];
} mq_staircase;

/* low <= high: what the accumulator reaches. */
void mq_staircase_make(const mq_thresholds *thresholds, int low_code, int levels, int64_t low, int64_t high,
                       mq_staircase *out);

/* Whether some inc and bias give the staircase at this shift (0..MQ_SHIFT_MAX). Then *least and *most, if not
 * NULL, are the ends of the interval of |inc|; all its integers have a bias. */
bool mq_affine_feasible(const mq_staircase *s, int shift, int64_t *least, int64_t *most);

/* The smallest shift in from..MQ_SHIFT_MAX that is feasible, or -1. */
int mq_affine_shift(const mq_staircase *s, int from);

/* For |inc| in least..most (inside the interval): the rule with the bias of smallest magnitude. */
void mq_affine_choose(const mq_staircase *s, int shift, int64_t least, int64_t most, int64_t *inc,
                      int64_t *bias);

#endif
