/* npy_pair.c - a data set of one's own as arrays: images X.npy and labels Y.npy, of each split. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/reader.h"
#include "io/npy.h"

enum { MOST_CLASSES = 100000 };

/* Both files of a split: the first pair of the argument, or for testing the second where there is one. */
static mq_status choose_files(const char *argument, mq_split split, char path[2][MQ_PATH], mq_error *error) {
    char part[4][MQ_PATH];
    int count = 0;
    for (const char *at = argument; at && count < 5; count++) {
        const char *comma = strchr(at, ',');
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (count < 4 && n > 0 && n < MQ_PATH) {
            memcpy(part[count], at, n);
            part[count][n] = 0;
        } else {
            count = 5;
        }
        at = comma ? comma + 1 : NULL;
    }
    if (count != 2 && count != 4)
        return mq_fail(error, MQ_USAGE,
                       "data set npy: got \"%.200s\", expected npy:X.npy,Y.npy (for both splits) or "
                       "npy:X.npy,Y.npy,TEST_X.npy,TEST_Y.npy",
                       argument ? argument : "");
    int first = count == 4 && split == MQ_SPLIT_TEST ? 2 : 0;
    for (int i = 0; i < 2; i++) strcpy(path[i], part[first + i]);
    return MQ_OK;
}

/* [N, h, w], [N, 1, h, w] and so on: channels first. */
static mq_status check_images(const char *path, const mq_tensor *x, int *channels, int *height, int *width,
                              mq_error *error) {
    char text[MQ_SHAPE_TEXT];
    const mq_shape *s = &x->shape;
    bool good = (s->rank == 3 || s->rank == 4) && x->dtype == MQ_U8 && s->dim[0] >= 1;
    for (int i = 1; good && i < s->rank; i++)
        good = s->dim[i] >= 1 && s->dim[i] <= (s->rank == 4 && i == 1 ? MQ_DATA_CHANNELS : MQ_DATA_SIDE);
    if (!good)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "%s: images: got %s %s, expected uint8 [N, height, width] or [N, channels, height, width], at "
            "most %d channels",
            path, mq_dtype_name(x->dtype), mq_shape_text(s, text), MQ_DATA_CHANNELS);
    *channels = s->rank == 4 ? (int)s->dim[1] : 1;
    *height = (int)s->dim[s->rank - 2];
    *width = (int)s->dim[s->rank - 1];
    return MQ_OK;
}

static mq_status check_labels(const char *path, const mq_tensor *y, int64_t count, int *classes,
                              mq_error *error) {
    char text[MQ_SHAPE_TEXT];
    if (y->shape.rank != 1 || y->shape.dim[0] != count || y->dtype == MQ_F32 || y->dtype == MQ_F64 ||
        y->dtype == MQ_BF16)
        return mq_fail(error, MQ_BAD_INPUT, "%s: labels: got %s %s, expected integers [%lld], one per image",
                       path, mq_dtype_name(y->dtype), mq_shape_text(&y->shape, text), (long long)count);
    *classes = 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t label = mq_tensor_whole(y, (size_t)i);
        if (label < 0 || label >= MOST_CLASSES)
            return mq_fail(error, MQ_BAD_INPUT, "%s: label %lld: got %lld, expected 0..%d", path,
                           (long long)i, (long long)label, MOST_CLASSES - 1);
        if (label >= *classes) *classes = (int)label + 1;
    }
    return MQ_OK;
}

static mq_status fill(char path[2][MQ_PATH], const mq_tensor *x, const mq_tensor *y,
                      const mq_data_request *request, mq_dataset **out, mq_error *error) {
    int channels = 0, height = 0, width = 0, classes = 0;
    MQ_TRY(check_images(path[0], x, &channels, &height, &width, error));
    MQ_TRY(check_labels(path[1], y, x->shape.dim[0], &classes, error));
    MQ_TRY(mq_reader_create("npy", request, (size_t)x->shape.dim[0], height, width, channels, classes, out,
                            error));
    mq_dataset *set = *out;
    const size_t plane = (size_t)height * (size_t)width;
    const mq_reader_strides strides = {(size_t)width, 1, channels == 1 ? 0 : plane};
    for (size_t i = 0; i < set->count; i++) {
        mq_reader_place(set, i, (const uint8_t *)x->data + i * plane * (size_t)channels, height, width,
                        strides);
        set->labels[i] = (int32_t)mq_tensor_whole(y, i);
    }
    return MQ_OK;
}

mq_status mq_open_npy(const char *argument, const mq_data_request *request, mq_dataset **out,
                      mq_error *error) {
    char path[2][MQ_PATH];
    mq_tensor x, y;
    *out = NULL;
    MQ_TRY(choose_files(argument, request->split, path, error));
    MQ_TRY(mq_npy_load(path[0], &x, error));
    mq_status status = mq_npy_load(path[1], &y, error);
    if (status == MQ_OK) {
        status = fill(path, &x, &y, request, out, error);
        mq_tensor_free(&y);
    }
    mq_tensor_free(&x);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "data set npy");
}
