/* tensor.c - element types, shapes and plain tensors. */
#include "tensor/tensor.h"

#include <stdio.h>

#include "base/memory.h"

static const struct {
    const char *name;
    size_t size;
} DTYPES[MQ_DTYPES] = {
    [MQ_U8] = {"uint8", 1},    [MQ_I8] = {"int8", 1},     [MQ_I16] = {"int16", 2},
    [MQ_I32] = {"int32", 4},   [MQ_I64] = {"int64", 8},   [MQ_BF16] = {"bfloat16", 2},
    [MQ_F32] = {"float32", 4}, [MQ_F64] = {"float64", 8},
};

size_t mq_dtype_size(mq_dtype dtype) {
    return DTYPES[dtype].size;
}

const char *mq_dtype_name(mq_dtype dtype) {
    return DTYPES[dtype].name;
}

mq_shape mq_shape1(int64_t a) {
    return (mq_shape){.rank = 1, .dim = {a}};
}

mq_shape mq_shape2(int64_t a, int64_t b) {
    return (mq_shape){.rank = 2, .dim = {a, b}};
}

mq_shape mq_shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (mq_shape){.rank = 4, .dim = {a, b, c, d}};
}

bool mq_shape_equal(const mq_shape *a, const mq_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool mq_shape_count(const mq_shape *shape, size_t *count) {
    size_t n = 1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0 || mq_mul_overflow(n, (size_t)shape->dim[i], &n)) return false;
    *count = n;
    return true;
}

const char *mq_shape_text(const mq_shape *shape, char text[MQ_SHAPE_TEXT]) {
    int used = snprintf(text, MQ_SHAPE_TEXT, "[");
    for (int i = 0; i < shape->rank && used < MQ_SHAPE_TEXT - 1; i++)
        used += snprintf(text + used, (size_t)(MQ_SHAPE_TEXT - used), "%s%lld", i ? ", " : "",
                         (long long)shape->dim[i]);
    if (used < MQ_SHAPE_TEXT - 1) snprintf(text + used, (size_t)(MQ_SHAPE_TEXT - used), "]");
    return text;
}

mq_status mq_tensor_create(mq_dtype dtype, mq_shape shape, mq_tensor *out, mq_error *error) {
    *out = (mq_tensor){.dtype = dtype, .shape = shape};
    size_t count;
    if (!mq_shape_count(&shape, &count)) {
        char text[MQ_SHAPE_TEXT];
        return mq_fail(error, MQ_BAD_INPUT, "tensor too large: shape %s", mq_shape_text(&shape, text));
    }
    return mq_alloc(count, mq_dtype_size(dtype), "a tensor", &out->data, error);
}

void mq_tensor_free(mq_tensor *tensor) {
    mq_free(tensor->data);
    tensor->data = NULL;
}

size_t mq_tensor_count(const mq_tensor *tensor) {
    size_t count = 0;
    (void)mq_shape_count(&tensor->shape, &count);
    return count;
}

size_t mq_tensor_bytes(const mq_tensor *tensor) {
    return mq_tensor_count(tensor) * mq_dtype_size(tensor->dtype);
}

int64_t mq_tensor_whole(const mq_tensor *t, size_t i) {
    switch (t->dtype) {
    case MQ_U8:
        return ((const uint8_t *)t->data)[i];
    case MQ_I8:
        return ((const int8_t *)t->data)[i];
    case MQ_I16:
        return ((const int16_t *)t->data)[i];
    case MQ_I32:
        return ((const int32_t *)t->data)[i];
    default:
        return ((const int64_t *)t->data)[i];
    }
}
