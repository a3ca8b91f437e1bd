/* pixel_shift.h - how a QONNX file of ours says codes k >> (8 - b) of pixels k/256 with a Quant node that
 * rounds to the nearest. Private to this folder. */
#ifndef MIXQ_QONNX_PIXEL_SHIFT_H
#define MIXQ_QONNX_PIXEL_SHIFT_H

#include <math.h>

/* What is subtracted before: half a code less half a pixel. 0 for 8 bits. */
static inline float mq_pixel_shift(int bits) {
    return ldexpf(1, -bits - 1) - ldexpf(1, -9);
}

#endif
