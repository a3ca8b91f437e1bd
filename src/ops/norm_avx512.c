/* norm_avx512.c - norm_rows.c's passes of training with AVX-512: the same operations in the same order, so
 * the same bits (of bfloat16 results those below 2^-126 become 0), but for the moments of bfloat16. Several
 * rows of 16 columns at a time share the loads of the columns' numbers, and their float64 sums. */
#include "ops/norm_rows.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "ops/norm_avx512.h"

bool norm_avx512(size_t width) {
    return width % LANES == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

enum { SHORT_ROWS = 8, WHOLE_ROWS = 8 };

/* The square of a float32 is exact in float64, so adding it at once rounds as often as adding it after. */
INLINE void add_moments(__m512d v, __m512d *sum, __m512d *square) {
    *sum = _mm512_add_pd(*sum, v);
    *square = _mm512_fmadd_pd(v, v, *square);
}

INLINE void moments(const float *z, size_t rows, size_t width, double *sum, double *square) {
    for (size_t c = 0; c < width; c += LANES) {
        __m512d s[2] = {_mm512_loadu_pd(sum + c), _mm512_loadu_pd(sum + c + 8)};
        __m512d q[2] = {_mm512_loadu_pd(square + c), _mm512_loadu_pd(square + c + 8)};
        for (size_t r = 0; r < rows; r++) {
            const __m512 v = _mm512_loadu_ps(z + r * width + c);
            add_moments(low(v), &s[0], &q[0]);
            add_moments(high(v), &s[1], &q[1]);
        }
        for (size_t i = 0; i < 2; i++) {
            _mm512_storeu_pd(sum + c + 8 * i, s[i]);
            _mm512_storeu_pd(square + c + 8 * i, q[i]);
        }
    }
}

AVX512 size_t norm_moments_avx512(const float *z, size_t count, size_t width, double *sum, double *square) {
    size_t done = 0;
    for (; count - done >= NORM_ROWS * width; done += NORM_ROWS * width)
        moments(z + done, NORM_ROWS, width, sum, square);
    moments(z + done, (count - done) / width, width, sum, square);
    return count / width * width;
}

/* WHOLE_ROWS rows; all sums are exact. */
INLINE void whole_moments(const float *z, size_t width, double *sum, double *square, int16_t *out) {
    for (size_t c = 0; c < width; c += LANES) {
        __m512 s = _mm512_setzero_ps();
        __m512d q[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
        for (size_t r = 0; r < WHOLE_ROWS; r += 4) {
            __m256i v[4];
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++) {
                const size_t at = (r + i) * width + c;
                const __m512 wide = _mm512_loadu_ps(z + at);
                v[i] = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(wide));
                _mm256_storeu_si256((void *)(out + at), v[i]);
                s = _mm512_add_ps(s, wide);
            }
            add_squares(v, q);
        }
        add_to(sum + c, low(s));
        add_to(sum + c + 8, high(s));
        add_to(square + c, _mm512_shuffle_f64x2(q[0], q[1], 0x44));
        add_to(square + c + 8, _mm512_shuffle_f64x2(q[0], q[1], 0xee));
    }
}

AVX512 void norm_moments_whole(const float *z, size_t count, size_t width, double *sum, double *square,
                               int16_t *out) {
    size_t done = 0;
    for (; count - done >= WHOLE_ROWS * width; done += WHOLE_ROWS * width)
        whole_moments(z + done, width, sum, square, out + done);
    moments(z + done, (count - done) / width, width, sum, square);
    for (; done < count; done += LANES) store_z(out, done, _mm512_loadu_ps(z + done), NORM_WHOLE);
}

/* `rows` rows, at most SHORT_ROWS, are added in float32 first: float64 takes four times the instructions. */
INLINE void short_moments(norm_z z, size_t at, size_t rows, size_t width, double *sum, double *square) {
    for (size_t c = 0; c < width; c += LANES) {
        __m512 s = _mm512_setzero_ps(), q = s;
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++) {
            const __m512 v = load_z(z, at + r * width + c, NORM_ROUNDED);
            s = _mm512_add_ps(s, v);
            q = _mm512_fmadd_ps(v, v, q);
        }
        for (size_t i = 0; i < 2; i++) {
            double *const to[] = {sum + c + 8 * i, square + c + 8 * i};
            const __m512d more[] = {i ? high(s) : low(s), i ? high(q) : low(q)};
            for (size_t k = 0; k < 2; k++)
                _mm512_storeu_pd(to[k], _mm512_add_pd(_mm512_loadu_pd(to[k]), more[k]));
        }
    }
}

AVX512 void norm_moments_rounded(const uint16_t *z, size_t count, size_t width, double *sum, double *square) {
    const norm_z from = {z, NORM_ROUNDED};
    size_t done = 0;
    for (; count - done >= SHORT_ROWS * width; done += SHORT_ROWS * width)
        short_moments(from, done, SHORT_ROWS, width, sum, square);
    short_moments(from, done, (count - done) / width, width, sum, square);
}

/* The gate's ends in every lane. */
typedef struct gates {
    __m512 low, high, scale;
} gates;

INLINE gates gates_of(const norm_gate *g) {
    return (gates){_mm512_set1_ps(g->low), _mm512_set1_ps(g->high), _mm512_set1_ps(g->scale)};
}

INLINE __m512 gated(const gates *g, __m512 y, __m512 dy) {
    const __mmask16 above = _mm512_cmp_ps_mask(y, g->low, _CMP_GE_OQ);
    const __mmask16 inside = _mm512_mask_cmp_ps_mask(above, y, g->high, _CMP_LE_OQ);
    return _mm512_mul_ps(_mm512_maskz_mov_ps(inside, dy), g->scale);
}

/* sum += s, product += q + s*(m - mean) in float64, of 8 columns. */
INLINE void add_products(__m512d s, __m512d q, __m512d m, const double *mean, double *sum, double *product) {
    const __m512d lost = _mm512_mul_pd(s, _mm512_sub_pd(m, _mm512_loadu_pd(mean)));
    _mm512_storeu_pd(sum, _mm512_add_pd(_mm512_loadu_pd(sum), s));
    _mm512_storeu_pd(product, _mm512_add_pd(_mm512_loadu_pd(product), _mm512_add_pd(q, lost)));
}

/* One row's, as the plain ones add it. */
INLINE void add_row(const norm_forward *f, const gates *g, norm_z z, const void *dy, size_t i, size_t at,
                    bool bf16, norm_stored as, size_t width, const double *mean, double *sum,
                    double *product) {
    for (size_t c = 0; c < width; c += LANES) {
        const __m512 v = load_z(z, i + c, as);
        const __m512 d = _mm512_sub_ps(v, _mm512_loadu_ps(f->mean + c));
        const __m512 y =
            _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
        const __m512 through = gated(g, y, load_either(dy, at + c, bf16));
        const __m512d s[2] = {low(through), high(through)}, w[2] = {low(v), high(v)};
        for (size_t h = 0; h < 2; h++) {
            const size_t k = c + 8 * h;
            const __m512d away = _mm512_sub_pd(w[h], _mm512_loadu_pd(mean + k));
            _mm512_storeu_pd(sum + k, _mm512_add_pd(_mm512_loadu_pd(sum + k), s[h]));
            _mm512_storeu_pd(product + k,
                             _mm512_add_pd(_mm512_loadu_pd(product + k), _mm512_mul_pd(s[h], away)));
        }
    }
}

INLINE size_t products(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                       bool bf16, norm_stored as, size_t count, size_t width, const double *mean, double *sum,
                       double *product) {
    const gates g = gates_of(gate);
    size_t done = 0;
    for (; count - done >= NORM_ROWS * width; done += NORM_ROWS * width)
        for (size_t c = 0; c < width; c += LANES) {
            const __m512 m = _mm512_loadu_ps(f->mean + c), a = _mm512_loadu_ps(f->a + c);
            const __m512 b = _mm512_loadu_ps(f->b + c);
            __m512 s = _mm512_setzero_ps(), q = s;
#pragma GCC unroll 8
            for (size_t r = 0; r < NORM_ROWS; r++) {
                const size_t i = done + r * width + c;
                fetch_z(z, i + NORM_ROWS * width, as);
                const __m512 d = _mm512_sub_ps(load_z(z, i, as), m);
                const __m512 y = _mm512_add_ps(_mm512_mul_ps(d, a), b);
                const __m512 through = gated(&g, y, load_either(dy, at + i, bf16));
                s = _mm512_add_ps(s, through);
                q = _mm512_add_ps(q, _mm512_mul_ps(through, d));
            }
            add_products(low(s), low(q), low(m), mean + c, sum + c, product + c);
            add_products(high(s), high(q), high(m), mean + c + 8, sum + c + 8, product + c + 8);
        }
    for (; count - done >= width; done += width)
        add_row(f, &g, z, dy, done, at + done, bf16, as, width, mean, sum, product);
    return done;
}

INLINE size_t gradient(const norm_forward *f, const norm_backward *k, const norm_gate *gate, norm_z z,
                       const void *dy, size_t at, size_t count, size_t width, void *out, size_t to, bool bf16,
                       norm_stored as) {
    const gates g = gates_of(gate);
    const size_t end = count / width * width;
    size_t done = 0, c = 0;
    for (; done < end; done += LANES, c = c + LANES == width ? 0 : c + LANES) {
        const __m512 d = _mm512_sub_ps(load_z(z, done, as), _mm512_loadu_ps(f->mean + c));
        const __m512 y =
            _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
        const __m512 through = gated(&g, y, load_either(dy, at + done, bf16));
        const __m512 own =
            _mm512_sub_ps(_mm512_mul_ps(_mm512_loadu_ps(k->a + c), through), _mm512_loadu_ps(k->b + c));
        store(out, to + done, _mm512_sub_ps(own, _mm512_mul_ps(_mm512_loadu_ps(k->slope + c), d)), bf16);
    }
    return done;
}

INLINE size_t values(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                     bool bf16, norm_stored as, size_t count, size_t width, float *out) {
    const gates g = gates_of(gate);
    size_t done = 0, c = 0;
    for (; done + LANES <= count; done += LANES, c = c + LANES == width ? 0 : c + LANES) {
        const __m512 d = _mm512_sub_ps(load_z(z, done, as), _mm512_loadu_ps(f->mean + c));
        const __m512 y =
            _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
        _mm512_storeu_ps(out + done, gated(&g, y, load_either(dy, at + done, bf16)));
    }
    return done;
}

AVX512 static size_t products_f32(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                  size_t at, size_t count, size_t width, const double *mean, double *sum,
                                  double *product) {
    if (z.as == NORM_WHOLE)
        return products(f, gate, z, dy, at, false, NORM_WHOLE, count, width, mean, sum, product);
    return products(f, gate, z, dy, at, false, NORM_REAL, count, width, mean, sum, product);
}

AVX512 static size_t products_bf16(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                   size_t at, size_t count, size_t width, const double *mean, double *sum,
                                   double *product) {
    if (z.as == NORM_WHOLE)
        return products(f, gate, z, dy, at, true, NORM_WHOLE, count, width, mean, sum, product);
    return products(f, gate, z, dy, at, true, NORM_REAL, count, width, mean, sum, product);
}

size_t norm_gated_products_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                  size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                                  double *sum, double *product) {
    return (dy_type == MQ_BF16 ? products_bf16 : products_f32)(f, gate, z, dy, at, count, width, mean, sum,
                                                               product);
}

AVX512 static size_t gradient_f32(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                  norm_z z, const void *dy, size_t at, size_t count, size_t width, void *out,
                                  size_t to) {
    if (z.as == NORM_WHOLE) return gradient(f, k, gate, z, dy, at, count, width, out, to, false, NORM_WHOLE);
    return gradient(f, k, gate, z, dy, at, count, width, out, to, false, NORM_REAL);
}

AVX512 static size_t gradient_bf16(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                   norm_z z, const void *dy, size_t at, size_t count, size_t width, void *out,
                                   size_t to) {
    if (z.as == NORM_WHOLE) return gradient(f, k, gate, z, dy, at, count, width, out, to, true, NORM_WHOLE);
    return gradient(f, k, gate, z, dy, at, count, width, out, to, true, NORM_REAL);
}

size_t norm_gated_gradient_avx512(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                  norm_z z, const void *dy, size_t at, size_t count, size_t width, void *out,
                                  size_t to, mq_dtype type) {
    return (type == MQ_BF16 ? gradient_bf16 : gradient_f32)(f, k, gate, z, dy, at, count, width, out, to);
}

AVX512 static size_t values_f32(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                size_t at, size_t count, size_t width, float *out) {
    if (z.as == NORM_WHOLE) return values(f, gate, z, dy, at, false, NORM_WHOLE, count, width, out);
    return values(f, gate, z, dy, at, false, NORM_REAL, count, width, out);
}

AVX512 static size_t values_bf16(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                 size_t at, size_t count, size_t width, float *out) {
    if (z.as == NORM_WHOLE) return values(f, gate, z, dy, at, true, NORM_WHOLE, count, width, out);
    return values(f, gate, z, dy, at, true, NORM_REAL, count, width, out);
}

size_t norm_gated_values_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                size_t at, mq_dtype dy_type, size_t count, size_t width, float *out) {
    return (dy_type == MQ_BF16 ? values_bf16 : values_f32)(f, gate, z, dy, at, count, width, out);
}

/* As quant.h's codes: the division, and its rounding to the nearest even; a NaN gives 0. */
INLINE void codes(const norm_forward *f, norm_z z, norm_stored as, size_t count, size_t width, float top,
                  float step, uint8_t *out) {
    const __m512 most = _mm512_set1_ps(top), divisor = _mm512_set1_ps(step);
    for (size_t i = 0, c = 0; i < count; i += LANES, c = c + LANES == width ? 0 : c + LANES) {
        const __m512 d = _mm512_sub_ps(load_z(z, i, as), _mm512_loadu_ps(f->mean + c));
        const __m512 y =
            _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(f->a + c)), _mm512_loadu_ps(f->b + c));
        const __m512 clipped = _mm512_min_ps(_mm512_max_ps(y, _mm512_setzero_ps()), most);
        const __m512i code = _mm512_cvt_roundps_epi32(_mm512_div_ps(clipped, divisor),
                                                      _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((void *)(out + i), _mm512_cvtepi32_epi8(code));
    }
}

AVX512 void norm_codes_avx512(const norm_forward *f, norm_z z, size_t count, size_t width, float top,
                              float step, uint8_t *out) {
    if (z.as == NORM_WHOLE)
        codes(f, z, NORM_WHOLE, count, width, top, step, out);
    else
        codes(f, z, NORM_REAL, count, width, top, step, out);
}

#else

bool norm_avx512(size_t width) {
    (void)width;
    return false;
}

size_t norm_moments_avx512(const float *z, size_t count, size_t width, double *sum, double *square) {
    (void)z, (void)count, (void)width, (void)sum, (void)square;
    return 0;
}

void norm_moments_whole(const float *z, size_t count, size_t width, double *sum, double *square,
                        int16_t *out) {
    (void)z, (void)count, (void)width, (void)sum, (void)square, (void)out;
}

void norm_moments_rounded(const uint16_t *z, size_t count, size_t width, double *sum, double *square) {
    (void)z, (void)count, (void)width, (void)sum, (void)square;
}

size_t norm_gated_products_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                  size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                                  double *sum, double *product) {
    (void)f, (void)gate, (void)z, (void)dy, (void)at, (void)dy_type, (void)count, (void)width, (void)mean;
    (void)sum, (void)product;
    return 0;
}

size_t norm_gated_gradient_avx512(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                  norm_z z, const void *dy, size_t at, size_t count, size_t width, void *out,
                                  size_t to, mq_dtype type) {
    (void)f, (void)k, (void)gate, (void)z, (void)dy, (void)at, (void)count, (void)width, (void)out, (void)to;
    (void)type;
    return 0;
}

size_t norm_gated_values_avx512(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy,
                                size_t at, mq_dtype dy_type, size_t count, size_t width, float *out) {
    (void)f, (void)gate, (void)z, (void)dy, (void)at, (void)dy_type, (void)count, (void)width, (void)out;
    return 0;
}

void norm_codes_avx512(const norm_forward *f, norm_z z, size_t count, size_t width, float top, float step,
                       uint8_t *out) {
    (void)f, (void)z, (void)count, (void)width, (void)top, (void)step, (void)out;
}
#endif
