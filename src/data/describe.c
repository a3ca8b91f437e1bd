/* describe.c - what is in a data set: shapes, counts, means and hashes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "detect/constant_box.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "labels are hashed as little-endian numbers");

typedef struct sums {
    uint64_t sum[MQ_DATA_CHANNELS], squares[MQ_DATA_CHANNELS];
} sums;

static void add_image(sums *s, const uint8_t *image, size_t bytes, size_t channels) {
    for (const uint8_t *p = image, *end = image + bytes; p < end; p += channels)
        for (size_t c = 0; c < channels; c++) {
            s->sum[c] += p[c];
            s->squares[c] += (uint64_t)p[c] * p[c];
        }
}

/* Mean and deviation of every channel, from integer sums, so exact up to the last rounding. */
static void finish(const sums *s, uint64_t pixels, mq_dataset_info *info) {
    for (int c = 0; c < info->channels && pixels; c++) {
        unsigned __int128 spread = (unsigned __int128)pixels * s->squares[c] -
                                   (unsigned __int128)s->sum[c] * s->sum[c]; /* pixels^2 * variance */
        info->mean[c] = (double)s->sum[c] / (double)pixels;
        info->deviation[c] = sqrt((double)spread) / (double)pixels;
    }
}

/* Every image once; damaged ones are counted and left out of means and hash. */
static mq_status describe_images(const mq_dataset *set, mq_dataset_info *info, mq_error *error) {
    size_t bytes = mq_dataset_image_bytes(set);
    uint8_t *image = NULL;
    mq_digest *digest = NULL;
    mq_data_scratch scratch = {0};
    mq_status status;
    sums s = {0};
    MQ_TRY_GOTO(mq_alloc(bytes, 1, "an image", &image, error), done);
    MQ_TRY_GOTO(mq_digest_begin(&digest, error), done);
    for (size_t i = 0; i < set->count; i++) {
        status = mq_dataset_image(set, i, &scratch, image, error);
        if (status == MQ_BAD_INPUT) {
            if (info->damaged++ == 0 && error) info->first_damage = *error;
            status = MQ_OK;
            continue;
        }
        if (status != MQ_OK) goto done;
        add_image(&s, image, bytes, (size_t)set->channels);
        mq_digest_add(digest, image, bytes);
        if (set->store) mq_progress("images", i + 1, set->count, "%s", mq_split_name(set->split));
    }
    finish(&s, (uint64_t)(set->count - info->damaged) * (uint64_t)set->height * (uint64_t)set->width, info);
done:
    mq_digest_end(digest, info->images_sha256);
    mq_scratch_free(&scratch);
    mq_free(image);
    return status;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mq_status describe_targets(const mq_dataset *set, mq_dataset_info *info, mq_error *error) {
    double *area;
    size_t count = set->target_count;
    for (size_t t = 0; t < count; t++) info->class_counts[set->targets[t].object_class]++;
    mq_sha256(set->targets, count * sizeof *set->targets, info->labels_sha256);
    if (count == 0) return MQ_OK;
    MQ_TRY(mq_alloc(count, sizeof *area, "areas of boxes", &area, error));
    for (size_t t = 0; t < count; t++)
        area[t] = (double)set->targets[t].box.w * (double)set->targets[t].box.h;
    qsort(area, count, sizeof *area, compare);
    for (size_t i = 0; i < MQ_DATA_AREAS; i++) info->areas[i] = area[(count - 1) * i / (MQ_DATA_AREAS - 1)];
    mq_free(area);
    return mq_constant_box(set->targets, count, &info->constant_box, &info->constant_iou, error);
}

mq_status mq_dataset_describe(const mq_dataset *dataset, mq_dataset_info *out, mq_error *error) {
    *out = (mq_dataset_info){.count = dataset->count,
                             .height = dataset->height,
                             .width = dataset->width,
                             .channels = dataset->channels,
                             .classes = dataset->classes};
    MQ_TRY(mq_alloc((size_t)dataset->classes, sizeof *out->class_counts, "class counts", &out->class_counts,
                    error));
    if (dataset->task == MQ_DATA_DETECT) {
        MQ_TRY(describe_targets(dataset, out, error));
    } else {
        for (size_t i = 0; i < dataset->count; i++) out->class_counts[dataset->labels[i]]++;
        mq_sha256(dataset->labels, dataset->count * sizeof *dataset->labels, out->labels_sha256);
    }
    return describe_images(dataset, out, error);
}

void mq_dataset_info_clear(mq_dataset_info *info) {
    mq_free(info->class_counts);
    *info = (mq_dataset_info){0};
}
