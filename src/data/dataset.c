/* dataset.c - the table of readers, images made to fit a network, and the description of a set. */
#include "data/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/reader.h"

const mq_data_reader mq_data_readers[] = {
    {"fashion-mnist", "fashion-mnist[:DIR]",
     "70,000 grey images of clothes; DIR defaults to Debian's dataset-fashion-mnist", mq_open_fashion_mnist},
    {"mnist", "mnist:DIR", "70,000 grey handwritten digits (idx files, plain or .gz)", mq_open_mnist},
    {"cifar10", "cifar10:DIR", "60,000 colour images of 10 classes (the binary version)", mq_open_cifar10},
    {NULL, NULL, NULL, NULL},
};

enum { READERS = sizeof mq_data_readers / sizeof mq_data_readers[0] - 1 };

const char *mq_split_name(mq_split split) {
    return split == MQ_SPLIT_TRAIN ? "train" : "test";
}

static mq_status fail_unknown(const char *name, mq_error *error) {
    const char *names[READERS + 1] = {0};
    char known[512];
    size_t used = 0;
    known[0] = 0;
    for (size_t i = 0; i < READERS; i++) {
        names[i] = mq_data_readers[i].name;
        int n = snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", mq_data_readers[i].usage);
        if (n > 0 && (size_t)n < sizeof known - used) used += (size_t)n;
    }
    const char *near = mq_nearest(name, names);
    return mq_fail(error, MQ_USAGE, "unknown data set: got \"%s\"%s%s%s, expected one of %s", name,
                   near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", known);
}

mq_status mq_dataset_open(const char *spec, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) {
    *out = NULL;
    if (request->height < 0 || request->width < 0 || request->channels < 0)
        return mq_fail(error, MQ_USAGE, "data set %.200s: wanted image of %d x %d x %d: negative", spec,
                       request->height, request->width, request->channels);
    const char *colon = strchr(spec, ':');
    char name[MQ_DATA_NAME];
    snprintf(name, sizeof name, "%.*s",
             colon ? (int)(colon - spec < MQ_DATA_NAME ? colon - spec : MQ_DATA_NAME) : MQ_DATA_NAME, spec);
    for (const mq_data_reader *reader = mq_data_readers; reader->name; reader++) {
        if (strcmp(reader->name, name) != 0) continue;
        if (colon && !colon[1])
            return mq_fail(error, MQ_USAGE, "data set %s: nothing after the ':', expected %s", spec,
                           reader->usage);
        return reader->open(colon ? colon + 1 : NULL, request, out, error);
    }
    return fail_unknown(name, error);
}

mq_status mq_dataset_create(const char *name, size_t count, int height, int width, int channels, int classes,
                            mq_dataset **out, mq_error *error) {
    *out = NULL;
    if (height < 1 || height > MQ_DATA_SIDE || width < 1 || width > MQ_DATA_SIDE || channels < 1 ||
        channels > MQ_DATA_CHANNELS)
        return mq_fail(error, MQ_USAGE, "data set %s: images of %d x %d x %d, expected 1..%d x 1..%d x 1..%d",
                       name, height, width, channels, MQ_DATA_SIDE, MQ_DATA_SIDE, MQ_DATA_CHANNELS);
    if (classes < 1 || count < 1 || count > MQ_DATA_SAMPLES)
        return mq_fail(error, MQ_USAGE,
                       "data set %s: %zu samples of %d classes, expected 1..%d of at least 1", name, count,
                       classes, MQ_DATA_SAMPLES);
    size_t each = (size_t)height * (size_t)width * (size_t)channels, bytes;
    if (mq_mul_overflow(count, each, &bytes) || bytes > MQ_DATA_BYTES)
        return mq_fail(error, MQ_USAGE,
                       "data set %s: %zu images of %d x %d x %d are more than %zu bytes; limit the samples",
                       name, count, height, width, channels, MQ_DATA_BYTES);
    mq_dataset *set;
    MQ_TRY(mq_alloc(1, sizeof *set, "a data set", &set, error));
    snprintf(set->name, sizeof set->name, "%s", name);
    set->count = count;
    set->height = height;
    set->width = width;
    set->channels = channels;
    set->classes = classes;
    mq_status status;
    MQ_TRY_GOTO(mq_alloc(bytes, 1, "the images of a data set", &set->images, error), fail);
    MQ_TRY_GOTO(mq_alloc(count, sizeof *set->labels, "the labels of a data set", &set->labels, error), fail);
    *out = set;
    return MQ_OK;
fail:
    mq_dataset_free(set);
    return status;
}

void mq_dataset_free(mq_dataset *dataset) {
    if (!dataset) return;
    mq_free(dataset->images);
    mq_free(dataset->labels);
    mq_free(dataset->targets);
    mq_free(dataset->class_names);
    mq_free(dataset);
}

/* What the request says, else the file's size but not below `usual`. */
static int choose(int wanted, int in_file, int usual) {
    if (wanted) return wanted;
    return in_file > usual ? in_file : usual;
}

mq_status mq_reader_create(const char *name, const mq_data_request *request, size_t count, int height,
                           int width, int channels, int classes, mq_dataset **out, mq_error *error) {
    *out = NULL;
    int h = choose(request->height, height, 32), w = choose(request->width, width, 32);
    int c = choose(request->channels, channels, 3);
    if (h < height || w < width)
        return mq_fail(error, MQ_USAGE,
                       "data set %s: wanted images of %d x %d, expected at least its %d x %d (padding only)",
                       name, h, w, height, width);
    if (c != channels && channels != 1)
        return mq_fail(error, MQ_USAGE, "data set %s: wanted %d channels, expected its %d", name, c,
                       channels);
    if (request->limit && request->limit < count) count = request->limit;
    MQ_TRY(mq_dataset_create(name, count, h, w, c, classes, out, error));
    (*out)->split = request->split;
    return MQ_OK;
}

void mq_reader_place(mq_dataset *dataset, size_t sample, const uint8_t *image, int height, int width,
                     mq_reader_strides strides) {
    size_t channels = (size_t)dataset->channels, row = (size_t)dataset->width * channels;
    size_t top = (size_t)(dataset->height - height) / 2, left = (size_t)(dataset->width - width) / 2;
    uint8_t *out = dataset->images + sample * mq_dataset_image_bytes(dataset) + top * row + left * channels;
    for (size_t y = 0; y < (size_t)height; y++, out += row)
        for (size_t x = 0; x < (size_t)width; x++)
            for (size_t c = 0; c < channels; c++)
                out[x * channels + c] = image[y * strides.row + x * strides.column + c * strides.channel];
}

/* Mean and deviation of every channel, from integer sums, so exact up to the last rounding. */
static void describe_pixels(const mq_dataset *set, mq_dataset_info *info) {
    uint64_t sum[MQ_DATA_CHANNELS] = {0}, squares[MQ_DATA_CHANNELS] = {0};
    size_t channels = (size_t)set->channels;
    uint64_t pixels = (uint64_t)set->count * (uint64_t)set->height * (uint64_t)set->width;
    for (const uint8_t *p = set->images, *end = p + pixels * channels; p < end; p += channels)
        for (size_t c = 0; c < channels; c++) {
            sum[c] += p[c];
            squares[c] += (uint64_t)p[c] * p[c];
        }
    for (size_t c = 0; c < channels; c++) {
        unsigned __int128 spread = (unsigned __int128)pixels * squares[c] -
                                   (unsigned __int128)sum[c] * sum[c]; /* pixels^2 * variance */
        info->mean[c] = (double)sum[c] / (double)pixels;
        info->deviation[c] = sqrt((double)spread) / (double)pixels;
    }
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "labels are hashed as little-endian int32");

mq_status mq_dataset_describe(const mq_dataset *dataset, mq_dataset_info *out, mq_error *error) {
    *out = (mq_dataset_info){.count = dataset->count,
                             .height = dataset->height,
                             .width = dataset->width,
                             .channels = dataset->channels,
                             .classes = dataset->classes};
    MQ_TRY(mq_alloc((size_t)dataset->classes, sizeof *out->class_counts, "class counts", &out->class_counts,
                    error));
    for (size_t i = 0; i < dataset->count; i++) out->class_counts[dataset->labels[i]]++;
    describe_pixels(dataset, out);
    mq_sha256(dataset->images, dataset->count * mq_dataset_image_bytes(dataset), out->images_sha256);
    mq_sha256(dataset->labels, dataset->count * sizeof *dataset->labels, out->labels_sha256);
    return MQ_OK;
}

void mq_dataset_info_clear(mq_dataset_info *info) {
    mq_free(info->class_counts);
    *info = (mq_dataset_info){0};
}
