/* packed_slice.h - one packing as Verilog: a DSP48E2 with its wires, constants and repair logic.
 *
 * module NAME(clk, u, ux, wl, a, s): every cycle takes the weights' port word u (as a memory would hold it,
 * with the sign bit ux of a range one bit too wide), the two lowest bits of every weight wl, and the
 * activations' codes a side by side; 4 cycles later s has the sums of w*(a - zero), field by field, each in
 * MQ_SLICE_SUM bits. */
#ifndef MIXQ_GEN_PACKED_SLICE_H
#define MIXQ_GEN_PACKED_SLICE_H

#include "pack/packing.h"

enum { MQ_SLICE_SUM = 32, MQ_SLICE_LATENCY = 4 };

/* What the memory holds for these weights. */
typedef struct mq_slice_word {
    int64_t u;
    int ux;
} mq_slice_word;
mq_slice_word mq_slice_weights(const mq_packing *packing, const int32_t *w);

/* The RND constant: the fields' bias and what the wires of C leave out. */
uint64_t mq_slice_constant(const mq_packing *packing);

/* The module's text; release with mq_free. MQ_USAGE for another slice than a DSP48E2. */
mq_status mq_gen_packed_slice(const mq_packing *packing, const char *name, char **out,
                              mq_error *error) MQ_MUST_CHECK;

#endif
