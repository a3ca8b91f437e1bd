/* Data sets of one's own: arrays and folders, and every way in which they can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "data/dataset.h"
#include "io/jpeg.h"
#include "io/npy.h"
#include "io/png.h"

static void put_array(void **state, const char *name, mq_dtype type, mq_shape shape, int step) {
    mq_tensor t;
    assert_int_equal(mq_tensor_create(type, shape, &t, NULL), MQ_OK);
    for (size_t i = 0; i < mq_tensor_count(&t); i++) {
        int64_t v = (int64_t)(i * (size_t)step) % (step > 1 ? 251 : 3);
        memcpy((uint8_t *)t.data + i * mq_dtype_size(type), &v, mq_dtype_size(type));
    }
    assert_int_equal(mq_npy_save(temp_dir_path(state, name), &t, NULL), MQ_OK);
    mq_tensor_free(&t);
}

static void open_set(const char *spec, mq_split split, int h, int w, int c, mq_dataset **out) {
    mq_error error = {0};
    const mq_data_request request = {.split = split, .height = h, .width = w, .channels = c};
    if (mq_dataset_open(spec, &request, out, &error) != MQ_OK) fail_msg("%s: %s", spec, error.text);
}

static void refused(const char *spec, mq_status expected, const char *words) {
    mq_error error = {0};
    mq_dataset *set;
    const mq_data_request request = {.split = MQ_SPLIT_TEST, .height = 8, .width = 8, .channels = 3};
    mq_status status = mq_dataset_open(spec, &request, &set, &error);
    if (status != expected || !strstr(error.text, words))
        fail_msg("%s: status %d, expected %d; '%s' expected in: %s", spec, (int)status, (int)expected, words,
                 error.text);
}

static void arrays(void **state) {
    char spec[600], four[1200];
    const char *dir = ((temp_dir *)*state)->path;
    mq_dataset *set;
    put_array(state, "x.npy", MQ_U8, mq_shape4(6, 3, 4, 5), 7);
    put_array(state, "y.npy", MQ_I32, mq_shape1(6), 1);
    put_array(state, "gx.npy", MQ_U8, (mq_shape){.rank = 3, .dim = {9, 4, 4}}, 7);
    put_array(state, "gy.npy", MQ_U8, mq_shape1(9), 1);
    snprintf(spec, sizeof spec, "npy:%s/x.npy,%s/y.npy", dir, dir);
    open_set(spec, MQ_SPLIT_TEST, 4, 5, 3, &set);
    assert_int_equal(set->count, 6);
    assert_int_equal(set->classes, 3);
    assert_int_equal(set->labels[4], 1);
    for (int i = 0; i < 6; i++) /* from channels first to channels last */
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < 20; p++)
                assert_int_equal(set->images[(i * 20 + p) * 3 + c], ((i * 3 + c) * 20 + p) * 7 % 251);
    mq_dataset_free(set);
    open_set(spec, MQ_SPLIT_TEST, 8, 7, 3, &set); /* centred */
    assert_int_equal(set->images[0], 0);
    assert_int_equal(set->images[((2 * 7 + 1) * 3) + 1], 20 * 7);
    mq_dataset_free(set);
    snprintf(four, sizeof four, "%s,%s/gx.npy,%s/gy.npy", spec, dir, dir);
    open_set(four, MQ_SPLIT_TEST, 4, 4, 3, &set); /* grey, to all channels */
    assert_int_equal(set->count, 9);
    assert_int_equal(set->images[3], 7);
    assert_int_equal(set->images[5], 7);
    mq_dataset_free(set);
    open_set(four, MQ_SPLIT_TRAIN, 4, 5, 3, &set);
    assert_int_equal(set->count, 6);
    mq_dataset_free(set);
    put_array(state, "f.npy", MQ_F32, mq_shape4(6, 3, 4, 5), 7);
    put_array(state, "short.npy", MQ_I32, mq_shape1(5), 1);
    refused("npy:one.npy", MQ_USAGE, "expected npy:X.npy,Y.npy");
    refused("npy:a,b,c", MQ_USAGE, "expected npy:X.npy,Y.npy");
    snprintf(spec, sizeof spec, "npy:%s/f.npy,%s/y.npy", dir, dir);
    refused(spec, MQ_BAD_INPUT, "f.npy: images: got float32");
    snprintf(spec, sizeof spec, "npy:%s/x.npy,%s/short.npy", dir, dir);
    refused(spec, MQ_BAD_INPUT, "short.npy: labels: got int32 [5], expected integers [6]");
    snprintf(spec, sizeof spec, "npy:%s/x.npy,%s/nothing.npy", dir, dir);
    refused(spec, MQ_BAD_INPUT, "nothing.npy");
}

static void put_picture(void **state, const char *name, int side, int red, bool png) {
    uint8_t pixels[16 * 16 * 3];
    for (int p = 0; p < side * side; p++) {
        pixels[3 * p] = (uint8_t)red;
        pixels[3 * p + 1] = 10;
        pixels[3 * p + 2] = 200;
    }
    const char *path = temp_dir_path(state, name);
    if (png)
        assert_int_equal(mq_png_write(path, pixels, side, side, 3, MQ_RGB, NULL), MQ_OK);
    else
        assert_int_equal(mq_jpeg_write(path, pixels, side, side, MQ_RGB, 95, NULL), MQ_OK);
}

static void folders(void **state) {
    static const char *const made[] = {"own",      "own/train",    "own/train/cat", "own/train/dog",
                                       "own/test", "own/test/cat", "own/test/dog",  "flat",
                                       "flat/a",   "flat/b"};
    char spec[600];
    mq_dataset *set;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) mkdir(temp_dir_path(state, made[i]), 0777);
    put_picture(state, "own/train/cat/1.png", 8, 100, true);
    put_picture(state, "own/train/cat/2.jpg", 16, 100, false);
    put_picture(state, "own/train/dog/1.png", 4, 250, true);
    put_picture(state, "own/test/dog/x.jpeg", 8, 250, false);
    put_picture(state, "flat/a/1.png", 8, 0, true);
    put_picture(state, "flat/b/1.png", 8, 255, true);
    snprintf(spec, sizeof spec, "folder:%s", temp_dir_path(state, "own"));
    open_set(spec, MQ_SPLIT_TRAIN, 8, 8, 3, &set);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->classes, 2);
    assert_string_equal(set->class_names[1], "dog");
    assert_int_equal(set->labels[0], 0);
    assert_int_equal(set->labels[2], 1);
    assert_int_equal(set->images[0], 100);
    assert_int_equal(set->images[2], 200);
    assert_int_equal(set->images[2 * 192], 250); /* scaled from 4 x 4 */
    mq_dataset_free(set);
    open_set(spec, MQ_SPLIT_TEST, 8, 8, 1, &set);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->labels[0], 1);
    assert_in_range(set->images[0], 95, 109); /* grey of (250, 10, 200) */
    mq_dataset_free(set);
    snprintf(spec, sizeof spec, "folder:%s", temp_dir_path(state, "flat"));
    open_set(spec, MQ_SPLIT_TEST, 0, 0, 0, &set);
    assert_int_equal(set->count, 2);
    assert_int_equal(set->height, 8);
    mq_dataset_free(set);
    refused("folder", MQ_USAGE, "expected folder:DIR");
    refused("folder:/nowhere", MQ_BAD_INPUT, "no folder /nowhere");
    /* A class that only the test split has, damage, an image outside. */
    mkdir(temp_dir_path(state, "own/test/cow"), 0777);
    put_picture(state, "own/test/cow/1.png", 8, 1, true);
    snprintf(spec, sizeof spec, "folder:%s", temp_dir_path(state, "own"));
    refused(spec, MQ_BAD_INPUT, "cow/1.png: its class is not among the 2");
    unlink(temp_dir_path(state, "own/test/cow/1.png"));
    uint8_t *bytes;
    size_t size;
    assert_int_equal(mq_file_read(temp_dir_path(state, "flat/a/1.png"), 1 << 20, &bytes, &size, NULL), MQ_OK);
    assert_int_equal(mq_file_write(temp_dir_path(state, "own/test/dog/y.png"), bytes, size / 2, NULL), MQ_OK);
    mq_free(bytes);
    refused(spec, MQ_BAD_INPUT, "dog/y.png: damaged PNG");
    unlink(temp_dir_path(state, "own/test/dog/y.png"));
    put_picture(state, "own/test/stray.png", 8, 1, true);
    refused(spec, MQ_BAD_INPUT, "stray.png: in no folder of a class");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays), cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
