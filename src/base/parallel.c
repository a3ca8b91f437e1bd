/* parallel.c - the OpenMP loop behind mq_parallel. */
#include "base/parallel.h"

#include <omp.h>

enum { SHARES = 32 /* of a thread: tasks are taken so many times */ };

void mq_threads_set(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

int mq_threads(void) {
    return omp_get_max_threads();
}

/* Tasks that a thread takes at once. */
static int grain_of(size_t tasks) {
    const size_t shares = SHARES * (size_t)omp_get_max_threads();
    return tasks > shares ? (int)(tasks / shares) : 1;
}

void mq_parallel(size_t tasks, void (*fn)(void *context, size_t task), void *context) {
    if (tasks == 1 || omp_get_max_threads() == 1) {
        for (size_t t = 0; t < tasks; t++) fn(context, t);
        return;
    }
#pragma omp parallel for schedule(dynamic, grain_of(tasks))
    for (size_t t = 0; t < tasks; t++) fn(context, t);
}

void mq_parallel_workers(size_t tasks, void (*fn)(void *context, size_t worker, size_t task), void *context) {
    if (tasks == 1 || omp_get_max_threads() == 1) {
        for (size_t t = 0; t < tasks; t++) fn(context, 0, t);
        return;
    }
#pragma omp parallel for schedule(dynamic, grain_of(tasks))
    for (size_t t = 0; t < tasks; t++) fn(context, (size_t)omp_get_thread_num(), t);
}
