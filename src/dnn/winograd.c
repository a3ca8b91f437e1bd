/* winograd.c - transforms of F(4x4, 3x3) in AVX-512: 16 channels in a vector. */
#include "dnn/winograd.h"

#include "dnn/product.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "tensor/avx512.h"

enum { OUT = MQ_WINOGRAD_OUT, IN = MQ_WINOGRAD_IN, SIDE = 3 };

INLINE __m512 times(__m512 v, float by) {
    return _mm512_mul_ps(v, _mm512_set1_ps(by));
}

/* sum + v*by */
INLINE __m512 plus(__m512 sum, __m512 v, float by) {
    return _mm512_fmadd_ps(v, _mm512_set1_ps(by), sum);
}

/* ---- one dimension; vectors `step` apart ---- */

/* B^T, 6 to 6 */
INLINE void source_line(const __m512 *d, size_t step, __m512 *out, size_t out_step) {
    const __m512 d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
                 d5 = d[5 * step];
    const __m512 even = plus(d4, d2, -4), odd = plus(d3, d1, -4);
    const __m512 near = _mm512_sub_ps(d4, d2), far = _mm512_sub_ps(d3, d1);
    out[0] = plus(plus(d4, d2, -5), d0, 4);
    out[out_step] = _mm512_add_ps(even, odd);
    out[2 * out_step] = _mm512_sub_ps(even, odd);
    out[3 * out_step] = plus(near, far, 2);
    out[4 * out_step] = plus(near, far, -2);
    out[5 * out_step] = plus(plus(d5, d3, -5), d1, 4);
}

/* A^T, 6 to 4 */
INLINE void result_line(const __m512 *m, size_t step, __m512 *out, size_t out_step) {
    const __m512 sum1 = _mm512_add_ps(m[step], m[2 * step]), sum2 = _mm512_add_ps(m[3 * step], m[4 * step]);
    const __m512 less1 = _mm512_sub_ps(m[step], m[2 * step]), less2 = _mm512_sub_ps(m[3 * step], m[4 * step]);
    out[0] = _mm512_add_ps(_mm512_add_ps(m[0], sum1), sum2);
    out[out_step] = plus(less1, less2, 2);
    out[2 * out_step] = plus(sum1, sum2, 4);
    out[3 * out_step] = _mm512_add_ps(plus(less1, less2, 8), m[5 * step]);
}

/* A, 4 to 6 */
INLINE void target_line(const __m512 *e, size_t step, __m512 *out, size_t out_step) {
    const __m512 e0 = e[0], e1 = e[step], e2 = e[2 * step], e3 = e[3 * step];
    const __m512 even = _mm512_add_ps(e0, e2), odd = _mm512_add_ps(e1, e3);
    const __m512 even2 = plus(e0, e2, 4), odd2 = plus(times(e1, 2), e3, 8);
    out[0] = e0;
    out[out_step] = _mm512_add_ps(even, odd);
    out[2 * out_step] = _mm512_sub_ps(even, odd);
    out[3 * out_step] = _mm512_add_ps(even2, odd2);
    out[4 * out_step] = _mm512_sub_ps(even2, odd2);
    out[5 * out_step] = e3;
}

/* Row y of G, times g */
INLINE __m512 weights_at(__m512 g0, __m512 g1, __m512 g2, size_t y) {
    if (y == 0) return times(g0, 0.25f);
    if (y == 5) return g2;
    if (y < 3) return plus(times(_mm512_add_ps(g0, g2), -1.0f / 6), g1, y == 1 ? -1.0f / 6 : 1.0f / 6);
    return plus(times(plus(g0, g2, 4), 1.0f / 24), g1, y == 3 ? 1.0f / 12 : -1.0f / 12);
}

/* G^T, 6 to 3 */
INLINE void gradient_line(const __m512 *u, size_t step, __m512 *out, size_t out_step) {
    const __m512 sum1 = _mm512_add_ps(u[step], u[2 * step]), sum2 = _mm512_add_ps(u[3 * step], u[4 * step]);
    const __m512 less1 = _mm512_sub_ps(u[2 * step], u[step]), less2 = _mm512_sub_ps(u[3 * step], u[4 * step]);
    out[0] = plus(plus(times(u[0], 0.25f), sum1, -1.0f / 6), sum2, 1.0f / 24);
    out[out_step] = plus(times(less1, 1.0f / 6), less2, 1.0f / 12);
    out[2 * out_step] = _mm512_add_ps(times(_mm512_sub_ps(sum2, sum1), 1.0f / 6), u[5 * step]);
}

/* ---- tiles ---- */

/* 16 channels of size x size positions into the 36 planes: B^T d B of 6, A e A^T of 4. */
INLINE void spread(const void *const *at, size_t size, size_t c, mq_dtype type, float *to, size_t plane) {
    __m512 line[IN], half[IN * IN];
#pragma GCC unroll 6
    for (size_t x = 0; x < size; x++) {
#pragma GCC unroll 6
        for (size_t y = 0; y < size; y++) line[y] = load(at[y * size + x], c, type);
        if (size == IN)
            source_line(line, 1, half + x, size);
        else
            target_line(line, 1, half + x, size);
    }
#pragma GCC unroll 6
    for (size_t y = 0; y < IN; y++) {
        if (size == IN)
            source_line(half + y * size, 1, line, 1);
        else
            target_line(half + y * size, 1, line, 1);
#pragma GCC unroll 6
        for (size_t x = 0; x < IN; x++) _mm512_storeu_ps(to + (y * IN + x) * plane, line[x]);
    }
}

AVX512 void mq_winograd_source(const void *const *at, mq_dtype type, size_t channels, float *v,
                               size_t plane) {
    if (type == MQ_F32)
        for (size_t c = 0; c < channels; c += LANES) spread(at, IN, c, MQ_F32, v + c, plane);
    else if (type == MQ_BF16)
        for (size_t c = 0; c < channels; c += LANES) spread(at, IN, c, MQ_BF16, v + c, plane);
    else
        for (size_t c = 0; c < channels; c += LANES) spread(at, IN, c, MQ_U8, v + c, plane);
}

AVX512 void mq_winograd_target(const void *const *at, mq_dtype type, size_t channels, size_t tiles,
                               size_t tile, float *z, size_t plane) {
    for (size_t c = 0; c < channels; c += LANES) {
        float *const to = z + mq_product_at(tiles, channels, tile, c);
        if (type == MQ_BF16)
            spread(at, OUT, c, MQ_BF16, to, plane);
        else
            spread(at, OUT, c, MQ_F32, to, plane);
    }
}

/* out[4][4] */
INLINE void result_tile(const float *m, size_t plane, __m512 *out) {
    __m512 line[IN], half[OUT * IN];
#pragma GCC unroll 6
    for (size_t x = 0; x < IN; x++) {
#pragma GCC unroll 6
        for (size_t y = 0; y < IN; y++) line[y] = _mm512_loadu_ps(m + (y * IN + x) * plane);
        result_line(line, 1, half + x, IN);
    }
#pragma GCC unroll 4
    for (size_t y = 0; y < OUT; y++) result_line(half + y * IN, 1, out + y * OUT, 1);
}

AVX512 static void result_f32(const float *m, size_t plane, size_t channels, void *const *at) {
    for (size_t c = 0; c < channels; c += LANES) {
        __m512 out[OUT * OUT];
        result_tile(m + c, plane, out);
#pragma GCC unroll 16
        for (size_t i = 0; i < OUT * OUT; i++) _mm512_storeu_ps((float *)at[i] + c, out[i]);
    }
}

AVX512_BF16 static void result_bf16(const float *m, size_t plane, size_t channels, void *const *at) {
    for (size_t c = 0; c < channels; c += LANES) {
        __m512 out[OUT * OUT];
        result_tile(m + c, plane, out);
#pragma GCC unroll 16
        for (size_t i = 0; i < OUT * OUT; i++)
            _mm256_storeu_si256((void *)((uint16_t *)at[i] + c), (__m256i)_mm512_cvtneps_pbh(out[i]));
    }
}

void mq_winograd_result(const float *m, size_t plane, size_t channels, bool bf16, void *const *at) {
    (bf16 ? result_bf16 : result_f32)(m, plane, channels, at);
}

/* ---- weights ---- */

enum { TAPS = MQ_WINOGRAD_TAPS, SPAN = TAPS * LANES /* taps of 16 channels side by side */ };

/* w [out][in][3][3]: 16 rows of 16 channels in, whose taps lie side by side. */
AVX512 static void taps_forward(const float *w, size_t in, size_t k, size_t c, float *taps, size_t row,
                                size_t plane) {
#pragma GCC unroll 9
    for (size_t p = 0; p < SPAN; p += LANES) {
        __m512 rows[LANES], columns[LANES];
#pragma GCC unroll 16
        for (size_t lane = 0; lane < LANES; lane++)
            rows[lane] = _mm512_loadu_ps(w + ((k + lane) * in + c) * TAPS + p);
        transpose(rows, columns);
#pragma GCC unroll 16
        for (size_t i = 0; i < LANES; i++)
            _mm512_storeu_ps(taps + (p + i) % TAPS * plane + (p + i) / TAPS * row, columns[i]);
    }
}

/* Of 16 groups of 9 numbers side by side number t of each, for all t. Number p of vector s belongs to t = (16
 * s + p) mod 9; of vector a, which is 4 a mod 9, hence to a + p. Turned by p, whose bits are four, all of a
 * vector belong to one t, and number t of group i is at (9 i + t) mod 16. */
INLINE void unpick(const float *from, __m512 *tap) {
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i nine = _mm512_mullo_epi32(lane, _mm512_set1_epi32(TAPS));
    static const __mmask16 bit[4] = {0xaaaa, 0xcccc, 0xf0f0, 0xff00};
    __m512 v[TAPS], turned[TAPS];
#pragma GCC unroll 9
    for (int a = 0; a < TAPS; a++) v[a] = _mm512_loadu_ps(from + 4 * a % TAPS * LANES);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
#pragma GCC unroll 9
        for (int a = 0; a < TAPS; a++)
            turned[a] = _mm512_mask_blend_ps(bit[k], v[a], v[(a + 2 * TAPS - (1 << k)) % TAPS]);
#pragma GCC unroll 9
        for (int a = 0; a < TAPS; a++) v[a] = turned[a];
    }
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; t++)
        tap[t] = _mm512_permutexvar_ps(_mm512_add_epi32(nine, _mm512_set1_epi32(t)), v[t]);
}

/* w [in][out][3][3] and its taps from the last to the first. */
AVX512 static void taps_backward(const float *w, size_t out, size_t k, size_t c, float *taps, size_t row,
                                 size_t plane) {
    for (size_t i = 0; i < LANES; i++) {
        __m512 tap[TAPS];
        unpick(w + ((c + i) * out + k) * TAPS, tap);
#pragma GCC unroll 9
        for (size_t t = 0; t < TAPS; t++) _mm512_storeu_ps(taps + (TAPS - 1 - t) * plane + i * row, tap[t]);
    }
}

void mq_winograd_taps(const float *w, size_t in, size_t out, size_t k, size_t columns, size_t c,
                      bool backward, float *taps, size_t plane) {
    for (size_t i = 0; i < columns; i += LANES)
        if (backward)
            taps_backward(w, out, k + i, c, taps + i, columns, plane);
        else
            taps_forward(w, in, k + i, c, taps + i, columns, plane);
}

INLINE void weights_row(const float *taps, size_t from_plane, size_t n, size_t y, float *u, size_t plane) {
    for (size_t i = 0; i < n; i += LANES) {
        __m512 half[SIDE];
#pragma GCC unroll 3
        for (size_t x = 0; x < SIDE; x++) {
            const float *tap = taps + x * from_plane + i;
            half[x] = weights_at(_mm512_loadu_ps(tap), _mm512_loadu_ps(tap + SIDE * from_plane),
                                 _mm512_loadu_ps(tap + 2 * SIDE * from_plane), y);
        }
#pragma GCC unroll 6
        for (size_t x = 0; x < IN; x++)
            _mm512_storeu_ps(u + x * plane + i, weights_at(half[0], half[1], half[2], x));
    }
}

AVX512 void mq_winograd_weights(const float *taps, size_t from_plane, size_t n, size_t y, float *u,
                                size_t plane) {
    switch (y) {
    case 0:
        weights_row(taps, from_plane, n, 0, u, plane);
        break;
    case 1:
        weights_row(taps, from_plane, n, 1, u, plane);
        break;
    case 2:
        weights_row(taps, from_plane, n, 2, u, plane);
        break;
    case 3:
        weights_row(taps, from_plane, n, 3, u, plane);
        break;
    case 4:
        weights_row(taps, from_plane, n, 4, u, plane);
        break;
    default:
        weights_row(taps, from_plane, n, 5, u, plane);
        break;
    }
}

AVX512 void mq_winograd_gradient(const float *u, size_t plane, size_t in, size_t out, size_t k, float *dw) {
    for (size_t c = 0; c < in; c += LANES) {
        __m512 g[SPAN], rows[LANES];
        for (size_t i = 0; i < LANES; i++) {
            __m512 line[IN], half[SIDE * IN];
            const float *from = u + (c + i) * out + k;
#pragma GCC unroll 6
            for (size_t x = 0; x < IN; x++) {
#pragma GCC unroll 6
                for (size_t y = 0; y < IN; y++) line[y] = _mm512_loadu_ps(from + (y * IN + x) * plane);
                gradient_line(line, 1, half + x, IN);
            }
#pragma GCC unroll 3
            for (size_t y = 0; y < SIDE; y++) gradient_line(half + y * IN, 1, g + i * TAPS + y * SIDE, 1);
        }
        for (size_t p = 0; p < SPAN; p += LANES) {
            transpose(g + p, rows);
#pragma GCC unroll 16
            for (size_t lane = 0; lane < LANES; lane++)
                _mm512_storeu_ps(dw + ((k + lane) * in + c) * TAPS + p, rows[lane]);
        }
    }
}

#else

/* Nobody calls these where it is not supported. */
void mq_winograd_taps(const float *w, size_t in, size_t out, size_t k, size_t columns, size_t c,
                      bool backward, float *taps, size_t plane) {
    (void)w, (void)in, (void)out, (void)k, (void)columns, (void)c, (void)backward, (void)taps, (void)plane;
}

void mq_winograd_weights(const float *taps, size_t from_plane, size_t n, size_t y, float *u, size_t plane) {
    (void)taps, (void)from_plane, (void)n, (void)y, (void)u, (void)plane;
}

void mq_winograd_source(const void *const *at, mq_dtype type, size_t channels, float *v, size_t plane) {
    (void)at, (void)type, (void)channels, (void)v, (void)plane;
}

void mq_winograd_target(const void *const *at, mq_dtype type, size_t channels, size_t tiles, size_t tile,
                        float *z, size_t plane) {
    (void)at, (void)type, (void)channels, (void)tiles, (void)tile, (void)z, (void)plane;
}

void mq_winograd_result(const float *m, size_t plane, size_t channels, bool bf16, void *const *at) {
    (void)m, (void)plane, (void)channels, (void)bf16, (void)at;
}

void mq_winograd_gradient(const float *u, size_t plane, size_t in, size_t out, size_t k, float *dw) {
    (void)u, (void)plane, (void)in, (void)out, (void)k, (void)dw;
}
#endif
