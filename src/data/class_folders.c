/* class_folders.c - `folder:DIR`, images of one's own: one sub-folder of PNG and JPEG files per class.
 *
 * Splits: DIR/train and DIR/test (else DIR/val), each with its class folders; without a folder for testing a
 * tenth of every class, chosen by a fixed permutation, is for testing. Images are scaled to the wanted size
 * and lie in memory. They come class by class in turn, so that the first N are N of all classes. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/file_tree.h"
#include "data/reader.h"
#include "data/resize.h"
#include "io/jpeg.h"
#include "io/png.h"

enum {
    SIDE = 32,
    CHANNELS = 3,
    TENTH = 10,
    GRAIN = 16,
    PIXELS = 0,
    ROWS = 1,
    SCALED = 2,
    CLASSES_MOST = 100000
};

static const char *const endings[] = {".png", ".jpg", ".jpeg", NULL};

typedef struct class_list {
    char (*name)[MQ_DATA_NAME];
    size_t count, room;
} class_list;

typedef struct picture {
    const char *path; /* the tree's */
    int32_t label;
    size_t turn; /* its number within the class */
    bool damaged;
    mq_error *why; /* owned; NULL: fine */
} picture;

typedef struct folders {
    char root[MQ_PATH];
    mq_file_tree tree;
    class_list classes;
    picture *pictures;
    size_t count;
    mq_dataset *set;
} folders;

/* ---- classes ---- */

/* The class of a path below the root: its first folder. */
static mq_status class_of(const char *root, const char *path, char out[MQ_DATA_NAME], mq_error *error) {
    const char *slash = strchr(path, '/');
    if (!slash)
        return mq_fail(error, MQ_BAD_INPUT, "%s/%s: an image outside the folders of the classes", root, path);
    size_t n = (size_t)(slash - path);
    if (n >= MQ_DATA_NAME)
        return mq_fail(error, MQ_BAD_INPUT, "%s/%.*s: a class name of %zu bytes, at most %d expected", root,
                       (int)n, path, n, MQ_DATA_NAME - 1);
    memcpy(out, path, n);
    out[n] = 0;
    return MQ_OK;
}

static int find_class(const class_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->name[i], name) == 0) return (int)i;
    return -1;
}

/* The tree lists folder by folder in natural order, so new classes come at the end. */
static mq_status list_classes(const char *root, const mq_file_tree *tree, class_list *list, mq_error *error) {
    char name[MQ_DATA_NAME];
    for (size_t i = 0; i < tree->count; i++) {
        MQ_TRY(class_of(root, tree->path[i], name, error));
        if (list->count && strcmp(list->name[list->count - 1], name) == 0) continue;
        if (list->count == CLASSES_MOST)
            return mq_fail(error, MQ_BAD_INPUT, "%s: more than %d classes", root, CLASSES_MOST);
        if (list->count == list->room) {
            size_t room = list->room ? 2 * list->room : 64;
            MQ_TRY(mq_resize(list->count, room, sizeof *list->name, "class names", &list->name, error));
            list->room = room;
        }
        memcpy(list->name[list->count++], name, sizeof name);
    }
    return MQ_OK;
}

/* ---- which images ---- */

static mq_status open_tree(const char *root, mq_file_tree *tree, mq_error *error) {
    MQ_TRY(mq_file_tree_open(root, endings, tree, error));
    if (tree->count == 0)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: no images: expected folders of .png or .jpg files, one per class", root);
    if (tree->count > MQ_DATA_SAMPLES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu images, expected at most %d", root, tree->count,
                       MQ_DATA_SAMPLES);
    return MQ_OK;
}

static mq_status list_pictures(folders *f, mq_error *error) {
    char name[MQ_DATA_NAME];
    MQ_TRY(mq_alloc(f->tree.count, sizeof *f->pictures, "images", &f->pictures, error));
    int32_t last = -1;
    size_t turn = 0;
    for (size_t i = 0; i < f->tree.count; i++) {
        MQ_TRY(class_of(f->root, f->tree.path[i], name, error));
        int label = find_class(&f->classes, name);
        if (label < 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: class %s is not among the training images", f->root,
                           name);
        turn = label == last ? turn + 1 : 0;
        last = label;
        f->pictures[f->count++] = (picture){.path = f->tree.path[i], .label = label, .turn = turn};
    }
    return MQ_OK;
}

/* Of every class a tenth, at least one of two or more, is for testing. */
static mq_status keep_part(folders *f, mq_split split, mq_error *error) {
    size_t kept = 0;
    uint32_t *order;
    uint8_t *tests;
    MQ_TRY(mq_alloc(f->count, sizeof *order, "a permutation", &order, error));
    mq_status status = mq_alloc(f->count, 1, "marks of images", &tests, error);
    for (size_t first = 0, end; status == MQ_OK && first < f->count; first = end) {
        for (end = first; end < f->count && f->pictures[end].label == f->pictures[first].label; end++)
            continue;
        size_t n = end - first, part = n < 2 ? 0 : n < TENTH ? 1 : n / TENTH, turn = 0;
        mq_rng rng =
            mq_rng_stream(0, "folder split", (uint64_t)f->pictures[first].label); /* the same in every run */
        mq_rng_permutation(&rng, order, n);
        memset(tests, 0, n);
        for (size_t i = 0; i < part; i++) tests[order[i]] = 1;
        for (size_t i = 0; i < n; i++)
            if (tests[i] == (split == MQ_SPLIT_TEST)) {
                f->pictures[kept] = f->pictures[first + i];
                f->pictures[kept++].turn = turn++;
            }
    }
    f->count = kept;
    if (status == MQ_OK && kept == 0)
        status =
            mq_fail(error, MQ_BAD_INPUT, "%s: no class has two images, one of them for testing", f->root);
    mq_free(tests);
    mq_free(order);
    return status;
}

/* By turns: the first of every class, the second of every class ... */
static mq_status in_turns(folders *f, mq_error *error) {
    size_t most = 0;
    picture *sorted;
    size_t *start;
    for (size_t i = 0; i < f->count; i++)
        if (f->pictures[i].turn >= most) most = f->pictures[i].turn + 1;
    MQ_TRY(mq_alloc(f->count, sizeof *sorted, "images", &sorted, error));
    mq_status status = mq_alloc(most + 1, sizeof *start, "turns", &start, error);
    if (status != MQ_OK) {
        mq_free(sorted);
        return status;
    }
    for (size_t i = 0; i < f->count; i++) start[f->pictures[i].turn + 1]++;
    for (size_t t = 0; t < most; t++) start[t + 1] += start[t];
    for (size_t i = 0; i < f->count; i++) sorted[start[f->pictures[i].turn]++] = f->pictures[i];
    mq_free(start);
    mq_free(f->pictures);
    f->pictures = sorted;
    return MQ_OK;
}

/* ---- reading ---- */

static mq_status decode(const char *path, mq_data_scratch *scratch, uint8_t **pixels, int *height, int *width,
                        mq_error *error) {
    uint8_t *bytes;
    size_t size;
    MQ_TRY(mq_file_read(path, MQ_PNG_BYTES, &bytes, &size, error));
    bool png = size >= 4 && memcmp(bytes, "\x89PNG", 4) == 0; /* whatever the name says */
    mq_status status = png ? mq_png_size(path, bytes, size, height, width, error)
                           : mq_jpeg_size(path, bytes, size, height, width, error);
    if (status == MQ_OK)
        status = mq_scratch_need(scratch, PIXELS, 3 * (size_t)*height * (size_t)*width, pixels, error);
    if (status == MQ_OK)
        status = png ? mq_png_decode(path, bytes, size, MQ_RGB, *height, *width, *pixels, error)
                     : mq_jpeg_decode(path, bytes, size, MQ_RGB, *height, *width, *pixels, error);
    mq_free(bytes);
    return status;
}

/* Red, green, blue to one channel: BT.601's luma. */
static void to_grey(const uint8_t *from, size_t pixels, uint8_t *to) {
    for (size_t i = 0; i < pixels; i++, from += 3)
        to[i] = (uint8_t)((299 * from[0] + 587 * from[1] + 114 * from[2] + 500) / 1000);
}

static mq_status read_picture(const folders *f, const picture *p, uint8_t *out, mq_data_scratch *scratch,
                              mq_error *error) {
    char path[MQ_PATH];
    uint8_t *pixels, *scaled = out;
    int height, width;
    const mq_dataset *set = f->set;
    MQ_TRY(mq_path_join(f->root, p->path, path, error));
    MQ_TRY(decode(path, scratch, &pixels, &height, &width, error));
    size_t area = (size_t)set->height * (size_t)set->width;
    if (set->channels == 1) MQ_TRY(mq_scratch_need(scratch, SCALED, 3 * area, &scaled, error));
    if (height == set->height && width == set->width)
        memcpy(scaled, pixels, 3 * area);
    else
        MQ_TRY(mq_resize_image(pixels, height, width, scratch, ROWS, scaled, set->height, set->width, error));
    if (set->channels == 1) to_grey(scaled, area, out);
    return MQ_OK;
}

static void read_some(void *context, size_t task) {
    const folders *f = context;
    mq_data_scratch scratch = {0};
    size_t bytes = mq_dataset_image_bytes(f->set);
    for (size_t i = task * GRAIN; i < (task + 1) * GRAIN && i < f->set->count; i++) {
        picture *p = &f->pictures[i];
        mq_error error = {0};
        f->set->labels[i] = p->label;
        error.status = read_picture(f, p, f->set->images + i * bytes, &scratch, &error);
        if (error.status == MQ_OK) continue;
        p->damaged = true;
        if (mq_alloc(1, sizeof *p->why, "an error", &p->why, NULL) == MQ_OK) *p->why = error;
    }
    mq_scratch_free(&scratch);
}

/* Leaves damaged images out, saying how many and the first; under `strict` it ends with it. */
static mq_status drop_damaged(folders *f, bool strict, mq_error *error) {
    mq_dataset *set = f->set;
    size_t kept = 0, bytes = mq_dataset_image_bytes(set);
    const picture *first = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const picture *p = &f->pictures[i];
        if (p->damaged && (!p->why || p->why->status == MQ_INTERNAL || strict))
            return mq_fail(error, p->why ? p->why->status : MQ_INTERNAL, "%s",
                           p->why ? p->why->text : p->path);
        if (p->damaged) {
            if (!first) first = p;
            continue;
        }
        if (kept != i) memmove(set->images + kept * bytes, set->images + i * bytes, bytes);
        set->labels[kept++] = p->label;
    }
    if (kept == 0 && first) return mq_fail(error, MQ_BAD_INPUT, "%s", first->why->text);
    if (first)
        mq_log(MQ_LOG_WARN, "%s: %zu of %zu images left out as damaged; the first: %s", f->root,
               set->count - kept, set->count, first->why->text);
    set->count = kept;
    return MQ_OK;
}

/* ---- opening ---- */

static mq_status choose(const char *dir, const mq_data_request *request, folders *f, mq_error *error) {
    char train[MQ_PATH], test[MQ_PATH];
    if (!mq_path_is_dir(dir)) return mq_fail(error, MQ_BAD_INPUT, "%s: no such folder", dir);
    MQ_TRY(mq_path_join(dir, "train", train, error));
    MQ_TRY(mq_path_join(dir, "test", test, error));
    if (!mq_path_is_dir(test)) MQ_TRY(mq_path_join(dir, "val", test, error));
    bool split = mq_path_is_dir(train), own = split && mq_path_is_dir(test);
    if (!split && mq_path_is_dir(test))
        return mq_fail(error, MQ_BAD_INPUT, "%s: it has a folder %s, but no folder train", dir,
                       strrchr(test, '/') + 1);
    snprintf(f->root, MQ_PATH, "%s", own && request->split == MQ_SPLIT_TEST ? test : split ? train : dir);
    if (own && request->split == MQ_SPLIT_TEST) { /* classes are numbered by the training images */
        mq_file_tree tree = {0};
        mq_status status = open_tree(train, &tree, error);
        if (status == MQ_OK) status = list_classes(train, &tree, &f->classes, error);
        mq_file_tree_close(&tree);
        if (status != MQ_OK) return status;
    }
    MQ_TRY(open_tree(f->root, &f->tree, error));
    if (!f->classes.count) MQ_TRY(list_classes(f->root, &f->tree, &f->classes, error));
    MQ_TRY(list_pictures(f, error));
    if (!own) MQ_TRY(keep_part(f, request->split, error));
    return in_turns(f, error);
}

static mq_status open_set(const char *dir, const mq_data_request *request, folders *f, mq_error *error) {
    MQ_TRY(choose(dir, request, f, error));
    int height = request->height ? request->height : SIDE, width = request->width ? request->width : SIDE;
    int channels = request->channels ? request->channels : CHANNELS;
    size_t count = request->limit && request->limit < f->count ? request->limit : f->count;
    if (channels != 1 && channels != 3)
        return mq_fail(error, MQ_USAGE, "wanted %d channels, expected 1 (grey) or 3", channels);
    MQ_TRY(
        mq_dataset_create("folder", count, height, width, channels, (int)f->classes.count, &f->set, error));
    f->set->split = request->split;
    mq_parallel(mq_task_count(count, GRAIN), read_some, f);
    MQ_TRY(drop_damaged(f, request->strict, error));
    f->set->class_names = f->classes.name;
    f->classes.name = NULL;
    return MQ_OK;
}

mq_status mq_open_folder(const char *argument, const mq_data_request *request, mq_dataset **out,
                         mq_error *error) {
    if (!argument) return mq_fail(error, MQ_USAGE, "data set folder: no folder, expected folder:DIR");
    folders f = {0};
    mq_status status = open_set(argument, request, &f, error);
    for (size_t i = 0; i < f.count; i++) mq_free(f.pictures[i].why);
    mq_free(f.pictures);
    mq_free(f.classes.name);
    mq_file_tree_close(&f.tree);
    if (status != MQ_OK) {
        mq_dataset_free(f.set);
        return mq_fail_context(error, status, "data set folder");
    }
    *out = f.set;
    return MQ_OK;
}
