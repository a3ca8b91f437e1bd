/* test_idx.c - MNIST-like files: what is read from good ones, and that every kind of damage is refused. */
#include "data/helper_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 7, H = 28, W = 26, IMAGES = 16 + COUNT * H * W, LABELS = 8 + COUNT };
static const mq_data_request whole = {0};

static void be32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

typedef struct fixture {
    char folder[64], spec[80];
    uint8_t images[IMAGES + 1], labels[LABELS + 1]; /* room for a byte too many */
} fixture;

static fixture *begin(void) {
    fixture *f = calloc(1, sizeof *f);
    make_folder(f->folder);
    snprintf(f->spec, sizeof f->spec, "mnist:%s", f->folder);
    const uint32_t header[] = {0x803, COUNT, H, W};
    for (int i = 0; i < 4; i++) be32(f->images + 4 * i, header[i]);
    for (size_t i = 0; i < COUNT * H * W; i++) f->images[16 + i] = pixel(i);
    be32(f->labels, 0x801);
    be32(f->labels + 4, COUNT);
    for (size_t i = 0; i < COUNT; i++) f->labels[8 + i] = (uint8_t)((i * 3) % 10);
    return f;
}

static void put(const fixture *f, const char *suffix, size_t images, size_t labels) {
    char name[64];
    snprintf(name, sizeof name, "train-images-idx3-ubyte%s", suffix);
    put_file(f->folder, name, f->images, images);
    snprintf(name, sizeof name, "train-labels-idx1-ubyte%s", suffix);
    put_file(f->folder, name, f->labels, labels);
}

static void end(fixture *f) {
    drop_folder(f->folder);
    free(f);
}

/* Pads to h x w around the file's image and copies grey to c channels, by the definition. */
static void check_images(const mq_dataset *set, size_t count, int h, int w, int c) {
    assert_int_equal(set->count, count);
    assert_int_equal(set->height, h);
    assert_int_equal(set->width, w);
    assert_int_equal(set->channels, c);
    int top = (h - H) / 2, left = (w - W) / 2;
    const uint8_t *p = set->images;
    for (int i = 0; i < (int)count; i++) {
        assert_int_equal(set->labels[i], i * 3 % 10);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                bool inside = y >= top && y < top + H && x >= left && x < left + W;
                int expected = inside ? pixel((size_t)((i * H + y - top) * W + x - left)) : 0;
                for (int k = 0; k < c; k++) assert_int_equal(*p++, expected);
            }
    }
}

static void test_good(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        fixture *f = begin();
        put(f, packed ? ".gz" : "", IMAGES, LABELS);
        mq_dataset *set = expect_open(f->spec, &whole);
        check_images(set, COUNT, 32, 32, 3);
        assert_string_equal(set->name, "mnist");
        assert_int_equal(set->classes, 10);
        assert_int_equal(set->split, MQ_SPLIT_TRAIN);
        assert_string_equal(set->class_names[7], "7");
        mq_dataset_free(set);

        const mq_data_request odd = {.height = 33, .width = 26, .channels = 1, .limit = 3};
        set = expect_open(f->spec, &odd);
        check_images(set, 3, 33, 26, 1);
        mq_dataset_free(set);

        const mq_data_request many = {.limit = 1000};
        set = expect_open(f->spec, &many);
        check_images(set, COUNT, 32, 32, 3);
        mq_dataset_free(set);
        end(f);
    }
}

static void test_requests(void **state) {
    (void)state;
    fixture *f = begin();
    put(f, "", IMAGES, LABELS);
    const mq_data_request low = {.height = 27}, test = {.split = MQ_SPLIT_TEST}, channels = {.channels = 5},
                          negative = {.width = -1}, wide = {.width = 1 << 20},
                          huge = {.height = 4096, .width = 4096};
    expect_failure(f->spec, &low, MQ_USAGE, "27 x 32");
    expect_failure(f->spec, &test, MQ_BAD_INPUT, "t10k-images-idx3-ubyte");
    expect_failure(f->spec, &channels, MQ_USAGE, "x 5, expected");
    expect_failure(f->spec, &negative, MQ_USAGE, "negative");
    expect_failure(f->spec, &wide, MQ_USAGE, "1048576");
    mq_dataset *set = expect_open(f->spec, &huge);
    assert_int_equal(set->width, 4096);
    mq_dataset_free(set);
    end(f);
}

/* A .gz of some hundred bytes holds so many images of one pixel that, padded, they would be gigabytes. */
static void test_tiny_images(void **state) {
    (void)state;
    enum { MANY = 1 << 20 };
    fixture *f = begin();
    uint8_t *images = calloc(16 + MANY, 1), *labels = calloc(8 + MANY, 1);
    const uint32_t header[] = {0x803, MANY, 1, 1};
    for (int i = 0; i < 4; i++) be32(images + 4 * i, header[i]);
    be32(labels, 0x801);
    be32(labels + 4, MANY);
    put_file(f->folder, "train-images-idx3-ubyte.gz", images, 16 + MANY);
    put_file(f->folder, "train-labels-idx1-ubyte.gz", labels, 8 + MANY);
    expect_failure(f->spec, &whole, MQ_BAD_INPUT, "1048576 images of 1 x 1, expected at most 65536");
    free(images);
    free(labels);
    end(f);
}

static void damaged(int packed, void (*change)(fixture *), size_t images, size_t labels, const char *words) {
    fixture *f = begin();
    if (change) change(f);
    put(f, packed ? ".gz" : "", images, labels);
    expect_failure(f->spec, &whole, MQ_BAD_INPUT, words);
    const mq_data_request one = {.limit = 1}; /* a limit hides nothing */
    expect_failure(f->spec, &one, MQ_BAD_INPUT, words);
    end(f);
}

static void bad_image_magic(fixture *f) {
    be32(f->images, 0x802);
}
static void bad_label_magic(fixture *f) {
    be32(f->labels, 0x803);
}
static void bad_last_label(fixture *f) {
    f->labels[8 + COUNT - 1] = 10;
}
static void no_images(fixture *f) {
    be32(f->images + 4, 0);
}
static void no_width(fixture *f) {
    be32(f->images + 12, 0);
}
static void wide_image(fixture *f) {
    be32(f->images + 12, 0xffffffffu);
}
static void all_large(fixture *f) {
    be32(f->images + 4, 1u << 26);
    be32(f->images + 8, 4096);
    be32(f->images + 12, 4096);
}
static void fewer_labels(fixture *f) {
    be32(f->labels + 4, COUNT - 1);
}

static void test_damage(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        damaged(packed, bad_image_magic, IMAGES, LABELS, "got magic 0x00000802, expected 0x00000803");
        damaged(packed, bad_label_magic, IMAGES, LABELS, "got magic 0x00000803, expected 0x00000801");
        damaged(packed, bad_last_label, IMAGES, LABELS, "label of sample 6: got 10, expected 0..9");
        damaged(packed, no_images, IMAGES, LABELS, "count: got 0");
        damaged(packed, no_width, IMAGES, LABELS, "width: got 0");
        damaged(packed, wide_image, IMAGES, LABELS, "width: got 4294967295");
        damaged(packed, all_large, IMAGES, LABELS, "truncated");
        damaged(packed, fewer_labels, IMAGES, LABELS - 1, "got 6 labels, expected 7");
        damaged(packed, NULL, IMAGES - 1, LABELS, "truncated: got 5111 bytes, expected 5112");
        damaged(packed, NULL, IMAGES, LABELS - 1, "truncated: got 14 bytes, expected 15");
        damaged(packed, NULL, IMAGES + 1, LABELS, "bytes after the end");
        damaged(packed, NULL, IMAGES, LABELS + 1, "bytes after the end");
        damaged(packed, NULL, 3, LABELS, "truncated");
        damaged(packed, NULL, 0, LABELS, "truncated");
        damaged(packed, NULL, IMAGES, 0, "truncated");
    }
}

/* Cut a .gz file anywhere, or change any of its bytes: refused, or (in the unused header bytes) read
 * unchanged. */
static void test_damaged_gzip(void **state) {
    (void)state;
    fixture *f = begin();
    put(f, ".gz", IMAGES, LABELS);
    const char *name = "train-labels-idx1-ubyte.gz";
    uint8_t good[256], bad[256];
    size_t size = get_file(f->folder, name, good, sizeof good);
    for (size_t cut = 0; cut < size; cut++) {
        put_plain(f->folder, name, good, cut);
        expect_failure(f->spec, &whole, MQ_BAD_INPUT, name);
    }
    for (size_t at = 0; at < size; at++) {
        memcpy(bad, good, size);
        bad[at] ^= 0x55;
        put_plain(f->folder, name, bad, size);
        mq_dataset *set = NULL;
        mq_error error = {0};
        mq_status status = mq_dataset_open(f->spec, &whole, &set, &error);
        if (status == MQ_OK) {
            assert_in_range(at, 4, 9); /* time stamp, compression level, system */
            check_images(set, COUNT, 32, 32, 3);
        } else {
            assert_int_equal(status, MQ_BAD_INPUT);
        }
        mq_dataset_free(set);
    }
    memcpy(bad, good, size);
    memcpy(bad + size, "tail", 4);
    put_plain(f->folder, name, bad, size + 4);
    expect_failure(f->spec, &whole, MQ_BAD_INPUT, "damaged");
    end(f);
}

/* gzip allows several compressed members in one file. */
static void test_two_members(void **state) {
    (void)state;
    fixture *f = begin();
    put(f, ".gz", IMAGES, LABELS);
    uint8_t both[512];
    put_file(f->folder, "part.gz", f->labels, 9);
    size_t size = get_file(f->folder, "part.gz", both, 256);
    put_file(f->folder, "part.gz", f->labels + 9, LABELS - 9);
    size += get_file(f->folder, "part.gz", both + size, 256);
    put_plain(f->folder, "train-labels-idx1-ubyte.gz", both, size);
    mq_dataset *set = expect_open(f->spec, &whole);
    check_images(set, COUNT, 32, 32, 3);
    mq_dataset_free(set);
    end(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_requests),
        cmocka_unit_test(test_tiny_images),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_damaged_gzip), cmocka_unit_test(test_two_members),
    };
    return cmocka_run_group_tests_name("idx", tests, NULL, NULL);
}
