/* data_command.c - `mixq data info`: reads a data set whole and says what is in it. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data_draw.h"
#include "data/dataset.h"

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
    if (root) {
        json_object_set_new(root, "class_counts", counts);
        json_object_set_new(root, "class_names", names);
        json_object_set_new(root, "mean", mean);
        json_object_set_new(root, "deviation", deviation);
    }
    return root;
}

static void split_text(const mq_dataset *set, const mq_dataset_info *info) {
    printf("%s %s: %zu images of %d x %d x %d, %d classes\n", set->name, mq_split_name(set->split),
           info->count, info->channels, info->height, info->width, info->classes);
    for (int c = 0; c < info->classes; c++)
        printf("  class %d%s%s: %zu images\n", c, set->class_names ? " " : "",
               set->class_names ? set->class_names[c] : "", info->class_counts[c]);
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
    mq_status status = MQ_OK;
    for (int i = 0; i < SPLITS && status == MQ_OK; i++) {
        mq_data_request request = {.split = splits[i], .seed = args->seed};
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

static mq_status run(const cli_args *args, mq_error *error) {
    const char *what = args->word[0];
    int words = strcmp(what, "info") == 0 ? 2 : 3;
    if (strcmp(what, "info") != 0 && strcmp(what, "draw") != 0)
        return mq_fail(error, MQ_USAGE, "mixq data: got '%s', expected info or draw", what);
    if (args->word_count != words)
        return mq_fail(error, MQ_USAGE, "mixq data %s: got %d words after it, expected %s", what,
                       args->word_count - 1, words == 2 ? "D" : "D DIR");
    return words == 2 ? describe(args, args->word[1], error) : data_draw(args, error);
}

static const cli_option OPTIONS[] = {{"--limit", "N", "draw: the first N images of each split (24)"},
                                     {"--augment", NULL, "draw: augmented as in training"},
                                     {NULL, NULL, NULL}};

const cli_command cli_data = {
    .name = "data",
    .usage = "info D | draw D DIR",
    .summary = "Read a data set whole and describe it, or draw it",
    .least_words = 2,
    .most_words = 3,
    .options = OPTIONS,
    .details = "D is fashion-mnist[:DIR], mnist:DIR, cifar10:DIR or shapes[:N]. Shapes, means and hashes are "
               "those of the "
               "images as a\n"
               "network of the usual input size gets them: padded, grey copied to three channels, 0..255.\n"
               "draw writes sheets of a detection set's images with their boxes as PNG.\n\n"
               "Examples:\n  mixq data info fashion-mnist\n  mixq data draw shapes /path/to/folder\n",
    .run = run,
};
