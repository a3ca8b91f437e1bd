/* mix_avx512.c - the mix kernels of activations.c, written with AVX-512: the seven codes of 16 elements stay
 * in registers. */
#include "quant/mix.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline)) AVX512

bool mq_mix_avx512(void) {
    return __builtin_cpu_supports("avx512f") != 0;
}

/* Zero or a NaN stays what it is, whichever of the two zeros. */
INLINE __m512 clipped(__m512 x, float top) {
    return _mm512_min_ps(_mm512_set1_ps(top), _mm512_max_ps(_mm512_setzero_ps(), x));
}

INLINE __m512 rounded(__m512 v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* The codes in all branches. */
INLINE void codes_of(__m512 x, const mix_branch *b, __m512 code[MQ_BRANCHES]) {
    __m512 low = _mm512_setzero_ps();
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const __m512 v = _mm512_mul_ps(clipped(x, b[j].top), _mm512_set1_ps(b[j].reciprocal));
        code[j] = rounded(v);
        low = _mm512_min_ps(_mm512_sub_ps(v, code[j]), low); /* a NaN is passed over */
    }
    if (__builtin_expect(_mm512_cmp_ps_mask(low, _mm512_set1_ps(MQ_MIX_DOUBT), _CMP_LT_OQ) == 0, 1)) return;
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++)
        code[j] = rounded(_mm512_div_ps(clipped(x, b[j].top), _mm512_set1_ps(b[j].step)));
}

INLINE __mmask16 lanes_left(size_t n) {
    return n >= MQ_MIX_LANES ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1u);
}

AVX512 void mq_mix_avx512_values(const float *x, size_t n, const mix_branch *b, float *y) {
    for (size_t i = 0; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = lanes_left(n - i);
        __m512 code[MQ_BRANCHES], sum = _mm512_setzero_ps();
        codes_of(_mm512_maskz_loadu_ps(lanes, x + i), b, code);
#pragma GCC unroll 7
        for (int j = 0; j < MQ_BRANCHES; j++)
            sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_set1_ps(b[j].weight),
                                                   _mm512_mul_ps(code[j], _mm512_set1_ps(b[j].step))));
        _mm512_mask_storeu_ps(y + i, lanes, sum);
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

AVX512 void mq_mix_avx512_gradient(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx,
                                   float sum[MQ_BRANCHES][MQ_MIX_LANES]) {
    __m512 total[MQ_BRANCHES];
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) total[j] = _mm512_loadu_ps(sum[j]);
    for (size_t i = 0; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i), g = _mm512_maskz_loadu_ps(lanes, dy + i);
        __m512 code[MQ_BRANCHES];
        codes_of(v, b, code);
#pragma GCC unroll 7
        for (int j = 0; j < MQ_BRANCHES; j++) total[j] = _mm512_add_ps(total[j], _mm512_mul_ps(g, code[j]));
        if (dx) _mm512_mask_storeu_ps(dx + i, lanes, through(v, g, b));
    }
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) _mm512_storeu_ps(sum[j], total[j]);
}

AVX512 void mq_mix_avx512_slope(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx) {
    for (size_t i = 0; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i), g = _mm512_maskz_loadu_ps(lanes, dy + i);
        _mm512_mask_storeu_ps(dx + i, lanes, through(v, g, b));
    }
}

#else

bool mq_mix_avx512(void) {
    return false;
}

void mq_mix_avx512_values(const float *x, size_t n, const mix_branch *b, float *y) {
    (void)x, (void)n, (void)b, (void)y;
}

void mq_mix_avx512_gradient(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx,
                            float sum[MQ_BRANCHES][MQ_MIX_LANES]) {
    (void)x, (void)dy, (void)n, (void)b, (void)dx, (void)sum;
}

void mq_mix_avx512_slope(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx) {
    (void)x, (void)dy, (void)n, (void)b, (void)dx;
}
#endif
