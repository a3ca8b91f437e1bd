/* winograd.h - the arithmetic of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, CVPR 2016, section
 * 4): transforms of a tile, float32 in AVX-512. dnn_winograd.c puts passes together of them and of
 * product.h.
 *
 * A tile is 4x4 positions of the result. With the matrices A, B and G of the paper
 *   result = A^T [ (G g G^T) . (B^T d B) ] A,
 * d being 6x6 positions of the source and . a product of each of the 36 elements, summed over channels; and,
 * the same read backwards, the gradient of g is G^T [ (B^T d B) . (A e A^T) ] G summed over tiles, e being
 * the gradient of the result.
 *
 * Transformed operands lie in 36 planes, `plane` floats apart. Channels are a multiple of 16. Panels are
 * product.h's. */
#ifndef MIXQ_DNN_WINOGRAD_H
#define MIXQ_DNN_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/tensor.h"

enum { MQ_WINOGRAD_OUT = 4, MQ_WINOGRAD_IN = 6 };
enum {
    MQ_WINOGRAD_PLANES = MQ_WINOGRAD_IN * MQ_WINOGRAD_IN,
    MQ_WINOGRAD_RESULTS = MQ_WINOGRAD_OUT * MQ_WINOGRAD_OUT,
    MQ_WINOGRAD_TAPS = 9 /* of g */
};

/* The 9 numbers of g in planes, of 16 channels in from c on and of `columns` out from k on: rows of columns
 * from taps on, that of c first. w [out][in][3][3]; backward: w is [in][out][3][3] and g turned by half a
 * turn, as the source's gradient wants it. */
void mq_winograd_taps(const float *w, size_t in, size_t out, size_t k, size_t columns, size_t c,
                      bool backward, float *taps, size_t plane);

/* Row y of G g G^T: 6 planes, from those of taps; n numbers of each. */
void mq_winograd_weights(const float *taps, size_t from_plane, size_t n, size_t y, float *u, size_t plane);

/* B^T d B: at[6][6] are the positions' channels, float32, bfloat16 or codes (uint8); v: planes whose element
 * c is channel c.
 */
void mq_winograd_source(const void *const *at, mq_dtype type, size_t channels, float *v, size_t plane);

/* A e A^T: at[4][4] as above; z: planes of [tiles][channels] in panels, whose row `tile` is written. */
void mq_winograd_target(const void *const *at, mq_dtype type, size_t channels, size_t tiles, size_t tile,
                        float *z, size_t plane);

/* A^T m A, m as v above, into at[4][4], float32 or rounded to bfloat16. */
void mq_winograd_result(const float *m, size_t plane, size_t channels, bool bf16, void *const *at);

/* G^T u G of 16 channels out, from k on, and all `in`: u: planes of [in][out], plain; dw [out][in][3][3]. */
void mq_winograd_gradient(const float *u, size_t plane, size_t in, size_t out, size_t k, float *dw);

#endif
