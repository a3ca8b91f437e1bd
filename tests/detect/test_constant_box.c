/* test_constant_box.c - IoU by hand, and the best constant box against brute force and known answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "detect/constant_box.h"

static double constant(const mq_target *targets, size_t count, mq_box *box) {
    mq_error e = {0};
    double iou;
    if (mq_constant_box(targets, count, box, &iou, &e) != MQ_OK) fail_msg("%s", e.text);
    return iou;
}

static double mean(const mq_target *targets, size_t count, const mq_box *box) {
    double sum = 0, best = 0;
    int images = 0;
    for (size_t i = 0; i < count; i++) {
        if (i && targets[i].image != targets[i - 1].image) {
            sum += best;
            best = 0;
        }
        if (!i || targets[i].image != targets[i - 1].image) images++;
        best = fmax(best, mq_box_iou(box, &targets[i].box));
    }
    return (sum + best) / images;
}

static void overlaps(void **state) {
    (void)state;
    const mq_box a = {0.5f, 0.5f, 0.5f, 0.25f}, right = {0.75f, 0.5f, 0.5f, 0.25f},
                 beside = {1, 0.5f, 0.5f, 0.25f}, small = {0.5f, 0.5f, 0.25f, 0.125f},
                 none = {0.5f, 0.5f, 0, 0};
    assert_true(fabs(mq_box_iou(&a, &a) - 1) < 1e-12);
    assert_true(fabs(mq_box_iou(&a, &right) - 1.0 / 3) < 1e-12);
    assert_true(mq_box_iou(&a, &beside) == 0);
    assert_true(fabs(mq_box_iou(&small, &a) - 0.25) < 1e-12);
    assert_true(mq_box_iou(&a, &none) == 0 && mq_box_iou(&none, &none) == 0);
}

static void known_answers(void **state) {
    (void)state;
    mq_box box;
    assert_true(constant(NULL, 0, &box) == 0);
    mq_target one = {3, 0, {0.31f, 0.77f, 0.083f, 0.123f}, 1};
    assert_true(constant(&one, 1, &box) > 0.999);
    assert_true(fabsf(box.x - 0.31f) < 1e-3f && fabsf(box.h - 0.123f) < 1e-3f);
    /* two far apart of one image: one of them is enough; of two images: a half */
    mq_target two[2] = {one, {3, 0, {0.7f, 0.2f, 0.2f, 0.1f}, 1}};
    assert_true(constant(two, 2, &box) > 0.999);
    two[1].image = 4;
    const double half = constant(two, 2, &box);
    assert_true(half > 0.4995 && half < 0.5005);
    /* the majority wins */
    mq_target most[9];
    for (int i = 0; i < 9; i++) most[i] = (mq_target){i, 0, i < 5 ? one.box : two[1].box, 1};
    assert_true(fabs(constant(most, 9, &box) - 5.0 / 9) < 1e-3);
}

static void against_brute_force(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        enum { COUNT = 30, STEPS = 16 };
        mq_target targets[COUNT];
        const mq_rng rng = mq_rng_stream(seed, "targets", 0);
        for (uint64_t i = 0; i < COUNT; i++) {
            const float u[4] = {mq_rng_uniform(&rng, 4 * i), mq_rng_uniform(&rng, 4 * i + 1),
                                mq_rng_uniform(&rng, 4 * i + 2), mq_rng_uniform(&rng, 4 * i + 3)};
            targets[i] = (mq_target){(int32_t)(i - i % (1 + seed % 2)),
                                     0,
                                     {u[0], u[1], 0.05f + 0.3f * u[2], 0.05f + 0.5f * u[3]},
                                     1};
        }
        double best = 0;
        for (int k = 0; k < STEPS * STEPS * STEPS * STEPS; k++) {
            const float part[4] = {(float)(k % STEPS), (float)(k / STEPS % STEPS),
                                   (float)(k / STEPS / STEPS % STEPS), (float)(k / STEPS / STEPS / STEPS)};
            const mq_box box = {(part[0] + 0.5f) / STEPS, (part[1] + 0.5f) / STEPS, (part[2] + 1) / STEPS,
                                (part[3] + 1) / STEPS};
            best = fmax(best, mean(targets, COUNT, &box));
        }
        mq_box box, again;
        const double found = constant(targets, COUNT, &box);
        assert_true(fabs(mean(targets, COUNT, &box) - found) < 1e-12);
        if (found < 0.98 * best) fail_msg("seed %d: %.4f, on a grid %.4f", (int)seed, found, best);
        assert_true(found < best + 0.06);
        assert_true(constant(targets, COUNT, &again) == found);
        assert_memory_equal(&again, &box, sizeof box);
    }
}

/* More images than the grid looks at: still the mean over all. */
static void many_targets(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    mq_target *targets = calloc(COUNT, sizeof *targets);
    assert_non_null(targets);
    const mq_rng rng = mq_rng_stream(1, "targets", 0);
    for (uint64_t i = 0; i < COUNT; i++)
        targets[i] = (mq_target){(int32_t)i,
                                 0,
                                 {0.4f + 0.2f * mq_rng_uniform(&rng, 2 * i), 0.6f, 0.2f,
                                  0.1f + 0.1f * mq_rng_uniform(&rng, 2 * i + 1)},
                                 1};
    mq_box box;
    const double iou = constant(targets, COUNT, &box);
    assert_true(fabs(mean(targets, COUNT, &box) - iou) < 1e-9);
    assert_true(iou > 0.5 && fabsf(box.x - 0.5f) < 0.05f && fabsf(box.y - 0.6f) < 0.01f);
    free(targets);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlaps),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(against_brute_force),
        cmocka_unit_test(many_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
