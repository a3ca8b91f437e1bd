/* trained.h - a checkpoint read as what it computes: codes of weights, types of inputs, channels. For the
 * certificate and the exact evaluation; lowering reads the checkpoint by itself. Private to this folder. */
#ifndef MIXQ_LOWER_TRAINED_H
#define MIXQ_LOWER_TRAINED_H

#include "lower/thresholds.h"
#include "net/checkpoint.h"
#include "quant/quant.h"

/* A weighted layer as a convolution; a linear layer's kernel is as large as its input. */
typedef struct mq_trained_layer {
    const mq_node *node, *in; /* in: the node before the quantiser of its input */
    mq_conv_attr conv;
    size_t per_output, count; /* weights */
    int weight_bits;
    double weight_step;           /* of equal weights, whose codes are 0: that of unit deviation */
    mq_qtype input;               /* codes it reads */
    const float *bias;            /* [out] or NULL */
    const double *scale, *offset; /* [out] of given quantisers, weight_step is 0 then; else NULL */
} mq_trained_layer;

mq_trained_layer mq_trained_layer_of(const mq_checkpoint *checkpoint, int node);

/* codes int8[count], [out][in/groups][kernel_h][kernel_w]. */
mq_status mq_trained_weights(const mq_checkpoint *checkpoint, const mq_trained_layer *layer, int8_t *codes,
                             mq_error *error) MQ_MUST_CHECK;

/* A channel of the layer's result behind batch norm node norm (-1: none), read as codes of the type. */
mq_channel mq_trained_channel(const mq_checkpoint *c, const mq_trained_layer *l, int norm,
                              const mq_qtype *type, int channel);

#endif
