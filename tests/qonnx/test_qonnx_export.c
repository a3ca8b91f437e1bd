/* QONNX files of ours: they compute the integer network, carry the checkpoint back, and are read by name when
 * changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "inet/certificate.h"
#include "lower/lower.h"
#include "qonnx/float_line.h"
#include "qonnx/helper_graph.h"
#include "qonnx/qonnx_export.h"
#include "qonnx/qonnx_import.h"
#include "sim/sim.h"

#define FILES MIXQ_SOURCE_DIR "/tests/qonnx/files/"

/* Of tests/qonnx/files/small.onnx, imported and lowered: what is exported must not change unnoticed. */
#define SMALL_NET     "dea9e1554e3e9d2bbaa85ca895589538fc4f3c9d05613eeb942227adb0473f2a"
#define SMALL_WEIGHTS "a657e524f9a9229fa623c120bcf9a92288e98a4da048fcca334d14e4fbd93542"

static const mq_qonnx_options OPTIONS = {.pixel_divisor = 255};

/* A checkpoint of random weights. */
static void make_checkpoint(void **state, const char *name, const char *description, int bits, uint64_t seed,
                            mq_checkpoint *out) {
    mq_error error = {0};
    mq_net *net;
    mq_bits all;
    mq_st_writer *writer;
    mq_param_spec *specs;
    int count;
    if (mq_net_parse(name, description, strlen(description), &net, &error) != MQ_OK)
        fail_msg("%s", error.text);
    mq_bits_uniform(net, bits, bits, &all);
    const mq_checkpoint_info info = {.net = net,
                                     .mode = bits ? MQ_MODE_FIXED : MQ_MODE_FLOAT,
                                     .share = true,
                                     .bits = bits ? &all : NULL,
                                     .epoch = 7,
                                     .precision = "bf16"};
    assert_int_equal(mq_st_writer_create(&writer, NULL), MQ_OK);
    assert_int_equal(mq_checkpoint_describe(writer, &info, &error), MQ_OK);
    assert_int_equal(mq_params_list(net, info.mode, true, &specs, &count, &error), MQ_OK);
    mq_tensor *tensors = calloc((size_t)count, sizeof *tensors);
    mq_rng rng = mq_rng_stream(seed, "export", 0);
    uint64_t n = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(mq_tensor_create(MQ_F32, specs[i].shape, &tensors[i], NULL), MQ_OK);
        float *v = tensors[i].data;
        for (size_t k = 0; k < mq_tensor_count(&tensors[i]); k++) {
            v[k] = (specs[i].kind == MQ_PARAM_WEIGHT ? 0.1f : 0.7f) * mq_rng_normal(&rng, n++);
            if (specs[i].kind == MQ_PARAM_VAR) v[k] = 0.02f + v[k] * v[k];
        }
        assert_int_equal(mq_st_add(writer, specs[i].name, &tensors[i], NULL), MQ_OK);
    }
    const char *path = temp_dir_path(state, name);
    assert_int_equal(mq_st_write(writer, path, &error), MQ_OK);
    if (mq_checkpoint_load(path, out, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int i = 0; i < count; i++) mq_tensor_free(&tensors[i]);
    free(tensors);
    mq_free(specs);
    mq_st_writer_free(writer);
    mq_net_free(net);
}

static const char BRANCHED[] =
    "name: branched\nclasses: 5\ninput: {channels: 2, height: 8, width: 12}\nlayers:\n"
    "  - conv: {name: stem, out: 6, kernel: 3}\n"
    "  - batch_norm: {name: stem_bn}\n"
    "  - max_pool: {kernel: 2}\n"
    "  - conv: {out: 6, kernel: 3, groups: depthwise, weight_bits: 8, activation_bits: 3}\n"
    "  - batch_norm: {name: deep_bn}\n"
    "  - reorg: {from: stem_bn}\n"
    "  - concat: {from: [reorg0, deep_bn]}\n"
    "  - conv: {out: 4, kernel: 2, stride: 2, padding: 0, bias: true}\n"
    "  - linear: {out: 5}\n";
static const char DOREFA[] =
    "name: powers\nquantizer: dorefa\nclasses: 3\ninput: {channels: 1, height: 6, width: 6}\nlayers:\n"
    "  - conv: {out: 5, kernel: 3, padding: 0, bias: true}\n"
    "  - max_pool: {kernel: 2}\n"
    "  - linear: {out: 9}\n"
    "  - linear: {out: 3, bias: false}\n";

static void lower(const mq_checkpoint *c, mq_inet **net) {
    mq_error error = {0};
    if (mq_lower(c, NULL, net, &error) != MQ_OK) fail_msg("%s", error.text);
}

/* net.json and weights.safetensors of a checkpoint. */
static void hashes(void **state, const mq_checkpoint *c, char net_hash[MQ_DIGEST_TEXT],
                   char weights[MQ_DIGEST_TEXT]) {
    mq_inet *net;
    lower(c, &net);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "saved"), NULL), MQ_OK);
    strcpy(net_hash, net->sha256);
    strcpy(weights, net->weights_sha256);
    mq_inet_free(net);
}

static void export_to(const mq_checkpoint *c, mq_onnx_flavour flavour, const char *path) {
    mq_inet *net;
    mq_error error = {0};
    int inexact;
    lower(c, &net);
    if (mq_qonnx_export(net, c, flavour, path, &inexact, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(inexact, 0);
    mq_inet_free(net);
}

/* The file evaluated plainly, pixels k/256, against the simulator. */
static void same_outputs(const mq_checkpoint *c, const char *path) {
    const mq_onnx_model *model;
    mq_inet *net;
    mq_sim *sim;
    mq_error error = {0};
    if (mq_onnx_load(path, &model, &error) != MQ_OK) fail_msg("%s", error.text);
    lower(c, &net);
    assert_int_equal(mq_sim_create(net, &sim, NULL), MQ_OK);
    size_t size = (size_t)c->net->in_c * (size_t)c->net->in_h * (size_t)c->net->in_w, outputs;
    uint8_t pixels[512];
    float x[512], values[64];
    double expected[64];
    int64_t acc[64];
    assert_true(size <= 512);
    mq_rng rng = mq_rng_stream(4, "pixels", 0);
    for (int i = 0; i < 20; i++) {
        for (size_t k = 0; k < size; k++) {
            pixels[k] = (uint8_t)mq_rng_below(&rng, (uint64_t)i * size + k, 256);
            x[k] = (float)pixels[k] / 256;
        }
        assert_int_equal(mq_sim_run(sim, pixels, 1, MQ_SIM_NCHW, NULL, acc, values, NULL), MQ_OK);
        graph_evaluate(model, x, expected, 64, &outputs);
        for (size_t k = 0; k < outputs; k++)
            if ((float)expected[k] != values[k] &&
                fabs(expected[k] - (double)values[k]) > 1e-6 * fabs(expected[k]))
                fail_msg("%s: image %d, output %zu: got %.9g, expected %.9g", path, i, k, expected[k],
                         (double)values[k]);
    }
    mq_sim_free(sim);
    mq_inet_free(net);
    mq_onnx_free(model);
}

/* Export, import: the same checkpoint, tensor by tensor, and the same integer network. */
static void there_and_back(void **state) {
    static const char *const descriptions[] = {BRANCHED, DOREFA};
    for (int i = 0; i < 2; i++)
        for (int bits = 1; bits <= 8; bits += 2 + (bits == 5)) {
            mq_checkpoint c, back;
            mq_error error = {0};
            char a[2][MQ_DIGEST_TEXT], b[2][MQ_DIGEST_TEXT], path[600], to[600];
            bool own = false;
            snprintf(path, sizeof path, "%s", temp_dir_path(state, "own.onnx"));
            snprintf(to, sizeof to, "%s", temp_dir_path(state, "back.safetensors"));
            make_checkpoint(state, "made.safetensors", descriptions[i], bits, (uint64_t)(10 * i + bits), &c);
            export_to(&c, MQ_ONNX_QUANT, path);
            same_outputs(&c, path);
            if (mq_qonnx_import(path, &OPTIONS, to, &own, &error) != MQ_OK) fail_msg("%s", error.text);
            assert_true(own);
            if (mq_checkpoint_load(to, &back, &error) != MQ_OK) fail_msg("%s", error.text);
            assert_int_equal(back.epoch, 7);
            assert_string_equal(back.precision, "bf16");
            hashes(state, &c, a[0], a[1]);
            hashes(state, &back, b[0], b[1]);
            assert_string_equal(a[0], b[0]);
            assert_string_equal(a[1], b[1]);
            mq_checkpoint_free(&back);
            mq_checkpoint_free(&c);
        }
}

/* A file of ours that somebody changed is read by its nodes: the weights in it count, not the checkpoint's.
 */
static void changed_file(void **state) {
    mq_checkpoint c, back;
    mq_error error = {0};
    uint8_t *bytes;
    size_t size;
    bool own = true;
    char path[600], to[600];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "changed.onnx"));
    snprintf(to, sizeof to, "%s", temp_dir_path(state, "changed.safetensors"));
    make_checkpoint(state, "made.safetensors", DOREFA, 4, 3, &c);
    export_to(&c, MQ_ONNX_QUANT, path);
    assert_int_equal(mq_file_read(path, 1 << 24, &bytes, &size, NULL), MQ_OK);
    mq_inet *net;
    lower(&c, &net);
    float first[4];
    for (int i = 0; i < 4; i++) first[i] = net->nodes[1].conv.weight[i];
    uint8_t *at = NULL;
    for (size_t i = 0; i + sizeof first < size && !at; i++)
        if (memcmp(bytes + i, first, sizeof first) == 0) at = bytes + i;
    assert_non_null(at);
    float other = first[0] == 3 ? 2 : 3;
    memcpy(at, &other, sizeof other);
    assert_int_equal(mq_file_write(path, bytes, size, NULL), MQ_OK);
    if (mq_qonnx_import(path, &OPTIONS, to, &own, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_false(own);
    if (mq_checkpoint_load(to, &back, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_true(back.net->given && !back.net->real);
    const float *weight = mq_checkpoint_values(&back, back.net->layers[0].node, MQ_PARAM_WEIGHT);
    assert_true(weight[0] == other && weight[1] == first[1]);
    mq_inet_free(net);
    mq_free(bytes);
    mq_checkpoint_free(&back);
    mq_checkpoint_free(&c);
}

/* Imported networks go out and come back too, in both flavours' shapes. */
static void imported_there_and_back(void **state) {
    mq_checkpoint c, back;
    mq_error error = {0};
    char a[2][MQ_DIGEST_TEXT], b[2][MQ_DIGEST_TEXT], path[600], to[600], plain[600];
    bool own = false;
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "again.onnx"));
    snprintf(plain, sizeof plain, "%s", temp_dir_path(state, "plain.onnx"));
    snprintf(to, sizeof to, "%s", temp_dir_path(state, "again.safetensors"));
    graph_small(temp_dir_path(state, "small.onnx"));
    graph_import(temp_dir_path(state, "small.onnx"), &c);
    export_to(&c, MQ_ONNX_QUANT, path);
    export_to(&c, MQ_ONNX_PLAIN, plain);
    if (mq_qonnx_import(path, &OPTIONS, to, &own, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_true(own);
    if (mq_checkpoint_load(to, &back, &error) != MQ_OK) fail_msg("%s", error.text);
    hashes(state, &c, a[0], a[1]);
    hashes(state, &back, b[0], b[1]);
    assert_string_equal(a[0], b[0]);
    assert_string_equal(a[1], b[1]);
    graph_agrees(path, 20, 1);
    mq_checkpoint_free(&back);
    mq_checkpoint_free(&c);
}

/* Files in the repository, written by mixq: what they become does not change unnoticed. */
static void golden(void **state) {
    static const char *const names[] = {"small.onnx", "own.onnx"};
    for (int i = 0; i < 2; i++) {
        mq_checkpoint c;
        mq_error error = {0};
        char path[600], net[MQ_DIGEST_TEXT], weights[MQ_DIGEST_TEXT];
        bool own;
        snprintf(path, sizeof path, "%s", temp_dir_path(state, "golden.safetensors"));
        char file[600];
        snprintf(file, sizeof file, FILES "%s", names[i]);
        if (mq_qonnx_import(file, &OPTIONS, path, &own, &error) != MQ_OK) fail_msg("%s", error.text);
        assert_int_equal(own, i);
        assert_int_equal(mq_checkpoint_load(path, &c, &error), MQ_OK);
        hashes(state, &c, net, weights);
        assert_string_equal(net, SMALL_NET);
        assert_string_equal(weights, SMALL_WEIGHTS);
        mq_checkpoint_free(&c);
    }
}

/* Lines against rules, accumulator by accumulator: random staircases, falling ones, ties of powers of two. */
static void lines(void **state) {
    (void)state;
    mq_rng rng = mq_rng_stream(6, "lines", 0);
    uint64_t n = 0;
    for (int round = 0; round < 300; round++) {
        int bits = 1 + (int)mq_rng_below(&rng, n++, 8), high = (1 << bits) - 1,
            low = round % 3 == 0 ? -high / 2 - 1 : 0;
        if (low) high /= 2;
        int64_t inc = (int64_t)mq_rng_below(&rng, n++, 4000) - 2000,
                bias = (int64_t)mq_rng_below(&rng, n++, 1 << 20);
        mq_inet_requant rule = {
            .bits = bits, .shift = 14, .low = low, .high = high, .inc = &inc, .bias = &bias};
        float factor, offset, unit = round % 2 ? 1 : 0.0625f;
        int64_t first = -(int64_t)mq_rng_below(&rng, n++, 3000),
                last = (int64_t)mq_rng_below(&rng, n++, 3000);
        if (!mq_float_line(&rule, 0, first, last, unit, &factor, &offset))
            fail_msg("round %d: no line", round);
        for (int64_t acc = first; acc <= last; acc++) {
            float y = (float)acc * unit * factor + offset;
            y = fminf(fmaxf(y, (float)low), (float)high);
            assert_int_equal((int64_t)rintf(y), mq_rule_code(&rule, 0, acc));
        }
    }
    /* Codes 0 0 1 2 2 2 3 4 4 4 ...: halves to even, no integer rule, but a float one. */
    int64_t zero = 0, threshold[7];
    uint8_t kind = MQ_INET_RISING;
    for (int k = 1; k <= 7; k++) threshold[k - 1] = k % 2 ? 2 * k : 2 * k - 1;
    mq_inet_requant ties = {
        .bits = 3, .high = 7, .inc = &zero, .bias = &zero, .rule = &kind, .threshold = threshold};
    float factor, offset;
    assert_true(mq_float_line(&ties, 0, -3, 30, 1, &factor, &offset));
    assert_true(factor == 0.5f && offset == 0);
    threshold[3] = 9; /* no line at all */
    assert_false(mq_float_line(&ties, 0, -3, 30, 1, &factor, &offset));
    threshold[3] = 7;
    assert_false(
        mq_float_line(&ties, 0, -3, ((int64_t)1 << 40) + 1, 1, &factor, &offset)); /* beyond float32 */
}

/* The float network, as its nodes say. */
static void float_network(void **state) {
    mq_checkpoint c;
    mq_error error = {0};
    const mq_onnx_model *m;
    static const char description[] =
        "name: f\nclasses: 3\ninput: {channels: 1, height: 6, width: 6}\nlayers:\n"
        "  - conv: {out: 4, kernel: 3, bias: true}\n  - batch_norm\n  - max_pool\n"
        "  - conv: {out: 4, kernel: 3}\n  - linear: {out: 3}\n";
    make_checkpoint(state, "float.safetensors", description, 0, 5, &c);
    const char *path = temp_dir_path(state, "float.onnx");
    if (mq_onnx_export_float(&c, path, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_onnx_load(path, &m, &error), MQ_OK);
    static const char *const ops[] = {
        "Identity", "Conv", "BatchNormalization", "MaxPool", "Relu", "Conv", "Relu", "Flatten", "Gemm"};
    assert_int_equal(m->node_count, 9);
    for (int i = 0; i < 9; i++) assert_string_equal(m->node[i].op, ops[i]);
    const float *w = mq_checkpoint_values(&c, c.net->layers[0].node, MQ_PARAM_WEIGHT);
    assert_memory_equal(mq_onnx_find_tensor(m, "conv0.weight")->real, w, 36 * sizeof *w);
    mq_onnx_free(m);
    mq_checkpoint_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(changed_file),
        cmocka_unit_test(imported_there_and_back),
        cmocka_unit_test(golden),
        cmocka_unit_test(lines),
        cmocka_unit_test(float_network),
    };
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
