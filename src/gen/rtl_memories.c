/* rtl_memories.c - what a layer's memories hold.
 *
 * Weights, DIR/mem/<module>_w<skew>.hex: word group*steps + step holds, from the lowest bit, for every slice
 * column of weight_groups output channels, piece and slice of that skew its word: codes side by side (raw),
 * or the packed word and, where they cannot be seen in it, the lowest bits of the weights.
 *
 * Borders, DIR/mem/<module>_edges.hex: word `group` holds for every output channel of the group kernel_w - 1
 * constants, what the missing columns are worth: for the first `lead` those on the right of the group before,
 * for the others those on the left. */
#include <stdio.h>

#include "base/memory.h"
#include "gen/packed_slice.h"
#include "gen/rtl_shape.h"

int64_t rtl_weight_word_bits(const rtl_shape *x, int skew) {
    int64_t bits = 0;
    if (x->lut) return (int64_t)x->slices * x->s.kernel_w * x->weight_bits * x->layer->pe;
    for (int i = 0; i < x->pieces; i++)
        for (int q = 0; q < x->slices; q++)
            if (x->q_skew[q] == skew) bits += x->kind[x->piece[i].kind].weight_bits;
    return bits * (x->layer->pe / x->s.weight_groups);
}

/* Kernel row and channel of slice q in step `step`. */
static void place(const rtl_shape *x, int step, int q, int *ky, int *c) {
    int rows = x->layer->rows, row_steps = x->s.kernel_h / rows, words = x->s.steps / row_steps;
    *ky = step / words * rows + q % rows;
    *c = step % words * x->layer->simd + q / rows;
}

/* The word of slice q of piece i in step `step` of the columns' first output channel o. */
static int put_word(const rtl_shape *x, mq_rtl_memory *m, int word, int at, int o, int step, int i, int q) {
    const rtl_kind *k = &x->kind[x->piece[i].kind];
    const mq_packing *p = k->p;
    int ky, c;
    place(x, step, q, &ky, &c);
    int32_t w[MQ_PACK_OPERANDS];
    for (int n = 0; n < p->weights; n++)
        w[n] = rtl_weight(x, o + p->weight[n].group, c, ky,
                          x->piece[i].first_tap + k->taps - 1 - p->weight[n].step);
    if (k->raw) {
        for (int n = 0; n < p->weights; n++) at = mq_rtl_put(m, word, at, w[n], k->weight_bits / p->weights);
        return at;
    }
    at = mq_rtl_put(m, word, at, mq_slice_weights(p, w).u, p->weights_wide ? 27 : 18);
    for (int n = 0; k->low_bits && n < p->weights; n++) at = mq_rtl_put(m, word, at, w[n], 1);
    return at;
}

/* LUT multipliers: the codes of all taps of slice q. */
static int put_taps(const rtl_shape *x, mq_rtl_memory *m, int word, int at, int o, int step, int q) {
    int ky, c;
    place(x, step, q, &ky, &c);
    for (int kx = 0; kx < x->s.kernel_w; kx++)
        at = mq_rtl_put(m, word, at, rtl_weight(x, o, c, ky, kx), x->weight_bits);
    return at;
}

static mq_status weights(const rtl_shape *x, int skew, mq_error *error) {
    mq_rtl_memory m;
    char name[RTL_MODULE + 32];
    int wg = x->s.weight_groups;
    MQ_TRY(mq_rtl_memory_make(rtl_weight_word_bits(x, skew), (int64_t)x->s.groups * x->s.steps, x->node->name,
                              &m, error));
    for (int word = 0; word < m.depth; word++) {
        int at = 0;
        for (int o = 0; o < x->layer->pe; o += wg) {
            int first = word / x->s.steps * x->layer->pe + o, step = word % x->s.steps;
            for (int q = 0; x->lut && q < x->slices; q++) at = put_taps(x, &m, word, at, first, step, q);
            for (int i = 0; i < x->pieces; i++)
                for (int q = 0; q < x->slices; q++)
                    if (x->q_skew[q] == skew) at = put_word(x, &m, word, at, first, step, i, q);
        }
    }
    snprintf(name, sizeof name, "%s_w%d.hex", x->module, skew);
    mq_status status = mq_rtl_memory_save(&m, x->build->dir, name, error);
    mq_rtl_memory_free(&m);
    return status;
}

/* The sum of the weights of channel o over taps from..to-1. */
static int64_t taps_sum(const rtl_shape *x, int o, int from, int to) {
    int channels = x->s.depthwise ? 1 : x->s.in_c;
    int64_t sum = 0;
    for (int c = 0; c < channels; c++)
        for (int ky = 0; ky < x->s.kernel_h; ky++)
            for (int kx = from; kx < to; kx++) sum += rtl_weight(x, o, c, ky, kx);
    return sum;
}

static mq_status edges(const rtl_shape *x, mq_error *error) {
    mq_rtl_memory m;
    char name[RTL_MODULE + 32];
    int k = x->s.kernel_w, pe = x->layer->pe, groups = x->s.groups;
    if (k == 1 || x->zero == 0) return MQ_OK;
    MQ_TRY(mq_rtl_memory_make((int64_t)pe * (k - 1) * x->acc, groups, x->node->name, &m, error));
    for (int g = 0; g < groups; g++)
        for (int o = 0, at = 0; o < pe; o++)
            for (int v = 0; v < k - 1; v++) {
                int before = (g + groups - 1) % groups;
                int64_t sum = v < x->s.lead ? taps_sum(x, before * pe + o, k - 1 - v, k)
                                            : taps_sum(x, g * pe + o, 0, k - 1 - v);
                at = mq_rtl_put(&m, g, at, -x->zero * sum, x->acc);
            }
    snprintf(name, sizeof name, "%s_edges.hex", x->module);
    mq_status status = mq_rtl_memory_save(&m, x->build->dir, name, error);
    mq_rtl_memory_free(&m);
    return status;
}

/* Accumulators that leave as they are get their offsets from DIR/mem/<module>_offsets.hex. */
static mq_status offsets(const rtl_shape *x, mq_error *error) {
    mq_rtl_memory m;
    char name[RTL_MODULE + 32];
    if (x->requant || !x->offsets) return MQ_OK;
    MQ_TRY(mq_rtl_memory_make((int64_t)x->layer->pe * x->out.bits, x->s.groups, x->node->name, &m, error));
    for (int g = 0; g < x->s.groups; g++)
        for (int o = 0, at = 0; o < x->layer->pe; o++)
            at = mq_rtl_put(&m, g, at, x->offset[g * x->layer->pe + o], x->out.bits);
    snprintf(name, sizeof name, "%s_offsets.hex", x->module);
    mq_status status = mq_rtl_memory_save(&m, x->build->dir, name, error);
    mq_rtl_memory_free(&m);
    return status;
}

mq_status rtl_memories(const rtl_shape *x, mq_error *error) {
    for (int skew = 0; skew < x->longest; skew++) MQ_TRY(weights(x, skew, error));
    MQ_TRY(edges(x, error));
    return offsets(x, error);
}
