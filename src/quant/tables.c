/* tables.c - code ranges and the steps for unit-variance data (HWGQ, Cai et al. 2017, and EdMIPS, 2020). */
#include "quant/quant.h"

#include <assert.h>

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

float mq_activation_top(int bits) {
    return (float)(mq_activation_unit(bits) * mq_code_high(bits, false));
}
