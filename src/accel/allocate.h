/* allocate.h - from a network, a device and a clock to a plan: packings, parallelism, memories, stream
 * depths.
 *
 * Exact over its candidates (candidates.h): no combination of them within the device's budget has a smaller
 * steady interval. Among those of that interval it takes a cheap one by the sum of used shares of the budget.
 */
#ifndef MIXQ_ACCEL_ALLOCATE_H
#define MIXQ_ACCEL_ALLOCATE_H

#include "accel/device.h"
#include "inet/inet_plan.h"

/* Parallelism fixed from outside: one row per CONV, LINEAR in node order; 0 leaves a number free. */
typedef struct mq_accel_fixed {
    int lanes; /* kernel rows * input channels at once */
    int pe;
} mq_accel_fixed;

enum { MQ_ACCEL_DSP = 1, MQ_ACCEL_LUT = 2 }; /* what may multiply */

typedef struct mq_accel_request {
    const mq_device *device;
    double clock_mhz;     /* 0: the device's */
    double target_fps;    /* 0: as fast as possible; else as small as possible at this rate */
    bool only_target;     /* a target out of reach fails at once: the best rate is not looked for */
    unsigned multipliers; /* MQ_ACCEL_DSP | MQ_ACCEL_LUT; 0: both */
    const mq_accel_fixed
        *fixed; /* [fixed_count], or NULL; pe and lanes count as published for 1 pixel block */
    int fixed_count;
} mq_accel_request;

/* The plan is complete: every layer's packing and folding, in_pixels, stream depths, device and clock.
 * MQ_BAD_INPUT: the device is too small (of what, by how much), the target is out of reach (the best there
 * is), fixed parallelism that does not divide, a layer that no stage is built for. Release with
 * mq_inet_plan_free. */
mq_status mq_accel_allocate(const mq_inet *net, const mq_accel_request *request, mq_inet_plan **out,
                            mq_error *error) MQ_MUST_CHECK;

#endif
