/* helper_hls_nets.c - small networks for the HLS tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/temp_dir.h"
#include "hls/helper_hls_nets.h"

uint8_t *hls_images(const mq_inet *net, size_t images, uint64_t seed) {
    const mq_inet_edge *e = &net->nodes[0].edge;
    size_t n = images * (size_t)e->h * (size_t)e->w * (size_t)e->c;
    uint8_t *image = malloc(n);
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    for (size_t i = 0; i < n; i++)
        image[i] = (uint8_t)(i < n / images ? 255 * (mq_rng_u32(&rng, i) & 1) : mq_rng_u32(&rng, i) & 255);
    return image;
}

/* The network's hash is its file's. */
void hls_save(mq_inet *net, void **state) {
    mq_error error = {0};
    if (mq_inet_save(net, temp_dir_path(state, "net"), &error) != MQ_OK) fail_msg("%s", error.text);
}

mq_inet *hls_begin(small_net *s, uint64_t seed, int h, int w, int c, int bits, bool compat) {
    mq_error error;
    *s = (small_net){.rng = mq_rng_stream(seed, "hls", 0)};
    assert_int_equal(mq_inet_create(&s->net, &error), MQ_OK);
    strcpy(s->net->model, "small");
    s->net->classes = 5;
    s->net->compat = compat;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {h, w, c, bits}};
    small_add(s, &image);
    return s->net;
}

void hls_convolution(small_net *s, const char *name, int out, int kernel_h, int kernel_w, bool depthwise,
                     int bits, int stride) {
    mq_inet_node node = {.kind = MQ_INET_CONV};
    mq_inet_conv *v = &node.conv;
    int in = s->net->nodes[s->last].edge.c;
    snprintf(node.name, sizeof node.name, "%s", name);
    v->out_channels = out;
    v->groups = depthwise ? in : 1;
    v->kernel_h = kernel_h, v->kernel_w = kernel_w;
    v->stride_h = v->stride_w = stride;
    v->pad_top = v->pad_bottom = kernel_h / 2;
    v->pad_left = v->pad_right = kernel_w / 2;
    v->weight_bits = bits;
    int8_t *weight = small_weights(s, (size_t)(out * (in / v->groups) * kernel_h * kernel_w), bits, false);
    int64_t *bias = small_biases(s, out, 40);
    v->weight = weight;
    v->bias = bias;
    small_add(s, &node);
    free(weight);
    free(bias);
}

void hls_finish(small_net *s) {
    mq_error error = {0};
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 7}};
    small_add(s, &output);
    if (mq_inet_finish(s->net, &error) != MQ_OK) fail_msg("%s", error.text);
}

/* dense, depthwise or 1 x 1 after dense; then a linear layer. */
mq_inet *hls_layers(uint64_t seed) {
    small_net s;
    mq_rng rng = mq_rng_stream(seed, "shape", 0);
    int kernel = seed % 3 == 2 ? 5 : 3, w = 6 + (int)mq_rng_below(&rng, 0, 6);
    hls_begin(&s, seed, 5 + (int)mq_rng_below(&rng, 1, 3), w, 3, 2 + (int)mq_rng_below(&rng, 2, 7), false);
    hls_convolution(&s, "conv0", 6, kernel, kernel, false, 2 + (int)mq_rng_below(&rng, 3, 5), 1);
    small_requant(&s, "conv0.requant", "conv0", 1 + (int)mq_rng_below(&rng, 4, 8), false, seed % 2);
    hls_convolution(&s, "conv1", seed % 2 ? 6 : 5, seed % 4 == 3 ? 1 : 3, seed % 4 == 3 ? 1 : kernel,
                    seed % 2, 1 + (int)mq_rng_below(&rng, 5, 8), 1);
    small_requant(&s, "conv1.requant", "conv1", 2 + (int)mq_rng_below(&rng, 6, 6), false, false);
    small_linear(&s, "linear2", 5);
    hls_finish(&s);
    return s.net;
}

/* Every kind of stage: pools of both forms, a bypass over a reorg, a table, signed codes in LUT multipliers,
 * all rules. */
mq_inet *hls_every_stage(void) {
    small_net s;
    hls_begin(&s, 77, 8, 32, 2, 4, true);
    hls_convolution(&s, "conv0", 4, 3, 3, false, 3, 1);
    small_requant(&s, "conv0.requant", "conv0", 3, false, true);
    s.last = mq_inet_find(s.net, "conv0"); /* the bypass has codes of its own */
    small_requant(&s, "conv0.bypass", "", 2, false, false);
    int from = s.last, straight = mq_inet_find(s.net, "conv0.requant");
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL,
                         .name = "pool0",
                         .dump = "pool0",
                         .input = {straight},
                         .input_count = 1,
                         .pool = {2, 2}};
    small_add(&s, &pool);
    int pooled = s.last;
    mq_inet_node reorg = {.kind = MQ_INET_REORG, .name = "reorg", .input = {from}, .input_count = 1};
    small_add(&s, &reorg);
    mq_inet_node rescale = {.kind = MQ_INET_RESCALE, .name = "rescale"};
    rescale.rescale = (mq_inet_rescale){.multiply = 0.25f, .divide = 0.1f, .bits = 4, .scale = 0.25};
    small_add(&s, &rescale);
    mq_inet_node concat = {
        .kind = MQ_INET_CONCAT, .name = "concat", .input = {s.last, pooled}, .input_count = 2};
    small_add(&s, &concat);
    hls_convolution(&s, "conv1", 5, 1, 3, false, 4, 1);
    small_requant(&s, "conv1.requant", "conv1", 4, true, false); /* signed: no packing takes the next layer */
    hls_convolution(&s, "conv2", 4, 3, 3, false, 3, 1);
    small_requant(&s, "conv2.requant", "conv2", 5, false, true);
    mq_inet_node last_pool = {.kind = MQ_INET_MAX_POOL, .name = "pool2", .dump = "pool2", .pool = {2, 2}};
    small_add(&s, &last_pool);
    small_linear(&s, "linear3", 5);
    hls_finish(&s);
    return s.net;
}

void hls_same(const mq_inet *net, const mq_inet_plan *plan, const char *dir, uint64_t seed) {
    hls_golden golden;
    mq_hls_difference d;
    mq_error error = {0};
    if (hls_golden_make(net, hls_images(net, 3, seed), 3, &golden, &error) != MQ_OK ||
        hls_check(net, plan, &golden, dir, 2, &d, NULL, &error) != MQ_OK)
        fail_msg("seed %d: %s", (int)seed, error.text);
    if (d.mismatches)
        fail_msg("seed %d: %d codes differ, first %s, image %d, channel %d, row %d, column %d: got %d, "
                 "expected %d",
                 (int)seed, (int)d.mismatches, net->nodes[d.node].name, (int)d.image, d.c, d.y, d.x,
                 (int)d.got, (int)d.expected);
    hls_golden_free(&golden);
}
