/* conv.c - convolutions and linear layers.
 *
 * The operands come from activation.c and layer_weights.c; in a layer of fixed bits both are codes, and the
 * output is the exact integer accumulator. When only a batch norm reads it, the product's step is left to
 * that (node scale); else it is multiplied in here, together with the bias. A linear layer is a convolution
 * whose kernel covers its whole input. */
#include "ops/conv_specs.h"
#include "ops/train_op.h"

#include "base/memory.h"
#include "base/parallel.h"

enum { SHAPES = 4, GRAIN = 1 << 15 };

typedef struct conv_op {
    layer_weights *weights;
    mq_param *bias;
    bool deferred; /* the batch norm after it multiplies the step */
    bool backward_data;
    mq_slot narrowed; /* the output's gradient rounded to the compute type, where it comes as float32 */
    struct {
        int n;
        mq_dnn_conv *conv;
        uint64_t version; /* of the weights it holds */
    } shape[SHAPES];      /* one per batch size met: full batches, the last one ... */
    int next;
    double *bias_sums;
} conv_op;

static mq_dnn_conv_spec spec_for(const mq_model *model, const node_state *s, int n) {
    const mq_node *node = s->node, *in = &model->net->nodes[node->input[0]];
    const conv_op *op = s->op;
    mq_dnn_conv_spec spec = {.n = n,
                             .ih = in->h,
                             .iw = in->w,
                             .ic = in->c,
                             .oh = node->h,
                             .ow = node->w,
                             .oc = node->c,
                             .backward_data = op->backward_data,
                             .backward_weights = model->options.training,
                             .compute = model->options.compute,
                             .diff_src = MQ_F32};
    if (node->op == MQ_OP_CONV) {
        spec.kh = node->conv.kernel_h;
        spec.kw = node->conv.kernel_w;
        spec.stride = node->conv.stride;
        spec.pad_h = node->conv.pad_h;
        spec.pad_w = node->conv.pad_w;
        spec.groups = node->conv.groups;
    } else {
        spec.kh = in->h;
        spec.kw = in->w;
        spec.stride = spec.groups = 1;
    }
    return spec;
}

/* The convolution for n images, made at the first use of that size (the oldest gives way). */
static mq_status conv_for(mq_model *model, node_state *s, int n, int *which, mq_error *error) {
    conv_op *op = s->op;
    for (int i = 0; i < SHAPES; i++) {
        if (op->shape[i].conv && op->shape[i].n == n) {
            *which = i;
            return MQ_OK;
        }
    }
    int i = op->next;
    op->next = (op->next + 1) % SHAPES;
    mq_dnn_conv_destroy(op->shape[i].conv);
    op->shape[i].conv = NULL;
    op->shape[i].version = 0;
    op->shape[i].n = n;
    mq_dnn_conv_spec spec = spec_for(model, s, n);
    mq_status status = mq_dnn_conv_create(model->dnn, &spec, &op->shape[i].conv, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "layer %s", s->node->name);
    *which = i;
    return MQ_OK;
}

static mq_status create(mq_model *model, node_state *s, mq_error *error) {
    const mq_node *node = s->node;
    const mq_net *net = model->net;
    conv_op *op;
    MQ_TRY(mq_alloc(1, sizeof *op, "a layer", &s->op, error));
    op = s->op;
    MQ_TRY(layer_weights_create(model, node->layer, &op->weights, error));
    op->bias = mq_model_param(model, node->index, MQ_PARAM_BIAS, -1);
    op->backward_data = model->nodes[node->input[0]].grad_slot >= 0;
    bool normalised = false;
    for (int i = node->index + 1; i < net->node_count; i++)
        normalised |= net->nodes[i].op == MQ_OP_BATCH_NORM && net->nodes[i].input[0] == node->index;
    op->deferred = normalised && !op->bias;
    s->out_type = MQ_F32;
    s->grad_type = normalised ? model->options.compute : MQ_F32;
    op->narrowed = -1;
    if (model->options.training && s->grad_type != model->options.compute) {
        int now = time_backward(net, node->index);
        size_t bytes =
            (size_t)model->options.batch * image_elements(node) * mq_dtype_size(model->options.compute);
        MQ_TRY(mq_plan_add(model->plan, bytes, now, now, &op->narrowed, error));
    }
    int which;
    return conv_for(model, s, model->options.batch, &which, error);
}

static void destroy(node_state *s) {
    conv_op *op = s->op;
    if (!op) return;
    for (int i = 0; i < SHAPES; i++) mq_dnn_conv_destroy(op->shape[i].conv);
    layer_weights_destroy(op->weights);
    mq_free(op->bias_sums);
    mq_free(op);
    s->op = NULL;
}

typedef struct epilogue {
    float *out;
    size_t pixels;
    int channels;
    float scale;
    const float *bias;
} epilogue;

MQ_CLONES static void scale_bias(float *out, size_t pixels, int channels, float scale, const float *bias) {
    for (size_t p = 0; p < pixels; p++, out += channels)
        for (int c = 0; c < channels; c++) out[c] = out[c] * scale + (bias ? bias[c] : 0.0f);
}

static void scale_bias_task(void *context, size_t task) {
    const epilogue *e = context;
    size_t first = task * GRAIN, count = e->pixels - first < GRAIN ? e->pixels - first : GRAIN;
    scale_bias(e->out + first * (size_t)e->channels, count, e->channels, e->scale, e->bias);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    int which;
    layer_weights_prepare(model, op->weights);
    MQ_TRY(conv_for(model, s, model->n, &which, error));
    mq_dnn_conv *conv = op->shape[which].conv;
    uint64_t version = layer_weights_version(op->weights);
    if (op->shape[which].version != version) {
        MQ_TRY(mq_dnn_conv_set_weights(conv, layer_weights_operand(op->weights), error));
        op->shape[which].version = version;
    }
    MQ_TRY(mq_dnn_conv_forward(conv, in->out, s->out, error));
    /* float64 product, then float32: the same scale as the integer network's folding. */
    float scale = (float)((double)layer_weights_step(op->weights) * (double)in->scale);
    if (op->deferred) {
        s->scale = scale;
        return MQ_OK;
    }
    s->scale = 1;
    if (scale == 1 && !op->bias) return MQ_OK;
    epilogue e = {s->out, (size_t)model->n * (size_t)(s->node->h * s->node->w), s->node->c, scale,
                  op->bias ? op->bias->value : NULL};
    mq_parallel(mq_task_count(e.pixels, GRAIN), scale_bias_task, &e);
    return MQ_OK;
}

/* dL/dbias: the output's gradient summed over images and positions. Heads are small: one thread, float64. */
static mq_status bias_gradient(mq_model *model, node_state *s, mq_error *error) {
    conv_op *op = s->op;
    int channels = s->node->c;
    if (!op->bias_sums)
        MQ_TRY(mq_alloc((size_t)channels, sizeof(double), "a bias gradient", &op->bias_sums, error));
    double *sum = op->bias_sums;
    for (int c = 0; c < channels; c++) sum[c] = 0;
    size_t pixels = (size_t)model->n * (size_t)(s->node->h * s->node->w);
    for (size_t p = 0; p < pixels; p++) {
        if (s->grad_type == MQ_F32) {
            const float *g = (const float *)s->grad + p * (size_t)channels;
            for (int c = 0; c < channels; c++) sum[c] += (double)g[c];
        } else {
            const uint16_t *g = (const uint16_t *)s->grad + p * (size_t)channels;
            for (int c = 0; c < channels; c++) sum[c] += (double)mq_bf16_to_f32(g[c]);
        }
    }
    for (int c = 0; c < channels; c++) op->bias->grad[c] = (float)sum[c];
    return MQ_OK;
}

static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    int which;
    MQ_TRY(conv_for(model, s, model->n, &which, error));
    mq_dnn_conv *conv = op->shape[which].conv;
    if (op->bias) MQ_TRY(bias_gradient(model, s, error));
    const void *grad = s->grad;
    if (op->narrowed >= 0) {
        uint16_t *narrow = mq_plan_memory(model->plan, op->narrowed);
        const float *wide = s->grad;
        size_t count = (size_t)model->n * image_elements(s->node);
        for (size_t i = 0; i < count; i++) narrow[i] = mq_f32_to_bf16(wide[i]);
        grad = narrow;
    }
    MQ_TRY(mq_dnn_conv_backward_weights(conv, in->out, grad, layer_weights_operand_grad(op->weights), error));
    layer_weights_backward(model, op->weights, in->scale);
    if (op->backward_data) {
        MQ_TRY(mq_dnn_conv_backward_data(conv, grad, in->grad, error));
        in->grad_scale = layer_weights_step(op->weights);
    }
    return MQ_OK;
}

const train_op mq_train_CONV = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
const train_op mq_train_LINEAR = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};

int mq_model_conv_specs(const mq_model *model, int n, mq_dnn_conv_spec *out, int most) {
    int count = 0;
    for (int i = 0; i < model->net->layer_count && count < most; i++)
        out[count++] = spec_for(model, &model->nodes[model->net->layers[i].node], n);
    return count;
}
