/* test_pointwise.c - pointwise layers against the definition, where pairs of bfloat16 are slow: blocks,
 * panels, slices and shares that are not full; the same bits with any number of threads. */
#include "helper_conv.h"

#include <string.h>

enum { CASES = 8 };

static const char OWN[] =
    "forward own:pointwise, backward data own:pointwise, backward weights own:pointwise";

static void make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(2, 8, 6, 64, 64, 1, 1, 0, 1);   /* full blocks of positions and panels of channels */
    out[n++] = spec_of(1, 13, 5, 16, 16, 1, 1, 0, 1);  /* 65 positions */
    out[n++] = spec_of(3, 11, 17, 48, 96, 1, 1, 0, 1); /* the gradient's blocks are 4 of 128 and one of 49 */
    out[n++] = spec_of(1, 9, 31, 80, 32, 1, 1, 0, 1);
    out[n++] = spec_of(2, 7, 19, 112, 144, 1, 1, 0, 1);
    out[n++] = spec_of(1, 10, 20, 32, 304, 1, 1, 0, 1); /* 156 rows of the gradient and 148 */
    out[n++] = spec_of(9, 40, 12, 16, 48, 1, 1, 0, 1);  /* 34 blocks in 7 shares */
    out[n++] = spec_of(70, 1, 1, 32, 48, 1, 1, 0, 1);   /* linear */
    assert_int_equal(n, CASES);
}

static void check_all(mq_dtype diff_src, bool rounded) {
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = MQ_BF16;
        cases[i].diff_src = diff_src;
        cases[i].rounded = rounded;
        check_own(cases[i], OWN, mq_dnn_slow_dots(), 1e-6);
    }
}

static void bfloat16(void **state) {
    (void)state;
    if (!mq_dnn_has_bf16()) {
        print_message("no native bfloat16 on this CPU\n");
        skip();
    }
    check_all(MQ_F32, false);
    check_all(MQ_BF16, true);
}

/* Channels out that fill no vector: forward is oneDNN's, the gradients are products still. */
static void odd_channels(void **state) {
    (void)state;
    mq_error error = {0};
    if (!mq_dnn_slow_dots()) skip();
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv *conv = NULL;
    mq_dnn_conv_spec s = spec_of(2, 10, 20, 64, 37, 1, 1, 0, 1);
    s.compute = s.diff_src = MQ_BF16;
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    assert_non_null(strstr(mq_dnn_conv_implementation(conv),
                           "backward data own:pointwise, backward weights own:pointwise"));
    assert_null(strstr(mq_dnn_conv_implementation(conv), "forward own"));
    mq_dnn_conv_destroy(conv);
    check(dnn, s, MQ_BF16, MQ_BF16, REALS);
    check(dnn, s, MQ_BF16, MQ_F32, INTEGERS);
    mq_dnn_destroy(dnn);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(odd_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
