/* warp.h - the published augmentation of detectors (numerics.md 6): turn, scale, shift and shear about the
 * middle, mirror, and change of hue, saturation and value; boxes follow.
 *
 * As in augment.h, what happens to an image is a pure function of (seed, epoch, sample). */
#ifndef MIXQ_DATA_WARP_H
#define MIXQ_DATA_WARP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/augment.h"
#include "data/store.h"
#include "detect/box.h"
#include "io/pixels.h"

enum { MQ_WARP_BORDER = 128 }; /* grey level of what comes from outside */

/* What is done to one image: first moved, then coloured. */
typedef struct mq_warp {
    bool moves;     /* else m is the identity */
    double m[2][3]; /* where a point goes: (x', y') = m (x, y, 1), in pixels, (0, 0) the image's corner */
    double inverse[2][3];
    bool colours;  /* else the gains are 1 */
    float gain[3]; /* of hue, saturation, value */
} mq_warp;

/* M = flip * shear * shift * turn, in the published order: turn and scale about the middle; shift by
 * translate times the height in x and times the width in y, as published; shear in x by the tangent of one
 * angle, in y of another. */
mq_warp mq_warp_choose(const mq_augment *augment, uint64_t seed, uint64_t epoch, uint64_t sample, int height,
                       int width);

/* in, out: uint8 [height][width][channels], channels 1..MQ_DATA_CHANNELS, not overlapping. Bilinear between
 * the centres of pixels (weights in 1/256); pixels outside count as MQ_WARP_BORDER. Colours change only three
 * channels. scratch: block `block` is used. */
mq_status mq_warp_image(const mq_warp *warp, int height, int width, int channels, mq_channel_order order,
                        const uint8_t *in, mq_data_scratch *scratch, int block, uint8_t *out,
                        mq_error *error) MQ_MUST_CHECK;

/* Hue, saturation and value of 8 bits as OpenCV's (hue 0..179, two degrees each): multiplied by the gains,
 * cut to whole numbers, hue modulo 180, the others clipped at 255. pixels: uint8 [count][3], changed in
 * place. */
void mq_warp_colours(const float gain[3], mq_channel_order order, size_t count, uint8_t *pixels);

/* The box (parts of the image) around the moved corners, clipped to the image. False when it is dropped: a
 * side under 3 pixels, under 20 % of its area before, or one side over 10 times the other. */
bool mq_warp_box(const mq_warp *warp, int height, int width, const mq_box *in, mq_box *out);

/* The same as mq_warp_image and mq_warp_colours, pixel by pixel as the formulas say, in double; for tests. */
void mq_warp_reference(const mq_warp *warp, int height, int width, int channels, const uint8_t *in,
                       uint8_t *out);
void mq_warp_colours_reference(const float gain[3], mq_channel_order order, size_t count, uint8_t *pixels);

#endif
