/* thin.h - a layer of few inputs per output (1x1 of up to four channels, 3x3 of an image's), the batch norm
 * behind it and the max pool of 2x2 tiles that alone reads this: z = W x, many times as large as x, is not
 * stored but computed again where it is wanted.
 *
 * x here is what one output reads, `terms` numbers: a pixel's channels, or the 3x3 pixels around it, which
 * are 0 outside the image. As z is linear in x, sums over positions need no z but those of x and x x^T:
 *   sum z = W sum x,   sum z_c^2 = w_c^T (sum x x^T) w_c,
 * and, the batch norm's gradient being dz = g - b - slope (z - mean) with g = a dy at the maxima, else 0,
 *   dW = sum over maxima of g x^T - (b - slope mean) (sum x)^T - slope W (sum x x^T),
 *   dx = W^T g - W^T (b + slope (W centre - mean)) - W^T slope W (x - centre),
 * the same for every centre; the mean of x keeps it exact. Of 3x3 layers the last is a sum over the outputs
 * that read a pixel: W^T g is scattered from the maxima, and the rest a convolution of 5x5 (thin_window.h).
 * Sums are float64, of tasks of fixed size.
 *
 * The layer's input [n][h][w][in] is float32, bfloat16 or bytes (of 3x3 layers these only with
 * mq_dnn_has_codes; weights are then whole numbers -128..127); z [n][h][w][out], the large side of
 * pooled_norm.h. In training, and with AVX-512 only.
 *
 * thin.c has what is the same for both kernels, thin_point.c and thin_window.c the rest. */
#ifndef MIXQ_OPS_THIN_H
#define MIXQ_OPS_THIN_H

#include "base/status.h"
#include "ops/norm_rows.h"
#include "tensor/tensor.h"

enum {
    THIN_MOST = 4 /* input channels */,
    THIN_TILE = 4 /* positions */,
    THIN_TERMS = 27 /* at most, of 3x3 pixels of three channels */,
    THIN_QUAD = 4 /* bytes that are multiplied and summed at once */
};

struct pooled_norm;
struct thin_window;

typedef struct thin_layer {
    size_t kernel, in, out, terms;
    const void *x; /* not owned */
    mq_dtype type;
    size_t n, h, w; /* of x and z */
    double sum[THIN_TERMS], products[THIN_TERMS][THIN_TERMS];
    float *weights; /* [terms; at least THIN_MOST][out], terms as in a layer's weights; 0 behind them */
    /* Of a 3x3 layer of bytes: [3][ceil(3*in/4)][out][THIN_QUAD], a row of the kernel as x has its pixels, 0
     * in the bytes behind them. */
    int8_t *codes;
    double *partial; /* [NORM_TASKS][each] */
    size_t each;
    /* Of dx. A pointwise layer: what it subtracts from W^T g, and multiplies with x - centre. */
    float offset[THIN_MOST], mix[THIN_MOST][THIN_MOST], centre[THIN_MOST];
    struct thin_window *window; /* of a 3x3 layer whose dx is wanted; else NULL */
} thin_layer;

/* A layer's shape. */
typedef struct thin_shape {
    size_t kernel /* 1; or 3, with padding of 1 */, in, out, h, w;
    bool backward_data;
} thin_shape;

/* Whether such a layer can be thin here. */
bool thin_fits(size_t kernel, size_t in, size_t out);
mq_status thin_create(const thin_shape *shape, thin_layer **result, mq_error *error) MQ_MUST_CHECK;
void thin_destroy(thin_layer *t); /* NULL is fine */

/* Forward: takes the weights [out][in][kernel][kernel], rounded to bfloat16 where asked, and x, and sums up n
 * images of it. */
void thin_begin(thin_layer *t, const float *weights, bool bf16, const void *x, mq_dtype type, size_t n);
/* sum[out] and square[out] of z over these images. */
void thin_moments(const thin_layer *t, double *sum, double *square);
/* z itself, [n][h][w][out], for those who want to see it. */
void thin_values(const thin_layer *t, float *z);
/* pooled_norm_forward of a row whose z is thin (p->thin). */
void thin_forward_row(const struct pooled_norm *p, size_t row);

/* Backward, first: what all rows need. */
void thin_begin_gradient(thin_layer *t, const norm_backward *k);
/* pooled_norm_gradient with dx [n][h][w][in] of type f32 or bf16 in the place of dz (NULL: not wanted); adds
 * to the weights' gradient of `task`, below NORM_TASKS. Together the tasks have all rows of the pool; a
 * task's follow each other, and so do a row's windows, from the first to the last. */
void thin_gradient(const struct pooled_norm *p, size_t task, size_t row, int column, int columns,
                   const float *dy, void *dx, mq_dtype type);
/* Last: what is left of dx, and dw, in the order of the weights. */
void thin_end_gradient(const thin_layer *t, const norm_backward *k, void *dx, mq_dtype type, float *dw);

/* The first element of pixel p of x. */
static inline const void *thin_pixel(const thin_layer *t, size_t p) {
    return (const char *)t->x + p * t->in * mq_dtype_size(t->type);
}

/* Term k of output o. */
static inline double thin_weight(const thin_layer *t, size_t k, size_t o) {
    return (double)t->weights[k * t->out + o];
}

/* (W v)_o */
double thin_applied(const thin_layer *t, size_t o, const double *v);

#endif
