/* reference.c - the definitions of quant.h, one element at a time: float32, every operation rounded in the
 * order written, true divisions, ties to even. */
#include "quant/reference.h"

#include <math.h>

/* The code as a float. Adding +0 turns a -0 into +0 and changes nothing else. */
static float weight_level(float w, int bits, bool narrow, double step) {
    float low = (float)mq_code_low(bits, true, narrow);
    float high = (float)mq_code_high(bits, true);
    if ((float)step == 0) return isnan(w) ? w : 0;
    float level = rintf(w / (float)step) + 0.0f;
    if (level < low) return low;
    if (level > high) return high;
    return level;
}

int32_t mq_reference_weight_code(float w, int bits, bool narrow, double step) {
    float level = weight_level(w, bits, narrow, step);
    return isnan(level) ? 0 : (int32_t)level;
}

float mq_reference_weight_value(float w, int bits, bool narrow, double step) {
    return weight_level(w, bits, narrow, step) * (float)step;
}

float mq_reference_weight_mix(float w, bool narrow, const double step[MQ_BRANCHES],
                              const float softmax[MQ_BRANCHES]) {
    float sum = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        sum = sum + softmax[j] * mq_reference_weight_value(w, MQ_SEARCH_MIN + j, narrow, step[j]);
    return sum;
}

static float activation_level(float x, int bits) {
    float top = mq_activation_top(bits);
    if (x <= 0) x = 0;
    if (x > top) x = top;
    return rintf(x / (float)mq_activation_unit(bits));
}

uint8_t mq_reference_activation_code(float x, int bits) {
    float level = activation_level(x, bits);
    return isnan(level) ? 0 : (uint8_t)level;
}

float mq_reference_activation_value(float x, int bits) {
    if (bits == MQ_BITS_FLOAT) return x <= 0 ? 0 : x;
    return activation_level(x, bits) * (float)mq_activation_unit(bits);
}

float mq_reference_activation_gradient(float x, float dy, int bits) {
    if (bits == MQ_BITS_FLOAT) return x > 0 ? dy : 0;
    return x >= 0 && x <= mq_activation_top(bits) ? dy : 0;
}

float mq_reference_activation_mix(float x, const float softmax[MQ_BRANCHES]) {
    float sum = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        sum = sum + softmax[j] * mq_reference_activation_value(x, MQ_SEARCH_MIN + j);
    return sum;
}

float mq_reference_activation_mix_gradient(float x, float dy, const float softmax[MQ_BRANCHES]) {
    float slope = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        if (x >= 0 && x <= mq_activation_top(MQ_SEARCH_MIN + j)) slope = slope + softmax[j];
    return dy * slope;
}

uint8_t mq_reference_image_code(uint8_t k, int bits) {
    return (uint8_t)(k >> (8 - bits));
}

float mq_reference_image_value(uint8_t k, int bits) {
    if (bits == MQ_BITS_FLOAT) return (float)k / 256;
    return (float)mq_reference_image_code(k, bits) / (float)(1 << bits);
}

float mq_reference_image_mix(uint8_t k, const float softmax[MQ_BRANCHES]) {
    float sum = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        sum = sum + softmax[j] * mq_reference_image_value(k, MQ_SEARCH_MIN + j);
    return sum;
}
