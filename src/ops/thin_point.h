/* thin_point.h - thin layers (thin.h) of 1x1 kernels; private to this folder. */
#ifndef MIXQ_OPS_THIN_POINT_H
#define MIXQ_OPS_THIN_POINT_H

#include "ops/thin.h"

enum { THIN_POINT_SUMS = THIN_MOST + THIN_MOST * THIN_MOST /* of a task, beside its part of dw */ };

/* As in thin.h. */
void thin_point_sums(thin_layer *t); /* sum and products */
void thin_point_values(const thin_layer *t, float *z);
void thin_point_forward_row(const struct pooled_norm *p, size_t row);
void thin_point_begin_gradient(thin_layer *t, const norm_backward *k);
void thin_point_gradient(const struct pooled_norm *p, size_t task, size_t row, int column, int columns,
                         const float *dy, void *dx, mq_dtype type);

/* What is multiplied of a pixel, so that -0 is the same everywhere. */
static inline size_t thin_terms(size_t in) {
    return in == 3 ? 3 : THIN_MOST;
}

/* thin_point_avx512.c. Widened, a pixel is THIN_MOST numbers, 0 behind `in`; memory for whole vectors of
 * THIN_TILE. */
bool thin_avx512(void);
void thin_widen_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, float *x);
/* Adds up x and x x^T, of the latter what is not below the diagonal. The last vector's other pixels are set
 * to 0. */
void thin_sums_avx512(float *x, size_t pixels, double sum[THIN_MOST], double products[THIN_MOST][THIN_MOST]);
/* Two rows of 2*windows pixels into tiles. */
void thin_tiles_avx512(const float *upper, const float *lower, size_t windows, float *x);
/* And row y of tiles back, without what is behind `in`. */
void thin_narrow_avx512(const float *x, size_t y, size_t windows, size_t in, void *to, mq_dtype type);
/* Of `windows` tiles x [windows][THIN_TILE][THIN_MOST]. */
void thin_forward_avx512(const struct pooled_norm *p, const float *x, size_t windows, size_t at);
/* dx the same shape as x; dw [in][out] gets what is added. at: of the pool's elements, of the first. */
void thin_gradient_avx512(const struct pooled_norm *p, const float *x, size_t windows, size_t at,
                          const float *dy, float *dx, double *dw);

#endif
