/* test_resize.c - scaled images against the definition; frames drawn into images. */
#include "data/helper_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/box_draw.h"
#include "data/resize.h"

static double sample(const uint8_t *in, int h, int w, double y, double x, int k) {
    y = fmin(fmax(y, 0), h - 1);
    x = fmin(fmax(x, 0), w - 1);
    int top = (int)y, left = (int)x, down = top + 1 < h ? top + 1 : top,
        right = left + 1 < w ? left + 1 : left;
    double fy = y - top, fx = x - left;
    return (1 - fy) * ((1 - fx) * in[3 * (top * w + left) + k] + fx * in[3 * (top * w + right) + k]) +
           fy * ((1 - fx) * in[3 * (down * w + left) + k] + fx * in[3 * (down * w + right) + k]);
}

static void check_size(int h, int w, int to_h, int to_w) {
    uint8_t *in = malloc((size_t)(3 * h * w)), *out = malloc((size_t)(3 * to_h * to_w));
    mq_data_scratch scratch = {0};
    mq_error error;
    for (int i = 0; i < 3 * h * w; i++) in[i] = pixel((size_t)i);
    assert_int_equal(mq_resize_image(in, h, w, &scratch, 1, out, to_h, to_w, &error), MQ_OK);
    for (int y = 0; y < to_h; y++)
        for (int x = 0; x < to_w; x++)
            for (int k = 0; k < 3; k++) {
                double expected = sample(in, h, w, (y + 0.5) * h / to_h - 0.5, (x + 0.5) * w / to_w - 0.5, k);
                assert_true(fabs(out[3 * (y * to_w + x) + k] - expected) < 0.5 + 0.26);
            }
    if (h == to_h && w == to_w) assert_memory_equal(in, out, (size_t)(3 * h * w));
    mq_scratch_free(&scratch);
    free(in);
    free(out);
}

static void test_resize(void **state) {
    (void)state;
    check_size(36, 64, 16, 32);
    check_size(16, 32, 36, 64);
    check_size(17, 31, 17, 31);
    check_size(20, 30, 10, 15);
    check_size(1, 1, 7, 9);
    check_size(9, 7, 1, 1);
    check_size(50, 3, 5, 40);
    check_size(2, 100, 300, 2);
}

static void test_flat(void **state) {
    (void)state;
    uint8_t in[3 * 40 * 50], out[3 * 16 * 32];
    mq_data_scratch scratch = {0};
    mq_error error;
    memset(in, 255, sizeof in);
    assert_int_equal(mq_resize_image(in, 40, 50, &scratch, 0, out, 16, 32, &error), MQ_OK);
    for (size_t i = 0; i < sizeof out; i++) assert_int_equal(out[i], 255);
    mq_scratch_free(&scratch);
}

enum { H = 20, W = 30 };

static bool is_colour(const uint8_t *image, int y, int x, int a, int b, int c) {
    const uint8_t *p = image + 3 * (y * W + x);
    return p[0] == a && p[1] == b && p[2] == c;
}

static void test_frames(void **state) {
    (void)state;
    uint8_t image[3 * H * W] = {0};
    const mq_box box = {.x = 15.0F / W, .y = 10.0F / H, .w = 10.0F / W, .h = 6.0F / H}; /* 10..20 x 7..13 */
    mq_box_draw(image, H, W, MQ_BGR, &box, mq_box_predicted, 1);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool in = y >= 7 && y < 13 && x >= 10 && x < 20, inner = y >= 8 && y < 12 && x >= 11 && x < 19;
            assert_true(in && !inner ? is_colour(image, y, x, 0, 0, 255) : is_colour(image, y, x, 0, 0, 0));
        }
    mq_box_draw(image, H, W, MQ_RGB, &box, (mq_box_colour){1, 2, 3}, 2);
    assert_true(is_colour(image, 7, 10, 1, 2, 3) && is_colour(image, 8, 11, 1, 2, 3) &&
                is_colour(image, 9, 12, 0, 0, 0));
    mq_box_draw(image, H, W, MQ_BGR, &box, mq_box_true, 100); /* thicker than the box: filled */
    assert_true(is_colour(image, 10, 15, 0, 255, 0) && is_colour(image, 12, 19, 0, 255, 0));
    assert_true(is_colour(image, 13, 19, 0, 0, 0));
}

/* Boxes that leave the image, or are none, stay within memory. */
static void test_frames_outside(void **state) {
    (void)state;
    const mq_box boxes[] = {
        {0, 0, 1, 1},       {1, 1, 1, 1},         {-5, 3, 1, 1},           {0.5F, 0.5F, 40, 40},
        {0.5F, 0.5F, 0, 0}, {0.5F, 0.5F, -1, -1}, {NAN, 0.5F, 0.1F, 0.1F}, {0.5F, 0.5F, INFINITY, 1},
        {1e30F, 0, 1, 1},   {0, 0, 3e38F, 3e38F}};
    uint8_t image[3 * H * W + 2];
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        memset(image, 7, sizeof image);
        mq_box_draw(image + 1, H, W, MQ_BGR, &boxes[i], mq_box_true, 3);
        assert_true(image[0] == 7 && image[sizeof image - 1] == 7);
    }
    memset(image, 7, sizeof image);
    mq_box_draw(image, H, W, MQ_BGR, &boxes[0], mq_box_true, 1); /* a quarter is inside: two of its sides */
    assert_true(is_colour(image, H / 2 - 1, 0, 0, 255, 0) && is_colour(image, 0, W / 2 - 1, 0, 255, 0));
    assert_true(is_colour(image, 0, 0, 7, 7, 7));
}

static void test_enlarge(void **state) {
    (void)state;
    uint8_t in[3 * 4 * 5], out[3 * 12 * 15];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)i;
    mq_image_enlarge(in, 4, 5, 3, out);
    for (int y = 0; y < 12; y++)
        for (int x = 0; x < 15; x++)
            assert_memory_equal(out + 3 * (y * 15 + x), in + 3 * (y / 3 * 5 + x / 3), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),         cmocka_unit_test(test_flat),    cmocka_unit_test(test_frames),
        cmocka_unit_test(test_frames_outside), cmocka_unit_test(test_enlarge),
    };
    return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
