/* image_folder.c - a data set of one's own as a folder: DIR/train/<class>/ and DIR/test/<class>/ with .jpg
 * and .png files, or DIR/<class>/ for both splits. Classes are numbered in the natural order of their
 * folders' names. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/file_tree.h"
#include "data/reader.h"
#include "data/resize.h"
#include "io/jpeg.h"
#include "io/png.h"

enum { MOST_CLASSES = 4096 };
static const char *const ENDINGS[] = {".jpg", ".jpeg", ".png", NULL};

typedef struct folder {
    char root[MQ_PATH]; /* of the split */
    mq_file_tree tree;
    mq_file_tree classes; /* the tree whose folders are the classes: the training split's */
    char (*names)[MQ_DATA_NAME];
    int class_count;
    mq_data_scratch scratch;
    uint8_t *pixels, *scaled; /* [h][w][3] of the image at hand, and of the set's size */
    size_t room;
} folder;

/* The first folder of a path below the root; false when the file lies in the root itself. */
static bool class_of(const char *path, char out[MQ_DATA_NAME]) {
    const char *slash = strchr(path, '/');
    if (!slash) return false;
    snprintf(out, MQ_DATA_NAME, "%.*s", (int)(slash - path < MQ_DATA_NAME ? slash - path : MQ_DATA_NAME - 1),
             path);
    return true;
}

static int find_class(const folder *f, const char *name) {
    for (int i = 0; i < f->class_count; i++)
        if (strcmp(f->names[i], name) == 0) return i;
    return -1;
}

/* The tree lists folder by folder, so a new name is a new class. */
static mq_status list_classes(folder *f, const char *dir, mq_error *error) {
    char name[MQ_DATA_NAME];
    MQ_TRY(mq_alloc(MOST_CLASSES, MQ_DATA_NAME, "class names", &f->names, error));
    for (size_t i = 0; i < f->classes.count; i++) {
        if (!class_of(f->classes.path[i], name))
            return mq_fail(error, MQ_BAD_INPUT, "%s/%s: in no folder of a class", dir, f->classes.path[i]);
        if (find_class(f, name) >= 0) continue;
        if (f->class_count == MOST_CLASSES)
            return mq_fail(error, MQ_BAD_INPUT, "%s: more than %d folders of classes", dir, MOST_CLASSES);
        strcpy(f->names[f->class_count++], name);
    }
    return MQ_OK;
}

static mq_status open_trees(folder *f, const char *dir, mq_split split, mq_error *error) {
    char train[MQ_PATH], test[MQ_PATH];
    MQ_TRY(mq_path_join(dir, "train", train, error));
    MQ_TRY(mq_path_join(dir, "test", test, error));
    bool split_up = mq_path_is_dir(train) && mq_path_is_dir(test);
    const char *classes = split_up ? train : dir;
    snprintf(f->root, sizeof f->root, "%s", !split_up ? dir : split == MQ_SPLIT_TRAIN ? train : test);
    MQ_TRY(mq_file_tree_open(classes, ENDINGS, &f->classes, error));
    MQ_TRY(list_classes(f, classes, error));
    MQ_TRY(mq_file_tree_open(f->root, ENDINGS, &f->tree, error));
    if (f->tree.count == 0)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: no images: .jpg, .jpeg or .png in folders of classes expected", f->root);
    return MQ_OK;
}

/* Decodes into f->pixels. */
static mq_status decode(folder *f, const char *path, int *height, int *width, mq_error *error) {
    uint8_t *bytes;
    size_t size, need;
    MQ_TRY(mq_file_read(path, MQ_JPEG_BYTES, &bytes, &size, error));
    bool png = size > 4 && memcmp(bytes, "\x89PNG", 4) == 0;
    mq_status status = png ? mq_png_size(path, bytes, size, height, width, error)
                           : mq_jpeg_size(path, bytes, size, height, width, error);
    need = status == MQ_OK ? (size_t)*height * (size_t)*width * 3 : 0;
    if (need > f->room) {
        mq_free(f->pixels);
        f->pixels = NULL;
        f->room = need;
        status = mq_alloc(need, 1, "an image", &f->pixels, error);
    }
    if (status == MQ_OK)
        status = png ? mq_png_decode(path, bytes, size, *height, *width, f->pixels, error)
                     : mq_jpeg_decode(path, bytes, size, MQ_RGB, *height, *width, f->pixels, error);
    mq_free(bytes);
    return status;
}

/* Three colours to the set's channels; grey by the weights of ITU-R BT.601. */
static void put_image(const uint8_t *rgb, mq_dataset *set, size_t sample) {
    uint8_t *to = set->images + sample * mq_dataset_image_bytes(set);
    size_t pixels = (size_t)set->height * (size_t)set->width;
    if (set->channels == 3) memcpy(to, rgb, 3 * pixels);
    for (size_t p = 0; set->channels == 1 && p < pixels; p++)
        to[p] = (uint8_t)((77 * rgb[3 * p] + 150 * rgb[3 * p + 1] + 29 * rgb[3 * p + 2] + 128) >> 8);
}

static mq_status read_image(folder *f, mq_dataset *set, size_t sample, mq_error *error) {
    char path[MQ_PATH], name[MQ_DATA_NAME];
    int height = 0, width = 0;
    MQ_TRY(mq_path_join(f->root, f->tree.path[sample], path, error));
    if (!class_of(f->tree.path[sample], name))
        return mq_fail(error, MQ_BAD_INPUT, "%s: in no folder of a class", path);
    set->labels[sample] = find_class(f, name);
    if (set->labels[sample] < 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: its class is not among the %d of the training images", path,
                       f->class_count);
    MQ_TRY(decode(f, path, &height, &width, error));
    MQ_TRY(
        mq_resize_image(f->pixels, height, width, &f->scratch, 0, f->scaled, set->height, set->width, error));
    put_image(f->scaled, set, sample);
    return MQ_OK;
}

static mq_status open_folder(folder *f, const char *dir, const mq_data_request *request, mq_dataset **out,
                             mq_error *error) {
    char path[MQ_PATH];
    int height = 0, width = 0, channels = request->channels ? request->channels : 3;
    MQ_TRY(open_trees(f, dir, request->split, error));
    MQ_TRY(mq_path_join(f->root, f->tree.path[0], path, error));
    if (!request->height || !request->width) MQ_TRY(decode(f, path, &height, &width, error));
    if (request->height) height = request->height;
    if (request->width) width = request->width;
    if (channels != 1 && channels != 3)
        return mq_fail(error, MQ_USAGE, "wanted %d channels, expected 1 or 3", channels);
    size_t count = request->limit && request->limit < f->tree.count ? request->limit : f->tree.count;
    MQ_TRY(mq_dataset_create("folder", count, height, width, channels, f->class_count, out, error));
    (*out)->split = request->split;
    MQ_TRY(mq_alloc(mq_dataset_image_bytes(*out) * 3, 1, "an image", &f->scaled, error));
    for (size_t i = 0; i < count; i++) MQ_TRY(read_image(f, *out, i, error));
    MQ_TRY(mq_alloc((size_t)f->class_count, MQ_DATA_NAME, "class names", &(*out)->class_names, error));
    memcpy((*out)->class_names, f->names, (size_t)f->class_count * MQ_DATA_NAME);
    return MQ_OK;
}

mq_status mq_open_folder(const char *argument, const mq_data_request *request, mq_dataset **out,
                         mq_error *error) {
    folder *f;
    *out = NULL;
    if (!argument) return mq_fail(error, MQ_USAGE, "data set folder: no folder, expected folder:DIR");
    if (!mq_path_is_dir(argument))
        return mq_fail(error, MQ_BAD_INPUT, "data set folder: no folder %s", argument);
    MQ_TRY(mq_alloc(1, sizeof *f, "a folder", &f, error));
    mq_status status = open_folder(f, argument, request, out, error);
    if (status != MQ_OK) {
        mq_dataset_free(*out);
        *out = NULL;
        status = mq_fail_context(error, status, "data set folder");
    }
    mq_scratch_free(&f->scratch);
    mq_file_tree_close(&f->tree);
    mq_file_tree_close(&f->classes);
    mq_free(f->names);
    mq_free(f->pixels);
    mq_free(f->scaled);
    mq_free(f);
    return status;
}
