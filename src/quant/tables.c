/* tables.c - code ranges, steps and ends of the quantisers; HWGQ's steps for unit-variance data (Cai et al.
 * 2017, and EdMIPS, 2020). */
#include "quant/quant.h"

#include <assert.h>
#include <math.h>

const char *const mq_quantizer_names[MQ_QUANTIZERS + 1] = {
    [MQ_QUANTIZER_HWGQ] = "hwgq", [MQ_QUANTIZER_DOREFA] = "dorefa", [MQ_QUANTIZERS] = NULL};

int32_t mq_code_low(int bits, bool is_signed, bool narrow) {
    return is_signed ? -(1 << (bits - 1)) + (narrow ? 1 : 0) : 0;
}

int32_t mq_code_high(int bits, bool is_signed) {
    return (1 << (is_signed ? bits - 1 : bits)) - 1;
}

double mq_weight_unit(int bits) {
    static const double unit[] = {1.596, 0.996, 0.586, 0.336, 0.190, 0.106, 0.059, 0.032};
    assert(bits >= MQ_BITS_MIN && bits <= MQ_BITS_MAX);
    return unit[bits - 1];
}

double mq_activation_unit(int bits) {
    static const double unit[] = {0.799, 0.538, 0.3217, 0.185, 0.104, 0.058, 0.033, 0.019};
    assert(bits >= MQ_BITS_MIN && bits <= MQ_BITS_MAX);
    return unit[bits - 1];
}

double mq_dorefa_step(int bits) {
    return ldexp(1, 1 - bits);
}

double mq_activation_step(mq_quantizer quantizer, int bits) {
    return quantizer == MQ_QUANTIZER_DOREFA ? ldexp(1, -bits) : mq_activation_unit(bits);
}

float mq_activation_top(mq_quantizer quantizer, int bits) {
    return (float)(mq_activation_step(quantizer, bits) * mq_code_high(bits, false));
}

float mq_activation_gate(mq_quantizer quantizer, int bits) {
    return quantizer == MQ_QUANTIZER_DOREFA ? 1 : mq_activation_top(quantizer, bits);
}
