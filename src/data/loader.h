/* loader.h - background threads that prepare batches ahead of the trainer.
 *
 * Shuffling, reading or drawing, and augmenting happen in threads that fill a ring of preallocated buffers
 * while the trainer computes. What a batch holds is a pure function of (data set, options, epoch, batch
 * number), whatever the timing and the number of threads.
 *
 *     mq_loader_start(dataset, &options, &loader, error);
 *     for (epoch ...) {
 *         mq_loader_epoch(loader, epoch);
 *         for (const mq_batch *batch; (batch = mq_loader_next(loader));) step(batch);
 *     }
 *     mq_loader_status(loader, error);
 *     mq_loader_stop(loader);
 *
 * An image whose file is damaged is given as grey without objects, counted, and named in one warning per
 * epoch; with `strict`, here or of the data set, it ends the epoch, and mq_loader_status says why.
 *
 * All calls on one loader come from one thread. The threads block all signals, so Ctrl-C reaches the caller.
 */
#ifndef MIXQ_DATA_LOADER_H
#define MIXQ_DATA_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/augment.h"
#include "data/dataset.h"

enum { MQ_LOADER_BATCH = 1 << 16, MQ_LOADER_AHEAD = 64, MQ_LOADER_THREADS = 64 }; /* at most */

typedef struct mq_loader_options {
    int batch; /* images per batch, 1..MQ_LOADER_BATCH */
    /* Of every batch only share `share` of `shares` (share.h) is prepared and handed out; 0 shares = 1. */
    int share, shares;
    uint64_t seed;      /* of the streams "shuffle" and "augment" */
    mq_augment augment; /* {0} = none */
    bool shuffle;       /* a new permutation every epoch; else file order */
    bool drop_last;     /* leave out a last batch that is not full */
    bool strict;        /* fail at the first damaged image; so it does for a strict data set */
    int ahead;          /* batches prepared ahead, 1..MQ_LOADER_AHEAD; 0 = 4 */
    int threads;        /* 1..MQ_LOADER_THREADS; 0 = one, for detection sets one per core but at most 4 */
} mq_loader_options;

/* Buffers have room for the options.batch samples (of several shares, the largest one's), here batch; those
 * from count on are zero (labels -1). */
typedef struct mq_batch {
    const uint8_t *images;    /* [batch][height][width][channels] */
    const int32_t *labels;    /* [batch]; NULL for a detection set */
    const mq_target *targets; /* [target_count] of a detection set, by rising image (index in the batch) */
    size_t target_count;      /* an augmented image may have lost its object */
    const uint32_t *samples;  /* [count] index of each sample in the data set */
    size_t damaged;           /* images of this batch that could not be read */
    size_t count;             /* valid samples, 1..batch; only the last of an epoch may be smaller. Of
                               * several shares any may be smaller by one, and 0 */
    size_t total;             /* samples of all shares; 0 = count */
    size_t target_total;      /* targets of all shares; 0 = target_count, which the loader leaves it at */
    size_t number;            /* 0.. in the epoch */
} mq_batch;

/* How well the loader keeps up, since the start. */
typedef struct mq_loader_stats {
    uint64_t batches;    /* handed out */
    uint64_t waits;      /* of these, not ready when asked for (the first of an epoch usually is not) */
    double wait_seconds; /* the caller was blocked */
    double work_seconds; /* the loader's threads were preparing batches, summed over them */
    uint64_t damaged;    /* different images that could not be read */
} mq_loader_stats;

typedef struct mq_loader mq_loader;

/* dataset is borrowed until mq_loader_stop. MQ_USAGE for options out of range, or when drop_last leaves no
 * batch. */
mq_status mq_loader_start(const mq_dataset *dataset, const mq_loader_options *options, mq_loader **out,
                          mq_error *error) MQ_MUST_CHECK;
/* Batches in every epoch. */
size_t mq_loader_batches(const mq_loader *loader);
/* Begins epoch number `epoch` at its first batch, also in the middle of another one. The batch that was
 * handed out last becomes invalid. */
void mq_loader_epoch(mq_loader *loader, uint64_t epoch);
/* The next batch, waiting until it is ready; NULL at the end of the epoch, before the first, or after a
 * failure. The batch is valid until the next call of mq_loader_next, _epoch or _stop. */
const mq_batch *mq_loader_next(mq_loader *loader);
/* MQ_OK, or what ended the epoch early: MQ_BAD_INPUT for a damaged image under `strict`, MQ_INTERNAL. */
mq_status mq_loader_status(mq_loader *loader, mq_error *error) MQ_MUST_CHECK;
mq_loader_stats mq_loader_stats_get(mq_loader *loader);
/* Ends the threads at any time and releases everything; NULL is fine. */
void mq_loader_stop(mq_loader *loader);

#endif
