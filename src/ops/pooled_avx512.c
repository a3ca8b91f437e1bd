/* pooled_avx512.c - pooled_norm.c's passes of training with AVX-512, for channels in whole vectors of 16: the
 * same operations in the same order, so the same bits. */
#include "ops/pooled_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "ops/norm_avx512.h"

enum { AHEAD = 1024 /* elements fetched ahead of what is read */ };

bool pooled_norm_avx512(const pooled_norm *p) {
    return norm_avx512((size_t)p->c);
}

/* A position of a window is `row` rows and `column` pixels from its first, of whose z `at` is the place. */
INLINE size_t place(const pooled_norm *p, size_t at, int kernel, int row, int column) {
    return at + ((size_t)row * (size_t)(p->w * kernel) + (size_t)column) * (size_t)p->c;
}

INLINE __m512 normalised(const norm_forward *f, __m512 z, size_t c) {
    const __m512 d = _mm512_sub_ps(z, _mm512_loadu_ps(f->mean + c));
    return _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
}

INLINE void forward(const pooled_norm *p, size_t row, norm_stored as, int kernel) {
    const norm_forward *f = &p->forward;
    const size_t channels = (size_t)p->c, k = (size_t)kernel;
    for (size_t column = 0; column < (size_t)p->w; column++) {
        const size_t out = (row * (size_t)p->w + column) * channels;
        const size_t first = (row * k * (size_t)p->w + column) * k * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            const __m512 z0 = load_z(p->z, first + c, as);
            pool_maximum most;
            take_first(&most, normalised(f, z0, c), z0);
#pragma GCC unroll 2
            for (int y = 0; y < kernel; y++)
#pragma GCC unroll 2
                for (int x = 0; x < kernel; x++) {
                    const int i = y * kernel + x;
                    if (i == 0) continue;
                    const size_t at = place(p, first, kernel, y, x) + c;
                    fetch_z(p->z, at + AHEAD, as);
                    const __m512 z = load_z(p->z, at, as);
                    take_larger(&most, normalised(f, z, c), z, i);
                }
            store_z(p->y, out + c, as != NORM_REAL || p->keep_z ? most.z : most.v, as);
            store_place(&most, p->index + out + c);
        }
    }
}

/* Each with code of its own for pools of 2x2. */
AVX512 static void forward_real(const pooled_norm *p, size_t row) {
    if (p->kernel == 2)
        forward(p, row, NORM_REAL, 2);
    else
        forward(p, row, NORM_REAL, p->kernel);
}

AVX512 static void forward_whole(const pooled_norm *p, size_t row) {
    forward(p, row, NORM_WHOLE, p->kernel);
}

AVX512 static void forward_rounded(const pooled_norm *p, size_t row) {
    if (p->kernel == 2)
        forward(p, row, NORM_ROUNDED, 2);
    else
        forward(p, row, NORM_ROUNDED, p->kernel);
}

/* Whether the normalised values of whole z of 16 bits are in the order of z, or all in the opposite one, no
 * two of them equal: one step of z, |a|, is then more than what rounding does, 2^-6 |a| + 2^-24 |b| each. */
INLINE bool ordered(const norm_forward *f, size_t channels) {
    const __m512 least = _mm512_set1_ps(0x1p-22f);
    __mmask16 all = 0xffff;
    for (size_t c = 0; c < channels; c += LANES)
        all &= _mm512_cmp_ps_mask(_mm512_abs_ps(_mm512_loadu_ps(f->a + c)),
                                  _mm512_mul_ps(least, _mm512_abs_ps(_mm512_loadu_ps(f->b + c))), _CMP_GT_OQ);
    return all == 0xffff;
}

/* Of whole z in order, the maxima by their z. */
INLINE void forward_ordered(const pooled_norm *p, size_t row, int kernel) {
    const size_t channels = (size_t)p->c, k = (size_t)kernel;
    const int16_t *z = p->z.values;
    for (size_t column = 0; column < (size_t)p->w; column++) {
        const size_t out = (row * (size_t)p->w + column) * channels;
        const size_t first = (row * k * (size_t)p->w + column) * k * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            const __m256i turned = _mm256_movm_epi16(
                _mm512_cmp_ps_mask(_mm512_loadu_ps(p->forward.a + c), _mm512_setzero_ps(), _CMP_LT_OQ));
            __m256i best = _mm256_set1_epi16(INT16_MIN), index = _mm256_setzero_si256();
#pragma GCC unroll 2
            for (int y = 0; y < kernel; y++)
#pragma GCC unroll 2
                for (int x = 0; x < kernel; x++) {
                    const int i = y * kernel + x;
                    const size_t at = place(p, first, kernel, y, x) + c;
                    fetch_z(p->z, at + AHEAD, NORM_WHOLE);
                    const __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const void *)(z + at)), turned);
                    const __mmask16 take = _mm256_cmpgt_epi16_mask(v, best);
                    best = _mm256_max_epi16(best, v);
                    index = _mm256_mask_mov_epi16(index, take, _mm256_set1_epi16((short)i));
                }
            _mm256_storeu_si256((void *)((int16_t *)p->y + out + c), _mm256_xor_si256(best, turned));
            _mm_storeu_si128((void *)(p->index + out + c), _mm256_cvtepi16_epi8(index));
        }
    }
}

AVX512 void pooled_norm_forward_avx512(const pooled_norm *p, size_t row) {
    static void (*const of[])(const pooled_norm *, size_t) = {
        [NORM_REAL] = forward_real, [NORM_WHOLE] = forward_whole, [NORM_ROUNDED] = forward_rounded};
    if (p->z.as != NORM_WHOLE || !ordered(&p->forward, (size_t)p->c))
        of[p->z.as](p, row);
    else if (p->kernel == 2)
        forward_ordered(p, row, 2);
    else
        forward_ordered(p, row, p->kernel);
}

INLINE void gradient(const pooled_norm *p, size_t row, int column, int columns, const float *dy, void *out,
                     bool bf16, norm_stored as, int kernel) {
    const norm_backward *f = &p->backward;
    const size_t channels = (size_t)p->c, k = (size_t)kernel;
    for (const int end = column + columns; column < end; column++, dy += channels) {
        const size_t small = (row * (size_t)p->w + (size_t)column) * channels;
        const size_t first = (row * k * (size_t)p->w + (size_t)column) * k * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            const __m512 b = _mm512_loadu_ps(f->b + c), slope = _mm512_loadu_ps(f->slope + c);
            const __m512 mean = _mm512_loadu_ps(f->mean + c);
            const __m512 own = _mm512_mul_ps(_mm512_loadu_ps(f->a + c), _mm512_loadu_ps(dy + c));
            const __m512 largest = _mm512_sub_ps(own, b), other = _mm512_sub_ps(_mm512_setzero_ps(), b);
            const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p->index + small + c)));
#pragma GCC unroll 2
            for (int y = 0; y < kernel; y++)
#pragma GCC unroll 2
                for (int x = 0; x < kernel; x++) {
                    const int i = y * kernel + x;
                    const size_t at = place(p, first, kernel, y, x) + c;
                    fetch_z(p->z, at + AHEAD, as);
                    const __mmask16 here = _mm512_cmpeq_epi32_mask(index, _mm512_set1_epi32(i));
                    const __m512 away = _mm512_sub_ps(load_z(p->z, at, as), mean);
                    store(out, at,
                          _mm512_sub_ps(_mm512_mask_mov_ps(other, here, largest), _mm512_mul_ps(slope, away)),
                          bf16);
                }
        }
    }
}

INLINE void gradient_of(const pooled_norm *p, size_t row, int column, int columns, const float *dy, void *out,
                        bool bf16, norm_stored as) {
    if (p->kernel == 2)
        gradient(p, row, column, columns, dy, out, bf16, as, 2);
    else
        gradient(p, row, column, columns, dy, out, bf16, as, p->kernel);
}

AVX512 static void gradient_f32(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                void *out) {
    if (p->z.as == NORM_WHOLE)
        gradient_of(p, row, column, columns, dy, out, false, NORM_WHOLE);
    else if (p->z.as == NORM_ROUNDED)
        gradient_of(p, row, column, columns, dy, out, false, NORM_ROUNDED);
    else
        gradient_of(p, row, column, columns, dy, out, false, NORM_REAL);
}

AVX512 static void gradient_bf16(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                 void *out) {
    if (p->z.as == NORM_WHOLE)
        gradient_of(p, row, column, columns, dy, out, true, NORM_WHOLE);
    else if (p->z.as == NORM_ROUNDED)
        gradient_of(p, row, column, columns, dy, out, true, NORM_ROUNDED);
    else
        gradient_of(p, row, column, columns, dy, out, true, NORM_REAL);
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
