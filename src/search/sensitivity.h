/* sensitivity.h - a cheap way to bits without a search: how much the loss grows when one layer alone gets
 * fewer bits, and the best bits within a budget if these increases add up.
 *
 * Sources of the idea: ZeroQ (Cai et al., CVPR 2020) sums what each layer alone changes when it is quantised
 * and looks for the least sum at a given size; HAWQ-V3 (Yao et al., ICML 2021) writes that choice as an
 * integer program under hardware costs. Here a layer's sensitivity is the increase of the task's loss itself
 * on training images (theirs: a divergence of outputs, a Hessian trace), of a network trained at 8 bits,
 * weights and activations apart. The sum is an assumption: errors of several layers may cancel or compound,
 * and training afterwards repairs some more than others.
 */
#ifndef MIXQ_SEARCH_SENSITIVITY_H
#define MIXQ_SEARCH_SENSITIVITY_H

#include "net/bits.h"
#include "search/cost.h"

/* By number of the weighted layer and bits 2..8. Pinned layers and 8 bits: 0. */
typedef struct mq_sensitivity {
    double loss; /* at 8 bits everywhere */
    double weight[MQ_MAX_LAYERS][MQ_BITS_MAX + 1], activation[MQ_MAX_LAYERS][MQ_BITS_MAX + 1];
} mq_sensitivity;

/* Mean loss of the trained network with these bits. */
typedef mq_status mq_sensitivity_loss(void *context, const mq_bits *bits, double *loss, mq_error *error);

/* 1 + 12 losses per layer that is not pinned. What is measured, negative where fewer bits happen to be
 * better. */
mq_status mq_sensitivity_measure(const mq_net *net, mq_sensitivity_loss *loss, void *context,
                                 mq_sensitivity *out, mq_error *error) MQ_MUST_CHECK;
/* The increase that counts: never negative, and fewer bits never better (the largest of these and more bits).
 */
double mq_sensitivity_increase(const double measured[MQ_BITS_MAX + 1], int bits);

/* The bits (2..8; pinned layers as described) of least summed increase among those of at most `budget`
 * millions of DSP operations, exactly (knapsack.h). *predicted: that sum. MQ_USAGE: all cost more. */
mq_status mq_sensitivity_choose(const mq_sensitivity *sensitivity, const mq_net *net,
                                const mq_cost_model *cost, double budget, mq_bits *out, double *predicted,
                                mq_error *error) MQ_MUST_CHECK;

#endif
