/* test_process.c - other programs: exit codes, logs, limits; folders: lists, copies, replacement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/stop.h"
#include "base/temp_dir.h"

static mq_status shell(void **state, const char *script, double seconds, int *code, mq_error *error) {
    static char log[600];
    snprintf(log, sizeof log, "%s", temp_dir_path(state, "log"));
    const char *const words[] = {"sh", "-c", script, NULL};
    mq_process p = {.words = words, .folder = ((temp_dir *)*state)->path, .log = log, .seconds = seconds};
    return mq_process_run(&p, code, error);
}

static void runs_programs(void **state) {
    mq_error error = {0};
    char tail[64];
    int code;
    assert_true(mq_program_found("sh"));
    assert_false(mq_program_found("no-such-program-here"));
    assert_int_equal(shell(state, "echo one; echo two >&2; pwd > where; exit 3", 0, &code, &error), MQ_OK);
    assert_int_equal(code, 3);
    mq_log_tail(temp_dir_path(state, "log"), tail, sizeof tail);
    assert_string_equal(tail, "one | two");
    assert_true(mq_path_exists(temp_dir_path(state, "where")));
    assert_int_equal(shell(state, "kill -9 $$", 0, &code, &error), MQ_OK);
    assert_int_equal(code, 128 + 9);
    const char *const none[] = {"no-such-program-here", NULL};
    mq_process p = {.words = none};
    assert_int_equal(mq_process_run(&p, &code, &error), MQ_INTERNAL);

    /* What it started ends with it. */
    assert_int_equal(shell(state, "(sleep 1; touch late) & sleep 20", 0.2, &code, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "sh: not done after 0 s"));
    mq_stop_request();
    assert_int_equal(shell(state, "sleep 20", 0, &code, &error), MQ_INTERRUPTED);
    mq_stop_clear();
    sleep(1);
    assert_false(mq_path_exists(temp_dir_path(state, "late")));
}

static void put(void **state, const char *name, const char *text) {
    assert_int_equal(mq_file_write(temp_dir_path(state, name), text, strlen(text), NULL), MQ_OK);
}

static void folders(void **state) {
    mq_error error = {0};
    mq_folder_list list;
    char a[600], b[600];
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "a/deep"), &error), MQ_OK);
    put(state, "a/z", "1");
    put(state, "a/deep/y", "22");
    snprintf(a, sizeof a, "%s", temp_dir_path(state, "a"));
    snprintf(b, sizeof b, "%s", temp_dir_path(state, "b"));
    assert_int_equal(mq_folder_files(a, &list, &error), MQ_OK);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.name[0], "deep/y");
    assert_string_equal(list.name[1], "z");
    mq_folder_list_free(&list);
    assert_int_equal(mq_folder_files(b, &list, &error), MQ_BAD_INPUT);

    /* Replacing nothing, an empty folder, a full one. */
    assert_int_equal(mq_folder_replace(a, b, &error), MQ_OK);
    assert_false(mq_path_exists(a));
    assert_int_equal(mq_make_dirs(a, &error), MQ_OK);
    assert_int_equal(mq_folder_replace(b, a, &error), MQ_OK);
    assert_int_equal(mq_make_dirs(b, &error), MQ_OK);
    put(state, "b/new", "3");
    assert_int_equal(mq_folder_replace(b, a, &error), MQ_OK);
    assert_false(mq_path_exists(b));
    assert_true(mq_path_exists(temp_dir_path(state, "a/new")));
    assert_false(mq_path_exists(temp_dir_path(state, "a/z")));

    assert_int_equal(mq_file_copy(temp_dir_path(state, "a/new"), b, &error), MQ_OK);
    uint8_t *text;
    size_t size;
    assert_int_equal(mq_file_read(b, 10, &text, &size, &error), MQ_OK);
    assert_int_equal(size, 1);
    mq_free(text);
    assert_int_equal(mq_file_copy(a, b, &error), MQ_BAD_INPUT);
    /* a link is removed, not what it leads to */
    assert_int_equal(symlink(b, temp_dir_path(state, "a/link")), 0);
    assert_int_equal(mq_folder_remove(a, &error), MQ_OK);
    assert_false(mq_path_exists(a));
    assert_true(mq_path_exists(b));
    assert_int_equal(mq_folder_remove(a, &error), MQ_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_programs), cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
