/* thin.h - a pointwise layer of few input channels, the batch norm behind it and the max pool of 2x2 tiles
 * that alone reads this: z = W x, many times as large as x, is not stored but computed again where it is
 * wanted.
 *
 * As z is linear in x, sums over positions need no z but those of x and x x^T:
 *   sum z = W sum x,   sum z_c^2 = w_c^T (sum x x^T) w_c,
 * and, the batch norm's gradient being dz = g - b - slope (z - mean) with g = a dy at the maxima, else 0,
 *   dW = sum over maxima of g x^T - (b - slope mean) (sum x)^T - slope W (sum x x^T),
 *   dx = W^T g - W^T (b + slope (W centre - mean)) - W^T slope W (x - centre),
 * the same for every centre; the mean of x keeps it exact. Sums are float64, of tasks of fixed size.
 *
 * x [n][h][w][in] in float32, bfloat16 or bytes; z, the large side of pooled_norm.h, has `out` channels. In
 * training, and with AVX-512 only. */
#ifndef MIXQ_OPS_THIN_H
#define MIXQ_OPS_THIN_H

#include "base/status.h"
#include "ops/norm_rows.h"
#include "tensor/tensor.h"

enum { THIN_MOST = 4 /* input channels */, THIN_TILE = 4 /* positions */ };

struct pooled_norm;

typedef struct thin_layer {
    size_t in, out;
    const void *x; /* not owned */
    mq_dtype type;
    size_t pixels;                                         /* summed so far */
    double sum[THIN_MOST], products[THIN_MOST][THIN_MOST]; /* of x, of x x^T */
    float *weights;                                        /* [THIN_MOST][out], 0 behind `in` */
    double *partial; /* [NORM_TASKS][the larger of: sums; THIN_MOST*out] */
    /* Of dx: what it subtracts from W^T g, and multiplies with x - centre. */
    float offset[THIN_MOST], mix[THIN_MOST][THIN_MOST], centre[THIN_MOST];
} thin_layer;

/* Whether such a layer can be thin here. */
bool thin_fits(size_t in, size_t out);
mq_status thin_create(size_t in, size_t out, thin_layer **result, mq_error *error) MQ_MUST_CHECK;
void thin_destroy(thin_layer *t); /* NULL is fine */

/* Forward: takes the weights [out][in], rounded to bfloat16 where asked, and x, and sums up `pixels` of it.
 */
void thin_begin(thin_layer *t, const float *weights, bool bf16, const void *x, mq_dtype type, size_t pixels);
/* sum[out] and square[out] of z over these pixels. */
void thin_moments(const thin_layer *t, double *sum, double *square);
/* z itself, [pixels][out], for those who want to see it. */
void thin_values(const thin_layer *t, float *z);
/* pooled_norm_forward of a row whose z is thin (p->thin). */
void thin_forward_row(const struct pooled_norm *p, size_t row);

/* Backward, first: what all rows need. */
void thin_begin_gradient(thin_layer *t, const norm_backward *k);
/* pooled_norm_gradient with dx [n][h][w][in] of type f32 or bf16 in the place of dz (NULL: not wanted); adds
 * to the weights' gradient of `task`, below NORM_TASKS. */
void thin_gradient(const struct pooled_norm *p, size_t task, size_t row, int column, int columns,
                   const float *dy, void *dx, mq_dtype type);
/* Last: dw [out][in]. */
void thin_weights_gradient(const thin_layer *t, const norm_backward *k, float *dw);

/* What is multiplied of a pixel, so that -0 is the same everywhere. */
static inline size_t thin_terms(size_t in) {
    return in == 3 ? 3 : THIN_MOST;
}

/* thin_avx512.c. Widened, a pixel is THIN_MOST numbers, 0 behind `in`; memory for whole vectors of THIN_TILE.
 */
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
