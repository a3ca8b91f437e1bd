/* transport.h - what carries the ranks' messages: MPI, or in tests threads of one process. */
#ifndef MIXQ_RANKS_TRANSPORT_H
#define MIXQ_RANKS_TRANSPORT_H

#include "ranks/ranks.h"

/* All as in ranks.h, for two ranks or more. */
typedef struct mq_transport {
    mq_status (*gather)(void *self, const void *own, size_t bytes, void *all, mq_error *error);
    mq_status (*broadcast)(void *self, void *data, size_t bytes, mq_error *error);
    /* values: [ranks][piece] */
    mq_status (*start)(void *self, float *values, size_t piece, mq_error *error);
    mq_status (*poll)(void *self, mq_error *error);
    mq_status (*finish)(void *self, mq_error *error);
    void (*close)(void *self, mq_status status, bool agreed);
    int (*threads)(void *self);
} mq_transport;

/* The transport is closed with the ranks, not when this fails. */
mq_status mq_ranks_create(const mq_transport *transport, void *self, int number, int count, mq_ranks **out,
                          mq_error *error) MQ_MUST_CHECK;

/* Piece `piece` of every rank, [ranks][count], added in their order into sum [count]. */
void mq_ranks_add_pieces(const float *pieces, int ranks, size_t count, float *sum);

/* ranks_mpi.c, only there with MPI. */
const char *mq_mpi_library(void);
mq_status mq_mpi_open(mq_ranks **out, mq_error *error) MQ_MUST_CHECK;

#endif
