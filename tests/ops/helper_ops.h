/* helper_ops.h - small networks that together hold every operator in awkward shapes, and models of them with
 * random parameters. */
#ifndef MIXQ_TESTS_HELPER_OPS_H
#define MIXQ_TESTS_HELPER_OPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "ops/model.h"
#include "ok.h"

typedef struct ops_net {
    const char *text;
    int few, many; /* images: linear layers with a batch norm need some for statistics that mean something */
} ops_net;

/* Every operator and every quantiser stands in at least one of them. The list ends with text NULL. */
extern const ops_net OPS_NETS[];
/* Two convolutions of 16 channels, so that blocked implementations run; 3 x 16 x 16 -> 10 classes. */
extern const char OPS_NET_BLOCKED[];

/* Images so large that the layers run in blocks: of 3 images, 2 and 1. */
extern const ops_net OPS_NET_LARGE;

mq_net *ops_open(const char *text);
size_t ops_elements(const mq_node *node); /* of one image */

/* Bit widths that differ from layer to layer; over turn = 0..7 every layer meets each of 1..8 for both. */
mq_bits ops_bits(const mq_net *net, int turn, bool symmetric);

/* A model for training, of random parameters (alphas far from equal, some gammas negative). */
mq_model *ops_model(const mq_net *net, const mq_model_options *options, uint64_t seed);
void ops_randomise(mq_model *model, uint64_t seed);
/* n random images; release with mq_free. */
uint8_t *ops_images(const mq_net *net, int n, uint64_t seed);
float *ops_normal(size_t count, uint64_t seed);

/* Group set-up: one thread, since on tiny networks threads only wait for each other. */
int ops_one_thread(void **state);

#endif
