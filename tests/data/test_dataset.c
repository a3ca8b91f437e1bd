/* test_dataset.c - asking for a data set by its words, CIFAR-10's files, the installed Fashion-MNIST,
 * descriptions. */
#include "data/helper_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { RECORD = 3073, PER_FILE = 3 };
static const mq_data_request whole = {0}, test_split = {.split = MQ_SPLIT_TEST};

static void test_words(void **state) {
    (void)state;
    expect_failure("fashon-mnist", &whole, MQ_USAGE, "did you mean fashion-mnist?");
    expect_failure("cifar:x", &whole, MQ_USAGE, "cifar10:DIR");
    expect_failure("zzzzzzzzzzzzzzzzzzzz", &whole, MQ_USAGE, "mnist:DIR, cifar10:DIR");
    expect_failure("", &whole, MQ_USAGE, "unknown data set");
    expect_failure(":", &whole, MQ_USAGE, "unknown data set");
    expect_failure("cifar10", &whole, MQ_USAGE, "cifar10:DIR");
    expect_failure("mnist", &whole, MQ_USAGE, "mnist:DIR");
    expect_failure("fashion-mnist:", &whole, MQ_USAGE, "fashion-mnist[:DIR]");
    expect_failure("fashion-mnist:/no/such/folder", &whole, MQ_BAD_INPUT, "/no/such/folder");
    expect_failure("cifar10:/no/such/folder", &whole, MQ_BAD_INPUT, "/no/such/folder");
    char *word = malloc(10000);
    memset(word, 'x', 9999);
    word[9999] = 0;
    expect_failure(word, &whole, MQ_USAGE, "unknown data set");
    memcpy(word, "cifar10:", 8);
    expect_failure(word, &whole, MQ_BAD_INPUT, "path too long");
    memcpy(word, "mnist:xx", 8);
    expect_failure(word, &whole, MQ_BAD_INPUT, "path too long");
    free(word);
}

/* Byte b of record r in file f; the label comes first. */
static uint8_t cifar_byte(size_t file, size_t record, size_t b) {
    size_t r = file * PER_FILE + record;
    return b == 0 ? (uint8_t)(r % 10) : pixel(r * RECORD + b);
}

static void put_cifar(const char *folder, const char *name, size_t file, size_t size) {
    uint8_t *bytes = calloc(1, (PER_FILE + 1) * RECORD);
    for (size_t i = 0; i < PER_FILE * RECORD; i++) bytes[i] = cifar_byte(file, i / RECORD, i % RECORD);
    put_file(folder, name, bytes, size);
    free(bytes);
}

static void put_all_cifar(const char *folder) {
    char name[32];
    for (size_t f = 0; f < 5; f++) {
        snprintf(name, sizeof name, "data_batch_%zu.bin", f + 1);
        put_cifar(folder, name, f, PER_FILE * RECORD);
    }
    put_cifar(folder, "test_batch.bin", 5, PER_FILE * RECORD);
}

static void check_cifar(const mq_dataset *set, size_t first_file, size_t count, int side) {
    assert_int_equal(set->count, count);
    assert_int_equal(set->height, side);
    int edge = (side - 32) / 2;
    const uint8_t *p = set->images;
    for (size_t i = 0; i < count; i++) {
        size_t file = first_file + i / PER_FILE, record = i % PER_FILE;
        assert_int_equal(set->labels[i], cifar_byte(file, record, 0));
        for (int y = -edge; y < side - edge; y++)
            for (int x = -edge; x < side - edge; x++)
                for (int c = 0; c < 3; c++) {
                    bool inside = y >= 0 && y < 32 && x >= 0 && x < 32;
                    int expected = inside ? cifar_byte(file, record, (size_t)(1 + c * 1024 + y * 32 + x)) : 0;
                    assert_int_equal(*p++, expected);
                }
    }
}

static void test_cifar(void **state) {
    (void)state;
    char folder[64], spec[80];
    make_folder(folder);
    snprintf(spec, sizeof spec, "cifar10:%s", folder);
    put_all_cifar(folder);
    mq_dataset *set = expect_open(spec, &whole);
    check_cifar(set, 0, 5 * PER_FILE, 32);
    assert_string_equal(set->name, "cifar10");
    assert_int_equal(set->channels, 3);
    assert_null(set->class_names);
    mq_dataset_free(set);
    set = expect_open(spec, &test_split);
    check_cifar(set, 5, PER_FILE, 32);
    assert_int_equal(set->split, MQ_SPLIT_TEST);
    mq_dataset_free(set);
    const mq_data_request some = {.limit = PER_FILE + 1, .height = 36, .width = 36};
    set = expect_open(spec, &some);
    check_cifar(set, 0, PER_FILE + 1, 36);
    mq_dataset_free(set);

    const char *names = "airplane\nautomobile\r\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    put_file(folder, "batches.meta.txt", (const uint8_t *)names, strlen(names));
    set = expect_open(spec, &test_split);
    assert_string_equal(set->class_names[1], "automobile");
    assert_string_equal(set->class_names[9], "truck");
    mq_dataset_free(set);
    drop_folder(folder);
}

static void test_bad_cifar(void **state) {
    (void)state;
    char folder[64], spec[80];
    make_folder(folder);
    snprintf(spec, sizeof spec, "cifar10:%s", folder);
    put_all_cifar(folder);
    const mq_data_request one = {.limit = 1}, grey = {.channels = 1}, small = {.height = 31};
    expect_failure(spec, &grey, MQ_USAGE, "wanted 1 channels");
    expect_failure(spec, &small, MQ_USAGE, "31 x 32");

    put_cifar(folder, "data_batch_4.bin", 3, PER_FILE * RECORD - 1);
    expect_failure(spec, &one, MQ_BAD_INPUT, "data_batch_4.bin: got 9218 bytes");
    put_cifar(folder, "data_batch_4.bin", 3, PER_FILE * RECORD + 1);
    expect_failure(spec, &one, MQ_BAD_INPUT, "data_batch_4.bin: got 9220 bytes");
    put_cifar(folder, "data_batch_4.bin", 3, 0);
    expect_failure(spec, &one, MQ_BAD_INPUT, "data_batch_4.bin: got 0 bytes");
    uint8_t record[RECORD] = {10};
    put_file(folder, "data_batch_4.bin", record, RECORD);
    expect_failure(spec, &one, MQ_BAD_INPUT, "label of record 0: got 10");

    put_file(folder, "batches.meta.txt", (const uint8_t *)"a\nb\n", 4);
    expect_failure(spec, &test_split, MQ_BAD_INPUT, "got 2 class names");
    char names[200];
    memset(names, 'n', sizeof names);
    put_file(folder, "batches.meta.txt", (const uint8_t *)names, sizeof names);
    expect_failure(spec, &test_split, MQ_BAD_INPUT, "got 200 characters");
    drop_folder(folder);
}

static void test_fashion_mnist(void **state) {
    (void)state;
    if (!mq_path_is_dir("/usr/share/datasets/fashion-mnist")) {
        expect_failure("fashion-mnist", &whole, MQ_BAD_INPUT, "dataset-fashion-mnist");
        print_message("dataset-fashion-mnist is not installed: skipped\n");
        skip();
    }
    for (int split = 0; split < 2; split++) {
        const mq_data_request request = {.split = (mq_split)split};
        mq_dataset *set = expect_open("fashion-mnist", &request);
        mq_dataset_info info;
        mq_error error;
        assert_int_equal(mq_dataset_describe(set, &info, &error), MQ_OK);
        size_t count = split ? 10000 : 60000;
        assert_int_equal(info.count, count);
        for (int c = 0; c < 10; c++) assert_int_equal(info.class_counts[c], count / 10);
        /* the published statistics, 0.2860 and 0.3530 of 255, are over the 28 x 28 training images */
        if (split == 0) {
            double inside = 28.0 * 28 / (32 * 32), mean = info.mean[0] / inside;
            double square = (info.deviation[0] * info.deviation[0] + info.mean[0] * info.mean[0]) / inside;
            assert_true(fabs(mean / 255 - 0.2860) < 1e-4);
            assert_true(fabs(sqrt(square - mean * mean) / 255 - 0.3530) < 1e-4);
            assert_int_equal(set->labels[0], 9);
            assert_string_equal(set->class_names[9], "Ankle boot");
        }
        assert_true(info.mean[1] == info.mean[0] && info.mean[2] == info.mean[0]);
        mq_dataset_info_clear(&info);
        mq_dataset_free(set);
    }
}

static void test_describe(void **state) {
    (void)state;
    mq_error error;
    mq_dataset *set = make_set(5, 3, 4, 2, 3);
    mq_dataset_info info;
    assert_int_equal(mq_dataset_describe(set, &info, &error), MQ_OK);
    assert_int_equal(info.count, 5);
    assert_int_equal(info.class_counts[0], 2);
    assert_int_equal(info.class_counts[1], 2);
    assert_int_equal(info.class_counts[2], 1);
    for (size_t c = 0; c < 2; c++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < 60; i++) mean += set->images[2 * i + c] / 60.0;
        for (size_t i = 0; i < 60; i++) variance += pow(set->images[2 * i + c] - mean, 2) / 60.0;
        assert_true(fabs(info.mean[c] - mean) < 1e-9);
        assert_true(fabs(info.deviation[c] - sqrt(variance)) < 1e-9);
    }
    char digest[MQ_DIGEST_TEXT];
    mq_sha256(set->images, 120, digest);
    assert_string_equal(info.images_sha256, digest);
    mq_dataset_info_clear(&info);
    assert_null(info.class_counts);

    memset(set->images, 77, 120); /* a constant has no deviation at all */
    assert_int_equal(mq_dataset_describe(set, &info, &error), MQ_OK);
    assert_true(info.mean[1] == 77 && info.deviation[1] == 0);
    assert_string_not_equal(info.images_sha256, digest);
    mq_dataset_info_clear(&info);
    mq_dataset_free(set);
}

static void test_create(void **state) {
    (void)state;
    mq_dataset *set;
    mq_error error;
    assert_int_equal(mq_dataset_create("x", 0, 1, 1, 1, 1, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", 1, 0, 1, 1, 1, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", 1, 1, MQ_DATA_SIDE + 1, 1, 1, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", 1, 1, 1, MQ_DATA_CHANNELS + 1, 1, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", 1, 1, 1, 1, 0, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", (size_t)MQ_DATA_SAMPLES + 1, 1, 1, 1, 1, &set, &error), MQ_USAGE);
    assert_int_equal(mq_dataset_create("x", MQ_DATA_SAMPLES, 4096, 4096, 4, 1, &set, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "limit the samples"));
    assert_null(set);
    mq_dataset_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),     cmocka_unit_test(test_cifar),
        cmocka_unit_test(test_bad_cifar), cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_describe),  cmocka_unit_test(test_create),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
