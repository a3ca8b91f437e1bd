/* rtl_requant.h - a layer's requantiser: its memory files and its instance (rtl/mixq_requant_threshold.v,
 * rtl/mixq_requant_affine.v). */
#ifndef MIXQ_GEN_RTL_REQUANT_H
#define MIXQ_GEN_RTL_REQUANT_H

#include "accel/affine_fits.h"
#include "gen/rtl_build.h"

/* The rule of channel c over the hardware's accumulators, acc = hw + offset, as thresholds: the code counted
 * from the type's lowest is number of t[i] <= hw, i = 0..2^bits-2, inverted when *falling. Exact for every hw
 * of acc_bits; every t within -2^(acc_bits-1)..2^(acc_bits-1), the last reached by none. Affine rules:
 * clip((acc*inc + bias) >> shift) >= v is acc*inc >= v*2^shift - bias. */
void mq_rtl_thresholds(const mq_inet_requant *requant, int c, int64_t offset, int acc_bits, int64_t *t,
                       bool *falling);

/* Writes DIR/mem/<module>_*.hex and returns the Verilog of one instance (mq_free), inside a module that has
 * the nets clk, rst and
 *     rq_in_valid, rq_in_group [max(1, clog2(groups))], rq_in_acc [pe*out_pixels*acc_bits],
 *     rq_out_valid, rq_out_code [pe*out_pixels*bits].
 * Groups are of layer->pe channels; lane = pixel*pe + channel. offset[c]: true accumulator = hw + offset[c];
 * NULL for 0. Channels past the last give the code nearest to 0 for the accumulator 0. *latency: cycles from
 * rq_in_valid to rq_out_valid. MQ_PLAN_THRESHOLD takes a beat a cycle, MQ_PLAN_AFFINE one every
 * pe*out_pixels/lanes cycles. MQ_BAD_INPUT names the node: what does not fit the slices. */
mq_status mq_rtl_requant(const mq_rtl_build *build, const mq_inet_node *requant, const mq_plan_layer *layer,
                         const int64_t *offset, int acc_bits, const char *module, char **instance,
                         int *latency, mq_error *error) MQ_MUST_CHECK;

#endif
