/* test_few.c - convolutions of few channels in against the definition, where pairs of bfloat16 are slow:
 * every edge of the window, panels, bands of more rows than one; the same bits with any number of threads. */
#include "helper_conv.h"

enum { CASES = 9 };

static void make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(2, 16, 24, 3, 16, 3, 1, 1, 1); /* 27 taps */
    out[n++] = spec_of(3, 9, 13, 3, 64, 3, 1, 1, 1);
    out[n++] = spec_of(1, 11, 10, 3, 80, 3, 1, 1, 1); /* panels of 64 channels and of 16 */
    out[n++] = spec_of(2, 12, 14, 1, 16, 5, 1, 2, 1);
    out[n++] = spec_of(2, 12, 14, 2, 32, 5, 1, 0, 1); /* without padding */
    out[n++] = spec_of(1, 10, 12, 4, 48, 3, 1, 2, 1); /* the first row of the window is outside */
    out[n++] = spec_of(5, 30, 8, 3, 16, 3, 1, 1, 1);  /* 150 rows in bands of 3 */
    out[n] = spec_of(2, 9, 11, 3, 32, 3, 1, 1, 1);    /* padded to the left only, and further down */
    out[n].ow = 10;
    out[n++].oh = 10;
    out[n] = spec_of(2, 9, 12, 3, 16, 3, 1, 0, 1); /* a kernel of one row */
    out[n].kh = 1;
    out[n++].oh = 9;
    assert_int_equal(n, CASES);
}

static void check_all(bool rounded) {
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = MQ_BF16;
        cases[i].diff_src = MQ_F32;
        cases[i].rounded = rounded;
        cases[i].backward_data = false;
        check_own(cases[i], "forward own:few, backward data none, backward weights own:few",
                  mq_dnn_slow_dots(), 1e-6);
    }
}

static void bfloat16(void **state) {
    (void)state;
    if (!mq_dnn_has_bf16()) {
        print_message("no native bfloat16 on this CPU\n");
        skip();
    }
    check_all(false);
    check_all(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
