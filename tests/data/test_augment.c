/* test_augment.c - pad, crop and mirror against their definition, and how they are chosen. */
#include "data/helper_data.h"

#include <stdlib.h>
#include <string.h>

#include "data/augment.h"

static const mq_augment published = {.pad = 4, .flip = true};

/* The definition: pad, crop at (pad+dy, pad+dx), then mirror. */
static uint8_t expected(const uint8_t *in, mq_augment_draw d, int h, int w, int c, int y, int x, int k) {
    int from_y = y + d.dy, from_x = (d.flip ? w - 1 - x : x) + d.dx;
    return from_y < 0 || from_y >= h || from_x < 0 || from_x >= w ? 0 : in[(from_y * w + from_x) * c + k];
}

static void check_apply(int h, int w, int c, int pad) {
    size_t size = (size_t)(h * w * c);
    uint8_t *in = malloc(size), *out = malloc(size + 1);
    for (size_t i = 0; i < size; i++) in[i] = pixel(i);
    for (int dy = -pad; dy <= pad; dy++)
        for (int dx = -pad; dx <= pad; dx++)
            for (int flip = 0; flip < 2; flip++) {
                mq_augment_draw draw = {dy, dx, flip};
                memset(out, 0xee, size + 1);
                mq_augment_apply(draw, h, w, c, in, out);
                for (int y = 0; y < h; y++)
                    for (int x = 0; x < w; x++)
                        for (int k = 0; k < c; k++)
                            assert_int_equal(out[(y * w + x) * c + k], expected(in, draw, h, w, c, y, x, k));
                assert_int_equal(out[size], 0xee);
            }
    free(in);
    free(out);
}

static void test_apply(void **state) {
    (void)state;
    check_apply(8, 8, 3, 4);
    check_apply(5, 9, 1, 3);
    check_apply(1, 1, 4, 2);
    check_apply(3, 2, 2, 7); /* the window may leave the image */
    check_apply(4, 6, 3, 0);
}

static void test_identity(void **state) {
    (void)state;
    const mq_augment none = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        mq_augment_draw draw = mq_augment_choose(&none, 3, i % 7, i);
        assert_true(draw.dy == 0 && draw.dx == 0 && !draw.flip);
    }
}

static bool same(mq_augment_draw a, mq_augment_draw b) {
    return a.dy == b.dy && a.dx == b.dx && a.flip == b.flip;
}

/* A pure function of (seed, epoch, sample), and each of them matters; pad and flip do not disturb each other.
 */
static void test_pure(void **state) {
    (void)state;
    const mq_augment flip_only = {.flip = true}, pad_only = {.pad = 4};
    int seed_differs = 0, epoch_differs = 0, sample_differs = 0;
    enum { N = 2000 };
    for (uint64_t i = 0; i < N; i++) {
        mq_augment_draw draw = mq_augment_choose(&published, 5, 2, i);
        assert_true(same(draw, mq_augment_choose(&published, 5, 2, i)));
        seed_differs += !same(draw, mq_augment_choose(&published, 6, 2, i));
        epoch_differs += !same(draw, mq_augment_choose(&published, 5, 3, i));
        sample_differs += !same(draw, mq_augment_choose(&published, 5, 2, i + 1));
        assert_int_equal(mq_augment_choose(&flip_only, 5, 2, i).flip, draw.flip);
        assert_int_equal(mq_augment_choose(&pad_only, 5, 2, i).dx, draw.dx);
    }
    /* 162 outcomes: about 1 in 162 agrees by chance */
    assert_true(seed_differs > N * 0.97 && epoch_differs > N * 0.97 && sample_differs > N * 0.97);
}

/* Every shift and both flips are equally frequent: chi-square over 9 x 9 x 2 cells. */
static void test_uniform(void **state) {
    (void)state;
    enum { N = 162 * 200 };
    int cell[162] = {0};
    for (uint64_t i = 0; i < N; i++) {
        mq_augment_draw d = mq_augment_choose(&published, 0, i / 1000, i % 1000);
        assert_in_range(d.dy + 4, 0, 8);
        assert_in_range(d.dx + 4, 0, 8);
        cell[((d.dy + 4) * 9 + d.dx + 4) * 2 + d.flip]++;
    }
    double chi = 0;
    for (int i = 0; i < 162; i++) chi += (cell[i] - 200.0) * (cell[i] - 200.0) / 200.0;
    assert_true(chi > 90 && chi < 250); /* 161 degrees of freedom: deviation 18, so beyond 3.9 either way */
}

static void test_check(void **state) {
    (void)state;
    mq_error error;
    const mq_augment negative = {.pad = -1}, large = {.pad = MQ_AUGMENT_PAD + 1};
    assert_int_equal(mq_augment_check(&published, &error), MQ_OK);
    assert_int_equal(mq_augment_check(&negative, &error), MQ_USAGE);
    assert_int_equal(mq_augment_check(&large, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "got 65"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),   cmocka_unit_test(test_identity), cmocka_unit_test(test_pure),
        cmocka_unit_test(test_uniform), cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
