/* published.h - whether a published factor can be had by the means published for it. */
#ifndef MIXQ_PACK_PUBLISHED_H
#define MIXQ_PACK_PUBLISHED_H

#include "pack/plan.h"

typedef struct mq_published {
    bool exact;
    int taps, pixels;                   /* of a structure that gives the factor: weights, activations */
    int weight_parts, activation_parts; /* 1, or 2 = split in halves at half the rate */
} mq_published;

/* Looks for a published structure (filter packing K*Np/ceil(K/Kp), kernel packing Kp*Np, operands split in
 * halves) of that factor which is exact by the published means: one uniform spacing, unsigned activations as
 * they are, words that fit the signed ports, at most 1 bit of overlap. Not found: exact is false, and taps,
 * pixels are those of a structure with that factor, 0 when there is none. Only wbit, abit, kernel, symmetric
 * and dsp of the request matter. */
mq_published mq_pack_published(const mq_pack_request *request, double factor);

#endif
