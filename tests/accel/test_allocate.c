/* test_allocate.c - the allocator against trying everything, its promises, and what it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "accel/choice_search.h"
#include "accel/helper_accel.h"

static mq_inet *tiny(int bits) {
    accel_net a = accel_begin(4, 8, 2, bits);
    int at = accel_conv(&a, 0, 4, 3, bits, bits);
    at = accel_pool(&a, at);
    accel_conv(&a, at, 6, 1, bits, 0);
    accel_end(&a);
    return a.net;
}

/* Cycles of the fastest plan; -1 with *error when there is none. */
static int64_t fastest(const mq_inet *net, const mq_device *device, unsigned multipliers, mq_error *error) {

    mq_accel_request request = {.device = device, .multipliers = multipliers};
    mq_inet_plan *plan;
    if (mq_accel_allocate(net, &request, &plan, error) != MQ_OK) return -1;
    mq_estimate e;
    assert_int_equal(mq_estimate_make(net, plan, device, 0, &e, error), MQ_OK);
    assert_true(e.fits);
    int64_t cycles = e.cycles;
    mq_estimate_free(&e);
    mq_inet_plan_free(plan);
    return cycles;
}

/* Every pair of candidates and every width of the image: the least slowest stage within the budget. */
static int64_t everything(const mq_inet *net, const mq_device *device) {
    mq_pack_explorer *explorer;
    mq_error error = {0};
    mq_candidates c[2];
    mq_candidate_limits limits = {.multipliers = MQ_ACCEL_DSP | MQ_ACCEL_LUT,
                                  .budget = mq_device_budget(device)};
    assert_int_equal(mq_pack_explorer_create(&explorer, &error), MQ_OK);
    assert_int_equal(mq_candidates_make(explorer, &device->dsp, net, 1, &limits, &c[0], &error), MQ_OK);
    assert_int_equal(mq_candidates_make(explorer, &device->dsp, net, 4, &limits, &c[1], &error), MQ_OK);
    int64_t best = -1;
    for (int pixels = 1; pixels <= 8; pixels *= 2) {
        mq_stream image = mq_pipeline_image(net, pixels);
        for (int i = 0; i < c[0].count; i++) {
            const mq_candidate *x = &c[0].item[i];
            const mq_inet_edge *e = &net->nodes[2].edge;
            mq_stream codes = {e->h, e->w, e->c, x->ports.pe, x->ports.out_pixels, e->bits, false}, pooled;
            if (!mq_ports_take(&c[0], &x->ports, &image) ||
                mq_pipeline_move(net, 3, &codes, &pooled, NULL) != MQ_OK)
                continue;
            for (int k = 0; k < c[1].count; k++) {
                const mq_candidate *y = &c[1].item[k];
                if (!mq_ports_take(&c[1], &y->ports, &pooled)) continue;
                const mq_inet_edge *h = &net->nodes[4].edge;
                mq_stream head = {h->h, h->w, h->c, y->ports.pe, y->ports.out_pixels, 32, true};
                mq_resources used = mq_model_mover(net, 3, &codes, &pooled),
                             output = mq_model_mover(net, 5, &head, &head);
                mq_resources_add(&used, &output);
                for (int r = 0; r < MQ_RESOURCES; r++) used.of[r] += x->used[r] + y->used[r];
                if (!mq_resources_fit(&used, &limits.budget)) continue;
                int64_t times[] = {mq_stream_beats(&image), x->cycles, mq_stream_beats(&codes), y->cycles,
                                   mq_stream_beats(&head)},
                        slowest = 0;
                for (int t = 0; t < 5; t++)
                    if (times[t] > slowest) slowest = times[t];
                if (best < 0 || slowest < best) best = slowest;
            }
        }
    }
    mq_candidates_free(&c[0]);
    mq_candidates_free(&c[1]);
    mq_pack_explorer_free(explorer);
    return best;
}

static int64_t vectors; /* of the search's exact part */

/* Whether the search finds a way of at most so many cycles; resources of what it finds must fit. */
static bool possible(const mq_inet *net, const mq_device *device, int64_t cycles, int rounds) {
    mq_pack_explorer *explorer;
    mq_error error = {0};
    mq_candidates c[2];
    mq_candidate_limits limits = {.multipliers = MQ_ACCEL_DSP | MQ_ACCEL_LUT,
                                  .budget = mq_device_budget(device)};
    mq_choice_graph graph;
    mq_choice_result result;
    assert_int_equal(mq_pack_explorer_create(&explorer, &error), MQ_OK);
    assert_int_equal(mq_candidates_make(explorer, &device->dsp, net, 1, &limits, &c[0], &error), MQ_OK);
    assert_int_equal(mq_candidates_make(explorer, &device->dsp, net, 4, &limits, &c[1], &error), MQ_OK);
    assert_int_equal(mq_choice_graph_make(net, c, 2, cycles, &limits.budget, &graph, &error), MQ_OK);
    assert_int_equal(mq_choice_search(&graph, 2, &limits.budget, false, rounds, &result, &error), MQ_OK);
    bool found = result.found;
    vectors += result.vectors;
    assert_true(!found || mq_resources_fit(&result.used, &limits.budget));
    assert_false(result.undecided);
    mq_choice_result_free(&result);
    mq_choice_graph_free(&graph);
    mq_candidates_free(&c[0]);
    mq_candidates_free(&c[1]);
    mq_pack_explorer_free(explorer);
    return found;
}

static void exact(void **state) {
    (void)state;
    static const int64_t devices[][3] = {{1, 1200, 4},  {2, 1500, 4},  {3, 1800, 2},  {6, 1800, 8},
                                         {12, 2500, 4}, {20, 2200, 1}, {30, 4000, 8}, {0, 3000, 8},
                                         {8, 1500, 1},  {10, 1650, 1}, {14, 1900, 1}, {16, 2050, 2},
                                         {9, 1750, 0},  {11, 2100, 0}, {18, 1800, 1}, {24, 2700, 1}};
    int found = 0;
    for (int bits = 2; bits <= 4; bits += 2) {
        mq_inet *net = tiny(bits);
        for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
            mq_error error = {0};
            mq_device d = accel_device(devices[i][0], devices[i][1], devices[i][2]);
            int64_t expected = everything(net, &d);
            if (expected < 0) {
                assert_false(possible(net, &d, INT64_MAX, 1));
                continue;
            }
            for (int rounds = 1; rounds <= MQ_CHOICE_ROUNDS; rounds += MQ_CHOICE_ROUNDS - 1) {
                assert_true(possible(net, &d, expected, rounds));
                assert_false(possible(net, &d, expected - 1, rounds));
            }
            int64_t got = fastest(net, &d, 0, &error); /* the streams' FIFOs come on top */
            assert_true(got < 0 || got >= expected);
            found++;
        }
        mq_inet_free(net);
    }
    printf("%d compared, %lld vectors\n", found, (long long)vectors);
    assert_true(found >= 10 && vectors > 1000);
}

/* More of anything is never slower. */
static void monotonic(void **state) {
    (void)state;
    mq_inet *net = tiny(3);
    int64_t last = INT64_MAX;
    for (int scale = 2; scale <= 12; scale += 2) {
        mq_error error = {0};
        mq_device d = accel_device(2 * scale, 700 * scale, scale);
        int64_t cycles = fastest(net, &d, 0, &error);
        if (cycles < 0) continue;
        assert_true(cycles <= last);
        last = cycles;
        mq_device more[] = {d, d, d};
        more[0].dsps += 3;
        more[1].lut += 900;
        more[2].bram36 += 3;
        for (int k = 0; k < 3; k++) {
            int64_t other = fastest(net, &more[k], 0, &error);
            assert_true(other > 0 && other <= cycles);
        }
        int64_t alone = fastest(net, &d, MQ_ACCEL_DSP, &error);
        assert_true(alone < 0 || alone >= cycles);
    }
    assert_true(last < INT64_MAX);
    mq_inet_free(net);
}

static void refuse(const mq_inet *net, const mq_accel_request *request, mq_status status, const char *says) {
    mq_inet_plan *plan;
    mq_error error = {0};
    mq_status got = mq_accel_allocate(net, request, &plan, &error);
    if (got != status || !strstr(error.text, says)) fail_msg("status %d, '%s'", got, error.text);
    assert_null(plan);
}

static void infeasible(void **state) {
    (void)state;
    mq_inet *net = tiny(4);
    mq_device small = accel_device(4, 300, 4), good = accel_device(20, 5000, 10);
    refuse(net, &(mq_accel_request){.device = &small}, MQ_BAD_INPUT, "LUT");
    refuse(net, &(mq_accel_request){.device = &small}, MQ_BAD_INPUT, "short");
    refuse(net, &(mq_accel_request){.device = &good, .target_fps = 1e9}, MQ_BAD_INPUT, "the best is");
    mq_accel_fixed one[] = {{1, 1}}, odd[] = {{5, 4}, {1, 1}}, apart[] = {{6, 3}, {2, 1}};
    refuse(net, &(mq_accel_request){.device = &good, .fixed = one, .fixed_count = 1}, MQ_USAGE, "2");
    refuse(net, &(mq_accel_request){.device = &good, .fixed = odd, .fixed_count = 2}, MQ_BAD_INPUT, "n1");
    refuse(net, &(mq_accel_request){.device = &good, .fixed = apart, .fixed_count = 2}, MQ_BAD_INPUT, "n4");
    mq_inet_free(net);
}

/* What no stage is built for is named, whatever the device. */
static void not_built(void **state) {
    (void)state;
    mq_device good = accel_device(40, 9000, 20);
    accel_net pool = accel_begin(4, 8, 2, 4);
    mq_inet_node slides = {.kind = MQ_INET_MAX_POOL, .name = "slides", .input_count = 1, .pool = {2, 1}};
    mq_error error = {0};
    assert_int_equal(mq_inet_add(pool.net, &slides, &pool.last, &error), MQ_OK);
    accel_conv(&pool, pool.last, 6, 1, 4, 0);
    accel_end(&pool);
    refuse(pool.net, &(mq_accel_request){.device = &good}, MQ_BAD_INPUT, "slides: kernel 2, stride 1");
    mq_inet_free(pool.net);

    accel_net stride = accel_begin(4, 8, 2, 4);
    static const int8_t weight[12];
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "strides", .input_count = 1};
    conv.conv = (mq_inet_conv){.out_channels = 6,
                               .kernel_h = 1,
                               .kernel_w = 1,
                               .stride_h = 2,
                               .stride_w = 2,
                               .groups = 1,
                               .weight_bits = 4,
                               .weight = weight};
    assert_int_equal(mq_inet_add(stride.net, &conv, &stride.last, &error), MQ_OK);
    accel_end(&stride);
    refuse(stride.net, &(mq_accel_request){.device = &good}, MQ_BAD_INPUT, "strides: stride 2 x 2");
    mq_inet_free(stride.net);
}

static void fixed_parallelism(void **state) {
    (void)state;
    mq_inet *net = tiny(4);
    mq_device good = accel_device(40, 9000, 20);
    mq_accel_fixed fixed[] = {{6, 2}, {2, 3}};
    mq_inet_plan *plan;
    mq_error error = {0};
    mq_accel_request request = {.device = &good, .fixed = fixed, .fixed_count = 2};
    if (mq_accel_allocate(net, &request, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(plan->layer[0].rows * plan->layer[0].simd, 6);
    assert_int_equal(plan->layer[0].rows, 3);
    assert_int_equal(plan->layer[0].pe, 2);
    assert_int_equal(plan->layer[1].simd, 2);
    assert_int_equal(plan->layer[1].pe, 3);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

static void target(void **state) {
    (void)state;
    mq_inet *net = tiny(4);
    mq_device good = accel_device(40, 9000, 20);
    mq_inet_plan *plan;
    mq_error error = {0};
    mq_accel_request request = {.device = &good, .target_fps = 100e6 / 400};
    assert_int_equal(mq_accel_allocate(net, &request, &plan, &error), MQ_OK);
    mq_estimate e;
    assert_int_equal(mq_estimate_make(net, plan, &good, 0, &e, &error), MQ_OK);
    assert_true(e.cycles <= 400 && e.fps >= request.target_fps);
    assert_true(e.used.of[MQ_RES_LUT] < 4500);
    mq_estimate_free(&e);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

/* The published search result, in DSP slices alone: what hand and study reached, or better. */
static void ultranet(void **state) {
    (void)state;
    mq_inet *net = accel_ultranet("532555558", "733677665");
    mq_device d;
    mq_error error = {0};
    assert_int_equal(mq_device_open("ultra96v2", &d, &error), MQ_OK);
    int64_t cycles = fastest(net, &d, MQ_ACCEL_DSP, &error);
    printf("ultranet on ultra96v2, DSP multipliers alone: %lld cycles\n", (long long)cycles);
    assert_true(cycles > 0 && cycles <= 76900);
    mq_inet_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact),      cmocka_unit_test(monotonic),
                                       cmocka_unit_test(infeasible), cmocka_unit_test(fixed_parallelism),
                                       cmocka_unit_test(not_built),  cmocka_unit_test(target),
                                       cmocka_unit_test(ultranet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
