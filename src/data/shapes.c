/* shapes.c - `shapes[:N]`: the generated scenes as a data set. Boxes are planned when the set is opened,
 * images drawn when they are asked for. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/reader.h"
#include "data/scene.h"

enum { TRAIN_USUAL = 2000, TEST_LEAST = 64, HEIGHT = 160, WIDTH = 320, CHANNELS = 3 };

typedef struct shapes {
    uint64_t seed;
    mq_split split;
    int height, width;
} shapes;

static mq_status draw(const void *context, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                      mq_error *error) {
    const shapes *s = context;
    mq_scene scene;
    mq_scene_plan(s->seed, s->split, sample, s->height, s->width, &scene);
    return mq_scene_draw(&scene, scratch, out, error);
}

static const mq_data_source source = {.image = draw, .close = mq_free};

/* Scenes of the wanted split. */
static mq_status choose_count(const char *argument, const mq_data_request *request, size_t *out,
                              mq_error *error) {
    int64_t count = TRAIN_USUAL;
    if (argument && (!mq_parse_int(argument, &count) || count < 1 || count > MQ_DATA_SAMPLES))
        return mq_fail(error, MQ_USAGE, "data set shapes: number of scenes: got \"%.40s\", expected 1..%d",
                       argument, MQ_DATA_SAMPLES);
    if (request->split == MQ_SPLIT_TEST) count = count / 4 > TEST_LEAST ? count / 4 : TEST_LEAST;
    *out = request->limit && request->limit < (size_t)count ? request->limit : (size_t)count;
    return MQ_OK;
}

mq_status mq_open_shapes(const char *argument, const mq_data_request *request, mq_dataset **out,
                         mq_error *error) {
    size_t count = 0;
    MQ_TRY(choose_count(argument, request, &count, error));
    int height = request->height ? request->height : HEIGHT, width = request->width ? request->width : WIDTH;
    if (height < MQ_SCENE_SIDE || width < MQ_SCENE_SIDE)
        return mq_fail(error, MQ_USAGE,
                       "data set shapes: wanted images of %d x %d, expected at least %d x %d", height, width,
                       MQ_SCENE_SIDE, MQ_SCENE_SIDE);
    if (request->channels && request->channels != CHANNELS)
        return mq_fail(error, MQ_USAGE, "data set shapes: wanted %d channels, expected its %d",
                       request->channels, CHANNELS);
    shapes *context;
    MQ_TRY(mq_alloc(1, sizeof *context, "scenes", &context, error));
    *context = (shapes){.seed = request->seed, .split = request->split, .height = height, .width = width};
    MQ_TRY(mq_dataset_create_detect("shapes", count, height, width, CHANNELS, MQ_SCENE_CLASSES, count,
                                    &source, context, request->kept, out, error));
    mq_dataset *set = *out;
    set->split = request->split;
    mq_status status = mq_alloc(MQ_SCENE_CLASSES, MQ_DATA_NAME, "class names", &set->class_names, error);
    if (status != MQ_OK) {
        mq_dataset_free(set);
        *out = NULL;
        return status;
    }
    memcpy(set->class_names, mq_scene_class_names, sizeof mq_scene_class_names);
    for (size_t i = 0; i < count; i++) {
        mq_scene s;
        mq_scene_plan(request->seed, request->split, i, height, width, &s);
        double w = width, h = height;
        set->targets[i] = (mq_target){.image = (int32_t)i,
                                      .object_class = s.object_class,
                                      .box = {.x = (float)((s.left + s.right) / 2.0 / w),
                                              .y = (float)((s.top + s.bottom) / 2.0 / h),
                                              .w = (float)((s.right - s.left) / w),
                                              .h = (float)((s.bottom - s.top) / h)},
                                      .weight = 1};
    }
    return MQ_OK;
}
