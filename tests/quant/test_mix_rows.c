/* test_mix_rows.c - the mix behind a batch norm in one pass: gradients of the same bits as by its passes one
 * by one, values and sums within their rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

enum { MOST = 4096, WIDEST = 272 };

/* A batch norm's numbers, inputs and gradients. */
typedef struct data {
    float z[MOST], x[MOST], dy[MOST], mean[WIDEST], a[WIDEST], b[WIDEST];
    float factor[WIDEST], offset[WIDEST], slope[WIDEST], softmax[MQ_BRANCHES];
    double centre[WIDEST];
    uint16_t dy_bf16[MOST], z_bf16[MOST];
    bool rounded; /* z comes as bfloat16 */
} data;

static data d;

static void normal(float *x, size_t n, const char *name, float scale, float mean) {
    const mq_rng rng = mq_rng_stream(11, name, 0);
    for (size_t i = 0; i < n; i++) x[i] = mean + scale * mq_rng_normal(&rng, i);
}

static void draw(void) {
    float alpha[MQ_BRANCHES];
    normal(d.z, MOST, "z", 40, 3);
    normal(d.dy, MOST, "dy", 0.01f, 0);
    normal(d.mean, WIDEST, "mean", 5, 3);
    normal(d.a, WIDEST, "a", 0.02f, 0.04f);
    normal(d.b, WIDEST, "b", 0.3f, 0.5f);
    normal(d.factor, WIDEST, "factor", 1, 1);
    normal(d.offset, WIDEST, "offset", 0.001f, 0);
    normal(d.slope, WIDEST, "slope", 0.001f, 0);
    normal(alpha, MQ_BRANCHES, "alpha", 1, 0);
    mq_softmax(alpha, MQ_BRANCHES, d.softmax);
    for (size_t i = 0; i < WIDEST; i++) d.centre[i] = (double)d.mean[i] + 1e-9 * (double)i;
    for (size_t i = 0; i < MOST; i++) d.dy_bf16[i] = mq_f32_to_bf16(d.dy[i]);
    d.rounded = false;
}

/* z, and what is computed from it, is of bfloat16 from here on. */
static void round_z(void) {
    for (size_t i = 0; i < MOST; i++) {
        d.z_bf16[i] = mq_f32_to_bf16(d.z[i]);
        d.z[i] = mq_bf16_to_f32(d.z_bf16[i]);
    }
    d.rounded = true;
}

static mq_mix_z inputs(void) {
    return (mq_mix_z){d.rounded ? (const void *)d.z_bf16 : d.z, d.rounded};
}

/* dy as the passes read it. */
static float gradient_at(size_t i, bool bf16) {
    return bf16 ? mq_bf16_to_f32(d.dy_bf16[i]) : d.dy[i];
}

static void normalise(size_t count, size_t width) {
    for (size_t i = 0; i < count; i++)
        d.x[i] = (d.z[i] - d.mean[i % width]) * d.a[i % width] + d.b[i % width];
}

static void same_bits(const char *what, size_t i, float got, float want) {
    uint32_t x, y;
    memcpy(&x, &got, sizeof x);
    memcpy(&y, &want, sizeof y);
    if (x != y && !(isnan(got) && isnan(want)))
        fail_msg("%s: element %zu is %a, expected %a", what, i, (double)got, (double)want);
}

static void same_output(const char *what, const void *got, bool bf16, const float *want, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bf16)
            same_bits(what, i, mq_bf16_to_f32(((const uint16_t *)got)[i]),
                      mq_bf16_to_f32(mq_f32_to_bf16(want[i])));
        else
            same_bits(what, i, ((const float *)got)[i], want[i]);
    }
    for (size_t i = count * (bf16 ? 2 : 4); i < MOST * 4; i++)
        if (((const unsigned char *)got)[i] != 0x5a) fail_msg("%s wrote past its end", what);
}

/* What a code may miss: 1 where x/step is as near the middle between two codes as two roundings, else 0. */
static double code_slack(double x, double step, double top) {
    const double v = x < 0 ? 0 : x > top ? top / step : x / step;
    return fabs(v - floor(v) - 0.5) <= 0x1p-22 * v ? 1 : 0;
}

/* What element i of the mix may miss: neighbours of codes, and the roundings of bfloat16 and before. */
static double value_slack(size_t i, double want, mq_quantizer quantizer, bool bf16) {
    double neighbours = 0;
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const double step = mq_activation_step(quantizer, MQ_SEARCH_MIN + j);
        const double top = (double)mq_activation_top(quantizer, MQ_SEARCH_MIN + j);
        neighbours += code_slack((double)d.x[i], step, top) * step * (double)d.softmax[j];
    }
    if (neighbours == 0 && !bf16) return 0;
    return neighbours + ((bf16 ? 0x1p-8 : 0) + 9 * 0x1p-24) * (want + neighbours);
}

static void check_values(const mq_mix_rows *r, size_t count, mq_quantizer quantizer) {
    static float want[MOST];
    static _Alignas(float) unsigned char got[MOST * 4];
    mq_activation_mix(d.x, count, quantizer, d.softmax, want);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        memset(got, 0x5a, sizeof got);
        mq_mix_rows_values(r, inputs(), count, got, bf16);
        for (size_t i = 0; i < count; i++) {
            const float y = bf16 ? mq_bf16_to_f32(((const uint16_t *)got)[i]) : ((const float *)got)[i];
            if (isnan(y) && isnan(want[i])) continue;
            if (!(fabs((double)y - (double)want[i]) <= value_slack(i, (double)want[i], quantizer, bf16)))
                fail_msg("values: element %zu is %a, expected %a", i, (double)y, (double)want[i]);
        }
        for (size_t i = count * (bf16 ? 2 : 4); i < sizeof got; i++) assert_int_equal(got[i], 0x5a);
    }
}

static void check_products(const mq_mix_rows *r, size_t count, mq_quantizer quantizer, bool bf16,
                           float scale) {
    static float dy[MOST], dx[MOST];
    double sum[WIDEST], product[WIDEST], want_sum[WIDEST], want_product[WIDEST];
    double g[MQ_BRANCHES], want_g[MQ_BRANCHES], sizes[WIDEST] = {0}, far[WIDEST] = {0}, total = 0;
    double near[MQ_BRANCHES] = {0};
    for (size_t c = 0; c < WIDEST; c++) {
        sum[c] = want_sum[c] = (double)c;
        product[c] = want_product[c] = -(double)c;
    }
    for (int j = 0; j < MQ_BRANCHES; j++) g[j] = want_g[j] = j;
    for (size_t i = 0; i < count; i++) dy[i] = gradient_at(i, bf16);
    mq_activation_mix_gradient(d.x, dy, count, quantizer, d.softmax, dx, want_g);
    for (size_t i = 0; i < count; i++) {
        const double through = (double)(dx[i] * scale);
        const double away = (double)d.z[i] - d.centre[i % r->width];
        want_sum[i % r->width] += through;
        want_product[i % r->width] += through * away;
        sizes[i % r->width] += fabs(through);
        far[i % r->width] += fabs(through * away);
        total += fabs((double)dy[i]);
        for (int j = 0; j < MQ_BRANCHES; j++) {
            const double step = mq_activation_step(quantizer, MQ_SEARCH_MIN + j);
            const double top = (double)mq_activation_top(quantizer, MQ_SEARCH_MIN + j);
            near[j] += code_slack((double)d.x[i], step, top) * step * fabs((double)dy[i]);
        }
    }
    const mq_mix_dy in = {bf16 ? (const void *)d.dy_bf16 : d.dy, bf16, scale};
    mq_mix_rows_products(r, inputs(), &in, count, d.centre, sum, product, g);
    for (size_t c = 0; c < WIDEST; c++) {
        /* float32 sums of four, and z - mean rounded */
        assert_true(fabs(sum[c] - want_sum[c]) <= 4 * 0x1p-24 * sizes[c] + 1e-12);
        assert_true(fabs(product[c] - want_product[c]) <= 6 * 0x1p-24 * far[c] + 1e-12);
    }
    for (int j = 0; j < MQ_BRANCHES; j++) {
        const double largest = (double)mq_activation_top(quantizer, MQ_SEARCH_MIN + j);
        assert_true(fabs(g[j] - want_g[j]) <= MOST / 16 * 0x1p-24 * largest * total + near[j] + 1e-12);
    }
}

static void check_gradient(const mq_mix_rows *r, size_t count, mq_quantizer quantizer, bool dy_bf16,
                           bool bf16, float scale) {
    static float dy[MOST], dx[MOST], want[MOST];
    static _Alignas(float) unsigned char got[MOST * 4];
    for (size_t i = 0; i < count; i++) dy[i] = gradient_at(i, dy_bf16);
    mq_activation_mix_slope(d.x, dy, count, quantizer, d.softmax, dx);
    for (size_t i = 0; i < count; i++) {
        const size_t c = i % r->width;
        want[i] = d.factor[c] * (dx[i] * scale) - d.offset[c] - d.slope[c] * (d.z[i] - d.mean[c]);
    }
    const mq_mix_dy in = {dy_bf16 ? (const void *)d.dy_bf16 : d.dy, dy_bf16, scale};
    memset(got, 0x5a, sizeof got);
    mq_mix_rows_gradient(r, inputs(), &in, count, d.factor, d.offset, d.slope, got, bf16);
    same_output("gradient", got, bf16, want, count);
    for (size_t i = 0; i < count; i++) want[i] = dx[i] * scale;
    memset(got, 0x5a, sizeof got);
    mq_mix_rows_slope(r, inputs(), &in, count, (float *)got);
    same_output("slope", got, false, want, count);
}

static void check(mq_quantizer quantizer, bool rounded) {
    static const size_t widths[] = {16, 48, 64, 96, 272},
                        counts[] = {0, 3, 16, 48, 70, 1024, 2000, 2048, MOST};
    draw();
    if (rounded) round_z();
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        mq_mix_rows r = {.width = widths[w], .mean = d.mean, .a = d.a, .b = d.b};
        mq_mix_rows_set(&r, quantizer, d.softmax);
        if (!mq_mix_rows_fast(r.width)) skip();
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            normalise(counts[k], r.width);
            check_values(&r, counts[k], quantizer);
            for (int mask = 0; mask < 8; mask++) {
                const float scale = mask & 1 ? 0.37f : 1;
                check_products(&r, counts[k], quantizer, mask & 2, scale);
                check_gradient(&r, counts[k], quantizer, mask & 2, mask & 4, scale);
            }
        }
    }
}

static void hwgq(void **state) {
    (void)state;
    check(MQ_QUANTIZER_HWGQ, false);
    check(MQ_QUANTIZER_HWGQ, true);
}

static void dorefa(void **state) {
    (void)state;
    check(MQ_QUANTIZER_DOREFA, false);
    check(MQ_QUANTIZER_DOREFA, true);
}

/* The ends of every gate, and their neighbours. */
static void gates(void **state) {
    (void)state;
    if (!mq_mix_rows_fast(16)) skip();
    for (int q = 0; q < MQ_QUANTIZERS; q++) {
        draw();
        size_t n = 0;
        for (int bits = MQ_SEARCH_MIN; bits < MQ_SEARCH_MIN + MQ_BRANCHES; bits++) {
            const float gate = mq_activation_gate((mq_quantizer)q, bits);
            const float at[] = {gate, nextafterf(gate, 0), nextafterf(gate, 9), 0.9f * gate, 1.02f * gate};
            for (size_t i = 0; i < 5; i++) d.z[n++] = at[i];
        }
        for (size_t i = 0; i < WIDEST; i++) {
            d.mean[i] = d.b[i] = 0;
            d.a[i] = 1;
        }
        mq_mix_rows r = {.width = 16, .mean = d.mean, .a = d.a, .b = d.b};
        mq_mix_rows_set(&r, (mq_quantizer)q, d.softmax);
        assert_true(r.cells > 0);
        normalise(n, r.width);
        check_products(&r, n, (mq_quantizer)q, false, 1);
        check_gradient(&r, n, (mq_quantizer)q, false, false, 1);
        r.cells = 0; /* without cells */
        check_gradient(&r, n, (mq_quantizer)q, false, false, 1);
    }
}

/* The middles between codes, and their neighbours. */
static void middles(void **state) {
    (void)state;
    if (!mq_mix_rows_fast(16)) skip();
    for (int q = 0; q < MQ_QUANTIZERS; q++) {
        draw();
        size_t n = 0;
        for (int bits = MQ_SEARCH_MIN; bits < MQ_SEARCH_MIN + MQ_BRANCHES; bits++)
            for (int code = 0; code < 1 << bits; code++) {
                const float at = (float)(mq_activation_step((mq_quantizer)q, bits) * (code + 0.5));
                const float all[] = {at, at * (1 - 0x1p-19f), at * (1 + 0x1p-19f)};
                for (size_t i = 0; i < 3; i++) d.z[n++] = all[i];
            }
        for (size_t i = 0; i < WIDEST; i++) {
            d.mean[i] = d.b[i] = 0;
            d.a[i] = 1;
        }
        mq_mix_rows r = {.width = 16, .mean = d.mean, .a = d.a, .b = d.b};
        mq_mix_rows_set(&r, (mq_quantizer)q, d.softmax);
        normalise(n, r.width);
        check_values(&r, n, (mq_quantizer)q);
        check_products(&r, n, (mq_quantizer)q, false, 1);
    }
}

/* What is no number stays none, the infinite is clipped, and neighbours do not change. */
static void not_numbers(void **state) {
    (void)state;
    if (!mq_mix_rows_fast(16)) skip();
    draw();
    const float odd[] = {NAN, INFINITY, -INFINITY, -NAN, 3e38f, -3e38f, 0, -0.0f};
    for (size_t i = 0; i < 8; i++) d.z[37 * i + 5] = odd[i];
    mq_mix_rows r = {.width = 32, .mean = d.mean, .a = d.a, .b = d.b};
    mq_mix_rows_set(&r, MQ_QUANTIZER_HWGQ, d.softmax);
    normalise(MOST, r.width);
    check_values(&r, MOST, MQ_QUANTIZER_HWGQ);
    check_gradient(&r, MOST, MQ_QUANTIZER_HWGQ, false, false, 1);
}

static void widths(void **state) {
    (void)state;
    assert_false(mq_mix_rows_fast(36));
    assert_false(mq_mix_rows_fast(8));
    assert_true(mq_mix_rows_fast(16) == mq_mix_rows_fast(1024));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(hwgq),        cmocka_unit_test(dorefa),
                                       cmocka_unit_test(gates),       cmocka_unit_test(middles),
                                       cmocka_unit_test(not_numbers), cmocka_unit_test(widths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
