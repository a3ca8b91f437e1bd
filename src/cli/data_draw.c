/* data_draw.c - what a detector will see: images side by side, true boxes in green, augmented on request. */
#include "cli/data_draw.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/box_draw.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "io/png.h"

enum { COLUMNS = 4, ROWS = 6, GAP = 4, SHEET = COLUMNS * ROWS, USUAL = SHEET };

typedef struct sheet {
    uint8_t *pixels; /* [ROWS * (height + GAP)][COLUMNS * (width + GAP)][3] */
    uint8_t *image;  /* one, with its boxes */
    int height, width;
} sheet;

static void place(sheet *s, size_t cell) {
    size_t row = 3 * (size_t)(COLUMNS * (s->width + GAP)), bytes = 3 * (size_t)s->width;
    size_t top = cell / COLUMNS * (size_t)(s->height + GAP), left = cell % COLUMNS * (size_t)(s->width + GAP);
    for (size_t y = 0; y < (size_t)s->height; y++)
        memcpy(s->pixels + (top + y) * row + 3 * left, s->image + y * bytes, bytes);
}

static mq_status draw_batch(const mq_dataset *set, const mq_batch *batch, const char *folder, sheet *s,
                            mq_error *error) {
    size_t bytes = mq_dataset_image_bytes(set), t = 0;
    memset(s->pixels, 0, 3 * (size_t)(ROWS * (s->height + GAP)) * (size_t)(COLUMNS * (s->width + GAP)));
    for (size_t i = 0; i < batch->count; i++) {
        memcpy(s->image, batch->images + i * bytes, bytes);
        for (; t < batch->target_count && batch->targets[t].image == (int32_t)i; t++)
            mq_box_draw(s->image, s->height, s->width, set->order, &batch->targets[t].box, mq_box_true, 1);
        place(s, i);
    }
    char name[64], path[MQ_PATH];
    snprintf(name, sizeof name, "%s_%03zu.png", mq_split_name(set->split), batch->number);
    MQ_TRY(mq_path_join(folder, name, path, error));
    return mq_png_write(path, s->pixels, ROWS * (s->height + GAP), COLUMNS * (s->width + GAP), 3, set->order,
                        error);
}

static mq_status draw_set(const mq_dataset *set, const mq_loader_options *options, const char *folder,
                          size_t *sheets, mq_error *error) {
    sheet s = {.height = set->height, .width = set->width};
    mq_loader *loader = NULL;
    mq_status status;
    size_t cell = 3 * (size_t)(s.height + GAP) * (size_t)(s.width + GAP);
    MQ_TRY_GOTO(mq_alloc(SHEET, cell, "a sheet", &s.pixels, error), done);
    MQ_TRY_GOTO(mq_alloc(cell, 1, "an image", &s.image, error), done);
    MQ_TRY_GOTO(mq_loader_start(set, options, &loader, error), done);
    mq_loader_epoch(loader, 0);
    for (const mq_batch *batch; status == MQ_OK && (batch = mq_loader_next(loader)); ++*sheets)
        status = draw_batch(set, batch, folder, &s, error);
    if (status == MQ_OK) status = mq_loader_status(loader, error);
done:
    mq_loader_stop(loader);
    mq_free(s.image);
    mq_free(s.pixels);
    return status;
}

mq_status data_draw(const cli_args *args, mq_error *error) {
    const char *folder = args->word[2];
    int64_t limit = USUAL;
    MQ_TRY(cli_int(args, "--limit", 1, MQ_DATA_SAMPLES, &limit, error));
    mq_loader_options options = {.batch = SHEET, .seed = args->seed};
    if (cli_flag(args, "--augment")) options.augment = mq_augment_detector;
    size_t sheets = 0;
    MQ_TRY(mq_make_dirs(folder, error));
    mq_remove_leftovers(folder, NULL);
    for (int split = MQ_SPLIT_TRAIN; split <= MQ_SPLIT_TEST; split++) {
        mq_data_request request = {.split = (mq_split)split, .limit = (size_t)limit, .seed = args->seed};
        mq_dataset *set;
        MQ_TRY(mq_dataset_open(args->word[1], &request, &set, error));
        mq_status status =
            set->task == MQ_DATA_DETECT
                ? draw_set(set, &options, folder, &sheets, error)
                : mq_fail(error, MQ_USAGE, "data draw: %s has no boxes: a detection set expected", set->name);
        mq_dataset_free(set);
        MQ_TRY(status);
    }
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:I}", "folder", folder, "sheets", (json_int_t)sheets), error);
    printf("%zu sheets in %s\n", sheets, folder);
    return MQ_OK;
}
