/* pipeline.h - all stages of an accelerator and the streams between them, from a network and its plan.
 *
 * One entry per node of the network. A CONV or LINEAR and the REQUANTs that read it are one piece of
 * hardware: the REQUANT's entry is that stage's output. Several REQUANTs of one layer (consumers of different
 * bits) stand side by side behind its accumulators.
 *
 * What streams become (docs/accelerator.md, "Streams between stages"): max pool keeps channels, pixels /
 * kernel (1 stays 1); reorg keeps channels, which divide those of its input, pixels / 2 (1 stays 1); concat
 * needs one beat for all inputs, its channels dividing those of every input but the last. */
#ifndef MIXQ_ACCEL_PIPELINE_H
#define MIXQ_ACCEL_PIPELINE_H

#include "accel/stage.h"

typedef struct mq_pipeline_stage {
    mq_stream out;              /* of a CONV or LINEAR that is requantised: the beats its requantisers see */
    mq_stage stage;             /* CONV, LINEAR */
    const mq_plan_layer *layer; /* borrowed from the plan; NULL for other nodes */
    int64_t cycles;             /* of a frame, at the stage's own speed: what bounds the steady interval */
} mq_pipeline_stage;

typedef struct mq_pipeline {
    const mq_inet *net;
    const mq_inet_plan *plan; /* both borrowed */
    int count;                /* net->node_count */
    mq_pipeline_stage *stage; /* [count]; owned */
    int slowest;              /* node */
} mq_pipeline;

/* MQ_BAD_INPUT names the node and what does not divide, or what no stage is built for. */
mq_status mq_pipeline_make(const mq_inet *net, const mq_inet_plan *plan, mq_pipeline *out,
                           mq_error *error) MQ_MUST_CHECK;
/* Cycles from a block's last step to its first beat, at most: cascade, trees, requantiser. */
int mq_pipeline_latency(const mq_plan_layer *layer);
/* Beats that the FIFO behind a layer's requantiser must hold, so that credits never stop it: what is on its
 * way while the next blocks are worked on. A power of two, at least 32. */
int mq_pipeline_fifo(const mq_plan_layer *layer, const mq_stage *stage);

void mq_pipeline_free(mq_pipeline *pipeline);

/* What a node that is no layer makes of its inputs' beats. in[input_count]. */
mq_status mq_pipeline_move(const mq_inet *net, int node, const mq_stream *in, mq_stream *out,
                           mq_error *error) MQ_MUST_CHECK;
/* Beats of the input image. */
mq_stream mq_pipeline_image(const mq_inet *net, int in_pixels);

#endif
