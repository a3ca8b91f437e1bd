/* norm_rows.c - see norm_rows.h. Per column, sums are added in the order of the rows. Loops are left to the
 * vectoriser: GCC 12 converts vectors of its own extension from float to double badly. */
#include "ops/norm_rows.h"

#include <stdint.h>
#include <string.h>

#include "base/parallel.h"

enum { ROWS = 4 /* added at once */ };

#define INLINE static inline __attribute__((always_inline))

MQ_CLONES void norm_moments(const float *z, size_t count, size_t width, double *restrict sum,
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
    return ((y >= gate->low) & (y <= gate->high) ? dy : 0) * gate->scale;
}

INLINE void gated_products(const norm_forward *f, const norm_gate *through, const float *z, const void *dy,
                           size_t at, bool bf16, size_t count, size_t width, const double *mean,
                           double *restrict sum, double *restrict product) {
    const float *m = f->mean, *a = f->a, *b = f->b;
    const norm_gate gate = *through;
    for (size_t rows; count; count -= rows * width, z += rows * width, at += rows * width) {
        if (width > count) width = count;
        rows = count >= ROWS * width ? ROWS : 1;
        if (rows == ROWS)
            for (size_t c = 0; c < width; c++) {
                float s = 0, q = 0; /* of four rows; what m lost of the mean comes back below */
#pragma GCC unroll 4
                for (size_t r = 0; r < ROWS; r++) {
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

void norm_gated_products(const norm_forward *f, const norm_gate *gate, const float *z, const void *dy,
                         size_t at, mq_dtype dy_type, size_t count, size_t width, const double *mean,
                         double *sum, double *product) {
    if (dy_type == MQ_F32)
        gated_products_f32(f, gate, z, dy, at, count, width, mean, sum, product);
    else
        gated_products_bf16(f, gate, z, dy, at, count, width, mean, sum, product);
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

void norm_gated_gradient(const norm_forward *f, const norm_backward *k, const norm_gate *gate, const float *z,
                         const void *dy, size_t at, size_t count, size_t width, void *out, size_t to,
                         mq_dtype type) {
    if (type == MQ_F32)
        gated_gradient_f32(f, k, gate, z, dy, at, count, width, out, to);
    else
        gated_gradient_bf16(f, k, gate, z, dy, at, count, width, out, to);
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
