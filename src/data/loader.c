/* loader.c - one producer thread, a ring of buffers, a mutex and two conditions.
 *
 * Every mq_loader_epoch starts a new round. `filled` and `taken` count the round's batches; batch n lives in
 * slot n % slots. The producer may fill while filled - taken < slots - 1: the slot of the batch in the
 * caller's hands (taken - 1) is never the one it writes. A batch that was being filled when a new round began
 * is thrown away. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/rng.h"

enum { AHEAD = 4 };

typedef struct slot {
    uint8_t *images;
    int32_t *labels;
    uint32_t *samples;
    size_t count;
} slot;

struct mq_loader {
    const mq_dataset *dataset;
    mq_loader_options options;
    size_t batches; /* in an epoch */
    slot *ring;
    size_t slots;
    mq_batch batch; /* what the caller sees */

    /* the producer's own */
    uint32_t *order; /* [dataset count] */

    pthread_t thread;
    bool started, has_mutex, has_wanted, has_ready;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wanted; /* to the producer: room, a new round, or the end */
    pthread_cond_t ready;  /* to the caller: a batch was filled */
    bool ending;
    uint64_t round; /* 0 = no epoch yet */
    uint64_t epoch;
    size_t filled, taken;
    mq_loader_stats stats;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void order_samples(mq_loader *loader, uint64_t epoch) {
    if (!loader->options.shuffle) return; /* stays in file order */
    mq_rng rng = mq_rng_stream(loader->options.seed, "shuffle", epoch);
    mq_rng_permutation(&rng, loader->order, loader->dataset->count);
}

static void fill(mq_loader *loader, uint64_t epoch, size_t number) {
    const mq_dataset *set = loader->dataset;
    const mq_loader_options *options = &loader->options;
    slot *to = &loader->ring[number % loader->slots];
    size_t batch = (size_t)options->batch, first = number * batch, bytes = mq_dataset_image_bytes(set);
    bool plain = !options->augment.pad && !options->augment.flip;
    to->count = set->count - first < batch ? set->count - first : batch;
    for (size_t i = 0; i < to->count; i++) {
        uint32_t sample = loader->order[first + i];
        const uint8_t *in = set->images + sample * bytes;
        uint8_t *out = to->images + i * bytes;
        to->samples[i] = sample;
        to->labels[i] = set->labels[sample];
        if (plain)
            memcpy(out, in, bytes);
        else
            mq_augment_apply(mq_augment_choose(&options->augment, options->seed, epoch, sample), set->height,
                             set->width, set->channels, in, out);
    }
    memset(to->images + to->count * bytes, 0, (batch - to->count) * bytes);
    for (size_t i = to->count; i < batch; i++) to->labels[i] = -1;
}

static void *produce(void *argument) {
    mq_loader *loader = argument;
    uint64_t ordered = 0; /* the round that `order` is for */
    pthread_mutex_lock(&loader->mutex);
    while (!loader->ending) {
        if (!loader->round || loader->filled == loader->batches ||
            loader->filled - loader->taken >= loader->slots - 1) {
            pthread_cond_wait(&loader->wanted, &loader->mutex);
            continue;
        }
        uint64_t round = loader->round, epoch = loader->epoch;
        size_t number = loader->filled;
        pthread_mutex_unlock(&loader->mutex);
        double begin = now();
        if (ordered != round) order_samples(loader, epoch);
        ordered = round;
        fill(loader, epoch, number);
        double seconds = now() - begin;
        pthread_mutex_lock(&loader->mutex);
        loader->stats.work_seconds += seconds;
        if (round != loader->round) continue;
        loader->filled++;
        pthread_cond_signal(&loader->ready);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

static mq_status check(const mq_dataset *dataset, const mq_loader_options *options, mq_error *error) {
    if (options->batch < 1 || options->batch > MQ_LOADER_BATCH)
        return mq_fail(error, MQ_USAGE, "loader: batch: got %d, expected 1..%d", options->batch,
                       MQ_LOADER_BATCH);
    if (options->ahead < 0 || options->ahead > MQ_LOADER_AHEAD)
        return mq_fail(error, MQ_USAGE, "loader: batches ahead: got %d, expected 0..%d", options->ahead,
                       MQ_LOADER_AHEAD);
    if (options->drop_last && (size_t)options->batch > dataset->count)
        return mq_fail(
            error, MQ_USAGE,
            "loader: batch: got %d, expected at most the %zu samples of %s when a part batch is left out",
            options->batch, dataset->count, dataset->name);
    return mq_augment_check(&options->augment, error);
}

static mq_status allocate(mq_loader *loader, mq_error *error) {
    size_t batch = (size_t)loader->options.batch, bytes = mq_dataset_image_bytes(loader->dataset);
    MQ_TRY(mq_alloc(loader->dataset->count, sizeof *loader->order, "the order of samples", &loader->order,
                    error));
    for (size_t i = 0; i < loader->dataset->count; i++) loader->order[i] = (uint32_t)i;
    MQ_TRY(mq_alloc(loader->slots, sizeof *loader->ring, "the loader's ring", &loader->ring, error));
    for (size_t s = 0; s < loader->slots; s++) {
        slot *one = &loader->ring[s];
        MQ_TRY(mq_alloc(batch, bytes, "a batch of images", &one->images, error));
        MQ_TRY(mq_alloc(batch, sizeof *one->labels, "a batch of labels", &one->labels, error));
        MQ_TRY(mq_alloc(batch, sizeof *one->samples, "a batch of indices", &one->samples, error));
    }
    return MQ_OK;
}

/* The new thread inherits a mask of all signals, so they go to the caller's threads. */
static mq_status start_thread(mq_loader *loader, mq_error *error) {
    loader->has_mutex = pthread_mutex_init(&loader->mutex, NULL) == 0;
    loader->has_wanted = pthread_cond_init(&loader->wanted, NULL) == 0;
    loader->has_ready = pthread_cond_init(&loader->ready, NULL) == 0;
    if (loader->has_mutex && loader->has_wanted && loader->has_ready) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        loader->started = pthread_create(&loader->thread, NULL, produce, loader) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return loader->started ? MQ_OK : mq_fail(error, MQ_INTERNAL, "loader: the system gave no thread");
}

mq_status mq_loader_start(const mq_dataset *dataset, const mq_loader_options *options, mq_loader **out,
                          mq_error *error) {
    *out = NULL;
    MQ_TRY(check(dataset, options, error));
    mq_loader *loader;
    MQ_TRY(mq_alloc(1, sizeof *loader, "a loader", &loader, error));
    size_t batch = (size_t)options->batch;
    loader->dataset = dataset;
    loader->options = *options;
    loader->batches = dataset->count / batch + (!options->drop_last && dataset->count % batch ? 1 : 0);
    size_t ahead = options->ahead ? (size_t)options->ahead : AHEAD;
    if (ahead > loader->batches) ahead = loader->batches;
    loader->slots = ahead + 1; /* and the one in the caller's hands */
    mq_status status = allocate(loader, error);
    if (status == MQ_OK) status = start_thread(loader, error);
    if (status != MQ_OK) {
        mq_loader_stop(loader);
        return status;
    }
    *out = loader;
    return MQ_OK;
}

size_t mq_loader_batches(const mq_loader *loader) {
    return loader->batches;
}

void mq_loader_epoch(mq_loader *loader, uint64_t epoch) {
    pthread_mutex_lock(&loader->mutex);
    loader->round++;
    loader->epoch = epoch;
    loader->filled = loader->taken = 0;
    pthread_cond_signal(&loader->wanted);
    pthread_mutex_unlock(&loader->mutex);
}

const mq_batch *mq_loader_next(mq_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    if (!loader->round || loader->taken == loader->batches) {
        pthread_mutex_unlock(&loader->mutex);
        return NULL;
    }
    if (loader->filled == loader->taken) {
        double begin = now();
        while (loader->filled == loader->taken) pthread_cond_wait(&loader->ready, &loader->mutex);
        loader->stats.waits++;
        loader->stats.wait_seconds += now() - begin;
    }
    size_t number = loader->taken++;
    loader->stats.batches++;
    pthread_cond_signal(&loader->wanted);
    pthread_mutex_unlock(&loader->mutex);
    const slot *from = &loader->ring[number % loader->slots];
    loader->batch = (mq_batch){.images = from->images,
                               .labels = from->labels,
                               .samples = from->samples,
                               .count = from->count,
                               .number = number};
    return &loader->batch;
}

mq_loader_stats mq_loader_stats_get(mq_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    mq_loader_stats stats = loader->stats;
    pthread_mutex_unlock(&loader->mutex);
    return stats;
}

void mq_loader_stop(mq_loader *loader) {
    if (!loader) return;
    if (loader->started) {
        pthread_mutex_lock(&loader->mutex);
        loader->ending = true;
        pthread_cond_signal(&loader->wanted);
        pthread_mutex_unlock(&loader->mutex);
        pthread_join(loader->thread, NULL);
    }
    if (loader->has_ready) pthread_cond_destroy(&loader->ready);
    if (loader->has_wanted) pthread_cond_destroy(&loader->wanted);
    if (loader->has_mutex) pthread_mutex_destroy(&loader->mutex);
    for (size_t s = 0; loader->ring && s < loader->slots; s++) {
        mq_free(loader->ring[s].images);
        mq_free(loader->ring[s].labels);
        mq_free(loader->ring[s].samples);
    }
    mq_free(loader->ring);
    mq_free(loader->order);
    mq_free(loader);
}
