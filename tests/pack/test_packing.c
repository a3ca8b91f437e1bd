/* test_packing.c - packings by hand: the published ones, their limits, and what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pack/proof.h"

/* taps x pixels at a spacing; zero for all activations. */
static mq_packing filter(int wbit, int abit, int taps, int pixels, int spacing, int zero, bool symmetric) {
    mq_packing p = {.weights_wide = false, .weights = taps, .activations = pixels};
    assert_int_equal(mq_dsp_find("dsp48e2", &p.dsp, NULL), MQ_OK);
    p.weight_codes = (mq_span){-(1 << (wbit - 1)) + symmetric, (1 << (wbit - 1)) - 1};
    p.activation_codes = (mq_span){0, (1 << abit) - 1};
    for (int i = 0; i < taps; i++) p.weight[i] = (mq_pack_operand){i * spacing, 0, i, 0};
    for (int j = 0; j < pixels; j++) p.activation[j] = (mq_pack_operand){j * spacing, 0, j, zero};
    return p;
}

static void prove(const mq_packing *p) {
    mq_proof proof;
    mq_error error = {0};
    if (mq_pack_prove(p, 200000, 1, &proof, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_true(proof.vectors > 0 && proof.corners > 0 && proof.accumulated > 0);
    int run, caught;
    mq_pack_controls(p, 2, &run, &caught);
    assert_true(run >= p->weights + p->activations + 2);
    assert_int_equal(run, caught);
}

static void w2a2_needs_five_bits(void **state) {
    (void)state;
    /* Three full-range products of w2a2 take 27 values: 5 bits of a biased field, where two's complement
     * needs 6. */
    mq_packing p = filter(2, 2, 3, 6, 5, 0, false);
    mq_error error = {0};
    if (mq_packing_finish(&p, 1, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(p.fields, 8);
    assert_int_equal(mq_packing_products(&p), 18);
    assert_int_equal(p.class, MQ_CLASS_I);
    assert_int_equal(p.luts, 0);
    assert_int_equal(p.field[2].low, -18);
    assert_int_equal(p.field[2].high, 9);
    assert_int_equal(p.accumulations, 1);
    prove(&p);
    p = filter(2, 2, 3, 6, 4, 0, false);
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_OK);
    assert_int_equal(p.class, MQ_CLASS_II); /* one bit too close: only with repair */
    assert_true(p.luts > 0);
    prove(&p);
}

static void published_w3a3(void **state) {
    (void)state;
    /* accelerator.md's layer: 3x4 at 7 bits with the zero point 4, one bit of overlap after three
     * accumulations. */
    mq_packing p = filter(3, 3, 3, 4, 7, 4, false);
    mq_error error = {0};
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_OK);
    assert_int_equal(p.class, MQ_CLASS_I);
    assert_int_equal(p.shared_luts, 0); /* the pre-adder recentres */
    int64_t plain = p.accumulations;
    prove(&p);
    assert_int_equal(mq_packing_finish(&p, 3, &error), MQ_OK);
    assert_int_equal(p.class, MQ_CLASS_II);
    assert_true(p.accumulations >= 3 && p.accumulations > plain);
    prove(&p);
    /* three weights at 7 bits are -66052, not a number of 17 bits */
    mq_dsp_inputs in;
    int32_t w[3] = {-4, -4, -4}, a[4] = {0, 0, 0, 0};
    mq_pack_encode(&p, w, a, &in);
    assert_int_equal(in.b, -66052);
}

static void ports(void **state) {
    (void)state;
    /* Two 5-bit weights at 22 bits: -16*2^22 - 16 is below -2^26 at full range. */
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        mq_packing p = filter(5, 6, 2, 1, 22, 0, symmetric);
        p.weights_wide = true;
        mq_error error = {0};
        assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_OK);
        assert_int_equal(p.fix, symmetric ? MQ_PORT_FITS : MQ_PORT_OFFSET);
        assert_true(symmetric || p.fix_weights);
        assert_int_equal(p.class, MQ_CLASS_I);
        prove(&p);
        p = filter(5, 6, 2, 1, 23, 0, symmetric);
        p.weights_wide = true;
        assert_int_equal(mq_packing_finish(&p, 1, &error), symmetric ? MQ_OK : MQ_CHECK_FAILED);
        if (symmetric) {
            assert_int_equal(p.fix, MQ_PORT_EXTRA);
            assert_int_equal(p.class, MQ_CLASS_III);
            prove(&p);
        } else {
            assert_non_null(strstr(error.text, "do not fit a port of 27 bits"));
        }
    }
    /* Two 8-bit activations at 10 bits fill the narrow port: the sign bit is usable when the top one is
     * moved. */
    mq_packing p = filter(3, 8, 1, 2, 10, 0, false);
    p.weights_wide = true;
    p.activation[1].zero = 128;
    mq_error error = {0};
    if (mq_packing_finish(&p, 1, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(p.fix, MQ_PORT_FITS);
    assert_int_equal(p.shared_luts, 0);
    prove(&p);
    p.activation[0].zero = 128;
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_OK);
    assert_int_equal(p.fix, MQ_PORT_OFFSET); /* -128*2^10 - 128 */
    assert_true(p.shared_luts > 0 && !p.fix_weights);
    prove(&p);
}

static void overpacking(void **state) {
    (void)state;
    /* Six INT4 lanes, 2 x 3, need 7 bits each when recentred; at 6 bits every carry must be repaired, at 5
     * bits two. */
    for (int spacing = 7; spacing >= 5; spacing--) {
        mq_packing p = {.weights = 2, .activations = 3, .weights_wide = true};
        mq_error error = {0};
        assert_int_equal(mq_dsp_find("dsp58", &p.dsp, NULL), MQ_OK);
        p.weight_codes = (mq_span){-8, 7};
        p.activation_codes = (mq_span){0, 15};
        for (int i = 0; i < 2; i++) p.weight[i] = (mq_pack_operand){i * 3 * spacing, i, 0, 0};
        for (int j = 0; j < 3; j++) p.activation[j] = (mq_pack_operand){j * spacing, j, 0, 8};
        if (mq_packing_finish(&p, 1, &error) != MQ_OK) fail_msg("%s", error.text);
        assert_int_equal(p.class, MQ_CLASS_I + 7 - spacing);
        assert_int_equal(p.fields, 6);
        assert_int_equal(p.luts, spacing == 7 ? 0 : spacing == 6 ? 5 : 5 * (2 + 7));
        prove(&p);
    }
}

static void refuses(void **state) {
    (void)state;
    mq_error error = {0};
    mq_packing p = filter(2, 2, 3, 6, 2, 0, false);
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "field 1 at bit 2"));
    assert_non_null(strstr(error.text, "2 bits to the next field"));
    assert_non_null(strstr(error.text, "smallest at w0=-2 a1=3"));
    p = filter(2, 2, 3, 6, 5, 0, false);
    p.weight[1].group = 1;
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "lands on another output's field"));
    p = filter(2, 2, 3, 6, 5, 0, false);
    p.activation[5].position = 27;
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_CHECK_FAILED);
    p = filter(2, 4, 2, 2, 3, 0, false);
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_CHECK_FAILED);
    p = filter(2, 2, 3, 6, 5, 0, false);
    assert_int_equal(mq_packing_finish(&p, 1000, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "after 1000 cycles"));
    p.weights = 0;
    assert_int_equal(mq_packing_finish(&p, 1, &error), MQ_CHECK_FAILED);
}

static void correction(void **state) {
    (void)state;
    mq_packing p = filter(4, 4, 2, 2, 8, 8, false);
    assert_int_equal(mq_packing_finish(&p, 1, NULL), MQ_OK);
    const int32_t w[2] = {-8, 3}, a[2] = {15, 4};
    mq_dsp_inputs in;
    int64_t word = 0, sums[MQ_PACK_FIELDS];
    uint8_t known[MQ_PACK_FIELDS] = {0};
    mq_pack_encode(&p, w, a, &in);
    assert_true(mq_dsp_eval(&p.dsp, &in, &word));
    mq_pack_know(&p, w, a, known);
    mq_pack_decode(&p, word, known, 1, sums);
    const int64_t expected[3] = {-8 * 15, -8 * 4 + 3 * 15, 3 * 4};
    for (int f = 0; f < 3; f++) assert_int_equal(sums[f] + mq_pack_correction(&p, w, f), expected[f]);
}

/* Positions, groups, steps, zero points and ranges at random: what finish accepts must prove, as derived and
 * after every derived limit is used; most are refused. */
static void random_packings(void **state) {
    (void)state;
    static const char *const SLICES[] = {"dsp48e2", "dsp48e1", "dsp58", "16x12"};
    int accepted = 0, refused = 0, overlapped = 0, mended = 0;
    for (uint64_t n = 0; n < 400000 && accepted < 300; n++) {
        mq_rng rng = mq_rng_stream(11, "random packings", n);
        uint64_t k = 0;
        mq_packing p = {.weights_wide = mq_rng_below(&rng, k++, 2) != 0};
        assert_int_equal(mq_dsp_find(SLICES[mq_rng_below(&rng, k++, 4)], &p.dsp, NULL), MQ_OK);
        int wbit = 1 + (int)mq_rng_below(&rng, k++, 5), abit = 1 + (int)mq_rng_below(&rng, k++, 5);
        p.weight_codes =
            (mq_span){-(1 << (wbit - 1)) + (wbit > 1 && mq_rng_below(&rng, k++, 2)), (1 << (wbit - 1)) - 1};
        p.activation_codes = (mq_span){0, (1 << abit) - 1};
        p.weights = 1 + (int)mq_rng_below(&rng, k++, 4);
        p.activations = 1 + (int)mq_rng_below(&rng, k++, 4);
        int step = 1 + (int)mq_rng_below(&rng, k++, 12), filters = (int)mq_rng_below(&rng, k++, 2), at = 0;
        for (int i = 0; i < p.weights; i++) {
            p.weight[i] = (mq_pack_operand){at, filters ? 0 : i, filters ? i : 0, 0};
            at += filters ? step : step - 1 + (int)mq_rng_below(&rng, k++, 3);
        }
        int over = filters ? step : at;
        at = 0;
        for (int j = 0; j < p.activations; j++) {
            int zero = (int)mq_rng_below(&rng, k++, (uint32_t)1 << abit);
            p.activation[j] = (mq_pack_operand){at, filters ? 0 : j, filters ? j : 0, zero};
            at += filters ? step : over - 1 + (int)mq_rng_below(&rng, k++, 3);
        }
        if (mq_packing_finish(&p, 1 + mq_rng_below(&rng, k++, 3), NULL) != MQ_OK) {
            refused++;
            continue;
        }
        mq_proof proof;
        mq_error error = {0};
        if (mq_pack_prove(&p, 500, n, &proof, &error) != MQ_OK)
            fail_msg("packing %d: %s", (int)n, error.text);
        accepted++;
        overlapped += p.class > MQ_CLASS_I;
        mended += p.fix != MQ_PORT_FITS;
    }
    assert_true(accepted >= 300 && refused > 300 && overlapped > 30 && mended > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w2a2_needs_five_bits),
        cmocka_unit_test(published_w3a3),
        cmocka_unit_test(ports),
        cmocka_unit_test(overpacking),
        cmocka_unit_test(refuses),
        cmocka_unit_test(correction),
        cmocka_unit_test(random_packings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
