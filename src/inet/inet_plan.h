/* inet_plan.h - how the layers of an integer network are multiplied: packing and parallelism, plan.json.
 *
 * One plan per accelerator: the packed simulator, estimates and generators all read this one file, so that
 * none of them tests another packing than the hardware has. It belongs to one network (its hash) and is
 * checked against it: weights and codes inside every packing's ranges, packings exact at their accumulations.
 *
 * A kernel row of a layer is covered by pieces: `count` of the first kind, then of the second, each `taps`
 * wide (the last may reach past the row: zero weights). Pieces of several taps need stride 1. Slices stand in
 * cascade, over kernel rows first, then input channels, `chain` of them before P is split. A LINEAR is a
 * convolution whose kernel covers its input, with pieces of one tap. */
#ifndef MIXQ_INET_INET_PLAN_H
#define MIXQ_INET_INET_PLAN_H

#include "inet/inet.h"
#include "io/json.h"
#include "pack/built.h"

#define MQ_PLAN_FILE "plan.json"

typedef enum mq_plan_multiplier {
    MQ_PLAN_DSP, /* packed into slices */
    MQ_PLAN_LUT, /* plain multiplications in LUTs */
    MQ_PLAN_MULTIPLIERS
} mq_plan_multiplier;

typedef struct mq_plan_piece {
    int count, taps;
    mq_packing packing;
} mq_plan_piece;

typedef struct mq_plan_layer {
    int node; /* CONV or LINEAR */
    mq_plan_multiplier multiplier;
    int kinds; /* of pieces; 0 for LUT */
    mq_plan_piece piece[MQ_BUILT_PIECES];
    int chain;    /* >= 1 */
    int simd, pe; /* input and output channels at once, >= 1 (config_simd_pe.txt) */
} mq_plan_layer;

typedef struct mq_inet_plan {
    mq_dsp dsp;
    char network[MQ_DIGEST_TEXT]; /* sha256 of the network's net.json */
    int count;
    mq_plan_layer *layer; /* [count] in node order; owned */
} mq_inet_plan;

/* The best layouts that can be built for each layer's bits (mq_pack_build) on a slice, classes up to `class`.
 * A layer whose codes no packing takes (signed, or more than 8 bits) is MQ_PLAN_LUT. simd = pe = 1. The
 * network has been saved or loaded, so that its hash is known. */
mq_status mq_inet_plan_choose(const mq_inet *net, const mq_dsp *dsp, mq_pack_class class, mq_inet_plan **out,
                              mq_error *error) MQ_MUST_CHECK;
void mq_inet_plan_free(mq_inet_plan *plan); /* NULL is fine */

mq_status mq_inet_plan_save(const mq_inet_plan *plan, const mq_inet *net, const char *path,
                            mq_error *error) MQ_MUST_CHECK;
/* MQ_BAD_INPUT names the layer: another network's plan, a layer missing or too much, a packing that is not
 * exact or does not take the layer's weights or codes. */
mq_status mq_inet_plan_load(const char *path, const mq_inet *net, mq_inet_plan **out,
                            mq_error *error) MQ_MUST_CHECK;

/* The layer of a node, or NULL. */
const mq_plan_layer *mq_inet_plan_layer(const mq_inet_plan *plan, int node);

#endif
