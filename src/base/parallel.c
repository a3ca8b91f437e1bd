/* parallel.c - the loop behind mq_parallel, in an OpenMP region.
 *
 * Every thread begins with its own part of the tasks, the same part of every loop: what it wrote in one pass
 * is in its cache when the next one reads it. It takes a few tasks at a time, and when its part is done, what
 * others have left of theirs; so none waits for one that was held up. */
#include "base/parallel.h"

#include <omp.h>
#include <stdatomic.h>

enum { TAKES = 32 /* of a part: tasks are taken so many times */, MOST_PARTS = 256, LINE = 64 };

void mq_threads_set(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

int mq_threads(void) {
    return omp_get_max_threads();
}

/* A thread's part; each in a cache line of its own. */
typedef struct part {
    _Alignas(LINE) atomic_size_t next;
    size_t end;
} part;

/* What a loop calls: one of the two. */
typedef struct body {
    void (*fn)(void *context, size_t task);
    void (*worker_fn)(void *context, size_t worker, size_t task);
    void *context;
} body;

typedef struct loop {
    const body *body;
    size_t count, grain; /* parts; tasks taken at once */
    part parts[MOST_PARTS];
} loop;

static void run_tasks(const body *b, size_t worker, size_t first, size_t end) {
    if (b->worker_fn)
        for (size_t t = first; t < end; t++) b->worker_fn(b->context, worker, t);
    else if (b->fn)
        for (size_t t = first; t < end; t++) b->fn(b->context, t);
}

/* Its own part, then the others'. */
static void work(loop *l, size_t worker) {
    for (size_t i = 0; i < l->count; i++) {
        part *p = &l->parts[(worker + i) % l->count];
        for (size_t t; (t = atomic_fetch_add_explicit(&p->next, l->grain, memory_order_relaxed)) < p->end;)
            run_tasks(l->body, worker, t, t + l->grain < p->end ? t + l->grain : p->end);
    }
}

static void run(const body *b, size_t tasks) {
    const size_t threads = (size_t)omp_get_max_threads();
    if (tasks <= 1 || threads == 1) {
        run_tasks(b, 0, 0, tasks);
        return;
    }
    loop l;
    l.body = b;
    l.count = threads < MOST_PARTS ? threads : MOST_PARTS;
    l.grain = tasks > TAKES * l.count ? tasks / (TAKES * l.count) : 1;
    for (size_t i = 0; i < l.count; i++) {
        atomic_init(&l.parts[i].next, tasks * i / l.count);
        l.parts[i].end = tasks * (i + 1) / l.count;
    }
#pragma omp parallel
    work(&l, (size_t)omp_get_thread_num());
}

void mq_parallel(size_t tasks, void (*fn)(void *context, size_t task), void *context) {
    const body b = {.fn = fn, .context = context};
    run(&b, tasks);
}

void mq_parallel_workers(size_t tasks, void (*fn)(void *context, size_t worker, size_t task), void *context) {
    const body b = {.worker_fn = fn, .context = context};
    run(&b, tasks);
}
