/* float_export.c - a float checkpoint as plain ONNX, node by node. */
#include <stdio.h>
#include <string.h>

#include "qonnx/qonnx_export.h"

#include "io/onnx.h"

enum { OPSET = 13, TEXT = MQ_MAX_NAME + 32 };

static mq_shape shape_of(const mq_node *n) {
    return n->op == MQ_OP_LINEAR ? mq_shape2(1, n->c) : mq_shape4(1, n->c, n->h, n->w);
}

static void add_param(mq_onnx_writer *w, const mq_checkpoint *c, int node, mq_param_kind kind,
                      const char *what, mq_shape shape, char name[TEXT]) {
    snprintf(name, TEXT, "%s.%s", c->net->nodes[node].name, what);
    mq_onnx_add_real(w, name, &shape, mq_checkpoint_values(c, node, kind));
}

static void put_layer(mq_onnx_writer *w, const mq_checkpoint *c, const mq_node *n, const char *input,
                      const char *output) {
    char weight[TEXT], bias[TEXT], flat[TEXT];
    const mq_conv_attr *a = &n->conv;
    bool conv = n->op == MQ_OP_CONV, biased = conv ? a->bias : n->linear.bias;
    mq_shape shape = conv ? mq_shape4(n->c, a->in_channels / a->groups, a->kernel_h, a->kernel_w)
                          : mq_shape2(n->c, n->linear.in_features);
    add_param(w, c, n->index, MQ_PARAM_WEIGHT, "weight", shape, weight);
    if (biased) add_param(w, c, n->index, MQ_PARAM_BIAS, "bias", mq_shape1(n->c), bias);
    if (conv) {
        mq_onnx_new_node *v = mq_onnx_add_node(
            w, "", "Conv", n->name, (const char *const[]){input, weight, biased ? bias : NULL, NULL}, output);
        mq_onnx_set_ints(v, "kernel_shape", (const int64_t[]){a->kernel_h, a->kernel_w}, 2);
        mq_onnx_set_ints(v, "strides", (const int64_t[]){a->stride, a->stride}, 2);
        mq_onnx_set_ints(v, "pads", (const int64_t[]){a->pad_h, a->pad_w, a->pad_h, a->pad_w}, 4);
        mq_onnx_set_int(v, "group", a->groups);
        return;
    }
    snprintf(flat, sizeof flat, "%s.flat", n->name);
    mq_shape row = mq_shape2(1, n->linear.in_features);
    mq_onnx_add_value(w, flat, &row);
    mq_onnx_set_int(mq_onnx_add_node(w, "", "Flatten", flat, (const char *const[]){input, NULL}, flat),
                    "axis", 1);
    mq_onnx_set_int(mq_onnx_add_node(w, "", "Gemm", n->name,
                                     (const char *const[]){flat, weight, biased ? bias : NULL, NULL}, output),
                    "transB", 1);
}

static void put_norm(mq_onnx_writer *w, const mq_checkpoint *c, const mq_node *n, const char *input,
                     const char *output) {
    static const char *const names[] = {"gamma", "beta", "mean", "var"};
    static const mq_param_kind kinds[] = {MQ_PARAM_GAMMA, MQ_PARAM_BETA, MQ_PARAM_MEAN, MQ_PARAM_VAR};
    char tensor[4][TEXT];
    for (int i = 0; i < 4; i++) add_param(w, c, n->index, kinds[i], names[i], mq_shape1(n->c), tensor[i]);
    mq_onnx_set_float(
        mq_onnx_add_node(w, "", "BatchNormalization", n->name,
                         (const char *const[]){input, tensor[0], tensor[1], tensor[2], tensor[3], NULL},
                         output),
        "epsilon", 1e-5f);
}

static void put_activation(mq_onnx_writer *w, const mq_node *n, const char *input, const char *output) {
    char low[TEXT], high[TEXT];
    const mq_shape scalar = {0};
    const float zero = 0, six = 6;
    if (n->act.kind != MQ_ACT_RELU6) {
        const char *op = n->act.kind == MQ_ACT_IMAGE ? "Identity" : "Relu";
        mq_onnx_add_node(w, "", op, n->name, (const char *const[]){input, NULL}, output);
        return;
    }
    snprintf(low, sizeof low, "%s.low", n->name);
    snprintf(high, sizeof high, "%s.high", n->name);
    mq_onnx_add_real(w, low, &scalar, &zero);
    mq_onnx_add_real(w, high, &scalar, &six);
    mq_onnx_add_node(w, "", "Clip", n->name, (const char *const[]){input, low, high, NULL}, output);
}

static void put_node(mq_onnx_writer *w, const mq_checkpoint *c, const mq_node *n, const char *output) {
    const char *inputs[MQ_MAX_INPUTS + 1] = {NULL};
    for (int i = 0; i < n->input_count; i++) inputs[i] = c->net->nodes[n->input[i]].name;
    mq_onnx_new_node *made;
    switch (n->op) {
    case MQ_OP_CONV:
    case MQ_OP_LINEAR:
        put_layer(w, c, n, inputs[0], output);
        break;
    case MQ_OP_BATCH_NORM:
        put_norm(w, c, n, inputs[0], output);
        break;
    case MQ_OP_ACTIVATION:
        put_activation(w, n, inputs[0], output);
        break;
    case MQ_OP_MAX_POOL:
        made = mq_onnx_add_node(w, "", "MaxPool", n->name, inputs, output);
        mq_onnx_set_ints(made, "kernel_shape", (const int64_t[]){n->pool.kernel, n->pool.kernel}, 2);
        mq_onnx_set_ints(made, "strides", (const int64_t[]){n->pool.stride, n->pool.stride}, 2);
        break;
    case MQ_OP_REORG:
        mq_onnx_set_int(mq_onnx_add_node(w, "", "SpaceToDepth", n->name, inputs, output), "blocksize",
                        n->pool.stride);
        break;
    default: /* concat; the input is no node */
        mq_onnx_set_int(mq_onnx_add_node(w, "", "Concat", n->name, inputs, output), "axis", 1);
        break;
    }
}

mq_status mq_onnx_export_float(const mq_checkpoint *c, const char *path, mq_error *error) {
    const mq_net *net = c->net;
    mq_onnx_writer *w;
    if (c->mode != MQ_MODE_FLOAT)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a float checkpoint expected", net->name);
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, "output") == 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: a layer named 'output', as the graph's output is",
                           net->name);
    MQ_TRY(mq_onnx_writer_create(net->name, &w, error));
    mq_onnx_opset(w, "", OPSET);
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *n = &net->nodes[i];
        mq_shape shape = shape_of(n);
        bool last = i == net->output;

        if (n->op == MQ_OP_INPUT) {
            mq_onnx_add_input(w, n->name, &shape);
            continue;
        }
        if (last)
            mq_onnx_add_output(w, "output", &shape);
        else
            mq_onnx_add_value(w, n->name, &shape);
        put_node(w, c, n, last ? "output" : n->name);
    }
    mq_status status = mq_onnx_save(w, path, error);
    mq_onnx_writer_free(w);
    return status;
}
