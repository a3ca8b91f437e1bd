/* rank_threads.h - ranks as threads of the test, so that what several processes do can be tested in one.
 *
 * Nothing in a rank's function may fail a test: it would leave the others waiting. They give up after a
 * while. */
#ifndef MIXQ_TESTS_RANK_THREADS_H
#define MIXQ_TESTS_RANK_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "ranks/transport.h"

enum { RANK_THREADS = 8, RANK_PATIENCE = 60 /* seconds */ };

typedef struct rank_place {
    pthread_mutex_t mutex;
    pthread_cond_t all_here;
    int count, arrived;
    unsigned long meeting;
    const void *shown[RANK_THREADS]; /* what each rank lets the others read */
} rank_place;

typedef struct rank_thread {
    rank_place *place;
    int number;
    struct {
        float *values;
        size_t piece;
    } sum[MQ_RANKS_SUMS];
    int sums;
    bool closed;
    mq_ranks *ranks;
    void (*fn)(void *context, mq_ranks *ranks);
    void *context;
    pthread_t thread;
} rank_thread;

static inline mq_status rank_meet(rank_thread *t, mq_error *error) {
    rank_place *p = t->place;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += RANK_PATIENCE;
    int code = 0;
    pthread_mutex_lock(&p->mutex);
    const unsigned long meeting = p->meeting;
    if (++p->arrived == p->count) {
        p->arrived = 0;
        p->meeting++;
        pthread_cond_broadcast(&p->all_here);
    }
    while (p->meeting == meeting && code == 0) code = pthread_cond_timedwait(&p->all_here, &p->mutex, &end);
    pthread_mutex_unlock(&p->mutex);
    return code ? mq_fail(error, MQ_INTERNAL, "rank %d waits in vain", t->number) : MQ_OK;
}

static inline mq_status rank_gather(void *self, const void *own, size_t bytes, void *all, mq_error *error) {
    rank_thread *t = self;
    t->place->shown[t->number] = own;
    MQ_TRY(rank_meet(t, error));
    for (int r = 0; r < t->place->count; r++)
        memcpy((char *)all + (size_t)r * bytes, t->place->shown[r], bytes);
    return rank_meet(t, error);
}

static inline mq_status rank_broadcast(void *self, void *data, size_t bytes, mq_error *error) {
    rank_thread *t = self;
    t->place->shown[t->number] = data;
    MQ_TRY(rank_meet(t, error));
    if (t->number) memcpy(data, t->place->shown[0], bytes);
    return rank_meet(t, error);
}

static inline mq_status rank_start(void *self, float *values, size_t piece, mq_error *error) {
    rank_thread *t = self;
    if (t->sums == MQ_RANKS_SUMS) return mq_fail(error, MQ_INTERNAL, "too many sums");
    t->sum[t->sums].values = values;
    t->sum[t->sums++].piece = piece;
    return MQ_OK;
}

static inline mq_status rank_poll(void *self, mq_error *error) {
    (void)self;
    (void)error;
    return MQ_OK;
}

static inline mq_status rank_finish(void *self, mq_error *error) {
    rank_thread *t = self;
    const int count = t->place->count;
    for (int i = 0; i < t->sums; i++) {
        float *values = t->sum[i].values, *pieces;
        const size_t piece = t->sum[i].piece, own = (size_t)t->number * piece;
        MQ_TRY(mq_alloc((size_t)count * piece, sizeof(float), "test", &pieces, error));
        t->place->shown[t->number] = values;
        MQ_TRY(rank_meet(t, error));
        for (int r = 0; r < count; r++)
            memcpy(pieces + (size_t)r * piece, (const float *)t->place->shown[r] + own,
                   piece * sizeof(float));
        MQ_TRY(rank_meet(t, error));
        mq_ranks_add_pieces(pieces, count, piece, values + own);
        mq_free(pieces);
        MQ_TRY(rank_meet(t, error));
        for (int r = 0; r < count; r++)
            if (r != t->number)
                memcpy(values + (size_t)r * piece, (const float *)t->place->shown[r] + (size_t)r * piece,
                       piece * sizeof(float));
        MQ_TRY(rank_meet(t, error));
    }
    t->sums = 0;
    return MQ_OK;
}

static inline void rank_close(void *self, mq_status status, bool agreed) {
    (void)status;
    ((rank_thread *)self)->closed = agreed;
}

static inline int rank_cores(void *self) {
    (void)self;
    return 1;
}

static inline void *rank_serve(void *argument) {
    rank_thread *t = argument;
    mq_threads_set(1);
    t->fn(t->context, t->ranks);
    return NULL;
}

/* Runs fn(context[r], rank r) for r = 0..count-1, each in its thread, and waits for all. */
static inline void rank_threads(int count, void (*fn)(void *context, mq_ranks *ranks), void *const *context) {
    static const mq_transport transport = {rank_gather, rank_broadcast, rank_start, rank_poll,
                                           rank_finish, rank_close,     rank_cores};
    rank_place place = {
        .mutex = PTHREAD_MUTEX_INITIALIZER, .all_here = PTHREAD_COND_INITIALIZER, .count = count};
    static rank_thread all[RANK_THREADS];
    for (int r = 0; r < count; r++) {
        mq_ranks *ranks;
        all[r] = (rank_thread){.place = &place, .number = r, .fn = fn, .context = context[r]};
        if (mq_ranks_create(&transport, &all[r], r, count, &ranks, NULL) != MQ_OK) return;
        all[r].ranks = ranks;
    }
    for (int r = 0; r < count; r++) pthread_create(&all[r].thread, NULL, rank_serve, &all[r]);
    for (int r = 0; r < count; r++) pthread_join(all[r].thread, NULL);
    for (int r = 0; r < count; r++) mq_ranks_close(all[r].ranks, MQ_OK);
}

#endif
