/* test_hls_stages.c - every kind of stage through HLS C++, and a flipped bit of a weight word, which must be
 * found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "hls/helper_hls_nets.h"

static void all_stages(void **state) {
    mq_inet *net = hls_every_stage();
    mq_inet_plan *plan;
    mq_error error = {0};
    hls_save(net, state);
    for (int pixels = 1; pixels <= 2; pixels++) {
        if (hls_plan(net, MQ_CLASS_II, 4, 4, pixels, 0, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
        if (pixels == 2)
            for (int i = 0; i < plan->count; i++)
                if (plan->layer[i].node == mq_inet_find(net, "conv0"))
                    assert_int_equal(plan->layer[i].out_pixels, 2);
        hls_same(net, plan, temp_dir_path(state, pixels == 1 ? "one" : "two"), 5);
        mq_inet_plan_free(plan);
    }
    mq_inet_free(net);
}

/* One bit of one weight word. */
static void a_flipped_bit_is_found(void **state) {
    mq_inet *net = hls_layers(2);
    mq_inet_plan *plan;
    mq_hls_net *h;
    hls_golden golden;
    mq_hls_difference d;
    mq_error error = {0};
    uint8_t *text;
    size_t size;
    bool differs;
    char dir[512], path[600], vectors[600];
    hls_save(net, state);
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, "flip"));
    snprintf(vectors, sizeof vectors, "%s/vectors", dir);
    if (hls_plan(net, MQ_CLASS_II, 2, 4, 1, 2, &plan, &error) != MQ_OK ||
        hls_golden_make(net, hls_images(net, 2, 3), 2, &golden, &error) != MQ_OK ||
        hls_check(net, plan, &golden, dir, 2, &d, NULL, &error) != MQ_OK)
        fail_msg("%s", error.text);
    assert_int_equal(d.mismatches, 0);
    snprintf(path, sizeof path, "%s/conv1_data.h", dir);
    assert_int_equal(mq_file_read(path, 1 << 24, &text, &size, &error), MQ_OK);
    char *at = strstr((char *)text, "{0x");
    assert_non_null(at);
    at += 3 + strcspn(at + 3, ",}") - 1; /* the lowest digit of the first word */
    static const char hex[] = "0123456789abcdef";
    *at = hex[(strchr(hex, *at) - hex) ^ 1];
    assert_int_equal(mq_file_write(path, text, size, &error), MQ_OK);
    if (mq_hls_run(dir, dir, vectors, 2, 300, &differs, NULL, &error) != MQ_OK ||
        mq_hls_net_create(net, plan, &h, &error) != MQ_OK ||
        mq_hls_compare(h, dir, 2, (const int64_t *const *)golden.codes, &d, &error) != MQ_OK)
        fail_msg("%s", error.text);
    assert_true(d.mismatches > 0);
    assert_string_equal(net->nodes[d.node].name, "conv1.requant");
    mq_hls_net_free(h);
    mq_free(text);
    hls_golden_free(&golden);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

int main(void) {
    setenv("CXXFLAGS", "-O0 -fsanitize=undefined -fno-sanitize-recover=all", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_stages, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_found, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
