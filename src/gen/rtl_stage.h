/* rtl_stage.h - Verilog of the stages without multipliers, and of what connects stages (rtl/mixq_*.v).
 *
 * Everything is text for the inside of a module that has clk and rst. A stream called NAME is the nets
 * NAME_valid, NAME_ready, NAME_data [channels*pixels*bits] (docs/accelerator.md), declared by
 * mq_rtl_stream_nets; instances and nets that a text needs for itself begin with its output's name. All texts
 * are released with mq_free. */
#ifndef MIXQ_GEN_RTL_STAGE_H
#define MIXQ_GEN_RTL_STAGE_H

#include "accel/stage.h"
#include "gen/rtl_build.h"

static inline int64_t mq_rtl_stream_width(const mq_stream *s) {
    return (int64_t)s->channels * s->pixels * s->bits;
}

/* "wire NAME_valid, ..." */
mq_status mq_rtl_stream_nets(const mq_stream *stream, const char *name, char **text,
                             mq_error *error) MQ_MUST_CHECK;

/* The stage of an IMAGE, MAX_POOL, REORG, CONCAT or OUTPUT. in, in_name: [input_count], but one for IMAGE,
 * whose in is not read: NAME_data are in_pixels x channels bytes. An OUTPUT also drives <out_name>_last, in
 * the last beat of a frame. Inputs are regrouped where the stage wants other beats. The nets of in and out
 * are the caller's. MQ_BAD_INPUT names the node: other kinds, kernel != stride, beats that do not belong to
 * the node's input. */
mq_status mq_rtl_stage(const mq_rtl_build *build, int node, const mq_stream *in, const char *const *in_name,
                       const char *out_name, char **text, mq_stream *out, mq_error *error) MQ_MUST_CHECK;

/* in becomes beats of channels x pixels. cycles (may be NULL): of a frame, at least. */
mq_status mq_rtl_regroup(const mq_stream *in, int channels, int pixels, const char *in_name,
                         const char *out_name, char **text, mq_stream *out, int64_t *cycles,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_rtl_fifo(const mq_stream *in, int64_t depth, const char *in_name, const char *out_name,
                      char **text, mq_error *error) MQ_MUST_CHECK;
/* To the streams out_name[count]. */
mq_status mq_rtl_fork(const mq_stream *in, const char *in_name, const char *const *out_name, int count,
                      char **text, mq_error *error) MQ_MUST_CHECK;

#endif
