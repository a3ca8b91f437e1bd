/* test_detection_loss.c - the detection loss against the float64 reference: values, parts and gradients, with
 * targets on cell borders, tiny and huge boxes, several in one image or one cell, none; huge outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ref/step.h"
#include "train/detection_loss.h"
#include "train/objective.h"

/* Cells of 8 x 16 pixels. */
static const char NET[] = "name: d\ntask: detection\nclasses: 1\nanchors: [[20, 12], [6.5, 30], [9, 8]]\n"
                          "input: {channels: 1, height: 24, width: 64}\n"
                          "layers:\n  - conv: {out: 4, kernel: 3, stride: 2}\n  - batch_norm\n  - max_pool\n"
                          "  - conv: {out: 18, kernel: 3, stride: 2, bias: true}\n";

enum { GH = 3, GW = 8, CHANNELS = 18, IMAGE = GH * GW * CHANNELS, MOST_IMAGES = 9, MOST_TARGETS = 40 };

typedef struct fixture {
    mq_net *net;
    mq_head head;
    int n;
    size_t count;
    float z[MOST_IMAGES * IMAGE], d[MOST_IMAGES * IMAGE];
    double wide[MOST_IMAGES * IMAGE], expected[MOST_IMAGES * IMAGE];
    mq_target targets[MOST_TARGETS];
    mq_ref_target plain[MOST_TARGETS];
} fixture;

static fixture f;

static int open_fixture(void **state) {
    (void)state;
    mq_error e = {0};
    if (mq_net_parse("d.yaml", NET, strlen(NET), &f.net, &e) != MQ_OK) return -1;
    mq_net_head(f.net, &f.head);
    return 0;
}

static int close_fixture(void **state) {
    (void)state;
    mq_net_free(f.net);
    return 0;
}

static void outputs(int n, uint64_t seed, float scale) {
    f.n = n;
    f.count = 0;
    const mq_rng rng = mq_rng_stream(seed, "outputs", 0);
    for (size_t e = 0; e < (size_t)n * IMAGE; e++) f.z[e] = scale * mq_rng_normal(&rng, e);
}

static void target(int image, float x, float y, float w, float h, float weight) {
    f.targets[f.count++] = (mq_target){image, 0, {x, y, w, h}, weight};
}

/* Ours against the reference: parts to 1e-12, the gradient to float32 rounding of each element. */
static void agrees(const char *what) {
    for (size_t e = 0; e < (size_t)f.n * IMAGE; e++) f.wide[e] = (double)f.z[e];
    for (size_t t = 0; t < f.count; t++) {
        const mq_target *from = &f.targets[t];
        f.plain[t] = (mq_ref_target){from->image,         (double)from->box.x, (double)from->box.y,
                                     (double)from->box.w, (double)from->box.h, (double)from->weight};
    }
    const mq_ref_detection r =
        mq_ref_detection_loss(f.net, f.wide, f.n, f.plain, (int)f.count, NULL, false, f.expected);
    const mq_detection_sums s =
        mq_detection_loss(&f.head, f.z, (size_t)f.n, f.targets, f.count, f.n / 64.0, f.d);
    assert_int_equal(s.assigned, f.count * 3);
    const double anchors = s.assigned ? (double)s.assigned : 1;
    const double ours[] = {s.box / anchors, s.iou / anchors, s.objectness / f.n},
                 theirs[] = {r.box, r.mean_iou, r.objectness};
    for (int k = 0; k < 3; k++)
        if (!(fabs(ours[k] - theirs[k]) <= 1e-12 * (1 + fabs(theirs[k]))))
            fail_msg("%s: part %d: got %.17g, expected %.17g", what, k, ours[k], theirs[k]);
    double most = 0;
    for (size_t e = 0; e < (size_t)f.n * IMAGE; e++) most = fmax(most, fabs(f.expected[e]));
    for (size_t e = 0; e < (size_t)f.n * IMAGE; e++)
        if (!(fabs((double)f.d[e] - f.expected[e]) <= 1e-6 * fabs(f.expected[e]) + 1e-9 * most))
            fail_msg("%s: gradient %zu: got %.9g, expected %.9g", what, e, (double)f.d[e], f.expected[e]);
    /* without the gradient the same */
    const mq_detection_sums again = mq_detection_loss(&f.head, f.z, (size_t)f.n, f.targets, f.count, 1, NULL);
    assert_memory_equal(&again, &s, sizeof s);
}

static void random_targets(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        const mq_rng rng = mq_rng_stream(seed, "targets", 0);
        uint64_t draw = 0;
        outputs(1 + (int)(seed % MOST_IMAGES), seed, seed % 3 ? 1.0f : 4.0f);
        for (int i = 0; i < f.n; i++)
            for (uint32_t k = mq_rng_below(&rng, draw++, 4); k > 0; k--) {
                float u[5];
                for (int j = 0; j < 5; j++) u[j] = mq_rng_uniform(&rng, draw++);
                target(i, u[0], u[1], 0.01f + 0.6f * u[2] * u[2], 0.01f + 0.6f * u[3] * u[3], 0.5f + u[4]);
            }
        agrees("random targets");
    }
}

static void special_targets(void **state) {
    (void)state;
    outputs(3, 1, 1);
    agrees("no targets at all");
    for (size_t e = 0; e < 3 * IMAGE; e++)
        if (e % 6 != MQ_HEAD_OBJECT) assert_true(f.d[e] == 0);
    target(0, 0.5f, 0.5f, 0.2f, 0.2f, 1);   /* between two columns */
    target(0, 0.25f, 0.25f, 0.1f, 0.1f, 1); /* the same */
    target(0, 1, 1, 0.1f, 0.1f, 1);         /* the far corner */
    target(0, 0, 0, 0.1f, 0.1f, 1);
    target(2, 0.3f, 0.4f, 1e-6f, 1e-7f, 1);
    target(2, 0.31f, 0.4f, 1, 1, 1);
    target(2, 0.32f, 0.4f, 1e-7f, 1, 0.6f); /* three in one cell; the last one's weight */
    agrees("borders, sizes, one cell");
    /* centres outside the image, as a careless file might have them, belong to the outermost cells */
    outputs(1, 2, 1);
    target(0, 1.2f, -0.3f, 0.5f, 0.5f, 1);
    agrees("outside");
    /* each of two targets in one cell pulls as if it were alone: the box gradient is the mean of theirs */
    static float one[IMAGE], two[IMAGE];
    outputs(1, 3, 1);
    target(0, 0.33f, 0.4f, 0.3f, 0.3f, 1);
    mq_detection_loss(&f.head, f.z, 1, f.targets, 1, 1, one);
    f.targets[1] = (mq_target){0, 0, {0.36f, 0.41f, 0.1f, 0.5f}, 1};
    mq_detection_loss(&f.head, f.z, 1, f.targets + 1, 1, 1, two);
    mq_detection_loss(&f.head, f.z, 1, f.targets, 2, 1, f.d);
    for (int e = 0; e < IMAGE; e++) {
        const double expected =
            e % 6 == MQ_HEAD_OBJECT ? (double)one[e] : ((double)one[e] + (double)two[e]) / 2;
        assert_true(fabs((double)f.d[e] - expected) <= 1e-6 * fabs(expected));
    }
}

/* A prediction that is the target: no pull, no NaN. */
static void exact_box(void **state) {
    (void)state;
    outputs(1, 1, 0);
    target(0, 2.5f / GW, 1.5f / GH, 20.0f / 64, 12.0f / 24, 1);
    const mq_detection_sums s = mq_detection_loss(&f.head, f.z, 1, f.targets, 1, 1, f.d);
    const size_t at = (GW + 2) * CHANNELS;
    for (size_t k = 0; k < 4; k++) assert_true(fabsf(f.d[at + k]) < 1e-6f);
    assert_true(s.iou > 1 && s.iou < 3 && isfinite(s.box));
}

static void huge_outputs(void **state) {
    (void)state;
    const float sizes[] = {30, 100, 1e4f, 1e30f, FLT_MAX};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int pattern = 0; pattern < 32; pattern++) {
            outputs(2, 1, 0);
            for (size_t e = 0; e < 2 * IMAGE; e++) {
                const int field = (int)(e % 6) % 5;
                f.z[e] = pattern >> field & 1 ? sizes[k] : -sizes[k];
            }
            target(0, 0.4f, 0.6f, 0.2f, 0.3f, 1);
            target(0, 0.45f, 0.6f, 1e-6f, 1, 1);
            const mq_detection_sums s = mq_detection_loss(&f.head, f.z, 2, f.targets, f.count, 2 / 64.0, f.d);
            assert_true(isfinite(s.box) && isfinite(s.objectness) && isfinite(s.iou));
            for (size_t e = 0; e < 2 * IMAGE; e++)
                if (!(isfinite(f.d[e]) && fabsf(f.d[e]) < 10))
                    fail_msg("outputs of +-%g, pattern %d: gradient %zu is %g", (double)sizes[k], pattern, e,
                             (double)f.d[e]);
        }
    /* NaN is not hidden */
    outputs(1, 1, 1);
    f.z[MQ_HEAD_OBJECT] = NAN;
    assert_true(isnan(mq_detection_loss(&f.head, f.z, 1, NULL, 0, 1, f.d).objectness));
}

/* The objective: parts, quality and loss are means that do not depend on how images are batched. */
static void scores_of_batches(void **state) {
    (void)state;
    const mq_objective *objective;
    mq_error e = {0};
    assert_int_equal(mq_objective_for(f.net, &objective, &e), MQ_OK);
    assert_string_equal(objective->quality_name, "iou");
    outputs(4, 7, 1);
    target(0, 0.2f, 0.2f, 0.2f, 0.4f, 0.8f);
    target(1, 0.7f, 0.5f, 0.1f, 0.4f, 1.2f);
    target(1, 0.1f, 0.6f, 0.3f, 0.1f, 1.2f);
    target(3, 0.4f, 0.9f, 0.5f, 0.2f, 0.9f); /* image 2 has none */
    mq_scores whole = {0}, parts = {0};
    mq_found found[4];
    const mq_answers answers = {.found = found};
    const mq_batch all = {.targets = f.targets, .target_count = 4, .count = 4};
    const double minimised = objective->loss(f.net, f.z, &all, f.d, &whole, &answers);
    assert_int_equal(whole.images, 4);
    assert_int_equal(whole.judged, 3);
    assert_true(fabs(minimised - mq_scores_loss(&whole) * 4 / 64) < 1e-12);
    assert_true(fabs(mq_scores_part(&whole, 0) + mq_scores_part(&whole, 1) - mq_scores_loss(&whole)) < 1e-12);
    /* quality by hand; of two targets the better one counts */
    double quality = 0;
    for (int i = 0; i < 4; i++) {
        double best = 0;
        for (size_t t = 0; t < 4; t++) {
            const mq_box pixels = mq_head_pixels(&f.head, &f.targets[t].box);
            if (f.targets[t].image == i) best = fmax(best, mq_box_iou(&found[i].box, &pixels));
        }
        quality += best;
        const mq_found alone = mq_head_find(&f.head, f.z + i * IMAGE, MQ_HEAD_NHWC);
        assert_memory_equal(&alone, &found[i], sizeof alone);
    }
    assert_true(quality > 0 && fabs(mq_scores_quality(&whole) - quality / 3) < 1e-12);
    const size_t first[] = {0, 1, 3, 4}, target_first[] = {0, 1, 3, 4};
    for (int b = 0; b < 3; b++) {
        mq_target own[4];
        const size_t n = target_first[b + 1] - target_first[b];
        for (size_t t = 0; t < n; t++) {
            own[t] = f.targets[target_first[b] + t];
            own[t].image -= (int32_t)first[b];
        }
        const mq_batch batch = {.targets = own, .target_count = n, .count = first[b + 1] - first[b]};
        objective->loss(f.net, f.z + first[b] * IMAGE, &batch, NULL, &parts, NULL);
    }
    assert_int_equal(parts.judged, 3);
    assert_true(fabs(mq_scores_loss(&parts) - mq_scores_loss(&whole)) < 1e-12);
    assert_true(fabs(mq_scores_quality(&parts) - mq_scores_quality(&whole)) < 1e-12);
    for (int k = 0; k < MQ_LOSS_PARTS; k++)
        assert_true(fabs(mq_scores_part(&parts, k) - mq_scores_part(&whole, k)) < 1e-12);
    /* nothing at all */
    const mq_scores none = {0};
    assert_true(mq_scores_loss(&none) == 0 && mq_scores_quality(&none) == 0 && mq_scores_part(&none, 2) == 0);
}

static void several_classes(void **state) {
    (void)state;
    static const char text[] = "name: d3\ntask: detection\nclasses: 3\nanchors: [[20, 20]]\n"
                               "input: {channels: 1, height: 8, width: 8}\n"
                               "layers:\n  - conv: {out: 8, kernel: 1}\n";
    mq_net *net;
    mq_error e = {0};
    const mq_objective *objective;
    assert_int_equal(mq_net_parse("d3.yaml", text, strlen(text), &net, &e), MQ_OK);
    assert_int_equal(mq_objective_for(net, &objective, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "3 classes"));
    mq_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_targets),    cmocka_unit_test(special_targets),
        cmocka_unit_test(exact_box),         cmocka_unit_test(huge_outputs),
        cmocka_unit_test(scores_of_batches), cmocka_unit_test(several_classes),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
