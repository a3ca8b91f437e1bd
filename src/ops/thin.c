/* thin.c - what thin layers of both kernels have in common: their memory, their weights, and what follows
 * from the sums of x and x x^T. */
#include "ops/thin.h"

#include <string.h>

#include "base/memory.h"
#include "ops/pooled_norm.h"
#include "ops/thin_point.h"
#include "ops/thin_window.h"

bool thin_fits(size_t kernel, size_t in, size_t out) {
    if (!norm_avx512(out) || !thin_avx512()) return false;
    return kernel == 1 ? in <= THIN_MOST : kernel == THIN_SIDE && thin_window_fits(in);
}

mq_status thin_create(const thin_shape *shape, thin_layer **result, mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof **result, "a layer", result, error));
    thin_layer *t = *result;
    const size_t terms = shape->kernel * shape->kernel * shape->in;
    t->kernel = shape->kernel;
    t->in = shape->in;
    t->out = shape->out;
    t->h = shape->h;
    t->w = shape->w;
    t->terms = terms;
    const size_t sums = t->kernel == 1 ? THIN_POINT_SUMS : THIN_WINDOW_SUMS;
    const size_t rows = terms < THIN_MOST ? THIN_MOST : terms;
    t->each = t->out * rows > sums ? t->out * rows : sums;
    MQ_TRY(mq_alloc(rows * t->out, sizeof(float), "a layer's weights", &t->weights, error));
    if (t->kernel == THIN_SIDE)
        MQ_TRY(
            mq_alloc(THIN_SIDE * THIN_CHANNELS * t->out, THIN_QUAD, "a layer's weights", &t->codes, error));
    MQ_TRY(mq_alloc(NORM_TASKS * t->each, sizeof(double), "a layer's sums", &t->partial, error));
    return t->kernel == THIN_SIDE && shape->backward_data ? thin_window_create(t, error) : MQ_OK;
}

void thin_destroy(thin_layer *t) {
    if (!t) return;
    thin_window_destroy(t);
    mq_free(t->weights);
    mq_free(t->codes);
    mq_free(t->partial);
    mq_free(t);
}

void thin_begin(thin_layer *t, const float *weights, bool bf16, const void *x, mq_dtype type, size_t n) {
    for (size_t o = 0; o < t->out; o++)
        for (size_t k = 0; k < t->terms; k++) {
            const float w = weights[o * t->terms + k];
            t->weights[k * t->out + o] = bf16 ? mq_bf16_to_f32(mq_f32_to_bf16(w)) : w;
        }
    t->x = x;
    t->type = type;
    t->n = n;
    if (t->kernel == 1)
        thin_point_sums(t);
    else
        thin_window_begin(t);
}

double thin_applied(const thin_layer *t, size_t o, const double *v) {
    double sum = 0;
    for (size_t k = 0; k < t->terms; k++) sum += thin_weight(t, k, o) * v[k];
    return sum;
}

void thin_moments(const thin_layer *t, double *sum, double *square) {
    for (size_t o = 0; o < t->out; o++) {
        sum[o] = thin_applied(t, o, t->sum);
        square[o] = 0;
        for (size_t k = 0; k < t->terms; k++)
            square[o] += thin_weight(t, k, o) * thin_applied(t, o, t->products[k]);
    }
}

void thin_values(const thin_layer *t, float *z) {
    if (t->kernel == 1)
        thin_point_values(t, z);
    else
        thin_window_values(t, z);
}

void thin_forward_row(const pooled_norm *p, size_t row) {
    if (p->thin->kernel == 1)
        thin_point_forward_row(p, row);
    else
        thin_window_forward_row(p, row);
}

void thin_begin_gradient(thin_layer *t, const norm_backward *k) {
    memset(t->partial, 0, NORM_TASKS * t->each * sizeof(double));
    if (t->kernel == 1)
        thin_point_begin_gradient(t, k);
    else if (t->window)
        thin_window_begin_gradient(t, k);
}

void thin_gradient(const pooled_norm *p, size_t task, size_t row, int column, int columns, const float *dy,
                   void *dx, mq_dtype type) {
    if (p->thin->kernel == 1)
        thin_point_gradient(p, task, row, column, columns, dy, dx, type);
    else
        thin_window_gradient(p, task, row, column, columns, dy, dx, type);
}

void thin_end_gradient(const thin_layer *t, const norm_backward *k, void *dx, mq_dtype type, float *dw) {
    if (t->window && dx) thin_window_end_gradient(t, dx, type);
    for (size_t o = 0; o < t->out; o++) {
        const double slope = (double)k->slope[o], level = (double)k->b[o] - slope * (double)k->mean[o];
        for (size_t i = 0; i < t->terms; i++) {
            double sum = 0;
            for (size_t task = 0; task < NORM_TASKS; task++)
                sum += t->partial[task * t->each + i * t->out + o];
            dw[o * t->terms + i] =
                (float)(sum - level * t->sum[i] - slope * thin_applied(t, o, t->products[i]));
        }
    }
}
