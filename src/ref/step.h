/* step.h - the plain float64 reference of a training or search step: the oracle of the fast trainer.
 *
 * Every operator is written out from numerics.md sections 1 to 4 as plainly as possible, in float64, and
 * shares no code with the modules it judges (ops, quant, search): even the step tables stand here a second
 * time.
 *
 * Decisions - codes, clip masks, the place of a maximum - are taken in float32 arithmetic on the float32
 * rounding of the operand; values are code * (double)(float)step. So a float32 program that takes the same
 * decisions agrees to float32 rounding, and mq_ref_override makes it take the same: the reference decides on
 * the operand that the other program saw.
 *
 * One reference is used from one thread at a time. Activations are [n][h][w][c]; weights are OIHW. */
#ifndef MIXQ_REF_STEP_H
#define MIXQ_REF_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "net/bits.h"
#include "net/net.h"
#include "net/params.h"

typedef struct mq_ref mq_ref;

typedef struct mq_ref_options {
    mq_mode mode;
    const mq_bits *bits; /* fixed mode: copied; else NULL */
    bool share;          /* search: one float weight tensor for the 7 branches */
    bool symmetric;      /* weight codes without -2^(b-1) */
    int batch;           /* the most images of one forward, >= 1 */
} mq_ref_options;

/* A stored tensor (params.h): value and grad are float64[count] in the layout of spec->shape, owned by the
 * reference. grad is NULL for running statistics. Write to value before a forward. */
typedef struct mq_ref_param {
    const mq_param_spec *spec;
    size_t count;
    double *value, *grad;
} mq_ref_param;

/* Everything starts at 0, but gamma and the running variance at 1. net is borrowed until destroy. MQ_USAGE
 * for options that make no sense. */
mq_status mq_ref_create(const mq_net *net, const mq_ref_options *options, mq_ref **out,
                        mq_error *error) MQ_MUST_CHECK;
void mq_ref_destroy(mq_ref *ref); /* NULL is fine */

/* In the order of mq_params_list. */
mq_ref_param *mq_ref_params(mq_ref *ref, int *count);
/* branch: -1, or the branch of an unshared weight. NULL when there is none. */
mq_ref_param *mq_ref_find(mq_ref *ref, int node, mq_param_kind kind, int branch);
/* value = values, float32[count]. */
void mq_ref_set(mq_ref_param *param, const float *values);

/* images uint8 [n][h][w][c], borrowed until backward. training: batch statistics, and the running ones are
 * updated; else running statistics. MQ_USAGE when n is not in 1..batch, or a batch norm would see one value
 * per channel. */
mq_status mq_ref_forward(mq_ref *ref, const uint8_t *images, int n, bool training,
                         mq_error *error) MQ_MUST_CHECK;
/* Gradients of every trained parameter and every node's output, from d_output float64 [n][h][w][c] of the
 * last node. Belongs to the last forward, whether that was in training or not. */
mq_status mq_ref_backward(mq_ref *ref, const double *d_output, mq_error *error) MQ_MUST_CHECK;

/* A node's output in the last forward, float64 [n][h][w][c] of real values; the image is k/256. */
const double *mq_ref_output(const mq_ref *ref, int node);
/* What a weighted layer multiplied with in the last forward: quantised, mixed or plain weights, float64 OIHW
 * (linear [out][c*h*w]). */
const double *mq_ref_operand(const mq_ref *ref, int layer);
/* dL/d(a node's output) of the last backward. No gradient reaches the image: its own is 0. */
const double *mq_ref_output_grad(const mq_ref *ref, int node);

/* From now on the decisions of this activation or max pool are taken on x, float32 [n][h][w][c] of the node's
 * input, borrowed until it is replaced or removed (NULL). MQ_USAGE for another operator and for the image's
 * quantiser. */
mq_status mq_ref_override(mq_ref *ref, int node, const float *x, mq_error *error) MQ_MUST_CHECK;

/* For finite differences. While on, every decision and every weight deviation stays as it was in the last
 * forward, and a quantiser is the straight line Q(x0) + [x0 not clipped]*(x - x0) through that forward's
 * operand x0: the function whose derivative the straight-through estimator claims to be. At the same operands
 * it gives the same values. Until it is switched off, forwards must have the same number of images. MQ_USAGE
 * before the first forward. */
mq_status mq_ref_surrogate(mq_ref *ref, bool on, mq_error *error) MQ_MUST_CHECK;
/* Adds delta to one element of a node's output in every forward from now on; node -1 stops it. */
void mq_ref_nudge(mq_ref *ref, int node, size_t element, double delta);

/* ---- losses ---- */

/* Mean cross entropy of softmax(logits float64 [n][classes]) against labels int32[n] in 0..classes-1. Fills
 * d_logits unless NULL. */
double mq_ref_cross_entropy(const double *logits, const int32_t *labels, int n, int classes,
                            double *d_logits);

/* One object: parts of the image, in image number `image` of the batch. */
typedef struct mq_ref_target {
    int image;
    double x, y, w, h, weight;
} mq_ref_target;

typedef struct mq_ref_detection {
    double box, objectness; /* with their gains */
    double mean_iou;        /* over the assigned anchors */
    double loss;            /* (box + objectness) * n / 64 */
} mq_ref_detection;

/* The detection loss of numerics.md section 6, written out. output: float64 [n][grid h][grid w][channels] of
 * the network's last layer; any order of targets. alpha: float64[count * anchors], the trade-off of each
 * CIoU, which is a constant for the gradient: written, or with `hold` read (for finite differences); may be
 * NULL without hold. Fills d_output, d(loss), unless NULL. */
mq_ref_detection mq_ref_detection_loss(const mq_net *net, const double *output, int n,
                                       const mq_ref_target *targets, int count, double *alpha, bool hold,
                                       double *d_output);

enum { MQ_REF_KERNELS = 32 };
/* Multiplications per DSP and cycle: f[k][w - 2][a - 2] for kernel size k and bits w, a in 2..8; 0 = not in
 * the table. */
typedef struct mq_ref_factors {
    double f[MQ_REF_KERNELS][7][7];
} mq_ref_factors;

typedef enum mq_ref_cost { MQ_REF_COMPLEXITY, MQ_REF_TRIVIAL, MQ_REF_BRAM } mq_ref_cost;

/* A cost term of numerics.md section 3 at the present alphas (layers that are not searched count with their
 * bits), over the convolutions. *value may be NULL. Adds scale * d(term)/d(alpha) to the gradients of the
 * alphas, so call it after backward. factors are read by MQ_REF_COMPLEXITY only. MQ_USAGE in float mode, for
 * a network without convolutions, or when a factor is missing. */
mq_status mq_ref_cost_term(mq_ref *ref, mq_ref_cost cost, const mq_ref_factors *factors, double scale,
                           double *value, mq_error *error) MQ_MUST_CHECK;

#endif
