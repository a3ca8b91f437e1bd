/* sim_requant.c - REQUANT: accumulators to codes, by inc/bias/shift or by stored thresholds, channel by
 * channel; and RESCALE, the published bypass. */
#include <math.h>

#include "sim/sim_reference.h"

static int64_t clip(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

static int64_t requantise(const mq_inet_requant *r, size_t c, int64_t acc) {
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) /* >> of a negative number is arithmetic (gcc, clang) */
        return clip((acc * r->inc[c] + r->bias[c]) >> r->shift, r->low, r->high);
    size_t levels = (size_t)(r->high - r->low);
    const int64_t *threshold = r->threshold + c * levels;
    int64_t code = r->low;
    for (size_t i = 0; i < levels; i++)
        code += r->rule[c] == MQ_INET_RISING ? acc >= threshold[i] : acc < threshold[i];
    return code;
}

void mq_sim_run_REQUANT(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const int64_t *acc = mq_sim_codes(sim, work, node->input[0]);
    int64_t *code = mq_sim_codes(sim, work, n);
    size_t pixels = (size_t)node->edge.h * (size_t)node->edge.w, channels = (size_t)node->edge.c;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            code[p * channels + c] = requantise(&node->requant, c, acc[p * channels + c]);
}

int64_t mq_sim_rescale(const mq_inet_rescale *r, int64_t code) {
    float product = (float)code * r->multiply;
    return (int64_t)rintf(product / r->divide);
}

void mq_sim_run_RESCALE(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const int64_t *from = mq_sim_codes(sim, work, node->input[0]);
    int64_t *to = mq_sim_codes(sim, work, n);
    size_t count = (size_t)node->edge.h * (size_t)node->edge.w * (size_t)node->edge.c;
    for (size_t i = 0; i < count; i++) to[i] = mq_sim_rescale(&node->rescale, from[i]);
}
