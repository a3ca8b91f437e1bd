/* test_device.c - device descriptions: the built-in ones, and every mistake in a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/device.h"

#define GOOD                                                                                                 \
    "name: d\npart: p\ndsp: {kind: dsp48e2, count: 360}\nlut: 100\nff: 200\nbram36: 10\nusable: {lut: "      \
    "0.5}\n"

static void built_in(void **state) {
    (void)state;
    mq_device d;
    mq_error error = {0};
    assert_int_equal(mq_device_open("ultra96v2", &d, &error), MQ_OK);
    assert_int_equal(d.dsps, 360);
    assert_int_equal(d.lut, 70560);
    assert_int_equal(d.ff, 141120);
    assert_int_equal(d.bram36, 216);
    assert_string_equal(d.part, "xczu3eg-sbva484-1-e");
    mq_resources r = mq_device_budget(&d);
    assert_int_equal(r.of[MQ_RES_LUT], 56448);
    assert_int_equal(r.of[MQ_RES_RAM18], 432);
    assert_int_equal(mq_device_open("pynq-z2", &d, &error), MQ_OK);
    assert_false(d.build);
    assert_string_equal(d.dsp.name, "dsp48e1");
    static const char *const others[] = {"zcu104", "zcu102", "kv260", "generic"};
    for (size_t i = 0; i < 4; i++) assert_int_equal(mq_device_open(others[i], &d, &error), MQ_OK);
    assert_int_equal(mq_device_open("ultra96", &d, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "did you mean 'ultra96v2'"));
    assert_int_equal(mq_device_open("nowhere/none.yaml", &d, &error), MQ_BAD_INPUT);
}

static void good_file(void **state) {
    (void)state;
    mq_device d;
    mq_error error = {0};
    assert_int_equal(mq_device_parse("t", GOOD, strlen(GOOD), &d, &error), MQ_OK);
    assert_int_equal(mq_device_budget(&d).of[MQ_RES_LUT], 50);
    assert_int_equal(mq_device_budget(&d).of[MQ_RES_FF], 160);
    assert_int_equal(d.uram, 0);
    assert_true(d.build);
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"name: d\n", "t:1:"},
        {"name: d\npart: p\nlut: 1\nff: 1\nbram36: 1\n", "dsp"},
        {"name: d\npart: p\ndsp: {kind: dsp49, count: 1}\nlut: 1\nff: 1\nbram36: 1\n", "t:3:"},
        {"name: d\npart: p\ndsp: {kind: dsp48e2, count: 0}\nlut: 1\nff: 1\nbram36: 1\n", "count"},
        {"name: d\npart: p\ndsp: {kind: dsp48e2, count: 1}\nlut: x\nff: 1\nbram36: 1\n", "t:4:"},
        {"name: d\npart: p\ndsp: {kind: dsp48e2, count: 1}\nlut: 1\nff: 1\nbram36: -1\n", "t:6:"},
        {GOOD "luts: 5\n", "luts"},
        {"name: d\npart: p\ndsp: {kind: dsp48e2, count: 1}\nlut: 1\nff: 1\nbram36: 1\nusable: {lut: 1.5}\n",
         "t:7:"},
        {GOOD "clock_mhz: 0\n", "t:8:"},
        {GOOD "build: false\n", "why"},
        {GOOD "why: because\n", "only where build is false"},
        {GOOD "board: 0123456789012345678901234567890123456789012345678901234567890123456789\n", "board"},
        {"- 1\n", "t:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mq_device d;
        mq_error error = {0};
        if (mq_device_parse("t", cases[i].text, strlen(cases[i].text), &d, &error) != MQ_BAD_INPUT ||
            !strstr(error.text, cases[i].says))
            fail_msg("case %zu: '%s'", i, error.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(built_in), cmocka_unit_test(good_file),
                                       cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
