/* dump_diff.h - compares two dumps (folders of .npy files, sim.h) and names where they first differ. */
#ifndef MIXQ_SIM_DUMP_DIFF_H
#define MIXQ_SIM_DUMP_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "inet/inet.h"

typedef struct mq_dump_difference {
    bool equal;
    size_t layers;                       /* compared: all, or up to the first that differs */
    char layer[MQ_INET_MAX_NAME];        /* the first that differs, in the network's order */
    int64_t image, channel, row, column; /* its first element that differs, in the file's order */
    int64_t first, second;               /* the two values */
    size_t differing, elements;          /* of that layer */
} mq_dump_difference;

/* Layers and their order come from dump.json of either folder; where both have one, they must list the same
 * layers. Values are compared, not types. MQ_BAD_INPUT: no dump.json in either folder, a layer's file missing
 * or damaged, other shapes, numbers that are not integers. A difference is no failure. */
mq_status mq_dump_diff(const char *first, const char *second, mq_dump_difference *out,
                       mq_error *error) MQ_MUST_CHECK;

#endif
