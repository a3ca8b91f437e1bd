/* choice_internal.h - what the two parts of the choice search share (inside of choice_search.c,
 * choice_fronts.c). */
#ifndef MIXQ_ACCEL_CHOICE_INTERNAL_H
#define MIXQ_ACCEL_CHOICE_INTERNAL_H

#include "accel/choice_search.h"
#include "base/memory.h"

enum { MQ_CHOICE_BOUNDS = 6 };

#define MQ_CHOICE_ROUNDING 1e-9

typedef double mq_price_vector[MQ_RESOURCES];

/* Cost to come of every state under one price. */
typedef struct mq_choice_bound {
    mq_price_vector price;
    double limit;  /* a way that fits costs at most this */
    double **come; /* [steps][states] */
} mq_choice_bound;

/* Of entry i: of[first[i]] .. of[first[i + 1] - 1]. */
typedef struct mq_listing {
    int32_t *first, *of;
} mq_listing;

typedef struct mq_choice_job {
    const mq_choice_graph *g;
    mq_listing *takers; /* [steps] of a layer's inputs: the classes that take them */
    mq_listing *rests;  /* [steps] of a layer's rests: the states before with it */
    const mq_resources *budget;
    mq_price_vector share; /* 1 / budget */
    bool optimise;
    int rounds;
    mq_arena *arena;
    double **come;
    int32_t **from, **item; /* state before; item of a layer, arc of others */
    double *class_best;     /* of one rest, [classes] */
    int32_t *class_from;
    double *cell_best;
    int32_t *cell_item;
    mq_choice_bound bound[MQ_CHOICE_BOUNDS];
    int bounds;
    bool scarce[MQ_RESOURCES]; /* the two that are priced most in the best bound */
    int32_t *way;              /* [steps] items of the way under hand */
    mq_choice_result *out;
    mq_error *error;
} mq_choice_job;

static inline double mq_cost32(const mq_price_vector p, const int32_t used[MQ_RESOURCES]) {
    double sum = 0;
    for (int i = 0; i < MQ_RESOURCES; i++) sum += p[i] * used[i];
    return sum;
}

static inline double mq_cost(const mq_price_vector p, const mq_resources *used) {
    double sum = 0;
    for (int i = 0; i < MQ_RESOURCES; i++) sum += p[i] * (double)used->of[i];
    return sum;
}

/* Fronts of resource vectors from the end, cut by the bounds. all: a proof when none is found. Else only the
 * scarce resources count in comparisons: far fewer vectors, and most often what fits in those fits in all. */
mq_status mq_choice_fronts(mq_choice_job *job, bool all) MQ_MUST_CHECK;

#endif
