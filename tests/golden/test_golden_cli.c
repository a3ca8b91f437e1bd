/* test_golden_cli.c - the commands on published checkpoints: import, export --compat anypacking, simulate.
 * Headers byte for byte, integer outputs number for number; through QONNX and back. Cases are found by their
 * files. */
#include "cli_run.h"

#include "golden_files.h"
#include "io/npy.h"
#include "io/safetensors.h"

static int cases, rounds;

static bool present(const char *folder, const char *name, char path[GOLDEN_PATH]) {
    return golden_path(path, folder, name) && access(path, F_OK) == 0;
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("no file %s", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(size + 1);
    assert_int_equal(fread(text, 1, size, file), size);
    text[size] = 0;
    fclose(file);
    return text;
}

/* Equal after the comment block at the start. */
static void same_header(void **state, const char *ours, const char *published) {
    char *a = read_text(temp_dir_path(state, ours)), *b = read_text(published);
    const char *x = strstr(a, "***/"), *y = strstr(b, "***/");
    assert_true(x && y);
    if (strcmp(x, y) != 0) fail_msg("%s is not %s", ours, published);
    free(a);
    free(b);
}

static void same_outputs(void **state, const char *published) {
    mq_error error = {0};
    mq_st_file *file;
    mq_tensor ours;
    if (mq_st_load(published, &file, &error) != MQ_OK) fail_msg("%s", error.text);
    const mq_st_entry *golden = mq_st_find(file, "integer_output");
    if (!golden) golden = mq_st_find(file, "integer_logits");
    assert_non_null(golden);
    assert_int_equal(mq_npy_load(temp_dir_path(state, "o.npy"), &ours, &error), MQ_OK);
    assert_int_equal(ours.dtype, MQ_I64);
    assert_true(mq_shape_equal(&ours.shape, &golden->tensor.shape));
    assert_memory_equal(ours.data, golden->tensor.data, mq_tensor_bytes(&ours));
    mq_tensor_free(&ours);
    mq_st_free(file);
}

static void one_folder(const char *folder, void *context) {
    void **state = context;
    char path[GOLDEN_PATH], parallelism[GOLDEN_PATH];
    if (!present(folder, "checkpoint.safetensors", path)) return;
    json_t *imported = cli_json(state, "import %s --out c.safetensors", path);
    json_decref(imported);
    bool headers = present(folder, "config_simd_pe.txt", parallelism) && present(folder, "config.h", path);
    cli_works(state, "export c.safetensors --out e --force --compat anypacking --format hls%s%s",
              headers ? " --parallelism " : "", headers ? parallelism : "");
    if (headers) same_header(state, "e/config.h", path);
    if (headers) { /* written as it was read */
        cli_works(state, "export c.safetensors --out f --force --format folding --parallelism %s",
                  parallelism);
        char *a = read_text(temp_dir_path(state, "f/config_simd_pe.txt")), *b = read_text(parallelism);
        assert_string_equal(a, b);
        free(a);
        free(b);
    }
    if (headers && present(folder, "weights.hpp", path)) same_header(state, "e/weights.hpp", path);
    if (present(folder, "simulate.safetensors", path)) {
        json_t *r = cli_json(state, "simulate e --input %s --output o.npy", path);
        assert_true(json_is_true(json_object_get(r, "compat")));
        json_decref(r);
        same_outputs(state, path);
    }
    cases++;
}

/* .pt -> mixq -> QONNX -> mixq -> export: every file of both exports is the same. */
static void one_round(const char *folder, void *context) {
    void **state = context;
    char path[GOLDEN_PATH], a[64], b[64];
    if (!present(folder, "checkpoint.pt", path)) return;
    cli_works(state, "import %s --out c.safetensors", path);
    cli_works(state, "export c.safetensors --out one --force --format hls,qonnx,onnx");
    json_t *back = cli_json(state, "import one/qonnx.onnx --out d.safetensors");
    assert_true(json_is_true(json_object_get(back, "own")));
    json_decref(back);
    cli_same_file(state, "c.safetensors", "d.safetensors");
    cli_works(state, "export d.safetensors --out two --force --format hls,qonnx,onnx");
    static const char *const files[] = {
        "net.json",    "weights.safetensors", "certificate.json", "plan.json",    "config.h",
        "weights.hpp", "qonnx.onnx",          "plain.onnx",       "manifest.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(a, sizeof a, "one/%s", files[i]);
        snprintf(b, sizeof b, "two/%s", files[i]);
        cli_same_file(state, a, b);
    }
    rounds++;
}

static void there_and_back(void **state) {
    golden_each("checkpoint.pt", one_round, state);
    if (rounds == 0) {
        print_message("no golden checkpoint.pt below %s: skipped\n", golden_root());
        skip();
    }
    print_message("%d checkpoints\n", rounds);
}

static void published_checkpoints(void **state) {
    golden_each("integer_model.json", one_folder, state);
    if (cases == 0) {
        print_message("no golden integer_model.json below %s: skipped\n", golden_root());
        skip();
    }
    print_message("%d checkpoints\n", cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_checkpoints, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(there_and_back, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
