/* parallel.h - all threading of our own kernels goes through one loop.
 *
 * Tasks are independent and their number does not depend on the thread count, so results do not either: a
 * reduction stores one partial result per task and the caller adds them in task order. */
#ifndef MIXQ_BASE_PARALLEL_H
#define MIXQ_BASE_PARALLEL_H

#include <stddef.h>

/* Threads used from now on (also by oneDNN, which shares the OpenMP runtime). 0 = one per core. */
void mq_threads_set(int threads);
int mq_threads(void);

/* Runs fn(context, task) for task = 0..tasks-1. The first tasks are the first thread's and so on, in every
 * loop alike, so that a thread finds in its cache what it wrote; one that is done takes the others'. Never
 * nested. */
void mq_parallel(size_t tasks, void (*fn)(void *context, size_t task), void *context);

/* The same; fn also gets which worker it is, 0..mq_threads()-1, whose tasks run one after another: they may
 * share a working memory. */
void mq_parallel_workers(size_t tasks, void (*fn)(void *context, size_t worker, size_t task), void *context);

/* Splits n items into tasks of `grain` items: task t covers [t*grain, min(n, (t+1)*grain)). */
static inline size_t mq_task_count(size_t n, size_t grain) {
    return (n + grain - 1) / grain;
}

/* Kernels marked so are compiled for AVX-512, AVX2 and the baseline and chosen when the program starts. Such
 * a function must not contain the parallel loop itself. Sanitizer builds use the baseline only (ifuncs run
 * before the sanitizers' start-up). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) &&      \
    !defined(__SANITIZE_ADDRESS__)
#define MQ_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MQ_CLONES
#endif

#endif
