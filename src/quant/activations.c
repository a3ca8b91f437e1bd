/* activations.c - activation quantisers over arrays (HWGQ, Cai et al., CVPR 2017; DoReFa, Zhou et al., 2016)
 * and their search mix (EdMIPS, Cai and Vasconcelos, CVPR 2020), with gradients.
 *
 * The families differ in three numbers: step, top and the gate of the gradient. DoReFa's min(round(x/step),
 * 2^b-1) is round(min(x, top)/step): its top is a whole number of steps, and rounding is monotone.
 *
 * Single quantisers divide: they are bound by memory. The mix of seven would be bound by the divider, so it
 * multiplies by r = the smallest float32 >= 1/h and divides only where that may matter. Rounding is monotone,
 * so for x >= 0 v' = fl(x*r) is never below v = fl(x/h), and exceeds it by at most (x/h)*2^-22 < 2^-14 (r,
 * and the two roundings). Hence round(v') is round(v), or one more with v' less than 2^-14 above a tie, where
 * v' - round(v') < -1/2 + 2^-14. A block in which any branch comes within DOUBT of that is computed again
 * with divisions (about 3 % of them).
 *
 * Loops run over rows of LANES elements, whatever the CPU's vectors are: every clone sums in the same order.
 */
#include "quant/mix.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/rounding.h"

enum {
    LANES = MQ_MIX_LANES,
    BLOCK = 64,   /* elements computed together */
    WINDOW = 4096 /* elements of one float32 partial sum */
};

/* The tests compile this file for every instruction set without it. */
#ifdef MQ_MIX_PLAIN
#define HAS_AVX512 false
#else
#define HAS_AVX512 mq_mix_avx512()
#endif

static float reciprocal_above(float step) {
    float r = (float)(1.0 / (double)step);
    return (double)r * (double)step >= 1 ? r : nextafterf(r, INFINITY);
}

void mq_mix_set_branches(mq_quantizer quantizer, const float softmax[MQ_BRANCHES],
                         mix_branch out[MQ_BRANCHES]) {
    for (int j = 0; j < MQ_BRANCHES; j++) {
        out[j].top = mq_activation_top(quantizer, MQ_SEARCH_MIN + j);
        out[j].step = (float)mq_activation_step(quantizer, MQ_SEARCH_MIN + j);
        out[j].gate = mq_activation_gate(quantizer, MQ_SEARCH_MIN + j);
        out[j].reciprocal = reciprocal_above(out[j].step);
        out[j].weight = softmax[j];
    }
}

/* Both comparisons let a NaN through. */
static inline float clip(float x, float top) {
    x = x <= 0 ? 0 : x;
    return x > top ? top : x;
}

/* ---- one quantiser ---- */

MQ_CLONES static void values(const float *x, size_t n, float top, float step, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = mq_round_small(clip(x[i], top) / step) * step;
}

MQ_CLONES static void relu(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] <= 0 ? 0 : x[i];
}

void mq_activation_values(const float *x, size_t n, mq_quantizer quantizer, int bits, float *y) {
    if (bits == MQ_BITS_FLOAT)
        relu(x, n, y);
    else
        values(x, n, mq_activation_top(quantizer, bits), (float)mq_activation_step(quantizer, bits), y);
}

MQ_CLONES static void codes_of(const float *x, size_t n, float top, float step, uint8_t *codes) {
    for (size_t i = 0; i < n; i++) {
        float known = x[i] > 0 ? x[i] : 0; /* a NaN gives 0 */
        codes[i] = (uint8_t)(int)mq_round_small(clip(known, top) / step);
    }
}

void mq_activation_codes(const float *x, size_t n, mq_quantizer quantizer, int bits, uint8_t *codes) {
    codes_of(x, n, mq_activation_top(quantizer, bits), (float)mq_activation_step(quantizer, bits), codes);
}

MQ_CLONES static void gradient(const float *x, const float *dy, size_t n, float gate, float *dx) {
    for (size_t i = 0; i < n; i++) {
        float through = dy[i]; /* loaded unconditionally, so that the choice is a blend */
        dx[i] = ((x[i] >= 0) & (x[i] <= gate)) ? through : 0;
    }
}

MQ_CLONES static void relu_gradient(const float *x, const float *dy, size_t n, float *dx) {
    for (size_t i = 0; i < n; i++) {
        float through = dy[i];
        dx[i] = x[i] > 0 ? through : 0;
    }
}

void mq_activation_gradient(const float *x, const float *dy, size_t n, mq_quantizer quantizer, int bits,
                            float *dx) {
    if (bits == MQ_BITS_FLOAT)
        relu_gradient(x, dy, n, dx);
    else
        gradient(x, dy, n, mq_activation_gate(quantizer, bits), dx);
}

/* ---- the mix of the search ---- */

/* One row; unrolled only by the vectoriser. */
#define FOR_LANES(l) _Pragma("GCC unroll 1") for (int l = 0; l < LANES; l++)

static inline float smaller(float a, float b) {
    return a < b ? a : b; /* b when a is NaN */
}

/* The codes of a block in all branches, as floats. */
static inline __attribute__((always_inline)) void block_codes(const float *x, const mix_branch *b,
                                                              float code[MQ_BRANCHES][BLOCK]) {
    float worst[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES) {
        float low[LANES] = {0};
        for (int j = 0; j < MQ_BRANCHES; j++) FOR_LANES(l) {
                float v = clip(x[i + l], b[j].top) * b[j].reciprocal;
                float q = mq_round_small(v);
                code[j][i + l] = q;
                low[l] = smaller(v - q, low[l]);
            }
        FOR_LANES(l) worst[l] = smaller(low[l], worst[l]);
    }
    for (int l = 0; l < 8; l++) worst[l] = smaller(worst[l], worst[l + 8]);
    for (int l = 0; l < 4; l++) worst[l] = smaller(worst[l], worst[l + 4]);
    if (smaller(smaller(worst[0], worst[1]), smaller(worst[2], worst[3])) >= MQ_MIX_DOUBT) return;
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < MQ_BRANCHES; j++)
            FOR_LANES(l) code[j][i + l] = mq_round_small(clip(x[i + l], b[j].top) / b[j].step);
}

static inline __attribute__((always_inline)) void mix_block(const float *x, const mix_branch *b, float *y) {
    float code[MQ_BRANCHES][BLOCK], out[BLOCK];
    block_codes(x, b, code);
    for (int i = 0; i < BLOCK; i += LANES) {
        float sum[LANES] = {0};
        for (int j = 0; j < MQ_BRANCHES; j++)
            FOR_LANES(l) sum[l] = sum[l] + b[j].weight * (code[j][i + l] * b[j].step);
        FOR_LANES(l) out[i + l] = sum[l];
    }
    memcpy(y, out, sizeof out); /* so the loops need not ask whether y overlaps x */
}

MQ_CLONES static void mix(const float *x, size_t n, const mix_branch *b, float *y) {
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) mix_block(x + i, b, y + i);
    if (i == n) return;
    float in[BLOCK] = {0}, out[BLOCK];
    memcpy(in, x + i, (n - i) * sizeof *x);
    mix_block(in, b, out);
    memcpy(y + i, out, (n - i) * sizeof *y);
}

void mq_activation_mix(const float *x, size_t n, mq_quantizer quantizer, const float softmax[MQ_BRANCHES],
                       float *y) {
    mix_branch b[MQ_BRANCHES];
    mq_mix_set_branches(quantizer, softmax, b);
    if (HAS_AVX512)
        mq_mix_avx512_values(x, n, b, y);
    else
        mix(x, n, b, y);
}

static inline __attribute__((always_inline)) void slope_block(const float *x, const float *dy,
                                                              const mix_branch *b, float *dx) {
    float out[BLOCK];
    for (int i = 0; i < BLOCK; i += LANES) {
        float slope[LANES] = {0};
        for (int j = 0; j < MQ_BRANCHES; j++) {
            const float gate = b[j].gate,
                        weight = b[j].weight; /* loaded unconditionally: no branches below */
            FOR_LANES(l) slope[l] = slope[l] + (x[i + l] <= gate ? weight : 0);
        }
        FOR_LANES(l) out[i + l] = dy[i + l] * (x[i + l] >= 0 ? slope[l] : 0);
    }
    memcpy(dx, out, sizeof out); /* dx may be dy */
}

static inline __attribute__((always_inline)) void gradient_block(const float *x, const float *dy,
                                                                 const mix_branch *b, float *dx,
                                                                 float sum[MQ_BRANCHES][LANES]) {
    float code[MQ_BRANCHES][BLOCK];
    block_codes(x, b, code);
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < MQ_BRANCHES; j++) FOR_LANES(l) sum[j][l] = sum[j][l] + dy[i + l] * code[j][i + l];
    if (dx) slope_block(x, dy, b, dx);
}

/* sum[j] += dy*code_j over one window. */
MQ_CLONES static void gradient_window(const float *x, const float *dy, size_t n, const mix_branch *b,
                                      float *dx, float sum[MQ_BRANCHES][LANES]) {
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) gradient_block(x + i, dy + i, b, dx ? dx + i : NULL, sum);
    if (i == n) return;
    float in[BLOCK] = {0}, in_dy[BLOCK] = {0}, out[BLOCK];
    memcpy(in, x + i, (n - i) * sizeof *x);
    memcpy(in_dy, dy + i, (n - i) * sizeof *dy);
    gradient_block(in, in_dy, b, dx ? out : NULL, sum);
    if (dx) memcpy(dx + i, out, (n - i) * sizeof *dx);
}

void mq_activation_mix_gradient(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                                const float softmax[MQ_BRANCHES], float *dx, double g[MQ_BRANCHES]) {
    mix_branch b[MQ_BRANCHES];
    double code_sum[MQ_BRANCHES] = {0};
    mq_mix_set_branches(quantizer, softmax, b);
    for (size_t i = 0; i < n; i += WINDOW) {
        const size_t count = n - i < WINDOW ? n - i : WINDOW;
        float sum[MQ_BRANCHES][LANES] = {{0}};
        if (HAS_AVX512)
            mq_mix_avx512_gradient(x + i, dy + i, count, b, dx ? dx + i : NULL, sum);
        else
            gradient_window(x + i, dy + i, count, b, dx ? dx + i : NULL, sum);
        for (int j = 0; j < MQ_BRANCHES; j++)
            for (int l = 0; l < LANES; l++) code_sum[j] += (double)sum[j][l];
    }
    for (int j = 0; j < MQ_BRANCHES; j++) g[j] += (double)b[j].step * code_sum[j];
}

MQ_CLONES static void slope(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx) {
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) slope_block(x + i, dy + i, b, dx + i);
    if (i == n) return;
    float in[BLOCK] = {0}, in_dy[BLOCK] = {0}, out[BLOCK];
    memcpy(in, x + i, (n - i) * sizeof *x);
    memcpy(in_dy, dy + i, (n - i) * sizeof *dy);
    slope_block(in, in_dy, b, out);
    memcpy(dx + i, out, (n - i) * sizeof *dx);
}

void mq_activation_mix_slope(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                             const float softmax[MQ_BRANCHES], float *dx) {
    mix_branch b[MQ_BRANCHES];
    mq_mix_set_branches(quantizer, softmax, b);
    if (HAS_AVX512)
        mq_mix_avx512_slope(x, dy, n, b, dx);
    else
        slope(x, dy, n, b, dx);
}
