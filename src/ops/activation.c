/* activation.c - the quantiser in front of each layer (ReLU or image conversion in float mode).
 *
 * fixed   codes as numbers, scale = the step.
 * search  sum_j softmax_j Q_j(x); backward recomputes the 7 branches from x in one pass instead of storing
 * them. Work is cut into tasks of fixed size; inside a task, pieces that stay in the first-level cache.
 *
 * When a batch norm is computed in here (node_state.norm), pieces are normalised as they are read, and
 * batch_norm.c leads the backward pass. */
#include "ops/norm_rows.h"
#include "ops/train_op.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { PIECE = 4096, GRAIN = 16 * PIECE };

typedef struct act_op {
    mq_act_kind kind;
    mq_quantizer quantizer;
    bool searched;
    int bits; /* MQ_BITS_FLOAT in float mode */
    mq_param *alpha;
    float softmax[MQ_BRANCHES];
    uint64_t version;
    double *partial; /* [tasks][7] */
    size_t tasks;
} act_op;

typedef struct act_call {
    const act_op *op;
    const void *x; /* float32, or uint8 pixels */
    void *out;
    mq_dtype out_type;
    float x_scale;
    const float *dy;
    float *dx;
    float dy_scale;
    size_t count;
    const mq_model *model;
    const node_state *norm; /* normalises x first; NULL: nothing */
    norm_z z;               /* x of such a one */
    size_t pixels, channels, tasks;
    const mq_mix_rows *rows; /* does all of it; NULL: nothing */
} act_call;

bool activation_as_bytes(const mq_model *model, const node_state *s) {
    const mq_mode mode = model->options.mode;
    const bool fixed =
        mode == MQ_MODE_FIXED || (mode == MQ_MODE_SEARCH && !layer_searched(model, s->node->act.layer));
    return fixed && s->read_by && mq_dnn_has_codes();
}

static mq_status create(mq_model *model, node_state *s, mq_error *error) {
    act_op *op;
    MQ_TRY(mq_alloc(1, sizeof *op, "a layer", &s->op, error));
    op = s->op;
    int layer = s->node->act.layer;
    const mq_layer *info = &model->net->layers[layer];
    op->kind = s->node->act.kind;
    op->quantizer = model->net->quantizer;
    op->searched = layer_searched(model, layer);
    if (model->options.mode == MQ_MODE_FLOAT)
        op->bits = MQ_BITS_FLOAT;
    else
        op->bits = model->options.mode == MQ_MODE_FIXED ? model->bits.activation[layer]
                                                        : info->pinned_activation_bits;
    op->alpha = mq_model_param(model, info->node, MQ_PARAM_ALPHA_ACTIVATION, -1);
    s->out_type = activation_as_bytes(model, s) ? MQ_U8 : model->options.compute;
    s->grad_type = s->norm ? model->options.compute : MQ_F32;
    op->tasks = mq_task_count((size_t)model->options.batch * image_elements(s->node), GRAIN);
    if (op->tasks < NORM_TASKS) op->tasks = NORM_TASKS;
    if (op->searched)
        return mq_alloc(op->tasks * MQ_BRANCHES, sizeof(double), "branch sums", &op->partial, error);
    return MQ_OK;
}

static void destroy(node_state *s) {
    act_op *op = s->op;
    if (!op) return;
    mq_free(op->partial);
    mq_free(op);
    s->op = NULL;
}

MQ_CLONES static void codes_to_float(const uint8_t *codes, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = (float)codes[i];
}

MQ_CLONES static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], 4);
        uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
        /* a NaN must stay one, so that the check for finite numbers finds it */
        out[i] = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
    }
}

MQ_CLONES static void from_bf16(const uint16_t *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = (uint32_t)x[i] << 16;
        memcpy(&out[i], &u, 4);
    }
}

MQ_CLONES static void shift_pixels(const uint8_t *k, size_t n, int shift, uint8_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(k[i] >> shift);
}

MQ_CLONES static void relu6(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i];
        y[i] = v < 0 ? 0 : v > 6 ? 6 : v;
    }
}

MQ_CLONES static void relu6_gradient(const float *x, const float *dy, size_t n, float *dx) {
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0 && x[i] < 6 ? dy[i] : 0;
}

MQ_CLONES static void scale_by(float *x, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

static void codes_piece(const act_op *op, const void *x, size_t n, uint8_t *codes) {
    if (op->kind == MQ_ACT_IMAGE)
        shift_pixels(x, n, 8 - op->bits, codes);
    else
        mq_activation_codes(x, n, op->quantizer, op->bits, codes);
}

/* A piece of at most PIECE elements: y in float32, in place of the codes of fixed bits. */
static void forward_piece(const act_op *op, const void *x, size_t n, float *y) {
    const float *real = x;
    const uint8_t *pixel = x;
    uint8_t codes[PIECE];
    if (op->searched) {
        if (op->kind == MQ_ACT_IMAGE)
            mq_image_mix(pixel, n, op->softmax, y);
        else
            mq_activation_mix(real, n, op->quantizer, op->softmax, y);
    } else if (op->bits == MQ_BITS_FLOAT) {
        if (op->kind == MQ_ACT_IMAGE)
            mq_image_values(pixel, n, MQ_BITS_FLOAT, y);
        else if (op->kind == MQ_ACT_RELU6)
            relu6(real, n, y);
        else
            mq_activation_values(real, n, op->quantizer, MQ_BITS_FLOAT, y);
    } else {
        codes_piece(op, x, n, codes);
        codes_to_float(codes, n, y);
    }
}

/* A piece of real inputs to its place in the output. */
static void store_piece(const act_call *a, const void *x, size_t n, size_t at) {
    float y[PIECE];
    if (a->out_type == MQ_U8) {
        codes_piece(a->op, x, n, (uint8_t *)a->out + at);
    } else if (a->out_type == MQ_F32) {
        forward_piece(a->op, x, n, (float *)a->out + at);
    } else {
        forward_piece(a->op, x, n, y);
        to_bf16(y, n, (uint16_t *)a->out + at);
    }
}

static void forward_task(void *context, size_t task) {
    const act_call *a = context;
    size_t end = (task + 1) * GRAIN < a->count ? (task + 1) * GRAIN : a->count;
    size_t item = a->op->kind == MQ_ACT_IMAGE ? 1 : sizeof(float);
    float scaled[PIECE];
    for (size_t first = task * GRAIN; first < end; first += PIECE) {
        size_t n = end - first < PIECE ? end - first : PIECE;
        const void *x = (const unsigned char *)a->x + first * item;
        if (a->x_scale != 1) {
            memcpy(scaled, x, n * sizeof(float));
            scale_by(scaled, n, a->x_scale);
            x = scaled;
        }
        store_piece(a, x, n, first);
    }
}

static void normed_task(void *context, size_t task) {
    const act_call *a = context;
    const size_t width = batch_norm_width(a->norm), step = NORM_PIECE / width * width;
    size_t first, count;
    float x[NORM_PIECE];
    norm_share(a->pixels, a->tasks, task, &first, &count);
    const size_t end = (first + count) * a->channels;
    if (a->rows) {
        const size_t begin = first * a->channels;
        const bool bf16 = a->out_type == MQ_BF16;
        const norm_z z = norm_z_from(a->z, begin);
        mq_mix_rows_values(a->rows, (mq_mix_z){z.values, z.as == NORM_ROUNDED}, end - begin,
                           (char *)a->out + begin * mq_dtype_size(a->out_type), bf16);
        return;
    }
    const act_op *op = a->op;
    if (a->out_type == MQ_U8 &&
        batch_norm_codes(a->model, a->norm, norm_z_from(a->z, first * a->channels), count * a->channels,
                         mq_activation_top(op->quantizer, op->bits),
                         (float)mq_activation_step(op->quantizer, op->bits),
                         (uint8_t *)a->out + first * a->channels))
        return;
    for (size_t at = first * a->channels; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        batch_norm_piece(a->model, a->norm, (const float *)a->x + at, n, x);
        store_piece(a, x, n, at);
    }
}

void activation_forward(mq_model *model, node_state *s, int first, int count) {
    const act_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    if (in == s->norm) in = input_state(model, in, 0);
    const size_t before = (size_t)first * image_elements(s->node);
    const node_state *layer = s->norm ? input_state(model, s->norm, 0) : NULL;
    act_call a = {.op = op,
                  .x = (const char *)in->out + before * mq_dtype_size(in->out_type),
                  .out = (char *)s->out + before * mq_dtype_size(s->out_type),
                  .out_type = s->out_type,
                  .x_scale = in->scale,
                  .count = (size_t)count * image_elements(s->node),
                  .model = model,
                  .norm = s->norm,
                  .pixels = (size_t)count * (size_t)(s->node->h * s->node->w),
                  .channels = (size_t)s->node->c,
                  .tasks = norm_tasks((size_t)count * image_elements(s->node))};
    if (layer) a.z = norm_z_from((norm_z){in->out, layer->stored}, before);
    mq_mix_rows rows;
    if (s->norm && activation_mix_rows(model, s, batch_norm_width(s->norm), &rows) &&
        batch_norm_mix_rows(model, s->norm, &rows))
        a.rows = &rows;
    if (s->norm)
        mq_parallel(a.tasks, normed_task, &a);
    else
        mq_parallel(mq_task_count(a.count, GRAIN), forward_task, &a);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    act_op *op = s->op;
    if (op->searched && op->version != model->version) {
        mq_softmax(op->alpha->value, MQ_BRANCHES, op->softmax);
        op->version = model->version;
    }
    s->scale = 1;
    if (!op->searched && op->bits != MQ_BITS_FLOAT)
        s->scale = op->kind == MQ_ACT_IMAGE ? 1.0f / (float)(1 << op->bits)
                                            : (float)mq_activation_step(op->quantizer, op->bits);
    if (!s->read_by) activation_forward(model, s, 0, model->n);
    return MQ_OK;
}

static void gradient_piece(const act_op *op, const float *x, const float *dy, size_t n, float scale,
                           float *dx, double *g) {
    if (op->searched && g)
        mq_activation_mix_gradient(x, dy, n, op->quantizer, op->softmax, dx, g);
    else if (op->searched)
        mq_activation_mix_slope(x, dy, n, op->quantizer, op->softmax, dx);
    else if (op->bits == MQ_BITS_FLOAT && op->kind == MQ_ACT_RELU6)
        relu6_gradient(x, dy, n, dx);
    else
        mq_activation_gradient(x, dy, n, op->quantizer, op->bits, dx);
    if (scale != 1 && dx) scale_by(dx, n, scale);
}

static void backward_task(void *context, size_t task) {
    const act_call *a = context;
    const act_op *op = a->op;
    size_t end = (task + 1) * GRAIN < a->count ? (task + 1) * GRAIN : a->count;
    double *g = op->searched ? op->partial + task * MQ_BRANCHES : NULL;
    if (g) memset(g, 0, MQ_BRANCHES * sizeof *g);
    float scaled[PIECE];
    for (size_t first = task * GRAIN; first < end; first += PIECE) {
        size_t n = end - first < PIECE ? end - first : PIECE;
        const float *dy = a->dy + first;
        float *dx = a->dx ? a->dx + first : NULL;
        if (op->kind == MQ_ACT_IMAGE) {
            mq_image_mix_dot((const uint8_t *)a->x + first, dy, n, g);
            continue;
        }
        const float *x = (const float *)a->x + first;
        if (a->x_scale != 1) {
            memcpy(scaled, x, n * sizeof(float));
            scale_by(scaled, n, a->x_scale);
            x = scaled;
        }
        gradient_piece(op, x, dy, n, a->dy_scale, dx, g);
    }
}

void activation_gradient(const node_state *s, const float *x, size_t at, size_t count, float *dx, double *g) {
    const act_op *op = s->op;
    if (s->grad_type == MQ_F32) {
        gradient_piece(op, x, (const float *)s->grad + at, count, s->grad_scale, dx, g);
        return;
    }
    float dy[NORM_PIECE];
    from_bf16((const uint16_t *)s->grad + at, count, dy);
    gradient_piece(op, x, dy, count, s->grad_scale, dx, g);
}

bool activation_mixes_rows(const mq_model *model, const node_state *s, size_t width) {
    return layer_searched(model, s->node->act.layer) && s->node->act.kind != MQ_ACT_IMAGE &&
           mq_mix_rows_fast(width);
}

bool activation_mix_rows(const mq_model *model, const node_state *s, size_t width, mq_mix_rows *out) {
    const act_op *op = s->op;
    if (!activation_mixes_rows(model, s, width)) return false;
    mq_mix_rows_set(out, op->quantizer, op->softmax);
    return true;
}

bool activation_gate(const node_state *s, norm_gate *out) {
    const act_op *op = s->op;
    if (op->searched) return false;
    out->scale = s->grad_scale;
    out->low = 0;
    out->high = INFINITY;
    if (op->bits != MQ_BITS_FLOAT) {
        out->high = mq_activation_gate(op->quantizer, op->bits);
        return true;
    }
    out->low = nextafterf(0, 1); /* both ends are excluded */
    if (op->kind == MQ_ACT_RELU6) out->high = nextafterf(6, 0);
    return true;
}

uint32_t activation_most(const node_state *s) {
    const act_op *op = s->op;
    return (1u << op->bits) - 1;
}

double *activation_sums(const node_state *s, size_t task) {
    const act_op *op = s->op;
    if (!op->searched) return NULL;
    return op->partial + task * MQ_BRANCHES;
}

void activation_clear_sums(const node_state *s) {
    const act_op *op = s->op;
    if (op->searched) memset(op->partial, 0, op->tasks * MQ_BRANCHES * sizeof *op->partial);
}

void activation_collect(node_state *s, size_t tasks) {
    act_op *op = s->op;
    if (!op->searched) return;
    double g[MQ_BRANCHES] = {0};
    for (size_t t = 0; t < tasks; t++)
        for (int b = 0; b < MQ_BRANCHES; b++) g[b] += op->partial[t * MQ_BRANCHES + (size_t)b];
    mq_softmax_gradient(op->softmax, g, MQ_BRANCHES, op->alpha->grad);
}

static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    act_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    if (!s->grad) return MQ_OK; /* the image of a layer that is not searched */
    if (s->norm) return MQ_OK;  /* the batch norm's backward does it */
    act_call a = {.op = op,
                  .x = in->out,
                  .x_scale = in->scale,
                  .dy = s->grad,
                  .dx = begin_input_grad(model, s, 0),
                  .dy_scale = s->grad_scale,
                  .count = (size_t)model->n * image_elements(s->node)};
    size_t tasks = mq_task_count(a.count, GRAIN);
    mq_parallel(tasks, backward_task, &a);
    finish_input_grad(model, s, 0);
    activation_collect(s, tasks);
    return MQ_OK;
}

const train_op mq_train_ACTIVATION = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
