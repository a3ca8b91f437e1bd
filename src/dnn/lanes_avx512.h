/* lanes_avx512.h - vectors of 16 channels, for files of src/dnn that use AVX-512 where the processor has it.
 */
#ifndef MIXQ_DNN_LANES_AVX512_H
#define MIXQ_DNN_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

#ifndef LANES_TARGET /* a file may want more */
#define LANES_TARGET "avx512f,avx512bw,avx512vl"
#endif
#define AVX512      __attribute__((target(LANES_TARGET)))
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
