/* product_bytes.c - products of codes and whole weights by VNNI: rows of the result stay in registers as
 * int32 while the sum runs, are stored as float32 or int16, and are added up before they leave. */
#include "dnn/product.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <string.h>

#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512vnni"
#include "tensor/avx512.h"

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

/* `fours` times four rows. */
INLINE void add_to_squares(const __m256i *v, size_t fours, double *square) {
    __m512d q[2] = {_mm512_loadu_pd(square), _mm512_loadu_pd(square + LANES / 2)};
#pragma GCC unroll 3
    for (size_t i = 0; i < fours; i++) add_squares(v + 4 * i, q);
    _mm512_storeu_pd(square, q[0]);
    _mm512_storeu_pd(square + LANES / 2, q[1]);
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
    add_to_squares(half, (rows + 3) / 4, s->square + v * LANES);
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
    sums kept = {{0}, {0}}, *s = sum ? &kept : NULL;
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

/* ---- depthwise ---- */

enum { AT_ONCE = 4 /* positions */, TOGETHER = 16 };

/* Rows 4*group and following of a column of 16 channels, side by side in a word. */
INLINE __m512i column(const uint8_t *const *row, size_t at, size_t group, size_t rows) {
    const size_t count = rows - QUAD * group < QUAD ? rows - QUAD * group : QUAD;
    __m512i four = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (unsigned k = 0; k < count; k++) {
        const uint8_t *from = row[QUAD * group + k] + at;
        const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)from));
        four = _mm512_or_si512(four, _mm512_slli_epi32(wide, 8 * k));
    }
    return four;
}

/* `count` positions, at most AT_ONCE, from the columns that they meet. */
INLINE void give_positions(__m512i *z, size_t count, mq_product_out out, size_t at, size_t channels,
                           __m512i *sum, double *square) {
    __m256i half[AT_ONCE] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                             _mm256_setzero_si256()};
#pragma GCC unroll 4
    for (size_t i = 0; i < count; i++, at += channels) {
        if (!out.whole) {
            _mm512_storeu_ps((float *)out.values + at, _mm512_cvtepi32_ps(z[i]));
            continue;
        }
        half[i] = _mm512_cvtepi32_epi16(z[i]);
        _mm256_storeu_si256((void *)((int16_t *)out.values + at), half[i]);
        *sum = _mm512_add_epi32(*sum, z[i]);
    }
    if (out.whole && square) add_to_squares(half, 1, square);
}

enum { MOST_COLUMNS = 5, GROUPS = 2 };

/* `many` positions from x on; the columns before the last of the kernel's are in `seen`, and are left so for
 * the position behind. */
INLINE void positions(const mq_depthwise *d, size_t x, size_t many, size_t c, size_t rows, size_t columns,
                      const int8_t *w, mq_product_out out, __m512i seen[][GROUPS], __m512i *sum,
                      double *square) {
    const size_t groups = (rows + QUAD - 1) / QUAD, kept = columns - 1;
    __m512i z[AT_ONCE], all[MOST_COLUMNS - 1 + AT_ONCE][GROUPS];
#pragma GCC unroll 4
    for (size_t k = 0; k < kept; k++)
#pragma GCC unroll 2
        for (size_t g = 0; g < groups; g++) all[k][g] = seen[k][g];
#pragma GCC unroll 4
    for (size_t i = 0; i < many; i++) {
#pragma GCC unroll 2
        for (size_t g = 0; g < groups; g++)
            all[kept + i][g] = column(d->row, (x + kept + i) * d->channels + c, g, rows);
        z[i] = _mm512_setzero_si512();
#pragma GCC unroll 5
        for (size_t q = 0; q < columns; q++)
#pragma GCC unroll 2
            for (size_t g = 0; g < groups; g++)
                dot(&z[i], all[i + q][g], _mm512_loadu_si512(w + (q * groups + g) * sizeof(__m512i)));
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < kept; k++)
#pragma GCC unroll 2
        for (size_t g = 0; g < groups; g++) seen[k][g] = all[many + k][g];
    give_positions(z, many, out, x * d->channels + c, d->channels, sum, square);
}

/* One vector of channels, from the rows' bytes `c` on, of positions [x, end). */
INLINE void depthwise(const mq_depthwise *d, size_t x, size_t end, size_t c, size_t rows, size_t columns,
                      const int8_t *w, mq_product_out out, sums *s) {
    const size_t groups = (rows + QUAD - 1) / QUAD;
    __m512i seen[MOST_COLUMNS - 1][GROUPS], sum = _mm512_setzero_si512();
    double *square = s ? s->square : NULL;
#pragma GCC unroll 4
    for (size_t k = 0; k < columns - 1; k++)
#pragma GCC unroll 2
        for (size_t g = 0; g < groups; g++) seen[k][g] = column(d->row, (x + k) * d->channels + c, g, rows);
    for (; x + AT_ONCE <= end; x += AT_ONCE)
        positions(d, x, AT_ONCE, c, rows, columns, w, out, seen, &sum, square);
    for (; x < end; x++) positions(d, x, 1, c, rows, columns, w, out, seen, &sum, square);
    if (s) _mm512_storeu_si512(s->sum, sum);
}

bool mq_product_depthwise_fits(size_t rows, size_t columns) {
    return rows == columns && (rows == 3 || rows == 5);
}

/* All channels of some positions, so that what is read and written lies together. */
AVX512 void mq_product_depthwise(const mq_depthwise *d, const int8_t *w, mq_product_out out, double *sum,
                                 double *square) {
    const size_t each = d->columns * ((d->rows + QUAD - 1) / QUAD) * sizeof(__m512i);
    sums kept = {{0}, {0}}, *s = sum ? &kept : NULL;
    for (size_t x = 0; x < d->width; x += TOGETHER)
        for (size_t c = 0; c < d->channels; c += LANES) {
            const size_t end = x + TOGETHER < d->width ? x + TOGETHER : d->width;
            const int8_t *own = w + c / LANES * each;
            if (s) memset(s->square, 0, LANES * sizeof *s->square);
            if (d->rows == 3)
                depthwise(d, x, end, c, 3, 3, own, out, s);
            else
                depthwise(d, x, end, c, 5, 5, own, out, s);
            if (s) flush(s, LANES, sum + c, square + c);
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

bool mq_product_depthwise_fits(size_t rows, size_t columns) {
    (void)rows, (void)columns;
    return false;
}

void mq_product_depthwise(const mq_depthwise *d, const int8_t *w, mq_product_out out, double *sum,
                          double *square) {
    (void)d, (void)w, (void)out, (void)sum, (void)square;
}
#endif
