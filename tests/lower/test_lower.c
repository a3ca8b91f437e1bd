/* test_lower.c - the integer network is the trained one: random networks of every shape evaluated both ways,
 * the choice of inc, bias and shift over whole accumulator ranges, the published rules' special cases, and
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "lower/helper_trained.h"
#include "lower/lower.h"
#include "sim/sim.h"

static const char CHAIN[] =
    "name: chain\nclasses: 4\ninput: {channels: 3, height: 9, width: 7}\nlayers:\n"
    "  - conv: {out: 6, kernel: 3}\n  - batch_norm\n"
    "  - conv: {out: 6, kernel: 3, groups: depthwise, stride: 2}\n  - batch_norm\n"
    "  - conv: {out: 8, kernel: 1, groups: 2}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
    "  - linear: {out: 4, weight_bits: 8, activation_bits: 8}\n";

/* Two consumers of bn1 in different types, through pool and through reorg and concat. */
static const char BYPASS[] = "name: bypass\ntask: detection\nclasses: 1\nanchors: [[20, 20], [30, 10]]\n"
                             "input: {channels: 3, height: 8, width: 12}\nlayers:\n"
                             "  - conv: {out: 5, kernel: 3}\n  - batch_norm\n"
                             "  - conv: {out: 4, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                             "  - conv: {out: 5, kernel: 3}\n  - batch_norm\n"
                             "  - reorg: {from: bn1}\n  - concat: {from: [reorg0, bn2]}\n"
                             "  - conv: {out: 7, kernel: 3}\n  - batch_norm\n"
                             "  - conv: {out: 12, kernel: 1, bias: true}\n";

/* Layers without batch norm, biases, a linear layer with one, an overlapping pool. */
static const char PLAIN[] =
    "name: plain\nclasses: 3\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
    "  - conv: {out: 4, kernel: 3, bias: true}\n  - max_pool: {kernel: 3, stride: 2}\n"
    "  - conv: {out: 5, kernel: 2, padding: 0, bias: true}\n  - batch_norm\n"
    "  - conv: {out: 3, kernel: 1}\n"
    "  - linear: {out: 6}\n  - linear: {out: 5, bias: false}\n  - batch_norm\n"
    "  - linear: {out: 3}\n";

/* The same shapes with the other quantisers. */
static const char DOREFA[] =
    "name: dorefa\nquantizer: dorefa\ntask: detection\nclasses: 1\nanchors: [[20, 20], [30, 10]]\n"
    "input: {channels: 3, height: 8, width: 12}\nlayers:\n"
    "  - conv: {out: 5, kernel: 3}\n  - batch_norm\n"
    "  - conv: {out: 4, kernel: 3, bias: true}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
    "  - conv: {kernel: 3, groups: depthwise, bias: true}\n"
    "  - reorg: {from: bn1}\n  - concat: {from: [reorg0, conv2]}\n"
    "  - conv: {out: 7, kernel: 3, weight_bits: 8, activation_bits: 6}\n  - batch_norm\n"
    "  - conv: {out: 12, kernel: 1, bias: true}\n";

static mq_inet *lower(const mq_checkpoint *c, const mq_lower_options *options) {
    mq_error error = {0};
    mq_inet *net = NULL;
    if (mq_lower(c, options, &net, &error) != MQ_OK) fail_msg("%s", error.text);
    return net;
}

/* Head accumulators of random images, simulated and evaluated: equal. */
static void compare(const mq_checkpoint *c, uint64_t seed) {
    enum { IMAGES = 6 };
    mq_error error = {0};
    mq_inet *net = lower(c, NULL);
    const mq_node *head = mq_net_output(c->net);
    size_t pixels = (size_t)(c->net->in_h * c->net->in_w * c->net->in_c);
    size_t outputs = (size_t)(head->h * head->w * head->c);
    uint8_t *images = calloc(IMAGES, pixels);
    int64_t *out = calloc(IMAGES * outputs, sizeof *out), *expected = calloc(outputs, sizeof *expected);
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    for (size_t i = 0; i < IMAGES * pixels; i++) images[i] = (uint8_t)mq_rng_below(&rng, i, 256);
    mq_sim *sim;
    assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
    if (mq_sim_run(sim, images, IMAGES, MQ_SIM_NHWC, NULL, out, NULL, &error) != MQ_OK)
        fail_msg("%s", error.text);
    int compared = 0;
    for (int i = 0; i < IMAGES; i++) {
        if (trained_run(c, images + (size_t)i * pixels, expected) < 1e-6) continue;
        compared++;
        for (size_t k = 0; k < outputs; k++)
            if (out[(size_t)i * outputs + k] != expected[k])
                fail_msg("%s, seed %d, image %d, output %d: %lld, %lld expected", c->net->name, (int)seed, i,
                         (int)k, (long long)out[(size_t)i * outputs + k], (long long)expected[k]);
    }
    assert_true(compared > 0);
    mq_sim_free(sim);
    mq_inet_free(net);
    free(images);
    free(out);
    free(expected);
}

static void same_as_trained(void **state) {
    (void)state;
    const char *const networks[] = {CHAIN, BYPASS, PLAIN, DOREFA};
    for (uint64_t seed = 0; seed < 80; seed++) {
        mq_checkpoint c;
        draw d = {
            .network = networks[seed % 4], .mode = MQ_MODE_FIXED, .seed = seed, .symmetric = seed % 5 == 4};
        d.spread = seed % 7 == 3 ? 20.0f : 2.0f;
        trained_make(&d, &c);
        compare(&c, seed);
        mq_checkpoint_free(&c);
    }
}

static int count_kind(const mq_inet *net, mq_inet_kind kind) {
    int n = 0;
    for (int i = 0; i < net->node_count; i++) n += net->nodes[i].kind == kind;
    return n;
}

static const mq_inet_node *named(const mq_inet *net, const char *name) {
    int i = mq_inet_find(net, name);
    if (i < 0) fail_msg("no node %s", name);
    return &net->nodes[i];
}

static void structure(void **state) {
    (void)state;
    mq_checkpoint c;
    draw d = {.network = BYPASS, .mode = MQ_MODE_FIXED, .bitw = "44444", .bita = "84456", .spread = 1};
    trained_make(&d, &c);
    mq_inet *net = lower(&c, NULL);
    assert_string_equal(net->model, "bypass");
    assert_string_equal(net->bita, "84456");
    assert_int_equal(net->task, MQ_INET_DETECTION);
    assert_int_equal(net->anchor_count, 2);
    assert_true(net->anchor_w[1] == 30.0);
    assert_false(net->compat);
    /* conv1 is read in 4 bits (its pool) and in 5 (the concat): two requantisations of one accumulator. */
    const mq_inet_node *first = named(net, "conv1.requant"), *second = named(net, "conv1.requant.2");
    assert_int_equal(first->input[0], second->input[0]);
    assert_int_equal(first->requant.bits, 4);
    assert_int_equal(second->requant.bits, 5);
    assert_string_equal(first->dump, "conv1");
    assert_string_equal(second->dump, "conv1.2");
    assert_string_equal(named(net, "conv4")->dump, "conv4");
    assert_int_equal(count_kind(net, MQ_INET_REQUANT), 5);
    mq_inet_free(net);

    /* The same widths: one requantisation serves both. */
    mq_checkpoint_free(&c);
    d.bita = "84446";
    trained_make(&d, &c);
    net = lower(&c, NULL);
    assert_int_equal(count_kind(net, MQ_INET_REQUANT), 4);
    mq_inet_free(net);
    mq_checkpoint_free(&c);
}

static void compat_bypass(void **state) {
    (void)state;
    mq_checkpoint c;
    draw d = {.network = BYPASS, .mode = MQ_MODE_FIXED, .bitw = "44444", .bita = "84456", .spread = 1};
    trained_make(&d, &c);
    mq_error error = {0};
    mq_inet *net = NULL;
    mq_lower_options options = {.compat = true, .lshift = MQ_LSHIFT_BY_NAME};
    assert_int_equal(mq_lower(&c, &options, &net, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "'bypass'"));
    options.lshift = MQ_LSHIFT_MAX + 1;
    assert_int_equal(mq_lower(&c, &options, &net, &error), MQ_USAGE);
    options.lshift = 16;
    net = lower(&c, &options);
    assert_true(net->compat);
    const mq_inet_node *rescale = named(net, "conv1.rescale");
    assert_int_equal(rescale->input[0], mq_inet_find(net, "conv1.requant"));
    assert_true(rescale->rescale.multiply == (float)0.185 && rescale->rescale.divide == (float)0.104);
    assert_int_equal(count_kind(net, MQ_INET_REQUANT), 4);
    assert_int_equal(named(net, "conv2.requant")->requant.shift, 16 + 4 + 4 - 1);
    mq_inet_free(net);
    mq_checkpoint_free(&c);
}

/* Lowest weight code of a network of this name at bits (5, 3). */
static int lowest_code(const char *name, bool compat, bool symmetric, bool *narrow) {
    char network[256];
    snprintf(network, sizeof network,
             "name: %s\nclasses: 4\ninput: {channels: 3, height: 1, width: 1}\nlayers:\n  - conv: {out: 60, "
             "kernel: 3}\n"
             "  - batch_norm\n  - linear: {out: 4}\n",
             name);
    mq_checkpoint c;
    draw d = {.network = network,
              .mode = MQ_MODE_FIXED,
              .bitw = "55",
              .bita = "43",
              .spread = 1,
              .symmetric = symmetric};
    trained_make(&d, &c);
    trained_values(&c, "linear0", MQ_PARAM_WEIGHT)[7] = -100;
    const mq_lower_options options = {.compat = compat, .lshift = MQ_LSHIFT_BY_NAME};
    mq_inet *net = lower(&c, &options);
    const mq_inet_node *node = named(net, "linear0");
    int lowest = 0;
    for (size_t i = 0; i < mq_inet_weight_count(net, node); i++)
        if (node->linear.weight[i] < lowest) lowest = node->linear.weight[i];
    *narrow = node->linear.weight_narrow;
    mq_inet_free(net);
    mq_checkpoint_free(&c);
    return lowest;
}

static void special_clamps(void **state) {
    (void)state;
    bool narrow;
    assert_int_equal(lowest_code("vgg_tiny", true, false, &narrow), -15);
    assert_true(narrow);
    assert_int_equal(lowest_code("ultranet", true, false, &narrow), -15);
    assert_int_equal(lowest_code("ultranet_bypass", true, false, &narrow), -15);
    assert_int_equal(lowest_code("skynet", true, false, &narrow), -16);
    assert_false(narrow);
    assert_int_equal(lowest_code("vgg_tiny", false, false, &narrow), -16); /* never changed by default */
    assert_false(narrow);
    assert_int_equal(lowest_code("vgg_tiny", false, true, &narrow), -15);
    assert_true(narrow);
}

static void equal_weights(void **state) {
    (void)state;
    mq_checkpoint c;
    draw d = {.network = CHAIN, .mode = MQ_MODE_FIXED, .bitw = "333", .bita = "433", .spread = 1};
    trained_make(&d, &c);
    float *hidden = trained_values(&c, "conv1", MQ_PARAM_WEIGHT),
          *head = trained_values(&c, "linear0", MQ_PARAM_WEIGHT);
    for (int i = 0; i < 6 * 9; i++) hidden[i] = 0.25f;
    size_t count = (size_t)c.net->nodes[c.net->output].linear.in_features * 4;
    for (size_t i = 0; i < count; i++) head[i] = 0;
    compare(&c, 1);
    mq_inet *net = lower(&c, NULL);
    assert_true(isfinite(mq_inet_last(net)->output.divisor) && mq_inet_last(net)->output.divisor > 0);
    mq_inet_free(net);
    mq_checkpoint_free(&c);
}

/* Scales are powers of two, codes those of tanh(w); weights that are all zero keep the step. */
static void dorefa_scales(void **state) {
    (void)state;
    mq_checkpoint c;
    draw d = {.network = DOREFA, .mode = MQ_MODE_FIXED, .bitw = "4434", .bita = "8456", .spread = 1};
    trained_make(&d, &c);
    float *weight = trained_values(&c, "conv1", MQ_PARAM_WEIGHT),
          *zero = trained_values(&c, "conv2", MQ_PARAM_WEIGHT);
    weight[0] = -2;
    weight[1] = 2;
    weight[2] = (float)atanh(0.5 * tanh(2));
    for (int i = 0; i < 4 * 9; i++) zero[i] = 0;
    mq_inet *net = lower(&c, NULL);
    const mq_inet_node *conv = named(net, "conv1");
    assert_true(conv->conv.weight_scale == 0.125);
    assert_int_equal(conv->conv.weight[0], -8);
    assert_int_equal(conv->conv.weight[1], 7);
    assert_int_equal(conv->conv.weight[2], 4);
    assert_true(named(net, "conv0.requant")->requant.scale == 1.0 / 16);
    assert_true(named(net, "conv1.requant")->requant.scale == 1.0 / 32);
    assert_true(named(net, "conv2")->conv.weight_scale == 0.25);
    for (int i = 0; i < 4 * 9; i++) assert_int_equal(named(net, "conv2")->conv.weight[i], 0);
    assert_true(mq_inet_last(net)->output.divisor == 8.0 * 64);
    mq_inet_free(net);
    compare(&c, 2);
    mq_checkpoint_free(&c);
}

static void refused(void **state) {
    (void)state;
    mq_checkpoint c;
    mq_error error = {0};
    mq_inet *net = NULL;
    draw d = {.network = CHAIN, .mode = MQ_MODE_SEARCH, .spread = 1};
    trained_make(&d, &c);
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "train it at its bits first"));
    mq_checkpoint_free(&c);
    d.mode = MQ_MODE_FLOAT;
    trained_make(&d, &c);
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "float checkpoint"));
    mq_checkpoint_free(&c);

    d.mode = MQ_MODE_FIXED;
    trained_make(&d, &c);
    trained_values(&c, "bn1", MQ_PARAM_VAR)[1] = -1;
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "layer conv1: channel 1"));
    const mq_lower_options compat = {.compat = true, .lshift = 16};
    assert_int_equal(mq_lower(&c, &compat, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "layer conv1: channel 1"));
    mq_checkpoint_free(&c);

    d.network =
        "name: twice\nclasses: 2\ninput: {channels: 1, height: 2, width: 2}\nlayers:\n"
        "  - conv: {out: 2, kernel: 1, name: a}\n  - conv: {out: 2, kernel: 1, name: b, from: input}\n"
        "  - concat: {from: [a, b]}\n  - linear: {out: 2}\n";
    d.bitw = "444";
    d.bita = "434";
    trained_make(&d, &c);
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "different widths, 4 and 3 bits"));
    mq_checkpoint_free(&c);
    d.bita = "444";
    trained_make(&d, &c);
    compare(&c, 3);
    mq_checkpoint_free(&c);

    d.network = "name: wide\nclasses: 2\ninput: {channels: 1, height: 3, width: 3}\nlayers:\n"
                "  - conv: {out: 2, kernel: 1}\n  - reorg: {stride: 3}\n  - linear: {out: 2}\n";
    d.bitw = d.bita = "44";
    trained_make(&d, &c);
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "reorg of stride 3"));
    mq_checkpoint_free(&c);
    assert_null(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_trained), cmocka_unit_test(structure),     cmocka_unit_test(compat_bypass),
        cmocka_unit_test(special_clamps),  cmocka_unit_test(equal_weights), cmocka_unit_test(dorefa_scales),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
