/* box_draw.h - boxes drawn into images, for people to look at. */
#ifndef MIXQ_DATA_BOX_DRAW_H
#define MIXQ_DATA_BOX_DRAW_H

#include <stdint.h>

#include "base/status.h"
#include "detect/box.h"
#include "io/pixels.h"

typedef struct mq_box_colour {
    uint8_t red, green, blue;
} mq_box_colour;

/* The colours of results: what is true is green, what was predicted is red. */
extern const mq_box_colour mq_box_true, mq_box_predicted;

/* Draws the frame of a box, `thickness` pixels wide inwards (at least 1), its outer edge on the box's. image:
 * uint8 [height][width][3]; box: parts of the image; what lies outside is not drawn, nor a box that is not
 * finite. */
void mq_box_draw(uint8_t *image, int height, int width, mq_channel_order order, const mq_box *box,
                 mq_box_colour colour, int thickness);

/* Enlarges by whole pixels: out is uint8 [height * times][width * times][3], not overlapping `image`. */
void mq_image_enlarge(const uint8_t *image, int height, int width, int times, uint8_t *out);

#endif
