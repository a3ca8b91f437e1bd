/* batch_norm.c - batch normalisation over images and positions (Ioffe and Szegedy, ICML 2015), as PyTorch:
 * eps 1e-5, momentum 0.1, biased variance to normalise, unbiased variance into the running one.
 *
 * The input may be unscaled accumulators z (node scale s): with r = s*z, mean_r = s*mean_z and var_r =
 * s^2*var_z, so the scale costs nothing. Statistics are float64 sums in tasks of fixed size, the same for any
 * thread count.
 *
 * What an activation alone reads, itself or behind a max pool of tiles, is not stored: the activation
 * normalises what it reads piece by piece, and the backward pass does so again. */
#include "ops/norm_tasks.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

#define EPSILON  1e-5
#define MOMENTUM 0.1

enum {
    FEW = 16, /* channels: below, a row holds several pixels */
    FACTORS = 6,
    GATHERED = 64 /* channels of a task that adds up sums */
};

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

/* A pass that adds to the sums. */
static void add_sums(bn_call *call, void (*pass)(void *, size_t)) {
    if (call->op->tasks < call->tasks) call->op->tasks = call->tasks;
    mq_parallel(call->tasks, pass, call);
}

/* What a step that failed has left. */
static void discard_sums(bn_op *op) {
    if (op->tasks) memset(op->partial, 0, op->tasks * 2 * op->width * sizeof *op->partial);
    op->tasks = 0;
}

typedef struct gathering {
    bn_op *op;
    size_t channels;
} gathering;

/* Of some channels, in the order of tasks. They are 0 after. */
static void gather_task(void *context, size_t task) {
    const gathering *g = context;
    const size_t c = g->channels, begin = task * GATHERED, end = begin + GATHERED < c ? begin + GATHERED : c;
    for (size_t k = 0; k < 2; k++) {
        double *sums = g->op->sums + k * c;
        memset(sums + begin, 0, (end - begin) * sizeof *sums);
        for (size_t t = 0; t < g->op->tasks; t++) {
            double *from = g->op->partial + (2 * t + k) * g->op->width;
            for (size_t i = 0; i < g->op->width; i += c) {
                for (size_t j = begin; j < end; j++) sums[j] += from[i + j];
                memset(from + i + begin, 0, (end - begin) * sizeof *from);
            }
        }
    }
}

/* The sums of all tasks and ranks, taken into sums [2][c] with the count of values behind: what is added next
 * begins with 0. */
static mq_status collect(const mq_model *model, bn_op *op, size_t c, size_t count, mq_error *error) {
    gathering g = {op, c};
    mq_parallel(mq_task_count(c, GATHERED), gather_task, &g);
    op->tasks = 0;
    op->sums[2 * c] = (double)count;
    return mq_ranks_sum(model->options.ranks, op->sums, 2 * c + 1, error);
}

/* ---- the node ---- */

static norm_z layer_z(const node_state *layer) {
    return (norm_z){layer->out, layer->stored};
}

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

bool batch_norm_codes(const mq_model *model, const node_state *s, norm_z z, size_t count, float top,
                      float step, uint8_t *out) {
    const bn_op *op = s->op;
    const norm_forward f = forward_of(model, op);
    if (!model->training || !norm_avx512(op->width) || count % op->width != 0) return false;
    norm_codes(&f, z, count, op->width, top, step, out);
    return true;
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
    out->z = layer_z(&model->nodes[s->node->input[0]]);
    out->forward = forward_of(model, op);
    out->backward = (norm_backward){op->m, op->factor, op->offset, op->slope};
    out->keep_z = s->quantised_by != NULL;
    out->thin = model->training ? model->nodes[s->node->input[0]].thin : NULL;
}

void batch_norm_values(const mq_model *model, const node_state *s, const float *z, size_t pixels,
                       float *out) {
    bn_op *op = s->op;
    bn_call call = {.op = op,
                    .z = {z, NORM_REAL},
                    .out = out,
                    .channels = (size_t)s->node->c,
                    .pixels = pixels,
                    .tasks = norm_tasks(pixels * (size_t)s->node->c),
                    .forward = forward_of(model, op)};
    mq_parallel(call.tasks, norm_apply_task, &call);
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

void batch_norm_add_moments(mq_model *model, node_state *s, norm_z z, int first, int count) {
    bn_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    const size_t skipped = (size_t)first * image_elements(s->node);
    bn_call call = {.op = op,
                    .z = z,
                    .whole = in->stored == NORM_WHOLE ? (int16_t *)in->out + skipped : NULL,
                    .channels = (size_t)s->node->c,
                    .pixels = (size_t)count * image_pixels(s),
                    .tasks = norm_tasks((size_t)count * image_elements(s->node))};
    if (first == 0) discard_sums(op);
    add_sums(&call, norm_moments_task);
}

void batch_norm_set_moments(const node_state *s, const double *sum, const double *square) {
    bn_op *op = s->op;
    discard_sums(op);
    op->tasks = 1;
    memcpy(op->partial, sum, (size_t)s->node->c * sizeof *sum);
    memcpy(op->partial + op->width, square, (size_t)s->node->c * sizeof *square);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    const size_t c = (size_t)s->node->c, pixels = (size_t)model->n * image_pixels(s);
    s->scale = 1;
    if (!model->training) {
        set_exact(op, c, (double)in->scale);
    } else {
        if (!s->layer_before) batch_norm_add_moments(model, s, (norm_z){in->out, NORM_REAL}, 0, model->n);
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
                    .z = norm_z_from(layer_z(in), z_before),
                    .dy = s->grad ? (const float *)s->grad + z_before : NULL,
                    .out_type = in->grad_type,
                    .channels = (size_t)s->node->c,
                    .pixels = (size_t)count * image_pixels(s),
                    .tasks = norm_tasks((size_t)count * image_elements(s->node)),
                    .forward = forward_of(model, op),
                    .activation = s->quantised_by,
                    .read = layer_z(in),
                    .read_pixels = (size_t)count * image_pixels(s),
                    .before = z_before};
    if (!pool) return call;
    call.before = (size_t)first * image_elements(pool->node);
    call.read = (norm_z){pool->out, in->stored};
    call.read_pixels = (size_t)count * image_pixels(pool);
    *pooled = (pooled_norm){.index = max_pool_index(model, pool) + call.before,
                            .dy = pool->grad ? (const float *)pool->grad + call.before : NULL};
    batch_norm_pooled(model, s, pooled);
    pooled->z = call.z;
    call.pooled = pooled;
    return call;
}

static void set_rows(const mq_model *model, const node_state *s, bn_call *call, mq_mix_rows *rows) {
    if (call->activation && activation_mix_rows(model, call->activation, batch_norm_width(s), rows) &&
        batch_norm_mix_rows(model, s, rows))
        call->rows = rows;
}

void batch_norm_input_gradient(mq_model *model, node_state *s, int first, int count, void *out) {
    pooled_norm pooled;
    bn_call call = backward_call(model, s, first, count, &pooled);
    mq_mix_rows rows;
    set_rows(model, s, &call, &rows);
    call.out = out;
    mq_parallel(call.tasks,
                !call.activation ? norm_gradient_task
                : call.pooled    ? norm_read_pooled_task
                                 : norm_read_gradient_task,
                &call);
}

void batch_norm_thin_gradient(mq_model *model, node_state *s, void *dx, mq_dtype type, float *dw) {
    thin_layer *thin = input_state(model, s, 0)->thin;
    pooled_norm pooled;
    bn_call call = backward_call(model, s, 0, model->n, &pooled);
    mq_mix_rows rows;
    set_rows(model, s, &call, &rows);
    call.out = dx;
    call.out_type = type;
    thin_begin_gradient(thin, &pooled.backward);
    mq_parallel(call.tasks, norm_read_pooled_task, &call);
    thin_end_gradient(thin, &pooled.backward, dx, type, dw);
}

void batch_norm_add_products(mq_model *model, node_state *s, int first, int count, bool clear) {
    pooled_norm pooled;
    bn_call call = backward_call(model, s, first, count, &pooled);
    mq_mix_rows rows;
    set_rows(model, s, &call, &rows);
    if (clear) activation_clear_sums(s->quantised_by);
    add_sums(&call, norm_read_products_task);
}

static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    bn_op *op = s->op;
    node_state *in = input_state(model, s, 0);
    pooled_norm pooled;
    bn_call call = backward_call(model, s, 0, model->n, &pooled);
    if (!s->quantised_by) {
        add_sums(&call, norm_products_task);
    } else if (!s->quantised_by->read_by) {
        batch_norm_add_products(model, s, 0, model->n, true);
    }
    MQ_TRY(collect(model, op, call.channels, call.pixels, error));
    if (s->quantised_by) activation_collect(s->quantised_by, NORM_TASKS);
    set_backward(op, call.channels, (double)in->scale, op->sums[2 * call.channels]);
    if (!s->layer_before) batch_norm_input_gradient(model, s, 0, model->n, in->grad);
    return MQ_OK;
}

const train_op mq_train_BATCH_NORM = {
    .keeps_input = true, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
