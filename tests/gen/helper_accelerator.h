/* helper_accelerator.h - a tiny integer network with every kind of node that has hardware, and a plan of
 * small stages for it. */
#ifndef MIXQ_TESTS_GEN_HELPER_ACCELERATOR_H
#define MIXQ_TESTS_GEN_HELPER_ACCELERATOR_H

#include "inet/inet_plan.h"

/* image 8 x 12 x 3 -> conv0 3x3 -> pool0 -> conv1 depthwise 3x3 -> conv2 1x1 -> reorg0 and pool1 -> concat0
 * -> conv3 3x3 -> linear4; saved as an export in dir. */
mq_inet *tiny_net(const char *dir, uint64_t seed);
/* As small as possible at this rate on an ultra96v2, slices alone multiplying. */
enum { TINY_FPS = 50000 };
mq_inet_plan *tiny_plan(const mq_inet *net);

#endif
