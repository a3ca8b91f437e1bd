/* cost.c - the cost terms and their gradients. */
#include "search/cost.h"

#include <string.h>

static mq_workload workload_of(const mq_net *net, int layer) {
    const mq_node *node = &net->nodes[net->layers[layer].node], *in = &net->nodes[net->layers[layer].act];
    if (node->op == MQ_OP_LINEAR)
        return (mq_workload){.kernel_h = 1,
                             .kernel_w = 1,
                             .stride = 1,
                             .groups = 1,
                             .in_channels = node->linear.in_features,
                             .out_channels = node->linear.out_features,
                             .in_h = 1,
                             .in_w = 1,
                             .out_h = 1,
                             .out_w = 1};
    const mq_conv_attr *a = &node->conv;
    return (mq_workload){.kernel_h = a->kernel_h,
                         .kernel_w = a->kernel_w,
                         .stride = a->stride,
                         .groups = a->groups,
                         .in_channels = a->in_channels,
                         .out_channels = a->out_channels,
                         .in_h = in->h,
                         .in_w = in->w,
                         .out_h = node->h,
                         .out_w = node->w};
}

/* One channel per group: no slice may mix channels. */
static bool is_depthwise(const mq_workload *work) {
    return work->groups > 1 && work->groups == work->in_channels;
}

static mq_status price(const mq_factors *factors, const mq_workload *work,
                       double f[MQ_BITS_MAX + 1][MQ_BITS_MAX + 1], mq_error *error) {
    const int kernel = work->kernel_h;
    const bool depthwise = is_depthwise(work);
    for (int w = MQ_SEARCH_MIN; w <= MQ_BITS_MAX; w++)
        for (int a = MQ_SEARCH_MIN; a <= MQ_BITS_MAX; a++)
            MQ_TRY(mq_factors_get(factors, kernel, depthwise, w, a, &f[w][a], error));
    /* one-bit operands: priced when the table knows them */
    for (int b = 1; b <= MQ_BITS_MAX; b++) {
        (void)!mq_factors_get(factors, kernel, depthwise, 1, b, &f[1][b], NULL);
        (void)!mq_factors_get(factors, kernel, depthwise, b, 1, &f[b][1], NULL);
    }
    return MQ_OK;
}

mq_status mq_cost_create(const mq_net *net, mq_factors *factors, mq_cost_model *out, mq_error *error) {
    memset(out, 0, sizeof *out);
    for (int i = 0; i < net->layer_count; i++) {
        if (net->layers[i].pinned) continue;
        int n = out->count++;
        out->layer[n] = i;
        out->work[n] = workload_of(net, i);
        const mq_workload *work = &out->work[n];
        mq_status status = mq_factors_complete(factors, work->kernel_h, is_depthwise(work), error);
        if (status == MQ_OK) status = price(factors, work, out->f[n], error);
        if (status != MQ_OK)
            return mq_fail_context(error, status, "layer %s", net->nodes[net->layers[i].node].name);
    }
    if (out->count == 0)
        return mq_fail(error, MQ_USAGE, "network %s has no layer to search: all are pinned", net->name);
    return MQ_OK;
}

void mq_cost_use_device(mq_cost_model *cost, const mq_device_price *device) {
    enum { BITS = 4 };
    double share = 0, operations = 0;
    for (int n = 0; n < cost->count; n++) {
        share += device->share[cost->layer[n]][BITS][BITS];
        operations += mq_workload_macs_M(&cost->work[n]) / cost->f[n][BITS][BITS];
    }
    cost->device = device;
    cost->device_unit = share * mq_workload_macs_M(&cost->work[0]) / operations;
}

mq_status mq_cost_at(const mq_cost_model *cost, const mq_net *net, const mq_bits *bits, mq_cost_report *out,
                     mq_error *error) {
    *out = (mq_cost_report){0};
    for (int n = 0; n < cost->count; n++) {
        const mq_workload *work = &cost->work[n];
        int w = bits->weight[cost->layer[n]], a = bits->activation[cost->layer[n]];
        double macs = mq_workload_macs_M(work), weights = mq_workload_weights_M(work);
        if (!(cost->f[n][w][a] > 0))
            return mq_fail(error, MQ_USAGE,
                           "layer %s: the cost table has no entry for w%da%d at kernel size %d; --factors "
                           "FILE.csv gives another",
                           net->nodes[net->layers[cost->layer[n]].node].name, w, a, work->kernel_h);
        out->macs_M += macs;
        out->bit_ops_M += macs * w * a;
        out->act_bits_K += mq_workload_inputs_K(work) * a;
        out->weight_bits_M += weights * w;
        out->dsp_ops_M += macs / cost->f[n][w][a];
        out->bram_K += weights * 1e3 * w + mq_workload_window_K(work) * a;
    }
    if (cost->device) out->device_share = mq_device_price_at(cost->device, net, bits);
    return MQ_OK;
}

/* sum_ij s_w s_a price and its derivatives. */
static double expect(const double price[MQ_BRANCHES][MQ_BRANCHES], const double *s_w, const double *s_a,
                     double *by_w, double *by_a) {
    double sum = 0;
    memset(by_w, 0, MQ_BRANCHES * sizeof *by_w);
    memset(by_a, 0, MQ_BRANCHES * sizeof *by_a);
    for (int i = 0; i < MQ_BRANCHES; i++)
        for (int j = 0; j < MQ_BRANCHES; j++) {
            by_w[i] += s_a[j] * price[i][j];
            by_a[j] += s_w[i] * price[i][j];
        }
    for (int i = 0; i < MQ_BRANCHES; i++) sum += s_w[i] * by_w[i];
    return sum;
}

mq_cost_losses mq_cost_expected(const mq_cost_model *cost, const mq_branch_probabilities *s_w,
                                const mq_branch_probabilities *s_a, double weight_complexity,
                                double weight_trivial, double weight_bram, mq_branch_probabilities *d_w,
                                mq_branch_probabilities *d_a) {
    mq_cost_losses sum = {0};
    double first_macs = mq_workload_macs_M(&cost->work[0]),
           first_inputs = mq_workload_inputs_K(&cost->work[0]);
    for (int n = 0; n < cost->count; n++) {
        const mq_workload *work = &cost->work[n];
        double macs = mq_workload_macs_M(work), weights = mq_workload_weights_M(work) * 1e3;
        double window = mq_workload_window_K(work), ew = 0, ea = 0;
        double price[MQ_BRANCHES][MQ_BRANCHES], by_w[MQ_BRANCHES], by_a[MQ_BRANCHES];
        for (int i = 0; i < MQ_BRANCHES; i++) {
            ew += s_w[n][i] * (MQ_SEARCH_MIN + i);
            ea += s_a[n][i] * (MQ_SEARCH_MIN + i);
            for (int j = 0; j < MQ_BRANCHES; j++)
                price[i][j] = 1 / cost->f[n][MQ_SEARCH_MIN + i][MQ_SEARCH_MIN + j];
        }
        double priced = expect(price, s_w[n], s_a[n], by_w, by_a), size = macs, unit = first_macs;
        sum.mix_dsp_ops_M += macs * priced;
        if (cost->device) {
            for (int i = 0; i < MQ_BRANCHES; i++)
                memcpy(price[i], &cost->device->share[cost->layer[n]][MQ_SEARCH_MIN + i][MQ_SEARCH_MIN],
                       sizeof price[i]);
            priced = expect(price, s_w[n], s_a[n], by_w, by_a);
            size = 1;
            unit = cost->device_unit;
        }
        sum.complexity += 64 * size * priced / unit;
        sum.trivial += macs * ew * ea / first_macs;
        sum.bram += 64 * (weights * ew + window * ea) / first_inputs;
        for (int i = 0; i < MQ_BRANCHES; i++) {
            double b = MQ_SEARCH_MIN + i;
            if (d_w)
                d_w[n][i] = weight_complexity * 64 * size * by_w[i] / unit +
                            weight_trivial * macs * b * ea / first_macs +
                            weight_bram * 64 * weights * b / first_inputs;
            if (d_a)
                d_a[n][i] = weight_complexity * 64 * size * by_a[i] / unit +
                            weight_trivial * macs * ew * b / first_macs +
                            weight_bram * 64 * window * b / first_inputs;
        }
    }
    return sum;
}
