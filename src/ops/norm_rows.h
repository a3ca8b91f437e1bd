/* norm_rows.h - batch norm's arithmetic over rows of per-channel numbers, for one task's range.
 *
 * A row is `width` elements, the channels or, when these are few, several pixels' side by side; the factors
 * are `width` long. `count` elements are whole rows and at most one part of a row behind them. */
#ifndef MIXQ_OPS_NORM_ROWS_H
#define MIXQ_OPS_NORM_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

/* out = (z - mean)*a + b */
typedef struct norm_forward {
    const float *mean, *a, *b;
    const double *ea, *eb; /* evaluation: out = z*ea + eb in float64 instead; else NULL */
} norm_forward;

/* dz = a*dy - b - slope*(z - mean) */
typedef struct norm_backward {
    const float *mean, *a, *b, *slope;
} norm_backward;

/* What a batch norm reads: float32; int16 where all are whole numbers that it holds; or, of a search in
 * bfloat16, that, which the mix's and the pool's passes read alone. The short ones only with norm_avx512. */
typedef enum norm_stored { NORM_REAL, NORM_WHOLE, NORM_ROUNDED } norm_stored;
typedef struct norm_z {
    const void *values;
    norm_stored as;
} norm_z;
static inline size_t norm_z_bytes(norm_stored as) {
    return as == NORM_REAL ? sizeof(float) : sizeof(int16_t);
}
static inline norm_z norm_z_from(norm_z z, size_t at) {
    z.values = (const char *)z.values + at * norm_z_bytes(z.as);
    return z;
}
static inline float norm_z_at(norm_z z, size_t at) {
    if (z.as == NORM_REAL) return ((const float *)z.values)[at];
    if (z.as == NORM_WHOLE) return (float)((const int16_t *)z.values)[at];
    return mq_bf16_to_f32(((const uint16_t *)z.values)[at]);
}

/* An activation's gradient: dy*scale where low <= y <= high, else 0. */
typedef struct norm_gate {
    float low, high, scale;
} norm_gate;

enum { NORM_ROWS = 4 /* rows of one float32 sum of products */ };

/* sum += z, square += z*z, both float64 [width]. */
void norm_moments(const float *z, size_t count, size_t width, double *sum, double *square);
/* Of whole rows, with norm_avx512: z, whole numbers, also as int16 into out; and z in bfloat16, of which
 * eight rows are added in float32 first. */
void norm_moments_whole(const float *z, size_t count, size_t width, double *sum, double *square,
                        int16_t *out);
void norm_moments_rounded(const uint16_t *z, size_t count, size_t width, double *sum, double *square);
/* sum += dy, product += dy*(z - mean). */
void norm_products(const float *z, const float *dy, size_t count, size_t width, const double *mean,
                   double *sum, double *product);
void norm_apply(const norm_forward *f, const float *z, size_t count, size_t width, float *out);
/* Into out + at of type f32 or bf16. */
void norm_gradient(const norm_backward *f, const float *z, const float *dy, size_t count, size_t width,
                   void *out, size_t at, mq_dtype type);
/* In training, norm_products and norm_gradient behind an activation, with dy + at of type f32 or bf16 its
 * gradient: y is computed again, and what passes the gate takes dy's place. The gradients' types are one.
 * Of NORM_ROWS rows, these products are added in float32 first. */
void norm_gated_products(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                         mq_dtype dy_type, size_t count, size_t width, const double *mean, double *sum,
                         double *product);
void norm_gated_gradient(const norm_forward *f, const norm_backward *k, const norm_gate *gate, norm_z z,
                         const void *dy, size_t at, size_t count, size_t width, void *out, size_t to,
                         mq_dtype type);
/* What passes the gate alone, float32 into out. */
void norm_gated_values(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                       mq_dtype dy_type, size_t count, size_t width, float *out);

/* Codes of an activation of `top` and `step` (quant.h) behind it, of whole rows; with norm_avx512. */
void norm_codes(const norm_forward *f, norm_z z, size_t count, size_t width, float top, float step,
                uint8_t *out);

/* norm_avx512.c: the first elements, as many as are returned (whole rows; vectors of gated values), for the
 * widths and processors of which the first says so. */
bool norm_avx512(size_t width);
size_t norm_moments_avx512(const float *z, size_t count, size_t width, double *sum, double *square);
void norm_codes_avx512(const norm_forward *f, norm_z z, size_t count, size_t width, float top, float step,
                       uint8_t *out);
size_t norm_gated_products_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                  size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                                  double *sum, double *product);
size_t norm_gated_gradient_avx512(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                  norm_z z, const void *dy, size_t at, size_t count, size_t width, void *out,
                                  size_t to, mq_dtype type);
size_t norm_gated_values_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                size_t at, mq_dtype dy_type, size_t count, size_t width, float *out);
/* norm_rows.c's own, for every processor: the reference of these. */
void norm_moments_plain(const float *z, size_t count, size_t width, double *sum, double *square);
void norm_gated_products_plain(const norm_forward *f, const norm_gate *gate, const float *z, const void *dy,
                               size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                               double *sum, double *product);
void norm_gated_gradient_plain(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                               const float *z, const void *dy, size_t at, size_t count, size_t width,
                               void *out, size_t to, mq_dtype type);
void norm_gated_values_plain(const norm_forward *f, const norm_gate *gate, const float *z, const void *dy,
                             size_t at, mq_dtype dy_type, size_t count, size_t width, float *out);

#endif
