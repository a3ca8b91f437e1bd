/* test_sim.c - the reference simulator against a brute force written from the definition (inet.h) in another
 * layout, one output element at a time, and against answers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/temp_dir.h"
#include "inet/small_net.h"
#include "io/npy.h"
#include "sim/sim.h"

/* ---- brute force: planes [c][h][w] per node ---- */

typedef struct brute {
    const mq_inet *net;
    const uint8_t *image; /* [c][h][w] */
    int64_t *plane[MQ_INET_MAX_NODES];
} brute;

static int64_t at(const brute *b, int node, int c, int y, int x) {
    const mq_inet_edge *e = &b->net->nodes[node].edge;
    return b->plane[node][(c * e->h + y) * e->w + x];
}

static int64_t brute_conv(const brute *b, const mq_inet_node *node, int o, int y, int x) {
    const mq_inet_conv *v = &node->conv;
    const mq_inet_edge *in = &b->net->nodes[node->input[0]].edge;
    int per = in->c / v->groups, group = o / (v->out_channels / v->groups);
    int64_t sum = v->bias ? v->bias[o] : 0;
    for (int i = 0; i < per; i++)
        for (int ky = 0; ky < v->kernel_h; ky++)
            for (int kx = 0; kx < v->kernel_w; kx++) {
                int row = y * v->stride_h + ky - v->pad_top, column = x * v->stride_w + kx - v->pad_left;
                if (row < 0 || column < 0 || row >= in->h || column >= in->w) continue;
                sum += v->weight[((o * per + i) * v->kernel_h + ky) * v->kernel_w + kx] *
                       at(b, node->input[0], group * per + i, row, column);
            }
    return sum;
}

static int64_t brute_linear(const brute *b, const mq_inet_node *node, int o) {
    const mq_inet_edge *in = &b->net->nodes[node->input[0]].edge;
    int64_t sum = node->linear.bias ? node->linear.bias[o] : 0;
    int inputs = in->c * in->h * in->w;
    for (int i = 0; i < inputs; i++) sum += node->linear.weight[o * inputs + i] * b->plane[node->input[0]][i];
    return sum;
}

/* floor division, not a shift; thresholds counted from the other side than the definition's */
static int64_t brute_requant(const mq_inet_requant *r, int c, int64_t acc) {
    int64_t code;
    int levels = r->high - r->low;
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) {
        code = (int64_t)floorl((long double)(acc * r->inc[c] + r->bias[c]) /
                               (long double)((int64_t)1 << r->shift));
    } else {
        code = r->high;
        for (int i = levels - 1; i >= 0; i--) {
            bool rising = r->rule[c] == MQ_INET_RISING, below = acc < r->threshold[c * levels + i];
            if (rising == below) code--;
        }
    }
    if (code < r->low) code = r->low;
    if (code > r->high) code = r->high;
    return code;
}

static int64_t brute_element(const brute *b, int n, int c, int y, int x) {
    const mq_inet_node *node = &b->net->nodes[n];
    int from = node->input[0];
    const mq_inet_edge *in = &b->net->nodes[from].edge, *e = &node->edge;
    switch (node->kind) {
    case MQ_INET_IMAGE:
        return b->image[(c * e->h + y) * e->w + x] / (256 >> node->image.bits);
    case MQ_INET_CONV:
        return brute_conv(b, node, c, y, x);
    case MQ_INET_LINEAR:
        return brute_linear(b, node, c);
    case MQ_INET_REQUANT:
        return brute_requant(&node->requant, c, at(b, from, c, y, x));
    case MQ_INET_MAX_POOL: {
        int64_t most = INT64_MIN;
        for (int i = 0; i < node->pool.kernel * node->pool.kernel; i++) {
            int64_t v = at(b, from, c, y * node->pool.stride + i / node->pool.kernel,
                           x * node->pool.stride + i % node->pool.kernel);
            if (v > most) most = v;
        }
        return most;
    }
    case MQ_INET_REORG: {
        int block = c / in->c;
        return at(b, from, c % in->c, 2 * y + block / 2, 2 * x + block % 2);
    }
    case MQ_INET_CONCAT:
        for (int i = 0;; i++) {
            int channels = b->net->nodes[node->input[i]].edge.c;
            if (c < channels) return at(b, node->input[i], c, y, x);
            c -= channels;
        }
    case MQ_INET_RESCALE: {
        float v = (float)at(b, from, c, y, x) * node->rescale.multiply;
        return (int64_t)nearbyintf(v / node->rescale.divide);
    }
    default:
        return at(b, from, c, y, x);
    }
}

static void brute_run(brute *b) {
    for (int n = 0; n < b->net->node_count; n++) {
        const mq_inet_edge *e = &b->net->nodes[n].edge;
        b->plane[n] = calloc((size_t)(e->c * e->h * e->w), sizeof(int64_t));
        for (int c = 0; c < e->c; c++)
            for (int y = 0; y < e->h; y++)
                for (int x = 0; x < e->w; x++) {
                    int64_t v = brute_element(b, n, c, y, x);
                    b->plane[n][(c * e->h + y) * e->w + x] = v;
                    /* the inferred ranges hold */
                    assert_true(v >= e->channel_low[c] && v <= e->channel_high[c]);
                }
    }
}

static void brute_free(brute *b) {
    for (int n = 0; n < b->net->node_count; n++) free(b->plane[n]);
}

/* ---- the simulator on random networks, every node compared ---- */

typedef struct compare {
    brute *images;
    size_t different;
} compare;

static void compare_node(void *context, size_t image, int node, const int64_t *codes) {
    compare *c = context;
    const brute *b = &c->images[image];
    const mq_inet_edge *e = &b->net->nodes[node].edge;
    for (int y = 0; y < e->h; y++)
        for (int x = 0; x < e->w; x++)
            for (int i = 0; i < e->c; i++)
                c->different += codes[(y * e->w + x) * e->c + i] != at(b, node, i, y, x);
}

static uint8_t *random_images(uint64_t seed, size_t count) {
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    uint8_t *images = malloc(count);
    for (size_t i = 0; i < count; i++) images[i] = (uint8_t)mq_rng_u32(&rng, i);
    return images;
}

enum { IMAGES = 3 };

static void random_networks(void **state) {
    (void)state;
    mq_threads_set(1);
    for (uint64_t seed = 0; seed < 60; seed++) {
        mq_error error = {0};
        mq_inet *net = small_net_random(seed);
        const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
        size_t size = (size_t)(in->h * in->w * in->c), outputs = (size_t)(out->h * out->w * out->c);
        uint8_t *images = random_images(seed, IMAGES * size);
        brute b[IMAGES] = {0};
        for (int i = 0; i < IMAGES; i++) {
            b[i].net = net;
            b[i].image = images + (size_t)i * size;
            brute_run(&b[i]);
        }
        compare c = {.images = b};
        mq_sim_visitor visitor = {.see = compare_node, .context = &c};
        int64_t *got = calloc(IMAGES * outputs, sizeof *got);
        float *values = calloc(IMAGES * outputs, sizeof *values);
        mq_sim *sim = NULL;
        assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
        assert_int_equal(mq_sim_run(sim, images, IMAGES, MQ_SIM_NCHW, &visitor, got, values, &error), MQ_OK);
        if (c.different) fail_msg("network %d: %zu codes differ", (int)seed, c.different);
        for (size_t i = 0; i < IMAGES * outputs; i++) {
            int64_t expected = b[i / outputs].plane[net->node_count - 1][i % outputs];
            assert_int_equal(got[i], expected);
            assert_true(values[i] == (float)expected / 12.75f);
        }
        mq_sim_free(sim);
        for (int i = 0; i < IMAGES; i++) brute_free(&b[i]);
        free(got);
        free(values);
        free(images);
        mq_inet_free(net);
    }
}

/* Any number of threads, either layout of the images, one batch or several: the same numbers. */
static void threads_layout_batches(void **state) {
    (void)state;
    enum { COUNT = 150 };
    mq_error error = {0};
    mq_inet *net = small_net_random(7);
    const mq_inet_edge *in = &net->nodes[0].edge;
    int pixels = in->h * in->w;
    size_t size = (size_t)(pixels * in->c);
    uint8_t *nchw = random_images(1, COUNT * size), *nhwc = malloc(COUNT * size);
    for (size_t i = 0; i < COUNT; i++)
        for (int p = 0; p < pixels; p++)
            for (int c = 0; c < in->c; c++)
                nhwc[i * size + (size_t)(p * in->c + c)] = nchw[i * size + (size_t)(c * pixels + p)];
    int64_t a[COUNT * 5], b[COUNT * 5];
    mq_sim *sim = NULL;
    assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
    mq_threads_set(1);
    assert_int_equal(mq_sim_run(sim, nchw, COUNT, MQ_SIM_NCHW, NULL, a, NULL, &error), MQ_OK);
    mq_threads_set(3);
    assert_int_equal(mq_sim_run(sim, nhwc, COUNT, MQ_SIM_NHWC, NULL, b, NULL, &error), MQ_OK);
    assert_memory_equal(a, b, sizeof a);
    memset(b, 0, sizeof b);
    for (size_t i = 0; i < COUNT; i += 50)
        assert_int_equal(mq_sim_run(sim, nhwc + i * size, 50, MQ_SIM_NHWC, NULL, b + i * 5, NULL, &error),
                         MQ_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(mq_sim_run(sim, NULL, 0, MQ_SIM_NHWC, NULL, NULL, NULL, &error), MQ_OK);
    mq_sim_free(sim);
    mq_inet_free(net);
    free(nchw);
    free(nhwc);
}

/* ---- answers worked out by hand ---- */

static mq_inet *start(int h, int w, int c, int bits, int classes, bool compat) {
    mq_inet *net = NULL;
    mq_error error;
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "hand");
    net->classes = classes;
    net->compat = compat;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .dump = "image"};
    image.image = (mq_inet_image){.h = h, .w = w, .c = c, .bits = bits};
    assert_int_equal(mq_inet_add(net, &image, NULL, &error), MQ_OK);
    return net;
}

static void append(mq_inet *net, mq_inet_node node) {
    mq_error error = {0};
    if (node.input_count == 0) {
        node.input[0] = net->node_count - 1;
        node.input_count = 1;
    }
    if (mq_inet_add(net, &node, NULL, &error) != MQ_OK) fail_msg("%s", error.text);
}

static void run_one(const mq_inet *net, const uint8_t *image, int64_t *out) {
    mq_sim *sim = NULL;
    mq_error error = {0};
    assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
    assert_int_equal(mq_sim_run(sim, image, 1, MQ_SIM_NCHW, NULL, out, NULL, &error), MQ_OK);
    mq_sim_free(sim);
}

/* 3x3 kernel 1..9 over the image 1..9, padded: the corner sees four products, the middle all nine. */
static void known_convolution(void **state) {
    (void)state;
    static const int8_t weight[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const uint8_t image[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    int64_t bias[1] = {1000}, out[9];
    mq_inet *net = start(3, 3, 1, 8, 1, false);
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0"};
    conv.conv = (mq_inet_conv){1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 5, false, 1.0, weight, bias};
    append(net, conv);
    append(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}});
    run_one(net, image, out);
    assert_int_equal(out[0], 1000 + 5 * 1 + 6 * 2 + 8 * 4 + 9 * 5);
    assert_int_equal(out[4], 1000 + 285);
    assert_int_equal(out[8], 1000 + 1 * 5 + 2 * 6 + 4 * 8 + 5 * 9);
    mq_inet_free(net);
}

/* Rounding by a folded half, floor below zero, clipping, thresholds at and beside their points. */
static void known_requantisation(void **state) {
    (void)state;
    static const int8_t weight[3] = {1, 1, 1};
    static const int64_t acc_bias[3] = {0, -20, 0}, inc[3] = {1, 1, 0}, bias[3] = {2, 2, 0};
    static const uint8_t rule[3] = {MQ_INET_AFFINE, MQ_INET_AFFINE, MQ_INET_FALLING};
    int64_t threshold[3 * 3] = {0, 0, 0, 0, 0, 0, 5, 5, 10};
    mq_inet *net = start(1, 6, 1, 8, 1, false);
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0"};
    conv.conv = (mq_inet_conv){3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 2, false, 1.0, weight, acc_bias};
    append(net, conv);
    mq_inet_node requant = {.kind = MQ_INET_REQUANT, .name = "conv0.requant"};
    requant.requant = (mq_inet_requant){2, true, false, 1.0, 2, -2, 1, inc, bias, rule, threshold};
    append(net, requant);
    append(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}});
    /* channels: acc = k, k - 20, k */
    static const uint8_t image[6] = {0, 1, 2, 5, 9, 30};
    static const int64_t expected[18] = {0,  0,  1,  1,  1,  1,   /* (k + 2) >> 2 up to 1 */
                                         -2, -2, -2, -2, -2, 1,   /* (k - 18) >> 2 down to -2; 30: 12 >> 2 */
                                         1,  1,  1,  -1, -1, -2}; /* -2 + (k < 5) + (k < 5) + (k < 10) */
    int64_t out[18];
    run_one(net, image, out);
    for (int i = 0; i < 18; i++) assert_int_equal(out[i], expected[i]);
    mq_inet_free(net);
}

/* Space to depth in the order (2*dy + dx)*C + c, then halved with ties to even. */
static void known_reorg_and_rescale(void **state) {
    (void)state;
    mq_inet *net = start(2, 4, 2, 8, 1, true);
    append(net, (mq_inet_node){.kind = MQ_INET_REORG, .name = "reorg"});
    mq_inet_node rescale = {.kind = MQ_INET_RESCALE, .name = "rescale"};
    rescale.rescale = (mq_inet_rescale){.multiply = 0.5f, .divide = 1.0f, .bits = 2, .scale = 1.0};
    append(net, rescale);
    append(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}});
    static const uint8_t image[16] = {0, 1, 2, 3, 4, 5, 6, 7, 100, 101, 102, 103, 104, 105, 106, 107};
    static const int64_t expected[16] = {0, 1, 50, 51, 0, 2, 50, 52, 2, 3, 52, 53, 2, 4, 52, 54};
    int64_t out[16];
    run_one(net, image, out);
    for (int i = 0; i < 16; i++) assert_int_equal(out[i], expected[i]);
    mq_inet_free(net);
}

/* Codes of 16 bits into 768 weights of -128: the sum needs more than 32 bits. */
static void sums_beyond_32_bits(void **state) {
    (void)state;
    enum { SIDE = 16, CHANNELS = 3, INPUTS = SIDE * SIDE * CHANNELS };
    int8_t first[CHANNELS * CHANNELS] = {0}, second[INPUTS];
    uint8_t image[INPUTS];
    int64_t out;
    for (int c = 0; c < CHANNELS; c++) first[c * CHANNELS + c] = -128;
    memset(second, -128, sizeof second);
    memset(image, 255, sizeof image);
    mq_inet *net = start(SIDE, SIDE, CHANNELS, 8, 1, false);
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0"};
    conv.conv = (mq_inet_conv){CHANNELS, 1, 1, 1, 1, 0, 0, 0, 0, 1, 8, false, 1.0, first, NULL};
    append(net, conv);
    mq_inet_node linear = {.kind = MQ_INET_LINEAR, .name = "linear1"};
    linear.linear = (mq_inet_linear){1, 8, false, 1.0, second, NULL};
    append(net, linear);
    append(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}});
    assert_int_equal(mq_inet_last(net)->edge.high, (int64_t)INPUTS * 255 * 128 * 128);
    run_one(net, image, &out);
    assert_int_equal(out, (int64_t)INPUTS * 255 * 128 * 128);
    mq_inet_free(net);
}

/* ---- dumps ---- */

static int64_t element(const mq_tensor *t, size_t i) {
    switch (t->dtype) {
    case MQ_U8:
        return ((const uint8_t *)t->data)[i];
    case MQ_I8:
        return ((const int8_t *)t->data)[i];
    case MQ_I16:
        return ((const int16_t *)t->data)[i];
    case MQ_I32:
        return ((const int32_t *)t->data)[i];
    default:
        assert_int_equal(t->dtype, MQ_I64);
        return ((const int64_t *)t->data)[i];
    }
}

static void dumps(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(3);
    const mq_inet_edge *in = &net->nodes[0].edge;
    size_t size = (size_t)(in->h * in->w * in->c);
    uint8_t *images = random_images(9, IMAGES * size);
    mq_sim *sim = NULL;
    mq_sim_dump *dump = NULL;
    assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
    assert_int_equal(mq_sim_dump_create(net, IMAGES, &dump, &error), MQ_OK);
    for (size_t i = 0; i < IMAGES; i++) { /* in batches of one */
        mq_sim_visitor visitor = mq_sim_dump_visitor(dump, i);
        assert_int_equal(mq_sim_run(sim, images + i * size, 1, MQ_SIM_NCHW, &visitor, NULL, NULL, &error),
                         MQ_OK);
    }
    assert_int_equal(mq_sim_dump_save(dump, temp_dir_path(state, "dump"), &error), MQ_OK);
    int files = 0;
    for (int n = 0; n < net->node_count; n++) {
        const mq_inet_node *node = &net->nodes[n];
        char name[MQ_INET_MAX_NAME + 16];
        if (!node->dump[0]) continue;
        mq_tensor t;
        snprintf(name, sizeof name, "dump/%s.npy", node->dump);
        if (mq_npy_load(temp_dir_path(state, name), &t, &error) != MQ_OK) fail_msg("%s", error.text);
        mq_shape shape = mq_shape4(IMAGES, node->edge.c, node->edge.h, node->edge.w);
        assert_true(mq_shape_equal(&t.shape, &shape));
        size_t per = mq_tensor_count(&t) / IMAGES;
        for (size_t i = 0; i < IMAGES; i++) {
            brute b = {.net = net, .image = images + i * size};
            brute_run(&b);
            for (size_t k = 0; k < per; k++) assert_int_equal(element(&t, i * per + k), b.plane[n][k]);
            brute_free(&b);
        }
        mq_tensor_free(&t);
        files++;
    }
    assert_int_equal(files, 5); /* image, conv0, conv1, pool1, linear2 */
    mq_sim_dump_free(dump);
    mq_sim_free(sim);
    mq_inet_free(net);
    free(images);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks),
        cmocka_unit_test(threads_layout_batches),
        cmocka_unit_test(known_convolution),
        cmocka_unit_test(known_requantisation),
        cmocka_unit_test(known_reorg_and_rescale),
        cmocka_unit_test(sums_beyond_32_bits),
        cmocka_unit_test_setup_teardown(dumps, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
