/* resize.h - bilinear change of size, without smoothing first, as OpenCV's INTER_LINEAR. */
#ifndef MIXQ_DATA_RESIZE_H
#define MIXQ_DATA_RESIZE_H

#include <stdint.h>

#include "base/status.h"
#include "data/store.h"

/* in: uint8 [from_height][from_width][3]; out: uint8 [to_height][to_width][3], not overlapping. Pixel x of
 * the output lies at (x + 1/2) * from / to - 1/2 of the input; edges are repeated; weights in 1/2048, rounded
 * at the end. A height or width that stays is exact. scratch: block `block` is used. */
mq_status mq_resize_image(const uint8_t *in, int from_height, int from_width, mq_data_scratch *scratch,
                          int block, uint8_t *out, int to_height, int to_width,
                          mq_error *error) MQ_MUST_CHECK;

#endif
