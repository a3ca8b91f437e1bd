/* mix.h - the activation mix over whole arrays, with AVX-512 where the CPU has it; private to this folder.
 * activations.c holds the meaning: results are the same to the bit. */
#ifndef MIXQ_QUANT_MIX_H
#define MIXQ_QUANT_MIX_H

#include "quant/quant.h"

typedef mq_mix_branch mix_branch;

/* What v - round(v) stays above where multiplying by the reciprocal rounds as dividing does. */
static const float MQ_MIX_DOUBT = -0.5f + 0x1.4p-14f;

/* Added to a float32 of 0..2^22, it leaves whole numbers. */
static const float MQ_MIX_WHOLE = 0x1.8p23f;

enum { MQ_MIX_LANES = 16 /* elements side by side: every implementation sums in this order */ };

void mq_mix_set_branches(mq_quantizer quantizer, const float softmax[MQ_BRANCHES],
                         mix_branch out[MQ_BRANCHES]);

bool mq_mix_avx512(void); /* whether the following may be called */
void mq_mix_avx512_values(const float *x, size_t n, const mix_branch *b, float *y);
/* sum[j] += dy*code_j in MQ_MIX_LANES lanes; dx, if not NULL, as mq_activation_mix_slope. */
void mq_mix_avx512_gradient(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx,
                            float sum[MQ_BRANCHES][MQ_MIX_LANES]);
void mq_mix_avx512_slope(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx);

#endif
