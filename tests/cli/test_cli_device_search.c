/* test_cli_device_search.c - `mixq search --device`: what it reports, that its price moves the bits, and what
 * it refuses. */
#include "helper_cli.h"

static double share_at(void **state, const char *more, const char *out) {
    json_t *r = cli_json(state, "search " TINY_RUN " --device little.yaml --lra 1 %s --out %s", more, out);
    cli_has_keys(r, "bitw bita dsp_ops_M device clock_mhz target_fps device_share device_fps");
    assert_true(cli_number(r, "device_fps") > 0);
    assert_string_equal(cli_text(r, "device"), "little");
    char path[64];
    snprintf(path, sizeof path, "%s/bits.json", out);
    json_t *bits = json_load_file(temp_dir_path(state, path), 0, NULL);
    cli_has_keys(bits, "bitw bita dsp_ops_M device clock_mhz target_fps device_share");
    const double share = cli_number(r, "device_share");
    assert_true(share > 0 && share == cli_number(bits, "device_share"));
    assert_true(cli_number(r, "target_fps") == cli_number(bits, "target_fps"));
    json_decref(bits);
    json_decref(r);
    return share;
}

static void price_moves_bits(void **state) {
    const double dear = share_at(state, "--epochs 3 --cd 0.1", "dear");
    const double free_of_charge = share_at(state, "--epochs 3 --cd 0 --fix conv0=w8a8", "free");
    assert_true(dear < free_of_charge);
    json_t *run = json_load_file(temp_dir_path(state, "dear/run.json"), 0, NULL);
    const json_t *settings = json_object_get(run, "settings");
    assert_string_equal(json_string_value(json_object_get(settings, "device")), "little");
    json_decref(run);
    cli_result *text =
        cli_works(state, "search " TINY_RUN
                         " --device little.yaml --target-fps 2000 --cd 3e-5 --clock 50 --epochs 1 --out t");
    cli_contains("search", text->out, "% of little at 50 MHz and 2000.0 frames a second");
    cli_works(state, "train " TINY_RUN " --bits t --init t --epochs 1 --out main");
}

static void refused(void **state) {
    cli_fails(state, 2, "--device and --factors",
              "search " TINY_RUN " --device generic --factors ours --out x");
    cli_fails(state, 2, "--target-fps|only with --device", "search " TINY_RUN " --target-fps 10 --out x");
    cli_fails(state, 2, "--clock|only with --device", "search " TINY_RUN " --clock 10 --out x");
    cli_fails(state, 2, "unknown device 'ultra'|ultra96v2", "search " TINY_RUN " --device ultra --out x");
    cli_fails(state, 2, "--target-fps|'0'", "search " TINY_RUN " --device generic --target-fps 0 --out x");
    cli_fails(state, 2, "--clock|'5000'", "search " TINY_RUN " --device generic --clock 5000 --out x");
    cli_fails(state, 3, "2 bits everywhere|the best is",
              "search " TINY_RUN " --device little.yaml --target-fps 9e7 --out x");
    cli_fails(state, 3, "none.yaml", "search " TINY_RUN " --device none.yaml --out x");
    assert_false(cli_exists(state, "x"));
}

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 200, 50, 8);
    cli_put_text(state, "little.yaml",
                 "name: little\npart: none\ndsp: {kind: dsp48e1, count: 20}\nlut: 10000\nff: 40000\n"
                 "bram36: 20\nbuild: false\nwhy: for tests\n");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(price_moves_bits),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, make, temp_dir_remove);
}
