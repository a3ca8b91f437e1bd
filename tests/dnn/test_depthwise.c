/* test_depthwise.c - depthwise layers by our own rows against the definition: every edge, rows narrower than
 * the kernel, groups of positions that are not full; the same bits with any number of threads. */
#include "helper_conv.h"

enum { CASES = 10 };

static const char OWN[] =
    "forward own:depthwise, backward data own:depthwise, backward weights own:depthwise";

static void make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(2, 9, 37, 48, 48, 3, 1, 1, 48);  /* 32 positions at once, and 5 */
    out[n++] = spec_of(1, 20, 16, 16, 16, 3, 1, 0, 16); /* without padding */
    out[n++] = spec_of(3, 7, 18, 32, 32, 3, 1, 2, 32);  /* more of it: a row of none */
    out[n++] = spec_of(2, 5, 2, 16, 16, 3, 1, 1, 16);   /* narrower than the kernel */
    out[n++] = spec_of(1, 12, 33, 48, 48, 5, 1, 2, 48);
    out[n++] = spec_of(2, 8, 9, 16, 16, 5, 1, 0, 16);
    out[n++] = spec_of(2, 6, 3, 32, 32, 5, 1, 2, 32);
    out[n++] = spec_of(9, 15, 8, 16, 16, 5, 1, 4, 16); /* 171 rows in bands of 3 */
    out[n] = spec_of(2, 9, 11, 16, 16, 3, 1, 1, 16);   /* padded to the left only, and further down */
    out[n].ow = 10;
    out[n++].oh = 10;
    out[n] = spec_of(1, 8, 10, 16, 16, 5, 1, 1, 16);
    out[n].ow = 9;
    out[n++].oh = 7;
    assert_int_equal(n, CASES);
}

static void check_all(mq_dtype diff_src, bool rounded) {
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = MQ_BF16;
        cases[i].diff_src = diff_src;
        cases[i].rounded = rounded;
        check_own(cases[i],
                  "forward own:depthwise, backward data own:depthwise, backward weights own:depthwise", true,
                  1e-6);
    }
}

static void make_few(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(2, 9, 37, 3, 3, 3, 1, 1, 3); /* 48 lanes twice, and 15 */
    out[n++] = spec_of(1, 12, 16, 3, 3, 3, 1, 0, 3);
    out[n++] = spec_of(3, 7, 18, 2, 2, 3, 1, 2, 2);
    out[n++] = spec_of(2, 5, 2, 4, 4, 3, 1, 1, 4); /* narrower than the kernel */
    out[n++] = spec_of(1, 12, 33, 3, 3, 5, 1, 2, 3);
    out[n++] = spec_of(2, 8, 9, 1, 1, 5, 1, 0, 1);
    out[n++] = spec_of(2, 6, 3, 2, 2, 5, 1, 2, 2);
    out[n++] = spec_of(9, 15, 8, 4, 4, 5, 1, 4, 4);
    out[n] = spec_of(2, 9, 11, 3, 3, 3, 1, 1, 3);
    out[n].ow = 10;
    out[n++].oh = 10;
    out[n] = spec_of(1, 8, 10, 3, 3, 5, 1, 1, 3);
    out[n].ow = 9;
    out[n++].oh = 7;
    assert_int_equal(n, CASES);
}

/* Few channels, lanes along the row. */
static void few(void **state) {
    (void)state;
    mq_dnn_conv_spec cases[CASES];
    make_few(cases);
    for (int i = 0; i < CASES; i++)
        for (int kind = 0; kind < (mq_dnn_has_bf16() ? 3 : 1); kind++) {
            cases[i].compute = kind ? MQ_BF16 : MQ_F32;
            cases[i].diff_src = kind == 2 ? MQ_BF16 : MQ_F32;
            cases[i].rounded = kind == 2;
            check_own(cases[i], OWN, mq_dnn_has_bf16(), 1e-6);
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

/* The gradient that oneDNN has no code for, in float32 too. */
static void float32(void **state) {
    (void)state;
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = cases[i].diff_src = MQ_F32;
        check_own(cases[i], "", false, 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(float32),
        cmocka_unit_test(few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
