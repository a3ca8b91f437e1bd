/* params.c - the list of stored tensors. */
#include "net/params.h"

#include <stdio.h>

#include "base/memory.h"

enum { BRANCHES = 7, FIRST_BRANCH = 2 };

const char *mq_mode_name(mq_mode mode) {
    static const char *const names[] = {"float", "search", "fixed"};
    return names[mode];
}

static void add(mq_param_spec *list, int *count, const mq_node *node, mq_param_kind kind, const char *suffix,
                int branch, mq_shape shape) {
    mq_param_spec *spec = &list[(*count)++];
    *spec =
        (mq_param_spec){.kind = kind, .node = node->index, .branch = branch, .dtype = MQ_F32, .shape = shape};
    if (kind >= MQ_PARAM_SCALE) spec->dtype = MQ_F64;
    if (branch < 0)
        snprintf(spec->name, sizeof spec->name, "%s.%s", node->name, suffix);
    else
        snprintf(spec->name, sizeof spec->name, "%s.%s.%d", node->name, suffix, FIRST_BRANCH + branch);
}

mq_status mq_params_list(const mq_net *net, mq_mode mode, bool share, mq_param_spec **out, int *count,
                         mq_error *error) {
    *count = 0;
    MQ_TRY(mq_alloc((size_t)net->node_count * (BRANCHES + 4), sizeof **out, "the list of parameters", out,
                    error));
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *node = &net->nodes[i];
        if (node->op == MQ_OP_BATCH_NORM) {
            add(*out, count, node, MQ_PARAM_GAMMA, "gamma", -1, mq_shape1(node->c));
            add(*out, count, node, MQ_PARAM_BETA, "beta", -1, mq_shape1(node->c));
            add(*out, count, node, MQ_PARAM_MEAN, "mean", -1, mq_shape1(node->c));
            add(*out, count, node, MQ_PARAM_VAR, "var", -1, mq_shape1(node->c));
        }
        if (node->layer < 0) continue;
        mq_shape shape;
        bool bias;
        if (node->op == MQ_OP_CONV) {
            const mq_conv_attr *a = &node->conv;
            shape = mq_shape4(a->out_channels, a->in_channels / a->groups, a->kernel_h, a->kernel_w);
            bias = a->bias;
        } else {
            shape = mq_shape2(node->linear.out_features, node->linear.in_features);
            bias = node->linear.bias;
        }
        bool searched = mode == MQ_MODE_SEARCH && !net->layers[node->layer].pinned;
        if (searched) {
            add(*out, count, node, MQ_PARAM_ALPHA_ACTIVATION, "alpha_activation", -1, mq_shape1(BRANCHES));
            add(*out, count, node, MQ_PARAM_ALPHA_WEIGHT, "alpha_weight", -1, mq_shape1(BRANCHES));
        }
        if (searched && !share) {
            for (int b = 0; b < BRANCHES; b++) add(*out, count, node, MQ_PARAM_WEIGHT, "weight", b, shape);
        } else {
            add(*out, count, node, MQ_PARAM_WEIGHT, "weight", -1, shape);
        }
        if (bias) add(*out, count, node, MQ_PARAM_BIAS, "bias", -1, mq_shape1(shape.dim[0]));
        if (!net->given) continue;
        add(*out, count, node, MQ_PARAM_SCALE, "scale", -1, mq_shape1(shape.dim[0]));
        add(*out, count, node, MQ_PARAM_OFFSET, "offset", -1, mq_shape1(shape.dim[0]));
        add(*out, count, node, MQ_PARAM_INPUT_SCALE, "input_scale", -1, mq_shape1(1));
    }
    return MQ_OK;
}
