/* sweep.h - a sweep: many searches and trainings of one network that together show accuracy against cost.
 *
 * A point is one way to find bits (a method with a price, a target or a width) under one seed; the bits it
 * finds are then trained as those of every other point. Points of one method and value under several seeds
 * are a group: mean and spread. Points and groups that no other beats in both numbers are a front. */
#ifndef MIXQ_SWEEP_SWEEP_H
#define MIXQ_SWEEP_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    MQ_SWEEP_POINTS = 4096,
    MQ_SWEEP_VALUES = 64, /* of one list */
    MQ_SWEEP_NAME = 64,
    MQ_SWEEP_BITS = 260, /* text of one network's bits */
    MQ_SWEEP_TEXT = 256
};

typedef enum mq_sweep_method {
    MQ_SWEEP_SEARCH,      /* the differentiable search, at a price or towards a target */
    MQ_SWEEP_PUBLISHED,   /* the same with the published table of factors and prices */
    MQ_SWEEP_SENSITIVITY, /* layer by layer, then a knapsack (search/sensitivity.h) */
    MQ_SWEEP_UNIFORM,     /* the same bits everywhere */
    MQ_SWEEP_METHODS
} mq_sweep_method;
extern const char *const mq_sweep_method_names[]; /* ends with NULL */

typedef enum mq_sweep_aim {
    MQ_AIM_PRICE,  /* cd */
    MQ_AIM_TARGET, /* millions of DSP operations */
    MQ_AIM_RATE,   /* frames a second on a device */
    MQ_AIM_BITS,   /* weights and activations */
    MQ_AIMS
} mq_sweep_aim;
extern const char
    *const mq_sweep_aim_names[]; /* "cd", "target_dsp_ops_M", "target_fps", "bits"; ends with NULL */

typedef struct mq_sweep_list {
    int count;
    double value[MQ_SWEEP_VALUES];
} mq_sweep_list;
/* "1e-5,3e-5" within low..high, strictly: no empty items, none twice. what: the option, for messages. */
mq_status mq_sweep_parse_list(const char *what, const char *text, double low, double high, mq_sweep_list *out,
                              mq_error *error) MQ_MUST_CHECK;

/* What the points are made of. */
typedef struct mq_sweep_plan {
    bool method[MQ_SWEEP_METHODS];
    mq_sweep_list prices;    /* of search; empty: it has targets or rates alone */
    mq_sweep_list published; /* prices of published */
    mq_sweep_list targets;   /* of search */
    mq_sweep_list rates;     /* of search */
    mq_sweep_list budgets;   /* targets of sensitivity */
    mq_sweep_list widths;    /* of uniform */
    uint64_t seed;           /* the first */
    int seeds;
} mq_sweep_plan;
/* "search,uniform" into plan->method; an unknown word names the nearest. */
mq_status mq_sweep_parse_methods(const char *text, mq_sweep_plan *plan, mq_error *error) MQ_MUST_CHECK;

/* How far a point has come. */
typedef enum mq_sweep_stage {
    MQ_STAGE_NEW,
    MQ_STAGE_SEARCHED, /* it has bits */
    MQ_STAGE_TRAINED,
    MQ_STAGE_FAILED, /* diverged; `failure` says how */
    MQ_STAGES
} mq_sweep_stage;
extern const char *const mq_sweep_stage_names[]; /* "new", "searched" ...; ends with NULL */

typedef struct mq_sweep_point {
    char name[MQ_SWEEP_NAME]; /* of its folder: "search-cd3e-05-seed0" */
    mq_sweep_method method;
    mq_sweep_aim aim;
    double value;
    uint64_t seed;
    /* the result so far; NaN: not known */
    mq_sweep_stage stage;
    char bitw[MQ_SWEEP_BITS], bita[MQ_SWEEP_BITS];
    double dsp_ops_M;
    double searched;      /* quality of the mixed network after the search */
    double predicted;     /* sensitivity: the sum of loss increases */
    double quality, best; /* of the trained network: last and best epoch */
    double cycles, fps;   /* on the sweep's device; 0: too small */
    int searched_epochs;  /* spent before main training, pre-training of this seed included */
    char failure[MQ_SWEEP_TEXT];
} mq_sweep_point;

typedef struct mq_sweep {
    int count;
    mq_sweep_point *point; /* owned */
} mq_sweep;

/* Method by method, value by value, seed by seed. */
mq_status mq_sweep_make(const mq_sweep_plan *plan, mq_sweep *out, mq_error *error) MQ_MUST_CHECK;
void mq_sweep_free(mq_sweep *sweep);

/* Points of one method, aim and value that are trained. Spread: sample standard deviation, 0 of one seed. */
typedef struct mq_sweep_group {
    mq_sweep_method method;
    mq_sweep_aim aim;
    double value;
    int first; /* its first point */
    int seeds; /* trained */
    int best;  /* its point of highest quality */
    double quality, quality_spread, lowest, highest, best_quality;
    double dsp_ops_M, dsp_ops_spread;
    double cycles, cycles_spread, fps; /* NaN without a device */
    bool front;                        /* among the groups of all methods */
} mq_sweep_group;

/* Groups of trained points in order of the points; release with mq_free. */
mq_status mq_sweep_groups(const mq_sweep *sweep, mq_sweep_group **out, int *count,
                          mq_error *error) MQ_MUST_CHECK;

/* Whether no item of the same kind beats item i: as cheap and as good, and one of both strictly, or equal and
 * earlier. Items with NaN are beaten by all. cost, quality, kind [count]. */
bool mq_sweep_unbeaten(const double *cost, const double *quality, const int *kind, int count, int i);

/* Whether main training of point i is to come (front: only for searches that no other search of the method
 * and seed beats). *waits: searches that must be finished before this is known. */
bool mq_sweep_to_train(const mq_sweep *sweep, int i, bool front, int *waits);

#endif
