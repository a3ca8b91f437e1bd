/* product.h - products of matrices in float32 at the speed of the fused multiply-add: the one kernel below
 * Winograd's algorithm (dnn_winograd.c) and pointwise layers (dnn_pointwise.c). AVX-512.
 *
 * The right matrix lies in panels of 64 columns, the last one of what is left, 16, 32 or 48: element
 * (i, k) of `rows` rows is mq_product_at(rows, columns, i, k). Columns are a multiple of 16. */
#ifndef MIXQ_DNN_PRODUCT_H
#define MIXQ_DNN_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

enum { MQ_PRODUCT_LANES = 16, MQ_PRODUCT_PANEL = 64, MQ_PRODUCT_ROWS = 6 /* of the result at once */ };

/* Whether this processor runs it, and what follows of bfloat16. */
bool mq_product_supported(bool bf16);

/* Columns of the panel that begins at `from`. */
static inline size_t mq_product_panel(size_t columns, size_t from) {
    return columns - from < MQ_PRODUCT_PANEL ? columns - from : MQ_PRODUCT_PANEL;
}

static inline size_t mq_product_at(size_t rows, size_t columns, size_t i, size_t k) {
    const size_t from = k / MQ_PRODUCT_PANEL * MQ_PRODUCT_PANEL;
    return from * rows + i * mq_product_panel(columns, from) + (k - from);
}

/* c[rows][columns] (+)= sum over i below depth of a[r*row + i*step] * b[i][columns], b in panels, c plain.
 * Sums run from i = 0 on, one after another. */
void mq_product(const float *a, size_t row, size_t step, const float *b, size_t rows, size_t columns,
                size_t depth, bool add, float *c);

/* The same with row = 1 and b in bfloat16. */
void mq_product_half(const float *a, size_t step, const uint16_t *b, size_t rows, size_t columns,
                     size_t depth, bool add, float *c);

/* Copies a matrix of float32, bfloat16 or codes (uint8), whose rows are `step` elements apart, to float32:
 * plain [rows][columns] of any number of columns, or in panels. */
void mq_product_copy(const void *from, mq_dtype type, size_t step, size_t rows, size_t columns, bool panels,
                     float *to);

/* `count` groups of `size` numbers side by side, 1 to 4 of them, to places `step` floats apart; of NULL,
 * zeros. */
void mq_product_scatter(const uint16_t *from, size_t count, size_t size, size_t step, float *to);

/* Columns k..k+15 of the transpose of from [columns][rows], in panels. */
void mq_product_transpose(const float *from, size_t rows, size_t columns, size_t k, float *to);

/* to[i] = from[i] rounded to bfloat16, count a multiple of 16. */
void mq_product_round(const float *from, size_t count, uint16_t *to);

/* ---- products of codes ---- */

bool mq_product_bytes_supported(void); /* VNNI */

/* The left matrix: a row's bytes lie in `parts` pieces of 4*depth bytes each; those of row r from part[k] +
 * r*step on. */
typedef struct mq_bytes {
    const uint8_t *const *part;
    size_t parts, depth, step;
} mq_bytes;

/* The result [rows][columns]: int16, which it has to fit, or float32. */
typedef struct mq_product_out {
    void *values;
    bool whole;
} mq_product_out;

/* out = a * b, exact in int32. b [parts*depth][columns][4] in panels: 4 bytes of a column side by side. Of a
 * whole result sum[columns] and square[columns], unless NULL, grow by its sums and those of its squares,
 * exact while they are below 2^53; rows are at most 65536. */
void mq_product_bytes(const mq_bytes *a, const int8_t *b, size_t rows, size_t columns, mq_product_out out,
                      double *sum, double *square);

/* A row of a depthwise layer: `width` positions of `channels`, a multiple of 16, from `rows` rows of the
 * source, whose bytes [width + columns - 1][channels] are those that the position and the columns behind it
 * meet. */
typedef struct mq_depthwise {
    const uint8_t *const *row;
    size_t rows, columns, channels, width;
} mq_depthwise;

/* Whether there is code for a kernel of these sizes. */
bool mq_product_depthwise_fits(size_t rows, size_t columns);
/* out [width][channels] as above. w: of each 16 channels [columns][ceil(rows/4)][16][4], 0 where there is no
 * row. */
void mq_product_depthwise(const mq_depthwise *d, const int8_t *w, mq_product_out out, double *sum,
                          double *square);

#endif
