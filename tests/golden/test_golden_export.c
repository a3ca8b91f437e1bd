/* test_golden_export.c - the published integer models: stored and read back as our integer network, their
 * headers byte for byte, and their integer outputs number for number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "gen/hls_headers.h"
#include "golden_files.h"
#include "helper_integer_model.h"
#include "io/safetensors.h"
#include "sim/sim.h"

typedef struct run {
    void **state; /* the temporary folder */
    int headers, outputs;
} run;

#define NEED(call)                                                                                           \
    do {                                                                                                     \
        if ((call) != MQ_OK) fail_msg("%s: %s", folder, error.text);                                         \
    } while (0)

/* What follows the comment block from the opening to the first closing line. */
static const char *body(const char *text) {
    assert_int_equal(strncmp(text, "/***", 4), 0);
    const char *end = strstr(text, "***/");
    assert_non_null(end);
    return end + 4;
}

static void compare_file(const char *folder, const char *ours, const char *name) {
    char path[GOLDEN_PATH];
    uint8_t *got = NULL, *expected = NULL;
    size_t size;
    mq_error error = {0};
    assert_true(golden_path(path, ours, name));
    NEED(mq_file_read(path, (size_t)1 << 30, &got, &size, &error));
    assert_true(golden_path(path, folder, name));
    NEED(mq_file_read(path, (size_t)1 << 30, &expected, &size, &error));
    const char *a = body((const char *)got), *b = body((const char *)expected);
    size_t at = 0;
    while (a[at] && a[at] == b[at]) at++;
    size_t back = at < 20 ? at : 20;
    if (a[at] != b[at])
        fail_msg("%s: %s: byte %zu after the header: got '%.40s', expected '%.40s'", folder, name, at,
                 a + at - back, b + at - back);
    mq_free(got);
    mq_free(expected);
}

static bool present(const char *folder, const char *name) {
    char path[GOLDEN_PATH];
    return golden_path(path, folder, name) && mq_path_exists(path);
}

static void check_headers(const char *folder, const mq_inet *net, run *r) {
    static mq_parallelism parallelism;
    char path[GOLDEN_PATH];
    mq_error error = {0};
    if (!present(folder, "config.h") || !present(folder, "weights.hpp")) return;
    assert_true(golden_path(path, folder, "config_simd_pe.txt"));
    NEED(mq_parallelism_load(path, net, &parallelism, &error));
    NEED(mq_hls_headers_write(net, &parallelism, temp_dir_path(r->state, "headers"), &error));
    compare_file(folder, temp_dir_path(r->state, "headers"), "config.h");
    compare_file(folder, temp_dir_path(r->state, "headers"), "weights.hpp");
    r->headers++;
}

static void check_outputs(const char *folder, const mq_inet *net, run *r) {
    char path[GOLDEN_PATH];
    mq_error error = {0};
    mq_st_file *file = NULL;
    mq_sim *sim = NULL;
    if (!present(folder, "simulate.safetensors")) return;
    assert_true(golden_path(path, folder, "simulate.safetensors"));
    NEED(mq_st_load(path, &file, &error));
    const mq_st_entry *images = mq_st_find(file, "images"), *expected = mq_st_find(file, "integer_logits");
    const mq_st_entry *real = mq_st_find(file, "logits");
    if (!expected) expected = mq_st_find(file, "integer_output");
    assert_non_null(images);
    assert_non_null(expected);
    assert_int_equal(images->tensor.dtype, MQ_U8);
    assert_int_equal(expected->tensor.dtype, MQ_I64);
    size_t n = (size_t)images->tensor.shape.dim[0], count = mq_tensor_count(&expected->tensor);
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    assert_int_equal(mq_tensor_count(&images->tensor), n * (size_t)(in->h * in->w * in->c));
    assert_int_equal(count, n * (size_t)(out->h * out->w * out->c));

    int64_t *got = calloc(count, sizeof *got);
    float *values = calloc(count, sizeof *values);
    const int64_t *want = expected->tensor.data;
    for (mq_sim_cpu cpu = 0; cpu < MQ_SIM_CPU_COUNT;
         cpu++) { /* the reference, then the fast engine's kernels */
        const mq_sim_options options = {.engine = cpu ? MQ_SIM_FAST : MQ_SIM_REFERENCE, .cpu = cpu};
        if (!mq_sim_cpu_available(cpu)) continue;
        NEED(mq_sim_create_with(net, &options, &sim, &error));
        NEED(mq_sim_run(sim, images->tensor.data, n, MQ_SIM_NCHW, NULL, got, values, &error));
        for (size_t i = 0; i < count; i++)
            if (got[i] != want[i])
                fail_msg("%s, %s: output %zu: got %lld, expected %lld", folder, mq_sim_kernels(sim), i,
                         (long long)got[i], (long long)want[i]);
        if (real) {
            assert_int_equal(real->tensor.dtype, MQ_F32);
            assert_memory_equal(values, real->tensor.data, count * sizeof *values);
        }
        mq_sim_free(sim);
    }
    free(got);
    free(values);
    mq_st_free(file);
    r->outputs++;
}

static void check_case(const char *folder, void *context) {
    run *r = context;
    mq_error error = {0};
    mq_inet *built = NULL, *net = NULL;
    NEED(golden_integer_model(folder, &built, &error));
    NEED(mq_inet_save(built, temp_dir_path(r->state, "net"), &error));
    NEED(mq_inet_load(temp_dir_path(r->state, "net"), &net, &error));
    assert_string_equal(net->sha256, built->sha256);
    mq_inet_free(built);
    check_headers(folder, net, r);
    check_outputs(folder, net, r);
    mq_inet_free(net);
}

static void published_integer_models(void **state) {
    run r = {.state = state};
    int cases = golden_each("integer_model.json", check_case, &r);
    if (cases == 0) {
        print_message("no integer_model.json below %s: skipped\n", golden_root());
        skip();
    }
    print_message("%d integer models: headers of %d, outputs of %d identical\n", cases, r.headers, r.outputs);
    assert_true(r.headers + r.outputs > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_integer_models, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
