/* box.h - boxes and targets of object detection, and their overlap.
 *
 * A box is its centre and size. Its unit is said where it is used: parts of the image (0..1, as the data sets
 * give them), pixels of the network's input, or grid cells. */
#ifndef MIXQ_DETECT_BOX_H
#define MIXQ_DETECT_BOX_H

#include <stdint.h>

typedef struct mq_box {
    float x, y, w, h; /* centre, width and height */
} mq_box;

/* One object that a detector should find. */
typedef struct mq_target {
    int32_t image; /* index of its image: in the data set, or in the batch */
    int32_t object_class;
    mq_box box;   /* parts of the image */
    float weight; /* of its image in the loss; 1 = the usual one */
} mq_target;

/* Intersection over union, 0..1: intersection / (union + 1e-16), as the metric of AnyPackingNet (ICCAD 2023).
 * Both in one unit. A box with NaN overlaps nothing. */
double mq_box_iou(const mq_box *a, const mq_box *b);

#endif
