/* test_leftovers.c - what writers leave while they work and when they are killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/staging.h"
#include "temp_dir.h"

static void put(void **state, const char *name, const char *text) {
    mq_error error;
    if (mq_file_write(temp_dir_path(state, name), text, strlen(text), &error) != MQ_OK)
        fail_msg("%s", error.text);
}

static void expect(void **state, const char *name, const char *text) {
    uint8_t *bytes;
    size_t size;
    if (!text) {
        assert_false(mq_path_exists(temp_dir_path(state, name)));
        return;
    }
    assert_int_equal(mq_file_read(temp_dir_path(state, name), 1000, &bytes, &size, NULL), MQ_OK);
    assert_string_equal((char *)bytes, text);
    mq_free(bytes);
}

static void only_dead_writers_are_cleared(void **state) {
    char folder[128];
    mq_outfile *alive;
    snprintf(folder, sizeof folder, "%s", ((temp_dir *)*state)->path);
    static const char *const kept[] = {".a.tmp", ".a.x1.tmp", "a.1.tmp", ".a.1.tmpx", ".12.tmp", ".b.77.tmp"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) put(state, kept[i], "kept");
    put(state, ".a.77.tmp", "dead");
    put(state, ".a.12345.tmp", "dead");
    assert_int_equal(mq_outfile_open(temp_dir_path(state, "a"), &alive, NULL), MQ_OK);
    assert_int_equal(mq_outfile_write(alive, "new", 3, NULL), MQ_OK);
    mq_remove_leftovers(folder, "a");
    expect(state, ".a.77.tmp", NULL);
    expect(state, ".a.12345.tmp", NULL);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) expect(state, kept[i], "kept");
    assert_int_equal(mq_outfile_commit(alive, NULL), MQ_OK); /* a living one is not disturbed */
    expect(state, "a", "new");
    mq_remove_leftovers(folder, NULL);
    expect(state, ".b.77.tmp", NULL);
    expect(state, ".a.tmp", "kept");
    mq_remove_leftovers("/nonexistent", NULL);
}

/* The next writer of a name takes away what a killed one left. */
static void killed_writer(void **state) {
    const char *path = temp_dir_path(state, "file");
    put(state, "file", "old");
    pid_t pid = fork();
    if (pid == 0) {
        mq_outfile *file;
        char bytes[1 << 17] = {0};
        if (mq_outfile_open(path, &file, NULL) != MQ_OK ||
            mq_outfile_write(file, bytes, sizeof bytes, NULL) != MQ_OK)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(temp_dir_count(state), 2);
    expect(state, "file", "old");
    put(state, "file", "new");
    expect(state, "file", "new");
    assert_int_equal(temp_dir_count(state), 1);
}

static void staging(void **state) {
    mq_staging one, two;
    mq_error error;
    char dir[600], place[640];
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, "d"));
    assert_false(mq_dir_has_entries(dir));
    assert_int_equal(mq_staging_inside(dir, &one, &error), MQ_OK);
    assert_false(mq_dir_has_entries(dir)); /* what is unfinished does not count */
    put(state, "d/.partial/x", "half");
    assert_int_equal(mq_staging_inside(dir, &two, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "another process is writing there"));
    mq_staging_close(&two);
    expect(state, "d/.partial/x", "half");
    close(one.lock); /* as if killed */
    assert_int_equal(mq_staging_inside(dir, &two, &error), MQ_OK);
    expect(state, "d/.partial/x", NULL);
    put(state, "d/.partial/y", "whole");
    mq_staging_close(&two);
    mq_staging_close(&two);
    expect(state, "d/.partial", NULL);
    put(state, "d/own", "kept");
    assert_true(mq_dir_has_entries(dir));

    /* beside, and moved whole: over nothing, over an empty folder, over an old one */
    for (int i = 0; i < 3; i++) {
        snprintf(place, sizeof place, "%s/e%s", dir, i ? "//" : "");
        assert_int_equal(mq_staging_beside(place, &one, &error), MQ_OK);
        put(state, "d/.e.partial/z", i == 2 ? "second" : "first");
        assert_int_equal(mq_folder_replace(one.path, place, &error), MQ_OK);
        mq_staging_close(&one);
        expect(state, "d/e/z", i == 2 ? "second" : "first");
        expect(state, "d/.e.partial", NULL);
        if (i == 0) assert_int_equal(mq_folder_clear(place, &error), MQ_OK);
    }
    assert_int_equal(mq_staging_beside("a/..", &one, &error), MQ_USAGE);
    assert_int_equal(mq_staging_beside("", &one, &error), MQ_USAGE);
    assert_int_equal(mq_staging_beside("/", &one, &error), MQ_USAGE);
    assert_int_equal(mq_staging_inside(temp_dir_path(state, "d/own"), &one, &error), MQ_BAD_INPUT);
    mq_staging_close(&one);
}

/* A line that does not fit is not there at all. */
static void lines_are_whole(void **state) {
    const char *path = temp_dir_path(state, "log");
    struct rlimit old, limit;
    mq_error error;
    assert_int_equal(mq_file_append_line(path, "first", &error), MQ_OK);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){10, old.rlim_max};
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    mq_status status = mq_file_append_line(path, "second line", &error);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, before);
    assert_int_equal(status, MQ_BAD_INPUT);
    expect(state, "log", "first\n");
    assert_int_equal(mq_file_append_line(path, "third", &error), MQ_OK);
    expect(state, "log", "first\nthird\n");
}

static void statuses(void **state) {
    (void)state;
    assert_int_equal(mq_input_status(MQ_OK), MQ_OK);
    assert_int_equal(mq_input_status(MQ_USAGE), MQ_BAD_INPUT);
    assert_int_equal(mq_input_status(MQ_CHECK_FAILED), MQ_BAD_INPUT);
    assert_int_equal(mq_input_status(MQ_INTERNAL), MQ_INTERNAL);
    assert_int_equal(mq_input_status(MQ_INTERRUPTED), MQ_INTERRUPTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_dead_writers_are_cleared, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(killed_writer, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(staging, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(lines_are_whole, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
