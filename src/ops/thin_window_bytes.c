/* thin_window_bytes.c - a 3x3 thin layer's sums and outputs of codes, by VNNI: exact, and in a third of the
 * time of float32's (thin_window_avx512.c). */
#include "ops/thin_window.h"

#include "ops/pooled_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni"
#include "ops/norm_avx512.h"

enum { BYTES = 64 /* in a vector */, QUAD = THIN_QUAD };

INLINE __mmask64 first_bytes(size_t count) {
    return count < BYTES ? ((__mmask64)1 << count) - 1 : ~(__mmask64)0;
}

/* ---- sums of products ---- */

/* Of x[i] and of x[j] less 128, as one factor has to have a sign; 128 times the sum of x[i] comes back, for
 * pixels outside the image, too, which are 0 and so -128. */
INLINE void add_products(const uint8_t *lines, size_t stride, size_t rows, size_t columns, size_t y, size_t d,
                         size_t in, const int *sum, double (*to)[THIN_CHANNELS]) {
    const size_t plane = (rows + 2) * stride;
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    __m512i all[THIN_CHANNELS][THIN_CHANNELS];
#pragma GCC unroll 3
    for (size_t i = 0; i < in; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < in; j++) all[i][j] = _mm512_setzero_si512();
    for (size_t r = 0; r < rows; r++)
        for (size_t x = 0; x < columns; x += BYTES) {
            const __mmask64 some = first_bytes(columns - x);
            const uint8_t *at = lines + r * stride + x + 2, *other = lines + (r + y) * stride + x + d;
            __m512i a[THIN_CHANNELS];
#pragma GCC unroll 3
            for (size_t i = 0; i < in; i++) a[i] = _mm512_maskz_loadu_epi8(some, at + i * plane);
#pragma GCC unroll 3
            for (size_t j = 0; j < in; j++) {
                const __m512i b = _mm512_xor_si512(_mm512_loadu_si512(other + j * plane), sign);
#pragma GCC unroll 3
                for (size_t i = 0; i < in; i++) dot(&all[i][j], a[i], b);
            }
        }
#pragma GCC unroll 3
    for (size_t i = 0; i < in; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < in; j++) to[i][j] += _mm512_reduce_add_epi32(all[i][j]) + 128.0 * sum[i];
}

AVX512 static int sum_of(const uint8_t *line, size_t stride, size_t rows, size_t columns) {
    const __m512i one = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    for (size_t r = 0; r < rows; r++, line += stride)
        for (size_t x = 0; x < columns; x += BYTES) {
            const __mmask64 some = first_bytes(columns - x);
            dot(&sum, _mm512_maskz_loadu_epi8(some, line + x), one);
        }
    return _mm512_reduce_add_epi32(sum);
}

AVX512 void thin_window_products_bytes(const uint8_t *lines, size_t stride, size_t rows, size_t columns,
                                       size_t in, thin_products *to) {
    int sum[THIN_CHANNELS];
    for (size_t i = 0; i < in; i++) {
        sum[i] = sum_of(lines + i * (rows + 2) * stride + 2, stride, rows, columns);
        to->sum[i] += sum[i];
    }
    for (size_t y = 0; y < THIN_SIDE; y++)
        for (size_t d = y ? 0 : THIN_DISTANCES / 2; d < THIN_DISTANCES; d++) {
            if (in == 1)
                add_products(lines, stride, rows, columns, y, d, 1, sum, to->dot[y][d]);
            else
                add_products(lines, stride, rows, columns, y, d, 3, sum, to->dot[y][d]);
        }
}

/* ---- z ---- */

/* A row of the kernel is `quads` times four bytes beside each other, behind its own with weights of 0. */
INLINE void forward(const pooled_norm *p, const uint8_t *rows, size_t stride, size_t windows, size_t at,
                    size_t in, size_t quads, norm_stored as) {
    const norm_forward *f = &p->forward;
    const size_t channels = (size_t)p->c;
    for (size_t c = 0; c < channels; c += LANES) {
        const __m512 mean = _mm512_loadu_ps(f->mean + c), a = _mm512_loadu_ps(f->a + c),
                     b = _mm512_loadu_ps(f->b + c);
        __m512i w[THIN_SIDE * THIN_CHANNELS];
#pragma GCC unroll 9
        for (size_t k = 0; k < THIN_SIDE * quads; k++)
            w[k] = _mm512_loadu_si512(p->thin->codes + (k * channels + c) * QUAD);
        for (size_t i = 0; i < windows; i++) {
            const uint8_t *corner = rows + 2 * i * in;
            __m512i z[THIN_TILE];
#pragma GCC unroll 4
            for (size_t place = 0; place < THIN_TILE; place++) {
                z[place] = _mm512_setzero_si512();
#pragma GCC unroll 9
                for (size_t k = 0; k < THIN_SIDE * quads; k++) {
                    const uint8_t *from =
                        corner + (place / 2 + k / quads) * stride + place % 2 * in + k % quads * QUAD;
                    int32_t four;
                    __builtin_memcpy(&four, from, sizeof four);
                    dot(&z[place], _mm512_set1_epi32(four), w[k]);
                }
            }
            pool_maximum most;
#pragma GCC unroll 4
            for (int place = 0; place < THIN_TILE; place++) {
                const __m512 real = _mm512_cvtepi32_ps(z[place]);
                const __m512 v = _mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(real, mean), a), b);
                if (place)
                    take_larger(&most, v, real, place);
                else
                    take_first(&most, v, real);
            }
            store_z(p->y, at + i * channels + c, most.z, as);
            store_place(&most, p->index + at + i * channels + c);
        }
    }
}

AVX512 void thin_window_forward_bytes(const pooled_norm *p, const uint8_t *rows, size_t stride,
                                      size_t windows, size_t at) {
    const bool whole = p->z.as == NORM_WHOLE;
    if (p->thin->in == 1)
        forward(p, rows, stride, windows, at, 1, 1, whole ? NORM_WHOLE : NORM_REAL);
    else if (whole)
        forward(p, rows, stride, windows, at, 3, 3, NORM_WHOLE);
    else
        forward(p, rows, stride, windows, at, 3, 3, NORM_REAL);
}

#else

void thin_window_products_bytes(const uint8_t *lines, size_t stride, size_t rows, size_t columns, size_t in,
                                thin_products *to) {
    (void)lines, (void)stride, (void)rows, (void)columns, (void)in, (void)to;
}

void thin_window_forward_bytes(const pooled_norm *p, const uint8_t *rows, size_t stride, size_t windows,
                               size_t at) {
    (void)p, (void)rows, (void)stride, (void)windows, (void)at;
}
#endif
