/* thin_window.h - thin layers (thin.h) of 3x3 kernels with padding of 1; private to this folder.
 *
 * The outputs of a pool's window read 4x4 pixels of each channel: a vector of 16, in which an output's 3x3
 * begin at its place. Rows of pixels are widened to float32, a plane per channel ("lines"), with what is
 * outside the image filled in.
 *
 * Sums: x x^T of 3x3 windows has the products of two pixels at most two rows and columns apart, each for the
 * positions at which both belong to a window of the image. So it comes from one sum per distance and pair of
 * channels, less what the image's first or last row and column have of it.
 *
 * dx: with z - mean = W (x - centre) + (W centre - mean), in which x - centre is -centre outside the image,
 *   dx = scattered W^T g - offset - 5x5 convolution of (x - centre),
 * filter and offset being sums over the outputs that read the pixel; in the image's first and last row and
 * column these are fewer. */
#ifndef MIXQ_OPS_THIN_WINDOW_H
#define MIXQ_OPS_THIN_WINDOW_H

#include "ops/thin.h"
#include "ops/train_op.h"

enum {
    THIN_SIDE = 3,      /* of a kernel */
    THIN_CHANNELS = 3,  /* at most */
    THIN_DISTANCES = 5, /* of columns, from -2 on */
    THIN_CORNER = 4,    /* side of what a pool's window reads */
    THIN_AREA = THIN_CORNER * THIN_CORNER,
    THIN_FILTER = 5 * 5,
    THIN_BAND = 6 /* rows of sums of a task: a window's, and two that the task before adds to */
};

/* Where a row or column is in the image. */
typedef enum thin_edge { THIN_FIRST, THIN_MIDDLE, THIN_LAST, THIN_EDGES } thin_edge;
static inline thin_edge thin_edge_of(size_t at, size_t length) {
    return at == 0 ? THIN_FIRST : at == length - 1 ? THIN_LAST : THIN_MIDDLE;
}

/* A term k of an output: the pixel of its 3x3. */
typedef struct thin_term {
    size_t channel, row, column;
} thin_term;
static inline thin_term thin_term_of(size_t k) {
    return (thin_term){k / (THIN_SIDE * THIN_SIDE), k / THIN_SIDE % THIN_SIDE, k % THIN_SIDE};
}

/* Over some positions (y, x): of x[i] and of x[i] at (y, x) times x[j] at (y + rows, x + columns). */
typedef struct thin_products {
    double dot[THIN_SIDE][THIN_DISTANCES][THIN_CHANNELS][THIN_CHANNELS], sum[THIN_CHANNELS];
} thin_products;

/* Of images' first rows, of all between and of their last: over all columns, over the first and over the last
 * alone. */
typedef enum thin_columns {
    THIN_ALL_COLUMNS,
    THIN_FIRST_COLUMN,
    THIN_LAST_COLUMN,
    THIN_COLUMNS
} thin_columns;
typedef struct thin_totals {
    thin_products of[THIN_EDGES][THIN_COLUMNS];
} thin_totals;

enum { THIN_WINDOW_SUMS = sizeof(thin_totals) / sizeof(double) };

/* What dx needs. */
typedef struct thin_window {
    float centre[THIN_CHANNELS];
    float filter[THIN_EDGES][THIN_EDGES][THIN_CHANNELS][THIN_CHANNELS][THIN_FILTER]; /* [of dx][of x] */
    float offset[THIN_EDGES][THIN_EDGES][THIN_CHANNELS];
    float *table; /* [out][THIN_TILE][in][THIN_AREA]: weights of an output at its place, else 0 */
    /* Of a task: its rows of the pool so far; end is 0 where there are none. */
    struct {
        size_t first, end;
    } band[NORM_TASKS];
    /* Of a task: W^T g [THIN_BAND][in][stride] from column -1 on; the four rows of the window under way, then
     * the upper two of its first window, to which the task before adds. */
    float *rows;
    size_t stride;
} thin_window;

bool thin_window_fits(size_t in);
mq_status thin_window_create(thin_layer *t, mq_error *error) MQ_MUST_CHECK; /* t->window */
void thin_window_destroy(thin_layer *t);

/* As in thin.h; the gradient's first and last for those whose dx is wanted. */
void thin_window_begin(thin_layer *t); /* codes, sum and products */
void thin_window_sums(thin_layer *t);  /* of it, sum and products */
void thin_window_values(const thin_layer *t, float *z);
void thin_window_forward_row(const struct pooled_norm *p, size_t row);
void thin_window_begin_gradient(thin_layer *t, const norm_backward *k);
void thin_window_gradient(const struct pooled_norm *p, size_t task, size_t row, int column, int columns,
                          const float *dy, void *dx, mq_dtype type);
void thin_window_end_gradient(const thin_layer *t, void *dx, mq_dtype type);

/* A row's columns from x on: some outside the image, then `count` pixels, then more outside. */
typedef struct thin_row {
    size_t outside, count;
    const void *pixels;
} thin_row;
thin_row thin_window_row(const thin_layer *t, size_t image, ptrdiff_t y, ptrdiff_t x, size_t columns);
/* Rows from y on and columns from x on, less the centre (NULL: 0), into to[in][rows][stride]: `columns` of
 * them, then what is outside the image up to stride, which is a multiple of 16. */
void thin_window_lines(const thin_layer *t, size_t image, ptrdiff_t y, size_t rows, ptrdiff_t x,
                       size_t columns, const float *centre, float *to, size_t stride);

/* ---- thin_window_avx512.c ---- */

/* Pixels [pixels][in] less the centre into to[in][plane]; and such planes, float32, back. */
void thin_planes_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, const float *centre,
                        float *to, size_t plane);
void thin_pixels_avx512(const float *from, size_t plane, size_t in, size_t pixels, void *to, mq_dtype type);
/* Bytes into to[in][plane]. */
void thin_planes_bytes_avx512(const uint8_t *from, size_t in, size_t pixels, uint8_t *to, size_t plane);
/* Adds up, of lines [in][rows + 2][stride] from column -2 on, products with pixels of the two rows below and,
 * in the own row, from the own column on: all others are the same of another pixel. */
void thin_window_products_avx512(const float *lines, size_t stride, size_t rows, size_t columns, size_t in,
                                 thin_products *to);
/* Of `windows` beside each other, lines [in][THIN_CORNER][stride]; at: of the pool's elements, of the first.
 */
void thin_window_forward_avx512(const struct pooled_norm *p, const float *lines, size_t stride,
                                size_t windows, size_t at);
/* g [windows][out] = a dy; dw [terms][out] gets what is added. */
void thin_window_weights_avx512(const struct pooled_norm *p, const float *lines, size_t stride,
                                size_t windows, size_t at, const float *dy, float *g, double *dw);
/* Adds W^T g to rows [THIN_CORNER][in][t->window->stride] from the first window's first column on. */
void thin_window_scatter_avx512(const struct pooled_norm *p, size_t windows, size_t at, const float *g,
                                float *rows);
/* out [in][out_stride] = sums [in][sums_stride] - offset - filter applied to five lines of each channel, from
 * column -2 on. */
typedef struct thin_rest {
    float (*filter)[THIN_CHANNELS][THIN_FILTER];
    const float *offset, *lines, *sums;
    float *out;
    size_t in, columns;
    size_t stride, plane; /* of lines: to the next one; to the next channel's */
    size_t sums_stride, out_stride;
} thin_rest;
void thin_window_rest_avx512(const thin_rest *r);

/* ---- thin_window_bytes.c: the same of bytes ---- */

/* Of lines of which as much as a vector behind the last column may be read. */
void thin_window_products_bytes(const uint8_t *lines, size_t stride, size_t rows, size_t columns, size_t in,
                                thin_products *to);
/* rows [THIN_CORNER][stride] of pixels, of which THIN_QUAD - 1 behind the last may be read. */
void thin_window_forward_bytes(const struct pooled_norm *p, const uint8_t *rows, size_t stride,
                               size_t windows, size_t at);

#endif
