/* helper_trained.h - random trained networks for the tests, and their exact evaluation by definition. */
#ifndef MIXQ_TESTS_LOWER_HELPER_TRAINED_H
#define MIXQ_TESTS_LOWER_HELPER_TRAINED_H

#include <stdint.h>

#include "net/checkpoint.h"

typedef struct draw {
    const char *network; /* description */
    mq_mode mode;
    const char *bitw, *bita; /* NULL: random from the seed, 1..8 */
    bool symmetric;
    uint64_t seed;
    float spread; /* of gamma: some are negative, zero and tiny */
} draw;

/* A checkpoint of random parameters, through a file; fails the test when it cannot be made. */
void trained_make(const draw *d, mq_checkpoint *out);
/* Changes one parameter in memory. */
float *trained_values(mq_checkpoint *c, const char *node, mq_param_kind kind);
int trained_node(const mq_net *net, const char *name);

/* The head's accumulators plus bias for one image [h][w][c] -> out [c][h][w]: codes by numerics of the
 * quantisers, integer sums, everything between in float64. Returns the smallest distance of any value from a
 * rounding edge, in steps: below 1e-6 a float64 comparison proves nothing. */
double trained_run(const mq_checkpoint *c, const uint8_t *image, int64_t *out);

#endif
