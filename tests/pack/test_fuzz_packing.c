/* test_fuzz_packing.c - the harness of packings over generated inputs, a part of which must be accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "fuzz/packing.c"

/* A third random, a third mutations of the last accepted input, a third with random operands only. */
static void replays(void **state) {
    (void)state;
    enum { SIZE = 160, HEAD = 40, INPUTS = 300000 };
    uint8_t data[SIZE] = {0}, last[SIZE] = {0};
    int accepted = 0;
    mq_rng rng = mq_rng_stream(3, "fuzz packing", 0);
    for (uint64_t n = 0; n < INPUTS; n++) {
        uint32_t words[4];
        memcpy(data, last, SIZE);
        for (size_t i = n % 3 == 2 ? HEAD : 0; i < SIZE; i += 16) {
            mq_rng_block(&rng, n * 16 + i / 16, words);
            if (n % 3 != 1) memcpy(data + i, words, SIZE - i < 16 ? SIZE - i : 16);
        }
        if (n % 3 == 1)
            for (int k = 0; k < 4; k++) data[words[k] % HEAD] = (uint8_t)(words[k] >> 16);
        int result = try_bytes(data, SIZE);
        if (result < 0) fail_msg("input %d: accepted, but not exact", (int)n);
        accepted += result;
        if (result) memcpy(last, data, SIZE);
    }
    assert_true(accepted > INPUTS / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(replays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
