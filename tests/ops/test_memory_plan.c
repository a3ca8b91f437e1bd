/* test_memory_plan.c - the memory planner: buffers that live at the same time never share memory, and the
 * block is neither larger than all buffers together nor smaller than what lives at one time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "ops/memory_plan.h"
#include "ok.h"

enum { MOST = 200, TIMES = 64 };

typedef struct buffer {
    size_t bytes;
    int first, last;
    mq_slot slot;
} buffer;

static size_t rounded(size_t bytes) {
    return (bytes + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
}

static void check(const buffer *b, int count, const mq_plan *plan) {
    size_t sum = 0, most = 0;
    for (int time = 0; time < TIMES; time++) {
        size_t live = 0;
        for (int i = 0; i < count; i++)
            if (b[i].first <= time && time <= b[i].last) live += rounded(b[i].bytes);
        if (live > most) most = live;
    }
    for (int i = 0; i < count; i++) {
        const uintptr_t from = (uintptr_t)mq_plan_memory(plan, b[i].slot), to = from + b[i].bytes;
        sum += rounded(b[i].bytes);
        assert_int_equal(from % MQ_ALIGN, 0);
        assert_int_equal(mq_plan_last(plan, b[i].slot), b[i].last);
        for (int k = 0; k < i; k++) {
            const uintptr_t other = (uintptr_t)mq_plan_memory(plan, b[k].slot), end = other + b[k].bytes;
            if (b[i].first > b[k].last || b[k].first > b[i].last) continue;
            if (from < end && other < to)
                fail_msg("buffers %d (%zu bytes, times %d-%d) and %d (%zu bytes, times %d-%d) overlap", k,
                         b[k].bytes, b[k].first, b[k].last, i, b[i].bytes, b[i].first, b[i].last);
        }
    }
    assert_true(mq_plan_bytes(plan) <= sum);
    assert_true(mq_plan_bytes(plan) >= most);
}

static void random_lifetimes(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        const mq_rng rng = mq_rng_stream(5, "plan", round);
        uint64_t draw = 0;
        mq_plan *plan;
        buffer b[MOST];
        const int count = 1 + (int)mq_rng_below(&rng, draw++, MOST);
        OK(mq_plan_create(&plan, ERROR));
        for (int i = 0; i < count; i++) {
            b[i].bytes = mq_rng_below(&rng, draw++, i % 7 == 0 ? 100000 : 3000);
            b[i].first = (int)mq_rng_below(&rng, draw++, TIMES);
            const int longest = round % 2 ? TIMES : 6; /* long lives, or many short ones */
            const int room = TIMES - b[i].first < longest ? TIMES - b[i].first : longest;
            b[i].last = b[i].first + (int)mq_rng_below(&rng, draw++, (uint32_t)room);
            OK(mq_plan_add(plan, b[i].bytes, b[i].first, b[i].last, &b[i].slot, ERROR));
        }
        OK(mq_plan_place(plan, ERROR));
        check(b, count, plan);
        /* the block is really there: the last byte of each buffer may be written */
        for (int i = 0; i < count; i++)
            if (b[i].bytes) ((unsigned char *)mq_plan_memory(plan, b[i].slot))[b[i].bytes - 1] = 1;
        mq_plan_destroy(plan);
    }
}

/* What a network without branches asks for: each buffer lives until the next one is made, so two sizes do. */
static void a_chain_reuses_memory(void **state) {
    (void)state;
    mq_plan *plan;
    buffer b[TIMES];
    OK(mq_plan_create(&plan, ERROR));
    for (int i = 0; i < TIMES; i++) {
        b[i] = (buffer){.bytes = 1024, .first = i, .last = i + 1};
        OK(mq_plan_add(plan, b[i].bytes, b[i].first, b[i].last, &b[i].slot, ERROR));
    }
    OK(mq_plan_place(plan, ERROR));
    check(b, TIMES, plan);
    assert_int_equal(mq_plan_bytes(plan), 2048);
    mq_plan_destroy(plan);
}

static void nothing_and_no_slot(void **state) {
    (void)state;
    mq_plan *plan;
    OK(mq_plan_create(&plan, ERROR));
    OK(mq_plan_place(plan, ERROR));
    assert_int_equal(mq_plan_bytes(plan), 0);
    assert_null(mq_plan_memory(plan, -1));
    mq_plan_destroy(plan);
    mq_plan_destroy(NULL);
}

static void too_large(void **state) {
    (void)state;
    mq_plan *plan;
    mq_slot slot;
    mq_error e = {0};
    OK(mq_plan_create(&plan, ERROR));
    OK(mq_plan_add(plan, SIZE_MAX / 2, 0, 1, &slot, ERROR));
    assert_int_equal(mq_plan_place(plan, &e), MQ_INTERNAL);
    assert_true(e.text[0] != 0);
    mq_plan_destroy(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes),
        cmocka_unit_test(a_chain_reuses_memory),
        cmocka_unit_test(nothing_and_no_slot),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
