/* choice_search.h - the best way through a choice graph that stays within a budget.
 *
 * Shortest paths under prices of the resources (Lagrangian relaxation, subgradient steps) give bounds and,
 * most often, the answer, the more so as each way's items are exchanged for others that suit the same
 * neighbours. What they leave open is decided by fronts of resource vectors from the end, cut by the bounds:
 * first of the two scarcest resources, then exactly. */
#ifndef MIXQ_ACCEL_CHOICE_SEARCH_H
#define MIXQ_ACCEL_CHOICE_SEARCH_H

#include "accel/choice_graph.h"

enum { MQ_CHOICE_ROUNDS = 60, MQ_CHOICE_WORK = 2000000000 };

typedef struct mq_choice_result {
    bool found;
    int in_pixels;
    int32_t *candidate; /* [layers]; owned */
    mq_resources used;
    double price;    /* sum of used shares of the budget */
    double bound;    /* no way has a smaller price (optimise), or > 0: proof that none fits */
    int64_t vectors; /* of the exact part, 0: not needed */
    bool undecided;  /* the exact part stopped after MQ_CHOICE_WORK comparisons: there may be a way */
} mq_choice_result;

/* optimise: a way of small price, by relaxation alone (`bound` says how far from the least); not found does
 * not mean that there is none. Else any way that fits, exactly. rounds of relaxation, at least 1
 * (MQ_CHOICE_ROUNDS): fewer leave more to the exact part. */
mq_status mq_choice_search(const mq_choice_graph *graph, int layers, const mq_resources *budget,
                           bool optimise, int rounds, mq_choice_result *out, mq_error *error) MQ_MUST_CHECK;
void mq_choice_result_free(mq_choice_result *result);

/* The least of one resource that any way needs. */
mq_status mq_choice_least(const mq_choice_graph *graph, int layers, mq_resource resource, int64_t *out,
                          mq_error *error) MQ_MUST_CHECK;

#endif
