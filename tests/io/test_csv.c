/* test_csv.c - numeric tables: names, values, lines in messages, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "io/csv.h"

static void reads_a_table(void **state) {
    static const char TEXT[] = "kernel, wbit,a2\r\n1,2,12\n3, -0.5 ,1e2\r\n";
    const char *path = temp_dir_path(state, "f.csv");
    mq_csv *csv;
    mq_error error = {0};
    assert_int_equal(mq_file_write(path, TEXT, sizeof TEXT - 1, NULL), MQ_OK);
    if (mq_csv_load(path, &csv, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(csv->columns, 3);
    assert_int_equal(csv->rows, 2);
    assert_string_equal(csv->name[1], "wbit");
    static const double EXPECTED[] = {1, 2, 12, 3, -0.5, 100};
    assert_memory_equal(csv->value, EXPECTED, sizeof EXPECTED);
    size_t column = 9;
    assert_int_equal(mq_csv_column(csv, "a2", &column, &error), MQ_OK);
    assert_int_equal(column, 2);
    assert_int_equal(mq_csv_column(csv, "kernal", &column, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "f.csv:1: missing column kernal; the nearest is \"kernel\""));
    int value = 0;
    assert_int_equal(mq_csv_int(csv, 1, 2, 0, 100, &value, &error), MQ_OK);
    assert_int_equal(value, 100);
    assert_int_equal(mq_csv_int(csv, 1, 2, 0, 99, &value, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_csv_int(csv, 1, 1, -9, 9, &value, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "f.csv:3: wbit: got -0.5, expected an integer in -9..9"));
    assert_int_equal(mq_csv_fail(csv, 0, &error, "bad %d", 1), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "f.csv:2: bad 1"));
    mq_csv_free(csv);
    mq_csv_free(NULL);
    assert_int_equal(mq_csv_load(temp_dir_path(state, "absent.csv"), &csv, &error), MQ_BAD_INPUT);
    assert_null(csv);

    assert_int_equal(mq_csv_parse("f", "a\n1", 3, &csv, &error), MQ_OK); /* no newline at the end */
    assert_true(csv->rows == 1 && csv->value[0] == 1);
    mq_csv_free(csv);
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t size; /* 0 = all of the text */
        const char *message;
    } CASES[] = {
        {"", 0, "f.csv:1: got an empty column name"},
        {"\n1\n", 0, "f.csv:1: got an empty column name"},
        {"a,,b\n1,2,3\n", 0, "f.csv:1: got an empty column name"},
        {"a,b,a\n1,2,3\n", 0, "f.csv:1: got a column name twice"},
        {"\"a\",b\n1,2\n", 0, "f.csv:1: a column name"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         0, "f.csv:1: a column name"},
        {"a,b", 0, "f.csv:2: got no row"},
        {"a,b\n", 0, "f.csv:2: got no row"},
        {"a,b\n1,2\n3\n", 0, "f.csv:3: got 1 fields, expected 2"},
        {"a,b\n1,2,3\n", 0, "f.csv:2: got 3 fields, expected 2"},
        {"a,b\n1,2\n\n", 0, "f.csv:3: got 1 fields, expected 2"},
        {"a\n1\n\n", 0, "f.csv:3: a: got \"\", expected a number"},
        {"a,b\n1,x\n", 0, "f.csv:2: b: got \"x\", expected a number"},
        {"a,b\n1,\n", 0, "f.csv:2: b: got \"\", expected a number"},
        {"a,b\n1,nan\n", 0, "expected a number"},
        {"a,b\n1,inf\n", 0, "expected a number"},
        {"a,b\n1,1e999\n", 0, "expected a number"},
        {"a,b\n1,0x10\n", 0, "expected a number"},
        {"a,b\n1,\"2\"\n", 0, "expected a number"},
        {"a,b\n1,2 3\n", 0, "expected a number"},
        {"a,b\n1,\t2\n", 0, "got \"?2\", expected a number"},
        {"a,b\n1,2\r\r\n", 0, "expected a number"},
        {"a,b\n1,2\0\n", 9, "expected a number"},
        {"a,b\n1,1111111111111111111111111111111111111111111111111111111111111111111\n", 0,
         "expected a number"},
        {"a\n1\n", (1 << 20) + 1, "too large"}, /* refused before it is read */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t size = CASES[i].size ? CASES[i].size : strlen(CASES[i].text);
        mq_csv *csv = NULL;
        mq_error error = {0};
        if (mq_csv_parse("f.csv", CASES[i].text, size, &csv, &error) != MQ_BAD_INPUT)
            fail_msg("case %zu was read", i);
        assert_null(csv);
        if (!strstr(error.text, CASES[i].message)) fail_msg("case %zu: %s", i, error.text);
    }
}

static void limits(void **state) {
    (void)state;
    enum { ROOM = 1 << 20 };
    char *text;
    mq_csv *csv;
    mq_error error = {0};
    assert_int_equal(mq_alloc(ROOM, 1, "test", &text, NULL), MQ_OK);
    size_t used = 0;
    for (int c = 0; c < 257; c++)
        used += (size_t)snprintf(text + used, ROOM - used, "%sc%d", c ? "," : "", c);
    assert_int_equal(mq_csv_parse("f.csv", text, used, &csv, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "over 256 columns"));
    /* Many short lines below many names: refused before memory for rows * columns is taken. */
    used = (size_t)(strrchr(text, ',') - text);
    memset(text + used, '\n', ROOM - used);
    assert_int_equal(mq_csv_parse("f.csv", text, ROOM, &csv, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "f.csv:2: got 1 fields, expected 256"));
    mq_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_table, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(refuses),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
