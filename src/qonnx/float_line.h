/* float_line.h - a channel's staircase as one line before a rounding, or as thresholds. Private to this
 * folder. */
#ifndef MIXQ_QONNX_FLOAT_LINE_H
#define MIXQ_QONNX_FLOAT_LINE_H

#include "inet/inet.h"

/* factor, offset: rint(clip(acc*unit*factor + offset, low, high)) is the rule's code for every accumulator
 * from first to last, whether the multiplication is fused or not. unit: a power of two. False when float32
 * has no such line. */
bool mq_float_line(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, float unit,
                   float *factor, float *offset);

/* The same in float64, each operation rounded. */
bool mq_double_line(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, float unit,
                    double *factor, double *offset);

/* The staircase as thresholds [high - low], ascending: the code is low + how many t are at most acc, or,
 * where it falls, at most -acc. One that is never reached stands just outside. */
void mq_threshold_list(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, bool *falling,
                       int64_t *t);

#endif
