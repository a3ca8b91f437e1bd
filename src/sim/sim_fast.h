/* sim_fast.h - a network prepared for the fast engine, and the memory it runs in.
 *
 * Codes are uint8 [row][column][channel] with as many zero rows and columns around as the layers that read
 * them pad, so that a layer never asks where it is; accumulators that somebody reads are int32. A layer and
 * the requantisation that alone reads it run as one, tile by tile; so do, where the codes are many, these two
 * and the max pool behind. Nodes that do not fit (codes beyond 8 bits, sums beyond 32) run through the
 * reference. */
#ifndef MIXQ_SIM_SIM_FAST_H
#define MIXQ_SIM_SIM_FAST_H

#include "base/memory.h"
#include "sim/fast_kernels.h"
#include "sim/sim_reference.h"

/* What is stored: with a visitor everything is, for one image in rows on several threads no pool is fused. */
typedef enum mq_fast_level {
    MQ_FAST_ALL,
    MQ_FAST_LAYERS,
    MQ_FAST_POOLS,
    MQ_FAST_LEVELS_OF_FUSION
} mq_fast_level;

typedef enum mq_fast_type { MQ_FAST_CODES, MQ_FAST_INT32, MQ_FAST_INT64 } mq_fast_type;

typedef struct mq_fast_edge {
    mq_fast_type type;
    int zero;                     /* MQ_FAST_CODES: how code 0 is stored: 0, or 128 for signed codes */
    int top, left, bottom, right; /* zeros around */
    size_t pixel, row, origin;    /* bytes: of a pixel, of a row, before pixel (0, 0) */
    size_t bytes;                 /* of one image, slack included; a multiple of 64 */
} mq_fast_edge;

/* Up to 4 blocks of 16 successive output channels of one group. */
typedef struct mq_fast_super {
    int channel, channels;
    mq_fast_dot dot;    /* CONV, LINEAR */
    mq_fast_rule *rule; /* REQUANT: [blocks] */
    ptrdiff_t input;    /* CONV: bytes from a pixel to the group's channels */
} mq_fast_super;

typedef struct mq_fast_node {
    mq_fast_edge edge;
    bool slow;           /* runs through the reference */
    mq_fast_level fused; /* runs as part of its only reader at this level and above; 0: never */
    int super_count;
    mq_fast_super *super;
    bool depthwise;
    int stride_h, stride_w, pad_top, pad_left; /* CONV, LINEAR */
    uint8_t *code;                             /* RESCALE: [256] by stored code */
    size_t offset[MQ_FAST_LEVELS_OF_FUSION];   /* of the edge in an image's memory */
} mq_fast_node;

typedef struct mq_fast {
    const mq_inet *net;
    const mq_fast_kernels *kernels;
    mq_fast_node *node;
    size_t memory[MQ_FAST_LEVELS_OF_FUSION]; /* bytes of one image */
    size_t scratch;                          /* bytes of the rows before a fused pool */
    size_t largest;                          /* elements of the largest edge */
    bool slow;                               /* some node is */
    mq_sim_reference reference;              /* for the slow nodes */
    mq_arena *arena;
} mq_fast;

/* One thread's memory: several images beside each other. */
typedef struct mq_fast_work {
    mq_fast_level level;
    uint8_t *memory;  /* [images][memory[level]] */
    uint8_t *scratch; /* [scratch] */
    int64_t *seen;    /* [largest] codes for the visitor */
    mq_sim_work reference;
} mq_fast_work;

/* A piece of a node's work: images of the thread's memory, rows of the result, supers. */
typedef struct mq_fast_part {
    size_t image, image_end;
    int row, row_end, super, super_end;
} mq_fast_part;

/* fast_plan.c: everything but the kernels' table; f->net and f->kernels are set. */
mq_status mq_fast_prepare(mq_fast *f, mq_error *error) MQ_MUST_CHECK;
/* fast_rule.c: the rules of a REQUANT's channels channel..channel+channels-1, in blocks of 16. */
mq_status mq_fast_make_rules(mq_fast *f, int n, mq_fast_super *super, mq_error *error) MQ_MUST_CHECK;

/* Channel c of a stored pixel. */
static inline int64_t mq_fast_code(const mq_fast_edge *edge, const uint8_t *pixel, size_t c) {
    switch (edge->type) {
    case MQ_FAST_CODES:
        return pixel[c] - edge->zero;
    case MQ_FAST_INT32:
        return ((const int32_t *)pixel)[c];
    default:
        return ((const int64_t *)pixel)[c];
    }
}

static inline bool mq_fast_is_fused(const mq_fast *f, int n, mq_fast_level level) {
    return f->node[n].fused && level >= f->node[n].fused;
}
/* Of node n, of an image of the thread's; int32 and int64 elements are aligned. */
static inline uint8_t *mq_fast_memory(const mq_fast *f, const mq_fast_work *work, int n, size_t image) {
    return work->memory + image * f->memory[work->level] + f->node[n].offset[work->level];
}

/* fast_nodes.c: runs a part of node n. Whoever calls makes the zeros around first. */
void mq_fast_run_node(const mq_fast *f, mq_fast_work *work, int n, const mq_sim_batch *batch, size_t first,
                      const mq_fast_part *part);
void mq_fast_put_zeros(const mq_fast *f, const mq_fast_work *work, int n, size_t image, size_t image_end);
/* fast_codes.c: an edge's codes as numbers [h][w][c] and back, one image. */
void mq_fast_get_codes(const mq_fast *f, int n, const uint8_t *memory, int64_t *codes);
void mq_fast_set_codes(const mq_fast *f, int n, uint8_t *memory, const int64_t *codes);

#endif
