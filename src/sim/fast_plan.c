/* fast_plan.c - prepares a network for the fast engine: how every edge is stored, what runs fused, weights in
 * the kernels' order, and the proof that int32 holds every sum. */
#include <stdlib.h>
#include <string.h>

#include "sim/sim_fast.h"

/* Pools of more code bytes than this run fused: what lies between would leave the cache. */
enum { FUSED_POOL_BYTES = 96 << 10, SCRATCH_BYTES = 32 << 10 };

static const mq_inet_edge *edge_of(const mq_fast *f, int n) {
    return &f->net->nodes[n].edge;
}

static int input_of(const mq_fast *f, int n) {
    return f->net->nodes[n].input[0];
}

static bool is_layer(const mq_inet_node *node) {
    return node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR;
}

/* ---- types ---- */

/* Codes of 8 bits are stored as such; whatever else runs through the reference, as int64. */
static void type_of_codes(const mq_inet_edge *edge, mq_fast_edge *out) {
    out->zero = edge->is_signed ? 128 : 0;
    out->type =
        edge->low + out->zero >= 0 && edge->high + out->zero <= UINT8_MAX ? MQ_FAST_CODES : MQ_FAST_INT64;
    if (out->type == MQ_FAST_INT64) out->zero = 0;
}

static bool all_codes(const mq_fast *f, int n, int zero) {
    const mq_inet_node *node = &f->net->nodes[n];
    for (int i = 0; i < node->input_count; i++) {
        const mq_fast_edge *in = &f->node[node->input[i]].edge;
        if (in->type != MQ_FAST_CODES || in->zero != zero) return false;
    }
    return true;
}

/* What a layer sees of its input. */
typedef struct geometry {
    int kernel_h, kernel_w, groups, channels; /* channels: per group */
    const int8_t *weight;                     /* [outputs][channels][kernel_h][kernel_w] */
    const int64_t *bias;
} geometry;

static geometry geometry_of(const mq_fast *f, int n) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_inet_edge *in = edge_of(f, node->input[0]);
    if (node->kind == MQ_INET_LINEAR)
        return (geometry){in->h, in->w, 1, in->c, node->linear.weight, node->linear.bias};
    const mq_inet_conv *v = &node->conv;
    return (geometry){v->kernel_h, v->kernel_w, v->groups, in->c / v->groups, v->weight, v->bias};
}

/* What is added to an output's sum of weight*stored: its bias, less what the stored zero contributes. */
static int64_t bias_of(const geometry *g, int output, int zero) {
    const size_t taps = (size_t)(g->kernel_h * g->kernel_w * g->channels);
    const int8_t *w = g->weight + (size_t)output * taps;
    int64_t sum = 0;
    for (size_t t = 0; t < taps; t++) sum += w[t];
    return (g->bias ? g->bias[output] : 0) - zero * sum;
}

/* sum of |weight|*largest stored code, plus |bias|, bounds every partial sum in any order of the additions.
 * INT32_MAX itself is kept free: no accumulator reaches it. */
static bool proves_int32(const mq_fast *f, int n) {
    const geometry g = geometry_of(f, n);
    const mq_inet_edge *in = edge_of(f, input_of(f, n));
    const int zero = f->node[input_of(f, n)].edge.zero, outputs = edge_of(f, n)->c;
    const int8_t *w = g.weight;
    const int area = g.kernel_h * g.kernel_w;
    for (int o = 0; o < outputs; o++) {
        int64_t bias = bias_of(&g, o, zero);
        if (bias <= -INT32_MAX || bias >= INT32_MAX) return false;
        int64_t sum = bias < 0 ? -bias : bias;
        const int first = o / (outputs / g.groups) * g.channels;
        for (int c = first; c < first + g.channels; c++) {
            int64_t most = in->channel_high[c] + zero;
            if (most < zero) most = zero; /* around the image */
            for (int t = 0; t < area; t++) sum += most * abs(*w++);
        }
        if (sum >= INT32_MAX) return false;
    }
    return true;
}

static void choose_type(mq_fast *f, int n) {
    const mq_inet_node *node = &f->net->nodes[n];
    mq_fast_node *out = &f->node[n];
    type_of_codes(&node->edge, &out->edge);
    const mq_fast_edge *in = &f->node[node->input[0]].edge; /* of IMAGE itself: unused */
    switch (node->kind) {
    case MQ_INET_IMAGE:
        break;
    case MQ_INET_CONV:
    case MQ_INET_LINEAR:
        out->slow = in->type != MQ_FAST_CODES || !proves_int32(f, n);
        out->edge.type = out->slow ? MQ_FAST_INT64 : MQ_FAST_INT32;
        out->edge.zero = 0;
        break;
    case MQ_INET_REQUANT:
        out->slow = in->type != MQ_FAST_INT32;
        break;
    case MQ_INET_MAX_POOL:
        out->slow = in->type == MQ_FAST_INT64;
        out->edge.type = in->type;
        out->edge.zero = in->zero;
        break;
    case MQ_INET_OUTPUT: /* reads its input where it is */
        break;
    case MQ_INET_REORG:
    case MQ_INET_CONCAT:
    case MQ_INET_RESCALE:
        out->slow = out->edge.type != MQ_FAST_CODES || !all_codes(f, n, out->edge.zero);
        break;
    default:
        out->slow = true;
    }
    if (out->slow) f->slow = true;
}

/* ---- shapes ---- */

static void need_zeros(mq_fast *f, int n) {
    const mq_inet_node *node = &f->net->nodes[n];
    if (node->kind != MQ_INET_CONV || f->node[n].slow) return;
    mq_fast_edge *in = &f->node[node->input[0]].edge;
    const mq_inet_conv *v = &node->conv;
    if (in->top < v->pad_top) in->top = v->pad_top;
    if (in->left < v->pad_left) in->left = v->pad_left;
    if (in->bottom < v->pad_bottom) in->bottom = v->pad_bottom;
    if (in->right < v->pad_right) in->right = v->pad_right;
}

static mq_status measure(mq_fast *f, int n, mq_error *error) {
    static const size_t size[] = {[MQ_FAST_CODES] = 1, [MQ_FAST_INT32] = 4, [MQ_FAST_INT64] = 8};
    const mq_inet_edge *e = edge_of(f, n);
    mq_fast_edge *out = &f->node[n].edge;
    const size_t elements = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    if (elements > f->largest) f->largest = elements;
    out->pixel = (size_t)e->c * size[out->type];
    if (out->type == MQ_FAST_CODES) out->pixel = (out->pixel + 3) / 4 * 4;
    out->row = (size_t)(out->left + e->w + out->right) * out->pixel;
    out->origin = (size_t)out->top * out->row + (size_t)out->left * out->pixel;
    if (mq_mul_overflow((size_t)(out->top + e->h + out->bottom), out->row, &out->bytes) ||
        mq_add_overflow(out->bytes, MQ_FAST_SLACK + 63, &out->bytes))
        return mq_fail(error, MQ_BAD_INPUT, "node %s: too large to simulate", f->net->nodes[n].name);
    out->bytes = out->bytes / 64 * 64;
    return MQ_OK;
}

/* ---- fusion and places ---- */

static void choose_fusion(mq_fast *f, int n) {
    const mq_inet_node *node = &f->net->nodes[n];
    const int from = input_of(f, n);
    if (f->node[n].slow || node->input_count != 1 || f->net->nodes[from].consumers != 1 || f->node[from].slow)
        return;
    const mq_inet_node *in = &f->net->nodes[from];
    if (node->kind == MQ_INET_REQUANT && is_layer(in)) f->node[from].fused = MQ_FAST_LAYERS;
    if (node->kind == MQ_INET_MAX_POOL && in->kind == MQ_INET_REQUANT && f->node[input_of(f, from)].fused &&
        node->pool.kernel == node->pool.stride && f->node[from].edge.bytes > FUSED_POOL_BYTES) {
        size_t rows = (size_t)node->pool.kernel * f->node[from].edge.row, bytes = SCRATCH_BYTES;
        f->node[from].fused = MQ_FAST_POOLS;
        if (bytes < rows) bytes = rows;
        if (f->scratch < bytes + MQ_FAST_SLACK) f->scratch = bytes + MQ_FAST_SLACK;
    }
}

/* The nodes whose memory node n reads: through what is fused into it. */
static void mark_reads(const mq_fast *f, int n, int reader, mq_fast_level level, int *last_reader) {
    const mq_inet_node *node = &f->net->nodes[n];
    for (int i = 0; i < node->input_count; i++) {
        const int in = node->input[i];
        if (mq_fast_is_fused(f, in, level))
            mark_reads(f, in, reader, level, last_reader);
        else
            last_reader[in] = reader;
    }
}

static mq_status place(mq_fast *f, mq_fast_level level, mq_error *error) {
    const int count = f->net->node_count;
    size_t *need, *offset;
    int *last_reader;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)count, sizeof *need, "simulator", &need, error));
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)count, sizeof *offset, "simulator", &offset, error));
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)count, sizeof *last_reader, "simulator", &last_reader, error));
    for (int n = 0; n < count; n++) {
        if (mq_fast_is_fused(f, n, level)) continue;
        mark_reads(f, n, n, level, last_reader);
        if (f->net->nodes[n].kind != MQ_INET_OUTPUT) need[n] = f->node[n].edge.bytes;
    }
    MQ_TRY(mq_sim_place(f->arena, (size_t)count, need, last_reader, offset, &f->memory[level], error));
    for (int n = 0; n < count; n++) f->node[n].offset[level] = offset[n];
    return MQ_OK;
}

/* ---- supers ---- */

/* A layer's channels, group by group, in as few supers of at most 4 blocks as there can be, evenly filled. */
static mq_status make_supers(mq_fast *f, int n, int groups, mq_error *error) {
    mq_fast_node *node = &f->node[n];
    const int each = edge_of(f, n)->c / groups, blocks = (each + MQ_FAST_LANES - 1) / MQ_FAST_LANES;
    const int per_group = (blocks + MQ_FAST_BLOCKS - 1) / MQ_FAST_BLOCKS;
    node->super_count = groups * per_group;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)node->super_count, sizeof *node->super, "simulator", &node->super,
                          error));
    for (int s = 0; s < node->super_count; s++) {
        const int group = s / per_group, part = s % per_group;
        const int from = blocks * part / per_group * MQ_FAST_LANES;
        int to = blocks * (part + 1) / per_group * MQ_FAST_LANES;
        if (to > each) to = each;
        node->super[s].channel = group * each + from;
        node->super[s].channels = to - from;
    }
    return MQ_OK;
}

static mq_status make_bias(mq_fast *f, int n, const geometry *g, mq_fast_super *super, mq_error *error) {
    const int zero = f->node[input_of(f, n)].edge.zero;
    int32_t *bias;
    super->dot.blocks = (super->channels + MQ_FAST_LANES - 1) / MQ_FAST_LANES;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)super->dot.blocks * MQ_FAST_LANES, sizeof *bias, "biases", &bias,
                          error));
    for (int i = 0; i < super->channels; i++) bias[i] = (int32_t)bias_of(g, super->channel + i, zero);
    super->dot.bias = bias;
    return MQ_OK;
}

/* Taps of a depthwise convolution: [kernel row][kernel column][blocks][16]. */
static mq_status make_taps(mq_fast *f, const geometry *g, mq_fast_super *super, mq_error *error) {
    mq_fast_dot *dot = &super->dot;
    const int area = g->kernel_h * g->kernel_w, lanes = dot->blocks * MQ_FAST_LANES;
    int32_t *taps;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)area * (size_t)lanes, sizeof *taps, "weights", &taps, error));
    for (int t = 0; t < area; t++)
        for (int i = 0; i < super->channels; i++)
            taps[t * lanes + i] = g->weight[(size_t)(super->channel + i) * (size_t)area + (size_t)t];
    dot->taps = taps;
    return MQ_OK;
}

/* Weights [runs][steps][blocks][16][4]. A run covers a kernel row of whole pixels where all channels are
 * read, else one group's channels of one pixel; what does not belong to the group has weight 0. */
static mq_status make_weights(mq_fast *f, int n, const geometry *g, mq_fast_super *super, mq_error *error) {
    mq_fast_dot *dot = &super->dot;
    const mq_fast_edge *in = &f->node[input_of(f, n)].edge;
    const size_t pixel = g->groups == 1 ? in->pixel : (size_t)(4 * dot->steps),
                 area = (size_t)(g->kernel_h * g->kernel_w);
    const size_t lanes = (size_t)(dot->blocks * MQ_FAST_LANES), steps = (size_t)(dot->runs * dot->steps);
    int8_t *weight;
    MQ_TRY(mq_arena_alloc(f->arena, steps * lanes, 4, "weights", &weight, error));
    for (size_t i = 0; i < (size_t)super->channels; i++) {
        const int8_t *from = g->weight + ((size_t)super->channel + i) * (size_t)g->channels * area;
        for (size_t c = 0; c < (size_t)g->channels; c++) {
            for (size_t t = 0; t < area; t++) {
                const size_t byte = t * pixel + c; /* of all runs one after the other */
                weight[(byte / 4 * lanes + i) * 4 + byte % 4] = *from++;
            }
        }
    }
    dot->weight = weight;
    return MQ_OK;
}

static int largest_weight(const geometry *g, int outputs) {
    const size_t count = (size_t)outputs * (size_t)(g->channels * g->kernel_h * g->kernel_w);
    int most = 0;
    for (size_t i = 0; i < count; i++)
        if (abs(g->weight[i]) > most) most = abs(g->weight[i]);
    return most;
}

static mq_status make_layer(mq_fast *f, int n, mq_error *error) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *in = &f->node[input_of(f, n)].edge;
    const geometry g = geometry_of(f, n);
    mq_fast_node *out = &f->node[n];
    out->stride_h = node->kind == MQ_INET_CONV ? node->conv.stride_h : 1;
    out->stride_w = node->kind == MQ_INET_CONV ? node->conv.stride_w : 1;
    out->pad_top = node->kind == MQ_INET_CONV ? node->conv.pad_top : 0;
    out->pad_left = node->kind == MQ_INET_CONV ? node->conv.pad_left : 0;
    out->depthwise = g.groups > 1 && g.channels == 1 && node->edge.c == g.groups;
    MQ_TRY(make_supers(f, n, out->depthwise ? 1 : g.groups, error));

    const bool rows = g.groups == 1;
    mq_fast_dot dot = {.runs = rows ? g.kernel_h : g.kernel_h * g.kernel_w};
    dot.steps = rows ? (int)((size_t)g.kernel_w * in->pixel / 4) : (g.channels + 3) / 4;
    dot.pairs_fit =
        2 * largest_weight(&g, node->edge.c) * (edge_of(f, input_of(f, n))->high + in->zero) <= INT16_MAX &&
        2 * largest_weight(&g, node->edge.c) * in->zero <= INT16_MAX;
    ptrdiff_t *offset;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)dot.runs, sizeof *offset, "simulator", &offset, error));
    for (int r = 0; r < dot.runs; r++) {
        const int y = rows ? r : r / g.kernel_w, x = rows ? 0 : r % g.kernel_w;
        offset[r] = (ptrdiff_t)((size_t)y * in->row + (size_t)x * in->pixel);
    }
    dot.offset = offset;
    for (int s = 0; s < out->super_count; s++) {
        mq_fast_super *super = &out->super[s];
        super->dot = dot;
        MQ_TRY(make_bias(f, n, &g, super, error));
        if (out->depthwise) {
            super->input = super->channel;
            MQ_TRY(make_taps(f, &g, super, error));
        } else {
            super->input = super->channel / (node->edge.c / g.groups) * g.channels;
            MQ_TRY(make_weights(f, n, &g, super, error));
        }
    }
    return MQ_OK;
}

/* A REQUANT has the supers of the layer before it, so that both can run as one. */
static mq_status make_requant(mq_fast *f, int n, mq_error *error) {
    const int from = input_of(f, n);
    int groups = 1;
    if (f->net->nodes[from].kind == MQ_INET_CONV && !f->node[from].depthwise)
        groups = f->net->nodes[from].conv.groups;
    MQ_TRY(make_supers(f, n, groups, error));
    for (int s = 0; s < f->node[n].super_count; s++)
        MQ_TRY(mq_fast_make_rules(f, n, &f->node[n].super[s], error));
    return MQ_OK;
}

static mq_status make_rescale(mq_fast *f, int n, mq_error *error) {
    mq_fast_node *node = &f->node[n];
    MQ_TRY(mq_arena_alloc(f->arena, UINT8_MAX + 1, 1, "codes", &node->code, error));
    for (int64_t code = 0; code <= edge_of(f, input_of(f, n))->high; code++)
        node->code[code] = (uint8_t)mq_sim_rescale(&f->net->nodes[n].rescale, code);
    return MQ_OK;
}

static mq_status make_node(mq_fast *f, int n, mq_error *error) {
    if (f->node[n].slow) return MQ_OK;
    switch (f->net->nodes[n].kind) {
    case MQ_INET_CONV:
    case MQ_INET_LINEAR:
        return make_layer(f, n, error);
    case MQ_INET_REQUANT:
        return make_requant(f, n, error);
    case MQ_INET_RESCALE:
        return make_rescale(f, n, error);
    default:
        return MQ_OK;
    }
}

/* The reference for the slow nodes; nothing where there are none. */
static mq_status prepare_reference(mq_fast *f, mq_error *error) {
    mq_sim_reference *r = &f->reference;
    const size_t n = (size_t)f->net->node_count;
    if (!f->slow) return MQ_OK;
    r->net = f->net;
    r->arena = f->arena;
    MQ_TRY(mq_arena_alloc(f->arena, n, sizeof *r->layer, "simulator", &r->layer, error));
    MQ_TRY(mq_arena_alloc(f->arena, n, sizeof *r->offset, "simulator", &r->offset, error));
    for (int i = 0; i < f->net->node_count; i++)
        if (f->node[i].slow && is_layer(&f->net->nodes[i])) MQ_TRY(mq_sim_layer_prepare(r, i, error));
    return mq_sim_place_edges(r, error);
}

mq_status mq_fast_prepare(mq_fast *f, mq_error *error) {
    const int count = f->net->node_count;
    MQ_TRY(mq_arena_create(&f->arena, error));
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)count, sizeof *f->node, "simulator", &f->node, error));
    for (int n = 0; n < count; n++) choose_type(f, n);
    for (int n = 0; n < count; n++) need_zeros(f, n);
    for (int n = 0; n < count; n++) MQ_TRY(measure(f, n, error));
    for (int n = 1; n < count; n++) choose_fusion(f, n);
    for (int n = 0; n < count; n++) MQ_TRY(make_node(f, n, error));
    for (int level = 0; level < MQ_FAST_LEVELS_OF_FUSION; level++)
        MQ_TRY(place(f, (mq_fast_level)level, error));
    return prepare_reference(f, error);
}
