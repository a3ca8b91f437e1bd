/* cifar.c - CIFAR-10, binary version (cs.toronto.edu/~kriz/cifar.html): data_batch_1..5.bin and
 * test_batch.bin, each a run of records of one label byte and 3072 pixel bytes, the red 32 x 32 plane first,
 * then green, then blue. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/reader.h"

enum {
    CLASSES = 10,
    SIDE = 32,
    PLANE = SIDE * SIDE,
    RECORD = 1 + 3 * PLANE,
    TRAIN_FILES = 5,
    FILE_BYTES = 1 << 29, /* at most; the published files have 10,000 records, 30 MB */
    NAMES_FILE_BYTES = 4096
};

typedef struct part {
    char path[MQ_PATH];
    uint8_t *bytes;
    size_t count; /* records */
} part;

static mq_status read_part(const char *dir, const char *name, part *out, mq_error *error) {
    MQ_TRY(mq_path_join(dir, name, out->path, error));
    size_t size;
    MQ_TRY(mq_file_read(out->path, FILE_BYTES, &out->bytes, &size, error));
    out->count = size / RECORD;
    if (size == 0 || size % RECORD != 0)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: got %zu bytes, expected records of %d bytes (%zu and %zu more)", out->path, size,
                       RECORD, out->count, size % RECORD);
    for (size_t i = 0; i < out->count; i++) {
        unsigned label = out->bytes[i * RECORD];
        if (label >= CLASSES)
            return mq_fail(error, MQ_BAD_INPUT, "%s: label of record %zu: got %u, expected 0..%d", out->path,
                           i, label, CLASSES - 1);
    }
    return MQ_OK;
}

/* batches.meta.txt: one class name per line; the published file ends with an empty line. */
static mq_status read_names(const char *dir, mq_dataset *set, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(dir, "batches.meta.txt", path, error));
    if (!mq_path_exists(path)) return MQ_OK;
    uint8_t *text;
    size_t size;
    MQ_TRY(mq_file_read(path, NAMES_FILE_BYTES, &text, &size, error));
    mq_status status;
    int count = 0;
    MQ_TRY_GOTO(mq_alloc(CLASSES, MQ_DATA_NAME, "class names", &set->class_names, error), done);
    for (const char *line = (const char *)text; *line;) {
        size_t length = strcspn(line, "\r\n");
        if (length >= MQ_DATA_NAME) {
            status = mq_fail(error, MQ_BAD_INPUT, "%s: name %d: got %zu characters, expected at most %d",
                             path, count, length, MQ_DATA_NAME - 1);
            goto done;
        }
        if (length && count < CLASSES) memcpy(set->class_names[count], line, length);
        count += length > 0;
        line += length + (line[length] != 0);
    }
    if (count != CLASSES)
        status = mq_fail(error, MQ_BAD_INPUT, "%s: got %d class names, expected %d", path, count, CLASSES);
done:
    mq_free(text);
    return status;
}

static void fill(mq_dataset *set, const part *parts, int files) {
    size_t sample = 0;
    for (int f = 0; f < files; f++)
        for (size_t i = 0; i < parts[f].count && sample < set->count; i++, sample++) {
            const uint8_t *record = parts[f].bytes + i * RECORD;
            set->labels[sample] = record[0];
            mq_reader_place(set, sample, record + 1, SIDE, SIDE, (mq_reader_strides){SIDE, 1, PLANE});
        }
}

mq_status mq_open_cifar10(const char *argument, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) {
    if (!argument) return mq_fail(error, MQ_USAGE, "data set cifar10: no folder, expected cifar10:DIR");
    int files = request->split == MQ_SPLIT_TRAIN ? TRAIN_FILES : 1;
    part *parts;
    MQ_TRY(mq_alloc(TRAIN_FILES, sizeof *parts, "CIFAR-10 files", &parts, error));
    mq_status status = MQ_OK;
    mq_dataset *set = NULL;
    size_t count = 0;
    for (int f = 0; f < files && status == MQ_OK; f++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", f + 1);
        status =
            read_part(argument, request->split == MQ_SPLIT_TRAIN ? name : "test_batch.bin", &parts[f], error);
        count += parts[f].count;
    }
    if (status == MQ_OK)
        status = mq_reader_create("cifar10", request, count, SIDE, SIDE, 3, CLASSES, &set, error);
    if (status == MQ_OK) {
        fill(set, parts, files);
        status = read_names(argument, set, error);
    }
    for (int f = 0; f < files; f++) mq_free(parts[f].bytes);
    mq_free(parts);
    if (status != MQ_OK) {
        mq_dataset_free(set);
        return mq_fail_context(error, status, "data set cifar10");
    }
    *out = set;
    return MQ_OK;
}
