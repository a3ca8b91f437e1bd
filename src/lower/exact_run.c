/* exact_run.c - planning which codes of which node are needed, and computing them, [c][h][w] throughout. */
#include "lower/exact_run.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "lower/exact_code.h"
#include "lower/trained.h"

typedef enum step_kind { STEP_IMAGE, STEP_LAYER, STEP_CODES, STEP_MOVE } step_kind;

/* One computed array: a layer's accumulators, codes of a layer's result, or codes moved by a node. */
typedef struct step {
    step_kind kind;
    const mq_node *node; /* whose values it holds */
    mq_qtype type;       /* not of LAYER */
    int input[MQ_MAX_INPUTS];
    int layer;        /* LAYER, CODES: number in layers[] */
    mq_channel *rule; /* CODES: [c] */
    int64_t *values;
} step;

typedef struct layer {
    mq_trained_layer about;
    int8_t *weight;
    int64_t *bias; /* of the last layer, in accumulator units; else NULL */
    int step;
} layer;

enum { MAX_STEPS = 4 * MQ_MAX_NODES };

struct mq_exact {
    const mq_checkpoint *checkpoint;
    mq_arena *arena;
    step steps[MAX_STEPS];
    int step_count;
    layer layers[MQ_MAX_LAYERS];
    mq_exact_result results[MAX_STEPS];
    int result_count;
};

/* ---- planning ---- */

static mq_status add_step(mq_exact *e, const step *s, int *out, mq_error *error) {
    if (e->step_count == MAX_STEPS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: too many nodes", e->checkpoint->net->name);
    step *to = &e->steps[e->step_count];
    *to = *s;
    size_t count = (size_t)s->node->h * (size_t)s->node->w * (size_t)s->node->c;
    MQ_TRY(mq_arena_alloc(e->arena, count, sizeof *to->values, "exact evaluation", &to->values, error));
    *out = e->step_count++;
    return MQ_OK;
}

/* Names as lowering gives them: the second type of a layer's codes has ".2". */
static mq_status add_result(mq_exact *e, const mq_node *layer_node, const step *s, mq_error *error) {
    mq_exact_result *r = &e->results[e->result_count];
    *r = (mq_exact_result){.h = s->node->h, .w = s->node->w, .c = s->node->c, .values = s->values};
    snprintf(r->name, sizeof r->name, "%s", layer_node->name);
    for (int i = 2; mq_exact_find(e, r->name); i++) {
        if (i > MAX_STEPS) return mq_fail(error, MQ_BAD_INPUT, "%s: too many nodes", layer_node->name);
        snprintf(r->name, sizeof r->name, "%s.%d", layer_node->name, i);
    }
    e->result_count++;
    return MQ_OK;
}

static mq_status add_codes(mq_exact *e, const mq_node *node, const mq_node *layer_node, const mq_qtype *type,
                           int *out, mq_error *error) {
    if (layer_node->layer < 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a batch norm of a layer expected", node->name);
    int norm = node == layer_node ? -1 : node->index;
    const layer *l = &e->layers[layer_node->layer];
    step s = {.kind = STEP_CODES, .node = node, .type = *type, .input = {l->step}};
    MQ_TRY(mq_arena_alloc(e->arena, (size_t)node->c, sizeof *s.rule, "exact evaluation", &s.rule, error));
    for (int c = 0; c < node->c; c++) s.rule[c] = mq_trained_channel(e->checkpoint, &l->about, norm, type, c);
    MQ_TRY(add_step(e, &s, out, error));
    return add_result(e, layer_node, &e->steps[*out], error);
}

/* The step that holds a node's values as codes of a type. At most as deep as the graph. */
static mq_status codes_of(mq_exact *e, const mq_node *node, const mq_qtype *type, int *out, mq_error *error) {
    const mq_node *nodes = e->checkpoint->net->nodes;
    for (int i = 0; i < e->step_count; i++) {
        const step *s = &e->steps[i];
        *out = i;
        if (s->kind != STEP_LAYER && s->node == node && s->type.bits == type->bits &&
            s->type.is_signed == type->is_signed && s->type.narrow == type->narrow &&
            s->type.scale == type->scale)
            return MQ_OK;
    }
    step s = {.kind = STEP_MOVE, .node = node, .type = *type};
    switch (node->op) {
    case MQ_OP_INPUT:
        s.kind = STEP_IMAGE;
        return add_step(e, &s, out, error);
    case MQ_OP_BATCH_NORM:
        return add_codes(e, node, &nodes[node->input[0]], type, out, error);
    case MQ_OP_CONV:
    case MQ_OP_LINEAR:
        return add_codes(e, node, node, type, out, error);
    case MQ_OP_MAX_POOL:
    case MQ_OP_REORG:
    case MQ_OP_CONCAT:
        for (int i = 0; i < node->input_count; i++)
            MQ_TRY(codes_of(e, &nodes[node->input[i]], type, &s.input[i], error));
        return add_step(e, &s, out, error);
    default:
        return mq_fail(error, MQ_BAD_INPUT, "%s: a %s cannot be quantised again", node->name,
                       mq_op_name(node->op));
    }
}

static mq_status add_layer(mq_exact *e, const mq_node *node, mq_error *error) {
    layer *l = &e->layers[node->layer];
    l->about = mq_trained_layer_of(e->checkpoint, node->index);
    step s = {.kind = STEP_LAYER, .node = node, .layer = node->layer};
    MQ_TRY(codes_of(e, l->about.in, &l->about.input, &s.input[0], error));
    MQ_TRY(mq_arena_alloc(e->arena, l->about.count, 1, "exact evaluation", &l->weight, error));
    MQ_TRY(mq_trained_weights(e->checkpoint, &l->about, l->weight, error));
    MQ_TRY(add_step(e, &s, &l->step, error));
    if (node->index != e->checkpoint->net->output) return MQ_OK;
    const double *offset = l->about.offset;
    bool same = true;
    for (int c = 0; offset && c < node->c; c++) same = same && offset[c] == offset[0];
    if (offset && !same) {
        MQ_TRY(
            mq_arena_alloc(e->arena, (size_t)node->c, sizeof *l->bias, "exact evaluation", &l->bias, error));
        for (int c = 0; c < node->c; c++)
            if (!mq_exact_bias(offset[c], l->about.scale[c], 1, &l->bias[c]))
                return mq_fail(error, MQ_BAD_INPUT, "%s: offset of channel %d does not fit", node->name, c);
    }
    if (l->about.bias) {
        MQ_TRY(
            mq_arena_alloc(e->arena, (size_t)node->c, sizeof *l->bias, "exact evaluation", &l->bias, error));
        for (int c = 0; c < node->c; c++)
            if (!mq_exact_bias(l->about.bias[c], l->about.weight_step, l->about.input.scale, &l->bias[c]))
                return mq_fail(error, MQ_BAD_INPUT, "%s: bias of channel %d does not fit", node->name, c);
    }
    return add_result(e, node, &e->steps[l->step], error);
}

mq_status mq_exact_create(const mq_checkpoint *checkpoint, mq_exact **out, mq_error *error) {
    *out = NULL;
    if (checkpoint->mode != MQ_MODE_FIXED)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a checkpoint of fixed bits expected", checkpoint->net->name);
    mq_exact *e;
    MQ_TRY(mq_alloc(1, sizeof *e, "exact evaluation", &e, error));
    e->checkpoint = checkpoint;
    mq_status status = mq_arena_create(&e->arena, error);
    for (int i = 0; status == MQ_OK && i < checkpoint->net->node_count; i++)
        if (checkpoint->net->nodes[i].layer >= 0) status = add_layer(e, &checkpoint->net->nodes[i], error);
    if (status != MQ_OK) {
        mq_exact_free(e);
        return status;
    }
    *out = e;
    return MQ_OK;
}

void mq_exact_free(mq_exact *e) {
    if (!e) return;
    mq_arena_destroy(e->arena);
    mq_free(e);
}

int mq_exact_count(const mq_exact *e) {
    return e->result_count;
}

const mq_exact_result *mq_exact_at(const mq_exact *e, int index) {
    return &e->results[index];
}

const mq_exact_result *mq_exact_find(const mq_exact *e, const char *name) {
    for (int i = 0; i < e->result_count; i++)
        if (strcmp(e->results[i].name, name) == 0) return &e->results[i];
    return NULL;
}

/* ---- computing; one task is one channel of the result ---- */

typedef struct job {
    const mq_exact *exact;
    const step *s;
    const uint8_t *image;
} job;

static void image_channel(const job *j, size_t c) {
    const mq_node *n = j->s->node;
    size_t pixels = (size_t)n->h * (size_t)n->w;
    const bool real = j->exact->checkpoint->net->real;
    const int shift = real ? 0 : 8 - j->s->type.bits, zero = real && j->s->type.is_signed ? 128 : 0;
    for (size_t p = 0; p < pixels; p++)
        j->s->values[c * pixels + p] = (j->image[p * (size_t)n->c + c] >> shift) - zero;
}

/* acc[o] += weight * the input shifted by a tap of the kernel. */
static void add_tap(const mq_conv_attr *a, const mq_node *in, const int64_t *from, const mq_node *out,
                    int64_t *acc, int ky, int kx, int64_t weight) {
    for (int y = 0; y < out->h; y++) {
        int row = y * a->stride - a->pad_h + ky;
        if (row < 0 || row >= in->h) continue;
        for (int x = 0; x < out->w; x++) {
            int column = x * a->stride - a->pad_w + kx;
            if (column >= 0 && column < in->w) acc[y * out->w + x] += weight * from[row * in->w + column];
        }
    }
}

static void layer_channel(const job *j, size_t o) {
    const layer *l = &j->exact->layers[j->s->layer];
    const mq_conv_attr *a = &l->about.conv;
    const mq_node *out = j->s->node, *in = l->about.in;
    const int64_t *codes = j->exact->steps[j->s->input[0]].values;
    size_t pixels = (size_t)out->h * (size_t)out->w, plane = (size_t)in->h * (size_t)in->w;
    size_t channels = (size_t)(a->in_channels / a->groups);
    size_t first = o / ((size_t)out->c / (size_t)a->groups) * channels;
    int64_t *acc = j->s->values + o * pixels;
    const int8_t *weight = l->weight + o * l->about.per_output;
    for (size_t p = 0; p < pixels; p++) acc[p] = l->bias ? l->bias[o] : 0;
    for (size_t i = 0; i < channels; i++)
        for (int ky = 0; ky < a->kernel_h; ky++)
            for (int kx = 0; kx < a->kernel_w; kx++)
                add_tap(a, in, codes + (first + i) * plane, out, acc, ky, kx, *weight++);
}

static void codes_channel(const job *j, size_t c) {
    const mq_node *n = j->s->node;
    size_t pixels = (size_t)n->h * (size_t)n->w;
    const int64_t *acc = j->exact->steps[j->s->input[0]].values + c * pixels;
    for (size_t p = 0; p < pixels; p++) j->s->values[c * pixels + p] = mq_exact_code(&j->s->rule[c], acc[p]);
}

static int64_t pooled(const mq_node *n, const mq_node *in, const int64_t *plane, int y, int x) {
    int64_t most = INT64_MIN;
    for (int ky = 0; ky < n->pool.kernel; ky++)
        for (int kx = 0; kx < n->pool.kernel; kx++) {
            int64_t v = plane[(y * n->pool.stride + ky) * in->w + x * n->pool.stride + kx];
            if (v > most) most = v;
        }
    return most;
}

static void move_channel(const job *j, size_t c) {
    const mq_node *n = j->s->node;
    int input = 0, channel = (int)c, block = 0;
    const step *from = &j->exact->steps[j->s->input[0]];
    while (n->op == MQ_OP_CONCAT && channel >= from->node->c) {
        channel -= from->node->c;
        from = &j->exact->steps[j->s->input[++input]];
    }
    const mq_node *in = from->node;
    if (n->op == MQ_OP_REORG) {
        block = channel / in->c;
        channel %= in->c;
    }
    const int64_t *plane = from->values + (size_t)channel * (size_t)in->h * (size_t)in->w;
    int64_t *to = j->s->values + c * (size_t)n->h * (size_t)n->w;
    int stride = n->pool.stride;
    for (int y = 0; y < n->h; y++)
        for (int x = 0; x < n->w; x++)
            *to++ = n->op == MQ_OP_MAX_POOL ? pooled(n, in, plane, y, x)
                    : n->op == MQ_OP_CONCAT
                        ? plane[y * in->w + x]
                        : plane[(stride * y + block / stride) * in->w + stride * x + block % stride];
}

static void run_channel(void *context, size_t c) {
    static void (*const table[])(const job *, size_t) = {
        [STEP_IMAGE] = image_channel,
        [STEP_LAYER] = layer_channel,
        [STEP_CODES] = codes_channel,
        [STEP_MOVE] = move_channel,
    };
    const job *j = context;
    table[j->s->kind](j, c);
}

void mq_exact_image(mq_exact *e, const uint8_t *image) {
    for (int i = 0; i < e->step_count; i++) {
        job j = {.exact = e, .s = &e->steps[i], .image = image};
        mq_parallel((size_t)e->steps[i].node->c, run_channel, &j);
    }
}
