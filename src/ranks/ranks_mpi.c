/* ranks_mpi.c - ranks as the processes of an MPI job.
 *
 * The sum of an array goes in two steps, each a non-blocking call: every rank gets its piece of all ranks'
 * arrays (all-to-all) and adds them in their order, and all ranks get all pieces (all-gather). That moves as
 * much as the library's own all-reduce at its best, 2*(R-1)/R of the array in and out of each rank, and its
 * result depends on nothing but R. Each step has a communicator of its own, in which calls come in the order
 * of the arrays on every rank, however far each has got. */
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <string.h>

#include "base/memory.h"
#include "ranks/transport.h"

/* An array on its way. */
typedef struct flight {
    float *values; /* [ranks][piece] */
    size_t piece;
    float *received; /* [ranks][piece], kept for the next step's flight of this number */
    size_t room;
    MPI_Request request;
    int step; /* 0: pieces go out; 1: sums come back; 2: done */
} flight;

typedef struct mpi {
    int rank, count, threads;
    MPI_Comm words, pieces, sums; /* blocking calls; the two steps of an array */
    flight *flights;              /* [MQ_RANKS_SUMS] */
    int under_way, summed;        /* flights; the first `summed` of them are beyond step 0 */
} mpi;

static mq_status failed(int code, const char *what, mq_error *error) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int size = 0;
    MPI_Error_string(code, text, &size);
    return mq_fail(error, MQ_INTERNAL, "the ranks cannot talk to each other: %s: %s", what, text);
}

#define MPI_TRY(call, what)                                                                                  \
    do {                                                                                                     \
        int mpi_try_code_ = (call);                                                                          \
        if (mpi_try_code_ != MPI_SUCCESS) return failed(mpi_try_code_, (what), error);                       \
    } while (0)

/* Counts of MPI are ints. */
enum { AT_ONCE = 1 << 30 };

static mq_status gather(void *self, const void *own, size_t bytes, void *all, mq_error *error) {
    mpi *m = self;
    if (bytes > AT_ONCE) return mq_fail(error, MQ_INTERNAL, "ranks: %zu bytes gathered at once", bytes);
    MPI_TRY(MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, m->words), "all-gather");
    return MQ_OK;
}

static mq_status broadcast(void *self, void *data, size_t bytes, mq_error *error) {
    mpi *m = self;
    for (size_t at = 0; at < bytes; at += AT_ONCE) {
        const size_t n = bytes - at < AT_ONCE ? bytes - at : AT_ONCE;
        MPI_TRY(MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, 0, m->words), "broadcast");
    }
    return MQ_OK;
}

static mq_status start(void *self, float *values, size_t piece, mq_error *error) {
    mpi *m = self;
    if (m->under_way == MQ_RANKS_SUMS || piece > INT_MAX)
        return mq_fail(error, MQ_INTERNAL, "ranks: too many sums, or too large ones");
    flight *f = &m->flights[m->under_way];
    const size_t need = piece * (size_t)m->count;
    if (need > f->room) {
        mq_free(f->received);
        f->received = NULL;
        f->room = 0;
        MQ_TRY(mq_alloc(need, sizeof(float), "the ranks' gradients", &f->received, error));
        f->room = need;
    }
    f->values = values;
    f->piece = piece;
    f->step = 0;
    MPI_TRY(MPI_Ialltoall(values, (int)piece, MPI_FLOAT, f->received, (int)piece, MPI_FLOAT, m->pieces,
                          &f->request),
            "all-to-all");
    m->under_way++;
    return MQ_OK;
}

static mq_status add_and_return(mpi *m, flight *f, mq_error *error) {
    mq_ranks_add_pieces(f->received, m->count, f->piece, f->values + (size_t)m->rank * f->piece);
    f->step = 1;
    m->summed++;
    MPI_TRY(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, f->values, (int)f->piece, MPI_FLOAT, m->sums,
                           &f->request),
            "all-gather");
    return MQ_OK;
}

static mq_status poll(void *self, mq_error *error) {
    mpi *m = self;
    for (int i = 0; i < m->under_way; i++) {
        flight *f = &m->flights[i];
        int done = 0;
        if (f->step == 2 || (f->step == 0 && i > m->summed)) continue; /* earlier arrays first */
        MPI_TRY(MPI_Test(&f->request, &done, MPI_STATUS_IGNORE), "test");
        if (!done) continue;
        if (f->step == 0)
            MQ_TRY(add_and_return(m, f, error));
        else
            f->step = 2;
    }
    return MQ_OK;
}

static mq_status finish(void *self, mq_error *error) {
    mpi *m = self;
    while (m->summed < m->under_way) {
        flight *f = &m->flights[m->summed];
        MPI_TRY(MPI_Wait(&f->request, MPI_STATUS_IGNORE), "wait");
        MQ_TRY(add_and_return(m, f, error));
    }
    for (int i = 0; i < m->under_way; i++)
        if (m->flights[i].step == 1) MPI_TRY(MPI_Wait(&m->flights[i].request, MPI_STATUS_IGNORE), "wait");
    m->under_way = m->summed = 0;
    return MQ_OK;
}

static int threads(void *self) {
    const mpi *m = self;
    return m->threads;
}

static void release(mpi *m) {
    for (int i = 0; m->flights && i < MQ_RANKS_SUMS; i++) mq_free(m->flights[i].received);
    mq_free(m->flights);
    mq_free(m);
}

static void close_job(void *self, mq_status status, bool agreed) {
    mpi *m = self;
    if (!agreed) {
        MPI_Abort(MPI_COMM_WORLD, (int)status);
        return;
    }
    MPI_Barrier(m->words); /* rank 0 has written all before any process ends */
    MPI_Comm_free(&m->words);
    MPI_Comm_free(&m->pieces);
    MPI_Comm_free(&m->sums);
    MPI_Finalize();
    release(m);
}

/* Cores that this rank may run on, over the ranks of this machine that may run on the same ones. */
static mq_status count_cores(mpi *m, mq_error *error) {
    MPI_Comm here;
    int count;
    cpu_set_t own, *all = NULL;
    CPU_ZERO(&own);
    m->threads = 1;
    if (sched_getaffinity(0, sizeof own, &own) != 0) return MQ_OK; /* more cores than a set holds */
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, m->rank, MPI_INFO_NULL, &here),
            "ranks of a machine");
    MPI_Comm_size(here, &count);
    mq_status status = mq_alloc((size_t)count, sizeof *all, "the ranks' cores", &all, error);
    if (status == MQ_OK) {
        MPI_Allgather(&own, (int)sizeof own, MPI_BYTE, all, (int)sizeof own, MPI_BYTE, here);
        int same = 0;
        for (int i = 0; i < count; i++) same += CPU_EQUAL(&all[i], &own) != 0;
        const int cores = CPU_COUNT(&own);
        m->threads = same && cores > same ? cores / same : 1;
    }
    mq_free(all);
    MPI_Comm_free(&here);
    return status;
}

static mq_status join(mpi *m, mq_error *error) {
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &m->words), "a communicator");
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &m->pieces), "a communicator");
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &m->sums), "a communicator");
    MPI_Comm_set_errhandler(m->words, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(m->pieces, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(m->sums, MPI_ERRORS_RETURN);
    MQ_TRY(count_cores(m, error));
    return mq_alloc(MQ_RANKS_SUMS, sizeof *m->flights, "the ranks' sums", &m->flights, error);
}

mq_status mq_mpi_open(mq_ranks **out, mq_error *error) {
    static const mq_transport transport = {gather, broadcast, start, poll, finish, close_job, threads};
    int provided;
    *out = NULL;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return mq_fail(error, MQ_INTERNAL, "MPI does not start");
    mpi *m;
    MQ_TRY(mq_alloc(1, sizeof *m, "the ranks", &m, error));
    MPI_Comm_size(MPI_COMM_WORLD, &m->count);
    MPI_Comm_rank(MPI_COMM_WORLD, &m->rank);
    if (m->count == 1) { /* one process, as without a launcher */
        MPI_Finalize();
        release(m);
        return MQ_OK;
    }
    mq_status status = join(m, error);
    if (status == MQ_OK) status = mq_ranks_create(&transport, m, m->rank, m->count, out, error);
    if (status != MQ_OK) MPI_Abort(MPI_COMM_WORLD, (int)status);
    return status;
}

const char *mq_mpi_library(void) {
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int size;
    if (!text[0] && MPI_Get_library_version(text, &size) == MPI_SUCCESS) text[strcspn(text, ",\n")] = 0;
    return text;
}
