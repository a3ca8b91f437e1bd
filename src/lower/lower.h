/* lower.h - from a trained network to the integer network: the only bridge between the two sides.
 *
 * Weights become codes (quant.h). Each weighted layer's scale, bias and batch norm fold into a requantisation
 * of its accumulators, one for each consumer type: the codes an activation produces are found by walking back
 * from it through pools, reorg and concat to the layers that feed it; the requantisation stands at the
 * accumulators and the movements are repeated on codes. Quantisers are monotone, so pooling codes equals
 * quantising the pool. The mathematics is that of AnyPackingNet's export (ICCAD 2023), but in float64 and
 * without its clamps and short shifts, unless `compat` asks for the published numbers to the last bit. */
#ifndef MIXQ_LOWER_LOWER_H
#define MIXQ_LOWER_LOWER_H

#include "inet/inet.h"
#include "net/checkpoint.h"

enum { MQ_LSHIFT_BY_NAME = -1, MQ_LSHIFT_MAX = 40 };

typedef struct mq_lower_options {
    /* The published rules: float32 folding, shift lshift + wbit + abit - 1, the bypass rescaled from the
     * first consumer's codes, and for vgg_tiny, ultranet and ultranet_bypass weight codes without the lowest
     * one at the bit pairs the published packing cannot take. The result may differ from the trained network.
     */
    bool compat;
    int lshift; /* compat: 0..MQ_LSHIFT_MAX, or MQ_LSHIFT_BY_NAME for the networks the published framework has
                 */
} mq_lower_options;

/* A fixed-precision checkpoint; float and search checkpoints are MQ_BAD_INPUT. options NULL: the default
 * rules. Release *out with mq_inet_free. */
mq_status mq_lower(const mq_checkpoint *checkpoint, const mq_lower_options *options, mq_inet **out,
                   mq_error *error) MQ_MUST_CHECK;

#endif
