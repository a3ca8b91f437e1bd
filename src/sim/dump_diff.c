/* dump_diff.c - two dumps, layer by layer. */
#include "sim/dump_diff.h"

#include <string.h>

#include "base/file.h"
#include "io/json.h"
#include "io/npy.h"
#include "sim/dump_index.h"
#include "tensor/tensor.h"

static mq_status load(const char *dir, const char *layer, mq_tensor *out, mq_error *error) {
    char path[MQ_PATH], name[MQ_INET_MAX_NAME + 8], text[MQ_SHAPE_TEXT];
    snprintf(name, sizeof name, "%s.npy", layer);
    MQ_TRY(mq_path_join(dir, name, path, error));
    MQ_TRY(mq_npy_load(path, out, error));
    if (out->dtype != MQ_U8 && out->dtype != MQ_I8 && out->dtype != MQ_I16 && out->dtype != MQ_I32 &&
        out->dtype != MQ_I64)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %s, expected integers", path, mq_dtype_name(out->dtype));
    if (out->shape.rank != 4)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got shape %s, expected [N, C, H, W]", path,
                       mq_shape_text(&out->shape, text));
    return MQ_OK;
}

static mq_status compare(const char *layer, const mq_tensor *a, const mq_tensor *b, mq_dump_difference *out,
                         mq_error *error) {
    char first[MQ_SHAPE_TEXT], second[MQ_SHAPE_TEXT];
    if (!mq_shape_equal(&a->shape, &b->shape))
        return mq_fail(error, MQ_BAD_INPUT, "layer %s: %s in the first dump, %s in the second", layer,
                       mq_shape_text(&a->shape, first), mq_shape_text(&b->shape, second));
    const size_t count = mq_tensor_count(a);
    const int64_t *dim = a->shape.dim;
    out->layers++;
    for (size_t i = 0; i < count; i++) {
        int64_t x = mq_tensor_whole(a, i), y = mq_tensor_whole(b, i), at = (int64_t)i;
        if (x == y || out->differing++) continue;
        out->equal = false;
        snprintf(out->layer, sizeof out->layer, "%s", layer);
        out->column = at % dim[3];
        out->row = at / dim[3] % dim[2];
        out->channel = at / (dim[3] * dim[2]) % dim[1];
        out->image = at / (dim[3] * dim[2] * dim[1]);
        out->first = x;
        out->second = y;
        out->elements = count;
    }
    return MQ_OK;
}

static mq_status compare_layer(const char *first, const char *second, const char *layer,
                               mq_dump_difference *out, mq_error *error) {
    mq_tensor a = {0}, b = {0};
    mq_status status = load(first, layer, &a, error);
    if (status == MQ_OK) status = load(second, layer, &b, error);
    if (status == MQ_OK) status = compare(layer, &a, &b, out, error);
    mq_tensor_free(&a);
    mq_tensor_free(&b);
    return status;
}

/* The layers of either folder in *out; both, where both have them, are the same. */
static mq_status find_layers(const char *first, const char *second, mq_dump_layers **out, mq_error *error) {
    mq_dump_layers *other = NULL;
    MQ_TRY(mq_dump_layers_load(first, out, error));
    mq_status status = mq_dump_layers_load(second, &other, error);
    if (status == MQ_OK && !*out && !other)
        status = mq_fail(error, MQ_BAD_INPUT, "neither %s nor %s holds a dump: no %s", first, second,
                         MQ_DUMP_INDEX);
    if (status == MQ_OK && *out && other) {
        bool same = (*out)->count == other->count;
        for (int i = 0; same && i < other->count; i++) same = strcmp((*out)->name[i], other->name[i]) == 0;
        if (!same)
            status =
                mq_fail(error, MQ_BAD_INPUT, "%s and %s hold other layers: %s of both expected to be equal",
                        first, second, MQ_DUMP_INDEX);
    }
    if (!*out) {
        *out = other;
        other = NULL;
    }
    mq_free(other);
    return status;
}

mq_status mq_dump_diff(const char *first, const char *second, mq_dump_difference *out, mq_error *error) {
    const char *const dirs[] = {first, second};
    mq_dump_layers *layers = NULL;
    *out = (mq_dump_difference){.equal = true};
    for (int i = 0; i < 2; i++)
        if (!mq_path_is_dir(dirs[i]))
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s: the folder of a dump expected", dirs[i],
                           mq_path_exists(dirs[i]) ? "not a folder" : "not there");
    mq_status status = find_layers(first, second, &layers, error);
    for (int i = 0; status == MQ_OK && out->equal && i < layers->count; i++)
        status = compare_layer(first, second, layers->name[i], out, error);
    mq_free(layers);
    return status;
}
