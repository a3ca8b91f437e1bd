/* model.c - making a model (parameters, operators, memory plan) and running its passes.
 *
 * Lifetimes: a node's output lives from its forward to its last reader, which is the reader's backward when
 * that needs its input again; a node's gradient lives from its last reader's backward (they come first) to
 * its own. */
#include "ops/model.h"

#include <math.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "ops/train_op.h"

static const train_op *const OPS[MQ_OPS] = {
#define TRAIN_OP_ROW(id, name, least, most) [MQ_OP_##id] = &mq_train_##id,
    MQ_OPERATORS(TRAIN_OP_ROW)
#undef TRAIN_OP_ROW
};

static mq_status create_params(mq_model *model, mq_error *error) {
    bool share = model->options.mode != MQ_MODE_SEARCH || model->options.share;
    MQ_TRY(mq_params_list(model->net, model->options.mode, share, &model->specs, &model->param_count, error));
    MQ_TRY(mq_alloc((size_t)model->param_count, sizeof *model->params, "parameters", &model->params, error));
    const size_t line = MQ_ALIGN / sizeof(float);
    size_t total = 0;
    for (int i = 0; i < model->param_count; i++) {
        mq_param *p = &model->params[i];
        p->spec = &model->specs[i];
        if (!mq_shape_count(&p->spec->shape, &p->count))
            return mq_fail(error, MQ_BAD_INPUT, "layer too large: %s", p->spec->name);
        total += (p->count + line - 1) / line * line;
    }
    size_t floats = model->options.training ? 2 * total : total;
    MQ_TRY(mq_alloc(floats, sizeof(float), "parameters", &model->param_block, error));
    model->param_bytes = floats * sizeof(float);
    float *next = model->param_block;
    for (int i = 0; i < model->param_count; i++) {
        mq_param *p = &model->params[i];
        p->value = next;
        p->grad = model->options.training && mq_param_trained(p->spec->kind) ? next + total : NULL;
        next += (p->count + line - 1) / line * line;
    }
    return MQ_OK;
}

/* Whether dL/d(output) of a node is ever needed. */
static bool needs_grad(const mq_model *model, const mq_node *node) {
    if (!model->options.training || node->op == MQ_OP_INPUT) return false;
    if (node->op == MQ_OP_ACTIVATION && node->act.kind == MQ_ACT_IMAGE)
        return layer_searched(model, node->act.layer); /* for its alphas */
    return true;
}

/* The node that alone reads this one, or NULL. */
static node_state *only_reader(mq_model *model, const mq_node *node) {
    const mq_net *net = model->net;
    node_state *reader = NULL;
    if (node->index == net->output) return NULL;
    for (int i = node->index + 1; i < net->node_count; i++)
        for (int k = 0; k < net->nodes[i].input_count; k++) {
            if (net->nodes[i].input[k] != node->index) continue;
            if (reader) return NULL;
            reader = &model->nodes[i];
        }
    return reader;
}

static bool pools_tiles(const mq_node *pool, const mq_node *in) {
    const int kernel = pool->pool.kernel;
    return pool->op == MQ_OP_MAX_POOL && kernel == pool->pool.stride && pool->h * kernel == in->h &&
           pool->w * kernel == in->w;
}

static bool is_layer(const node_state *s) {
    return s->node->op == MQ_OP_CONV || s->node->op == MQ_OP_LINEAR;
}

/* What computes this batch norm in its place. */
static void place_norm(mq_model *model, node_state *s) {
    if (s->node->op == MQ_OP_ACTIVATION) {
        node_state *reader = only_reader(model, s->node);
        if (reader && is_layer(reader)) s->read_by = reader;
    }
    if (s->node->op != MQ_OP_BATCH_NORM) return;
    node_state *before = input_state(model, s, 0);
    if (is_layer(before)) {
        s->layer_before = before;
        before->norm_behind = s;
    }
    node_state *reader = only_reader(model, s->node);
    if (reader && pools_tiles(reader->node, s->node)) {
        s->pooled_by = reader;
        reader->norm = s;
        reader = only_reader(model, reader->node);
    }
    if (!reader || reader->node->op != MQ_OP_ACTIVATION || !batch_norm_fits_piece(s->node)) return;
    s->quantised_by = reader;
    reader->norm = s;
}

/* When the backward pass is done with a node's gradient and with what its own backward reads. */
static int time_own_backward(const mq_model *model, const mq_node *node) {
    const node_state *s = &model->nodes[node->index];
    if (s->norm) s = s->norm;                 /* does it in the node's place */
    if (s->layer_before) s = s->layer_before; /* asks the batch norm for it */
    return time_backward(model->net, s->node->index);
}

/* When the reader `node` is done with its input. */
static int time_reads(const mq_model *model, const mq_node *node) {
    const node_state *s = &model->nodes[node->index];
    const bool thin = node->op == MQ_OP_BATCH_NORM && model->nodes[node->input[0]].thin;
    if (model->options.training && OPS[node->op]->keeps_input && !thin) return time_own_backward(model, node);
    if (s->pooled_by)
        s = s->pooled_by; /* a batch norm's input is read by what computes it */
    else if (s->quantised_by)
        s = s->quantised_by;
    if (s->read_by) s = s->read_by;
    return time_forward(model->net, s->node->index);
}

static mq_status plan_node(mq_model *model, node_state *s, mq_error *error) {
    const mq_net *net = model->net;
    const mq_node *node = s->node;
    s->grad_slot = s->out_slot = s->spare_slot = -1;
    int last_use = node->index == net->output ? time_end(net) : node->index;
    int first_grad = net->node_count; /* the loss */
    int readers = 0;
    for (int i = node->index + 1; i < net->node_count; i++) {
        for (int k = 0; k < net->nodes[i].input_count; k++) {
            if (net->nodes[i].input[k] != node->index) continue;
            const int use = time_reads(model, &net->nodes[i]);
            if (use > last_use) last_use = use;
            if (node->index != net->output) first_grad = time_backward(net, i);
            readers++;
        }
    }
    if (s->pooled_by || s->quantised_by) return MQ_OK;
    size_t count = (size_t)model->options.batch * image_elements(node);
    if (node->op != MQ_OP_INPUT)
        MQ_TRY(mq_plan_add(model->plan, count * mq_dtype_size(s->out_type), time_forward(net, node->index),
                           last_use, &s->out_slot, error));
    if (!needs_grad(model, node)) return MQ_OK;
    const int own = time_own_backward(model, node);
    if (node->op == MQ_OP_MAX_POOL && s->norm && s->norm->quantised_by) return MQ_OK;
    if (s->thin) return MQ_OK;
    if (s->norm_behind) { /* one block, when it is asked for */
        first_grad = own;
        count = (size_t)s->block * image_elements(node);
    }
    MQ_TRY(
        mq_plan_add(model->plan, count * mq_dtype_size(s->grad_type), first_grad, own, &s->grad_slot, error));
    if (readers > 1)
        MQ_TRY(mq_plan_add(model->plan, count * sizeof(float), first_grad, own, &s->spare_slot, error));
    return MQ_OK;
}

/* Operators are made before node plans (they choose the types), but ask for their input's gradient slot: mark
 * it. */
static mq_status create_nodes(mq_model *model, mq_error *error) {
    const mq_net *net = model->net;
    for (int i = 0; i < net->node_count; i++) {
        node_state *s = &model->nodes[i];
        s->node = &net->nodes[i];
        s->scale = s->grad_scale = 1;
    }
    for (int i = 0; i < net->node_count; i++) place_norm(model, &model->nodes[i]);
    for (int i = 0; i < net->node_count; i++) {
        node_state *s = &model->nodes[i];
        s->grad_slot = needs_grad(model, s->node) ? 0 : -1;
        MQ_TRY(OPS[s->node->op]->create(model, s, error));
    }
    for (int i = 0; i < net->node_count; i++) MQ_TRY(plan_node(model, &model->nodes[i], error));
    mq_status status = mq_plan_place(model->plan, error);
    if (status != MQ_OK)
        return mq_fail(
            error, MQ_USAGE,
            "network %s at a batch of %d images: %zu bytes of memory cannot be had: use a smaller --batch",
            net->name, model->options.batch, mq_plan_bytes(model->plan));
    for (int i = 0; i < net->node_count; i++) {
        node_state *s = &model->nodes[i];
        s->out = mq_plan_memory(model->plan, s->out_slot);
        s->grad = mq_plan_memory(model->plan, s->grad_slot);
        s->spare = mq_plan_memory(model->plan, s->spare_slot);
    }
    return MQ_OK;
}

/* A batch that cannot fit is the user's to change: found out before anything is allocated. In training every
 * node's output is alive when the loss is computed (2 bytes at least per value), else at least the largest
 * one. */
static mq_status check_memory(const mq_net *net, const mq_model_options *options, mq_error *error) {
    double need = 0, have = (double)mq_physical_memory();
    for (int i = 1; i < net->node_count; i++) {
        double bytes = 2.0 * options->batch * (double)image_elements(&net->nodes[i]);
        need = options->training ? need + bytes : fmax(need, bytes);
    }
    if (need <= have) return MQ_OK;
    return mq_fail(error, MQ_USAGE,
                   "network %s at a batch of %d images needs more than %.0f GB of memory: this machine has "
                   "%.0f GB; use a "
                   "smaller --batch",
                   net->name, options->batch, need / 1e9, have / 1e9);
}

mq_status mq_model_create(const mq_net *net, const mq_model_options *options, mq_model **out,
                          mq_error *error) {
    *out = NULL;
    if (options->batch < 1) return mq_fail(error, MQ_USAGE, "batch %d: at least 1 expected", options->batch);
    if (options->mode == MQ_MODE_FIXED && (!options->bits || options->bits->count != net->layer_count))
        return mq_fail(error, MQ_USAGE, "bits for %d layers expected", net->layer_count);
    MQ_TRY(check_memory(net, options, error));
    mq_model *model;
    MQ_TRY(mq_alloc(1, sizeof *model, "a model", &model, error));
    model->net = net;
    model->options = *options;
    model->version = 1;
    if (options->bits) model->bits = *options->bits;
    model->options.bits = options->bits ? &model->bits : NULL;
    mq_status status = MQ_OK;
    for (int i = 0; i < net->layer_count && options->symmetric && options->mode == MQ_MODE_FIXED; i++)
        if (model->bits.weight[i] == 1)
            status = mq_fail(error, MQ_USAGE, "layer %s: symmetric weights need at least 2 bits",
                             net->nodes[net->layers[i].node].name);
    if (status == MQ_OK) status = create_params(model, error);
    if (status == MQ_OK) status = mq_dnn_create(&model->dnn, error);
    if (status == MQ_OK) status = mq_plan_create(&model->plan, error);
    if (status == MQ_OK)
        status = mq_alloc((size_t)net->node_count, sizeof *model->nodes, "layers", &model->nodes, error);
    if (status == MQ_OK) status = create_nodes(model, error);
    if (status != MQ_OK) {
        mq_model_destroy(model);
        return status;
    }
    *out = model;
    return MQ_OK;
}

void mq_model_destroy(mq_model *model) {
    if (!model) return;
    for (int i = 0; model->nodes && i < model->net->node_count; i++)
        if (model->nodes[i].node) OPS[model->nodes[i].node->op]->destroy(&model->nodes[i]);
    mq_free(model->nodes);
    mq_plan_destroy(model->plan);
    mq_dnn_destroy(model->dnn);
    mq_free(model->param_block);
    mq_free(model->params);
    mq_free(model->specs);
    mq_free(model);
}

const mq_net *mq_model_net(const mq_model *model) {
    return model->net;
}

const mq_model_options *mq_model_get_options(const mq_model *model) {
    return &model->options;
}

mq_param *mq_model_params(mq_model *model, int *count) {
    *count = model->param_count;
    return model->params;
}

mq_param *mq_model_param(mq_model *model, int node, mq_param_kind kind, int branch) {
    for (int i = 0; i < model->param_count; i++) {
        const mq_param_spec *spec = model->params[i].spec;
        if (spec->node == node && spec->kind == kind && spec->branch == branch) return &model->params[i];
    }
    return NULL;
}

size_t mq_model_bytes(const mq_model *model) {
    return mq_plan_bytes(model->plan) + model->param_bytes + mq_dnn_scratch_bytes(model->dnn);
}

static size_t fan_in(const mq_net *net, int node) {
    const mq_node *n = &net->nodes[node];
    if (n->op == MQ_OP_LINEAR) return (size_t)n->linear.in_features;
    const mq_conv_attr *a = &n->conv;
    return (size_t)(a->in_channels / a->groups) * (size_t)(a->kernel_h * a->kernel_w);
}

void mq_model_initialise(mq_model *model, uint64_t seed) {
    for (int i = 0; i < model->param_count; i++) {
        mq_param *p = &model->params[i];
        float constant = 0;
        switch (p->spec->kind) {
        case MQ_PARAM_GAMMA:
        case MQ_PARAM_VAR:
            constant = 1;
            break;
        case MQ_PARAM_ALPHA_WEIGHT:
        case MQ_PARAM_ALPHA_ACTIVATION:
            constant = 0.01f;
            break;
        case MQ_PARAM_WEIGHT:
        case MQ_PARAM_BIAS: {
            /* Named by the tensor: the same weights in every mode, whatever other tensors there are. */
            mq_rng rng = mq_rng_stream(seed, p->spec->name, 0);
            float bound = (float)(1.0 / sqrt((double)fan_in(model->net, p->spec->node)));
            for (size_t k = 0; k < p->count; k++) p->value[k] = (2 * mq_rng_uniform(&rng, k) - 1) * bound;
            continue;
        }
        default:
            break;
        }
        for (size_t k = 0; k < p->count; k++) p->value[k] = constant;
    }
    mq_model_touch(model);
}

void mq_model_touch(mq_model *model) {
    model->version++;
}

mq_status mq_model_forward(mq_model *model, const uint8_t *images, int n, bool training, const float **output,
                           mq_error *error) {
    const int least = mq_ranks_count(model->options.ranks) > 1 ? 0 : 1;
    if (n < least || n > model->options.batch)
        return mq_fail(error, MQ_INTERNAL, "forward of %d images: %d to %d expected", n, least,
                       model->options.batch);
    if (training && !model->options.training)
        return mq_fail(error, MQ_INTERNAL, "this model was made without training");
    model->n = n;
    model->training = training;
    model->nodes[0].out = (void *)(uintptr_t)images;
    for (int i = 0; i < model->net->node_count; i++) {
        node_state *s = &model->nodes[i];
        MQ_TRY(OPS[s->node->op]->forward(model, s, error));
    }
    *output = model->nodes[model->net->output].out;
    return MQ_OK;
}

mq_status mq_model_backward(mq_model *model, const float *d_output, mq_error *error) {
    return mq_model_backward_by_node(model, d_output, NULL, NULL, error);
}

mq_status mq_model_backward_by_node(mq_model *model, const float *d_output, mq_backward_done done,
                                    void *context, mq_error *error) {
    if (!model->training) return mq_fail(error, MQ_INTERNAL, "backward without a training forward");
    for (int i = 0; i < model->net->node_count; i++) model->nodes[i].grad_scale = 1;
    node_state *last = &model->nodes[model->net->output];
    memcpy(last->grad, d_output, (size_t)model->n * image_elements(last->node) * sizeof(float));
    for (int i = model->net->node_count - 1; i >= 0; i--) {
        node_state *s = &model->nodes[i];
        MQ_TRY(OPS[s->node->op]->backward(model, s, error));
        if (done) MQ_TRY(done(context, i, error));
    }
    return MQ_OK;
}

/* Activations come before their layer, and a batch norm inside one leads its backward pass. */
int mq_model_grad_node(const mq_model *model, int param) {
    const mq_param_spec *spec = model->params[param].spec;
    if (spec->kind != MQ_PARAM_ALPHA_ACTIVATION) return spec->node;
    for (int i = 0; i < model->net->node_count; i++) {
        const node_state *s = &model->nodes[i];
        if (s->node->op == MQ_OP_ACTIVATION && s->node->act.layer == model->net->nodes[spec->node].layer)
            return s->norm ? s->norm->node->index : i;
    }
    return 0;
}

/* The reader that runs first in backward is the one with the largest number. */
static bool first_reader(const mq_model *model, const node_state *s, int which) {
    int input = s->node->input[which];
    for (int i = model->net->node_count - 1; i > s->node->index; i--)
        for (int k = 0; k < model->net->nodes[i].input_count; k++)
            if (model->net->nodes[i].input[k] == input) return false;
    for (int k = 0; k < which; k++)
        if (s->node->input[k] == input) return false;
    return true;
}

float *begin_input_grad(mq_model *model, node_state *s, int which) {
    node_state *in = input_state(model, s, which);
    if (!in->grad) return NULL;
    return first_reader(model, s, which) ? in->grad : in->spare;
}

typedef struct add_call {
    float *to;
    const float *from;
    size_t count;
} add_call;

enum { ADD_GRAIN = 1 << 16 };

static void add_task(void *context, size_t task) {
    const add_call *a = context;
    size_t end = (task + 1) * ADD_GRAIN < a->count ? (task + 1) * ADD_GRAIN : a->count;
    for (size_t i = task * ADD_GRAIN; i < end; i++) a->to[i] += a->from[i];
}

void finish_input_grad(mq_model *model, node_state *s, int which) {
    node_state *in = input_state(model, s, which);
    if (!in->grad || first_reader(model, s, which)) return;
    add_call a = {in->grad, in->spare, (size_t)model->n * image_elements(in->node)};
    mq_parallel(mq_task_count(a.count, ADD_GRAIN), add_task, &a);
}

static int8_t argmax_bits(const mq_param *alpha) {
    int best = 0;
    for (int b = 1; b < MQ_BRANCHES; b++)
        if (alpha->value[b] > alpha->value[best]) best = b;
    return (int8_t)(MQ_SEARCH_MIN + best);
}

void mq_model_chosen_bits(mq_model *model, mq_bits *out) {
    const mq_net *net = model->net;
    *out = model->bits;
    out->count = net->layer_count;
    for (int i = 0; i < net->layer_count && model->options.mode == MQ_MODE_SEARCH; i++) {
        const mq_layer *layer = &net->layers[i];
        const mq_param *w = mq_model_param(model, layer->node, MQ_PARAM_ALPHA_WEIGHT, -1);
        const mq_param *a = mq_model_param(model, layer->node, MQ_PARAM_ALPHA_ACTIVATION, -1);
        out->weight[i] = w ? argmax_bits(w) : (int8_t)layer->pinned_weight_bits;
        out->activation[i] = a ? argmax_bits(a) : (int8_t)layer->pinned_activation_bits;
    }
}
