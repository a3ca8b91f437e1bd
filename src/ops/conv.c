/* conv.c - convolutions and linear layers.
 *
 * The operands come from activation.c and layer_weights.c; in a layer of fixed bits both are codes, and the
 * output is the exact integer accumulator; where the processor multiplies bytes, codes are stored as such.
 * When only a batch norm reads it, the product's step is
 * left to that (node scale); else it is multiplied in here, together with the bias. A linear layer is a
 * convolution whose kernel covers its whole input.
 *
 * The batch runs in blocks of images small enough that what one pass writes is still in the cache when the
 * next one reads it; the batch norm behind a layer takes part (its sums forward, the layer's gradient
 * backward, which is never stored for more than a block). */
#include "ops/conv_specs.h"
#include "ops/thin.h"
#include "ops/train_op.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { SHAPES = 4, LANES = 16, GRAIN = 1 << 15, SIZINGS = 16, BLOCK_BYTES = 4 << 20 };

typedef struct conv_op {
    layer_weights *weights;
    mq_param *bias;
    bool deferred; /* the batch norm after it multiplies the step */
    bool backward_data;
    mq_slot narrowed;     /* the output's gradient rounded to the compute type, where it comes as float32 */
    norm_stored shortest; /* how its output may be stored in training */
    mq_slot real;         /* a block of it as float32, where it may be stored as int16 */
    struct {
        int n;
        bool rounded;
        mq_dnn_conv *conv;
        uint64_t version; /* of the weights it holds */
    } shape[SHAPES];      /* one per batch size met: full batches, the last one ... */
    int next;
    double *bias_sums;
    bool rounds;     /* its convolution: weights to bfloat16 */
    bool adds;       /* its convolution stores int16 and adds it up */
    double *moments; /* [2][channels]; where it does, and of a thin one */
    float *more;     /* the weights' gradient of the blocks behind the first */
} conv_op;

static mq_dnn_conv_spec spec_for(const mq_model *model, const node_state *s, int n, bool rounded) {
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
                             .codes = activation_as_bytes(model, &model->nodes[in->index]),
                             .whole =
                                 model->options.mode != MQ_MODE_FLOAT && !layer_searched(model, node->layer),
                             .rounded = rounded,
                             .compute = model->options.compute,
                             .diff_src = op->backward_data ? model->nodes[in->index].grad_type : MQ_F32};
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

/* Images at once of a batch of n, `most` or fewer: blocks of one size, if there are some that are large
 * enough. Each size is a convolution with its own form of the weights. */
static int block_of(int n, int most) {
    if (n <= most) return n > 1 ? n : 1;
    for (int size = most; 2 * size >= most; size--)
        if (n % size == 0) return size;
    const int blocks = (n + most - 1) / most;
    return (n + blocks - 1) / blocks;
}

/* The convolution for n images, made at the first use of that size (the oldest gives way); its output to be
 * rounded or not. */
static mq_status conv_for(mq_model *model, node_state *s, int n, bool rounded, int *which, mq_error *error) {
    conv_op *op = s->op;
    for (int i = 0; i < SHAPES; i++) {
        if (op->shape[i].conv && op->shape[i].n == n && op->shape[i].rounded == rounded) {
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
    op->shape[i].rounded = rounded;
    mq_dnn_conv_spec spec = spec_for(model, s, n, rounded);
    if (s->thin) spec.backward_data = spec.backward_weights = false;
    mq_status status = mq_dnn_conv_create(model->dnn, &spec, &op->shape[i].conv, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "layer %s", s->node->name);
    *which = i;
    return MQ_OK;
}

/* Products of codes, read by nothing but a batch norm and an activation of fixed bits, whose passes take
 * int16. Halves what they read and write of memory. */
static bool may_be_whole(const mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    const node_state *norm = s->norm_behind;
    if (!model->options.training || !op->deferred || !norm || !norm->quantised_by) return false;
    return activation_as_bytes(model, &model->nodes[s->node->input[0]]) &&
           activation_as_bytes(model, norm->quantised_by) && norm_avx512((size_t)s->node->c);
}

/* Products of mixes, read by nothing but a batch norm and a mix behind it, in bfloat16. They have its
 * rounding errors already, of every factor. */
static bool is_rounded(const mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    const node_state *norm = s->norm_behind;
    const size_t c = (size_t)s->node->c;
    if (!model->options.training || model->options.compute != MQ_BF16 || !op->deferred) return false;
    return layer_searched(model, s->node->layer) && norm && norm->quantised_by && norm_avx512(c) &&
           activation_mixes_rows(model, norm->quantised_by, c);
}

static thin_shape shape_of(const mq_model *model, const node_state *s) {
    const mq_node *node = s->node, *in = &model->net->nodes[node->input[0]];
    return (thin_shape){.kernel = (size_t)node->conv.kernel_h,
                        .in = (size_t)in->c,
                        .out = (size_t)node->c,
                        .h = (size_t)node->h,
                        .w = (size_t)node->w,
                        .backward_data = ((const conv_op *)s->op)->backward_data};
}

/* A thin layer's output is not stored (thin.h). */
static bool is_thin(const mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    const mq_node *node = s->node;
    const node_state *norm = s->norm_behind;
    if (!model->options.training || !op->deferred || !norm || !norm->quantised_by || !norm->pooled_by)
        return false;
    if (node->op != MQ_OP_CONV || norm->pooled_by->node->pool.kernel != 2) return false;
    const thin_shape shape = shape_of(model, s);
    return node->conv.kernel_w == node->conv.kernel_h && node->conv.stride == 1 && node->conv.groups == 1 &&
           node->conv.pad_h == node->conv.kernel_h / 2 && node->conv.pad_w == node->conv.kernel_w / 2 &&
           thin_fits(shape.kernel, shape.in, shape.out);
}

static mq_status create_thin(const mq_model *model, node_state *s, mq_error *error) {
    const thin_shape shape = shape_of(model, s);
    return thin_create(&shape, &s->thin, error);
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
    op->narrowed = op->real = -1;
    const size_t bytes_each = image_elements(node) * sizeof(float);
    s->block = (int)(bytes_each < BLOCK_BYTES ? BLOCK_BYTES / bytes_each : 1);
    if (s->block > model->options.batch) s->block = model->options.batch;
    if (op->bias) MQ_TRY(mq_alloc((size_t)node->c, sizeof(double), "a bias gradient", &op->bias_sums, error));
    op->shortest = may_be_whole(model, s) ? NORM_WHOLE : is_rounded(model, s) ? NORM_ROUNDED : NORM_REAL;
    if (is_thin(model, s))
        MQ_TRY(create_thin(model, s, error));
    else if (model->options.training && s->block < model->options.batch)
        MQ_TRY(mq_alloc(layer_weights_count(op->weights), sizeof(float), "a weights' gradient", &op->more,
                        error));
    int which;
    MQ_TRY(conv_for(model, s, block_of(model->options.batch, s->block), op->shortest == NORM_ROUNDED, &which,
                    error));
    op->rounds = mq_dnn_conv_rounds_weights(op->shape[which].conv);
    op->adds = op->shortest == NORM_WHOLE && mq_dnn_conv_has_whole(op->shape[which].conv);
    if (s->thin || op->adds)
        MQ_TRY(mq_alloc(2 * (size_t)node->c, sizeof(double), "a layer's sums", &op->moments, error));
    if (op->shortest == NORM_WHOLE && !s->thin && !op->adds) {
        const int now = time_forward(net, node->index);
        MQ_TRY(mq_plan_add(model->plan, (size_t)s->block * bytes_each, now, now, &op->real, error));
    }
    if (model->options.training && s->grad_type != model->options.compute) {
        int now = time_backward(net, node->index);
        size_t bytes = (size_t)s->block * image_elements(node) * mq_dtype_size(model->options.compute);
        MQ_TRY(mq_plan_add(model->plan, bytes, now, now, &op->narrowed, error));
    }
    return MQ_OK;
}

static void destroy(node_state *s) {
    conv_op *op = s->op;
    if (!op) return;
    for (int i = 0; i < SHAPES; i++) mq_dnn_conv_destroy(op->shape[i].conv);
    layer_weights_destroy(op->weights);
    mq_free(op->bias_sums);
    mq_free(op->more);
    mq_free(op->moments);
    thin_destroy(s->thin);
    s->thin = NULL;
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

/* `count` images from `first` on. */
static mq_status forward_block(mq_model *model, node_state *s, int first, int count, float scale,
                               mq_error *error) {
    conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    int which;
    MQ_TRY(conv_for(model, s, count, s->stored == NORM_ROUNDED, &which, error));
    if (in->read_by) activation_forward(model, in, first, count);
    mq_dnn_conv *conv = op->shape[which].conv;
    const uint64_t version = layer_weights_version(op->weights);
    if (op->shape[which].version != version) {
        MQ_TRY(mq_dnn_conv_set_weights(conv, layer_weights_operand(op->weights), error));
        op->shape[which].version = version;
    }
    const size_t in_before = (size_t)first * image_elements(in->node) * mq_dtype_size(in->out_type);
    const size_t before = (size_t)first * image_elements(s->node);
    norm_z z = norm_z_from((norm_z){s->out, s->stored}, before);
    if (s->stored == NORM_WHOLE && op->adds) {
        if (first == 0) memset(op->moments, 0, 2 * (size_t)s->node->c * sizeof *op->moments);
        return mq_dnn_conv_forward_whole(conv, (const uint8_t *)in->out + in_before,
                                         (int16_t *)s->out + before, op->moments, op->moments + s->node->c,
                                         error);
    }
    if (s->stored == NORM_WHOLE) z = (norm_z){mq_plan_memory(model->plan, op->real), NORM_REAL};
    void *out = (void *)(uintptr_t)z.values;
    MQ_TRY(mq_dnn_conv_forward(conv, (const char *)in->out + in_before, out, error));
    if (!op->deferred && (scale != 1 || op->bias)) {
        epilogue e = {out, (size_t)count * (size_t)(s->node->h * s->node->w), s->node->c, scale,
                      op->bias ? op->bias->value : NULL};
        mq_parallel(mq_task_count(e.pixels, GRAIN), scale_bias_task, &e);
    }
    if (s->norm_behind && model->training) batch_norm_add_moments(model, s->norm_behind, z, first, count);
    return MQ_OK;
}

/* Sums of whole numbers: exact, or beyond every limit. */
MQ_CLONES static float sum_of_sizes(const float *w, size_t count) {
    float sum[LANES] = {0}, all = 0;
    for (; count >= LANES; count -= LANES, w += LANES)
        for (size_t i = 0; i < LANES; i++) sum[i] += fabsf(w[i]);
    for (size_t i = 0; i < LANES; i++) all += sum[i];
    for (size_t i = 0; i < count; i++) all += fabsf(w[i]);
    return all;
}

typedef struct sizing {
    const float *w;
    size_t outputs, each, share;
    float most[SIZINGS]; /* of a share of the outputs */
} sizing;

static void size_task(void *context, size_t task) {
    sizing *s = context;
    s->most[task] = 0;
    for (size_t o = task * s->share; o < (task + 1) * s->share && o < s->outputs; o++) {
        const float sum = sum_of_sizes(s->w + o * s->each, s->each);
        if (sum > s->most[task]) s->most[task] = sum;
    }
}

/* Whether no sum of products with the weights of this moment leaves int16. */
static bool fits_whole(const mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    const size_t outputs = (size_t)s->node->c;
    sizing all = {.w = layer_weights_operand(op->weights),
                  .outputs = outputs,
                  .each = layer_weights_count(op->weights) / outputs,
                  .share = mq_task_count(outputs, SIZINGS)};
    const size_t tasks = mq_task_count(outputs, all.share);
    mq_parallel(tasks, size_task, &all);
    const float most = (float)activation_most(&model->nodes[s->node->input[0]]);
    for (size_t i = 0; i < tasks; i++)
        if (all.most[i] * most > INT16_MAX) return false;
    return true;
}

static norm_stored stored_now(const mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    if (!model->training) return NORM_REAL;
    return op->shortest == NORM_WHOLE && !fits_whole(model, s) ? NORM_REAL : op->shortest;
}

/* Its input, and the batch norm's sums; the max pool computes what it wants of the output. */
static void forward_thin(mq_model *model, const node_state *s) {
    const conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    if (in->read_by && model->n) activation_forward(model, in, 0, model->n);
    thin_begin(s->thin, layer_weights_operand(op->weights), op->rounds, in->out, in->out_type,
               (size_t)model->n);
    thin_moments(s->thin, op->moments, op->moments + s->node->c);
    batch_norm_set_moments(s->norm_behind, op->moments, op->moments + s->node->c);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    const conv_op *op = s->op;
    layer_weights_prepare(model, op->weights);
    s->stored = stored_now(model, s);
    /* float64 product, then float32: the same scale as the integer network's folding. */
    const float scale =
        (float)((double)layer_weights_step(op->weights) * (double)input_state(model, s, 0)->scale);
    s->scale = op->deferred ? scale : 1;
    if (s->thin && model->training) {
        forward_thin(model, s);
        return MQ_OK;
    }
    if (!model->n && s->norm_behind && model->training)
        batch_norm_add_moments(model, s->norm_behind, (norm_z){s->out, NORM_REAL}, 0, 0);
    const int block = block_of(model->n, s->block);
    for (int i = 0; i < model->n; i += block)
        MQ_TRY(forward_block(model, s, i, model->n - i < block ? model->n - i : block, scale, error));
    if (model->n && s->stored == NORM_WHOLE && op->adds)
        batch_norm_set_moments(s->norm_behind, op->moments, op->moments + s->node->c);
    return MQ_OK;
}

/* dL/dbias: the output's gradient summed over images and positions. Heads are small: one thread, float64. */
static void add_bias_gradient(const void *grad, mq_dtype type, size_t pixels, int channels, double *sum) {
    for (size_t p = 0; p < pixels; p++) {
        if (type == MQ_F32) {
            const float *g = (const float *)grad + p * (size_t)channels;
            for (int c = 0; c < channels; c++) sum[c] += (double)g[c];
        } else {
            const uint16_t *g = (const uint16_t *)grad + p * (size_t)channels;
            for (int c = 0; c < channels; c++) sum[c] += (double)mq_bf16_to_f32(g[c]);
        }
    }
}

static void narrow(const float *wide, size_t count, uint16_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = mq_f32_to_bf16(wide[i]);
}

typedef struct addition {
    float *to;
    const float *from;
    size_t count;
} addition;

static void add_task(void *context, size_t task) {
    const addition *a = context;
    const size_t end = (task + 1) * GRAIN < a->count ? (task + 1) * GRAIN : a->count;
    for (size_t i = task * GRAIN; i < end; i++) a->to[i] += a->from[i];
}

/* `count` images from `first` on, of which the first block done overwrites the weights' gradient. */
static mq_status backward_block(mq_model *model, node_state *s, int first, int count, bool overwrite,
                                mq_error *error) {
    conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    const size_t elements = (size_t)count * image_elements(s->node), c = (size_t)s->node->c;
    const void *grad = s->grad;
    int which;
    MQ_TRY(conv_for(model, s, count, s->stored == NORM_ROUNDED, &which, error));
    mq_dnn_conv *conv = op->shape[which].conv;
    if (s->norm_behind)
        batch_norm_input_gradient(model, s->norm_behind, first, count, s->grad);
    else
        grad = (const char *)s->grad + (size_t)first * image_elements(s->node) * mq_dtype_size(s->grad_type);
    if (op->bias) add_bias_gradient(grad, s->grad_type, elements / c, (int)c, op->bias_sums);
    if (op->narrowed >= 0) {
        narrow(grad, elements, mq_plan_memory(model->plan, op->narrowed));
        grad = mq_plan_memory(model->plan, op->narrowed);
    }
    const size_t in_before = (size_t)first * image_elements(in->node);
    const void *src = (const char *)in->out + in_before * mq_dtype_size(in->out_type);
    float *dw = layer_weights_operand_grad(op->weights);
    MQ_TRY(mq_dnn_conv_backward_weights(conv, src, grad, overwrite ? dw : op->more, error));
    if (!overwrite) {
        addition a = {dw, op->more, layer_weights_count(op->weights)};
        mq_parallel(mq_task_count(a.count, GRAIN), add_task, &a);
    }
    if (!op->backward_data) return MQ_OK;
    MQ_TRY(mq_dnn_conv_backward_data(conv, grad, (char *)in->grad + in_before * mq_dtype_size(in->grad_type),
                                     error));
    if (in->read_by && in->norm) batch_norm_add_products(model, in->norm, first, count, overwrite);
    return MQ_OK;
}

/* A share of a batch may have none: what the first block overwrites is cleared. */
static void no_images(mq_model *model, node_state *s) {
    const conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    memset(layer_weights_operand_grad(op->weights), 0, layer_weights_count(op->weights) * sizeof(float));
    if (op->backward_data && in->read_by && in->norm) batch_norm_add_products(model, in->norm, 0, 0, true);
}

static void backward_thin(mq_model *model, node_state *s) {
    const conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    batch_norm_thin_gradient(model, s->norm_behind, op->backward_data ? in->grad : NULL, in->grad_type,
                             layer_weights_operand_grad(op->weights));
    if (op->backward_data && in->read_by && in->norm)
        batch_norm_add_products(model, in->norm, 0, model->n, true);
}

/* The blocks in falling order: the last images are those that passes before this one had last. */
static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    conv_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    const int block = block_of(model->n, s->block), last = (model->n - 1) / block * block;
    if (op->bias) memset(op->bias_sums, 0, (size_t)s->node->c * sizeof *op->bias_sums);
    if (op->backward_data) in->grad_scale = layer_weights_step(op->weights);
    if (s->thin)
        backward_thin(model, s);
    else if (!model->n)
        no_images(model, s);
    for (int i = last; i >= 0 && model->n && !s->thin; i -= block)
        MQ_TRY(backward_block(model, s, i, i == last ? model->n - i : block, i == last, error));
    for (int c = 0; op->bias && c < s->node->c; c++) op->bias->grad[c] = (float)op->bias_sums[c];
    layer_weights_backward(model, op->weights, in->scale);
    return MQ_OK;
}

const train_op mq_train_CONV = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
const train_op mq_train_LINEAR = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};

int mq_model_conv_specs(const mq_model *model, int n, mq_dnn_conv_spec *out, int most) {
    int count = 0;
    for (int i = 0; i < model->net->layer_count && count < most; i++) {
        const node_state *s = &model->nodes[model->net->layers[i].node];
        const conv_op *op = s->op;
        out[count++] = spec_for(model, s, block_of(n, s->block), op->shortest == NORM_ROUNDED);
    }
    return count;
}
