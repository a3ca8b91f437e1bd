/* mix_rows.c - the mix behind a batch norm with AVX-512: what would be passes over pieces in the cache is one
 * register loop, so that arithmetic runs while memory is read. Gradients are those of the single passes, to
 * the bit; values as quant.h says, and sums are of another order. */
#include "quant/mix.h"

#include <math.h>
#include <string.h>

/* In the order of activations.c. */
static float slope_at(const mq_mix_rows *r, float x) {
    float slope = 0;
    for (int j = 0; j < MQ_BRANCHES; j++)
        if (x <= r->branch[j].gate) slope = slope + r->branch[j].weight;
    return slope;
}

static int cell_of(float x, float cells) {
    const float at = x * cells;
    return at < MQ_MIX_CELLS - 1 ? (int)at : MQ_MIX_CELLS - 1;
}

/* Cells as wide as a sixteenth of the largest gate. Multiplying is monotone: gates of other cells are on the
 * side of x where their cell is. */
static void set_cells(mq_mix_rows *r) {
    float largest = 0;
    for (int j = 0; j < MQ_BRANCHES; j++) largest = r->branch[j].gate > largest ? r->branch[j].gate : largest;
    r->cells = MQ_MIX_CELLS / largest;
    for (int k = 0; k < MQ_MIX_CELLS; k++) {
        r->gate[k] = -1;
        for (int j = 0; j < MQ_BRANCHES; j++) {
            const float gate = r->branch[j].gate;
            if (cell_of(gate, r->cells) != k) continue;
            if (r->gate[k] >= 0 && r->gate[k] != gate) {
                r->cells = 0;
                return;
            }
            r->gate[k] = gate;
        }
        /* An empty cell has the slope of the next gate above it, or none. */
        float above = INFINITY;
        for (int j = 0; j < MQ_BRANCHES; j++)
            if (cell_of(r->branch[j].gate, r->cells) > k && r->branch[j].gate < above)
                above = r->branch[j].gate;
        r->beyond[k] = slope_at(r, above);
        r->until[k] = r->gate[k] >= 0 ? slope_at(r, r->gate[k]) : r->beyond[k];
    }
}

void mq_mix_rows_set(mq_mix_rows *r, mq_quantizer quantizer, const float softmax[MQ_BRANCHES]) {
    mq_mix_set_branches(quantizer, softmax, r->branch);
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const double step = mq_activation_step(quantizer, MQ_SEARCH_MIN + j);
        r->inverse[j] = (float)(1 / step);
        r->last[j] = MQ_MIX_WHOLE + (float)mq_code_high(MQ_SEARCH_MIN + j, false);
        r->unit[j] = r->branch[j].weight * r->branch[j].step;
    }
    set_cells(r);
}

bool mq_mix_rows_fast(size_t width) {
    return width % MQ_MIX_LANES == 0 && mq_mix_avx512();
}

#if defined(__x86_64__) && defined(__GNUC__)
#include "quant/mix_avx512.h"

/* What a row's columns have, of a vector that begins at column c. */
INLINE __m512 normalised(const mq_mix_rows *r, __m512 z, size_t c) {
    const __m512 d = _mm512_sub_ps(z, _mm512_loadu_ps(r->mean + c));
    return _mm512_add_ps(_mm512_mul_ps(d, _mm512_loadu_ps(r->a + c)), _mm512_loadu_ps(r->b + c));
}

INLINE size_t next_column(const mq_mix_rows *r, size_t c) {
    c += LANES;
    return c == r->width ? 0 : c;
}

/* Codes of x >= 0 (a NaN's is the last one), by one rounding of the exact product with the step's inverse. As
 * floats that are not negative have the order of their bits, the clip is of integers, for which processors
 * have more units. */
INLINE __m512 code_near(const mq_mix_rows *r, __m512 x, int j) {
    const __m512 whole = _mm512_set1_ps(MQ_MIX_WHOLE), inverse = _mm512_set1_ps(r->inverse[j]);
    const __m512i last = _mm512_castps_si512(_mm512_set1_ps(r->last[j]));
    const __m512i at = _mm512_castps_si512(_mm512_fmadd_ps(x, inverse, whole));
    return _mm512_sub_ps(_mm512_castsi512_ps(_mm512_min_epu32(at, last)), whole);
}

/* As integers, for the same reason; a NaN without sign stays one. */
INLINE __m512 not_negative(__m512 x) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(x), _mm512_setzero_si512()));
}

/* A term of the mix, with the roundings of activations.c or, where the result is rounded to bfloat16, one. */
INLINE __m512 add_part(const mq_mix_rows *r, __m512 sum, __m512 code, int j, bool once) {
    if (once) return _mm512_fmadd_ps(code, _mm512_set1_ps(r->unit[j]), sum);
    return add_term(sum, code, &r->branch[j]);
}

INLINE void mix_near(const mq_mix_rows *r, const __m512 *x, int many, bool once, __m512 *sum) {
    __m512 v[MANY];
#pragma GCC unroll 4
    for (int k = 0; k < many; k++) {
        v[k] = not_negative(x[k]);
        sum[k] = _mm512_setzero_ps();
    }
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++)
#pragma GCC unroll 4
        for (int k = 0; k < many; k++) sum[k] = add_part(r, sum[k], code_near(r, v[k], j), j, once);
#pragma GCC unroll 4
    for (int k = 0; k < many; k++)
        sum[k] = _mm512_mask_mov_ps(sum[k], _mm512_cmp_ps_mask(x[k], x[k], _CMP_UNORD_Q), x[k]);
}

/* total[j] += g*code_j */
INLINE void add_near(const mq_mix_rows *r, const __m512 *x, const __m512 *g, int many,
                     __m512 total[MQ_BRANCHES]) {
    __m512 v[MANY];
#pragma GCC unroll 4
    for (int k = 0; k < many; k++) v[k] = not_negative(x[k]);
#pragma GCC unroll 7
    for (int j = 0; j < MQ_BRANCHES; j++)
#pragma GCC unroll 4
        for (int k = 0; k < many; k++) total[j] = _mm512_fmadd_ps(g[k], code_near(r, v[k], j), total[j]);
}

/* Types of results: the processor may have an instruction that rounds to bfloat16. */
typedef enum result { REAL, ROUNDED, NATIVE } result;

static result result_of(bool bf16) {
    if (!bf16) return REAL;
    return __builtin_cpu_supports("avx512bf16") ? NATIVE : ROUNDED;
}

/* To the nearest, ties to even; a NaN stays one when asked for (and natively always). */
INLINE void store(void *base, size_t at, __m512 v, result type, bool keep_nan) {
    if (type == REAL) {
        _mm512_storeu_ps((float *)base + at, v);
        return;
    }
    if (type == NATIVE) {
        __m256i near; /* not by its intrinsic, which asks for the instruction in all of the caller */
        __asm__("vcvtneps2bf16 %1, %0" : "=v"(near) : "v"(v));
        _mm256_storeu_si256((void *)((uint16_t *)base + at), near);
        return;
    }
    const __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i half =
        _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
    if (keep_nan)
        half =
            _mm512_mask_or_epi32(half, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), high, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((void *)((uint16_t *)base + at), _mm512_cvtepi32_epi16(half));
}

/* The elements behind the last whole vector, zeros after them. */
typedef struct rest {
    uint32_t z[LANES], dy[LANES], out[LANES]; /* of either type */
} rest;

static size_t bytes_of(size_t count, bool bf16) {
    return count * (bf16 ? sizeof(uint16_t) : sizeof(float));
}

static rest rest_of(mq_mix_z z, const mq_mix_dy *dy, size_t at, size_t count) {
    rest out = {{0}, {0}, {0}};
    memcpy(out.z, (const char *)z.values + bytes_of(at, z.bf16), bytes_of(count - at, z.bf16));
    if (dy) memcpy(out.dy, (const char *)dy->values + bytes_of(at, dy->bf16), bytes_of(count - at, dy->bf16));
    return out;
}

INLINE void values(const mq_mix_rows *r, mq_mix_z z, bool z_bf16, size_t count, void *y, result type) {
    __m512 x[MANY], sum[MANY];
    size_t i = 0, c = 0;
    for (; i + MANY * LANES <= count; i += MANY * LANES) {
#pragma GCC unroll 4
        for (size_t k = 0; k < MANY; k++, c = next_column(r, c))
            x[k] = normalised(r, load_either(z.values, i + k * LANES, z_bf16), c);
        mix_near(r, x, MANY, type != REAL, sum);
#pragma GCC unroll 4
        for (size_t k = 0; k < MANY; k++) store(y, i + k * LANES, sum[k], type, true);
    }
    for (; i + LANES <= count; i += LANES, c = next_column(r, c)) {
        x[0] = normalised(r, load_either(z.values, i, z_bf16), c);
        mix_near(r, x, 1, type != REAL, sum);
        store(y, i, sum[0], type, true);
    }
    if (i == count) return;
    rest last = rest_of(z, NULL, i, count);
    x[0] = normalised(r, load_either(last.z, 0, z_bf16), c);
    mix_near(r, x, 1, type != REAL, sum);
    store(last.out, 0, sum[0], type, true);
    memcpy((char *)y + bytes_of(i, type != REAL), last.out, bytes_of(count - i, type != REAL));
}

AVX512 static void values_real(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y) {
    values(r, z, false, count, y, REAL);
}

AVX512 static void values_native(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y) {
    values(r, z, false, count, y, NATIVE);
}

AVX512 static void values_short(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y) {
    values(r, z, true, count, y, NATIVE);
}

AVX512 static void values_other(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y, bool bf16) {
    values(r, z, z.bf16, count, y, bf16 ? ROUNDED : REAL);
}

void mq_mix_rows_values(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y, bool bf16) {
    const result type = result_of(bf16);
    if (type == NATIVE)
        (z.bf16 ? values_short : values_native)(r, z, count, y);
    else if (type == REAL && !z.bf16)
        values_real(r, z, count, y);
    else
        values_other(r, z, count, y, bf16);
}

INLINE void add_columns(const double *centre, double *sum, double *product, __m512 z, __m512 dx) {
    const __m512d g[2] = {low(dx), high(dx)}, v[2] = {low(z), high(z)};
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        add_to(sum + 8 * h, g[h]);
        add_to(product + 8 * h, _mm512_mul_pd(g[h], _mm512_sub_pd(v[h], _mm512_loadu_pd(centre + 8 * h))));
    }
}

/* dy times the slope at x. */
INLINE __m512 passed(const mq_mix_rows *r, __m512 x, __m512 dy) {
    if (r->cells == 0) return through(x, dy, r->branch);
    /* the infinite and what is no number get the largest index, as negative ones do */
    const __m512i at = _mm512_cvttps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(r->cells)));
    const __m512i cell = _mm512_min_epu32(at, _mm512_set1_epi32(MQ_MIX_CELLS - 1));
    const __m512 gate = _mm512_permutexvar_ps(cell, _mm512_loadu_ps(r->gate));
    const __m512 beyond = _mm512_permutexvar_ps(cell, _mm512_loadu_ps(r->beyond));
    const __mmask16 inside = _mm512_cmp_ps_mask(x, gate, _CMP_LE_OQ);
    const __m512 slope = _mm512_mask_permutexvar_ps(beyond, inside, cell, _mm512_loadu_ps(r->until));
    const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mul_ps(dy, _mm512_maskz_mov_ps(positive, slope));
}

INLINE __m512 scaled(__m512 dx, float scale) {
    return _mm512_mul_ps(dx, _mm512_set1_ps(scale));
}

/* Four rows of 16 columns, whose dx and dx*(z - mean) are added in float32; what the mean lost of the centre
 * comes back. */
INLINE void add_group(const mq_mix_rows *r, mq_mix_z z, bool z_bf16, const mq_mix_dy *dy, bool bf16, bool one,
                      size_t i, size_t c, const double *centre, double *sum, double *product,
                      __m512 total[MQ_BRANCHES]) {
    const __m512 m = _mm512_loadu_ps(r->mean + c), a = _mm512_loadu_ps(r->a + c),
                 b = _mm512_loadu_ps(r->b + c);
    __m512 d[MANY], x[MANY], g[MANY], s = _mm512_setzero_ps(), q = s;
#pragma GCC unroll 4
    for (size_t k = 0; k < MANY; k++) {
        const size_t at = i + k * r->width + c;
        _mm_prefetch((const char *)z.values + bytes_of(at + MANY * r->width, z_bf16), _MM_HINT_T0);
        d[k] = _mm512_sub_ps(load_either(z.values, at, z_bf16), m);
        x[k] = _mm512_add_ps(_mm512_mul_ps(d[k], a), b);
        g[k] = load_either(dy->values, at, bf16);
    }
    add_near(r, x, g, MANY, total);
#pragma GCC unroll 4
    for (size_t k = 0; k < MANY; k++) {
        const __m512 through = passed(r, x[k], g[k]), dx = one ? through : scaled(through, dy->scale);
        s = _mm512_add_ps(s, dx);
        q = _mm512_add_ps(q, _mm512_mul_ps(dx, d[k]));
    }
    const __m512d sums[2] = {low(s), high(s)}, products[2] = {low(q), high(q)}, mean[2] = {low(m), high(m)};
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
        const size_t at = c + 8 * h;
        const __m512d lost = _mm512_mul_pd(sums[h], _mm512_sub_pd(mean[h], _mm512_loadu_pd(centre + at)));
        add_to(sum + at, sums[h]);
        add_to(product + at, _mm512_add_pd(products[h], lost));
    }
}

INLINE void products(const mq_mix_rows *r, mq_mix_z z, bool z_bf16, const mq_mix_dy *dy, bool bf16, bool one,
                     size_t count, const double *centre, double *sum, double *product,
                     float lanes[MQ_BRANCHES][LANES]) {
    __m512 total[MQ_BRANCHES], v, x, g;
    size_t i = 0, c = 0;
    for (int j = 0; j < MQ_BRANCHES; j++) total[j] = _mm512_setzero_ps();
    for (; i + MANY * r->width <= count; i += MANY * r->width)
        for (c = 0; c < r->width; c += LANES)
            add_group(r, z, z_bf16, dy, bf16, one, i, c, centre, sum, product, total);
    for (c = 0; i < count; i += LANES, c = next_column(r, c)) {
        if (i + LANES <= count) {
            v = load_either(z.values, i, z_bf16);
            g = load_either(dy->values, i, bf16);
        } else {
            const rest last = rest_of(z, dy, i, count);
            v = load_either(last.z, 0, z_bf16);
            g = load_either(last.dy, 0, bf16);
        }
        x = normalised(r, v, c);
        add_near(r, &x, &g, 1, total);
        add_columns(centre + c, sum + c, product + c, v, scaled(passed(r, x, g), dy->scale));
    }
    for (int j = 0; j < MQ_BRANCHES; j++) _mm512_storeu_ps(lanes[j], total[j]);
}

AVX512 static void products_real(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                 const double *centre, double *sum, double *product,
                                 float lanes[MQ_BRANCHES][LANES]) {
    products(r, z, false, dy, false, false, count, centre, sum, product, lanes);
}

AVX512 static void products_native(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                   const double *centre, double *sum, double *product,
                                   float lanes[MQ_BRANCHES][LANES]) {
    products(r, z, false, dy, true, false, count, centre, sum, product, lanes);
}

AVX512 static void products_short(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                  const double *centre, double *sum, double *product,
                                  float lanes[MQ_BRANCHES][LANES]) {
    if (dy->scale == 1)
        products(r, z, true, dy, true, true, count, centre, sum, product, lanes);
    else
        products(r, z, true, dy, true, false, count, centre, sum, product, lanes);
}

AVX512 static void products_other(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                  const double *centre, double *sum, double *product,
                                  float lanes[MQ_BRANCHES][LANES]) {
    products(r, z, z.bf16, dy, dy->bf16, false, count, centre, sum, product, lanes);
}

void mq_mix_rows_products(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const double *centre, double *sum, double *product, double g[MQ_BRANCHES]) {
    float lanes[MQ_BRANCHES][LANES];
    (dy->bf16 ? (z.bf16 ? products_short : products_native)
     : z.bf16 ? products_other
              : products_real)(r, z, dy, count, centre, sum, product, lanes);
    for (int j = 0; j < MQ_BRANCHES; j++) {
        double total = 0;
        for (int l = 0; l < LANES; l++) total += (double)lanes[j][l];
        g[j] += (double)r->branch[j].step * total;
    }
}

typedef struct own_gradient {
    const float *factor, *offset, *slope;
} own_gradient;

INLINE __m512 gradient_of(const mq_mix_rows *r, const own_gradient *o, __m512 z, __m512 dy, float scale,
                          size_t c) {
    const __m512 dx = scaled(passed(r, normalised(r, z, c), dy), scale);
    const __m512 d = _mm512_sub_ps(z, _mm512_loadu_ps(r->mean + c));
    const __m512 first =
        _mm512_sub_ps(_mm512_mul_ps(_mm512_loadu_ps(o->factor + c), dx), _mm512_loadu_ps(o->offset + c));
    return _mm512_sub_ps(first, _mm512_mul_ps(_mm512_loadu_ps(o->slope + c), d));
}

INLINE void gradient(const mq_mix_rows *r, const own_gradient *o, mq_mix_z z, bool z_bf16,
                     const mq_mix_dy *dy, bool dy_bf16, size_t count, void *dz, result type) {
    size_t i = 0, c = 0;
    for (; i + LANES <= count; i += LANES, c = next_column(r, c))
        store(dz, i,
              gradient_of(r, o, load_either(z.values, i, z_bf16), load_either(dy->values, i, dy_bf16),
                          dy->scale, c),
              type, false);
    if (i == count) return;
    rest last = rest_of(z, dy, i, count);
    store(last.out, 0,
          gradient_of(r, o, load_either(last.z, 0, z_bf16), load_either(last.dy, 0, dy_bf16), dy->scale, c),
          type, false);
    memcpy((char *)dz + bytes_of(i, type != REAL), last.out, bytes_of(count - i, type != REAL));
}

AVX512 static void gradient_real(const mq_mix_rows *r, const own_gradient *o, mq_mix_z z, const mq_mix_dy *dy,
                                 size_t count, void *dz) {
    gradient(r, o, z, false, dy, false, count, dz, REAL);
}

AVX512 static void gradient_native(const mq_mix_rows *r, const own_gradient *o, mq_mix_z z,
                                   const mq_mix_dy *dy, size_t count, void *dz) {
    gradient(r, o, z, false, dy, true, count, dz, NATIVE);
}

AVX512 static void gradient_short(const mq_mix_rows *r, const own_gradient *o, mq_mix_z z,
                                  const mq_mix_dy *dy, size_t count, void *dz) {
    gradient(r, o, z, true, dy, true, count, dz, NATIVE);
}

AVX512 static void gradient_other(const mq_mix_rows *r, const own_gradient *o, mq_mix_z z,
                                  const mq_mix_dy *dy, size_t count, void *dz, result type) {
    gradient(r, o, z, z.bf16, dy, dy->bf16, count, dz, type);
}

void mq_mix_rows_gradient(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const float *factor, const float *offset, const float *slope, void *dz, bool bf16) {
    const own_gradient o = {factor, offset, slope};
    const result type = result_of(bf16);
    if (type == NATIVE && dy->bf16)
        (z.bf16 ? gradient_short : gradient_native)(r, &o, z, dy, count, dz);
    else if (type == REAL && !dy->bf16 && !z.bf16)
        gradient_real(r, &o, z, dy, count, dz);
    else
        gradient_other(r, &o, z, dy, count, dz, type);
}

INLINE void slopes(const mq_mix_rows *r, mq_mix_z z, bool z_bf16, const mq_mix_dy *dy, bool bf16,
                   size_t count, float *dx) {
    size_t i = 0, c = 0;
    for (; i + LANES <= count; i += LANES, c = next_column(r, c)) {
        const __m512 x = normalised(r, load_either(z.values, i, z_bf16), c);
        _mm512_storeu_ps(dx + i, scaled(passed(r, x, load_either(dy->values, i, bf16)), dy->scale));
    }
    if (i == count) return;
    const rest last = rest_of(z, dy, i, count);
    const __m512 x = normalised(r, load_either(last.z, 0, z_bf16), c);
    _mm512_mask_storeu_ps(dx + i, first_lanes(count - i),
                          scaled(passed(r, x, load_either(last.dy, 0, bf16)), dy->scale));
}

AVX512 static void slopes_real(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                               float *dx) {
    slopes(r, z, false, dy, false, count, dx);
}

AVX512 static void slopes_native(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                 float *dx) {
    slopes(r, z, false, dy, true, count, dx);
}

AVX512 static void slopes_short(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                float *dx) {
    slopes(r, z, true, dy, true, count, dx);
}

AVX512 static void slopes_other(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                                float *dx) {
    slopes(r, z, z.bf16, dy, dy->bf16, count, dx);
}

void mq_mix_rows_slope(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count, float *dx) {
    (dy->bf16 ? (z.bf16 ? slopes_short : slopes_native)
     : z.bf16 ? slopes_other
              : slopes_real)(r, z, dy, count, dx);
}

#else

void mq_mix_rows_values(const mq_mix_rows *r, mq_mix_z z, size_t count, void *y, bool bf16) {
    (void)r, (void)z, (void)count, (void)y, (void)bf16;
}

void mq_mix_rows_products(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const double *centre, double *sum, double *product, double g[MQ_BRANCHES]) {
    (void)r, (void)z, (void)dy, (void)count, (void)centre, (void)sum, (void)product, (void)g;
}

void mq_mix_rows_gradient(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count,
                          const float *factor, const float *offset, const float *slope, void *dz, bool bf16) {
    (void)r, (void)z, (void)dy, (void)count, (void)factor, (void)offset, (void)slope, (void)dz, (void)bf16;
}

void mq_mix_rows_slope(const mq_mix_rows *r, mq_mix_z z, const mq_mix_dy *dy, size_t count, float *dx) {
    (void)r, (void)z, (void)dy, (void)count, (void)dx;
}
#endif
