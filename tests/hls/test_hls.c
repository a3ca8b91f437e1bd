/* test_hls.c - networks through HLS C++: every stage's codes are those of the reference simulator;
 * what no stage is built for is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "hls/helper_hls_nets.h"

static void random_layers(void **state) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        mq_inet *net = hls_layers(seed);
        mq_inet_plan *plan;
        mq_error error = {0};
        char name[16];
        hls_save(net, state);
        if (hls_plan(net, (mq_pack_class)(2 + seed % 2), seed % 3 ? 3 : 2, 4, seed % 2 ? 1 : 2, seed, &plan,
                     &error) != MQ_OK)
            fail_msg("%s", error.text);
        snprintf(name, sizeof name, "hls%d", (int)seed);
        hls_same(net, plan, temp_dir_path(state, name), seed);
        mq_inet_plan_free(plan);
        mq_inet_free(net);
    }
}

/* A bench that does not compile, or is not there. */
static void a_broken_folder(void **state) {
    mq_inet *net = hls_layers(1);
    mq_inet_plan *plan;
    mq_error error = {0};
    bool differs;
    hls_save(net, state);
    mq_hls_options options = {0};
    if (hls_plan(net, MQ_CLASS_II, 2, 4, 1, 1, &plan, &error) != MQ_OK ||
        mq_hls_build(net, plan, temp_dir_path(state, "broken"), &options, &error) != MQ_OK)
        fail_msg("%s", error.text);
    assert_int_equal(
        mq_file_write(temp_dir_path(state, "broken/conv0_data.h"), "static const int;;(", 19, &error), MQ_OK);
    char dir[512];
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, "broken"));
    assert_int_equal(mq_hls_run(dir, dir, dir, 1, 100, &differs, NULL, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "does not compile"));
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

static void refused(const mq_inet *net, const mq_inet_plan *plan, const char *words) {
    mq_error error = {0};
    mq_status status = mq_hls_build(net, plan, "/nonexistent/never", &(mq_hls_options){0}, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, words))
        fail_msg("'%s' expected, got %d '%s'", words, status, error.text);
}

static void refusals(void **state) {
    mq_inet_plan *plan;
    mq_error error = {0};
    mq_inet *net = hls_layers(2);
    hls_save(net, state);
    if (hls_plan(net, MQ_CLASS_II, 2, 4, 1, 2, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_plan_layer *l = &plan->layer[1];
    const mq_plan_layer before = *l;
    l->blocks *= 500;
    refused(net, plan, "conv1: codes of a cycle");
    *l = before;
    l->pe *= 400;
    refused(net, plan, "conv1: beats of");
    *l = before;
    l->out_pixels = 77;
    refused(net, plan, "conv1: out_pixels: got 77");
    *l = before;
    l->simd = 5;
    refused(net, plan, "conv1: simd");
    *l = before;
    char network = plan->network[0];
    plan->network[0] = 'x';
    refused(net, plan, "the plan is for network");
    plan->network[0] = network;
    mq_inet_plan_free(plan);
    mq_inet_free(net);

    small_net s;
    hls_begin(&s, 1, 8, 8, 2, 4, false);
    hls_convolution(&s, "conv0", 4, 3, 3, false, 3, 2);
    small_requant(&s, "conv0.requant", "conv0", 3, false, false);
    small_linear(&s, "linear1", 5);
    hls_finish(&s);
    hls_save(s.net, state);
    if (hls_plan(s.net, MQ_CLASS_II, 2, 4, 1, 0, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    refused(s.net, plan, "conv0: stride 2 x 2");
    mq_inet_plan_free(plan);
    mq_inet_free(s.net);
}

int main(void) {
    setenv("CXXFLAGS", "-O0 -fsanitize=undefined -fno-sanitize-recover=all", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_layers, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(a_broken_folder, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refusals, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
