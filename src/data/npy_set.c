/* npy_set.c - `npy:X.npy,Y.npy`, images and labels as arrays; `npy:X,Y,XTEST,YTEST` with a split of one's
 * own; `npy:F.npz` and `npy:TRAIN.npz,TEST.npz` with both under the names of PAIRS.
 *
 * X: uint8, or whole numbers 0..255 of another type, [N][C][H][W], [N][H][W][C] (when only the last number is
 * 1 to 4) or [N][H][W]; Y: whole numbers [N] or [N][1], 0 or more. Without a split of its
 * own, a tenth of the samples, chosen by a fixed permutation, is for testing. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/reader.h"
#include "io/npy.h"
#include "io/npz.h"

enum { TENTH = 10, FILES = 4, CLASSES_MOST = 100000 };

/* Names of images and labels in a .npz: the whole or the training part, and the test part that goes with it.
 */
static const struct {
    const char *x, *y, *x_test, *y_test;
} PAIRS[] = {
    {"x", "y", NULL, NULL},
    {"x_train", "y_train", "x_test", "y_test"},
    {"images", "labels", "test_images", "test_labels"},
    {"arr_0", "arr_1", "arr_2", "arr_3"},
};
#define PAIRS_TEXT "x and y, x_train, y_train, x_test and y_test, images and labels, or arr_0 and arr_1"

typedef struct arrays {
    char name[FILES][MQ_PATH];
    int files;
    bool own_split; /* training and test images are apart */
    mq_npz *npz;    /* the one that is being read, or NULL */
    mq_tensor x, y;
    int height, width, channels;
    bool channels_last;
    size_t count;
    int32_t *label; /* [count] */
    uint8_t *pixel; /* of x as bytes */
    int classes;
} arrays;

static mq_status split_names(const char *argument, arrays *a, mq_error *error) {
    const char *at = argument;
    for (;;) {
        const char *comma = strchr(at, ',');
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (a->files == FILES || n == 0 || n >= MQ_PATH) break;
        memcpy(a->name[a->files], at, n);
        a->name[a->files++][n] = 0;
        if (!comma) {
            int archives = 0;
            for (int i = 0; i < a->files; i++) archives += mq_ends_with(a->name[i], ".npz");
            a->own_split = a->files == (archives ? 2 : FILES);
            if (archives ? archives == a->files && a->files <= 2 : a->files == 2 || a->files == FILES)
                return MQ_OK;
            break;
        }
        at = comma + 1;
    }
    return mq_fail(error, MQ_USAGE,
                   "got '%s', expected X.npy,Y.npy or X.npy,Y.npy,XTEST.npy,YTEST.npy, or F.npz or "
                   "TRAIN.npz,TEST.npz",
                   argument);
}

/* Any whole-number or real element. */
static double element(const mq_tensor *t, size_t i) {
    switch (t->dtype) {
    case MQ_F32:
        return (double)((const float *)t->data)[i];
    case MQ_F64:
        return ((const double *)t->data)[i];
    case MQ_I64:
        return (double)((const int64_t *)t->data)[i];
    case MQ_I32:
        return ((const int32_t *)t->data)[i];
    case MQ_I16:
        return ((const int16_t *)t->data)[i];
    case MQ_I8:
        return ((const int8_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

static mq_status whole(const char *path, const mq_tensor *t, size_t i, double high, int64_t *out,
                       mq_error *error) {
    double v = element(t, i);
    if (!(v >= 0 && v <= high) || v != (double)(int64_t)v)
        return mq_fail(error, MQ_BAD_INPUT, "%s: element %zu: got %g, expected a whole number from 0 to %g%s",
                       path, i, v, high,
                       v > 0 && v < 1 ? " (bytes, as in an image file: not scaled to 0..1)" : "");
    *out = (int64_t)v;
    return MQ_OK;
}

static mq_status check_images(arrays *a, const char *path, mq_error *error) {
    const mq_shape *s = &a->x.shape;
    const int64_t *d = s->dim;
    if (s->rank != 3 && s->rank != 4)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %d dimensions, expected [N][C][H][W], [N][H][W][C] or [N][H][W]", path, s->rank);
    int64_t c = s->rank == 3 ? 1 : d[1], h = d[s->rank - 2], w = d[s->rank - 1];
    if (s->rank == 4 && c > MQ_DATA_CHANNELS && d[3] <= MQ_DATA_CHANNELS) {
        a->channels_last = true;
        h = d[1];
        w = d[2];
        c = d[3];
    }
    if (d[0] < 1 || d[0] > MQ_DATA_SAMPLES || c < 1 || c > MQ_DATA_CHANNELS || h < 1 || h > MQ_DATA_SIDE ||
        w < 1 || w > MQ_DATA_SIDE)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "%s: %lld images of %lld x %lld x %lld, expected 1..%d x 1..%d x 1..%d (rows, columns, channels)",
            path, (long long)d[0], (long long)h, (long long)w, (long long)c, MQ_DATA_SIDE, MQ_DATA_SIDE,
            MQ_DATA_CHANNELS);
    a->count = (size_t)d[0];
    a->height = (int)h;
    a->width = (int)w;
    a->channels = (int)c;
    size_t all = a->count * (size_t)h * (size_t)w * (size_t)c;
    if (a->x.dtype == MQ_U8) {
        a->pixel = a->x.data;
        return MQ_OK;
    }
    MQ_TRY(mq_alloc(all, 1, "images", &a->pixel, error));
    for (size_t i = 0; i < all; i++) {
        int64_t v = 0;
        MQ_TRY(whole(path, &a->x, i, 255, &v, error));
        a->pixel[i] = (uint8_t)v;
    }
    return MQ_OK;
}

static mq_status check_labels(arrays *a, const char *path, mq_error *error) {
    const mq_shape *s = &a->y.shape;
    if ((s->rank != 1 && !(s->rank == 2 && s->dim[1] == 1)) || (size_t)s->dim[0] != a->count)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: got %lld labels of %d dimensions, expected [%zu], one per image", path,
                       s->rank ? (long long)s->dim[0] : 0, s->rank, a->count);
    MQ_TRY(mq_alloc(a->count, sizeof *a->label, "labels", &a->label, error));
    for (size_t i = 0; i < a->count; i++) {
        int64_t v = 0;
        MQ_TRY(whole(path, &a->y, i, CLASSES_MOST - 1, &v, error));
        a->label[i] = (int32_t)v;
        if (v >= a->classes) a->classes = (int)v + 1;
    }
    return MQ_OK;
}

static mq_status read_files(arrays *a, const char *x, const char *y, mq_error *error) {
    MQ_TRY(mq_npy_load(x, &a->x, error));
    MQ_TRY(check_images(a, x, error));
    MQ_TRY(mq_npy_load(y, &a->y, error));
    return check_labels(a, y, error);
}

static mq_status read_arrays(arrays *a, const char *path, const char *x, const char *y, mq_error *error) {
    char place[MQ_PATH + 64];
    MQ_TRY(mq_npz_read(a->npz, x, &a->x, error));
    snprintf(place, sizeof place, "%s: array %s", path, x);
    MQ_TRY(check_images(a, place, error));
    MQ_TRY(mq_npz_read(a->npz, y, &a->y, error));
    snprintf(place, sizeof place, "%s: array %s", path, y);
    return check_labels(a, place, error);
}

/* The training pair of an archive, or its test pair where it has one. */
static mq_status read_archive(arrays *a, const char *path, bool test, mq_error *error) {
    mq_npz_close(a->npz);
    a->npz = NULL;
    MQ_TRY(mq_npz_open(path, &a->npz, error));
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        if (!mq_npz_has(a->npz, PAIRS[i].x)) continue;
        if (a->files == 1) a->own_split = PAIRS[i].x_test && mq_npz_has(a->npz, PAIRS[i].x_test);
        return test ? read_arrays(a, path, PAIRS[i].x_test, PAIRS[i].y_test, error)
                    : read_arrays(a, path, PAIRS[i].x, PAIRS[i].y, error);
    }
    char names[256];
    mq_npz_names(a->npz, names, sizeof names);
    return mq_fail(error, MQ_BAD_INPUT, "%s: arrays %s: " PAIRS_TEXT " expected", path, names);
}

static mq_status read_pair(arrays *a, bool test, mq_error *error) {
    bool archives = mq_ends_with(a->name[0], ".npz");
    if (archives && a->files == 1) return read_archive(a, a->name[0], test, error);
    if (archives) return read_archive(a, a->name[test], false, error);
    return read_files(a, a->name[2 * test], a->name[2 * test + 1], error);
}

static void drop_pair(arrays *a) {
    if (a->pixel != a->x.data) mq_free(a->pixel);
    mq_tensor_free(&a->x);
    mq_tensor_free(&a->y);
    mq_free(a->label);
    a->pixel = NULL;
    a->label = NULL;
}

/* chosen[sample] = 1 for those of the split; returns their number. */
static mq_status choose(const arrays *a, mq_split split, uint8_t *chosen, size_t *count, mq_error *error) {
    uint32_t *order;
    *count = a->count;
    memset(chosen, 1, a->count);
    if (a->own_split) return MQ_OK;
    if (a->count < 2)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: got 1 image, expected at least 2 to divide into training and test", a->name[0]);
    MQ_TRY(mq_alloc(a->count, sizeof *order, "a permutation", &order, error));
    mq_rng rng = mq_rng_stream(0, "npy split", 0); /* the same in every run */
    mq_rng_permutation(&rng, order, a->count);
    size_t part = a->count / TENTH ? a->count / TENTH : 1;
    for (size_t i = 0; i < a->count; i++) chosen[order[i]] = (i < part) == (split == MQ_SPLIT_TEST);
    *count = split == MQ_SPLIT_TEST ? part : a->count - part;
    mq_free(order);
    return MQ_OK;
}

static mq_status fill(const arrays *a, const mq_data_request *request, mq_dataset **out, mq_error *error) {
    uint8_t *chosen;
    size_t count, sample = 0, plane = (size_t)a->height * (size_t)a->width, channels = (size_t)a->channels;
    mq_reader_strides strides = {(size_t)a->width, 1, a->channels == 1 ? 0 : plane};
    if (a->channels_last)
        strides = (mq_reader_strides){(size_t)a->width * channels, channels, a->channels > 1};
    MQ_TRY(mq_alloc(a->count, 1, "a split", &chosen, error));
    mq_status status = choose(a, request->split, chosen, &count, error);
    if (status == MQ_OK)
        status =
            mq_reader_create("npy", request, count, a->height, a->width, a->channels, a->classes, out, error);
    for (size_t i = 0; status == MQ_OK && i < a->count && sample < (*out)->count; i++) {
        if (!chosen[i]) continue;
        (*out)->labels[sample] = a->label[i];
        mq_reader_place(*out, sample++, a->pixel + i * plane * channels, a->height, a->width, strides);
    }
    mq_free(chosen);
    return status;
}

static mq_status open_set(const char *argument, const mq_data_request *request, arrays *a, mq_dataset **out,
                          mq_error *error) {
    MQ_TRY(split_names(argument, a, error));
    MQ_TRY(read_pair(a, false, error));
    if (a->own_split && request->split == MQ_SPLIT_TEST) { /* classes of both files count */
        drop_pair(a);
        a->channels_last = false;
        MQ_TRY(read_pair(a, true, error));
    }
    return fill(a, request, out, error);
}

mq_status mq_open_npy(const char *argument, const mq_data_request *request, mq_dataset **out,
                      mq_error *error) {
    if (!argument)
        return mq_fail(error, MQ_USAGE, "data set npy: no files, expected npy:X.npy,Y.npy or npy:F.npz");
    arrays *a;
    MQ_TRY(mq_alloc(1, sizeof *a, "arrays", &a, error));
    mq_status status = open_set(argument, request, a, out, error);
    drop_pair(a);
    mq_npz_close(a->npz);
    mq_free(a);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "data set npy");
}
