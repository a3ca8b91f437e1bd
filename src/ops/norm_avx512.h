/* norm_avx512.h - loads and stores of 16 elements, for the batch norm's passes with AVX-512; private to this
 * folder. */
#ifndef MIXQ_OPS_NORM_AVX512_H
#define MIXQ_OPS_NORM_AVX512_H

#include "ops/norm_rows.h"

#ifndef AVX512_TARGET /* a file may want more */
#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512bf16"
#endif
#include "tensor/avx512.h"

INLINE __m512 load_z(norm_z z, size_t at, norm_stored as) {
    if (as == NORM_REAL) return _mm512_loadu_ps((const float *)z.values + at);
    const __m256i half = _mm256_loadu_si256((const void *)((const int16_t *)z.values + at));
    if (as == NORM_ROUNDED) return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(half));
}

/* Of values that were loaded so. */
INLINE void store_z(void *base, size_t at, __m512 v, norm_stored as) {
    if (as == NORM_REAL)
        _mm512_storeu_ps((float *)base + at, v);
    else
        _mm256_storeu_si256((void *)((int16_t *)base + at),
                            as == NORM_ROUNDED ? (__m256i)_mm512_cvtneps_pbh(v)
                                               : _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}

/* Ahead of reading it. */
INLINE void fetch_z(norm_z z, size_t at, norm_stored as) {
    _mm_prefetch((const char *)z.values + at * norm_z_bytes(as), _MM_HINT_T0);
}

INLINE void store(void *base, size_t at, __m512 v, bool bf16) {
    if (bf16)
        _mm256_storeu_si256((void *)((uint16_t *)base + at), (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_storeu_ps((float *)base + at, v);
}

#endif
