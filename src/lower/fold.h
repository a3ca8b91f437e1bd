/* fold.h - one layer's requantisation: which inc, bias and shift stand for its scale, bias and batch norm.
 * Private to this folder. */
#ifndef MIXQ_LOWER_FOLD_H
#define MIXQ_LOWER_FOLD_H

#include "inet/inet.h"
#include "lower/thresholds.h"
#include "quant/quant.h"

/* What turns a layer's accumulators into real values: with e = sqrt(var + 1e-5),
 * x = gamma*(acc*step + bias - mean)/e + beta; without batch norm (gamma NULL) x = acc*step + bias. */
typedef struct mq_fold {
    int channels;
    double weight_step, input_step; /* step is their product: exact, or rounded to float64 when published */
    const float *gamma, *beta, *mean, *var; /* [channels], all or none */
    const float *bias;                      /* [channels] or NULL */
    const double *scale, *offset; /* [channels]: of given quantisers, x = acc*scale + offset; else NULL */
} mq_fold;

/* One channel, to be read as codes of the type. */
mq_channel mq_fold_channel(const mq_fold *fold, const mq_qtype *type, int c);

/* A layer's rules, as mq_inet_requant has them; arrays of the arena. */
typedef struct mq_rules {
    int shift;
    int64_t *inc, *bias; /* [channels], the rounding half in the bias */
    uint8_t *rule;       /* [channels] of mq_inet_rule, and threshold [channels][levels]; NULL: all affine */
    int64_t *threshold;
} mq_rules;

/* Exactly the trained network's codes for every accumulator that acc says is reachable, in codes of the
 * type. The shift is the smallest at which every channel has an inc and a bias of at most 48 bits; then
 * inc is as narrow as the layer allows, then bias. A channel without them at any shift, or at the one that
 * most channels can share, has stored thresholds. MQ_BAD_INPUT names a channel whose variance is not one. */
mq_status mq_fold_exact(const mq_fold *fold, const mq_inet_edge *acc, const mq_qtype *type, mq_arena *arena,
                        mq_rules *out, mq_error *error) MQ_MUST_CHECK;

/* The published rule at a given shift: float32, every operation rounded in the published order. Fills inc and
 * bias [channels]; MQ_BAD_INPUT names a channel whose numbers do not fit. */
mq_status mq_fold_published(const mq_fold *fold, int shift, const mq_qtype *type, int64_t *inc, int64_t *bias,
                            mq_error *error) MQ_MUST_CHECK;

#endif
