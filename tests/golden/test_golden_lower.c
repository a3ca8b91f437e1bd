/* test_golden_lower.c - published checkpoints through import and lowering (--compat) against the integer
 * models that the published framework exported from them: weights, inc, bias, widths, steps and div
 * identical, and the integer outputs of the simulator too. Cases are found by their files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "golden_files.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "lower/lower.h"
#include "net/import.h"
#include "sim/sim.h"

#define CHECK(call)                                                                                          \
    do {                                                                                                     \
        if ((call) != MQ_OK) fail_msg("%s: %s", where, error.text);                                          \
    } while (0)

/* 1 + bit length of the largest magnitude. */
static int64_t width(const int64_t *v, size_t n) {
    int64_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t m = (uint64_t)(v[i] < 0 ? -v[i] : v[i]);
        int64_t b = 1;
        for (; m; m >>= 1) b++;
        if (b > bits) bits = b;
    }
    return bits;
}

static const mq_inet_node *consumer(const mq_inet *net, int index, mq_inet_kind kind) {
    for (int i = index + 1; i < net->node_count; i++)
        if (net->nodes[i].kind == kind && net->nodes[i].input[0] == index) return &net->nodes[i];
    return NULL;
}

static void check_double(const char *where, const json_t *layer, const char *key, double ours) {
    mq_error error = {0};
    double golden;
    CHECK(mq_json_double(layer, where, key, &golden, &error));
    if (golden != ours) fail_msg("%s: %s: %.17g, %.17g expected", where, key, ours, golden);
}

static void check_int(const char *where, const json_t *layer, const char *key, int64_t ours) {
    mq_error error = {0};
    int64_t golden;
    if (!json_object_get(layer, key)) return;
    CHECK(mq_json_int(layer, where, key, INT64_MIN, INT64_MAX, &golden, &error));
    if (golden != ours)
        fail_msg("%s: %s: %lld, %lld expected", where, key, (long long)ours, (long long)golden);
}

static const mq_st_entry *layer_tensor(const mq_st_file *file, int n, const char *what) {
    char name[32];
    snprintf(name, sizeof name, "layer%d.%s", n, what);
    return mq_st_find(file, name);
}

static void check_channels(const char *where, const char *what, const mq_st_entry *golden,
                           const int64_t *ours, size_t count) {
    if (!golden) fail_msg("%s: the golden model has no %s", where, what);
    assert_int_equal(mq_tensor_count(&golden->tensor), count);
    const int64_t *expected = golden->tensor.data;
    for (size_t c = 0; c < count; c++)
        if (ours[c] != expected[c])
            fail_msg("%s: %s of channel %zu: %lld, %lld expected", where, what, c, (long long)ours[c],
                     (long long)expected[c]);
}

static void check_layer(const char *folder, const mq_inet *net, int index, int n, const json_t *layer,
                        const mq_st_file *model) {
    char where[GOLDEN_PATH + 64];
    const mq_inet_node *node = &net->nodes[index];
    const mq_inet_edge *in = &net->nodes[node->input[0]].edge;
    snprintf(where, sizeof where, "%s: layer %d (%s)", folder, n, node->name);
    const mq_st_entry *golden = layer_tensor(model, n, "weight");
    assert_non_null(golden);
    const int8_t *weight = node->kind == MQ_INET_CONV ? node->conv.weight : node->linear.weight;
    assert_int_equal(mq_tensor_count(&golden->tensor), mq_inet_weight_count(net, node));
    for (size_t i = 0; i < mq_inet_weight_count(net, node); i++)
        if (weight[i] != ((const int32_t *)golden->tensor.data)[i])
            fail_msg("%s: weight %zu: %d, %d expected", where, i, weight[i],
                     ((const int32_t *)golden->tensor.data)[i]);
    check_int(where, layer, "abit", in->bits);
    check_int(where, layer, "ich", node->kind == MQ_INET_CONV ? in->c : in->c * in->h * in->w);
    check_int(where, layer, "och", node->edge.c);
    check_int(where, layer, "irow", in->h);
    check_int(where, layer, "icol", in->w);
    check_double(where, layer, "astep", in->scale);
    if (node->kind == MQ_INET_CONV) {
        check_int(where, layer, "k", node->conv.kernel_h);
        check_int(where, layer, "s", node->conv.stride_h);
        check_int(where, layer, "p", node->conv.pad_top);
        check_int(where, layer, "groups", node->conv.groups);
        check_int(where, layer, "orow", node->edge.h);
        check_int(where, layer, "ocol", node->edge.w);
    }
    check_int(where, layer, "wbit",
              node->kind == MQ_INET_CONV ? node->conv.weight_bits : node->linear.weight_bits);
    check_double(where, layer, "wstep",
                 node->kind == MQ_INET_CONV ? node->conv.weight_scale : node->linear.weight_scale);

    size_t channels = (size_t)node->edge.c;
    const mq_inet_node *requant = consumer(net, index, MQ_INET_REQUANT);
    if (!requant) {
        const int64_t *bias = node->kind == MQ_INET_CONV ? node->conv.bias : node->linear.bias;
        assert_int_equal(bias != NULL, layer_tensor(model, n, "bias") != NULL);
        if (bias) check_channels(where, "bias", layer_tensor(model, n, "bias"), bias, channels);
        if (bias) check_int(where, layer, "biasbit", width(bias, channels));
        check_double(where, layer, "div", mq_inet_last(net)->output.divisor);
        return;
    }
    const mq_inet_requant *r = &requant->requant;
    static int64_t bias[1 << 14];
    assert_true(channels <= sizeof bias / sizeof *bias);
    for (size_t c = 0; c < channels; c++) bias[c] = r->bias[c] - ((int64_t)1 << (r->shift - 1));
    assert_null(r->rule);
    check_channels(where, "inc", layer_tensor(model, n, "inc"), r->inc, channels);
    check_channels(where, "bias", layer_tensor(model, n, "bias"), bias, channels);
    check_int(where, layer, "incbit", width(r->inc, channels));
    check_int(where, layer, "biasbit", width(bias, channels));
    check_int(where, layer, "lshift_T", r->shift);
    check_int(where, layer, "obit", r->bits);
    check_double(where, layer, "ostep", r->scale);
}

/* Integer outputs of the simulated images: "integer_logits" of a classifier, "integer_output" of a detector.
 */
static void check_simulation(const char *where, const char *folder, const mq_inet *net) {
    char path[GOLDEN_PATH];
    golden_path(path, folder, "simulate.safetensors");
    if (!mq_path_exists(path)) return;
    mq_error error = {0};
    mq_st_file *file;
    CHECK(mq_st_load(path, &file, &error));
    const mq_st_entry *images = mq_st_find(file, "images"), *golden = mq_st_find(file, "integer_logits");
    if (!golden) golden = mq_st_find(file, "integer_output");
    assert_non_null(images);
    assert_non_null(golden);
    size_t count = (size_t)images->tensor.shape.dim[0], total = mq_tensor_count(&golden->tensor);
    const mq_inet_edge *head = &mq_inet_last(net)->edge;
    assert_int_equal(total, count * (size_t)head->c * (size_t)head->h * (size_t)head->w);
    int64_t *out;
    CHECK(mq_alloc(total, sizeof *out, "outputs", &out, &error));
    mq_sim *sim;
    CHECK(mq_sim_create(net, &sim, &error));
    CHECK(mq_sim_run(sim, images->tensor.data, count, MQ_SIM_NCHW, NULL, out, NULL, &error));
    for (size_t i = 0; i < total; i++)
        if (out[i] != ((const int64_t *)golden->tensor.data)[i])
            fail_msg("%s: integer output %zu: %lld, %lld expected", where, i, (long long)out[i],
                     (long long)((const int64_t *)golden->tensor.data)[i]);
    mq_sim_free(sim);
    mq_free(out);
    mq_st_free(file);
}

static void check_case(const char *folder, const char *checkpoint, bool simulate, const char *scratch) {
    char path[GOLDEN_PATH];
    const char *where = path;
    mq_error error = {0};
    mq_imported imported;
    mq_checkpoint trained;
    golden_path(path, folder, checkpoint);
    if (!mq_path_exists(path)) return;
    CHECK(mq_import_open(path, NULL, &imported, &error));
    CHECK(mq_import_save(&imported, scratch, &error));
    mq_imported_free(&imported);
    CHECK(mq_checkpoint_load(scratch, &trained, &error));
    unlink(scratch);
    const mq_lower_options options = {.compat = true, .lshift = MQ_LSHIFT_BY_NAME};
    mq_inet *net;
    CHECK(mq_lower(&trained, &options, &net, &error));

    char file[GOLDEN_PATH];
    json_t *layers;
    mq_st_file *model;
    golden_path(file, folder, "integer_model.json");
    CHECK(mq_json_load(file, &layers, &error));
    golden_path(file, folder, "integer_model.safetensors");
    CHECK(mq_st_load(file, &model, &error));
    size_t n = 0;
    for (int i = 0; i < net->node_count; i++) {
        if (net->nodes[i].kind != MQ_INET_CONV && net->nodes[i].kind != MQ_INET_LINEAR) continue;
        const json_t *layer = json_array_get(layers, n);
        if (!layer) fail_msg("%s: the golden model has only %zu layers", where, n);
        check_layer(folder, net, i, (int)n, layer, model);
        n++;
    }
    assert_int_equal(n, json_array_size(layers));
    if (simulate) check_simulation(where, folder, net);
    json_decref(layers);
    mq_st_free(model);
    mq_inet_free(net);
    mq_checkpoint_free(&trained);
}

static void one_folder(const char *folder, void *context) {
    check_case(folder, "checkpoint.safetensors", true, context);
    check_case(folder, "checkpoint.pt", false,
               context); /* the same integer network: one simulation is enough */
}

static void integer_models(void **state) {
    (void)state;
    char dir[] = "/tmp/mixq-golden-XXXXXX", scratch[64];
    assert_non_null(mkdtemp(dir));
    snprintf(scratch, sizeof scratch, "%s/c.safetensors", dir);
    int cases = golden_each("integer_model.json", one_folder, scratch);
    rmdir(dir);
    if (cases == 0) {
        print_message("no golden integer_model.json below %s: skipped\n", golden_root());
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(integer_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
