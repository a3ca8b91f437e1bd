/* test_cost.c - cost terms against the formulas of numerics.md section 3 written out in float64, their
 * gradients against finite differences of these, and the reading of cost tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "search/search.h"
#include "ok.h"

/* Every kind of layer: strides, groups, depthwise, 1x1 and 5x5, a pinned convolution, linear layers searched
 * and pinned. */
static const char NET[] = "name: costly\nclasses: 4\ninput: {channels: 3, height: 18, width: 10}\n"
                          "layers:\n"
                          "  - conv: {out: 8, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - conv: {kernel: 5, groups: depthwise}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 12, kernel: 3, stride: 2, groups: 4}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 6, kernel: 3, weight_bits: 8, activation_bits: 8}\n"
                          "  - conv: {out: 10, kernel: 1}\n"
                          "  - max_pool\n"
                          "  - linear: {out: 7}\n"
                          "  - linear: {out: 4, weight_bits: 8, activation_bits: 8}\n";

/* Its layers that cost, by hand: the pinned ones count nowhere; a linear layer is a 1x1 convolution on one
 * pixel (max_pool leaves 4 x 2 x 10). */
typedef struct size {
    int layer, k, stride, groups, ich, och, h, w;
} size;
enum { LAYERS = 5 };
static const size SIZES[LAYERS] = {{0, 3, 1, 1, 3, 8, 18, 10},
                                   {1, 5, 1, 8, 8, 8, 18, 10},
                                   {2, 3, 2, 4, 8, 12, 18, 10},
                                   {4, 1, 1, 1, 6, 10, 9, 5},
                                   {5, 1, 1, 1, 80, 7, 1, 1}};

static double macs(const size *s) {
    return (double)s->ich * s->och * s->k * s->k / s->groups * s->h * s->w / (s->stride * s->stride) * 1e-6;
}
static double params(const size *s) {
    return (double)s->ich * s->och * s->k * s->k / s->groups * 1e-6;
}
static double inputs(const size *s) {
    return (double)s->ich * s->h * s->w * 1e-3;
}
static double window(const size *s) {
    return (double)(s->k == 1 ? 2 : s->k + 1) * s->w * s->ich * 1e-3;
}

typedef struct fixture {
    mq_net *net;
    mq_model *model;
    mq_factors factors;
    double alpha_w[LAYERS][7], alpha_a[LAYERS][7];
} fixture;

static mq_search search; /* too large for the stack */
static mq_device_price device;

static mq_param *alpha(fixture *f, int n, mq_param_kind kind) {
    return mq_model_param(f->model, f->net->layers[SIZES[n].layer].node, kind, -1);
}

static void begin(fixture *f) {
    OK(mq_net_parse("costly.yaml", NET, strlen(NET), &f->net, ERROR));
    OK(mq_factors_load("published", &f->factors, ERROR));
    memset(&search, 0, sizeof search);
    OK(mq_cost_create(f->net, &f->factors, &search.cost, ERROR));
    const mq_model_options o = {
        .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = 1};
    OK(mq_model_create(f->net, &o, &f->model, ERROR));
    mq_model_initialise(f->model, 1);
    for (int n = 0; n < LAYERS; n++) {
        const mq_rng rng = mq_rng_stream(3, "alphas", (uint64_t)n);
        float *w = alpha(f, n, MQ_PARAM_ALPHA_WEIGHT)->value;
        float *a = alpha(f, n, MQ_PARAM_ALPHA_ACTIVATION)->value;
        for (uint64_t b = 0; b < 7; b++) {
            f->alpha_w[n][b] = w[b] = mq_rng_normal(&rng, b);
            f->alpha_a[n][b] = a[b] = mq_rng_normal(&rng, 7 + b);
        }
    }
}

static void end(fixture *f) {
    mq_model_destroy(f->model);
    mq_net_free(f->net);
}

static double factor(const fixture *f, int k, int w, int a) {
    double value;
    OK(mq_factors_get(&f->factors, k, false, w, a, &value, ERROR));
    return value;
}

static void softmax(const double *z, double *s) {
    double sum = 0;
    for (int b = 0; b < 7; b++) sum += exp(z[b]);
    for (int b = 0; b < 7; b++) s[b] = exp(z[b]) / sum;
}

/* Shares without any order, so that every entry counts. */
static void use_device(void) {
    const mq_rng rng = mq_rng_stream(4, "shares", 0);
    memset(&device, 0, sizeof device);
    device.pinned = 0.25;
    for (int n = 0; n < LAYERS; n++)
        for (int i = 2; i <= 8; i++)
            for (int j = 2; j <= 8; j++)
                device.share[SIZES[n].layer][i][j] =
                    0.01 + fabs((double)mq_rng_normal(&rng, (uint64_t)((n * 9 + i) * 9 + j)));
    mq_cost_use_device(&search.cost, &device);
}

/* 64 times the share, in the unit of equal complexity at 4 bits. */
static double device_complexity(const fixture *f) {
    double shares = 0, share4 = 0, operations4 = 0;
    for (int n = 0; n < LAYERS; n++) {
        double sw[7], sa[7];
        softmax(f->alpha_w[n], sw);
        softmax(f->alpha_a[n], sa);
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 7; j++) shares += sw[i] * sa[j] * device.share[SIZES[n].layer][i + 2][j + 2];
        share4 += device.share[SIZES[n].layer][4][4];
        operations4 += 64 * macs(&SIZES[n]) / factor(f, SIZES[n].k, 4, 4) / macs(&SIZES[0]);
    }
    return operations4 * shares / share4;
}

/* The formulas at the fixture's alphas. */
static mq_cost_losses formulas(const fixture *f) {
    mq_cost_losses sum = {0};
    for (int n = 0; n < LAYERS; n++) {
        const size *s = &SIZES[n];
        double sw[7], sa[7], ew = 0, ea = 0, dsp = 0;
        softmax(f->alpha_w[n], sw);
        softmax(f->alpha_a[n], sa);
        for (int i = 0; i < 7; i++) {
            ew += sw[i] * (i + 2);
            ea += sa[i] * (i + 2);
            for (int j = 0; j < 7; j++) dsp += sw[i] * sa[j] / factor(f, s->k, i + 2, j + 2);
        }
        sum.complexity += 64 * macs(s) * dsp / macs(&SIZES[0]);
        sum.trivial += macs(s) * ew * ea / macs(&SIZES[0]);
        sum.bram += 64 * (params(s) * 1e3 * ew + window(s) * ea) / inputs(&SIZES[0]);
        sum.mix_dsp_ops_M += macs(s) * dsp;
    }
    if (search.cost.device) sum.complexity = device_complexity(f);
    return sum;
}

static void near(const char *what, double got, double expected, double tolerance) {
    if (!(fabs(got - expected) <= tolerance * fabs(expected)))
        fail_msg("%s: got %.12g, expected %.12g", what, got, expected);
}

static void the_published_table(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    assert_true(factor(&f, 1, 2, 2) == 12 && factor(&f, 1, 5, 8) == 2 && factor(&f, 1, 4, 7) == 4);
    assert_int_equal(f.factors.rows[0].kernel_count, 3);
    mq_error e = {0};
    double value;
    assert_int_equal(mq_factors_get(&f.factors, 7, false, 4, 4, &value, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "kernel size 7"));
    assert_int_equal(mq_factors_get(&f.factors, 3, false, 1, 4, &value, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "w1a4 at kernel size 3"));
    end(&f);
}

static void at_chosen_bits(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    mq_bits bits;
    mq_cost_report got, want = {0};
    OK(mq_bits_parse(f.net, "82345", "67284", &bits, ERROR));
    OK(mq_cost_at(&search.cost, f.net, &bits, &got, ERROR));
    static const int wb[LAYERS] = {8, 2, 3, 4, 5}, ab[LAYERS] = {6, 7, 2, 8, 4};
    for (int n = 0; n < LAYERS; n++) {
        const size *s = &SIZES[n];
        want.macs_M += macs(s);
        want.bit_ops_M += macs(s) * wb[n] * ab[n];
        want.act_bits_K += inputs(s) * ab[n];
        want.weight_bits_M += params(s) * wb[n];
        want.dsp_ops_M += macs(s) / factor(&f, s->k, wb[n], ab[n]);
        want.bram_K += params(s) * 1e3 * wb[n] + window(s) * ab[n];
    }
    near("macs", got.macs_M, want.macs_M, 1e-14);
    near("bit operations", got.bit_ops_M, want.bit_ops_M, 1e-14);
    near("activation bits", got.act_bits_K, want.act_bits_K, 1e-14);
    near("weight bits", got.weight_bits_M, want.weight_bits_M, 1e-14);
    near("DSP operations", got.dsp_ops_M, want.dsp_ops_M, 1e-14);
    near("block RAM", got.bram_K, want.bram_K, 1e-14);
    mq_error e = {0};
    bits.activation[2] = 1;
    assert_int_equal(mq_cost_at(&search.cost, f.net, &bits, &got, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "layer conv2: the cost table has no entry for w3a1 at kernel size 3"));
    end(&f);
}

static void in_expectation(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    const mq_cost_losses got = mq_search_terms(&search, f.model), want = formulas(&f);
    /* the model's softmax is float32 */
    near("complexity", got.complexity, want.complexity, 1e-6);
    near("trivial", got.trivial, want.trivial, 1e-6);
    near("bram", got.bram, want.bram, 1e-6);
    near("mixed DSP operations", got.mix_dsp_ops_M, want.mix_dsp_ops_M, 1e-6);
    /* probabilities of 0 and 1: the report at these bits */
    mq_branch_probabilities w[LAYERS] = {{0}}, a[LAYERS] = {{0}};
    static const int wb[LAYERS] = {8, 2, 3, 4, 5}, ab[LAYERS] = {6, 7, 2, 8, 4};
    for (int n = 0; n < LAYERS; n++) w[n][wb[n] - 2] = a[n][ab[n] - 2] = 1;
    const mq_cost_losses sure = mq_cost_expected(&search.cost, w, a, 1, 1, 1, NULL, NULL);
    mq_bits bits;
    mq_cost_report report;
    OK(mq_bits_parse(f.net, "82345", "67284", &bits, ERROR));
    OK(mq_cost_at(&search.cost, f.net, &bits, &report, ERROR));
    near("complexity", sure.complexity, 64 * report.dsp_ops_M / macs(&SIZES[0]), 1e-14);
    near("trivial", sure.trivial, report.bit_ops_M / macs(&SIZES[0]), 1e-14);
    near("bram", sure.bram, 64 * report.bram_K / inputs(&SIZES[0]), 1e-14);
    near("DSP operations", sure.mix_dsp_ops_M, report.dsp_ops_M, 1e-14);
    end(&f);
}

static double total(const fixture *f) {
    const mq_cost_losses l = formulas(f);
    const mq_search_prices *p = &search.prices;
    return p->complexity * l.complexity + p->trivial * l.trivial + p->bram * l.bram;
}

static void check_gradients(fixture *f) {
    enum { START = 3 }; /* what the task left in the gradients: the price is added */
    for (int n = 0; n < LAYERS; n++)
        for (int b = 0; b < 7; b++)
            alpha(f, n, MQ_PARAM_ALPHA_WEIGHT)->grad[b] = alpha(f, n, MQ_PARAM_ALPHA_ACTIVATION)->grad[b] =
                START;
    const mq_cost_losses got = mq_search_add_gradients(&search, f->model);
    near("complexity", got.complexity, formulas(f).complexity, 1e-6);
    for (int n = 0; n < LAYERS; n++) {
        for (int k = 0; k < 14; k++) {
            double *z = k < 7 ? &f->alpha_w[n][k] : &f->alpha_a[n][k - 7];
            const float *grad = alpha(f, n, k < 7 ? MQ_PARAM_ALPHA_WEIGHT : MQ_PARAM_ALPHA_ACTIVATION)->grad;
            const double at = *z, h = 1e-3;
            *z = at + h;
            const double up = total(f);
            *z = at - h;
            const double down = total(f);
            *z = at + 2 * h;
            const double up2 = total(f);
            *z = at - 2 * h;
            const double down2 = total(f);
            *z = at;
            const double numeric = (8 * (up - down) - (up2 - down2)) / (12 * h);
            if (!(fabs((double)grad[k % 7] - START - numeric) < 1e-6))
                fail_msg("layer %d, alpha %d: gradient %.9g, finite difference %.9g", n, k,
                         (double)grad[k % 7] - START, numeric);
        }
    }
}

static void gradients(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    search.prices = (mq_search_prices){.complexity = 0.05};
    check_gradients(&f);
    search.prices = (mq_search_prices){.trivial = 0.01};
    check_gradients(&f);
    search.prices = (mq_search_prices){.bram = 0.02};
    check_gradients(&f);
    search.prices = (mq_search_prices){0.03, 0.004, 0.01};
    check_gradients(&f);
    end(&f);
}

/* The device's share instead of DSP operations; these are still reported. */
static void on_a_device(void **state) {
    (void)state;
    fixture f;
    mq_bits bits;
    mq_cost_report before, report;
    begin(&f);
    OK(mq_bits_parse(f.net, "82345", "67284", &bits, ERROR));
    OK(mq_cost_at(&search.cost, f.net, &bits, &before, ERROR));
    assert_true(before.device_share == 0);
    const double operations = mq_search_terms(&search, f.model).mix_dsp_ops_M;
    use_device();
    OK(mq_cost_at(&search.cost, f.net, &bits, &report, ERROR));
    assert_true(report.dsp_ops_M == before.dsp_ops_M);
    double share = device.pinned;
    for (int n = 0; n < LAYERS; n++)
        share += device.share[SIZES[n].layer]["82345"[n] - '0']["67284"[n] - '0'];
    near("share", report.device_share, share, 1e-14);
    near("complexity", mq_search_terms(&search, f.model).complexity, device_complexity(&f), 1e-6);
    near("mixed DSP operations", mq_search_terms(&search, f.model).mix_dsp_ops_M, operations, 1e-14);
    search.prices = (mq_search_prices){.complexity = 0.05};
    check_gradients(&f);
    search.prices = (mq_search_prices){0.03, 0.004, 0.01};
    check_gradients(&f);
    end(&f);
}

/* ---- tables ---- */

#define HEADER "kernel,wbit,a2,a3,a4,a5,a6,a7,a8\n"

static void load(void **state, const char *text, mq_status status, const char *words) {
    mq_factors factors;
    mq_error e = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "t.csv"));
    OK(mq_file_write(path, text, strlen(text), ERROR));
    if (mq_factors_load(path, &factors, &e) != status || !strstr(e.text, words))
        fail_msg("'%s' expected, got '%s'", words, e.text);
}

static void tables(void **state) {
    load(state, HEADER "3,2,6,5,4,4,3,3,2\n", MQ_OK, "");
    load(state, "kernel,wbit,a2,a3\n3,2,6,5\n", MQ_BAD_INPUT, "4 columns");
    load(state, "kernel,abit,a2,a3,a4,a5,a6,a7,a8\n3,2,6,5,4,4,3,3,2\n", MQ_BAD_INPUT,
         "column 2 is 'abit': 'wbit' expected");
    load(state, HEADER "3,2,6,5,4,4,3,3,2\n3,2,6,5,4,4,3,3,2\n", MQ_BAD_INPUT,
         "t.csv:3: kernel 3, wbit 2 stands there twice");
    load(state, HEADER "3,2,6,5,0,4,3,3,2\n", MQ_BAD_INPUT, "t.csv:2: a4: got 0");
    load(state, HEADER "3,2,6,5,-4,4,3,3,2\n", MQ_BAD_INPUT, "a4: got -4");
    load(state, HEADER "3,9,6,5,4,4,3,3,2\n", MQ_BAD_INPUT, "wbit");
    load(state, HEADER "3,2.5,6,5,4,4,3,3,2\n", MQ_BAD_INPUT, "wbit");
    load(state, HEADER "32,2,6,5,4,4,3,3,2\n", MQ_BAD_INPUT, "kernel");
    load(state, HEADER "3,2,6,5,4,4,3,3\n", MQ_BAD_INPUT, "t.csv:2");
    load(state, HEADER "3,2,6,5,x,4,3,3,2\n", MQ_BAD_INPUT, "t.csv:2");
    load(state, HEADER "3,2,6,5,nan,4,3,3,2\n", MQ_BAD_INPUT, "t.csv:2");
    load(state, "", MQ_BAD_INPUT, "t.csv");
    load(state, "kernel,wbit,a1,a2,a3,a4,a5,a6,a7,a8\n3,1,9,6,5,4,4,3,3,2\n", MQ_OK, "");
    load(state, "depthwise,kernel,wbit,a1,a2,a3,a4,a5,a6,a7,a8\n1,3,1,9,6,5,4,4,3,3,2\n", MQ_OK, "");
    load(state, "depthwise,kernel,wbit,a2,a3,a4,a5,a6,a7,a8\n2,3,1,6,5,4,4,3,3,2\n", MQ_BAD_INPUT,
         "depthwise");
    load(state, "depthwise,kernel,wbit,a2,a3,a4,a5,a6,a7\n1,3,1,6,5,4,4,3,3\n", MQ_BAD_INPUT, "9 columns");
    char many[2048] = HEADER;
    for (int k = 1; k <= MQ_MAX_KERNELS + 1; k++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%d,2,6,5,4,4,3,3,2\n", k);
    load(state, many, MQ_BAD_INPUT, "more than 16 kernel sizes");
    mq_factors factors;
    mq_error e = {0};
    assert_int_equal(mq_factors_load("publisht", &factors, &e), MQ_USAGE);
    assert_int_equal(mq_factors_load("/nowhere/t.csv", &factors, &e), MQ_BAD_INPUT);
    assert_non_null(strstr(e.text, "/nowhere/t.csv"));
}

/* Depthwise layers have prices of their own where the table has them; kernel sizes that our tables lack are
 * computed, others refused. */
static void depthwise_and_other_kernels(void **state) {
    (void)state;
    mq_factors ours, published;
    mq_error e = {0};
    double dense, depthwise, value;
    OK(mq_factors_load("ours", &ours, ERROR));
    OK(mq_factors_load("published", &published, ERROR));
    OK(mq_factors_get(&ours, 3, false, 4, 4, &dense, ERROR));
    OK(mq_factors_get(&ours, 3, true, 4, 4, &depthwise, ERROR));
    assert_true(dense > 0 && depthwise > 0 && dense != depthwise);
    OK(mq_factors_get(&published, 3, false, 4, 4, &dense, ERROR));
    OK(mq_factors_get(&published, 3, true, 4, 4, &depthwise, ERROR));
    assert_true(dense == depthwise);
    assert_int_equal(mq_factors_get(&ours, 4, false, 4, 4, &value, &e), MQ_USAGE);
    OK(mq_factors_complete(&ours, 4, false, ERROR));
    OK(mq_factors_get(&ours, 4, false, 1, 4, &value, ERROR));
    assert_true(value > 1);
    OK(mq_factors_complete(&published, 4, false, ERROR));
    assert_int_equal(mq_factors_get(&published, 4, false, 4, 4, &value, &e), MQ_USAGE);
    /* what is computed is what is committed */
    mq_factors again = ours;
    again.rows[0].kernel_count = 0;
    memset(again.rows[0].f, 0, sizeof again.rows[0].f);
    OK(mq_factors_complete(&again, 3, false, ERROR));
    for (int w = 1; w <= 8; w++)
        for (int a = 1; a <= 8; a++) {
            OK(mq_factors_get(&ours, 3, false, w, a, &dense, ERROR));
            OK(mq_factors_get(&again, 3, false, w, a, &value, ERROR));
            near("a computed price", value, dense, 1e-7);
        }
}

/* A table that does not know every layer is refused when it is met, with the layer. */
static void layers_without_a_price(void **state) {
    fixture f;
    mq_error e = {0};
    begin(&f);
    char path[512], text[2048] = HEADER;
    for (int k = 1; k <= 3; k += 2)
        for (int w = 2; w <= 8; w++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,8,7,6,5,4,3,2\n", k, w);
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "t.csv"));
    OK(mq_file_write(path, text, strlen(text), ERROR));
    OK(mq_factors_load(path, &f.factors, ERROR));
    assert_int_equal(mq_cost_create(f.net, &f.factors, &search.cost, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "layer conv1: "));
    assert_non_null(strstr(e.text, "kernel size 5"));
    strcat(text, "5,2,8,7,6,5,4,3,2\n");
    OK(mq_file_write(path, text, strlen(text), ERROR));
    OK(mq_factors_load(path, &f.factors, ERROR));
    assert_int_equal(mq_cost_create(f.net, &f.factors, &search.cost, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "layer conv1: "));
    assert_non_null(strstr(e.text, "w3a2 at kernel size 5"));
    end(&f);

    static const char pinned[] = "name: p\nclasses: 2\ninput: {channels: 1, height: 2, width: 2}\n"
                                 "layers:\n  - linear: {out: 2, weight_bits: 8, activation_bits: 8}\n";
    OK(mq_net_parse("p.yaml", pinned, strlen(pinned), &f.net, ERROR));
    OK(mq_factors_load("published", &f.factors, ERROR));
    assert_int_equal(mq_cost_create(f.net, &f.factors, &search.cost, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "all are pinned"));
    mq_net_free(f.net);
}

static int one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_table),
        cmocka_unit_test(at_chosen_bits),
        cmocka_unit_test(in_expectation),
        cmocka_unit_test(gradients),
        cmocka_unit_test(on_a_device),
        IN_FOLDER(tables),
        cmocka_unit_test(depthwise_and_other_kernels),
        IN_FOLDER(layers_without_a_price),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
