/* thin_point.c - a pointwise thin layer's sums, the gathering of its tiles, and the small matrices of its
 * gradients; the work per output is thin_point_avx512.c's. */
#include "ops/thin_point.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "ops/pooled_norm.h"

enum { PIECE = 64 /* windows at a time */ };

static size_t pixels(const thin_layer *t) {
    return t->n * t->h * t->w;
}

static void sums_task(void *context, size_t task) {
    const thin_layer *t = context;
    double sum[THIN_MOST] = {0}, products[THIN_MOST][THIN_MOST] = {{0}};
    float x[PIECE * THIN_MOST];
    size_t first, count;
    norm_share(pixels(t), NORM_TASKS, task, &first, &count);
    for (size_t end = first + count; first < end; first += PIECE) {
        const size_t n = end - first < PIECE ? end - first : PIECE;
        thin_widen_avx512(thin_pixel(t, first), t->type, t->in, n, x);
        thin_sums_avx512(x, n, sum, products);
    }
    double *to = t->partial + task * t->each;
    memcpy(to, sum, sizeof sum);
    memcpy(to + THIN_MOST, products, sizeof products);
}

void thin_point_sums(thin_layer *t) {
    memset(t->sum, 0, sizeof t->sum);
    memset(t->products, 0, sizeof t->products);
    mq_parallel(NORM_TASKS, sums_task, t);
    for (size_t task = 0; task < NORM_TASKS; task++) {
        const double *from = t->partial + task * t->each;
        for (size_t k = 0; k < t->in; k++) {
            t->sum[k] += from[k];
            for (size_t j = k; j < t->in; j++) {
                t->products[k][j] += from[THIN_MOST + k * THIN_MOST + j];
                t->products[j][k] = t->products[k][j];
            }
        }
    }
}

void thin_point_values(const thin_layer *t, float *z) {
    float x[THIN_TILE * THIN_MOST];
    for (size_t p = 0; p < pixels(t); p++) {
        thin_widen_avx512(thin_pixel(t, p), t->type, t->in, 1, x);
        for (size_t o = 0; o < t->out; o++, z++) {
            *z = t->weights[o] * x[0];
            for (size_t k = 1; k < thin_terms(t->in); k++) *z = fmaf(t->weights[k * t->out + o], x[k], *z);
        }
    }
}

/* The pixel of p's window `column` of a row, the first of its tile. */
static size_t pixel_of(const pooled_norm *p, size_t row, size_t column) {
    return (row * 2 * (size_t)p->w + column) * 2;
}

/* Tiles side by side: [windows][2][2] pixels. */
static void gather(const pooled_norm *p, size_t row, size_t column, size_t windows, float *x) {
    const thin_layer *t = p->thin;
    float line[2][2 * PIECE * THIN_MOST];
    for (size_t y = 0; y < 2; y++)
        thin_widen_avx512(thin_pixel(t, pixel_of(p, row, column) + y * 2 * (size_t)p->w), t->type, t->in,
                          2 * windows, line[y]);
    thin_tiles_avx512(line[0], line[1], windows, x);
}

void thin_point_forward_row(const pooled_norm *p, size_t row) {
    float x[PIECE * THIN_TILE * THIN_MOST];
    const size_t width = (size_t)p->w;
    for (size_t column = 0; column < width; column += PIECE) {
        const size_t n = width - column < PIECE ? width - column : PIECE;
        gather(p, row, column, n, x);
        thin_forward_avx512(p, x, n, (row * width + column) * (size_t)p->c);
    }
}

/* ---- backward ---- */

void thin_point_begin_gradient(thin_layer *t, const norm_backward *k) {
    double centre[THIN_MOST] = {0}, offset[THIN_MOST] = {0}, mix[THIN_MOST][THIN_MOST] = {{0}};
    for (size_t i = 0; i < t->in && pixels(t); i++) {
        t->centre[i] = (float)(t->sum[i] / (double)pixels(t));
        centre[i] = (double)t->centre[i];
    }
    for (size_t o = 0; o < t->out; o++) {
        const double slope = (double)k->slope[o];
        const double away = thin_applied(t, o, centre) - (double)k->mean[o];
        for (size_t i = 0; i < t->in; i++) {
            offset[i] += thin_weight(t, i, o) * ((double)k->b[o] + slope * away);
            for (size_t j = 0; j < t->in; j++)
                mix[i][j] += thin_weight(t, i, o) * slope * thin_weight(t, j, o);
        }
    }
    for (size_t i = 0; i < THIN_MOST; i++) {
        t->offset[i] = (float)offset[i];
        for (size_t j = 0; j < THIN_MOST; j++) t->mix[i][j] = (float)mix[i][j];
    }
}

void thin_point_gradient(const pooled_norm *p, size_t task, size_t row, int column, int columns,
                         const float *dy, void *dx, mq_dtype type) {
    const thin_layer *t = p->thin;
    float x[PIECE * THIN_TILE * THIN_MOST], out[PIECE * THIN_TILE * THIN_MOST];
    double *dw = t->partial + task * t->each;
    const size_t end = (size_t)(column + columns), c = (size_t)p->c;
    for (size_t at = (size_t)column; at < end; at += PIECE, dy += PIECE * c) {
        const size_t n = end - at < PIECE ? end - at : PIECE;
        gather(p, row, at, n, x);
        thin_gradient_avx512(p, x, n, (row * (size_t)p->w + at) * c, dy, out, dw);
        if (!dx) continue;
        for (size_t y = 0; y < 2; y++) {
            const size_t pixel = pixel_of(p, row, at) + y * 2 * (size_t)p->w;
            thin_narrow_avx512(out, y, n, t->in, (char *)dx + pixel * t->in * mq_dtype_size(type), type);
        }
    }
}
