/* test_sensitivity.c - measuring one layer at a time, and the best sum within a budget against trying all
 * bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "search/sensitivity.h"
#include "ok.h"

static const char NET[] = "name: small\nclasses: 3\ninput: {channels: 3, height: 8, width: 8}\n"
                          "layers:\n"
                          "  - conv: {out: 8, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 8, kernel: 3, weight_bits: 5, activation_bits: 5}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 4, kernel: 1}\n"
                          "  - linear: {out: 3, weight_bits: 8, activation_bits: 8}\n";

static mq_net *net;
static mq_factors factors;
static mq_cost_model cost;
static mq_sensitivity found;

static int begin(void **state) {
    (void)state;
    OK(mq_net_parse("small.yaml", NET, strlen(NET), &net, ERROR));
    OK(mq_factors_load("ours", &factors, ERROR));
    OK(mq_cost_create(net, &factors, &cost, ERROR));
    return 0;
}

static int end(void **state) {
    (void)state;
    mq_net_free(net);
    return 0;
}

/* A loss that adds up, with a dent: 5 bits of the first layer's weights are better than 8. */
typedef struct made_loss {
    int calls, most_changed;
    double poison;
} made_loss;

static double part(int layer, bool weight, int bits) {
    if (layer == 0 && weight && bits == 5) return -0.25;
    return (weight ? 3.0 : 2.0) * (layer + 1) * (pow(4, -bits) - pow(4, -8));
}

static mq_status loss(void *context, const mq_bits *bits, double *out, mq_error *error) {
    made_loss *m = context;
    int changed = 0;
    (void)error;
    assert_int_equal(bits->count, 4);
    assert_true(bits->weight[1] == 5 && bits->activation[1] == 5); /* pinned layers stay */
    assert_true(bits->weight[3] == 8 && bits->activation[3] == 8);
    *out = 1;
    for (int l = 0; l < 4; l += 2) {
        *out += part(l, true, bits->weight[l]) + part(l, false, bits->activation[l]);
        changed += (bits->weight[l] != 8) + (bits->activation[l] != 8);
    }
    if (changed > m->most_changed) m->most_changed = changed;
    if (++m->calls == m->poison) *out = NAN;
    return MQ_OK;
}

static void measures(void **state) {
    (void)state;
    made_loss m = {0};
    OK(mq_sensitivity_measure(net, loss, &m, &found, ERROR));
    assert_int_equal(m.calls, 1 + 2 * 2 * 6);
    assert_int_equal(m.most_changed, 1);
    assert_true(found.loss == 1);
    for (int l = 0; l < 4; l++)
        for (int b = 2; b <= 8; b++) {
            assert_true(fabs(found.weight[l][b] - (l % 2 ? 0 : part(l, true, b))) < 1e-12);
            assert_true(fabs(found.activation[l][b] - (l % 2 ? 0 : part(l, false, b))) < 1e-12);
        }
    assert_true(mq_sensitivity_increase(found.weight[0], 5) == mq_sensitivity_increase(found.weight[0], 6));
    assert_true(mq_sensitivity_increase(found.weight[0], 5) > 0);
    for (int b = 3; b <= 8; b++)
        assert_true(mq_sensitivity_increase(found.weight[0], b - 1) >=
                    mq_sensitivity_increase(found.weight[0], b));
    mq_sensitivity other;
    mq_error error;
    m = (made_loss){.poison = 1};
    assert_int_equal(mq_sensitivity_measure(net, loss, &m, &other, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "8 bits everywhere"));
    m = (made_loss){.poison = 2};
    assert_int_equal(mq_sensitivity_measure(net, loss, &m, &other, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "weights of conv0 at 2 bits"));
}

static double sum(const mq_bits *bits) {
    double total = 0;
    for (int l = 0; l < 4; l += 2)
        total += mq_sensitivity_increase(found.weight[l], bits->weight[l]) +
                 mq_sensitivity_increase(found.activation[l], bits->activation[l]);
    return total;
}

static void chooses(void **state) {
    (void)state;
    made_loss m = {0};
    mq_cost_report report;
    mq_bits bits;
    mq_error error;
    double predicted, least = INFINITY, most = 0;
    OK(mq_sensitivity_measure(net, loss, &m, &found, ERROR));
    for (int step = 0; step < 12; step++) {
        double best = INFINITY, budget = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int c = 0; c < 7 * 7 * 7 * 7; c++) {
                mq_bits_uniform(net, 8, 8, &bits);
                bits.weight[0] = (int8_t)(2 + c % 7);
                bits.activation[0] = (int8_t)(2 + c / 7 % 7);
                bits.weight[2] = (int8_t)(2 + c / 49 % 7);
                bits.activation[2] = (int8_t)(2 + c / 343);
                OK(mq_cost_at(&cost, net, &bits, &report, ERROR));
                least = fmin(least, report.dsp_ops_M);
                most = fmax(most, report.dsp_ops_M);
                if (pass && report.dsp_ops_M <= budget * (1 + 1e-9)) best = fmin(best, sum(&bits));
            }
            budget = least + (most - least) * step / 11;
        }
        OK(mq_sensitivity_choose(&found, net, &cost, budget, &bits, &predicted, ERROR));
        OK(mq_cost_at(&cost, net, &bits, &report, ERROR));
        assert_true(report.dsp_ops_M <= budget * (1 + 1e-9));
        assert_true(fabs(sum(&bits) - best) < 1e-9 && fabs(predicted - best) < 1e-9);
        assert_true(bits.weight[1] == 5 && bits.activation[1] == 5 && bits.weight[3] == 8);
    }
    assert_int_equal(mq_sensitivity_choose(&found, net, &cost, least * 0.9, &bits, &predicted, &error),
                     MQ_USAGE);
    assert_non_null(strstr(error.text, "out of reach"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(measures), cmocka_unit_test(chooses)};
    return cmocka_run_group_tests(tests, begin, end);
}
