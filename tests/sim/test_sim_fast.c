/* test_sim_fast.c - the fast engine against the reference: every table of kernels, every node's codes, over
 * random networks with every kind of layer, extreme weights and images, sums beyond int32, signed codes,
 * thresholds of both directions; fused and not, on one thread and two. Counters prove that the cases
 * occurred. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "inet/small_net.h"
#include "sim/sim_fast.h"

static uint8_t *random_images(uint64_t seed, size_t count) {
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    uint8_t *images = malloc(count);
    for (size_t i = 0; i < count; i++) images[i] = (uint8_t)mq_rng_u32(&rng, i);
    return images;
}

/* ---- all nodes of the reference, kept ---- */

typedef struct record {
    const mq_inet *net;
    size_t images;
    int64_t *codes[MQ_INET_MAX_NODES]; /* [images][h][w][c] */
    size_t different;
    int first_node; /* that differed */
    int64_t got, expected;
} record;

static size_t elements(const mq_inet *net, int n) {
    const mq_inet_edge *e = &net->nodes[n].edge;
    return (size_t)e->h * (size_t)e->w * (size_t)e->c;
}

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    record *r = context;
    size_t n = elements(r->net, node);
    if (!r->codes[node]) r->codes[node] = calloc(r->images * n, sizeof(int64_t));
    memcpy(r->codes[node] + image * n, codes, n * sizeof(int64_t));
}

static void compare(void *context, size_t image, int node, const int64_t *codes) {
    record *r = context;
    size_t n = elements(r->net, node);
    for (size_t i = 0; i < n; i++) {
        int64_t expected = r->codes[node][image * n + i];
        if (codes[i] == expected) continue;
        if (!r->different++) {
            r->first_node = node;
            r->got = codes[i];
            r->expected = expected;
        }
    }
}

/* What the networks of a test made the fast engine do. */
typedef struct coverage {
    int ways[MQ_FAST_WAYS], depthwise, slow[MQ_INET_KIND_COUNT], pairs[2], signed_codes, fused[3];
} coverage;

static void cover(const mq_inet *net, coverage *c) {
    mq_error error = {0};
    mq_fast f = {.net = net, .kernels = mq_fast_kernels_for(MQ_SIM_CPU_C)};
    assert_int_equal(mq_fast_prepare(&f, &error), MQ_OK);
    for (int n = 0; n < net->node_count; n++) {
        const mq_fast_node *node = &f.node[n];
        c->slow[net->nodes[n].kind] += node->slow;
        c->depthwise += node->depthwise;
        c->fused[node->fused]++;
        c->signed_codes += node->edge.type == MQ_FAST_CODES && node->edge.zero;
        for (int s = 0; s < node->super_count; s++) {
            if (node->super[s].dot.weight) c->pairs[node->super[s].dot.pairs_fit]++;
            for (int z = 0; node->super[s].rule && z * 16 < node->super[s].channels; z++)
                c->ways[node->super[s].rule[z].way]++;
        }
    }
    mq_arena_destroy(f.arena);
}

/* images [count][c][h][w] */
static void check(const char *what, const mq_inet *net, const uint8_t *images, size_t count) {
    mq_error error = {0};
    record r = {.net = net, .images = count};
    const size_t outputs = elements(net, net->node_count - 1) * count;
    int64_t *expected = calloc(outputs, sizeof *expected), *got = calloc(outputs, sizeof *got);
    float *real = calloc(outputs, sizeof *real), *values = calloc(outputs, sizeof *values);
    mq_sim_visitor visitor = {.see = keep, .context = &r};
    mq_sim *sim;
    mq_threads_set(1);
    assert_int_equal(mq_sim_create(net, &sim, &error), MQ_OK);
    if (mq_sim_run(sim, images, count, MQ_SIM_NCHW, &visitor, expected, real, &error) != MQ_OK)
        fail_msg("%s", error.text);
    mq_sim_free(sim);
    visitor.see = compare;
    for (mq_sim_cpu cpu = 1; cpu < MQ_SIM_CPU_COUNT; cpu++) {
        if (!mq_sim_cpu_available(cpu)) continue;
        const mq_sim_options options = {.engine = MQ_SIM_FAST, .cpu = cpu};
        assert_int_equal(mq_sim_create_with(net, &options, &sim, &error), MQ_OK);
        assert_string_equal(mq_sim_kernels(sim), mq_sim_cpu_name(cpu));
        for (int run = 0; run < 5; run++) { /* seen; fused; on two threads; one image over rows; seen so */
            mq_threads_set(run < 2 ? 1 : 2);
            size_t n = run < 3 ? count : 1;
            const bool seen = run == 0 || run == 4;
            memset(got, 0, outputs * sizeof *got);
            if (mq_sim_run(sim, images, n, MQ_SIM_NCHW, seen ? &visitor : NULL, got, values, &error) != MQ_OK)
                fail_msg("%s", error.text);
            if (r.different)
                fail_msg("%s, %s, run %d: %zu codes differ, first in %s: %lld, %lld expected", what,
                         mq_sim_cpu_name(cpu), run, r.different, net->nodes[r.first_node].name,
                         (long long)r.got, (long long)r.expected);
            for (size_t i = 0; i < n * (outputs / count); i++)
                if (got[i] != expected[i] || values[i] != real[i])
                    fail_msg("%s, %s, run %d: output %zu: %lld, %lld expected", what, mq_sim_cpu_name(cpu),
                             run, i, (long long)got[i], (long long)expected[i]);
        }
        mq_sim_free(sim);
    }
    mq_threads_set(1);
    for (int n = 0; n < net->node_count; n++) free(r.codes[n]);
    free(expected);
    free(got);
    free(real);
    free(values);
}

static void check_random(const char *what, const mq_inet *net, uint64_t seed, size_t count) {
    const size_t n = count * elements(net, 0);
    uint8_t *images = random_images(seed, n);
    for (size_t i = 0; i < elements(net, 0); i++) images[i] = 255; /* one image of the largest codes */
    if (count > 1) memset(images + elements(net, 0), 0, elements(net, 0));
    check(what, net, images, count);
    free(images);
}

/* ---- random networks ---- */

static mq_inet *begin(small_net *s, uint64_t seed, int h, int w, int c, int bits) {
    mq_error error = {0};
    *s = (small_net){.rng = mq_rng_stream(seed, "fast network", 0)};
    assert_int_equal(mq_inet_create(&s->net, &error), MQ_OK);
    strcpy(s->net->model, "random");
    strcpy(s->net->bitw, "4");
    strcpy(s->net->bita, "4");
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {h, w, c, bits}};
    small_add(s, &image);
    return s->net;
}

static mq_inet *end(small_net *s) {
    mq_error error = {0};
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {12.75}};
    small_add(s, &output);
    const mq_inet_edge *e = &mq_inet_last(s->net)->edge;
    if (e->h == 1 && e->w == 1) {
        s->net->classes = e->c;
    } else {
        s->net->task = MQ_INET_DETECTION;
        s->net->classes = e->c - 5;
        s->net->anchor_count = 1;
        s->net->anchor_w[0] = s->net->anchor_h[0] = 8;
    }
    if (mq_inet_finish(s->net, &error) != MQ_OK) fail_msg("%s", error.text);
    return s->net;
}

typedef enum weights { RANDOM, HIGHEST, LOWEST, MIXED_EXTREMES } weights;

static int8_t *draw_weights(small_net *s, size_t count, int bits, weights how) {
    const int high = (1 << (bits - 1)) - 1, low = -high - 1;
    int8_t *w = small_weights(s, count, bits, false);
    for (size_t i = 0; i < count; i++)
        if (how != RANDOM)
            w[i] = (int8_t)(how == HIGHEST || (how == MIXED_EXTREMES && small_draw(s, 0, 1)) ? high : low);
    return w;
}

static int at_most(int a, int b) {
    return a < b ? a : b;
}

static void add_conv(small_net *s, const char *name, int out, int kernel, int stride, int groups, int bits,
                     weights how) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_CONV};
    mq_inet_conv *v = &node.conv;
    snprintf(node.name, sizeof node.name, "%s", name);
    v->out_channels = out;
    v->groups = groups;
    v->kernel_h = at_most(in->h, small_draw(s, 1, kernel));
    v->kernel_w = at_most(in->w, small_draw(s, 1, kernel));
    v->pad_top = small_draw(s, 0, v->kernel_h - 1);
    v->pad_bottom = small_draw(s, 0, v->kernel_h - 1);
    v->pad_left = small_draw(s, 0, v->kernel_w - 1);
    v->pad_right = small_draw(s, 0, v->kernel_w - 1);
    v->stride_h = small_draw(s, 1, stride);
    v->stride_w = small_draw(s, 1, stride);
    v->weight_bits = bits;
    v->weight_scale = 0.125;
    int8_t *w = draw_weights(s, (size_t)(out * (in->c / groups) * v->kernel_h * v->kernel_w), bits, how);
    int64_t *bias = small_draw(s, 0, 1) ? small_biases(s, out, 1000) : NULL;
    v->weight = w;
    v->bias = bias;
    small_add(s, &node);
    free(w);
    free(bias);
}

static void add_pool(small_net *s, const char *name) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_MAX_POOL};
    snprintf(node.name, sizeof node.name, "%s", name);
    node.pool.kernel = small_draw(s, 1, at_most(3, at_most(in->h, in->w)));
    node.pool.stride = small_draw(s, 1, 3);
    small_add(s, &node);
}

/* Groups of every sort: one, all (with one or two outputs each), and some of both counts' divisors. */
static void draw_layer(small_net *s, const char *name) {
    static const weights how[] = {RANDOM, RANDOM, RANDOM, HIGHEST, LOWEST, MIXED_EXTREMES};
    const int channels = s->net->nodes[s->last].edge.c, bits = small_draw(s, 1, 8);
    int groups = 1, out = small_draw(s, 0, 4) ? small_draw(s, 1, 40) : small_draw(s, 60, 150);
    switch (small_draw(s, 0, 4)) {
    case 0:
        groups = channels;
        out = channels;
        break;
    case 1:
        groups = small_draw(s, 0, 1) ? channels : channels % 3 == 0 ? 3 : channels % 2 == 0 ? 2 : 1;
        out = groups * small_draw(s, 1, groups > 8 ? 2 : 20);
        break;
    default:
        break;
    }
    add_conv(s, name, out, small_draw(s, 0, 3) ? 3 : 7, 3, groups, bits, how[small_draw(s, 0, 5)]);
}

static mq_inet *draw_network(uint64_t seed) {
    small_net s;
    char name[32], requant[64];
    mq_inet *net = begin(&s, seed, 5 + (int)(seed * 7 % 19), 4 + (int)(seed * 5 % 23), 1 + (int)(seed % 5),
                         1 + (int)(seed * 3 % 8));
    const int depth = small_draw(&s, 1, 4);
    for (int i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "conv%d", i);
        draw_layer(&s, name);
        snprintf(name, sizeof name, "accumulators%d", i);
        if (small_draw(&s, 0, 7) == 0) add_pool(&s, name); /* before codes */
        snprintf(name, sizeof name, "conv%d", i);
        snprintf(requant, sizeof requant, "conv%d.requant", i);
        small_requant(&s, requant, name, small_draw(&s, 1, 8), small_draw(&s, 0, 2) == 0,
                      small_draw(&s, 0, 2) == 0);
        snprintf(name, sizeof name, "pool%d", i);
        if (small_draw(&s, 0, 2) == 0) add_pool(&s, name);
    }
    if (small_draw(&s, 0, 1))
        small_linear(&s, "linear", small_draw(&s, 1, 70));
    else
        add_conv(&s, "head", small_draw(&s, 6, 40), 3, 1, 1, 8, RANDOM);
    return end(&s) ? net : NULL;
}

static void random_networks(void **state) {
    (void)state;
    coverage c = {0};
    char what[32];
    for (uint64_t seed = 0; seed < 150; seed++) {
        mq_inet *net = draw_network(seed);
        snprintf(what, sizeof what, "network %d", (int)seed);
        cover(net, &c);
        check_random(what, net, seed, 3);
        mq_inet_free(net);
    }
    for (int way = 0; way < MQ_FAST_WAYS; way++) assert_true(c.ways[way] > 5);
    assert_true(c.depthwise > 5 && c.signed_codes > 5 && c.pairs[0] > 5 && c.pairs[1] > 5);
    assert_true(c.fused[MQ_FAST_LAYERS] > 20);
}

/* Those of the other tests: reorg, concat, rescale, a bypass. */
static void small_networks(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        mq_inet *net = small_net_random(seed);
        char what[32];
        snprintf(what, sizeof what, "small network %d", (int)seed);
        check_random(what, net, seed, 5);
        mq_inet_free(net);
    }
}

/* Edges of more bytes than stay in the cache: layer, requantisation and pool run as one, in pieces of rows.
 */
static void fused_pools(void **state) {
    (void)state;
    static const struct {
        int h, w, kernel, stride, channels;
        bool fused;
    } cases[] = {{65, 63, 2, 2, 32, true},  {70, 61, 3, 3, 40, true},
                 {130, 19, 4, 4, 65, true}, {66, 66, 3, 2, 33, false}, /* windows overlap */
                 {20, 21, 2, 2, 32, false},                            /* small */
                 {21, 300, 2, 2, 128, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        small_net s;
        char what[32];
        coverage c = {0};
        mq_inet *net = begin(&s, i, cases[i].h, cases[i].w, 3, 8);
        add_conv(&s, "conv0", cases[i].channels, 3, 1, 1, 4, RANDOM);
        small_requant(&s, "requant0", "conv0", 4, i % 2, false);
        mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool0"};
        pool.pool = (mq_inet_pool){cases[i].kernel, cases[i].stride};
        small_add(&s, &pool);
        add_conv(&s, "head", 9, 3, 1, 1, 4, RANDOM);
        end(&s);
        cover(net, &c);
        assert_int_equal(c.fused[MQ_FAST_POOLS], cases[i].fused);
        snprintf(what, sizeof what, "pool %zu", i);
        check_random(what, net, i, 3);
        mq_inet_free(net);
    }
}

/* 65792 products of 255*-128 are the most that int32 holds, 67500 are too many; so are codes of 16 bits. */
static void wide_sums(void **state) {
    (void)state;
    static const struct { int h, w, slow; } cases[] = {{256, 257, 0}, {300, 225, 1}};
    for (int i = 0; i < 2; i++) {
        small_net s;
        coverage c = {0};
        mq_inet *net = begin(&s, 0, cases[i].h, cases[i].w, 1, 8);
        mq_inet_node linear = {.kind = MQ_INET_LINEAR, .name = "linear"};
        int8_t *w = draw_weights(&s, (size_t)(5 * cases[i].h * cases[i].w), 8, LOWEST);
        linear.linear = (mq_inet_linear){5, 8, false, 1, w, NULL};
        small_add(&s, &linear);
        small_requant(&s, "linear.requant", "linear", 8, true, true);
        small_linear(&s, "last", 3);
        end(&s);
        cover(net, &c);
        assert_int_equal(c.slow[MQ_INET_LINEAR], cases[i].slow);
        assert_int_equal(c.slow[MQ_INET_REQUANT], cases[i].slow);
        check_random("wide sums", net, 1, 3);
        free(w);
        mq_inet_free(net);
    }
    /* Accumulators of a layer read by the next; pooled, reorganised and joined in between. */
    small_net s;
    coverage c = {0};
    mq_inet *net = begin(&s, 5, 12, 10, 3, 6);
    add_conv(&s, "conv0", 6, 1, 1, 1, 7, MIXED_EXTREMES);
    const int accumulators = s.last;
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool", .pool = {2, 2}};
    small_add(&s, &pool);
    const int pooled = s.last;
    mq_inet_node reorg = {.kind = MQ_INET_REORG, .name = "reorg", .input = {accumulators}, .input_count = 1};
    small_add(&s, &reorg);
    mq_inet_node join = {.kind = MQ_INET_CONCAT, .name = "join", .input = {s.last, pooled}, .input_count = 2};
    small_add(&s, &join);
    add_conv(&s, "conv1", 7, 3, 1, 1, 8, RANDOM);
    small_requant(&s, "requant1", "conv1", 8, false, true);
    add_conv(&s, "head", 8, 3, 1, 1, 8, RANDOM);
    end(&s);
    cover(net, &c);
    assert_int_equal(c.slow[MQ_INET_CONV], 1);
    assert_int_equal(c.slow[MQ_INET_REORG] + c.slow[MQ_INET_CONCAT] + c.slow[MQ_INET_REQUANT], 3);
    check_random("accumulators into weights", net, 2, 5);
    mq_inet_free(net);
}

/* Kernels that a processor lacks are refused, not run. */
static void missing_kernels(void **state) {
    (void)state;
    mq_error error = {0};
    mq_inet *net = small_net_random(1);
    for (mq_sim_cpu cpu = 0; cpu < MQ_SIM_CPU_COUNT; cpu++) {
        const mq_sim_options options = {.engine = MQ_SIM_FAST, .cpu = cpu};
        mq_sim *sim;
        mq_status status = mq_sim_create_with(net, &options, &sim, &error);
        assert_int_equal(status, mq_sim_cpu_available(cpu) ? MQ_OK : MQ_USAGE);
        if (status != MQ_OK) assert_non_null(strstr(error.text, mq_sim_cpu_name(cpu)));
        mq_sim_free(sim);
    }
    assert_true(mq_sim_cpu_available(MQ_SIM_CPU_C) && mq_sim_cpu_available(MQ_SIM_CPU_BEST));
    mq_inet_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks), cmocka_unit_test(small_networks),  cmocka_unit_test(fused_pools),
        cmocka_unit_test(wide_sums),       cmocka_unit_test(missing_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
