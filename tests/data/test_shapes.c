/* test_shapes.c - generated scenes: deterministic, as described, and their boxes fit what is drawn. */
#include "data/helper_data.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "data/scene.h"

static const mq_data_request whole = {0}, test_split = {.split = MQ_SPLIT_TEST};

static uint8_t *read_image(const mq_dataset *set, size_t sample) {
    uint8_t *image = malloc(mq_dataset_image_bytes(set));
    mq_error error;
    assert_int_equal(mq_dataset_image(set, sample, NULL, image, &error), MQ_OK);
    return image;
}

static void test_counts(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        size_t train, test;
    } cases[] = {{"shapes", 2000, 500},
                 {"shapes:1", 1, 64},
                 {"shapes:300", 300, 75},
                 {"shapes:100000", 100000, 25000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int split = 0; split < 2; split++) {
            mq_dataset *set = expect_open(cases[i].spec, split ? &test_split : &whole);
            assert_int_equal(set->count, split ? cases[i].test : cases[i].train);
            assert_int_equal(set->target_count, set->count);
            assert_int_equal(set->task, MQ_DATA_DETECT);
            assert_int_equal(set->order, MQ_BGR);
            assert_int_equal(set->height, 160);
            assert_int_equal(set->width, 320);
            assert_int_equal(set->channels, 3);
            assert_int_equal(set->classes, MQ_SCENE_CLASSES);
            assert_int_equal(set->split, split);
            assert_null(set->images);
            assert_null(set->labels);
            mq_dataset_free(set);
        }
    const mq_data_request few = {.limit = 7};
    mq_dataset *set = expect_open("shapes:100", &few);
    assert_int_equal(set->count, 7);
    mq_dataset_free(set);
}

static void test_refused(void **state) {
    (void)state;
    const mq_data_request small = {.height = 31}, grey = {.channels = 1};
    static const char *const bad[] = {"shapes:0", "shapes:-3", "shapes:x", "shapes:7x", "shapes:99999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_failure(bad[i], &whole, MQ_USAGE, "number of scenes");
    expect_failure("shapes:", &whole, MQ_USAGE, "shapes[:N]");
    expect_failure("shapes", &small, MQ_USAGE, "at least 32 x 32");
    expect_failure("shapes", &grey, MQ_USAGE, "its 3");
}

/* Boxes lie inside, in whole pixels, with areas over the whole wanted range; every class occurs. */
static void check_boxes(int height, int width) {
    enum { N = 4000 };
    int classes[MQ_SCENE_CLASSES] = {0}, small = 0, large = 0;
    double x = 0, y = 0;
    for (uint64_t i = 0; i < N; i++) {
        mq_scene s;
        mq_scene_plan(3, MQ_SPLIT_TRAIN, i, height, width, &s);
        assert_true(s.left >= 0 && s.left < s.right && s.right <= width);
        assert_true(s.top >= 0 && s.top < s.bottom && s.bottom <= height);
        double area = (double)(s.right - s.left) * (s.bottom - s.top) / height / width;
        assert_true(area >= 0.005 && area <= 0.0901);
        small += area < 0.01;
        large += area > 0.05;
        x += (s.left + s.right) / 2.0 / width / N;
        y += (s.top + s.bottom) / 2.0 / height / N;
        classes[s.object_class]++;
        float low[2] = {1e9F, 1e9F}, high[2] = {-1e9F, -1e9F};
        for (int c = 0; c < s.corner_count; c++)
            for (int k = 0; k < 2; k++) {
                low[k] = fminf(low[k], s.corner[c][k]);
                high[k] = fmaxf(high[k], s.corner[c][k]);
            }
        assert_true(low[0] == (float)s.left && low[1] == (float)s.top);
        assert_true(high[0] == (float)s.right && high[1] == (float)s.bottom);
    }
    assert_true(fabs(x - 0.5) < 0.02 && fabs(y - 0.5) < 0.02);
    assert_true(small > N / 10 && large > N / 10);
    for (int c = 0; c < MQ_SCENE_CLASSES; c++) assert_true(classes[c] > 0.8 * N / MQ_SCENE_CLASSES);
}

static void test_boxes(void **state) {
    (void)state;
    check_boxes(160, 320);
    check_boxes(320, 160);
    check_boxes(128, 96);
}

static void test_targets(void **state) {
    (void)state;
    const mq_data_request seeded = {.seed = 11, .height = 96, .width = 128};
    mq_dataset *set = expect_open("shapes:50", &seeded);
    for (size_t i = 0; i < set->count; i++) {
        mq_scene s;
        mq_scene_plan(11, MQ_SPLIT_TRAIN, i, 96, 128, &s);
        const mq_target *t = &set->targets[i];
        assert_int_equal(t->image, i);
        assert_int_equal(t->object_class, s.object_class);
        assert_true(t->weight == 1);
        assert_true(fabsf(t->box.x * 128 - (float)(s.left + s.right) / 2) < 1e-3F);
        assert_true(fabsf(t->box.y * 96 - (float)(s.top + s.bottom) / 2) < 1e-3F);
        assert_true(fabsf(t->box.w * 128 - (float)(s.right - s.left)) < 1e-3F);
        assert_true(fabsf(t->box.h * 96 - (float)(s.bottom - s.top)) < 1e-3F);
    }
    mq_dataset_free(set);
}

/* Seed, split and index each give another scene; the same three the same bytes, kept or drawn again. */
static void test_pure(void **state) {
    (void)state;
    const mq_data_request other = {.seed = 1}, none_kept = {.kept = 1};
    mq_dataset *set = expect_open("shapes:20", &whole), *again = expect_open("shapes:30", &none_kept);
    mq_dataset *test = expect_open("shapes:20", &test_split), *seeded = expect_open("shapes:20", &other);
    size_t bytes = mq_dataset_image_bytes(set);
    for (size_t i = 0; i < 20; i++) {
        uint8_t *image = read_image(set, i), *kept = read_image(set, i);
        uint8_t *drawn = read_image(again, i), *tested = read_image(test, i), *sown = read_image(seeded, i);
        uint8_t *next = read_image(set, (i + 1) % 20);
        assert_memory_equal(image, kept, bytes);
        assert_memory_equal(image, drawn, bytes);
        assert_memory_not_equal(image, tested, bytes);
        assert_memory_not_equal(image, sown, bytes);
        assert_memory_not_equal(image, next, bytes);
        assert_memory_not_equal(&set->targets[i].box, &test->targets[i].box, sizeof(mq_box));
        assert_memory_not_equal(&set->targets[i].box, &seeded->targets[i].box, sizeof(mq_box));
        free(image);
        free(kept);
        free(drawn);
        free(tested);
        free(sown);
        free(next);
    }
    char name[MQ_DATA_SAMPLE_NAME];
    mq_dataset_sample_name(set, 7, name);
    assert_string_equal(name, "000007");
    mq_dataset_free(set);
    mq_dataset_free(again);
    mq_dataset_free(test);
    mq_dataset_free(seeded);
}

/* Standard deviation of the brightness in a box. */
static double contrast(const uint8_t *image, int width, int height, int left, int top, int right,
                       int bottom) {
    double sum = 0, squares = 0;
    int count = 0;
    for (int y = top < 0 ? 0 : top; y < bottom && y < height; y++)
        for (int x = left < 0 ? 0 : left; x < right && x < width; x++) {
            const uint8_t *p = image + 3 * (y * width + x);
            double v = (p[0] + p[1] + p[2]) / 3.0;
            sum += v;
            squares += v * v;
            count++;
        }
    double mean = sum / count;
    return sqrt(fmax(0, squares / count - mean * mean));
}

/* Where the box says there is an object, brightness varies; a box of that size elsewhere is calmer. */
static void test_drawn(void **state) {
    (void)state;
    mq_dataset *set = expect_open("shapes:200", &whole);
    double inside = 0, outside = 0;
    for (size_t i = 0; i < set->count; i++) {
        mq_scene s;
        mq_scene_plan(0, MQ_SPLIT_TRAIN, i, 160, 320, &s);
        uint8_t *image = read_image(set, i);
        int w = s.right - s.left, away = s.left > 160 ? s.left - 100 - w : s.right + 100;
        inside += contrast(image, 320, 160, s.left, s.top, s.right, s.bottom);
        outside += contrast(image, 320, 160, away, s.top, away + w, s.bottom);
        free(image);
    }
    assert_true(inside > 2 * outside);
    mq_dataset_free(set);
}

enum { SCENES = 40, READERS = 3 };
typedef struct job {
    const mq_dataset *set;
    uint8_t *out;
} job;

static void *read_all(void *argument) {
    job *j = argument;
    mq_data_scratch scratch = {0};
    for (size_t i = 0; i < SCENES; i++) {
        mq_status status =
            mq_dataset_image(j->set, i, &scratch, j->out + i * mq_dataset_image_bytes(j->set), NULL);
        if (status != MQ_OK) abort();
    }
    mq_scratch_free(&scratch);
    return NULL;
}

/* Several threads read one set at once, with and without room to keep images. */
static void test_threads(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        const mq_data_request request = {.kept = round ? 10 * 160 * 320 * 3 : 0};
        mq_dataset *set = expect_open("shapes:40", &request);
        size_t bytes = SCENES * mq_dataset_image_bytes(set);
        job jobs[READERS];
        pthread_t threads[READERS];
        for (int i = 0; i < READERS; i++) {
            jobs[i] = (job){set, malloc(bytes)};
            assert_int_equal(pthread_create(&threads[i], NULL, read_all, &jobs[i]), 0);
        }
        for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
        for (int i = 1; i < READERS; i++) assert_memory_equal(jobs[0].out, jobs[i].out, bytes);
        for (int i = 0; i < READERS; i++) free(jobs[i].out);
        mq_dataset_free(set);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_refused), cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_targets), cmocka_unit_test(test_pure),    cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
