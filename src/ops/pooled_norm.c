/* pooled_norm.c - the passes over one row of windows. Channels go in pieces that stay in the first-level
 * cache. */
#include "ops/pooled_norm.h"

#include <string.h>

#include "base/parallel.h"

enum { PIECE = 256 };

/* Element of the large side: the first channel at `position` of window `column` of a row. */
static size_t large_at(const pooled_norm *p, size_t row, int column, int position) {
    const size_t k = (size_t)p->kernel, y = row * k + (size_t)(position / p->kernel),
                 x = (size_t)column * k + (size_t)(position % p->kernel);
    return (y * (size_t)p->w * k + x) * (size_t)p->c;
}

MQ_CLONES static void first_value(const float *z, int channels, const float *mean, const float *a,
                                  const float *b, float *best, uint8_t *index) {
    for (int c = 0; c < channels; c++) {
        best[c] = (z[c] - mean[c]) * a[c] + b[c];
        index[c] = 0;
    }
}

/* As in pool.c: a later position wins if it is larger or not a number. */
MQ_CLONES static void larger_value(const float *z, int channels, const float *mean, const float *a,
                                   const float *b, int position, float *best, uint8_t *index) {
    for (int c = 0; c < channels; c++) {
        const float v = (z[c] - mean[c]) * a[c] + b[c];
        const int larger = v > best[c] || v != v;
        best[c] = larger ? v : best[c];
        index[c] = larger ? (uint8_t)position : index[c];
    }
}

MQ_CLONES static void exact_value(const float *z, int channels, const double *a, const double *b, bool first,
                                  float *best) {
    for (int c = 0; c < channels; c++) {
        const float v = (float)((double)z[c] * a[c] + b[c]);
        best[c] = first || v > best[c] || v != v ? v : best[c];
    }
}

void pooled_norm_forward(const pooled_norm *p, size_t row) {
    for (int column = 0; column < p->w; column++) {
        const size_t out = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
        for (int i = 0; i < p->kernel * p->kernel; i++) {
            const float *z = p->z + large_at(p, row, column, i);
            if (p->ea)
                exact_value(z, p->c, p->ea, p->eb, i == 0, p->y + out);
            else if (i == 0)
                first_value(z, p->c, p->mean, p->a, p->b, p->y + out, p->index + out);
            else
                larger_value(z, p->c, p->mean, p->a, p->b, i, p->y + out, p->index + out);
        }
    }
}

MQ_CLONES static void select_maximum(const float *z, const uint8_t *index, int channels, int position,
                                     float *chosen) {
    for (int c = 0; c < channels; c++) chosen[c] = index[c] == position ? z[c] : chosen[c];
}

MQ_CLONES static void add_chosen(const float *z, const float *dy, int channels, const double *mean,
                                 double *sum, double *product) {
    for (int c = 0; c < channels; c++) {
        const double g = (double)dy[c];
        sum[c] += g;
        product[c] += g * ((double)z[c] - mean[c]);
    }
}

void pooled_norm_products(const pooled_norm *p, size_t row, size_t count, const double *mean, double *sum,
                          double *product) {
    float chosen[PIECE];
    for (size_t end = row + count; row < end; row++)
        for (int column = 0; column < p->w; column++)
            for (int c = 0; c < p->c; c += PIECE) {
                const int piece = p->c - c < PIECE ? p->c - c : PIECE;
                const size_t at = (row * (size_t)p->w + (size_t)column) * (size_t)p->c + (size_t)c;
                memcpy(chosen, p->z + large_at(p, row, column, 0) + c, (size_t)piece * sizeof *chosen);
                for (int i = 1; i < p->kernel * p->kernel; i++)
                    select_maximum(p->z + large_at(p, row, column, i) + c, p->index + at, piece, i, chosen);
                add_chosen(chosen, p->dy + at, piece, mean + c, sum + c, product + c);
            }
}

MQ_CLONES static void spread(const pooled_norm *p, const float *z, size_t at, int position,
                             const float *slope, float *out) {
    const float *mean = p->mean, *a = p->a, *b = p->b, *dy = p->dy + at;
    const uint8_t *index = p->index + at;
    const int channels = p->c;
    for (int c = 0; c < channels; c++)
        out[c] = a[c] * (index[c] == position ? dy[c] : 0.0f) - b[c] - slope[c] * (z[c] - mean[c]);
}

MQ_CLONES static void spread_bf16(const pooled_norm *p, const float *z, size_t at, int position,
                                  const float *slope, uint16_t *out) {
    const float *mean = p->mean, *a = p->a, *b = p->b, *dy = p->dy + at;
    const uint8_t *index = p->index + at;
    const int channels = p->c;
    for (int c = 0; c < channels; c++) {
        const float g = a[c] * (index[c] == position ? dy[c] : 0.0f) - b[c] - slope[c] * (z[c] - mean[c]);
        uint32_t u;
        memcpy(&u, &g, 4);
        out[c] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
}

void pooled_norm_gradient(const pooled_norm *p, size_t row, size_t count, const float *slope, void *out,
                          mq_dtype type) {
    for (size_t end = row + count; row < end; row++)
        for (int column = 0; column < p->w; column++) {
            const size_t at = (row * (size_t)p->w + (size_t)column) * (size_t)p->c;
            for (int i = 0; i < p->kernel * p->kernel; i++) {
                const size_t large = large_at(p, row, column, i);
                if (type == MQ_F32)
                    spread(p, p->z + large, at, i, slope, (float *)out + large);
                else
                    spread_bf16(p, p->z + large, at, i, slope, (uint16_t *)out + large);
            }
        }
}
