/* test_dsp.c - the slice model: ports, pre-adder, wrap, device table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pack/dsp.h"

static mq_dsp slice(const char *name) {
    mq_dsp dsp;
    mq_error error = {0};
    if (mq_dsp_find(name, &dsp, &error) != MQ_OK) fail_msg("%s", error.text);
    return dsp;
}

static void multiplies_and_adds(void **state) {
    (void)state;
    mq_dsp dsp = slice("dsp48e2");
    int64_t p = 0;
    assert_true(
        mq_dsp_eval(&dsp, &(mq_dsp_inputs){.a = -5, .d = 100, .b = -7, .c = 11, .w = 2, .carry_in = 1}, &p));
    assert_int_equal(p, (100 - 5) * -7 + 11 + 2 + 1);
    assert_true(
        mq_dsp_eval(&dsp, &(mq_dsp_inputs){.a = -5, .d = 100, .b = -7, .subtract = true, .pcin = -1}, &p));
    assert_int_equal(p, 105 * -7 - 1);
    /* the largest product, 45 bits */
    assert_true(mq_dsp_eval(&dsp, &(mq_dsp_inputs){.a = -(1 << 26), .b = -(1 << 17)}, &p));
    assert_int_equal(p, (int64_t)1 << 43);
}

static void wraps(void **state) {
    (void)state;
    mq_dsp dsp = slice("dsp48e2");
    int64_t p = 0, top = ((int64_t)1 << 47) - 1;
    assert_true(mq_dsp_eval(&dsp, &(mq_dsp_inputs){.c = top, .w = 1}, &p));
    assert_int_equal(p, -((int64_t)1 << 47));
    assert_true(mq_dsp_eval(&dsp, &(mq_dsp_inputs){.c = top, .w = top, .pcin = top, .carry_in = 1}, &p));
    assert_int_equal(p, mq_wrap(3 * top + 1, 48));
    /* the pre-adder keeps the port's width */
    assert_true(mq_dsp_eval(&dsp, &(mq_dsp_inputs){.a = (1 << 26) - 1, .d = 1, .b = 1}, &p));
    assert_int_equal(p, -(1 << 26));
    dsp = slice("dsp58");
    assert_true(mq_dsp_eval(&dsp, &(mq_dsp_inputs){.c = top, .w = 1}, &p));
    assert_int_equal(p, top + 1);
}

static void checks_ports(void **state) {
    (void)state;
    mq_dsp dsp = slice("dsp48e1");
    int64_t p = 0;
    mq_error error = {0};
    mq_dsp_inputs in = {.a = 1 << 24, .b = 1};
    assert_false(mq_dsp_eval(&dsp, &in, &p));
    assert_int_equal(mq_dsp_check(&dsp, &in, &error), MQ_CHECK_FAILED);
    assert_string_equal(error.text, "dsp48e1: port A: got 16777216, expected -16777216..16777215 (25 bits)");
    in = (mq_dsp_inputs){.a = -(1 << 24), .b = (1 << 17) - 1};
    assert_true(mq_dsp_eval(&dsp, &in, &p));
    assert_int_equal(mq_dsp_check(&dsp, &in, &error), MQ_OK);
    const mq_dsp_inputs bad[] = {{.b = 1 << 17},          {.b = -(1 << 17) - 1},
                                 {.d = -(1 << 24) - 1},   {.c = (int64_t)1 << 47},
                                 {.w = (int64_t)1 << 47}, {.pcin = -((int64_t)1 << 47) - 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(mq_dsp_eval(&dsp, &bad[i], &p));
        assert_int_equal(mq_dsp_check(&dsp, &bad[i], &error), MQ_CHECK_FAILED);
    }
}

static void finds_devices(void **state) {
    (void)state;
    mq_dsp dsp = slice("18x19");
    assert_int_equal(dsp.wide, 19);
    assert_int_equal(dsp.narrow, 18);
    assert_string_equal(dsp.name, "18x19");
    assert_int_equal(slice("dsp58").narrow, 24);
    mq_error error = {0};
    const char *const bad[] = {"",    "dsp48", "dsp48e3", "3x9", "27x18x",
                               "27x", "33x4",  "27x24",   "x",   "99999x9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mq_dsp_find(bad[i], &dsp, &error), MQ_USAGE);
    assert_int_equal(mq_dsp_find("dsp49", &dsp, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "unknown DSP 'dsp49': dsp48e2, dsp48e1, dsp58 or NxM expected"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(multiplies_and_adds), cmocka_unit_test(wraps),
                                       cmocka_unit_test(checks_ports), cmocka_unit_test(finds_devices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
