/* product.c - products of matrices in AVX-512. A block of the result, 6 rows of 4 vectors, stays in registers
 * while the sum runs: 24 multiply-adds for 4 vectors and 6 numbers read. */
#include "dnn/product.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "tensor/avx512.h"

enum { ROWS = MQ_PRODUCT_ROWS, TALL = 27 };

bool mq_product_supported(bool bf16) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && (!bf16 || __builtin_cpu_supports("avx512bf16"));
}

/* b is float32, or bfloat16 (half). */
INLINE void block(const float *a, size_t row, size_t step, const void *b, bool half, size_t rows,
                  size_t vectors, size_t depth, bool add, float *c, size_t columns) {
    __m512 sum[TALL][4];
#pragma GCC unroll 27
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = add ? _mm512_loadu_ps(c + r * columns + v * LANES) : _mm512_setzero_ps();
    for (size_t i = 0; i < depth; i++, a += step) {
        __m512 right[4];
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            right[v] = load(b, (i * vectors + v) * LANES, half ? MQ_BF16 : MQ_F32);
#pragma GCC unroll 27
        for (size_t r = 0; r < rows; r++) {
            const __m512 left = _mm512_set1_ps(a[r * row]);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++) sum[r][v] = _mm512_fmadd_ps(left, right[v], sum[r][v]);
        }
    }
#pragma GCC unroll 27
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) _mm512_storeu_ps(c + r * columns + v * LANES, sum[r][v]);
}

/* Rows of one vector would wait for each other's sums if they were 6: they are taken 27 at a time where they
 * lie side by side (3x3 taps of 3 channels), else 12. */
INLINE void panel(const float *a, size_t row, size_t step, const void *b, bool half, size_t rows,
                  size_t vectors, size_t depth, bool add, float *c, size_t columns) {
    for (; vectors == 1 && row == 1 && rows >= TALL; rows -= TALL, a += TALL * row, c += TALL * columns)
        block(a, row, step, b, half, TALL, vectors, depth, add, c, columns);
    for (; vectors == 1 && rows >= 2 * ROWS; rows -= 2 * ROWS, a += 2 * ROWS * row, c += 2 * ROWS * columns)
        block(a, row, step, b, half, 2 * ROWS, vectors, depth, add, c, columns);
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * row, c += ROWS * columns)
        block(a, row, step, b, half, ROWS, vectors, depth, add, c, columns);
    for (; rows >= 2; rows -= 2, a += 2 * row, c += 2 * columns)
        block(a, row, step, b, half, 2, vectors, depth, add, c, columns);
    if (rows) block(a, row, step, b, half, 1, vectors, depth, add, c, columns);
}

INLINE void product(const float *a, size_t row, size_t step, const void *b, bool half, size_t rows,
                    size_t columns, size_t depth, bool add, float *c) {
    for (size_t k = 0; k < columns; k += MQ_PRODUCT_PANEL) {
        const void *right = (const char *)b + k * depth * (half ? sizeof(uint16_t) : sizeof(float));
        switch (mq_product_panel(columns, k) / LANES) {
        case 1:
            panel(a, row, step, right, half, rows, 1, depth, add, c + k, columns);
            break;
        case 2:
            panel(a, row, step, right, half, rows, 2, depth, add, c + k, columns);
            break;
        case 3:
            panel(a, row, step, right, half, rows, 3, depth, add, c + k, columns);
            break;
        default:
            panel(a, row, step, right, half, rows, 4, depth, add, c + k, columns);
            break;
        }
    }
}

/* Functions of their own, so that each knows where its rows lie. */
AVX512 static void product_rows(const float *a, size_t row, size_t step, const float *b, size_t rows,
                                size_t columns, size_t depth, bool add, float *c) {
    product(a, row, step, b, false, rows, columns, depth, add, c);
}

AVX512 static void product_turned(const float *a, size_t step, const float *b, size_t rows, size_t columns,
                                  size_t depth, bool add, float *c) {
    product(a, 1, step, b, false, rows, columns, depth, add, c);
}

AVX512 static void product_turned_half(const float *a, size_t step, const uint16_t *b, size_t rows,
                                       size_t columns, size_t depth, bool add, float *c) {
    product(a, 1, step, b, true, rows, columns, depth, add, c);
}

void mq_product(const float *a, size_t row, size_t step, const float *b, size_t rows, size_t columns,
                size_t depth, bool add, float *c) {
    if (row == 1)
        product_turned(a, step, b, rows, columns, depth, add, c);
    else
        product_rows(a, row, step, b, rows, columns, depth, add, c);
}

void mq_product_half(const float *a, size_t step, const uint16_t *b, size_t rows, size_t columns,
                     size_t depth, bool add, float *c) {
    product_turned_half(a, step, b, rows, columns, depth, add, c);
}

/* ---- operands ---- */

/* One row, of which `columns` from c on are wanted. */
INLINE void copy_row(const void *from, mq_dtype type, size_t c, size_t columns, float *to) {
    size_t i = 0;
    for (; i + LANES <= columns; i += LANES) _mm512_storeu_ps(to + i, load(from, c + i, type));
    if (i < columns)
        _mm512_mask_storeu_ps(to + i, first_lanes(columns - i),
                              load_some(from, c + i, type, first_lanes(columns - i)));
}

INLINE void copy(const void *from, mq_dtype type, size_t step, size_t rows, size_t columns, size_t panel,
                 float *to) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c += panel) {
            const size_t wide = columns - c < panel ? columns - c : panel;
            copy_row(from, type, r * step + c, wide, to + c * rows + r * wide);
        }
}

AVX512 void mq_product_copy(const void *from, mq_dtype type, size_t step, size_t rows, size_t columns,
                            bool panels, float *to) {
    const size_t panel = panels ? MQ_PRODUCT_PANEL : columns;
    if (type == MQ_F32)
        copy(from, MQ_F32, step, rows, columns, panel, to);
    else if (type == MQ_BF16)
        copy(from, MQ_BF16, step, rows, columns, panel, to);
    else
        copy(from, MQ_U8, step, rows, columns, panel, to);
}

AVX512 void mq_product_scatter(const uint16_t *from, size_t count, size_t size, size_t step, float *to) {
    const __mmask8 some = (__mmask8)((1u << size) - 1);
    for (size_t k = 0; k < count; k++, to += step) {
        const __m128i half = from ? _mm_maskz_loadu_epi16(some, from + k * size) : _mm_setzero_si128();
        const __m128i wide = _mm_slli_epi32(_mm_cvtepu16_epi32(half), 16);
        _mm_mask_storeu_ps(to, some, _mm_castsi128_ps(wide));
    }
}

AVX512 void mq_product_transpose(const float *from, size_t rows, size_t columns, size_t k, float *to) {
    const size_t wide = mq_product_panel(columns, k / MQ_PRODUCT_PANEL * MQ_PRODUCT_PANEL);
    to += mq_product_at(rows, columns, 0, k);
    for (size_t i = 0; i < rows; i += LANES) {
        const size_t count = rows - i < LANES ? rows - i : LANES;
        __m512 line[LANES], turned[LANES];
#pragma GCC unroll 16
        for (size_t lane = 0; lane < LANES; lane++)
            line[lane] = load_some(from, (k + lane) * rows + i, MQ_F32, first_lanes(count));
        transpose(line, turned);
        for (size_t lane = 0; lane < count; lane++) _mm512_storeu_ps(to + (i + lane) * wide, turned[lane]);
    }
}

AVX512_BF16 void mq_product_round(const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i += LANES)
        _mm256_storeu_si256((void *)(to + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i)));
}

#else

bool mq_product_supported(bool bf16) {
    (void)bf16;
    return false;
}

/* Nobody calls these where it is not supported. */
void mq_product(const float *a, size_t row, size_t step, const float *b, size_t rows, size_t columns,
                size_t depth, bool add, float *c) {
    (void)a, (void)row, (void)step, (void)b, (void)rows, (void)columns, (void)depth, (void)add, (void)c;
}

void mq_product_half(const float *a, size_t step, const uint16_t *b, size_t rows, size_t columns,
                     size_t depth, bool add, float *c) {
    (void)a, (void)step, (void)b, (void)rows, (void)columns, (void)depth, (void)add, (void)c;
}

void mq_product_copy(const void *from, mq_dtype type, size_t step, size_t rows, size_t columns, bool panels,
                     float *to) {
    (void)from, (void)type, (void)step, (void)rows, (void)columns, (void)panels, (void)to;
}

void mq_product_scatter(const uint16_t *from, size_t count, size_t size, size_t step, float *to) {
    (void)from, (void)count, (void)size, (void)step, (void)to;
}

void mq_product_transpose(const float *from, size_t rows, size_t columns, size_t k, float *to) {
    (void)from, (void)rows, (void)columns, (void)k, (void)to;
}

void mq_product_round(const float *from, size_t count, uint16_t *to) {
    (void)from, (void)count, (void)to;
}
#endif
