/* built.h - what a packing is worth once it is built: adders, accumulators, borders and repair charged.
 *
 * The layouts of plan.h count multiplications of one product cycle. Around the slices a generator needs
 * logic, and only some layouts are worth building: rows of taps (no operand split, no columns), slices in
 * cascade as long as the fields' windows allow, one split of P's bits per cascade, ternary adder trees,
 * borders between pixel blocks. The model is calibrated on synthesised layers (docs/packing.md has the
 * table):
 *
 * - Processing element: MQ_BUILT_SLICES slices for a dense layer of MQ_BUILT_CHANNELS input channels, all
 *   kernel rows of one channel for a depthwise one.
 *
 * - Trees: per field, ceil(cascades/2) ternary adders (two operands each, the last one into the accumulator),
 *   window + 2 bits wide, the last as wide as the accumulator; 1 LUT per bit.
 *
 * - Borders: per spilled field (taps - 1 of each pixel block) one adder as wide as the accumulator, and half
 *   a LUT per bit to hold and shift out every output pixel.
 *
 * - Repair: luts.c, per slice; the recentring subtractor, shared by MQ_BUILT_SHARED elements.
 *
 * - Canary, instead of the trees: every slice accumulates in P and counts its carries.
 *
 * Line buffers, control and requantisation are there for any multiplier and not charged. */
#ifndef MIXQ_PACK_BUILT_H
#define MIXQ_PACK_BUILT_H

#include "pack/plan.h"

enum { MQ_BUILT_SLICES = 12, MQ_BUILT_CHANNELS = 64, MQ_BUILT_SHARED = 8, MQ_BUILT_PIECES = 2 };

typedef struct mq_pack_built {
    double mults; /* useful multiplications per slice and cycle */
    double luts;  /* per slice, everything named above */
    double
        realised;   /* mults - luts / mq_luts_multiply_add(): what is left when the LUTs could multiply too */
    int wbit, abit; /* the layout's, never less than asked for */
    mq_pack_class class;
    int kinds;                                  /* of pieces in a kernel row, 1..MQ_BUILT_PIECES */
    int count[MQ_BUILT_PIECES];                 /* pieces of each kind in a kernel row */
    int taps[MQ_BUILT_PIECES];                  /* of one piece */
    const mq_packing *packing[MQ_BUILT_PIECES]; /* live as long as the explorer */
    int chain;                                  /* slices in cascade per split, and cycles accumulated in P */
    bool canary;                                /* accumulated in P past the windows, carries counted */
} mq_pack_built;

/* LUTs of one multiplication and its share of the adder tree when both are made of LUTs: weight bit planes,
 * gated pair adders and ternary trees, w * (0.75 a + 1) * 1.1; synthesised: 7.2 (w2a3), 11.5 (w3a3), 33.8
 * (w5a7). */
double mq_luts_multiply_add(int wbit, int abit);

/* The best layout that can be built, by `realised`, among those for these bits and for more. request: stride
 * 1; lut_price, cycles and kinds are not used. MQ_USAGE for a request out of range or without solution. */
mq_status mq_pack_build(mq_pack_explorer *explorer, const mq_pack_request *request, mq_pack_built *out,
                        mq_error *error) MQ_MUST_CHECK;
/* The same for one packing given: kernel rows of pieces of `taps` taps. */
mq_status mq_pack_build_with(const mq_pack_request *request, const mq_packing *packing, int taps,
                             mq_pack_built *out, mq_error *error) MQ_MUST_CHECK;

#endif
