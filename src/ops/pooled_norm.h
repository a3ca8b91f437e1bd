/* pooled_norm.h - a batch norm and the max pool that alone reads it, in one: the normalised values, as large
 * as the layer's output, are never stored, nor is their gradient.
 *
 * Windows are tiles: kernel = stride, and they cover the input. Shapes: large [n][h*kernel][w*kernel][c],
 * small [n][h][w][c] of the pool. Rows count the small side's n*h rows. */
#ifndef MIXQ_OPS_POOLED_NORM_H
#define MIXQ_OPS_POOLED_NORM_H

#include "ops/norm_rows.h"
#include "ops/thin.h"
#include "ops/train_op.h"

typedef struct pooled_norm {
    int h, w, c, kernel;
    norm_z z;               /* large: the batch norm's input; short only with the passes of AVX-512 */
    const thin_layer *thin; /* computes z, of which z.as says alone how y is stored; else NULL */
    norm_forward forward;
    norm_backward backward;
    bool keep_z;     /* y gets the maxima's z instead, stored as z is */
    void *y;         /* small: the maxima, float32 */
    uint8_t *index;  /* small, training: the first maximum's place in its window */
    const float *dy; /* small: dL/dy */
} pooled_norm;

/* y and, in training, index of one row. */
void pooled_norm_forward(const pooled_norm *p, size_t row);
/* sum[c] += dy, product[c] += dy*(z - mean) with the maxima's z, over `count` rows. */
void pooled_norm_products(const pooled_norm *p, size_t row, size_t count, const double *mean, double *sum,
                          double *product);
/* dL/dz of `columns` windows of a row, of the first one's column on: p->backward with dy (small, from that
 * window on) at the maxima and 0 elsewhere, into out (large, of type f32 or bf16). */
void pooled_norm_gradient(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                          void *out, mq_dtype type);

/* pooled_avx512.c: the passes of training, for the channels and processors of which the first says so. */
bool pooled_norm_avx512(const pooled_norm *p);
void pooled_norm_forward_avx512(const pooled_norm *p, size_t row);
void pooled_norm_gradient_avx512(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                 void *out, mq_dtype type);
/* pooled_norm.c's own, for every processor: the reference of these. */
void pooled_norm_forward_plain(const pooled_norm *p, size_t row);
void pooled_norm_gradient_plain(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                void *out, mq_dtype type);

#endif
