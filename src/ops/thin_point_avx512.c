/* thin_point_avx512.c - a pointwise thin layer's outputs tile by tile, 16 channels in a vector: what the pool
 * keeps of them, and what its gradient gives to x and the weights. */
#include "ops/thin_point.h"

#include "ops/pooled_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "ops/norm_avx512.h"

enum { VALUES = THIN_TILE * THIN_MOST };
_Static_assert((int)VALUES == (int)LANES, "a tile of x is a vector");

bool thin_avx512(void) {
    return norm_avx512(LANES);
}

/* ---- x ---- */

/* The lanes below `in` of each pixel. */
INLINE __mmask16 lanes_of(size_t in) {
    return (__mmask16)(0x1111u * ((1u << in) - 1u));
}

AVX512 void thin_widen_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, float *x) {
    const __mmask16 lanes = lanes_of(in);
    for (size_t p = 0; p < pixels; p += THIN_TILE, x += VALUES) {
        const size_t n = pixels - p < THIN_TILE ? pixels - p : THIN_TILE;
        const __mmask16 some = first_lanes(n * in);
        _mm512_storeu_ps(x, _mm512_maskz_expand_ps(lanes, load_some(from, p * in, type, some)));
    }
}

/* x_j of a position in each of its lanes. */
INLINE __m512 own(__m512 x, size_t j) {
    return j == 0   ? _mm512_permute_ps(x, 0x00)
           : j == 1 ? _mm512_permute_ps(x, 0x55)
           : j == 2 ? _mm512_permute_ps(x, 0xaa)
                    : _mm512_permute_ps(x, 0xff);
}

AVX512 void thin_sums_avx512(float *x, size_t pixels, double sum[THIN_MOST],
                             double products[THIN_MOST][THIN_MOST]) {
    enum { HALF = VALUES / 2 };
    const size_t vectors = (pixels + THIN_TILE - 1) / THIN_TILE;
    __m512d by[1 + THIN_MOST][2]; /* x itself, and x times x_j */
#pragma GCC unroll 5
    for (size_t j = 0; j <= THIN_MOST; j++) by[j][0] = by[j][1] = _mm512_setzero_pd();
    for (size_t i = pixels * THIN_MOST; i < vectors * VALUES; i++) x[i] = 0;
    for (size_t i = 0; i < vectors; i++) {
        const __m512 v = _mm512_loadu_ps(x + i * VALUES);
        const __m512d first = low(v), second = high(v);
        by[0][0] = _mm512_add_pd(by[0][0], first);
        by[0][1] = _mm512_add_pd(by[0][1], second);
#pragma GCC unroll 4
        for (size_t j = 0; j < THIN_MOST; j++) {
            const __m512 x_j = own(v, j);
            by[1 + j][0] = _mm512_fmadd_pd(first, low(x_j), by[1 + j][0]);
            by[1 + j][1] = _mm512_fmadd_pd(second, high(x_j), by[1 + j][1]);
        }
    }
    double lanes[1 + THIN_MOST][HALF];
    for (size_t j = 0; j <= THIN_MOST; j++) _mm512_storeu_pd(lanes[j], _mm512_add_pd(by[j][0], by[j][1]));
    for (size_t i = 0; i < HALF; i++) {
        const size_t k = i % THIN_MOST;
        sum[k] += lanes[0][i];
        for (size_t j = k; j < THIN_MOST; j++) products[k][j] += lanes[1 + j][i];
    }
}

AVX512 void thin_tiles_avx512(const float *upper, const float *lower, size_t windows, float *x) {
    enum { HALF = VALUES / 2 };
    for (size_t i = 0; i < windows; i++, upper += HALF, lower += HALF, x += VALUES) {
        _mm256_storeu_ps(x, _mm256_loadu_ps(upper));
        _mm256_storeu_ps(x + HALF, _mm256_loadu_ps(lower));
    }
}

AVX512 void thin_narrow_avx512(const float *x, size_t y, size_t windows, size_t in, void *to, mq_dtype type) {
    const __mmask16 lanes = lanes_of(in) & (__mmask16)(y ? 0xff00 : 0x00ff);
    const __mmask16 some = first_lanes(2 * in);
    for (size_t i = 0; i < windows; i++) {
        const __m512 v = _mm512_maskz_compress_ps(lanes, _mm512_loadu_ps(x + i * VALUES));
        if (type == MQ_BF16)
            _mm256_mask_storeu_epi16((uint16_t *)to + i * 2 * in, some, (__m256i)_mm512_cvtneps_pbh(v));
        else
            _mm512_mask_storeu_ps((float *)to + i * 2 * in, some, v);
    }
}

/* ---- z ---- */

INLINE void forward(const pooled_norm *p, const float *x, size_t windows, size_t at, size_t in,
                    norm_stored as) {
    const norm_forward *f = &p->forward;
    const size_t channels = (size_t)p->c;
    for (size_t c = 0; c < channels; c += LANES) {
        __m512 w[THIN_MOST];
#pragma GCC unroll 4
        for (size_t k = 0; k < in; k++) w[k] = _mm512_loadu_ps(p->thin->weights + k * channels + c);
        const __m512 mean = _mm512_loadu_ps(f->mean + c), a = _mm512_loadu_ps(f->a + c),
                     b = _mm512_loadu_ps(f->b + c);
        for (size_t i = 0; i < windows; i++) {
            const float *tile = x + i * VALUES;
            pool_maximum most;
#pragma GCC unroll 4
            for (int place = 0; place < THIN_TILE; place++) {
                __m512 z = _mm512_mul_ps(w[0], _mm512_set1_ps(tile[place * THIN_MOST]));
#pragma GCC unroll 4
                for (size_t k = 1; k < in; k++)
                    z = _mm512_fmadd_ps(w[k], _mm512_set1_ps(tile[(size_t)place * THIN_MOST + k]), z);
                const __m512 v = _mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(z, mean), a), b);
                if (place)
                    take_larger(&most, v, z, place);
                else
                    take_first(&most, v, z);
            }
            store_z(p->y, at + i * channels + c, most.z, as);
            store_place(&most, p->index + at + i * channels + c);
        }
    }
}

INLINE void forward_as(const pooled_norm *p, const float *x, size_t windows, size_t at, norm_stored as) {
    if (thin_terms(p->thin->in) == 3)
        forward(p, x, windows, at, 3, as);
    else
        forward(p, x, windows, at, THIN_MOST, as);
}

AVX512 void thin_forward_avx512(const pooled_norm *p, const float *x, size_t windows, size_t at) {
    if (p->z.as == NORM_WHOLE)
        forward_as(p, x, windows, at, NORM_WHOLE);
    else if (p->z.as == NORM_ROUNDED)
        forward_as(p, x, windows, at, NORM_ROUNDED);
    else
        forward_as(p, x, windows, at, NORM_REAL);
}

/* ---- gradients ---- */

/* Lane i of the result: the sum of v[i]'s lanes. */
INLINE __m512 sums_of(const __m512 *v) {
    __m512 two[8], four[4], eight[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        two[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                               _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        four[i] = _mm512_add_ps(_mm512_shuffle_ps(two[2 * i], two[2 * i + 1], 0x44),
                                _mm512_shuffle_ps(two[2 * i], two[2 * i + 1], 0xee));
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0x88),
                                 _mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(eight[0], eight[1], 0x88),
                         _mm512_shuffle_f32x4(eight[0], eight[1], 0xdd));
}

/* THIN_MOST numbers for each position of the tile. */
INLINE __m512 repeated(const float *v) {
    return _mm512_broadcast_f32x4(_mm_loadu_ps(v));
}

/* Column j of dx's matrix, for each position. */
INLINE __m512 column_of(const thin_layer *t, size_t j) {
    float v[THIN_MOST];
    for (size_t k = 0; k < THIN_MOST; k++) v[k] = t->mix[k][j];
    return repeated(v);
}

/* g = a dy of a tile's maxima, 16 channels: into sums[place][k], of W^T g, and the weights' gradient. */
INLINE void give(const pooled_norm *p, size_t at, size_t c, const float *dy, __m512 x, size_t in,
                 __m512 *sums, float *dw) {
    const size_t channels = (size_t)p->c;
    const __m512 g = _mm512_mul_ps(_mm512_loadu_ps(p->backward.a + c), _mm512_loadu_ps(dy + c));
    const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p->index + at + c)));
    const __m512i first = _mm512_slli_epi32(index, 2); /* of x at the maximum: THIN_MOST numbers each */
#pragma GCC unroll 4
    for (size_t k = 0; k < in; k++) {
        const __m512 there = _mm512_permutexvar_ps(_mm512_add_epi32(first, _mm512_set1_epi32((int)k)), x);
        float *to = dw + k * channels + c;
        _mm512_storeu_ps(to, _mm512_fmadd_ps(g, there, _mm512_loadu_ps(to)));
    }
#pragma GCC unroll 4
    for (int place = 0; place < THIN_TILE; place++) {
        const __mmask16 here = _mm512_cmpeq_epi32_mask(index, _mm512_set1_epi32(place));
#pragma GCC unroll 4
        for (size_t k = 0; k < in; k++) {
            __m512 *sum = sums + place * THIN_MOST + k;
            *sum = _mm512_mask3_fmadd_ps(g, _mm512_loadu_ps(p->thin->weights + k * channels + c), *sum, here);
        }
    }
}

INLINE void gradient(const pooled_norm *p, const float *x, size_t windows, size_t at, const float *dy,
                     float *dx, float *dw, size_t in) {
    const thin_layer *t = p->thin;
    const size_t channels = (size_t)p->c;
    const __m512 offset = repeated(t->offset), centre = repeated(t->centre);
    __m512 mix[THIN_MOST];
#pragma GCC unroll 4
    for (size_t j = 0; j < in; j++) mix[j] = column_of(t, j);
    for (size_t i = 0; i < windows; i++) {
        const __m512 tile = _mm512_loadu_ps(x + i * VALUES);
        __m512 sums[VALUES];
#pragma GCC unroll 16
        for (size_t v = 0; v < VALUES; v++) sums[v] = _mm512_setzero_ps();
        for (size_t c = 0; c < channels; c += LANES)
            give(p, at + i * channels, c, dy + i * channels, tile, in, sums, dw);
        const __m512 away = _mm512_sub_ps(tile, centre);
        __m512 out = _mm512_sub_ps(sums_of(sums), offset);
#pragma GCC unroll 4
        for (size_t j = 0; j < in; j++) out = _mm512_fnmadd_ps(mix[j], own(away, j), out);
        _mm512_storeu_ps(dx + i * VALUES, out);
    }
}

AVX512 static void add(double *to, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += (double)from[i];
}

AVX512 void thin_gradient_avx512(const pooled_norm *p, const float *x, size_t windows, size_t at,
                                 const float *dy, float *dx, double *dw) {
    enum { MOST = NORM_PIECE * THIN_MOST };
    const size_t in = thin_terms(p->thin->in), count = in * (size_t)p->c;
    float sums[MOST]; /* of these tiles */
    for (size_t i = 0; i < count; i++) sums[i] = 0;
    if (in == 3)
        gradient(p, x, windows, at, dy, dx, sums, 3);
    else
        gradient(p, x, windows, at, dy, dx, sums, THIN_MOST);
    add(dw, sums, count);
}

#else

bool thin_avx512(void) {
    return false;
}

void thin_widen_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, float *x) {
    (void)from, (void)type, (void)in, (void)pixels, (void)x;
}

void thin_sums_avx512(float *x, size_t pixels, double sum[THIN_MOST], double products[THIN_MOST][THIN_MOST]) {
    (void)x, (void)pixels, (void)sum, (void)products;
}

void thin_tiles_avx512(const float *upper, const float *lower, size_t windows, float *x) {
    (void)upper, (void)lower, (void)windows, (void)x;
}

void thin_narrow_avx512(const float *x, size_t y, size_t windows, size_t in, void *to, mq_dtype type) {
    (void)x, (void)y, (void)windows, (void)in, (void)to, (void)type;
}

void thin_forward_avx512(const pooled_norm *p, const float *x, size_t windows, size_t at) {
    (void)p, (void)x, (void)windows, (void)at;
}

void thin_gradient_avx512(const pooled_norm *p, const float *x, size_t windows, size_t at, const float *dy,
                          float *dx, double *dw) {
    (void)p, (void)x, (void)windows, (void)at, (void)dy, (void)dx, (void)dw;
}
#endif
