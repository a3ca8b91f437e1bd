/* test_objective.c - cross entropy: value and gradient against float64 and finite differences, large and
 * non-finite logits, counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "train/objective.h"

enum { N = 5, CLASSES = 7 };

/* The definition, without any care for overflow. */
static double plain(const double *z, const int32_t *labels) {
    double total = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int c = 0; c < CLASSES; c++) sum += exp(z[i * CLASSES + c]);
        total -= log(exp(z[i * CLASSES + labels[i]]) / sum);
    }
    return total / N;
}

static void finite_differences(void **state) {
    (void)state;
    float z[N * CLASSES], d[N * CLASSES];
    double wide[N * CLASSES];
    int32_t labels[N];
    uint64_t correct;
    const mq_rng rng = mq_rng_stream(1, "logits", 0);
    for (int i = 0; i < N; i++) labels[i] = (3 * i + 1) % CLASSES;
    for (int e = 0; e < N * CLASSES; e++) wide[e] = z[e] = 3 * mq_rng_normal(&rng, (uint64_t)e);
    const double loss = mq_cross_entropy(z, labels, N, CLASSES, d, &correct);
    assert_true(fabs(loss - plain(wide, labels)) < 1e-13);
    assert_true(loss == mq_cross_entropy(z, labels, N, CLASSES, NULL, &correct));
    for (int e = 0; e < N * CLASSES; e++) {
        const double at = wide[e], h = 1e-3;
        double f[4];
        const double step[4] = {h, -h, 2 * h, -2 * h};
        for (int k = 0; k < 4; k++) {
            wide[e] = at + step[k];
            f[k] = plain(wide, labels);
        }
        wide[e] = at;
        const double numeric = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
        assert_true(fabs((double)d[e] - numeric) < 1e-7 * fabs(numeric) + 1e-11);
    }
}

static void large_logits(void **state) {
    (void)state;
    const float z[] = {1e30f, -1e30f, 0, 1000, 1001, 999, -3e38f, -3e38f, -3e38f};
    const int32_t labels[] = {0, 1, 2};
    float d[9];
    uint64_t correct;
    const double loss = mq_cross_entropy(z, labels, 3, 3, d, &correct);
    const double second = log(1 + exp(-1) + exp(-2)), third = log(3);
    assert_true(fabs(loss - (0 + second + third) / 3) < 1e-13);
    assert_int_equal(correct, 2); /* of equals the first: the last image is wrong */
    for (int e = 0; e < 9; e++) assert_true(isfinite(d[e]) && fabsf(d[e]) <= 1.0f / 3);
    const int32_t wrong[] = {1, 1, 2};
    assert_true(mq_cross_entropy(z, wrong, 3, 3, d, &correct) > 6e29);
    assert_true(fabs((double)d[0] - 1.0 / 3) < 1e-7 && fabs((double)d[1] + 1.0 / 3) < 1e-7);
}

static void nonfinite_logits(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY};
    for (int b = 0; b < 2; b++) {
        for (int at = 0; at < 3; at++) {
            float z[3] = {1, 2, 3}, d[3];
            uint64_t correct;
            const int32_t label = 1;
            z[at] = bad[b];
            assert_false(isfinite(mq_cross_entropy(z, &label, 1, 3, d, &correct)));
        }
    }
}

static void scores_add_up(void **state) {
    (void)state;
    static const char text[] = "name: t\nclasses: 2\ninput: {channels: 1, height: 2, width: 2}\n"
                               "layers:\n  - linear: {out: 2}\n";
    static const char detector[] = "name: d\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                                   "input: {channels: 1, height: 2, width: 2}\n"
                                   "layers:\n  - conv: {out: 6, kernel: 1}\n";
    mq_net *net;
    mq_error e = {0};
    const mq_objective *objective;
    assert_int_equal(mq_net_parse("t.yaml", text, strlen(text), &net, &e), MQ_OK);
    assert_int_equal(mq_objective_for(net, &objective, &e), MQ_OK);
    assert_string_equal(objective->quality_name, "accuracy");
    const float z[] = {1, 0, 0, 1, 2, 0};
    const int32_t labels[] = {0, 0, 0};
    const mq_batch batch = {.labels = labels, .count = 3}, rest = {.labels = labels, .count = 1};
    mq_scores scores = {0};
    const double first = objective->loss(net, z, &batch, NULL, &scores, NULL);
    const double second = objective->loss(net, z, &rest, NULL, &scores, NULL);
    assert_int_equal(scores.images, 4);
    assert_true(scores.quality == 3);
    assert_true(fabs(scores.loss - (3 * first + second)) < 1e-14);
    mq_net_free(net);
    assert_int_equal(mq_net_parse("d.yaml", detector, strlen(detector), &net, &e), MQ_OK);
    if (mq_objective_for(net, &objective, &e) != MQ_OK) assert_non_null(strstr(e.text, "detector"));
    mq_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finite_differences),
        cmocka_unit_test(large_logits),
        cmocka_unit_test(nonfinite_logits),
        cmocka_unit_test(scores_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
