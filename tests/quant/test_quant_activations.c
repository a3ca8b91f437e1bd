/* The activation kernels, as dispatched and for every instruction set, against the one-element reference: bit
 * for bit around every code boundary, on random and special values, for odd lengths; their sums against
 * float64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "quant/helper_clones.h"
#include "quant/helper_floats.h"
#include "quant/quant.h"
#include "quant/reference.h"

static bool always(void) {
    return true;
}

static const quant_clone dispatched = {.name = "dispatched",
                                       .available = always,
                                       .values = mq_activation_values,
                                       .codes = mq_activation_codes,
                                       .gradient = mq_activation_gradient,
                                       .mix = mq_activation_mix,
                                       .mix_gradient = mq_activation_mix_gradient,
                                       .mix_slope = mq_activation_mix_slope};
static const quant_clone *const clones[] = {&dispatched, &quant_clone_base, &quant_clone_v3, &quant_clone_v4};
/* A test of each family. */
#define BOTH(name)                                                                                           \
    static void name##_hwgq(void **state) {                                                                  \
        (void)state;                                                                                         \
        name(MQ_QUANTIZER_HWGQ);                                                                             \
    }                                                                                                        \
    static void name##_dorefa(void **state) {                                                                \
        (void)state;                                                                                         \
        name(MQ_QUANTIZER_DOREFA);                                                                           \
    }
enum { CLONES = sizeof clones / sizeof *clones, NEAR = 64 };

static void *get(size_t count, size_t size) {
    void *memory = NULL;
    assert_int_equal(mq_alloc(count, size, "test", &memory, NULL), MQ_OK);
    return memory;
}

/* The smallest float whose code is at least `code`: codes never fall as x rises. */
static float boundary(mq_quantizer quantizer, int bits, int code) {
    uint32_t low = 0, high = bits_of(mq_activation_top(quantizer, bits));
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mq_reference_activation_code(float_of(middle), quantizer, bits) >= code)
            high = middle;
        else
            low = middle + 1;
    }
    return float_of(low);
}

/* All floats within NEAR units in the last place of each code boundary and gate of bits first..last, then
 * special and random values. */
static size_t hard_inputs(mq_quantizer quantizer, int first, int last, float **out) {
    size_t random = 100000, count = 0, room = SPECIALS + random;
    for (int b = first; b <= last; b++) room += (size_t)(1 << b) * (2 * NEAR + 1);
    float *x = get(room, sizeof *x);
    for (int b = first; b <= last; b++) {
        for (int code = 1; code <= 1 << b; code++) {
            uint32_t at =
                bits_of(code < 1 << b ? boundary(quantizer, b, code) : mq_activation_gate(quantizer, b));
            for (uint32_t d = 0; d <= 2 * NEAR; d++) x[count++] = float_of(at + d - NEAR);
        }
    }
    memcpy(x + count, special_floats, sizeof special_floats);
    count += SPECIALS;
    fill_normal(x + count, random, "activations", 2.5f);
    *out = x;
    return count + random;
}

static void check_values(const quant_clone *c, const float *x, size_t n, mq_quantizer quantizer, int bits) {
    float *y = get(n, sizeof *y);
    c->values(x, n, quantizer, bits, y);
    for (size_t i = 0; i < n; i++)
        if (!same_float(y[i], mq_reference_activation_value(x[i], quantizer, bits)))
            fail_msg("%s, %s, %d bits: value of %a is %a", c->name, mq_quantizer_names[quantizer], bits,
                     (double)x[i], (double)y[i]);
    mq_free(y);
}

static void check_codes(const quant_clone *c, const float *x, size_t n, mq_quantizer quantizer, int bits) {
    uint8_t *q = get(n, 1);
    c->codes(x, n, quantizer, bits, q);
    for (size_t i = 0; i < n; i++)
        if (q[i] != mq_reference_activation_code(x[i], quantizer, bits))
            fail_msg("%s, %s, %d bits: code of %a is %d", c->name, mq_quantizer_names[quantizer], bits,
                     (double)x[i], q[i]);
    mq_free(q);
}

static void check_gradient(const quant_clone *c, const float *x, size_t n, mq_quantizer quantizer, int bits) {
    float *dy = get(n, sizeof *dy), *dx = get(n, sizeof *dx);
    fill_normal(dy, n, "gradient", 1);
    c->gradient(x, dy, n, quantizer, bits, dx);
    for (size_t i = 0; i < n; i++)
        if (!same_float(dx[i], mq_reference_activation_gradient(x[i], dy[i], quantizer, bits)))
            fail_msg("%s, %s, %d bits: gradient at %a is %a", c->name, mq_quantizer_names[quantizer], bits,
                     (double)x[i], (double)dx[i]);
    c->gradient(x, dy, n, quantizer, bits, dy); /* in place */
    assert_memory_equal(dy, dx, n * sizeof *dx);
    mq_free(dy);
    mq_free(dx);
}

static void single_quantisers(mq_quantizer quantizer) {
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        float *x;
        size_t n = hard_inputs(quantizer, bits, bits, &x);
        for (int k = 0; k < CLONES; k++) {
            if (!clones[k]->available()) continue;
            check_values(clones[k], x, n, quantizer, bits);
            check_codes(clones[k], x, n, quantizer, bits);
            check_gradient(clones[k], x, n, quantizer, bits);
        }
        mq_free(x);
    }
}

BOTH(single_quantisers)

static void relu(mq_quantizer quantizer) {
    float *x;
    size_t n = hard_inputs(quantizer, 2, 2, &x);
    for (int k = 0; k < CLONES; k++) {
        if (!clones[k]->available()) continue;
        check_values(clones[k], x, n, quantizer, MQ_BITS_FLOAT);
        check_gradient(clones[k], x, n, quantizer, MQ_BITS_FLOAT);
    }
    mq_free(x);
}

BOTH(relu)

/* The definition in numbers worked out by hand, so that reference and kernels cannot be wrong together. */
static void known_values(void **state) {
    (void)state;
    const mq_quantizer quantizer = MQ_QUANTIZER_HWGQ;
    const float top2 = 1.614f, step2 = 0.538f;
    float x[] = {0.0f,   0.26f,  0.2691f, 0.8069f, 0.8071f, top2, nextafterf(top2, 9),
                 100.0f, -0.01f, -5.0f,   -0.0f};
    uint8_t expected[] = {0, 0, 1, 1, 2, 3, 3, 3, 0, 0, 0};
    float through[] = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    enum { N = sizeof x / sizeof *x };
    uint8_t q[N];
    float y[N], dx[N], one[N];
    for (int i = 0; i < N; i++) one[i] = 1;
    assert_true(mq_activation_top(quantizer, 2) == top2);
    mq_activation_codes(x, N, quantizer, 2, q);
    mq_activation_values(x, N, quantizer, 2, y);
    mq_activation_gradient(x, one, N, quantizer, 2, dx);
    for (int i = 0; i < N; i++) {
        assert_int_equal(q[i], expected[i]);
        assert_true(y[i] == (float)expected[i] * step2);
        assert_true(dx[i] == through[i]);
    }
    float nan = NAN;
    mq_activation_values(&nan, 1, quantizer, 4, y);
    assert_true(isnan(y[0]));
    mq_activation_codes(&nan, 1, quantizer, 4, q);
    assert_int_equal(q[0], 0);
}

/* DoReFa's codes are 2^b levels of 1/2^b, the last one wider; its gate is 1 and not the largest value. */
static void known_dorefa(void **state) {
    (void)state;
    const mq_quantizer quantizer = MQ_QUANTIZER_DOREFA;
    float x[] = {0.0f,   0.125f, 0.126f, 0.375f,  0.5f, 0.625f, 0.626f, 0.75f,
                 0.875f, 0.99f,  1.0f,   1.0001f, 7.0f, -0.01f, -0.0f};
    uint8_t expected[] = {0, 0, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 0, 0};
    float through[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1};
    enum { N = sizeof x / sizeof *x };
    uint8_t q[N];
    float y[N], dx[N], one[N];
    for (int i = 0; i < N; i++) one[i] = 1;
    for (int bits = 1; bits <= 8; bits++) {
        assert_true(mq_activation_step(quantizer, bits) == 1.0 / (1 << bits));
        assert_true(mq_activation_top(quantizer, bits) == 1 - 1.0f / (float)(1 << bits));
        assert_true(mq_activation_gate(quantizer, bits) == 1);
    }
    mq_activation_codes(x, N, quantizer, 2, q);
    mq_activation_values(x, N, quantizer, 2, y);
    mq_activation_gradient(x, one, N, quantizer, 2, dx);
    for (int i = 0; i < N; i++) {
        assert_int_equal(q[i], expected[i]);
        assert_true(y[i] == (float)expected[i] * 0.25f);
        assert_true(dx[i] == through[i]);
    }
    float nan = NAN;
    mq_activation_values(&nan, 1, quantizer, 4, y);
    assert_true(isnan(y[0]));
    mq_activation_codes(&nan, 1, quantizer, 4, q);
    assert_int_equal(q[0], 0);
}

/* ---- the mix ---- */

static void check_mix(const quant_clone *c, const float *x, size_t n, mq_quantizer quantizer,
                      const float *softmax) {
    float *y = get(n, sizeof *y);
    c->mix(x, n, quantizer, softmax, y);
    for (size_t i = 0; i < n; i++)
        if (!same_float(y[i], mq_reference_activation_mix(x[i], quantizer, softmax)))
            fail_msg("%s: mix of %a is %a", c->name, (double)x[i], (double)y[i]);
    mq_free(y);
}

static void check_mix_dx(const quant_clone *c, const float *x, size_t n, mq_quantizer quantizer,
                         const float *softmax) {
    float *dy = get(n, sizeof *dy), *dx = get(n, sizeof *dx);
    double g[MQ_BRANCHES] = {0};
    fill_normal(dy, n, "gradient", 1);
    c->mix_gradient(x, dy, n, quantizer, softmax, dx, g);
    for (size_t i = 0; i < n; i++)
        if (!same_float(dx[i], mq_reference_activation_mix_gradient(x[i], dy[i], quantizer, softmax)))
            fail_msg("%s: mix gradient at %a is %a", c->name, (double)x[i], (double)dx[i]);
    float *slope = get(n, sizeof *slope);
    c->mix_slope(x, dy, n, quantizer, softmax, slope);
    assert_memory_equal(slope, dx, n * sizeof *dx);
    mq_free(slope);
    mq_free(dy);
    mq_free(dx);
}

static void mix_elementwise(mq_quantizer quantizer) {
    float softmax[MQ_BRANCHES], *x;
    fill_probabilities(softmax, MQ_BRANCHES, 0);
    size_t n = hard_inputs(quantizer, MQ_SEARCH_MIN, MQ_BITS_MAX, &x);
    for (int k = 0; k < CLONES; k++) {
        if (!clones[k]->available()) continue;
        check_mix(clones[k], x, n, quantizer, softmax);
        check_mix_dx(clones[k], x, n, quantizer, softmax);
    }
    mq_free(x);
}
BOTH(mix_elementwise)

/* One hard value among harmless ones: a block is computed again with divisions only when it says itself that
 * it may be wrong, and here no neighbour says so for it. */
static void mix_lone_boundaries(mq_quantizer quantizer) {
    enum { BLOCK = 64 };
    float softmax[MQ_BRANCHES], *x;
    fill_probabilities(softmax, MQ_BRANCHES, 1);
    size_t n = hard_inputs(quantizer, MQ_SEARCH_MIN, MQ_BITS_MAX, &x), wrong = 0;
    for (size_t i = 0; i < n; i++) {
        float block[BLOCK] = {0}, y[BLOCK];
        block[i % BLOCK] = x[i];
        mq_activation_mix(block, BLOCK, quantizer, softmax, y);
        wrong += !same_float(y[i % BLOCK], mq_reference_activation_mix(x[i], quantizer, softmax));
        wrong += y[(i + 1) % BLOCK] != 0;
    }
    assert_int_equal(wrong, 0);
    mq_free(x);
}
BOTH(mix_lone_boundaries)

/* g[j] = <dy, Q_j(x)> and the sum of |dy*Q_j|, in float64. */
static void dot64(const float *x, const float *dy, size_t n, mq_quantizer quantizer, double g[MQ_BRANCHES],
                  double size[MQ_BRANCHES]) {
    for (int j = 0; j < MQ_BRANCHES; j++) {
        g[j] = size[j] = 0;
        for (size_t i = 0; i < n; i++) {
            double term =
                (double)dy[i] * (double)mq_reference_activation_value(x[i], quantizer, MQ_SEARCH_MIN + j);
            g[j] += term;
            size[j] += fabs(term);
        }
    }
}

static void mix_sums(mq_quantizer quantizer) {
    static const size_t lengths[] = {1, 15, 63, 64, 65, 1000, 4095, 4096, 4097, 100003};
    enum { LONGEST = 100003 };
    float *x = get(LONGEST, sizeof *x), *dy = get(LONGEST, sizeof *dy), *dx = get(LONGEST, sizeof *dx);
    float *first = get(LONGEST, sizeof *dx), softmax[MQ_BRANCHES];
    fill_normal(x, LONGEST, "mix x", 2);
    fill_normal(dy, LONGEST, "mix dy", 0.01f);
    fill_probabilities(softmax, MQ_BRANCHES, 2);
    for (size_t t = 0; t < sizeof lengths / sizeof *lengths; t++) {
        size_t n = lengths[t];
        double expected[MQ_BRANCHES], size[MQ_BRANCHES], g0[MQ_BRANCHES];
        dot64(x, dy, n, quantizer, expected, size);
        for (int k = 0; k < CLONES; k++) {
            if (!clones[k]->available()) continue;
            double g[MQ_BRANCHES], without[MQ_BRANCHES];
            for (int j = 0; j < MQ_BRANCHES; j++) g[j] = without[j] = 1; /* g is added to */
            clones[k]->mix_gradient(x, dy, n, quantizer, softmax, dx, g);
            clones[k]->mix_gradient(x, dy, n, quantizer, softmax, NULL, without);
            assert_memory_equal(g, without, sizeof g);
            for (int j = 0; j < MQ_BRANCHES; j++)
                assert_true(fabs(g[j] - 1 - expected[j]) <= 2e-6 * size[j] + 1e-15);
            if (k == 0) {
                memcpy(g0, g, sizeof g);
                memcpy(first, dx, n * sizeof *dx);
            }
            assert_memory_equal(g, g0, sizeof g); /* the sums do not depend on the CPU */
            assert_memory_equal(dx, first, n * sizeof *dx);
        }
    }
    double g[MQ_BRANCHES] = {0};
    memcpy(dx, dy, LONGEST * sizeof *dy);
    mq_activation_mix_gradient(x, dx, LONGEST, quantizer, softmax, dx, g); /* in place */
    assert_memory_equal(dx, first, LONGEST * sizeof *dx);
    mq_free(x);
    mq_free(dy);
    mq_free(dx);
    mq_free(first);
}
BOTH(mix_sums)

/* Every length up to 200 at every alignment: nothing is written outside, nothing left out. */
static void odd_lengths(mq_quantizer quantizer) {
    enum { MOST = 200, ROOM = MOST + 32 };
    float x[ROOM], y[ROOM], dx[ROOM], softmax[MQ_BRANCHES];
    uint8_t q[ROOM];
    double g[MQ_BRANCHES] = {0};
    fill_normal(x, ROOM, "odd", 2);
    fill_probabilities(softmax, MQ_BRANCHES, 3);
    for (size_t n = 0; n <= MOST; n++) {
        size_t at = n % 17;
        for (int i = 0; i < ROOM; i++) y[i] = dx[i] = -77;
        memset(q, 255, sizeof q);
        mq_activation_mix(x + at, n, quantizer, softmax, y + at);
        mq_activation_mix_gradient(x + at, x + at, n, quantizer, softmax, dx + at, g);
        mq_activation_codes(x + at, n, quantizer, 3, q + at);
        for (size_t i = 0; i < ROOM; i++) {
            bool inside = i >= at && i < at + n;
            assert_true(y[i] == (inside ? mq_reference_activation_mix(x[i], quantizer, softmax) : -77));
            assert_true(
                dx[i] ==
                (inside ? mq_reference_activation_mix_gradient(x[i], x[i], quantizer, softmax) : -77));
            assert_int_equal(q[i], inside ? mq_reference_activation_code(x[i], quantizer, 3) : 255);
        }
        memcpy(y, dx, sizeof y);
        for (int i = 0; i < ROOM; i++) dx[i] = -77;
        mq_activation_mix_slope(x + at, x + at, n, quantizer, softmax, dx + at);
        assert_memory_equal(dx, y, sizeof dx);
        for (int i = 0; i < ROOM; i++) y[i] = dx[i] = -77;
        mq_activation_values(x + at, n, quantizer, 5, y + at);
        mq_activation_gradient(x + at, x + at, n, quantizer, 5, dx + at);
        for (size_t i = 0; i < ROOM; i++) {
            bool inside = i >= at && i < at + n;
            assert_true(y[i] == (inside ? mq_reference_activation_value(x[i], quantizer, 5) : -77));
            assert_true(dx[i] == (inside ? mq_reference_activation_gradient(x[i], x[i], quantizer, 5) : -77));
        }
    }
}
BOTH(odd_lengths)

static void mix_gradient_edges(void **state) {
    (void)state;
    float softmax[MQ_BRANCHES];
    fill_probabilities(softmax, MQ_BRANCHES, 4);
    for (int first = 0; first <= MQ_BRANCHES; first++) {
        /* Just above the top of branch first-1, at the top of branch first: first.. pass. */
        float sum = 0, at[2], dy[2] = {3, 3}, dx[2];
        double g[MQ_BRANCHES] = {0};
        for (int j = first; j < MQ_BRANCHES; j++) sum += softmax[j];
        at[0] =
            first > 0 ? nextafterf(mq_activation_top(MQ_QUANTIZER_HWGQ, MQ_SEARCH_MIN + first - 1), 9) : 0;
        at[1] = first < MQ_BRANCHES ? mq_activation_top(MQ_QUANTIZER_HWGQ, MQ_SEARCH_MIN + first) : 1e30f;
        mq_activation_mix_gradient(at, dy, 2, MQ_QUANTIZER_HWGQ, softmax, dx, g);
        assert_true(dx[0] == 3 * sum);
        assert_true(dx[1] == 3 * sum);
    }
    /* DoReFa's branches all end at 1. */
    float sum = 0, ends[3] = {0, 1, nextafterf(1, 2)}, ones[3] = {1, 1, 1}, slope[3];
    double unused[MQ_BRANCHES] = {0};
    for (int j = 0; j < MQ_BRANCHES; j++) sum += softmax[j];
    mq_activation_mix_gradient(ends, ones, 3, MQ_QUANTIZER_DOREFA, softmax, slope, unused);
    assert_true(slope[0] == sum && slope[1] == sum && slope[2] == 0);
    float below = -0x1p-149f, dy = 3, dx = 1;
    double g[MQ_BRANCHES] = {0};
    mq_activation_mix_gradient(&below, &dy, 1, MQ_QUANTIZER_HWGQ, softmax, &dx, g);
    assert_true(dx == 0);
}

static void not_a_number(mq_quantizer quantizer) {
    for (int k = 0; k < CLONES; k++) {
        if (!clones[k]->available()) continue;
        float x[100], dy[100], y[100], softmax[MQ_BRANCHES];
        double g[MQ_BRANCHES] = {0};
        fill_probabilities(softmax, MQ_BRANCHES, 5);
        for (int i = 0; i < 100; i++) x[i] = dy[i] = 1;
        x[37] = NAN;
        clones[k]->mix(x, 100, quantizer, softmax, y);
        for (int i = 0; i < 100; i++) assert_int_equal(isnan(y[i]) != 0, i == 37);
        clones[k]->mix_gradient(x, dy, 100, quantizer, softmax, NULL, g);
        for (int j = 0; j < MQ_BRANCHES; j++) assert_true(isnan(g[j]));
    }
}
BOTH(not_a_number)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(known_dorefa),
        cmocka_unit_test(single_quantisers_hwgq),
        cmocka_unit_test(single_quantisers_dorefa),
        cmocka_unit_test(relu_hwgq),
        cmocka_unit_test(relu_dorefa),
        cmocka_unit_test(mix_elementwise_hwgq),
        cmocka_unit_test(mix_elementwise_dorefa),
        cmocka_unit_test(mix_lone_boundaries_hwgq),
        cmocka_unit_test(mix_lone_boundaries_dorefa),
        cmocka_unit_test(mix_sums_hwgq),
        cmocka_unit_test(mix_sums_dorefa),
        cmocka_unit_test(odd_lengths_hwgq),
        cmocka_unit_test(odd_lengths_dorefa),
        cmocka_unit_test(mix_gradient_edges),
        cmocka_unit_test(not_a_number_hwgq),
        cmocka_unit_test(not_a_number_dorefa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
