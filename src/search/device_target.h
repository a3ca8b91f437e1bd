/* device_target.h - the bits that make the best use of a device at a frame rate.
 *
 * The shares of device_price.h bound from below what bits need; the allocation decides. From a limit of the
 * shares that is a guess (the knapsack gives the best choice within it) limits are tried upwards or downwards
 * until one choice is allocated at the rate and one is not, then by bisection between them. To fill what is
 * left, single bits are added, the most likely first, while the rate is still reached and exceeded by more
 * than the tolerance; where none fits, a bit goes from one place to another. The choice that comes out was
 * allocated; it is the one of the largest share that was. An allocation takes a second or so.
 */
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
    bool missed;         /* some choice of a larger share did not reach the rate: */
    mq_bits missed_bits; /* the one of the smallest share among them */
    double missed_cost;
    int allocations;
} mq_device_choice;

/* choices: costs by mq_knapsack_price, values set. limit: where to begin, without pinned layers. rounds: of
 * bisection, and of choices a little above that are tried at the end, for allocation is not monotone in the
 * share. found = false: not even the cheapest bits. */
mq_status mq_device_target_choose(const mq_device_target *target, const mq_knapsack *choices, double limit,
                                  int rounds, bool full, mq_device_choice *out,
                                  mq_error *error) MQ_MUST_CHECK;
/* What bits reach; 0 where the device is too small. */
mq_status mq_device_target_rate(const mq_device_target *target, const mq_bits *bits, double *fps,
                                mq_error *error) MQ_MUST_CHECK;
/* Values without a search: every further bit is worth less than the one before (the logarithm of the bits'
 * product), which spreads the bits evenly. */
void mq_device_target_even(mq_knapsack *choices);

#endif
