/* choice_graph.h - all ways to build the whole network within a number of cycles, as layers of states.
 *
 * Nodes of the network are taken in order. A state after node t says what beats every stream has that is
 * still to be read. A layer's candidates lead from states whose beats suit their ports to states with their
 * own beats; other nodes lead from each state to one other. Candidates with the same demands and beats are a
 * cell; in a cell only those are kept that no other beats.
 */
#ifndef MIXQ_ACCEL_CHOICE_GRAPH_H
#define MIXQ_ACCEL_CHOICE_GRAPH_H

#include "accel/candidates.h"

enum { MQ_CHOICE_LIVE = 8 }; /* streams that wait at once */

typedef struct mq_choice_item {
    int32_t candidate; /* of the layer */
    int32_t used[MQ_RESOURCES];
} mq_choice_item;

typedef struct mq_choice_cell {
    int class, out, first, count; /* items */
} mq_choice_cell;

typedef struct mq_choice_arc { /* of a node that is no layer: cost by target state is not unique, so by arc */
    int from, to;
    mq_resources used;
} mq_choice_arc;

typedef struct mq_choice_step {
    int node, layer;                      /* layer: index of the candidates, -1 for others */
    int live_count, live[MQ_CHOICE_LIVE]; /* nodes whose streams are live after this step */
    int states;
    int16_t (*state)[MQ_CHOICE_LIVE]; /* [states] keys of the live streams */
    /* a node that is no layer */
    int arcs;
    mq_choice_arc *arc;
    /* a layer; state number = rest * outs + out */
    int rests, inputs, classes, outs, cells, items;
    int *rest_of, *input_of; /* [states before] */
    uint8_t *takes;          /* [classes][inputs] */
    mq_choice_cell *cell;    /* sorted by class */
    mq_choice_item *item;
} mq_choice_step;

typedef struct mq_choice_graph {
    int64_t cycles;
    int keys;
    int16_t (*key)[2]; /* channels, pixels of a beat */
    int count;         /* net->node_count */
    mq_choice_step *step;
    int stuck; /* node after which no state is left, -1: none */
    mq_arena *arena;
} mq_choice_graph;

/* candidates: [layers], in node order. Everything at most `cycles` slow. */
mq_status mq_choice_graph_make(const mq_inet *net, const mq_candidates *candidates, int layers,
                               int64_t cycles, const mq_resources *budget, mq_choice_graph *out,
                               mq_error *error) MQ_MUST_CHECK;
void mq_choice_graph_free(mq_choice_graph *graph);

#endif
