/* dac_sdc.c - `dac-sdc:DIR`, the data of the DAC system design contest: folders of .jpg with a Pascal-VOC
 * .xml beside each. The labels are read when the set is opened, the images when they are asked for.
 *
 * Splits: DIR/train for training, DIR/test (else DIR/val) for testing. Without them one tenth of DIR, chosen
 * by a fixed permutation, is for testing, and all of what is in DIR/train, when only that is there. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/file_tree.h"
#include "data/reader.h"
#include "data/resize.h"
#include "data/voc.h"
#include "io/jpeg.h"

enum { HEIGHT = 160, WIDTH = 320, CHANNELS = 3, TENTH = 10, GRAIN = 64, PIXELS = 0, ROWS = 1 };

/* Why an image is left out; the last two are only worth a word. */
typedef enum fault {
    GOOD,
    EMPTY,
    UNLABELLED,
    BAD_LABEL,
    NO_OBJECT,
    BAD_BOX,
    NO_SIZE,
    SEVERAL,
    CLIPPED,
    FAULTS
} fault;
static const char *const fault_words[FAULTS] = {[EMPTY] = "of 0 bytes",
                                                [UNLABELLED] = "without XML",
                                                [BAD_LABEL] = "with damaged XML",
                                                [NO_OBJECT] = "without object",
                                                [BAD_BOX] = "with a box that is inverted or outside",
                                                [NO_SIZE] = "damaged",
                                                [SEVERAL] = "with several objects (the first is taken)",
                                                [CLIPPED] = "with a box partly outside (clipped)"};

typedef struct sample {
    const char *path, *ending; /* below the root, "boat1/000001" and "jpg"; the tree's */
    char name[MQ_DATA_NAME];   /* of the object's class */
    mq_box box;
    int height, width; /* of the image, by its label, else by its file */
    int object_class;
    float weight;
    fault fault, note;
    mq_status status;
    char *why; /* the text of the fault; owned */
} sample;

typedef struct dac_sdc {
    char root[MQ_PATH];
    mq_file_tree tree;
    sample *samples; /* [count] */
    size_t count;
    int height, width;
} dac_sdc;

static void close_set(void *context) {
    dac_sdc *set = context;
    for (size_t i = 0; set->samples && i < set->tree.count; i++) mq_free(set->samples[i].why);
    mq_file_tree_close(&set->tree);
    mq_free(set->samples);
    mq_free(set);
}

static const char *sample_name(const void *context, size_t sample_index) {
    return ((const dac_sdc *)context)->samples[sample_index].path;
}

static mq_status read_image(const void *context, size_t index, mq_data_scratch *scratch, uint8_t *out,
                            mq_error *error) {
    const dac_sdc *set = context;
    const sample *s = &set->samples[index];
    char path[MQ_PATH];
    uint8_t *bytes, *pixels;
    size_t size;
    int height, width;
    int length = snprintf(path, sizeof path, "%s/%s.%s", set->root, s->path, s->ending);
    if (length < 0 || length >= MQ_PATH) return mq_fail(error, MQ_BAD_INPUT, "%s: path too long", s->path);
    MQ_TRY(mq_file_read(path, MQ_JPEG_BYTES, &bytes, &size, error));
    mq_status status = mq_jpeg_size(path, bytes, size, &height, &width, error);
    if (status == MQ_OK) {
        size_t room = 3 * (size_t)height * (size_t)width;
        bool same = height == set->height && width == set->width;
        status = same ? MQ_OK : mq_scratch_need(scratch, PIXELS, room, &pixels, error);
        if (same) pixels = out;
        if (status == MQ_OK) status = mq_jpeg_decode(path, bytes, size, MQ_BGR, height, width, pixels, error);
        if (status == MQ_OK && !same)
            status =
                mq_resize_image(pixels, height, width, scratch, ROWS, out, set->height, set->width, error);
    }
    mq_free(bytes);
    return status;
}

static void sample_size(const void *context, size_t sample_index, int *height, int *width) {
    const sample *s = &((const dac_sdc *)context)->samples[sample_index];
    *height = s->height;
    *width = s->width;
}

static const mq_data_source source = {
    .image = read_image, .name = sample_name, .size = sample_size, .close = close_set};

/* Notes a fault with the text of the error that stands for it. */
static void blame(sample *s, fault why, const mq_error *error) {
    s->fault = why;
    s->status = error->status;
    if (mq_strdup(error->text, &s->why, NULL) != MQ_OK) s->why = NULL;
}

static void blame_image(sample *s, fault why, const char *path) {
    mq_error error = {0};
    mq_fail(&error, MQ_BAD_INPUT, "%s: an image %s", path, fault_words[why]);
    blame(s, why, &error);
}

/* Clips the box to the image; what is left, in parts of it. */
static void take_box(sample *s, const mq_voc *voc, const char *path) {
    double edge[4] = {voc->xmin, voc->ymin, voc->xmax, voc->ymax};
    const double size[2] = {voc->width, voc->height};
    for (int i = 0; i < 4; i++) {
        double inside = edge[i] < 0 ? 0 : edge[i] > size[i % 2] ? size[i % 2] : edge[i];
        if (inside != edge[i]) s->note = CLIPPED;
        edge[i] = inside;
    }
    if (!(voc->xmin < voc->xmax && voc->ymin < voc->ymax && edge[0] < edge[2] && edge[1] < edge[3])) {
        mq_error error = {0};
        mq_fail(&error, MQ_BAD_INPUT,
                "%s: box from (%g, %g) to (%g, %g): inverted or outside the image of %d x %d", path,
                voc->xmin, voc->ymin, voc->xmax, voc->ymax, voc->width, voc->height);
        blame(s, BAD_BOX, &error);
        s->note = GOOD;
        return;
    }
    s->box = (mq_box){.x = (float)((edge[0] + edge[2]) / 2 / size[0]),
                      .y = (float)((edge[1] + edge[3]) / 2 / size[1]),
                      .w = (float)((edge[2] - edge[0]) / size[0]),
                      .h = (float)((edge[3] - edge[1]) / size[1])};
}

/* The size from the image itself, when the label does not say it. */
static mq_status size_of_image(const char *path, mq_voc *voc, mq_error *error) {
    uint8_t *bytes;
    size_t size;
    MQ_TRY(mq_file_read(path, MQ_JPEG_BYTES, &bytes, &size, error));
    mq_status status = mq_jpeg_size(path, bytes, size, &voc->height, &voc->width, error);
    mq_free(bytes);
    return status;
}

static void read_label(const dac_sdc *set, sample *s) {
    char path[MQ_PATH], label[MQ_PATH];
    mq_error error = {0};
    mq_voc voc;
    uint8_t *bytes;
    size_t size;
    struct stat info;
    int n = snprintf(path, sizeof path, "%s/%s.%s", set->root, s->path, s->ending);
    int m = snprintf(label, sizeof label, "%s/%s.xml", set->root, s->path);
    if (n < 0 || n >= MQ_PATH || m < 0 || m >= MQ_PATH) {
        mq_fail(&error, MQ_BAD_INPUT, "%s: path too long", s->path);
        blame(s, NO_SIZE, &error);
        return;
    }
    if (stat(path, &info) == 0 && info.st_size == 0) {
        blame_image(s, EMPTY, path);
        return;
    }
    if (!mq_path_exists(label)) {
        blame_image(s, UNLABELLED, path);
        return;
    }
    mq_status status = mq_file_read(label, MQ_VOC_BYTES, &bytes, &size, &error);
    if (status == MQ_OK) status = mq_voc_parse(label, bytes, size, &voc, &error);
    if (status != MQ_OK) {
        blame(s, BAD_LABEL, &error);
    } else if (voc.objects == 0) {
        blame_image(s, NO_OBJECT, path);
    } else if ((voc.width == 0 || voc.height == 0) && size_of_image(path, &voc, &error) != MQ_OK) {
        blame(s, NO_SIZE, &error);
    } else {
        if (voc.objects > 1) s->note = SEVERAL;
        memcpy(s->name, voc.name, sizeof s->name);
        s->height = voc.height;
        s->width = voc.width;
        take_box(s, &voc, path);
    }
    mq_free(bytes);
}

static void read_labels(void *context, size_t task) {
    const dac_sdc *set = context;
    for (size_t i = task * GRAIN; i < (task + 1) * GRAIN && i < set->tree.count; i++)
        read_label(set, &set->samples[i]);
}

/* What is wrong, in one line (not when `quiet`: a folder that serves both splits speaks once): kinds, counts
 * and the first of each. Under `strict` the first fault is an error. */
static mq_status report(const dac_sdc *set, bool strict, bool quiet, mq_error *error) {
    size_t count[FAULTS] = {0}, first[FAULTS] = {0}, left_out = 0;
    for (size_t i = 0; i < set->tree.count; i++) {
        const sample *s = &set->samples[i];
        if (s->fault != GOOD && s->status == MQ_INTERNAL)
            return mq_fail(error, MQ_INTERNAL, "%s", s->why ? s->why : "out of memory");
        if (s->fault != GOOD && strict) return mq_fail(error, MQ_BAD_INPUT, "%s", s->why ? s->why : s->path);
        fault what[2] = {s->fault, s->note};
        left_out += s->fault != GOOD;
        for (int k = 0; k < 2; k++)
            if (what[k] != GOOD && count[what[k]]++ == 0) first[what[k]] = i;
    }
    char text[MQ_ERROR_TEXT];
    size_t used = 0;
    text[0] = 0;
    for (int f = GOOD + 1; f < FAULTS; f++) {
        const sample *s = &set->samples[first[f]];
        if (!count[f]) continue;
        int n = snprintf(text + used, sizeof text - used, "%s%zu %s (%.100s)", used ? "; " : "", count[f],
                         fault_words[f], s->path);
        if (n > 0 && (size_t)n < sizeof text - used) used += (size_t)n;
    }
    if (used && !quiet)
        mq_log(MQ_LOG_WARN, "%s: %zu of %zu images left out: %s", set->root, left_out, set->tree.count, text);
    if (left_out == set->tree.count)
        return mq_fail(error, MQ_BAD_INPUT, "%s: none of its %zu images can be used; the first: %s",
                       set->root, left_out, set->samples[0].why ? set->samples[0].why : set->samples[0].path);
    return MQ_OK;
}

/* The number at the end of a name; -1 without one. */
static double frame_number(const char *path) {
    size_t end = strlen(path), begin = end;
    while (begin > 0 && path[begin - 1] >= '0' && path[begin - 1] <= '9') begin--;
    double number = 0;
    for (size_t i = begin; i < end; i++) number = 10 * number + (path[i] - '0');
    return begin == end ? -1 : number;
}

/* Where `wanted` stands among sorted names, or would. */
static size_t find_name(const char (*name)[MQ_DATA_NAME], size_t count, const char *wanted) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(name[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct class_list {
    char (*name)[MQ_DATA_NAME]; /* sorted */
    size_t count, room;
} class_list;

static mq_status add_class(class_list *list, const char *name, mq_error *error) {
    size_t at = find_name((const char(*)[MQ_DATA_NAME])list->name, list->count, name);
    if (at < list->count && strcmp(list->name[at], name) == 0) return MQ_OK;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        MQ_TRY(mq_resize(list->count, room, sizeof *list->name, "class names", &list->name, error));
        list->room = room;
    }
    memmove(list->name + at + 1, list->name + at, (list->count - at) * sizeof *list->name);
    snprintf(list->name[at], sizeof *list->name, "%s", name);
    list->count++;
    return MQ_OK;
}

/* Names become classes in the order of their bytes. */
static mq_status find_classes(dac_sdc *set, class_list *list, mq_error *error) {
    for (size_t i = 0; i < set->count; i++) MQ_TRY(add_class(list, set->samples[i].name, error));
    for (size_t i = 0; i < set->count; i++)
        set->samples[i].object_class =
            (int)find_name((const char(*)[MQ_DATA_NAME])list->name, list->count, set->samples[i].name);
    return MQ_OK;
}

/* Weights: the frame number, within each class scaled to 1/2 .. 3/2; 1 without one, for a class of one frame,
 * and for class "0". */
static mq_status weigh(dac_sdc *set, size_t classes, mq_error *error) {
    double(*range)[2];
    MQ_TRY(mq_alloc(classes, sizeof *range, "frames of classes", &range, error));
    for (size_t c = 0; c < classes; c++) range[c][0] = INFINITY, range[c][1] = -INFINITY;
    for (size_t i = 0; i < set->count; i++) {
        double frame = frame_number(set->samples[i].path), *r = range[set->samples[i].object_class];
        if (frame < 0) continue;
        r[0] = fmin(r[0], frame);
        r[1] = fmax(r[1], frame);
    }
    for (size_t i = 0; i < set->count; i++) {
        sample *s = &set->samples[i];
        double frame = frame_number(s->path);
        const double *r = range[s->object_class];
        bool plain = frame < 0 || !(r[0] < r[1]) || strcmp(s->name, "0") == 0;
        s->weight = plain ? 1 : (float)(0.5 + (frame - r[0]) / (r[1] - r[0]));
    }
    mq_free(range);
    return MQ_OK;
}

/* Lists root, reads all labels and keeps the usable samples. */
static mq_status read_root(dac_sdc *set, bool strict, bool quiet, class_list *classes, mq_error *error) {
    static const char *const endings[] = {".jpg", ".jpeg", NULL};
    MQ_TRY(mq_file_tree_open(set->root, endings, &set->tree, error));
    if (set->tree.count == 0)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: no images: expected files ending with .jpg, in it or in folders in it",
                       set->root);
    if (set->tree.count > MQ_DATA_SAMPLES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu images, expected at most %d", set->root,
                       set->tree.count, MQ_DATA_SAMPLES);
    MQ_TRY(mq_alloc(set->tree.count, sizeof *set->samples, "samples", &set->samples, error));
    for (size_t i = 0; i < set->tree.count; i++) {
        char *dot = strrchr(set->tree.path[i], '.'); /* names that are cut at their ending */
        *dot = 0;
        set->samples[i].path = set->tree.path[i];
        set->samples[i].ending = dot + 1;
    }
    mq_parallel(mq_task_count(set->tree.count, GRAIN), read_labels, set);
    MQ_TRY(report(set, strict, quiet, error));
    for (size_t i = 0; i < set->tree.count; i++) {
        sample s = set->samples[i];
        if (s.fault != GOOD) {
            mq_free(s.why);
            set->samples[i].why = NULL;
            continue;
        }
        set->samples[i].why = NULL;
        set->samples[set->count++] = s;
    }
    MQ_TRY(find_classes(set, classes, error));
    return weigh(set, classes->count, error);
}

/* Keeps one part of a folder that serves for both splits: a tenth of the samples, at least one, is for
 * testing. */
static mq_status keep_part(dac_sdc *set, mq_split split, mq_error *error) {
    if (set->count < 2)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: got 1 image, expected at least 2 to divide into training and test", set->root);
    uint32_t *order;
    uint8_t *tests;
    MQ_TRY(mq_alloc(set->count, sizeof *order, "a permutation", &order, error));
    mq_status status = mq_alloc(set->count, 1, "marks of samples", &tests, error);
    if (status == MQ_OK) {
        mq_rng rng = mq_rng_stream(0, "dac-sdc split", 0); /* the same in every run */
        mq_rng_permutation(&rng, order, set->count);
        size_t part = set->count / TENTH ? set->count / TENTH : 1, kept = 0;
        for (size_t i = 0; i < part; i++) tests[order[i]] = 1;
        for (size_t i = 0; i < set->count; i++)
            if (tests[i] == (split == MQ_SPLIT_TEST)) set->samples[kept++] = set->samples[i];
        set->count = kept;
    }
    mq_free(tests);
    mq_free(order);
    return status;
}

/* The folder of a split, and whether it is for both. */
static mq_status choose_root(const char *dir, mq_split split, dac_sdc *set, bool *both, mq_error *error) {
    char train[MQ_PATH], test[MQ_PATH], val[MQ_PATH];
    if (!mq_path_is_dir(dir)) return mq_fail(error, MQ_BAD_INPUT, "%s: no such folder", dir);
    MQ_TRY(mq_path_join(dir, "train", train, error));
    MQ_TRY(mq_path_join(dir, "test", test, error));
    MQ_TRY(mq_path_join(dir, "val", val, error));
    const char *for_test = mq_path_is_dir(test) ? test : mq_path_is_dir(val) ? val : NULL;
    *both = !for_test;
    const char *root = mq_path_is_dir(train) ? train : dir;
    if (for_test && root == dir && split == MQ_SPLIT_TRAIN)
        return mq_fail(error, MQ_BAD_INPUT, "%s: it has %s, but no folder train", dir,
                       for_test + strlen(dir) + 1);
    snprintf(set->root, sizeof set->root, "%s", for_test && split == MQ_SPLIT_TEST ? for_test : root);
    return MQ_OK;
}

static void fill_targets(const dac_sdc *context, mq_dataset *set) {
    for (size_t i = 0; i < set->count; i++) {
        const sample *s = &context->samples[i];
        set->targets[i] = (mq_target){
            .image = (int32_t)i, .object_class = s->object_class, .box = s->box, .weight = s->weight};
    }
}

mq_status mq_open_dac_sdc(const char *argument, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) {
    if (!argument) return mq_fail(error, MQ_USAGE, "data set dac-sdc: no folder, expected dac-sdc:DIR");
    if (request->channels && request->channels != CHANNELS)
        return mq_fail(error, MQ_USAGE, "data set dac-sdc: wanted %d channels, expected its %d",
                       request->channels, CHANNELS);
    dac_sdc *context;
    class_list classes = {0};
    bool both = false;
    MQ_TRY(mq_alloc(1, sizeof *context, "a data set", &context, error));
    context->height = request->height ? request->height : HEIGHT;
    context->width = request->width ? request->width : WIDTH;
    mq_status status = choose_root(argument, request->split, context, &both, error);
    if (status == MQ_OK)
        status = read_root(context, request->strict, both && request->second, &classes, error);
    if (status == MQ_OK && both) status = keep_part(context, request->split, error);
    if (status != MQ_OK) {
        close_set(context);
        mq_free(classes.name);
        return mq_fail_context(error, status, "data set dac-sdc");
    }
    if (request->limit && request->limit < context->count) context->count = request->limit;
    status = mq_dataset_create_detect("dac-sdc", context->count, context->height, context->width, CHANNELS,
                                      (int)classes.count, context->count, &source, context, request->kept,
                                      out, error);
    if (status != MQ_OK) {
        mq_free(classes.name);
        return status;
    }
    (*out)->split = request->split;
    (*out)->class_names = classes.name;
    fill_targets(context, *out);
    return MQ_OK;
}
