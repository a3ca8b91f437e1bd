/* test_device_price.c - the table of device shares: order, weights, and that it is a bound: what it calls too
 * large, the allocation refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "accel/allocate.h"
#include "accel/shape_network.h"
#include "base/parallel.h"
#include "inet/inet.h"
#include "search/device_price.h"
#include "ok.h"

static const char NET[] = "name: small\nclasses: 3\ninput: {channels: 3, height: 16, width: 16}\n"
                          "layers:\n"
                          "  - conv: {out: 8, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - max_pool\n"
                          "  - conv: {out: 8, kernel: 3, weight_bits: 5, activation_bits: 5}\n"
                          "  - batch_norm\n"
                          "  - max_pool\n"
                          "  - conv: {out: 8, kernel: 1}\n"
                          "  - linear: {out: 3}\n";
static const char DEVICE[] =
    "name: little\npart: none\ndsp: {kind: dsp48e2, count: 30}\nlut: 12000\nff: 40000\n"
    "bram36: 20\nclock_mhz: 100\nbuild: false\nwhy: for tests\n";

typedef struct fixture {
    mq_net *net;
    mq_device device;
} fixture;

static mq_device_price price, other; /* too large for the stack */

static int begin(void **state) {
    static fixture f;
    mq_threads_set(1);
    OK(mq_net_parse("small.yaml", NET, strlen(NET), &f.net, ERROR));
    OK(mq_device_parse("little.yaml", DEVICE, strlen(DEVICE), &f.device, ERROR));
    OK(mq_device_price_make(f.net, false, &f.device, 0, 0, &price, ERROR));
    *state = &f;
    return 0;
}

static int end(void **state) {
    mq_net_free(((fixture *)*state)->net);
    return 0;
}

static double at(const fixture *f, const mq_device_price *p, int w, int a) {
    mq_bits bits;
    mq_bits_uniform(f->net, w, a, &bits);
    return mq_device_price_at(p, f->net, &bits);
}

static void check_table(const fixture *f, const mq_device_price *p) {
    double sum = 0;
    for (int r = 0; r < MQ_RESOURCES; r++) {
        assert_true(p->weight[r] >= 0);
        sum += p->weight[r];
    }
    assert_true(fabs(sum - 1) < 1e-12);
    for (int l = 0; l < f->net->layer_count; l++)
        for (int w = 2; w <= 8; w++)
            for (int a = 2; a <= 8; a++) {
                const double share = p->share[l][w][a];
                if (f->net->layers[l].pinned) {
                    assert_true(share == 0);
                    continue;
                }
                assert_true(isfinite(share) && share > 0);
                if (w > 2) assert_true(p->share[l][w - 1][a] <= share);
                if (a > 2) assert_true(p->share[l][w][a - 1] <= share);
            }
    assert_true(at(f, p, 2, 2) < 0.9 * at(f, p, 8, 8));
}

static void order_and_weights(void **state) {
    const fixture *f = *state;
    check_table(f, &price);
    assert_true(price.pinned > 0);
    assert_string_equal(price.device, "little");
    assert_true(price.clock_mhz == 100);
    assert_true(fabs(price.target_fps - 1e8 / (double)price.cycles) < 1e-6);
    /* 4 bits just fit: a bound below the whole, and not far */
    assert_true(at(f, &price, 4, 4) <= 1 && at(f, &price, 4, 4) > 0.6);
}

/* The same at other rates; a faster network takes more of the device. */
static void rates(void **state) {
    const fixture *f = *state;
    OK(mq_device_price_make(f->net, true, &f->device, 50, price.target_fps / 4, &other, ERROR));
    check_table(f, &other);
    assert_true(other.clock_mhz == 50);
    assert_true(llabs(other.cycles - 2 * price.cycles) <= 2);
    assert_true(at(f, &other, 4, 4) < at(f, &price, 4, 4));
}

static void a_bound(void **state) {
    const fixture *f = *state;
    int refused = 0, built = 0;
    for (int w = 2; w <= 8; w += 2)
        for (int a = 2; a <= 8; a += 3) {
            mq_bits bits;
            mq_inet *inet;
            mq_inet_plan *plan;
            mq_error error = {0};
            const mq_accel_request request = {.device = &f->device, .target_fps = price.target_fps};
            mq_bits_uniform(f->net, w, a, &bits);
            OK(mq_shape_network(f->net, &bits, false, &inet, ERROR));
            if (mq_accel_allocate(inet, &request, &plan, &error) == MQ_OK) {
                built++;
                if (at(f, &price, w, a) > 1)
                    fail_msg("w%da%d is built, its share is %g", w, a, at(f, &price, w, a));
            }
            refused += at(f, &price, w, a) > 1;
            mq_inet_plan_free(plan);
            mq_inet_free(inet);
        }
    assert_true(built > 0 && refused > 0);
}

/* Here the stages themselves are out of order: some of 5 bits take more than those of 6. */
static void order_is_made(void **state) {
    (void)state;
    fixture f;
    OK(mq_net_open("lenet", &f.net, ERROR));
    OK(mq_device_open("generic", &f.device, ERROR));
    OK(mq_device_price_make(f.net, false, &f.device, 0, 0, &other, ERROR));
    check_table(&f, &other);
    mq_net_free(f.net);
}

static void out_of_reach(void **state) {
    const fixture *f = *state;
    mq_error error = {0};
    assert_int_equal(mq_device_price_make(f->net, false, &f->device, 0, 1e7, &other, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "2 bits everywhere"));
    assert_non_null(strstr(error.text, "the best is"));
    mq_device tiny = f->device;
    tiny.lut = 500;
    assert_int_equal(mq_device_price_make(f->net, false, &tiny, 0, 0, &other, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "4 bits everywhere"));
    assert_non_null(strstr(error.text, "too small"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_weights), cmocka_unit_test(rates),        cmocka_unit_test(a_bound),
        cmocka_unit_test(order_is_made),     cmocka_unit_test(out_of_reach),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
