/* test_parallel.c - the loop over threads: every task once, whatever their number and whoever is late; a
 * worker's tasks one after another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/parallel.h"

enum { MOST = 5000, WORKERS = 7 };

typedef struct record {
    atomic_int runs[MOST];
    atomic_int busy[WORKERS]; /* tasks that a worker has under way */
    atomic_int wrong;
    size_t late; /* the first tasks below it take their time */
} record;

static record all;

static void take_time(size_t task) {
    volatile unsigned sum = 0;
    for (unsigned i = 0; task < all.late && i < 20000; i++) sum += i;
}

static void run_task(void *context, size_t task) {
    record *r = context;
    take_time(task);
    atomic_fetch_add(&r->runs[task], 1);
}

static void run_worker(void *context, size_t worker, size_t task) {
    record *r = context;
    if (worker >= (size_t)mq_threads() || atomic_fetch_add(&r->busy[worker], 1)) atomic_store(&r->wrong, 1);
    run_task(context, task);
    atomic_fetch_sub(&r->busy[worker], 1);
}

static void check(size_t tasks, int threads, size_t late) {
    for (int workers = 0; workers < 2; workers++) {
        memset(&all, 0, sizeof all);
        all.late = late;
        mq_threads_set(threads);
        if (workers)
            mq_parallel_workers(tasks, run_worker, &all);
        else
            mq_parallel(tasks, run_task, &all);
        for (size_t t = 0; t < MOST; t++)
            if (atomic_load(&all.runs[t]) != (t < tasks))
                fail_msg("%zu tasks, %d threads: task %zu ran %d times", tasks, threads, t,
                         atomic_load(&all.runs[t]));
        assert_int_equal(atomic_load(&all.wrong), 0);
    }
    mq_threads_set(0);
}

static void every_task_once(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 31, 32, 33, 64, 65, 127, 1000, MOST};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int threads = 1; threads <= WORKERS; threads++) check(counts[i], threads, 0);
}

/* The first thread's part takes longer than all the others'. */
static void late_parts(void **state) {
    (void)state;
    for (int threads = 2; threads <= 4; threads++) check(1000, threads, 1000 / (size_t)threads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(late_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
