/* float_line.h - a channel's staircase as one float32 line before a rounding. Private to this folder. */
#ifndef MIXQ_QONNX_FLOAT_LINE_H
#define MIXQ_QONNX_FLOAT_LINE_H

#include "inet/inet.h"

/* factor, offset: rint(clip(acc*unit*factor + offset, low, high)) is the rule's code for every accumulator from first
 * to last, whether the multiplication is fused or not. unit: a power of two. False when float32 has no such line. */
bool mq_float_line(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, float unit, float *factor,
                   float *offset);

#endif
