/* knapsack.h - the best bits of all layers within a limit: the multiple-choice knapsack.
 *
 * One choice (weight bits, activation bits) per layer; maximise the sum of values subject to
 * floor <= sum of costs <= limit. Exact: states of a dynamic program over the layers (of equal cost only the
 * best, dominated ones dropped), of which those are kept whose bound by linear programming (Sinha and
 * Zoltners, "The multiple-choice knapsack problem", 1979) exceeds the best choice known. A pass keeps the
 * most promising states only and is repeated with more of them until no state that was left out can matter.
 *
 * Costs count in units of 2^-50 of the largest sum, values in 1e-12 of the sum of their ranges: below that
 * nothing is told apart. */
#ifndef MIXQ_SEARCH_KNAPSACK_H
#define MIXQ_SEARCH_KNAPSACK_H

#include "search/search.h"

/* [weight bits - 2][activation bits - 2] */
typedef double mq_choice_table[MQ_BRANCHES][MQ_BRANCHES];

/* 100 kB: not for the stack. */
typedef struct mq_knapsack {
    int count;                            /* of layers */
    mq_choice_table value[MQ_MAX_LAYERS]; /* any; -INFINITY: this choice is not allowed */
    mq_choice_table cost[MQ_MAX_LAYERS];  /* finite, >= 0 */
} mq_knapsack;

typedef struct mq_knapsack_choice {
    bool found;                   /* there is one within the limits */
    int8_t weight[MQ_MAX_LAYERS]; /* 2..8, by layer of the knapsack */
    int8_t activation[MQ_MAX_LAYERS];
    double value, cost; /* sums */
    double bound;       /* no choice has a larger value: value itself, unless memory for the proof ran out
                           (millions of states; then found = false proves nothing if bound is finite) */
} mq_knapsack_choice;

#define MQ_SHARE_TIES 0.03
/* The layers of a cost model (mq_cost_model.layer) with their costs: shares of its device where it has one
 * (without pinned layers; with up to MQ_SHARE_TIES more for more bits, so that bits of the same stages are
 * told apart), else millions of DSP operations. Values 0; layers that are fixed allow their bits alone. fix
 * may be NULL. */
void mq_knapsack_price(mq_knapsack *knapsack, const mq_cost_model *cost, const mq_search_fix *fix);
/* Least and largest cost of the choices allowed. */
void mq_knapsack_range(const mq_knapsack *knapsack, double *least, double *most);
/* floor -INFINITY and limit INFINITY: none. MQ_INTERNAL: no layers, one without
 * a choice, costs or values that are not as above. */
mq_status mq_knapsack_solve(const mq_knapsack *knapsack, double floor, double limit, mq_knapsack_choice *out,
                            mq_error *error) MQ_MUST_CHECK;
/* The best choice of cost in [(1 - tolerance)*target, target]; where there is none, the best of those that
 * come nearest from below (within 1e-6 of the target); found = false: all cost more. */
mq_status mq_knapsack_near(const mq_knapsack *knapsack, double target, double tolerance,
                           mq_knapsack_choice *out, mq_error *error) MQ_MUST_CHECK;
/* Sets the layers of the cost model in bits that has pinned ones already. */
void mq_knapsack_bits(const mq_knapsack_choice *choice, const mq_cost_model *cost, mq_bits *bits);

#endif
