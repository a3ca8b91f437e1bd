/* dataset.c - the table of readers, images made to fit a network, and the description of a set. */
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/text.h"
#include "data/reader.h"

const mq_data_reader mq_data_readers[] = {
    {"fashion-mnist", "fashion-mnist[:DIR]",
     "70,000 grey images of clothes; DIR defaults to Debian's dataset-fashion-mnist", MQ_DATA_CLASSIFY,
     mq_open_fashion_mnist},
    {"mnist", "mnist:DIR", "70,000 grey handwritten digits (idx files, plain or .gz)", MQ_DATA_CLASSIFY,
     mq_open_mnist},
    {"cifar10", "cifar10:DIR", "60,000 colour images of 10 classes (the binary version)", MQ_DATA_CLASSIFY,
     mq_open_cifar10},
    {"folder", "folder:DIR", "your own images: one folder of .png and .jpg files per class", MQ_DATA_CLASSIFY,
     mq_open_folder},
    {"npy", "npy:X.npy,Y.npy or npy:F.npz", "your own arrays: bytes [N][C][H][W] and labels [N]",
     MQ_DATA_CLASSIFY, mq_open_npy},
    {"dac-sdc", "dac-sdc:DIR", "folders of .jpg with a Pascal-VOC .xml beside each, one object per image",
     MQ_DATA_DETECT, mq_open_dac_sdc},
    {"shapes", "shapes[:N]",
     "N generated scenes of one object for training (2000), N/4 but at least 64 for testing", MQ_DATA_DETECT,
     mq_open_shapes},
    {NULL, NULL, NULL, MQ_DATA_CLASSIFY, NULL},
};

enum { LOAD_GRAIN = 16, READERS = sizeof mq_data_readers / sizeof mq_data_readers[0] - 1 };

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
        if (request->for_task && request->task != reader->task)
            return mq_fail(error, MQ_USAGE, "data set %s has %s, the network %s", name,
                           reader->task == MQ_DATA_DETECT ? "boxes of objects" : "classes of images",
                           request->task == MQ_DATA_DETECT ? "is a detector" : "classifies images");
        MQ_TRY(reader->open(colon ? colon + 1 : NULL, request, out, error));
        (*out)->strict = request->strict;
        return MQ_OK;
    }
    return fail_unknown(name, error);
}

static mq_status create_header(const char *name, size_t count, int height, int width, int channels,
                               int classes, mq_dataset **out, mq_error *error) {
    *out = NULL;
    if (height < 1 || height > MQ_DATA_SIDE || width < 1 || width > MQ_DATA_SIDE || channels < 1 ||
        channels > MQ_DATA_CHANNELS)
        return mq_fail(error, MQ_USAGE, "data set %s: images of %d x %d x %d, expected 1..%d x 1..%d x 1..%d",
                       name, height, width, channels, MQ_DATA_SIDE, MQ_DATA_SIDE, MQ_DATA_CHANNELS);
    if (classes < 1 || count < 1 || count > MQ_DATA_SAMPLES)
        return mq_fail(error, MQ_USAGE,
                       "data set %s: %zu samples of %d classes, expected 1..%d of at least 1", name, count,
                       classes, MQ_DATA_SAMPLES);
    MQ_TRY(mq_alloc(1, sizeof **out, "a data set", out, error));
    mq_dataset *set = *out;
    snprintf(set->name, sizeof set->name, "%s", name);
    set->count = count;
    set->height = height;
    set->width = width;
    set->channels = channels;
    set->classes = classes;
    return MQ_OK;
}

static mq_status fail_bytes(const mq_dataset *set, mq_error *error) {
    return mq_fail(error, MQ_USAGE,
                   "data set %s: %zu images of %d x %d x %d are more than %zu bytes; limit the samples",
                   set->name, set->count, set->height, set->width, set->channels, MQ_DATA_BYTES);
}

mq_status mq_dataset_create(const char *name, size_t count, int height, int width, int channels, int classes,
                            mq_dataset **out, mq_error *error) {
    mq_dataset *set;
    mq_status status;
    *out = NULL;
    MQ_TRY(create_header(name, count, height, width, channels, classes, &set, error));
    size_t bytes;
    if (mq_mul_overflow(count, mq_dataset_image_bytes(set), &bytes) || bytes > MQ_DATA_BYTES) {
        status = mq_fail(error, MQ_USAGE,
                         "data set %s: %zu images of %d x %d x %d are more than %zu bytes; limit the samples",
                         name, count, height, width, channels, MQ_DATA_BYTES);
        goto fail;
    }
    MQ_TRY_GOTO(mq_alloc(bytes, 1, "the images of a data set", &set->images, error), fail);
    MQ_TRY_GOTO(mq_alloc(count, sizeof *set->labels, "the labels of a data set", &set->labels, error), fail);
    *out = set;
    return MQ_OK;
fail:
    mq_dataset_free(set);
    return status;
}

mq_status mq_dataset_create_detect(const char *name, size_t count, int height, int width, int channels,
                                   int classes, size_t target_count, const mq_data_source *source,
                                   void *context, size_t kept, mq_dataset **out, mq_error *error) {
    mq_dataset *set;
    *out = NULL;
    mq_status status = create_header(name, count, height, width, channels, classes, &set, error);
    if (status == MQ_OK)
        status =
            mq_alloc(target_count, sizeof *set->targets, "the objects of a data set", &set->targets, error);
    if (status != MQ_OK) {
        source->close(context);
        mq_dataset_free(set);
        return status;
    }
    set->task = MQ_DATA_DETECT;
    set->order = MQ_BGR;
    set->target_count = target_count;
    status = mq_store_create(source, context, count, mq_dataset_image_bytes(set), kept, &set->store, error);
    if (status != MQ_OK)
        mq_dataset_free(set);
    else
        *out = set;
    return status;
}

void mq_dataset_free(mq_dataset *dataset) {
    if (!dataset) return;
    mq_store_free(dataset->store);
    mq_free(dataset->images);
    mq_free(dataset->labels);
    mq_free(dataset->targets);
    mq_free(dataset->class_names);
    mq_free(dataset);
}

mq_status mq_dataset_image(const mq_dataset *dataset, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                           mq_error *error) {
    if (dataset->images) {
        size_t bytes = mq_dataset_image_bytes(dataset);
        memcpy(out, dataset->images + sample * bytes, bytes);
        return MQ_OK;
    }
    mq_data_scratch own = {0};
    mq_status status = mq_store_image(dataset->store, sample, scratch ? scratch : &own, out, error);
    mq_scratch_free(&own);
    return status;
}

typedef struct loading {
    const mq_dataset *set;
    uint8_t *images;
    mq_error *errors; /* [tasks] */
} loading;

static void load_some(void *context, size_t task) {
    loading *l = context;
    mq_data_scratch scratch = {0};
    mq_error *error = &l->errors[task];
    size_t bytes = mq_dataset_image_bytes(l->set);
    for (size_t i = task * LOAD_GRAIN; i < (task + 1) * LOAD_GRAIN && i < l->set->count; i++)
        if (error->status == MQ_OK)
            error->status = mq_dataset_image(l->set, i, &scratch, l->images + i * bytes, error);
    mq_scratch_free(&scratch);
}

mq_status mq_dataset_load(mq_dataset *dataset, mq_error *error) {
    if (dataset->images) return MQ_OK;
    size_t bytes, tasks = mq_task_count(dataset->count, LOAD_GRAIN);
    if (mq_mul_overflow(dataset->count, mq_dataset_image_bytes(dataset), &bytes) || bytes > MQ_DATA_BYTES)
        return fail_bytes(dataset, error);
    loading l = {.set = dataset};
    mq_status status;
    MQ_TRY_GOTO(mq_alloc(tasks, sizeof *l.errors, "errors", &l.errors, error), done);
    MQ_TRY_GOTO(mq_alloc(bytes, 1, "the images of a data set", &l.images, error), done);
    mq_parallel(tasks, load_some, &l);
    for (size_t t = 0; t < tasks && status == MQ_OK; t++)
        if ((status = l.errors[t].status) != MQ_OK && error) *error = l.errors[t];
    if (status == MQ_OK) {
        dataset->images = l.images;
        l.images = NULL;
    }
done:
    mq_free(l.images);
    mq_free(l.errors);
    return status;
}

void mq_dataset_sample_name(const mq_dataset *dataset, size_t sample, char out[MQ_DATA_SAMPLE_NAME]) {
    const char *name = dataset->store ? mq_store_name(dataset->store, sample) : NULL;
    if (name)
        snprintf(out, MQ_DATA_SAMPLE_NAME, "%s", name);
    else
        snprintf(out, MQ_DATA_SAMPLE_NAME, "%06zu", sample);
}

void mq_dataset_sample_size(const mq_dataset *dataset, size_t sample, int *height, int *width) {
    *height = dataset->height;
    *width = dataset->width;
    if (dataset->store) mq_store_size(dataset->store, sample, height, width);
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
