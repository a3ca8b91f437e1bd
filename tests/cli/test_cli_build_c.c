/* test_cli_build_c.c - `mixq build --target c`: the folder, its bench on the trained network's outputs,
 * refusals. */
#include "helper_cli.h"

/* A command line in the test's folder; what it says goes to shell.txt. */
static int shell(void **state, const char *line) {
    char command[512];
    snprintf(command, sizeof command, "(cd %s/program && %s) > %s/shell.txt 2>&1", ((temp_dir *)*state)->path,
             line, ((temp_dir *)*state)->path);
    return system(command);
}

static void program(void **state) {
    cli_works(state, "export run --out net --data mnist:data --vectors 6");
    json_t *r = cli_json(state, "build net --target c --out program");
    assert_string_equal(cli_text(r, "target"), "c");
    assert_string_equal(cli_text(r, "function"), "tiny_run");
    assert_int_equal(cli_number(r, "vectors"), 6);
    json_decref(r);
    if (shell(state,
              "cc -std=c11 -Wall -Wextra -Wconversion -Werror -O2 tiny.c tiny_bench.c -o bench && ./bench") !=
        0) {
        char text[CLI_RUN_TEXT];
        cli_read(state, "shell.txt", text);
        fail_msg("%s", text);
    }
    char text[CLI_RUN_TEXT];
    cli_read(state, "shell.txt", text);
    cli_contains("bench", text, "6 images, 0 wrong");
    /* the bench can fail */
    size_t size;
    uint8_t *outputs = cli_get(state, "program/outputs.bin", &size);
    outputs[5] ^= 1;
    cli_put(state, "program/outputs.bin", outputs, size);
    free(outputs);
    assert_int_not_equal(shell(state, "./bench"), 0);
    cli_read(state, "shell.txt", text);
    cli_contains("bench", text, "image 0: 1 of 10 outputs differ|6 images, 1 wrong");
    assert_false(cli_exists(state, "program/.partial"));
    cli_works(state, "build net/net.json --target c --out program --force");
    assert_int_equal(shell(state, "./bench"), 0);
}

static void refusals(void **state) {
    cli_works(state, "export run --out net2");
    cli_fails(state, 2, "--target", "build net2 --out never");
    cli_fails(state, 2, "--target", "build net2 --target cobol --out never");
    cli_fails(state, 2, "--clock: belongs to --target rtl", "build net2 --target c --out never --clock 100");
    cli_fails(state, 2, "--out is missing", "build net2 --target c");
    cli_fails(state, 2, "not empty|--force", "build net2 --target c --out data");
    cli_fails(state, 2, "a folder expected", "build net2 --target c --out tiny.yaml");
    cli_fails(state, 3, "nothing", "build nothing --target c --out never");
    size_t size;
    uint8_t *weights = cli_get(state, "net2/weights.safetensors", &size);
    weights[size - 1] ^= 1;
    cli_put(state, "net2/weights.safetensors", weights, size);
    free(weights);
    cli_fails(state, 3, "net2|weights.safetensors", "build net2 --target c --out never");
    assert_false(cli_exists(state, "never"));
    cli_works(state, "export run --out net2 --force");
    cli_works(state, "build net2 --target c --out program2"); /* no vectors: no bench */
    assert_false(cli_exists(state, "program2/tiny_bench.c"));
    assert_true(cli_exists(state, "program2/tiny.h"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(program), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, tiny_make, temp_dir_remove);
}
