/* head.h - the geometry of a detection head, and one box per image from its output.
 *
 * The head is the last layer's output of a detector: grid_h x grid_w cells, and for every anchor 5 + classes
 * channels x, y, w, h, objectness, class scores; channel = anchor*(5 + classes) + field. Decoded in pixels of
 * the network's input: x, y = (sigmoid + cell)*stride, w, h = exp * anchor, confidence = sigmoid(objectness);
 * stride = input / grid. The box of an image is the average over the anchors of the cell whose average
 * confidence is highest, as AnyPackingNet (ICCAD 2023) does for DAC-SDC's one object per image. */
#ifndef MIXQ_DETECT_HEAD_H
#define MIXQ_DETECT_HEAD_H

#include <stddef.h>

#include "base/status.h"
#include "detect/box.h"

enum { MQ_HEAD_ANCHORS = 16, MQ_HEAD_X = 0, MQ_HEAD_Y, MQ_HEAD_W, MQ_HEAD_H, MQ_HEAD_OBJECT, MQ_HEAD_CLASS };

typedef struct mq_head {
    int in_h, in_w;     /* the network's input, pixels */
    int grid_h, grid_w; /* cells */
    int classes, anchors;
    double anchor_w[MQ_HEAD_ANCHORS], anchor_h[MQ_HEAD_ANCHORS]; /* pixels */
} mq_head;

static inline int mq_head_fields(const mq_head *head) {
    return 5 + head->classes;
}
static inline int mq_head_channels(const mq_head *head) {
    return head->anchors * mq_head_fields(head);
}
/* Values of one image's output. */
static inline size_t mq_head_values(const mq_head *head) {
    return (size_t)head->grid_h * (size_t)head->grid_w * (size_t)mq_head_channels(head);
}

/* Every size is positive and the output has `channels` channels, or MQ_BAD_INPUT. */
mq_status mq_head_check(const mq_head *head, int channels, mq_error *error) MQ_MUST_CHECK;

typedef enum mq_head_layout {
    MQ_HEAD_NHWC, /* [image][grid_h][grid_w][channels]: the trained network */
    MQ_HEAD_NCHW  /* [image][channels][grid_h][grid_w]: the integer network's simulator */
} mq_head_layout;

/* What a detector says about an image. */
typedef struct mq_found {
    mq_box box;       /* pixels of the network's input */
    float confidence; /* 0..1 */
    int row, column;  /* of the cell */
} mq_found;

/* One anchor of one cell, averaged with nothing. output: float32, one image. Sizes end at e^60 anchors. */
mq_found mq_head_decode(const mq_head *head, const float *output, mq_head_layout layout, int anchor, int row,
                        int column);
/* The box of an image; of equal cells the first in row, column order. output: float32, one image. */
mq_found mq_head_find(const mq_head *head, const float *output, mq_head_layout layout);

/* A box in parts of the image, in pixels of the network's input. */
mq_box mq_head_pixels(const mq_head *head, const mq_box *box);
/* The metric: mq_box_iou of a found box with the target it fits best, of the `count` (>= 1) of one image. */
double mq_head_iou(const mq_head *head, const mq_found *found, const mq_target *targets, size_t count);

#endif
