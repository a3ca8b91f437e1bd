/* resource_model.h - what the parts of a stage cost: DSP slices, LUTs, flip-flops, RAMB18.
 *
 * One table of constants (resource_model.c), each with its source; LUTs as Yosys counts them (every LUT1..6,
 * LUT6_2, LUT RAM and SRL is one). Calibrated on synthesised layers; tests/accel/test_resource_model.c prints
 * model against measurement. */
#ifndef MIXQ_ACCEL_RESOURCE_MODEL_H
#define MIXQ_ACCEL_RESOURCE_MODEL_H

#include "accel/device.h"
#include "accel/pipeline.h"

enum { MQ_ROW_COEFFICIENTS = MQ_PACK_OPERANDS + MQ_INET_MAX_KERNEL };

/* The pieces of a kernel row, counted once. */
typedef struct mq_row_model {
    int kernel, weight_groups, activations, pieces;
    int64_t longest;                /* slices in cascade, at most */
    int coefficients;               /* activations + kernel - 1 */
    int terms[MQ_ROW_COEFFICIENTS]; /* fields of all pieces that end in a coefficient, per output channel */
    int64_t span;                   /* values of the widest field, one slice */
    double repair;                  /* LUTs of all pieces' slices of one kernel row and channel */
    double shared;                  /* of the recentring subtractors, one kernel row and channel */
    int word;                       /* weight bits in memory of all pieces, one kernel row and channel */
    int zero;                       /* what activations are recentred by */
} mq_row_model;

/* count[i] pieces of packing[i], taps[i] wide, cover a row of `kernel` taps. */
void mq_row_model_make(int kernel, int kinds, const int *count, const int *taps,
                       const mq_packing *const *packing, mq_row_model *out);
void mq_row_model_of(const mq_plan_layer *layer, int kernel, mq_row_model *out);

/* A layer as its stage sees it. */
typedef struct mq_layer_shape {
    bool depthwise, linear;
    int kernel_h, kernel_w, in_w, in_c, out_h, out_w, out_c; /* linear: in_c of all beats of a frame */
    int lead, pad_right;
    int weight_bits, in_bits;
    int requants;              /* that read it */
    int code_bits;             /* the widest of them; 0 for the head */
    int coefficient_bits;      /* inc and bias of an affine requantiser */
    int64_t sum_low, sum_high; /* of w*a over all channels; with recentring see mq_layer_acc_bits */
    const mq_inet *net;
    int node;
} mq_layer_shape;

mq_layer_shape mq_layer_shape_of(const mq_inet *net, int node);
/* Bits of an accumulator that holds sum w*(a - zero), signed. */
int mq_layer_acc_bits(const mq_layer_shape *shape, int zero);

/* How it is folded: the plan's numbers and what follows from them. */
typedef struct mq_fold {
    mq_plan_multiplier multiplier;
    int simd, pe, rows, blocks, chain, out_pixels, lanes;
    mq_plan_requant requant;
    mq_plan_memory memory;
    int npx, groups, steps, in_blocks;
    int in_channels, in_pixels; /* of a beat that arrives */
    int acc_bits;
} mq_fold;

/* The fold of a plan's layer, its stage made. in: the beats that arrive. */
mq_fold mq_fold_of(const mq_inet *net, const mq_plan_layer *layer, const mq_stage *stage,
                   const mq_stream *in);

/* A whole layer: ring, multipliers, trees, borders, weights, requantisers, output FIFO, control. row: NULL
 * for LUT multipliers. */
mq_resources mq_model_layer(const mq_layer_shape *shape, const mq_row_model *row, const mq_fold *fold);
/* The same with the trees' LUTs known: mq_model_trees, of one output channel; 0 for LUT multipliers. */
mq_resources mq_model_layer_with(const mq_layer_shape *shape, const mq_row_model *row, const mq_fold *fold,
                                 double trees);
/* Of blocks, npx, chain, acc_bits and the slices of a piece. */
double mq_model_trees(const mq_row_model *row, const mq_fold *fold, int slices);
/* Any other node. */
mq_resources mq_model_mover(const mq_inet *net, int node, const mq_stream *in, const mq_stream *out);
/* A FIFO of `depth` beats. */
mq_resources mq_model_fifo(const mq_stream *stream, int64_t depth);
/* RAMB18 of a memory of width bits x depth words, one write and one read port. */
int64_t mq_model_ram18(int64_t width, int64_t depth);

static inline void mq_resources_add(mq_resources *sum, const mq_resources *more) {
    for (int i = 0; i < MQ_RESOURCES; i++) sum->of[i] += more->of[i];
}
static inline bool mq_resources_fit(const mq_resources *used, const mq_resources *budget) {
    for (int i = 0; i < MQ_RESOURCES; i++)
        if (used->of[i] > budget->of[i]) return false;
    return true;
}

#endif
