/* shape_network.h - an integer network for estimates where nothing has been trained: a description and bits.
 *
 * Shapes, bits and worst-case ranges are those of a trained one: weights are all the lowest code, so that
 * accumulators are as wide as the bits allow; requantisers are affine and reach all codes. */
#ifndef MIXQ_ACCEL_SHAPE_NETWORK_H
#define MIXQ_ACCEL_SHAPE_NETWORK_H

#include "inet/inet.h"
#include "net/bits.h"

/* bits: one per weighted layer, pinned ones included. symmetric: weight codes without the lowest. */
mq_status mq_shape_network(const mq_net *net, const mq_bits *bits, bool symmetric, mq_inet **out,
                           mq_error *error) MQ_MUST_CHECK;

#endif
