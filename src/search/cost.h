/* cost.h - what a network costs on an FPGA, as numbers for reports and as losses with gradients for the
 * search.
 *
 * Source: AnyPackingNet (ICCAD 2023), section on hardware-aware search. Sums run over the layers that are not
 * pinned (the published classifier's linear layer is pinned: it counts nowhere). Per layer with kernel k,
 * stride s, groups g, input ich x H x W and och outputs: M = ich*och*k*k/g * H*W/s^2 * 1e-6
 * multiply-accumulates, millions P = ich*och*k*k/g * 1e-6             weights, millions A = ich*H*W * 1e-3
 * input values, thousands C = (k == 1 ? 2 : k+1) * W*ich*1e-3  window cache, thousands A linear layer is a
 * 1x1 convolution on one pixel. */
#ifndef MIXQ_SEARCH_COST_H
#define MIXQ_SEARCH_COST_H

#include "net/bits.h"
#include "net/net.h"
#include "pack/factors.h"
#include "search/device_price.h"
#include "work/workload.h"

/* The layers that cost, in network order. */
typedef struct mq_cost_model {
    int count;
    int layer[MQ_MAX_LAYERS]; /* number of the weighted layer */
    mq_workload work[MQ_MAX_LAYERS];
    double f[MQ_MAX_LAYERS][MQ_BITS_MAX + 1][MQ_BITS_MAX + 1]; /* multiplications per DSP [wbit][abit] */
    const mq_device_price *device; /* borrowed; what complexity counts instead of DSP operations, or NULL */
    double device_unit;            /* share of the device that complexity counts as 64 */
} mq_cost_model;

/* May complete the table (mq_factors_complete). */
mq_status mq_cost_create(const mq_net *net, mq_factors *factors, mq_cost_model *out,
                         mq_error *error) MQ_MUST_CHECK;
/* Complexity is from now on the share of the device, in the unit that makes it what it was at 4 bits
 * everywhere. */
void mq_cost_use_device(mq_cost_model *cost, const mq_device_price *device);

/* The report at chosen bits. */
typedef struct mq_cost_report {
    double bit_ops_M;     /* sum M*w*a */
    double act_bits_K;    /* sum A*a */
    double weight_bits_M; /* sum P*w */
    double dsp_ops_M;     /* sum M/F */
    double bram_K;        /* sum P*1e3*w + C*a */
    double macs_M;        /* sum M */
    double device_share;  /* of all layers, 1 = the device; 0 without one */
} mq_cost_report;
/* Fails when the table has no entry for a layer's bits. */
mq_status mq_cost_at(const mq_cost_model *cost, const mq_net *net, const mq_bits *bits, mq_cost_report *out,
                     mq_error *error) MQ_MUST_CHECK;

/* The losses over the branch probabilities: s_w[i], s_a[j] = softmax for bits 2..8, by cost layer. Gradients
 * (same shape) are with respect to the probabilities and overwritten; may be NULL. */
typedef struct mq_cost_losses {
    double complexity;    /* sum 64*M*sum_ij s_w[i]*s_a[j]/F / M(first); with a device
                             sum 64*sum_ij s_w[i]*s_a[j]*share / device_unit */
    double trivial;       /* sum M*E[w]*E[a] / M(first) */
    double bram;          /* sum 64*(P*1e3*E[w] + C*E[a]) / A(first) */
    double mix_dsp_ops_M; /* sum_ij s_w*s_a*M/F */
} mq_cost_losses;
typedef double mq_branch_probabilities[MQ_BRANCHES];
mq_cost_losses mq_cost_expected(const mq_cost_model *cost, const mq_branch_probabilities *s_w,
                                const mq_branch_probabilities *s_a, double weight_complexity,
                                double weight_trivial, double weight_bram, mq_branch_probabilities *d_w,
                                mq_branch_probabilities *d_a);

#endif
