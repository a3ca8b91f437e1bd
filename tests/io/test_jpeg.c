/* test_jpeg.c - JPEG and PNG: written and read again, kinds of colours, damage of every sort. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <png.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/jpeg.h"
#include "io/png.h"

enum { H = 33, W = 50 };
static char folder[] = "/tmp/mixq-jpeg-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/image", folder);
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* A smooth image: blue rises to the right, green downwards, red falls. */
static void draw(uint8_t *image, mq_channel_order order) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *p = image + 3 * (y * W + x);
            p[order == MQ_BGR ? 0 : 2] = (uint8_t)(40 + 3 * x);
            p[1] = (uint8_t)(30 + 5 * y);
            p[order == MQ_BGR ? 2 : 0] = (uint8_t)(220 - 2 * x - y);
        }
}

static double mean_difference(const uint8_t *a, const uint8_t *b) {
    double sum = 0;
    for (int i = 0; i < 3 * H * W; i++) sum += abs(a[i] - b[i]);
    return sum / (3 * H * W);
}

static uint8_t *read_whole(size_t *size) {
    uint8_t *bytes;
    mq_error error;
    assert_int_equal(mq_file_read(path, MQ_JPEG_BYTES, &bytes, size, &error), MQ_OK);
    return bytes;
}

static void test_again(void **state) {
    (void)state;
    for (int written = 0; written < 2; written++)
        for (int read = 0; read < 2; read++) {
            uint8_t in[3 * H * W], out[3 * H * W], expected[3 * H * W];
            int h, w;
            size_t size;
            mq_error error;
            draw(in, (mq_channel_order)written);
            draw(expected, (mq_channel_order)read);
            assert_int_equal(mq_jpeg_write(path, in, H, W, (mq_channel_order)written, 95, &error), MQ_OK);
            uint8_t *bytes = read_whole(&size);
            assert_int_equal(mq_jpeg_size(path, bytes, size, &h, &w, &error), MQ_OK);
            assert_true(h == H && w == W);
            assert_int_equal(mq_jpeg_decode(path, bytes, size, (mq_channel_order)read, H, W, out, &error),
                             MQ_OK);
            assert_true(mean_difference(out, expected) < 1);
            assert_int_equal(mq_jpeg_decode(path, bytes, size, MQ_BGR, H, W + 1, out, &error), MQ_INTERNAL);
            mq_free(bytes);
        }
}

/* Other kinds of files, made by libjpeg itself. */
static uint8_t *encode(J_COLOR_SPACE space, int channels, const uint8_t *pixels, bool progressive,
                       unsigned long *size) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr manager;
    unsigned char *bytes = NULL;
    *size = 0;
    info.err = jpeg_std_error(&manager);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, size);
    info.image_height = H;
    info.image_width = W;
    info.input_components = channels;
    info.in_color_space = space;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 100, TRUE);
    if (progressive) jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < H) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)channels * W * info.next_scanline);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return bytes;
}

static void test_kinds(void **state) {
    (void)state;
    uint8_t in[4 * H * W], out[3 * H * W], expected[3 * H * W];
    unsigned long size;
    mq_error error;
    for (int i = 0; i < H * W; i++) {
        in[i] = (uint8_t)(i % W * 4);
        memset(expected + 3 * i, in[i], 3);
    }
    uint8_t *bytes = encode(JCS_GRAYSCALE, 1, in, false, &size);
    assert_int_equal(mq_jpeg_decode("g", bytes, size, MQ_BGR, H, W, out, &error), MQ_OK);
    assert_true(mean_difference(out, expected) < 1);
    for (int i = 0; i < H * W; i++) assert_true(out[3 * i] == out[3 * i + 1] && out[3 * i] == out[3 * i + 2]);
    free(bytes);

    draw(in, MQ_RGB);
    draw(expected, MQ_BGR);
    bytes = encode(JCS_RGB, 3, in, true, &size);
    assert_int_equal(mq_jpeg_decode("p", bytes, size, MQ_BGR, H, W, out, &error), MQ_OK);
    assert_true(mean_difference(out, expected) < 1.5); /* colours at half resolution */
    free(bytes);

    /* Adobe's CMYK: 255 is no ink */
    for (int i = 0; i < H * W; i++) {
        in[4 * i] = (uint8_t)(100 + i % W);
        in[4 * i + 1] = 200;
        in[4 * i + 2] = (uint8_t)(50 + i / W);
        in[4 * i + 3] = 180;
        expected[3 * i + 2] = (uint8_t)((100 + i % W) * 180 / 255);
        expected[3 * i + 1] = 200 * 180 / 255;
        expected[3 * i] = (uint8_t)((50 + i / W) * 180 / 255);
    }
    bytes = encode(JCS_CMYK, 4, in, false, &size);
    assert_int_equal(mq_jpeg_decode("c", bytes, size, MQ_BGR, H, W, out, &error), MQ_OK);
    assert_true(mean_difference(out, expected) < 2);
    free(bytes);
}

static void expect_damaged(const uint8_t *bytes, size_t size) {
    uint8_t out[3 * H * W];
    mq_error error = {0};
    assert_int_equal(mq_jpeg_decode("dir/a.jpg", bytes, size, MQ_BGR, H, W, out, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "dir/a.jpg"));
}

/* Cut anywhere, it is damaged. */
static void test_cut(void **state) {
    (void)state;
    uint8_t in[3 * H * W];
    size_t size;
    mq_error error;
    draw(in, MQ_BGR);
    assert_int_equal(mq_jpeg_write(path, in, H, W, MQ_BGR, 90, &error), MQ_OK);
    uint8_t *bytes = read_whole(&size);
    for (size_t n = 0; n < size - 2; n += n < 700 ? 13 : 1) expect_damaged(bytes, n);
    expect_damaged((const uint8_t *)"\x89PNG\r\n\x1a\n", 8);
    expect_damaged((const uint8_t *)"not an image at all", 19);
    int h, w;
    assert_int_equal(mq_jpeg_size("a", bytes, 0, &h, &w, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "empty"));
    mq_free(bytes);
}

/* Every byte changed, and many at once: read or refused, nothing worse. The size is as its header says. */
static void test_damage(void **state) {
    (void)state;
    uint8_t in[3 * H * W];
    size_t size;
    mq_error error;
    uint32_t number = 1;
    draw(in, MQ_BGR);
    assert_int_equal(mq_jpeg_write(path, in, H, W, MQ_BGR, 90, &error), MQ_OK);
    uint8_t *bytes = read_whole(&size), *broken = malloc(size);
    for (size_t i = 0; i < 3 * size; i++) {
        memcpy(broken, bytes, size);
        for (size_t k = 0; k < (i < size ? 1 : 20); k++) {
            number = number * 1664525 + 1013904223;
            broken[i < size ? i : number % size] ^= (uint8_t)(1 + (number >> 24) % 255);
        }
        int h, w;
        mq_status status = mq_jpeg_size("a", broken, size, &h, &w, &error);
        assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
        if (status != MQ_OK || h * w > 1 << 22) continue;
        uint8_t *out = malloc(3 * (size_t)h * (size_t)w);
        status = mq_jpeg_decode("a", broken, size, MQ_RGB, h, w, out, &error);
        assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
        free(out);
    }
    free(broken);
    mq_free(bytes);
}

/* A header that promises 65,500 x 65,500 pixels is not believed. */
static void test_huge(void **state) {
    (void)state;
    uint8_t in[3 * H * W];
    size_t size;
    mq_error error;
    int h, w;
    draw(in, MQ_BGR);
    assert_int_equal(mq_jpeg_write(path, in, H, W, MQ_BGR, 90, &error), MQ_OK);
    uint8_t *bytes = read_whole(&size);
    size_t at = 2;
    while (bytes[at + 1] != 0xc0) at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    bytes[at + 5] = bytes[at + 7] = 0xff;
    bytes[at + 6] = bytes[at + 8] = 0xdc;
    assert_int_equal(mq_jpeg_size("a", bytes, size, &h, &w, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "at most 67108864 pixels"));
    mq_free(bytes);
}

static void test_png(void **state) {
    (void)state;
    uint8_t in[3 * H * W], out[3 * H * W], expected[3 * H * W];
    mq_error error;
    for (int order = 0; order < 2; order++)
        for (int channels = 1; channels <= 3; channels += 2) {
            draw(in, (mq_channel_order)order);
            draw(expected, MQ_RGB);
            assert_int_equal(mq_png_write(path, in, H, W, channels, (mq_channel_order)order, &error), MQ_OK);
            png_image image = {.version = PNG_IMAGE_VERSION};
            assert_true(png_image_begin_read_from_file(&image, path));
            assert_true(image.width == W && image.height == H);
            image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
            assert_true(png_image_finish_read(&image, NULL, out, 0, NULL));
            assert_memory_equal(out, channels == 3 ? expected : in, (size_t)channels * H * W);
        }
}

static void test_not_written(void **state) {
    (void)state;
    uint8_t in[3 * H * W] = {0};
    mq_error error;
    char nowhere[128];
    snprintf(nowhere, sizeof nowhere, "%s/none/a.png", folder);
    assert_int_equal(mq_png_write(nowhere, in, H, W, 3, MQ_RGB, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_jpeg_write(nowhere, in, H, W, MQ_RGB, 90, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_png_write(path, in, H, 0, 3, MQ_RGB, &error), MQ_USAGE);
    assert_int_equal(mq_png_write(path, in, H, W, 2, MQ_RGB, &error), MQ_USAGE);
    assert_int_equal(mq_jpeg_write(path, in, 70000, W, MQ_RGB, 90, &error), MQ_USAGE);
    assert_int_equal(mq_jpeg_write(path, in, H, W, MQ_RGB, 0, &error), MQ_USAGE);
    assert_int_equal(mq_png_write("/dev/full", in, H, W, 3, MQ_RGB, &error),
                     MQ_BAD_INPUT); /* not a regular file */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_again),       cmocka_unit_test(test_kinds), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_damage),      cmocka_unit_test(test_huge),  cmocka_unit_test(test_png),
        cmocka_unit_test(test_not_written),
    };
    return cmocka_run_group_tests_name("jpeg", tests, make_folder, drop_folder);
}
