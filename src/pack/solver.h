/* solver.h - the search for packings: every kind of layout is one solver, one file, one row of the table.
 *
 * A solver gets a query (slice, operand ranges, class ...) and adds what it finds to a front, which keeps the
 * packings that no other beats in both multiplications and LUTs, for every piece of kernel they serve. */
#ifndef MIXQ_PACK_SOLVER_H
#define MIXQ_PACK_SOLVER_H

#include "pack/packing.h"

enum { MQ_PACK_TAPS = 7 }; /* most taps of one filter piece */

typedef struct mq_pack_query {
    mq_dsp dsp;
    mq_span weight, activation; /* activation.low is 0 */
    int taps;                   /* 1..MQ_PACK_TAPS: most taps of a filter piece */
    int groups; /* 0: as many output channels as fit; else the slice sees one channel (depthwise) and weight
                   groups are rows of its kernel, at most this many */
    mq_pack_class class;
    int64_t cycles; /* accumulations inside the slice */
} mq_pack_query;

/* One packing as a piece of a kernel: `taps` neighbouring taps, in `groups` weight groups. */
typedef struct mq_pack_piece {
    int taps, groups;
    mq_packing packing;
} mq_pack_piece;

typedef struct mq_pack_front {
    int count, room;
    mq_pack_piece *piece; /* sorted by groups (only when depthwise), taps, LUTs */
} mq_pack_front;

typedef struct mq_pack_solver {
    const char *kind;
    const char *what; /* one line */
    mq_status (*solve)(const struct mq_pack_solver *self, const mq_pack_query *query, mq_pack_front *front,
                       mq_error *error);
} mq_pack_solver;

extern const mq_pack_solver mq_solver_lanes, mq_solver_kernel, mq_solver_filter, mq_solver_interleaved;
extern const mq_pack_solver *const mq_pack_solvers[]; /* ends with NULL */

/* True when a packing with so many products and LUTs (at least) would change the front. */
bool mq_pack_front_wants(const mq_pack_front *front, const mq_pack_query *query, int taps, int groups,
                         int products, int luts);
/* Adds a finished packing, if wanted. */
mq_status mq_pack_front_add(mq_pack_front *front, const mq_pack_query *query, int taps, int groups,
                            const mq_packing *packing, mq_error *error) MQ_MUST_CHECK;
void mq_pack_front_free(mq_pack_front *front);

/* Runs the solvers named in kinds (comma separated; NULL = all). */
mq_status mq_pack_solve(const mq_pack_query *query, const char *kinds, mq_pack_front *front,
                        mq_error *error) MQ_MUST_CHECK;

/* nest.c: all layouts built by repeating a block at offsets, level by level. */
typedef struct mq_nest_rules {
    bool lanes;  /* levels that repeat the weights alone */
    bool blocks; /* levels that repeat the activations alone */
    bool filter; /* exactly one level in arithmetic progression on both ports: a piece of a convolution */
    bool both;   /* both kinds of repetition must occur (when not a filter) */
} mq_nest_rules;
mq_status mq_nest_search(const mq_pack_query *query, const char *kind, const mq_nest_rules *rules,
                         mq_pack_front *front, mq_error *error) MQ_MUST_CHECK;

#endif
