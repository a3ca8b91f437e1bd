/* ranks.h - the processes that train one network together, each on its share of every batch.
 *
 * NULL stands for one process everywhere: sums are what they were, and nothing is waited for. Calls that all
 * ranks take part in ("collective") must come in the same order on each; one rank is used from one thread.
 *
 * Sums are taken in the order of the ranks (double precision, whatever the library below): as many ranks give
 * the same bits again, and every rank gets the same bits. */
#ifndef MIXQ_RANKS_RANKS_H
#define MIXQ_RANKS_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct mq_ranks mq_ranks;

/* "Open MPI 4.1.4", or NULL: built without. */
const char *mq_ranks_library(void);
/* Joins the job that an MPI launcher started this process in; *out NULL: there is none. MQ_USAGE: several
 * processes were launched and this program is built without MPI. */
mq_status mq_ranks_open(mq_ranks **out, mq_error *error) MQ_MUST_CHECK;
/* The last word of a rank: what it ends with, which becomes what all end with (mq_ranks_agree), unless they
 * know already or are in the middle of work that this rank has left. Whoever returns early, before common
 * work began, meets the others in its first mq_ranks_agree. */
mq_status mq_ranks_leave(mq_ranks *ranks, mq_status status, mq_error *error) MQ_MUST_CHECK;
/* Common work begins, and has ended on all ranks. */
void mq_ranks_work(mq_ranks *ranks, bool under_way);
/* Ends it, after mq_ranks_leave. Collective when status is MQ_OK or was agreed on; else the other ranks are
 * ended too, and the call may not return. NULL is fine. */
void mq_ranks_close(mq_ranks *ranks, mq_status status);

int mq_ranks_count(const mq_ranks *ranks);  /* 1.. */
int mq_ranks_number(const mq_ranks *ranks); /* own: 0..count-1 */
bool mq_ranks_first(const mq_ranks *ranks); /* the one that writes and speaks: number 0 */
/* Threads that suit this rank: its cores, over the ranks of this machine that have the same. 0: as without
 * ranks. */
int mq_ranks_threads(const mq_ranks *ranks);

/* ---- collective ---- */

/* Every value becomes the sum of all ranks' ones. */
mq_status mq_ranks_sum(mq_ranks *ranks, double *values, size_t count, mq_error *error) MQ_MUST_CHECK;
/* all: [ranks][bytes], by rank. */
mq_status mq_ranks_gather(mq_ranks *ranks, const void *own, size_t bytes, void *all,
                          mq_error *error) MQ_MUST_CHECK;
/* Rank 0's bytes. */
mq_status mq_ranks_broadcast(mq_ranks *ranks, void *data, size_t bytes, mq_error *error) MQ_MUST_CHECK;
/* MQ_OK when all ranks bring that; else every rank fails with the status and text of the first that does not,
 * which is named unless it is rank 0. After such a failure nothing is agreed on any more: own is returned. */
mq_status mq_ranks_agree(mq_ranks *ranks, mq_status own, mq_error *error) MQ_MUST_CHECK;
/* Whether the last failure was agreed on: all ranks know of it and end by themselves. */
bool mq_ranks_agreed(const mq_ranks *ranks);

/* A sum that goes on while this rank computes. values: room for mq_ranks_room(count) floats, in use until
 * mq_ranks_sum_finish; in which order sums are started is the same on all ranks. At most MQ_RANKS_SUMS are
 * under way. */
enum { MQ_RANKS_SUMS = 256 };
size_t mq_ranks_room(const mq_ranks *ranks, size_t count);
mq_status mq_ranks_sum_start(mq_ranks *ranks, float *values, size_t count, mq_error *error) MQ_MUST_CHECK;
/* Lets the sums under way get on; not collective. */
mq_status mq_ranks_sum_poll(mq_ranks *ranks, mq_error *error) MQ_MUST_CHECK;
mq_status mq_ranks_sum_finish(mq_ranks *ranks, mq_error *error) MQ_MUST_CHECK;

typedef struct mq_ranks_stats {
    double blocked;   /* seconds in collective calls that wait: batch statistics, agreements */
    double finish;    /* seconds in mq_ranks_sum_finish: what the backward pass did not cover */
    uint64_t started; /* bytes given to mq_ranks_sum_start */
    uint64_t summed;  /* bytes given to mq_ranks_sum */
    uint64_t sums;    /* its calls */
} mq_ranks_stats;
mq_ranks_stats mq_ranks_stats_get(const mq_ranks *ranks);

#endif
