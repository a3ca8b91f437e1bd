/* bits.h - bit widths of a network's layers as an overlay on its description.
 *
 * A bit string has one digit per layer that is not pinned, in order ("822222" or "8,2,2,2,2,2"). */
#ifndef MIXQ_NET_BITS_H
#define MIXQ_NET_BITS_H

#include "net/net.h"

typedef struct mq_bits {
    int count;                    /* = net->layer_count, pinned layers included */
    int8_t weight[MQ_MAX_LAYERS]; /* 1..8 */
    int8_t activation[MQ_MAX_LAYERS];
} mq_bits;

enum { MQ_BITS_TEXT = 2 * MQ_MAX_LAYERS + 1 };

/* Fills the pinned layers from the description and the others from the two strings. */
mq_status mq_bits_parse(const mq_net *net, const char *weight, const char *activation, mq_bits *out,
                        mq_error *error) MQ_MUST_CHECK;
/* The digit strings without pinned layers. */
void mq_bits_text(const mq_net *net, const mq_bits *bits, char weight[MQ_BITS_TEXT],
                  char activation[MQ_BITS_TEXT]);
/* The same width everywhere but in pinned layers. */
void mq_bits_uniform(const mq_net *net, int weight, int activation, mq_bits *out);

#endif
