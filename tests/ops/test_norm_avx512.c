/* test_norm_avx512.c - batch norm's passes with AVX-512 give the plain ones' bits. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "ops/norm_rows.h"
#include "quant/quant.h"

enum { MOST = 6000, WIDEST = 512, OFFSET = 64 };

typedef struct data {
    float z[MOST], numbers[6 * WIDEST];
    union {
        float f32[MOST + OFFSET];
        uint16_t bf16[MOST + OFFSET];
    } dy;
    double mean[WIDEST];
    norm_forward forward;
    norm_backward backward;
} data;

static void draw(data *d, size_t width, mq_dtype type) {
    float *z = ops_normal(MOST, 1), *numbers = ops_normal(6 * WIDEST, 2), *dy = ops_normal(MOST + OFFSET, 3);
    memcpy(d->z, z, sizeof d->z);
    memcpy(d->numbers, numbers, sizeof d->numbers);
    for (size_t i = 0; i < MOST; i++) d->z[i] = roundf(100 * d->z[i]);
    for (size_t i = 0; i < MOST + OFFSET; i++) {
        if (type == MQ_BF16)
            d->dy.bf16[i] = mq_f32_to_bf16(dy[i]);
        else
            d->dy.f32[i] = dy[i];
    }
    const float *n = d->numbers;
    for (size_t c = 0; c < width; c++) {
        d->numbers[c + width] *= 0.01f; /* a: results on both sides of the gate's ends */
        d->mean[c] = (double)n[c] + 1e-9 * (double)c;
    }
    d->forward = (norm_forward){.mean = n, .a = n + width, .b = n + 2 * width};
    d->backward = (norm_backward){.mean = n, .a = n + 3 * width, .b = n + 4 * width, .slope = n + 5 * width};
    mq_free(z);
    mq_free(numbers);
    mq_free(dy);
}

static const norm_gate GATE = {0, 1.5f, 0.37f};

typedef struct results {
    double moments[2][WIDEST], products[2][WIDEST];
    float values[MOST];
    unsigned char gradient[4 * (MOST + OFFSET)];
} results;

static void run_plain(const data *d, size_t count, size_t width, mq_dtype type, results *r) {
    memset(r, 0, sizeof *r);
    norm_moments_plain(d->z, count, width, r->moments[0], r->moments[1]);
    norm_gated_products_plain(&d->forward, &GATE, d->z, &d->dy, OFFSET, type, count, width, d->mean,
                              r->products[0], r->products[1]);
    norm_gated_values_plain(&d->forward, &GATE, d->z, &d->dy, OFFSET, type, count, width, r->values);
    norm_gated_gradient_plain(&d->forward, &d->backward, &GATE, d->z, &d->dy, OFFSET, count, width,
                              r->gradient, 16, type);
}

/* Of z as float32, or as int16 behind the sums. */
static void run_fast(const data *d, size_t count, size_t width, mq_dtype type, bool whole, results *r) {
    static int16_t narrowed[MOST];
    memset(r, 0, sizeof *r);
    if (whole)
        norm_moments_whole(d->z, count, width, r->moments[0], r->moments[1], narrowed);
    else
        norm_moments(d->z, count, width, r->moments[0], r->moments[1]);
    const norm_z z = {whole ? (const void *)narrowed : d->z, whole ? NORM_WHOLE : NORM_REAL};
    norm_gated_products(&d->forward, &GATE, z, &d->dy, OFFSET, type, count, width, d->mean, r->products[0],
                        r->products[1]);
    norm_gated_values(&d->forward, &GATE, z, &d->dy, OFFSET, type, count, width, r->values);
    norm_gated_gradient(&d->forward, &d->backward, &GATE, z, &d->dy, OFFSET, count, width, r->gradient, 16,
                        type);
}

static void same_results(const results *got, const results *want) {
    assert_memory_equal(got->moments, want->moments, sizeof got->moments);
    assert_memory_equal(got->products, want->products, sizeof got->products);
    assert_memory_equal(got->values, want->values, sizeof got->values);
    assert_memory_equal(got->gradient, want->gradient, sizeof got->gradient);
}

static void check(size_t width, size_t count, mq_dtype type) {
    static data d;
    static results got, want;
    draw(&d, width, type);
    run_plain(&d, count, width, type, &want);
    size_t passed = 0;
    for (size_t i = 0; i < count; i++) passed += want.values[i] != 0;
    assert_true(count < 64 || (passed > count / 20 && passed < count - count / 20));
    run_fast(&d, count, width, type, false, &got);
    same_results(&got, &want);
    if (!norm_avx512(width) || count % width != 0) return;
    run_fast(&d, count, width, type, true, &got);
    same_results(&got, &want);
}

/* Whole groups of rows, rows left over, and a part of a row. */
static void same_bits(void **state) {
    (void)state;
    static const size_t widths[] = {16, 48, 64, 512, 36};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            const size_t w = widths[i];
            const mq_dtype type = bf16 ? MQ_BF16 : MQ_F32;
            check(w, 11 * w, type);
            check(w, 8 * w, type);
            check(w, 3 * w, type);
            check(w, 5 * w + 7, type);
            check(w, 9 * w + w / 2 + 5, type);
            check(w, 0, type);
        }
}

/* The sums of bfloat16. */
static void rounded_inputs(void **state) {
    (void)state;
    enum { WIDTH = 48, COUNT = 23 * WIDTH };
    static data d;
    static double got[2][WIDTH], want[2][WIDTH];
    static uint16_t rounded[COUNT];
    if (!norm_avx512(WIDTH)) return;
    draw(&d, WIDTH, MQ_F32);
    for (size_t i = 0; i < COUNT; i++) {
        rounded[i] = mq_f32_to_bf16(d.z[i] * 0.0137f);
        d.z[i] = mq_bf16_to_f32(rounded[i]);
    }
    norm_moments_plain(d.z, COUNT, WIDTH, want[0], want[1]);
    norm_moments_rounded(rounded, COUNT, WIDTH, got[0], got[1]);
    double sizes[WIDTH] = {0};
    for (size_t i = 0; i < COUNT; i++) sizes[i % WIDTH] += fabs((double)d.z[i]);
    for (size_t c = 0; c < WIDTH; c++) { /* float32 sums of eight */
        assert_true(fabs(got[0][c] - want[0][c]) <= 8 * 0x1p-24 * sizes[c]);
        assert_true(fabs(got[1][c] - want[1][c]) <= 8 * 0x1p-24 * want[1][c]);
    }
}

/* Codes behind a batch norm against its passes one by one, with ties, ends and no numbers. */
static void same_codes(void **state) {
    (void)state;
    enum { WIDTH = 48, COUNT = 20 * WIDTH };
    static data d;
    static float y[COUNT];
    static int16_t narrowed[COUNT];
    uint8_t got[COUNT], want[COUNT];
    double unused[2][WIDTH] = {{0}};
    if (!norm_avx512(WIDTH)) return;
    draw(&d, WIDTH, MQ_F32);
    norm_moments_whole(d.z, COUNT, WIDTH, unused[0], unused[1], narrowed);
    d.z[5] = NAN;
    for (int bits = 1; bits <= 8; bits++)
        for (int q = 0; q < MQ_QUANTIZERS; q++)
            for (int whole = 0; whole < 2; whole++) {
                const norm_z z = {whole ? (const void *)narrowed : d.z, whole ? NORM_WHOLE : NORM_REAL};
                norm_apply(&d.forward, d.z, COUNT, WIDTH, y);
                mq_activation_codes(y, COUNT, q, bits, want);
                norm_codes(&d.forward, z, COUNT, WIDTH, mq_activation_top(q, bits),
                           (float)mq_activation_step(q, bits), got);
                if (whole) got[5] = want[5]; /* int16 has no NaN */
                assert_memory_equal(got, want, COUNT);
            }
}

static void chosen(void **state) {
    (void)state;
    assert_false(norm_avx512(40));
    if (!norm_avx512(48)) print_message("no AVX-512 with bfloat16 on this CPU\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(rounded_inputs),
                                       cmocka_unit_test(same_codes), cmocka_unit_test(chosen)};
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
