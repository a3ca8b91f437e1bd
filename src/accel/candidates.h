/* candidates.h - every way to build one layer that an allocation weighs.
 *
 * The candidates of a layer: each row of pieces (row_choices.h) and, where allowed, LUT multipliers; rows a
 * divisor of kernel_h; blocks, pe and simd the smallest of their fold, pe rounded up to the packing's output
 * channels, simd also to multiples that neighbours need; weights in block RAM or in LUTs; thresholds for up
 * to MQ_THRESHOLD_BITS output bits or where affine does not fit DSP slices, else affine with as few slices as
 * the steps allow. A candidate that another one of the same ports beats in cycles and every resource is
 * dropped. */
#ifndef MIXQ_ACCEL_CANDIDATES_H
#define MIXQ_ACCEL_CANDIDATES_H

#include "accel/allocate.h"
#include "accel/row_choices.h"

enum { MQ_THRESHOLD_BITS = 4 };

/* What a candidate asks of the beats that arrive, and what beats it sends. */
typedef struct mq_ports {
    int16_t word, share, npx; /* word channels of blocks of npx; share 0: beats of a divisor of word channels;
                                 else beats of share * word */
    int16_t pe, out_pixels;
} mq_ports;

typedef struct mq_candidate {
    mq_ports ports;
    int16_t row; /* of the choices; -1: LUT multipliers */
    int16_t simd, rows, blocks, chain, lanes;
    uint8_t requant, memory;
    int64_t cycles; /* of a frame, flush included */
    int32_t used[MQ_RESOURCES];
} mq_candidate;

typedef struct mq_candidates {
    int node;
    mq_layer_shape shape;
    mq_row_choices rows;
    int count;
    mq_candidate *item; /* sorted by ports; owned */
} mq_candidates;

typedef struct mq_candidate_limits {
    unsigned multipliers;
    mq_resources budget;
    mq_accel_fixed fixed; /* 0: free */
    bool all_beats;       /* every out_pixels, not the cheapest: somebody joins this stream */
} mq_candidate_limits;

mq_status mq_candidates_make(mq_pack_explorer *explorer, const mq_dsp *dsp, const mq_inet *net, int node,
                             const mq_candidate_limits *limits, mq_candidates *out,
                             mq_error *error) MQ_MUST_CHECK;
void mq_candidates_free(mq_candidates *candidates);
/* Whether beats of `channels` x `pixels` suit the ports. */
bool mq_ports_take(const mq_candidates *layer, const mq_ports *ports, const mq_stream *in);
/* The plan's layer. */
void mq_candidate_plan(const mq_candidates *layer, const mq_candidate *one, mq_plan_layer *out);

#endif
