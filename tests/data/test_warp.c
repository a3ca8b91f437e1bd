/* test_warp.c - the detectors' augmentation: against the plain reference, by properties, and where boxes go.
 */
#include "data/helper_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/warp.h"

/* Values that change slowly enough for interpolation to matter, and noise. */
static uint8_t *make_image(int h, int w, int c) {
    uint8_t *image = malloc((size_t)(h * w * c));
    for (int y = 0, i = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++, i++)
                image[i] =
                    (uint8_t)(128 + 60 * sin(0.31 * x + k) + 50 * cos(0.23 * y - k) + pixel((size_t)i) % 16);
    return image;
}

static uint8_t *apply(const mq_warp *warp, int h, int w, int c, const uint8_t *in) {
    uint8_t *out = malloc((size_t)(h * w * c));
    mq_data_scratch scratch = {0};
    mq_error error;
    assert_int_equal(mq_warp_image(warp, h, w, c, MQ_BGR, in, &scratch, 0, out, &error), MQ_OK);
    mq_scratch_free(&scratch);
    return out;
}

/* Every byte within 1 of the reference but for the weights' 1/256, and the colours the same. */
static void check_reference(const mq_augment *augment, int h, int w, int c) {
    uint8_t *in = make_image(h, w, c), *expected = malloc((size_t)(h * w * c));
    double total = 0;
    int worst = 0;
    for (uint64_t sample = 0; sample < 40; sample++) {
        mq_warp warp = mq_warp_choose(augment, 9, 1, sample, h, w);
        uint8_t *out = apply(&warp, h, w, c, in);
        mq_warp_reference(&warp, h, w, c, in, expected);
        if (warp.colours && c == 3) mq_warp_colours_reference(warp.gain, MQ_BGR, (size_t)(h * w), expected);
        for (int i = 0; i < h * w * c; i++) {
            int d = abs(out[i] - expected[i]);
            total += d;
            worst = d > worst ? d : worst;
        }
        free(out);
    }
    assert_true(worst <= 2);
    assert_true(total / (40.0 * h * w * c) < 0.2);
    free(in);
    free(expected);
}

static void test_moves_as_reference(void **state) {
    (void)state;
    mq_augment moving = mq_augment_detector,
               wild = {.rotate = 180, .scale = 0.5F, .translate = 0.4F, .shear = 30};
    moving.hue = moving.saturation = moving.value = 0;
    check_reference(&moving, 40, 80, 3);
    check_reference(&moving, 33, 17, 1);
    check_reference(&wild, 40, 60, 3);
    check_reference(&wild, 21, 9, 4);
    check_reference(&wild, 1, 1, 3);
}

/* All of one channel's values against many of the others, in both orders. */
static void test_colours_as_reference(void **state) {
    (void)state;
    enum { N = 256 * 9 * 9 };
    uint8_t *pixels = malloc(3 * N), *expected = malloc(3 * N);
    const mq_rng rng = mq_rng_stream(4, "gains", 0);
    size_t different = 0;
    for (int round = 0; round < 24; round++) {
        float gain[3];
        for (int i = 0; i < 3; i++)
            gain[i] = round == 0 ? 1 : 0.3F + 1.4F * mq_rng_uniform(&rng, (uint64_t)(3 * round + i));
        for (int i = 0, n = 0; n < N; n++) {
            int v[3] = {n / 81, (n / 9 % 9) * 31 + round % 7, (n % 9) * 30 + round % 5};
            for (int k = 0; k < 3; k++) pixels[i++] = (uint8_t)v[(k + round) % 3];
        }
        memcpy(expected, pixels, 3 * N);
        mq_channel_order order = round % 2 ? MQ_RGB : MQ_BGR;
        mq_warp_colours(gain, order, N - 3, pixels); /* a last part that is not whole */
        mq_warp_colours_reference(gain, order, N - 3, expected);
        for (size_t i = 0; i < 3 * N; i++) {
            assert_in_range(pixels[i] - expected[i] + 1, 0, 2);
            different += pixels[i] != expected[i];
        }
    }
    assert_true(different < 24 * 3 * N / 50); /* ties of rounding */
    free(pixels);
    free(expected);
}

/* Known colours in OpenCV's 8-bit HSV: red is hue 0, green 60, blue 120. */
static void test_colours_known(void **state) {
    (void)state;
    static const struct {
        float gain[3];
        uint8_t in[3], out[3]; /* blue, green, red */
    } cases[] = {
        {{1, 1, 1}, {10, 10, 10}, {10, 10, 10}},      {{1, 1, 1}, {0, 0, 255}, {0, 0, 255}},
        {{1, 1, 1}, {255, 0, 0}, {255, 0, 0}},        {{1, 0, 1}, {0, 0, 200}, {200, 200, 200}},
        {{1, 1, 0.5F}, {0, 200, 0}, {0, 100, 0}},     {{1, 1, 2}, {0, 200, 0}, {0, 255, 0}},
        {{2, 1, 1}, {0, 200, 0}, {200, 0, 0}},        {{1.5F, 1, 1}, {200, 0, 0}, {0, 0, 200}},
        {{1, 0.5F, 1}, {0, 0, 255}, {128, 128, 255}}, {{1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
        {{1, 3, 1}, {128, 128, 255}, {0, 0, 255}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t p[3];
        memcpy(p, cases[i].in, 3);
        mq_warp_colours(cases[i].gain, MQ_BGR, 1, p);
        for (int k = 0; k < 3; k++) assert_int_equal(p[k], cases[i].out[k]);
    }
}

/* A mirror alone is exact, and so is nothing. */
static void test_mirror(void **state) {
    (void)state;
    enum { H = 7, W = 10, C = 3 };
    uint8_t *in = make_image(H, W, C);
    const mq_augment flip = {.flip = true}, none = {0};
    int mirrored = 0;
    for (uint64_t sample = 0; sample < 200; sample++) {
        mq_warp warp = mq_warp_choose(&flip, 1, 2, sample, H, W),
                still = mq_warp_choose(&none, 1, 2, sample, H, W);
        assert_false(still.moves || still.colours);
        uint8_t *out = apply(&warp, H, W, C, in);
        mq_box box = {0.3F, 0.4F, 0.4F, 0.5F}, moved;
        assert_true(mq_warp_box(&warp, H, W, &box, &moved));
        assert_true(fabsf(moved.x - (warp.moves ? 0.7F : 0.3F)) < 1e-6F && moved.y == 0.4F);
        assert_true(fabsf(moved.w - 0.4F) < 1e-6F && moved.h == 0.5F);
        mirrored += warp.moves;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int k = 0; k < C; k++)
                    assert_int_equal(out[(y * W + x) * C + k],
                                     in[(y * W + (warp.moves ? W - 1 - x : x)) * C + k]);
        free(out);
    }
    assert_in_range(mirrored, 70, 130);
    free(in);
}

/* A bright rectangle on a dark ground: after the warp its bright pixels fill the box that the target moved
 * to. */
static void test_box_follows(void **state) {
    (void)state;
    enum { H = 80, W = 160 };
    mq_augment augment = mq_augment_detector;
    augment.hue = augment.saturation = augment.value = 0;
    uint8_t *in = calloc(3, H * W);
    const int left = 60, right = 100, top = 30, bottom = 50;
    for (int y = top; y < bottom; y++) memset(in + 3 * (y * W + left), 255, 3 * (size_t)(right - left));
    mq_box box = {(left + right) / 2.0F / W, (top + bottom) / 2.0F / H, (float)(right - left) / W,
                  (float)(bottom - top) / H};
    for (uint64_t sample = 0; sample < 100; sample++) {
        mq_warp warp = mq_warp_choose(&augment, 2, 0, sample, H, W);
        uint8_t *out = apply(&warp, H, W, 3, in);
        mq_box moved;
        assert_true(mq_warp_box(&warp, H, W, &box, &moved));
        int low[2] = {W, H}, high[2] = {0, 0};
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if (out[3 * (y * W + x)] > 140) { /* brighter than the grey border */
                    low[0] = x < low[0] ? x : low[0];
                    low[1] = y < low[1] ? y : low[1];
                    high[0] = x + 1 > high[0] ? x + 1 : high[0];
                    high[1] = y + 1 > high[1] ? y + 1 : high[1];
                }
        assert_true(fabs((double)(moved.x - moved.w / 2) * W - low[0]) < 1.6);
        assert_true(fabs((double)(moved.x + moved.w / 2) * W - high[0]) < 1.6);
        assert_true(fabs((double)(moved.y - moved.h / 2) * H - low[1]) < 1.6);
        assert_true(fabs((double)(moved.y + moved.h / 2) * H - high[1]) < 1.6);
        free(out);
    }
    free(in);
}

static bool keeps(double dx, double dy, double scale, mq_box box, mq_box *out) {
    mq_warp warp = {.moves = true, .m = {{scale, 0, dx}, {0, scale, dy}}};
    return mq_warp_box(&warp, 100, 200, &box, out);
}

static void test_box_dropped(void **state) {
    (void)state;
    mq_box out, box = {0.1F, 0.5F, 0.1F, 0.2F}; /* 20 x 20 px, from 10 to 30, 40 to 60 */
    assert_true(keeps(0, 0, 1, box, &out));
    assert_true(fabsf(out.x - 0.1F) < 1e-6F && fabsf(out.w - 0.1F) < 1e-6F);
    assert_true(keeps(-25.9, 0, 1, box, &out)); /* 4.1 of 20 columns are left */
    assert_true(fabsf(out.w * 200 - 4.1F) < 1e-3F && fabsf(out.x * 200 - 2.05F) < 1e-3F);
    assert_false(keeps(-26.1, 0, 1, box, &out));     /* under 20 % of the area */
    assert_false(keeps(0, -57, 1, box, &out));       /* 3 of 20 rows: 15 % */
    assert_false(keeps(-100, 0, 1, box, &out));      /* nothing */
    const mq_box small = {0.1F, 0.5F, 0.03F, 0.06F}; /* 6 x 6 px, from 17 */
    assert_true(keeps(-19.9, 0, 1, small, &out));    /* 3.1 px */
    assert_false(keeps(-20.1, 0, 1, small, &out));   /* 2.9 px of 6 */
    const mq_box wide = {0.5F, 0.5F, 0.25F, 0.06F};  /* 50 x 6 px, from row 47 */
    assert_true(keeps(0, -47, 1, wide, &out));
    assert_true(keeps(0, -47.9, 1, wide, &out));  /* 50 x 5.1 */
    assert_false(keeps(0, -48.1, 1, wide, &out)); /* 50 x 4.9: over 10 */
}

/* Draws stay in their ranges, cover them, and depend on seed, epoch and sample alone. */
static void test_choice(void **state) {
    (void)state;
    enum { N = 4000, H = 160, W = 320 };
    double low[6], high[6], gain_low[3] = {9, 9, 9}, gain_high[3] = {0};
    for (int i = 0; i < 6; i++) low[i] = 1e9, high[i] = -1e9;
    const mq_augment *a = &mq_augment_detector;
    int flips = 0;
    for (uint64_t sample = 0; sample < N; sample++) {
        mq_warp w = mq_warp_choose(a, 5, 3, sample, H, W), same = mq_warp_choose(a, 5, 3, sample, H, W);
        mq_warp seed = mq_warp_choose(a, 6, 3, sample, H, W), epoch = mq_warp_choose(a, 5, 4, sample, H, W);
        assert_memory_equal(w.m, same.m, sizeof w.m);
        assert_memory_not_equal(w.m, seed.m, sizeof w.m);
        assert_memory_not_equal(w.m, epoch.m, sizeof w.m);
        bool flip = w.m[0][0] < 0;
        flips += flip;
        double sign = flip ? -1 : 1, m00 = w.m[0][0] * sign, m01 = w.m[0][1] * sign;
        /* where the middle goes: nearly the shift alone */
        double mid[2] = {w.m[0][0] * W / 2 + w.m[0][1] * H / 2 + w.m[0][2],
                         w.m[1][0] * W / 2 + w.m[1][1] * H / 2 + w.m[1][2]};
        double row[6] = {sqrt(fabs(m00 * w.m[1][1] - m01 * w.m[1][0])),
                         (flip ? W - mid[0] : mid[0]) - W / 2.0,
                         mid[1] - H / 2.0,
                         (m01 - w.m[1][0]) / 2 / m00,
                         m01,
                         w.m[1][0]};
        for (int i = 0; i < 6; i++) low[i] = fmin(low[i], row[i]), high[i] = fmax(high[i], row[i]);
        for (int i = 0; i < 3; i++) {
            gain_low[i] = fmin(gain_low[i], (double)w.gain[i]);
            gain_high[i] = fmax(gain_high[i], (double)w.gain[i]);
        }
    }
    assert_in_range(flips, N / 2 - 150, N / 2 + 150);
    assert_true(low[0] > 0.949 && low[0] < 0.952 && high[0] > 1.048 && high[0] < 1.051); /* scale */
    /* shift: 8 px in x, 16 in y, and the shear of the middle, tan(0.641 deg) times 88 and 176 px at most */
    assert_true(high[1] > 7.5 && high[1] < 10 && low[1] < -7.5 && low[1] > -10);
    assert_true(high[2] > 15.5 && high[2] < 18 && low[2] < -15.5 && low[2] > -18);
    assert_true(high[3] > 0.03 && high[3] < tan((1.98 + 0.641) * 0.01745330) && low[3] < -0.03); /* turn */
    const double range[3] = {0.0138, 0.678, 0.36};
    for (int i = 0; i < 3; i++) {
        assert_true(gain_low[i] >= 1 - range[i] - 1e-6 && gain_low[i] < 1 - range[i] * 0.99);
        assert_true(gain_high[i] <= 1 + range[i] + 1e-6 && gain_high[i] > 1 + range[i] * 0.99);
    }
}

/* The point (x, y) moves as turn, shift and shear say one after the other. */
static void test_matrix(void **state) {
    (void)state;
    const mq_augment turn = {.rotate = 90}, shift = {.translate = 1}, shear = {.shear = 45},
                     scale = {.scale = 0.9F};
    const mq_augment *all[] = {&turn, &shift, &shear, &scale};
    for (int which = 0; which < 4; which++)
        for (uint64_t sample = 0; sample < 50; sample++) {
            mq_warp w = mq_warp_choose(all[which], 0, 0, sample, 60, 100);
            double(*m)[3] = w.m, cx = m[0][0] * 50 + m[0][1] * 30 + m[0][2],
            cy = m[1][0] * 50 + m[1][1] * 30 + m[1][2];
            if (which == 0 || which == 3) assert_true(fabs(cx - 50) < 1e-9 && fabs(cy - 30) < 1e-9);
            if (which == 0)
                assert_true(fabs(m[0][0] * m[0][0] + m[0][1] * m[0][1] - 1) < 1e-9 && m[0][1] == -m[1][0]);
            if (which == 1)
                assert_true(m[0][0] == 1 && m[0][1] == 0 && fabs(m[0][2]) <= 60 && fabs(m[1][2]) <= 100);
            if (which == 2) assert_true(m[0][0] == 1 && m[1][1] == 1 && m[0][2] == 0 && m[0][1] != m[1][0]);
            if (which == 3) assert_true(m[0][0] == m[1][1] && m[0][1] == 0);
            for (int i = 0; i < 2; i++) /* inverse * m = 1 */
                for (int j = 0; j < 3; j++) {
                    double v = w.inverse[i][0] * m[0][j] + w.inverse[i][1] * m[1][j] +
                               (j == 2 ? w.inverse[i][2] : 0);
                    assert_true(fabs(v - (i == j)) < 1e-6);
                }
        }
}

static void test_check(void **state) {
    (void)state;
    const mq_augment bad[] = {{.rotate = -1}, {.rotate = 181}, {.scale = 1},      {.translate = 2},
                              {.shear = 46},  {.hue = NAN},    {.saturation = 2}, {.value = -0.1F}};
    mq_error error;
    assert_int_equal(mq_augment_check(&mq_augment_detector, &error), MQ_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mq_augment_check(&bad[i], &error), MQ_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_as_reference),
        cmocka_unit_test(test_colours_as_reference),
        cmocka_unit_test(test_colours_known),
        cmocka_unit_test(test_mirror),
        cmocka_unit_test(test_box_follows),
        cmocka_unit_test(test_box_dropped),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests_name("warp", tests, NULL, NULL);
}
