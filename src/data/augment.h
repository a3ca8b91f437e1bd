/* augment.h - what is done to training images. Of classification sets the published CIFAR augmentation
 * (numerics.md 5): zero-pad every side, crop back to the size at a random place, then mirror left-right with
 * probability 1/2; of detection sets that of warp.h.
 *
 * What happens to an image is a pure function of (seed, epoch, sample index): independent of threads, of the
 * batch it is in and of what ran before, so a resumed run sees the same images. */
#ifndef MIXQ_DATA_AUGMENT_H
#define MIXQ_DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { MQ_AUGMENT_PAD = 64 }; /* pad at most */

/* {0} leaves images as they are; published are {.pad = 4, .flip = true} and, for detectors,
 * mq_augment_detector. */
typedef struct mq_augment {
    int pad;   /* classification: zero pixels added on every side before the crop, 0..MQ_AUGMENT_PAD */
    bool flip; /* mirror left-right with probability 1/2 */
    /* Detection; each is the largest change either way, drawn uniformly. */
    float rotate;                 /* degrees, 0..180 */
    float scale;                  /* of size, 0..0.9 */
    float translate;              /* parts of height and width, 0..1 */
    float shear;                  /* degrees, 0..45 */
    float hue, saturation, value; /* gains about 1, 0..1 */
} mq_augment;

extern const mq_augment mq_augment_detector;

/* What is done to one image: out(y, x) = in(y + dy, x' + dx), x' = flip ? width-1-x : x, zero outside. */
typedef struct mq_augment_draw {
    int dy, dx; /* -pad..pad, uniform and independent */
    bool flip;
} mq_augment_draw;

mq_status mq_augment_check(const mq_augment *augment, mq_error *error) MQ_MUST_CHECK; /* MQ_USAGE */
mq_augment_draw mq_augment_choose(const mq_augment *augment, uint64_t seed, uint64_t epoch, uint64_t sample);
/* in, out: uint8 [height][width][channels], not overlapping. */
void mq_augment_apply(mq_augment_draw draw, int height, int width, int channels, const uint8_t *in,
                      uint8_t *out);

#endif
