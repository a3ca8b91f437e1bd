/* target.h - a search that ends at a cost: the price as a controlled multiplier.
 *
 * The constraint is log(C/T) = 0, C the cost in expectation over the softmaxes, T the target. Its multiplier
 * lambda takes the place of a price: the alphas get lambda * d log C. It follows a PI controller, as the
 * multiplier of an augmented Lagrangian does (Platt and Barr, "Constrained differential optimization", 1987):
 *
 *   lambda = I + P,  P = gain * (e + lead),  I += gain * e / (4*settle) per update,
 *   gain = (1 - momentum) / (rate * |d log C|^2 * settle)
 *
 * e = log(C/T) against the middle of the window that the choice must end in. An update with rate and momentum
 * of the alphas moves log C by -rate/(1 - momentum) * lambda * |d log C|^2 in the end: with that gain a
 * deviation goes by 1/settle per update whatever the network, the rates and the length of the run are; lead
 * = momentum/(1 - momentum) updates' change of e, what momentum will still do. No alpha is moved by more than
 * `most_move` an update; a multiplier that is cut by this does not integrate.
 *
 * The choice of a search is its most likely one in the window [(1 - tolerance)*T, T] (knapsack.h): what the
 * largest alphas cost lies apart from it by the steps of bits only, once entropies are low (anneal.h). */
#ifndef MIXQ_SEARCH_TARGET_H
#define MIXQ_SEARCH_TARGET_H

#include "search/knapsack.h"

/* Alphas of one layer, float32 [MQ_BRANCHES] each; borrowed. */
typedef struct mq_target_alphas {
    float *weight, *activation;
    float *weight_grad, *activation_grad; /* added to; may be NULL where only values are read */
    bool fixed;                           /* get no gradient */
} mq_target_alphas;

/* What a resumed run needs: numbers only. */
typedef struct mq_target_state {
    double cost;       /* T, in the unit of the choices */
    double integral;   /* I */
    double multiplier; /* lambda of the last update */
    double deviation;  /* e of the last update */
    double updates;    /* done */
} mq_target_state;
enum { MQ_TARGET_NUMBERS = sizeof(mq_target_state) / sizeof(double) };

typedef struct mq_cost_target {
    double tolerance;     /* 0.03 */
    double settle;        /* updates */
    double most_move;     /* of an alpha, per update */
    mq_knapsack *choices; /* costs by layer; borrowed; its values are overwritten */
    mq_target_state state;
} mq_cost_target;

/* The defaults for a run of so many updates. */
void mq_target_start(mq_cost_target *target, mq_knapsack *choices, double cost);
void mq_target_length(mq_cost_target *target, uint64_t updates);
/* Alphas that are all equal (a search that begins) become strength * log(bits): without it the slope of the
 * cost alone would decide about layers that cost little, and against bits that are nearly free. */
void mq_target_prior(const mq_target_alphas *alphas, int count, double strength);
/* alphas: [choices->count]. rate, momentum: of the alphas in this update. Returns lambda * log(C/T), what the
 * loss grows by. */
double mq_target_add_gradients(mq_cost_target *target, const mq_target_alphas *alphas, double rate,
                               double momentum);
/* After the alphas were sharpened: moves them along the slope of the cost until C is `mixed`, what it was
 * before, or 1/settle of the way from there to the target. No alpha moves by more than 1. */
void mq_target_hold(const mq_cost_target *target, const mq_target_alphas *alphas, double mixed);
/* C. */
double mq_target_mixed(const mq_cost_target *target, const mq_target_alphas *alphas);
/* The most likely choice within the window; else the nearest below; else found = false. */
mq_status mq_target_choose(mq_cost_target *target, const mq_target_alphas *alphas, mq_knapsack_choice *out,
                           mq_error *error) MQ_MUST_CHECK;
/* Values of the choices: logarithms of the probabilities. */
void mq_target_likelihood(mq_knapsack *choices, const mq_target_alphas *alphas);
/* The alphas of a model, by layer of the cost model: out [cost.count]. */
void mq_target_alphas_of(const mq_search *search, mq_model *model, mq_target_alphas *out);

#endif
