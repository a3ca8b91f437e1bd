/* test_norm_avx512.c - batch norm's passes with AVX-512 give the plain ones' bits. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "ops/norm_rows.h"

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

typedef struct results {
    double moments[2][WIDEST], products[2][WIDEST];
    float values[MOST];
    unsigned char gradient[4 * (MOST + OFFSET)];
} results;

static void run(const data *d, size_t count, size_t width, mq_dtype type, bool plain, results *r) {
    const norm_gate gate = {0, 1.5f, 0.37f};
    memset(r, 0, sizeof *r);
    (plain ? norm_moments_plain : norm_moments)(d->z, count, width, r->moments[0], r->moments[1]);
    (plain ? norm_gated_products_plain : norm_gated_products)(&d->forward, &gate, d->z, &d->dy, OFFSET, type,
                                                              count, width, d->mean, r->products[0],
                                                              r->products[1]);
    (plain ? norm_gated_values_plain : norm_gated_values)(&d->forward, &gate, d->z, &d->dy, OFFSET, type,
                                                          count, width, r->values);
    (plain ? norm_gated_gradient_plain : norm_gated_gradient)(&d->forward, &d->backward, &gate, d->z, &d->dy,
                                                              OFFSET, count, width, r->gradient, 16, type);
}

static void check(size_t width, size_t count, mq_dtype type) {
    static data d;
    static results got, want;
    draw(&d, width, type);
    run(&d, count, width, type, false, &got);
    run(&d, count, width, type, true, &want);
    size_t passed = 0;
    for (size_t i = 0; i < count; i++) passed += want.values[i] != 0;
    assert_true(count < 64 || (passed > count / 20 && passed < count - count / 20));
    assert_memory_equal(got.moments, want.moments, sizeof got.moments);
    assert_memory_equal(got.products, want.products, sizeof got.products);
    assert_memory_equal(got.values, want.values, sizeof got.values);
    assert_memory_equal(got.gradient, want.gradient, sizeof got.gradient);
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

static void chosen(void **state) {
    (void)state;
    assert_false(norm_avx512(40));
    if (!norm_avx512(48)) print_message("no AVX-512 with bfloat16 on this CPU\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(chosen)};
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
