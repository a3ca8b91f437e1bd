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

/* The largest v so far of a pool's window, its z and its place. A NaN wins, so that it is not hidden. */
typedef struct pool_maximum {
    __m512 v, z;
    __m512i place;
} pool_maximum;

INLINE void take_first(pool_maximum *l, __m512 v, __m512 z) {
    l->v = v;
    l->z = z;
    l->place = _mm512_setzero_si512();
}

INLINE void take_larger(pool_maximum *l, __m512 v, __m512 z, int place) {
    const __mmask16 take = _mm512_cmp_ps_mask(v, l->v, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    l->v = _mm512_mask_mov_ps(l->v, take, v);
    l->z = _mm512_mask_mov_ps(l->z, take, z);
    l->place = _mm512_mask_mov_epi32(l->place, take, _mm512_set1_epi32(place));
}

INLINE void store_place(const pool_maximum *l, uint8_t *to) {
    _mm_storeu_si128((void *)to, _mm512_cvtepi32_epi8(l->place));
}

INLINE void store(void *base, size_t at, __m512 v, bool bf16) {
    if (bf16)
        _mm256_storeu_si256((void *)((uint16_t *)base + at), (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_storeu_ps((float *)base + at, v);
}

#endif
