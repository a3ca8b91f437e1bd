/* mix_avx512.c - the mix kernels of activations.c, written with AVX-512: the seven codes of 16 elements stay
 * in registers. */
#include "quant/mix.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "quant/mix_avx512.h"

bool mq_mix_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

AVX512 void mq_mix_avx512_values(const float *x, size_t n, const mix_branch *b, float *y) {
    __m512 v[MANY], sum[MANY];
    size_t i = 0;
    for (; i + MANY * MQ_MIX_LANES <= n; i += MANY * MQ_MIX_LANES) {
#pragma GCC unroll 4
        for (int k = 0; k < MANY; k++) v[k] = _mm512_loadu_ps(x + i + k * MQ_MIX_LANES);
        mix_of(v, MANY, b, sum);
#pragma GCC unroll 4
        for (int k = 0; k < MANY; k++) _mm512_storeu_ps(y + i + k * MQ_MIX_LANES, sum[k]);
    }
    for (; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        v[0] = _mm512_maskz_loadu_ps(lanes, x + i);
        mix_of(v, 1, b, sum);
        _mm512_mask_storeu_ps(y + i, lanes, sum[0]);
    }
}

AVX512 void mq_mix_avx512_gradient(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx,
                                   float sum[MQ_BRANCHES][MQ_MIX_LANES]) {
    __m512 total[MQ_BRANCHES];
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) total[j] = _mm512_loadu_ps(sum[j]);
    __m512 v[MANY], g[MANY];
    size_t i = 0;
    for (; i + MANY * MQ_MIX_LANES <= n; i += MANY * MQ_MIX_LANES) {
#pragma GCC unroll 4
        for (int k = 0; k < MANY; k++) {
            v[k] = _mm512_loadu_ps(x + i + k * MQ_MIX_LANES);
            g[k] = _mm512_loadu_ps(dy + i + k * MQ_MIX_LANES);
        }
        add_products(v, g, MANY, b, total);
#pragma GCC unroll 4
        for (int k = 0; dx && k < MANY; k++)
            _mm512_storeu_ps(dx + i + k * MQ_MIX_LANES, through(v[k], g[k], b));
    }
    for (; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        v[0] = _mm512_maskz_loadu_ps(lanes, x + i);
        g[0] = _mm512_maskz_loadu_ps(lanes, dy + i);
        add_products(v, g, 1, b, total);
        if (dx) _mm512_mask_storeu_ps(dx + i, lanes, through(v[0], g[0], b));
    }
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) _mm512_storeu_ps(sum[j], total[j]);
}

AVX512 void mq_mix_avx512_slope(const float *x, const float *dy, size_t n, const mix_branch *b, float *dx) {
    for (size_t i = 0; i < n; i += MQ_MIX_LANES) {
        const __mmask16 lanes = first_lanes(n - i);
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
