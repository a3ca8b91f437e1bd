/* export.c - images and labels, one folder per class, or as arrays. */
#include "data/export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "data/voc.h"
#include "io/jpeg.h"
#include "io/png.h"

/* A class's name as the name of a folder. */
static void folder_of_class(const mq_dataset *set, int which, char out[MQ_DATA_NAME]) {
    if (!set->class_names || !set->class_names[which][0]) {
        snprintf(out, MQ_DATA_NAME, "%d", which);
        return;
    }
    memcpy(out, set->class_names[which], MQ_DATA_NAME);
    if (out[0] == '.') out[0] = '_';
    for (char *c = out; *c; c++)
        if (*c == '/') *c = '_';
}

/* folder/name without its ending, its folders made. */
static mq_status place(const mq_dataset *set, size_t sample, int which, const char *folder, char out[MQ_PATH],
                       mq_error *error) {
    char name[MQ_DATA_SAMPLE_NAME], class_folder[MQ_DATA_NAME], relative[MQ_DATA_SAMPLE_NAME + MQ_DATA_NAME];
    mq_dataset_sample_name(set, sample, name);
    folder_of_class(set, which, class_folder);
    if (strchr(name, '/'))
        snprintf(relative, sizeof relative, "%s", name);
    else
        snprintf(relative, sizeof relative, "%s/%s", class_folder, name);
    MQ_TRY(mq_path_join(folder, relative, out, error));
    char *slash = strrchr(out, '/');
    *slash = 0;
    mq_status status = mq_make_dirs(out, error);
    *slash = '/';
    return status;
}

static mq_status with_ending(const char *path, const char *ending, char out[MQ_PATH], mq_error *error) {
    int n = snprintf(out, MQ_PATH, "%s.%s", path, ending);
    return n > 0 && n < MQ_PATH ? MQ_OK : mq_fail(error, MQ_BAD_INPUT, "%.200s...: path too long", path);
}

/* Edges whole where they are so but for the rounding of parts. */
static double edge(double pixels) {
    return fabs(pixels - rint(pixels)) < 1e-3 ? rint(pixels) : pixels;
}

static mq_status write_detected(const mq_dataset *set, const mq_target *target, size_t sample,
                                const char *folder, const uint8_t *image, mq_error *error) {
    char path[MQ_PATH], file[MQ_PATH], label[MQ_PATH];
    MQ_TRY(place(set, sample, target->object_class, folder, path, error));
    MQ_TRY(with_ending(path, "jpg", file, error));
    MQ_TRY(mq_jpeg_write(file, image, set->height, set->width, set->order, MQ_EXPORT_QUALITY, error));
    double x = (double)target->box.x * set->width, y = (double)target->box.y * set->height;
    double w = (double)target->box.w * set->width, h = (double)target->box.h * set->height;
    mq_voc voc = {.width = set->width,
                  .height = set->height,
                  .xmin = edge(x - w / 2),
                  .ymin = edge(y - h / 2),
                  .xmax = edge(x + w / 2),
                  .ymax = edge(y + h / 2)};
    if (set->class_names)
        snprintf(voc.name, sizeof voc.name, "%s", set->class_names[target->object_class]);
    else
        snprintf(voc.name, sizeof voc.name, "%d", target->object_class);
    const char *filename = strrchr(file, '/') + 1;
    MQ_TRY(with_ending(path, "xml", label, error));
    return mq_voc_write(label, filename, &voc, error);
}

static mq_status write_labelled(const mq_dataset *set, size_t sample, const char *folder,
                                const uint8_t *image, mq_error *error) {
    char path[MQ_PATH], file[MQ_PATH];
    MQ_TRY(place(set, sample, set->labels[sample], folder, path, error));
    MQ_TRY(with_ending(path, "png", file, error));
    return mq_png_write(file, image, set->height, set->width, set->channels, set->order, error);
}

mq_status mq_dataset_export(const mq_dataset *set, const char *folder, size_t *written, mq_error *error) {
    bool detect = set->task == MQ_DATA_DETECT;
    *written = 0;
    if (detect && set->channels != 3)
        return mq_fail(error, MQ_USAGE, "data set %s: images of %d channels, expected 3 to export", set->name,
                       set->channels);
    for (size_t i = 0; detect && i < set->count; i++)
        if (set->target_count != set->count || set->targets[i].image != (int32_t)i)
            return mq_fail(error, MQ_USAGE, "data set %s: image %zu: expected one object to export",
                           set->name, i);
    uint8_t *image;
    mq_data_scratch scratch = {0};
    MQ_TRY(mq_alloc(mq_dataset_image_bytes(set), 1, "an image", &image, error));
    mq_status status = MQ_OK;
    for (size_t i = 0; i < set->count && status == MQ_OK; i++) {
        if (mq_stop_requested()) status = mq_fail(error, MQ_INTERRUPTED, "interrupted");
        if (status != MQ_OK) break;
        status = mq_dataset_image(set, i, &scratch, image, error);
        if (status == MQ_OK)
            status = detect ? write_detected(set, &set->targets[i], i, folder, image, error)
                            : write_labelled(set, i, folder, image, error);
        if (status == MQ_OK) mq_progress("export", ++*written, set->count, "%s", mq_split_name(set->split));
    }
    mq_scratch_free(&scratch);
    mq_free(image);
    return status;
}

mq_status mq_dataset_arrays(mq_dataset *set, mq_tensor *x, mq_tensor *y, mq_error *error) {
    *x = *y = (mq_tensor){0};
    if (set->task == MQ_DATA_DETECT)
        return mq_fail(error, MQ_USAGE,
                       "data set %s: objects in images, expected images of one class each for a .npz",
                       set->name);
    const size_t channels = (size_t)set->channels, plane = (size_t)set->height * (size_t)set->width;
    MQ_TRY(mq_dataset_load(set, error));
    MQ_TRY(mq_tensor_create(MQ_I32, mq_shape1((int64_t)set->count), y, error));
    mq_status status = mq_tensor_create(
        MQ_U8, mq_shape4((int64_t)set->count, set->channels, set->height, set->width), x, error);
    if (status != MQ_OK) {
        mq_tensor_free(y);
        return status;
    }
    memcpy(y->data, set->labels, set->count * sizeof *set->labels);
    uint8_t *to = x->data;
    for (size_t n = 0; n < set->count; n++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < plane; p++) *to++ = set->images[(n * plane + p) * channels + c];
    return MQ_OK;
}
