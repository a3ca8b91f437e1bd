/* ranks.c - what does not depend on how messages travel. */
#include "ranks/transport.h"

#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"

struct mq_ranks {
    const mq_transport *transport;
    void *self;
    int number, count;
    bool agreed, working;
    double *gathered; /* [count][room] */
    size_t room;
    mq_ranks_stats stats;
};

mq_status mq_ranks_create(const mq_transport *transport, void *self, int number, int count, mq_ranks **out,
                          mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof **out, "the ranks", out, error));
    **out = (mq_ranks){.transport = transport, .self = self, .number = number, .count = count};
    return MQ_OK;
}

const char *mq_ranks_library(void) {
#ifdef MIXQ_MPI
    return mq_mpi_library();
#else
    return NULL;
#endif
}

/* Of the launchers' variables only those that count processes or name this one's place among them: the
 * program may be started by hand in a shell of a job. */
static bool launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return true;
    return false;
}

mq_status mq_ranks_open(mq_ranks **out, mq_error *error) {
    *out = NULL;
    if (!launched()) return MQ_OK;
#ifdef MIXQ_MPI
    return mq_mpi_open(out, error);
#else
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (!size) size = getenv("PMI_SIZE");
    if (!size || atoi(size) < 2) return MQ_OK;
    return mq_fail(error, MQ_USAGE,
                   "%s processes were launched to train together, and this program is built without MPI: "
                   "build it with -DMIXQ_MPI=ON, or start one process",
                   size);
#endif
}

void mq_ranks_close(mq_ranks *ranks, mq_status status) {
    if (!ranks) return;
    ranks->transport->close(ranks->self, status, status == MQ_OK || ranks->agreed);
    mq_free(ranks->gathered);
    mq_free(ranks);
}

int mq_ranks_count(const mq_ranks *ranks) {
    return ranks ? ranks->count : 1;
}

int mq_ranks_number(const mq_ranks *ranks) {
    return ranks ? ranks->number : 0;
}

bool mq_ranks_first(const mq_ranks *ranks) {
    return mq_ranks_number(ranks) == 0;
}

int mq_ranks_threads(const mq_ranks *ranks) {
    return ranks ? ranks->transport->threads(ranks->self) : 0;
}

mq_ranks_stats mq_ranks_stats_get(const mq_ranks *ranks) {
    return ranks ? ranks->stats : (mq_ranks_stats){0};
}

mq_status mq_ranks_gather(mq_ranks *ranks, const void *own, size_t bytes, void *all, mq_error *error) {
    if (!ranks) {
        memcpy(all, own, bytes);
        return MQ_OK;
    }
    const double start = mq_seconds();
    const mq_status status = ranks->transport->gather(ranks->self, own, bytes, all, error);
    ranks->stats.blocked += mq_seconds() - start;
    return status;
}

mq_status mq_ranks_broadcast(mq_ranks *ranks, void *data, size_t bytes, mq_error *error) {
    if (!ranks || bytes == 0) return MQ_OK;
    return ranks->transport->broadcast(ranks->self, data, bytes, error);
}

mq_status mq_ranks_sum(mq_ranks *ranks, double *values, size_t count, mq_error *error) {
    if (!ranks || count == 0) return MQ_OK;
    if (count > ranks->room) {
        mq_free(ranks->gathered);
        ranks->gathered = NULL;
        ranks->room = 0;
        MQ_TRY(mq_alloc(count * (size_t)ranks->count, sizeof(double), "the ranks' sums", &ranks->gathered,
                        error));
        ranks->room = count;
    }
    ranks->stats.summed += count * sizeof *values;
    ranks->stats.sums++;
    MQ_TRY(mq_ranks_gather(ranks, values, count * sizeof *values, ranks->gathered, error));
    memcpy(values, ranks->gathered, count * sizeof *values);
    for (int r = 1; r < ranks->count; r++) {
        const double *from = ranks->gathered + (size_t)r * count;
        for (size_t i = 0; i < count; i++) values[i] += from[i];
    }
    return MQ_OK;
}

/* What a rank brings to an agreement. */
typedef struct word {
    int32_t status;
    char text[MQ_ERROR_TEXT];
} word;

mq_status mq_ranks_agree(mq_ranks *ranks, mq_status own, mq_error *error) {
    if (!ranks || ranks->agreed) return own;
    word mine = {.status = own}, *all;
    mq_error none;
    if (!error) error = &none;
    if (own != MQ_OK) memcpy(mine.text, error->text, sizeof mine.text);
    MQ_TRY(mq_alloc((size_t)ranks->count, sizeof *all, "an agreement", &all, error));
    mq_status status = mq_ranks_gather(ranks, &mine, sizeof mine, all, error);
    for (int r = 0; r < ranks->count && status == MQ_OK; r++) {
        if (all[r].status == MQ_OK) continue;
        ranks->agreed = true;
        all[r].text[MQ_ERROR_TEXT - 1] = 0;
        status = r ? mq_fail(error, (mq_status)all[r].status, "rank %d: %s", r, all[r].text)
                   : mq_fail(error, (mq_status)all[r].status, "%s", all[r].text);
    }
    mq_free(all);
    return status;
}

mq_status mq_ranks_leave(mq_ranks *ranks, mq_status status, mq_error *error) {
    if (!ranks || ranks->agreed || ranks->working) return status;
    return mq_ranks_agree(ranks, status, error);
}

void mq_ranks_work(mq_ranks *ranks, bool under_way) {
    if (ranks) ranks->working = under_way;
}

bool mq_ranks_agreed(const mq_ranks *ranks) {
    return ranks && ranks->agreed;
}

size_t mq_ranks_room(const mq_ranks *ranks, size_t count) {
    const size_t ranks_all = (size_t)mq_ranks_count(ranks);
    return (count + ranks_all - 1) / ranks_all * ranks_all;
}

mq_status mq_ranks_sum_start(mq_ranks *ranks, float *values, size_t count, mq_error *error) {
    if (!ranks || count == 0) return MQ_OK;
    const size_t room = mq_ranks_room(ranks, count);
    memset(values + count, 0, (room - count) * sizeof *values);
    ranks->stats.started += count * sizeof *values;
    return ranks->transport->start(ranks->self, values, room / (size_t)ranks->count, error);
}

mq_status mq_ranks_sum_poll(mq_ranks *ranks, mq_error *error) {
    return ranks ? ranks->transport->poll(ranks->self, error) : MQ_OK;
}

mq_status mq_ranks_sum_finish(mq_ranks *ranks, mq_error *error) {
    if (!ranks) return MQ_OK;
    const double start = mq_seconds();
    const mq_status status = ranks->transport->finish(ranks->self, error);
    ranks->stats.finish += mq_seconds() - start;
    return status;
}

void mq_ranks_add_pieces(const float *pieces, int ranks, size_t count, float *sum) {
    for (size_t i = 0; i < count; i++) {
        double all = 0;
        for (int r = 0; r < ranks; r++) all += (double)pieces[(size_t)r * count + i];
        sum[i] = (float)all;
    }
}
