/* test_search.c - --fix, entropies, and that prices move the choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/parallel.h"
#include "search/search.h"
#include "train/optimizer.h"
#include "ok.h"

static const char NET[] = "name: small\nclasses: 3\ninput: {channels: 2, height: 6, width: 6}\n"
                          "layers:\n"
                          "  - conv: {out: 4, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 5, kernel: 1, name: middle}\n"
                          "  - batch_norm\n"
                          "  - linear: {out: 6}\n"
                          "  - linear: {out: 3, weight_bits: 8, activation_bits: 8}\n";

typedef struct fixture {
    mq_net *net;
    mq_model *model;
    mq_optimizer *optimizer;
} fixture;

static mq_search search; /* too large for the stack */

static void begin(fixture *f) {
    mq_factors factors;
    OK(mq_net_parse("small.yaml", NET, strlen(NET), &f->net, ERROR));
    OK(mq_factors_load("published", &factors, ERROR));
    memset(&search, 0, sizeof search);
    OK(mq_cost_create(f->net, &factors, &search.cost, ERROR));
    const mq_model_options o = {
        .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = 4};
    OK(mq_model_create(f->net, &o, &f->model, ERROR));
    mq_model_initialise(f->model, 1);
    OK(mq_optimizer_create(f->model, MQ_SGD, &f->optimizer, ERROR));
}

static void end(fixture *f) {
    mq_optimizer_destroy(f->optimizer);
    mq_model_destroy(f->model);
    mq_net_free(f->net);
}

static mq_param *alpha(fixture *f, int layer, mq_param_kind kind) {
    return mq_model_param(f->model, f->net->layers[layer].node, kind, -1);
}

static void step(fixture *f) {
    static uint8_t images[4 * 72];
    static float d_output[12];
    const mq_rule weights = {0.01, 0.9, 5e-4, false};
    const mq_rule rules[MQ_GROUPS] = {weights, weights, weights, {0.1, 0.9, 5e-4, false}};
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * i % 253);
    for (int i = 0; i < 12; i++) d_output[i] = (float)(i % 5 - 2) * 0.1f;
    const float *output;
    OK(mq_model_forward(f->model, images, 4, true, &output, ERROR));
    OK(mq_model_backward(f->model, d_output, ERROR));
    (void)mq_search_add_gradients(&search, f->model);
    mq_optimizer_step(f->optimizer, rules);
    mq_search_apply_fix(&search, f->model);
}

static void words_of_fix(void **state) {
    (void)state;
    fixture f;
    mq_search_fix fix;
    begin(&f);
    OK(mq_search_parse_fix(f.net, "", &fix, ERROR));
    for (int l = 0; l < f.net->layer_count; l++) assert_false(fix.fixed[l]);
    OK(mq_search_parse_fix(f.net, "linear0=w2a8,conv0=w8a3", &fix, ERROR));
    assert_true(fix.fixed[0] && !fix.fixed[1] && fix.fixed[2] && !fix.fixed[3]);
    assert_int_equal(fix.weight[0], 8);
    assert_int_equal(fix.activation[0], 3);
    assert_int_equal(fix.weight[2], 2);
    assert_int_equal(fix.activation[2], 8);
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"conv0", "conv0"},
        {"conv0=", "wBaB"},
        {"conv0=w8", "wBaB"},
        {"conv0=w1a4", "2 to 8"},
        {"conv0=w4a9", "2 to 8"},
        {"conv0=w44a4", "wBaB"},
        {"conv0=w4a44", "wBaB"},
        {"conv0=w4a4 ", "wBaB"},
        {"conv0=w4 a4", "wBaB"},
        {"conv0=w 4a 4", "wBaB"},
        {"conv0=a4w4", "wBaB"},
        {"=w4a4", "no layer ''"},
        {",conv0=w4a4", "LAYER=wBaB"},
        {"conv0=w4a4,,middle=w4a4", "LAYER=wBaB"},
        {"midle=w4a4", "did you mean 'middle'"},
        {"conv0.act=w4a4", "no layer 'conv0.act'"},
        {"linear1=w4a4", "pins linear1 at w8a8"},
        {"conv0=w4a4,conv0=w5a5", "twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mq_error e = {0};
        if (mq_search_parse_fix(f.net, bad[i].text, &fix, &e) != MQ_USAGE || !strstr(e.text, bad[i].words))
            fail_msg("'%s': '%s' expected, got '%s'", bad[i].text, bad[i].words, e.text);
    }
    /* longer than any layer's name */
    char text[300];
    mq_error e = {0};
    for (int n = 40; n < 200; n++) {
        snprintf(text, sizeof text, "%0*d=w4a4", n, 0);
        assert_int_equal(mq_search_parse_fix(f.net, text, &fix, &e), MQ_USAGE);
    }
    end(&f);
}

static void fixed_layers_stay(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    search.prices = (mq_search_prices){1e-2, 1e-3, 1e-3};
    OK(mq_search_parse_fix(f.net, "conv0=w8a8,linear0=w3a5", &search.fix, ERROR));
    mq_search_apply_fix(&search, f.model);
    float first[2][7];
    memcpy(first[0], alpha(&f, 0, MQ_PARAM_ALPHA_WEIGHT)->value, sizeof first[0]);
    memcpy(first[1], alpha(&f, 2, MQ_PARAM_ALPHA_ACTIVATION)->value, sizeof first[1]);
    for (int i = 0; i < 60; i++) step(&f);
    for (int b = 0; b < 7; b++) {
        assert_true(alpha(&f, 0, MQ_PARAM_ALPHA_WEIGHT)->grad[b] == 0);
        assert_true(alpha(&f, 2, MQ_PARAM_ALPHA_ACTIVATION)->grad[b] == 0);
        assert_true(alpha(&f, 1, MQ_PARAM_ALPHA_WEIGHT)->grad[b] != 0);
    }
    assert_memory_equal(first[0], alpha(&f, 0, MQ_PARAM_ALPHA_WEIGHT)->value, sizeof first[0]);
    assert_memory_equal(first[1], alpha(&f, 2, MQ_PARAM_ALPHA_ACTIVATION)->value, sizeof first[1]);
    mq_bits bits;
    mq_model_chosen_bits(f.model, &bits);
    assert_int_equal(bits.weight[0], 8);
    assert_int_equal(bits.activation[0], 8);
    assert_int_equal(bits.weight[2], 3);
    assert_int_equal(bits.activation[2], 5);
    double w, a;
    mq_search_entropy(f.model, 0, &w, &a);
    assert_true(w < 1e-20 && a < 1e-20);
    mq_search_entropy(f.model, 1, &w, &a);
    assert_true(w > 0.1 && a > 0.1);
    end(&f);
}

/* A fixed layer computes as at fixed bits: the other branches' shares vanish in float32. */
static void fixed_layers_compute_alone(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    OK(mq_search_parse_fix(f.net, "conv0=w4a5,middle=w3a6,linear0=w2a8", &search.fix, ERROR));
    mq_search_apply_fix(&search, f.model);
    mq_model_touch(f.model);
    mq_bits bits;
    mq_model_chosen_bits(f.model, &bits);
    const mq_model_options o = {
        .mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .training = true, .compute = MQ_F32, .batch = 2};
    mq_model *fixed;
    OK(mq_model_create(f.net, &o, &fixed, ERROR));
    mq_model_initialise(fixed, 1);
    uint8_t images[2 * 72];
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * 7 % 256);
    const float *a, *b;
    OK(mq_model_forward(f.model, images, 2, true, &a, ERROR));
    OK(mq_model_forward(fixed, images, 2, true, &b, ERROR));
    for (int i = 0; i < 6; i++) assert_true(fabsf(a[i] - b[i]) < 1e-4f);
    mq_model_destroy(fixed);
    end(&f);
}

static void entropies(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    double w, a;
    mq_search_entropy(f.model, 0, &w, &a); /* all equal at the start */
    assert_true(fabs(w - log2(7)) < 1e-6 && fabs(a - log2(7)) < 1e-6);
    float *z = alpha(&f, 1, MQ_PARAM_ALPHA_WEIGHT)->value;
    for (int b = 0; b < 7; b++) z[b] = b == 1 || b == 4 ? 40 : -40; /* two equal ones */
    z = alpha(&f, 1, MQ_PARAM_ALPHA_ACTIVATION)->value;
    for (int b = 0; b < 7; b++) z[b] = b == 0 ? logf(3) : b == 6 ? 0 : -200; /* 3/4 and 1/4 */
    mq_search_entropy(f.model, 1, &w, &a);
    assert_true(fabs(w - 1) < 1e-6);
    assert_true(fabs(a - (2 - 0.75 * log2(3))) < 1e-6);
    end(&f);
}

/* Whatever the task says, a high price brings every layer to the cheapest bits; without one it is the task
 * alone that moves them. */
static void prices_move_the_choice(void **state) {
    (void)state;
    mq_cost_report report[2];
    for (int priced = 0; priced < 2; priced++) {
        fixture f;
        mq_bits bits;
        begin(&f);
        search.prices.complexity = priced ? 1.0 : 0;
        double w, a;
        for (int i = 0; i < 120; i++) step(&f);
        mq_model_chosen_bits(f.model, &bits);
        OK(mq_cost_at(&search.cost, f.net, &bits, &report[priced], ERROR));
        mq_search_entropy(f.model, 0, &w, &a);
        if (priced) {
            for (int l = 0; l < 2; l++) assert_true(bits.weight[l] == 2 && bits.activation[l] == 2);
            assert_true(w < 2 && a < 2);
        }
        end(&f);
    }
    assert_true(report[1].dsp_ops_M < report[0].dsp_ops_M);
}

static int one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_fix),
        cmocka_unit_test(fixed_layers_stay),
        cmocka_unit_test(fixed_layers_compute_alone),
        cmocka_unit_test(entropies),
        cmocka_unit_test(prices_move_the_choice),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
