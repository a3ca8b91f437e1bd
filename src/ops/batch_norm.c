/* batch_norm.c - batch normalisation over images and positions (Ioffe and Szegedy, ICML 2015), as PyTorch:
 * eps 1e-5, momentum 0.1, biased variance to normalise, unbiased variance into the running one.
 *
 * The input may be unscaled accumulators z (node scale s): with r = s*z, mean_r = s*mean_z and var_r =
 * s^2*var_z, so the scale costs nothing. Statistics are float64 sums in tasks of fixed size, the same for any
 * thread count. */
#include "ops/pooled_norm.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

#define EPSILON  1e-5
#define MOMENTUM 0.1

enum { TASKS = 64 };

typedef struct bn_op {
    mq_param *gamma, *beta, *mean, *var;
    double *partial;  /* [TASKS][2][c] */
    double *sums;     /* [2][c] */
    double *mean_z;   /* mean of z over the batch */
    double *inverse;  /* 1/sqrt(var_r + eps): xhat = (z - mean_z)*s*inverse */
    float *a, *b, *d; /* per-channel factors of the pass under way */
} bn_op;

typedef struct bn_call {
    bn_op *op;
    const float *z, *dy;
    void *out;
    mq_dtype out_type;
    size_t pixels;
    int channels;
    bool exact; /* evaluation: in float64 */
    const double *ea, *eb;
    const pooled_norm *pooled; /* backward of a pooled one: instead of dy */
} bn_call;

static mq_status create(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op;
    MQ_TRY(mq_alloc(1, sizeof *op, "a batch norm", &s->op, error));
    op = s->op;
    size_t c = (size_t)s->node->c;
    int node = s->node->index;
    op->gamma = mq_model_param(model, node, MQ_PARAM_GAMMA, -1);
    op->beta = mq_model_param(model, node, MQ_PARAM_BETA, -1);
    op->mean = mq_model_param(model, node, MQ_PARAM_MEAN, -1);
    op->var = mq_model_param(model, node, MQ_PARAM_VAR, -1);
    MQ_TRY(mq_alloc(TASKS * 2 * c, sizeof(double), "batch statistics", &op->partial, error));
    MQ_TRY(mq_alloc(2 * c, sizeof(double), "batch statistics", &op->sums, error));
    MQ_TRY(mq_alloc(c, sizeof(double), "batch statistics", &op->mean_z, error));
    MQ_TRY(mq_alloc(c, sizeof(double), "batch statistics", &op->inverse, error));
    MQ_TRY(mq_alloc(c, sizeof(float), "batch statistics", &op->a, error));
    MQ_TRY(mq_alloc(c, sizeof(float), "batch statistics", &op->b, error));
    MQ_TRY(mq_alloc(c, sizeof(float), "batch statistics", &op->d, error));
    s->out_type = s->grad_type = MQ_F32;
    return MQ_OK;
}

static void destroy(node_state *s) {
    bn_op *op = s->op;
    if (!op) return;
    mq_free(op->partial);
    mq_free(op->sums);
    mq_free(op->mean_z);
    mq_free(op->inverse);
    mq_free(op->a);
    mq_free(op->b);
    mq_free(op->d);
    mq_free(op);
    s->op = NULL;
}

/* sum[c] += z, square[c] += z*z over `pixels` rows. */
MQ_CLONES static void add_moments(const float *z, size_t pixels, int channels, double *sum, double *square) {
    size_t p = 0;
    for (; p + 2 <= pixels; p += 2, z += 2 * channels) {
        for (int c = 0; c < channels; c++) {
            double u = (double)z[c], v = (double)z[c + channels];
            sum[c] += u + v;
            square[c] += u * u + v * v;
        }
    }
    for (; p < pixels; p++, z += channels) {
        for (int c = 0; c < channels; c++) {
            double u = (double)z[c];
            sum[c] += u;
            square[c] += u * u;
        }
    }
}

/* sum[c] += dy, product[c] += dy*(z - mean). */
MQ_CLONES static void add_products(const float *z, const float *dy, size_t pixels, int channels,
                                   const double *mean, double *sum, double *product) {
    for (size_t p = 0; p < pixels; p++, z += channels, dy += channels) {
        for (int c = 0; c < channels; c++) {
            double g = (double)dy[c];
            sum[c] += g;
            product[c] += g * ((double)z[c] - mean[c]);
        }
    }
}

MQ_CLONES static void affine(const float *z, size_t pixels, int channels, const float *mean, const float *a,
                             const float *b, float *out) {
    for (size_t p = 0; p < pixels; p++, z += channels, out += channels)
        for (int c = 0; c < channels; c++) out[c] = (z[c] - mean[c]) * a[c] + b[c];
}

MQ_CLONES static void affine_exact(const float *z, size_t pixels, int channels, const double *a,
                                   const double *b, float *out) {
    for (size_t p = 0; p < pixels; p++, z += channels, out += channels)
        for (int c = 0; c < channels; c++) out[c] = (float)((double)z[c] * a[c] + b[c]);
}

/* dz_real = a*dy - b - d*(z - mean) */
MQ_CLONES static void input_gradient(const float *z, const float *dy, size_t pixels, int channels,
                                     const float *mean, const float *a, const float *b, const float *d,
                                     float *out) {
    for (size_t p = 0; p < pixels; p++, z += channels, dy += channels, out += channels)
        for (int c = 0; c < channels; c++) out[c] = a[c] * dy[c] - b[c] - d[c] * (z[c] - mean[c]);
}

MQ_CLONES static void input_gradient_bf16(const float *z, const float *dy, size_t pixels, int channels,
                                          const float *mean, const float *a, const float *b, const float *d,
                                          uint16_t *out) {
    for (size_t p = 0; p < pixels; p++, z += channels, dy += channels, out += channels) {
        for (int c = 0; c < channels; c++) {
            float g = a[c] * dy[c] - b[c] - d[c] * (z[c] - mean[c]);
            uint32_t u;
            memcpy(&u, &g, 4);
            out[c] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
        }
    }
}

/* Pixels, or the pool's rows, of a task. */
static void share_of(size_t items, size_t task, size_t *first, size_t *count) {
    size_t per = (items + TASKS - 1) / TASKS;
    *first = task * per < items ? task * per : items;
    *count = items - *first < per ? items - *first : per;
}

static void range_of(const bn_call *call, size_t task, size_t *first, size_t *count) {
    size_t rows = call->pooled ? (size_t)(call->pooled->kernel * call->pooled->kernel * call->pooled->w) : 1;
    share_of(call->pixels / rows, task, first, count);
}

static void moments_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = (size_t)call->channels;
    range_of(call, task, &first, &count);
    double *sum = call->op->partial + task * 2 * c;
    memset(sum, 0, 2 * c * sizeof *sum);
    add_moments(call->z + first * c, count, call->channels, sum, sum + c);
}

static void products_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = (size_t)call->channels;
    range_of(call, task, &first, &count);
    double *sum = call->op->partial + task * 2 * c;
    memset(sum, 0, 2 * c * sizeof *sum);
    if (call->pooled)
        pooled_norm_products(call->pooled, first, count, call->op->mean_z, sum, sum + c);
    else
        add_products(call->z + first * c, call->dy + first * c, count, call->channels, call->op->mean_z, sum,
                     sum + c);
}

static void collect(bn_op *op, size_t c) {
    memset(op->sums, 0, 2 * c * sizeof *op->sums);
    for (size_t t = 0; t < TASKS; t++)
        for (size_t i = 0; i < 2 * c; i++) op->sums[i] += op->partial[t * 2 * c + i];
}

static void apply_task(void *context, size_t task) {
    const bn_call *call = context;
    bn_op *op = call->op;
    size_t first, count, c = (size_t)call->channels;
    range_of(call, task, &first, &count);
    float *out = (float *)call->out + first * c;
    if (call->exact)
        affine_exact(call->z + first * c, count, call->channels, call->ea, call->eb, out);
    else
        affine(call->z + first * c, count, call->channels, op->d, op->a, op->b, out);
}

static void gradient_task(void *context, size_t task) {
    const bn_call *call = context;
    bn_op *op = call->op;
    size_t first, count, c = (size_t)call->channels;
    range_of(call, task, &first, &count);
    if (call->pooled) {
        pooled_norm_gradient(call->pooled, first, count, op->d, call->out, call->out_type);
        return;
    }
    const float *z = call->z + first * c, *dy = call->dy + first * c, *mean = (const float *)op->partial;
    if (call->out_type == MQ_F32)
        input_gradient(z, dy, count, call->channels, mean, op->a, op->b, op->d,
                       (float *)call->out + first * c);
    else
        input_gradient_bf16(z, dy, count, call->channels, mean, op->a, op->b, op->d,
                            (uint16_t *)call->out + first * c);
}

void batch_norm_factors(const mq_model *model, const node_state *s, pooled_norm *out) {
    const bn_op *op = s->op;
    const mq_node *pool = s->pooled_by->node;
    out->h = pool->h;
    out->w = pool->w;
    out->c = pool->c;
    out->kernel = pool->pool.kernel;
    out->z = model->nodes[s->node->input[0]].out;
    out->mean = op->d;
    out->a = op->a;
    out->b = op->b;
    out->ea = model->training ? NULL : op->sums;
    out->eb = model->training ? NULL : op->sums + s->node->c;
}

void batch_norm_values(const mq_model *model, const node_state *s, float *out) {
    bn_op *op = s->op;
    bn_call call = {.op = op,
                    .z = model->nodes[s->node->input[0]].out,
                    .out = out,
                    .channels = s->node->c,
                    .pixels = (size_t)model->n * (size_t)(s->node->h * s->node->w),
                    .exact = !model->training,
                    .ea = op->sums,
                    .eb = op->sums + s->node->c};
    mq_parallel(TASKS, apply_task, &call);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    size_t c = (size_t)s->node->c;
    bn_call call = {.op = op,
                    .z = in->out,
                    .out = s->out,
                    .channels = (int)c,
                    .pixels = (size_t)model->n * (size_t)(s->node->h * s->node->w)};
    double scale = (double)in->scale;
    s->scale = 1;
    if (!model->training) {
        double *a = op->sums, *b = op->sums + c;
        for (size_t i = 0; i < c; i++) {
            double factor = (double)op->gamma->value[i] / sqrt((double)op->var->value[i] + EPSILON);
            a[i] = scale * factor;
            b[i] = (double)op->beta->value[i] - (double)op->mean->value[i] * factor;
        }
        call.exact = true;
        call.ea = a;
        call.eb = b;
        if (!s->pooled_by) mq_parallel(TASKS, apply_task, &call);
        return MQ_OK;
    }
    if (call.pixels < 2)
        return mq_fail(
            error, MQ_USAGE,
            "layer %s: batch norm in training needs more than one value per channel: use a larger batch",
            s->node->name);
    mq_parallel(TASKS, moments_task, &call);
    collect(op, c);
    double count = (double)call.pixels;
    for (size_t i = 0; i < c; i++) {
        double mean = op->sums[i] / count;
        double var = op->sums[c + i] / count - mean * mean;
        if (var < 0) var = 0;
        double real_var = var * scale * scale, inverse = 1.0 / sqrt(real_var + EPSILON);
        op->mean_z[i] = mean;
        op->inverse[i] = inverse;
        op->d[i] = (float)mean;
        op->a[i] = (float)((double)op->gamma->value[i] * inverse * scale);
        /* what rounding the mean to float32 lost goes into the offset */
        op->b[i] = (float)((double)op->beta->value[i] -
                           (mean - (double)op->d[i]) * (double)op->gamma->value[i] * inverse * scale);
        op->mean->value[i] = (float)((1 - MOMENTUM) * (double)op->mean->value[i] + MOMENTUM * mean * scale);
        op->var->value[i] =
            (float)((1 - MOMENTUM) * (double)op->var->value[i] + MOMENTUM * real_var * count / (count - 1));
    }
    if (!s->pooled_by) mq_parallel(TASKS, apply_task, &call);
    return MQ_OK;
}

/* With xhat = (z - mean_z)*s*inverse, n values per channel and dr = dL/d(real input):
 * dr = gamma*inverse*(dy - sum(dy)/n - xhat*sum(dy*xhat)/n). */
static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    bn_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    size_t c = (size_t)s->node->c;
    bn_call call = {.op = op,
                    .z = in->out,
                    .dy = s->grad,
                    .out = in->grad,
                    .out_type = in->grad_type,
                    .channels = (int)c,
                    .pixels = (size_t)model->n * (size_t)(s->node->h * s->node->w)};
    pooled_norm pooled;
    if (s->pooled_by) {
        pooled = (pooled_norm){.dy = s->pooled_by->grad, .index = max_pool_index(model, s->pooled_by)};
        batch_norm_factors(model, s, &pooled);
        call.pooled = &pooled;
    }
    mq_parallel(TASKS, products_task, &call);
    collect(op, c);
    double count = (double)call.pixels, scale = (double)in->scale;
    float *mean = (float *)op->partial; /* its float64 sums are collected; now the means as float32 */
    for (size_t i = 0; i < c; i++) {
        double dbeta = op->sums[i], dgamma = op->sums[c + i] * scale * op->inverse[i];
        op->gamma->grad[i] = (float)dgamma;
        op->beta->grad[i] = (float)dbeta;
        double factor = (double)op->gamma->value[i] * op->inverse[i];
        double slope = factor * op->inverse[i] * scale * dgamma / count;
        mean[i] = (float)op->mean_z[i];
        op->a[i] = (float)factor;
        op->d[i] = (float)slope;
        op->b[i] = (float)(factor * dbeta / count - slope * (op->mean_z[i] - (double)mean[i]));
    }
    pooled.mean = mean;
    mq_parallel(TASKS, gradient_task, &call);
    return MQ_OK;
}

const train_op mq_train_BATCH_NORM = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
