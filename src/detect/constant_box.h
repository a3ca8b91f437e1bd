/* constant_box.h - the best constant answer: what a detector must beat.
 *
 * Always the same box, the one of highest mean IoU over a set's images (with the best fitting target of each;
 * images without a target do not count). Found by a search that starts from a grid and from targets and
 * halves its steps, the same on every machine; the mean IoU has several hills, so it is a lower bound of the
 * optimum, a close one.
 */
#ifndef MIXQ_DETECT_CONSTANT_BOX_H
#define MIXQ_DETECT_CONSTANT_BOX_H

#include <stddef.h>

#include "base/status.h"
#include "detect/box.h"

/* targets: [count] by rising image, boxes in parts of the image; so is *box (may be NULL). *iou: its mean
 * IoU, 0 without targets. */
mq_status mq_constant_box(const mq_target *targets, size_t count, mq_box *box, double *iou,
                          mq_error *error) MQ_MUST_CHECK;

#endif
