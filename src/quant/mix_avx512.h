/* mix_avx512.h - the mix of vectors of 16 elements, for the kernels that have AVX-512; private to this
 * folder. */
#ifndef MIXQ_QUANT_MIX_AVX512_H
#define MIXQ_QUANT_MIX_AVX512_H

#include "quant/mix.h"

#include "tensor/avx512.h"

_Static_assert((int)MQ_MIX_LANES == (int)LANES, "sums of lanes are sums of vectors'");

enum { MANY = MQ_MIX_GROUP /* vectors at once */ };

/* Zero or a NaN stays what it is, whichever of the two zeros. */
INLINE __m512 clipped(__m512 x, float top) {
    return _mm512_min_ps(_mm512_set1_ps(top), _mm512_max_ps(_mm512_setzero_ps(), x));
}

INLINE __m512 rounded(__m512 v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Comparisons of codes are of integers, for which processors have more units: floats that are not negative
 * have the order of their bits, and the lowest of the negative ones has the highest bits. What is in doubt is
 * computed again by division: a v whose rounding is, and a NaN or an x near the end of the range, which
 * doubt_of lets through. */
INLINE __m512i bits_of(__m512 x) {
    return _mm512_castps_si512(_mm512_max_ps(_mm512_setzero_ps(), x));
}

INLINE __m512i doubt_of(__m512i bits) {
    return _mm512_max_epu32(bits, _mm512_add_epi32(bits, _mm512_set1_epi32(0x40000000)));
}

INLINE bool in_doubt(__m512i low) {
    return _mm512_cmpgt_epu32_mask(low, _mm512_castps_si512(_mm512_set1_ps(MQ_MIX_DOUBT))) != 0;
}

INLINE __m512 code_of(__m512i bits, __m512i top, __m512 reciprocal, __m512i *low) {
    const __m512 v = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_min_epu32(bits, top)), reciprocal),
                 q = rounded(v);
    *low = _mm512_max_epu32(_mm512_castps_si512(_mm512_sub_ps(v, q)), *low);
    return q;
}

INLINE __m512 exact_code(__m512 x, const mix_branch *b) {
    return rounded(_mm512_div_ps(clipped(x, b->top), _mm512_set1_ps(b->step)));
}

INLINE __m512i top_of(const mix_branch *b) {
    return _mm512_castps_si512(_mm512_set1_ps(b->top));
}

/* A mix's term; the order of operations is activations.c's. */
INLINE __m512 add_term(__m512 sum, __m512 code, const mix_branch *b) {
    return _mm512_add_ps(
        sum, _mm512_mul_ps(_mm512_set1_ps(b->weight), _mm512_mul_ps(code, _mm512_set1_ps(b->step))));
}

/* `many` vectors at once, which share the loads of each branch's numbers. */
INLINE void mix_of(const __m512 *x, int many, const mix_branch *b, __m512 *sum) {
    __m512i bits[MANY], low[MANY];
#pragma GCC unroll 4
    for (int k = 0; k < many; k++) {
        bits[k] = bits_of(x[k]);
        low[k] = doubt_of(bits[k]);
        sum[k] = _mm512_setzero_ps();
    }
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++)
#pragma GCC unroll 4
        for (int k = 0; k < many; k++)
            sum[k] = add_term(
                sum[k], code_of(bits[k], top_of(&b[j]), _mm512_set1_ps(b[j].reciprocal), &low[k]), &b[j]);
#pragma GCC unroll 4
    for (int k = 0; k < many; k++) {
        if (__builtin_expect(!in_doubt(low[k]), 1)) continue;
        sum[k] = _mm512_setzero_ps();
        for (int j = 0; j < MQ_BRANCHES; j++) sum[k] = add_term(sum[k], exact_code(x[k], &b[j]), &b[j]);
    }
}

INLINE __m512 add_product(__m512 total, __m512 g, __m512 code) {
    return _mm512_add_ps(total, _mm512_mul_ps(g, code));
}

/* total[j] += g*code_j, vector after vector. */
INLINE void add_products(const __m512 *x, const __m512 *g, int many, const mix_branch *b,
                         __m512 total[MQ_BRANCHES]) {
    __m512i bits[MANY], low = _mm512_setzero_si512();
    __m512 after[MQ_BRANCHES];
#pragma GCC unroll 4
    for (int k = 0; k < many; k++) {
        bits[k] = bits_of(x[k]);
        low = _mm512_max_epu32(low, doubt_of(bits[k]));
    }
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) {
        after[j] = total[j];
#pragma GCC unroll 4
        for (int k = 0; k < many; k++)
            after[j] = add_product(after[j], g[k],
                                   code_of(bits[k], top_of(&b[j]), _mm512_set1_ps(b[j].reciprocal), &low));
    }
    const bool again = __builtin_expect(in_doubt(low), 0);
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) {
        if (again) {
            after[j] = total[j];
            for (int k = 0; k < many; k++) after[j] = add_product(after[j], g[k], exact_code(x[k], &b[j]));
        }
        total[j] = after[j];
    }
}

INLINE __m512 through(__m512 x, __m512 dy, const mix_branch *b) {
    __m512 slope = _mm512_setzero_ps();
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const __mmask16 inside = _mm512_cmp_ps_mask(x, _mm512_set1_ps(b[j].gate), _CMP_LE_OQ);
        slope = _mm512_mask_add_ps(slope, inside, slope, _mm512_set1_ps(b[j].weight));
    }
    const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mul_ps(dy, _mm512_maskz_mov_ps(positive, slope));
}

#endif
