/* avx512.h - vectors of 16 elements, for files that use AVX-512 where the processor has it: what their
 * functions are declared with, loads of tensors' types, and what several need. */
#ifndef MIXQ_TENSOR_AVX512_H
#define MIXQ_TENSOR_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

#ifndef AVX512_TARGET /* a file may want more */
#define AVX512_TARGET "avx512f,avx512bw,avx512vl"
#endif
#define AVX512      __attribute__((target(AVX512_TARGET)))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define INLINE      static inline __attribute__((always_inline)) AVX512

enum { LANES = 16 };

/* Elements at[c..c+15], float32, bfloat16 or codes (uint8). */
INLINE __m512 load(const void *at, size_t c, mq_dtype type) {
    if (type == MQ_F32) return _mm512_loadu_ps((const float *)at + c);
    if (type == MQ_U8)
        return _mm512_cvtepi32_ps(
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)((const uint8_t *)at + c))));
    const __m256i half = _mm256_loadu_si256((const void *)((const uint16_t *)at + c));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

INLINE __m512 load_either(const void *at, size_t c, bool bf16) {
    return load(at, c, bf16 ? MQ_BF16 : MQ_F32);
}

/* The same of some lanes, the others 0: of the first `count`, for one. */
INLINE __mmask16 first_lanes(size_t count) {
    return count < LANES ? (__mmask16)((1u << count) - 1u) : (__mmask16)0xffff;
}

INLINE __m512 load_some(const void *at, size_t c, mq_dtype type, __mmask16 some) {
    if (type == MQ_F32) return _mm512_maskz_loadu_ps(some, (const float *)at + c);
    if (type == MQ_U8)
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, (const uint8_t *)at + c)));
    const __m256i half = _mm256_maskz_loadu_epi16(some, (const uint16_t *)at + c);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* The halves of a vector. */
INLINE __m512d low(__m512 v) {
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

INLINE __m512d high(__m512 v) {
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
}

/* at[0..7] += v, float64. */
INLINE void add_to(double *at, __m512d v) {
    _mm512_storeu_pd(at, _mm512_add_pd(_mm512_loadu_pd(at), v));
}

/* Squares of whole numbers of four rows, 16 bits each, are added in 32 bits without a sign: the largest sum
 * is 4 * 32767^2. Elements 0..3 and 8..11 of a row come first, then the others. */
INLINE void add_squares(const __m256i *v, __m512d *q) {
    const __m256i first = _mm256_unpacklo_epi16(v[0], v[1]), second = _mm256_unpackhi_epi16(v[0], v[1]);
    const __m256i third = _mm256_unpacklo_epi16(v[2], v[3]), fourth = _mm256_unpackhi_epi16(v[2], v[3]);
    const __m256i some = _mm256_add_epi32(_mm256_madd_epi16(first, first), _mm256_madd_epi16(third, third));
    const __m256i other =
        _mm256_add_epi32(_mm256_madd_epi16(second, second), _mm256_madd_epi16(fourth, fourth));
    q[0] = _mm512_add_pd(q[0], _mm512_cvtepu32_pd(some));
    q[1] = _mm512_add_pd(q[1], _mm512_cvtepu32_pd(other));
}

/* As _mm512_dpbusd_epi32 (with AVX512_VNNI), around which gcc 12 copies every sum to another register. */
INLINE void dot(__m512i *z, __m512i left, __m512i right) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*z) : "v"(left), "v"(right));
}

/* to[i] has lane i of each from[.]. */
INLINE void transpose(const __m512 *from, __m512 *to) {
    __m512 t[LANES], u[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_ps(from[i], from[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(from[i], from[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512 even0 = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88),
                     odd0 = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xdd),
                     even1 = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88),
                     odd1 = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xdd);
        to[i] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        to[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        to[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        to[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
}

#endif
