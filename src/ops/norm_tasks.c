/* norm_tasks.c - batch norm's passes, task by task: sums, normalising, and the gradient behind its own
 * output, a max pool of tiles, an activation or both. */
#include "ops/norm_tasks.h"

/* Of what is never short. */
static const float *real_z(const bn_call *call, size_t at) {
    return (const float *)call->z.values + at;
}

void norm_moments_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = call->channels;
    norm_share(call->pixels, call->tasks, task, &first, &count);
    double *sum = call->op->partial + task * 2 * call->op->width;
    const norm_z z = norm_z_from(call->z, first * c);
    double *square = sum + call->op->width;
    if (z.as == NORM_ROUNDED)
        norm_moments_rounded(z.values, count * c, call->op->width, sum, square);
    else if (call->whole)
        norm_moments_whole(z.values, count * c, call->op->width, sum, square, call->whole + first * c);
    else
        norm_moments(z.values, count * c, call->op->width, sum, square);
}

void norm_apply_task(void *context, size_t task) {
    const bn_call *call = context;
    size_t first, count, c = call->channels;
    norm_share(call->pixels, call->tasks, task, &first, &count);
    norm_apply(&call->forward, real_z(call, first * c), count * c, call->op->width,
               (float *)call->out + first * c);
}

/* ---- backward behind its own output or a pool ---- */

void norm_products_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    size_t first, count, c = call->channels;
    double *sum = op->partial + task * 2 * op->width;
    if (call->pooled) {
        const pooled_norm *p = call->pooled;
        norm_share(call->pixels / (size_t)(p->kernel * p->kernel * p->w), call->tasks, task, &first, &count);
        pooled_norm_products(p, first, count, op->mean_z, sum, sum + op->width);
        return;
    }
    norm_share(call->pixels, call->tasks, task, &first, &count);
    norm_products(real_z(call, first * c), call->dy + first * c, count * c, op->width, op->mean_z, sum,
                  sum + op->width);
}

void norm_gradient_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    size_t first, count, c = call->channels;
    if (call->pooled) {
        const pooled_norm *p = call->pooled;
        norm_share(call->pixels / (size_t)(p->kernel * p->kernel * p->w), call->tasks, task, &first, &count);
        for (size_t row = first; row < first + count; row++)
            pooled_norm_gradient(p, row, 0, p->w, p->dy + row * (size_t)p->w * c, call->out, call->out_type);
        return;
    }
    const norm_backward back = {op->m, op->factor, op->offset, op->slope};
    norm_share(call->pixels, call->tasks, task, &first, &count);
    norm_gradient(&back, real_z(call, first * c), call->dy + first * c, count * c, op->width, call->out,
                  first * c, call->out_type);
}

/* ---- backward through an activation ---- */

static const float *real_read(const bn_call *call, size_t at) {
    return (const float *)call->read.values + at;
}

/* dL/d(normalised) of `count` elements from `at` on of what the activation reads, into dy; its branches' sums
 * into g. */
static void through_activation(const bn_call *call, size_t at, size_t count, float *dy, double *g) {
    const node_state *s = call->activation;
    float y[NORM_PIECE];
    norm_gate gate;
    if (activation_gate(s, &gate)) {
        norm_gated_values(&call->forward, &gate, norm_z_from(call->read, at), s->grad, at, s->grad_type,
                          count, call->op->width, dy);
        return;
    }
    norm_apply(&call->forward, real_read(call, at), count, call->op->width, y);
    activation_gradient(s, y, at, count, dy, g);
}

/* The activation's gradient from the call's element `at` on. */
static mq_mix_dy read_dy(const bn_call *call, size_t at) {
    const node_state *s = call->activation;
    const size_t skipped = (call->before + at) * mq_dtype_size(s->grad_type);
    return (mq_mix_dy){(const char *)s->grad + skipped, s->grad_type == MQ_BF16, s->grad_scale};
}

static mq_mix_z mix_z(norm_z z, size_t at) {
    return (mq_mix_z){norm_z_from(z, at).values, z.as == NORM_ROUNDED};
}

void norm_read_products_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    const size_t step = NORM_PIECE / op->width * op->width;
    size_t first, count;
    float dy[NORM_PIECE];
    norm_gate gate;
    norm_share(call->read_pixels, call->tasks, task, &first, &count);
    double *sum = op->partial + task * 2 * op->width, *g = activation_sums(call->activation, task);
    const size_t begin = first * call->channels, end = (first + count) * call->channels;
    if (activation_gate(call->activation, &gate)) {
        norm_gated_products(&call->forward, &gate, norm_z_from(call->read, call->before + begin),
                            call->activation->grad, call->before + begin, call->activation->grad_type,
                            end - begin, op->width, op->mean_z, sum, sum + op->width);
        return;
    }
    if (call->rows) {
        const size_t group = MQ_MIX_GROUP * op->width, most = MQ_MIX_WINDOW / group * group;
        const size_t piece = most ? most : step;
        for (size_t at = begin; at < end; at += piece) {
            const mq_mix_dy d = read_dy(call, at);
            mq_mix_rows_products(call->rows, mix_z(call->read, call->before + at), &d,
                                 end - at < piece ? end - at : piece, op->mean_z, sum, sum + op->width, g);
        }
        return;
    }
    for (size_t at = begin; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        through_activation(call, call->before + at, n, dy, g);
        norm_products(real_read(call, call->before + at), dy, n, op->width, op->mean_z, sum, sum + op->width);
    }
}

void norm_read_gradient_task(void *context, size_t task) {
    const bn_call *call = context;
    const bn_op *op = call->op;
    const norm_backward back = {op->m, op->factor, op->offset, op->slope};
    const size_t step = NORM_PIECE / op->width * op->width;
    size_t first, count;
    float dy[NORM_PIECE];
    norm_gate gate;
    norm_share(call->read_pixels, call->tasks, task, &first, &count);
    const size_t begin = first * call->channels, end = (first + count) * call->channels;
    if (call->activation->grad_type == call->out_type && activation_gate(call->activation, &gate)) {
        norm_gated_gradient(&call->forward, &back, &gate, norm_z_from(call->z, begin), call->activation->grad,
                            call->before + begin, end - begin, op->width, call->out, begin, call->out_type);
        return;
    }
    if (call->rows) {
        const mq_mix_dy d = read_dy(call, begin);
        mq_mix_rows_gradient(call->rows, mix_z(call->z, begin), &d, end - begin, op->factor, op->offset,
                             op->slope, (char *)call->out + begin * mq_dtype_size(call->out_type),
                             call->out_type == MQ_BF16);
        return;
    }
    for (size_t at = begin; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        through_activation(call, call->before + at, n, dy, NULL);
        norm_gradient(&back, real_z(call, at), dy, n, op->width, call->out, at, call->out_type);
    }
}

/* The same for the windows of the pool's rows. */
void norm_read_pooled_task(void *context, size_t task) {
    const bn_call *call = context;
    const pooled_norm *p = call->pooled;
    const size_t c = call->channels, line = (size_t)p->w;
    const int step = (int)(NORM_PIECE / c);
    size_t first, count;
    float dy[NORM_PIECE];
    norm_share(call->read_pixels / line, call->tasks, task, &first, &count);
    for (size_t row = first; row < first + count; row++)
        for (int column = 0; column < p->w; column += step) {
            const int n = p->w - column < step ? p->w - column : step;
            const size_t at = (row * line + (size_t)column) * c;
            if (call->rows) {
                const mq_mix_dy d = read_dy(call, at);
                mq_mix_rows_slope(call->rows, mix_z(call->read, call->before + at), &d, (size_t)n * c, dy);
            } else {
                through_activation(call, call->before + at, (size_t)n * c, dy, NULL);
            }
            if (p->thin)
                thin_gradient(p, task, row, column, n, dy, call->out, call->out_type);
            else
                pooled_norm_gradient(p, row, column, n, dy, call->out, call->out_type);
        }
}
