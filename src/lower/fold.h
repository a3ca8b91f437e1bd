/* fold.h - one layer's requantisation: which inc, bias and shift stand for its scale, bias and batch norm.
 * Private to this folder. */
#ifndef MIXQ_LOWER_FOLD_H
#define MIXQ_LOWER_FOLD_H

#include "inet/inet.h"
#include "quant/quant.h"

/* What turns a layer's accumulators into real values: with e = sqrt(var + 1e-5),
 * x = gamma*(acc*step + bias - mean)/e + beta; without batch norm (gamma NULL) x = acc*step + bias. */
typedef struct mq_fold {
    int channels;
    double step;                            /* weight step * input step: one unit of the accumulator */
    const float *gamma, *beta, *mean, *var; /* [channels], all or none */
    const float *bias;                      /* [channels] or NULL */
} mq_fold;

/* Both fill out->shift, and out->inc and out->bias (arrays of out's caller, [channels]) with the rounding
 * half in the bias. MQ_BAD_INPUT names a channel whose numbers do not fit. */

/* The largest shift that keeps inc and bias within 48 bits and acc*inc + bias within 64 over the
 * accumulator's reachable range; computed in float64. */
mq_status mq_fold_default(const mq_fold *fold, const mq_inet_edge *acc, const mq_qtype *type, int64_t *inc,
                          int64_t *bias, int *shift, mq_error *error) MQ_MUST_CHECK;
/* The published rule at a given shift: float32, every operation rounded in the published order. */
mq_status mq_fold_published(const mq_fold *fold, int shift, const mq_qtype *type, int64_t *inc, int64_t *bias,
                            mq_error *error) MQ_MUST_CHECK;

#endif
