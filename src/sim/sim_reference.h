/* sim_reference.h - what the reference engine's files share: a prepared network and one image's working
 * memory. Plain loops over the definition (inet.h): the oracle of the other engines, which also run the nodes
 * they have no kernel for through it. */
#ifndef MIXQ_SIM_SIM_REFERENCE_H
#define MIXQ_SIM_SIM_REFERENCE_H

#include <stdbool.h>

#include "sim/sim_internal.h"

/* A CONV, or a LINEAR seen as a convolution whose kernel covers its whole input. */
typedef struct mq_sim_layer {
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, groups;
    size_t taps;     /* weights per output: kernel_h*kernel_w*(ic/groups) */
    int16_t *weight; /* [oc][kernel_h][kernel_w][ic/groups] */
    const int64_t *bias;
    bool fits_int32; /* every partial sum of every output */
} mq_sim_layer;

typedef struct mq_sim_reference {
    const mq_inet *net;
    mq_sim_layer *layer;  /* [node]; unused for other kinds */
    size_t *offset;       /* [node] of its edge in mq_sim_work.memory */
    size_t memory, patch; /* elements of the two arrays below */
    mq_arena *arena;
} mq_sim_reference;

/* One image's working memory. Edges share it: a node's codes live until the last node that reads them has
 * run. */
typedef struct mq_sim_work {
    int64_t *memory;
    int16_t *patch; /* [groups][kernel_h][kernel_w][ic/groups]: what one output pixel sees */
    const uint8_t *image;
    mq_sim_layout layout;
} mq_sim_work;

static inline int64_t *mq_sim_codes(const mq_sim_reference *sim, const mq_sim_work *work, int node) {
    return work->memory + sim->offset[node];
}
static inline const mq_inet_edge *mq_sim_edge(const mq_sim_reference *sim, int node) {
    return &sim->net->nodes[node].edge;
}

/* Gives every node's codes a place in mq_sim_work.memory: sets offset[] and memory. */
mq_status mq_sim_place_edges(mq_sim_reference *sim, mq_error *error) MQ_MUST_CHECK;

/* Prepares the weights of node n (CONV, LINEAR). */
mq_status mq_sim_layer_prepare(mq_sim_reference *sim, int n, mq_error *error) MQ_MUST_CHECK;

/* All images of a batch, node after node, for engines that run some nodes themselves: `node` computes node n
 * into its place in work; a failure names node and image. */
typedef mq_status (*mq_sim_run_node)(const void *engine, const mq_sim_reference *sim, int n,
                                     mq_sim_work *work, mq_error *error);
mq_status mq_sim_reference_over(const mq_sim_reference *sim, const void *engine, mq_sim_run_node node,
                                const mq_sim_batch *batch, mq_error *error) MQ_MUST_CHECK;
/* Node n by its definition. */
void mq_sim_reference_node(const mq_sim_reference *sim, int n, mq_sim_work *work);

int64_t mq_sim_rescale(const mq_inet_rescale *rescale, int64_t code);

/* One function per kind: computes the codes of node n from those of its inputs. */
#define MQ_SIM_DECLARE(id, name, least, most)                                                                \
    void mq_sim_run_##id(const mq_sim_reference *sim, int n, mq_sim_work *work);
MQ_INET_KINDS(MQ_SIM_DECLARE)
#undef MQ_SIM_DECLARE

#endif
