/* norm_avx512.h - loads and stores of 16 elements, for the batch norm's passes with AVX-512; private to this
 * folder. */
#ifndef MIXQ_OPS_NORM_AVX512_H
#define MIXQ_OPS_NORM_AVX512_H

#include <immintrin.h>

#include "ops/norm_rows.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum { LANES = 16 };

INLINE __m512 load_z(norm_z z, size_t at, bool whole) {
    if (!whole) return _mm512_loadu_ps((const float *)z.values + at);
    const __m256i half = _mm256_loadu_si256((const void *)((const int16_t *)z.values + at));
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(half));
}

/* Ahead of reading it. */
INLINE void fetch_z(norm_z z, size_t at, bool whole) {
    const size_t bytes = at * (whole ? sizeof(int16_t) : sizeof(float));
    _mm_prefetch((const char *)z.values + bytes, _MM_HINT_T0);
}

INLINE void store(void *base, size_t at, __m512 v, bool bf16) {
    if (bf16)
        _mm256_storeu_si256((void *)((uint16_t *)base + at), (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_storeu_ps((float *)base + at, v);
}

#endif
