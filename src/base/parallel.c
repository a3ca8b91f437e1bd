/* parallel.c - the OpenMP loop behind mq_parallel. */
#include "base/parallel.h"

#include <omp.h>

void mq_threads_set(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

int mq_threads(void) {
    return omp_get_max_threads();
}

void mq_parallel(size_t tasks, void (*fn)(void *context, size_t task), void *context) {
    if (tasks == 1 || omp_get_max_threads() == 1) {
        for (size_t t = 0; t < tasks; t++) fn(context, t);
        return;
    }
#pragma omp parallel for schedule(static)
    for (size_t t = 0; t < tasks; t++) fn(context, t);
}
