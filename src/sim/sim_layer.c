/* sim_layer.c - CONV and LINEAR: acc[o] = bias[o] + sum over the kernel and the group's channels of
 * weight*code.
 *
 * For each output pixel the codes it sees are gathered once, zeros outside the image, in the order of the
 * weights; each output channel is then one dot product. A LINEAR is the same with a kernel as large as its
 * input. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "sim/sim_reference.h"

/* The definition's weights [oc][ic/groups][kh][kw] (a LINEAR's [out][c*h*w] too) in gathering order. */
static void reorder(const mq_sim_layer *layer, const int8_t *from, int outputs, int channels) {
    int area = layer->kernel_h * layer->kernel_w;
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < channels; i++)
            for (int t = 0; t < area; t++)
                layer->weight[(size_t)o * layer->taps + (size_t)t * (size_t)channels + (size_t)i] = *from++;
}

/* sum of |weight|*max|code| per output bounds every partial sum, in any order of the additions. */
static bool proves_int32(const mq_sim_layer *layer, const mq_inet_edge *in, int outputs, int channels) {
    int64_t most = 0;
    for (int o = 0; o < outputs; o++) {
        const int16_t *w = layer->weight + (size_t)o * layer->taps;
        int first = o / (outputs / layer->groups) * channels;
        int64_t sum = 0;
        for (size_t t = 0; t < layer->taps; t++) {
            int c = first + (int)(t % (size_t)channels);
            int64_t low = in->channel_low[c], high = in->channel_high[c];
            int64_t code = -low > high ? -low : high;
            sum += (w[t] < 0 ? -w[t] : w[t]) * code;
        }
        if (sum > most) most = sum;
    }
    return most <= INT32_MAX;
}

mq_status mq_sim_layer_prepare(mq_sim_reference *sim, int n, mq_error *error) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const mq_inet_edge *in = mq_sim_edge(sim, node->input[0]);
    mq_sim_layer *layer = &sim->layer[n];
    const int8_t *weight;
    if (node->kind == MQ_INET_LINEAR) {
        *layer =
            (mq_sim_layer){.kernel_h = in->h, .kernel_w = in->w, .stride_h = 1, .stride_w = 1, .groups = 1};
        layer->bias = node->linear.bias;
        weight = node->linear.weight;
    } else {
        const mq_inet_conv *v = &node->conv;
        *layer = (mq_sim_layer){.kernel_h = v->kernel_h, .kernel_w = v->kernel_w, .stride_h = v->stride_h};
        layer->stride_w = v->stride_w;
        layer->pad_top = v->pad_top;
        layer->pad_left = v->pad_left;
        layer->groups = v->groups;
        layer->bias = v->bias;
        weight = v->weight;
    }
    int channels = in->c / layer->groups;
    layer->taps = (size_t)layer->kernel_h * (size_t)layer->kernel_w * (size_t)channels;
    size_t count = layer->taps * (size_t)node->edge.c, patch = layer->taps * (size_t)layer->groups;
    MQ_TRY(
        mq_arena_alloc(sim->arena, count, sizeof *layer->weight, "simulator weights", &layer->weight, error));
    reorder(layer, weight, node->edge.c, channels);
    layer->fits_int32 = proves_int32(layer, in, node->edge.c, channels);
    if (sim->patch < patch) sim->patch = patch;
    return MQ_OK;
}

/* patch [groups][kernel_h][kernel_w][ic/groups] of the output pixel at (y, x). */
static void gather(const mq_sim_layer *layer, const mq_inet_edge *in, const int64_t *codes, int y, int x,
                   int16_t *patch) {
    int channels = in->c / layer->groups;
    for (int g = 0; g < layer->groups; g++) {
        for (int ky = 0; ky < layer->kernel_h; ky++) {
            int row = y * layer->stride_h - layer->pad_top + ky;
            for (int kx = 0; kx < layer->kernel_w; kx++, patch += channels) {
                int column = x * layer->stride_w - layer->pad_left + kx;
                if (row < 0 || row >= in->h || column < 0 || column >= in->w) {
                    memset(patch, 0, (size_t)channels * sizeof *patch);
                    continue;
                }
                const int64_t *from = codes + ((size_t)row * (size_t)in->w + (size_t)column) * (size_t)in->c +
                                      (size_t)g * (size_t)channels;
                for (int i = 0; i < channels; i++) patch[i] = (int16_t)from[i];
            }
        }
    }
}

MQ_CLONES static void dots_int32(const int16_t *patch, const int16_t *weight, size_t taps, size_t outputs,
                                 int64_t *acc) {
    for (size_t o = 0; o < outputs; o++, weight += taps) {
        int32_t sum = 0;
        for (size_t t = 0; t < taps; t++) sum += (int32_t)patch[t] * weight[t];
        acc[o] = sum;
    }
}

static void dots_int64(const int16_t *patch, const int16_t *weight, size_t taps, size_t outputs,
                       int64_t *acc) {
    for (size_t o = 0; o < outputs; o++, weight += taps) {
        int64_t sum = 0;
        for (size_t t = 0; t < taps; t++) sum += (int64_t)patch[t] * weight[t];
        acc[o] = sum;
    }
}

static void run_layer(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const mq_sim_layer *layer = &sim->layer[n];
    const mq_inet_edge *in = mq_sim_edge(sim, node->input[0]), *out = &node->edge;
    const int64_t *codes = mq_sim_codes(sim, work, node->input[0]);
    int64_t *acc = mq_sim_codes(sim, work, n);
    size_t outputs = (size_t)out->c / (size_t)layer->groups;
    for (int y = 0; y < out->h; y++) {
        for (int x = 0; x < out->w; x++, acc += out->c) {
            gather(layer, in, codes, y, x, work->patch);
            for (size_t g = 0; g < (size_t)layer->groups; g++) {
                const int16_t *patch = work->patch + g * layer->taps;
                const int16_t *weight = layer->weight + g * outputs * layer->taps;
                (layer->fits_int32 ? dots_int32 : dots_int64)(patch, weight, layer->taps, outputs,
                                                              acc + g * outputs);
            }
            if (layer->bias)
                for (int o = 0; o < out->c; o++) acc[o] += layer->bias[o];
        }
    }
}

void mq_sim_run_CONV(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    run_layer(sim, n, work);
}

void mq_sim_run_LINEAR(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    run_layer(sim, n, work);
}
