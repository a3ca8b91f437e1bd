/* thin_window_avx512.c - a 3x3 thin layer's work per pixel: 16 channels of the output in a vector, or 16
 * pixels beside each other. */
#include "ops/thin_window.h"

#include "ops/pooled_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "ops/norm_avx512.h"

enum { TERMS = THIN_SIDE * THIN_SIDE /* of a channel */, BLOCKS = 4 };
_Static_assert((int)THIN_AREA == (int)LANES, "what a window reads of a channel is a vector");

/* ---- planes ---- */

INLINE void store_some(void *to, mq_dtype type, size_t at, __mmask16 some, __m512 v) {
    if (type == MQ_BF16)
        _mm256_mask_storeu_epi16((uint16_t *)to + at, some, (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_mask_storeu_ps((float *)to + at, some, v);
}

/* Three vectors of 16 pixels into their planes: lane l of plane k is element 3*l + k; and back. Lanes of the
 * first two vectors, then of these and the third. */
typedef struct turns {
    int32_t first[THIN_CHANNELS][LANES], second[THIN_CHANNELS][LANES];
} turns;

static const turns APART = {{{0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0},
                             {1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0},
                             {2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0}},
                            {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29},
                             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30},
                             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31}}};
static const turns TOGETHER = {{{0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5},
                                {21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26},
                                {0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0}},
                               {{0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15},
                                {0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15},
                                {26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31}}};

INLINE void turned(const turns *t, const __m512 *from, __m512 *to) {
#pragma GCC unroll 3
    for (size_t k = 0; k < THIN_CHANNELS; k++) {
        const __m512i first = _mm512_loadu_si512(t->first[k]), second = _mm512_loadu_si512(t->second[k]);
        to[k] = _mm512_permutex2var_ps(_mm512_permutex2var_ps(from[0], first, from[1]), second, from[2]);
    }
}

INLINE void planes(const void *from, mq_dtype type, size_t in, size_t pixels, const float *centre, float *to,
                   size_t plane) {
    for (size_t p = 0; p < pixels; p += LANES) {
        const size_t left = (pixels - p) * in;
        __m512 v[THIN_CHANNELS];
#pragma GCC unroll 3
        for (size_t k = 0; k < in; k++)
            v[k] = load_some(from, p * in + k * LANES, type,
                             first_lanes(left > k * LANES ? left - k * LANES : 0));
        if (in == 3) {
            __m512 u[THIN_CHANNELS];
            turned(&APART, v, u);
#pragma GCC unroll 3
            for (size_t k = 0; k < in; k++) v[k] = u[k];
        }
#pragma GCC unroll 3
        for (size_t k = 0; k < in; k++)
            _mm512_mask_storeu_ps(to + k * plane + p, first_lanes(pixels - p),
                                  _mm512_sub_ps(v[k], _mm512_set1_ps(centre[k])));
    }
}

INLINE void planes_of(const void *from, mq_dtype type, size_t in, size_t pixels, const float *centre,
                      float *to, size_t plane) {
    if (in == 1)
        planes(from, type, 1, pixels, centre, to, plane);
    else
        planes(from, type, 3, pixels, centre, to, plane);
}

AVX512 void thin_planes_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, const float *centre,
                               float *to, size_t plane) {
    if (type == MQ_F32)
        planes_of(from, MQ_F32, in, pixels, centre, to, plane);
    else if (type == MQ_U8)
        planes_of(from, MQ_U8, in, pixels, centre, to, plane);
    else
        planes_of(from, MQ_BF16, in, pixels, centre, to, plane);
}

AVX512 void thin_planes_bytes_avx512(const uint8_t *from, size_t in, size_t pixels, uint8_t *to,
                                     size_t plane) {
    for (size_t p = 0; p < pixels; p += LANES) {
        const size_t left = (pixels - p) * in;
        __m512 v[THIN_CHANNELS], u[THIN_CHANNELS];
#pragma GCC unroll 3
        for (size_t k = 0; k < THIN_CHANNELS; k++)
            v[k] = u[k] = _mm512_castsi512_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(
                first_lanes(k < in && left > k * LANES ? left - k * LANES : 0), from + p * in + k * LANES)));
        if (in == 3) turned(&APART, v, u);
        for (size_t k = 0; k < in; k++)
            _mm_mask_storeu_epi8(to + k * plane + p, first_lanes(pixels - p),
                                 _mm512_cvtepi32_epi8(_mm512_castps_si512(u[k])));
    }
}

AVX512 void thin_pixels_avx512(const float *from, size_t plane, size_t in, size_t pixels, void *to,
                               mq_dtype type) {
    for (size_t p = 0; p < pixels; p += LANES) {
        const size_t left = (pixels - p) * in;
        if (in == 1) {
            store_some(to, type, p, first_lanes(left), _mm512_loadu_ps(from + p));
            continue;
        }
        __m512 v[THIN_CHANNELS], u[THIN_CHANNELS];
#pragma GCC unroll 3
        for (size_t k = 0; k < THIN_CHANNELS; k++) v[k] = _mm512_loadu_ps(from + k * plane + p);
        turned(&TOGETHER, v, u);
#pragma GCC unroll 3
        for (size_t k = 0; k < THIN_CHANNELS; k++)
            store_some(to, type, p * 3 + k * LANES, first_lanes(left > k * LANES ? left - k * LANES : 0),
                       u[k]);
    }
}

/* ---- sums of products ---- */

INLINE double sum_of(__m512 v) {
    return _mm512_reduce_add_pd(_mm512_add_pd(low(v), high(v)));
}

/* Of x[i] and x[j] `y` rows below and d - 2 columns behind. */
INLINE void add_products(const float *lines, size_t stride, size_t rows, size_t columns, size_t y, size_t d,
                         size_t in, double (*to)[THIN_CHANNELS]) {
    const size_t plane = (rows + 2) * stride;
    __m512 sum[THIN_CHANNELS][THIN_CHANNELS];
#pragma GCC unroll 3
    for (size_t i = 0; i < in; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < in; j++) sum[i][j] = _mm512_setzero_ps();
    for (size_t r = 0; r < rows; r++)
        for (size_t x = 0; x < columns; x += LANES) {
            const __mmask16 some = first_lanes(columns - x);
            const float *at = lines + r * stride + x + 2, *other = lines + (r + y) * stride + x + d;
            __m512 a[THIN_CHANNELS];
#pragma GCC unroll 3
            for (size_t i = 0; i < in; i++) a[i] = _mm512_maskz_loadu_ps(some, at + i * plane);
#pragma GCC unroll 3
            for (size_t j = 0; j < in; j++) {
                const __m512 b = _mm512_maskz_loadu_ps(some, other + j * plane);
#pragma GCC unroll 3
                for (size_t i = 0; i < in; i++) sum[i][j] = _mm512_fmadd_ps(a[i], b, sum[i][j]);
            }
        }
#pragma GCC unroll 3
    for (size_t i = 0; i < in; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < in; j++) to[i][j] += sum_of(sum[i][j]);
}

AVX512 void thin_window_products_avx512(const float *lines, size_t stride, size_t rows, size_t columns,
                                        size_t in, thin_products *to) {
    for (size_t y = 0; y < THIN_SIDE; y++)
        for (size_t d = y ? 0 : THIN_DISTANCES / 2; d < THIN_DISTANCES; d++) {
            if (in == 1)
                add_products(lines, stride, rows, columns, y, d, 1, to->dot[y][d]);
            else
                add_products(lines, stride, rows, columns, y, d, 3, to->dot[y][d]);
        }
    for (size_t i = 0; i < in; i++) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t r = 0; r < rows; r++)
            for (size_t x = 0; x < columns; x += LANES)
                sum =
                    _mm512_add_ps(sum, _mm512_maskz_loadu_ps(first_lanes(columns - x),
                                                             lines + (i * (rows + 2) + r) * stride + x + 2));
        to->sum[i] += sum_of(sum);
    }
}

/* ---- z ---- */

/* Of two windows, which read six columns. */
INLINE void outputs(const float *corner, size_t stride, const float *weights, size_t channels, size_t in,
                    __m512 (*z)[THIN_TILE]) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 2 * THIN_TILE; i++) z[i / THIN_TILE][i % THIN_TILE] = _mm512_setzero_ps();
    for (size_t j = 0; j < in; j++, corner += THIN_CORNER * stride, weights += TERMS * channels) {
        __m512 w[TERMS];
#pragma GCC unroll 9
        for (size_t k = 0; k < TERMS; k++) w[k] = _mm512_loadu_ps(weights + k * channels);
#pragma GCC unroll 24
        for (size_t at = 0; at < THIN_CORNER * (THIN_CORNER + 2); at++) {
            const size_t row = at / (THIN_CORNER + 2), column = at % (THIN_CORNER + 2);
            __m512 x = _mm512_set1_ps(corner[row * stride + column]);
            __asm__("" : "+v"(x)); /* once, not for every output */
#pragma GCC unroll 8
            for (size_t i = 0; i < 2 * THIN_TILE; i++) {
                /* of the kernel; from this output's first pixel on */
                const size_t y = row - i % THIN_TILE / 2, k = column - i / THIN_TILE * 2 - i % 2;
                __m512 *to = &z[i / THIN_TILE][i % THIN_TILE];
                if (y < THIN_SIDE && k < THIN_SIDE) *to = _mm512_fmadd_ps(w[y * THIN_SIDE + k], x, *to);
            }
        }
    }
}

INLINE void forward(const pooled_norm *p, const float *lines, size_t stride, size_t windows, size_t at,
                    size_t in, norm_stored as) {
    const norm_forward *f = &p->forward;
    const size_t channels = (size_t)p->c;
    for (size_t i = 0; i < windows; i += 2)
        for (size_t c = 0; c < channels; c += LANES) {
            const __m512 mean = _mm512_loadu_ps(f->mean + c), a = _mm512_loadu_ps(f->a + c),
                         b = _mm512_loadu_ps(f->b + c);
            __m512 all[2][THIN_TILE];
            outputs(lines + 2 * i, stride, p->thin->weights + c, channels, in, all);
#pragma GCC unroll 2
            for (size_t second = 0; second < 2; second++) {
                const __m512 *z = all[second];
                const size_t to = at + (i + second) * channels + c;
                if (i + second == windows) break;
                pool_maximum most;
#pragma GCC unroll 4
                for (int place = 0; place < THIN_TILE; place++) {
                    const __m512 v = _mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(z[place], mean), a), b);
                    if (place)
                        take_larger(&most, v, z[place], place);
                    else
                        take_first(&most, v, z[0]);
                }
                store_z(p->y, to, most.z, as);
                store_place(&most, p->index + to);
            }
        }
}

INLINE void forward_as(const pooled_norm *p, const float *lines, size_t stride, size_t windows, size_t at,
                       norm_stored as) {
    if (p->thin->in == 1)
        forward(p, lines, stride, windows, at, 1, as);
    else
        forward(p, lines, stride, windows, at, 3, as);
}

AVX512 void thin_window_forward_avx512(const pooled_norm *p, const float *lines, size_t stride,
                                       size_t windows, size_t at) {
    if (p->z.as == NORM_ROUNDED)
        forward_as(p, lines, stride, windows, at, NORM_ROUNDED);
    else
        forward_as(p, lines, stride, windows, at, NORM_REAL);
}

/* ---- gradients ---- */

/* Rows of four pixels into a vector. */
INLINE __m512 area_of(const float *from, size_t stride) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(from));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(from + stride), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(from + 2 * stride), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(from + 3 * stride), 3);
}

INLINE void weights(const pooled_norm *p, const float *lines, size_t stride, size_t windows, size_t at,
                    const float *dy, float *g, double *dw, size_t in) {
    const size_t channels = (size_t)p->c;
    for (size_t c = 0; c < channels; c += LANES) {
        const __m512 a = _mm512_loadu_ps(p->backward.a + c);
        __m512 sum[THIN_TERMS];
#pragma GCC unroll 27
        for (size_t k = 0; k < in * TERMS; k++) sum[k] = _mm512_setzero_ps();
        for (size_t i = 0; i < windows; i++) {
            const size_t here = i * channels + c;
            const __m512 given = _mm512_mul_ps(a, _mm512_loadu_ps(dy + here));
            const __m512i place = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p->index + at + here)));
            /* 0, 1, 4 or 5 of the area */
            const __m512i corner = _mm512_add_epi32(place, _mm512_slli_epi32(_mm512_srli_epi32(place, 1), 1));
            __m512 area[THIN_CHANNELS];
#pragma GCC unroll 3
            for (size_t j = 0; j < in; j++)
                area[j] = area_of(lines + j * THIN_CORNER * stride + 2 * i, stride);
            _mm512_storeu_ps(g + here, given);
#pragma GCC unroll 9
            for (int k = 0; k < TERMS; k++) {
                const __m512i there =
                    _mm512_add_epi32(corner, _mm512_set1_epi32(k / THIN_SIDE * THIN_CORNER + k % THIN_SIDE));
#pragma GCC unroll 3
                for (size_t j = 0; j < in; j++)
                    sum[j * TERMS + (size_t)k] = _mm512_fmadd_ps(given, _mm512_permutexvar_ps(there, area[j]),
                                                                 sum[j * TERMS + (size_t)k]);
            }
        }
#pragma GCC unroll 27
        for (size_t k = 0; k < in * TERMS; k++) {
            double *to = dw + k * channels + c;
            add_to(to, low(sum[k]));
            add_to(to + LANES / 2, high(sum[k]));
        }
    }
}

AVX512 void thin_window_weights_avx512(const pooled_norm *p, const float *lines, size_t stride,
                                       size_t windows, size_t at, const float *dy, float *g, double *dw) {
    if (p->thin->in == 1)
        weights(p, lines, stride, windows, at, dy, g, dw, 1);
    else
        weights(p, lines, stride, windows, at, dy, g, dw, 3);
}

/* W^T g of a window: sums of even and of odd channels, as a sum waits for the product before. */
INLINE void give(const pooled_norm *p, const float *g, const uint8_t *index, size_t in, __m512 *out) {
    const thin_window *w = p->thin->window;
    const size_t channels = (size_t)p->c, step = in * THIN_AREA;
    __m512 sum[2][THIN_CHANNELS];
#pragma GCC unroll 6
    for (size_t k = 0; k < 2 * in; k++) sum[k / in][k % in] = _mm512_setzero_ps();
    const float *places = w->table;
    for (size_t c = 0; c < channels; c += 4)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++, places += THIN_TILE * step) {
            const float *area = places + index[c + k] * step;
            const __m512 given = _mm512_set1_ps(g[c + k]);
#pragma GCC unroll 3
            for (size_t j = 0; j < in; j++)
                sum[k % 2][j] = _mm512_fmadd_ps(given, _mm512_loadu_ps(area + j * THIN_AREA), sum[k % 2][j]);
        }
#pragma GCC unroll 3
    for (size_t j = 0; j < in; j++) out[j] = _mm512_add_ps(sum[0][j], sum[1][j]);
}

/* Two columns of a window are the first two of the next one. */
INLINE void scatter(const pooled_norm *p, size_t windows, size_t at, const float *g, float *rows, size_t in) {
    const size_t channels = (size_t)p->c, stride = p->thin->window->stride;
    __m512 before[THIN_CHANNELS];
#pragma GCC unroll 3
    for (size_t j = 0; j < in; j++) before[j] = _mm512_setzero_ps();
    for (size_t i = 0; i <= windows; i += 2) {
        __m512 two[2][THIN_CHANNELS];
#pragma GCC unroll 2
        for (size_t k = 0; k < 2; k++) {
            const size_t here = (i + k) * channels;
            if (i + k < windows) {
                give(p, g + here, p->index + at + here, in, two[k]);
                continue;
            }
#pragma GCC unroll 3
            for (size_t j = 0; j < in; j++) two[k][j] = _mm512_setzero_ps();
        }
#pragma GCC unroll 3
        for (size_t j = 0; j < in; j++) {
            const __m512 first = _mm512_add_ps(two[0][j], _mm512_permute_ps(before[j], 0x4e)),
                         second = _mm512_add_ps(two[1][j], _mm512_permute_ps(two[0][j], 0x4e));
            const __m512 four =
                _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(first), _mm512_castps_pd(second)));
            const __m128 row[] = {_mm512_castps512_ps128(four), _mm512_extractf32x4_ps(four, 1),
                                  _mm512_extractf32x4_ps(four, 2), _mm512_extractf32x4_ps(four, 3)};
#pragma GCC unroll 4
            for (size_t y = 0; y < THIN_CORNER; y++) {
                float *to = rows + (y * in + j) * stride + 2 * i;
                _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), row[y]));
            }
            before[j] = two[1][j];
        }
    }
}

AVX512 void thin_window_scatter_avx512(const pooled_norm *p, size_t windows, size_t at, const float *g,
                                       float *rows) {
    if (p->thin->in == 1)
        scatter(p, windows, at, g, rows, 1);
    else
        scatter(p, windows, at, g, rows, 3);
}

INLINE void rest(const thin_rest *r, size_t in) {
    for (size_t x = 0; x < r->columns; x += BLOCKS * LANES) {
        __m512 v[THIN_CHANNELS][BLOCKS];
#pragma GCC unroll 3
        for (size_t i = 0; i < in; i++)
#pragma GCC unroll 4
            for (size_t b = 0; b < BLOCKS; b++) {
                const size_t at = x + b * LANES;
                const __mmask16 some = first_lanes(r->columns > at ? r->columns - at : 0);
                v[i][b] = _mm512_sub_ps(_mm512_maskz_loadu_ps(some, r->sums + i * r->sums_stride + at),
                                        _mm512_set1_ps(r->offset[i]));
            }
        for (size_t j = 0; j < in; j++)
            for (size_t row = 0; row < 5; row++)
#pragma GCC unroll 5
                for (size_t column = 0; column < 5; column++) {
                    const float *from = r->lines + j * r->plane + row * r->stride + x + column;
                    __m512 pixels[BLOCKS];
#pragma GCC unroll 4
                    for (size_t b = 0; b < BLOCKS; b++) {
                        pixels[b] = _mm512_loadu_ps(from + b * LANES);
                        __asm__("" : "+v"(pixels[b])); /* once, not for every channel */
                    }
#pragma GCC unroll 3
                    for (size_t i = 0; i < in; i++) {
                        const __m512 by = _mm512_set1_ps(r->filter[i][j][row * 5 + column]);
#pragma GCC unroll 4
                        for (size_t b = 0; b < BLOCKS; b++)
                            v[i][b] = _mm512_fnmadd_ps(by, pixels[b], v[i][b]);
                    }
                }
#pragma GCC unroll 3
        for (size_t i = 0; i < in; i++)
#pragma GCC unroll 4
            for (size_t b = 0; b < BLOCKS; b++)
                _mm512_storeu_ps(r->out + i * r->out_stride + x + b * LANES, v[i][b]);
    }
}

AVX512 void thin_window_rest_avx512(const thin_rest *r) {
    if (r->in == 1)
        rest(r, 1);
    else
        rest(r, 3);
}

#else

void thin_planes_avx512(const void *from, mq_dtype type, size_t in, size_t pixels, const float *centre,
                        float *to, size_t plane) {
    (void)from, (void)type, (void)in, (void)pixels, (void)centre, (void)to, (void)plane;
}

void thin_planes_bytes_avx512(const uint8_t *from, size_t in, size_t pixels, uint8_t *to, size_t plane) {
    (void)from, (void)in, (void)pixels, (void)to, (void)plane;
}

void thin_pixels_avx512(const float *from, size_t plane, size_t in, size_t pixels, void *to, mq_dtype type) {
    (void)from, (void)plane, (void)in, (void)pixels, (void)to, (void)type;
}

void thin_window_products_avx512(const float *lines, size_t stride, size_t rows, size_t columns, size_t in,
                                 thin_products *to) {
    (void)lines, (void)stride, (void)rows, (void)columns, (void)in, (void)to;
}

void thin_window_forward_avx512(const pooled_norm *p, const float *lines, size_t stride, size_t windows,
                                size_t at) {
    (void)p, (void)lines, (void)stride, (void)windows, (void)at;
}

void thin_window_weights_avx512(const pooled_norm *p, const float *lines, size_t stride, size_t windows,
                                size_t at, const float *dy, float *g, double *dw) {
    (void)p, (void)lines, (void)stride, (void)windows, (void)at, (void)dy, (void)g, (void)dw;
}

void thin_window_scatter_avx512(const pooled_norm *p, size_t windows, size_t at, const float *g,
                                float *rows) {
    (void)p, (void)windows, (void)at, (void)g, (void)rows;
}

void thin_window_rest_avx512(const thin_rest *r) {
    (void)r;
}
#endif
