/* test_plain_c.c - networks as plain C, compiled by gcc and clang without a warning, against the reference
 * simulator: random ones of every kind of node and rule, and the corners of types and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "gen/helper_plain_c.h"
#include "inet/small_net.h"

static const char *const compilers[] = {"gcc", "clang"};

static void compile_and_compare(void **state, const mq_inet *net, size_t *different) {
    mq_error error = {0};
    const char *dir = ((temp_dir *)*state)->path;
    int found = 0;
    if (mq_plain_c_write(net, dir, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int i = 0; i < 2; i++) {
        if (!plain_c_has(compilers[i])) continue;
        found++;
        plain_c_same(net, dir, compilers[i], i ? "-O0 -fsanitize=undefined -fsanitize-trap=all" : "-O2", 5,
                     different);
    }
    if (!found) skip();
    if (found == 1) print_message("only one of gcc and clang is here\n");
}

static void random_networks(void **state) {
    size_t different = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        mq_inet *net = small_net_random(seed);
        snprintf(net->model, sizeof net->model, "small%llu", (unsigned long long)seed);
        compile_and_compare(state, net, &different);
        mq_inet_free(net);
    }
    assert_true(different > 200);
}

static void begin(small_net *s, const char *model, int side, int channels, int bits) {
    mq_error error = {0};
    *s = (small_net){.rng = mq_rng_stream(3, model, 0)};
    assert_int_equal(mq_inet_create(&s->net, &error), MQ_OK);
    snprintf(s->net->model, sizeof s->net->model, "%s", model);
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image"};
    image.image = (mq_inet_image){.h = side, .w = side, .c = channels, .bits = bits};
    small_add(s, &image);
}

static void end(small_net *s, int classes) {
    mq_error error = {0};
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 3}};
    s->net->classes = classes;
    small_add(s, &output);
    if (mq_inet_finish(s->net, &error) != MQ_OK) fail_msg("%s", error.text);
}

/* Names that C would not take or that meet; a layer requantised twice; accumulators that are pooled. */
static void shared_accumulators(void **state) {
    small_net s;
    size_t different = 0;
    begin(&s, "7-run.int", 8, 2, 8);
    small_conv(&s, "int", 6, 2);
    int sums = s.last;
    small_requant(&s, "a.b", "a.b", 4, false, false);
    int first = s.last;
    s.last = sums;
    small_requant(&s, "a-b", "a-b", 4, false, true);
    mq_inet_node concat = {.kind = MQ_INET_CONCAT, .name = "run", .input = {s.last, first}, .input_count = 2};
    small_add(&s, &concat);
    small_conv(&s, "a_b", 4, 4);
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "in", .pool = {2, 1}};
    small_add(&s, &pool);
    small_requant(&s, "out", "out", 8, true, true);
    small_linear(&s, "5", 5);
    end(&s, 5);
    compile_and_compare(state, s.net, &different);
    char name[80];
    mq_plain_c_name(s.net, name);
    assert_string_equal(name, "net_7_run_int");
    assert_true(different > 10);
    mq_inet_free(s.net);
}

/* Sums that need 64 bits, thresholds at the ends of int64, codes that never change, a bias beyond 32 bits. */
static void wide(void **state) {
    small_net s;
    size_t different = 0;
    begin(&s, "wide", 5, 1, 8);
    int8_t weight[4 * 9];
    int64_t bias[4] = {(int64_t)1 << 40, -((int64_t)1 << 35), 5, INT32_MAX};
    for (int i = 0; i < 36; i++) weight[i] = (int8_t)small_draw(&s, -128, 127);
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv"};
    conv.conv = (mq_inet_conv){.out_channels = 4, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1};
    conv.conv.groups = 1;
    conv.conv.weight_bits = 8;
    conv.conv.weight = weight;
    conv.conv.bias = bias;
    small_add(&s, &conv);
    int64_t inc[4] = {3, -7, 0, 0}, add[4] = {-3 * bias[0] + 20000, 7 * bias[1] + 90000, 0, 0};
    int64_t threshold[4 * 7] = {0};
    uint8_t rule[4] = {0, 0, MQ_INET_RISING, MQ_INET_FALLING};
    for (int i = 0; i < 7; i++) threshold[14 + i] = i < 4 ? 9000 * (i - 2) : INT64_MAX;
    for (int i = 0; i < 7; i++) threshold[21 + i] = i < 3 ? INT64_MIN : INT32_MAX + 4000 * (int64_t)(i - 4);
    mq_inet_node requant = {.kind = MQ_INET_REQUANT, .name = "codes"};
    requant.requant = (mq_inet_requant){.bits = 3, .high = 7, .shift = 13, .inc = inc, .bias = add};
    requant.requant.rule = rule;
    requant.requant.threshold = threshold;
    small_add(&s, &requant);
    small_conv(&s, "next", 3, 1);
    int64_t zero[3] = {0};
    mq_inet_node flat = {.kind = MQ_INET_REQUANT, .name = "flat"};
    flat.requant = (mq_inet_requant){.bits = 3, .low = 2, .high = 2, .inc = zero, .bias = zero};
    int sums = s.last;
    small_add(&s, &flat);
    int constant = s.last;
    s.last = sums;
    small_requant(&s, "lively", "", 3, false, false);
    mq_inet_node concat = {
        .kind = MQ_INET_CONCAT, .name = "both", .input = {constant, s.last}, .input_count = 2};
    s.net->nodes[constant].edge.scale = s.net->nodes[s.last].edge.scale;
    small_add(&s, &concat);
    small_linear(&s, "head", 4);
    end(&s, 4);
    compile_and_compare(state, s.net, &different);
    assert_true(different > 4);
    mq_inet_free(s.net);
}

static void refusals(void **state) {
    mq_error error = {0};
    small_net s;
    begin(&s, "far", 4, 1, 8);
    int8_t weight[16] = {1};
    int64_t bias[1] = {(int64_t)1 << 31};
    mq_inet_node linear = {.kind = MQ_INET_LINEAR, .name = "head"};
    linear.linear = (mq_inet_linear){.out_features = 1, .weight_bits = 8, .weight = weight, .bias = bias};
    small_add(&s, &linear);
    end(&s, 1);
    assert_int_equal(mq_plain_c_check(s.net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "layer head: outputs"));
    assert_int_equal(mq_plain_c_write(s.net, ((temp_dir *)*state)->path, &error), MQ_BAD_INPUT);
    assert_int_equal(temp_dir_count(state), 0);
    mq_inet_free(s.net);
}

/* Both files or none. */
static void whole_or_nothing(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(2);
    assert_int_equal(mq_plain_c_write(net, temp_dir_path(state, "none"), &error), MQ_BAD_INPUT);
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "small.h"), &error), MQ_OK);
    assert_int_equal(mq_plain_c_write(net, ((temp_dir *)*state)->path, &error), MQ_BAD_INPUT);
    assert_int_equal(temp_dir_count(state), 1);
    mq_inet_free(net);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

int main(void) {
    const struct CMUnitTest tests[] = {IN_FOLDER(random_networks), IN_FOLDER(shared_accumulators),
                                       IN_FOLDER(wide), IN_FOLDER(refusals), IN_FOLDER(whole_or_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
