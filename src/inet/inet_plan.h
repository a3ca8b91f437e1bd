/* inet_plan.h - how the layers of an integer network are multiplied: packing and parallelism, plan.json.
 *
 * One plan per accelerator: the packed simulator, estimates and generators all read this one file, so that
 * none of them tests another packing than the hardware has. It belongs to one network (its hash) and is
 * checked against it: weights and codes inside every packing's ranges, packings exact at their accumulations.
 *
 * A kernel row of a layer is covered by pieces: `count` of the first kind, then of the second, each `taps`
 * wide (the last may reach past the row: zero weights). Pieces of several taps need stride 1. Slices stand in
 * cascade, over kernel rows first, then input channels, `chain` of them before P is split. A LINEAR is a
 * convolution whose kernel covers its input, with pieces of one tap.
 *
 * A plan that was allocated for a device also says how the stages of its accelerator are folded
 * (docs/accelerator.md); one that was only chosen for its packings does not (`device` empty). */
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

/* How a stage's accumulators become codes. */
typedef enum mq_plan_requant {
    MQ_PLAN_NO_REQUANT, /* the last layer: accumulators leave */
    MQ_PLAN_THRESHOLD,  /* binary search over thresholds */
    MQ_PLAN_AFFINE,     /* (acc*inc + bias) >> shift in DSP slices */
    MQ_PLAN_REQUANTS
} mq_plan_requant;

/* Where a stage's weights are kept. */
typedef enum mq_plan_memory { MQ_PLAN_BLOCK_RAM, MQ_PLAN_LUT_ROM, MQ_PLAN_MEMORIES } mq_plan_memory;

enum { MQ_PLAN_STREAMS = 1024, MQ_PLAN_NAME = 64 };

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
    int simd, pe; /* input and output channels at once, >= 1; depthwise: simd 1, pe channels. pe is a
                   * multiple of the packing's output channels. Neither needs to divide: channels of zeros */
    /* Accelerators only; 1, no requantiser, block RAM otherwise. */
    int rows;       /* kernel rows at once, a divisor of kernel_h */
    int blocks;     /* pixel blocks of the packing side by side */
    int out_pixels; /* of a beat of the output stream; divides the pixels of all blocks */
    mq_plan_requant requant;
    int lanes; /* slices of MQ_PLAN_AFFINE, a divisor of pe * out_pixels; else 0 */
    mq_plan_memory memory;
} mq_plan_layer;

/* The FIFO of the edge from node `from` to node `to`. */
typedef struct mq_plan_stream {
    int from, to;
    int64_t depth; /* beats; 0: registers only */
} mq_plan_stream;

typedef struct mq_inet_plan {
    mq_dsp dsp;
    char network[MQ_DIGEST_TEXT]; /* sha256 of the network's net.json */
    int count;
    mq_plan_layer *layer;      /* [count] in node order; owned */
    char device[MQ_PLAN_NAME]; /* it was allocated for; "" for none */
    double clock_mhz;
    int in_pixels;          /* of a beat of the input stream */
    int streams;            /* edges with a depth of their own */
    mq_plan_stream *stream; /* [streams]; owned, may be NULL */
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
