/* depthwise.c - rows of depthwise convolutions in AVX-512: the columns that a position meets stay in
 * registers, so that each element is read once; positions are taken a few at a time with all their channels,
 * so that what is read and written lies together. */
#include "dnn/depthwise.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512bf16"
#include "tensor/avx512.h"

enum { MOST = MQ_DEPTHWISE_MOST, TOGETHER = 16 /* positions */ };

bool mq_depthwise_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

/* 16 channels of column x of `rows` rows from `top` on. */
INLINE void column(const mq_depthwise_rows *in, ptrdiff_t x, size_t c, size_t top, size_t rows, mq_dtype type,
                   __m512 *out) {
    const bool inside = x >= 0 && (size_t)x < in->width;
#pragma GCC unroll 5
    for (size_t r = 0; r < rows; r++)
        out[r] = inside ? load(in->row[top + r], (size_t)x * in->channels + c, type) : _mm512_setzero_ps();
}

/* All columns of the kernel but the last. */
INLINE void first_columns(const mq_depthwise_rows *in, ptrdiff_t x, size_t c, size_t top, size_t rows,
                          size_t columns, mq_dtype type, __m512 seen[][MOST]) {
#pragma GCC unroll 4
    for (size_t q = 0; q + 1 < columns; q++) column(in, x + (ptrdiff_t)q, c, top, rows, type, seen[q]);
}

/* Moves them by one. */
INLINE void next(__m512 seen[][MOST], size_t rows, size_t columns) {
#pragma GCC unroll 4
    for (size_t q = 0; q + 1 < columns; q++)
#pragma GCC unroll 5
        for (size_t r = 0; r < rows; r++) seen[q][r] = seen[q + 1][r];
}

INLINE void row(const mq_depthwise_rows *in, ptrdiff_t first, const float *w, size_t x, size_t end, size_t c,
                size_t size, bool rounded, void *out) {
    __m512 seen[MOST][MOST];
    first_columns(in, (ptrdiff_t)x + first, c, 0, size, size, MQ_BF16, seen);
    for (; x < end; x++) {
        __m512 sum[MOST], all;
#pragma GCC unroll 5
        for (size_t r = 0; r < size; r++) sum[r] = _mm512_setzero_ps();
        column(in, (ptrdiff_t)(x + size - 1) + first, c, 0, size, MQ_BF16, seen[size - 1]);
#pragma GCC unroll 5
        for (size_t q = 0; q < size; q++)
#pragma GCC unroll 5
            for (size_t r = 0; r < size; r++) {
                const __m512 by = _mm512_loadu_ps(w + (q * size + r) * in->channels + c);
                sum[r] = _mm512_fmadd_ps(seen[q][r], by, sum[r]);
            }
        all = _mm512_setzero_ps();
#pragma GCC unroll 5
        for (size_t r = 0; r < size; r++) all = _mm512_add_ps(all, sum[r]);
        const size_t at = x * in->channels + c;
        if (rounded)
            _mm256_storeu_si256((void *)((uint16_t *)out + at), (__m256i)_mm512_cvtneps_pbh(all));
        else
            _mm512_storeu_ps((float *)out + at, all);
        next(seen, size, size);
    }
}

INLINE void rows(const mq_depthwise_rows *in, ptrdiff_t first, const float *w, size_t count, size_t size,
                 bool rounded, void *out) {
    for (size_t x = 0; x < count; x += TOGETHER)
        for (size_t c = 0; c < in->channels; c += LANES)
            row(in, first, w, x, x + TOGETHER < count ? x + TOGETHER : count, c, size, rounded, out);
}

AVX512 void mq_depthwise_row(const mq_depthwise_rows *in, ptrdiff_t first, const float *w, size_t count,
                             bool rounded, void *out) {
    if (in->size == 3)
        rows(in, first, w, count, 3, rounded, out);
    else
        rows(in, first, w, count, 5, rounded, out);
}

/* ---- the weights' gradient ---- */

/* Of `rows` rows of the kernel from `top` on, as many as leave room for their sums. */
INLINE void add_sums(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t x, size_t end,
                     size_t c, size_t top, size_t rows, size_t size, mq_dtype type, mq_dtype d_type,
                     float *sums) {
    __m512 seen[MOST][MOST], sum[MOST][MOST];
    float *const to = sums + top * size * in->channels + c;
#pragma GCC unroll 3
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 5
        for (size_t q = 0; q < size; q++) sum[r][q] = _mm512_loadu_ps(to + (r * size + q) * in->channels);
    first_columns(in, (ptrdiff_t)x + first, c, top, rows, size, type, seen);
    for (; x < end; x++) {
        const __m512 by = load(d, x * in->channels + c, d_type);
        column(in, (ptrdiff_t)(x + size - 1) + first, c, top, rows, type, seen[size - 1]);
#pragma GCC unroll 3
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 5
            for (size_t q = 0; q < size; q++) sum[r][q] = _mm512_fmadd_ps(seen[q][r], by, sum[r][q]);
        next(seen, rows, size);
    }
#pragma GCC unroll 3
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 5
        for (size_t q = 0; q < size; q++) _mm512_storeu_ps(to + (r * size + q) * in->channels, sum[r][q]);
}

INLINE void sums_of(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t count, mq_dtype type,
                    mq_dtype d_type, float *sums) {
    for (size_t x = 0; x < count; x += 2 * TOGETHER)
        for (size_t c = 0; c < in->channels; c += LANES) {
            const size_t end = x + 2 * TOGETHER < count ? x + 2 * TOGETHER : count;
            if (in->size == 3) {
                add_sums(in, first, d, x, end, c, 0, 3, 3, type, d_type, sums);
                continue;
            }
            add_sums(in, first, d, x, end, c, 0, 2, 5, type, d_type, sums);
            add_sums(in, first, d, x, end, c, 2, 2, 5, type, d_type, sums);
            add_sums(in, first, d, x, end, c, 4, 1, 5, type, d_type, sums);
        }
}

/* One of each pair of types. */
AVX512 static void sums_f32(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t count,
                            float *sums) {
    sums_of(in, first, d, count, MQ_F32, MQ_F32, sums);
}

AVX512 static void sums_bf16(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t count,
                             float *sums) {
    sums_of(in, first, d, count, MQ_BF16, MQ_BF16, sums);
}

AVX512 static void sums_codes_f32(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t count,
                                  float *sums) {
    sums_of(in, first, d, count, MQ_U8, MQ_F32, sums);
}

AVX512 static void sums_codes_bf16(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, size_t count,
                                   float *sums) {
    sums_of(in, first, d, count, MQ_U8, MQ_BF16, sums);
}

void mq_depthwise_sums(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, mq_dtype type,
                       size_t count, float *sums) {
    if (in->type == MQ_U8)
        (type == MQ_F32 ? sums_codes_f32 : sums_codes_bf16)(in, first, d, count, sums);
    else
        (type == MQ_F32 ? sums_f32 : sums_bf16)(in, first, d, count, sums);
}

#else

bool mq_depthwise_supported(void) {
    return false;
}

/* Nobody calls these where it is not supported. */
void mq_depthwise_row(const mq_depthwise_rows *in, ptrdiff_t first, const float *w, size_t count,
                      bool rounded, void *out) {
    (void)in, (void)first, (void)w, (void)count, (void)rounded, (void)out;
}

void mq_depthwise_sums(const mq_depthwise_rows *in, ptrdiff_t first, const void *d, mq_dtype type,
                       size_t count, float *sums) {
    (void)in, (void)first, (void)d, (void)type, (void)count, (void)sums;
}
#endif
