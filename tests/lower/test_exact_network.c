/* test_exact_network.c - whole networks: the trained network evaluated exactly and the integer one in every
 * simulator (fast, reference, packed words) give the same codes in every layer, the certificate can be made,
 * and it cannot be made of a network that differs.
 *
 * MIXQ_DEEP=1 in the environment (tools/check_deep.sh) takes all models, bits and seeds; else a selection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "lower/certify.h"
#include "lower/exact_run.h"
#include "lower/helper_trained.h"
#include "lower/lower.h"
#include "sim/sim.h"

static const char BYPASS[] = "name: bypass\ntask: detection\nclasses: 1\nanchors: [[20, 20], [30, 10]]\n"
                             "input: {channels: 3, height: 8, width: 12}\nlayers:\n"
                             "  - conv: {out: 5, kernel: 3}\n  - batch_norm\n"
                             "  - conv: {out: 4, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                             "  - conv: {out: 5, kernel: 3}\n  - batch_norm\n"
                             "  - reorg: {from: bn1}\n  - concat: {from: [reorg0, bn2]}\n"
                             "  - conv: {out: 7, kernel: 3}\n  - batch_norm\n"
                             "  - conv: {out: 12, kernel: 1, bias: true}\n";

/* No batch norm before a pool and a linear layer; strides, groups, no padding, biases. */
static const char PLAIN[] =
    "name: plain\nclasses: 3\ninput: {channels: 2, height: 9, width: 8}\nlayers:\n"
    "  - conv: {out: 4, kernel: 3, bias: true}\n  - max_pool: {kernel: 3, stride: 2}\n"
    "  - conv: {out: 8, kernel: 3, groups: 2, stride: 2, bias: true}\n  - batch_norm\n"
    "  - conv: {out: 3, kernel: 1}\n  - linear: {out: 6}\n  - linear: {out: 5, bias: false}\n  - batch_norm\n"
    "  - linear: {out: 3}\n";

/* A built-in description with a smaller image; release with free. */
static char *small_model(const char *model) {
    mq_error error = {0};
    mq_net *net;
    if (mq_net_open(model, &net, &error) != MQ_OK) fail_msg("%s", error.text);
    char *text = strdup(net->source), *at = strstr(text, "height: ");
    assert_non_null(at);
    /* "height: 160, width: 320" keeps its length */
    const char *size = strstr(at, "320") ? "height:  16, width:  32" : "height: 16, width: 16";
    memcpy(at, size, strlen(size));
    mq_net_free(net);
    return text;
}

typedef struct counts {
    long long codes, differing, thresholds, stored, channels;
} counts;

typedef struct seen {
    const mq_inet *net;
    mq_exact *exact;
    counts *counts;
} seen;

/* Called for image 0 only: one thread. */
static void compare_codes(void *context, size_t image, int node, const int64_t *codes) {
    seen *s = context;
    const mq_inet_node *n = &s->net->nodes[node];
    (void)image;
    if (!n->dump[0]) return;
    const mq_exact_result *r = mq_exact_find(s->exact, n->dump);
    if (!r) fail_msg("%s: no exact evaluation of %s", s->net->model, n->dump);
    assert_true(r->h == n->edge.h && r->w == n->edge.w && r->c == n->edge.c);
    int pixels = r->h * r->w;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < r->c; c++) {
            s->counts->codes++;
            s->counts->differing += codes[p * r->c + c] != r->values[c * pixels + p];
        }
}

static void compare_images(const mq_checkpoint *c, const mq_inet *net, int images, uint64_t seed,
                           counts *all) {
    mq_error error = {0};
    mq_sim *sim[MQ_SIM_ENGINE_COUNT];
    mq_exact *exact;
    mq_inet_plan *plan;
    mq_dsp dsp;
    size_t pixels = (size_t)(c->net->in_h * c->net->in_w * c->net->in_c);
    uint8_t *image = malloc(pixels);
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    assert_int_equal(mq_dsp_find("dsp48e2", &dsp, NULL), MQ_OK);
    if (mq_inet_plan_choose(net, &dsp, MQ_CLASS_II, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int e = 0; e < MQ_SIM_ENGINE_COUNT; e++) {
        const mq_sim_options options = {.engine = (mq_sim_engine)e, .plan = plan};
        if (mq_sim_create_with(net, &options, &sim[e], &error) != MQ_OK) fail_msg("%s", error.text);
    }
    if (mq_exact_create(c, &exact, &error) != MQ_OK) fail_msg("%s", error.text);
    seen s = {.net = net, .exact = exact, .counts = all};
    const mq_sim_visitor visitor = {.see = compare_codes, .context = &s};
    for (int i = 0; i < images; i++) {
        for (size_t k = 0; k < pixels; k++)
            image[k] = (uint8_t)mq_rng_below(&rng, (uint64_t)i * pixels + k, 256);
        mq_exact_image(exact, image);
        for (int e = 0; e < MQ_SIM_ENGINE_COUNT; e++)
            if (mq_sim_run(sim[e], image, 1, MQ_SIM_NHWC, &visitor, NULL, NULL, &error) != MQ_OK)
                fail_msg("%s, seed %d: %s", net->model, (int)seed, error.text);
    }
    mq_exact_free(exact);
    for (int e = 0; e < MQ_SIM_ENGINE_COUNT; e++) mq_sim_free(sim[e]);
    mq_inet_plan_free(plan);
    free(image);
}

static long long total(const json_t *certificate, const char *key) {
    const json_t *v = json_object_get(json_object_get(certificate, "totals"), key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

/* Names the layers with stored thresholds, and why: few channels should need them. */
static void list_stored(const draw *d, const mq_inet *net) {
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        if (n->kind != MQ_INET_REQUANT || !n->requant.rule) continue;
        for (int c = 0; c < n->edge.c; c++)
            if (n->requant.rule[c] != MQ_INET_AFFINE)
                print_message(
                    "%s, seed %d: %s, %d bits, shift %d: channel %d is stored, accumulators %lld..%lld\n",
                    net->model, (int)d->seed, n->name, n->requant.bits, n->requant.shift, c,
                    (long long)net->nodes[n->input[0]].edge.channel_low[c],
                    (long long)net->nodes[n->input[0]].edge.channel_high[c]);
    }
}

/* Lowers, certifies and compares. */
static void check_network(const draw *d, int images, counts *all) {
    mq_error error = {0};
    mq_checkpoint c;
    mq_inet *net;
    json_t *certificate;
    trained_make(d, &c);
    if (mq_lower(&c, NULL, &net, &error) != MQ_OK) fail_msg("%s", error.text);
    if (mq_certify(&c, "sha", net, &certificate, &error) != MQ_OK)
        fail_msg("%s, seed %d: %s", net->model, (int)d->seed, error.text);
    all->thresholds += total(certificate, "thresholds");
    all->stored += total(certificate, "stored");
    all->channels += total(certificate, "channels");
    list_stored(d, net);
    compare_images(&c, net, images, d->seed, all);
    json_decref(certificate);
    mq_inet_free(net);
    mq_checkpoint_free(&c);
}

static bool deep(void) {
    return getenv("MIXQ_DEEP") != NULL;
}

static void report(const counts *all) {
    print_message("%lld codes compared, %lld differ; %lld thresholds of %lld channels, %lld stored\n",
                  all->codes, all->differing, all->thresholds, all->channels, all->stored);
    assert_int_equal(all->differing, 0);
    assert_true(all->codes > 0 && all->thresholds > 0);
}

static void small_networks(void **state) {
    (void)state;
    counts all = {0};
    for (uint64_t seed = 0; seed < (deep() ? 200 : 30); seed++) {
        draw d = {.network = seed % 2 ? BYPASS : PLAIN, .mode = MQ_MODE_FIXED, .seed = seed};
        d.symmetric = seed % 5 == 4;
        d.spread = seed % 4 == 3 ? 20.0f : 1.0f;
        check_network(&d, 4, &all);
    }
    report(&all);
}

static const struct {
    const char *name, *bitw, *bita;
} MODELS[] = {
    {"vgg_tiny", "822222", "833363"},
    {"ultranet", "444444444", "844444444"},
    {"ultranet", "844444448", "844444444"},
    {"ultranet_bypass", "444444444", "844444444"},
    {"ultranet_ismart", "844444448", "844444444"},
    {"skynet", "8766555453588", "8883877788556"},
    {"skynetk5", "8766555453588", "8883877788556"},
};
enum { MODEL_COUNT = sizeof MODELS / sizeof *MODELS };

static void published_bits(void **state) {
    (void)state;
    counts all = {0};
    for (int i = 0; i < MODEL_COUNT; i++) {
        char *text = small_model(MODELS[i].name);
        draw d = {.network = text, .mode = MQ_MODE_FIXED, .seed = (uint64_t)i, .spread = 1};
        d.bitw = MODELS[i].bitw;
        d.bita = MODELS[i].bita;
        check_network(&d, deep() ? 4 : 1, &all);
        free(text);
    }
    report(&all);
}

static void random_bits(void **state) {
    (void)state;
    counts all = {0};
    for (uint64_t seed = 0; seed < (deep() ? 30 * MODEL_COUNT : MODEL_COUNT); seed++) {
        char *text = small_model(MODELS[seed % MODEL_COUNT].name);
        draw d = {.network = text, .mode = MQ_MODE_FIXED, .seed = 1000 + seed, .spread = 1};
        d.symmetric = seed % 7 == 6;
        check_network(&d, 1, &all);
        free(text);
    }
    report(&all);
}

/* ---- a certificate is not made of what differs ---- */

static void not_certified(const mq_checkpoint *c, const mq_inet *net, const char *place) {
    mq_error error = {0};
    json_t *certificate;
    assert_int_equal(mq_certify(c, "sha", net, &certificate, &error), MQ_CHECK_FAILED);
    assert_null(certificate);
    if (!strstr(error.text, place)) fail_msg("got '%s', expected '%s'", error.text, place);
}

static void differences_are_found(void **state) {
    (void)state;
    mq_error error = {0};
    mq_checkpoint c;
    mq_inet *net;
    json_t *certificate;
    draw d = {.network = BYPASS, .mode = MQ_MODE_FIXED, .bitw = "44444", .bita = "84456", .seed = 5};
    d.spread = 1;
    trained_make(&d, &c);
    assert_int_equal(mq_lower(&c, NULL, &net, &error), MQ_OK);
    assert_int_equal(mq_certify(&c, "sha", net, &certificate, &error), MQ_OK);
    assert_int_equal(json_array_size(json_object_get(certificate, "layers")), 5);
    assert_int_equal(json_array_size(json_object_get(certificate, "published")), 5);
    assert_string_equal(json_string_value(json_object_get(certificate, "checkpoint_sha256")), "sha");
    json_decref(certificate);

    mq_inet_node *second = &net->nodes[mq_inet_find(net, "conv1.requant.2")];
    int64_t *inc = (int64_t *)second->requant.inc, *bias = (int64_t *)second->requant.bias;
    const mq_inet_edge *acc = &net->nodes[second->input[0]].edge;
    int wrong = 0;
    for (int ch = 0; ch < second->edge.c; ch++) {
        /* The bias off by a unit of the accumulator moves every threshold. */
        int64_t at, unit = inc[ch];
        if (!mq_rule_next_step(&second->requant, ch, acc->channel_low[ch], acc->channel_high[ch], &at))
            continue;
        bias[ch] += unit;
        not_certified(&c, net, "conv1.requant.2: channel");
        bias[ch] -= unit;
        wrong++;
    }
    assert_true(wrong > 1);
    int8_t *weight = (int8_t *)net->nodes[mq_inet_find(net, "conv3")].conv.weight;
    weight[17] ^= 1;
    not_certified(&c, net, "conv3: weight 17");
    weight[17] ^= 1;
    int64_t *head = (int64_t *)net->nodes[mq_inet_find(net, "conv4")].conv.bias;
    head[3]++;
    not_certified(&c, net, "conv4: bias of channel 3");
    head[3]--;
    mq_inet_last(net);
    net->nodes[net->node_count - 1].output.divisor *= 1.5;
    not_certified(&c, net, "output: divisor");
    net->nodes[net->node_count - 1].output.divisor /= 1.5;
    /* The bypass taken from the other requantisation: right numbers at the wrong place. */
    int reorg = mq_inet_find(net, "reorg0");
    int kept = net->nodes[reorg].input[0];
    net->nodes[reorg].input[0] = mq_inet_find(net, "conv1.requant");
    not_certified(&c, net, "conv1.requant: scale");
    net->nodes[reorg].input[0] = kept;
    assert_int_equal(mq_certify(&c, "sha", net, &certificate, &error), MQ_OK);
    json_decref(certificate);
    mq_inet_free(net);

    const mq_lower_options compat = {.compat = true, .lshift = 16};
    assert_int_equal(mq_lower(&c, &compat, &net, &error), MQ_OK);
    assert_int_equal(mq_certify(&c, "sha", net, &certificate, &error), MQ_USAGE);
    net->compat = false; /* the published bypass is not the trained network's */
    not_certified(&c, net, "");
    mq_inet_free(net);
    mq_checkpoint_free(&c);
}

/* The same values in float64, where these are far from rounding edges. */
static void oracle_by_another(void **state) {
    (void)state;
    mq_error error = {0};
    int compared = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        mq_checkpoint c;
        mq_exact *exact;
        uint8_t image[3 * 8 * 12];
        int64_t out[12 * 8 * 12];
        draw d = {.network = seed % 2 ? BYPASS : PLAIN, .mode = MQ_MODE_FIXED, .seed = seed, .spread = 1};
        trained_make(&d, &c);
        mq_rng rng = mq_rng_stream(seed, "images", 0);
        for (size_t k = 0; k < sizeof image; k++) image[k] = (uint8_t)mq_rng_below(&rng, k, 256);
        assert_int_equal(mq_exact_create(&c, &exact, &error), MQ_OK);
        mq_exact_image(exact, image);
        const mq_node *head = mq_net_output(c.net);
        if (trained_run(&c, image, out) > 1e-9) {
            const mq_exact_result *r = mq_exact_find(exact, head->name);
            assert_memory_equal(r->values, out, (size_t)(head->h * head->w * head->c) * sizeof *out);
            compared++;
        }
        mq_exact_free(exact);
        mq_checkpoint_free(&c);
    }
    assert_true(compared > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_networks),    cmocka_unit_test(published_bits),
        cmocka_unit_test(random_bits),       cmocka_unit_test(differences_are_found),
        cmocka_unit_test(oracle_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
