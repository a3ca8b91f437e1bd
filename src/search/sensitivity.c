/* sensitivity.c - layers one at a time, then the knapsack. */
#include "search/sensitivity.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "search/knapsack.h"

static mq_status one(const mq_net *net, int layer, bool of_weights, int width, mq_sensitivity_loss *loss,
                     void *context, mq_sensitivity *out, mq_error *error) {
    mq_bits bits;
    double value;
    mq_bits_uniform(net, MQ_BITS_MAX, MQ_BITS_MAX, &bits);
    (of_weights ? bits.weight : bits.activation)[layer] = (int8_t)width;
    MQ_TRY(loss(context, &bits, &value, error));
    const char *name = net->nodes[net->layers[layer].node].name;
    if (!isfinite(value))
        return mq_fail(error, MQ_CHECK_FAILED, "the loss with %s of %s at %d bits is not finite",
                       of_weights ? "weights" : "activations", name, width);
    (of_weights ? out->weight : out->activation)[layer][width] = value - out->loss;
    return MQ_OK;
}

mq_status mq_sensitivity_measure(const mq_net *net, mq_sensitivity_loss *loss, void *context,
                                 mq_sensitivity *out, mq_error *error) {
    mq_bits bits;
    uint64_t done = 0, all = 2 * (MQ_BRANCHES - 1) * (uint64_t)net->digit_count;
    memset(out, 0, sizeof *out);
    mq_bits_uniform(net, MQ_BITS_MAX, MQ_BITS_MAX, &bits);
    MQ_TRY(loss(context, &bits, &out->loss, error));
    if (!isfinite(out->loss))
        return mq_fail(error, MQ_CHECK_FAILED, "the loss at 8 bits everywhere is not finite");
    for (int l = 0; l < net->layer_count; l++) {
        if (net->layers[l].pinned) continue;
        for (int width = MQ_SEARCH_MIN; width < MQ_BITS_MAX; width++)
            for (int w = 1; w >= 0; w--) {
                MQ_TRY(one(net, l, w, width, loss, context, out, error));
                mq_progress("sensitivity", ++done, all, "loss %.4f at 8 bits", out->loss);
            }
    }
    return MQ_OK;
}

double mq_sensitivity_increase(const double measured[MQ_BITS_MAX + 1], int bits) {
    double most = 0;
    for (int b = bits; b <= MQ_BITS_MAX; b++) most = fmax(most, measured[b]);
    return most;
}

mq_status mq_sensitivity_choose(const mq_sensitivity *s, const mq_net *net, const mq_cost_model *cost,
                                double budget, mq_bits *out, double *predicted, mq_error *error) {
    mq_knapsack *knapsack;
    mq_knapsack_choice choice;
    MQ_TRY(mq_alloc(1, sizeof *knapsack, "a knapsack", &knapsack, error));
    mq_knapsack_price(knapsack, cost, NULL);
    for (int n = 0; n < knapsack->count; n++)
        for (int i = 0; i < MQ_BRANCHES; i++)
            for (int j = 0; j < MQ_BRANCHES; j++)
                knapsack->value[n][i][j] =
                    -mq_sensitivity_increase(s->weight[cost->layer[n]], MQ_SEARCH_MIN + i) -
                    mq_sensitivity_increase(s->activation[cost->layer[n]], MQ_SEARCH_MIN + j);
    /* a budget that is the cost of bits itself, summed in another order */
    mq_status status = mq_knapsack_solve(knapsack, -INFINITY, budget * (1 + 1e-9), &choice, error);
    double least = 0, most = 0;
    mq_knapsack_range(knapsack, &least, &most);
    mq_free(knapsack);
    if (status != MQ_OK) return status;
    if (!choice.found)
        return mq_fail(error, MQ_USAGE, "%g M DSP operations are out of reach: %s needs at least %.6g M",
                       budget, net->name, least);
    mq_bits_uniform(net, MQ_BITS_MAX, MQ_BITS_MAX, out); /* pinned layers */
    mq_knapsack_bits(&choice, cost, out);
    *predicted = -choice.value;
    return MQ_OK;
}
