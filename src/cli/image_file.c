/* image_file.c - pixels from .npy and .safetensors. */
#include "cli/image_file.h"

#include <math.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/npy.h"
#include "io/safetensors.h"

/* Element i as a number; whole numbers beyond 2^53 may be rounded, which does not matter here. */
static double element(const mq_tensor *t, size_t i) {
    switch (t->dtype) {
    case MQ_U8:
    case MQ_I8:
    case MQ_I16:
    case MQ_I32:
    case MQ_I64:
        return (double)mq_tensor_whole(t, i);
    case MQ_F32:
        return (double)((const float *)t->data)[i];
    default:
        return NAN;
    }
}

static mq_status convert(const char *path, const mq_tensor *t, int c, int h, int w, image_file *out,
                         mq_error *error) {
    char shape[MQ_SHAPE_TEXT];
    if (t->shape.rank != 4 || t->shape.dim[0] < 1 || t->shape.dim[1] != c || t->shape.dim[2] != h ||
        t->shape.dim[3] != w)
        return mq_fail(error, MQ_BAD_INPUT, "%s: images: got shape %s, expected [N, %d, %d, %d]", path,
                       mq_shape_text(&t->shape, shape), c, h, w);
    if (t->dtype == MQ_BF16 || t->dtype == MQ_F64)
        return mq_fail(error, MQ_BAD_INPUT, "%s: images: got %s, expected integers or float32", path,
                       mq_dtype_name(t->dtype));
    size_t count = mq_tensor_count(t);
    MQ_TRY(mq_alloc(count, 1, "images", &out->images, error));
    out->count = (size_t)t->shape.dim[0];
    for (size_t i = 0; i < count; i++) {
        double v = element(t, i);
        if (!(v >= 0 && v <= 255 && v == rint(v)))
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: images: element %zu is %g: whole numbers from 0 to 255 expected", path, i, v);
        out->images[i] = (uint8_t)v;
    }
    return MQ_OK;
}

static mq_status from_npy(const char *path, int c, int h, int w, image_file *out, mq_error *error) {
    mq_tensor tensor;
    MQ_TRY(mq_npy_load(path, &tensor, error));
    mq_status status = convert(path, &tensor, c, h, w, out, error);
    mq_tensor_free(&tensor);
    return status;
}

static mq_status from_safetensors(const char *path, int c, int h, int w, image_file *out, mq_error *error) {
    mq_st_file *file;
    MQ_TRY(mq_st_load(path, &file, error));
    const mq_st_entry *entry = mq_st_find(file, "images");
    mq_status status = entry ? convert(path, &entry->tensor, c, h, w, out, error)
                             : mq_fail(error, MQ_BAD_INPUT, "%s: it has no tensor 'images'", path);
    mq_st_free(file);
    return status;
}

mq_status image_file_open(const char *path, int c, int h, int w, image_file *out, mq_error *error) {
    *out = (image_file){0};
    mq_status status;
    if (mq_ends_with(path, ".npy"))
        status = from_npy(path, c, h, w, out, error);
    else if (mq_ends_with(path, ".safetensors"))
        status = from_safetensors(path, c, h, w, out, error);
    else
        status = mq_fail(error, MQ_USAGE, "--input %s: a name ending in .npy or .safetensors expected", path);
    if (status != MQ_OK) image_file_close(out);
    return status;
}

void image_file_close(image_file *file) {
    mq_free(file->images);
    *file = (image_file){0};
}
