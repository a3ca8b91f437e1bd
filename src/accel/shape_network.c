/* shape_network.c - the lowering's walk over a description, with weights of one value. */
#include "accel/shape_network.h"

#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"

enum { INC_BITS = 16 }; /* of a requantiser's factor, as lowering chooses it */

typedef struct made {
    int node, bits, index;
} made;

typedef struct walk {
    const mq_net *net;
    const mq_bits *bits;
    bool symmetric;
    mq_inet *out;
    mq_arena *scratch;
    int accumulator[MQ_MAX_NODES];
    made codes[MQ_INET_MAX_NODES];
    int code_count;
    mq_error *error;
} walk;

static mq_status name_node(walk *w, const char *base, const char *suffix, mq_inet_node *node) {
    char name[2 * MQ_INET_MAX_NAME];
    snprintf(name, sizeof name, "%s%s", base, suffix);
    for (int i = 2; mq_inet_find(w->out, name) >= 0 && i < MQ_INET_MAX_NODES; i++)
        snprintf(name, sizeof name, "%s%s.%d", base, suffix, i);
    if (strlen(name) >= MQ_INET_MAX_NAME)
        return mq_fail(w->error, MQ_BAD_INPUT, "layer name too long: %s: at most %d characters", name,
                       MQ_INET_MAX_NAME - 1);
    strcpy(node->name, name);
    return MQ_OK;
}

/* code = clip((acc*inc + bias) >> shift): the accumulator's range over all codes. */
static mq_status add_requant(walk *w, int layer, int bits, int *index) {
    const mq_inet_node *from = &w->out->nodes[w->accumulator[layer]];
    const mq_inet_edge *e = &from->edge;
    int64_t *inc, *bias, span = e->high - e->low + 1;
    MQ_TRY(mq_arena_alloc(w->scratch, (size_t)e->c, sizeof *inc, "inc", &inc, w->error));
    MQ_TRY(mq_arena_alloc(w->scratch, (size_t)e->c, sizeof *bias, "bias", &bias, w->error));
    int shift = INC_BITS + mq_bit_length(span) - bits;
    if (shift < 0) shift = 0;
    int64_t factor = (int64_t)((double)((int64_t)1 << shift) * (double)((int64_t)1 << bits) / (double)span);
    if (factor < 1) factor = 1;
    for (int c = 0; c < e->c; c++) {
        inc[c] = factor;
        bias[c] = -e->low * factor + ((int64_t)1 << shift) / 2;
    }
    mq_inet_node node = {.kind = MQ_INET_REQUANT, .input = {w->accumulator[layer]}, .input_count = 1};
    node.requant =
        (mq_inet_requant){.bits = bits, .shift = shift, .high = (1 << bits) - 1, .inc = inc, .bias = bias};
    MQ_TRY(name_node(w, from->name, ".requant", &node));
    return mq_inet_add(w->out, &node, index, w->error);
}

static mq_status codes_of(walk *w, int index, int bits, int *out) {
    for (int i = 0; i < w->code_count; i++)
        if (w->codes[i].node == index && w->codes[i].bits == bits) {
            *out = w->codes[i].index;
            return MQ_OK;
        }
    const mq_node *n = &w->net->nodes[index];
    mq_inet_node node = {.input_count = n->input_count};
    switch (n->op) {
    case MQ_OP_INPUT:
        if (w->out->node_count)
            return mq_fail(w->error, MQ_BAD_INPUT,
                           "two layers read the image in different widths, %d and %d bits: the same expected",
                           w->out->nodes[0].image.bits, bits);
        node.kind = MQ_INET_IMAGE;
        node.image = (mq_inet_image){.h = w->net->in_h, .w = w->net->in_w, .c = w->net->in_c, .bits = bits};
        strcpy(node.name, "image");
        MQ_TRY(mq_inet_add(w->out, &node, out, w->error));
        break;
    case MQ_OP_BATCH_NORM:
        MQ_TRY(add_requant(w, n->input[0], bits, out));
        break;
    case MQ_OP_CONV:
    case MQ_OP_LINEAR:
        MQ_TRY(add_requant(w, index, bits, out));
        break;
    case MQ_OP_MAX_POOL:
    case MQ_OP_REORG:
    case MQ_OP_CONCAT:
        for (int i = 0; i < n->input_count; i++) MQ_TRY(codes_of(w, n->input[i], bits, &node.input[i]));
        node.kind = n->op == MQ_OP_REORG    ? MQ_INET_REORG
                    : n->op == MQ_OP_CONCAT ? MQ_INET_CONCAT
                                            : MQ_INET_MAX_POOL;
        if (n->op == MQ_OP_MAX_POOL)
            node.pool = (mq_inet_pool){.kernel = n->pool.kernel, .stride = n->pool.stride};
        else if (n->op == MQ_OP_REORG && n->pool.stride != 2)
            return mq_fail(w->error, MQ_BAD_INPUT, "%s: reorg of stride %d, the integer network has stride 2",
                           n->name, n->pool.stride);
        MQ_TRY(name_node(w, n->name, "", &node));
        MQ_TRY(mq_inet_add(w->out, &node, out, w->error));
        break;
    default:
        return mq_fail(w->error, MQ_BAD_INPUT, "%s: a %s cannot be quantised again", n->name,
                       mq_op_name(n->op));
    }
    w->codes[w->code_count++] = (made){index, bits, *out};
    return MQ_OK;
}

static mq_status add_layer(walk *w, const mq_node *layer) {
    mq_inet_node node = {.input_count = 1};
    int weight_bits = w->bits->weight[layer->layer];
    bool narrow = w->symmetric && weight_bits > 1;
    const mq_conv_attr *a = &layer->conv;
    size_t count = layer->op == MQ_OP_LINEAR
                       ? (size_t)layer->linear.in_features * (size_t)layer->c
                       : (size_t)(a->in_channels / a->groups * a->kernel_h * a->kernel_w) * (size_t)layer->c;
    int8_t *weight;
    MQ_TRY(codes_of(w, w->net->nodes[layer->input[0]].input[0], w->bits->activation[layer->layer],
                    &node.input[0]));
    MQ_TRY(mq_arena_alloc(w->scratch, count, 1, "weights", &weight, w->error));
    memset(weight, -(1 << (weight_bits - 1)) + narrow, count);
    if (layer->op == MQ_OP_LINEAR) {
        node.kind = MQ_INET_LINEAR;
        node.linear = (mq_inet_linear){
            .out_features = layer->c, .weight_bits = weight_bits, .weight_narrow = narrow, .weight = weight};
    } else {
        node.kind = MQ_INET_CONV;
        node.conv = (mq_inet_conv){.out_channels = layer->c,
                                   .kernel_h = a->kernel_h,
                                   .kernel_w = a->kernel_w,
                                   .stride_h = a->stride,
                                   .stride_w = a->stride,
                                   .pad_top = a->pad_h,
                                   .pad_left = a->pad_w,
                                   .pad_bottom = a->pad_h,
                                   .pad_right = a->pad_w,
                                   .groups = a->groups,
                                   .weight_bits = weight_bits,
                                   .weight_narrow = narrow,
                                   .weight = weight};
    }
    MQ_TRY(name_node(w, layer->name, "", &node));
    MQ_TRY(mq_inet_add(w->out, &node, &w->accumulator[layer->index], w->error));
    if (layer->index != w->net->output) return MQ_OK;
    mq_inet_node output = {
        .kind = MQ_INET_OUTPUT, .name = "output", .input = {w->accumulator[layer->index]}, .input_count = 1};
    output.output.divisor = 1;
    return mq_inet_add(w->out, &output, NULL, w->error);
}

static mq_status make(walk *w) {
    const mq_net *net = w->net;
    MQ_TRY(mq_arena_create(&w->scratch, w->error));
    MQ_TRY(mq_inet_create(&w->out, w->error));
    mq_inet *out = w->out;
    size_t n = 0;
    for (const char *c = net->name; *c && n < MQ_INET_MAX_NAME - 1; c++, n++)
        out->model[n] = (char)(*c == '/' || *c == ' ' || (*c == '.' && n == 0) ? '_' : *c);
    out->task = net->task == MQ_TASK_DETECTION ? MQ_INET_DETECTION : MQ_INET_CLASSIFICATION;
    out->classes = net->classes;
    out->anchor_count = net->anchor_count;
    for (int i = 0; i < net->anchor_count; i++) {
        out->anchor_w[i] = net->anchor_w[i];
        out->anchor_h[i] = net->anchor_h[i];
    }
    mq_bits_text(net, w->bits, out->bitw, out->bita);
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].layer >= 0) MQ_TRY(add_layer(w, &net->nodes[i]));
    return mq_inet_finish(out, w->error);
}

mq_status mq_shape_network(const mq_net *net, const mq_bits *bits, bool symmetric, mq_inet **out,
                           mq_error *error) {
    walk *w;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *w, "a network", &w, error));
    w->net = net;
    w->bits = bits;
    w->symmetric = symmetric;
    w->error = error;
    mq_status status = make(w);
    if (status == MQ_OK)
        *out = w->out;
    else {
        mq_inet_free(w->out);
        status = mq_fail_context(error, status, "%s", net->name);
    }
    mq_arena_destroy(w->scratch);
    mq_free(w);
    return status;
}
