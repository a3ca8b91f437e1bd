/* depthwise.h - rows of depthwise convolutions in floating point, 3x3 and 5x5, stride 1: sums in float32, of
 * float32 or bfloat16 operands. AVX-512; channels are a multiple of 16. (product.h has those of codes.) */
#ifndef MIXQ_DNN_DEPTHWISE_H
#define MIXQ_DNN_DEPTHWISE_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/tensor.h"

enum { MQ_DEPTHWISE_MOST = 5 /* rows and columns of a kernel */ };

/* What one row of the result meets: `size` rows [width][channels] of the operand. */
typedef struct mq_depthwise_rows {
    const void *row[MQ_DEPTHWISE_MOST];
    size_t size, width, channels;
    mq_dtype type; /* bfloat16; for sums also float32 or codes (uint8) */
} mq_depthwise_rows;

bool mq_depthwise_supported(void);

/* out[x][c] = sum over r and q of row[r][x + first + q][c] * w[q][r][c], x below count; columns outside are
 * 0. out is float32 or rounded to bfloat16. */
void mq_depthwise_row(const mq_depthwise_rows *in, ptrdiff_t first, const float *w, size_t count,
                      bool rounded, void *out);

/* sums[r][q][c] += sum over x of row[r][x + first + q][c] * d[x][c]. d is float32 or
 * bfloat16. */
void mq_depthwise_sums(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, mq_dtype type,
                       size_t count, float *sums);

#endif
