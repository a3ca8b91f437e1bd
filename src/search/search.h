/* search.h - the hardware price of a search network as a part of its loss.
 *
 * total = task loss + cd*complexity + cdt*trivial + bd*bram (cost.h), over the softmaxes of the alphas. The
 * trainer calls mq_search_add_gradients after every backward pass; the alphas' gradients of the task loss are
 * already there. */
#ifndef MIXQ_SEARCH_SEARCH_H
#define MIXQ_SEARCH_SEARCH_H

#include "ops/model.h"
#include "search/cost.h"

typedef struct mq_search_prices {
    double complexity, trivial, bram; /* cd, cdt, bd (detection: already times 4) */
} mq_search_prices;

/* A layer whose bits are fixed by the user during a search. */
typedef struct mq_search_fix {
    bool fixed[MQ_MAX_LAYERS];
    int8_t weight[MQ_MAX_LAYERS], activation[MQ_MAX_LAYERS]; /* 2..8 */
} mq_search_fix;
/* text: "conv0=w8a8,conv3=w4a4". Unknown layers name the nearest. */
mq_status mq_search_parse_fix(const mq_net *net, const char *text, mq_search_fix *out,
                              mq_error *error) MQ_MUST_CHECK;

typedef struct mq_search {
    mq_cost_model cost;
    mq_search_prices prices;
    mq_search_fix fix;
} mq_search;

/* Cost terms before the update; adds their gradients to the alphas' gradients. Alphas of fixed layers get
 * none. */
mq_cost_losses mq_search_add_gradients(const mq_search *search, mq_model *model);
/* The same terms without gradients. */
mq_cost_losses mq_search_terms(const mq_search *search, mq_model *model);
/* Sets the alphas of fixed layers so that the softmax chooses their bits alone. */
void mq_search_apply_fix(const mq_search *search, mq_model *model);
/* How decided a layer is: entropy of its softmaxes in bits (0 = decided, log2 7 = 2.81 undecided). */
void mq_search_entropy(mq_model *model, int layer, double *weight, double *activation);

#endif
