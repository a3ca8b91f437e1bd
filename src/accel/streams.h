/* streams.h - the pipeline as tokens: beats that move from stage to stage, cycle by cycle, no values.
 *
 * Every stage has its rate, its window of rows, its latency; every edge its depth; forks wait for all
 * readers, concat for one input after the other. What comes out: the steady interval between frames, the
 * latency of the first, or where it stands still. A model of the contract in docs/accelerator.md, not of its
 * Verilog. */
#ifndef MIXQ_ACCEL_STREAMS_H
#define MIXQ_ACCEL_STREAMS_H

#include "accel/pipeline.h"

typedef struct mq_streams_run {
    bool deadlock;
    int full_from, full_to;   /* deadlock: this edge is full ... */
    int empty_from, empty_to; /* ... and its reader, or a later one, waits here; -1 where there is none */
    int64_t interval;         /* cycles between the last two frames' ends */
    int64_t latency;          /* cycles to the end of the first frame */
} mq_streams_run;

/* Runs `frames` (at least 3) frames through, with the plan's depths. */
mq_status mq_streams_simulate(const mq_pipeline *pipeline, int frames, mq_streams_run *out,
                              mq_error *error) MQ_MUST_CHECK;
/* MQ_BAD_INPUT that names the edges of a deadlock. */
mq_status mq_streams_refuse(const mq_pipeline *pipeline, const mq_streams_run *run, mq_error *error);
/* Fills plan->stream (replacing it) with the least depths, edge by edge, at which the interval is the slowest
 * stage's; edges that need none are left out. pipeline: of this plan. */
mq_status mq_streams_depths(const mq_pipeline *pipeline, mq_inet_plan *plan, mq_error *error) MQ_MUST_CHECK;

/* Depth of an edge in a plan; 0 where it is not listed. */
int64_t mq_streams_depth(const mq_inet_plan *plan, int from, int to);

#endif
