/* net.h - the network graph: nodes in execution order, shapes, and the one table of operators.
 *
 * A network comes from a YAML description (docs/networks.md). One description serves float, search and fixed
 * precision; bit widths come as an overlay (bits.h). The reader puts an explicit activation node before every
 * convolution and linear layer: it is the quantiser of that layer's input (or ReLU in float), so a tensor
 * with two consumers is quantised once for each. Weighted layers (conv, linear) are numbered in file order.
 */
#ifndef MIXQ_NET_NET_H
#define MIXQ_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "quant/quant.h"
#include "tensor/real_input.h"
#include "tensor/tensor.h"

/* The one table of operators: X(id, name in files, least inputs, most inputs). Training, lowering, simulation
 * and generation build their tables from it, so an operator without a backend is known at build time. */
#define MQ_OPERATORS(X)                                                                                      \
    X(INPUT, "input", 0, 0)           /* the image, uint8 NHWC */                                            \
    X(ACTIVATION, "activation", 1, 1) /* quantiser of the next layer's input, or ReLU */                     \
    X(CONV, "conv", 1, 1)                                                                                    \
    X(LINEAR, "linear", 1, 1) /* flattens its input in channel, row, column order */                         \
    X(BATCH_NORM, "batch_norm", 1, 1)                                                                        \
    X(MAX_POOL, "max_pool", 1, 1)                                                                            \
    X(REORG, "reorg", 1,                                                                                     \
      1) /* space to depth: output channel (2*dy+dx)*C + c, as YOLOv2's reorg of stride 2 */                 \
    X(CONCAT, "concat", 2, 8)

typedef enum mq_op {
#define MQ_OP_ENUM(id, name, least, most) MQ_OP_##id,
    MQ_OPERATORS(MQ_OP_ENUM)
#undef MQ_OP_ENUM
        MQ_OPS
} mq_op;

const char *mq_op_name(mq_op op);

enum {
    MQ_MAX_INPUTS = 8,
    MQ_MAX_NODES = 512,
    MQ_MAX_LAYERS = 128, /* conv and linear */
    MQ_MAX_NAME = 48,
    MQ_MAX_ANCHORS = 16
};

/* How an activation node works in float mode; quantised it is the network's quantiser, or the image's. */
typedef enum mq_act_kind {
    MQ_ACT_RELU,
    MQ_ACT_RELU6,
    MQ_ACT_IMAGE /* the input image: code k >> (8-b), step 2^-b; float: k/256 */
} mq_act_kind;

typedef struct mq_conv_attr {
    int out_channels, in_channels;
    int kernel_h, kernel_w, stride, pad_h, pad_w, groups;
    bool bias;
} mq_conv_attr;

/* Weight [out_features][c][h][w] of the flattened input: stored [out_features][c*h*w]. */
typedef struct mq_linear_attr {
    int out_features, in_features;
    bool bias;
} mq_linear_attr;

typedef struct mq_pool_attr {
    int kernel, stride;
} mq_pool_attr;

typedef struct mq_act_attr {
    mq_act_kind kind;
    int layer;              /* the weighted layer whose input this is */
    bool is_signed, narrow; /* codes; only in networks of given quantisers */
} mq_act_attr;

typedef struct mq_node {
    mq_op op;
    char name[MQ_MAX_NAME]; /* unique: "conv0", "conv0.act", "bn0", "pool0" ... */
    int index;
    int input[MQ_MAX_INPUTS], input_count;
    int consumers; /* nodes that read the output; the network's output counts none */
    int h, w, c;   /* output shape of one image: rows, columns, channels */
    int layer;     /* number of the weighted layer (conv, linear), else -1 */
    union {
        mq_conv_attr conv;
        mq_linear_attr linear;
        mq_pool_attr pool; /* max_pool; reorg uses stride */
        mq_act_attr act;
    };
} mq_node;

/* A layer with weights: what bits are attached to. */
typedef struct mq_layer {
    int node;    /* its conv or linear node */
    int act;     /* its input's activation node */
    bool pinned; /* bits fixed by the description: no digit in bit strings, not searched */
    int pinned_weight_bits, pinned_activation_bits;
    bool weight_narrow; /* weight codes without -2^(b-1); only in networks of given quantisers */
} mq_layer;

typedef enum mq_task { MQ_TASK_CLASSIFICATION, MQ_TASK_DETECTION } mq_task;

typedef struct mq_net {
    char name[MQ_MAX_NAME];
    mq_task task;
    mq_quantizer
        quantizer; /* of all weights and, but for the image, all activations; not looked at if given */
    bool
        given; /* an imported network: quantisers and scales are numbers of the checkpoint (params.h), nothing
                * is trained, there are no batch norms and biases: each layer has a scale and an offset */
    bool real; /* given: the input is real numbers, see real_input; else pixels */
    mq_real_input real_input;
    int classes; /* classification: outputs; detection: object classes */
    int anchor_count;
    float anchor_w[MQ_MAX_ANCHORS], anchor_h[MQ_MAX_ANCHORS]; /* detection: pixels */
    int in_h, in_w, in_c;
    int node_count, layer_count, digit_count; /* digits: layers that are not pinned */
    mq_node *nodes;
    mq_layer layers[MQ_MAX_LAYERS];
    int output;   /* the last node */
    char *source; /* the description's text, stored in checkpoints so that they are self-contained */
} mq_net;

/* From a description. name stands in messages. */
mq_status mq_net_parse(const char *name, const char *text, size_t size, mq_net **out,
                       mq_error *error) MQ_MUST_CHECK;
/* MODEL of the command line: a built-in name or a path ending in .yaml; an unknown name lists the nearest. */
mq_status mq_net_open(const char *model, mq_net **out, mq_error *error) MQ_MUST_CHECK;
void mq_net_free(mq_net *net);

static inline const mq_node *mq_net_node(const mq_net *net, int index) {
    return &net->nodes[index];
}
static inline const mq_node *mq_net_output(const mq_net *net) {
    return &net->nodes[net->output];
}

#endif
