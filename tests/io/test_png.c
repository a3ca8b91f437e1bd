/* test_png.c - PNG of every kind of pixels read back as red, green, blue; every kind of damage refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <png.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "io/png.h"

enum { H = 9, W = 7 };

static int value(int y, int x, int c) {
    return (y * 37 + x * 11 + c * 71 + 5) & 255;
}

/* A PNG of that kind; grey levels are those of channel 0. */
static void make(const char *path, int kind, int depth, int interlace) {
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256];
    png_bytep rows[H];
    uint8_t bytes[H][W * 8];
    int channels = kind == PNG_COLOR_TYPE_RGB    ? 3
                   : kind == PNG_COLOR_TYPE_RGBA ? 4
                   : kind == PNG_COLOR_TYPE_GA   ? 2
                                                 : 1;
    for (int i = 0; i < 256; i++)
        palette[i] = (png_color){(png_byte)i, (png_byte)(i + 71), (png_byte)(i + 142)};
    for (int y = 0; y < H; y++) {
        rows[y] = bytes[y];
        for (int x = 0; x < W; x++)
            for (int c = 0; c < channels; c++) {
                uint8_t v = (uint8_t)(channels % 2 == 0 && c == channels - 1 ? 9 : value(y, x, c));
                uint8_t *at = bytes[y] + (x * channels + c) * (depth / 8);
                at[0] = v;
                if (depth == 16) at[1] = v; /* 257 * v, which is v of 8 bits */
            }
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, W, H, depth, kind, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (kind == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 256);
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

static uint8_t *load(const char *path, size_t *size) {
    uint8_t *bytes;
    mq_error error;
    assert_int_equal(mq_file_read(path, 1 << 20, &bytes, size, &error), MQ_OK);
    return bytes;
}

static void kinds(void **state) {
    static const int kind[] = {PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGBA, PNG_COLOR_TYPE_GRAY,
                               PNG_COLOR_TYPE_GA, PNG_COLOR_TYPE_PALETTE};
    const char *path = temp_dir_path(state, "a.png");
    for (int k = 0; k < 5; k++)
        for (int depth = 8; depth <= (kind[k] == PNG_COLOR_TYPE_PALETTE ? 8 : 16); depth += 8)
            for (int interlace = 0; interlace < 2; interlace++) {
                mq_error error = {0};
                size_t size;
                int h, w;
                uint8_t out[H][W][3];
                make(path, kind[k], depth, interlace);
                uint8_t *bytes = load(path, &size);
                if (mq_png_size(path, bytes, size, &h, &w, &error) != MQ_OK) fail_msg("%s", error.text);
                assert_int_equal(h, H);
                assert_int_equal(w, W);
                for (int order = 0; order < 2; order++) {
                    if (mq_png_decode(path, bytes, size, (mq_channel_order)order, H, W, out[0][0], &error) !=
                        MQ_OK)
                        fail_msg("%s", error.text);
                    bool grey = kind[k] == PNG_COLOR_TYPE_GRAY || kind[k] == PNG_COLOR_TYPE_GA;
                    for (int y = 0; y < H; y++)
                        for (int x = 0; x < W; x++)
                            for (int c = 0; c < 3; c++)
                                assert_int_equal(out[y][x][order == MQ_BGR ? 2 - c : c],
                                                 value(y, x, grey ? 0 : c));
                }
                mq_free(bytes);
            }
}

static void write_and_read(void **state) {
    mq_error error = {0};
    uint8_t pixels[H][W][3], out[H][W][3];
    size_t size;
    const char *path = temp_dir_path(state, "b.png");
    for (int i = 0; i < H * W * 3; i++) ((uint8_t *)pixels)[i] = (uint8_t)(i * 7);
    assert_int_equal(mq_png_write(path, pixels[0][0], H, W, 3, MQ_BGR, &error), MQ_OK);
    uint8_t *bytes = load(path, &size);
    assert_int_equal(mq_png_decode(path, bytes, size, MQ_BGR, H, W, out[0][0], &error), MQ_OK);
    assert_memory_equal(out, pixels, sizeof out);
    mq_free(bytes);
}

/* Cut anywhere it is refused, and no flipped byte does harm. */
static void damage(void **state) {
    mq_error error = {0};
    uint8_t out[H][W][3];
    size_t size;
    int h, w;
    const char *path = temp_dir_path(state, "c.png");
    make(path, PNG_COLOR_TYPE_RGB, 8, 1);
    uint8_t *bytes = load(path, &size);
    for (size_t n = 0; n + 12 < size; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that reading on is seen */
        memcpy(cut, bytes, n);
        assert_int_equal(mq_png_decode("cut.png", cut, n, MQ_RGB, H, W, out[0][0], &error), MQ_BAD_INPUT);
        assert_non_null(strstr(error.text, "cut.png"));
        free(cut);
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x41;
        if (mq_png_size(path, bytes, size, &h, &w, &error) == MQ_OK && h == H && w == W)
            (void)!mq_png_decode(path, bytes, size, MQ_RGB, H, W, out[0][0], &error);
        bytes[i] ^= 0x41;
    }
    assert_int_equal(mq_png_size("jpeg.png", (const uint8_t *)"\xff\xd8\xff\xe0 jpeg", 10, &h, &w, &error),
                     MQ_BAD_INPUT);
    assert_string_equal(error.text, "jpeg.png: no PNG, expected a PNG");
    /* 60000 x 60000 are too many pixels; the checksum of the header has to fit */
    memcpy(bytes + 16, "\0\0\xea\x60\0\0\xea\x60", 8);
    uint32_t sum = (uint32_t)crc32(0, bytes + 12, 17);
    for (int i = 0; i < 4; i++) bytes[29 + i] = (uint8_t)(sum >> (24 - 8 * i));
    assert_int_equal(mq_png_size(path, bytes, size, &h, &w, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "60000 x 60000"));
    mq_free(bytes);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

int main(void) {
    const struct CMUnitTest tests[] = {IN_FOLDER(kinds), IN_FOLDER(write_and_read), IN_FOLDER(damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
