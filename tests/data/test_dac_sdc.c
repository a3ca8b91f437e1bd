/* test_dac_sdc.c - folders of JPEG and XML: splits, weights, faulty files, and what was exported read again.
 */
#include "data/helper_data.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/log.h"
#include "data/export.h"
#include "data/loader.h"
#include "data/voc.h"
#include "io/jpeg.h"

static const mq_data_request whole = {0}, test_split = {.split = MQ_SPLIT_TEST}, strict = {.strict = true};
static char folder[64];
static char heard[MQ_ERROR_TEXT];
static int warnings;

static void hear(void *context, mq_log_level level, const char *text) {
    (void)context;
    if (level != MQ_LOG_WARN) return;
    warnings++;
    snprintf(heard, sizeof heard, "%s", text);
}

static int drop_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static int begin(void **state) {
    (void)state;
    static const mq_log_sink sink = {.line = hear};
    make_folder(folder);
    mq_log_set(&sink);
    warnings = 0;
    heard[0] = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    mq_log_set(NULL);
    return nftw(folder, drop_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *spec(const char *below) {
    static char text[256];
    snprintf(text, sizeof text, "dac-sdc:%s%s", folder, below);
    return text;
}

static void path_of(const char *name, char out[MQ_PATH]) {
    mq_error error;
    snprintf(out, MQ_PATH, "%s/%s", folder, name);
    char *slash = strrchr(out, '/');
    *slash = 0;
    assert_int_equal(mq_make_dirs(out, &error), MQ_OK);
    *slash = '/';
}

/* An image of 64 x 32 of one colour. */
static void put_image(const char *name, int blue, int green, int red) {
    uint8_t pixels[3 * 32 * 64];
    char path[MQ_PATH];
    mq_error error;
    for (int i = 0; i < 32 * 64; i++) {
        pixels[3 * i] = (uint8_t)blue;
        pixels[3 * i + 1] = (uint8_t)green;
        pixels[3 * i + 2] = (uint8_t)red;
    }
    path_of(name, path);
    assert_int_equal(mq_jpeg_write(path, pixels, 32, 64, MQ_BGR, 95, &error), MQ_OK);
}

static void put_text(const char *name, const char *text) {
    char path[MQ_PATH];
    path_of(name, path);
    put_plain(folder, name, (const uint8_t *)text, strlen(text));
}

static void put_box(const char *name, const char *class, double xmin, double ymin, double xmax, double ymax) {
    char path[MQ_PATH];
    mq_error error;
    mq_voc voc = {.width = 64, .height = 32, .xmin = xmin, .ymin = ymin, .xmax = xmax, .ymax = ymax};
    snprintf(voc.name, sizeof voc.name, "%s", class);
    path_of(name, path);
    assert_int_equal(mq_voc_write(path, "x.jpg", &voc, &error), MQ_OK);
}

static void put_pair(const char *stem, const char *class) {
    char name[256];
    snprintf(name, sizeof name, "%s.jpg", stem);
    put_image(name, 10, 20, 30);
    snprintf(name, sizeof name, "%s.xml", stem);
    put_box(name, class, 16, 8, 48, 24);
}

static void expect_names(const mq_dataset *set, const char *const *names) {
    char name[MQ_DATA_SAMPLE_NAME];
    size_t i = 0;
    for (; names[i]; i++) {
        assert_true(i < set->count);
        mq_dataset_sample_name(set, i, name);
        assert_string_equal(name, names[i]);
    }
    assert_int_equal(set->count, i);
}

static void test_folders(void **state) {
    (void)state;
    put_pair("train/car2/000010", "car");
    put_pair("train/car2/000002", "car");
    put_pair("train/car10/1", "car");
    put_pair("train/boat/b\xc3\xa4r 7", "boat");
    put_pair("train/0", "boat");
    put_pair("train/.hidden/1", "boat");
    put_text("train/readme.txt", "no image");
    put_pair("test/3", "0");
    put_pair("val/4", "boat");
    static const char *const names[] = {"0",           "boat/b\xc3\xa4r 7", "car2/000002",
                                        "car2/000010", "car10/1",           NULL};
    mq_dataset *set = expect_open(spec(""), &whole);
    expect_names(set, names);
    assert_int_equal(set->classes, 2);
    assert_string_equal(set->class_names[0], "boat");
    assert_string_equal(set->class_names[1], "car");
    assert_int_equal(set->targets[1].object_class, 0);
    assert_int_equal(set->targets[4].object_class, 1);
    assert_true(set->height == 160 && set->width == 320 && set->order == MQ_BGR);
    mq_dataset_free(set);
    static const char *const tests[] = {"3", NULL};
    set = expect_open(spec(""), &test_split);
    expect_names(set, tests);
    mq_dataset_free(set);
    const mq_data_request few = {.limit = 2};
    set = expect_open(spec(""), &few);
    assert_int_equal(set->count, 2);
    mq_dataset_free(set);
    assert_int_equal(warnings, 0);
}

static void test_val(void **state) {
    (void)state;
    put_pair("train/1", "a");
    put_pair("val/2", "a");
    static const char *const names[] = {"2", NULL};
    mq_dataset *set = expect_open(spec(""), &test_split);
    expect_names(set, names);
    mq_dataset_free(set);
}

/* A tenth of one folder, the same every time, and no image in both. */
static void test_divided(void **state) {
    (void)state;
    enum { N = 41 };
    char name[64];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%s/%03d", i % 2 ? "a" : "b", i);
        put_pair(name, "thing");
    }
    mq_dataset *train = expect_open(spec(""), &whole), *test = expect_open(spec(""), &test_split);
    mq_dataset *again = expect_open(spec(""), &test_split);
    assert_int_equal(train->count, N - 4);
    assert_int_equal(test->count, 4);
    int seen[N] = {0}, rising = -1;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < (k ? test : train)->count; i++) {
            char text[MQ_DATA_SAMPLE_NAME], other[MQ_DATA_SAMPLE_NAME];
            mq_dataset_sample_name(k ? test : train, i, text);
            seen[atoi(text + 2)]++;
            if (!k) continue;
            mq_dataset_sample_name(again, i, other);
            assert_string_equal(text, other);
            int place = (text[0] == 'b') * 1000 + atoi(text + 2);
            assert_true(place > rising); /* in file order */
            rising = place;
        }
    for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    mq_dataset_free(train);
    mq_dataset_free(test);
    mq_dataset_free(again);
}

static void test_only_train(void **state) {
    (void)state;
    put_pair("train/1", "a");
    put_pair("train/2", "a");
    mq_dataset *train = expect_open(spec(""), &whole), *test = expect_open(spec(""), &test_split);
    assert_true(train->count == 1 && test->count == 1);
    mq_dataset_free(train);
    mq_dataset_free(test);
}

static void test_refused(void **state) {
    (void)state;
    const mq_data_request grey = {.channels = 1};
    put_pair("one/1", "a");
    put_text("none/a.txt", "x");
    put_pair("tests/test/1", "a");
    put_image("unlabelled/1.jpg", 1, 2, 3);
    put_image("unlabelled/2.jpg", 1, 2, 3);
    expect_failure("dac-sdc", &whole, MQ_USAGE, "dac-sdc:DIR");
    expect_failure(spec("/nowhere"), &whole, MQ_BAD_INPUT, "no such folder");
    expect_failure(spec("/none/a.txt"), &whole, MQ_BAD_INPUT, "no such folder");
    expect_failure(spec("/none"), &whole, MQ_BAD_INPUT, "no images");
    expect_failure(spec("/one"), &whole, MQ_BAD_INPUT, "at least 2");
    expect_failure(spec("/tests"), &whole, MQ_BAD_INPUT, "no folder train");
    expect_failure(spec("/unlabelled"), &whole, MQ_BAD_INPUT, "none of its 2 images");
    expect_failure(spec("/one"), &grey, MQ_USAGE, "its 3");
    mq_dataset *set = expect_open(spec("/tests"), &test_split);
    assert_int_equal(set->count, 1);
    mq_dataset_free(set);
    char deep[512] = "deep", link[MQ_PATH];
    for (int i = 0; i < 20; i++) strcat(deep, "/d");
    strcat(deep, "/1");
    put_pair(deep, "a");
    expect_failure(spec("/deep"), &whole, MQ_BAD_INPUT, "within each other");
    put_pair("circle/1", "a");
    path_of("circle/again", link);
    assert_int_equal(symlink(".", link), 0);
    expect_failure(spec("/circle"), &whole, MQ_BAD_INPUT, "a link in a circle?");
}

/* One of every fault among good ones: all left out, counted and named in one line; refused when strict. */
static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *name, *words, *why; /* in the line; the error when strict */
    } faults[] = {
        {"empty", "1 of 0 bytes (empty)", "an image of 0 bytes"},
        {"unlabelled", "1 without XML (unlabelled)", "an image without XML"},
        {"broken", "2 with damaged XML (bomb)", "no element found"},
        {"bomb", "2 with damaged XML (bomb)", "document types"},
        {"nothing", "1 without object (nothing)", "an image without object"},
        {"inverted", "3 with a box that is inverted or outside (flat)", "inverted or outside"},
        {"outside", "3 with a box that is inverted or outside (flat)", "from (70, 8) to (90, 24)"},
        {"flat", "3 with a box that is inverted or outside (flat)", "from (16, 8) to (16, 24)"},
        {"sizeless", "1 damaged (sizeless)", "damaged JPEG"},
    };
    enum { FAULTS = sizeof faults / sizeof *faults };
    for (int one = 0; one <= FAULTS; one++) {
        char name[64];
        for (int i = 0; i < FAULTS; i++) {
            if (one < FAULTS && i != one) continue;
            snprintf(name, sizeof name, "set%d/train/%s.jpg", one, faults[i].name);
            put_image(name, 1, 2, 3);
        }
        snprintf(name, sizeof name, "set%d/train/good1", one);
        put_pair(name, "a");
        snprintf(name, sizeof name, "set%d/test/good2", one);
        put_pair(name, "a");
#define PUT(stem, call)                                                                                      \
    if (one == FAULTS || strcmp(faults[one].name, stem) == 0) {                                              \
        snprintf(name, sizeof name, "set%d/train/" stem ".xml", one);                                        \
        call;                                                                                                \
    }
        PUT("broken", put_text(name, "<annotation>"))
        PUT("bomb", put_text(name, "<!DOCTYPE a [<!ENTITY b \"c\">]><annotation>&b;</annotation>"))
        PUT("nothing",
            put_text(name, "<annotation><size><width>64</width><height>32</height></size></annotation>"))
        PUT("inverted", put_box(name, "a", 48, 8, 16, 24))
        PUT("outside", put_box(name, "a", 70, 8, 90, 24))
        PUT("flat", put_box(name, "a", 16, 8, 16, 24))
        PUT("sizeless",
            put_text(name, "<annotation><object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
                           "<xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>"))
        if (one == FAULTS || strcmp(faults[one].name, "sizeless") == 0) {
            snprintf(name, sizeof name, "set%d/train/sizeless.jpg", one);
            put_text(name, "no JPEG");
        }
        if (one == FAULTS || strcmp(faults[one].name, "empty") == 0) {
            snprintf(name, sizeof name, "set%d/train/empty.jpg", one);
            put_text(name, "");
        }
        snprintf(name, sizeof name, "/set%d", one);
        warnings = 0;
        mq_dataset *set = expect_open(spec(name), &whole);
        assert_int_equal(set->count, 1);
        assert_int_equal(warnings, 1);
        if (one < FAULTS) {
            assert_non_null(strstr(heard, "1 of 2 images left out"));
            expect_failure(spec(name), &strict, MQ_BAD_INPUT, faults[one].why);
        } else {
            assert_non_null(strstr(heard, "9 of 10 images left out"));
            for (int i = 0; i < FAULTS; i++)
                if (!strstr(heard, faults[i].words)) fail_msg("\"%s\" lacks \"%s\"", heard, faults[i].words);
        }
        mq_dataset_free(set);
    }
}

/* Several objects and a box that is partly outside are used, and told of. */
static void test_notes(void **state) {
    (void)state;
    put_image("1.jpg", 1, 2, 3);
    put_text("1.xml",
             "<annotation><size><width>64</width><height>32</height></size><object><name>a</name><bndbox>"
             "<xmin>-16</xmin><ymin>8</ymin><xmax>16</xmax><ymax>40</ymax></bndbox></object></annotation>");
    put_image("2.JPEG", 1, 2, 3);
    put_text(
        "2.xml",
        "<annotation><size><width>64</width><height>32</height></size><object><name>a</name><bndbox>"
        "<xmin>16</xmin><ymin>8</ymin><xmax>48</xmax><ymax>24</ymax></bndbox></object><object><name>b</name>"
        "</object></annotation>");
    for (int split = 0; split < 2; split++) {
        mq_dataset *set = expect_open(spec(""), split ? &test_split : &whole);
        char name[MQ_DATA_SAMPLE_NAME];
        mq_dataset_sample_name(set, 0, name);
        assert_int_equal(set->count, 1);
        const mq_box *box = &set->targets[0].box, clipped = {0.125F, 0.625F, 0.25F, 0.75F},
                     first = {0.5F, 0.5F, 0.5F, 0.5F};
        assert_memory_equal(box, name[0] == '1' ? &clipped : &first, sizeof *box);
        assert_int_equal(set->classes, 1);
        mq_dataset_free(set);
    }
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(heard, "0 of 2 images left out: 1 with several objects (the first is taken) (2); "
                                  "1 with a box partly outside (clipped) (1)"));
}

/* The frame number within its class, from 1/2 to 3/2. */
static void test_weights(void **state) {
    (void)state;
    static const struct {
        const char *stem, *class;
        double weight;
    } rows[] = {{"0/000001", "0", 1},   {"0/000009", "0", 1}, {"a/000100", "a", 0.5}, {"a/000125", "a", 0.75},
                {"a/000200", "a", 1.5}, {"b/frame7", "b", 1}, {"c/x", "c", 1}};
    enum { N = sizeof rows / sizeof *rows };
    char name[64];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "train/%s", rows[i].stem);
        put_pair(name, rows[i].class);
    }
    put_pair("test/0", "0");
    mq_dataset *set = expect_open(spec(""), &whole);
    assert_int_equal(set->count, N);
    for (int i = 0; i < N; i++) {
        char text[MQ_DATA_SAMPLE_NAME];
        mq_dataset_sample_name(set, (size_t)i, text);
        assert_string_equal(text, rows[i].stem);
        assert_true(fabs((double)set->targets[i].weight - rows[i].weight) < 1e-6);
    }
    mq_dataset_free(set);
}

/* Blue is channel 0, images are scaled to the wanted size, grey ones copied, and a damaged one is named. */
static void test_images(void **state) {
    (void)state;
    put_image("train/1.jpg", 200, 100, 50);
    put_box("train/1.xml", "a", 1, 2, 33, 30);
    put_pair("train/2", "a");
    put_text("train/2.jpg", "\xff\xd8\xff damaged");
    put_pair("test/1", "a");
    const mq_data_request wanted = {.height = 40, .width = 48};
    mq_dataset *set = expect_open(spec(""), &wanted);
    uint8_t *image = malloc(mq_dataset_image_bytes(set));
    mq_error error = {0};
    assert_int_equal(mq_dataset_image_bytes(set), 40 * 48 * 3);
    assert_int_equal(mq_dataset_image(set, 0, NULL, image, &error), MQ_OK);
    for (int i = 0; i < 40 * 48; i++) {
        assert_in_range(image[3 * i], 196, 204);
        assert_in_range(image[3 * i + 1], 96, 104);
        assert_in_range(image[3 * i + 2], 46, 54);
    }
    assert_int_equal(mq_dataset_image(set, 1, NULL, image, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "train/2.jpg"));
    mq_dataset_info info;
    assert_int_equal(mq_dataset_describe(set, &info, &error), MQ_OK);
    assert_int_equal(info.damaged, 1);
    assert_non_null(strstr(info.first_damage.text, "train/2.jpg"));
    assert_true(fabs(info.mean[0] - 200) < 3 && fabs(info.mean[2] - 50) < 3);
    mq_dataset_info_clear(&info);
    char path[MQ_PATH];
    path_of("train/1.jpg", path);
    unlink(path); /* gone after opening: damaged too, unless it was kept */
    assert_int_equal(mq_dataset_image(set, 0, NULL, image, &error), MQ_OK);
    free(image);
    mq_dataset_free(set);
}

/* Scenes written and read: the same boxes and classes, nearly the same images. */
static void test_exported(void **state) {
    (void)state;
    for (int split = 0; split < 2; split++) {
        const mq_data_request request = {.split = (mq_split)split, .seed = 4, .height = 96, .width = 160};
        mq_dataset *made = expect_open("shapes:80", &request);
        char path[MQ_PATH];
        mq_error error;
        size_t written;
        snprintf(path, sizeof path, "%s/%s", folder, mq_split_name(request.split));
        assert_int_equal(mq_dataset_export(made, path, &written, &error), MQ_OK);
        assert_int_equal(written, made->count);
        if (split == 0) { /* the loader needs both */
            mq_dataset_free(made);
            continue;
        }
        for (int k = 0; k < 2; k++) {
            const mq_data_request again = {.split = (mq_split)k, .seed = 4, .height = 96, .width = 160};
            mq_dataset *from = expect_open("shapes:80", &again), *set = expect_open(spec(""), &again);
            assert_int_equal(set->count, from->count);
            size_t bytes = mq_dataset_image_bytes(set);
            uint8_t *a = malloc(bytes), *b = malloc(bytes);
            for (size_t i = 0; i < set->count; i++) {
                char name[MQ_DATA_SAMPLE_NAME];
                mq_dataset_sample_name(set, i, name);
                size_t j = (size_t)atoi(strrchr(name, '/') + 1);
                const mq_target *x = &set->targets[i], *y = &from->targets[j];
                assert_string_equal(set->class_names[x->object_class], from->class_names[y->object_class]);
                assert_memory_equal(&x->box, &y->box, sizeof x->box);
                assert_int_equal(mq_dataset_image(set, i, NULL, a, &error), MQ_OK);
                assert_int_equal(mq_dataset_image(from, j, NULL, b, &error), MQ_OK);
                double sum = 0;
                for (size_t p = 0; p < bytes; p++) sum += abs(a[p] - b[p]);
                assert_true(sum / (double)bytes < 4); /* the noise of the scenes does not survive */
            }
            free(a);
            free(b);
            mq_dataset_free(from);
            mq_dataset_free(set);
        }
        mq_dataset_free(made);
    }
    assert_int_equal(warnings, 0);
}

static void test_exported_classes(void **state) {
    (void)state;
    mq_dataset *set = make_set(6, 8, 9, 3, 3);
    mq_error error;
    size_t written;
    char path[MQ_PATH];
    assert_int_equal(mq_dataset_export(set, folder, &written, &error), MQ_OK);
    assert_int_equal(written, 6);
    path_of("2/000005.png", path);
    assert_true(mq_path_exists(path));
    /* Names that are paths, as labels could hold them, stay names. */
    static const char *const names[] = {"../x", "..", "/tmp/x"}, *const folders[] = {"_._x", "_.", "_tmp_x"};
    assert_int_equal(mq_alloc(3, MQ_DATA_NAME, "names", &set->class_names, &error), MQ_OK);
    for (int i = 0; i < 3; i++) strcpy(set->class_names[i], names[i]);
    assert_int_equal(mq_dataset_export(set, folder, &written, &error), MQ_OK);
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%06d.png", folders[i], i);
        path_of(name, path);
        if (!mq_path_exists(path)) fail_msg("%s", path);
    }
    mq_dataset_free(set);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_folders),
        TEST(test_val),
        TEST(test_divided),
        TEST(test_only_train),
        TEST(test_refused),
        TEST(test_faults),
        TEST(test_notes),
        TEST(test_weights),
        TEST(test_images),
        TEST(test_exported),
        TEST(test_exported_classes),
    };
    return cmocka_run_group_tests_name("dac_sdc", tests, NULL, NULL);
}
