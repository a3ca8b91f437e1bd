/* loader.c - worker threads, a ring of buffers, a mutex and two conditions.
 *
 * Every mq_loader_epoch starts a new round. Workers claim runs of samples in order; batch n lives in slot n %
 * slots and may be claimed while n - taken < slots - 1: the slot of the batch in the caller's hands (taken -
 * 1) is never written. A new round begins when the workers have left the old one, whose batches are thrown
 * away. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/share.h"
#include "data/warp.h"

enum { AHEAD = 4, THREADS_USUAL = 4, RUN_BYTES = 1 << 16, UNWARPED = MQ_SCRATCH_OWN, ROWS };

typedef struct slot {
    uint8_t *images;
    int32_t *labels;    /* classification */
    mq_target *targets; /* detection: [batch][most]; compacted to the front when handed out */
    uint32_t *kept;     /* [batch] targets of each image that are there */
    uint32_t *samples;
    size_t first;       /* of the batch's samples: those before are other shares' */
    size_t count, left; /* samples; of these not ready */
    size_t damaged;
} slot;

typedef struct worker {
    mq_loader *loader;
    pthread_t thread;
    mq_data_scratch scratch;
} worker;

struct mq_loader {
    const mq_dataset *dataset;
    mq_loader_options options;
    size_t batches;      /* in an epoch */
    size_t most_samples; /* of a share of a batch */
    size_t run;          /* samples claimed at once */
    slot *ring;
    size_t slots;
    mq_batch batch; /* what the caller sees */

    size_t *first; /* [dataset count + 1] where the targets of each image begin; detection */
    size_t most;   /* targets of one image at most */

    uint32_t *order; /* [dataset count] of the active round */
    worker *workers;
    int started;

    bool has_mutex, has_wanted, has_ready;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wanted; /* to the workers: room, a new round, or the end */
    pthread_cond_t ready;  /* to the caller: a batch was filled, or a failure */
    bool ending;
    uint64_t round; /* wanted; 0 = no epoch yet */
    uint64_t epoch;
    uint64_t active; /* the round being worked on */
    uint64_t active_epoch;
    size_t busy;         /* workers outside the mutex */
    size_t number, item; /* next to be claimed */
    size_t taken;
    uint8_t *seen; /* [dataset count] known as damaged */
    uint64_t reported;
    mq_error first_damage, failure;
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

/* Item i of the slot: a sample of a classification set. */
static void fill_labelled(mq_loader *loader, slot *to, size_t i, uint64_t epoch) {
    const mq_dataset *set = loader->dataset;
    const mq_augment *augment = &loader->options.augment;
    uint32_t sample = to->samples[i];
    size_t bytes = mq_dataset_image_bytes(set);
    const uint8_t *in = set->images + sample * bytes;
    uint8_t *out = to->images + i * bytes;
    to->labels[i] = set->labels[sample];
    if (!augment->pad && !augment->flip)
        memcpy(out, in, bytes);
    else
        mq_augment_apply(mq_augment_choose(augment, loader->options.seed, epoch, sample), set->height,
                         set->width, set->channels, in, out);
}

/* The same of a detection set. */
static mq_status fill_detected(mq_loader *loader, slot *to, size_t i, uint64_t epoch,
                               mq_data_scratch *scratch, mq_error *error) {
    const mq_dataset *set = loader->dataset;
    uint32_t sample = to->samples[i];
    size_t bytes = mq_dataset_image_bytes(set);
    uint8_t *out = to->images + i * bytes, *image = out;
    mq_target *targets = to->targets + i * loader->most;
    mq_warp warp = mq_warp_choose(&loader->options.augment, loader->options.seed, epoch, sample, set->height,
                                  set->width);
    to->kept[i] = 0;
    if (warp.moves || warp.colours) MQ_TRY(mq_scratch_need(scratch, UNWARPED, bytes, &image, error));
    mq_status status = mq_dataset_image(set, sample, scratch, image, error);
    if (status != MQ_OK) {
        memset(out, MQ_WARP_BORDER, bytes);
        return status;
    }
    if (image != out)
        MQ_TRY(mq_warp_image(&warp, set->height, set->width, set->channels, set->order, image, scratch, ROWS,
                             out, error));
    for (size_t t = loader->first[sample]; t < loader->first[sample + 1]; t++) {
        mq_target *target = &targets[to->kept[i]];
        *target = set->targets[t];
        target->image = (int32_t)i;
        if (mq_warp_box(&warp, set->height, set->width, &set->targets[t].box, &target->box)) to->kept[i]++;
    }
    return MQ_OK;
}

static void note_damage(mq_loader *loader, slot *to, uint32_t sample, const mq_error *error) {
    pthread_mutex_lock(&loader->mutex);
    to->damaged++;
    if (!loader->seen[sample]) {
        loader->seen[sample] = 1;
        if (loader->stats.damaged++ == 0) loader->first_damage = *error;
    }
    pthread_mutex_unlock(&loader->mutex);
}

/* Samples first..first+count-1 of batch `number`. */
static mq_status fill(mq_loader *loader, size_t number, size_t first, size_t count, uint64_t epoch,
                      mq_data_scratch *scratch, mq_error *error) {
    const mq_dataset *set = loader->dataset;
    slot *to = &loader->ring[number % loader->slots];
    size_t batch = (size_t)loader->options.batch, bytes = mq_dataset_image_bytes(set);
    for (size_t i = first; i < first + count; i++) {
        to->samples[i] = loader->order[number * batch + to->first + i];
        if (set->task == MQ_DATA_CLASSIFY) {
            fill_labelled(loader, to, i, epoch);
            continue;
        }
        mq_status status = fill_detected(loader, to, i, epoch, scratch, error);
        if (status != MQ_OK && (status != MQ_BAD_INPUT || loader->options.strict)) return status;
        if (status != MQ_OK) note_damage(loader, to, to->samples[i], error);
    }
    if (first + count == to->count) { /* what follows the last sample */
        memset(to->images + to->count * bytes, 0, (loader->most_samples - to->count) * bytes);
        for (size_t i = to->count; i < loader->most_samples && to->labels; i++) to->labels[i] = -1;
    }
    return MQ_OK;
}

/* With the mutex held, and no worker busy. */
static void begin_round(mq_loader *loader) {
    uint64_t round = loader->round, epoch = loader->epoch;
    loader->busy++;
    pthread_mutex_unlock(&loader->mutex);
    double begin = now();
    order_samples(loader, epoch);
    double seconds = now() - begin;
    pthread_mutex_lock(&loader->mutex);
    loader->busy--;
    loader->stats.work_seconds += seconds;
    loader->active = round;
    loader->active_epoch = epoch;
    loader->number = loader->item = 0;
    pthread_cond_broadcast(&loader->wanted);
}

/* Samples of all shares of a batch. */
static size_t batch_total(const mq_loader *loader, size_t number) {
    size_t batch = (size_t)loader->options.batch, rest = loader->dataset->count - number * batch;
    return rest < batch ? rest : batch;
}

/* With the mutex held: claims a run of samples, fills it, and says so. */
static void work(mq_loader *loader, mq_data_scratch *scratch) {
    size_t number = loader->number, first = loader->item;
    uint64_t epoch = loader->active_epoch;
    slot *to = &loader->ring[number % loader->slots];
    if (first == 0) {
        const mq_loader_options *o = &loader->options;
        size_t total = batch_total(loader, number);
        to->first = mq_share(total, o->share, o->shares);
        to->count = to->left = mq_share(total, o->share + 1, o->shares) - to->first;
        to->damaged = 0;
    }
    size_t count = to->count - first < loader->run ? to->count - first : loader->run;
    loader->item += count;
    if (loader->item == to->count) {
        loader->number++;
        loader->item = 0;
    }
    loader->busy++;
    pthread_mutex_unlock(&loader->mutex);
    mq_error error = {0};
    double begin = now();
    mq_status status = fill(loader, number, first, count, epoch, scratch, &error);
    double seconds = now() - begin;
    pthread_mutex_lock(&loader->mutex);
    loader->busy--;
    loader->stats.work_seconds += seconds;
    to->left -= count;
    if (status != MQ_OK && loader->failure.status == MQ_OK) {
        loader->failure = error;
        loader->failure.status = status;
    }
    if (to->left == 0 || status != MQ_OK) pthread_cond_signal(&loader->ready);
    if (loader->busy == 0 && loader->round != loader->active) pthread_cond_broadcast(&loader->wanted);
}

static void *serve(void *argument) {
    worker *self = argument;
    mq_loader *loader = self->loader;
    pthread_mutex_lock(&loader->mutex);
    while (!loader->ending) {
        if (loader->round != loader->active && loader->busy == 0)
            begin_round(loader);
        else if (loader->round == loader->active && loader->round && loader->failure.status == MQ_OK &&
                 loader->number < loader->batches && loader->number - loader->taken < loader->slots - 1)
            work(loader, &self->scratch);
        else
            pthread_cond_wait(&loader->wanted, &loader->mutex);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

static mq_status check(const mq_dataset *dataset, const mq_loader_options *options, mq_error *error) {
    if (options->batch < 1 || options->batch > MQ_LOADER_BATCH)
        return mq_fail(error, MQ_USAGE, "loader: batch: got %d, expected 1..%d", options->batch,
                       MQ_LOADER_BATCH);
    if (options->shares < 0 || options->share < 0 ||
        options->share >= (options->shares ? options->shares : 1))
        return mq_fail(error, MQ_USAGE, "loader: share: got %d of %d", options->share, options->shares);
    if (options->ahead < 0 || options->ahead > MQ_LOADER_AHEAD)
        return mq_fail(error, MQ_USAGE, "loader: batches ahead: got %d, expected 0..%d", options->ahead,
                       MQ_LOADER_AHEAD);
    if (options->threads < 0 || options->threads > MQ_LOADER_THREADS)
        return mq_fail(error, MQ_USAGE, "loader: threads: got %d, expected 0..%d", options->threads,
                       MQ_LOADER_THREADS);
    if (options->drop_last && (size_t)options->batch > dataset->count)
        return mq_fail(
            error, MQ_USAGE,
            "loader: batch: got %d, expected at most the %zu samples of %s when a part batch is left out",
            options->batch, dataset->count, dataset->name);
    const mq_augment *a = &options->augment;
    MQ_TRY(mq_augment_check(a, error));
    bool warps = a->rotate > 0 || a->scale > 0 || a->translate > 0 || a->shear > 0 || a->hue > 0 ||
                 a->saturation > 0 || a->value > 0;
    if (dataset->task == MQ_DATA_CLASSIFY ? warps : a->pad > 0)
        return mq_fail(error, MQ_USAGE, "loader: augmentation: got %s for %s, expected that of a %s set",
                       warps ? "that of detectors" : "padding", dataset->name,
                       dataset->task == MQ_DATA_CLASSIFY ? "classification" : "detection");
    return MQ_OK;
}

/* Where each image's targets begin, and how many an image has at most. */
static mq_status index_targets(mq_loader *loader, mq_error *error) {
    const mq_dataset *set = loader->dataset;
    MQ_TRY(mq_alloc(set->count + 1, sizeof *loader->first, "the index of objects", &loader->first, error));
    size_t t = 0;
    for (size_t i = 0; i < set->count; i++) {
        loader->first[i] = t;
        while (t < set->target_count && set->targets[t].image == (int32_t)i) t++;
        if (t - loader->first[i] > loader->most) loader->most = t - loader->first[i];
    }
    loader->first[set->count] = t;
    if (t != set->target_count)
        return mq_fail(error, MQ_INTERNAL, "data set %s: objects are not by rising image", set->name);
    return MQ_OK;
}

static mq_status allocate(mq_loader *loader, mq_error *error) {
    const mq_dataset *set = loader->dataset;
    bool detect = set->task == MQ_DATA_DETECT;
    size_t batch = loader->most_samples, bytes = mq_dataset_image_bytes(set);
    MQ_TRY(mq_alloc(set->count, sizeof *loader->order, "the order of samples", &loader->order, error));
    for (size_t i = 0; i < set->count; i++) loader->order[i] = (uint32_t)i;
    MQ_TRY(mq_alloc(set->count, 1, "marks of samples", &loader->seen, error));
    if (detect) MQ_TRY(index_targets(loader, error));
    MQ_TRY(mq_alloc(loader->slots, sizeof *loader->ring, "the loader's ring", &loader->ring, error));
    for (size_t s = 0; s < loader->slots; s++) {
        slot *one = &loader->ring[s];
        MQ_TRY(mq_alloc(batch, bytes, "a batch of images", &one->images, error));
        MQ_TRY(mq_alloc(batch, sizeof *one->samples, "a batch of indices", &one->samples, error));
        if (detect) {
            MQ_TRY(mq_alloc(batch * loader->most, sizeof *one->targets, "a batch of objects", &one->targets,
                            error));
            MQ_TRY(mq_alloc(batch, sizeof *one->kept, "a batch of counts", &one->kept, error));
        } else {
            MQ_TRY(mq_alloc(batch, sizeof *one->labels, "a batch of labels", &one->labels, error));
        }
    }
    return MQ_OK;
}

/* The new threads inherit a mask of all signals, so they go to the caller's threads. */
static mq_status start_threads(mq_loader *loader, int threads, mq_error *error) {
    MQ_TRY(
        mq_alloc((size_t)threads, sizeof *loader->workers, "the loader's threads", &loader->workers, error));
    loader->has_mutex = pthread_mutex_init(&loader->mutex, NULL) == 0;
    loader->has_wanted = pthread_cond_init(&loader->wanted, NULL) == 0;
    loader->has_ready = pthread_cond_init(&loader->ready, NULL) == 0;
    if (loader->has_mutex && loader->has_wanted && loader->has_ready) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        for (int i = 0; i < threads; i++) {
            loader->workers[i].loader = loader;
            if (pthread_create(&loader->workers[i].thread, NULL, serve, &loader->workers[i]) != 0) break;
            loader->started++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return loader->started == threads ? MQ_OK
                                      : mq_fail(error, MQ_INTERNAL, "loader: the system gave no thread");
}

static int choose_threads(const mq_dataset *dataset, int wanted) {
    if (wanted) return wanted;
    if (dataset->task == MQ_DATA_CLASSIFY) return 1;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > THREADS_USUAL ? THREADS_USUAL : (int)cores;
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
    loader->options.strict |= dataset->strict;
    if (!options->shares) loader->options.shares = 1;
    loader->most_samples = mq_share_most(batch, loader->options.shares);
    loader->batches = dataset->count / batch + (!options->drop_last && dataset->count % batch ? 1 : 0);
    loader->run = RUN_BYTES / mq_dataset_image_bytes(dataset);
    if (loader->run < 1) loader->run = 1;
    size_t ahead = options->ahead ? (size_t)options->ahead : AHEAD;
    if (ahead > loader->batches) ahead = loader->batches;
    loader->slots = ahead + 1; /* and the one in the caller's hands */
    mq_status status = allocate(loader, error);
    if (status == MQ_OK) status = start_threads(loader, choose_threads(dataset, options->threads), error);
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
    loader->taken = 0;
    pthread_cond_broadcast(&loader->wanted);
    pthread_mutex_unlock(&loader->mutex);
}

static bool is_ready(const mq_loader *loader, size_t number) {
    return loader->active == loader->round && loader->number > number &&
           loader->ring[number % loader->slots].left == 0;
}

/* One line at the end of an epoch in which damaged images turned up that were not reported. */
static void report_damage(mq_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    uint64_t damaged = loader->stats.damaged;
    pthread_mutex_unlock(&loader->mutex);
    if (damaged == loader->reported) return;
    loader->reported = damaged;
    mq_log(MQ_LOG_WARN, "data set %s: %llu damaged images were taken as grey without objects; the first: %s",
           loader->dataset->name, (unsigned long long)damaged, loader->first_damage.text);
}

/* Moves the targets that are there to the front. */
static size_t gather_targets(const mq_loader *loader, slot *from) {
    size_t count = 0;
    for (size_t i = 0; from->targets && i < from->count; i++) {
        memmove(from->targets + count, from->targets + i * loader->most,
                from->kept[i] * sizeof *from->targets);
        count += from->kept[i];
    }
    return count;
}

const mq_batch *mq_loader_next(mq_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    if (!loader->round || loader->taken == loader->batches || loader->failure.status != MQ_OK) {
        bool ended = loader->round && loader->taken == loader->batches;
        pthread_mutex_unlock(&loader->mutex);
        if (ended) report_damage(loader);
        return NULL;
    }
    if (!is_ready(loader, loader->taken)) {
        double begin = now();
        while (!is_ready(loader, loader->taken) && loader->failure.status == MQ_OK)
            pthread_cond_wait(&loader->ready, &loader->mutex);
        loader->stats.waits++;
        loader->stats.wait_seconds += now() - begin;
    }
    if (loader->failure.status != MQ_OK) {
        pthread_mutex_unlock(&loader->mutex);
        return NULL;
    }
    size_t number = loader->taken++;
    loader->stats.batches++;
    pthread_cond_broadcast(&loader->wanted);
    pthread_mutex_unlock(&loader->mutex);
    slot *from = &loader->ring[number % loader->slots];
    loader->batch = (mq_batch){.images = from->images,
                               .labels = from->labels,
                               .targets = from->targets,
                               .target_count = gather_targets(loader, from),
                               .samples = from->samples,
                               .damaged = from->damaged,
                               .count = from->count,
                               .total = batch_total(loader, number),
                               .number = number};
    return &loader->batch;
}

mq_status mq_loader_status(mq_loader *loader, mq_error *error) {
    pthread_mutex_lock(&loader->mutex);
    mq_error failure = loader->failure;
    pthread_mutex_unlock(&loader->mutex);
    if (failure.status != MQ_OK && error) *error = failure;
    return failure.status;
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
        pthread_cond_broadcast(&loader->wanted);
        pthread_mutex_unlock(&loader->mutex);
    }
    for (int i = 0; i < loader->started; i++) {
        pthread_join(loader->workers[i].thread, NULL);
        mq_scratch_free(&loader->workers[i].scratch);
    }
    if (loader->has_ready) pthread_cond_destroy(&loader->ready);
    if (loader->has_wanted) pthread_cond_destroy(&loader->wanted);
    if (loader->has_mutex) pthread_mutex_destroy(&loader->mutex);
    for (size_t s = 0; loader->ring && s < loader->slots; s++) {
        slot *one = &loader->ring[s];
        mq_free(one->images);
        mq_free(one->labels);
        mq_free(one->targets);
        mq_free(one->kept);
        mq_free(one->samples);
    }
    mq_free(loader->ring);
    mq_free(loader->workers);
    mq_free(loader->first);
    mq_free(loader->seen);
    mq_free(loader->order);
    mq_free(loader);
}
