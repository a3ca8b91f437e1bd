/* test_json.c - JSON: places in messages, typed getters, limits, atomic and repeatable output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "io/json.h"

static json_t *parsed(const char *text) {
    json_t *value;
    mq_error error = {0};
    if (mq_json_parse("f.json", text, strlen(text), &value, &error) != MQ_OK) fail_msg("%s", error.text);
    return value;
}

static void refuses_bad_text(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } CASES[] = {
        {"", "f.json:1:"},           {"{\n \"a\": 1,\n \"a\": 2}", "f.json:3:"}, /* twice the same key */
        {"{\"a\": }", "f.json:1:"},  {"[1, 2", "f.json:1:"},
        {"[1e999]", "f.json:1:"},    {"[99999999999999999999]", "f.json:1:"},
        {"[NaN]", "f.json:1:"},      {"[\"\\u0000\"]", "f.json:1:"},
        {"[\"\xff\"]", "f.json:1:"}, {"3", "f.json:1:"},
        {"{} {}", "f.json:1:"},      {"[\"a\n\"]", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        json_t *value = NULL;
        mq_error error = {0};
        assert_int_equal(mq_json_parse("f.json", CASES[i].text, strlen(CASES[i].text), &value, &error),
                         MQ_BAD_INPUT);
        assert_null(value);
        if (!strstr(error.text, CASES[i].message)) fail_msg("case %zu: %s", i, error.text);
        assert_null(strchr(error.text, '\n'));
    }
}

static void refuses_depth_and_size(void **state) {
    (void)state;
    enum { DEPTH = 200000 };
    char *text;
    json_t *value;
    mq_error error = {0};
    assert_int_equal(mq_alloc(DEPTH, 1, "test", &text, NULL), MQ_OK);
    memset(text, '[', DEPTH);
    assert_int_equal(mq_json_parse("f.json", text, DEPTH, &value, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_json_parse("f.json", text, (size_t)1 << 40, &value, &error),
                     MQ_BAD_INPUT); /* not read */
    assert_non_null(strstr(error.text, "too large"));
    mq_free(text);
}

static void reads_every_prefix(void **state) {
    (void)state;
    static const char TEXT[] = "{\"a\": [1, -2.5e3, true, null], \"b\": {\"c\": \"\\u00e9\\n\"}}";
    for (size_t n = 0; n < sizeof TEXT - 1; n++) {
        json_t *value;
        assert_int_equal(mq_json_parse("f.json", TEXT, n, &value, NULL), MQ_BAD_INPUT);
    }
    json_decref(parsed(TEXT));
}

static void getters(void **state) {
    (void)state;
    json_t *o =
        parsed("{\"i\": 7, \"d\": 0.5, \"t\": true, \"s\": \"x\", \"a\": [1], \"o\": {}, \"n\": null}");
    int64_t i = 0;
    double d = 0;
    bool t = false;
    const char *s = NULL;
    json_t *child = NULL;
    mq_error error = {0};
    assert_int_equal(mq_json_int(o, "f", "i", 0, 7, &i, &error), MQ_OK);
    assert_int_equal(i, 7);
    assert_int_equal(mq_json_double(o, "f", "d", &d, &error), MQ_OK);
    assert_true(d == 0.5);
    assert_int_equal(mq_json_double(o, "f", "i", &d, &error), MQ_OK);
    assert_true(d == 7);
    assert_int_equal(mq_json_bool(o, "f", "t", &t, &error), MQ_OK);
    assert_true(t);
    assert_int_equal(mq_json_string(o, "f", "s", &s, &error), MQ_OK);
    assert_string_equal(s, "x");
    assert_int_equal(mq_json_array(o, "f", "a", &child, &error), MQ_OK);
    assert_int_equal(json_array_size(child), 1);
    assert_int_equal(mq_json_object(o, "f", "o", &child, &error), MQ_OK);

    assert_int_equal(mq_json_int(o, "net.json: layers[3]", "i", 0, 6, &i, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "net.json: layers[3]: i: got 7, expected an integer in 0..6");
    assert_int_equal(mq_json_int(o, "f", "d", 0, 6, &i, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_json_double(o, "f", "s", &d, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f: s: got \"x\", expected a finite number");
    assert_int_equal(mq_json_bool(o, "f", "n", &t, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f: n: got null, expected true or false");
    assert_int_equal(mq_json_string(o, "f", "absent", &s, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f: absent: got nothing, expected a string");
    assert_int_equal(mq_json_array(o, "f", "o", &child, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_json_object(o, "f", "a", &child, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_json_int(json_object_get(o, "a"), "f", "i", 0, 9, &i, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f: got an array, expected an object");
    assert_int_equal(mq_json_int(NULL, "f", "i", 0, 9, &i, NULL), MQ_BAD_INPUT);
    assert_int_equal(i, 7);
    json_decref(o);
}

static void unknown_keys(void **state) {
    (void)state;
    static const char *const ALLOWED[] = {"kernel", "stride", NULL};
    mq_error error = {0};
    json_t *good = parsed("{\"stride\": 1}"), *bad = parsed("{\"stride\": 1, \"kern\\u001bel\": 3}");
    assert_int_equal(mq_json_keys(good, "f", ALLOWED, &error), MQ_OK);
    assert_int_equal(mq_json_keys(bad, "f", ALLOWED, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f: unknown key \"kern?el\"; did you mean \"kernel\"?");
    assert_int_equal(mq_json_keys(NULL, "f", ALLOWED, &error), MQ_BAD_INPUT);
    json_decref(good);
    json_decref(bad);
}

static void saves_and_loads(void **state) {
    const char *path = temp_dir_path(state, "f.json");
    json_t *value = parsed("{\"z\": 0.1, \"a\": [1, 1e-300, 123456789.123456789], \"m\": \"\\u00e9\"}"),
           *again = NULL;
    mq_error error = {0};
    assert_int_equal(mq_json_save(path, value, &error), MQ_OK);
    assert_int_equal(temp_dir_count(state), 1);
    assert_int_equal(mq_json_load(path, &again, &error), MQ_OK);
    assert_true(json_equal(value, again)); /* numbers survive exactly */
    uint8_t *text;
    size_t size;
    assert_int_equal(mq_file_read(path, 1000, &text, &size, NULL), MQ_OK);
    assert_int_equal(text[size - 1], '\n');
    assert_memory_equal(text, "{\n  \"z\":", 8); /* the order of the keys is kept */
    mq_free(text);
    char *line = mq_json_line(value);
    assert_non_null(line);
    assert_null(strchr(line, '\n'));
    free(line);
    json_decref(again);

    json_t *number = json_integer(3);
    assert_int_equal(mq_json_save(path, number, &error),
                     MQ_INTERNAL); /* the old file stays, nothing is left */
    json_decref(number);
    assert_int_equal(temp_dir_count(state), 1);
    assert_int_equal(mq_json_load(path, &again, &error), MQ_OK);
    assert_true(json_equal(value, again));
    json_decref(again);
    json_decref(value);
    assert_int_equal(mq_json_load(temp_dir_path(state, "absent.json"), &again, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "absent.json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_text),
        cmocka_unit_test(refuses_depth_and_size),
        cmocka_unit_test(reads_every_prefix),
        cmocka_unit_test(getters),
        cmocka_unit_test(unknown_keys),
        cmocka_unit_test_setup_teardown(saves_and_loads, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
