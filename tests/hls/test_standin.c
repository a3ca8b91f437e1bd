/* test_standin.c - the stand-ins of Vitis' types against plain wide integers, with both compilers that there
 * are, and with sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/temp_dir.h"

static int run(const char *command) {
    int status = system(command);
    return status;
}

static void with(void **state, const char *compiler, const char *flags) {
    char command[2048], program[512];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
    if (run(command) != 0) skip();
    snprintf(program, sizeof program, "%s", temp_dir_path(state, "check"));
    snprintf(command, sizeof command,
             "%s -std=c++14 -Wall -Wextra -Werror %s -I" MIXQ_SOURCE_DIR "/hls/standin " MIXQ_SOURCE_DIR
             "/tests/hls/standin_check.cpp -o %s && %s",
             compiler, flags, program, program);
    if (run(command) != 0) fail_msg("%s", command);
}

static void gcc(void **state) {
    with(state, "g++", "-O0");
}

static void clang(void **state) {
    with(state, "clang++", "-O0 -fsanitize=undefined -fno-sanitize-recover=all -DMIXQ_FEW_WIDTHS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gcc, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(clang, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
