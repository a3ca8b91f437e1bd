/* test_pack_beyond.c - what other uses of slices could give, computed for every cell: the reasons why the
 * search has no solver for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "pack/built.h"

static mq_pack_plan best(mq_pack_explorer *explorer, const mq_dsp *dsp, int wbit, int abit, int kernel) {
    mq_pack_request r = {.dsp = *dsp,
                         .wbit = wbit,
                         .abit = abit,
                         .kernel = kernel,
                         .stride = 1,
                         .class = MQ_CLASS_II,
                         .cycles = 1,
                         .lut_price = -1};
    mq_pack_plan plan;
    mq_error error = {0};
    if (mq_pack_best(explorer, &r, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    return plan;
}

typedef void (*visit)(const mq_dsp *dsp, mq_pack_explorer *explorer, int w, int a, int k, int *above);

static int every_cell(visit see, int least) {
    static const int KERNELS[] = {1, 3, 5};
    mq_pack_explorer *explorer;
    mq_dsp dsp;
    int above = 0;
    assert_int_equal(mq_dsp_find("dsp48e2", &dsp, NULL), MQ_OK);
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    for (int k = 0; k < 3; k++)
        for (int w = least; w <= 8; w++)
            for (int a = least; a <= 8; a++) see(&dsp, explorer, w, a, KERNELS[k], &above);
    mq_pack_explorer_free(explorer);
    return above;
}

/* Two slices in cascade as one multiplier of 27 x 35 bits (the low 17 bits of one port in the first slice, P
 * shifted by 17 into the second): the same search, half the result. */
static void see_pair(const mq_dsp *dsp, mq_pack_explorer *explorer, int w, int a, int k, int *above) {
    const mq_dsp pair = {"pair", 35, 27, 62, false};
    *above += best(explorer, &pair, w, a, k).mults / 2 > best(explorer, dsp, w, a, k).mults + 1e-9;
}

static void two_slices_as_one(void **state) {
    (void)state;
    assert_int_equal(every_cell(see_pair, 2), 0);
}

/* Two-dimensional pieces, at their field bound. */
static void see_area(const mq_dsp *dsp, mq_pack_explorer *explorer, int w, int a, int k, int *above) {
    int bound =
        mq_pack_area_bound(dsp, mq_pack_weight_codes(w, false), mq_pack_activation_codes(a), k, MQ_CLASS_II);
    double row = best(explorer, dsp, w, a, k).mults;
    if (bound <= row) return;
    print_message("w%da%d k%d: pieces of an area %d at most, rows %.3f\n", w, a, k, bound, row);
    ++*above;
}

static void areas(void **state) {
    (void)state;
    assert_true(every_cell(see_area, 2) <=
                1); /* w2a3, 3 x 3: 16 by 2 x 2 taps, which do not tile it, against 15 */
}

/* The ALU's four lanes of 12 bits without the multiplier: A:B and C hold 4 terms each, so 8 gated bit planes
 * a cycle, a/2 LUTs to gate each; w planes make a multiplication. */
static void see_lanes(const mq_dsp *dsp, mq_pack_explorer *explorer, int w, int a, int k, int *above) {
    double lanes = 8.0 / w, luts = 8 * a / 2.0;
    mq_pack_plan plan = best(explorer, dsp, w, a, k);
    double price = 1 / mq_luts_multiply_add(w, a);
    *above += lanes - luts * price > plan.mults - plan.luts * price;
}

static void simd_lanes(void **state) {
    (void)state;
    assert_int_equal(every_cell(see_lanes, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_slices_as_one),
        cmocka_unit_test(areas),
        cmocka_unit_test(simd_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
