/* helper_published.h - the published integer simulation of the detectors by plain loops, with nothing of our
 * simulators in it. */
#ifndef MIXQ_TESTS_GOLDEN_HELPER_PUBLISHED_H
#define MIXQ_TESTS_GOLDEN_HELPER_PUBLISHED_H

#include <stdbool.h>
#include <stdint.h>

#include "inet/inet.h"

enum { PUBLISHED_LAYERS = 16 };

/* Codes or sums of one image. */
typedef struct published_codes {
    int c, h, w;
    int64_t *v; /* [c][h][w]; owned */
} published_codes;

typedef struct published_layer {
    const mq_inet_conv *conv;
    const mq_inet_requant *requant; /* NULL: the head */
    const mq_inet_edge *in, *out;
} published_layer;

/* The convolutions of a network; returns how many. They borrow from it. */
int published_layers(const mq_inet *net, published_layer out[PUBLISHED_LAYERS]);

/* The head's sums of one image, uint8 [h][w][c]. bypass: ultranet_bypass; else skynet or skynetk5. */
published_codes published_run(bool bypass, const published_layer *layers, int count, const uint8_t *image);

#endif
