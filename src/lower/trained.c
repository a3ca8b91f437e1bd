/* trained.c - weights, types and channels of a checkpoint by the quantisers' plain definitions. */
#include "lower/trained.h"

#include <math.h>

#include "base/memory.h"
#include "quant/reference.h"

/* Real value of weight code 1; 0 for equal weights of HWGQ. */
static double weight_step(mq_quantizer quantizer, const mq_trained_layer *l, const float *weight) {
    if (quantizer == MQ_QUANTIZER_DOREFA) return mq_dorefa_step(l->weight_bits);
    return mq_weight_step(l->weight_bits, mq_weight_deviation(weight, l->count));
}

mq_trained_layer mq_trained_layer_of(const mq_checkpoint *c, int index) {
    const mq_net *net = c->net;
    const mq_node *node = &net->nodes[index], *act = &net->nodes[net->layers[node->layer].act];
    mq_trained_layer l = {.node = node, .in = &net->nodes[act->input[0]], .conv = node->conv};
    if (node->op == MQ_OP_LINEAR)
        l.conv = (mq_conv_attr){.out_channels = node->c,
                                .in_channels = l.in->c,
                                .kernel_h = l.in->h,
                                .kernel_w = l.in->w,
                                .stride = 1,
                                .groups = 1};
    l.per_output =
        (size_t)(l.conv.in_channels / l.conv.groups) * (size_t)l.conv.kernel_h * (size_t)l.conv.kernel_w;
    l.count = l.per_output * (size_t)node->c;
    l.weight_bits = c->bits.weight[node->layer];
    const float *weight = mq_checkpoint_values(c, index, MQ_PARAM_WEIGHT);
    l.input = mq_checkpoint_input_type(c, node->layer);
    l.scale = mq_checkpoint_doubles(c, index, MQ_PARAM_SCALE);
    l.offset = mq_checkpoint_doubles(c, index, MQ_PARAM_OFFSET);
    if (!net->given) l.weight_step = weight_step(net->quantizer, &l, weight);
    if (!net->given && l.weight_step == 0) l.weight_step = mq_weight_unit(l.weight_bits);
    l.bias = mq_checkpoint_values(c, index, MQ_PARAM_BIAS);
    return l;
}

mq_status mq_trained_weights(const mq_checkpoint *c, const mq_trained_layer *l, int8_t *codes,
                             mq_error *error) {
    const float *weight = mq_checkpoint_values(c, l->node->index, MQ_PARAM_WEIGHT);
    for (size_t i = 0; c->net->given && i < l->count; i++) codes[i] = (int8_t)weight[i];
    if (c->net->given) return MQ_OK;
    double step = weight_step(c->net->quantizer, l, weight);
    float *normal = NULL;
    if (c->net->quantizer == MQ_QUANTIZER_DOREFA) {
        MQ_TRY(mq_alloc(l->count, sizeof *normal, "weights", &normal, error));
        (void)mq_reference_dorefa_normalize(weight, l->count, normal);
    }
    for (size_t i = 0; i < l->count; i++)
        codes[i] = (int8_t)mq_reference_weight_code(normal ? normal[i] : weight[i], l->weight_bits,
                                                    c->symmetric, step);
    mq_free(normal);
    return MQ_OK;
}

mq_channel mq_trained_channel(const mq_checkpoint *c, const mq_trained_layer *l, int norm,
                              const mq_qtype *type, int channel) {
    mq_channel out = {.weight_step = l->weight_step, .input_step = l->input.scale};
    out.bias = l->bias ? l->bias[channel] : 0;
    if (l->scale) {
        out.weight_step = l->scale[channel];
        out.input_step = 1;
        out.bias = l->offset[channel];
    }
    out.out_step = type->scale;
    out.low = mq_code_low(type->bits, type->is_signed, type->narrow);
    out.levels = mq_code_high(type->bits, type->is_signed) - out.low;
    if (norm < 0) return out;
    out.norm = true;
    out.gamma = mq_checkpoint_values(c, norm, MQ_PARAM_GAMMA)[channel];
    out.beta = mq_checkpoint_values(c, norm, MQ_PARAM_BETA)[channel];
    out.mean = mq_checkpoint_values(c, norm, MQ_PARAM_MEAN)[channel];
    out.var = mq_checkpoint_values(c, norm, MQ_PARAM_VAR)[channel];
    return out;
}
