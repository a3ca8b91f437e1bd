/* product_bytes.c - products of codes and whole weights by VNNI: rows of the result stay in registers as
 * int32 while the sum runs, are stored as float32 or int16, and are added up before they leave. */
#include "dnn/product.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <string.h>

#define LANES_TARGET "avx512f,avx512bw,avx512vl,avx512vnni"
#include "dnn/lanes_avx512.h"

enum { MOST_ROWS = 12, QUAD = 4 /* bytes that are summed at once */ };

bool mq_product_bytes_supported(void) {
    return mq_product_supported(false) && __builtin_cpu_supports("avx512vnni");
}

/* Sums of a panel's columns: of the result exact in int32; of its squares elements 0..3 and 8..11 of a vector
 * come first, then the others. */
typedef struct sums {
    int32_t sum[MQ_PRODUCT_PANEL];
    double square[MQ_PRODUCT_PANEL];
} sums;

/* Squares of four rows are added in 32 bits without a sign: the largest sum is 4 * 32767^2. */
INLINE void add_squares(const __m256i *v, double *square) {
    const __m256i first = _mm256_unpacklo_epi16(v[0], v[1]), second = _mm256_unpackhi_epi16(v[0], v[1]);
    const __m256i third = _mm256_unpacklo_epi16(v[2], v[3]), fourth = _mm256_unpackhi_epi16(v[2], v[3]);
    const __m256i some = _mm256_add_epi32(_mm256_madd_epi16(first, first), _mm256_madd_epi16(third, third));
    const __m256i other =
        _mm256_add_epi32(_mm256_madd_epi16(second, second), _mm256_madd_epi16(fourth, fourth));
    _mm512_storeu_pd(square, _mm512_add_pd(_mm512_loadu_pd(square), _mm512_cvtepu32_pd(some)));
    _mm512_storeu_pd(square + 8, _mm512_add_pd(_mm512_loadu_pd(square + 8), _mm512_cvtepu32_pd(other)));
}

INLINE void give_whole(__m512i z[MOST_ROWS][4], size_t rows, size_t v, int16_t *out, size_t columns,
                       sums *s) {
    __m256i half[MOST_ROWS + 3];
    __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
        half[r] = _mm512_cvtepi32_epi16(z[r][v]);
        _mm256_storeu_si256((void *)(out + r * columns), half[r]);
    }
    if (!s) return;
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) sum = _mm512_add_epi32(sum, z[r][v]);
#pragma GCC unroll 3
    for (size_t r = rows; r < rows + 3; r++) half[r] = _mm256_setzero_si256();
    int32_t *const at = s->sum + v * LANES;
    _mm512_storeu_si512(at, _mm512_add_epi32(_mm512_loadu_si512(at), sum));
#pragma GCC unroll 3
    for (size_t r = 0; r < rows; r += 4) add_squares(half + r, s->square + v * LANES);
}

/* As _mm512_dpbusd_epi32, with which gcc 12 copies every sum to another register and onto the stack. */
INLINE void dot(__m512i *z, __m512i left, __m512i right) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*z) : "v"(left), "v"(right));
}

/* `rows` positions of `vectors` vectors of channels, whose weights lie side by side. */
INLINE void block(const mq_bytes *a, size_t first, const int8_t *b, size_t rows, size_t vectors,
                  mq_product_out out, size_t columns, sums *s) {
    __m512i z[MOST_ROWS][4];
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) z[r][v] = _mm512_setzero_si512();
    for (size_t k = 0; k < a->parts; k++) {
        const uint8_t *at = a->part[k] + first * a->step;
        for (size_t i = 0; i < a->depth; i++, at += QUAD) {
            __m512i right[4];
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++, b += sizeof(__m512i)) right[v] = _mm512_loadu_si512(b);
#pragma GCC unroll 12
            for (size_t r = 0; r < rows; r++) {
                int32_t four;
                memcpy(&four, at + r * a->step, sizeof four);
                const __m512i left = _mm512_set1_epi32(four);
#pragma GCC unroll 4
                for (size_t v = 0; v < vectors; v++) dot(&z[r][v], left, right[v]);
            }
        }
    }
    if (out.whole) {
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            give_whole(z, rows, v, (int16_t *)out.values + first * columns + v * LANES, columns, s);
        return;
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            _mm512_storeu_ps((float *)out.values + (first + r) * columns + v * LANES,
                             _mm512_cvtepi32_ps(z[r][v]));
}

INLINE void panel(const mq_bytes *a, const int8_t *b, size_t rows, size_t vectors, mq_product_out out,
                  size_t columns, sums *s) {
    size_t r = 0;
    for (; vectors < 3 && r + 12 <= rows; r += 12) block(a, r, b, 12, vectors, out, columns, s);
    for (; r + 6 <= rows; r += 6) block(a, r, b, 6, vectors, out, columns, s);
    for (; r + 4 <= rows; r += 4) block(a, r, b, 4, vectors, out, columns, s);
    for (; r + 2 <= rows; r += 2) block(a, r, b, 2, vectors, out, columns, s);
    if (r < rows) block(a, r, b, 1, vectors, out, columns, s);
}

INLINE void flush(const sums *s, size_t columns, double *sum, double *square) {
    for (size_t c = 0; c < columns; c += LANES) {
        const __m512d q[2] = {_mm512_loadu_pd(s->square + c), _mm512_loadu_pd(s->square + c + 8)};
        for (size_t h = 0; h < 2; h++) {
            const __m512d more = _mm512_cvtepi32_pd(_mm256_loadu_si256((const void *)(s->sum + c + 8 * h)));
            const __m512d squares =
                h ? _mm512_shuffle_f64x2(q[0], q[1], 0xee) : _mm512_shuffle_f64x2(q[0], q[1], 0x44);
            double *const to[] = {sum + c + 8 * h, square + c + 8 * h};
            _mm512_storeu_pd(to[0], _mm512_add_pd(_mm512_loadu_pd(to[0]), more));
            _mm512_storeu_pd(to[1], _mm512_add_pd(_mm512_loadu_pd(to[1]), squares));
        }
    }
}

AVX512 void mq_product_bytes(const mq_bytes *a, const int8_t *b, size_t rows, size_t columns,
                             mq_product_out out, double *sum, double *square) {
    const size_t element = out.whole ? sizeof(int16_t) : sizeof(float);
    sums kept, *s = sum ? &kept : NULL;
    for (size_t k = 0; k < columns; k += MQ_PRODUCT_PANEL) {
        const size_t wide = mq_product_panel(columns, k);
        const int8_t *right = b + k * QUAD * a->parts * a->depth;
        const mq_product_out there = {(char *)out.values + k * element, out.whole};
        if (s) memset(s, 0, sizeof *s);
        switch (wide / LANES) {
        case 1:
            panel(a, right, rows, 1, there, columns, s);
            break;
        case 2:
            panel(a, right, rows, 2, there, columns, s);
            break;
        case 3:
            panel(a, right, rows, 3, there, columns, s);
            break;
        default:
            panel(a, right, rows, 4, there, columns, s);
            break;
        }
        if (s) flush(s, wide, sum + k, square + k);
    }
}

#else

bool mq_product_bytes_supported(void) {
    return false;
}

/* Nobody calls it where it is not supported. */
void mq_product_bytes(const mq_bytes *a, const int8_t *b, size_t rows, size_t columns, mq_product_out out,
                      double *sum, double *square) {
    (void)a, (void)b, (void)rows, (void)columns, (void)out, (void)sum, (void)square;
}
#endif
