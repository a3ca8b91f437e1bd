/* test_cli_build.c - build, verify and synth as a user runs them, on a trained tiny network. */
#include "helper_cli.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/process.h"
#include "inet/manifest.h"

#define BUILD "build e --device ultra96v2 --target rtl --multipliers dsp --target-fps 20000"

static int make(void **state) {
    if (tiny_make(state) != 0) return -1;
    cli_works(state, "export run --out e --data mnist:data --vectors 3");
    cli_works(state, BUILD " --out b --quiet");
    return 0;
}

static void mend(void **state) {
    mq_folder_list files;
    mq_error error = {0};
    const char *names[500];
    size_t count = 0;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, "b"));
    assert_int_equal(mq_folder_files(dir, &files, &error), MQ_OK);
    for (size_t i = 0; i < files.count; i++)
        if (strcmp(files.name[i], MQ_MANIFEST_FILE) != 0) names[count++] = files.name[i];
    assert_int_equal(mq_manifest_write(dir, names, count, &error), MQ_OK);
    mq_folder_list_free(&files);
}

/* The first file of b/mem of a stage. */
static void memory_of(void **state, const char *stage, char out[300]) {
    mq_folder_list files;
    assert_int_equal(mq_folder_files(temp_dir_path(state, "b/mem"), &files, NULL), MQ_OK);
    out[0] = 0;
    for (size_t i = 0; i < files.count && !out[0]; i++)
        if (strncmp(files.name[i], stage, strlen(stage)) == 0) snprintf(out, 300, "b/mem/%s", files.name[i]);
    assert_true(out[0] != 0);
    mq_folder_list_free(&files);
}

static void verify_fails(void **state, const char *line, const char *words) {
    char full[400];
    snprintf(full, sizeof full, "verify %s", line);
    cli_result *r = cli_finish(state, cli_start(state, full, 0));
    if (r->code != 1) fail_msg("mixq %s: exit %d, expected 1:\n%s%s", full, r->code, r->out, r->err);
    cli_contains(full, r->err, words);
}

static void built(void **state) {
    json_t *r = cli_json(state, BUILD " --out b --force");
    cli_has_keys(
        r, "out target model top device net_sha256 clock_mhz cycles fps latency_us dsp lut ff bram36 fits "
           "layers");
    assert_string_equal(cli_text(r, "top"), "tiny_top");
    assert_int_equal(json_array_size(json_object_get(r, "layers")), 5); /* image conv0 pool0 conv1 linear0 */
    double cycles = cli_number(r, "cycles");
    json_decref(r);
    cli_same_file(state, "e/net.json", "b/net.json");
    cli_same_file(state, "e/vectors/conv1.npy", "b/vectors/conv1.npy");

    r = cli_json(state, "verify b --upto packed");
    assert_int_equal(json_array_size(json_object_get(r, "steps")), 5);
    json_decref(r);
    if (!mq_program_found("iverilog")) {
        print_message("iverilog is not installed\n");
        return;
    }
    r = cli_json(state, "verify b --simulator icarus --stalls --dump d --work w");
    json_t *steps = json_object_get(r, "steps"), *rtl = json_array_get(steps, 5);
    assert_int_equal(json_array_size(steps), 7);
    assert_string_equal(cli_text(rtl, "name"), "rtl");
    assert_true(json_is_true(json_object_get(rtl, "passed")));
    assert_int_equal(cli_number(rtl, "mismatches"), 0);
    assert_int_equal(cli_number(rtl, "estimated_cycles"), (int)cycles);
    double measured = cli_number(rtl, "cycles");
    if (measured < 0.9 * cycles || measured > 1.1 * cycles)
        fail_msg("%g cycles measured, %g estimated", measured, cycles);
    assert_string_equal(cli_text(json_array_get(steps, 6), "name"), "rtl_stalls");
    assert_true(json_is_null(json_object_get(json_array_get(steps, 6), "cycles")));
    json_decref(r);
    assert_true(cli_exists(state, "w/run.txt"));
    cli_works(state, "simulate e --input e/vectors/images.npy --dump s");
    cli_works(state, "diff d s");

    /* Without vectors images are drawn. */
    cli_works(state, "export run --out e2");
    cli_works(state,
              "build e2 --device ultra96v2 --target rtl --multipliers dsp --target-fps 20000 --out b2");
    cli_contains("verify", cli_works(state, "verify b2 --simulator icarus --images 1")->out,
                 "image drawn|1 image through the reference|rtl          passed");
}

/* One bit anywhere: the manifest names the file; with mended hashes the ladder names the layer. */
static void flipped(void **state) {
    char memory[300];
    memory_of(state, "stage_conv1", memory);
    const char *const files[] = {
        memory,        "b/rtl/stage_conv0.v", "b/vectors/conv1.npy", "b/weights.safetensors",
        "b/plan.json", "b/build.json",        "b/sim/main.cpp"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        uint8_t *bytes = cli_get(state, files[i], &size);
        bytes[size / 2] ^= 1;
        cli_put(state, files[i], bytes, size);
        verify_fails(state, "b", files[i] + 2);
        bytes[size / 2] ^= 1;
        cli_put(state, files[i], bytes, size);
        free(bytes);
    }
    if (!mq_program_found("iverilog")) return;
    size_t size, at = 0;
    uint8_t *bytes = cli_get(state, memory, &size);
    while (bytes[at] == '\n') at++;
    uint8_t kept = bytes[at];
    bytes[at] = kept == '0' ? '1' : '0';
    cli_put(state, memory, bytes, size);
    mend(state);
    verify_fails(state, "b --simulator icarus", "rtl: |conv1: image 0, channel ");
    bytes[at] = kept;
    cli_put(state, memory, bytes, size);
    free(bytes);
    mend(state);
    cli_works(state, "verify b --simulator icarus");
}

/* The C++ for Vitis HLS: compiled, every layer compared; with a weight's bit flipped the files differ. */
static void hls(void **state) {
    setenv("CXXFLAGS", "-O0", 0);
    json_t *r = cli_json(
        state, "build e --device ultra96v2 --target hls --multipliers dsp --target-fps 20000 --out h");
    assert_string_equal(cli_text(r, "target"), "hls");
    json_decref(r);
    cli_works(state, "verify h --upto hls --images 1");
    size_t size;
    uint8_t *bytes;
    if (mq_file_read(temp_dir_path(state, "h/hls/conv1_data.h"), 1 << 24, &bytes, &size, NULL) != MQ_OK)
        fail_msg("no conv1_data.h");
    bytes[size / 2] ^= 1;
    cli_put(state, "h/hls/conv1_data.h", bytes, size);
    mq_free(bytes);
    verify_fails(state, "h --upto hls", "hls/conv1_data.h");
}

static void refused(void **state) {
    cli_fails(state, 2, "--target rtl", "build e --device ultra96v2 --out x");
    cli_fails(state, 2, "--target|rtl", "build e --device ultra96v2 --target c --out x");
    cli_fails(state, 2, "ultra96v2", "build e --device nothing --target rtl --out x");
    cli_fails(state, 2, "--device", "build e --target rtl --out x");
    cli_fails(state, 2, "--out", "build e --device ultra96v2 --target rtl");
    cli_fails(state, 2, "--force", BUILD " --out b");
    cli_fails(state, 2, "no build folder", BUILD " --out e --force");
    cli_fails(state, 2, "--multipliers", BUILD " --out x --multipliers fabric");
    cli_fails(state, 2, "--target-fps", BUILD " --out x --plan b/plan.json");
    cli_fails(state, 3, "plan of packings alone",
              "build e --device ultra96v2 --target rtl --plan e/plan.json --out x");
    cli_fails(state, 3, "ultra96v2", "build e --device kv260 --target rtl --plan b/plan.json --out x");
    cli_fails(state, 3, "nowhere", "build nowhere --device ultra96v2 --target rtl --out x");
    cli_fails(state, 3, "/proc", BUILD " --out /proc/nowhere/x");
    cli_fails(state, 2, "e: no accelerator|--stalls", "verify e --stalls");
    cli_fails(state, 2, "e: no accelerator|--upto rtl", "verify e --upto rtl");
    cli_fails(state, 2, "e: no C program|--upto c", "verify e --upto c");
    cli_fails(state, 3, "e: an export", "test e --data mnist:data");
    cli_fails(state, 3, "mixq build", "synth e");
    cli_fails(state, 2, "--layer|pool0", "synth b --layer pool1");
    assert_false(cli_exists(state, "x"));
    assert_false(cli_exists(state, ".x.partial"));

    /* A plan that is another's, and the same one again. */
    cli_works(state, "build e --device ultra96v2 --target rtl --plan b/plan.json --out x");
    cli_same_file(state, "b/build.json", "x/build.json");
    cli_same_file(state, "b/rtl/tiny_top.v", "x/rtl/tiny_top.v");

    /* An export that is not what was exported. */
    size_t size;
    uint8_t *bytes = cli_get(state, "e/weights.safetensors", &size);
    bytes[size - 1] ^= 1;
    cli_put(state, "e/weights.safetensors", bytes, size);
    cli_fails(state, 3, "weights.safetensors|changed", BUILD " --out y");
    bytes[size - 1] ^= 1;
    cli_put(state, "e/weights.safetensors", bytes, size);
    free(bytes);
    assert_false(cli_exists(state, "y"));

    /* Without the tools. */
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    verify_fails(state, "b", "verilator is not on PATH");
    cli_works(state, "verify b --upto packed");
    cli_fails(state, 1, "yosys is not on PATH", "synth b");
    setenv("PATH", path, 1);
    free(path);
}

static void synthesised(void **state) {
    if (!mq_program_found("yosys")) {
        print_message("yosys is not installed\n");
        skip();
    }
    json_t *r = cli_json(state, "synth b --layer pool0 --work w");
    cli_has_keys(r, "dsp lut ff bram36 layers estimate budget folder model device complete");
    json_t *layer = json_array_get(json_object_get(r, "layers"), 0);
    assert_string_equal(cli_text(layer, "layer"), "pool0");
    assert_true(cli_number(layer, "lut") > 0 && cli_number(layer, "lut") == cli_number(r, "lut"));
    cli_has_keys(layer, "dsp lut ff bram36 module estimate");
    json_decref(r);
    assert_true(cli_exists(state, "w/stage_pool0.log"));
    cli_fails(state, 1, "not done after", "synth b --layer conv1 --timeout 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(built), cmocka_unit_test(flipped),
                                       cmocka_unit_test(hls), cmocka_unit_test(refused),
                                       cmocka_unit_test(synthesised)};
    return cmocka_run_group_tests(tests, make, temp_dir_remove);
}
