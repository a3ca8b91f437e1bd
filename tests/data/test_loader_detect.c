/* test_loader_detect.c - batches with objects: the same whatever the threads, augmented as warp.h says, and
 * damaged images. */
#include "data/helper_data.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "data/loader.h"
#include "data/warp.h"

enum { H = 24, W = 40, CLASSES = 5 };

/* Images of sample numbers; every third sample, from 2 on, has two objects, every fifth none; `damaged`
 * fails. */
typedef struct made {
    size_t damaged, every;
    mq_status status;
} made;

static atomic_int reads;

static mq_status make_image(const void *context, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                            mq_error *error) {
    const made *m = context;
    atomic_fetch_add(&reads, 1);
    uint8_t *work;
    MQ_TRY(mq_scratch_need(scratch, 0, H * W * 3, &work, error));
    for (size_t i = 0; i < H * W * 3; i++) work[i] = pixel(i + sample * 7919);
    memcpy(out, work, H * W * 3);
    if (m->every && sample % m->every == m->damaged)
        return mq_fail(error, m->status, "sample %zu is damaged", sample);
    return MQ_OK;
}

static const mq_data_source source = {.image = make_image, .close = free};

static mq_dataset *make_kept(size_t count, size_t every, mq_status status, size_t kept) {
    made *context = calloc(1, sizeof *context);
    *context = (made){.every = every, .damaged = 3 % (every ? every : 1), .status = status};
    size_t targets = 0;
    for (size_t i = 0; i < count; i++) targets += i % 5 == 4 ? 0 : i % 3 == 2 ? 2 : 1;
    mq_dataset *set;
    mq_error error;
    assert_int_equal(mq_dataset_create_detect("made", count, H, W, 3, CLASSES, targets, &source, context,
                                              kept, &set, &error),
                     MQ_OK);
    for (size_t i = 0, t = 0; i < count; i++)
        for (int k = 0; k < (i % 5 == 4 ? 0 : i % 3 == 2 ? 2 : 1); k++, t++)
            set->targets[t] = (mq_target){.image = (int32_t)i,
                                          .object_class = (int32_t)t % CLASSES,
                                          .box = {0.3F + 0.1F * (float)(i % 4), 0.5F, 0.3F, 0.4F},
                                          .weight = 0.5F + (float)(i % 10) / 10};
    return set;
}

static mq_dataset *make_detect(size_t count, size_t every, mq_status status) {
    return make_kept(count, every, status, 0);
}

static mq_loader *start(const mq_dataset *set, mq_loader_options options) {
    mq_loader *loader;
    mq_error error;
    if (mq_loader_start(set, &options, &loader, &error) != MQ_OK) fail_msg("%s", error.text);
    return loader;
}

/* An epoch against what each sample must give. */
static void check_epoch(mq_loader *loader, const mq_dataset *set, mq_loader_options o, uint64_t epoch) {
    size_t bytes = mq_dataset_image_bytes(set), seen = 0, dropped = 0;
    uint8_t *image = malloc(bytes), *warped = malloc(bytes);
    mq_data_scratch scratch = {0};
    mq_error error;
    mq_loader_epoch(loader, epoch);
    for (const mq_batch *b; (b = mq_loader_next(loader));) {
        size_t t = 0;
        assert_null(b->labels);
        for (size_t i = 0; i < b->count; i++, seen++) {
            mq_warp warp = mq_warp_choose(&o.augment, o.seed, epoch, b->samples[i], set->height, set->width);
            assert_int_equal(mq_dataset_image(set, b->samples[i], NULL, image, &error), MQ_OK);
            assert_int_equal(mq_warp_image(&warp, set->height, set->width, 3, set->order, image, &scratch, 0,
                                           warped, &error),
                             MQ_OK);
            assert_memory_equal(b->images + i * bytes, warped, bytes);
            for (size_t k = 0; k < set->target_count; k++) {
                const mq_target *from = &set->targets[k];
                mq_box box;
                if (from->image != (int32_t)b->samples[i]) continue;
                if (!mq_warp_box(&warp, set->height, set->width, &from->box, &box)) {
                    dropped++;
                    continue;
                }
                assert_true(t < b->target_count);
                assert_int_equal(b->targets[t].image, i);
                assert_int_equal(b->targets[t].object_class, from->object_class);
                assert_true(b->targets[t].weight == from->weight);
                assert_memory_equal(&b->targets[t].box, &box, sizeof box);
                t++;
            }
        }
        assert_int_equal(t, b->target_count);
        assert_int_equal(b->damaged, 0);
        for (size_t i = b->count * bytes; i < (size_t)o.batch * bytes; i++) assert_int_equal(b->images[i], 0);
    }
    assert_int_equal(seen, set->count);
    assert_int_equal(mq_loader_status(loader, &error), MQ_OK);
    if (o.augment.translate > 0.9F) assert_true(dropped > 0);
    mq_scratch_free(&scratch);
    free(image);
    free(warped);
}

static void test_batches(void **state) {
    (void)state;
    mq_dataset *set = make_detect(53, 0, MQ_OK);
    mq_augment wild = mq_augment_detector;
    wild.translate = 1;
    const mq_augment augments[] = {{0}, {.flip = true}, mq_augment_detector, wild};
    for (size_t a = 0; a < sizeof augments / sizeof *augments; a++)
        for (int threads = 0; threads < 5; threads++) {
            mq_loader_options o = {
                .batch = 10, .seed = 3, .augment = augments[a], .shuffle = true, .threads = threads};
            mq_loader *loader = start(set, o);
            for (uint64_t epoch = 0; epoch < 3; epoch++) check_epoch(loader, set, o, epoch);
            mq_loader_stop(loader);
        }
    mq_dataset_free(set);
}

/* New rounds in the middle of others, with many threads: nothing of an old one shows. */
static void test_restarts(void **state) {
    (void)state;
    mq_dataset *set = make_detect(61, 0, MQ_OK);
    mq_loader_options o = {
        .batch = 7, .seed = 8, .augment = mq_augment_detector, .shuffle = true, .threads = 4, .ahead = 2};
    mq_loader *loader = start(set, o);
    for (uint64_t epoch = 0; epoch < 40; epoch++) {
        mq_loader_epoch(loader, 100 + epoch);
        for (uint64_t i = 0; i < epoch % 9; i++) assert_non_null(mq_loader_next(loader));
        check_epoch(loader, set, o, epoch);
    }
    mq_loader_stop(loader);
    loader = start(set, o);
    mq_loader_epoch(loader, 1);
    mq_loader_stop(loader); /* at once */
    mq_dataset_free(set);
}

typedef struct heard {
    int lines;
    char text[MQ_ERROR_TEXT];
} heard;

static void hear(void *context, mq_log_level level, const char *text) {
    heard *h = context;
    if (level != MQ_LOG_WARN) return;
    h->lines++;
    strcpy(h->text, text);
}

/* Damaged images are grey, have no objects, are counted, and are told of once. */
static void test_damaged(void **state) {
    (void)state;
    enum { N = 50, EVERY = 10 };
    mq_dataset *set = make_detect(N, EVERY, MQ_BAD_INPUT);
    heard h = {0};
    const mq_log_sink sink = {.line = hear, .context = &h};
    mq_log_set(&sink);
    mq_loader *loader =
        start(set, (mq_loader_options){.batch = 8, .threads = 3, .augment = mq_augment_detector});
    size_t bytes = mq_dataset_image_bytes(set);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        size_t damaged = 0, grey = 0;
        mq_loader_epoch(loader, epoch);
        for (const mq_batch *b; (b = mq_loader_next(loader));) {
            damaged += b->damaged;
            for (size_t i = 0; i < b->count; i++) {
                if (b->samples[i] % EVERY != 3) continue;
                for (size_t k = 0; k < bytes; k++) assert_int_equal(b->images[i * bytes + k], MQ_WARP_BORDER);
                for (size_t t = 0; t < b->target_count; t++) assert_int_not_equal(b->targets[t].image, i);
                grey++;
            }
        }
        assert_int_equal(damaged, N / EVERY);
        assert_int_equal(grey, N / EVERY);
        assert_int_equal(mq_loader_status(loader, NULL), MQ_OK);
        assert_int_equal(h.lines, 1);
        assert_non_null(strstr(h.text, "5 damaged images"));
        assert_non_null(strstr(h.text, "is damaged"));
    }
    assert_int_equal(mq_loader_stats_get(loader).damaged, N / EVERY);
    mq_loader_stop(loader);
    mq_log_set(NULL);
    mq_dataset_free(set);
}

static void check_failure(mq_status status, int strict, mq_status expected) {
    mq_dataset *set = make_detect(200, 150, status); /* sample 3 and 153 */
    set->strict = strict == 2;
    mq_loader *loader = start(set, (mq_loader_options){.batch = 4, .threads = 2, .strict = strict == 1});
    mq_error error = {0};
    mq_loader_epoch(loader, 0);
    size_t batches = 0;
    while (mq_loader_next(loader)) batches++;
    assert_true(expected == MQ_OK ? batches == 50 : batches < 50);
    assert_int_equal(mq_loader_status(loader, &error), expected);
    if (expected != MQ_OK) {
        assert_non_null(strstr(error.text, "is damaged"));
        mq_loader_epoch(loader, 1); /* stays failed */
        assert_null(mq_loader_next(loader));
    }
    mq_loader_stop(loader);
    mq_dataset_free(set);
}

static void test_failures(void **state) {
    (void)state;
    check_failure(MQ_BAD_INPUT, 0, MQ_OK);
    check_failure(MQ_BAD_INPUT, 1, MQ_BAD_INPUT);
    check_failure(MQ_BAD_INPUT, 2, MQ_BAD_INPUT);
    check_failure(MQ_INTERNAL, 0, MQ_INTERNAL);
}

/* Images are kept after they were made once, up to the bound. */
static void test_kept(void **state) {
    (void)state;
    enum { N = 30, ROOM = 10, EPOCHS = 4 };
    for (int bounded = 0; bounded < 2; bounded++) {
        mq_dataset *set = make_kept(N, 0, MQ_OK, bounded ? ROOM * H * W * 3 : 0);
        mq_loader *loader = start(set, (mq_loader_options){.batch = 6, .shuffle = true, .threads = 2});
        atomic_store(&reads, 0);
        for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
            mq_loader_epoch(loader, epoch);
            while (mq_loader_next(loader)) {
            }
        }
        mq_loader_stop(loader);
        assert_int_equal(atomic_load(&reads), bounded ? N + (EPOCHS - 1) * (N - ROOM) : N);
        mq_dataset_free(set);
    }
}

static void test_options(void **state) {
    (void)state;
    mq_dataset *set = make_detect(10, 0, MQ_OK), *labelled = make_set(10, H, W, 3, 4);
    const mq_loader_options padded = {.batch = 2, .augment = {.pad = 2}},
                            threads = {.batch = 2, .threads = -1};
    const mq_loader_options many = {.batch = 2, .threads = MQ_LOADER_THREADS + 1},
                            warped = {.batch = 2, .augment = {.hue = 0.1F}};
    mq_loader *loader;
    mq_error error;
    assert_int_equal(mq_loader_start(set, &padded, &loader, &error), MQ_USAGE);
    assert_int_equal(mq_loader_start(set, &threads, &loader, &error), MQ_USAGE);
    assert_int_equal(mq_loader_start(set, &many, &loader, &error), MQ_USAGE);
    assert_int_equal(mq_loader_start(labelled, &warped, &loader, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "that of detectors"));
    mq_dataset_free(set);
    mq_dataset_free(labelled);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),  cmocka_unit_test(test_restarts), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_kept),     cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("loader_detect", tests, NULL, NULL);
}
