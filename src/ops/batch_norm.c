/* batch_norm.c - batch normalisation over images and positions (Ioffe and Szegedy, ICML 2015), as PyTorch:
 * eps 1e-5, momentum 0.1, biased variance to normalise, unbiased variance into the running one.
 *
 * The input may be unscaled accumulators z (node scale s): with r = s*z, mean_r = s*mean_z and var_r =
 * s^2*var_z, so the scale costs nothing. Statistics are float64 sums in tasks of fixed size, the same for any
 * thread count.
 *
 * What an activation alone reads, itself or behind a max pool of tiles, is not stored: the activation
 * normalises what it reads piece by piece, and the backward pass does so again. */
#include "ops/pooled_norm.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

#define EPSILON  1e-5
#define MOMENTUM 0.1

enum { FEW = 16 /* channels: below, a row holds several pixels */, FACTORS = 6 };

typedef struct bn_op {
    mq_param *gamma, *beta, *mean, *var;
    size_t width;    /* of a row, norm_rows.h */
    double *partial; /* [NORM_TASKS][2][width] */
    double *sums;    /* [2][c], and the values per channel that they are over */
    double *mean_z;  /* [width]: mean of z over the batch */
    double *inverse; /* [c]: 1/sqrt(var_r + eps): xhat = (z - mean_z)*s*inverse */
    double *exact;   /* [2][width]: factor and offset in evaluation */
    float *factors;  /* [FACTORS][width] of the following */
    float *m, *a, *b, *factor, *offset, *slope;
} bn_op;

typedef struct bn_call {
    bn_op *op;
    const float *z, *dy;
    void *out;
    mq_dtype out_type;
    size_t pixels, channels;
    norm_forward forward;
    const pooled_norm *pooled; /* backward of a pooled one */
    /* Backward of one that an activation computes: that, what it reads (z or the pool's maxima) and its
     * pixels. */
    const node_state *activation;
    const float *read;
    size_t read_pixels;
    const mq_mix_rows *rows; /* what the activation and this do in one pass; NULL: nothing */
    size_t before; /* elements of earlier images in what is read, which `read` counts and `out` does not */
} bn_call;

static mq_status create(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op;
    MQ_TRY(mq_alloc(1, sizeof *op, "a batch norm", &s->op, error));
    op = s->op;
    const size_t c = (size_t)s->node->c, width = c < FEW ? c * FEW : c;
    int node = s->node->index;
    op->gamma = mq_model_param(model, node, MQ_PARAM_GAMMA, -1);
    op->beta = mq_model_param(model, node, MQ_PARAM_BETA, -1);
    op->mean = mq_model_param(model, node, MQ_PARAM_MEAN, -1);
    op->var = mq_model_param(model, node, MQ_PARAM_VAR, -1);
    op->width = width;
    MQ_TRY(mq_alloc(NORM_TASKS * 2 * width, sizeof(double), "batch statistics", &op->partial, error));
    MQ_TRY(mq_alloc(2 * c + 1, sizeof(double), "batch statistics", &op->sums, error));
    MQ_TRY(mq_alloc(width, sizeof(double), "batch statistics", &op->mean_z, error));
    MQ_TRY(mq_alloc(c, sizeof(double), "batch statistics", &op->inverse, error));
    MQ_TRY(mq_alloc(2 * width, sizeof(double), "batch statistics", &op->exact, error));
    MQ_TRY(mq_alloc(FACTORS * width, sizeof(float), "batch statistics", &op->factors, error));
    float **const all[FACTORS] = {&op->m, &op->a, &op->b, &op->factor, &op->offset, &op->slope};
    for (int i = 0; i < FACTORS; i++) *all[i] = op->factors + (size_t)i * width;
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
    mq_free(op->exact);
    mq_free(op->factors);
    mq_free(op);
    s->op = NULL;
}

/* The first c of `width` numbers again and again. */
static void repeat_floats(float *x, size_t c, size_t width) {
    for (size_t i = c; i < width; i++) x[i] = x[i - c];
}

static void repeat_doubles(double *x, size_t c, size_t width) {
    for (size_t i = c; i < width; i++) x[i] = x[i - c];
}

/* The sums of all tasks, in order, and of all ranks, into sums [2][c] with the count of values behind. */
static mq_status collect(const mq_model *model, bn_op *op, size_t c, size_t count, mq_error *error) {
    memset(op->sums, 0, 2 * c * sizeof *op->sums);
    for (size_t t = 0; t < NORM_TASKS; t++)
        for (size_t k = 0; k < 2; k++) {
            const double *from = op->partial + (2 * t + k) * op->width;
            for (size_t i = 0; i < op->width; i += c)
                for (size_t j = 0; j < c; j++) op->sums[k * c + j] += from[i + j];
        }
    op->sums[2 * c] = (double)count;
    return mq_ranks_sum(model->options.ranks, op->sums, 2 * c + 1, error);
}

static double *clear_sums(const bn_call *call, size_t task) {
    double *sum = call->op->partial + task * 2 * call->op->width;
    memset(sum, 0, 2 * call->op->width * sizeof *sum);
    return sum;
}

static void moments_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = call->channels;
    norm_share(call->pixels, task, &first, &count);
    double *sum = call->op->partial + task * 2 * call->op->width;
    norm_moments(call->z + first * c, count * c, call->op->width, sum, sum + call->op->width);
}

static void apply_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = call->channels;
    norm_share(call->pixels, task, &first, &count);
    norm_apply(&call->forward, call->z + first * c, count * c, call->op->width,
               (float *)call->out + first * c);
}

/* ---- backward behind its own output or a pool ---- */

static void products_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    size_t first, count, c = call->channels;
    double *sum = clear_sums(call, task);
    if (call->pooled) {
        const pooled_norm *p = call->pooled;
        norm_share(call->pixels / (size_t)(p->kernel * p->kernel * p->w), task, &first, &count);
        pooled_norm_products(p, first, count, op->mean_z, sum, sum + op->width);
        return;
    }
    norm_share(call->pixels, task, &first, &count);
    norm_products(call->z + first * c, call->dy + first * c, count * c, op->width, op->mean_z, sum,
                  sum + op->width);
}

static void gradient_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    size_t first, count, c = call->channels;
    if (call->pooled) {
        const pooled_norm *p = call->pooled;
        norm_share(call->pixels / (size_t)(p->kernel * p->kernel * p->w), task, &first, &count);
        for (size_t row = first; row < first + count; row++)
            pooled_norm_gradient(p, row, 0, p->w, p->dy + row * (size_t)p->w * c, call->out, call->out_type);
        return;
    }
    const norm_backward back = {op->m, op->factor, op->offset, op->slope};
    norm_share(call->pixels, task, &first, &count);
    norm_gradient(&back, call->z + first * c, call->dy + first * c, count * c, op->width, call->out,
                  first * c, call->out_type);
}

/* ---- backward through an activation ---- */

/* dL/d(normalised) of `count` elements from `at` on of what the activation reads, into dy; its branches' sums
 * into g. */
static void through_activation(const bn_call *call, size_t at, size_t count, float *dy, double *g) {
    float y[NORM_PIECE];
    norm_apply(&call->forward, call->read + at, count, call->op->width, y);
    activation_gradient(call->activation, y, at, count, dy, g);
}

/* The activation's gradient from the call's element `at` on. */
static mq_mix_dy read_dy(const bn_call *call, size_t at) {
    const node_state *s = call->activation;
    const size_t skipped = (call->before + at) * mq_dtype_size(s->grad_type);
    return (mq_mix_dy){(const char *)s->grad + skipped, s->grad_type == MQ_BF16, s->grad_scale};
}

static void read_products_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    const size_t step = NORM_PIECE / op->width * op->width;
    size_t first, count;
    float dy[NORM_PIECE];
    norm_gate gate;
    norm_share(call->read_pixels, task, &first, &count);
    double *sum = op->partial + task * 2 * op->width, *g = activation_sums(call->activation, task);
    const size_t begin = first * call->channels, end = (first + count) * call->channels;
    if (activation_gate(call->activation, &gate)) {
        norm_gated_products(&call->forward, &gate, call->read + call->before + begin, call->activation->grad,
                            call->before + begin, call->activation->grad_type, end - begin, op->width,
                            op->mean_z, sum, sum + op->width);
        return;
    }
    for (size_t at = begin; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        if (call->rows) {
            const mq_mix_dy d = read_dy(call, at);
            mq_mix_rows_products(call->rows, call->read + call->before + at, &d, n, op->mean_z, sum,
                                 sum + op->width, g);
            continue;
        }
        through_activation(call, call->before + at, n, dy, g);
        norm_products(call->read + call->before + at, dy, n, op->width, op->mean_z, sum, sum + op->width);
    }
}

static void read_gradient_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    const norm_backward back = {op->m, op->factor, op->offset, op->slope};
    const size_t step = NORM_PIECE / op->width * op->width;
    size_t first, count;
    float dy[NORM_PIECE];
    norm_gate gate;
    norm_share(call->read_pixels, task, &first, &count);
    const size_t begin = first * call->channels, end = (first + count) * call->channels;
    if (call->activation->grad_type == call->out_type && activation_gate(call->activation, &gate)) {
        norm_gated_gradient(&call->forward, &back, &gate, call->z + begin, call->activation->grad,
                            call->before + begin, end - begin, op->width, call->out, begin, call->out_type);
        return;
    }
    if (call->rows) {
        const mq_mix_dy d = read_dy(call, begin);
        mq_mix_rows_gradient(call->rows, call->z + begin, &d, end - begin, op->factor, op->offset, op->slope,
                             (char *)call->out + begin * mq_dtype_size(call->out_type),
                             call->out_type == MQ_BF16);
        return;
    }
    for (size_t at = begin; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        through_activation(call, call->before + at, n, dy, NULL);
        norm_gradient(&back, call->z + at, dy, n, op->width, call->out, at, call->out_type);
    }
}

/* The same for the windows of the pool's rows. */
static void read_pooled_task(void *context, size_t task) {
    const bn_call *call = context;
    const pooled_norm *p = call->pooled;
    const size_t c = call->channels, line = (size_t)p->w;
    const int step = (int)(NORM_PIECE / c);
    size_t first, count;
    float dy[NORM_PIECE];
    norm_share(call->read_pixels / line, task, &first, &count);
    for (size_t row = first; row < first + count; row++)
        for (int column = 0; column < p->w; column += step) {
            const int n = p->w - column < step ? p->w - column : step;
            through_activation(call, call->before + (row * line + (size_t)column) * c, (size_t)n * c, dy,
                               NULL);
            pooled_norm_gradient(p, row, column, n, dy, call->out, call->out_type);
        }
}

/* ---- the node ---- */

static norm_forward forward_of(const mq_model *model, const bn_op *op) {
    norm_forward f = {.mean = op->m, .a = op->a, .b = op->b};
    if (!model->training) {
        f.ea = op->exact;
        f.eb = op->exact + op->width;
    }
    return f;
}

bool batch_norm_fits_piece(const mq_node *node) {
    return node->c <= NORM_PIECE;
}

void batch_norm_piece(const mq_model *model, const node_state *s, const float *z, size_t count, float *y) {
    const bn_op *op = s->op;
    const norm_forward f = forward_of(model, op);
    norm_apply(&f, z, count, op->width, y);
}

bool batch_norm_mix_rows(const mq_model *model, const node_state *s, mq_mix_rows *out) {
    const bn_op *op = s->op;
    out->width = op->width;
    out->mean = op->m;
    out->a = op->a;
    out->b = op->b;
    return model->training;
}

size_t batch_norm_width(const node_state *s) {
    return ((const bn_op *)s->op)->width;
}

const float *batch_norm_factors(const node_state *s, size_t *count) {
    const bn_op *op = s->op;
    *count = 3 * op->width; /* m, a, b */
    return op->factors;
}

void batch_norm_pooled(const mq_model *model, const node_state *s, pooled_norm *out) {
    const bn_op *op = s->op;
    const mq_node *pool = s->pooled_by->node;
    out->h = pool->h;
    out->w = pool->w;
    out->c = pool->c;
    out->kernel = pool->pool.kernel;
    out->z = model->nodes[s->node->input[0]].out;
    out->forward = forward_of(model, op);
    out->backward = (norm_backward){op->m, op->factor, op->offset, op->slope};
    out->keep_z = s->quantised_by != NULL;
}

void batch_norm_values(const mq_model *model, const node_state *s, const float *z, size_t pixels,
                       float *out) {
    bn_op *op = s->op;
    bn_call call = {.op = op,
                    .z = z,
                    .out = out,
                    .channels = (size_t)s->node->c,
                    .pixels = pixels,
                    .forward = forward_of(model, op)};
    mq_parallel(NORM_TASKS, apply_task, &call);
}

static void set_exact(bn_op *op, size_t c, double scale) {
    double *a = op->exact, *b = op->exact + op->width;
    for (size_t i = 0; i < c; i++) {
        double factor = (double)op->gamma->value[i] / sqrt((double)op->var->value[i] + EPSILON);
        a[i] = scale * factor;
        b[i] = (double)op->beta->value[i] - (double)op->mean->value[i] * factor;
    }
    repeat_doubles(a, c, op->width);
    repeat_doubles(b, c, op->width);
}

/* From the sums of z and z*z over `count` values per channel. */
static void set_forward(bn_op *op, size_t c, double scale, double count) {
    for (size_t i = 0; i < c; i++) {
        double mean = op->sums[i] / count;
        double var = op->sums[c + i] / count - mean * mean;
        if (var < 0) var = 0;
        double real_var = var * scale * scale, inverse = 1.0 / sqrt(real_var + EPSILON);
        op->mean_z[i] = mean;
        op->inverse[i] = inverse;
        op->m[i] = (float)mean;
        op->a[i] = (float)((double)op->gamma->value[i] * inverse * scale);
        /* what rounding the mean to float32 lost goes into the offset */
        op->b[i] = (float)((double)op->beta->value[i] -
                           (mean - (double)op->m[i]) * (double)op->gamma->value[i] * inverse * scale);
        op->mean->value[i] = (float)((1 - MOMENTUM) * (double)op->mean->value[i] + MOMENTUM * mean * scale);
        op->var->value[i] =
            (float)((1 - MOMENTUM) * (double)op->var->value[i] + MOMENTUM * real_var * count / (count - 1));
    }
    float *const wide[] = {op->m, op->a, op->b};
    for (int i = 0; i < 3; i++) repeat_floats(wide[i], c, op->width);
    repeat_doubles(op->mean_z, c, op->width);
}

static size_t image_pixels(const node_state *s) {
    return (size_t)s->node->h * (size_t)s->node->w;
}

void batch_norm_add_moments(mq_model *model, node_state *s, int first, int count) {
    bn_op *op = s->op;
    const size_t skipped = (size_t)first * image_elements(s->node);
    const bn_call call = {.op = op,
                          .z = (const float *)input_state(model, s, 0)->out + skipped,
                          .channels = (size_t)s->node->c,
                          .pixels = (size_t)count * image_pixels(s)};
    if (first == 0) memset(op->partial, 0, NORM_TASKS * 2 * op->width * sizeof *op->partial);
    mq_parallel(NORM_TASKS, moments_task, (void *)(uintptr_t)&call);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    const size_t c = (size_t)s->node->c, pixels = (size_t)model->n * image_pixels(s);
    s->scale = 1;
    if (!model->training) {
        set_exact(op, c, (double)in->scale);
    } else {
        if (!s->layer_before) batch_norm_add_moments(model, s, 0, model->n);
        MQ_TRY(collect(model, op, c, pixels, error));
        if (op->sums[2 * c] < 2)
            return mq_fail(
                error, MQ_USAGE,
                "layer %s: batch norm in training needs more than one value per channel: use a larger batch",
                s->node->name);
        set_forward(op, c, (double)in->scale, op->sums[2 * c]);
    }
    if (s->out) batch_norm_values(model, s, in->out, pixels, s->out);
    return MQ_OK;
}

/* With xhat = (z - mean_z)*s*inverse, n values per channel and dr = dL/d(real input):
 * dr = gamma*inverse*(dy - sum(dy)/n - xhat*sum(dy*xhat)/n). */
static void set_backward(bn_op *op, size_t c, double scale, double count) {
    for (size_t i = 0; i < c; i++) {
        double dbeta = op->sums[i], dgamma = op->sums[c + i] * scale * op->inverse[i];
        op->gamma->grad[i] = (float)dgamma;
        op->beta->grad[i] = (float)dbeta;
        double factor = (double)op->gamma->value[i] * op->inverse[i];
        double slope = factor * op->inverse[i] * scale * dgamma / count;
        op->factor[i] = (float)factor;
        op->slope[i] = (float)slope;
        op->offset[i] = (float)(factor * dbeta / count - slope * (op->mean_z[i] - (double)op->m[i]));
    }
    float *const wide[] = {op->factor, op->slope, op->offset};
    for (int i = 0; i < 3; i++) repeat_floats(wide[i], c, op->width);
}

/* The backward pass of `count` images from `first` on; the pool's part goes into *pooled. */
static bn_call backward_call(mq_model *model, node_state *s, int first, int count, pooled_norm *pooled) {
    bn_op *op = s->op;
    const node_state *in = input_state(model, s, 0), *pool = s->pooled_by;
    const size_t z_before = (size_t)first * image_elements(s->node);
    bn_call call = {.op = op,
                    .z = (const float *)in->out + z_before,
                    .dy = s->grad ? (const float *)s->grad + z_before : NULL,
                    .out_type = in->grad_type,
                    .channels = (size_t)s->node->c,
                    .pixels = (size_t)count * image_pixels(s),
                    .forward = forward_of(model, op),
                    .activation = s->quantised_by,
                    .read = in->out,
                    .read_pixels = (size_t)count * image_pixels(s),
                    .before = z_before};
    if (!pool) return call;
    call.before = (size_t)first * image_elements(pool->node);
    call.read = pool->out;
    call.read_pixels = (size_t)count * image_pixels(pool);
    *pooled = (pooled_norm){.index = max_pool_index(model, pool) + call.before,
                            .dy = pool->grad ? (const float *)pool->grad + call.before : NULL};
    batch_norm_pooled(model, s, pooled);
    pooled->z += z_before;
    call.pooled = pooled;
    return call;
}

static void set_rows(const mq_model *model, const node_state *s, bn_call *call, mq_mix_rows *rows) {
    if (call->activation && activation_mix_rows(call->activation, batch_norm_width(s), rows) &&
        batch_norm_mix_rows(model, s, rows))
        call->rows = rows;
}

void batch_norm_input_gradient(mq_model *model, node_state *s, int first, int count, void *out) {
    pooled_norm pooled;
    bn_call call = backward_call(model, s, first, count, &pooled);
    mq_mix_rows rows;
    set_rows(model, s, &call, &rows);
    call.out = out;
    mq_parallel(NORM_TASKS,
                !call.activation ? gradient_task
                : call.pooled    ? read_pooled_task
                                 : read_gradient_task,
                &call);
}

void batch_norm_add_products(mq_model *model, node_state *s, int first, int count, bool clear) {
    bn_op *op = s->op;
    pooled_norm pooled;
    bn_call call = backward_call(model, s, first, count, &pooled);
    mq_mix_rows rows;
    set_rows(model, s, &call, &rows);
    if (clear) {
        memset(op->partial, 0, NORM_TASKS * 2 * op->width * sizeof *op->partial);
        activation_clear_sums(s->quantised_by);
    }
    mq_parallel(NORM_TASKS, read_products_task, &call);
}

static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    pooled_norm pooled;
    bn_call call = backward_call(model, s, 0, model->n, &pooled);
    if (!s->quantised_by)
        mq_parallel(NORM_TASKS, products_task, &call);
    else if (!s->quantised_by->read_by)
        batch_norm_add_products(model, s, 0, model->n, true);
    MQ_TRY(collect(model, op, call.channels, call.pixels, error));
    if (s->quantised_by) activation_collect(s->quantised_by, NORM_TASKS);
    set_backward(op, call.channels, (double)in->scale, op->sums[2 * call.channels]);
    if (!s->layer_before) batch_norm_input_gradient(model, s, 0, model->n, in->grad);
    return MQ_OK;
}

const train_op mq_train_BATCH_NORM = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
