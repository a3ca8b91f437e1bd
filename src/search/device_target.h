/* device_target.h - the bits that make the best use of a device at a frame rate.
 *
 * The shares of device_price.h bound from below what bits need; the allocation decides. By bisection on the
 * limit of the shares (the knapsack gives the best choice for a limit) the largest is found whose choice is
 * allocated and reaches the rate, then a few choices just above it are tried. What comes out is verified. */
#ifndef MIXQ_SEARCH_DEVICE_TARGET_H
#define MIXQ_SEARCH_DEVICE_TARGET_H

#include "search/knapsack.h"

typedef struct mq_device_target {
    const mq_net *net;
    const mq_device *device;
    const mq_cost_model *cost; /* with the device's price */
    bool symmetric;
    double target_fps, tolerance;
} mq_device_target;

typedef struct mq_device_choice {
    bool found;
    mq_bits bits; /* pinned layers included */
    mq_knapsack_choice choice;
    double fps;    /* >= the target; of the cheapest bits where found is false (0: they do not fit at all) */
    double beside; /* the best rate among choices of a larger share that miss the target; 0: none was tried */
    int allocations;
} mq_device_choice;

/* choices: costs by mq_knapsack_price, values set. A second or a few. */
mq_status mq_device_target_choose(const mq_device_target *target, const mq_knapsack *choices,
                                  mq_device_choice *out, mq_error *error) MQ_MUST_CHECK;
/* What bits reach; 0 where the device is too small. */
mq_status mq_device_target_rate(const mq_device_target *target, const mq_bits *bits, double *fps,
                                mq_error *error) MQ_MUST_CHECK;
/* Values without a search: every further bit is worth less than the one before (the logarithm of the bits'
 * product), which spreads the bits evenly. */
void mq_device_target_even(mq_knapsack *choices);

#endif
