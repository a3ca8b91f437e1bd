/* test_pack_known.c - packings over the weights that occur: never worse than over their bits, exact for these
 * weights, and refused when another weight comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pack/known.h"
#include "pack/proof.h"

enum { ROWS = 200 };

static mq_pack_request ask(int wbit, int abit, int kernel) {
    mq_pack_request r = {.wbit = wbit,
                         .abit = abit,
                         .kernel = kernel,
                         .stride = 1,
                         .class = MQ_CLASS_II,
                         .cycles = 1,
                         .lut_price = -1};
    assert_int_equal(mq_dsp_find("dsp48e2", &r.dsp, NULL), MQ_OK);
    return r;
}

/* Sums of four uniform numbers: few rows are extreme in all taps. */
static void random_rows(uint64_t seed, int wbit, int taps, int8_t *out) {
    mq_rng rng = mq_rng_stream(seed, "rows", 0);
    int half = 1 << (wbit - 1);
    for (int i = 0; i < ROWS * taps; i++) {
        int sum = 0;
        for (int k = 0; k < 4; k++)
            sum += (int)mq_rng_below(&rng, (uint64_t)(4 * i + k), (uint32_t)(2 * half)) - half;
        sum /= 4;
        out[i] = (int8_t)(sum < -half ? -half : sum >= half ? half - 1 : sum);
    }
}

static void denser_and_exact(void **state) {
    (void)state;
    int gained = 0, cells = 0;
    for (int w = 2; w <= 8; w++)
        for (int a = 2; a <= 8; a += 2)
            for (int k = 1; k <= 5; k += 2) {
                int8_t rows[ROWS * 5];
                random_rows((uint64_t)(w * 100 + a * 10 + k), w, k, rows);
                mq_pack_words words = {rows, mq_pack_unique_words(rows, ROWS, k)};
                mq_pack_request r = ask(w, a, k);
                mq_pack_known bits, weights;
                mq_error error = {0};
                mq_proof proof;
                mq_status status = mq_pack_known_row(&r, NULL, &bits, &error);
                if (status == MQ_USAGE) continue; /* no row of so many taps fits */
                if (status != MQ_OK || mq_pack_known_row(&r, &words, &weights, &error) != MQ_OK)
                    fail_msg("w%da%d k%d: %s", w, a, k, error.text);
                double unit = mq_luts_multiplier(w, a);
                assert_true(weights.mults - weights.packing.luts / unit >=
                            bits.mults - bits.packing.luts / unit);
                gained += weights.mults > bits.mults;
                cells++;
                if (weights.packing.activations > 10) continue;
                if (mq_pack_prove_words(&weights.packing, &words, 2000, 1, &proof, &error) != MQ_OK)
                    fail_msg("w%da%d k%d: %s", w, a, k, error.text);
                assert_true(proof.corners == (words.count << weights.packing.activations));
            }
    print_message("%d of %d cells gained\n", gained, cells);
    assert_true(cells > 50 && gained >= 8);
}

/* Where the weights' packing is denser than the bits allow, the extreme row breaks it. */
static void another_weight_is_caught(void **state) {
    (void)state;
    int run = 0;
    for (int w = 3; w <= 6; w++) {
        int8_t rows[(ROWS + 2) * 3];
        random_rows((uint64_t)w, w, 3, rows);
        mq_pack_request r = ask(w, 4, 3);
        mq_pack_words words = {rows, ROWS};
        mq_pack_known bits, weights;
        mq_proof proof;
        assert_int_equal(mq_pack_known_row(&r, NULL, &bits, NULL), MQ_OK);
        assert_int_equal(mq_pack_known_row(&r, &words, &weights, NULL), MQ_OK);
        if (weights.mults <= bits.mults) continue;
        memset(rows + ROWS * 3, -(1 << (w - 1)), 3);
        memset(rows + ROWS * 3 + 3, (1 << (w - 1)) - 1, 3);
        words.count += 2;
        mq_error error = {0};
        assert_int_equal(mq_pack_prove_words(&weights.packing, &words, 100, 1, &proof, &error),
                         MQ_CHECK_FAILED);
        assert_non_null(strstr(error.text, "not exact"));
        run++;
    }
    assert_true(run > 0);
}

static void counts_and_refusals(void **state) {
    (void)state;
    int8_t rows[] = {0, 1, -2, 3, 0, -8, 0, 1, -2};
    mq_pack_words words = {rows, 3};
    mq_pack_request r = ask(4, 4, 3);
    mq_pack_known known;
    mq_error error = {0};
    assert_int_equal(mq_pack_known_row(&r, &words, &known, NULL), MQ_OK);
    assert_int_equal(known.weights, 9);
    assert_int_equal(known.zeros, 3);
    assert_int_equal(known.powers, 5);
    assert_int_equal(mq_pack_unique_words(rows, 3, 3), 2);
    r.kernel = 9;
    assert_int_equal(mq_pack_known_row(&r, &words, &known, &error), MQ_USAGE);
    r = ask(8, 8, 3);
    r.cycles = 1 << 20;
    assert_int_equal(mq_pack_known_row(&r, NULL, &known, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "1048576 accumulations"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(denser_and_exact),
        cmocka_unit_test(another_weight_is_caught),
        cmocka_unit_test(counts_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
