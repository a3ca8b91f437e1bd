/* tensor.h - element types, shapes and plain tensors.
 *
 * Activations are NHWC everywhere: shape [n, h, w, c], channels contiguous. Weights are OIHW as in every
 * framework's files: [o, i/groups, kh, kw]. A tensor never owns a view's memory; who allocates says so. */
#ifndef MIXQ_TENSOR_TENSOR_H
#define MIXQ_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum mq_dtype { MQ_U8, MQ_I8, MQ_I16, MQ_I32, MQ_I64, MQ_BF16, MQ_F32, MQ_F64, MQ_DTYPES } mq_dtype;

size_t mq_dtype_size(mq_dtype dtype);
const char *mq_dtype_name(mq_dtype dtype); /* "uint8", "float32", ... */

enum { MQ_DIMS = 6 };

typedef struct mq_shape {
    int rank; /* 0 = a scalar, one element */
    int64_t dim[MQ_DIMS];
} mq_shape;

mq_shape mq_shape1(int64_t a);
mq_shape mq_shape2(int64_t a, int64_t b);
mq_shape mq_shape4(int64_t a, int64_t b, int64_t c, int64_t d);
bool mq_shape_equal(const mq_shape *a, const mq_shape *b);
/* Number of elements; false when a dimension is negative or the product does not fit. */
bool mq_shape_count(const mq_shape *shape, size_t *count);
/* "[64, 3, 3, 3]" into text; returns text. */
enum { MQ_SHAPE_TEXT = 128 };
const char *mq_shape_text(const mq_shape *shape, char text[MQ_SHAPE_TEXT]);

typedef struct mq_tensor {
    mq_dtype dtype;
    mq_shape shape;
    void *data;
} mq_tensor;

/* Zeroed memory of its own; release with mq_tensor_free. */
mq_status mq_tensor_create(mq_dtype dtype, mq_shape shape, mq_tensor *out, mq_error *error) MQ_MUST_CHECK;
void mq_tensor_free(mq_tensor *tensor);
size_t mq_tensor_count(const mq_tensor *tensor);
size_t mq_tensor_bytes(const mq_tensor *tensor);
/* Element i of a tensor of MQ_U8, MQ_I8, MQ_I16, MQ_I32 or MQ_I64; i below its count. */
int64_t mq_tensor_whole(const mq_tensor *tensor, size_t i);

/* bfloat16: the upper half of a float32; rounded to nearest, ties to even; NaN stays NaN. */
static inline float mq_bf16_to_f32(uint16_t h) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}
static inline uint16_t mq_f32_to_bf16(float f) {
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + ((v.u >> 16) & 1u)) >> 16);
}

#endif
