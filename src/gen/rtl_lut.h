/* rtl_lut.h - rtl/mixq_lut_sum.v in numbers. */
#ifndef MIXQ_GEN_RTL_LUT_H
#define MIXQ_GEN_RTL_LUT_H

static inline int mq_rtl_levels_of_3(int n) {
    int levels = 0;
    for (; n > 1; n = (n + 2) / 3) levels++;
    return levels;
}

/* Cycles from weights and codes to their sum, n products of weights of weight_bits. */
static inline int mq_rtl_lut_latency(int n, int weight_bits) {
    return 1 + mq_rtl_levels_of_3((n + 1) / 2) + (weight_bits > 1 ? mq_rtl_levels_of_3(weight_bits) : 1);
}

/* LUTs without registers: gated pairs, trees and planes (counted as built; out_bits: of the sum). */
static inline long mq_rtl_lut_sum_luts(int n, int weight_bits, int code_bits, int out_bits) {
    long plane = (long)(n / 2) * code_bits + (n % 2) * code_bits;
    long most = (2L << code_bits) - 1, terms = 1, count = (n + 1) / 2;
    for (long numbers = count; numbers > 1; numbers = (numbers + 2) / 3) {
        int width = 0;
        for (long v = most * terms; v; v >>= 1) width++;
        plane += (numbers + 1) / 3 * (width + 1);
        terms = terms * 3 > count ? count : terms * 3;
    }
    long planes = 0;
    for (int k = weight_bits; k > 1; k = (k + 2) / 3) planes += (k + 1) / 3 * (long)out_bits;
    return plane * weight_bits + (weight_bits > 1 ? planes : out_bits);
}

#endif
