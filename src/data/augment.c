/* augment.c - pad, crop, mirror: choosing is apart from applying, so that each can be tested alone. */
#include "data/augment.h"

#include <string.h>

#include "base/rng.h"

enum { DRAWS = 4 }; /* numbers of the epoch's stream that belong to one sample: dy, dx, flip, unused */

const mq_augment mq_augment_detector = {.flip = true,
                                        .rotate = 1.98F,
                                        .scale = 0.05F,
                                        .translate = 0.05F,
                                        .shear = 0.641F,
                                        .hue = 0.0138F,
                                        .saturation = 0.678F,
                                        .value = 0.36F};

mq_status mq_augment_check(const mq_augment *augment, mq_error *error) {
    if (augment->pad < 0 || augment->pad > MQ_AUGMENT_PAD)
        return mq_fail(error, MQ_USAGE, "augmentation: padding: got %d, expected 0..%d", augment->pad,
                       MQ_AUGMENT_PAD);
    const struct {
        const char *name;
        float value, most;
    } rows[] = {{"rotate", augment->rotate, 180},
                {"scale", augment->scale, 0.9F},
                {"translate", augment->translate, 1},
                {"shear", augment->shear, 45},
                {"hue", augment->hue, 1},
                {"saturation", augment->saturation, 1},
                {"value", augment->value, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!(rows[i].value >= 0 && rows[i].value <= rows[i].most))
            return mq_fail(error, MQ_USAGE, "augmentation: %s: got %g, expected 0..%g", rows[i].name,
                           (double)rows[i].value, (double)rows[i].most);
    return MQ_OK;
}

mq_augment_draw mq_augment_choose(const mq_augment *augment, uint64_t seed, uint64_t epoch, uint64_t sample) {
    mq_rng rng = mq_rng_stream(seed, "augment", epoch);
    mq_augment_draw draw = {0};
    if (augment->pad) {
        uint32_t places = 2 * (uint32_t)augment->pad + 1;
        draw.dy = (int)mq_rng_below(&rng, DRAWS * sample, places) - augment->pad;
        draw.dx = (int)mq_rng_below(&rng, DRAWS * sample + 1, places) - augment->pad;
    }
    if (augment->flip) draw.flip = mq_rng_below(&rng, DRAWS * sample + 2, 2) != 0;
    return draw;
}

void mq_augment_apply(mq_augment_draw draw, int height, int width, int channels, const uint8_t *in,
                      uint8_t *out) {
    size_t c = (size_t)channels, row = (size_t)width * c;
    /* columns first..last-1 of the cropped image lie inside the original */
    int first = draw.dx < 0 ? -draw.dx : 0, last = draw.dx > 0 ? width - draw.dx : width;
    if (first > width) first = width;
    if (last < first) last = first;
    for (int y = 0; y < height; y++, out += row) {
        int from = y + draw.dy;
        if (from < 0 || from >= height || first == last) {
            memset(out, 0, row);
            continue;
        }
        const uint8_t *line = in + (size_t)from * row;
        if (!draw.flip) {
            memset(out, 0, (size_t)first * c);
            memcpy(out + (size_t)first * c, line + (size_t)(first + draw.dx) * c, (size_t)(last - first) * c);
            memset(out + (size_t)last * c, 0, (size_t)(width - last) * c);
            continue;
        }
        memset(out, 0, (size_t)(width - last) * c);
        memset(out + (size_t)(width - first) * c, 0, (size_t)first * c);
        for (int x = first; x < last; x++)
            memcpy(out + (size_t)(width - 1 - x) * c, line + (size_t)(x + draw.dx) * c, c);
    }
}
