/* image_file.c - pixels from .npy, .npz and .safetensors. */
#include "cli/image_file.h"

#include <math.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/npz.h"
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

static bool right_shape(const mq_shape *s, const mq_inet_node *image) {
    const mq_inet_edge *e = &image->edge;
    if (s->rank < 2 || s->dim[0] < 1) return false;
    if (s->rank == 4) return s->dim[1] == e->c && s->dim[2] == e->h && s->dim[3] == e->w;
    if (!image->image.real) return false;
    if (s->rank == 2 && e->h == 1 && e->w == 1) return s->dim[1] == e->c;
    if (e->c != 1) return false;
    return s->rank == 3 ? s->dim[1] == e->h && s->dim[2] == e->w : s->rank == 2 && s->dim[1] == e->h * e->w;
}

static mq_status convert_pixels(const char *path, const mq_tensor *t, const mq_inet_node *image, uint8_t *out,
                                mq_error *error) {
    const mq_inet_image *in = &image->image;
    uint8_t(*table)[256] = NULL;
    size_t count = mq_tensor_count(t), plane = (size_t)in->h * (size_t)in->w, channels = (size_t)in->c;
    if (in->real) {
        MQ_TRY(mq_alloc(channels, sizeof *table, "pixels", &table, error));
        mq_real_pixels(in->real, (float)in->scale, (int)image->edge.low, (int)image->edge.high, in->c, table);
    }
    mq_status status = MQ_OK;
    for (size_t i = 0; i < count && status == MQ_OK; i++) {
        double v = element(t, i);
        if (v >= 0 && v <= 255 && v == rint(v))
            out[i] = table ? table[i / plane % channels][(int)v] : (uint8_t)v;
        else
            status = mq_fail(error, MQ_BAD_INPUT,
                             "%s: images: element %zu is %g: whole numbers from 0 to 255%s expected", path, i,
                             v, table ? ", or real numbers as float32," : "");
    }
    mq_free(table);
    return status;
}

static mq_status convert(const char *path, const mq_tensor *t, const mq_inet_node *image, image_file *out,
                         mq_error *error) {
    char shape[MQ_SHAPE_TEXT];
    const mq_inet_image *in = &image->image;
    if (!right_shape(&t->shape, image))
        return mq_fail(error, MQ_BAD_INPUT, "%s: images: got shape %s, expected [N, %d, %d, %d]", path,
                       mq_shape_text(&t->shape, shape), in->c, in->h, in->w);
    if (t->dtype == MQ_BF16 || t->dtype == MQ_F64)
        return mq_fail(error, MQ_BAD_INPUT, "%s: images: got %s, expected integers or float32", path,
                       mq_dtype_name(t->dtype));
    MQ_TRY(mq_alloc(mq_tensor_count(t), 1, "images", &out->images, error));
    out->count = (size_t)t->shape.dim[0];
    if (!in->real || t->dtype != MQ_F32) return convert_pixels(path, t, image, out->images, error);
    mq_status status =
        mq_real_codes(in->real, (float)in->scale, (int)image->edge.low, (int)image->edge.high, t->data,
                      out->count, in->c, (size_t)in->h * (size_t)in->w, out->images, error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "%s", path);
}

static mq_status from_arrays(const char *path, const mq_inet_node *image, image_file *out, mq_error *error) {
    static const char *const names[] = {"images", "x", "x_test", "arr_0", NULL};
    mq_tensor tensor;
    MQ_TRY(mq_array_load(path, names, &tensor, error));
    mq_status status = convert(path, &tensor, image, out, error);
    mq_tensor_free(&tensor);
    return status;
}

static mq_status from_safetensors(const char *path, const mq_inet_node *image, image_file *out,
                                  mq_error *error) {
    mq_st_file *file;
    MQ_TRY(mq_st_load(path, &file, error));
    const mq_st_entry *entry = mq_st_find(file, "images");
    mq_status status = entry ? convert(path, &entry->tensor, image, out, error)
                             : mq_fail(error, MQ_BAD_INPUT, "%s: it has no tensor 'images'", path);
    mq_st_free(file);
    return status;
}

mq_status image_file_open(const char *path, const mq_inet_node *image, image_file *out, mq_error *error) {
    *out = (image_file){0};
    mq_status status;
    if (mq_array_file(path))
        status = from_arrays(path, image, out, error);
    else if (mq_ends_with(path, ".safetensors"))
        status = from_safetensors(path, image, out, error);
    else
        status = mq_fail(error, MQ_USAGE, "--input %s: a name ending in .npy, .npz or .safetensors expected",
                         path);
    if (status != MQ_OK) image_file_close(out);
    return status;
}

void image_file_close(image_file *file) {
    mq_free(file->images);
    *file = (image_file){0};
}
