/* stage.h - the geometry of one layer's hardware stage: what its plan makes of it, in pixels, steps and
 * cycles. Estimate, allocation and generator all count with these numbers (docs/accelerator.md). */
#ifndef MIXQ_ACCEL_STAGE_H
#define MIXQ_ACCEL_STAGE_H

#include "inet/inet_plan.h"

/* The beats of a connection: frames row by row, channel group by channel group, from left to right. */
typedef struct mq_stream {
    int h, w, c;          /* of a frame */
    int channels, pixels; /* of a beat */
    int bits;
    bool is_signed;
} mq_stream;

static inline int64_t mq_stream_row_beats(const mq_stream *s) {
    return (int64_t)((s->c + s->channels - 1) / s->channels) * ((s->w + s->pixels - 1) / s->pixels);
}
static inline int64_t mq_stream_beats(const mq_stream *s) { /* of a frame */
    return s->h * mq_stream_row_beats(s);
}

typedef struct mq_stage {
    bool depthwise, linear;
    int kernel_h, kernel_w;
    int pad_top, pad_left, pad_bottom, pad_right;
    int in_h, in_w, in_c; /* linear: 1 x 1 x channels of all beats of a frame, padding included */
    int out_h, out_w, out_c;
    int weight_groups;   /* output channels of one slice; 1 for LUT multipliers */
    int pieces;          /* slices of a kernel row; LUT multipliers: kernel_w */
    int activations;     /* pixels of one packing; LUT multipliers: 1 */
    int npx;             /* pixels of a block: activations * blocks */
    int lead;            /* coefficients of a row's first block that belong before its first pixel */
    int in_blocks;       /* blocks of an input row */
    int groups;          /* of pe output channels (depthwise: of channels) */
    int steps;           /* cycles of a block */
    int64_t cycles;      /* of a frame, without flush */
    int64_t flush;       /* cycles more per frame: the block that completes the last border */
    int64_t multipliers; /* slices, or LUT multiplications, at work in every cycle */
    int64_t products;    /* useful multiplications of a frame */
} mq_stage;

/* in: the stream that arrives. MQ_BAD_INPUT names the layer and what no stage is built for: strides, groups
 * that are not depthwise, simd or pe that the stream or the packing cannot have. */
mq_status mq_stage_make(const mq_inet *net, const mq_plan_layer *layer, const mq_stream *in, mq_stage *out,
                        mq_error *error) MQ_MUST_CHECK;

/* Words of the ring that a beat of `in` falls into, written one a cycle; 1 where it is no wider than a word.
 */
int mq_stage_parts(const mq_plan_layer *layer, const mq_stage *stage, const mq_stream *in);
/* Cycles that writing a frame into the ring takes. */
int64_t mq_stage_writes(const mq_plan_layer *layer, const mq_stage *stage, const mq_stream *in);

#endif
