/* reference.h - the quantisers one element at a time, in the words of their definition.
 *
 * These functions are the oracle: the array kernels of quant.h must give the same float32 bits for every
 * input (any NaN for a NaN). They are slow and are not called by the training step. */
#ifndef MIXQ_QUANT_REFERENCE_H
#define MIXQ_QUANT_REFERENCE_H

#include "quant/quant.h"

/* step = G[bits]*deviation in float64. Code 0 where step is 0 or w is NaN; the value of a NaN is NaN. Zeros
 * are +0. */
int32_t mq_reference_weight_code(float w, int bits, bool narrow, double step);
float mq_reference_weight_value(float w, int bits, bool narrow, double step);
float mq_reference_weight_mix(float w, bool narrow, const double step[MQ_BRANCHES],
                              const float softmax[MQ_BRANCHES]);

/* quant.h's mq_dorefa_normalize; tanh is the C library's, in float64, rounded to float32. */
float mq_reference_dorefa_normalize(const float *w, size_t n, float *t);
/* dL/dw from dL/dt by the formula, in float64 all the way. */
void mq_reference_dorefa_gradient(const float *w, size_t n, const double *dt, double *dw);

/* bits 1..8, for values and gradients also MQ_BITS_FLOAT. Code 0 and value NaN for a NaN. Zeros are +0. */
uint8_t mq_reference_activation_code(float x, mq_quantizer quantizer, int bits);
float mq_reference_activation_value(float x, mq_quantizer quantizer, int bits);
float mq_reference_activation_gradient(float x, float dy, mq_quantizer quantizer, int bits);
float mq_reference_activation_mix(float x, mq_quantizer quantizer, const float softmax[MQ_BRANCHES]);
/* dy * sum_j softmax[j]*[0 <= x <= gate_j], the sum in order of rising bits. */
float mq_reference_activation_mix_gradient(float x, float dy, mq_quantizer quantizer,
                                           const float softmax[MQ_BRANCHES]);

uint8_t mq_reference_image_code(uint8_t k, int bits);
float mq_reference_image_value(uint8_t k, int bits);
float mq_reference_image_mix(uint8_t k, const float softmax[MQ_BRANCHES]);

#endif
