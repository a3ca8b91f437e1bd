/* rtl_shape.c - the geometry of a layer's hardware. */
#include "gen/rtl_shape.h"

#include <stdio.h>
#include <string.h>

#include "accel/weight_word.h"
#include "base/bit_length.h"
#include "base/memory.h"
#include "gen/packed_slice.h"

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

int rtl_bits(int64_t values) {
    int bits = mq_bit_length(values - 1);
    return bits ? bits : 1;
}

uint64_t rtl_low(int64_t value, int bits) {
    return bits >= 64 ? (uint64_t)value : (uint64_t)value & (((uint64_t)1 << bits) - 1);
}

int rtl_pixel(const rtl_kind *k, int block, int j) {
    const mq_pack_operand *o = &k->p->activation[j];
    return block * k->p->activations + o->group * k->per_group + o->step;
}

int rtl_coefficient(const rtl_shape *x, const rtl_piece *piece, int block, int field) {
    const rtl_kind *k = &x->kind[piece->kind];
    const mq_pack_field *f = &k->p->field[field];
    int v = block * k->p->activations + f->activation_group * k->per_group + f->step +
            (x->s.kernel_w - k->taps - piece->first_tap);
    return v < 0 ? -1 : v;
}

int rtl_weight(const rtl_shape *x, int o, int c, int ky, int kx) {
    const mq_stage *s = &x->s;
    if (o >= s->out_c) return 0;
    if (s->linear) {
        /* the beats' order: rows, groups, pixels of a beat, channels */
        const mq_stream *in = &x->in;
        const mq_inet_edge *from = &x->build->net->nodes[x->node->input[0]].edge;
        int beat = in->channels * in->pixels, value = c % beat, t = c / beat;
        int across = ceil_div(in->w, in->pixels), groups = ceil_div(in->c, in->channels);
        int column = t % across * in->pixels + value / in->channels, row = t / across / groups;
        int channel = t / across % groups * in->channels + value % in->channels;
        if (channel >= from->c || column >= from->w || row >= from->h) return 0;
        return x->node->linear
            .weight[((size_t)o * (size_t)from->c + (size_t)channel) * (size_t)(from->h * from->w) +
                    (size_t)(row * from->w + column)];
    }
    if (kx >= s->kernel_w || (!s->depthwise && c >= s->in_c)) return 0;
    size_t channels = s->depthwise ? 1 : (size_t)s->in_c, channel = s->depthwise ? 0 : (size_t)c;
    return x->node->conv
        .weight[(((size_t)o * channels + channel) * (size_t)s->kernel_h + (size_t)ky) * (size_t)s->kernel_w +
                (size_t)kx];
}

/* ---- packings ---- */

static int steps_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].step > most) most = operand[i].step;
    return most + 1;
}

static mq_status make_kind(rtl_shape *x, const mq_plan_piece *piece, rtl_kind *k, mq_error *error) {
    const mq_packing *p = &piece->packing;
    const mq_weight_word word = mq_weight_word_of(p);
    const char *name = x->node->name;
    *k = (rtl_kind){.p = p, .taps = piece->taps, .per_group = steps_of(p->activation, p->activations)};
    if (p->dsp.wide != 27 || p->dsp.narrow != 18 || p->dsp.accumulator != 48)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a packing for a %s; stages are built of dsp48e2", name,
                       p->dsp.name);
    if (p->fix == MQ_PORT_EXTRA)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a packing with an extra port bit; no stage is built for it",
                       name);
    for (int f = 0; f < p->fields; f++) {
        if (p->field[f].overlap > 1)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: a packing with an overlap of %d bits; stages are built for 1", name,
                           p->field[f].overlap);
        k->parity = k->parity || p->field[f].overlap > 0;
    }
    k->offset = p->fix == MQ_PORT_OFFSET;
    k->weights_c = p->fix_weights;
    k->pre_add = !p->weights_wide || word.raw;
    k->raw = word.raw;
    k->low_bits = word.low_bits;
    k->weight_bits = word.bits;
    k->place = word.place;
    k->per_slice = (int64_t)(mq_slice_constant(p) - (uint64_t)p->bias);
    int64_t by = k->offset && !p->fix_weights ? p->fix_sign * ((int64_t)1 << p->fix_shift) : 0;
    k->constant = p->zero_word - by;
    return MQ_OK;
}

static mq_status packings(rtl_shape *x, mq_error *error) {
    const mq_plan_layer *l = x->layer;
    x->slices = (x->s.depthwise ? 1 : l->simd) * l->rows;
    if (x->slices > RTL_SLICES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d input channels x %d rows at once, at most %d",
                       x->node->name, l->simd, l->rows, RTL_SLICES);
    MQ_TRY(mq_alloc((size_t)x->slices, sizeof *x->q_chain, "cascades", &x->q_chain, error));
    MQ_TRY(mq_alloc((size_t)x->slices, sizeof *x->q_skew, "cascades", &x->q_skew, error));
    x->chains = x->longest = 1;
    if (x->lut) return MQ_OK;
    x->kinds = l->kinds;
    x->pieces = x->s.pieces;
    MQ_TRY(mq_alloc((size_t)x->pieces, sizeof *x->piece, "pieces", &x->piece, error));
    int n = 0, tap = 0;
    int64_t chain = l->chain;
    for (int i = 0; i < l->kinds; i++) {
        MQ_TRY(make_kind(x, &l->piece[i], &x->kind[i], error));
        if (l->piece[i].packing.accumulations < chain) chain = l->piece[i].packing.accumulations;
        for (int k = 0; k < l->piece[i].count; k++, tap += l->piece[i].taps)
            x->piece[n++] = (rtl_piece){i, tap};
    }
    if (chain > x->slices) chain = x->slices;
    x->zero = l->piece[0].packing.activation[0].zero;
    x->chains = ceil_div(x->slices, (int)chain);
    x->longest = ceil_div(x->slices, x->chains);
    for (int c = 0, q = 0; c < x->chains; c++) {
        int length = x->slices / x->chains + (c < x->slices % x->chains);
        for (int k = 0; k < length; k++, q++) {
            x->q_chain[q] = c;
            x->q_skew[q] = x->longest - length + k; /* all end together */
        }
    }
    return MQ_OK;
}

/* ---- ring ---- */

static mq_status ring(rtl_shape *x, mq_error *error) {
    const mq_plan_layer *l = x->layer;
    const mq_stage *s = &x->s;
    const mq_stream *in = &x->in;
    x->word = s->depthwise ? l->pe : l->simd;
    x->ring_rows = s->kernel_h + 1;
    x->ring_pixels = s->linear ? 1 : s->npx;
    x->ring_in_channels = s->linear ? in->channels * in->pixels : in->channels;
    x->ring_in_pixels = s->linear ? 1 : in->pixels;
    x->ring_groups = s->linear ? (int)mq_stream_beats(in) : ceil_div(in->c, in->channels);
    x->ring_beats = s->linear ? 1 : ceil_div(in->w, in->pixels);
    x->banks = x->word > x->ring_in_channels ? x->word / x->ring_in_channels : 1;
    x->parts = x->word < x->ring_in_channels ? x->ring_in_channels / x->word : 1;
    x->words = x->parts > 1 ? x->ring_groups * x->parts : ceil_div(x->ring_groups, x->banks);
    x->bank_channels = x->ring_in_channels / x->parts;
    int64_t depth = (int64_t)x->words * s->in_blocks * (l->rows > 1 ? 1 : x->ring_rows);
    int64_t weights = (int64_t)s->groups * s->steps;
    if (depth > 1 << 24 || weights > 1 << 24)
        return mq_fail(error, MQ_BAD_INPUT, "%s: memories of %lld and %lld words", x->node->name,
                       (long long)depth, (long long)weights);
    x->address = rtl_bits(depth > s->groups ? depth : s->groups) + 1;
    x->select = rtl_bits(x->ring_rows);
    x->weight_address = rtl_bits(weights);
    return MQ_OK;
}

/* ---- accumulators ---- */

static mq_status accumulators(rtl_shape *x, mq_error *error) {
    const mq_stage *s = &x->s;
    const mq_inet_edge *e = &x->node->edge;
    const int64_t *bias = s->linear ? x->node->linear.bias : x->node->conv.bias;
    int channels = s->depthwise ? 1 : s->in_c, all = s->groups * x->layer->pe;
    int64_t low = 0, high = 0;
    MQ_TRY(mq_alloc((size_t)all, sizeof *x->offset, "offsets", &x->offset, error));
    for (int o = 0; o < s->out_c; o++) {
        int64_t sum = 0;
        if (x->zero)
            for (int c = 0; c < channels; c++)
                for (int ky = 0; ky < s->kernel_h; ky++)
                    for (int kx = 0; kx < s->kernel_w; kx++) sum += rtl_weight(x, o, c, ky, kx);
        x->offset[o] = x->zero * sum + (bias ? bias[o] : 0);
        x->offsets = x->offsets || x->offset[o] != 0;
        if (e->channel_low[o] - x->offset[o] < low) low = e->channel_low[o] - x->offset[o];
        if (e->channel_high[o] - x->offset[o] > high) high = e->channel_high[o] - x->offset[o];
    }
    x->acc = 1 + mq_bit_length(-(low + 1) > high ? -(low + 1) : high);
    if (x->acc < 2) x->acc = 2;
    if (x->acc > 48)
        return mq_fail(error, MQ_BAD_INPUT, "%s: accumulators of %d bits, at most 48", x->node->name, x->acc);
    return MQ_OK;
}

/* ---- beats ---- */

static mq_status beats(rtl_shape *x, mq_error *error) {
    const mq_plan_layer *l = x->layer;
    const mq_stage *s = &x->s;
    const char *name = x->node->name;
    if (s->pad_left >= s->kernel_w || s->pad_right >= s->kernel_w || s->pad_top >= s->kernel_h ||
        s->pad_bottom >= s->kernel_h)
        return mq_fail(error, MQ_BAD_INPUT, "%s: padding of a whole kernel or more; no stage is built for it",
                       name);
    if (s->npx % l->out_pixels)
        return mq_fail(error, MQ_BAD_INPUT, "%s: out_pixels: got %d, expected a divisor of %d", name,
                       l->out_pixels, s->npx);
    if (s->out_w > s->in_blocks * s->npx)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d output columns, %d blocks of %d pixels arrive", name,
                       s->out_w, s->in_blocks, s->npx);
    x->slots = s->npx / l->out_pixels;
    x->spacing = l->requant == MQ_PLAN_AFFINE && x->requant ? ceil_div(l->pe * l->out_pixels, l->lanes) : 1;
    if (x->slots * x->spacing > s->steps)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a block's %d beats take %d cycles, its products %d", name,
                       x->slots, x->slots * x->spacing, s->steps);
    x->pre = ceil_div(s->lead, l->out_pixels);
    x->beats = ceil_div(s->out_w, l->out_pixels);
    x->out = (mq_stream){s->out_h, s->out_w, s->out_c, l->pe, l->out_pixels, 32, true};
    if (x->requant) {
        x->out.bits = x->requant->requant.bits;
        x->out.is_signed = x->requant->requant.is_signed;
    }
    return MQ_OK;
}

mq_status rtl_shape_make(const mq_rtl_build *build, const mq_plan_layer *layer, const mq_stream *in,
                         const char *module, rtl_shape *x, mq_error *error) {
    *x = (rtl_shape){.build = build, .layer = layer, .in = *in, .node = &build->net->nodes[layer->node]};
    snprintf(x->module, sizeof x->module, "%s", module);
    x->bits = in->bits;
    x->lut = layer->multiplier == MQ_PLAN_LUT;
    for (int i = 0; layer->requant != MQ_PLAN_NO_REQUANT && i < build->net->node_count; i++)
        if (build->net->nodes[i].kind == MQ_INET_REQUANT && build->net->nodes[i].input[0] == layer->node)
            x->requant = &build->net->nodes[i];
    if (layer->requant != MQ_PLAN_NO_REQUANT && !x->requant)
        return mq_fail(error, MQ_BAD_INPUT, "%s: its plan has a requantiser, but none reads it",
                       x->node->name);
    MQ_TRY(mq_stage_make(build->net, layer, in, &x->s, error));
    x->coefficients = x->s.npx + x->s.kernel_w - 1;
    x->weight_bits = x->s.linear ? x->node->linear.weight_bits : x->node->conv.weight_bits;
    if (in->is_signed)
        return mq_fail(error, MQ_BAD_INPUT, "%s: signed codes arrive; no stage is built for them",
                       x->node->name);
    mq_status status = packings(x, error);
    if (status == MQ_OK) status = ring(x, error);
    if (status == MQ_OK) status = accumulators(x, error);
    if (status == MQ_OK) status = beats(x, error);
    if (status == MQ_OK) status = x->lut ? rtl_lut_array(x, NULL, error) : rtl_array(x, NULL, error);
    if (status != MQ_OK) rtl_shape_free(x);
    return status;
}

void rtl_shape_free(rtl_shape *x) {
    mq_free(x->piece);
    mq_free(x->q_chain);
    mq_free(x->q_skew);
    mq_free(x->offset);
    x->piece = NULL;
    x->q_chain = x->q_skew = NULL;
    x->offset = NULL;
}
