/* test_cli_build_c.c - `mixq build --target c`: the folder, its bench on the trained network's outputs,
 * refusals. */
#include "helper_cli.h"

#include <stdbool.h>

#include "base/digest.h"

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

/* One bit of a file flipped; with `hash` manifest.json is told. */
static void flip(void **state, const char *name, const char *after, size_t offset, int bit, bool hash) {
    char path[64], old[MQ_DIGEST_TEXT], new[MQ_DIGEST_TEXT];
    size_t size, manifest_size;
    snprintf(path, sizeof path, "verified/%s", name);
    uint8_t *bytes = cli_get(state, path, &size),
            *manifest = cli_get(state, "verified/manifest.json", &manifest_size);
    mq_sha256(bytes, size, old);
    if (after) {
        uint8_t *at = memmem(bytes, size, after, strlen(after));
        assert_non_null(at);
        offset += (size_t)(at - bytes) + strlen(after);
    }
    bytes[offset] ^= (uint8_t)(1 << bit);
    mq_sha256(bytes, size, new);
    cli_put(state, path, bytes, size);
    if (hash) {
        uint8_t *at = memmem(manifest, manifest_size, old, 64);
        assert_non_null(at);
        memcpy(at, new, 64);
        cli_put(state, "verified/manifest.json", manifest, manifest_size);
    }
    free(manifest);
    free(bytes);
}

static void verified(void **state) {
    cli_works(state, "export run --out net3 --data mnist:data --vectors 5");
    cli_works(state, "build net3 --target c --out verified");
    cli_contains("verify", cli_works(state, "verify verified")->out,
                 "files        passed|certificate  passed|trained      passed   5 images|integer      passed|"
                 "c            passed   5 images; compiled with ");
    json_t *r = cli_json(state, "verify verified --images 2 --work work");
    assert_int_equal(cli_number(r, "images"), 2);
    json_decref(r);
    assert_true(cli_exists(state, "work/cc/program") || cli_exists(state, "work/gcc/program"));
    cli_fails(state, 2, "no accelerator|--stalls", "verify verified --stalls");

    /* any bit of any file, by its hash */
    json_error_t where;
    json_t *manifest = json_load_file(temp_dir_path(state, "verified/manifest.json"), 0, &where), *item;
    size_t i;
    assert_non_null(manifest);
    json_array_foreach(json_object_get(manifest, "files"), i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        flip(state, name, NULL, 5, 0, false);
        cli_result *v = cli_finish(state, cli_start(state, "verify verified", 0));
        assert_int_equal(v->code, 1);
        cli_contains("verify", v->err, name);
        flip(state, name, NULL, 5, 0, false);
    }
    assert_true(i >= 8);
    json_decref(manifest);

    /* with the hashes right: a weight of the program, what it does not compile with, an expected code */
    static const struct {
        const char *name, *after;
        size_t offset;
        int bit;
        const char *said;
    } CASES[] = {{"tiny.c", "_weights[", 0, 6, "does not compile"},
                 {"tiny.c", "] = {\n    ", 0, 0, "c (|linear0: image 0, channel "},
                 {"vectors/conv0.npy", "  \n", 7, 0, "conv0: image 0, channel 0"}};
    for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++) {
        flip(state, CASES[k].name, CASES[k].after, CASES[k].offset, CASES[k].bit, true);
        cli_result *v = cli_finish(state, cli_start(state, "verify verified", 0));
        assert_int_equal(v->code, 1);
        cli_contains("verify", v->err, CASES[k].said);
        flip(state, CASES[k].name, CASES[k].after, CASES[k].offset, CASES[k].bit, true);
    }
    cli_works(state, "verify verified");

    /* without a compiler, and without vectors */
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    cli_result *v = cli_finish(state, cli_start(state, "verify verified", 0));
    assert_int_equal(v->code, 1);
    cli_contains("verify", v->err, "no C compiler on PATH");
    cli_works(state, "verify verified --upto integer");
    setenv("PATH", path, 1);
    free(path);
    cli_works(state, "export run --out net4");
    cli_works(state, "build net4 --target c --out drawn");
    cli_contains("verify", cli_works(state, "verify drawn")->out, "c            passed   3 images");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(program), cmocka_unit_test(verified),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, tiny_make, temp_dir_remove);
}
