/* estimate.h - cycles and resources of an accelerator, from its plan alone, in milliseconds.
 *
 * Cycles of a frame: the steady interval between frames is the slowest stage's, flush included. Resources:
 * the model of resource_model.h, calibrated on synthesised layers. */
#ifndef MIXQ_ACCEL_ESTIMATE_H
#define MIXQ_ACCEL_ESTIMATE_H

#include "accel/device.h"
#include "accel/pipeline.h"

typedef struct mq_estimate_layer {
    int node;
    int64_t cycles;    /* of a frame */
    mq_resources used; /* a layer's requantisers are counted with it */
    double efficiency; /* layers of DSPs: useful multiplications / (slices * cycles * products of a slice) */
} mq_estimate_layer;

typedef struct mq_estimate {
    int count;
    mq_estimate_layer *layer; /* one per node that is hardware; owned */
    mq_resources used, budget;
    int64_t cycles;  /* steady interval */
    int64_t latency; /* cycles from a frame's first beat to its last result, the pipeline empty before */
    double clock_mhz, fps, latency_us;
    int slowest;       /* node */
    double efficiency; /* useful slice cycles / (all slices used * cycles) */
    bool fits;         /* within the budget */
} mq_estimate;

/* Streams are simulated with the plan's depths (streams.h). MQ_BAD_INPUT: what mq_pipeline_make refuses; a
 * deadlock, with its edge. */
mq_status mq_estimate_make(const mq_inet *net, const mq_inet_plan *plan, const mq_device *device,
                           double clock_mhz, mq_estimate *out, mq_error *error) MQ_MUST_CHECK;
void mq_estimate_free(mq_estimate *estimate);

#endif
