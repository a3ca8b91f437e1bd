/* test_head.c - decoding a head in both layouts against the formulas, ties, extremes, and what is no head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "detect/head.h"

/* Odd sizes: the stride is not a whole number. */
static const mq_head HEAD = {.in_h = 50,
                             .in_w = 93,
                             .grid_h = 6,
                             .grid_w = 11,
                             .classes = 2,
                             .anchors = 3,
                             .anchor_w = {20, 7.5, 11},
                             .anchor_h = {20, 9, 31}};
enum { CELLS = 66, FIELDS = 7, CHANNELS = 21, VALUES = CELLS * CHANNELS };

static void fill(float *nhwc, float *nchw, uint64_t seed) {
    const mq_rng rng = mq_rng_stream(seed, "outputs", 0);
    for (size_t p = 0; p < CELLS; p++)
        for (size_t c = 0; c < CHANNELS; c++)
            nhwc[p * CHANNELS + c] = nchw[c * CELLS + p] = mq_rng_normal(&rng, p * CHANNELS + c);
}

static void close_box(const mq_box *a, double x, double y, double w, double h) {
    assert_true(fabs((double)a->x - x) < 1e-4 && fabs((double)a->y - y) < 1e-4);
    assert_true(fabs((double)a->w - w) < 1e-5 * w && fabs((double)a->h - h) < 1e-5 * h);
}

static void formulas(void **state) {
    (void)state;
    static float nhwc[VALUES], nchw[VALUES];
    assert_int_equal(mq_head_values(&HEAD), VALUES);
    for (uint64_t seed = 0; seed < 20; seed++) {
        fill(nhwc, nchw, seed);
        double best = -1, box[4] = {0};
        int best_cell = -1;
        for (int cell = 0; cell < CELLS; cell++) {
            double sum[5] = {0};
            for (int a = 0; a < 3; a++) {
                const float *z = nhwc + cell * CHANNELS + a * FIELDS;
                const int row = cell / 11, column = cell % 11;
                const double v[5] = {(1 / (1 + exp(-(double)z[0])) + column) * 93 / 11,
                                     (1 / (1 + exp(-(double)z[1])) + row) * 50 / 6,
                                     exp((double)z[2]) * HEAD.anchor_w[a],
                                     exp((double)z[3]) * HEAD.anchor_h[a], 1 / (1 + exp(-(double)z[4]))};
                for (int k = 0; k < 5; k++) sum[k] += v[k] / 3;
                const mq_found one = mq_head_decode(&HEAD, nhwc, MQ_HEAD_NHWC, a, row, column),
                               two = mq_head_decode(&HEAD, nchw, MQ_HEAD_NCHW, a, row, column);
                close_box(&one.box, v[0], v[1], v[2], v[3]);
                assert_true(fabs((double)one.confidence - v[4]) < 1e-6);
                assert_memory_equal(&one, &two, sizeof one);
            }
            if (sum[4] <= best) continue;
            best = sum[4];
            best_cell = cell;
            memcpy(box, sum, sizeof box);
        }
        const mq_found one = mq_head_find(&HEAD, nhwc, MQ_HEAD_NHWC),
                       two = mq_head_find(&HEAD, nchw, MQ_HEAD_NCHW);
        assert_memory_equal(&one, &two, sizeof one);
        assert_int_equal(one.row * 11 + one.column, best_cell);
        close_box(&one.box, box[0], box[1], box[2], box[3]);
        assert_true(fabs((double)one.confidence - best) < 1e-6);
    }
}

static void ties_and_extremes(void **state) {
    (void)state;
    static float z[VALUES];
    mq_found found = mq_head_find(&HEAD, z, MQ_HEAD_NHWC); /* all equal: the first cell */
    assert_true(found.row == 0 && found.column == 0 && found.confidence == 0.5f);
    z[40 * CHANNELS + 4] = z[50 * CHANNELS + 4 + FIELDS] = 1; /* equal averages */
    found = mq_head_find(&HEAD, z, MQ_HEAD_NHWC);
    assert_int_equal(found.row * 11 + found.column, 40);
    const float sizes[] = {1e3f, FLT_MAX};
    for (int s = 0; s < 2; s++)
        for (int sign = 0; sign < 2; sign++) {
            for (int e = 0; e < VALUES; e++) z[e] = sign ? -sizes[s] : sizes[s];
            found = mq_head_find(&HEAD, z, MQ_HEAD_NHWC);
            assert_true(isfinite(found.box.x) && isfinite(found.box.w) && isfinite(found.box.h));
            const mq_target targets[2] = {{0, 0, {0.5f, 0.5f, 0.1f, 0.1f}, 1}, {0, 0, {0.1f, 0.1f, 0, 0}, 1}};
            const double iou = mq_head_iou(&HEAD, &found, targets, 2);
            assert_true(iou >= 0 && iou < 1e-3);
        }
}

static void metric(void **state) {
    (void)state;
    const mq_found found = {.box = {40, 20, 20, 10}};
    /* parts of 93 x 50 pixels; the second is the same box, moved by half its width */
    const mq_target targets[2] = {{0, 0, {0.9f, 0.9f, 0.1f, 0.1f}, 1},
                                  {0, 0, {50.0f / 93, 20.0f / 50, 20.0f / 93, 10.0f / 50}, 1}};
    assert_true(mq_head_iou(&HEAD, &found, targets, 1) == 0);
    assert_true(fabs(mq_head_iou(&HEAD, &found, targets, 2) - 1.0 / 3) < 1e-6);
    const mq_found nan = {.box = {NAN, 20, 20, 10}};
    assert_true(mq_head_iou(&HEAD, &nan, targets, 2) == 0);
}

static void no_heads(void **state) {
    (void)state;
    mq_error e = {0};
    assert_int_equal(mq_head_check(&HEAD, CHANNELS, &e), MQ_OK);
    assert_int_equal(mq_head_check(&HEAD, 18, &e), MQ_BAD_INPUT);
    assert_non_null(strstr(e.text, "18 channels"));
    mq_head h = HEAD;
    h.grid_w = 0;
    assert_int_equal(mq_head_check(&h, CHANNELS, &e), MQ_BAD_INPUT);
    h = HEAD;
    h.anchor_h[2] = NAN;
    assert_int_equal(mq_head_check(&h, CHANNELS, &e), MQ_BAD_INPUT);
    assert_non_null(strstr(e.text, "anchor 2"));
    h = HEAD;
    h.anchors = MQ_HEAD_ANCHORS + 1;
    assert_int_equal(mq_head_check(&h, CHANNELS, &e), MQ_BAD_INPUT);
    h = HEAD;
    h.classes = 0;
    assert_int_equal(mq_head_check(&h, CHANNELS, &e), MQ_BAD_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas),
        cmocka_unit_test(ties_and_extremes),
        cmocka_unit_test(metric),
        cmocka_unit_test(no_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
