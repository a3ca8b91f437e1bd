/* step.c - the reference's memory and the order of its operators. */
#include "ref/step.h"

#include <string.h>

#include "base/memory.h"
#include "ref/ref_op.h"

static const ref_op *const OPS[MQ_OPS] = {
#define REF_OP_ROW(id, name, least, most) [MQ_OP_##id] = &ref_op_##id,
    MQ_OPERATORS(REF_OP_ROW)
#undef REF_OP_ROW
};

static mq_status doubles(mq_ref *ref, size_t count, double **out, mq_error *error) {
    return mq_arena_alloc(ref->arena, count, sizeof(double), "the reference", out, error);
}

static mq_status make_params(mq_ref *ref, mq_error *error) {
    MQ_TRY(mq_params_list(ref->net, ref->options.mode, ref->options.share, &ref->specs, &ref->param_count,
                          error));
    MQ_TRY(mq_arena_alloc(ref->arena, (size_t)ref->param_count, sizeof *ref->params, "the reference",
                          &ref->params, error));
    for (int i = 0; i < ref->param_count; i++) {
        mq_ref_param *p = &ref->params[i];
        p->spec = &ref->specs[i];
        if (!mq_shape_count(&p->spec->shape, &p->count))
            return mq_fail(error, MQ_INTERNAL, "%s: its shape has no size", p->spec->name);
        MQ_TRY(doubles(ref, p->count, &p->value, error));
        if (mq_param_trained(p->spec->kind)) MQ_TRY(doubles(ref, p->count, &p->grad, error));
        if (p->spec->kind == MQ_PARAM_GAMMA || p->spec->kind == MQ_PARAM_VAR)
            for (size_t e = 0; e < p->count; e++) p->value[e] = 1;
    }
    return MQ_OK;
}

static mq_status make_nodes(mq_ref *ref, mq_error *error) {
    MQ_TRY(mq_arena_alloc(ref->arena, (size_t)ref->net->node_count, sizeof *ref->nodes, "the reference",
                          &ref->nodes, error));
    for (int i = 0; i < ref->net->node_count; i++) {
        const mq_node *node = &ref->net->nodes[i];
        ref->nodes[i].node = node;
        ref->nodes[i].elements = (size_t)node->h * (size_t)node->w * (size_t)node->c;
    }
    return MQ_OK;
}

/* What only a forward needs: the cost terms of a large network do without. */
static mq_status make_buffers(mq_ref *ref, mq_error *error) {
    if (ref->nodes[0].out) return MQ_OK;
    for (int i = ref->net->node_count - 1; i >= 0; i--) {
        ref_node *s = &ref->nodes[i];
        const size_t count = (size_t)ref->options.batch * s->elements, channels = (size_t)s->node->c;
        if (s->node->op == MQ_OP_ACTIVATION) MQ_TRY(doubles(ref, count, &s->base, error));
        if (s->node->op == MQ_OP_MAX_POOL)
            MQ_TRY(mq_arena_alloc(ref->arena, count, sizeof *s->winner, "the reference", &s->winner, error));
        if (s->node->op == MQ_OP_BATCH_NORM) {
            MQ_TRY(doubles(ref, channels, &s->mean, error));
            MQ_TRY(doubles(ref, channels, &s->spread, error));
        }
        MQ_TRY(doubles(ref, count, &s->grad, error));
        MQ_TRY(doubles(ref, count, &s->out, error));
    }
    return MQ_OK;
}

static mq_status make_layers(mq_ref *ref, mq_error *error) {
    size_t most = 0;
    MQ_TRY(mq_arena_alloc(ref->arena, (size_t)ref->net->layer_count, sizeof *ref->layers, "the reference",
                          &ref->layers, error));
    for (int l = 0; l < ref->net->layer_count; l++) {
        ref_layer *layer = &ref->layers[l];
        for (int b = 0; b < REF_BRANCHES; b++) {
            const int node = ref->net->layers[l].node;
            layer->weight[b] = mq_ref_find(ref, node, MQ_PARAM_WEIGHT, -1);
            if (layer->weight[b]) {
                layer->base[b] = layer->base[0];
                if (b > 0) continue;
            } else {
                layer->weight[b] = mq_ref_find(ref, node, MQ_PARAM_WEIGHT, b);
            }
            MQ_TRY(doubles(ref, layer->weight[b]->count, &layer->base[b], error));
        }
        const size_t count = layer->weight[0]->count;
        MQ_TRY(doubles(ref, count, &layer->operand, error));
        MQ_TRY(doubles(ref, count, &layer->operand_grad, error));
        if (count > most) most = count;
    }
    return doubles(ref, most, &ref->scratch, error);
}

static mq_status check_options(const mq_net *net, const mq_ref_options *options, mq_error *error) {
    if (options->batch < 1)
        return mq_fail(error, MQ_USAGE, "reference of %s: batch %d: at least 1 expected", net->name,
                       options->batch);
    if (options->mode != MQ_MODE_FIXED) return MQ_OK;
    if (!options->bits || options->bits->count != net->layer_count)
        return mq_fail(error, MQ_USAGE, "reference of %s: bits of %d layers: %d expected", net->name,
                       options->bits ? options->bits->count : 0, net->layer_count);
    for (int l = 0; l < net->layer_count; l++) {
        const int w = options->bits->weight[l], a = options->bits->activation[l];
        if (w < 1 || w > 8 || a < 1 || a > 8)
            return mq_fail(error, MQ_USAGE, "reference of %s: %s: w%da%d: bits 1 to 8 expected", net->name,
                           net->nodes[net->layers[l].node].name, w, a);
    }
    return MQ_OK;
}

mq_status mq_ref_create(const mq_net *net, const mq_ref_options *options, mq_ref **out, mq_error *error) {
    mq_status status;
    mq_ref *ref;
    *out = NULL;
    MQ_TRY(check_options(net, options, error));
    MQ_TRY(mq_alloc(1, sizeof *ref, "the reference", &ref, error));
    ref->net = net;
    ref->options = *options;
    ref->nudge_node = -1;
    if (options->mode == MQ_MODE_FIXED) ref->bits = *options->bits;
    ref->options.bits = NULL;
    MQ_TRY_GOTO(mq_arena_create(&ref->arena, error), failed);
    MQ_TRY_GOTO(make_params(ref, error), failed);
    MQ_TRY_GOTO(make_nodes(ref, error), failed);
    MQ_TRY_GOTO(make_layers(ref, error), failed);
    *out = ref;
    return MQ_OK;
failed:
    mq_ref_destroy(ref);
    return status;
}

void mq_ref_destroy(mq_ref *ref) {
    if (!ref) return;
    mq_arena_destroy(ref->arena);
    mq_free(ref->specs);
    mq_free(ref);
}

mq_ref_param *mq_ref_params(mq_ref *ref, int *count) {
    *count = ref->param_count;
    return ref->params;
}

mq_ref_param *mq_ref_find(mq_ref *ref, int node, mq_param_kind kind, int branch) {
    for (int i = 0; i < ref->param_count; i++) {
        const mq_param_spec *spec = ref->params[i].spec;
        if (spec->node == node && spec->kind == kind && spec->branch == branch) return &ref->params[i];
    }
    return NULL;
}

void mq_ref_set(mq_ref_param *param, const float *values) {
    for (size_t e = 0; e < param->count; e++) param->value[e] = values[e];
}

const double *mq_ref_output(const mq_ref *ref, int node) {
    return ref->nodes[node].out;
}

const double *mq_ref_operand(const mq_ref *ref, int layer) {
    return ref->layers[layer].operand;
}

const double *mq_ref_output_grad(const mq_ref *ref, int node) {
    return ref->nodes[node].grad;
}

mq_status mq_ref_forward(mq_ref *ref, const uint8_t *images, int n, bool training, mq_error *error) {
    if (n < 1 || n > ref->options.batch)
        return mq_fail(error, MQ_USAGE, "reference of %s: %d images: 1 to %d expected", ref->net->name, n,
                       ref->options.batch);
    if (ref->surrogate && n != ref->n)
        return mq_fail(error, MQ_USAGE,
                       "reference of %s: %d images: %d expected, as when the surrogate began", ref->net->name,
                       n, ref->n);
    for (int i = 0; i < ref->net->node_count; i++) {
        const mq_node *node = &ref->net->nodes[i];
        if (training && node->op == MQ_OP_BATCH_NORM && n * node->h * node->w < 2)
            return mq_fail(error, MQ_USAGE, "%s: one value per channel: batch statistics need two or more",
                           node->name);
    }
    MQ_TRY(make_buffers(ref, error));
    ref->images = images;
    ref->n = n;
    ref->training = training;
    for (int i = 0; i < ref->net->node_count; i++) {
        ref_node *s = &ref->nodes[i];
        OPS[s->node->op]->forward(ref, s);
        if (i == ref->nudge_node) s->out[ref->nudge_element] += ref->nudge_delta;
    }
    return MQ_OK;
}

mq_status mq_ref_backward(mq_ref *ref, const double *d_output, mq_error *error) {
    if (ref->n == 0)
        return mq_fail(error, MQ_USAGE, "reference of %s: backward before any forward", ref->net->name);
    for (int i = 0; i < ref->param_count; i++) {
        mq_ref_param *p = &ref->params[i];
        if (p->grad) memset(p->grad, 0, p->count * sizeof *p->grad);
    }
    for (int i = 0; i < ref->net->node_count; i++) {
        ref_node *s = &ref->nodes[i];
        memset(s->grad, 0, (size_t)ref->n * s->elements * sizeof *s->grad);
    }
    ref_node *last = &ref->nodes[ref->net->output];
    memcpy(last->grad, d_output, (size_t)ref->n * last->elements * sizeof *d_output);
    for (int i = ref->net->output; i >= 0; i--) {
        ref_node *s = &ref->nodes[i];
        OPS[s->node->op]->backward(ref, s);
    }
    return MQ_OK;
}

mq_status mq_ref_override(mq_ref *ref, int node, const float *x, mq_error *error) {
    const mq_node *at = &ref->net->nodes[node];
    const bool decides =
        at->op == MQ_OP_MAX_POOL || (at->op == MQ_OP_ACTIVATION && at->act.kind != MQ_ACT_IMAGE);
    if (!decides)
        return mq_fail(error, MQ_USAGE,
                       "%s: takes no decisions: an activation behind the first or a max pool expected",
                       at->name);
    ref->nodes[node].decide = x;
    return MQ_OK;
}

mq_status mq_ref_surrogate(mq_ref *ref, bool on, mq_error *error) {
    if (on && ref->n == 0)
        return mq_fail(error, MQ_USAGE, "reference of %s: surrogate before any forward", ref->net->name);
    for (int i = 0; on && i < ref->net->node_count; i++) {
        ref_node *s = &ref->nodes[i];
        if (s->base)
            memcpy(s->base, ref_input(ref, s, 0)->out, (size_t)ref->n * s->elements * sizeof *s->base);
    }
    for (int l = 0; on && l < ref->net->layer_count; l++) {
        ref_layer *layer = &ref->layers[l];
        for (int b = 0; b < REF_BRANCHES; b++)
            memcpy(layer->base[b], layer->weight[b]->value, layer->weight[b]->count * sizeof *layer->base[b]);
    }
    ref->surrogate = on;
    return MQ_OK;
}

void mq_ref_nudge(mq_ref *ref, int node, size_t element, double delta) {
    ref->nudge_node = node;
    ref->nudge_element = element;
    ref->nudge_delta = delta;
}

static void input_forward(mq_ref *ref, ref_node *s) {
    for (size_t e = 0; e < (size_t)ref->n * s->elements; e++) s->out[e] = ref->images[e] / 256.0;
}

static void input_backward(mq_ref *ref, ref_node *s) {
    (void)ref;
    (void)s;
}

const ref_op ref_op_INPUT = {input_forward, input_backward};
