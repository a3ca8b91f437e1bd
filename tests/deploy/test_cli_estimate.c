/* test_cli_estimate.c - mixq devices and mixq estimate: results, their JSON, plans, and what is refused. */
#include "cli_run.h"

#define TINY "--model tiny.yaml --bitw 444 --bita 844 "

static void describe(void **state) {
    cli_put_text(state, "tiny.yaml",
                 "name: tiny\ntask: detection\nclasses: 1\nanchors: [[8, 8]]\n"
                 "input: {channels: 3, height: 16, width: 16}\nlayers:\n"
                 "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                 "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - conv: {out: 6, kernel: 1}\n");
}

static void devices(void **state) {
    cli_contains("devices", cli_works(state, "devices")->out, "ultra96v2|xczu3eg-sbva484-1-e|pynq-z2");
    cli_contains("devices", cli_works(state, "devices pynq-z2")->out, "refuses|DSP48E1");
    cli_contains("json", cli_works(state, "devices --json")->out, "\"devices\"|\"bram36\"|\"zcu102\"");
    cli_fails(state, 2, "unknown device 'zcu103'|did you mean", "devices zcu103");
    cli_put_text(state, "bad.yaml", "name: d\npart: p\ndsp: {kind: dsp48e2, count: 1}\nlutz: 3\n");
    cli_fails(state, 3, "bad.yaml:4:|lutz|lut", "devices bad.yaml");
    cli_fails(state, 3, "none.yaml", "devices none.yaml");
}

static void estimates(void **state) {
    describe(state);
    cli_contains("text", cli_works(state, "estimate " TINY "--device ultra96v2")->out,
                 "conv0|total|frames a second|binds");
    const cli_result *r = cli_works(state, "estimate " TINY "--device ultra96v2 --clock 100 --json");
    json_t *root = json_loads(r->out, 0, NULL);
    assert_non_null(root);
    cli_has_keys(root, "schema cycles fps latency_us dsp lut ff bram36 layers limit");
    double cycles = json_number_value(json_object_get(root, "cycles"));
    assert_true(cycles > 0);
    assert_float_equal(json_number_value(json_object_get(root, "fps")), 100e6 / cycles, 1);
    assert_int_equal(json_array_size(json_object_get(root, "layers")), 6);
    json_decref(root);
    cli_contains("all", cli_works(state, "estimate " TINY "--all")->out, "ultra96v2|zcu104|limit");
    cli_contains("target", cli_works(state, "estimate " TINY "--device ultra96v2 --target-fps 100000")->out,
                 "frames a second");
}

static void parallelism(void **state) {
    describe(state);
    cli_put_text(state, "simd_pe.txt", "simd pe\n9 4\n12 4\n4 3\n");
    const cli_result *r =
        cli_works(state, "estimate " TINY "--device ultra96v2 --parallelism simd_pe.txt --json");
    cli_contains("fixed", r->out, "\"simd\": 3|\"rows\": 3|\"pe\": 4");
    cli_put_text(state, "bad.txt", "simd pe\n7 4\n8 4\n8 3\n");
    cli_fails(state, 3, "bad.txt:2|7", "estimate " TINY "--device ultra96v2 --parallelism bad.txt");
}

static void refuses(void **state) {
    describe(state);
    cli_put_text(state, "small.yaml",
                 "name: small\npart: p\ndsp: {kind: dsp48e2, count: 4}\nlut: 500\nff: 1000\nbram36: 2\n");
    cli_fails(state, 3, "small is too small|LUT|short", "estimate " TINY "--device small.yaml");
    cli_fails(state, 3, "the best is", "estimate " TINY "--device ultra96v2 --target-fps 99999999");
    cli_fails(state, 2, "--device X", "estimate " TINY);
    cli_fails(state, 2, "NET, or --model", "estimate --device ultra96v2");
    cli_fails(state, 2, "--multipliers|'fpga'", "estimate " TINY "--device ultra96v2 --multipliers fpga");
    cli_fails(state, 2, "one of --parallelism",
              "estimate " TINY "--device ultra96v2 --target-fps 9 --parallelism x.txt");
    cli_fails(state, 2, "--plan-out|NET", "estimate " TINY "--device ultra96v2 --plan-out p.json");
    cli_fails(state, 2, "--clock", "estimate " TINY "--device ultra96v2 --clock 0");
    cli_fails(state, 3, "nowhere", "estimate nowhere --device ultra96v2");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(devices), cmocka_unit_test(estimates),
                                       cmocka_unit_test(parallelism), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
