/* small_net.h - small random integer networks with every kind of node, for the tests of inet and sim. */
#ifndef MIXQ_TESTS_INET_SMALL_NET_H
#define MIXQ_TESTS_INET_SMALL_NET_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "inet/inet.h"

typedef struct small_net {
    mq_inet *net;
    mq_rng rng;
    uint64_t drawn;
    int last; /* node added last */
} small_net;

/* Uniform in low..high. */
static inline int small_draw(small_net *s, int low, int high) {
    return low + (int)mq_rng_below(&s->rng, s->drawn++, (uint32_t)(high - low + 1));
}

static inline void small_add(small_net *s, mq_inet_node *node) {
    mq_error error = {0};
    if (node->kind != MQ_INET_IMAGE && node->input_count == 0) {
        node->input[0] = s->last;
        node->input_count = 1;
    }
    if (mq_inet_add(s->net, node, &s->last, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
}

static inline int8_t *small_weights(small_net *s, size_t count, int bits, bool narrow) {
    int8_t *weight = malloc(count);
    int high = (1 << (bits - 1)) - 1, low = narrow ? -high : -high - 1;
    for (size_t i = 0; i < count; i++) weight[i] = (int8_t)small_draw(s, low, high);
    return weight;
}

static inline int64_t *small_biases(small_net *s, int count, int range) {
    int64_t *bias = malloc((size_t)count * sizeof *bias);
    for (int i = 0; i < count; i++) bias[i] = small_draw(s, -range, range);
    return bias;
}

static inline void small_conv(small_net *s, const char *name, int out, int groups) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_CONV};
    mq_inet_conv *v = &node.conv;
    snprintf(node.name, sizeof node.name, "%s", name);
    v->out_channels = out;
    v->groups = groups;
    v->kernel_h = small_draw(s, 1, in->h < 3 ? in->h : 3);
    v->kernel_w = small_draw(s, 1, in->w < 4 ? in->w : 4);
    v->pad_top = small_draw(s, 0, v->kernel_h - 1);
    v->pad_bottom = small_draw(s, 0, v->kernel_h - 1);
    v->pad_left = small_draw(s, 0, v->kernel_w - 1);
    v->pad_right = small_draw(s, 0, v->kernel_w - 1);
    v->stride_h = small_draw(s, 1, 2);
    v->stride_w = small_draw(s, 1, 2);
    v->weight_bits = small_draw(s, 1, 8);
    v->weight_narrow = v->weight_bits > 1 && small_draw(s, 0, 1);
    v->weight_scale = 0.125;
    int8_t *weight = small_weights(s, (size_t)(out * (in->c / groups) * v->kernel_h * v->kernel_w),
                                   v->weight_bits, v->weight_narrow);
    int64_t *bias = small_draw(s, 0, 1) ? small_biases(s, out, 1000) : NULL;
    v->weight = weight;
    v->bias = bias;
    small_add(s, &node);
    free(weight);
    free(bias);
}

static inline void small_linear(small_net *s, const char *name, int out) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_LINEAR};
    snprintf(node.name, sizeof node.name, "%s", name);
    snprintf(node.dump, sizeof node.dump, "%s", name);
    int8_t *weight = small_weights(s, (size_t)(out * in->c * in->h * in->w), 5, false);
    int64_t *bias = small_biases(s, out, 100);
    node.linear =
        (mq_inet_linear){.out_features = out, .weight_bits = 5, .weight_scale = 0.5, .weight = weight};
    node.linear.bias = bias;
    small_add(s, &node);
    free(weight);
    free(bias);
}

/* Requantises what came last: increments of either sign, zero too, spread so that codes are neither all
 * clipped nor all equal; with thresholds, every third channel is affine, rising, falling. */
static inline void small_requant(small_net *s, const char *name, const char *dump, int bits, bool is_signed,
                                 bool thresholds) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_REQUANT};
    mq_inet_requant *r = &node.requant;
    snprintf(node.name, sizeof node.name, "%s", name);
    snprintf(node.dump, sizeof node.dump, "%s", dump);
    int levels = (1 << bits) - 1;
    *r =
        (mq_inet_requant){.bits = bits, .is_signed = is_signed, .scale = 0.25, .shift = small_draw(s, 0, 20)};
    r->high = is_signed ? levels / 2 : levels;
    r->low = r->high - levels;
    int64_t span = in->high - in->low + 1;
    int64_t *inc = calloc((size_t)in->c, sizeof *inc), *bias = calloc((size_t)in->c, sizeof *bias);
    int64_t *threshold = calloc((size_t)(in->c * levels), sizeof *threshold);
    uint8_t *rule = calloc((size_t)in->c, 1);
    for (int c = 0; c < in->c; c++) {
        rule[c] = thresholds ? (uint8_t)(c % MQ_INET_RULES) : MQ_INET_AFFINE;
        if (rule[c] == MQ_INET_AFFINE) {
            int64_t steepest = (((int64_t)levels << r->shift) * 2) / span + 1;
            inc[c] = small_draw(s, -1, 4) * steepest / 3;
            bias[c] = (int64_t)small_draw(s, -2, levels) * ((int64_t)1 << r->shift) +
                      (((int64_t)1 << r->shift) >> 1);
            continue;
        }
        int64_t at = in->low + span / 8;
        for (int i = 0; i < levels; i++) {
            threshold[c * levels + i] = at;
            at += small_draw(s, 0, (int)(span / levels) + 1);
        }
    }
    r->inc = inc;
    r->bias = bias;
    r->rule = thresholds ? rule : NULL;
    r->threshold = thresholds ? threshold : NULL;
    small_add(s, &node);
    free(inc);
    free(bias);
    free(threshold);
    free(rule);
}

/* image -> conv -> requant -> conv (groups 2) -> requant [-> reorg | conv 2x2 stride 2 ...] with a bypass ->
 * pool -> linear -> output; a classifier of 5 classes. */
static inline mq_inet *small_net_random(uint64_t seed) {
    small_net s = {.rng = mq_rng_stream(seed, "small network", 0)};
    mq_error error;
    if (mq_inet_create(&s.net, &error) != MQ_OK) abort();
    strcpy(s.net->model, "small");
    strcpy(s.net->bitw, "82");
    strcpy(s.net->bita, "83");
    s.net->classes = 5;
    s.net->compat = seed % 2;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .dump = "image"};
    image.image =
        (mq_inet_image){.h = small_draw(&s, 6, 11), .w = small_draw(&s, 6, 11), .c = small_draw(&s, 1, 3)};
    image.image.bits = small_draw(&s, 1, 8);
    small_add(&s, &image);
    small_conv(&s, "conv0", 2 * small_draw(&s, 1, 3), 1);
    small_requant(&s, "conv0.requant", "conv0", small_draw(&s, 1, 8), seed % 3 == 0, seed % 5 == 1);

    /* A 1x1 convolution onto an even size, so that the bypass can be reorganised. */
    const mq_inet_edge *in = &s.net->nodes[s.last].edge;
    mq_inet_node even = {.kind = MQ_INET_CONV, .name = "conv1"};
    even.conv = (mq_inet_conv){.out_channels = 4, .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1};
    even.conv.kernel_h += in->h % 2;
    even.conv.kernel_w += in->w % 2;
    even.conv.groups = 2;
    even.conv.weight_bits = 3;
    int8_t *weight =
        small_weights(&s, (size_t)(4 * in->c / 2 * even.conv.kernel_h * even.conv.kernel_w), 3, false);
    even.conv.weight = weight;
    small_add(&s, &even);
    free(weight);
    small_requant(&s, "conv1.requant", "conv1", 4, false, false);
    int from = s.last;
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool1", .dump = "pool1", .pool = {2, 2}};
    small_add(&s, &pool);
    int pooled = s.last;
    mq_inet_node reorg = {.kind = MQ_INET_REORG, .name = "reorg", .input = {from}, .input_count = 1};
    small_add(&s, &reorg);
    if (s.net->compat) {
        mq_inet_node rescale = {.kind = MQ_INET_RESCALE, .name = "rescale"};
        rescale.rescale = (mq_inet_rescale){.multiply = 0.25f, .divide = 0.1f, .bits = 4, .scale = 0.25};
        small_add(&s, &rescale);
    }
    mq_inet_node concat = {
        .kind = MQ_INET_CONCAT, .name = "concat", .input = {s.last, pooled}, .input_count = 2};
    small_add(&s, &concat);
    small_linear(&s, "linear2", 5);
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 12.75}};
    small_add(&s, &output);
    if (mq_inet_finish(s.net, &error) != MQ_OK) abort();
    return s.net;
}

#endif
