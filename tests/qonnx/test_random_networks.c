/* test_random_networks.c - networks of random_networks.py through the program: every code is the one that the
 * qonnx package computed when the files were made. */
#include "cli_run.h"

#include "io/npy.h"
#include "io/npz.h"

#define FILES MIXQ_SOURCE_DIR "/tests/qonnx/files/"

static mq_npz *archive;

static void compare(const char *name, const mq_tensor *got) {
    mq_tensor expected;
    mq_error error = {0};
    if (mq_npz_read(archive, name, &expected, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_tensor_count(&expected), mq_tensor_count(got));
    for (size_t i = 0; i < mq_tensor_count(got); i++)
        if (mq_tensor_whole(&expected, i) != mq_tensor_whole(got, i))
            fail_msg("%s: element %zu: got %lld, expected %lld", name, i, (long long)mq_tensor_whole(got, i),
                     (long long)mq_tensor_whole(&expected, i));
    mq_tensor_free(&expected);
}

/* Dumps that the archive has too; their number. */
static int compare_dumps(void **state) {
    char folder[512];
    int compared = 0;
    mq_tensor got;
    snprintf(folder, sizeof folder, "%s", temp_dir_path(state, "dump"));
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[300], path[900];
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *ending = strstr(name, ".npy");
        if (!ending) continue;
        *ending = 0;
        if (!mq_npz_has(archive, name)) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_int_equal(mq_npy_load(path, &got, NULL), MQ_OK);
        compare(name, &got);
        mq_tensor_free(&got);
        compared++;
    }
    closedir(dir);
    return compared;
}

static void codes(void **state) {
    static const char *const files[] = {"random_5004", "random_5008", "random_5009",
                                        "random_5019", "random_5026", "random_5032"};
    static const char *const outputs[] = {"outputs", NULL};
    int compared = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        mq_tensor got;
        cli_works(state, "import " FILES "%s.onnx --out r.safetensors", files[i]);
        for (int engine = 0; engine < 2; engine++) {
            cli_works(state, "simulate r.safetensors --input " FILES "%s.npz --dump dump --output o.npz%s",
                      files[i], engine ? " --engine reference" : "");
            char path[512];
            snprintf(path, sizeof path, FILES "%s.npz", files[i]);
            assert_int_equal(mq_npz_open(path, &archive, NULL), MQ_OK);
            compared += compare_dumps(state);
            assert_int_equal(mq_array_load(temp_dir_path(state, "o.npz"), outputs, &got, NULL), MQ_OK);
            compare("outputs", &got);
            mq_tensor_free(&got);
            mq_npz_close(archive);
        }
        /* and on: exported as QONNX and read again it is the same network */
        cli_works(state, "export r.safetensors --out one --format qonnx --force");
        cli_works(state, "import one/qonnx.onnx --out s.safetensors");
        cli_same_file(state, "r.safetensors", "s.safetensors");
    }
    assert_true(compared >= 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(codes, temp_dir_make, temp_dir_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
