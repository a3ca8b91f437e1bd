/* test_ranks.c - sums, agreements and broadcasts of one to five ranks (threads of this test). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "data/share.h"
#include "rank_threads.h"

enum { MOST = 5, VALUES = 7, ARRAYS = 3 };

typedef struct one_rank {
    int failing; /* this rank brings a failure to the agreement, -1: none does */
    mq_status status[8];
    double sums[VALUES];
    float arrays[ARRAYS][16];
    char sent[4];
    mq_error error;
    bool agreed;
} one_rank;

static double value_of(int rank, int i) {
    return (rank + 1) * 1.1 + i * 1e-9 + (rank == 1 ? 1e16 : 0) - (rank == 2 ? 1e16 : 0);
}

static float element_of(int rank, int array, int i) {
    return (float)((rank + 1) * (array + 1)) + 0.25f * (float)i;
}

static void talk(void *context, mq_ranks *ranks) {
    one_rank *o = context;
    const int rank = mq_ranks_number(ranks);
    for (int i = 0; i < VALUES; i++) o->sums[i] = value_of(rank, i);
    o->status[0] = mq_ranks_sum(ranks, o->sums, VALUES, &o->error);
    snprintf(o->sent, sizeof o->sent, "r%d", rank);
    o->status[1] = mq_ranks_broadcast(ranks, o->sent, sizeof o->sent, &o->error);
    for (int a = 0; a < ARRAYS; a++) {
        for (int i = 0; i < VALUES + a; i++) o->arrays[a][i] = element_of(rank, a, i);
        if (mq_ranks_room(ranks, (size_t)(VALUES + a)) > 16) return;
        o->status[2 + a] = mq_ranks_sum_start(ranks, o->arrays[a], (size_t)(VALUES + a), &o->error);
    }
    o->status[5] = mq_ranks_sum_finish(ranks, &o->error);
    mq_status own = MQ_OK;
    if (o->failing >= 0 && rank >= o->failing)
        own = mq_fail(&o->error, rank == o->failing ? MQ_BAD_INPUT : MQ_USAGE, "bad luck of %d", rank);
    o->status[6] = mq_ranks_agree(ranks, own, &o->error);
    o->agreed = mq_ranks_agreed(ranks);
    o->status[7] = mq_ranks_sum(ranks, o->sums, 0, &o->error);
}

/* What is added to what is fixed: in double precision and in the order of the ranks, seen by large numbers
 * that cancel. */
static void sums_are_those_of_all(void **state) {
    (void)state;
    for (int count = 1; count <= MOST; count++) {
        one_rank all[MOST];
        void *context[MOST];
        for (int r = 0; r < count; r++) {
            all[r] = (one_rank){.failing = -1};
            context[r] = &all[r];
        }
        rank_threads(count, talk, context);
        for (int r = 0; r < count; r++) {
            for (int k = 0; k < 8; k++)
                if (all[r].status[k] != MQ_OK) fail_msg("rank %d, call %d: %s", r, k, all[r].error.text);
            for (int i = 0; i < VALUES; i++) {
                double expected = value_of(0, i);
                for (int k = 1; k < count; k++) expected += value_of(k, i);
                assert_true(all[r].sums[i] == expected);
            }
            for (int a = 0; a < ARRAYS; a++)
                for (int i = 0; i < VALUES + a; i++) {
                    float expected = 0;
                    for (int k = 0; k < count; k++) expected += element_of(k, a, i);
                    assert_true(all[r].arrays[a][i] == expected);
                }
            assert_string_equal(all[r].sent, "r0");
            assert_false(all[r].agreed);
        }
    }
}

/* The first that fails is heard by all, and named. */
static void a_failure_is_agreed_on(void **state) {
    (void)state;
    for (int failing = 0; failing < 3; failing++) {
        one_rank all[3];
        void *context[3];
        for (int r = 0; r < 3; r++) {
            all[r] = (one_rank){.failing = failing};
            context[r] = &all[r];
        }
        rank_threads(3, talk, context);
        for (int r = 0; r < 3; r++) {
            char expected[64];
            snprintf(expected, sizeof expected, failing ? "rank %d: bad luck of %d" : "bad luck of %d",
                     failing, failing);
            assert_int_equal(all[r].status[6], MQ_BAD_INPUT);
            assert_string_equal(all[r].error.text, expected);
            assert_true(all[r].agreed);
        }
    }
}

/* Without ranks everything is as it was. */
static void one_process(void **state) {
    (void)state;
    double sum = 0.1;
    float array[3] = {1, 2, 3};
    char all[2], own[2] = "x";
    mq_error error;
    assert_int_equal(mq_ranks_count(NULL), 1);
    assert_true(mq_ranks_first(NULL));
    assert_int_equal(mq_ranks_room(NULL, 3), 3);
    assert_int_equal(mq_ranks_sum(NULL, &sum, 1, &error), MQ_OK);
    assert_true(sum == 0.1);
    assert_int_equal(mq_ranks_sum_start(NULL, array, 3, &error), MQ_OK);
    assert_int_equal(mq_ranks_sum_poll(NULL, &error), MQ_OK);
    assert_int_equal(mq_ranks_sum_finish(NULL, &error), MQ_OK);
    assert_true(array[0] == 1 && array[2] == 3);
    assert_int_equal(mq_ranks_gather(NULL, own, 2, all, &error), MQ_OK);
    assert_string_equal(all, "x");
    assert_int_equal(mq_ranks_agree(NULL, MQ_CHECK_FAILED, &error), MQ_CHECK_FAILED);
    assert_int_equal(mq_ranks_leave(NULL, MQ_USAGE, &error), MQ_USAGE);
    mq_ranks_work(NULL, true);
    mq_ranks_close(NULL, MQ_OK);
    assert_int_equal(mq_ranks_threads(NULL), 0);
}

/* A rank that ends early meets the others in their next agreement; not in the middle of work. */
typedef struct leaver {
    bool early, working;
    mq_status status;
    mq_error error;
} leaver;

static void leave(void *context, mq_ranks *ranks) {
    leaver *l = context;
    mq_ranks_work(ranks, l->working);
    mq_status status = l->early ? mq_fail(&l->error, MQ_USAGE, "no such option") : MQ_OK;
    if (!l->early) status = mq_ranks_agree(ranks, MQ_OK, &l->error);
    l->status = mq_ranks_leave(ranks, status, &l->error);
}

static void leaving(void **state) {
    (void)state;
    leaver all[2] = {{.early = false}, {.early = true}};
    void *context[] = {&all[0], &all[1]};
    rank_threads(2, leave, context);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(all[r].status, MQ_USAGE);
        assert_string_equal(all[r].error.text, "rank 1: no such option");
    }
    leaver alone = {.early = true, .working = true};
    void *one[] = {&alone};
    rank_threads(1, leave, one);
    assert_string_equal(alone.error.text, "no such option");
}

static void shares(void **state) {
    (void)state;
    for (size_t n = 0; n < 40; n++)
        for (int count = 1; count < 9; count++) {
            size_t least = n, most = 0;
            assert_int_equal(mq_share(n, 0, count), 0);
            assert_int_equal(mq_share(n, count, count), n);
            for (int r = 0; r < count; r++) {
                const size_t size = mq_share(n, r + 1, count) - mq_share(n, r, count);
                least = size < least ? size : least;
                most = size > most ? size : most;
            }
            assert_true(most - least <= 1 && most == mq_share_most(n, count));
        }
}

/* A launcher's environment; without MPI several processes are refused, and one is one. */
static void launched(void **state) {
    (void)state;
    if (mq_ranks_library()) skip();
    mq_ranks *ranks;
    mq_error error;
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    assert_int_equal(mq_ranks_open(&ranks, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "MIXQ_MPI"));
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    assert_int_equal(mq_ranks_open(&ranks, &error), MQ_OK);
    assert_null(ranks);
    unsetenv("OMPI_COMM_WORLD_SIZE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_all),
        cmocka_unit_test(a_failure_is_agreed_on),
        cmocka_unit_test(one_process),
        cmocka_unit_test(leaving),
        cmocka_unit_test(shares),
        cmocka_unit_test(launched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
