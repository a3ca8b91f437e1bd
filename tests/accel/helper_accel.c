/* helper_accel.c - building small networks node by node. */
#include "accel/helper_accel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(accel_net *a, mq_inet_node *node) {
    mq_error error = {0};
    snprintf(node->name, sizeof node->name, "n%d", a->net->node_count);
    if (mq_inet_add(a->net, node, &a->last, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return a->last;
}

accel_net accel_begin(int h, int w, int c, int bits) {
    accel_net a = {0};
    mq_error error = {0};
    if (mq_inet_create(&a.net, &error) != MQ_OK) abort();
    strcpy(a.net->model, "small");
    a.net->task = MQ_INET_DETECTION;
    a.net->classes = 1;
    mq_inet_node node = {.kind = MQ_INET_IMAGE};
    node.image = (mq_inet_image){.h = h, .w = w, .c = c, .bits = bits};
    add(&a, &node);
    return a;
}

static int requantise(accel_net *a, int from, int bits) {
    const mq_inet_edge *e = &a->net->nodes[from].edge;
    int64_t inc[1024], bias[1024], span = e->high - e->low + 1;
    int shift = 30;
    int64_t factor = (int64_t)((double)((int64_t)1 << (shift + bits)) / (double)span);
    while (factor >= 1 << 16) {
        factor >>= 1;
        shift--;
    }
    for (int c = 0; c < e->c; c++) {
        inc[c] = factor;
        bias[c] = -e->low * factor;
    }
    mq_inet_node node = {.kind = MQ_INET_REQUANT, .input = {from}, .input_count = 1};
    node.requant =
        (mq_inet_requant){.bits = bits, .shift = shift, .high = (1 << bits) - 1, .inc = inc, .bias = bias};
    return add(a, &node);
}

static int layer(accel_net *a, int from, int out, int kernel, int groups, int weight_bits, int out_bits) {
    const mq_inet_edge *in = &a->net->nodes[from].edge;
    size_t count = (size_t)out * (size_t)(in->c / groups * kernel * kernel);
    int8_t *weight = malloc(count);
    memset(weight, -(1 << (weight_bits - 1)), count);
    mq_inet_node node = {.kind = MQ_INET_CONV, .input = {from}, .input_count = 1};
    int pad = kernel / 2;
    node.conv = (mq_inet_conv){.out_channels = out,
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride_h = 1,
                               .stride_w = 1,
                               .pad_top = pad,
                               .pad_left = pad,
                               .pad_bottom = pad,
                               .pad_right = pad,
                               .groups = groups,
                               .weight_bits = weight_bits,
                               .weight = weight};
    int index = add(a, &node);
    free(weight);
    return out_bits ? requantise(a, index, out_bits) : index;
}

int accel_conv(accel_net *a, int from, int out, int kernel, int weight_bits, int out_bits) {
    return layer(a, from, out, kernel, 1, weight_bits, out_bits);
}

int accel_depthwise(accel_net *a, int from, int kernel, int weight_bits, int out_bits) {
    int channels = a->net->nodes[from].edge.c;
    return layer(a, from, channels, kernel, channels, weight_bits, out_bits);
}

int accel_pool(accel_net *a, int from) {
    mq_inet_node node = {.kind = MQ_INET_MAX_POOL, .input = {from}, .input_count = 1, .pool = {2, 2}};
    return add(a, &node);
}

int accel_reorg(accel_net *a, int from) {
    mq_inet_node node = {.kind = MQ_INET_REORG, .input = {from}, .input_count = 1};
    return add(a, &node);
}

int accel_concat(accel_net *a, int first, int second) {
    mq_inet_node node = {.kind = MQ_INET_CONCAT, .input = {first, second}, .input_count = 2};
    return add(a, &node);
}

void accel_end(accel_net *a) {
    mq_inet_node node = {.kind = MQ_INET_OUTPUT, .input = {a->last}, .input_count = 1};
    mq_error error = {0};
    node.output.divisor = 1;
    const mq_inet_edge *e = &a->net->nodes[a->last].edge;
    a->net->anchor_count = e->c / 6;
    for (int i = 0; i < a->net->anchor_count; i++) a->net->anchor_w[i] = a->net->anchor_h[i] = 20;
    add(a, &node);
    if (mq_inet_finish(a->net, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
}

mq_inet *accel_ultranet(const char *w, const char *x) {
    static const int out[] = {16, 32, 64, 64, 64, 64, 64, 64, 36};
    accel_net a = accel_begin(160, 320, 3, x[0] - '0');
    int at = 0;
    for (int i = 0; i < 9; i++) {
        at = accel_conv(&a, at, out[i], i < 8 ? 3 : 1, w[i] - '0', i < 8 ? x[i + 1] - '0' : 0);
        if (i < 4) at = accel_pool(&a, at);
    }
    accel_end(&a);
    return a.net;
}

mq_device accel_device(int64_t dsp, int64_t lut, int64_t ram36) {
    mq_device d = {.name = "test",
                   .part = "none",
                   .dsps = dsp,
                   .lut = lut,
                   .ff = 4 * lut,
                   .bram36 = ram36,
                   .lut_cap = 1,
                   .ff_cap = 1,
                   .bram_cap = 1,
                   .dsp_cap = 1,
                   .clock_mhz = 100,
                   .build = true};
    mq_error error = {0};
    if (mq_dsp_find("dsp48e2", &d.dsp, &error) != MQ_OK) abort();
    return d;
}
