/* test_own_data.c - folders of images per class and arrays of .npy: what is read, how it is divided, what is
 * refused. */
#include "data/helper_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "data/export.h"
#include "io/jpeg.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/png.h"

static const mq_data_request small = {.height = 4, .width = 4, .channels = 3},
                             small_test = {.split = MQ_SPLIT_TEST, .height = 4, .width = 4, .channels = 3};

/* One colour, height x width. */
static void put_image(void **state, const char *name, int red, int green, int blue, int height, int width) {
    mq_error error = {0};
    char folder[512];
    uint8_t *pixels = malloc((size_t)(height * width * 3));
    for (int i = 0; i < height * width; i++) {
        pixels[3 * i] = (uint8_t)red;
        pixels[3 * i + 1] = (uint8_t)green;
        pixels[3 * i + 2] = (uint8_t)blue;
    }
    snprintf(folder, sizeof folder, "%s", temp_dir_path(state, name));
    *strrchr(folder, '/') = 0;
    assert_int_equal(mq_make_dirs(folder, &error), MQ_OK);
    const char *path = temp_dir_path(state, name);
    mq_status status = strstr(name, ".png") ? mq_png_write(path, pixels, height, width, 3, MQ_RGB, &error)
                                            : mq_jpeg_write(path, pixels, height, width, MQ_RGB, 95, &error);
    if (status != MQ_OK) fail_msg("%s", error.text);
    free(pixels);
}

static const char *spec(void **state, const char *folder) {
    static char text[600];
    snprintf(text, sizeof text, "folder:%s", temp_dir_path(state, folder));
    return text;
}

static void own_splits(void **state) {
    put_image(state, "d/train/cat/1.png", 10, 20, 30, 4, 4);
    put_image(state, "d/train/cat/2.PNG.png", 11, 20, 30, 8, 6);
    put_image(state, "d/train/cat/10.png", 12, 20, 30, 4, 4);
    put_image(state, "d/train/ape/a.jpg", 200, 200, 200, 4, 4);
    put_image(state, "d/train/ape/deep/b.jpeg", 100, 100, 100, 4, 4);
    put_image(state, "d/test/cat/x.png", 50, 60, 70, 4, 4);
    mq_dataset *set = expect_open(spec(state, "d"), &small);
    assert_int_equal(set->count, 5);
    assert_int_equal(set->classes, 2);
    assert_string_equal(set->class_names[0], "ape");
    assert_string_equal(set->class_names[1], "cat");
    assert_int_equal(set->order, MQ_RGB);
    const int labels[] = {0, 1, 0, 1, 1}, red[] = {200, 10, 100, 11, 12}; /* by turns, natural order */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(set->labels[i], labels[i]);
        assert_in_range(set->images[48 * i], red[i] - 1, red[i] + 1);
        assert_in_range(set->images[48 * i + 47], labels[i] ? 30 : red[i] - 1, labels[i] ? 30 : red[i] + 1);
    }
    mq_dataset_free(set);
    set = expect_open(spec(state, "d"), &small_test); /* cat is class 1 here too */
    assert_int_equal(set->count, 1);
    assert_int_equal(set->classes, 2);
    assert_int_equal(set->labels[0], 1);
    assert_int_equal(set->images[2], 70);
    mq_dataset_free(set);
    put_image(state, "d/test/dog/x.png", 1, 1, 1, 4, 4);
    expect_failure(spec(state, "d"), &small_test, MQ_BAD_INPUT, "class dog is not among the training images");
}

/* A tenth of each class; both parts together are everything, and another opening gives the same. */
static void divided(void **state) {
    int seen[2][23] = {{0}};
    char name[64];
    for (int i = 0; i < 23; i++) {
        snprintf(name, sizeof name, "d/b/%d.png", i);
        put_image(state, name, i, 1, 0, 4, 4);
        if (i >= 3) continue;
        snprintf(name, sizeof name, "d/a/%d.png", i);
        put_image(state, name, i, 0, 0, 4, 4);
    }
    for (int again = 0; again < 2; again++)
        for (int test = 0; test < 2; test++) {
            mq_dataset *set = expect_open(spec(state, "d"), test ? &small_test : &small);
            assert_int_equal(set->count, test ? 1 + 2 : 2 + 21);
            for (size_t i = 0; i < set->count; i++) {
                assert_int_equal(set->labels[i], set->images[48 * i + 1]);
                seen[set->labels[i]][set->images[48 * i]] += test ? 100 : 1;
            }
            assert_int_equal(set->labels[0], 0);
            assert_int_equal(set->labels[1], 1);
            mq_dataset_free(set);
        }
    for (int i = 0; i < 23; i++) {
        assert_true(seen[1][i] == 2 || seen[1][i] == 200);
        if (i < 3) assert_true(seen[0][i] == 2 || seen[0][i] == 200);
    }
    mq_data_request few = small;
    few.limit = 4;
    mq_dataset *set = expect_open(spec(state, "d"), &few);
    assert_int_equal(set->count, 4);
    mq_dataset_free(set);
}

static void grey_and_sizes(void **state) {
    put_image(state, "d/a/1.png", 255, 0, 0, 2, 3);
    put_image(state, "d/a/2.png", 255, 0, 0, 9, 9);
    mq_data_request grey = {.height = 5, .width = 6, .channels = 1}, two = {.channels = 2};
    mq_dataset *set = expect_open(spec(state, "d"), &grey);
    assert_int_equal(set->channels, 1);
    for (int i = 0; i < 30; i++) assert_int_equal(set->images[i], 76); /* 0.299 * 255 */
    mq_dataset_free(set);
    set = expect_open(spec(state, "d"), &(mq_data_request){0});
    assert_int_equal(set->height * 100 + set->channels, 3203);
    mq_dataset_free(set);
    expect_failure(spec(state, "d"), &two, MQ_USAGE, "wanted 2 channels");
}

static void damaged(void **state) {
    put_image(state, "d/train/a/1.png", 9, 9, 9, 4, 4);
    put_image(state, "d/train/a/2.png", 9, 9, 9, 4, 4);
    put_image(state, "d/train/b/1.jpg", 9, 9, 9, 4, 4);
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temp_dir_path(state, "d/train/a"));
    put_plain(folder, "0.png", (const uint8_t *)"\x89PNG broken", 11);
    put_plain(folder, "3.jpg", (const uint8_t *)"", 0);
    put_image(state, "d/test/a/1.png", 9, 9, 9, 4, 4);
    mq_dataset *set = expect_open(spec(state, "d"), &small);
    assert_int_equal(set->count, 3);
    for (int i = 0; i < 48 * 3; i++) assert_in_range(set->images[i], 8, 10);
    mq_dataset_free(set);
    mq_data_request strict = small;
    strict.strict = true;
    expect_failure(spec(state, "d"), &strict, MQ_BAD_INPUT, "a/0.png: ");
    put_image(state, "d/train/stray.png", 9, 9, 9, 4, 4);
    expect_failure(spec(state, "d"), &small, MQ_BAD_INPUT,
                   "stray.png: an image outside the folders of the classes");
    expect_failure(spec(state, "nothing"), &small, MQ_BAD_INPUT, "no such folder");
    expect_failure("folder", &small, MQ_USAGE, "folder:DIR");
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "empty/a"), NULL), MQ_OK);
    expect_failure(spec(state, "empty"), &small, MQ_BAD_INPUT, "no images");
    put_image(state, "only/test/a/1.png", 9, 9, 9, 4, 4);
    expect_failure(spec(state, "only"), &small, MQ_BAD_INPUT, "no folder train");
    put_image(state, "one/a/1.png", 9, 9, 9, 4, 4);
    expect_failure(spec(state, "one"), &small_test, MQ_BAD_INPUT, "no class has two images");
}

/* ---- arrays ---- */

static const char *arrays(void **state, const char *names) {
    static char text[2000];
    char copy[200], *save;
    snprintf(copy, sizeof copy, "%s", names);
    strcpy(text, "npy:");
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
        sprintf(text + strlen(text), "%s%s", text[4] ? "," : "", temp_dir_path(state, word));
    return text;
}

static void put_array(void **state, const char *name, mq_dtype dtype, mq_shape shape, void *data) {
    mq_error error = {0};
    mq_tensor t = {.dtype = dtype, .shape = shape, .data = data};
    if (mq_npy_save(temp_dir_path(state, name), &t, &error) != MQ_OK) fail_msg("%s", error.text);
}

static void layouts(void **state) {
    enum { N = 20, AREA = 3 * 5 };
    uint8_t first[N][3][AREA], last[N][AREA][3], grey[N][AREA];
    float real[N][3][AREA];
    int64_t label[N];
    for (int n = 0; n < N; n++) {
        label[n] = n % 7;
        for (int p = 0; p < AREA; p++)
            for (int c = 0; c < 3; c++) {
                first[n][c][p] = last[n][p][c] = (uint8_t)(n * 12 + p + 60 * c);
                real[n][c][p] = first[n][c][p];
                if (c == 0) grey[n][p] = first[n][c][p];
            }
    }
    put_array(state, "nchw.npy", MQ_U8, mq_shape4(N, 3, 3, 5), first);
    put_array(state, "real.npy", MQ_F32, mq_shape4(N, 3, 3, 5), real);
    put_array(state, "grey.npy", MQ_U8, (mq_shape){.rank = 3, .dim = {N, 3, 5}}, grey);
    put_array(state, "y.npy", MQ_I64, mq_shape1(N), label);
    put_array(state, "y2.npy", MQ_I64, mq_shape2(N, 1), label);
    const mq_data_request fit = {.height = 3, .width = 5, .channels = 3},
                          test = {.split = MQ_SPLIT_TEST, .height = 3, .width = 5, .channels = 3};
    static const char *const names[] = {"nchw.npy,y.npy", "real.npy,y2.npy", "grey.npy,y.npy"};
    uint8_t seen[N] = {0};
    for (int k = 0; k < 3; k++)
        for (int t = 0; t < 2; t++) {
            mq_dataset *set = expect_open(arrays(state, names[k]), t ? &test : &fit);
            assert_int_equal(set->count, t ? 2 : 18);
            assert_int_equal(set->classes, 7);
            for (size_t i = 0; i < set->count; i++) {
                const uint8_t *at = set->images + i * 3 * AREA;
                int n = at[0] / 12;
                seen[n]++;
                assert_int_equal(set->labels[i], n % 7);
                for (int p = 0; p < AREA; p++)
                    for (int c = 0; c < 3; c++) assert_int_equal(at[3 * p + c], last[n][p][k == 2 ? 0 : c]);
            }
            mq_dataset_free(set);
        }
    for (int n = 0; n < N; n++) assert_int_equal(seen[n], 3);

    /* channels last is seen where only that can be meant: rows 6 > 4 >= channels */
    uint8_t wide[4][6][5][3];
    for (int i = 0; i < 360; i++) ((uint8_t *)wide)[i] = (uint8_t)(i % 251);
    put_array(state, "nhwc.npy", MQ_U8, mq_shape4(4, 6, 5, 3), wide);
    put_array(state, "y4.npy", MQ_I64, mq_shape1(4), label);
    const mq_data_request same = {.height = 6, .width = 5, .channels = 3};
    mq_dataset *set = expect_open(arrays(state, "nhwc.npy,y4.npy,nhwc.npy,y4.npy"), &same);
    assert_int_equal(set->count, 4);
    assert_memory_equal(set->images, wide, sizeof wide);
    mq_dataset_free(set);
}

static void bad_arrays(void **state) {
    float scaled[2][1][2][2] = {{{{0, 0.5f}, {1, 1}}}};
    uint8_t bytes[8] = {0}, five[16] = {0};
    int64_t label[3] = {0, 1, -1};
    const mq_data_request fit = {.height = 2, .width = 2, .channels = 1};
    put_array(state, "x.npy", MQ_U8, mq_shape4(2, 1, 2, 2), bytes);
    put_array(state, "scaled.npy", MQ_F32, mq_shape4(2, 1, 2, 2), scaled);
    put_array(state, "flat.npy", MQ_U8, mq_shape2(2, 4), bytes);
    put_array(state, "deep.npy", MQ_U8, mq_shape4(1, 8, 1, 1), five);
    put_array(state, "y.npy", MQ_I64, mq_shape1(2), label);
    put_array(state, "y3.npy", MQ_I64, mq_shape1(3), label);
    put_array(state, "below.npy", MQ_I64, mq_shape1(2), label + 1);
    mq_dataset_free(expect_open(arrays(state, "x.npy,y.npy"), &fit));
    expect_failure(arrays(state, "scaled.npy,y.npy"), &fit, MQ_BAD_INPUT,
                   "got 0.5, expected a whole number from 0 to 255 (bytes");
    expect_failure(arrays(state, "flat.npy,y.npy"), &fit, MQ_BAD_INPUT,
                   "2 dimensions, expected [N][C][H][W]");
    expect_failure(arrays(state, "x.npy,y3.npy"), &fit, MQ_BAD_INPUT,
                   "got 3 labels of 1 dimensions, expected [2]");
    expect_failure(arrays(state, "x.npy,below.npy"), &fit, MQ_BAD_INPUT, "element 1: got -1");
    expect_failure(arrays(state, "x.npy"), &fit, MQ_USAGE, "expected X.npy,Y.npy");
    expect_failure(arrays(state, "x.npy,y.npy,x.npy"), &fit, MQ_USAGE, "expected X.npy,Y.npy");
    expect_failure(arrays(state, "x.npy,none.npy"), &fit, MQ_BAD_INPUT, "none.npy");
    expect_failure("npy", &fit, MQ_USAGE, "npy:X.npy,Y.npy");
    const mq_data_request less = {.height = 1, .width = 2, .channels = 1};
    expect_failure(arrays(state, "x.npy,y.npy"), &less, MQ_USAGE, "padding only");
}

static mq_tensor view(mq_dtype dtype, mq_shape shape, void *data) {
    return (mq_tensor){.dtype = dtype, .shape = shape, .data = data};
}

static void put_archive(void **state, const char *name, const mq_npz_array *arrays, size_t count) {
    mq_error error = {0};
    if (mq_npz_save(temp_dir_path(state, name), arrays, count, true, &error) != MQ_OK)
        fail_msg("%s", error.text);
}

static void archives(void **state) {
    uint8_t bytes[20][1][2][2];
    int32_t label[20];
    for (int n = 0; n < 20; n++) {
        memset(bytes[n], n, 4);
        label[n] = n % 5;
    }
    mq_tensor x = view(MQ_U8, mq_shape4(20, 1, 2, 2), bytes), y = view(MQ_I32, mq_shape1(20), label),
              x2 = view(MQ_U8, mq_shape4(3, 1, 2, 2), bytes[5]), y2 = view(MQ_I32, mq_shape1(3), label + 5);
    const mq_npz_array pair[] = {{"y", &y}, {"other", &y}, {"x", &x}},
                       plain[] = {{"arr_0", &x}, {"arr_1", &y}},
                       split[] = {{"x_train", &x}, {"y_train", &y}, {"x_test", &x2}, {"y_test", &y2}},
                       second[] = {{"images", &x2}, {"labels", &y2}}, none[] = {{"a", &x}, {"b", &y}},
                       half[] = {{"x", &x}, {"b", &y}}, wrong[] = {{"x", &x}, {"y", &y2}};
    put_archive(state, "pair.npz", pair, 3);
    put_archive(state, "plain.npz", plain, 2);
    put_archive(state, "split.npz", split, 4);
    put_archive(state, "second.npz", second, 2);
    put_archive(state, "none.npz", none, 2);
    put_archive(state, "half.npz", half, 2);
    put_archive(state, "wrong.npz", wrong, 2);
    const mq_data_request fit = {.height = 2, .width = 2, .channels = 1},
                          test = {.split = MQ_SPLIT_TEST, .height = 2, .width = 2, .channels = 1};
    static const struct {
        const char *names;
        size_t train, test;
    } CASES[] = {
        {"pair.npz", 18, 2}, {"plain.npz", 18, 2}, {"split.npz", 20, 3}, {"pair.npz,second.npz", 20, 3}};
    for (size_t i = 0; i < 8; i++) {
        mq_dataset *set = expect_open(arrays(state, CASES[i / 2].names), i % 2 ? &test : &fit);
        assert_int_equal(set->count, i % 2 ? CASES[i / 2].test : CASES[i / 2].train);
        assert_int_equal(set->classes, 5);
        for (size_t n = 0; n < set->count; n++) assert_int_equal(set->labels[n], set->images[4 * n] % 5);
        mq_dataset_free(set);
    }
    expect_failure(arrays(state, "none.npz"), &fit, MQ_BAD_INPUT, "none.npz: arrays a, b: x and y, x_train");
    expect_failure(arrays(state, "half.npz"), &fit, MQ_BAD_INPUT, "half.npz: no array y: it has x, b");
    expect_failure(arrays(state, "wrong.npz"), &fit, MQ_BAD_INPUT,
                   "wrong.npz: array y: got 3 labels of 1 dimensions, expected [20]");
    expect_failure(arrays(state, "pair.npz,y.npy"), &fit, MQ_USAGE, "F.npz or TRAIN.npz,TEST.npz");
    expect_failure(arrays(state, "pair.npz,pair.npz,pair.npz"), &fit, MQ_USAGE,
                   "F.npz or TRAIN.npz,TEST.npz");
    expect_failure(arrays(state, "absent.npz"), &fit, MQ_BAD_INPUT, "absent.npz");

    /* and back: what the set holds as arrays */
    mq_dataset *set = expect_open(arrays(state, "split.npz"), &fit);
    mq_tensor xs, ys;
    assert_int_equal(mq_dataset_arrays(set, &xs, &ys, NULL), MQ_OK);
    assert_memory_equal(xs.data, bytes, sizeof bytes);
    assert_memory_equal(ys.data, label, sizeof label);
    mq_tensor_free(&xs);
    mq_tensor_free(&ys);
    mq_dataset_free(set);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

int main(void) {
    const struct CMUnitTest tests[] = {IN_FOLDER(own_splits), IN_FOLDER(divided), IN_FOLDER(grey_and_sizes),
                                       IN_FOLDER(damaged),    IN_FOLDER(layouts), IN_FOLDER(bad_arrays),
                                       IN_FOLDER(archives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
