/* plan.h - how a whole kernel is computed: which packings, for which taps, for which bits of the operands,
 * and how many multiplications per slice and cycle that makes.
 *
 * The K x K taps of an output are covered by straight pieces, rows or columns (stride s: each of the s x s
 * phases by itself). A piece of k taps served by a packing with M products takes k/M slice cycles per output
 * pixel, so that mults = K*K / sum of the pieces' shares,  luts = shares-weighted mean of their LUTs. An
 * operand may be split into high and low bits; each part is then a piece of its own, with a packing of its
 * own. */
#ifndef MIXQ_PACK_PLAN_H
#define MIXQ_PACK_PLAN_H

#include "pack/solver.h"

enum { MQ_PACK_KERNEL = 31, MQ_PACK_PARTS = 24, MQ_PACK_BITS = 8 };

typedef struct mq_pack_request {
    mq_dsp dsp;
    int wbit, abit; /* 1..8 */
    int kernel;     /* 1..MQ_PACK_KERNEL */
    int stride;     /* 1..kernel */
    bool depthwise;
    bool symmetric;      /* weight codes without -2^(w-1) */
    mq_pack_class class; /* at most */
    int64_t cycles;      /* dot length accumulated inside the slice; 1 = outside */
    bool canary;         /* may accumulate past the windows by counting carries (mq_canary) */
    double lut_price; /* multiplications that one LUT is worth; < 0: the price of LUT multipliers, 0: LUTs are
                         free */
    const char *kinds; /* solvers, comma separated; NULL = all */
    int channels;      /* mq_pack_build: input channels of an output; 0 = MQ_BUILT_CHANNELS */
} mq_pack_request;

typedef struct mq_pack_part {
    const mq_packing *packing;          /* lives as long as the explorer */
    int taps, rows;                     /* of the piece */
    double count;                       /* such pieces in the kernel */
    double share;                       /* of the slice cycles; all parts add up to 1 */
    int weight_shift, activation_shift; /* the part's products count times 2^(their sum) */
    bool canary;                        /* accumulates past its windows, carries counted */
    double luts;                        /* per slice: repair, or the canaries for the request's cycles */
} mq_pack_part;

typedef struct mq_pack_plan {
    double mults; /* useful multiplications per slice and cycle */
    double luts;  /* per slice */
    double bound; /* the field bound of this cell and class: no layout of these kinds can pass it */
    mq_pack_class class;
    int64_t accumulations; /* the least of the parts */
    int parts;
    mq_pack_part part[MQ_PACK_PARTS]; /* by falling share */
} mq_pack_plan;

/* Remembers every shape it has solved. One thread. */
typedef struct mq_pack_explorer mq_pack_explorer;
mq_status mq_pack_explorer_create(mq_pack_explorer **out, mq_error *error) MQ_MUST_CHECK;
void mq_pack_explorer_free(mq_pack_explorer *explorer);

/* The plan with the largest (multiplications - lut_price * LUTs): a repair is used only where its LUTs buy
 * more multiplications than LUT multipliers of the same size. MQ_USAGE for a request out of range or without
 * solution. */
mq_status mq_pack_best(mq_pack_explorer *explorer, const mq_pack_request *request, mq_pack_plan *out,
                       mq_error *error) MQ_MUST_CHECK;

enum { MQ_PACK_PARETO = 32 };
/* The plans that no other beats in (multiplications, LUTs, accumulations), by rising LUTs, then falling
 * multiplications. The request's price, cycles and canary are ignored; its class is the limit. */
mq_status mq_pack_pareto(mq_pack_explorer *explorer, const mq_pack_request *request,
                         mq_pack_plan out[MQ_PACK_PARETO], int *count, mq_error *error) MQ_MUST_CHECK;

/* "filter", or "filter+kernel split" ...: the kinds of the parts. */
void mq_pack_plan_kind(const mq_pack_plan *plan, char *out, size_t size);
/* Whether an operand is split. */
bool mq_pack_plan_splits(const mq_pack_plan *plan);

/* bound.c: the largest product count whose fields, at their least distances, fit (port1 - w) + (port2 - a)
 * bits above the lowest field, for filter pieces of 1..taps taps in any number of groups. */
int mq_pack_field_bound(const mq_dsp *dsp, mq_span weight, mq_span activation, int taps, mq_pack_class class);
/* The same for two-dimensional pieces: rows x columns of taps against h x w pixels, each at least 2, have
 * (rows+h-1)*(columns+w-1) fields at one distance, which the middle ones decide. 0 = none fits. */
int mq_pack_area_bound(const mq_dsp *dsp, mq_span weight, mq_span activation, int taps, mq_pack_class class);
/* mixq's weight codes of w bits. */
mq_span mq_pack_weight_codes(int wbit, bool symmetric);
mq_span mq_pack_activation_codes(int abit);

#endif
