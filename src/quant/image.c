/* image.c - the image quantiser: pixel k stands for k/256, code k >> (8-b), step 2^-b. All values are exact
 * floats. */
#include "quant/quant.h"

#include <string.h>

#include "base/parallel.h"

enum { LANES = 16, BITS = 8, SHORT = 16 };

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

/* A window's sums of dy where a bit of k is set, one for each bit: in float32 over at most SHORT elements a
 * lane, then in float64. */
MQ_CLONES static void dot_bits(const uint8_t *k, const float *dy, size_t n, double sum[BITS]) {
    float lane[BITS][LANES] = {{0}};
    for (size_t i = 0; i < n; i += LANES) {
        int32_t code[LANES], value[LANES];
        for (int l = 0; l < LANES; l++) code[l] = (int32_t)((uint32_t)k[i + (size_t)l] << 24);
        memcpy(value, dy + i, sizeof value);
#pragma GCC unroll 8
        for (int b = BITS - 1; b >= 0; b--)
            for (int l = 0; l < LANES; l++) {
                const int32_t taken = value[l] & -(code[l] < 0); /* the sign: bit b of k */
                float f;
                memcpy(&f, &taken, sizeof f);
                lane[b][l] += f;
                code[l] = (int32_t)((uint32_t)code[l] << 1);
            }
    }
    for (int b = 0; b < BITS; b++)
        for (int l = 0; l < LANES; l++) sum[b] += (double)lane[b][l];
}

/* <dy, k >> s> = sum over bits b >= s of 2^(b-s) times dy's sum where b is set. */
void mq_image_mix_dot(const uint8_t *k, const float *dy, size_t n, double g[MQ_BRANCHES]) {
    double sum[BITS] = {0};
    size_t i = 0;
    for (; i + LANES <= n;) {
        const size_t rest = (n - i) / LANES * LANES, count = rest < SHORT * LANES ? rest : SHORT * LANES;
        dot_bits(k + i, dy + i, count, sum);
        i += count;
    }
    for (; i < n; i++)
        for (int b = 0; b < BITS; b++)
            if (k[i] >> b & 1) sum[b] += (double)dy[i];
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const int bits = MQ_SEARCH_MIN + j, shift = BITS - bits;
        for (int b = shift; b < BITS; b++) g[j] += sum[b] * (double)(1 << (b - shift)) / (double)(1 << bits);
    }
}
