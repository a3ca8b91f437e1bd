/* device_price.h - what bits cost on one device at one frame rate: a share of the device for every layer,
 * from the stages that the allocation chooses among (accel/candidates.h).
 *
 * share[layer][wbit][abit] = the least, over the layer's candidates of at most `cycles` a frame, of
 * sum_r weight[r] * used[r] / usable[r] with weights >= 0 of sum 1. An accelerator that fits uses at most all
 * of each resource, so its shares add up to at most 1: a larger sum proves that nothing fits at this rate.
 * The weights (Lagrange multipliers of the resources) are those that make the sum largest at 4 bits
 * everywhere, where it is then what the fullest resource needs if layers could be mixed from several stages.
 * Neighbours' beats, pools, joins and FIFOs are not counted. A layer's requantiser is taken at the entry's
 * activation bits, though its codes are the next layer's. */
#ifndef MIXQ_SEARCH_DEVICE_PRICE_H
#define MIXQ_SEARCH_DEVICE_PRICE_H

#include "accel/device.h"
#include "net/bits.h"

typedef struct mq_device_price {
    char device[MQ_DEVICE_TEXT];
    double clock_mhz, target_fps;
    int64_t cycles; /* of a frame, at most */
    double weight[MQ_RESOURCES];
    double pinned; /* sum over the pinned layers */
    /* Frames a second come in steps, for the slowest stage sets them: the rates of stages next to the target,
     * of any layer at any bits: the least that is not below it, the largest below it (0: none). */
    double rate_above, rate_below;
    double share[MQ_MAX_LAYERS][MQ_BITS_MAX + 1]
                [MQ_BITS_MAX + 1]; /* by weighted layer, bits 2..8; 0 for
                                      pinned ones; more bits never cost less */
} mq_device_price;

/* clock_mhz 0: the device's. target_fps 0: what the device reaches at 4 bits everywhere. symmetric: weight
 * codes without the lowest. MQ_BAD_INPUT: the device is too small at 4 bits; 2 bits everywhere do not reach
 * the target (the best there is); a layer that no stage is built for. */
mq_status mq_device_price_make(const mq_net *net, bool symmetric, const mq_device *device, double clock_mhz,
                               double target_fps, mq_device_price *out, mq_error *error) MQ_MUST_CHECK;
/* What the allocation reaches at any bits, by the same device and clock: cycles and frames a second. Seconds.
 * MQ_BAD_INPUT: the device is too small; target_fps > 0 is out of reach. */
mq_status mq_device_price_reach(const mq_net *net, const mq_bits *bits, bool symmetric,
                                const mq_device *device, double clock_mhz, double target_fps, int64_t *cycles,
                                double *fps, mq_error *error) MQ_MUST_CHECK;
/* Whether the allocation reaches a rate at these bits. */
mq_status mq_device_price_reaches(const mq_net *net, const mq_bits *bits, bool symmetric,
                                  const mq_device *device, double clock_mhz, double fps, bool *out,
                                  mq_error *error) MQ_MUST_CHECK;
/* The share of the whole network at chosen bits (2..8). */
double mq_device_price_at(const mq_device_price *price, const mq_net *net, const mq_bits *bits);

#endif
