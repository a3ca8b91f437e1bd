/* norm_rows.c - see norm_rows.h. The sums keep 16 columns in registers over a block of rows that stays in
 * the first-level cache; per column they are added in the order of the rows. */
#include "ops/norm_rows.h"

#include <stdint.h>
#include <string.h>

#include "base/parallel.h"

enum { LANES = 4 /* GCC 12 converts wider ones badly */, VECTORS = 4, BLOCK = 2048 /* elements */ };

typedef float lanes_f32 __attribute__((vector_size(LANES * sizeof(float))));
typedef double lanes_f64 __attribute__((vector_size(LANES * sizeof(double))));

#define INLINE static inline __attribute__((always_inline))

/* Through memory: vectors as arguments and results would depend on the CPU compiled for. */
#define LOAD(vector, from) memcpy(&(vector), (from), sizeof(vector))
#define STORE(to, vector)  memcpy((to), &(vector), sizeof(vector))
#define LOAD_WIDE(out, from)                                                                                 \
    do {                                                                                                     \
        lanes_f32 narrow_;                                                                                   \
        LOAD(narrow_, from);                                                                                 \
        (out) = __builtin_convertvector(narrow_, lanes_f64);                                                 \
    } while (0)

/* VECTORS vectors of columns from column c on, over `rows` rows. */
INLINE void moments_columns(const float *z, size_t rows, size_t width, size_t c, int vectors, double *sum,
                            double *square) {
    lanes_f64 s[VECTORS], q[VECTORS], v;
    for (int k = 0; k < vectors; k++) {
        LOAD(s[k], sum + c + k * LANES);
        LOAD(q[k], square + c + k * LANES);
    }
    for (size_t r = 0; r < rows; r++)
        for (int k = 0; k < vectors; k++) {
            LOAD_WIDE(v, z + r * width + c + k * LANES);
            s[k] += v;
            q[k] += v * v;
        }
    for (int k = 0; k < vectors; k++) {
        STORE(sum + c + k * LANES, s[k]);
        STORE(square + c + k * LANES, q[k]);
    }
}

INLINE void moments_singly(const float *z, size_t rows, size_t width, size_t c, size_t end, double *sum,
                           double *square) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = c; i < end; i++) {
            const double v = (double)z[r * width + i];
            sum[i] += v;
            square[i] += v * v;
        }
}

MQ_CLONES void norm_moments(const float *z, size_t count, size_t width, double *sum, double *square) {
    const size_t most = width < BLOCK ? BLOCK / width : 1;
    while (count >= width) {
        const size_t rows = count / width < most ? count / width : most;
        size_t c = 0;
        for (; c + VECTORS * LANES <= width; c += VECTORS * LANES)
            moments_columns(z, rows, width, c, VECTORS, sum, square);
        for (; c + LANES <= width; c += LANES) moments_columns(z, rows, width, c, 1, sum, square);
        moments_singly(z, rows, width, c, width, sum, square);
        z += rows * width;
        count -= rows * width;
    }
    moments_singly(z, 1, width, 0, count, sum, square);
}

INLINE void products_columns(const float *z, const float *dy, size_t rows, size_t width, size_t c,
                             int vectors, const double *mean, double *sum, double *product) {
    lanes_f64 s[VECTORS], q[VECTORS], m[VECTORS], v, g;
    for (int k = 0; k < vectors; k++) {
        LOAD(s[k], sum + c + k * LANES);
        LOAD(q[k], product + c + k * LANES);
        LOAD(m[k], mean + c + k * LANES);
    }
    for (size_t r = 0; r < rows; r++)
        for (int k = 0; k < vectors; k++) {
            LOAD_WIDE(v, z + r * width + c + k * LANES);
            LOAD_WIDE(g, dy + r * width + c + k * LANES);
            s[k] += g;
            q[k] += g * (v - m[k]);
        }
    for (int k = 0; k < vectors; k++) {
        STORE(sum + c + k * LANES, s[k]);
        STORE(product + c + k * LANES, q[k]);
    }
}

INLINE void products_singly(const float *z, const float *dy, size_t rows, size_t width, size_t c, size_t end,
                            const double *mean, double *sum, double *product) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = c; i < end; i++) {
            const double g = (double)dy[r * width + i];
            sum[i] += g;
            product[i] += g * ((double)z[r * width + i] - mean[i]);
        }
}

MQ_CLONES void norm_products(const float *z, const float *dy, size_t count, size_t width, const double *mean,
                             double *sum, double *product) {
    const size_t most = width < BLOCK ? BLOCK / width : 1;
    while (count >= width) {
        const size_t rows = count / width < most ? count / width : most;
        size_t c = 0;
        for (; c + VECTORS * LANES <= width; c += VECTORS * LANES)
            products_columns(z, dy, rows, width, c, VECTORS, mean, sum, product);
        for (; c + LANES <= width; c += LANES) products_columns(z, dy, rows, width, c, 1, mean, sum, product);
        products_singly(z, dy, rows, width, c, width, mean, sum, product);
        z += rows * width;
        dy += rows * width;
        count -= rows * width;
    }
    products_singly(z, dy, 1, width, 0, count, mean, sum, product);
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
