/* hls_layers.h - an integer network as the published headers see it: a row of layers. Internal to gen. */
#ifndef MIXQ_GEN_HLS_LAYERS_H
#define MIXQ_GEN_HLS_LAYERS_H

#include "inet/inet.h"

typedef struct mq_hls_layer {
    const mq_inet_node *node; /* CONV or LINEAR */
    const mq_inet_edge *in;
    const mq_inet_node *requant;      /* NULL for the head */
    const mq_inet_edge *accumulators; /* what the requant reads */
    int weight_bits;
    int l_shift;          /* where there is a requant: 0 or more, */
    int doubled;          /* for which inc and bias were doubled so often: the same codes */
    const int8_t *weight; /* as in the node */
    const int64_t *bias;  /* the head's, or NULL */
} mq_hls_layer;

enum { MQ_HLS_LINEAR_LANES = 2, MQ_HLS_LINEAR_GROUP = 8 };

/* layers[MQ_INET_MAX_NODES]; refuses (MQ_USAGE) a network that the headers cannot express. */
mq_status mq_hls_layers_collect(const mq_inet *net, mq_hls_layer *layers, int *count,
                                mq_error *error) MQ_MUST_CHECK;

#endif
