/* test_cli_bench.c - `mixq bench` measures something in every mode; how fast is not a matter for tests. */
#include "helper_cli.h"

#define BENCH "bench --model tiny.yaml --threads 1 --batch 8 --steps 7 --mode "

static void check(void **state, const char *mode, const char *more) {
    json_t *r = cli_json(state, BENCH "%s %s", mode, more);
    cli_has_keys(r, "model step_ms_p10 step_ms_p90");
    assert_string_equal(cli_text(r, "mode"), mode);
    assert_int_equal(cli_number(r, "batch"), 8);
    assert_int_equal(cli_number(r, "steps"), 7);
    double rate = cli_number(r, "images_per_second"), convs = cli_number(r, "conv_images_per_second");
    assert_true(rate > 0 && convs > 0);
    assert_true(cli_number(r, "peak_mb") > 0);
    double ms = cli_number(r, "step_ms"), per_step = rate * ms / 1e3; /* 8 images */
    assert_true(per_step > 7.99 && per_step < 8.01);
    assert_true(cli_number(r, "step_ms_p10") <= ms && ms <= cli_number(r, "step_ms_p90"));
    const char *precision = cli_text(r, "precision");
    assert_true(strcmp(precision, "f32") == 0 || (strcmp(precision, "bf16") == 0 && !strstr(more, "f32")));
    json_decref(r);
}

static void every_mode(void **state) {
    check(state, "search", "");
    check(state, "search", "--no-share --precision f32");
    check(state, "train", "--precision f32");
    check(state, "train", "--bitw 82 --bita 38");
    check(state, "infer", "");
    cli_contains("bench", cli_works(state, BENCH "train --quiet")->out,
                 "tiny train|images/s|convolutions alone|MB");
}

static void bad_words(void **state) {
    cli_fails(state, 2, "--mode is missing", "bench --model tiny.yaml");
    cli_fails(state, 2, "--model is missing", "bench --mode train");
    cli_fails(state, 2, "--steps|'0'", "bench --model tiny.yaml --mode train --steps 0");
    cli_fails(state, 2, "--bitw and --bita go together", "bench --model tiny.yaml --mode train --bitw 44");
    cli_fails(state, 2, "'9'", "bench --model tiny.yaml --mode train --bitw 94 --bita 44");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_mode, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(bad_words, tiny_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
