/* test_inet.c - the integer network: what is inferred, what is refused while building, the file round trip
 * and what is refused while loading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "inet/small_net.h"
#include "io/safetensors.h"

/* ---- building ---- */

static mq_inet *start(int h, int w, int c, int bits) {
    mq_inet *net = NULL;
    mq_error error;
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "hand");
    net->classes = 1;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image"};
    image.image = (mq_inet_image){.h = h, .w = w, .c = c, .bits = bits};
    assert_int_equal(mq_inet_add(net, &image, NULL, &error), MQ_OK);
    return net;
}

/* Adding must fail with a text that has `expected` in it, and must leave the network as it was. */
static void refused(mq_inet *net, mq_inet_node node, const char *expected) {
    mq_error error = {0};
    int before = net->node_count, consumers = net->nodes[0].consumers;
    mq_status status = mq_inet_add(net, &node, NULL, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, expected))
        fail_msg("status %d, got '%s', expected '%s'", (int)status, error.text, expected);
    assert_int_equal(net->node_count, before);
    assert_int_equal(net->nodes[0].consumers, consumers);
}

static const int8_t WEIGHT[2 * 2 * 9] = {1, -2, 1, 0, 1, -1, 1, 1, 1, -2, -2, 1};

/* A good 3x3 convolution of 2 channels onto 2. */
static mq_inet_node good_conv(void) {
    mq_inet_node node = {.kind = MQ_INET_CONV, .name = "conv0", .input_count = 1};
    node.conv = (mq_inet_conv){2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, false, 0.5, WEIGHT, NULL};
    return node;
}

static const int64_t INC[2] = {3, -5}, BIAS[2] = {16, -17};

static mq_inet_node good_requant(void) {
    mq_inet_node node = {.kind = MQ_INET_REQUANT, .name = "conv0.requant", .input = {1}, .input_count = 1};
    node.requant =
        (mq_inet_requant){.bits = 2, .scale = 0.5, .shift = 5, .high = 3, .inc = INC, .bias = BIAS};
    return node;
}

/* Edges worked out by hand: weights 1 and -2 on codes 0..15 and so on. */
static void inferred_edges(void **state) {
    (void)state;
    static const int8_t weight[4] = {1, -2, -1, 0};
    static const int64_t bias[2] = {0, -100};
    mq_error error = {0};
    mq_inet *net = start(4, 6, 2, 4);
    mq_inet_node conv = good_conv();
    conv.conv = (mq_inet_conv){2, 1, 1, 2, 3, 0, 0, 0, 0, 1, 2, false, 0.5, weight, bias};
    assert_int_equal(mq_inet_add(net, &conv, NULL, &error), MQ_OK);
    assert_int_equal(
        mq_inet_add(
            net,
            &(mq_inet_node){
                .kind = MQ_INET_MAX_POOL, .name = "p", .input = {1}, .input_count = 1, .pool = {2, 1}},
            NULL, &error),
        MQ_OK);
    const mq_inet_node *node = &net->nodes[1];
    const mq_inet_edge *e = &node->edge;
    assert_int_equal(e->h, 2);
    assert_int_equal(e->w, 2);
    assert_int_equal(e->c, 2);
    assert_int_equal(e->channel_low[0], -30);
    assert_int_equal(e->channel_high[0], 15);
    assert_int_equal(e->channel_low[1], -115);
    assert_int_equal(e->channel_high[1], -100);
    assert_int_equal(e->low, -115);
    assert_int_equal(e->high, 15);
    assert_int_equal(e->bits, 8);
    assert_true(e->is_signed && e->scale == 0.5 / 16);
    assert_int_equal(node->bias_bits, 8); /* 100 has 7 */
    assert_true(node->conv.weight != weight && node->conv.weight[1] == -2);
    assert_int_equal(net->nodes[2].edge.h, 1);
    assert_int_equal(node->consumers, 1);
    assert_int_equal(mq_inet_find(net, "conv0"), 1);
    assert_int_equal(mq_inet_find(net, "conv1"), -1);
    assert_int_equal(mq_inet_weight_count(net, node), 4);

    /* (acc*3 + 16) >> 5 of -30..15 and (acc*-5 - 17) >> 5 of -115..-100, both clipped to 0..3 */
    mq_inet_node requant = good_requant();
    assert_int_equal(mq_inet_add(net, &requant, NULL, &error), MQ_OK);
    e = &net->nodes[3].edge;
    assert_int_equal(e->channel_low[0], 0);
    assert_int_equal(e->channel_high[0], 1);
    assert_int_equal(e->channel_low[1], 3);
    assert_int_equal(e->high, 3);
    assert_int_equal(net->nodes[3].inc_bits, 4);
    assert_int_equal(net->nodes[3].bias_bits, 6);

    /* A layer that reads them is bounded by what each channel can reach: 2*[0, 1] - [3, 3]. */
    static const int8_t next[2] = {2, -1};
    mq_inet_node second = {.kind = MQ_INET_CONV, .name = "conv1", .input = {3}, .input_count = 1};
    second.conv = (mq_inet_conv){1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3, false, 0, next, NULL};
    assert_int_equal(mq_inet_add(net, &second, NULL, &error), MQ_OK);
    assert_int_equal(net->nodes[4].edge.low, -3);
    assert_int_equal(net->nodes[4].edge.high, -1);
    assert_int_equal(net->nodes[4].edge.bits, 3);
    mq_inet_free(net);
}

static void refused_places(void **state) {
    (void)state;
    mq_inet *net = start(4, 4, 2, 4);
    mq_inet_node n = good_conv();
    strcpy(n.name, "");
    refused(net, n, "name");
    strcpy(n.name, "a/b");
    refused(net, n, "name");
    strcpy(n.name, ".hidden");
    refused(net, n, "name");
    strcpy(n.name, "image");
    refused(net, n, "image: name used twice");
    n = good_conv();
    strcpy(n.dump, "../conv0");
    refused(net, n, "conv0: dump");
    n = good_conv();
    n.input_count = 0;
    refused(net, n, "conv0: got 0 inputs");
    n.input_count = 2;
    refused(net, n, "conv0: got 2 inputs");
    n.input_count = 1;
    n.input[0] = 1;
    refused(net, n, "conv0: input 0: got node 1, expected an earlier node");
    n.input[0] = -1;
    refused(net, n, "expected an earlier node");
    n = (mq_inet_node){.kind = MQ_INET_IMAGE, .name = "second", .image = {1, 1, 1, 8}};
    refused(net, n, "second: the image must be the first");
    n = (mq_inet_node){.kind = MQ_INET_KIND_COUNT, .name = "odd"};
    refused(net, n, "odd: unknown kind");
    mq_inet_free(net);
    assert_int_equal(mq_inet_create(&net, NULL), MQ_OK);
    n = good_conv();
    refused(net, n, "conv0: the image must be the first");
    n = (mq_inet_node){.kind = MQ_INET_IMAGE, .name = "image", .image = {4, 4, 2, 9}};
    refused(net, n, "image: bits: got 9");
    n.image = (mq_inet_image){0, 4, 2, 8};
    refused(net, n, "image: rows: got 0");
    n.image = (mq_inet_image){16384, 16384, 3, 8};
    refused(net, n, "elements of the result");
    mq_inet_free(net);
}

static void refused_layers(void **state) {
    (void)state;
    static const int64_t far[2] = {INT64_MAX, 0};
    mq_inet *net = start(4, 4, 2, 4);
#define CONV_REFUSED(change, expected)                                                                       \
    do {                                                                                                     \
        mq_inet_node n = good_conv();                                                                        \
        mq_inet_conv *v = &n.conv;                                                                           \
        change;                                                                                              \
        refused(net, n, "conv0: " expected);                                                                 \
    } while (0)
    CONV_REFUSED(v->out_channels = 0, "output channels: got 0");
    CONV_REFUSED(v->kernel_h = 0, "kernel rows: got 0");
    CONV_REFUSED(v->kernel_w = 65, "kernel columns: got 65");
    CONV_REFUSED(v->kernel_w = 7, "kernel 3 x 7 is larger");
    CONV_REFUSED(v->stride_h = 0, "row stride: got 0");
    CONV_REFUSED(v->pad_left = 3, "left padding: got 3");
    CONV_REFUSED(v->pad_bottom = -1, "bottom padding: got -1");
    CONV_REFUSED(v->groups = 0, "groups: got 0");
    CONV_REFUSED((v->groups = 2, v->out_channels = 1), "groups: got 2, expected a divisor");
    CONV_REFUSED(v->weight_bits = 9, "weight bits: got 9");
    CONV_REFUSED(v->weight_bits = 1, "weight 0 of output channel 0: got 1, expected -1 to 0");
    CONV_REFUSED(v->weight_narrow = true,
                 "weight 1 of output channel 0: got -2, expected -1 to 1 (2 bits, symmetric)");
    CONV_REFUSED(v->weight_scale = -1, "weight scale");
    CONV_REFUSED(v->weight = NULL, "weight: missing");
    CONV_REFUSED(v->bias = far, "output channel 0: bias 9223372036854775807 takes the accumulator");
#undef CONV_REFUSED
    mq_inet_node linear = {.kind = MQ_INET_LINEAR, .name = "fc", .input_count = 1};
    linear.linear = (mq_inet_linear){.out_features = 1 << 17, .weight_bits = 2, .weight = WEIGHT};
    net->nodes[0].edge.c = 1 << 10; /* only the count is looked at before it is refused */
    refused(net, linear, "fc: number of weights");
    net->nodes[0].edge.c = 2;

    /* Accumulators of more than 16 bits do not go into weights. */
    mq_error error = {0};
    mq_inet_node conv = good_conv();
    static const int64_t large[2] = {40000, 0};
    conv.conv.bias = large;
    assert_int_equal(mq_inet_add(net, &conv, NULL, &error), MQ_OK);
    conv = good_conv();
    strcpy(conv.name, "conv1");
    conv.input[0] = 1;
    refused(net, conv, "conv1: input codes: got 0 to 40105, expected at most 16 signed bits");
    mq_inet_free(net);
}

static void refused_requantisations(void **state) {
    (void)state;
    static const int64_t huge[2] = {INT64_MAX / 8, 1}, full[2] = {INT64_MAX, 0};
    static const uint8_t rule[2] = {MQ_INET_RISING, MQ_INET_AFFINE}, odd[2] = {9, 0}, affine[2] = {0, 0};
    static const int64_t zero[2] = {0, 7}, sorted[6] = {-4, 0, INT64_MAX, 0, 0, 0},
                         fall[6] = {-4, 0, -1, 0, 0, 0};
    mq_error error = {0};
    mq_inet *net = start(4, 4, 2, 4);
    mq_inet_node conv = good_conv();
    assert_int_equal(mq_inet_add(net, &conv, NULL, &error), MQ_OK);
#define REQUANT_REFUSED(change, expected)                                                                    \
    do {                                                                                                     \
        mq_inet_node n = good_requant();                                                                     \
        mq_inet_requant *r = &n.requant;                                                                     \
        change;                                                                                              \
        refused(net, n, "conv0.requant: " expected);                                                         \
    } while (0)
    REQUANT_REFUSED(r->bits = 0, "bits: got 0");
    REQUANT_REFUSED(r->narrow = true, "narrow");
    REQUANT_REFUSED(r->shift = 63, "shift: got 63");
    REQUANT_REFUSED(r->shift = -1, "shift: got -1");
    REQUANT_REFUSED(r->high = 4, "high: got 4");
    REQUANT_REFUSED(r->low = -1, "low: got -1");
    REQUANT_REFUSED((r->is_signed = r->narrow = true, r->low = -2, r->high = 1),
                    "low: got -2, expected -1 to 1");
    REQUANT_REFUSED((r->low = 2, r->high = 1), "high: got 1, expected 2 to 3");
    REQUANT_REFUSED(r->scale = 1.0 / 0.0, "scale");
    REQUANT_REFUSED(r->inc = NULL, "inc: missing");
    REQUANT_REFUSED(r->bias = NULL, "bias: missing");
    REQUANT_REFUSED(r->inc = huge, "channel 0: ");
    REQUANT_REFUSED(r->bias = full, "channel 0: ");
    REQUANT_REFUSED(r->rule = rule, "threshold: missing");
    REQUANT_REFUSED(r->threshold = sorted, "rule: missing");
    REQUANT_REFUSED((r->rule = rule, r->threshold = sorted),
                    "channel 0: inc 3, bias 16 in a channel of thresholds");
    REQUANT_REFUSED((r->rule = rule, r->threshold = fall, r->inc = r->bias = zero),
                    "channel 0: threshold 2 is below");
    REQUANT_REFUSED((r->rule = odd, r->threshold = sorted), "channel 0: rule: got 9");
    REQUANT_REFUSED((r->rule = affine, r->threshold = sorted), "channel 0: thresholds in an affine channel");
    REQUANT_REFUSED((r->rule = affine, r->threshold = sorted, r->high = 0), "thresholds between codes");
#undef REQUANT_REFUSED
    mq_inet_node good = good_requant();
    good.requant.rule = rule;
    good.requant.threshold = sorted;
    good.requant.inc = good.requant.bias = zero;
    assert_int_equal(mq_inet_add(net, &good, NULL, &error), MQ_OK);
    assert_int_equal(net->nodes[2].edge.channel_high[0], 2);
    mq_inet_free(net);
}

static void refused_shapes(void **state) {
    (void)state;
    mq_error error = {0};
    mq_inet *net = start(5, 4, 2, 4);
    mq_inet_node n = {.kind = MQ_INET_MAX_POOL, .name = "pool", .input_count = 1, .pool = {5, 1}};
    refused(net, n, "pool: kernel: got 5, expected 1 to 4");
    n.pool = (mq_inet_pool){2, 0};
    refused(net, n, "pool: stride: got 0");
    n = (mq_inet_node){.kind = MQ_INET_REORG, .name = "reorg", .input_count = 1};
    refused(net, n, "reorg: input: got 5 x 4, expected even");
    n = (mq_inet_node){.kind = MQ_INET_RESCALE, .name = "rescale", .input_count = 1, .rescale = {1, 1, 8, 0}};
    refused(net, n, "rescale: rescale is only for networks made by the published rules");
    net->compat = true;
    n.rescale.divide = 0;
    refused(net, n, "rescale: factors");
    n.rescale.divide = 1e-4f;
    refused(net, n, "rescale: largest code: got 150000");
    n.rescale.divide = 1;
    n.rescale.bits = 9;
    refused(net, n, "rescale: bits: got 9");
    n = (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .input_count = 1, .output = {0}};
    refused(net, n, "output: divisor: got 0");
    n.output.divisor = 1e-60;
    refused(net, n, "output: divisor");

    mq_inet_node conv = good_conv(),
                 pool = {.kind = MQ_INET_MAX_POOL, .name = "pool", .input_count = 1, .pool = {2, 2}};
    assert_int_equal(mq_inet_add(net, &conv, NULL, &error), MQ_OK);
    assert_int_equal(mq_inet_add(net, &pool, NULL, &error), MQ_OK);
    n = (mq_inet_node){.kind = MQ_INET_CONCAT, .name = "concat", .input = {0, 2}, .input_count = 2};
    refused(net, n, "concat: input pool: got 2 x 2, expected 5 x 4");
    n.input[1] = 1;
    refused(net, n, "concat: input conv0: got signed codes");
    n = (mq_inet_node){
        .kind = MQ_INET_RESCALE, .name = "rescale", .input = {1}, .input_count = 1, .rescale = {1, 1, 8, 0}};
    refused(net, n, "rescale: input: got signed");

    mq_inet_node output = {
        .kind = MQ_INET_OUTPUT, .name = "output", .input = {2}, .input_count = 1, .output = {1}};
    assert_int_equal(mq_inet_finish(net, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "no output node"));
    assert_int_equal(mq_inet_add(net, &output, NULL, &error), MQ_OK);
    strcpy(n.name, "late");
    refused(net, n, "late: a node after the output");
    mq_inet_free(net);
}

static void refuse_finish(mq_inet *net, const char *expected) {
    mq_error error = {0};
    assert_int_equal(mq_inet_finish(net, &error), MQ_BAD_INPUT);
    if (!strstr(error.text, expected)) fail_msg("got '%s', expected '%s'", error.text, expected);
}

static void refused_wholes(void **state) {
    (void)state;
    mq_error error = {0};
    mq_inet *net = small_net_random(0);
    net->classes = 6;
    refuse_finish(net, "linear2: output: got 1 x 1 x 5, expected 1 x 1 x 6 classes");
    net->classes = 0;
    refuse_finish(net, "classes: got 0");
    net->classes = 5;
    net->anchor_count = 1;
    refuse_finish(net, "anchors: got 1, expected none");
    net->task = MQ_INET_DETECTION;
    net->anchor_count = 0;
    refuse_finish(net, "anchors: got 0");
    net->anchor_count = 1;
    refuse_finish(net, "anchors[0]");
    net->anchor_w[0] = net->anchor_h[0] = 20;
    refuse_finish(net, "linear2: output: got 5 channels, expected 1 anchors x (5 + 5 classes)");
    net->task = MQ_INET_CLASSIFICATION;
    net->anchor_count = 0;
    strcpy(net->bitw, "8*/");
    refuse_finish(net, "bitw");
    net->bitw[0] = 0;
    net->model[0] = 0;
    refuse_finish(net, "model");
    mq_inet_free(net);

    net = start(4, 4, 1, 8);
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "unread", .input_count = 1, .pool = {2, 2}};
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .input_count = 1, .output = {1}};
    assert_int_equal(mq_inet_add(net, &pool, NULL, &error), MQ_OK);
    assert_int_equal(mq_inet_add(net, &output, NULL, &error), MQ_OK);
    refuse_finish(net, "unread: no node reads");
    mq_inet_free(net);
}

/* ---- files ---- */

static void same_array(const void *a, const void *b, size_t bytes) {
    assert_int_equal(a == NULL, b == NULL);
    if (a) assert_memory_equal(a, b, bytes);
}

static void same_node(const mq_inet *net, const mq_inet_node *a, const mq_inet_node *b) {
    assert_int_equal(a->kind, b->kind);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->dump, b->dump);
    assert_int_equal(a->input_count, b->input_count);
    assert_memory_equal(a->input, b->input, sizeof a->input);
    assert_int_equal(a->consumers, b->consumers);
    assert_int_equal(a->inc_bits, b->inc_bits);
    assert_int_equal(a->bias_bits, b->bias_bits);
    assert_memory_equal(&a->edge, &b->edge, offsetof(mq_inet_edge, channel_low));
    size_t channels = (size_t)a->edge.c * sizeof(int64_t), weights = mq_inet_weight_count(net, a);
    same_array(a->edge.channel_low, b->edge.channel_low, channels);
    same_array(a->edge.channel_high, b->edge.channel_high, channels);
    switch (a->kind) {
    case MQ_INET_CONV:
        assert_memory_equal(&a->conv, &b->conv, offsetof(mq_inet_conv, weight_narrow));
        assert_int_equal(a->conv.weight_narrow, b->conv.weight_narrow);
        assert_true(a->conv.weight_scale == b->conv.weight_scale);
        same_array(a->conv.weight, b->conv.weight, weights);
        same_array(a->conv.bias, b->conv.bias, channels);
        break;
    case MQ_INET_LINEAR:
        assert_int_equal(a->linear.weight_bits, b->linear.weight_bits);
        same_array(a->linear.weight, b->linear.weight, weights);
        same_array(a->linear.bias, b->linear.bias, channels);
        break;
    case MQ_INET_REQUANT:
        assert_int_equal(a->requant.shift, b->requant.shift);
        assert_int_equal(a->requant.low, b->requant.low);
        assert_int_equal(a->requant.high, b->requant.high);
        same_array(a->requant.inc, b->requant.inc, channels);
        same_array(a->requant.bias, b->requant.bias, channels);
        same_array(a->requant.rule, b->requant.rule, (size_t)a->edge.c);
        same_array(a->requant.threshold, b->requant.threshold,
                   channels * (size_t)(a->requant.high - a->requant.low));
        break;
    default:
        if (a->kind == MQ_INET_RESCALE) assert_memory_equal(&a->rescale, &b->rescale, sizeof(float) * 2);
        if (a->kind == MQ_INET_OUTPUT) assert_true(a->output.divisor == b->output.divisor);
    }
}

static char *read_text(const char *path) {
    uint8_t *bytes;
    size_t size;
    mq_error error;
    assert_int_equal(mq_file_read(path, 1 << 24, &bytes, &size, &error), MQ_OK);
    return (char *)bytes;
}

static void round_trip(void **state) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        mq_error error = {0};
        mq_inet *net = small_net_random(seed), *back = NULL;
        if (mq_inet_save(net, temp_dir_path(state, "a"), &error) != MQ_OK) fail_msg("%s", error.text);
        if (mq_inet_load(temp_dir_path(state, "a/net.json"), &back, &error) != MQ_OK)
            fail_msg("%s", error.text);
        assert_string_equal(net->model, back->model);
        assert_string_equal(net->bitw, back->bitw);
        assert_string_equal(net->bita, back->bita);
        assert_int_equal(net->classes, back->classes);
        assert_int_equal(net->compat, back->compat);
        assert_string_equal(net->sha256, back->sha256);
        assert_string_equal(net->weights_sha256, back->weights_sha256);
        assert_int_equal(net->node_count, back->node_count);
        for (int i = 0; i < net->node_count; i++) same_node(net, &net->nodes[i], &back->nodes[i]);
        /* the same network, the same bytes */
        assert_int_equal(mq_inet_save(back, temp_dir_path(state, "b"), &error), MQ_OK);
        assert_string_equal(net->sha256, back->sha256);
        assert_string_equal(net->weights_sha256, back->weights_sha256);
        mq_inet_free(net);
        mq_inet_free(back);
    }
}

static void load_refused(const char *path, const char *expected) {
    mq_error error = {0};
    mq_inet *net = NULL;
    mq_status status = mq_inet_load(path, &net, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, expected))
        fail_msg("status %d, got '%s', expected '%s'", (int)status, error.text, expected);
    assert_null(net);
}

/* Saves network 6 (signed codes, thresholds), replaces the first `from` in net.json by `to`, and loads it. */
static void edited(void **state, const char *from, const char *to, const char *expected) {
    mq_error error = {0};
    char *text = read_text(temp_dir_path(state, "net/net.json")), *at = strstr(text, from);
    if (!at) fail_msg("no '%s' in net.json", from);
    char *changed = calloc(1, strlen(text) + strlen(to) + 1);
    memcpy(changed, text, (size_t)(at - text));
    strcat(changed, to);
    strcat(changed, at + strlen(from));
    assert_int_equal(mq_file_write(temp_dir_path(state, "net/edited.json"), changed, strlen(changed), &error),
                     MQ_OK);
    load_refused(temp_dir_path(state, "net/edited.json"), expected);
    free(changed);
    mq_free(text);
}

static void edited_json(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6), *back = NULL;
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    assert_int_equal(mq_inet_load(temp_dir_path(state, "net"), &back, &error), MQ_OK);
    mq_inet_free(back);
    char from[80], to[80];

    edited(state, "mixq-integer-network", "onnx", "format: got 'onnx'");
    edited(state, "\"version\": 1", "\"version\": 2", "version: got 2, expected 1");
    edited(state, "\"model\"", "\"modle\"", "model");
    edited(state, "classification", "regression", "task: got 'regression'");
    edited(state, "\"classes\": 5", "\"classes\": 7", "linear2: output: got 1 x 1 x 5");
    edited(state, "\"compat\": false", "\"compat\": 0", "compat");
    edited(state, "\"bitw\": \"82\"", "\"bitw\": \"x\"", "bitw");
    edited(state, "weights.safetensors", "/etc/passwd", "weights: file");
    edited(state, "\"sha256\": \"", "\"sha256\": \"0", "sha256: got");
    edited(state, "\"anchors\": []", "\"anchors\": [[1]]", "anchors[0]");
    edited(state, "\"nodes\"", "\"nodez\"", "nodes");
    edited(state, "\"kind\": \"conv\"", "\"kind\": \"convo\"",
           "nodes[1] 'conv0': kind: got 'convo', which is unknown; nearest: conv");
    edited(state, "\"kind\": \"max_pool\"", "\"kind\": \"reorg\"", "'pool1'");
    edited(state, "\"name\": \"conv0\"", "\"name\": \"convx\"", "convx.weight");
    edited(state, "\"dump\": \"conv1\"", "\"dump\": \"conv0\"", "conv1.requant: dump 'conv0' used twice");
    edited(state, "\"image\"\n      ]", "\"imago\"\n      ]", "nodes[1] 'conv0': inputs[0]: got 'imago'");
    edited(state, "\"groups\": 1", "\"groups\": 0", "nodes[1] 'conv0': groups: got 0");
    edited(state, "\"weight_narrow\"", "\"weight_narow\"", "nodes[1] 'conv0'");
    edited(state, "\"thresholds\": true", "\"thresholds\": false", "");
    edited(state, "\"divisor\": 12.75", "\"divisor\": -12.75", "output: divisor");
    edited(state, "\"divisor\": 12.75", "\"divisor\": \"12.75\"", "divisor");

    /* declared edges and widths */
    const mq_inet_node *conv = &net->nodes[1], *requant = &net->nodes[2];
    snprintf(from, sizeof from, "\"inc_bits\": %d", requant->inc_bits);
    snprintf(to, sizeof to, "\"inc_bits\": %d", requant->inc_bits + 1);
    edited(state, from, to, "'conv0.requant': inc_bits: got");
    snprintf(from, sizeof from, "\"bias_bits\": %d,\n        \"thresholds\"", requant->bias_bits);
    snprintf(to, sizeof to, "\"bias_bits\": %d,\n        \"thresholds\"", requant->bias_bits - 1);
    edited(state, from, to, "'conv0.requant': bias_bits: got");
    snprintf(from, sizeof from, "\"low\": %lld,\n        \"high\": %lld\n", (long long)conv->edge.low,
             (long long)conv->edge.high);
    snprintf(to, sizeof to, "\"low\": %lld,\n        \"high\": %lld\n", (long long)conv->edge.low,
             (long long)conv->edge.high - 1);
    edited(state, from, to, "nodes[1] 'conv0': edge: high: got");
    snprintf(from, sizeof from, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": true", conv->edge.c,
             conv->edge.bits);
    snprintf(to, sizeof to, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": true", conv->edge.c,
             conv->edge.bits + 1);
    edited(state, from, to, "nodes[1] 'conv0': edge: bits: got");
    snprintf(to, sizeof to, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": false", conv->edge.c,
             conv->edge.bits);
    edited(state, from, to, "nodes[1] 'conv0': edge: signed: got 0");
    edited(state, "\"scale\": 0.25,\n        \"low\": ", "\"scale\": 0.26,\n        \"low\": ",
           "edge: scale: got 0.26");
    edited(state, "\"edge\"", "\"edges\"", "nodes[0] 'image'");
    mq_inet_free(net);
}

/* Any change of the weights file must be noticed, whatever byte it is. */
static void damaged_weights(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    uint8_t *bytes;
    size_t size;
    char path[512];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
    strcpy(path, temp_dir_path(state, "net/weights.safetensors"));
    assert_int_equal(mq_file_read(path, 1 << 24, &bytes, &size, &error), MQ_OK);
    for (size_t i = 0; i < size; i += 1 + size / 50) {
        bytes[i] ^= 1;
        assert_int_equal(mq_file_write(path, bytes, size, &error), MQ_OK);
        bytes[i] ^= 1;
        load_refused(temp_dir_path(state, "net"), "weights.safetensors: sha256: got");
    }
    assert_int_equal(mq_file_write(path, bytes, size - 1, &error), MQ_OK);
    load_refused(temp_dir_path(state, "net"), "sha256");
    assert_int_equal(remove(path), 0);
    load_refused(temp_dir_path(state, "net"), "weights.safetensors");
    mq_free(bytes);
}

/* A weights file whose hash is right but whose tensors are not those of the nodes. */
static void wrong_tensors(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    char weights[512], json[512], hash[MQ_DIGEST_TEXT];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    strcpy(weights, temp_dir_path(state, "net/weights.safetensors"));
    strcpy(json, temp_dir_path(state, "net/net.json"));
    char *text = read_text(json);
    mq_st_file *file;
    assert_int_equal(mq_st_load(weights, &file, &error), MQ_OK);
    static const char *const expected[] = {"tensors, expected the", "linear2.weight", "linear2.weight",
                                           "linear2: weight 0 of"};
    for (int fault = 0; fault < 4; fault++) {
        mq_st_writer *writer;
        int8_t extra[1] = {0};
        mq_tensor spare = {.dtype = MQ_I8, .shape = mq_shape1(1), .data = extra};
        assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
        for (size_t i = 0; i < mq_st_count(file); i++) {
            const mq_st_entry *entry = mq_st_at(file, i);
            mq_tensor tensor = entry->tensor;
            bool layer = strcmp(entry->name, "linear2.weight") == 0;
            if (fault == 1 && layer) continue;                         /* missing */
            if (fault == 2 && layer) tensor.dtype = MQ_U8;             /* another type */
            if (fault == 3 && layer) ((int8_t *)tensor.data)[0] = 127; /* outside its bits */
            assert_int_equal(mq_st_add(writer, entry->name, &tensor, &error), MQ_OK);
        }
        if (fault == 0) assert_int_equal(mq_st_add(writer, "spare", &spare, &error), MQ_OK);
        assert_int_equal(mq_st_write(writer, weights, &error), MQ_OK);
        mq_st_writer_free(writer);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(mq_file_read(weights, 1 << 24, &bytes, &size, &error), MQ_OK);
        mq_sha256(bytes, size, hash);
        mq_free(bytes);
        memcpy(strstr(text, "\"sha256\": \"") + 11, hash, 64);
        assert_int_equal(mq_file_write(json, text, strlen(text), &error), MQ_OK);
        load_refused(json, expected[fault]);
    }
    mq_st_free(file);
    mq_free(text);
    mq_inet_free(net);
}

static void damaged_json(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
    char *text = read_text(temp_dir_path(state, "net/net.json"));
    size_t size = strlen(text);
    for (size_t n = 0; n + 2 < size; n += 1 + size / 40) {
        assert_int_equal(mq_file_write(temp_dir_path(state, "net/cut.json"), text, n, &error), MQ_OK);
        load_refused(temp_dir_path(state, "net/cut.json"), "cut.json");
    }
    assert_int_equal(mq_file_write(temp_dir_path(state, "net/cut.json"), "[]", 2, &error), MQ_OK);
    load_refused(temp_dir_path(state, "net/cut.json"), "expected an object");
    load_refused(temp_dir_path(state, "nothing.json"), "nothing.json");
    mq_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inferred_edges),
        cmocka_unit_test(refused_places),
        cmocka_unit_test(refused_layers),
        cmocka_unit_test(refused_requantisations),
        cmocka_unit_test(refused_shapes),
        cmocka_unit_test(refused_wholes),
        cmocka_unit_test_setup_teardown(round_trip, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(edited_json, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged_weights, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(wrong_tensors, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged_json, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
