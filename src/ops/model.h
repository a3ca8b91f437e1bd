/* model.h - a network made trainable: parameters, forward and backward passes over batches.
 *
 * mode   float   ReLU network; search  every searched layer mixes 7 weight and 7 activation quantisers
 *                (numerics: out = conv(sum_j s_j Q_j(x), sum_i s_i Q_i(w))); fixed  quantised at given bits.
 *
 * Representation. In a quantised layer of fixed bits, operands of the convolution are the integer codes
 * themselves (as float32 or bfloat16, both hold them exactly), and the product's step is multiplied in
 * afterwards, by the batch norm that follows or by the layer itself. Sums of codes below 2^24 are exact, so
 * the forward pass of a quantised network does not depend on the order of summation, the thread count or the
 * CPU.
 *
 * All memory is planned when the model is made; a step allocates nothing. One model is used from one thread.
 */
#ifndef MIXQ_OPS_MODEL_H
#define MIXQ_OPS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "net/bits.h"
#include "net/net.h"
#include "net/params.h"
#include "ranks/ranks.h"
#include "tensor/tensor.h"

typedef struct mq_model mq_model;

typedef struct mq_model_options {
    mq_mode mode;
    const mq_bits *bits; /* fixed mode: copied; else NULL */
    bool share;          /* search: one float weight tensor for the 7 branches */
    bool symmetric;      /* weight codes without -2^(b-1) */
    bool training;       /* plan memory for backward */
    mq_dtype compute;    /* MQ_F32 or MQ_BF16: operands of the convolutions */
    int batch;           /* the most images of one call, >= 1 */
    /* The model is one of several of the same parameters, each on its share of a batch: training passes are
     * collective (ranks.h). Borrowed; NULL: alone. */
    mq_ranks *ranks;
} mq_model_options;

/* A stored tensor (params.h). value and grad: float32[count] in the layout of spec->shape, owned by the
 * model; grad is NULL for running statistics and without training. */
typedef struct mq_param {
    const mq_param_spec *spec;
    size_t count;
    float *value, *grad;
} mq_param;

/* net is borrowed until destroy. */
mq_status mq_model_create(const mq_net *net, const mq_model_options *options, mq_model **out,
                          mq_error *error) MQ_MUST_CHECK;
void mq_model_destroy(mq_model *model); /* NULL is fine */

const mq_net *mq_model_net(const mq_model *model);
const mq_model_options *mq_model_get_options(const mq_model *model);
mq_param *mq_model_params(mq_model *model, int *count);
/* By node and kind (branch -1), or NULL. */
mq_param *mq_model_param(mq_model *model, int node, mq_param_kind kind, int branch);
size_t mq_model_bytes(const mq_model *model); /* planned memory, parameters and gradients included */

/* PyTorch's defaults: weights and biases uniform in +-1/sqrt(fan in), gamma 1, beta 0, mean 0, var 1, alphas
 * 0.01. */
void mq_model_initialise(mq_model *model, uint64_t seed);
/* Parameters were changed from outside (optimiser, checkpoint): quantise them again at the next forward. */
void mq_model_touch(mq_model *model);

/* images uint8 [n][h][w][c], 1 <= n <= batch (with ranks a share may have none), borrowed until backward.
 * training: batch statistics, of all ranks' images, are used and the running ones updated (momentum 0.1);
 * else running statistics. *output float32 [n][h][w][c] of the last layer, valid until the next forward. */
mq_status mq_model_forward(mq_model *model, const uint8_t *images, int n, bool training, const float **output,
                           mq_error *error) MQ_MUST_CHECK;
/* After a training forward: d_output float32, shape of output. Every trained parameter's grad is overwritten.
 * With ranks: by its part from this share, to be summed; gamma's and beta's are those of the whole batch. */
mq_status mq_model_backward(mq_model *model, const float *d_output, mq_error *error) MQ_MUST_CHECK;

/* The same; after every node's backward pass, from the last node to the first, `done` is called with its
 * number: the gradients of parameters with that mq_model_grad_node are final. */
typedef mq_status (*mq_backward_done)(void *context, int node, mq_error *error);
mq_status mq_model_backward_by_node(mq_model *model, const float *d_output, mq_backward_done done,
                                    void *context, mq_error *error) MQ_MUST_CHECK;
int mq_model_grad_node(const mq_model *model, int param);

/* What a node computed in the last training forward, for comparisons: float32 [n][h][w][c] real values,
 * copied into out (n*h*w*c floats). Fails for nodes whose memory was used again. */
mq_status mq_model_peek(const mq_model *model, int node, float *out, mq_error *error) MQ_MUST_CHECK;
/* The first parameter or, right after a training forward, node output that is not finite: its name, else
 * NULL. */
const char *mq_model_find_nonfinite(const mq_model *model);
/* The same for parameters alone: cheap enough for every step. (A quantiser's code of NaN is 0, so a damaged
 * layer need not show in the loss.) */
const char *mq_model_find_nonfinite_param(const mq_model *model);

/* The chosen bits of a search: per layer the argmax (first of equals) of its alphas, pinned layers as
 * described. */
void mq_model_chosen_bits(mq_model *model, mq_bits *out);

#endif
