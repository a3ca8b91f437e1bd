/* detection_loss.h - the loss of a detector: where boxes are and whether something is there.
 *
 * Source: the YOLO family as AnyPackingNet (ICCAD 2023) uses it: CIoU (Zheng et al., AAAI 2020) and binary
 * cross-entropy. A target belongs to the cell its centre is in (floor of centre*grid, the last cell at the
 * image's far border) and there to every anchor; each target is assigned on its own, so two targets in one
 * cell both pull at the same outputs while the cell's objectness target stays 1. In grid units:
 *
 *   box        = 3.54 * mean(1 - CIoU) over targets x anchors; 0 without targets
 *   objectness = 64.3 * mean over images, anchors, cells of weight * BCE(sigmoid(objectness), 0 or 1)
 *   predicted  x, y = sigmoid, w, h = min(exp, 1000) * anchor / stride
 *
 * The trade-off factor alpha of CIoU is a constant for the gradient. An image's weight is that of its last
 * target, 1 without one. Class outputs have no loss. */
#ifndef MIXQ_TRAIN_DETECTION_LOSS_H
#define MIXQ_TRAIN_DETECTION_LOSS_H

#include "detect/head.h"

/* Sums, so that batches add up. */
typedef struct mq_detection_sums {
    double box;        /* 3.54 * (1 - CIoU), over `assigned` */
    double iou;        /* plain IoU, over `assigned` */
    double objectness; /* an image's mean, over images */
    size_t assigned;   /* targets x anchors */
} mq_detection_sums;

/* output: float32 NHWC [n] as head.h says. targets: [count] by rising image, image 0..n-1. d_output (may be
 * NULL): scale * the gradient of box + objectness over these n images, same shape, overwritten. */
mq_detection_sums mq_detection_loss(const mq_head *head, const float *output, size_t n,
                                    const mq_target *targets, size_t count, double scale, float *d_output);

/* The same where these images are some of `images`, and their targets x anchors some of `assigned`: the means
 * in box and objectness are over all of them. */
mq_detection_sums mq_detection_loss_of(const mq_head *head, const float *output, size_t n,
                                       const mq_target *targets, size_t count, size_t images, size_t assigned,
                                       double scale, float *d_output);

#endif
