/* test_quant_dorefa.c - DoReFa's weights: tanh and the normalisation bit for bit against the definition on
 * every instruction set, codes and mixes, the gradient against float64 and against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "quant/helper_clones.h"
#include "quant/helper_floats.h"
#include "quant/quant.h"
#include "quant/reference.h"

static bool always(void) {
    return true;
}

static const quant_clone dispatched = {.name = "dispatched",
                                       .available = always,
                                       .normalize = mq_dorefa_normalize,
                                       .weight_gradient = mq_dorefa_gradient};
static const quant_clone *const clones[] = {&dispatched, &quant_clone_base, &quant_clone_v3, &quant_clone_v4};
enum { CLONES = sizeof clones / sizeof *clones, MANY = 100003 };

static void *get(size_t count, size_t size) {
    void *memory = NULL;
    assert_int_equal(mq_alloc(count, size, "test", &memory, NULL), MQ_OK);
    return memory;
}

static void check_normalize(const float *w, size_t n) {
    float *expected = get(n + 1, sizeof *expected), *t = get(n + 1, sizeof *t);
    float most = mq_reference_dorefa_normalize(w, n, expected);
    for (int k = 0; k < CLONES; k++) {
        if (!clones[k]->available()) continue;
        t[n] = -77;
        assert_true(clones[k]->normalize(w, n, t) == most);
        for (size_t i = 0; i < n; i++)
            if (!same_float(t[i], expected[i]))
                fail_msg("%s, %zu weights: t of %a is %a, %a expected", clones[k]->name, n, (double)w[i],
                         (double)t[i], (double)expected[i]);
        assert_true(t[n] == -77);
    }
    mq_free(expected);
    mq_free(t);
}

/* Alone with infinity, whose tanh is 1, t is tanh itself: every 4001st float, both signs. */
static void tanh_over_all_floats(void **state) {
    (void)state;
    enum { BLOCK = 4096, STRIDE = 4001 };
    float w[BLOCK];
    for (uint32_t bits = 0; bits <= 0x7f800000u;) {
        size_t n = 1;
        w[0] = INFINITY;
        for (; n + 1 < BLOCK && bits <= 0x7f800000u; bits += STRIDE) {
            w[n++] = float_of(bits);
            w[n++] = -float_of(bits);
        }
        check_normalize(w, n);
    }
}

static void normalize(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, 17, 1000, 16384, 16385, MANY};
    static const float scales[] = {1e-30f, 0.001f, 0.1f, 1, 30};
    float *w = get(MANY, sizeof *w);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        fill_normal(w, MANY, "dorefa w", scales[s]);
        for (size_t t = 0; t < sizeof lengths / sizeof *lengths; t++) check_normalize(w, lengths[t]);
    }
    mq_free(w);
    check_normalize(special_floats, SPECIALS);
    float zeros[20] = {0}, lone[20] = {0}, t[20];
    zeros[3] = -0.0f;
    check_normalize(zeros, 20);
    assert_true(mq_dorefa_normalize(zeros, 20, t) == 0 && t[7] == 0);
    lone[5] = NAN; /* the NaN alone: others keep their values */
    lone[6] = -0.5f;
    assert_true(mq_dorefa_normalize(lone, 20, t) == (float)tanh(0.5));
    for (int i = 0; i < 20; i++) assert_int_equal(isnan(t[i]) != 0, i == 5);
    assert_true(t[6] == -1);
}

static double quantize(mq_quantizer quantizer, const float *w, size_t n, int bits, bool narrow, float *t,
                       int32_t *q) {
    float scale;
    const float *rounded = mq_weight_prepare(quantizer, w, n, t, &scale);
    double step = mq_weight_step_of(quantizer, bits, scale);
    mq_weight_codes(rounded, n, bits, narrow, step, q);
    return step;
}

/* Worked out by hand: both signs, halves (to even), the clamp at both ends. */
static void known_codes(void **state) {
    (void)state;
    float w[] = {-1.0f, 1.0f, 0.0f, -0.0f, 0.3f, -0.3f, 0.1f, 0.9f};
    /* t = -1, 1, 0, 0, 0.3825, -0.3825, 0.1309, 0.9405 */
    static const int32_t three[] = {-4, 3, 0, 0, 2, -2, 1, 3}, four[] = {-8, 7, 0, 0, 3, -3, 1, 7};
    static const int32_t one[] = {-1, 0, 0, 0, 0, 0, 0, 0}, narrow[] = {-3, 3, 0, 0, 2, -2, 1, 3};
    enum { N = sizeof w / sizeof *w };
    float t[N];
    int32_t q[N];
    assert_true(quantize(MQ_QUANTIZER_DOREFA, w, N, 3, false, t, q) == 0.25);
    assert_memory_equal(q, three, sizeof q);
    assert_true(quantize(MQ_QUANTIZER_DOREFA, w, N, 3, true, t, q) == 0.25);
    assert_memory_equal(q, narrow, sizeof q);
    assert_true(quantize(MQ_QUANTIZER_DOREFA, w, N, 4, false, t, q) == 0.125);
    assert_memory_equal(q, four, sizeof q);
    assert_true(quantize(MQ_QUANTIZER_DOREFA, w, N, 1, false, t, q) == 1);
    assert_memory_equal(q, one, sizeof q);
    assert_true(mq_dorefa_step(8) == 1.0 / 128);

    float ties[] = {0.125f, 0.375f, 0.625f, -0.125f, -0.375f, -0.875f, 0.875f, -1};
    static const int32_t even[] = {0, 2, 2, 0, -2, -4, 3, -4};
    mq_weight_codes(ties, 8, 3, false, mq_dorefa_step(3), q);
    assert_memory_equal(q, even, sizeof q);

    float nan[] = {NAN, 1, 0.5f};
    (void)quantize(MQ_QUANTIZER_DOREFA, nan, 3, 4, false, t, q);
    assert_true(q[0] == 0 && q[1] == 7);
}

static void codes(void **state) {
    (void)state;
    float *w = get(MANY, sizeof *w), *t = get(MANY, sizeof *t), *expected = get(MANY, sizeof *t);
    int32_t *q = get(MANY, sizeof *q);
    fill_normal(w, MANY, "dorefa codes", 0.3f);
    (void)mq_reference_dorefa_normalize(w, MANY, expected);
    for (int bits = 1; bits <= 8; bits++) {
        for (int narrow = 0; narrow < 2; narrow++) {
            double step = quantize(MQ_QUANTIZER_DOREFA, w, MANY, bits, narrow, t, q);
            size_t wrong = step != 1.0 / (1 << (bits - 1));
            for (size_t i = 0; i < MANY; i++) {
                double level = rint((double)expected[i] * (1 << (bits - 1)));
                level = fmax(fmin(level, (1 << (bits - 1)) - 1), -(1 << (bits - 1)) + narrow);
                wrong += q[i] != (int32_t)level;
            }
            assert_int_equal(wrong, 0);
        }
    }
    double step = quantize(MQ_QUANTIZER_HWGQ, w, MANY, 4, false, NULL, q);
    assert_true(step == mq_weight_step(4, mq_weight_deviation(w, MANY)));
    for (size_t i = 0; i < MANY; i += 7)
        assert_int_equal(q[i], mq_reference_weight_code(w[i], 4, false, step));
    mq_free(w);
    mq_free(t);
    mq_free(expected);
    mq_free(q);
}

static double largest(const double *v, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}

/* Against the formula in float64, for all instruction sets and thread counts the same bits. */
static void check_gradient(const float *w, size_t n) {
    float *t = get(n, sizeof *t), *dt = get(n, sizeof *dt), *grad = get(n, sizeof *grad),
          *first = get(n, sizeof *first);
    double *wide = get(n, sizeof *wide), *expected = get(n, sizeof *expected);
    fill_normal(dt, n, "dorefa dt", 1);
    for (size_t i = 0; i < n; i++) wide[i] = (double)dt[i];
    mq_reference_dorefa_gradient(w, n, wide, expected);
    float m = mq_dorefa_normalize(w, n, t);
    double unit = largest(expected, n);
    for (int k = 0; k < 2 * CLONES; k++) {
        const quant_clone *c = clones[k / 2];
        if (!c->available()) continue;
        mq_threads_set(1 + k % 2 * 2);
        memcpy(grad, dt, n * sizeof *grad);
        c->weight_gradient(t, n, m, grad);
        if (k == 0) memcpy(first, grad, n * sizeof *grad);
        assert_memory_equal(first, grad, n * sizeof *grad);
        for (size_t i = 0; i < n; i++)
            if (!(fabs((double)grad[i] - expected[i]) <= 1e-6 * unit))
                fail_msg("%s: dL/dw[%zu] is %g, %g expected", c->name, i, (double)grad[i], expected[i]);
    }
    mq_threads_set(0);
    mq_free(t);
    mq_free(dt);
    mq_free(grad);
    mq_free(first);
    mq_free(wide);
    mq_free(expected);
}

static void gradient(void **state) {
    (void)state;
    float *w = get(MANY, sizeof *w);
    fill_normal(w, MANY, "dorefa gradient", 0.3f);
    check_gradient(w, 1);
    check_gradient(w, 2);
    check_gradient(w, 37);
    check_gradient(w, MANY);
    w[3] = w[90000] = 2; /* maxima far apart and of both signs share the gradient */
    w[50000] = -2;
    check_gradient(w, MANY);
    mq_free(w);

    float zeros[10] = {0}, t[10], grad[10], dt[10];
    fill_normal(dt, 10, "dorefa zeros", 1);
    memcpy(grad, dt, sizeof grad);
    mq_dorefa_gradient(t, 10, mq_dorefa_normalize(zeros, 10, t), grad);
    assert_memory_equal(grad, dt, sizeof grad); /* straight through */
}

/* L = sum_i c_i*t_i(w) + d_i*t_i(w)^2 in float64. */
static double loss(const double *w, const double *c, const double *d, size_t n) {
    double m = 0, sum = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs(tanh(w[i])));
    for (size_t i = 0; i < n; i++) {
        double t = tanh(w[i]) / m;
        sum += c[i] * t + d[i] * t * t;
    }
    return sum;
}

/* The formula is the derivative of the normalisation: central differences, the largest weight among them. */
static void finite_differences(void **state) {
    (void)state;
    enum { N = 25 };
    float w[N], c[N], d[N];
    double w64[N], c64[N], d64[N], dt[N], dw[N], m = 0;
    fill_normal(w, N, "dorefa fd w", 0.7f);
    fill_normal(c, N, "dorefa fd c", 1);
    fill_normal(d, N, "dorefa fd d", 1);
    for (int i = 0; i < N; i++) {
        w64[i] = (double)w[i];
        c64[i] = (double)c[i];
        d64[i] = (double)d[i];
        m = fmax(m, fabs(tanh(w64[i])));
    }
    for (int i = 0; i < N; i++) dt[i] = c64[i] + 2 * d64[i] * tanh(w64[i]) / m;
    mq_reference_dorefa_gradient(w, N, dt, dw);
    double unit = largest(dw, N);
    int maxima = 0;
    for (int i = 0; i < N; i++) {
        const double h = 1e-5, at = w64[i];
        maxima += fabs(tanh(at)) == m;
        w64[i] = at + h;
        double up = loss(w64, c64, d64, N);
        w64[i] = at - h;
        double down = loss(w64, c64, d64, N);
        w64[i] = at;
        assert_true(fabs((up - down) / (2 * h) - dw[i]) < 1e-8 * unit);
    }
    assert_int_equal(maxima, 1);
}

/* The t of a weight that is the only maximum is 1 whatever the weight: no gradient. */
static void lone_maximum(void **state) {
    (void)state;
    float w[] = {0.2f, -0.9f, 0.4f}, t[3], grad[3] = {0, 5, 0};
    float m = mq_dorefa_normalize(w, 3, t);
    mq_dorefa_gradient(t, 3, m, grad);
    for (int i = 0; i < 3; i++) assert_true(grad[i] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tanh_over_all_floats),
        cmocka_unit_test(normalize),
        cmocka_unit_test(known_codes),
        cmocka_unit_test(codes),
        cmocka_unit_test(gradient),
        cmocka_unit_test(finite_differences),
        cmocka_unit_test(lone_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
