/* test_import.c - published checkpoints onto our networks: the mapping by order, modes, bits, and what does
 * not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "golden_files.h"
#include "net/checkpoint.h"
#include "net/import.h"

static char folder[] = "/tmp/mixq-import-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"net.yaml", "a.safetensors", "out.safetensors", "b.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* A published file made by hand: names with their shapes; every value is the tensor's number + element/1024.
 */
typedef struct draft {
    const char *name;
    int rank;
    int64_t dim[4];
    mq_dtype dtype;
} draft;

static const char NET[] = "name: toy\nclasses: 3\ninput: {channels: 2, height: 4, width: 4}\nlayers:\n"
                          "  - conv: {out: 4, kernel: 3}\n  - batch_norm\n"
                          "  - conv: {out: 5, kernel: 1}\n  - batch_norm\n"
                          "  - linear: {out: 3, weight_bits: 8, activation_bits: 8}\n";

static const draft FIXED[] = {
    {"layers.10.conv.weight",
     4,
     {5, 4, 1, 1},
     MQ_F32}, /* after layers.2: natural order, not the alphabet's */
    {"layers.2.conv.weight", 4, {4, 2, 3, 3}, MQ_F32},
    {"layers.2.size_product", 0, {0}, MQ_F32},
    {"layers.3.weight", 1, {4}, MQ_F32},
    {"layers.3.bias", 1, {4}, MQ_F32},
    {"layers.3.running_mean", 1, {4}, MQ_F32},
    {"layers.3.running_var", 1, {4}, MQ_F32},
    {"layers.3.num_batches_tracked", 0, {0}, MQ_I64},
    {"layers.11.weight", 1, {5}, MQ_F32},
    {"layers.11.bias", 1, {5}, MQ_F32},
    {"layers.11.running_mean", 1, {5}, MQ_F32},
    {"layers.11.running_var", 1, {5}, MQ_F32},
    {"layers.16.linear.weight", 2, {3, 80}, MQ_F32},
    {"layers.16.linear.bias", 1, {3}, MQ_F32},
};
enum { FIXED_COUNT = sizeof FIXED / sizeof *FIXED, MOST = 64 };

static void write_drafts(const draft *drafts, int count, const char *bitw, const char *bita,
                         const char *model) {
    static double values[MOST][1024];
    mq_error error = {0};
    mq_st_writer *writer;
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    for (int i = 0; i < count; i++) {
        mq_tensor t = {.dtype = drafts[i].dtype, .shape = {.rank = drafts[i].rank}, .data = values[i]};
        memcpy(t.shape.dim, drafts[i].dim, sizeof drafts[i].dim);
        float *f = t.data;
        if (t.dtype == MQ_F32)
            for (size_t k = 0; k < mq_tensor_count(&t); k++) f[k] = (float)i + (float)k / 1024.0f;
        assert_int_equal(mq_st_add(writer, drafts[i].name, &t, &error), MQ_OK);
    }
    if (bitw) assert_int_equal(mq_st_add_meta(writer, "bitw", bitw, &error), MQ_OK);
    if (bita) assert_int_equal(mq_st_add_meta(writer, "bita", bita, &error), MQ_OK);
    if (model) assert_int_equal(mq_st_add_meta(writer, "model", model, &error), MQ_OK);
    if (mq_st_write(writer, in_folder("a.safetensors"), &error) != MQ_OK) fail_msg("%s", error.text);
    mq_st_writer_free(writer);
    assert_int_equal(mq_file_write(in_folder("net.yaml"), NET, sizeof NET - 1, &error), MQ_OK);
}

static mq_status import_toy(mq_imported *out, mq_error *error) {
    char net[256], file[256];
    snprintf(net, sizeof net, "%s", in_folder("net.yaml"));
    snprintf(file, sizeof file, "%s", in_folder("a.safetensors"));
    *error = (mq_error){0};
    return mq_import_open(file, net, out, error);
}

static int node_named(const mq_net *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    fail_msg("no node %s", name);
    return -1;
}

static float first_value(const mq_imported *m, const char *node, mq_param_kind kind, int branch) {
    const float *v = mq_import_values(&m->map, node_named(m->net, node), kind, branch);
    assert_non_null(v);
    return v[0];
}

static void fixed_by_order(void **state) {
    (void)state;
    write_drafts(FIXED, FIXED_COUNT, "42", "8,3", NULL);
    mq_imported m;
    mq_error error;
    if (import_toy(&m, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(m.mode, MQ_MODE_FIXED);
    assert_true(first_value(&m, "conv0", MQ_PARAM_WEIGHT, -1) == 1.0f);
    assert_true(first_value(&m, "conv1", MQ_PARAM_WEIGHT, -1) == 0.0f);
    assert_true(first_value(&m, "bn0", MQ_PARAM_GAMMA, -1) == 3.0f);
    assert_true(first_value(&m, "bn0", MQ_PARAM_BETA, -1) == 4.0f);
    assert_true(first_value(&m, "bn1", MQ_PARAM_MEAN, -1) == 10.0f);
    assert_true(first_value(&m, "bn1", MQ_PARAM_VAR, -1) == 11.0f);
    assert_true(first_value(&m, "linear0", MQ_PARAM_BIAS, -1) == 13.0f);
    assert_int_equal(m.bits.weight[0], 4);
    assert_int_equal(m.bits.activation[1], 3);
    assert_int_equal(m.bits.weight[2], 8);
    if (mq_import_save(&m, in_folder("out.safetensors"), &error) != MQ_OK) fail_msg("%s", error.text);
    mq_checkpoint c;
    if (mq_checkpoint_load(in_folder("out.safetensors"), &c, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(c.mode, MQ_MODE_FIXED);
    assert_int_equal(c.epoch, 0);
    assert_memory_equal(&c.bits, &m.bits, sizeof c.bits);
    assert_true(mq_checkpoint_values(&c, node_named(c.net, "conv1"), MQ_PARAM_WEIGHT)[19] == 19.0f / 1024.0f);
    mq_imported_free(&m);
    /* What we wrote ourselves is not to be imported again. */
    assert_int_equal(mq_import_open(in_folder("out.safetensors"), NULL, &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "already"));
    mq_checkpoint_free(&c);
}

static void search_unshared(void **state) {
    (void)state;
    draft drafts[MOST];
    static char names[MOST][64];
    int n = 0;
    for (int layer = 0; layer < 2; layer++) {
        int module = layer ? 10 : 2;
        for (int b = 0; b < 7; b++, n++) {
            snprintf(names[n], sizeof *names, "layers.%d.mix_weight.conv_list.%d.weight", module, b);
            drafts[n] =
                (draft){names[n], 4, {4 + layer, layer ? 4 : 2, layer ? 1 : 3, layer ? 1 : 3}, MQ_F32};
        }
        snprintf(names[n], sizeof *names, "layers.%d.mix_weight.alpha_weight", module);
        drafts[n] = (draft){names[n], 1, {7}, MQ_F32};
        n++;
        snprintf(names[n], sizeof *names, "layers.%d.mix_activ.alpha_activ", module);
        drafts[n] = (draft){names[n], 1, {7}, MQ_F32};
        n++;
    }
    for (int i = 2; i < FIXED_COUNT; i++) drafts[n++] = FIXED[i];
    write_drafts(drafts, n, NULL, NULL, NULL);
    mq_imported m;
    mq_error error;
    if (import_toy(&m, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(m.mode, MQ_MODE_SEARCH);
    assert_false(m.share);
    assert_true(first_value(&m, "conv0", MQ_PARAM_WEIGHT, 3) == 3.0f);
    assert_true(first_value(&m, "conv1", MQ_PARAM_WEIGHT, 6) == 15.0f);
    assert_true(first_value(&m, "conv1", MQ_PARAM_ALPHA_WEIGHT, -1) == 16.0f);
    assert_int_equal(m.bits.weight[0], 8); /* rising alphas: the last is largest */
    assert_int_equal(m.bits.weight[2], 8);
    if (mq_import_save(&m, in_folder("out.safetensors"), &error) != MQ_OK) fail_msg("%s", error.text);
    mq_checkpoint c;
    if (mq_checkpoint_load(in_folder("out.safetensors"), &c, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(c.mode, MQ_MODE_SEARCH);
    assert_false(c.share);
    mq_checkpoint_free(&c);
    mq_imported_free(&m);
}

static void float_network(void **state) {
    (void)state;
    draft drafts[FIXED_COUNT];
    memcpy(drafts, FIXED, sizeof FIXED);
    drafts[0].name = "layers.10.weight"; /* plain layers */
    drafts[1].name = "layers.2.weight";
    drafts[2] = drafts[FIXED_COUNT - 1];
    write_drafts(drafts, FIXED_COUNT - 1, NULL, NULL, NULL);
    mq_imported m;
    mq_error error;
    if (import_toy(&m, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(m.mode, MQ_MODE_FLOAT);
    mq_imported_free(&m);
}

/* FIXED with one draft replaced (or dropped when its name is NULL). */
static void refuse(int index, draft changed, const char *bitw, const char *bita, const char *part) {
    draft drafts[FIXED_COUNT];
    int n = 0;
    for (int i = 0; i < FIXED_COUNT; i++) {
        draft d = i == index ? changed : FIXED[i];
        if (d.name) drafts[n++] = d;
    }
    write_drafts(drafts, n, bitw, bita, NULL);
    mq_imported m;
    mq_error error;
    mq_status status = import_toy(&m, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, part))
        fail_msg("status %d, '%s': '%s' expected", status, error.text, part);
}

static void mismatches(void **state) {
    (void)state;
    const draft none = {0};
    refuse(1, none, "42", "83", "1 convolutions in the file, network toy has 2");
    refuse(2, (draft){"layers.30.conv.weight", 4, {1, 1, 1, 1}, MQ_F32}, "42", "83", "3 convolutions");
    refuse(12, none, "42", "83", "layers.16: it has no weight");
    refuse(5, none, "42", "83", "has no tensor for bn0.mean");
    refuse(1, (draft){"layers.2.conv.weight", 4, {4, 2, 3, 1}, MQ_F32}, "42", "83",
           "got float32 [4, 2, 3, 1]");
    refuse(3, (draft){"layers.3.weight", 1, {4}, MQ_I64}, "42", "83", "layers.3.weight: got int64");
    refuse(3, (draft){"layers.3.weight", 3, {4, 1, 1}, MQ_F32}, "42", "83", "4, 2 or 1 dimensions");
    refuse(2, (draft){"layers.2.scale", 0, {0}, MQ_F32}, "42", "83", "layers.2.scale: not a name");
    refuse(2, (draft){"layers.2.conv.bias", 1, {4}, MQ_F32}, "42", "83", "layers.2.conv.bias has no place");
    refuse(2, (draft){"layers.2.weight", 4, {4, 2, 3, 3}, MQ_F32}, "42", "83", "same parameter");
    refuse(2, FIXED[2], "4", "83", "1 digits");
    refuse(2, FIXED[2], "49", "83", "bits from 1 to 8");
    refuse(2, FIXED[2], NULL, NULL, "without its bit widths");
    write_drafts(FIXED, FIXED_COUNT, "42", "83", "Resnet_FixQ");
    mq_imported m;
    mq_error error = {0};
    assert_int_equal(mq_import_open(in_folder("a.safetensors"), NULL, &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "'Resnet_FixQ'"));
    write_drafts(FIXED, FIXED_COUNT, "42", "83", NULL);
    assert_int_equal(mq_import_open(in_folder("a.safetensors"), NULL, &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "none of the built-in networks"));
    assert_int_equal(mq_import_open(in_folder("a.safetensors"), "vgg_tiny", &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "network vgg_tiny has 6"));
    assert_int_equal(mq_import_open(in_folder("b.bin"), NULL, &m, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_import_open(in_folder("absent.pt"), NULL, &m, &error), MQ_BAD_INPUT);
}

static void not_finite(void **state) {
    (void)state;
    write_drafts(FIXED, FIXED_COUNT, "42", "83", NULL);
    uint8_t *data;
    size_t size;
    mq_error error = {0};
    assert_int_equal(mq_file_read(in_folder("a.safetensors"), SIZE_MAX, &data, &size, &error), MQ_OK);
    const float nan_value = NAN;
    memcpy(data + size - 4, &nan_value, 4);
    assert_int_equal(mq_file_write(in_folder("a.safetensors"), data, size, &error), MQ_OK);
    mq_free(data);
    mq_imported m;
    assert_int_equal(import_toy(&m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "layers.16.linear.bias: element 2 is NaN"));
}

/* ---- golden files ---- */

/* README: the index of the n-th convolution's module. */
static void check_paths(const mq_imported *m, const mq_st_file *published) {
    static const struct {
        const char *model, *paths[16];
    } known[] = {
        {"vgg_tiny", {"layers.0", "layers.2", "layers.5", "layers.7", "layers.10", "layers.12", NULL}},
        {"ultranet",
         {"layers.0", "layers.3", "layers.6", "layers.9", "layers.12", "layers.14", "layers.16", "layers.18",
          "layers.20", NULL}},
        {"ultranet_bypass",
         {"layers_p1.0", "layers_p1.3", "layers_p1.6", "layers_p2.0", "layers_p3.1", "layers_p3.3",
          "layers_p3.5", "layers_p4.0", "layers_p4.2", NULL}},
        {"skynet",
         {"layers.0", "layers.2", "layers.5", "layers.7", "layers.10", "layers.12", "layers.15", "layers.17",
          "layers.19", "layers.21", "layers.23", "layers.25", "layers.27", NULL}},
    };
    const char *model = strcmp(m->net->name, "skynetk5") == 0 ? "skynet" : m->net->name;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(model, known[i].model) != 0) continue;
        for (int n = 0; known[i].paths[n]; n++) {
            char name[96];
            snprintf(name, sizeof name, "%s.%s.weight", known[i].paths[n],
                     m->mode == MQ_MODE_SEARCH ? "mix_weight.conv" : "conv");
            const mq_st_entry *entry = mq_st_find(published, name);
            assert_non_null(entry);
            const float *ours = mq_import_values(&m->map, m->net->layers[n].node, MQ_PARAM_WEIGHT, -1);
            assert_memory_equal(ours, entry->tensor.data, mq_tensor_bytes(&entry->tensor));
        }
    }
}

static void golden_checkpoint(const char *where, void *context) {
    (void)context;
    char path[GOLDEN_PATH];
    mq_error error = {0};
    mq_imported st, pt;
    golden_path(path, where, "checkpoint.safetensors");
    if (mq_import_open(path, NULL, &st, &error) != MQ_OK) fail_msg("%s", error.text);
    golden_path(path, where, "checkpoint.pt");
    /* A .pt does not say which network it holds: its shapes do. */
    if (mq_import_open(path, NULL, &pt, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_string_equal(st.net->name, pt.net->name);
    assert_int_equal(st.mode, MQ_MODE_FIXED);
    assert_int_equal(pt.mode, MQ_MODE_FIXED);
    assert_memory_equal(&st.bits, &pt.bits, sizeof st.bits);
    assert_int_equal(st.map.count, pt.map.count);
    for (int i = 0; i < st.map.count; i++) {
        assert_string_equal(st.map.specs[i].name, pt.map.specs[i].name);
        const mq_tensor *a = &st.map.entries[i]->tensor, *b = &pt.map.entries[i]->tensor;
        assert_memory_equal(a->data, b->data, mq_tensor_bytes(a));
    }
    check_paths(&st, st.st);
    if (mq_import_save(&pt, in_folder("out.safetensors"), &error) != MQ_OK) fail_msg("%s", error.text);
    mq_checkpoint c;
    if (mq_checkpoint_load(in_folder("out.safetensors"), &c, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_checkpoint_free(&c);
    mq_imported_free(&st);
    mq_imported_free(&pt);
}

static void golden_checkpoints(void **state) {
    (void)state;
    if (golden_each("checkpoint.pt", golden_checkpoint, NULL) == 0) {
        print_message("no golden checkpoint.pt below %s: skipped\n", golden_root());
        skip();
    }
}

/* A search's initial weights, and the gradients of its first step under the same names. */
static void golden_step(const char *where, void *context) {
    char path[GOLDEN_PATH];
    mq_error error = {0};
    mq_imported m;
    golden_path(path, where, "initial.safetensors");
    if (!mq_path_exists(path)) return;
    mq_status status = mq_import_open(path, NULL, &m, &error);
    if (status == MQ_BAD_INPUT && strstr(error.text, "without its bit widths")) return; /* a main training */
    if (status != MQ_OK) fail_msg("%s", error.text);
    ++*(int *)context;
    assert_int_equal(m.mode, MQ_MODE_SEARCH);
    check_paths(&m, m.st);
    mq_st_file *step;
    mq_import_map grads;
    golden_path(path, where, "step1.safetensors");
    if (mq_st_load(path, &step, &error) != MQ_OK) fail_msg("%s", error.text);
    if (mq_import_map_file(step, "grad.", m.net, m.mode, m.share, true, &grads, &error) != MQ_OK)
        fail_msg("%s", error.text);
    for (int i = 0; i < grads.count; i++)
        assert_int_equal(grads.entries[i] != NULL, mq_param_trained(grads.specs[i].kind));
    mq_import_map_free(&grads);
    mq_st_free(step);
    mq_imported_free(&m);
}

static void golden_steps(void **state) {
    (void)state;
    int searches = 0;
    golden_each("step1.safetensors", golden_step, &searches);
    if (searches == 0) {
        print_message("no golden search below %s: skipped\n", golden_root());
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_by_order), cmocka_unit_test(search_unshared),
        cmocka_unit_test(float_network),  cmocka_unit_test(mismatches),
        cmocka_unit_test(not_finite),     cmocka_unit_test(golden_checkpoints),
        cmocka_unit_test(golden_steps),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
