/* scene.h - generated scenes for detectors: a textured background, things that are no objects, and one object
 * with its box; what `shapes` is made of.
 *
 * An object is a closed shape (one of MQ_SCENE_CLASSES outlines, turned and stretched) filled with a
 * saturated colour or pattern inside a border of two rings, one dark and one bright. Lines, blobs, dots and
 * rows of strokes are no objects. The box is drawn first and the outline touches its four sides, so the label
 * is exact and whole in pixels.
 *
 * Everything is a pure function of (seed, split, index, height, width). */
#ifndef MIXQ_DATA_SCENE_H
#define MIXQ_DATA_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "data/dataset.h"
#include "data/store.h"

enum { MQ_SCENE_CLASSES = 8, MQ_SCENE_CORNERS = 32, MQ_SCENE_SIDE = 32 /* height and width at least */ };
extern const char mq_scene_class_names[MQ_SCENE_CLASSES][MQ_DATA_NAME];

typedef struct mq_scene {
    uint64_t seed, index;
    mq_split split;
    int height, width;
    int object_class;
    int left, top, right, bottom; /* edges of the object's box in pixels: 0 <= left < right <= width; its area
                                     is 0.5 % to 9 % of the image's, as far as whole pixels allow */
    int corner_count;
    float corner[MQ_SCENE_CORNERS][2]; /* x, y of the outline in pixels */
} mq_scene;

void mq_scene_plan(uint64_t seed, mq_split split, uint64_t index, int height, int width, mq_scene *out);
/* out: uint8 [height][width][3], blue, green, red. MQ_INTERNAL: no memory. */
mq_status mq_scene_draw(const mq_scene *scene, mq_data_scratch *scratch, uint8_t *out,
                        mq_error *error) MQ_MUST_CHECK;

/* Numbers of a stream, one after the other. */
typedef struct mq_dice {
    mq_rng rng;
    uint64_t next;
} mq_dice;
static inline float mq_dice_range(mq_dice *dice, float low, float high) {
    return low + (high - low) * mq_rng_uniform(&dice->rng, dice->next++);
}
/* 0..bound-1 */
static inline int mq_dice_below(mq_dice *dice, int bound) {
    return (int)mq_rng_below(&dice->rng, dice->next++, (uint32_t)bound);
}
static inline bool mq_dice_chance(mq_dice *dice, float p) {
    return mq_rng_uniform(&dice->rng, dice->next++) < p;
}

#endif
