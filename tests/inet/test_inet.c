/* test_inet.c - building an integer network: what is inferred of every edge and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inet/small_net.h"

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

    /* Where there is padding, a tap may see 0 instead: -2*[0, 1] + [0, 3] - [0, 3]. */
    static const int8_t padded[4] = {0, -2, 1, -1};
    strcpy(second.name, "conv2");
    second.conv = (mq_inet_conv){1, 2, 1, 1, 1, 1, 0, 0, 0, 1, 3, false, 0, padded, NULL};
    assert_int_equal(mq_inet_add(net, &second, NULL, &error), MQ_OK);
    assert_int_equal(net->nodes[5].edge.low, -5);
    assert_int_equal(net->nodes[5].edge.high, 3);
    mq_inet_free(net);
}

/* Small files must not be able to ask for much: channels double with every concat. */
static void many_channels(void **state) {
    (void)state;
    mq_error error = {0};
    mq_inet *net = start(1, 1, 1 << 16, 4);
    mq_inet_node n = {.kind = MQ_INET_CONCAT, .input_count = 2};
    mq_status status = MQ_OK;
    int count = 0;
    for (; status == MQ_OK && count < 100; count++) {
        snprintf(n.name, sizeof n.name, "concat%d", count);
        status = mq_inet_add(net, &n, NULL, &error);
    }
    assert_int_equal(status, MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "channels of all results so far: got 8454144, expected 1 to 8388608"));
    assert_int_equal(count, 64);
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
    n = (mq_inet_node){.kind = MQ_INET_IMAGE, .name = "image", .image = {.h = 4, .w = 4, .c = 2, .bits = 9}};
    refused(net, n, "image: bits: got 9");
    n.image = (mq_inet_image){.h = 0, .w = 4, .c = 2, .bits = 8};
    refused(net, n, "image: rows: got 0");
    n.image = (mq_inet_image){.h = 16384, .w = 16384, .c = 3, .bits = 8};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inferred_edges),          cmocka_unit_test(many_channels),
        cmocka_unit_test(refused_places),          cmocka_unit_test(refused_layers),
        cmocka_unit_test(refused_requantisations), cmocka_unit_test(refused_shapes),
        cmocka_unit_test(refused_wholes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
