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

MQ_CLONES static void forward_row(const pooled_norm *p, size_t row) {
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    for (int column = 0; column < p->w; column++) {
        const float *z = p->z + w.first + (size_t)column * w.step;
        const size_t out = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        for (int c = 0; c < whole; c += LANES) {
            lanes_f32 best, mean, a, b;
            lanes_i32 place = {0};
            LOAD(mean, p->mean + c);
            LOAD(a, p->a + c);
            LOAD(b, p->b + c);
            LOAD(best, z + c);
            best = (best - mean) * a + b;
            for (int i = 1; i < w.count; i++) {
                lanes_f32 v;
                LOAD(v, z + w.at[i] + c);
                v = (v - mean) * a + b;
                const lanes_i32 larger = (v > best) | (v != v), here = (lanes_i32){0} + i;
                best = WHERE(larger, v, best);
                place = (larger & here) | (~larger & place);
            }
            const lanes_u8 bytes = __builtin_convertvector(place, lanes_u8);
            STORE(p->y + out + c, best);
            STORE(p->index + out + c, bytes);
        }
        for (int c = whole; c < p->c; c++) {
            float best = (z[c] - p->mean[c]) * p->a[c] + p->b[c];
            int place = 0;
            for (int i = 1; i < w.count; i++) {
                const float v = (z[w.at[i] + (size_t)c] - p->mean[c]) * p->a[c] + p->b[c];
                if (!(v > best || v != v)) continue; /* as in pool.c: a NaN wins */
                best = v;
                place = i;
            }
            p->y[out + (size_t)c] = best;
            p->index[out + (size_t)c] = (uint8_t)place;
        }
    }
}

MQ_CLONES static void forward_row_exact(const pooled_norm *p, size_t row) {
    windows w;
    windows_of(p, row, &w);
    for (int column = 0; column < p->w; column++) {
        const float *z = p->z + w.first + (size_t)column * w.step;
        float *best = p->y + (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        for (int i = 0; i < w.count; i++)
            for (int c = 0; c < p->c; c++) {
                const float v = (float)((double)z[w.at[i] + (size_t)c] * p->ea[c] + p->eb[c]);
                best[c] = i == 0 || v > best[c] || v != v ? v : best[c];
            }
    }
}

void pooled_norm_forward(const pooled_norm *p, size_t row) {
    if (p->ea)
        forward_row_exact(p, row);
    else
        forward_row(p, row);
}

MQ_CLONES static void products_row(const pooled_norm *p, size_t row, const double *mean, double *sum,
                                   double *product) {
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    const size_t channels = (size_t)p->c, small = row * (size_t)p->w * channels;
    for (int c = 0; c < whole; c += LANES) {
        lanes_f64 m, s, q;
        LOAD(m, mean + c);
        LOAD(s, sum + c);
        LOAD(q, product + c);
        for (int column = 0; column < p->w; column++) {
            const float *z = p->z + w.first + (size_t)column * w.step + c;
            const size_t at = small + (size_t)column * channels + (size_t)c;
            lanes_f32 chosen, dy;
            lanes_u8 bytes;
            LOAD(bytes, p->index + at);
            LOAD(dy, p->dy + at);
            LOAD(chosen, z);
            const lanes_i32 place = __builtin_convertvector(bytes, lanes_i32);
            for (int i = 1; i < w.count; i++) {
                lanes_f32 v;
                LOAD(v, z + w.at[i]);
                const lanes_i32 here = place == i;
                chosen = WHERE(here, v, chosen);
            }
            const lanes_f64 g = __builtin_convertvector(dy, lanes_f64);
            s += g;
            q += g * (__builtin_convertvector(chosen, lanes_f64) - m);
        }
        STORE(sum + c, s);
        STORE(product + c, q);
    }
    for (int column = 0; column < p->w; column++)
        for (int c = whole; c < p->c; c++) {
            const size_t at = small + (size_t)column * channels + (size_t)c;
            const float z = p->z[w.first + (size_t)column * w.step + w.at[p->index[at]] + (size_t)c];
            sum[c] += (double)p->dy[at];
            product[c] += (double)p->dy[at] * ((double)z - mean[c]);
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

INLINE void gradient_row(const pooled_norm *p, size_t row, const float *slope, void *out, bool bf16) {
    windows w;
    windows_of(p, row, &w);
    const int whole = p->c / LANES * LANES;
    for (int column = 0; column < p->w; column++) {
        const size_t at = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        const size_t large = w.first + (size_t)column * w.step;
        for (int c = 0; c < whole; c += LANES) {
            lanes_f32 a, b, d, mean, dy;
            lanes_u8 bytes;
            LOAD(a, p->a + c);
            LOAD(b, p->b + c);
            LOAD(d, slope + c);
            LOAD(mean, p->mean + c);
            LOAD(dy, p->dy + at + c);
            LOAD(bytes, p->index + at + c);
            const lanes_i32 place = __builtin_convertvector(bytes, lanes_i32);
            for (int i = 0; i < w.count; i++) {
                const size_t to = large + w.at[i] + (size_t)c;
                const lanes_i32 here = place == i;
                lanes_f32 z, g = (lanes_f32)(here & (lanes_i32)dy);
                LOAD(z, p->z + to);
                g = a * g - b - d * (z - mean);
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
                const size_t to = large + w.at[i] + (size_t)c, from = at + (size_t)c;
                const float dy = p->index[from] == i ? p->dy[from] : 0.0f;
                const float g = p->a[c] * dy - p->b[c] - slope[c] * (p->z[to] - p->mean[c]);
                if (bf16)
                    ((uint16_t *)out)[to] = narrow(g);
                else
                    ((float *)out)[to] = g;
            }
    }
}

MQ_CLONES static void gradient_row_f32(const pooled_norm *p, size_t row, const float *slope, void *out) {
    gradient_row(p, row, slope, out, false);
}

MQ_CLONES static void gradient_row_bf16(const pooled_norm *p, size_t row, const float *slope, void *out) {
    gradient_row(p, row, slope, out, true);
}

void pooled_norm_gradient(const pooled_norm *p, size_t row, size_t count, const float *slope, void *out,
                          mq_dtype type) {
    for (size_t end = row + count; row < end; row++)
        if (type == MQ_F32)
            gradient_row_f32(p, row, slope, out);
        else
            gradient_row_bf16(p, row, slope, out);
}
