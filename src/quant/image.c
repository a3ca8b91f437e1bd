/* image.c - the image quantiser: pixel k stands for k/256, code k >> (8-b), step 2^-b. All values are exact
 * floats. */
#include "quant/quant.h"

#include "base/parallel.h"

enum { LANES = 16 };

MQ_CLONES static void scaled(const uint8_t *k, size_t n, int shift, float step, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = (float)(k[i] >> shift) * step;
}

void mq_image_values(const uint8_t *k, size_t n, int bits, float *y) {
    int kept = bits == MQ_BITS_FLOAT ? 8 : bits;
    scaled(k, n, 8 - kept, 1.0f / (float)(1 << kept), y);
}

MQ_CLONES static void look_up(const uint8_t *k, size_t n, const float table[256], float *y) {
    for (size_t i = 0; i < n; i++) y[i] = table[k[i]];
}

void mq_image_mix(const uint8_t *k, size_t n, const float softmax[MQ_BRANCHES], float *y) {
    float table[256];
    for (int p = 0; p < 256; p++) {
        float sum = 0;
        for (int j = 0; j < MQ_BRANCHES; j++) {
            int bits = MQ_SEARCH_MIN + j;
            sum = sum + softmax[j] * ((float)(p >> (8 - bits)) / (float)(1 << bits));
        }
        table[p] = sum;
    }
    look_up(k, n, table, y);
}

/* <dy, code>, float64 in fixed lanes */
MQ_CLONES static double dot_codes(const uint8_t *k, const float *dy, size_t n, int shift) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)dy[i + (size_t)l] * (double)(k[i + (size_t)l] >> shift);
    for (; i < n; i++) sum += (double)dy[i] * (double)(k[i] >> shift);
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

void mq_image_mix_dot(const uint8_t *k, const float *dy, size_t n, double g[MQ_BRANCHES]) {
    for (int j = 0; j < MQ_BRANCHES; j++) {
        int bits = MQ_SEARCH_MIN + j;
        g[j] += dot_codes(k, dy, n, 8 - bits) / (double)(1 << bits);
    }
}
