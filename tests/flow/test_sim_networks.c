/* test_sim_networks.c - every built-in network, with random parameters and bits, lowered by our rules and by
 * the published ones: the fast engine's codes against the reference's, layer by layer, and its outputs with
 * all fusion, on every table of kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "flow/helper_networks.h"
#include "lower/lower.h"
#include "sim/sim.h"

enum { IMAGES = 2 };

typedef struct record {
    const mq_inet *net;
    int64_t *codes[MQ_INET_MAX_NODES];
    const char *what;
    size_t varied; /* codes that are not their node's first */
} record;

static size_t elements(const mq_inet *net, int n) {
    const mq_inet_edge *e = &net->nodes[n].edge;
    return (size_t)e->h * (size_t)e->w * (size_t)e->c;
}

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    record *r = context;
    const size_t n = elements(r->net, node);
    if (!r->codes[node]) r->codes[node] = calloc(IMAGES * n, sizeof(int64_t));
    memcpy(r->codes[node] + image * n, codes, n * sizeof(int64_t));
    for (size_t i = 0; r->net->nodes[node].kind == MQ_INET_REQUANT && i < n; i++)
        r->varied += codes[i] != codes[0];
}

static void compare(void *context, size_t image, int node, const int64_t *codes) {
    const record *r = context;
    const size_t n = elements(r->net, node);
    for (size_t i = 0; i < n; i++)
        if (codes[i] != r->codes[node][image * n + i])
            fail_msg("%s: image %zu, node %s, element %zu: %lld, %lld expected", r->what, image,
                     r->net->nodes[node].name, i, (long long)codes[i],
                     (long long)r->codes[node][image * n + i]);
}

static void check(const char *what, const mq_inet *net) {
    mq_error error = {0};
    record r = {.net = net, .what = what};
    const size_t pixels = IMAGES * elements(net, 0), outputs = IMAGES * elements(net, net->node_count - 1);
    const mq_rng rng = mq_rng_stream(1, "images", 0);
    uint8_t *images = malloc(pixels);
    int64_t *expected = calloc(outputs, sizeof *expected), *got = calloc(outputs, sizeof *got);
    mq_sim_visitor visitor = {.see = keep, .context = &r};
    mq_sim *sim;
    for (size_t i = 0; i < pixels; i++) images[i] = (uint8_t)mq_rng_u32(&rng, i);
    mq_threads_set(1);
    NEED(mq_sim_create(net, &sim, &error));
    NEED(mq_sim_run(sim, images, IMAGES, MQ_SIM_NHWC, &visitor, expected, NULL, &error));
    mq_sim_free(sim);
    assert_true(r.varied > 100);
    visitor.see = compare;
    for (mq_sim_cpu cpu = 1; cpu < MQ_SIM_CPU_COUNT; cpu++) {
        const mq_sim_options options = {.engine = MQ_SIM_FAST, .cpu = cpu};
        if (!mq_sim_cpu_available(cpu)) continue;
        NEED(mq_sim_create_with(net, &options, &sim, &error));
        if (cpu != MQ_SIM_CPU_C) { /* too slow for more than one image */
            NEED(mq_sim_run(sim, images, IMAGES, MQ_SIM_NHWC, &visitor, got, NULL, &error));
            NEED(mq_sim_run(sim, images, IMAGES, MQ_SIM_NHWC, NULL, got, NULL, &error));
            assert_memory_equal(got, expected, outputs * sizeof *got);
        }
        memset(got, 0, outputs * sizeof *got);
        mq_threads_set(2); /* one image over two threads */
        NEED(mq_sim_run(sim, images, 1, MQ_SIM_NHWC, NULL, got, NULL, &error));
        assert_memory_equal(got, expected, outputs / IMAGES * sizeof *got);
        mq_threads_set(1);
        mq_sim_free(sim);
    }
    for (int n = 0; n < net->node_count; n++) free(r.codes[n]);
    free(images);
    free(expected);
    free(got);
}

static void networks(void **state) {
    static const char *const models[] = {"vgg_tiny", "vgg_small",       "lenet",   "ultranet",
                                         "skynet",   "ultranet_bypass", "skynetk5"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        for (uint64_t seed = 0; seed < 2; seed++) { /* 4 bits everywhere, random bits */
            mq_error error = {0};
            mq_checkpoint checkpoint;
            mq_inet *integer;
            mq_net *net;
            NEED(mq_net_open(models[m], &net, &error));
            network_checkpoint(net, seed, temp_dir_path(state, "c.safetensors"), &checkpoint);
            NEED(mq_lower(&checkpoint, NULL, &integer, &error));
            check(models[m], integer);
            mq_inet_free(integer);
            const mq_lower_options published = {.compat = true, .lshift = 16};
            if (seed == 0 && strcmp(models[m], "ultranet_bypass") == 0) {
                NEED(mq_lower(&checkpoint, &published, &integer, &error));
                check(models[m], integer);
                mq_inet_free(integer);
            }
            mq_checkpoint_free(&checkpoint);
            mq_net_free(net);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(networks, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
