/* Tables, weights, image input, softmax: against the one-element reference bit for bit, against float64, and
 * the gradients of the mixes by finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "quant/helper_clones.h"
#include "quant/helper_floats.h"
#include "quant/quant.h"
#include "quant/reference.h"

static void *get(size_t count, size_t size) {
    void *memory = NULL;
    assert_int_equal(mq_alloc(count, size, "test", &memory, NULL), MQ_OK);
    return memory;
}

static void tables(void **state) {
    (void)state;
    assert_int_equal(mq_code_low(4, true, false), -8);
    assert_int_equal(mq_code_low(4, true, true), -7);
    assert_int_equal(mq_code_low(4, false, false), 0);
    assert_int_equal(mq_code_high(4, true), 7);
    assert_int_equal(mq_code_high(4, false), 15);
    assert_int_equal(mq_code_low(1, true, false), -1);
    assert_int_equal(mq_code_high(1, true), 0);
    assert_true(mq_weight_unit(2) == 0.996 && mq_weight_unit(8) == 0.032);
    assert_true(mq_activation_unit(3) == 0.3217 && mq_activation_unit(8) == 0.019);
    assert_true(mq_activation_top(MQ_QUANTIZER_HWGQ, 4) == (float)(0.185 * 15));
    for (int b = MQ_BITS_MIN; b < MQ_BITS_MAX; b++) {
        assert_true(mq_weight_unit(b) > mq_weight_unit(b + 1));
        assert_true(mq_activation_top(MQ_QUANTIZER_HWGQ, b) < mq_activation_top(MQ_QUANTIZER_HWGQ, b + 1));
    }
}

/* ---- weights ---- */

enum { WEIGHTS = 70001 };

static void deviation(void **state) {
    (void)state;
    float *w = get(WEIGHTS, sizeof *w);
    fill_normal(w, WEIGHTS, "deviation", 0.05f);
    for (size_t n = 2; n <= WEIGHTS; n = n * 5 + 1) {
        long double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) sum += w[i];
        for (size_t i = 0; i < n; i++) squares += (w[i] - sum / n) * (w[i] - sum / n);
        assert_true(mq_weight_deviation(w, n) == (float)sqrtl(squares / (n - 1)));
    }
    const float four[] = {1, 2, 3, 4};
    assert_true(mq_weight_deviation(four, 4) == sqrtf(5.0f / 3));
    assert_true(mq_weight_deviation(w, 1) == 0);
    assert_true(mq_weight_deviation(w, 0) == 0);
    for (size_t i = 0; i < WEIGHTS; i++) w[i] = 0.1f;
    assert_true(mq_weight_deviation(w, WEIGHTS) == 0);
    w[5] = NAN;
    assert_true(isnan(mq_weight_deviation(w, WEIGHTS)));
    assert_true(mq_weight_step(4, 0.5f) == 0.168);
    mq_free(w);
}

static void check_weights(const float *w, size_t n, int bits, bool narrow, double step) {
    float *y = get(n, sizeof *y);
    int32_t *q = get(n, sizeof *q);
    mq_weight_values(w, n, bits, narrow, step, y);
    mq_weight_codes(w, n, bits, narrow, step, q);
    for (size_t i = 0; i < n; i++) {
        if (!same_float(y[i], mq_reference_weight_value(w[i], bits, narrow, step)))
            fail_msg("%d bits, step %a: value of %a is %a", bits, step, (double)w[i], (double)y[i]);
        if (q[i] != mq_reference_weight_code(w[i], bits, narrow, step))
            fail_msg("%d bits, step %a: code of %a is %d", bits, step, (double)w[i], q[i]);
        if (q[i] < mq_code_low(bits, true, narrow) || q[i] > mq_code_high(bits, true))
            fail_msg("code out of range");
    }
    float *in_place = get(n, sizeof *in_place);
    mq_weight_whole(w, n, bits, narrow, step, in_place);
    for (size_t i = 0; i < n; i++) assert_true(in_place[i] == (float)q[i]);
    memcpy(in_place, w, n * sizeof *w);
    mq_weight_values(in_place, n, bits, narrow, step, in_place);
    for (size_t i = 0; i < n; i++) assert_true(same_float(in_place[i], y[i]));
    mq_free(y);
    mq_free(q);
    mq_free(in_place);
}

static void weight_codes_and_values(void **state) {
    (void)state;
    enum { RANDOM = 20000, NEAR = 64 };
    size_t room = RANDOM + SPECIALS + (size_t)(1 << MQ_BITS_MAX) * (2 * NEAR + 1);
    float *w = get(room, sizeof *w);
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        for (uint64_t k = 0; k < 6; k++) {
            mq_rng rng = mq_rng_stream(7, "alpha", k);
            double step = mq_weight_step(bits, 0.01f + mq_rng_uniform(&rng, 0));
            size_t n = RANDOM;
            fill_normal(w, RANDOM, "weights", 1);
            memcpy(w + n, special_floats, sizeof special_floats);
            n += SPECIALS;
            for (int code = mq_code_low(bits, true, false); code <= mq_code_high(bits, true); code++) {
                uint32_t at = bits_of((float)((code + 0.5) * step));
                for (uint32_t d = 0; d <= 2 * NEAR; d++) w[n++] = float_of(at + d - NEAR);
            }
            check_weights(w, n, bits, k % 2 != 0, step);
        }
    }
    mq_free(w);
}

static void weight_known_values(void **state) {
    (void)state;
    const float w[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.51f, 100.0f, -100.0f, NAN};
    const int32_t expected[] = {0, 2, 2, 0, -2, 1, 3, -4, 0};
    enum { N = sizeof w / sizeof *w };
    int32_t q[N];
    float y[N];
    mq_weight_codes(w, N, 3, false, 1.0, q);
    mq_weight_values(w, N, 3, false, 1.0, y);
    for (int i = 0; i < N; i++) assert_int_equal(q[i], expected[i]);
    for (int i = 0; i < N - 1; i++) assert_true(bits_of(y[i]) == bits_of((float)expected[i]));
    assert_true(isnan(y[N - 1]));
    mq_weight_codes(w, N, 3, true, 1.0, q);
    assert_int_equal(q[7], -3);
}

static void weight_step_zero(void **state) {
    (void)state;
    float w[20], y[20];
    int32_t q[20];
    for (int i = 0; i < 20; i++) w[i] = -0.25f;
    double step = mq_weight_step(4, mq_weight_deviation(w, 20)), steps[MQ_BRANCHES] = {0}, g[MQ_BRANCHES];
    assert_true(step == 0);
    w[3] = 0;
    w[4] = -3e38f;
    mq_weight_codes(w, 20, 4, false, step, q);
    mq_weight_values(w, 20, 4, false, step, y);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(q[i], 0);
        assert_true(bits_of(y[i]) == 0);
    }
    float softmax[MQ_BRANCHES];
    fill_probabilities(softmax, MQ_BRANCHES, 0);
    mq_weight_mix(w, 20, false, steps, softmax, y);
    for (int i = 0; i < 20; i++) assert_true(y[i] == 0);
    mq_weight_mix_dot(w, w, 20, false, steps, g);
    for (int j = 0; j < MQ_BRANCHES; j++) assert_true(g[j] == 0);
    w[7] = NAN;
    mq_weight_values(w, 20, 4, false, step, y);
    for (int i = 0; i < 20; i++) assert_int_equal(isnan(y[i]) != 0, i == 7);
    /* A step that vanishes only in float32. */
    check_weights(w, 20, 8, false, 1e-60);
}

static void weight_steps(const float *w, size_t n, double step[MQ_BRANCHES]) {
    float alpha = mq_weight_deviation(w, n);
    for (int j = 0; j < MQ_BRANCHES; j++) step[j] = mq_weight_step(MQ_SEARCH_MIN + j, alpha);
}

/* Whether w is so near the middle between two codes that sums may have the other one. */
static bool in_the_middle(float w, double step) {
    const double v = (double)w / (double)(float)step;
    return fabs(v - floor(v) - 0.5) <= 0x1p-22 * (1 + fabs(v));
}

static bool always(void) {
    return true;
}

/* The mix as the program chooses it first, then for every instruction set. */
static const quant_clone dispatched = {.name = "dispatched",
                                       .available = always,
                                       .weight_mix = mq_weight_mix,
                                       .weight_mix_dot = mq_weight_mix_dot};
static const quant_clone *const clones[] = {&dispatched, &quant_clone_base, &quant_clone_v3, &quant_clone_v4};
enum { CLONES = sizeof clones / sizeof *clones };

/* Sums but for their order, the float32 sums of eight, and codes in doubt. */
static void check_sums(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       const double g[MQ_BRANCHES]) {
    for (int j = 0; j < MQ_BRANCHES; j++) {
        double sum = 0, size = 0, doubt = 0;
        for (size_t i = 0; i < n; i++) {
            double term =
                (double)dy[i] * (double)mq_reference_weight_value(w[i], MQ_SEARCH_MIN + j, narrow, step[j]);
            sum += term;
            size += fabs(term);
            if (in_the_middle(w[i], step[j])) doubt += fabs((double)dy[i] * step[j]);
        }
        assert_true(fabs(g[j] - sum) <= 5e-7 * size + doubt || (isnan(g[j]) && isnan(sum)));
    }
}

/* Values to the bit, and the same sums to the bit by every instruction set. */
static void check_mix(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                      const float softmax[MQ_BRANCHES], float *y) {
    double first[MQ_BRANCHES], g[MQ_BRANCHES];
    for (int c = 0; c < CLONES; c++) {
        if (!clones[c]->available()) continue;
        for (size_t i = 0; i < n; i++) y[i] = -77;
        clones[c]->weight_mix(w, n, narrow, step, softmax, y);
        for (size_t i = 0; i < n; i++)
            if (!same_float(y[i], mq_reference_weight_mix(w[i], narrow, step, softmax)))
                fail_msg("%s, steps from %a on: mix of %a is %a", clones[c]->name, step[0], (double)w[i],
                         (double)y[i]);
        clones[c]->weight_mix_dot(w, dy, n, narrow, step, g);
        if (c == 0) {
            check_sums(w, dy, n, narrow, step, g);
            memcpy(first, g, sizeof first);
        }
        for (int j = 0; j < MQ_BRANCHES; j++)
            if (!(isnan(g[j]) && isnan(first[j])) && memcmp(&g[j], &first[j], sizeof first[j]) != 0)
                fail_msg("%s: sum of branch %d is %a, not %a", clones[c]->name, j, g[j], first[j]);
    }
}

static void weight_mix(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 27, 2047, 2049, 16385, WEIGHTS};
    float *w = get(WEIGHTS, sizeof *w), *dy = get(WEIGHTS, sizeof *dy), *y = get(WEIGHTS, sizeof *y);
    float softmax[MQ_BRANCHES];
    double step[MQ_BRANCHES];
    fill_normal(w, WEIGHTS, "mix w", 0.1f);
    fill_normal(dy, WEIGHTS, "mix dw", 1);
    fill_probabilities(softmax, MQ_BRANCHES, 1);
    weight_steps(w, WEIGHTS, step);
    for (size_t t = 0; t < sizeof lengths / sizeof *lengths; t++)
        for (int narrow = 0; narrow < 2; narrow++) check_mix(w, dy, lengths[t], narrow, step, softmax, y);
    mq_free(w);
    mq_free(dy);
    mq_free(y);
}

/* Around the middle between codes, and with steps whose inverses leave float32: by multiplying as by
 * dividing.
 */
static void weight_mix_of_neighbours(void **state) {
    (void)state;
    enum { NEAR = 32, SIZES = 9, ROOM = SPECIALS + (1 << MQ_BITS_MAX) * (2 * NEAR + 1) };
    static const double sizes[SIZES] = {0.013, 0.37, 1, 1.7e9, 1e37, 3e-39, 1e-37, 1e-60, 0};
    float *w = get(ROOM, sizeof *w), *dy = get(ROOM, sizeof *dy), *y = get(ROOM, sizeof *y);
    float softmax[MQ_BRANCHES];
    fill_normal(dy, ROOM, "mix dw", 1e-8f);
    fill_probabilities(softmax, MQ_BRANCHES, 1);
    for (int s = 0; s < SIZES; s++) {
        double step[MQ_BRANCHES];
        for (int j = 0; j < MQ_BRANCHES; j++) step[j] = sizes[s] * (1 - 0.11 * j);
        for (int j = 0; j < MQ_BRANCHES; j++) {
            size_t n = 0;
            for (int code = mq_code_low(MQ_SEARCH_MIN + j, true, false);
                 code <= mq_code_high(MQ_SEARCH_MIN + j, true); code++) {
                uint32_t at = bits_of((float)((code + 0.5) * (double)(float)step[j]));
                for (uint32_t d = 0; d <= 2 * NEAR; d++) w[n++] = float_of(at + d - NEAR);
            }
            check_mix(w, dy, n, s % 2, step, softmax, y);
            if ((float)step[j] == 0)
                continue; /* infinity by nothing is no number here, 0 in the definition */
            memcpy(w + n, special_floats, sizeof special_floats);
            check_mix(w, dy, n + SPECIALS, s % 2, step, softmax, y);
        }
    }
    mq_free(w);
    mq_free(dy);
    mq_free(y);
}

/* Steps as far apart as inverses go, and some without one. */
static void weight_mix_of_distant_steps(void **state) {
    (void)state;
    enum { N = 300 };
    float w[N], dy[N], y[N], softmax[MQ_BRANCHES];
    fill_normal(dy, N, "mix dw", 1);
    fill_probabilities(softmax, MQ_BRANCHES, 3);
    for (int apart = 0; apart <= 84; apart++) {
        double step[MQ_BRANCHES];
        for (int j = 0; j < MQ_BRANCHES; j++)
            step[j] = ldexp(1 + apart % 2 * 0.3, apart / 4 * ((j + apart) % MQ_BRANCHES - 3));
        fill_normal(w, N, "mix w", 1);
        for (size_t i = 0; i < N; i++) w[i] = ldexpf(w[i], (int)(i * 7 % 240) - 120);
        memcpy(w, special_floats, sizeof special_floats);
        check_mix(w, dy, N, false, step, softmax, y);
        memset(w, 0, sizeof special_floats);
        check_mix(w, dy, N, true, step, softmax, y);
    }
}

static void weights_ignore_thread_count(void **state) {
    (void)state;
    enum { N = 1500007 };
    float *w = get(N, sizeof *w), *y[2] = {get(N, sizeof *w), get(N, sizeof *w)}, alpha[2];
    float softmax[MQ_BRANCHES];
    double step[MQ_BRANCHES], g[2][MQ_BRANCHES];
    fill_normal(w, N, "threads", 0.1f);
    fill_probabilities(softmax, MQ_BRANCHES, 2);
    for (int k = 0; k < 2; k++) {
        mq_threads_set(k == 0 ? 1 : 3);
        alpha[k] = mq_weight_deviation(w, N);
        weight_steps(w, N, step);
        mq_weight_mix(w, N, false, step, softmax, y[k]);
        mq_weight_mix_dot(w, y[k], N, false, step, g[k]);
    }
    mq_threads_set(0);
    assert_memory_equal(&alpha[0], &alpha[1], sizeof alpha[0]);
    assert_memory_equal(y[0], y[1], N * sizeof *w);
    assert_memory_equal(g[0], g[1], sizeof g[0]);
    mq_free(w);
    mq_free(y[0]);
    mq_free(y[1]);
}

/* ---- image ---- */

static void image(void **state) {
    (void)state;
    uint8_t k[256];
    float y[256], dy[256], softmax[MQ_BRANCHES];
    double g[MQ_BRANCHES] = {0};
    for (int p = 0; p < 256; p++) k[p] = (uint8_t)p;
    fill_normal(dy, 256, "image", 1);
    fill_probabilities(softmax, MQ_BRANCHES, 3);
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        mq_image_values(k, 256, bits, y);
        for (int p = 0; p < 256; p++) {
            assert_int_equal(mq_reference_image_code(k[p], bits), p >> (8 - bits));
            assert_true(y[p] == floor(p / 256.0 * (1 << bits)) / (1 << bits));
            assert_true(bits_of(y[p]) == bits_of(mq_reference_image_value(k[p], bits)));
        }
    }
    mq_image_values(k, 256, MQ_BITS_FLOAT, y);
    for (int p = 0; p < 256; p++) assert_true(y[p] == p / 256.0);
    mq_image_mix(k, 256, softmax, y);
    for (int p = 0; p < 256; p++)
        assert_true(bits_of(y[p]) == bits_of(mq_reference_image_mix(k[p], softmax)));
    for (size_t n = 0; n <= 256; n += 51) {
        for (int j = 0; j < MQ_BRANCHES; j++) g[j] = 1;
        mq_image_mix_dot(k, dy, n, g);
        for (int j = 0; j < MQ_BRANCHES; j++) {
            double sum = 1, sizes = 1e-6;
            for (size_t p = 0; p < n; p++) {
                sum += (double)dy[p] * (double)mq_reference_image_value(k[p], MQ_SEARCH_MIN + j);
                sizes += fabs((double)dy[p]);
            }
            assert_true(fabs(g[j] - sum) < 16 * 0x1p-24 * sizes); /* float32 sums of 16 numbers */
        }
    }
}

/* ---- softmax ---- */

static void softmax64(const double *alpha, double *s) {
    double sum = 0;
    for (int i = 0; i < MQ_BRANCHES; i++) sum += s[i] = exp(alpha[i]);
    for (int i = 0; i < MQ_BRANCHES; i++) s[i] /= sum;
}

static void softmax_values(void **state) {
    (void)state;
    float alpha[MQ_BRANCHES], s[MQ_BRANCHES];
    double alpha64[MQ_BRANCHES], s64[MQ_BRANCHES];
    fill_normal(alpha, MQ_BRANCHES, "alpha", 2);
    for (int i = 0; i < MQ_BRANCHES; i++) alpha64[i] = (double)alpha[i];
    softmax64(alpha64, s64);
    mq_softmax(alpha, MQ_BRANCHES, s);
    for (int i = 0; i < MQ_BRANCHES; i++) assert_true(fabs((double)s[i] - s64[i]) < 1e-6 * s64[i]);
    for (int i = 0; i < MQ_BRANCHES; i++) alpha[i] = 0.01f;
    mq_softmax(alpha, MQ_BRANCHES, s);
    for (int i = 0; i < MQ_BRANCHES; i++) assert_true(s[i] == 1.0f / 7);
    alpha[2] = 3e38f;
    mq_softmax(alpha, MQ_BRANCHES, s);
    for (int i = 0; i < MQ_BRANCHES; i++) assert_true(s[i] == (i == 2));
    alpha[2] = NAN;
    mq_softmax(alpha, MQ_BRANCHES, s);
    for (int i = 0; i < MQ_BRANCHES; i++) assert_true(isnan(s[i]));
}

/* dL/dalpha from g against central differences of L(alpha) = sum_j softmax64(alpha)_j * g_j: the loss of a
 * mix is linear in the softmax, with g_j = <dy, Q_j> as its coefficients. */
static void check_alpha_gradient(const float *alpha, const double exact_g[MQ_BRANCHES],
                                 const double g[MQ_BRANCHES]) {
    float s[MQ_BRANCHES], dalpha[MQ_BRANCHES];
    double scale = 0;
    mq_softmax(alpha, MQ_BRANCHES, s);
    mq_softmax_gradient(s, g, MQ_BRANCHES, dalpha);
    for (int j = 0; j < MQ_BRANCHES; j++) scale = fmax(scale, fabs(exact_g[j]));
    for (int i = 0; i < MQ_BRANCHES; i++) {
        const double h = 1e-5;
        double loss[2] = {0};
        for (int side = 0; side < 2; side++) {
            double moved[MQ_BRANCHES], s64[MQ_BRANCHES];
            for (int j = 0; j < MQ_BRANCHES; j++)
                moved[j] = (double)alpha[j] + (j == i ? side * 2 * h - h : 0);
            softmax64(moved, s64);
            for (int j = 0; j < MQ_BRANCHES; j++) loss[side] += s64[j] * exact_g[j];
        }
        assert_true(fabs((double)dalpha[i] - (loss[1] - loss[0]) / (2 * h)) < 2e-6 * scale);
    }
}

static void alpha_gradients(void **state) {
    (void)state;
    enum { N = 5000 };
    float x[N], dy[N], alpha[MQ_BRANCHES], s[MQ_BRANCHES];
    uint8_t k[N];
    double step[MQ_BRANCHES], g[MQ_BRANCHES], exact[3][MQ_BRANCHES] = {{0}};
    fill_normal(x, N, "alpha x", 2);
    fill_normal(dy, N, "alpha dy", 1);
    fill_normal(alpha, MQ_BRANCHES, "alpha", 1);
    mq_softmax(alpha, MQ_BRANCHES, s);
    weight_steps(x, N, step);
    for (int i = 0; i < N; i++) {
        dy[i] += 0.1f * x[i]; /* sums that do not cancel */
        k[i] = (uint8_t)(i * 37);
        for (int j = 0; j < MQ_BRANCHES; j++) {
            int bits = MQ_SEARCH_MIN + j;
            exact[0][j] +=
                (double)dy[i] * (double)mq_reference_activation_value(x[i], MQ_QUANTIZER_HWGQ, bits);
            exact[1][j] += (double)dy[i] * (double)mq_reference_weight_value(x[i], bits, false, step[j]);
            exact[2][j] += (double)dy[i] * (double)mq_reference_image_value(k[i], bits);
        }
    }
    memset(g, 0, sizeof g);
    mq_activation_mix_gradient(x, dy, N, MQ_QUANTIZER_HWGQ, s, NULL, g);
    check_alpha_gradient(alpha, exact[0], g);
    mq_weight_mix_dot(x, dy, N, false, step, g);
    check_alpha_gradient(alpha, exact[1], g);
    memset(g, 0, sizeof g);
    mq_image_mix_dot(k, dy, N, g);
    check_alpha_gradient(alpha, exact[2], g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(deviation),
        cmocka_unit_test(weight_codes_and_values),
        cmocka_unit_test(weight_known_values),
        cmocka_unit_test(weight_step_zero),
        cmocka_unit_test(weight_mix),
        cmocka_unit_test(weight_mix_of_neighbours),
        cmocka_unit_test(weight_mix_of_distant_steps),
        cmocka_unit_test(weights_ignore_thread_count),
        cmocka_unit_test(image),
        cmocka_unit_test(softmax_values),
        cmocka_unit_test(alpha_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
