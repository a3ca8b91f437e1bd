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

float mq_reference_dorefa_normalize(const float *w, size_t n, float *t) {
    float m = 0;
    for (size_t i = 0; i < n; i++) {
        t[i] = (float)tanh((double)w[i]);
        if (fabsf(t[i]) > m) m = fabsf(t[i]);
    }
    for (size_t i = 0; i < n && m > 0; i++) t[i] = t[i] / m;
    return m;
}

void mq_reference_dorefa_gradient(const float *w, size_t n, const double *dt, double *dw) {
    double m = 0, sum = 0;
    size_t maxima = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(tanh((double)w[i])) > m) m = fabs(tanh((double)w[i]));
    for (size_t i = 0; i < n; i++) {
        sum += dt[i] * tanh((double)w[i]) / m;
        maxima += fabs(tanh((double)w[i])) == m;
    }
    for (size_t i = 0; i < n; i++) {
        double u = tanh((double)w[i]), d = dt[i];
        if (fabs(u) == m) d -= (u > 0 ? 1 : -1) * sum / (double)maxima;
        dw[i] = m > 0 ? d * (1 - u * u) / m : dt[i];
    }
}

static float hwgq_level(float x, int bits) {
    float step = (float)mq_activation_unit(bits), top = mq_activation_top(MQ_QUANTIZER_HWGQ, bits);
    if (x <= 0) x = 0;
    if (x > top) x = top;
    return rintf(x / step);
}

static float dorefa_level(float x, int bits) {
    float levels = (float)(1 << bits);
    if (x <= 0) x = 0;
    if (x > 1) x = 1;
    float level = rintf(x * levels);
    return level > levels - 1 ? levels - 1 : level;
}

static float activation_level(float x, mq_quantizer quantizer, int bits) {
    return quantizer == MQ_QUANTIZER_DOREFA ? dorefa_level(x, bits) : hwgq_level(x, bits);
}

uint8_t mq_reference_activation_code(float x, mq_quantizer quantizer, int bits) {
    float level = activation_level(x, quantizer, bits);
    return isnan(level) ? 0 : (uint8_t)level;
}

float mq_reference_activation_value(float x, mq_quantizer quantizer, int bits) {
    if (bits == MQ_BITS_FLOAT) return x <= 0 ? 0 : x;
    float level = activation_level(x, quantizer, bits);
    return quantizer == MQ_QUANTIZER_DOREFA ? level / (float)(1 << bits)
                                            : level * (float)mq_activation_unit(bits);
}

static bool passes(float x, mq_quantizer quantizer, int bits) {
    float gate = quantizer == MQ_QUANTIZER_DOREFA ? 1 : mq_activation_top(quantizer, bits);
    return x >= 0 && x <= gate;
}

float mq_reference_activation_gradient(float x, float dy, mq_quantizer quantizer, int bits) {
    if (bits == MQ_BITS_FLOAT) return x > 0 ? dy : 0;
    return passes(x, quantizer, bits) ? dy : 0;
}

float mq_reference_activation_mix(float x, mq_quantizer quantizer, const float softmax[MQ_BRANCHES]) {
    float sum = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        sum = sum + softmax[j] * mq_reference_activation_value(x, quantizer, MQ_SEARCH_MIN + j);
    return sum;
}

float mq_reference_activation_mix_gradient(float x, float dy, mq_quantizer quantizer,
                                           const float softmax[MQ_BRANCHES]) {
    float slope = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        if (passes(x, quantizer, MQ_SEARCH_MIN + j)) slope = slope + softmax[j];
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
