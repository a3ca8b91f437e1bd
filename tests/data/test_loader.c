/* test_loader.c - batches from the background thread: complete, reproducible under any timing, and easy to
 * stop. Meant to be run under ThreadSanitizer as well. */
#include "data/helper_data.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/loader.h"

static mq_loader *start(const mq_dataset *set, mq_loader_options options) {
    mq_loader *loader = NULL;
    mq_error error = {0};
    if (mq_loader_start(set, &options, &loader, &error) != MQ_OK) fail_msg("%s", error.text);
    return loader;
}

/* Goes through an epoch: shapes of the batches, contents by the definition, each sample at most once. Writes
 * the order of the samples to order[count]; returns how many there were. */
static size_t check_epoch(mq_loader *loader, const mq_dataset *set, mq_loader_options o, uint64_t epoch,
                          uint32_t *order, unsigned pause) {
    size_t total = 0, number = 0, batch = (size_t)o.batch, bytes = mq_dataset_image_bytes(set);
    uint8_t *seen = calloc(set->count, 1), *image = malloc(bytes);
    mq_loader_epoch(loader, epoch);
    for (const mq_batch *b; (b = mq_loader_next(loader)); number++) {
        assert_int_equal(b->number, number);
        size_t left = set->count - total;
        assert_int_equal(b->count, left < batch ? left : batch);
        if (pause && (number * 7 + pause) % 5 == 0) usleep(pause);
        for (size_t i = 0; i < batch; i++) {
            const uint8_t *got = b->images + i * bytes;
            if (i >= b->count) {
                assert_int_equal(b->labels[i], -1);
                for (size_t k = 0; k < bytes; k++) assert_int_equal(got[k], 0);
                continue;
            }
            uint32_t sample = b->samples[i];
            assert_true(sample < set->count);
            assert_int_equal(seen[sample]++, 0);
            assert_int_equal(b->labels[i], set->labels[sample]);
            mq_augment_apply(mq_augment_choose(&o.augment, o.seed, epoch, sample), set->height, set->width,
                             set->channels, set->images + sample * bytes, image);
            assert_memory_equal(got, image, bytes);
            if (order) order[total + i] = sample;
        }
        total += b->count;
    }
    assert_int_equal(number, mq_loader_batches(loader));
    assert_null(mq_loader_next(loader)); /* the end stays the end */
    free(seen);
    free(image);
    return total;
}

static void test_every_sample_once(void **state) {
    (void)state;
    const size_t counts[] = {1, 7, 8, 9, 100};
    const int batches[] = {1, 3, 8, 150};
    for (size_t c = 0; c < 5; c++) {
        mq_dataset *set = make_set(counts[c], 6, 5, 3, 4);
        for (int b = 0; b < 4; b++)
            for (int kind = 0; kind < 8; kind++) {
                mq_loader_options o = {.batch = batches[b],
                                       .seed = 11,
                                       .shuffle = kind & 1,
                                       .drop_last = kind & 2,
                                       .ahead = kind & 4 ? 1 : 0};
                if (kind & 1) o.augment = (mq_augment){.pad = 2, .flip = true};
                if (o.drop_last && counts[c] < (size_t)o.batch) continue;
                mq_loader *loader = start(set, o);
                size_t full = counts[c] - counts[c] % (size_t)o.batch;
                for (uint64_t epoch = 0; epoch < 3; epoch++)
                    assert_int_equal(check_epoch(loader, set, o, epoch, NULL, 0),
                                     o.drop_last ? full : counts[c]);
                mq_loader_stop(loader);
            }
        mq_dataset_free(set);
    }
}

static void test_order(void **state) {
    (void)state;
    enum { N = 60 };
    mq_dataset *set = make_set(N, 4, 4, 1, 10);
    mq_loader_options o = {.batch = 8, .seed = 1};
    uint32_t first[N], second[N];
    mq_loader *loader = start(set, o);
    check_epoch(loader, set, o, 5, first, 0);
    for (uint32_t i = 0; i < N; i++) assert_int_equal(first[i], i);
    mq_loader_stop(loader);

    o.shuffle = true;
    loader = start(set, o);
    check_epoch(loader, set, o, 5, first, 0);
    check_epoch(loader, set, o, 6, second, 0);
    assert_memory_not_equal(first, second, sizeof first);
    check_epoch(loader, set, o, 5, second, 0); /* back: a function of the epoch, not of what ran before */
    assert_memory_equal(first, second, sizeof first);
    mq_loader_stop(loader);

    o.batch = 7; /* nor of the batch size, or of the depth */
    o.ahead = 2;
    loader = start(set, o);
    check_epoch(loader, set, o, 5, second, 0);
    assert_memory_equal(first, second, sizeof first);
    mq_loader_stop(loader);

    o.seed = 2;
    loader = start(set, o);
    check_epoch(loader, set, o, 5, second, 0);
    assert_memory_not_equal(first, second, sizeof first);
    mq_loader_stop(loader);
    mq_dataset_free(set);
}

static void test_any_timing(void **state) {
    (void)state;
    enum { N = 203 };
    mq_dataset *set = make_set(N, 8, 8, 3, 10);
    mq_loader_options o = {.batch = 10, .seed = 3, .shuffle = true, .augment = {.pad = 4, .flip = true}};
    uint32_t first[N], again[N];
    for (int ahead = 1; ahead <= 64; ahead *= 4) {
        o.ahead = ahead;
        mq_loader *loader = start(set, o);
        for (unsigned pause = 0; pause < 5; pause++) {
            check_epoch(loader, set, o, 9, pause || ahead > 1 ? again : first, pause * 100);
            if (pause || ahead > 1) assert_memory_equal(first, again, sizeof first);
        }
        mq_loader_stop(loader);
    }
    mq_dataset_free(set);
}

/* The batch in the caller's hands must not change while the ring fills up behind it. */
static void test_held_batch(void **state) {
    (void)state;
    mq_dataset *set = make_set(64, 8, 8, 3, 10);
    mq_loader_options o = {.batch = 4, .shuffle = true, .ahead = 1};
    size_t bytes = 4 * mq_dataset_image_bytes(set);
    uint8_t *copy = malloc(bytes);
    mq_loader *loader = start(set, o);
    mq_loader_epoch(loader, 0);
    for (const mq_batch *b; (b = mq_loader_next(loader));) {
        memcpy(copy, b->images, bytes);
        usleep(2000);
        assert_memory_equal(copy, b->images, bytes);
    }
    mq_loader_stop(loader);
    free(copy);
    mq_dataset_free(set);
}

static void test_stop_and_restart(void **state) {
    (void)state;
    mq_dataset *set = make_set(500, 8, 8, 3, 10);
    mq_loader_options o = {.batch = 10, .seed = 4, .shuffle = true, .augment = {.pad = 1}};
    mq_loader_stop(NULL);
    mq_loader_stop(start(set, o)); /* before any epoch */
    for (int taken = 0; taken < 20; taken++) {
        mq_loader *loader = start(set, o);
        assert_null(mq_loader_next(loader)); /* no epoch yet */
        mq_loader_epoch(loader, 0);
        for (int i = 0; i < taken; i++) assert_non_null(mq_loader_next(loader));
        if (taken % 3 == 0) usleep(300);
        mq_loader_stop(loader);
    }
    mq_loader *loader = start(set, o);
    for (uint64_t epoch = 0; epoch < 200; epoch++) { /* epochs left half-way, the next one is whole */
        mq_loader_epoch(loader, epoch);
        for (uint64_t i = 0; i < epoch % 7; i++) assert_int_equal(mq_loader_next(loader)->number, i);
    }
    assert_int_equal(check_epoch(loader, set, o, 77, NULL, 0), 500);
    mq_loader_stop(loader);
    mq_dataset_free(set);
}

static void test_stats(void **state) {
    (void)state;
    mq_dataset *set = make_set(400, 32, 32, 3, 10);
    mq_loader_options o = {.batch = 20, .shuffle = true, .ahead = 64};
    mq_loader *loader = start(set, o);
    mq_loader_stats stats = mq_loader_stats_get(loader);
    assert_true(stats.batches == 0 && stats.waits == 0 && stats.wait_seconds == 0 && stats.work_seconds == 0);
    mq_loader_epoch(loader, 0);
    for (int i = 0; i < 500 && mq_loader_stats_get(loader).work_seconds == 0; i++) usleep(10000);
    usleep(200000); /* all 20 batches fit into the ring and are ready by now */
    while (mq_loader_next(loader)) {
    }
    stats = mq_loader_stats_get(loader);
    assert_int_equal(stats.batches, 20);
    assert_true(stats.waits < 20 && stats.wait_seconds < 1 && stats.work_seconds > 0);
    mq_loader_epoch(loader, 1); /* asked at once: the first batch cannot be ready */
    while (mq_loader_next(loader)) {
    }
    mq_loader_stats later = mq_loader_stats_get(loader);
    assert_int_equal(later.batches, 40);
    assert_true(later.waits >= stats.waits && later.wait_seconds >= stats.wait_seconds);
    mq_loader_stop(loader);
    mq_dataset_free(set);
}

static pthread_t caught_by;
static volatile sig_atomic_t caught;
static void on_signal(int number) {
    (void)number;
    caught_by = pthread_self();
    caught = 1;
}

/* A signal to the process waits for the caller's thread rather than reach the loader's. */
static void test_signals(void **state) {
    (void)state;
    mq_dataset *set = make_set(50, 8, 8, 3, 10);
    mq_loader *loader = start(set, (mq_loader_options){.batch = 5});
    struct sigaction action = {.sa_handler = on_signal}, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    sigset_t usr1, mask;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &mask);
    mq_loader_epoch(loader, 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    usleep(50000);
    assert_false(caught);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    for (int i = 0; i < 500 && !caught; i++) usleep(1000);
    assert_true(caught && pthread_equal(caught_by, pthread_self()));
    sigaction(SIGUSR1, &before, NULL);
    mq_loader_stop(loader);
    mq_dataset_free(set);
}

static void test_bad_options(void **state) {
    (void)state;
    mq_dataset *set = make_set(10, 4, 4, 1, 2);
    const mq_loader_options bad[] = {
        {.batch = 0},
        {.batch = -3},
        {.batch = MQ_LOADER_BATCH + 1},
        {.batch = 1, .ahead = -1},
        {.batch = 1, .ahead = MQ_LOADER_AHEAD + 1},
        {.batch = 1, .augment = {.pad = -1}},
        {.batch = 11, .drop_last = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mq_loader *loader = NULL;
        mq_error error = {0};
        assert_int_equal(mq_loader_start(set, &bad[i], &loader, &error), MQ_USAGE);
        assert_null(loader);
        assert_non_null(strstr(error.text, "expected"));
    }
    mq_dataset_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample_once), cmocka_unit_test(test_order),
        cmocka_unit_test(test_any_timing),        cmocka_unit_test(test_held_batch),
        cmocka_unit_test(test_stop_and_restart),  cmocka_unit_test(test_stats),
        cmocka_unit_test(test_signals),           cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
