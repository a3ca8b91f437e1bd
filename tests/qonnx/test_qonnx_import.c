/* Graphs of others: every operator and folding rule against a plain evaluation, and what is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/temp_dir.h"
#include "gen/rtl_stage.h"
#include "qonnx/helper_graph.h"

#define QONNX "qonnx.custom_op.general"

static const mq_shape SCALAR = {0};

static void scalar(const char *name, float v) {
    graph_values(name, SCALAR, &v);
}

/* Quantised random weights <name>, scale per output (dimension 0) or one for all. */
static void weights(const char *name, mq_shape shape, int bits, bool each) {
    char raw[64], s[64], z[64], b[64], inputs[300];
    snprintf(raw, sizeof raw, "%s.w", name);
    snprintf(s, sizeof s, "%s.s", name);
    snprintf(z, sizeof z, "%s.z", name);
    snprintf(b, sizeof b, "%s.b", name);
    graph_real(raw, shape, -1, 1);
    mq_shape scale = shape;
    for (int i = 1; i < scale.rank; i++) scale.dim[i] = 1;
    if (each)
        graph_real(s, scale, 0.9f / (float)(1 << (bits - 1)), 1.1f / (float)(1 << (bits - 1)));
    else
        scalar(s, 1.0f / (float)(1 << (bits - 1)));
    scalar(z, 0);
    scalar(b, (float)bits);
    snprintf(inputs, sizeof inputs, "%s %s %s %s", raw, s, z, b);
    mq_onnx_new_node *n = graph_node(QONNX, "Quant", name, inputs, name);
    mq_onnx_set_int(n, "signed", 1);
    mq_onnx_set_int(n, "narrow", 1);
}

static void transpose(const char *from, const char *to, const int64_t *perm, size_t rank) {
    mq_onnx_set_ints(graph_node("", "Transpose", to, from, to), "perm", perm, rank);
}

/* ((x - 0.5)*2)/1.5 + 0.25, signed narrow codes; weights through a Transpose; BN; Relu; a chain behind the
 * head. */
static void perceptron(void **state) {
    const char *path = temp_dir_path(state, "perceptron.onnx");
    const int64_t turned[] = {1, 0};
    graph_begin("x", mq_shape4(1, 1, 4, 5));
    scalar("half", 0.5f), scalar("two", 2), scalar("k", 1.5f), scalar("quarter", 0.25f), scalar("root", 0.5f);
    graph_node("", "Sub", "n0", "x half", "a0");
    graph_node("", "Mul", "n1", "a0 two", "a1");
    graph_node("", "Div", "n2", "a1 k", "a2");
    graph_node("", "Add", "n3", "quarter a2", "a3");
    graph_node("", "Flatten", "flat", "a3", "a4");
    graph_quant("q0", "a4", 0.37f, 4, true, true);
    weights("w0", mq_shape2(12, 20), 3, true);
    transpose("w0", "w0t", turned, 2);
    graph_node("", "MatMul", "fc0", "q0 w0t", "m0");
    graph_norm("bn0", "m0", 12, -1.5f, 1.5f); /* falling channels too */
    graph_node("", "Relu", "relu0", "bn0", "r0");
    graph_quant("q1", "r0", 0.21f, 3, false, false);
    weights("w1", mq_shape2(9, 12), 4, false);
    mq_onnx_set_int(graph_node("", "Gemm", "fc1", "q1 w1 bias", "m1"), "transB", 1);
    graph_real("bias", mq_shape1(9), -0.5f, 0.5f);
    graph_quant("q2", "m1", 0.3f, 5, true, false);
    weights("w2", mq_shape2(4, 9), 5, false);
    transpose("w2", "w2t", turned, 2);
    graph_node("", "MatMul", "fc2", "q2 w2t", "m2");
    scalar("mean", 0.7f), scalar("var", 3.7f), scalar("gain", 0.8f), scalar("shift", -0.3f);
    graph_node("", "Sub", "c0", "m2 mean", "h0");
    graph_node("", "Pow", "c1", "var root", "sd");
    graph_node("", "Div", "c2", "h0 sd", "h1");
    graph_node("", "Mul", "c3", "h1 gain", "h2");
    graph_node("", "Add", "c4", "h2 shift", "y");
    graph_end("y", mq_shape2(1, 4), path);
    graph_agrees(path, 60, 2);
    mq_checkpoint c;
    graph_import(path, &c);
    assert_true(c.net->given && c.net->real && c.net->real_input.count == 4);
    assert_int_equal(c.net->layer_count, 3);
    assert_true(c.net->nodes[c.net->layers[0].act].act.is_signed &&
                c.net->nodes[c.net->layers[0].act].act.narrow);
    assert_true(c.net->nodes[c.net->layers[2].act].act.is_signed &&
                !c.net->nodes[c.net->layers[2].act].act.narrow);
    assert_int_equal(c.bits.activation[2], 5);
    mq_checkpoint_free(&c);
}

/* Per-channel normalisation, padding, groups, stride, bias, pools on codes and on real values, channels-last
 * flattening. said: padding in numbers, else as SAME_UPPER, which the plain evaluation does not know. */
static void put_convolutions(const char *path, bool said) {
    const int64_t last[] = {0, 2, 3, 1}, ones[] = {1, 1, 1, 1}, two[] = {2, 2};
    mq_onnx_new_node *n;
    graph_begin("x", mq_shape4(1, 3, 9, 10));
    graph_real("mean", mq_shape4(1, 3, 1, 1), -1, 1);
    graph_values("std", (mq_shape){.rank = 3, .dim = {3, 1, 1}}, (const float[]){0.5f, 0.7f, 1.1f});
    graph_node("", "Sub", "norm0", "x mean", "a0");
    graph_node("", "Div", "norm1", "a0 std", "a1");
    graph_quant("q0", "a1", 0.11f, 6, true, false);
    weights("w0", mq_shape4(6, 3, 3, 3), 4, true);
    graph_real("b0", mq_shape1(6), -0.5f, 0.5f);
    n = graph_node("", "Conv", "conv0", "q0 w0 b0", "c0");
    mq_onnx_set_ints(n, "pads", ones, 4);
    mq_onnx_set_ints(n, "kernel_shape", (const int64_t[]){3, 3}, 2);
    n = graph_node("", "MaxPool", "pool0", "c0", "p0"); /* before its batch norm: gains above 0 */
    mq_onnx_set_ints(n, "kernel_shape", two, 2);
    mq_onnx_set_ints(n, "strides", two, 2);
    graph_norm("bn0", "p0", 6, 0.5f, 1.5f);
    graph_node("", "Relu", "relu0", "bn0", "r0");
    graph_quant("q1", "r0", 0.25f, 4, true, true); /* signed behind a Relu: what is left has 3 bits */
    weights("w1", mq_shape4(6, 1, 3, 3), 5, true);
    n = graph_node("", "Conv", "conv1", "q1 w1", "c1");
    mq_onnx_set_int(n, "group", 6);
    if (said)
        mq_onnx_set_ints(n, "pads", ones, 4);
    else
        mq_onnx_set_text(n, "auto_pad", "SAME_UPPER");
    graph_norm("bn1", "c1", 6, -1.5f, 1.5f);
    graph_quant("q2", "bn1", 0.2f, 3, true, true);
    n = graph_node("", "MaxPool", "pool1", "q2", "p1");
    mq_onnx_set_ints(n, "kernel_shape", two, 2);
    weights("w2", mq_shape4(5, 6, 1, 1), 2, true);
    graph_node("", "Conv", "conv2", "p1 w2", "c2");
    graph_quant("q3", "c2", 0.6f, 8, true, false);
    transpose("q3", "t", last, 4);
    graph_whole("row", 2, (const int64_t[]){1, -1});
    graph_node("", "Reshape", "flat", "t row", "f");
    weights("w3", mq_shape2(4, 5 * 3 * 4), 4, false);
    n = graph_node("", "Gemm", "fc", "f w3", "y");
    mq_onnx_set_int(n, "transB", 1);
    mq_onnx_set_float(n, "alpha", 0.5f);
    graph_end("y", mq_shape2(1, 4), path);
}

static void convolutions(void **state) {
    const char *path = temp_dir_path(state, "convolutions.onnx");
    mq_checkpoint c;
    put_convolutions(path, true);
    graph_agrees(path, 25, 1.5f);
    put_convolutions(path, false);
    graph_import(path, &c);
    assert_int_equal(c.net->nodes[c.net->layers[1].node].conv.pad_h, 1);
    assert_int_equal(c.bits.activation[1], 3);
    assert_false(c.net->nodes[c.net->layers[1].act].act.is_signed);
    mq_checkpoint_free(&c);
}

/* Branches: one layer read in two types, Concat of equal types, SpaceToDepth, all three domains, IntQuant. */
static void branches(void **state) {
    const char *path = temp_dir_path(state, "branches.onnx");
    mq_onnx_new_node *n;
    graph_begin("x", mq_shape4(1, 2, 8, 8));
    graph_quant("q0", "x", 0.1f, 5, true, true);
    weights("w0", mq_shape4(4, 2, 3, 3), 4, true);
    n = graph_node("", "Conv", "stem", "q0 w0", "c0");
    mq_onnx_set_ints(n, "pads", (const int64_t[]){1, 1, 1, 1}, 4);
    graph_norm("bn0", "c0", 4, 0.5f, 1.5f);
    scalar("s", 0.2f), scalar("z", 0), scalar("four", 4), scalar("three", 3);
    mq_onnx_set_int(graph_node("onnx.brevitas", "Quant", "qa", "bn0 s z four", "qa"), "signed", 0);
    mq_onnx_set_int(graph_node("finn.custom_op.general", "Quant", "qb", "bn0 s z three", "qb"), "signed", 1);
    mq_onnx_set_int(graph_node("", "SpaceToDepth", "deep", "qa", "d"), "blocksize", 2);
    weights("w1", mq_shape4(3, 4, 2, 2), 3, true);
    n = graph_node("", "Conv", "down", "qb w1", "c1");
    mq_onnx_set_ints(n, "strides", (const int64_t[]){2, 2}, 2);
    mq_onnx_set_int(graph_node(QONNX, "IntQuant", "qc", "c1 s z four", "qc"), "signed", 0);
    mq_onnx_set_int(graph_node("", "Concat", "join", "d qc", "j"), "axis", 1);
    weights("w2", mq_shape2(5, 19 * 16), 4, false);
    graph_node("", "Flatten", "flat", "j", "f");
    mq_onnx_set_int(graph_node("", "Gemm", "last", "f w2", "c2"), "transB", 1);
    scalar("gain", 0.125f);
    graph_node("", "Mul", "out", "c2 gain", "y");
    graph_end("y", mq_shape2(1, 5), path);
    graph_agrees(path, 30, 0.7f);
}

/* Reshape to a shape that is itself computed: the same checkpoint as with the shape written down. */
static void computed_shapes(void **state) {
    char path[2][600];
    uint8_t digest[2][MQ_DIGEST_TEXT];
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s", temp_dir_path(state, i ? "b/net.onnx" : "a/net.onnx"));
        mkdir(temp_dir_path(state, i ? "b" : "a"), 0777);
        graph_begin("x", mq_shape4(1, 1, 2, 3));
        if (i) {
            graph_node("", "Shape", "shape", "x", "s0");
            mq_onnx_add_whole(graph, "zero", &SCALAR, (const int64_t[]){0});
            graph_node("", "Gather", "first", "s0 zero", "s1");
            graph_whole("axes", 1, (const int64_t[]){0});
            graph_node("", "Unsqueeze", "list", "s1 axes", "s2");
            graph_whole("rest", 1, (const int64_t[]){-1});
            mq_onnx_set_int(graph_node("", "Concat", "both", "s2 rest", "row"), "axis", 0);
        } else {
            graph_whole("row", 2, (const int64_t[]){1, 6});
        }
        graph_node("", "Reshape", "flat", "x row", "f");
        graph_quant("q", "f", 0.5f, 4, true, true);
        weights("w", mq_shape2(3, 6), 4, false);
        mq_onnx_set_int(graph_node("", "Gemm", "fc", "q w", "y"), "transB", 1);
        graph_end("y", mq_shape2(1, 3), path[i]);
        mq_checkpoint c;
        graph_import(path[i], &c);
        memcpy(digest[i], mq_checkpoint_values(&c, c.net->layers[0].node, MQ_PARAM_WEIGHT), 64);
        assert_string_equal(c.net->name, "net");
        assert_int_equal(c.net->in_w, 3);
        mq_checkpoint_free(&c);
    }
    assert_memory_equal(digest[0], digest[1], 64);
}

/* ---- refusals ---- */

typedef struct refusal {
    const char *op; /* put between the Quant of the input and the layer, or after it */
    void (*put)(const char *input, const char *output);
    const char *words;
    int place; /* 0: the input, 1: its codes, 2: the layer's result, 3: its codes */
} refusal;

static void op_avg(const char *input, const char *output) {
    graph_node("", "GlobalAveragePool", "odd", input, output);
}
static void op_sigmoid(const char *input, const char *output) {
    graph_node("", "Sigmoid", "odd", input, output);
}
static void op_residual(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s %s", input, input);
    graph_node("", "Add", "odd", both, output);
}
static void op_scale(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.k", input);
    scalar("odd.k", -2);
    graph_node("", "Mul", "odd", both, output);
}
static void op_quant2(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s odd.z odd.b", input);
    scalar("odd.s", 0.5f), scalar("odd.z", 3), scalar("odd.b", 4);
    graph_node(QONNX, "Quant", "odd", both, output);
}
static void op_requant(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s odd.z odd.b", input);
    scalar("odd.s", 0.5f), scalar("odd.z", 0), scalar("odd.b", 4);
    graph_node(QONNX, "Quant", "odd", both, output);
}
static void op_wide(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s odd.z odd.b", input);
    scalar("odd.s", 0.5f), scalar("odd.z", 0), scalar("odd.b", 12);
    graph_node(QONNX, "Quant", "odd", both, output);
}
static void op_channels(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s odd.z odd.b", input);
    graph_real("odd.s", mq_shape4(1, 4, 1, 1), 0.5f, 1);
    scalar("odd.z", 0), scalar("odd.b", 4);
    graph_node(QONNX, "Quant", "odd", both, output);
}
static void op_rounding(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s odd.z odd.b", input);
    scalar("odd.s", 0.5f), scalar("odd.z", 0), scalar("odd.b", 4);
    mq_onnx_set_text(graph_node(QONNX, "Quant", "odd", both, output), "rounding_mode", "CEIL");
}
static void op_bipolar(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.s", input);
    scalar("odd.s", 0.5f);
    graph_node(QONNX, "BipolarQuant", "odd", both, output);
}
static void op_pool(const char *input, const char *output) {
    mq_onnx_new_node *n = graph_node("", "MaxPool", "odd", input, output);
    mq_onnx_set_ints(n, "kernel_shape", (const int64_t[]){2, 2}, 2);
    mq_onnx_set_ints(n, "pads", (const int64_t[]){1, 1, 0, 0}, 4);
}
static void op_reshape(const char *input, const char *output) {
    char both[128];
    snprintf(both, sizeof both, "%s odd.k", input);
    graph_whole("odd.k", 2, (const int64_t[]){2, -1});
    graph_node("", "Reshape", "odd", both, output);
}
static void op_missing(const char *input, const char *output) {
    (void)input;
    graph_node("", "Relu", "odd", "nothing", output);
}
static void op_depth(const char *input, const char *output) {
    mq_onnx_set_int(graph_node("", "DepthToSpace", "odd", input, output), "blocksize", 2);
}

static void refusals(void **state) {
    static const refusal cases[] = {
        {"avg", op_avg, "node odd (GlobalAveragePool): operator not supported", 2},
        {"sigmoid", op_sigmoid, "node odd (Sigmoid): operator not supported", 2},
        {"depth", op_depth, "node odd (DepthToSpace): operator not supported", 3},
        {"residual", op_residual, "node odd (Add): of two computed values", 2},
        {"scale", op_scale, "node odd (Mul): of quantised values: only a factor above 0", 3},
        {"zero", op_quant2, "node odd (|Quant): zero point: got 3, expected 0", 2},
        {"twice", op_requant, "node odd (|quantised already", 3},
        {"wide", op_wide, "node odd (|12 bits: activations of 1 to 8", 2},
        {"channels", op_channels, "node odd (|scale: 4 numbers for an activation", 2},
        {"rounding", op_rounding, "node odd (|rounding_mode: got 'CEIL'", 2},
        {"bipolar", op_bipolar,
         "node odd (qonnx.custom_op.general::BipolarQuant): of computed values: codes -1 and 1 without 0", 2},
        {"pool", op_pool, "node odd (MaxPool): padding", 3},
        {"reshape", op_reshape, "node odd (Reshape): to shape [2, 32]", 3},
        {"missing", op_missing, "node odd (Relu): input 'nothing' is made by no node", 2},
    };
    const char *path = temp_dir_path(state, "refused.onnx");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const refusal *r = &cases[i];
        graph_begin("x", mq_shape4(1, 2, 4, 4));
        graph_quant("q0", "x", 0.5f, 4, true, true);
        weights("w0", mq_shape4(4, 2, 3, 3), 4, true);
        mq_onnx_set_ints(graph_node("", "Conv", "conv", "q0 w0", "c"), "pads", (const int64_t[]){1, 1, 1, 1},
                         4);
        if (r->place == 3) graph_quant("q1", "c", 0.25f, 4, false, false);
        r->put(r->place == 3 ? "q1" : "c", "o");
        if (r->place == 2) graph_quant("q1", "o", 0.5f, 4, false, false);
        weights("w1", mq_shape4(2, 4, 4, 4), 4, false);
        graph_node("", "Conv", "head", r->place == 2 ? "q1 w1" : "o w1", "y");
        graph_end("y", mq_shape4(1, 2, 1, 1), path);
        graph_refused(path, r->words);
    }
}

/* Layers without quantised inputs or weights, outputs that are no classifier's. */
static void layer_refusals(void **state) {
    const char *path = temp_dir_path(state, "layer.onnx");
    for (int i = 0; i < 6; i++) {
        static const char *const words[] = {
            "node fc (Gemm): its input is not quantised", "node fc (Gemm): its weights are real numbers",
            "node q1 (|Quant): |the output is quantised", "node fc (Gemm): output 1 is scaled by",
            "node cut (Relu): the output is cut off",     "node fc (Gemm): a matrix of 6 inputs",
        };
        graph_begin("x", i == 5 ? mq_shape2(1, 7) : mq_shape2(1, 6));
        graph_quant("q0", "x", 0.5f, 4, true, true);
        weights("w", mq_shape2(3, 6), 4, i == 3);
        graph_real("raw", mq_shape2(3, 6), -1, 1);
        mq_onnx_set_int(graph_node("", "Gemm", "fc",
                                   i == 0   ? "x w"
                                   : i == 1 ? "q0 raw"
                                            : "q0 w",
                                   "y"),
                        "transB", 1);
        if (i == 2) graph_quant("q1", "y", 0.5f, 4, true, true);
        if (i == 4) graph_node("", "Relu", "cut", "y", "z");
        graph_end(i == 2 ? "q1" : i == 4 ? "z" : "y", mq_shape2(1, 3), path);
        graph_refused(path, words[i]);
    }
}

/* Hardware is built for pixels; a real input is refused there by name. */
static void no_stage_for_real_inputs(void **state) {
    (void)state;
    const mq_real_input real = {.divisor = 255};
    const mq_inet_node image = {.kind = MQ_INET_IMAGE,
                                .name = "image",
                                .image = {.h = 2, .w = 2, .c = 1, .bits = 4, .real = &real, .scale = 0.5}};
    mq_inet *net;
    mq_error error = {0};
    char *text = NULL;
    mq_stream out;
    assert_int_equal(mq_inet_create(&net, NULL), MQ_OK);
    assert_int_equal(mq_inet_add(net, &image, NULL, &error), MQ_OK);
    const mq_rtl_build build = {.net = net, .dir = ""};
    assert_int_equal(mq_rtl_stage(&build, 0, NULL, NULL, "out", &text, &out, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "image: a stage for real inputs is not built"));
    mq_inet_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perceptron),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(branches),
        cmocka_unit_test(computed_shapes),
        cmocka_unit_test(refusals),
        cmocka_unit_test(layer_refusals),
        cmocka_unit_test(no_stage_for_real_inputs),
    };
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
