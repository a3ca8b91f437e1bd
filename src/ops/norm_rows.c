/* norm_rows.c - see norm_rows.h. Per column, sums are added in the order of the rows. Loops are left to the
 * vectoriser: GCC 12 converts vectors of its own extension from float to double badly. */
#include "ops/norm_rows.h"

#include <stdint.h>
#include <string.h>

#include "base/parallel.h"

enum { ROWS = 4 /* added at once */ };

#define INLINE static inline __attribute__((always_inline))

MQ_CLONES static void moments(const float *z, size_t count, size_t width, double *restrict sum,
                              double *restrict square) {
    for (; count >= ROWS * width; count -= ROWS * width, z += ROWS * width)
        for (size_t c = 0; c < width; c++) {
            double s = sum[c], q = square[c];
#pragma GCC unroll 4
            for (size_t r = 0; r < ROWS; r++) {
                const double v = (double)z[r * width + c];
                s += v;
                q += v * v;
            }
            sum[c] = s;
            square[c] = q;
        }
    for (; count; count -= width, z += width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) {
            const double v = (double)z[c];
            sum[c] += v;
            square[c] += v * v;
        }
    }
}

void norm_moments_plain(const float *z, size_t count, size_t width, double *sum, double *square) {
    moments(z, count, width, sum, square);
}

void norm_moments(const float *z, size_t count, size_t width, double *sum, double *square) {
    const size_t done = norm_avx512(width) ? norm_moments_avx512(z, count, width, sum, square) : 0;
    norm_moments_plain(z + done, count - done, width, sum, square);
}

void norm_codes(const norm_forward *f, norm_z z, size_t count, size_t width, float top, float step,
                uint8_t *out) {
    norm_codes_avx512(f, z, count, width, top, step, out);
}

MQ_CLONES void norm_products(const float *z, const float *dy, size_t count, size_t width, const double *mean,
                             double *restrict sum, double *restrict product) {
    for (; count >= ROWS * width; count -= ROWS * width, z += ROWS * width, dy += ROWS * width)
        for (size_t c = 0; c < width; c++) {
            double s = sum[c], q = product[c];
#pragma GCC unroll 4
            for (size_t r = 0; r < ROWS; r++) {
                const double g = (double)dy[r * width + c];
                s += g;
                q += g * ((double)z[r * width + c] - mean[c]);
            }
            sum[c] = s;
            product[c] = q;
        }
    for (; count; count -= width, z += width, dy += width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) {
            const double g = (double)dy[c];
            sum[c] += g;
            product[c] += g * ((double)z[c] - mean[c]);
        }
    }
}

INLINE float load(const void *base, size_t at, bool bf16) {
    if (!bf16) return ((const float *)base)[at];
    const uint32_t u = (uint32_t)((const uint16_t *)base)[at] << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* What passes through the gate at a normalised y. */
INLINE float gated(const norm_gate *gate, float y, float dy) {
    return (((y >= gate->low) & (y <= gate->high)) ? dy : 0) * gate->scale;
}

INLINE void gated_products(const norm_forward *f, const norm_gate *through, const float *z, const void *dy,
                           size_t at, bool bf16, size_t count, size_t width, const double *mean,
                           double *restrict sum, double *restrict product) {
    const float *m = f->mean, *a = f->a, *b = f->b;
    const norm_gate gate = *through;
    for (size_t rows; count; count -= rows * width, z += rows * width, at += rows * width) {
        if (width > count) width = count;
        rows = count >= NORM_ROWS * width ? NORM_ROWS : 1;
        if (rows == NORM_ROWS)
            for (size_t c = 0; c < width; c++) {
                float s = 0, q = 0; /* of these rows; what m lost of the mean comes back below */
#pragma GCC unroll 8
                for (size_t r = 0; r < NORM_ROWS; r++) {
                    const float d = z[r * width + c] - m[c];
                    const float g = gated(&gate, d * a[c] + b[c], load(dy, at + r * width + c, bf16));
                    s += g;
                    q += g * d;
                }
                sum[c] += (double)s;
                product[c] += (double)q + (double)s * ((double)m[c] - mean[c]);
            }
        else
            for (size_t c = 0; c < width; c++) {
                const float v = z[c];
                const double g = (double)gated(&gate, (v - m[c]) * a[c] + b[c], load(dy, at + c, bf16));
                sum[c] += g;
                product[c] += g * ((double)v - mean[c]);
            }
    }
}

MQ_CLONES static void gated_products_f32(const norm_forward *f, const norm_gate *gate, const float *z,
                                         const void *dy, size_t at, size_t count, size_t width,
                                         const double *mean, double *sum, double *product) {
    gated_products(f, gate, z, dy, at, false, count, width, mean, sum, product);
}

MQ_CLONES static void gated_products_bf16(const norm_forward *f, const norm_gate *gate, const float *z,
                                          const void *dy, size_t at, size_t count, size_t width,
                                          const double *mean, double *sum, double *product) {
    gated_products(f, gate, z, dy, at, true, count, width, mean, sum, product);
}

void norm_gated_products_plain(const norm_forward *f, const norm_gate *gate, const float *z, const void *dy,
                               size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                               double *sum, double *product) {
    if (dy_type == MQ_F32)
        gated_products_f32(f, gate, z, dy, at, count, width, mean, sum, product);
    else
        gated_products_bf16(f, gate, z, dy, at, count, width, mean, sum, product);
}

void norm_gated_products(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                         mq_dtype dy_type, size_t count, size_t width, const double *mean, double *sum,
                         double *product) {
    size_t done = 0;
    if (norm_avx512(width))
        done = norm_gated_products_avx512(f, gate, z, dy, at, dy_type, count, width, mean, sum, product);
    if (z.as != NORM_REAL) return; /* whole rows alone */
    norm_gated_products_plain(f, gate, (const float *)z.values + done, dy, at + done, dy_type, count - done,
                              width, mean, sum, product);
}

INLINE void store(void *base, size_t at, float g, bool bf16) {
    uint32_t u;
    memcpy(&u, &g, 4);
    if (bf16)
        ((uint16_t *)base)[at] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    else
        ((float *)base)[at] = g;
}

INLINE void gated_gradient(const norm_forward *f, const norm_backward *k, const norm_gate *through,
                           const float *z, const void *dy, size_t at, bool bf16, size_t count, size_t width,
                           void *restrict out, size_t to) {
    const float *m = f->mean, *a = f->a, *b = f->b, *factor = k->a, *offset = k->b, *slope = k->slope;
    const norm_gate gate = *through;
    for (; count; count -= width, z += width, at += width, to += width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) {
            const float d = z[c] - m[c];
            const float g = gated(&gate, d * a[c] + b[c], load(dy, at + c, bf16));
            store(out, to + c, factor[c] * g - offset[c] - slope[c] * d, bf16);
        }
    }
}

MQ_CLONES static void gated_gradient_f32(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                                         const float *z, const void *dy, size_t at, size_t count,
                                         size_t width, void *out, size_t to) {
    gated_gradient(f, k, gate, z, dy, at, false, count, width, out, to);
}

MQ_CLONES static void gated_gradient_bf16(const norm_forward *f, const norm_backward *k,
                                          const norm_gate *gate, const float *z, const void *dy, size_t at,
                                          size_t count, size_t width, void *out, size_t to) {
    gated_gradient(f, k, gate, z, dy, at, true, count, width, out, to);
}

void norm_gated_gradient_plain(const norm_forward *f, const norm_backward *k, const norm_gate *gate,
                               const float *z, const void *dy, size_t at, size_t count, size_t width,
                               void *out, size_t to, mq_dtype type) {
    if (type == MQ_F32)
        gated_gradient_f32(f, k, gate, z, dy, at, count, width, out, to);
    else
        gated_gradient_bf16(f, k, gate, z, dy, at, count, width, out, to);
}

void norm_gated_gradient(const norm_forward *f, const norm_backward *k, const norm_gate *gate, norm_z z,
                         const void *dy, size_t at, size_t count, size_t width, void *out, size_t to,
                         mq_dtype type) {
    size_t done = 0;
    if (norm_avx512(width))
        done = norm_gated_gradient_avx512(f, k, gate, z, dy, at, count, width, out, to, type);
    if (z.as != NORM_REAL) return;
    norm_gated_gradient_plain(f, k, gate, (const float *)z.values + done, dy, at + done, count - done, width,
                              out, to + done, type);
}

INLINE void gated_values(const norm_forward *f, const norm_gate *through, const float *z, const void *dy,
                         size_t at, bool bf16, size_t count, size_t width, float *restrict out) {
    const float *m = f->mean, *a = f->a, *b = f->b;
    const norm_gate gate = *through;
    for (; count; count -= width, z += width, at += width, out += width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++)
            out[c] = gated(&gate, (z[c] - m[c]) * a[c] + b[c], load(dy, at + c, bf16));
    }
}

MQ_CLONES static void gated_values_f32(const norm_forward *f, const norm_gate *gate, const float *z,
                                       const void *dy, size_t at, size_t count, size_t width, float *out) {
    gated_values(f, gate, z, dy, at, false, count, width, out);
}

MQ_CLONES static void gated_values_bf16(const norm_forward *f, const norm_gate *gate, const float *z,
                                        const void *dy, size_t at, size_t count, size_t width, float *out) {
    gated_values(f, gate, z, dy, at, true, count, width, out);
}

void norm_gated_values_plain(const norm_forward *f, const norm_gate *gate, const float *z, const void *dy,
                             size_t at, mq_dtype dy_type, size_t count, size_t width, float *out) {
    if (dy_type == MQ_F32)
        gated_values_f32(f, gate, z, dy, at, count, width, out);
    else
        gated_values_bf16(f, gate, z, dy, at, count, width, out);
}

void norm_gated_values(const norm_forward *f, const norm_gate *gate, norm_z z, const void *dy, size_t at,
                       mq_dtype dy_type, size_t count, size_t width, float *out) {
    if (norm_avx512(width) && count % 16 == 0)
        (void)norm_gated_values_avx512(f, gate, z, dy, at, dy_type, count, width, out);
    else
        norm_gated_values_plain(f, gate, z.values, dy, at, dy_type, count, width, out);
}

MQ_CLONES static void apply(const norm_forward *f, const float *z, size_t count, size_t width,
                            float *restrict out) {
    const float *mean = f->mean, *a = f->a, *b = f->b;
    for (; count; z += width, out += width, count -= width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) out[c] = (z[c] - mean[c]) * a[c] + b[c];
    }
}

MQ_CLONES static void apply_exact(const norm_forward *f, const float *z, size_t count, size_t width,
                                  float *restrict out) {
    const double *a = f->ea, *b = f->eb;
    for (; count; z += width, out += width, count -= width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) out[c] = (float)((double)z[c] * a[c] + b[c]);
    }
}

void norm_apply(const norm_forward *f, const float *z, size_t count, size_t width, float *out) {
    if (f->ea)
        apply_exact(f, z, count, width, out);
    else
        apply(f, z, count, width, out);
}

MQ_CLONES static void gradient_f32(const norm_backward *f, const float *z, const float *dy, size_t count,
                                   size_t width, float *restrict out) {
    const float *mean = f->mean, *a = f->a, *b = f->b, *slope = f->slope;
    for (; count; z += width, dy += width, out += width, count -= width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) out[c] = a[c] * dy[c] - b[c] - slope[c] * (z[c] - mean[c]);
    }
}

MQ_CLONES static void gradient_bf16(const norm_backward *f, const float *z, const float *dy, size_t count,
                                    size_t width, uint16_t *restrict out) {
    const float *mean = f->mean, *a = f->a, *b = f->b, *slope = f->slope;
    for (; count; z += width, dy += width, out += width, count -= width) {
        if (width > count) width = count;
        for (size_t c = 0; c < width; c++) {
            const float g = a[c] * dy[c] - b[c] - slope[c] * (z[c] - mean[c]);
            uint32_t u;
            memcpy(&u, &g, 4);
            out[c] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
        }
    }
}

void norm_gradient(const norm_backward *f, const float *z, const float *dy, size_t count, size_t width,
                   void *out, size_t at, mq_dtype type) {
    if (type == MQ_F32)
        gradient_f32(f, z, dy, count, width, (float *)out + at);
    else
        gradient_bf16(f, z, dy, count, width, (uint16_t *)out + at);
}
