/* quant.h - the quantisers: steps, code ranges, forward values and gradients.
 *
 * Source: HWGQ (Cai et al., CVPR 2017) and EdMIPS (Cai and Vasconcelos, CVPR 2020), as used by AnyPackingNet
 * (ICCAD 2023). Rounding is half to even. Steps are computed in float64 and converted to float32 when they
 * meet a tensor; everything on tensors is float32 in the order written, with true divisions and no
 * contraction.
 *
 *   weights      alpha = unbiased standard deviation (summed in float64, rounded to float32), step =
 * G[b]*alpha, q = clamp(round(w/step), lo, hi), wq = q*step; gradient straight through for every element.
 *   activations  T = H[b]*(2^b-1), y = round(clamp(x, 0, T)/H[b])*H[b]; dL/dx = dL/dy where 0 <= x <= T, else
 * 0. image        k in 0..255 stands for k/256; code k >> (8-b), step 2^-b; no gradient.
 *
 * NaN gives code 0 but value NaN, so that a check for finite numbers still sees it. Zeros come out as +0. */
#ifndef MIXQ_QUANT_QUANT_H
#define MIXQ_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    MQ_BITS_MIN = 1, /* fixed precision */
    MQ_BITS_MAX = 8,
    MQ_SEARCH_MIN = 2, /* branches of the search: bits 2..8 */
    MQ_BRANCHES = 7,
    MQ_BITS_FLOAT = 32 /* "bits" of a layer that is not quantised: float weights, ReLU activations */
};

/* An integer type of codes and the real step between them. */
typedef struct mq_qtype {
    int bits;
    bool is_signed;
    bool narrow;  /* signed without the lowest code: symmetric */
    double scale; /* real value of code 1 */
} mq_qtype;

int32_t mq_code_low(int bits, bool is_signed, bool narrow);
int32_t mq_code_high(int bits, bool is_signed);

/* The unit-variance tables of the paper, bits 1..8. */
double mq_weight_unit(int bits);     /* G */
double mq_activation_unit(int bits); /* H */

/* ---- weights: w float32[n] ---- */

/* Unbiased standard deviation; 0 for n < 2. */
float mq_weight_deviation(const float *w, size_t n);
/* G[bits]*deviation. A layer whose weights are all equal has step 0; its codes are all 0 by definition. */
double mq_weight_step(int bits, float deviation);
/* q int32[n] = clamp(round(w/step), low, high). */
void mq_weight_codes(const float *w, size_t n, int bits, bool narrow, double step, int32_t *q);
/* y float32[n] = code*step; y may be w. */
void mq_weight_values(const float *w, size_t n, int bits, bool narrow, double step, float *y);
/* Mixed weights of the search (shared): y = sum_i softmax[i]*Q_{2+i}(w), terms added in order of rising bits.
 * step[7] = the steps of bits 2..8; y does not overlap w. */
void mq_weight_mix(const float *w, size_t n, bool narrow, const double step[MQ_BRANCHES],
                   const float softmax[MQ_BRANCHES], float *y);
/* g[i] = <dy, Q_{2+i}(w)>, float64 sums in fixed chunks (the same for any thread count). */
void mq_weight_mix_dot(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       double g[MQ_BRANCHES]);

/* ---- activations: x float32[n], any layout; each call works on one task's range ---- */

/* T = H[bits]*(2^bits-1) as float32: the largest value of the quantiser. */
float mq_activation_top(int bits);
/* y float32[n]; bits 1..8, or MQ_BITS_FLOAT = ReLU. */
void mq_activation_values(const float *x, size_t n, int bits, float *y);
/* codes uint8[n], bits 1..8. */
void mq_activation_codes(const float *x, size_t n, int bits, uint8_t *codes);
/* dx[n] = dy where 0 <= x <= T (ReLU: x > 0), else 0; dx may be dy. */
void mq_activation_gradient(const float *x, const float *dy, size_t n, int bits, float *dx);
/* y = sum_j softmax[j]*Q_{2+j}(x), terms added in order of rising bits. */
void mq_activation_mix(const float *x, size_t n, const float softmax[MQ_BRANCHES], float *y);
/* dx = dy * sum_j softmax[j]*[0 <= x <= T_j] (skipped when dx is NULL), and g[j] += <dy, Q_{2+j}(x)>
 * (float32 partial sums over at most 4096 elements, then float64). One pass. dx may be dy. */
void mq_activation_mix_gradient(const float *x, const float *dy, size_t n, const float softmax[MQ_BRANCHES],
                                float *dx, double g[MQ_BRANCHES]);

/* ---- image input: k uint8[n] ---- */
void mq_image_values(const uint8_t *k, size_t n, int bits, float *y); /* MQ_BITS_FLOAT: k/256 */
void mq_image_mix(const uint8_t *k, size_t n, const float softmax[MQ_BRANCHES], float *y);
void mq_image_mix_dot(const uint8_t *k, const float *dy, size_t n, double g[MQ_BRANCHES]); /* g[j] += */

/* ---- the softmax over branches ---- */
void mq_softmax(const float *alpha, size_t n, float *s); /* float32, maximum subtracted */
/* dalpha[i] = s[i]*(g[i] - sum_j s[j]*g[j]) */
void mq_softmax_gradient(const float *s, const double *g, size_t n, float *dalpha);

#endif
