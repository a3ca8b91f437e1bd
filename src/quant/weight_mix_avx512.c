/* weight_mix_avx512.c - the kernels of weight_mix.c, written with AVX-512: the seven codes of 16 elements
 * stay in registers. */
#include "quant/weight_mix.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "tensor/avx512.h"

_Static_assert((int)MQ_LANES == (int)LANES, "sums of lanes are sums of vectors'");

enum {
    TABLED = 4, /* branches of 2 to 5 bits, whose terms are looked up */
    LONGEST = 32
};

/* Numbers beyond a thousand of the largest steps have the first or last code in every branch, and so have
 * those that they are cut to; times the largest inverse, these are no infinity yet. */
static const float CUT = 1024;

bool mq_weight_mix_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

/* The terms of a branch at the lowest bits of the codes. */
static void set_terms(const mq_weight_branch *b, float term[LONGEST]) {
    const int codes = 2 * ((int)b->high + 1);
    for (int k = 0; k < LONGEST; k++) {
        const int code = k % codes < codes / 2 ? k % codes : k % codes - codes;
        term[k] = b->weight * ((float)code * b->step);
    }
}

/* Neither bound replaces a NaN. */
INLINE __m512 between(__m512 v, __m512 least, __m512 most) {
    return _mm512_min_ps(most, _mm512_max_ps(least, v));
}

/* The code, on top of MQ_WEIGHT_WHOLE: its lowest bits are the code's. */
INLINE __m512 whole_code(__m512 w, const mq_weight_branch *b) {
    const __m512 inverse = _mm512_set1_ps(b->inverse);
    __m512 v = _mm512_mul_ps(w, inverse);
    v = _mm512_fmadd_ps(_mm512_fnmadd_ps(v, _mm512_set1_ps(b->divisor), w), inverse, v);
    v = between(v, _mm512_set1_ps(b->low), _mm512_set1_ps(b->high));
    return _mm512_add_ps(v, _mm512_set1_ps(MQ_WEIGHT_WHOLE));
}

/* The sum over branches in their order; a NaN is one in those that are not looked up. */
INLINE __m512 mix_of(__m512 w, __m512 most, const mq_weight_branch *b, const __m512 *terms,
                     __m512 last_terms) {
    const __m512 whole = _mm512_set1_ps(MQ_WEIGHT_WHOLE);
    __m512 sum = _mm512_setzero_ps();
    w = between(w, _mm512_sub_ps(_mm512_setzero_ps(), most), most);
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const __m512 code = whole_code(w, &b[j]);
        __m512 term;
        if (j < TABLED - 1)
            term = _mm512_permutexvar_ps(_mm512_castps_si512(code), terms[j]);
        else if (j == TABLED - 1)
            term = _mm512_permutex2var_ps(terms[j], _mm512_castps_si512(code), last_terms);
        else
            term = _mm512_mul_ps(_mm512_set1_ps(b[j].weight),
                                 _mm512_mul_ps(_mm512_sub_ps(code, whole), _mm512_set1_ps(b[j].step)));
        sum = _mm512_add_ps(sum, term);
    }
    return sum;
}

AVX512 void mq_weight_mix_avx512_values(const float *w, size_t n, const mq_weight_branch b[MQ_BRANCHES],
                                        float *y) {
    float term[LONGEST], cut = 0;
    __m512 terms[TABLED], last_terms = _mm512_setzero_ps();
    for (int j = 0; j < TABLED; j++) {
        set_terms(&b[j], term);
        terms[j] = _mm512_loadu_ps(term);
        last_terms = _mm512_loadu_ps(term + LANES);
    }
    for (int j = 0; j < MQ_BRANCHES; j++) cut = fmaxf(cut, CUT * b[j].step);
    const __m512 most = _mm512_set1_ps(cut);
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = first_lanes(n - i);
        _mm512_mask_storeu_ps(y + i, lanes,
                              mix_of(_mm512_maskz_loadu_ps(lanes, w + i), most, b, terms, last_terms));
    }
}

AVX512 void mq_weight_mix_avx512_sums(const float *w, const float *dy, size_t n,
                                      const mq_weight_branch b[MQ_BRANCHES],
                                      double lane[MQ_BRANCHES][MQ_LANES]) {
    const __m512 whole = _mm512_set1_ps(MQ_WEIGHT_WHOLE);
    for (size_t i = 0; i < n; i += MQ_WEIGHT_PIECE) {
        __m512 sum[MQ_BRANCHES];
#pragma GCC unroll 7
        for (int j = 0; j < MQ_BRANCHES; j++) sum[j] = _mm512_setzero_ps();
        for (size_t k = i; k < i + MQ_WEIGHT_PIECE; k += LANES) {
            const __m512 v = _mm512_loadu_ps(w + k), g = _mm512_loadu_ps(dy + k);
#pragma GCC unroll 7
            for (int j = 0; j < MQ_BRANCHES; j++) {
                const __m512 code = between(_mm512_fmadd_ps(v, _mm512_set1_ps(b[j].inverse), whole),
                                            _mm512_set1_ps(MQ_WEIGHT_WHOLE + b[j].low),
                                            _mm512_set1_ps(MQ_WEIGHT_WHOLE + b[j].high));
                sum[j] = _mm512_fmadd_ps(g, _mm512_sub_ps(code, whole), sum[j]);
            }
        }
#pragma GCC unroll 7
        for (int j = 0; j < MQ_BRANCHES; j++) {
            add_to(lane[j], low(sum[j]));
            add_to(lane[j] + LANES / 2, high(sum[j]));
        }
    }
}

#else

bool mq_weight_mix_avx512(void) {
    return false;
}

void mq_weight_mix_avx512_values(const float *w, size_t n, const mq_weight_branch b[MQ_BRANCHES], float *y) {
    (void)w, (void)n, (void)b, (void)y;
}

void mq_weight_mix_avx512_sums(const float *w, const float *dy, size_t n,
                               const mq_weight_branch b[MQ_BRANCHES], double lane[MQ_BRANCHES][MQ_LANES]) {
    (void)w, (void)dy, (void)n, (void)b, (void)lane;
}
#endif
