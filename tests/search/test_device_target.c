/* test_device_target.c - bits for a device at a frame rate: allocated, near the edge of what can be, and the
 * steps of the rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "search/device_target.h"
#include "ok.h"

static const char NET[] = "name: small\nclasses: 3\ninput: {channels: 3, height: 16, width: 16}\n"
                          "layers:\n"
                          "  - conv: {out: 8, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - max_pool\n"
                          "  - conv: {out: 8, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - max_pool\n"
                          "  - conv: {out: 8, kernel: 1, weight_bits: 5, activation_bits: 5}\n"
                          "  - linear: {out: 3}\n";
static const char DEVICE[] =
    "name: little\npart: none\ndsp: {kind: dsp48e2, count: 30}\nlut: 12000\nff: 40000\n"
    "bram36: 20\nclock_mhz: 100\nbuild: false\nwhy: for tests\n";

/* Too large for the stack. */
static mq_net *net;
static mq_device device;
static mq_device_price price;
static mq_cost_model cost;
static mq_knapsack k;
static mq_device_choice choice;

static int begin(void **state) {
    mq_factors factors;
    (void)state;
    mq_threads_set(1);
    OK(mq_net_parse("small.yaml", NET, strlen(NET), &net, ERROR));
    OK(mq_device_parse("little.yaml", DEVICE, strlen(DEVICE), &device, ERROR));
    OK(mq_factors_load(MQ_FACTORS_DEFAULT, &factors, ERROR));
    OK(mq_cost_create(net, &factors, &cost, ERROR));
    return 0;
}

static int end(void **state) {
    (void)state;
    mq_net_free(net);
    return 0;
}

static double uniform_rate(int width) {
    const mq_device_target any = {.net = net, .device = &device, .cost = &cost};
    mq_bits bits;
    double fps;
    mq_bits_uniform(net, width, width, &bits);
    OK(mq_device_target_rate(&any, &bits, &fps, ERROR));
    return fps;
}

static mq_device_target at(double fps) {
    OK(mq_device_price_make(net, false, &device, 0, fps, &price, ERROR));
    mq_cost_use_device(&cost, &price);
    mq_knapsack_price(&k, &cost, NULL);
    mq_device_target_even(&k);
    return (mq_device_target){
        .net = net, .device = &device, .cost = &cost, .target_fps = fps, .tolerance = 0.03};
}

/* By one at a place (of a layer that is not pinned: its weights, or its activations); the share, < 0: not
 * possible. */
static double moved(mq_bits *bits, int place, int by) {
    int layer = -1, n = place / 2;
    while (n >= 0) n -= !net->layers[++layer].pinned;
    int8_t *b = place % 2 ? &bits->activation[layer] : &bits->weight[layer];
    *b = (int8_t)(*b + by);
    if (*b < 2 || *b > 8) return -1;
    double sum = 0;
    for (n = 0, layer = 0; layer < net->layer_count; layer++)
        if (!net->layers[layer].pinned)
            sum += k.cost[n++][bits->weight[layer] - 2][bits->activation[layer] - 2];
    return sum;
}

/* Within the tolerance, or neither a bit more nor one that changes places for a larger share reaches the
 * rate. */
static int check_full(const mq_device_target *target, double fps) {
    int unable = 0;
    if (fps <= 1.03 * target->target_fps) return 0;
    for (int p = 0; p < 2 * k.count; p++)
        for (int q = -1; q < 2 * k.count; q++) {
            mq_bits other = choice.bits;
            bool reached;
            double share = moved(&other, p, 1);
            if (share > 0 && q >= 0 && q != p) share = moved(&other, q, -1);
            if (q == p || share < choice.choice.cost * (1 + 1e-9)) continue;
            OK(mq_device_price_reaches(net, &other, false, &device, 0, target->target_fps, &reached, ERROR));
            assert_false(reached);
            unable++;
        }
    return unable;
}

static void chooses(void **state) {
    (void)state;
    cost.device = &price;
    OK(mq_device_price_make(net, false, &device, 0, 0, &price, ERROR)); /* the clock for uniform_rate */
    const double slow = uniform_rate(8), fast = uniform_rate(2);
    assert_true(fast > 1.5 * slow && slow > 0);
    for (int i = 1; i <= 2; i++) {
        const mq_device_target target = at(slow + (fast - slow) * i / 3);
        double fps, missed = 0;
        const double limits[] = {0.6, 1, 0.01}; /* wherever it begins */
        for (int l = 0; l < 3; l++) {
            OK(mq_device_target_choose(&target, &k, limits[l], 5, l == 0, &choice, ERROR));
            assert_true(choice.found && choice.allocations >= 1 && choice.allocations < 200);
            assert_int_equal(choice.bits.weight[2], 5); /* pinned */
            OK(mq_device_target_rate(&target, &choice.bits, &fps, ERROR));
            assert_true(fps >= target.target_fps);
            if (l == 0) check_full(&target, fps);
            assert_true(choice.choice.cost + price.pinned <= 1 + 1e-9);
            if (!choice.missed) continue;
            OK(mq_device_target_rate(&target, &choice.missed_bits, &missed, ERROR));
            assert_true(missed < target.target_fps);
        }
        /* steps: nothing works between */
        assert_true(price.rate_above >= target.target_fps * (1 - 1e-9) &&
                    price.rate_below < target.target_fps);
        for (int width = 2; width <= 8; width++) {
            const double rate = uniform_rate(width);
            assert_true(rate <= price.rate_below * (1 + 1e-9) || rate >= price.rate_above * (1 - 1e-9));
        }
    }
}

static void reaches(void **state) {
    (void)state;
    const double rate = uniform_rate(4);
    mq_bits bits;
    bool yes;
    mq_bits_uniform(net, 4, 4, &bits);
    OK(mq_device_price_reaches(net, &bits, false, &device, 0, rate * 0.999, &yes, ERROR));
    assert_true(yes);
    OK(mq_device_price_reaches(net, &bits, false, &device, 0, rate * 1.001, &yes, ERROR));
    assert_false(yes);
}

static void not_found(void **state) {
    (void)state;
    mq_device_target target = at(uniform_rate(2) * 0.99);
    target.target_fps *= 2; /* beyond what the price was made for */
    OK(mq_device_target_choose(&target, &k, 0.8, 3, true, &choice, ERROR));
    assert_false(choice.found);
    assert_true(choice.missed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses),
        cmocka_unit_test(reaches),
        cmocka_unit_test(not_found),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
