/* bench_batches.c - how a training step's time per image depends on the batch, and its speed on the threads.
 *
 * usage: bench_batches [MODEL [MODE [PRECISION [ROUNDS]]]]
 *        (a built-in name or a file, vgg_tiny; train, search, both; f32, bf16, both; 30)
 * All cases live in one process and take turns: a round gives each one the steps for 256 images, so that a
 * machine whose speed changes treats all alike. Prints medians over the rounds; ratios are of one round. A
 * loop of multiply-adds in registers takes its turns beside them, on one thread and on all: no program's
 * threads gain more than the machine itself gives it in that hour. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/parallel.h"
#include "cli/bench_step.h"
#include "cli/thread_wait.h"
#include "dnn/dnn.h"
#include "net/net.h"

enum { BATCHES = 4, CASES = BATCHES + 1, IMAGES = 256, THREADS_BATCH = 2 /* 128 */, MOST_ROUNDS = 1000 };
static const int batches[CASES] = {32, 64, 128, 256, 128};

typedef struct cases {
    bench_step *step[CASES];       /* the last one on one thread */
    double ms[CASES][MOST_ROUNDS]; /* per image */
    double machine[MOST_ROUNDS];   /* speed of the loop in registers on all threads over that on one */
} cases;

static int threads_of(int which, int all) {
    return which < BATCHES ? all : 1;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int n) {
    static double sorted[MOST_ROUNDS];
    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static mq_status run_turn(cases *c, int which, int round, mq_error *error) {
    const int steps = IMAGES / batches[which];
    const double begin = mq_seconds();
    for (int i = 0; i < steps; i++) MQ_TRY(bench_step_run(c->step[which], error));
    if (round >= 0) c->ms[which][round] = 1e3 * (mq_seconds() - begin) / IMAGES;
    return MQ_OK;
}

typedef float vector __attribute__((vector_size(64)));

/* About 0.1 s of multiply-adds that touch no memory; keeps them from being left out by their sum. */
MQ_CLONES static float multiply_adds(void) {
    vector sums[12], sum = {0};
    const vector factor = {0.5f, 0.25f};
    for (int i = 0; i < 12; i++) sums[i] = factor + (float)i;
    for (long n = 0; n < 10000000; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) sums[i] = sums[i] * factor + factor;
    }
    for (int i = 0; i < 12; i++) sum += sums[i];
    return sum[0];
}

static void multiply_adds_task(void *context, size_t task) {
    ((volatile float *)context)[16 * task] = multiply_adds();
}

/* As many loops as threads at once, over one loop. */
static double machine_gain(int all) {
    static float sums[16 * MOST_ROUNDS];
    const double begin = mq_seconds();
    mq_threads_set(1);
    multiply_adds_task(sums, 0);
    const double middle = mq_seconds();
    mq_threads_set(all);
    mq_parallel((size_t)all, multiply_adds_task, sums);
    return all * (middle - begin) / (mq_seconds() - middle);
}

/* In another order each round; the first one is not counted. */
static mq_status run_rounds(cases *c, int rounds, int all, mq_error *error) {
    for (int r = -1; r < rounds; r++) {
        for (int i = 0; i < CASES; i++) {
            const int which = (i + r + 1) % CASES;
            mq_threads_set(threads_of(which, all));
            MQ_TRY(run_turn(c, which, r, error));
        }
        if (r >= 0) c->machine[r] = machine_gain(all);
    }
    return MQ_OK;
}

/* The median of one case's time over another's in the same round. */
static double ratio_of(const cases *c, int case_a, int case_b, int rounds) {
    static double ratio[MOST_ROUNDS];
    for (int r = 0; r < rounds; r++) ratio[r] = c->ms[case_a][r] / c->ms[case_b][r];
    return median(ratio, rounds);
}

/* The least time of one case over another's: what other programs on the machine do to medians, it leaves out.
 */
static double ratio_of_fastest(const cases *c, int case_a, int case_b, int rounds) {
    double least[2] = {c->ms[case_a][0], c->ms[case_b][0]};
    for (int r = 1; r < rounds; r++) {
        if (c->ms[case_a][r] < least[0]) least[0] = c->ms[case_a][r];
        if (c->ms[case_b][r] < least[1]) least[1] = c->ms[case_b][r];
    }
    return least[0] / least[1];
}

static void report(const cases *c, const char *what, int rounds, int all) {
    double least = 1, most = 1;
    printf("%s, %d threads, ms per image:", what, all);
    for (int i = 0; i < BATCHES; i++) printf(" %d: %.2f", batches[i], median(c->ms[i], rounds));
    printf("; over that of %d:", batches[BATCHES - 1]);
    for (int i = 0; i < BATCHES - 1; i++) {
        const double ratio = ratio_of(c, i, BATCHES - 1, rounds);
        printf(" %d: %.3f", batches[i], ratio);
        if (ratio < least) least = ratio;
        if (ratio > most) most = ratio;
    }
    printf("; slowest %.1f %% over fastest; of the fastest turns", 100 * (most / least - 1));
    for (int i = 0; i < BATCHES - 1; i++)
        printf(" %d: %.3f", batches[i], ratio_of_fastest(c, i, BATCHES - 1, rounds));
    printf("\n%s, batch %d: %d threads are %.2f times as fast as one, by the fastest turns %.2f times; "
           "a loop in registers %.2f times\n",
           what, batches[THREADS_BATCH], all, ratio_of(c, BATCHES, THREADS_BATCH, rounds),
           ratio_of_fastest(c, BATCHES, THREADS_BATCH, rounds), median(c->machine, rounds));
    fflush(stdout);
}

static mq_status run(const mq_net *net, bench_mode mode, mq_dtype compute, int rounds, int all,
                     mq_error *error) {
    static cases c;
    char what[128];
    mq_status status = MQ_OK;
    memset(&c, 0, sizeof c);
    for (int i = 0; i < CASES && status == MQ_OK; i++) {
        bench_setup setup = {.mode = mode, .share = true, .compute = compute, .batch = batches[i]};
        mq_bits_uniform(net, 4, 4, &setup.bits);
        mq_threads_set(threads_of(i, all));
        status = bench_step_create(net, &setup, &c.step[i], error);
    }
    if (status == MQ_OK) status = run_rounds(&c, rounds, all, error);
    snprintf(what, sizeof what, "%s %s %s", net->name, mode == BENCH_SEARCH ? "search" : "train",
             compute == MQ_BF16 ? "bf16" : "f32");
    if (status == MQ_OK) report(&c, what, rounds, all);
    for (int i = 0; i < CASES; i++) bench_step_destroy(c.step[i]);
    return status;
}

static bool known(int argc, char **argv, int which, const char *one, const char *other) {
    return argc <= which || strcmp(argv[which], "both") == 0 || strcmp(argv[which], one) == 0 ||
           strcmp(argv[which], other) == 0;
}

static bool wanted(int argc, char **argv, int which, const char *name) {
    return argc <= which || strcmp(argv[which], "both") == 0 || strcmp(argv[which], name) == 0;
}

int main(int argc, char **argv) {
    mq_error error = {0};
    mq_net *net = NULL;
    cli_wait_briefly(argv); /* as mixq does */
    const int asked = argc > 4 ? atoi(argv[4]) : 30, all = mq_threads();
    if (argc > 5 || !known(argc, argv, 2, "train", "search") || !known(argc, argv, 3, "f32", "bf16") ||
        asked < 1) {
        fprintf(stderr, "usage: bench_batches [MODEL [train|search|both [f32|bf16|both [ROUNDS]]]]\n");
        return MQ_USAGE;
    }
    const int rounds = asked > MOST_ROUNDS ? MOST_ROUNDS : asked;
    mq_status status = mq_net_open(argc > 1 ? argv[1] : "vgg_tiny", &net, &error);
    for (int search = 0; search < 2; search++)
        for (int bf16 = 1; bf16 >= 0; bf16--) {
            if (status != MQ_OK || !wanted(argc, argv, 2, search ? "search" : "train") ||
                !wanted(argc, argv, 3, bf16 ? "bf16" : "f32") || (bf16 && !mq_dnn_has_bf16()))
                continue;
            status =
                run(net, search ? BENCH_SEARCH : BENCH_TRAIN, bf16 ? MQ_BF16 : MQ_F32, rounds, all, &error);
        }
    if (status != MQ_OK) fprintf(stderr, "bench_batches: %s\n", error.text);
    mq_net_free(net);
    return status;
}
