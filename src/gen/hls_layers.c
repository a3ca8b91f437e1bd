/* hls_layers.c - finds the layers of a network and what the published headers cannot say about them. */
#include "gen/hls_layers.h"

#include "gen/hls_headers.h"

static mq_status refuse(const mq_hls_layer *layer, mq_error *error, const char *reason) {
    return mq_fail(error, MQ_USAGE, "%s: config.h and weights.hpp cannot express %s", layer->node->name,
                   reason);
}

/* The one node that reads node n, or NULL. */
static const mq_inet_node *only_reader(const mq_inet *net, int n) {
    if (net->nodes[n].consumers != 1) return NULL;
    for (int i = n + 1; i < net->node_count; i++)
        for (int k = 0; k < net->nodes[i].input_count; k++)
            if (net->nodes[i].input[k] == n) return &net->nodes[i];
    return NULL;
}

static mq_status check_conv(const mq_hls_layer *layer, mq_error *error) {
    const mq_inet_conv *v = &layer->node->conv;
    int pad = v->kernel_h / 2;
    if (v->kernel_h != v->kernel_w || v->kernel_h % 2 == 0)
        return refuse(layer, error, "a kernel that is not odd and square");
    if (v->stride_h != 1 || v->stride_w != 1) return refuse(layer, error, "a stride other than 1");
    if (v->pad_top != pad || v->pad_left != pad || v->pad_bottom != pad || v->pad_right != pad)
        return refuse(layer, error, "padding other than 'same'");
    if (v->groups != 1 && (v->groups != layer->in->c || v->groups != v->out_channels))
        return refuse(layer, error, "groups other than 1 or depthwise");
    return MQ_OK;
}

static mq_status check_linear(const mq_hls_layer *layer, mq_error *error) {
    if (layer->in->c % MQ_HLS_LINEAR_GROUP)
        return refuse(layer, error, "a linear layer whose channels are not a multiple of 8");
    if (layer->node->edge.c % MQ_HLS_LINEAR_LANES)
        return refuse(layer, error, "a linear layer with an odd number of outputs");
    return MQ_OK;
}

static mq_status check_requant(mq_hls_layer *layer, mq_error *error) {
    const mq_inet_requant *r = &layer->requant->requant;
    if (layer->node->kind == MQ_INET_LINEAR)
        return refuse(layer, error, "a linear layer that is not the last");
    if (layer->bias) return refuse(layer, error, "a bias before the requantisation");
    if (r->is_signed || r->low != 0 || r->high != (1 << r->bits) - 1)
        return refuse(layer, error, "result codes other than 0..2^bits-1");
    layer->l_shift = r->shift - (layer->weight_bits + layer->in->bits - 1);
    if (layer->l_shift < 0) {
        layer->doubled = -layer->l_shift;
        layer->l_shift = 0;
    }
    int64_t scale = (int64_t)1 << layer->doubled, half = (int64_t)1 << (r->shift + layer->doubled - 1), v;
    for (int c = 0; c < layer->requant->edge.c; c++)
        if (__builtin_mul_overflow(r->inc[c], scale, &v) || __builtin_mul_overflow(r->bias[c], scale, &v) ||
            __builtin_sub_overflow(v, half, &v))
            return refuse(layer, error, "inc or bias near 2^63");
    return MQ_OK;
}

static mq_status describe(const mq_inet *net, int n, mq_hls_layer *layer, mq_error *error) {
    const mq_inet_node *node = &net->nodes[n];
    bool conv = node->kind == MQ_INET_CONV;
    *layer = (mq_hls_layer){.node = node, .in = &net->nodes[node->input[0]].edge};
    layer->weight_bits = conv ? node->conv.weight_bits : node->linear.weight_bits;
    layer->weight = conv ? node->conv.weight : node->linear.weight;
    layer->bias = conv ? node->conv.bias : node->linear.bias;
    if (layer->in->is_signed) return refuse(layer, error, "signed input codes");
    MQ_TRY(conv ? check_conv(layer, error) : check_linear(layer, error));
    const mq_inet_node *reader = only_reader(net, n);
    if (reader && reader->kind == MQ_INET_OUTPUT) return MQ_OK;
    if (!reader || reader->kind != MQ_INET_REQUANT)
        return refuse(layer, error,
                      "accumulators that go elsewhere than to one requantisation or to the output");
    layer->requant = reader;
    layer->accumulators = &node->edge;
    return check_requant(layer, error);
}

mq_status mq_hls_layers_collect(const mq_inet *net, mq_hls_layer *layers, int *count, mq_error *error) {
    *count = 0;
    for (int i = 0; i < net->node_count; i++) {
        mq_inet_kind kind = net->nodes[i].kind;
        if (kind == MQ_INET_CONV || kind == MQ_INET_LINEAR)
            MQ_TRY(describe(net, i, &layers[(*count)++], error));
    }
    return MQ_OK;
}

mq_status mq_hls_headers_check(const mq_inet *net, mq_error *error) {
    mq_hls_layer layers[MQ_INET_MAX_NODES];
    int count;
    return mq_hls_layers_collect(net, layers, &count, error);
}
