/* test_pack_built.c - what can be built: against layers that were written and synthesised, and against the
 * plans it is a part of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "pack/built.h"

static mq_pack_request ask(int wbit, int abit, int kernel, bool depthwise) {
    mq_pack_request r = {.wbit = wbit,
                         .abit = abit,
                         .kernel = kernel,
                         .stride = 1,
                         .depthwise = depthwise,
                         .class = MQ_CLASS_II,
                         .cycles = 1,
                         .lut_price = -1};
    assert_int_equal(mq_dsp_find("dsp48e2", &r.dsp, NULL), MQ_OK);
    return r;
}

/* Layers of 96 slices in 8 elements of 12, filter packings, ternary trees, as synthesised by Yosys 0.23 for
 * xcup (LUTs of the whole layer, line buffer, control and requantisation included). About 430 LUTs are shared
 * by the elements, and one for each bit read from the three rows of 4 channels; about 25 per element
 * requantise by thresholds, 10 beside a DSP. */
static void agrees_with_synthesis(void **state) {
    (void)state;
    static const struct {
        int wbit, abit, channels, pixels, spacing, chain;
        bool symmetric, weights_wide, by_dsp;
        int luts;
    } LAYERS[] = {
        {3, 3, 16, 4, 7, 3, false, false, false, 2930},
        {2, 3, 32, 4, 7, 3, false, false, true, 2271},
        {4, 4, 16, 2, 11, 6, false, true, true, 1391},
        {5, 6, 64, 2, 11, 2, true, true, true, 3088},
    };
    for (size_t i = 0; i < sizeof LAYERS / sizeof *LAYERS; i++) {
        mq_pack_request r = ask(LAYERS[i].wbit, LAYERS[i].abit, 3, false);
        r.symmetric = LAYERS[i].symmetric;
        r.channels = LAYERS[i].channels;
        int half = 1 << (r.abit - 1);
        mq_packing p = {.dsp = r.dsp,
                        .kind = "filter",
                        .weight_codes = mq_pack_weight_codes(r.wbit, r.symmetric),
                        .activation_codes = mq_pack_activation_codes(r.abit),
                        .weights_wide = LAYERS[i].weights_wide,
                        .weights = 3,
                        .activations = LAYERS[i].pixels};
        for (int k = 0; k < 3; k++) p.weight[k] = (mq_pack_operand){k * LAYERS[i].spacing, 0, k, 0};
        for (int k = 0; k < p.activations; k++)
            p.activation[k] = (mq_pack_operand){k * LAYERS[i].spacing, 0, k, half};
        mq_error error = {0};
        mq_pack_built b;
        if (mq_packing_finish(&p, LAYERS[i].chain, &error) != MQ_OK ||
            mq_pack_build_with(&r, &p, 3, &b, &error) != MQ_OK)
            fail_msg("w%da%d: %s", r.wbit, r.abit, error.text);
        assert_true(b.chain >= LAYERS[i].chain);
        double layer =
            96 * b.luts + 430 + 3 * 4 * LAYERS[i].pixels * r.abit + 8 * (LAYERS[i].by_dsp ? 10 : 25);
        print_message("w%da%d: modelled %.0f LUTs, synthesised %d\n", r.wbit, r.abit, layer, LAYERS[i].luts);
        if (fabs(layer / LAYERS[i].luts - 1) > 0.2)
            fail_msg("w%da%d: %.0f LUTs, synthesised %d", r.wbit, r.abit, layer, LAYERS[i].luts);
    }
}

static void every_cell(void **state) {
    (void)state;
    static const int KERNELS[] = {1, 3, 5, 7};
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    for (int depthwise = 0; depthwise < 2; depthwise++)
        for (int k = 0; k < 4; k++) {
            double value[10][10] = {{0}};
            for (int w = 8; w >= 1; w--)
                for (int a = 8; a >= 1; a--) {
                    mq_pack_request r = ask(w, a, KERNELS[k], depthwise);
                    mq_pack_built b;
                    mq_error error = {0};
                    if (mq_pack_build(explorer, &r, &b, &error) != MQ_OK) fail_msg("%s", error.text);
                    value[w][a] = b.realised;
                    assert_true(b.realised > 0 && b.realised < b.mults);
                    assert_float_equal(b.realised, b.mults - b.luts / mq_luts_multiply_add(b.wbit, b.abit),
                                       1e-9);
                    /* fewer bits never cost more */
                    assert_true(b.realised >= value[w + 1][a] && b.realised >= value[w][a + 1]);
                    int taps = 0;
                    for (int i = 0; i < b.kinds; i++) {
                        const mq_packing *p = b.packing[i];
                        taps += b.count[i] * b.taps[i];
                        assert_true(p->weight_codes.low <= -(1 << (w - 1)) &&
                                    p->activation_codes.high >= (1 << a) - 1);
                        assert_true(p->class <= MQ_CLASS_II);
                        assert_true(b.canary || p->accumulations >= b.chain);
                    }
                    assert_true(taps >= KERNELS[k] && taps < KERNELS[k] + b.taps[0]);
                }
        }
    mq_pack_explorer_free(explorer);
}

static void refuses(void **state) {
    (void)state;
    mq_pack_explorer *explorer;
    mq_pack_built b;
    mq_error error = {0};
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    mq_pack_request r = ask(4, 4, 3, false);
    r.stride = 2;
    assert_int_equal(mq_pack_build(explorer, &r, &b, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "stride: got 2"));
    r = ask(9, 4, 3, false);
    assert_int_equal(mq_pack_build(explorer, &r, &b, &error), MQ_USAGE);
    mq_packing unfinished = {.weights = 1, .activations = 1};
    r = ask(4, 4, 3, false);
    assert_int_equal(mq_pack_build_with(&r, &unfinished, 3, &b, &error), MQ_USAGE);
    mq_pack_explorer_free(explorer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_synthesis),
        cmocka_unit_test(every_cell),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
