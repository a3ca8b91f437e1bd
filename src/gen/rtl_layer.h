/* rtl_layer.h - a convolution or linear layer as a hardware stage (docs/accelerator.md). */
#ifndef MIXQ_GEN_RTL_LAYER_H
#define MIXQ_GEN_RTL_LAYER_H

#include "accel/stage.h"
#include "gen/rtl_build.h"

/* Writes DIR/rtl/<module>.v, module (clk, rst, s_valid, s_ready, s_data, m_valid, m_ready, m_data) with the
 * streams `in` and *out, and DIR/mem/<module>_*.hex, from the library in rtl/. The REQUANT that reads the
 * layer is inside; without one accumulators leave, 32 bits, signed. rst is held for 64 cycles at least.
 * MQ_BAD_INPUT names the layer and what no stage is built for. */
mq_status mq_rtl_layer(const mq_rtl_build *build, const mq_plan_layer *layer, const mq_stream *in,
                       const char *module, mq_stream *out, mq_error *error) MQ_MUST_CHECK;

#endif
