/* data_command.c - `mixq data info`: reads a data set whole and says what is in it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/staging.h"
#include "cli/commands.h"
#include "base/text.h"
#include "cli/data_draw.h"
#include "data/dataset.h"
#include "data/export.h"
#include "io/npz.h"

/* What detection sets have on top. */
static void add_boxes(json_t *root, const mq_dataset_info *info) {
    json_t *areas = json_array();
    for (int i = 0; i < MQ_DATA_AREAS; i++) json_array_append_new(areas, json_real(info->areas[i]));
    const mq_box *box = &info->constant_box;
    json_object_set_new(root, "box_areas", areas);
    json_object_set_new(root, "constant_iou", json_real(info->constant_iou));
    json_object_set_new(root, "constant_box",
                        json_pack("{s:f, s:f, s:f, s:f}", "x", (double)box->x, "y", (double)box->y, "w",
                                  (double)box->w, "h", (double)box->h));
    json_object_set_new(root, "damaged", json_integer((json_int_t)info->damaged));
}

static json_t *split_json(const mq_dataset *set, const mq_dataset_info *info) {
    json_t *root =
        json_pack("{s:I, s:i, s:i, s:i, s:i, s:s, s:s}", "images", (json_int_t)info->count, "channels",
                  info->channels, "height", info->height, "width", info->width, "classes", info->classes,
                  "images_sha256", info->images_sha256, "labels_sha256", info->labels_sha256);
    json_t *counts = json_array(), *mean = json_array(), *deviation = json_array(), *names = json_array();
    for (int c = 0; c < info->classes; c++) {
        json_array_append_new(counts, json_integer((json_int_t)info->class_counts[c]));
        /* names come from files: what is not UTF-8 becomes null */
        if (set->class_names) {
            json_t *name = json_string(set->class_names[c]);
            json_array_append_new(names, name ? name : json_null());
        }
    }
    for (int c = 0; c < info->channels; c++) {
        json_array_append_new(mean, json_real(info->mean[c]));
        json_array_append_new(deviation, json_real(info->deviation[c]));
    }
    /* without a root they are released */
    json_object_set_new(root, "class_counts", counts);
    json_object_set_new(root, "class_names", names);
    json_object_set_new(root, "mean", mean);
    json_object_set_new(root, "deviation", deviation);
    if (root && set->task == MQ_DATA_DETECT) add_boxes(root, info);
    return root;
}

static void boxes_text(const mq_dataset_info *info) {
    const double *a = info->areas;
    const mq_box *box = &info->constant_box;
    printf("  boxes cover %.2f %% to %.2f %% of the image; quartiles %.2f, %.2f, %.2f %%\n", 100 * a[0],
           100 * a[4], 100 * a[1], 100 * a[2], 100 * a[3]);
    printf("  best constant box: centre (%.3f, %.3f), size %.3f x %.3f, mean IoU %.4f\n", (double)box->x,
           (double)box->y, (double)box->w, (double)box->h, info->constant_iou);
    if (info->damaged)
        printf("  %zu damaged images, the first: %s\n", info->damaged, info->first_damage.text);
}

static void split_text(const mq_dataset *set, const mq_dataset_info *info) {
    printf("%s %s: %zu image%s of %d x %d x %d, %d classes\n", set->name, mq_split_name(set->split),
           info->count, mq_s(info->count), info->channels, info->height, info->width, info->classes);
    for (int c = 0; c < info->classes; c++)
        printf("  class %d%s%s: %zu image%s\n", c, set->class_names ? " " : "",
               set->class_names ? set->class_names[c] : "", info->class_counts[c],
               mq_s(info->class_counts[c]));
    if (set->task == MQ_DATA_DETECT) boxes_text(info);
    for (int c = 0; c < info->channels; c++)
        printf("  channel %d: mean %.3f, standard deviation %.3f\n", c, info->mean[c], info->deviation[c]);
    printf("  sha256 of images %s, of labels %s\n", info->images_sha256, info->labels_sha256);
}

/* Both splits are read and checked before anything is said. */
static mq_status describe(const cli_args *args, const char *name, mq_error *error) {
    static const mq_split splits[] = {MQ_SPLIT_TRAIN, MQ_SPLIT_TEST};
    enum { SPLITS = sizeof splits / sizeof *splits };
    mq_dataset *set[SPLITS] = {0};
    mq_dataset_info info[SPLITS] = {0};
    bool strict = false;
    mq_status status = cli_strict(args, &strict, error);
    for (int i = 0; i < SPLITS && status == MQ_OK; i++) {
        mq_data_request request = {.split = splits[i], .seed = args->seed, .strict = strict, .second = i > 0};
        status = mq_dataset_open(name, &request, &set[i], error);
        if (status == MQ_OK) status = mq_dataset_describe(set[i], &info[i], error);
    }
    if (status == MQ_OK && args->json) {
        json_t *root = json_pack("{s:s}", "name", set[0]->name);
        for (int i = 0; i < SPLITS && root; i++)
            json_object_set_new(root, mq_split_name(splits[i]), split_json(set[i], &info[i]));
        status = cli_print_json(root, error);
    } else if (status == MQ_OK) {
        for (int i = 0; i < SPLITS; i++) split_text(set[i], &info[i]);
    }
    for (int i = 0; i < SPLITS; i++) {
        mq_dataset_info_clear(&info[i]);
        mq_dataset_free(set[i]);
    }
    return status;
}

static mq_status say_exported(const cli_args *args, const char *place, const size_t written[2],
                              mq_error *error) {
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:I, s:I}", "folder", place, "train", (json_int_t)written[0],
                                        "test", (json_int_t)written[1]),
                              error);
    printf("%zu image%s for training and %zu for testing in %s\n", written[0], mq_s(written[0]), written[1],
           place);
    return MQ_OK;
}

static mq_status open_split(const cli_args *args, const char *name, mq_split split, mq_dataset **out,
                            mq_error *error) {
    int64_t limit = 0;
    bool strict = false;
    MQ_TRY(cli_int(args, "--limit", 1, MQ_DATA_SAMPLES, &limit, error));
    MQ_TRY(cli_strict(args, &strict, error));
    mq_data_request request = {.split = split, .limit = (size_t)limit, .seed = args->seed, .strict = strict};
    return mq_dataset_open(name, &request, out, error);
}

/* One split into a folder of its own. */
static mq_status export_split(const cli_args *args, const char *name, mq_split split, const char *folder,
                              size_t *written, mq_error *error) {
    mq_dataset *set;
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(folder, mq_split_name(split), path, error));
    MQ_TRY(open_split(args, name, split, &set, error));
    mq_status status = mq_dataset_export(set, path, written, error);
    mq_dataset_free(set);
    return status;
}

/* A set that is not whole would pass for a smaller one. A new folder appears in one step; the splits appear
 * in an empty one in two. */
static mq_status move_splits(const char *stage, const char *folder, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    for (int split = MQ_SPLIT_TRAIN; split <= MQ_SPLIT_TEST; split++) {
        MQ_TRY(mq_path_join(stage, mq_split_name((mq_split)split), from, error));
        MQ_TRY(mq_path_join(folder, mq_split_name((mq_split)split), to, error));
        if (rename(from, to) == 0) continue;
        mq_status status = mq_fail_errno(error, "cannot write", to);
        if (split > MQ_SPLIT_TRAIN && mq_path_join(folder, mq_split_name(MQ_SPLIT_TRAIN), to, NULL) == MQ_OK)
            mq_folder_remove(to, NULL);
        return status;
    }
    return MQ_OK;
}

static mq_status move_whole(const char *stage, const char *folder, mq_error *error) {
    return rename(stage, folder) == 0 ? MQ_OK : mq_fail_errno(error, "cannot write", folder);
}

/* Both splits as files, in folders train and test. */
static mq_status export_files(const cli_args *args, const char *name, const char *folder, mq_error *error) {
    size_t written[2] = {0};
    bool made = !mq_path_exists(folder);
    mq_staging stage;
    if (mq_dir_has_entries(folder))
        return mq_fail(error, MQ_USAGE, "%s: not empty, expected a new or an empty folder", folder);
    MQ_TRY(made ? mq_staging_beside(folder, &stage, error) : mq_staging_inside(folder, &stage, error));
    mq_status status = MQ_OK;
    for (int split = MQ_SPLIT_TRAIN; split <= MQ_SPLIT_TEST && status == MQ_OK; split++)
        status = export_split(args, name, (mq_split)split, stage.path, &written[split], error);
    if (status == MQ_OK)
        status = made ? move_whole(stage.path, folder, error) : move_splits(stage.path, folder, error);
    mq_staging_close(&stage);
    MQ_TRY(status);
    return say_exported(args, folder, written, error);
}

/* Both splits as arrays of one .npz. */
static mq_status export_arrays(const cli_args *args, const char *name, const char *path, mq_error *error) {
    mq_tensor x[2] = {0}, y[2] = {0};
    size_t written[2] = {0};
    mq_status status = MQ_OK;
    if (mq_path_exists(path))
        return mq_fail(error, MQ_USAGE, "%s: exists, expected the name of a new file", path);
    for (int split = MQ_SPLIT_TRAIN; split <= MQ_SPLIT_TEST && status == MQ_OK; split++) {
        mq_dataset *set;
        MQ_TRY_GOTO(open_split(args, name, (mq_split)split, &set, error), done);
        status = mq_dataset_arrays(set, &x[split], &y[split], error);
        written[split] = set->count;
        mq_dataset_free(set);
    }
    const mq_npz_array arrays[] = {
        {"x_train", &x[0]}, {"y_train", &y[0]}, {"x_test", &x[1]}, {"y_test", &y[1]}};
    if (status == MQ_OK) status = mq_npz_save(path, arrays, sizeof arrays / sizeof *arrays, true, error);
    if (status == MQ_OK) status = say_exported(args, path, written, error);
done:
    for (int split = 0; split < 2; split++) {
        mq_tensor_free(&x[split]);
        mq_tensor_free(&y[split]);
    }
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *what = args->word[0];
    bool info = strcmp(what, "info") == 0, draw = strcmp(what, "draw") == 0;
    if (!info && !draw && strcmp(what, "export") != 0)
        return mq_fail(error, MQ_USAGE, "data: got '%s', expected info, draw or export", what);
    int words = info ? 2 : 3;
    if (args->word_count != words)
        return mq_fail(error, MQ_USAGE, "data %s: got %d words after it, expected %s", what,
                       args->word_count - 1,
                       info   ? "D"
                       : draw ? "D DIR"
                              : "D DIR or D F.npz");
    if (info) return describe(args, args->word[1], error);
    if (draw) return data_draw(args, error);
    return mq_ends_with(args->word[2], ".npz") ? export_arrays(args, args->word[1], args->word[2], error)
                                               : export_files(args, args->word[1], args->word[2], error);
}

static const cli_option OPTIONS[] = {
    {"--limit", "N", "draw, export: the first N images of each split (draw: 24)"},
    {"--augment", NULL, "draw: augmented as in training"},
    {NULL, NULL, NULL}};
static const char *const SETTABLE[] = {CLI_STRICT, NULL};

const cli_command cli_data = {
    .name = "data",
    .usage = "info D | draw D DIR | export D DIR-or-F.npz",
    .summary = "Describe a data set, draw it, or write it as files",
    .least_words = 2,
    .most_words = 3,
    .options = OPTIONS,
    .settable = SETTABLE,
    .details =
        "D is fashion-mnist[:DIR], mnist:DIR, cifar10:DIR, folder:DIR, npy:X,Y, npy:F.npz, dac-sdc:DIR or "
        "shapes[:N] (--seed N: other "
        "scenes).\n"
        "info    reads both splits whole. Shapes, means and hashes are those of the images as a "
        "network of the usual\n"
        "        input size gets them, 0..255: padded and grey copied to three channels, or scaled to "
        "160 x 320.\n"
        "draw    writes sheets of a detection set's images with their boxes, as PNG.\n"
        "export  writes DIR/train and DIR/test: JPEG with Pascal-VOC XML of a detection set, as "
        "dac-sdc:DIR reads,\n"
        "        else PNG, in one folder per class. F.npz: arrays x_train, y_train, x_test, y_test of a "
        "classification\n"
        "        set, as npy:F.npz and NumPy read.\n" CLI_STRICT_HELP "\n"
        "Examples:\n  mixq data info fashion-mnist\n  mixq data draw shapes sheets --augment\n"
        "  mixq data export shapes:200 scenes\n"
        "  mixq data export fashion-mnist fashion.npz --limit 1000\n",
    .run = run,
};
