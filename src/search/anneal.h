/* anneal.h - softmaxes that decide: a bound on their entropy which falls during a search.
 *
 * A softmax of temperature T is that of its logits divided by T. Where one is less decided than the bound,
 * its logits are multiplied so that its entropy is the bound: the temperature falls, for this softmax alone,
 * and the order of its branches stays. More decided ones are left alone. Nothing is remembered between steps.
 */
#ifndef MIXQ_SEARCH_ANNEAL_H
#define MIXQ_SEARCH_ANNEAL_H

#include "net/params.h"
#include "search/search.h"

typedef struct mq_anneal {
    bool on;
    double from; /* part of the run, 0..1, until which entropies are free */
    double to;   /* part of the run from which on the bound is `entropy` */
    double entropy;
} mq_anneal;

/* Of 1 = undecided, 0 = decided: the bound after part `done` of the run; it falls linearly. */
double mq_anneal_bound(const mq_anneal *anneal, double done);
/* logits float32 [MQ_BRANCHES], changed to mean 0 where they are sharpened. Equal logits stay. */
void mq_anneal_logits(float *logits, double bound);
/* All layers that are searched and not fixed. */
void mq_anneal_model(const mq_anneal *anneal, const mq_search *search, mq_model *model, double done);

#endif
