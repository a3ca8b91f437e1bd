/* hls_net.h - an integer network as the stages of its HLS accelerator: which nodes make a stage, what streams
 * join them, how wide every number must be. Stages, beats, blocks: docs/accelerator.md. */
#ifndef MIXQ_GEN_HLS_NET_H
#define MIXQ_GEN_HLS_NET_H

#include "accel/stage.h"

enum {
    MQ_HLS_ID = 80,          /* characters of a C++ name, with the final 0 */
    MQ_HLS_PARTITION = 1024, /* elements of an array that may be split into registers */
    MQ_HLS_WORD = 4096,      /* bits of an ap_int */
    MQ_HLS_POOL_BEATS = 8,   /* least of a pooled row: turns between write and read of one address */
    MQ_HLS_HEAD_BITS = 32
};

typedef struct mq_hls_stage {
    int node;                              /* IMAGE, CONV, LINEAR, MAX_POOL, REORG, CONCAT or RESCALE */
    int result;                            /* node whose codes leave: a layer's REQUANT, else `node` */
    char id[MQ_HLS_ID];                    /* unique name in C++, from the node's name */
    int inputs, input[MQ_INET_MAX_INPUTS]; /* stages before it */
    int readers;                           /* stages that read it */
    mq_stream out;
    int beside; /* a further REQUANT of a layer (consumers of other bits): that layer's stage, which drives
                   it; else -1 */
    /* of a layer: */
    const mq_plan_layer *layer; /* NULL for other kinds */
    mq_stage shape;
    bool head;      /* accumulators leave */
    int acc_bits;   /* of its accumulators, without their constant */
    int64_t *left;  /* [kernel_w - 1][channels of all groups] contribution of the columns before the image */
    int64_t *right; /* [lead][...] of those after it */
    int64_t *constant; /* [...] what an accumulator lacks: zero * sum of weights, and the bias */
} mq_hls_stage;

typedef struct mq_hls_net {
    const mq_inet *net;
    const mq_inet_plan *plan;
    int count;
    mq_hls_stage *stage; /* [count], in order of execution; the last is the head */
    mq_arena *arena;
} mq_hls_net;

static inline bool mq_hls_is_layer(const mq_hls_stage *s) {
    return s->layer && s->beside < 0;
}

/* net, plan: borrowed. MQ_BAD_INPUT names the layer and what no stage is built for. */
mq_status mq_hls_net_create(const mq_inet *net, const mq_inet_plan *plan, mq_hls_net **out,
                            mq_error *error) MQ_MUST_CHECK;
void mq_hls_net_free(mq_hls_net *h); /* NULL is fine */

/* Weight of a layer as its stage sees it: output channel, input channel of the word (a linear layer: in the
 * order of the beats), kernel row, tap. 0 where there is none. */
int mq_hls_weight(const mq_hls_net *h, const mq_hls_stage *s, int out, int channel, int ky, int kx);
/* Zero point of a layer's activations. */
int mq_hls_zero(const mq_hls_stage *s);
/* Channels of all groups, padding included. */
static inline int mq_hls_channels(const mq_hls_stage *s) {
    return s->shape.groups * s->layer->pe;
}
/* Depth of the FIFO between stages: the plan's, at least 2. Where paths meet again at least a frame: the
 * plan's depths are those of the Verilog, whose stages run less far behind each other. */
int64_t mq_hls_depth(const mq_hls_net *h, int from, int to);

#endif
