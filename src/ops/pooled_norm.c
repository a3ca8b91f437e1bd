/* pooled_norm.c - the passes over one row of windows: 8 channels at a time (of wider
 * vectors, GCC 12 compares the elements one by one), the last ones singly. */
#include "ops/pooled_norm.h"

#include <string.h>

#include "base/parallel.h"

enum { LANES = 8, MOST = 256 }; /* a window has at most 16 x 16 positions (net/parse.c) */

typedef float lanes_f32 __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lanes_i32 __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint32_t lanes_u32 __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t lanes_u16 __attribute__((vector_size(LANES * sizeof(uint16_t))));
typedef uint8_t lanes_u8 __attribute__((vector_size(LANES * sizeof(uint8_t))));
typedef double lanes_f64 __attribute__((vector_size(LANES * sizeof(double))));

#define INLINE static inline __attribute__((always_inline))

/* These passes read and write float32 alone. */
INLINE const float *z_of(const pooled_norm *p) {
    return p->z.values;
}

INLINE float *y_of(const pooled_norm *p) {
    return p->y;
}

/* Where a row's windows lie on the large side, in elements. */
typedef struct windows {
    size_t first, step; /* the first one; from one to the next */
    int count;          /* positions */
    size_t at[MOST];    /* of each position, from its window's first */
} windows;

INLINE void windows_of(const pooled_norm *p, size_t row, windows *out) {
    const size_t k = (size_t)p->kernel, line = (size_t)p->w * k * (size_t)p->c;
    out->first = row * k * line;
    out->step = k * (size_t)p->c;
    out->count = 0;
    for (size_t y = 0; y < k; y++)
        for (size_t x = 0; x < k; x++) out->at[out->count++] = y * line + x * (size_t)p->c;
}

/* Vectors go through memory: arguments and results would depend on the CPU compiled for. */
#define LOAD(vector, from)   memcpy(&(vector), (from), sizeof(vector))
#define STORE(to, vector)    memcpy((to), &(vector), sizeof(vector))
#define WHERE(mask, yes, no) ((lanes_f32)(((mask) & (lanes_i32)(yes)) | (~(mask) & (lanes_i32)(no))))

INLINE void forward_row(const pooled_norm *p, size_t row, bool keep_z) {
    const norm_forward *f = &p->forward;
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    for (int column = 0; column < p->w; column++) {
        const float *z = z_of(p) + w.first + (size_t)column * w.step;
        const size_t out = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        for (int c = 0; c < whole; c += LANES) {
            lanes_f32 best, kept, mean, a, b;
            lanes_i32 place = {0};
            LOAD(mean, f->mean + c);
            LOAD(a, f->a + c);
            LOAD(b, f->b + c);
            LOAD(kept, z + c);
            best = (kept - mean) * a + b;
            for (int i = 1; i < w.count; i++) {
                lanes_f32 u, v;
                LOAD(u, z + w.at[i] + c);
                v = (u - mean) * a + b;
                const lanes_i32 larger = (v > best) | (v != v), here = (lanes_i32){0} + i;
                best = WHERE(larger, v, best);
                if (keep_z) kept = WHERE(larger, u, kept);
                place = (larger & here) | (~larger & place);
            }
            const lanes_u8 bytes = __builtin_convertvector(place, lanes_u8);
            if (!keep_z) kept = best;
            STORE(y_of(p) + out + c, kept);
            STORE(p->index + out + c, bytes);
        }
        for (int c = whole; c < p->c; c++) {
            float best = (z[c] - f->mean[c]) * f->a[c] + f->b[c];
            int place = 0;
            for (int i = 1; i < w.count; i++) {
                const float v = (z[w.at[i] + (size_t)c] - f->mean[c]) * f->a[c] + f->b[c];
                if (!(v > best || v != v)) continue; /* as in pool.c: a NaN wins */
                best = v;
                place = i;
            }
            y_of(p)[out + (size_t)c] = keep_z ? z[w.at[place] + (size_t)c] : best;
            p->index[out + (size_t)c] = (uint8_t)place;
        }
    }
}

MQ_CLONES static void forward_row_y(const pooled_norm *p, size_t row) {
    forward_row(p, row, false);
}

MQ_CLONES static void forward_row_z(const pooled_norm *p, size_t row) {
    forward_row(p, row, true);
}

MQ_CLONES static void forward_row_exact(const pooled_norm *p, size_t row) {
    windows w;
    windows_of(p, row, &w);
    for (int column = 0; column < p->w; column++) {
        const float *z = z_of(p) + w.first + (size_t)column * w.step;
        float *best = y_of(p) + (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        for (int i = 0; i < w.count; i++)
            for (int c = 0; c < p->c; c++) {
                const float v = (float)((double)z[w.at[i] + (size_t)c] * p->forward.ea[c] + p->forward.eb[c]);
                best[c] = i == 0 || v > best[c] || v != v ? v : best[c];
            }
    }
}

/* The norm rises or falls with z (every rounding is monotone), so the maximum is that of the largest or the
 * smallest z. */
MQ_CLONES static void forward_row_exact_z(const pooled_norm *p, size_t row) {
    windows w;
    windows_of(p, row, &w);
    for (int column = 0; column < p->w; column++) {
        const float *z = z_of(p) + w.first + (size_t)column * w.step;
        float *kept = y_of(p) + (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        memcpy(kept, z, (size_t)p->c * sizeof *kept);
        for (int i = 1; i < w.count; i++)
            for (int c = 0; c < p->c; c++) {
                const float u = z[w.at[i] + (size_t)c], k = kept[c];
                const bool take = (p->forward.ea[c] < 0 ? u < k : u > k) | (u != u);
                kept[c] = take ? u : k;
            }
    }
}

void pooled_norm_forward(const pooled_norm *p, size_t row) {
    if (p->thin)
        thin_forward_row(p, row);
    else if (!p->forward.ea && pooled_norm_avx512(p))
        pooled_norm_forward_avx512(p, row);
    else
        pooled_norm_forward_plain(p, row);
}

void pooled_norm_forward_plain(const pooled_norm *p, size_t row) {
    if (p->forward.ea && p->keep_z)
        forward_row_exact_z(p, row);
    else if (p->forward.ea)
        forward_row_exact(p, row);
    else if (p->keep_z)
        forward_row_z(p, row);
    else
        forward_row_y(p, row);
}

MQ_CLONES static void products_row(const pooled_norm *p, size_t row, const double *mean, double *sum,
                                   double *product) {
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    const size_t channels = (size_t)p->c, small = row * (size_t)p->w * channels;
    for (int column = 0; column < p->w; column++) {
        const float *z = z_of(p) + w.first + (size_t)column * w.step;
        const size_t at = small + (size_t)column * channels;
        for (int c = 0; c < whole; c += LANES) {
            lanes_f64 m, s, q;
            lanes_f32 chosen, dy;
            lanes_u8 bytes;
            LOAD(m, mean + c);
            LOAD(s, sum + c);
            LOAD(q, product + c);
            LOAD(bytes, p->index + at + c);
            LOAD(dy, p->dy + at + c);
            LOAD(chosen, z + c);
            const lanes_i32 place = __builtin_convertvector(bytes, lanes_i32);
            for (int i = 1; i < w.count; i++) {
                lanes_f32 v;
                LOAD(v, z + w.at[i] + c);
                const lanes_i32 here = place == i;
                chosen = WHERE(here, v, chosen);
            }
            const lanes_f64 g = __builtin_convertvector(dy, lanes_f64);
            s += g;
            q += g * (__builtin_convertvector(chosen, lanes_f64) - m);
            STORE(sum + c, s);
            STORE(product + c, q);
        }
        for (int c = whole; c < p->c; c++) {
            const double g = (double)p->dy[at + (size_t)c];
            sum[c] += g;
            product[c] += g * ((double)z[w.at[p->index[at + (size_t)c]] + (size_t)c] - mean[c]);
        }
    }
}

void pooled_norm_products(const pooled_norm *p, size_t row, size_t count, const double *mean, double *sum,
                          double *product) {
    for (size_t end = row + count; row < end; row++) products_row(p, row, mean, sum, product);
}

/* Rounds to nearest even; a gradient that is not a number was found before (model.c). */
INLINE uint16_t narrow(float g) {
    uint32_t u;
    memcpy(&u, &g, 4);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

INLINE void gradient_windows(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                             void *out, bool bf16) {
    const norm_backward *f = &p->backward;
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    for (const int end = column + columns; column < end; column++, dy += p->c) {
        const size_t at = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        const size_t large = w.first + (size_t)column * w.step;
        for (int c = 0; c < whole; c += LANES) {
            lanes_f32 a, b, slope, mean, d;
            lanes_u8 bytes;
            LOAD(a, f->a + c);
            LOAD(b, f->b + c);
            LOAD(slope, f->slope + c);
            LOAD(mean, f->mean + c);
            LOAD(d, dy + c);
            LOAD(bytes, p->index + at + c);
            const lanes_i32 place = __builtin_convertvector(bytes, lanes_i32);
            for (int i = 0; i < w.count; i++) {
                const size_t to = large + w.at[i] + (size_t)c;
                const lanes_i32 here = place == i;
                lanes_f32 z, g = (lanes_f32)(here & (lanes_i32)d);
                LOAD(z, z_of(p) + to);
                g = a * g - b - slope * (z - mean);
                if (bf16) {
                    const lanes_u32 u = (lanes_u32)g;
                    const lanes_u16 half =
                        __builtin_convertvector((u + 0x7fffu + ((u >> 16) & 1u)) >> 16, lanes_u16);
                    STORE((uint16_t *)out + to, half);
                } else {
                    STORE((float *)out + to, g);
                }
            }
        }
        for (int c = whole; c < p->c; c++)
            for (int i = 0; i < w.count; i++) {
                const size_t to = large + w.at[i] + (size_t)c;
                const float d = p->index[at + (size_t)c] == i ? dy[c] : 0.0f;
                const float g = f->a[c] * d - f->b[c] - f->slope[c] * (z_of(p)[to] - f->mean[c]);
                if (bf16)
                    ((uint16_t *)out)[to] = narrow(g);
                else
                    ((float *)out)[to] = g;
            }
    }
}

MQ_CLONES static void gradient_f32(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                   void *out) {
    gradient_windows(p, row, column, columns, dy, out, false);
}

MQ_CLONES static void gradient_bf16(const pooled_norm *p, size_t row, int column, int columns,
                                    const float *dy, void *out) {
    gradient_windows(p, row, column, columns, dy, out, true);
}

void pooled_norm_gradient_plain(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                                void *out, mq_dtype type) {
    if (type == MQ_F32)
        gradient_f32(p, row, column, columns, dy, out);
    else
        gradient_bf16(p, row, column, columns, dy, out);
}

void pooled_norm_gradient(const pooled_norm *p, size_t row, int column, int columns, const float *dy,
                          void *out, mq_dtype type) {
    if (pooled_norm_avx512(p))
        pooled_norm_gradient_avx512(p, row, column, columns, dy, out, type);
    else
        pooled_norm_gradient_plain(p, row, column, columns, dy, out, type);
}
