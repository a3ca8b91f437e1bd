/* inet_internal.h - shared by the files of this room only. */
#ifndef MIXQ_INET_INET_INTERNAL_H
#define MIXQ_INET_INET_INTERNAL_H

#include "inet/inet.h"

/* Copies the node's arrays into the network's arena, infers node->edge, inc_bits and bias_bits, and checks
 * the kind's attributes. The node's inputs are already known to be earlier nodes. */
mq_status mq_inet_infer(mq_inet *net, mq_inet_node *node, mq_error *error) MQ_MUST_CHECK;

/* 1 + bit length of the largest magnitude, as the published headers count widths. */
int mq_inet_magnitude_bits(const int64_t *v, size_t n);

#endif
