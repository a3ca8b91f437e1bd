/* quant.h - the quantisers: steps, code ranges, forward values and gradients.
 *
 * Rounding is half to even. Steps are computed in float64 and converted to float32 when they meet a tensor;
 * everything on tensors is float32 in the order written, with true divisions and no contraction.
 *
 * HWGQ (Cai et al., CVPR 2017) and EdMIPS (Cai and Vasconcelos, CVPR 2020), as used by AnyPackingNet
 * (ICCAD 2023):
 *   weights      alpha = unbiased standard deviation (summed in float64, rounded to float32), step =
 *                G[b]*alpha, q = clamp(round(w/step), lo, hi), wq = q*step; gradient straight through for
 *                every element.
 *   activations  T = H[b]*(2^b-1), y = round(clamp(x, 0, T)/H[b])*H[b]; dL/dx = dL/dy where 0 <= x <= T, else
 *                0.
 *
 * DoReFa (Zhou et al., 2016, arXiv 1606.06160), in the form of UltraNet (DAC-SDC 2020), whose steps are
 * powers of two: weights      t = tanh(w)/max|tanh(w)|, step = 2^-(b-1), q = clamp(round(t/step), lo, hi), wq
 * = q*step; gradient straight through rounding and clamp, then of t itself, the maximum included. activations
 * y = min(round(clamp(x, 0, 1)*2^b), 2^b-1)*2^-b; dL/dx = dL/dy where 0 <= x <= 1, else 0.
 *
 * The image, in both: k in 0..255 stands for k/256; code k >> (8-b), step 2^-b; no gradient.
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

/* Families of weight and activation quantisers. */
typedef enum mq_quantizer { MQ_QUANTIZER_HWGQ, MQ_QUANTIZER_DOREFA } mq_quantizer;
enum { MQ_QUANTIZERS = 2 };
/* "hwgq", "dorefa", then NULL. */
extern const char *const mq_quantizer_names[MQ_QUANTIZERS + 1];

/* An integer type of codes and the real step between them. */
typedef struct mq_qtype {
    int bits;
    bool is_signed;
    bool narrow;  /* signed without the lowest code: symmetric */
    double scale; /* real value of code 1 */
} mq_qtype;

int32_t mq_code_low(int bits, bool is_signed, bool narrow);
int32_t mq_code_high(int bits, bool is_signed);

/* HWGQ's unit-variance tables, bits 1..8. */
double mq_weight_unit(int bits);     /* G */
double mq_activation_unit(int bits); /* H */

/* Real value of activation code 1: H[bits]; 2^-bits. */
double mq_activation_step(mq_quantizer quantizer, int bits);
/* The largest value of an activation quantiser, step*(2^bits-1), as float32. */
float mq_activation_top(mq_quantizer quantizer, int bits);
/* The gradient passes where 0 <= x <= gate: T; 1. */
float mq_activation_gate(mq_quantizer quantizer, int bits);

/* ---- weights: w float32[n] ---- */

/* What a family rounds in the place of w, and *scale for its steps: HWGQ w itself (t may be NULL) and the
 * deviation; DoReFa t, which is filled, float32[n], and m. */
const float *mq_weight_prepare(mq_quantizer quantizer, const float *w, size_t n, float *t, float *scale);
/* G[bits]*scale; 2^-(bits-1). */
double mq_weight_step_of(mq_quantizer quantizer, int bits, float scale);

/* HWGQ. Unbiased standard deviation; 0 for n < 2. */
float mq_weight_deviation(const float *w, size_t n);
/* G[bits]*deviation. A layer whose weights are all equal has step 0; its codes are all 0 by definition. */
double mq_weight_step(int bits, float deviation);

/* DoReFa. t float32[n] = tanh(w)/m, m = max|tanh(w)|, which is returned; t may not overlap w. tanh is
 * computed in float64 and rounded to float32, by the same operations on every CPU. Zeros all over: m = 0,
 * t = 0. A NaN stays one and has no part in m. */
float mq_dorefa_normalize(const float *w, size_t n, float *t);
/* In place, grad = dL/dt -> dL/dw. With s = sum_j grad[j]*t[j], K the elements of |t| = 1:
 *   dL/dw[i] = (1 - tanh(w[i])^2)/m * (grad[i] - [i in K]*t[i]*s/|K|),
 * the derivative of t, the maximum being a function of w as in the published code (there, too, equal maxima
 * share its gradient). m = 0: grad stays, straight through. */
void mq_dorefa_gradient(const float *t, size_t n, float m, float *grad);
/* 2^-(bits-1). */
double mq_dorefa_step(int bits);

/* The rest rounds: w stands for DoReFa's t as well. */
/* q int32[n] = clamp(round(w/step), low, high). */
void mq_weight_codes(const float *w, size_t n, int bits, bool narrow, double step, int32_t *q);
/* The same as float32[n]; y may be w. */
void mq_weight_whole(const float *w, size_t n, int bits, bool narrow, double step, float *y);
/* y float32[n] = code*step; y may be w. */
void mq_weight_values(const float *w, size_t n, int bits, bool narrow, double step, float *y);
/* Mixed weights of the search (shared): y = sum_i softmax[i]*Q_{2+i}(w), terms added in order of rising bits.
 * step[7] = the steps of bits 2..8; y does not overlap w. */
void mq_weight_mix(const float *w, size_t n, bool narrow, const double step[MQ_BRANCHES],
                   const float softmax[MQ_BRANCHES], float *y);
/* g[i] = <dy, Q_{2+i}(w)>, float64 sums in fixed chunks (the same for any thread count) of float32 ones of
 * eight. A code may be the neighbour of Q's where w is within 2^-22 of the middle between two. */
void mq_weight_mix_dot(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       double g[MQ_BRANCHES]);

/* ---- activations: x float32[n], any layout; each call works on one task's range ---- */

/* y float32[n]; bits 1..8, or MQ_BITS_FLOAT = ReLU. */
void mq_activation_values(const float *x, size_t n, mq_quantizer quantizer, int bits, float *y);
/* codes uint8[n], bits 1..8. */
void mq_activation_codes(const float *x, size_t n, mq_quantizer quantizer, int bits, uint8_t *codes);
/* dx[n] = dy where 0 <= x <= gate (ReLU: x > 0), else 0; dx may be dy. */
void mq_activation_gradient(const float *x, const float *dy, size_t n, mq_quantizer quantizer, int bits,
                            float *dx);
/* y = sum_j softmax[j]*Q_{2+j}(x), terms added in order of rising bits. */
void mq_activation_mix(const float *x, size_t n, mq_quantizer quantizer, const float softmax[MQ_BRANCHES],
                       float *y);
/* dx = dy * sum_j softmax[j]*[0 <= x <= gate_j] (skipped when dx is NULL), and g[j] += <dy, Q_{2+j}(x)>
 * (float32 partial sums over at most 4096 elements, then float64). One pass. dx may be dy. */
void mq_activation_mix_gradient(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                                const float softmax[MQ_BRANCHES], float *dx, double g[MQ_BRANCHES]);
/* dx of the above alone. */
void mq_activation_mix_slope(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                             const float softmax[MQ_BRANCHES], float *dx);

/* ---- the same behind a batch norm, in one pass over memory ----
 *
 * Elements z stand in rows of `width` columns (channels); x = (z - mean[c])*a[c] + b[c]. `count` elements are
 * whole rows and at most one part of a row behind them. float32 in the order written: the same
 * to the bit as the passes above, one after the other, but for the order of sums, and for codes: these
 * multiply by the step's inverse instead of dividing, so one may be the neighbour where x/step is within
 * 2^-22 of itself of the middle between two. A mix that is rounded to bfloat16 has fewer roundings before (at
 * most 9 away). What a NaN adds to g is not said. Only where mq_mix_rows_fast says so. */
typedef struct mq_mix_branch {
    float top, step;
    float reciprocal; /* the smallest float32 not below 1/step */
    float gate;       /* the gradient passes from 0 to here */
    float weight;     /* softmax */
} mq_mix_branch;
enum {
    MQ_MIX_CELLS = 16,
    MQ_MIX_GROUP = 4,    /* rows whose sums are of float32 first */
    MQ_MIX_WINDOW = 4096 /* the most elements of one call that sums */
};
typedef struct mq_mix_rows {
    mq_mix_branch branch[MQ_BRANCHES];
    /* A code is round(x*inverse), the product exact, found as last - 1.5*2^23 at most; times unit it is the
     * branch's part of the mix. */
    float inverse[MQ_BRANCHES], last[MQ_BRANCHES], unit[MQ_BRANCHES];
    /* The slope sum_j softmax[j]*[0 <= x <= gate_j] by look-up: cell min(x*cells, 15) rounded down holds one
     * gate value, up to which the slope is `until`, beyond it `beyond`. cells = 0: gates lie too close. */
    float cells, gate[MQ_MIX_CELLS], until[MQ_MIX_CELLS], beyond[MQ_MIX_CELLS];
    size_t width;
    const float *mean, *a, *b;
} mq_mix_rows;
/* z float32[count], or bfloat16[count]. */
typedef struct mq_mix_z {
    const void *values;
    bool bf16;
} mq_mix_z;
/* A gradient dy float32[count], or bfloat16[count], times `scale`. */
typedef struct mq_mix_dy {
    const void *values;
    bool bf16;
    float scale;
} mq_mix_dy;

bool mq_mix_rows_fast(size_t width); /* this processor, and a width of whole vectors */
void mq_mix_rows_set(mq_mix_rows *r, mq_quantizer quantizer,
                     const float softmax[MQ_BRANCHES]); /* all but the norm's numbers */
/* y[count] = the mix of x, float32 or rounded to bfloat16 (as everywhere here, what is below 2^-126 may
 * become 0 then). */
void mq_mix_rows_values(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y, bool bf16);
/* With dx of mq_activation_mix_gradient, of at most MQ_MIX_WINDOW elements: sum[c] += dx, product[c] += dx*(z
 * - centre[c]), float64; g[j] as there. */
void mq_mix_rows_products(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const double *centre, double *sum, double *product, double g[MQ_BRANCHES]);
/* dx alone, float32[count]. */
void mq_mix_rows_slope(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count, float *dx);
/* The batch norm's own gradient: dz[count] = factor[c]*dx - offset[c] - slope[c]*(z - mean[c]), float32 or
 * bfloat16. */
void mq_mix_rows_gradient(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const float *factor, const float *offset, const float *slope, void *dz, bool bf16);

/* ---- image input: k uint8[n] ---- */
void mq_image_values(const uint8_t *k, size_t n, int bits, float *y); /* MQ_BITS_FLOAT: k/256 */
void mq_image_mix(const uint8_t *k, size_t n, const float softmax[MQ_BRANCHES], float *y);
void mq_image_mix_dot(const uint8_t *k, const float *dy, size_t n, double g[MQ_BRANCHES]); /* g[j] += */

/* ---- the softmax over branches ---- */
void mq_softmax(const float *alpha, size_t n, float *s); /* float32, maximum subtracted */
/* dalpha[i] = s[i]*(g[i] - sum_j s[j]*g[j]) */
void mq_softmax_gradient(const float *s, const double *g, size_t n, float *dalpha);

#endif
