/* pooled_avx512.c - pooled_norm.c's passes of training with AVX-512, for channels in whole vectors of 16: the
 * same operations in the same order, so the same bits. */
#include "ops/pooled_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bf16")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum { LANES = 16, AHEAD = 1024 /* elements fetched ahead of what is read */ };

bool pooled_norm_avx512(const pooled_norm *p) {
    return norm_avx512((size_t)p->c);
}

/* A position of a window is `row` rows and `column` pixels from its first, of whose z `at` is the place. */
INLINE size_t place(const pooled_norm *p, size_t at, int row, int column) {
    return at + ((size_t)row * (size_t)(p->w * p->kernel) + (size_t)column) * (size_t)p->c;
}

INLINE __m512 normalised(const norm_forward *f, __m512 z, size_t c) {
    const __m512 d = _mm512_sub_ps(z, _mm512_loadu_ps(f->mean + c));
    return _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
}

AVX512 void pooled_norm_forward_avx512(const pooled_norm *p, size_t row) {
    const norm_forward *f = &p->forward;
    const size_t channels = (size_t)p->c, k = (size_t)p->kernel;
    for (size_t column = 0; column < (size_t)p->w; column++) {
        const size_t out = (row * (size_t)p->w + column) * channels;
        const size_t first = (row * k * (size_t)p->w + column) * k * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            __m512 kept = _mm512_loadu_ps(p->z + first + c), best = normalised(f, kept, c);
            __m512i index = _mm512_setzero_si512();
            for (int y = 0, i = 0; y < p->kernel; y++)
                for (int x = 0; x < p->kernel; x++, i++) {
                    if (i == 0) continue;
                    const float *at = p->z + place(p, first, y, x) + c;
                    _mm_prefetch((const char *)(at + AHEAD), _MM_HINT_T0);
                    const __m512 z = _mm512_loadu_ps(at);
                    const __m512 v = normalised(f, z, c);
                    const __mmask16 take =
                        _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
                    best = _mm512_mask_mov_ps(best, take, v);
                    kept = _mm512_mask_mov_ps(kept, take, z);
                    index = _mm512_mask_mov_epi32(index, take, _mm512_set1_epi32(i));
                }
            _mm512_storeu_ps(p->y + out + c, p->keep_z ? kept : best);
            _mm_storeu_si128((void *)(p->index + out + c), _mm512_cvtepi32_epi8(index));
        }
    }
}

INLINE void store(void *base, size_t at, __m512 v, bool bf16) {
    if (bf16)
        _mm256_storeu_si256((void *)((uint16_t *)base + at), (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_storeu_ps((float *)base + at, v);
}

INLINE void gradient(const pooled_norm *p, size_t row, int column, int columns, const float *dy, void *out,
                     bool bf16) {
    const norm_backward *f = &p->backward;
    const size_t channels = (size_t)p->c, k = (size_t)p->kernel;
    for (const int end = column + columns; column < end; column++, dy += channels) {
        const size_t small = (row * (size_t)p->w + (size_t)column) * channels;
        const size_t first = (row * k * (size_t)p->w + (size_t)column) * k * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            const __m512 b = _mm512_loadu_ps(f->b + c), slope = _mm512_loadu_ps(f->slope + c);
            const __m512 mean = _mm512_loadu_ps(f->mean + c);
            const __m512 own = _mm512_mul_ps(_mm512_loadu_ps(f->a + c), _mm512_loadu_ps(dy + c));
            const __m512 largest = _mm512_sub_ps(own, b), other = _mm512_sub_ps(_mm512_setzero_ps(), b);
            const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p->index + small + c)));
            for (int y = 0, i = 0; y < p->kernel; y++)
                for (int x = 0; x < p->kernel; x++, i++) {
                    const size_t at = place(p, first, y, x) + c;
                    _mm_prefetch((const char *)(p->z + at + AHEAD), _MM_HINT_T0);
                    const __mmask16 here = _mm512_cmpeq_epi32_mask(index, _mm512_set1_epi32(i));
                    const __m512 away = _mm512_sub_ps(_mm512_loadu_ps(p->z + at), mean);
                    store(out, at,
                          _mm512_sub_ps(_mm512_mask_mov_ps(other, here, largest), _mm512_mul_ps(slope, away)),
                          bf16);
                }
        }
    }
}

AVX512 static void gradient_f32(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                void *out) {
    gradient(p, row, column, columns, dy, out, false);
}

AVX512 static void gradient_bf16(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                 void *out) {
    gradient(p, row, column, columns, dy, out, true);
}

void pooled_norm_gradient_avx512(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                 void *out, mq_dtype type) {
    if (type == MQ_F32)
        gradient_f32(p, row, column, columns, dy, out);
    else
        gradient_bf16(p, row, column, columns, dy, out);
}

#else

bool pooled_norm_avx512(const pooled_norm *p) {
    (void)p;
    return false;
}

void pooled_norm_forward_avx512(const pooled_norm *p, size_t row) {
    (void)p, (void)row;
}

void pooled_norm_gradient_avx512(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                 void *out, mq_dtype type) {
    (void)p, (void)row, (void)column, (void)columns, (void)dy, (void)out, (void)type;
}
#endif
