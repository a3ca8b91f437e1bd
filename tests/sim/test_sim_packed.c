/* test_sim_packed.c - the packed simulator against the reference over random networks, slices and classes,
 * and a plan that is wrong: found by the simulator, and refused by the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/temp_dir.h"
#include "inet/inet_plan.h"
#include "inet/small_net.h"
#include "sim/sim.h"

enum { IMAGES = 3 };

typedef struct seen {
    const mq_inet *net;
    int64_t *codes[IMAGES][MQ_INET_MAX_NODES];
    const struct seen *expected;
    int differing;
} seen;

static size_t elements(const mq_inet *net, int n) {
    const mq_inet_edge *e = &net->nodes[n].edge;
    return (size_t)e->h * (size_t)e->w * (size_t)e->c;
}

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    seen *s = context;
    size_t n = elements(s->net, node);
    s->codes[image][node] = malloc(n * sizeof *codes);
    memcpy(s->codes[image][node], codes, n * sizeof *codes);
}

static void compare(void *context, size_t image, int node, const int64_t *codes) {
    seen *s = context;
    size_t n = elements(s->net, node);
    if (memcmp(codes, s->expected->codes[image][node], n * sizeof *codes) != 0) s->differing++;
}

static void release(seen *s) {
    for (int i = 0; i < IMAGES; i++)
        for (int n = 0; n < s->net->node_count; n++) free(s->codes[i][n]);
}

static mq_status run(const mq_inet *net, const mq_sim_options *options, const uint8_t *images,
                     mq_sim_visitor visitor, mq_error *error) {
    mq_sim *sim;
    mq_status status = mq_sim_create_with(net, options, &sim, error);
    if (status != MQ_OK) return status;
    status = mq_sim_run(sim, images, IMAGES, MQ_SIM_NHWC, &visitor, NULL, NULL, error);
    mq_sim_free(sim);
    return status;
}

static uint8_t *random_images(const mq_inet *net, uint64_t seed) {
    size_t n = IMAGES * elements(net, 0);
    uint8_t *images = malloc(n);
    mq_rng rng = mq_rng_stream(seed, "images", 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t r = mq_rng_u32(&rng, i);
        images[i] = r % 4 == 0 ? 255 * (r >> 8 & 1) : (uint8_t)(r >> 16);
    }
    return images;
}

/* Every node of every image; returns layers that were packed. */
static int check(const mq_inet *net, const char *slice, mq_pack_class class, uint64_t seed) {
    mq_dsp dsp;
    mq_inet_plan *plan;
    mq_error error = {0};
    int packed = 0;
    assert_int_equal(mq_dsp_find(slice, &dsp, NULL), MQ_OK);
    if (mq_inet_plan_choose(net, &dsp, class, &plan, &error) != MQ_OK)
        fail_msg("seed %d: %s", (int)seed, error.text);
    uint8_t *images = random_images(net, seed);
    seen reference = {.net = net}, words = {.net = net, .expected = &reference};
    mq_sim_options plain = {.engine = MQ_SIM_REFERENCE}, options = {.engine = MQ_SIM_PACKED, .plan = plan};
    if (run(net, &plain, images, (mq_sim_visitor){keep, &reference}, &error) != MQ_OK ||
        run(net, &options, images, (mq_sim_visitor){compare, &words}, &error) != MQ_OK)
        fail_msg("seed %d, %s: %s", (int)seed, slice, error.text);
    if (words.differing) fail_msg("seed %d, %s: %d nodes differ", (int)seed, slice, words.differing);
    for (int i = 0; i < plan->count; i++) packed += plan->layer[i].multiplier == MQ_PLAN_DSP;
    release(&reference);
    free(images);
    mq_inet_plan_free(plan);
    return packed;
}

static void random_networks(void **state) {
    (void)state;
    static const char *const slices[] = {"dsp48e2", "dsp58", "dsp48e1", "18x19"};
    int packed = 0;
    for (uint64_t seed = 0; seed < 24; seed++) {
        mq_inet *net = small_net_random(seed);
        packed += check(net, slices[seed % 4], (mq_pack_class)(1 + seed % 3), seed);
        mq_inet_free(net);
    }
    assert_true(packed > 40);
}

/* image -> convolutions -> output: stride 1, as the networks have them, dense and depthwise, 3 x 3 and 5 x 5.
 */
static mq_inet *layers(uint64_t seed, int kernel, bool depthwise) {
    small_net s = {.rng = mq_rng_stream(seed, "packed layers", 0)};
    mq_error error;
    assert_int_equal(mq_inet_create(&s.net, &error), MQ_OK);
    strcpy(s.net->model, "layers");
    s.net->task = MQ_INET_DETECTION;
    s.net->classes = 1;
    s.net->anchor_count = 1;
    s.net->anchor_w[0] = s.net->anchor_h[0] = 20;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {9, small_draw(&s, 7, 13), 3, 8}};
    image.image.bits = small_draw(&s, 2, 8);
    small_add(&s, &image);
    for (int i = 0; i < 3; i++) {
        const mq_inet_edge *in = &s.net->nodes[s.last].edge;
        char name[32];
        mq_inet_node conv = {.kind = MQ_INET_CONV};
        mq_inet_conv *v = &conv.conv;
        bool alone = depthwise && i < 2;
        snprintf(conv.name, sizeof conv.name, "conv%d", i);
        v->out_channels = alone ? in->c : i == 2 ? 6 : 5;
        v->groups = alone ? in->c : 1;
        v->kernel_h = v->kernel_w = i == 2 ? 1 : kernel;
        v->stride_h = v->stride_w = 1;
        v->pad_top = v->pad_left = v->pad_bottom = v->pad_right = v->kernel_h / 2;
        v->weight_bits = small_draw(&s, 2, 8);
        int8_t *weight =
            small_weights(&s, (size_t)(v->out_channels * in->c / v->groups * v->kernel_h * v->kernel_w),
                          v->weight_bits, false);
        v->weight = weight;
        small_add(&s, &conv);
        free(weight);
        snprintf(name, sizeof name, "conv%d.requant", i);
        if (i < 2) small_requant(&s, name, conv.name, small_draw(&s, 2, 8), false, false);
    }
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 3}};
    small_add(&s, &output);
    if (mq_inet_finish(s.net, &error) != MQ_OK) fail_msg("%s", error.text);
    return s.net;
}

static void convolutions(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 32; seed++) {
        mq_inet *net = layers(seed, seed % 2 ? 5 : 3, seed % 4 > 1);
        assert_int_equal(check(net, "dsp48e2", (mq_pack_class)(2 + seed / 4 % 2), seed), 3);
        mq_inet_free(net);
    }
}

static mq_inet_plan *choose(const mq_inet *net) {
    mq_dsp dsp;
    mq_inet_plan *plan;
    assert_int_equal(mq_dsp_find("dsp48e2", &dsp, NULL), MQ_OK);
    assert_int_equal(mq_inet_plan_choose(net, &dsp, MQ_CLASS_II, &plan, NULL), MQ_OK);
    return plan;
}

/* Packings damaged in memory: the first split whose sums are wrong ends the run and is named. */
static void a_broken_plan_is_found(void **state) {
    (void)state;
    int caught = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        mq_inet *net = layers(seed, 3, false);
        mq_inet_plan *plan = choose(net);
        uint8_t *images = random_images(net, seed);
        seen words = {.net = net};
        mq_sim_options options = {.engine = MQ_SIM_PACKED, .plan = plan};
        mq_packing *p = &plan->layer[1].piece[0].packing;
        if (seed % 2)
            p->field[0].position++;
        else
            plan->layer[1].chain = (int)p->accumulations * 8; /* more than the windows hold */
        mq_error error = {0};
        mq_status status = run(net, &options, images, (mq_sim_visitor){keep, &words}, &error);
        if (status == MQ_CHECK_FAILED) {
            caught++;
            if (!strstr(error.text, "layer conv1, image")) fail_msg("%s", error.text);
        } else {
            assert_int_equal(status, MQ_OK); /* so many accumulations may still fit the values met */
        }
        release(&words);
        free(images);
        mq_inet_plan_free(plan);
        mq_inet_free(net);
    }
    assert_true(caught >= 4);
}

static void refused(void **state, const mq_inet *net, const char *from, const char *to, const char *words) {
    uint8_t *text;
    size_t size;
    mq_inet_plan *plan;
    mq_error error = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "plan.json"));
    assert_int_equal(mq_file_read(path, 1 << 22, &text, &size, &error), MQ_OK);
    char *at = strstr((char *)text, from);
    assert_non_null(at);
    char *changed = malloc(size + strlen(to) + 1);
    size_t before = (size_t)(at - (char *)text);
    int n = snprintf(changed, size + strlen(to) + 1, "%.*s%s%s", (int)before, (char *)text, to,
                     at + strlen(from));
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "changed.json"));
    assert_int_equal(mq_file_write(path, changed, (size_t)n, &error), MQ_OK);
    mq_status status = mq_inet_plan_load(path, net, &plan, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, words))
        fail_msg("'%s' expected, got %d '%s'", words, status, error.text);
    free(changed);
    mq_free(text);
}

static void files(void **state) {
    mq_inet *net = layers(3, 3, false), *other = layers(4, 3, false);
    mq_error error = {0};
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    assert_int_equal(mq_inet_save(other, temp_dir_path(state, "other"), &error), MQ_OK);
    mq_inet_plan *plan = choose(net), *back;
    plan->layer[1].simd = 3;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "plan.json"));
    assert_int_equal(mq_inet_plan_save(plan, net, path, &error), MQ_OK);
    if (mq_inet_plan_load(path, net, &back, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(back->count, 3);
    assert_int_equal(back->layer[1].simd, 3);
    for (int i = 0; i < 3; i++) {
        const mq_packing *a = &plan->layer[i].piece[0].packing, *b = &back->layer[i].piece[0].packing;
        assert_int_equal(back->layer[i].chain, plan->layer[i].chain);
        assert_int_equal(a->fields, b->fields);
        assert_int_equal(a->bias, b->bias);
        assert_int_equal(a->accumulations, b->accumulations);
        assert_int_equal(a->luts, b->luts);
    }
    mq_inet_plan_free(back);
    assert_int_equal(mq_inet_plan_load(path, other, &back, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "a plan for"));
    refused(state, net, "\"layer\": \"conv1\"", "\"layer\": \"conv2\"", "layer conv1: layer: got 'conv2'");
    refused(state, net, "\"multiplier\": \"dsp\"", "\"multiplier\": \"dps\"", "multiplier: got 'dps'");
    refused(state, net, "\"dsp\": \"dsp48e2\"", "\"dsp\": \"dsp58\"",
            "a packing for dsp48e2 in a plan for dsp58");
    refused(state, net, "\"simd\": 1", "\"simd\": 0", "simd");
    refused(state, net, "\"chain\": ", "\"chain\": 999", "slices in cascade");
    refused(state, net, "\"version\": 1", "\"version\": 2", "version");
    refused(state, net, "\"taps\": ", "\"taps\": 1", "taps");
    refused(state, net, "\"count\": ", "\"count\": 3", "pieces");
    refused(state, net, "\"weights_port\": \"", "\"weights_port\": \"side", "weights_port: got 'side");
    refused(state, net, "\"position\": 0", "\"position\": 1", "packing is not exact");
    mq_inet_plan_free(plan);
    mq_inet_free(net);
    mq_inet_free(other);
}

/* Packings that are exact but leave a tap, an output channel or a pixel out, or count one twice. */
static void incomplete_packings(void **state) {
    static const struct {
        int count, taps, weights, activations;
        mq_pack_operand weight[2], activation[2];
        const char *words;
    } rows[] = {
        {1, 3, 2, 1, {{0, 0, 0, 0}, {17, 0, 2, 0}}, {{0, 0, 0, 0}}, "weights: every step"},
        {3, 1, 2, 1, {{0, 0, 0, 0}, {17, 0, 0, 0}}, {{0, 0, 0, 0}}, "weights: every step"},
        {3, 1, 2, 1, {{0, 0, 0, 0}, {17, 2, 0, 0}}, {{0, 0, 0, 0}}, "weights: every step"},
        {3, 1, 1, 2, {{0, 0, 0, 0}}, {{0, 0, 0, 0}, {17, 2, 0, 0}}, "activations: every step"},
        {3, 1, 1, 2, {{0, 0, 0, 0}}, {{0, 0, 0, 0}, {17, 0, 0, 0}}, "activations: every step"},
    };
    mq_inet *net = layers(3, 3, false);
    mq_error error = {0};
    char path[512];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "plan.json"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mq_inet_plan *plan = choose(net), *back;
        mq_plan_layer *l = &plan->layer[0];
        mq_packing p = {.kind = "by hand",
                        .dsp = plan->dsp,
                        .weight_codes = {-128, 127},
                        .activation_codes = {0, 255},
                        .weights_wide = rows[i].weights > 1,
                        .weights = rows[i].weights,
                        .activations = rows[i].activations};
        memcpy(p.weight, rows[i].weight, sizeof rows[i].weight);
        memcpy(p.activation, rows[i].activation, sizeof rows[i].activation);
        if (mq_packing_finish(&p, 1, &error) != MQ_OK) fail_msg("%s", error.text);
        l->kinds = l->chain = 1;
        l->piece[0] = (mq_plan_piece){rows[i].count, rows[i].taps, p};
        assert_int_equal(mq_inet_plan_save(plan, net, path, &error), MQ_OK);
        mq_status status = mq_inet_plan_load(path, net, &back, &error);
        if (status != MQ_BAD_INPUT || !strstr(error.text, "layer conv0: row[0]") ||
            !strstr(error.text, rows[i].words))
            fail_msg("packing %zu: got %d '%s'", i, status, error.text);
        mq_inet_plan_free(plan);
    }
    mq_inet_free(net);
}

/* What an allocated plan says of its accelerator comes back, and what cannot be is refused. */
static void accelerator(void **state) {
    mq_inet *net = layers(3, 3, false);
    mq_error error = {0};
    char path[512];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_plan *plan = choose(net), *back;
    mq_plan_layer *l = &plan->layer[0];
    l->pe = 4, l->blocks = 2, l->out_pixels = 3, l->requant = MQ_PLAN_AFFINE, l->lanes = 6;
    l->memory = MQ_PLAN_LUT_ROM;
    plan->layer[1].requant = MQ_PLAN_THRESHOLD;
    snprintf(plan->device, sizeof plan->device, "board");
    plan->clock_mhz = 250.5;
    plan->in_pixels = 2;
    assert_int_equal(mq_alloc(1, sizeof *plan->stream, "a stream", &plan->stream, &error), MQ_OK);
    plan->streams = 1;
    plan->stream[0] = (mq_plan_stream){net->nodes[l->node].input[0], l->node, 77};
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "plan.json"));
    assert_int_equal(mq_inet_plan_save(plan, net, path, &error), MQ_OK);
    if (mq_inet_plan_load(path, net, &back, &error) != MQ_OK) fail_msg("%s", error.text);
    const mq_plan_layer *m = &back->layer[0];
    assert_true(m->blocks == 2 && m->out_pixels == 3 && m->requant == MQ_PLAN_AFFINE && m->lanes == 6 &&
                m->memory == MQ_PLAN_LUT_ROM && m->pe == 4 && m->rows == 1);
    assert_int_equal(back->layer[1].requant, MQ_PLAN_THRESHOLD);
    assert_int_equal(back->layer[2].requant, MQ_PLAN_NO_REQUANT);
    assert_string_equal(back->device, "board");
    assert_true(back->clock_mhz == 250.5 && back->in_pixels == 2 && back->streams == 1);
    assert_int_equal(back->stream[0].to, l->node);
    assert_int_equal(back->stream[0].depth, 77);
    mq_inet_plan_free(back);
    refused(state, net, "\"rows\": 1", "\"rows\": 97", "rows");
    refused(state, net, "\"lanes\": 6", "\"lanes\": 5", "lanes: got 5, expected a divisor");
    refused(state, net, "\"requant\": \"affine\"", "\"requant\": \"linear\"",
            "requant: got 'linear', expected one of none, threshold, affine");
    refused(state, net, "\"weights\": \"logic\"", "\"weights\": \"uram\"", "weights: got 'uram'");
    refused(state, net, "\"device\": \"board\"", "\"device\": \"\"", "device");
    refused(state, net, "\"clock_mhz\": 250.5", "\"clock_mhz\": 0.0", "clock_mhz");
    refused(state, net, "\"to\": \"", "\"to\": \"no", "no node");
    refused(state, net, "\"from\": \"image\"", "\"from\": \"conv1\"", "does not read");
    refused(state, net, "\"depth\": 77", "\"depth\": -1", "depth");
    refused(state, net, "\"blocks\": 2", "\"blocs\": 2", "blocs");
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

static void without_a_plan(void **state) {
    (void)state;
    mq_inet *net = layers(1, 3, false);
    mq_sim *sim;
    mq_error error = {0};
    mq_sim_options options = {.engine = MQ_SIM_PACKED};
    assert_int_equal(mq_sim_create_with(net, &options, &sim, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "needs a plan"));
    mq_inet_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(a_broken_plan_is_found),
        cmocka_unit_test_setup_teardown(files, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(incomplete_packings, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(accelerator, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(without_a_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
