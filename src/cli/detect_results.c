/* detect_results.c - found boxes drawn beside the true ones, and listed in pixels of the original images. */
#include "cli/detect_results.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/box_draw.h"
#include "io/png.h"

/* Small images are enlarged to about WIDTH pixels; names are cut so that a file system takes them. */
enum { USUAL = 24, WIDTH = 640, MOST_TIMES = 8, NAME = 200 };

mq_status detect_results_open(const cli_args *args, const mq_dataset *dataset, detect_results *out,
                              mq_error *error) {
    int64_t most = USUAL;
    *out = (detect_results){.folder = cli_value(args, "--save-images"), .file = cli_value(args, "--results")};
    MQ_TRY(cli_int(args, "--save", 1, MQ_DATA_SAMPLES, &most, error));
    if (cli_value(args, "--save") && !out->folder)
        return mq_fail(error, MQ_USAGE, "--save belongs to --save-images DIR");
    if ((out->folder || out->file) && dataset->task != MQ_DATA_DETECT)
        return mq_fail(error, MQ_USAGE, "%s is for detectors: data set %s has no boxes",
                       out->folder ? "--save-images" : "--results", dataset->name);
    out->most = (size_t)most < dataset->count ? (size_t)most : dataset->count;
    if (out->folder && mq_path_exists(out->folder) && !mq_path_is_dir(out->folder))
        return mq_fail(error, MQ_USAGE, "--save-images %s: a folder expected, a file is there", out->folder);
    if (out->folder) MQ_TRY(mq_make_dirs(out->folder, error));
    if (out->folder) mq_remove_leftovers(out->folder, NULL);
    return out->file ? mq_outfile_open(out->file, &out->lines, error) : MQ_OK;
}

void detect_results_close(detect_results *results) {
    mq_outfile_abort(results->lines);
    *results = (detect_results){0};
}

/* ---- lines ---- */

static mq_status write_line(mq_outfile *file, const mq_dataset *set, size_t i, const mq_box *box,
                            mq_error *error) {
    char name[MQ_DATA_SAMPLE_NAME];
    int height, width;
    mq_dataset_sample_name(set, i, name);
    for (char *at = name; *at; at++)
        if ((unsigned char)*at < ' ') *at = '?'; /* one line per image */
    mq_dataset_sample_size(set, i, &height, &width);
    double x = (double)width / set->width, y = (double)height / set->height, w = (double)box->w / 2,
           h = (double)box->h / 2;
    return mq_outfile_printf(file, error, "%s %.2f %.2f %.2f %.2f\n", name, ((double)box->x - w) * x,
                             ((double)box->x + w) * x, ((double)box->y - h) * y, ((double)box->y + h) * y);
}

static mq_status write_lines(detect_results *results, const mq_dataset *set, const mq_found *found,
                             mq_error *error) {
    for (size_t i = 0; i < set->count; i++) MQ_TRY(write_line(results->lines, set, i, &found[i].box, error));
    mq_outfile *file = results->lines;
    results->lines = NULL;
    return mq_outfile_commit(file, error);
}

/* ---- images ---- */

/* "000003.png", or "000003_boat1_000001.png" where the set has names. */
static void file_name(const mq_dataset *set, size_t i, char out[NAME + 32]) {
    char name[MQ_DATA_SAMPLE_NAME], number[24];
    mq_dataset_sample_name(set, i, name);
    snprintf(number, sizeof number, "%06zu", i);
    for (char *at = name; *at; at++)
        if (*at == '/' || (unsigned char)*at < ' ') *at = '_';
    if (strlen(name) > NAME) {
        size_t end = NAME;
        while (end > 0 && ((unsigned char)name[end] & 0xC0) == 0x80) end--; /* not within a character */
        name[end] = 0;
    }
    bool named = strcmp(name, number) != 0;
    snprintf(out, NAME + 32, "%s%s%s.png", number, named ? "_" : "", named ? name : "");
}

/* Of one image, and the same enlarged. */
typedef struct canvas {
    uint8_t *image, *large; /* uint8 [height][width][3], [height * times][width * times][3] */
    int times;
} canvas;

static mq_status save_image(detect_results *results, const mq_dataset *set, size_t i,
                            const mq_target *targets, size_t count, const mq_found *found, const canvas *c,
                            mq_error *error) {
    char name[NAME + 32], path[MQ_PATH];
    int height = set->height * c->times, width = set->width * c->times;
    const mq_box box = {found->box.x / (float)set->width, found->box.y / (float)set->height,
                        found->box.w / (float)set->width, found->box.h / (float)set->height};
    mq_status status = mq_dataset_image(set, i, NULL, c->image, error);
    if (status == MQ_BAD_INPUT) return MQ_OK; /* damaged: the loader has said so */
    MQ_TRY(status);
    mq_image_enlarge(c->image, set->height, set->width, c->times, c->large);
    for (size_t t = 0; t < count; t++)
        mq_box_draw(c->large, height, width, set->order, &targets[t].box, mq_box_true, 2);
    mq_box_draw(c->large, height, width, set->order, &box, mq_box_predicted, 2);
    file_name(set, i, name);
    MQ_TRY(mq_path_join(results->folder, name, path, error));
    results->saved++;
    return mq_png_write(path, c->large, height, width, 3, set->order, error);
}

static mq_status save_images(detect_results *results, const mq_dataset *set, const mq_found *found,
                             mq_error *error) {
    canvas c = {.times = WIDTH / set->width};
    mq_status status;
    size_t next = 0, bytes = mq_dataset_image_bytes(set);
    c.times = c.times < 1 ? 1 : c.times > MOST_TIMES ? MOST_TIMES : c.times;
    MQ_TRY_GOTO(mq_alloc(bytes, 1, "an image", &c.image, error), done);
    MQ_TRY_GOTO(mq_alloc(bytes, (size_t)(c.times * c.times), "an image", &c.large, error), done);
    for (size_t i = 0; i < results->most && status == MQ_OK; i++) {
        size_t first = next;
        while (next < set->target_count && set->targets[next].image == (int32_t)i) next++;
        status = save_image(results, set, i, set->targets + first, next - first, &found[i], &c, error);
    }
done:
    mq_free(c.large);
    mq_free(c.image);
    return status;
}

mq_status detect_results_write(detect_results *results, const mq_dataset *dataset, const mq_found *found,
                               mq_error *error) {
    if (results->folder) MQ_TRY(save_images(results, dataset, found, error));
    return results->lines ? write_lines(results, dataset, found, error) : MQ_OK;
}

void detect_results_say(const detect_results *results, const mq_dataset *dataset) {
    if (results->folder)
        printf("%s: %zu image%s with the true box in green and the found one in red\n", results->folder,
               results->saved, mq_s(results->saved));
    if (results->file)
        printf("%s: %zu line%s: name xmin xmax ymin ymax, in pixels of the original images\n", results->file,
               dataset->count, mq_s(dataset->count));
}
