/* test_streams.c - the token simulator: intervals, depths, deadlocks; depthwise and bypass networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "accel/helper_accel.h"
#include "accel/streams.h"
#include "base/memory.h"

static mq_inet *chain(void) {
    accel_net a = accel_begin(16, 32, 3, 4);
    int at = accel_conv(&a, 0, 8, 3, 4, 4);
    at = accel_pool(&a, at);
    at = accel_depthwise(&a, at, 3, 4, 4);
    at = accel_conv(&a, at, 8, 1, 4, 4);
    at = accel_conv(&a, at, 8, 3, 4, 4);
    accel_conv(&a, at, 6, 1, 4, 0);
    accel_end(&a);
    return a.net;
}

/* The shape of ultranet_bypass: before a pool a stream turns off, is reorganised and joins again. */
static mq_inet *bypass(void) {
    accel_net a = accel_begin(16, 32, 3, 4);
    int at = accel_conv(&a, 0, 4, 3, 4, 4), off = at;
    at = accel_pool(&a, at);
    for (int i = 0; i < 4; i++) at = accel_conv(&a, at, 8, 3, 4, 4);
    int back = accel_reorg(&a, off);
    at = accel_concat(&a, back, at);
    at = accel_conv(&a, at, 8, 3, 4, 4);
    accel_conv(&a, at, 6, 1, 4, 0);
    accel_end(&a);
    return a.net;
}

static mq_inet_plan *allocate(const mq_inet *net, const mq_device *device) {
    mq_inet_plan *plan;
    mq_error error = {0};
    if (mq_accel_allocate(net, &(mq_accel_request){.device = device}, &plan, &error) != MQ_OK)
        fail_msg("%s", error.text);
    return plan;
}

static mq_streams_run run(const mq_inet *net, const mq_inet_plan *plan, int64_t *slowest, char *text) {
    mq_pipeline p;
    mq_streams_run r;
    mq_error error = {0};
    if (mq_pipeline_make(net, plan, &p, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_streams_simulate(&p, 4, &r, &error), MQ_OK);
    *slowest = p.stage[p.slowest].cycles;
    if (text) {
        text[0] = 0;
        if (mq_streams_refuse(&p, &r, &error) != MQ_OK) strcpy(text, error.text);
    }
    mq_pipeline_free(&p);
    return r;
}

static void steady(void **state) {
    (void)state;
    mq_inet *nets[] = {chain(), bypass()};
    mq_device d = accel_device(60, 20000, 40);
    for (int i = 0; i < 2; i++) {
        mq_inet_plan *plan = allocate(nets[i], &d);
        int64_t slowest;
        mq_streams_run r = run(nets[i], plan, &slowest, NULL);
        assert_false(r.deadlock);
        assert_int_equal(r.interval, slowest);
        assert_true(r.latency > slowest / 2);
        mq_inet_plan_free(plan);
        mq_inet_free(nets[i]);
    }
}

/* Every depth less its margin of an eighth is needed: one beat less and the interval is missed, or all stands
 * still. */
static void least(void **state) {
    (void)state;
    mq_inet *net = bypass();
    mq_device d = accel_device(60, 20000, 40);
    mq_inet_plan *plan = allocate(net, &d);
    assert_true(plan->streams > 0);
    for (int i = 0; i < plan->streams; i++) {
        int64_t slowest;
        int64_t depth = plan->stream[i].depth;
        plan->stream[i].depth = depth * 8 / 9 - 1;
        mq_streams_run r = run(net, plan, &slowest, NULL);
        assert_true(r.deadlock || r.interval > slowest);
        plan->stream[i].depth = depth;
    }
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

static void deadlock(void **state) {
    (void)state;
    mq_inet *net = bypass();
    mq_device d = accel_device(60, 20000, 40);
    mq_inet_plan *plan = allocate(net, &d);
    plan->streams = 0;
    int64_t slowest;
    char text[MQ_ERROR_TEXT];
    mq_streams_run r = run(net, plan, &slowest, text);
    assert_true(r.deadlock);
    assert_non_null(strstr(text, "deadlock: the stream"));
    assert_non_null(strstr(text, net->nodes[r.full_to].name));
    mq_estimate e;
    mq_error error = {0};
    assert_int_equal(mq_estimate_make(net, plan, &d, 0, &e, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "deadlock"));
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

/* One layer by hand: its own cycles are the interval. */
static void one_layer(void **state) {
    (void)state;
    accel_net a = accel_begin(8, 16, 2, 4);
    accel_conv(&a, 0, 6, 3, 4, 0);
    accel_end(&a);
    mq_plan_layer layer = {.node = 1,
                           .multiplier = MQ_PLAN_LUT,
                           .chain = 1,
                           .simd = 1,
                           .pe = 2,
                           .rows = 1,
                           .blocks = 2,
                           .out_pixels = 1};
    mq_inet_plan plan = {.count = 1, .layer = &layer, .in_pixels = 1};
    int64_t slowest;
    mq_streams_run r = run(a.net, &plan, &slowest, NULL);
    /* 8 rows x 3 groups x 8 blocks x 6 steps, and 6 to flush */
    assert_int_equal(slowest, 8 * 3 * 8 * 6 + 6);
    assert_int_equal(r.interval, slowest);
    layer.out_pixels = 3;
    mq_pipeline p;
    mq_error error = {0};
    assert_int_equal(mq_pipeline_make(a.net, &plan, &p, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "out_pixels"));
    layer.out_pixels = 1;
    layer.requant = MQ_PLAN_THRESHOLD;
    assert_int_equal(mq_pipeline_make(a.net, &plan, &p, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "requantiser"));
    mq_inet_free(a.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_layer), cmocka_unit_test(steady),
                                       cmocka_unit_test(least), cmocka_unit_test(deadlock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
