/* test_knapsack.c - the knapsack against all choices of small problems, its bound and its speed at real
 * sizes, windows that are empty, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "base/rng.h"
#include "search/knapsack.h"
#include "ok.h"

enum { CHOICES = MQ_BRANCHES * MQ_BRANCHES };

static mq_knapsack k; /* too large for the stack */

static double uniform(mq_rng *rng, uint64_t *n) {
    return (double)mq_rng_uniform(rng, (*n)++);
}

/* kind 0: real numbers; 1: small whole numbers, full of ties; 2: values grow with costs, as they do. allowed:
 * choices a layer. */
static void random_problem(uint64_t seed, int layers, int allowed, int kind) {
    mq_rng rng = mq_rng_stream(seed, "knapsack", (uint64_t)kind);
    uint64_t n = 0;
    k.count = layers;
    for (int l = 0; l < layers; l++) {
        const double size = kind == 1 ? 1 : exp(3 * uniform(&rng, &n));
        for (int c = 0; c < CHOICES; c++) {
            const int i = c / MQ_BRANCHES, j = c % MQ_BRANCHES;
            double cost = size * uniform(&rng, &n), value = uniform(&rng, &n) - 0.5;
            if (kind == 1) {
                cost = floor(8 * uniform(&rng, &n));
                value = floor(4 * uniform(&rng, &n));
            }
            if (kind == 2) {
                cost = size * (i + 2) * (j + 2) / 64;
                value = -uniform(&rng, &n) / (i + j + 1);
            }
            k.cost[l][i][j] = cost;
            k.value[l][i][j] = c < allowed ? value : -INFINITY;
        }
        for (int c = CHOICES - 1; c > 0; c--) { /* any place in the table */
            const int d = (int)mq_rng_below(&rng, n++, (uint32_t)c + 1);
            double *v = &k.value[l][0][0], *w = &k.cost[l][0][0], keep = v[c];
            v[c] = v[d];
            v[d] = keep;
            keep = w[c];
            w[c] = w[d];
            w[d] = keep;
        }
    }
}

static void all_choices(int layer, double cost, double value, double floor, double limit, double *best,
                        double *nearest) {
    if (layer == k.count) {
        if (cost <= limit) *nearest = fmax(*nearest, cost);
        if (cost >= floor && cost <= limit) *best = fmax(*best, value);
        return;
    }
    for (int c = 0; c < CHOICES; c++) {
        const int i = c / MQ_BRANCHES, j = c % MQ_BRANCHES;
        if (k.value[layer][i][j] > -INFINITY)
            all_choices(layer + 1, cost + k.cost[layer][i][j], value + k.value[layer][i][j], floor, limit,
                        best, nearest);
    }
}

static void check_choice(const mq_knapsack_choice *c) {
    double cost = 0, value = 0;
    for (int l = 0; l < k.count; l++) {
        cost += k.cost[l][c->weight[l] - MQ_SEARCH_MIN][c->activation[l] - MQ_SEARCH_MIN];
        value += k.value[l][c->weight[l] - MQ_SEARCH_MIN][c->activation[l] - MQ_SEARCH_MIN];
    }
    assert_true(cost == c->cost && value == c->value);
    assert_true(fabs(c->bound - c->value) < 1e-9);
}

static void against_all_choices(void **state) {
    (void)state;
    int found = 0, empty = 0;
    for (uint64_t seed = 1; seed <= 240; seed++) {
        const int kind = (int)(seed % 3), layers = 1 + (int)(seed / 3 % 5);
        random_problem(seed, layers, layers < 3 ? CHOICES : layers < 4 ? 20 : 6, kind);
        mq_rng rng = mq_rng_stream(seed, "limits", 0);
        double least, most;
        mq_knapsack_range(&k, &least, &most);
        const double limit = least + (most - least) * (1.2 * (double)mq_rng_uniform(&rng, 0) - 0.1);
        const double floors[] = {-INFINITY, 0.97 * limit, limit - 1e-3 * (most - least)};
        for (int f = 0; f < 3; f++) {
            double best = -INFINITY, nearest = -INFINITY;
            mq_knapsack_choice c;
            all_choices(0, 0, 0, floors[f], limit, &best, &nearest);
            OK(mq_knapsack_solve(&k, floors[f], limit, &c, ERROR));
            assert_int_equal(c.found, best > -INFINITY);
            found += c.found;
            empty += !c.found;
            if (c.found) {
                assert_true(fabs(c.value - best) < 1e-9);
                assert_true(c.cost <= limit + 1e-9 && c.cost >= floors[f] - 1e-9);
                check_choice(&c);
            } else
                assert_true(c.bound == -INFINITY);
        }
        mq_knapsack_choice c;
        double best = -INFINITY, nearest = -INFINITY;
        OK(mq_knapsack_near(&k, limit, 0.001, &c, ERROR));
        all_choices(0, 0, 0, 0.999 * limit, limit, &best, &nearest);
        assert_int_equal(c.found, nearest > -INFINITY);
        if (best > -INFINITY)
            assert_true(fabs(c.value - best) < 1e-9);
        else if (c.found)
            assert_true(fabs(c.cost - nearest) <= 2e-6 * limit);
    }
    assert_true(found > 300 && empty > 50);
}

/* No limit: every layer's best; a limit just below the least: nothing. */
static void ends(void **state) {
    (void)state;
    double least, most;
    mq_knapsack_choice c;
    random_problem(5, 20, CHOICES, 0);
    mq_knapsack_range(&k, &least, &most);
    OK(mq_knapsack_solve(&k, -INFINITY, INFINITY, &c, ERROR));
    for (int l = 0; l < k.count; l++)
        for (int i = 0; i < CHOICES; i++)
            assert_true(k.value[l][i / MQ_BRANCHES][i % MQ_BRANCHES] <=
                        k.value[l][c.weight[l] - MQ_SEARCH_MIN][c.activation[l] - MQ_SEARCH_MIN]);
    OK(mq_knapsack_solve(&k, -INFINITY, least, &c, ERROR));
    assert_true(c.found && fabs(c.cost - least) < 1e-9);
    OK(mq_knapsack_solve(&k, most, INFINITY, &c, ERROR));
    assert_true(c.found && fabs(c.cost - most) < 1e-9);
    OK(mq_knapsack_solve(&k, -INFINITY, 0.999 * least, &c, ERROR));
    assert_false(c.found);
    OK(mq_knapsack_solve(&k, 1.001 * most, INFINITY, &c, ERROR));
    assert_false(c.found);
    OK(mq_knapsack_near(&k, 0.999 * least, 0.03, &c, ERROR));
    assert_false(c.found);
    OK(mq_knapsack_near(&k, 2 * most, 0.03, &c, ERROR));
    assert_true(c.found && fabs(c.cost - most) < 1e-6 * most);
}

/* 20 layers: proven best, and soon. Layers of the same size and whole costs are the hardest. */
static void real_sizes(void **state) {
    (void)state;
    const double start = mq_seconds();
    for (uint64_t seed = 1; seed <= 30; seed++) {
        mq_knapsack_choice c;
        double least, most;
        random_problem(seed, 20, CHOICES, (int)(seed % 3));
        if (seed % 2)
            for (int l = 1; l < k.count; l++) memcpy(k.cost[l], k.cost[0], sizeof k.cost[l]);
        mq_knapsack_range(&k, &least, &most);
        const double limit = least + (most - least) * (double)(seed % 10 + 1) / 12;
        OK(mq_knapsack_near(&k, limit, 0.03, &c, ERROR));
        assert_true(c.found);
        check_choice(&c);
        for (int l = 0; l < k.count; l++) /* one layer changed is no better */
            for (int i = 0; i < CHOICES; i++) {
                const int w = c.weight[l] - MQ_SEARCH_MIN, a = c.activation[l] - MQ_SEARCH_MIN;
                const double cost = c.cost - k.cost[l][w][a] + (&k.cost[l][0][0])[i];
                if (cost > limit || cost < fmin(0.97 * limit, c.cost)) continue;
                assert_true((&k.value[l][0][0])[i] <= k.value[l][w][a] + 1e-9);
            }
    }
    print_message("30 problems of 20 layers: %.2f s\n", mq_seconds() - start);
    assert_true(mq_seconds() - start < 10);
}

static void refused(void **state) {
    (void)state;
    mq_knapsack_choice c;
    mq_error error = {0};
    k.count = 0;
    assert_int_equal(mq_knapsack_solve(&k, 0, 1, &c, &error), MQ_INTERNAL);
    random_problem(1, 3, CHOICES, 0);
    k.cost[1][2][3] = -1;
    assert_int_equal(mq_knapsack_solve(&k, 0, 1, &c, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "layer 1 has a cost of -1"));
    random_problem(1, 3, CHOICES, 0);
    k.value[2][0][0] = NAN;
    assert_int_equal(mq_knapsack_solve(&k, 0, 1, &c, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "layer 2 has a value of"));
    random_problem(1, 3, CHOICES, 0);
    for (int i = 0; i < CHOICES; i++) (&k.value[0][0][0])[i] = -INFINITY;
    assert_int_equal(mq_knapsack_solve(&k, 0, 1, &c, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "layer 0 has no choice"));
}

/* From a network: costs of the model, fixed layers. */
static void from_a_network(void **state) {
    (void)state;
    static mq_cost_model cost;
    static mq_search_fix fix;
    static const char net_text[] = "name: small\nclasses: 3\ninput: {channels: 2, height: 6, width: 6}\n"
                                   "layers:\n"
                                   "  - conv: {out: 4, kernel: 3}\n"
                                   "  - conv: {out: 5, kernel: 1, weight_bits: 5, activation_bits: 6}\n"
                                   "  - conv: {out: 5, kernel: 1, name: last}\n"
                                   "  - linear: {out: 3}\n";
    mq_net *net;
    mq_factors factors;
    mq_bits bits, uniform4;
    mq_cost_report report;
    mq_knapsack_choice c;
    OK(mq_net_parse("small.yaml", net_text, strlen(net_text), &net, ERROR));
    OK(mq_factors_load(MQ_FACTORS_DEFAULT, &factors, ERROR));
    OK(mq_cost_create(net, &factors, &cost, ERROR));
    OK(mq_search_parse_fix(net, "last=w7a3", &fix, ERROR));
    mq_knapsack_price(&k, &cost, &fix);
    assert_int_equal(k.count, 3);
    mq_bits_uniform(net, 4, 4, &uniform4);
    OK(mq_cost_at(&cost, net, &uniform4, &report, ERROR));
    OK(mq_knapsack_near(&k, report.dsp_ops_M, 0.03, &c, ERROR));
    assert_true(c.found);
    bits = uniform4;
    mq_knapsack_bits(&c, &cost, &bits);
    assert_int_equal(bits.weight[1], 5);
    assert_int_equal(bits.weight[2], 7);
    assert_int_equal(bits.activation[2], 3);
    const double limit = report.dsp_ops_M;
    OK(mq_cost_at(&cost, net, &bits, &report, ERROR));
    assert_true(fabs(report.dsp_ops_M - c.cost) < 1e-12 && report.dsp_ops_M <= limit * (1 + 1e-12));
    mq_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_all_choices), cmocka_unit_test(ends),
        cmocka_unit_test(real_sizes),          cmocka_unit_test(refused),
        cmocka_unit_test(from_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
