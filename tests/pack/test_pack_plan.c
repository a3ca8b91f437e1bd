/* test_pack_plan.c - the search: what it must reach in every cell, that it stays under the field bound, that
 * its results are exact, and its odd requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "pack/factors.h"
#include "pack/plan.h"
#include "pack/proof.h"

static mq_pack_request ask(int wbit, int abit, int kernel, mq_pack_class class, bool symmetric) {
    mq_pack_request r = {.wbit = wbit,
                         .abit = abit,
                         .kernel = kernel,
                         .stride = 1,
                         .symmetric = symmetric,
                         .class = class,
                         .cycles = 1,
                         .lut_price = -1};
    assert_int_equal(mq_dsp_find("dsp48e2", &r.dsp, NULL), MQ_OK);
    return r;
}

static int make(void **state) {
    return mq_pack_explorer_create((mq_pack_explorer **)state, NULL) != MQ_OK;
}

static int drop(void **state) {
    mq_pack_explorer_free(*state);
    return 0;
}

static mq_pack_plan best(void **state, const mq_pack_request *request) {
    mq_pack_plan plan;
    mq_error error = {0};
    if (mq_pack_best(*state, request, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    return plan;
}

static void check_plan(const mq_pack_request *r, const mq_pack_plan *plan) {
    double share = 0, luts = 0;
    assert_true(plan->parts > 0 && plan->parts < MQ_PACK_PARTS);
    for (int i = 0; i < plan->parts; i++) {
        share += plan->part[i].share;
        const mq_packing *p = plan->part[i].packing;
        luts += plan->part[i].share * plan->part[i].luts;
        if (!plan->part[i].canary) assert_float_equal(plan->part[i].luts, p->luts, 0);
        assert_true(plan->part[i].packing->class <= r->class);
        assert_true((plan->part[i].canary ? p->canary : p->accumulations) >= r->cycles);
    }
    assert_float_equal(share, 1, 1e-9);
    assert_float_equal(luts, plan->luts, 1e-9);
    if (plan->mults > plan->bound * (1 + 1e-9))
        fail_msg("w%da%d k%d: %g over the bound %g", r->wbit, r->abit, r->kernel, plan->mults, plan->bound);
}

/* The goals of the 147 cells: no cell below the published one, and the geometric means of the ratios. */
static void reaches_the_goals(void **state) {
    static const struct {
        mq_pack_class class;
        bool symmetric, every_cell;
        double mean[3];
    } GOALS[] = {{MQ_CLASS_II, false, true, {1.16, 1.23, 1.39}},
                 {MQ_CLASS_II, true, true, {1.17, 1.29, 1.44}},
                 {MQ_CLASS_III, false, true, {1.21, 1.34, 1.52}}};
    static const int KERNELS[] = {1, 3, 5};
    mq_factors published;
    assert_int_equal(mq_factors_load("published", &published, NULL), MQ_OK);
    for (size_t g = 0; g < sizeof GOALS / sizeof *GOALS; g++)
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int w = 2; w <= 8; w++)
                for (int a = 2; a <= 8; a++) {
                    mq_pack_request r = ask(w, a, KERNELS[k], GOALS[g].class, GOALS[g].symmetric);
                    mq_pack_plan plan = best(state, &r);
                    check_plan(&r, &plan);
                    double theirs;
                    assert_int_equal(mq_factors_get(&published, KERNELS[k], false, w, a, &theirs, NULL),
                                     MQ_OK);
                    if (GOALS[g].every_cell && plan.mults < theirs - 0.005)
                        fail_msg("w%da%d k%d: %g, published %g", w, a, KERNELS[k], plan.mults, theirs);
                    sum += log(plan.mults / theirs);
                    /* charged: the LUTs buy more than they would as multipliers */
                    mq_pack_request plain = ask(w, a, KERNELS[k], MQ_CLASS_I, GOALS[g].symmetric);
                    mq_pack_plan without = best(state, &plain);
                    assert_true(plan.mults - plan.luts / mq_luts_multiplier(w, a) >=
                                without.mults * (1 - 1e-9));
                }
            if (exp(sum / 49) < GOALS[g].mean[k])
                fail_msg("class %d, kernel %d: geometric mean %.4f, at least %.2f expected", GOALS[g].class,
                         KERNELS[k], exp(sum / 49), GOALS[g].mean[k]);
        }
}

static void single_cells(void **state) {
    mq_pack_request r = ask(4, 4, 1, MQ_CLASS_I, false);
    mq_pack_plan plan = best(state, &r);
    assert_float_equal(plan.mults, 6, 1e-9);
    assert_float_equal(plan.luts, 0, 0);
    r = ask(2, 2, 3, MQ_CLASS_I, false);
    plan = best(state, &r);
    assert_float_equal(plan.mults, 18, 1e-9);
    assert_float_equal(plan.luts, 0, 0);
    r = ask(5, 7, 1, MQ_CLASS_II, false);
    assert_float_equal(best(state, &r).mults, 4, 1e-9);
    /* guard bits: the cost of accumulating inside */
    double last = 1e9;
    for (int cycles = 1; cycles <= 64; cycles *= 4) {
        r = ask(2, 2, 3, MQ_CLASS_I, false);
        r.cycles = cycles;
        plan = best(state, &r);
        check_plan(&r, &plan);
        assert_true(plan.mults <= last && plan.accumulations >= cycles);
        last = plan.mults;
    }
}

static void every_shape_is_exact(void **state) {
    int run = 0, caught = 0, packings = 0;
    for (int symmetric = 0; symmetric < 2; symmetric++)
        for (int class = 1; class <= 3; class ++)
            for (int w = 1 + symmetric; w <= 8; w++)
                for (int a = 1; a <= 8; a++) {
                    /* one kernel, stride and slice per cell, all of them over the cells */
                    static const int KERNELS[] = {1, 3, 5, 7, 2};
                    static const char *const SLICES[] = {"dsp48e2", "dsp58", "dsp48e1", "18x19"};
                    mq_pack_request r = ask(w, a, KERNELS[(w + 2 * a) % 5], (mq_pack_class) class, symmetric);
                    assert_int_equal(mq_dsp_find(SLICES[(w + a) % 4], &r.dsp, NULL), MQ_OK);
                    r.stride = r.kernel > 2 && a % 3 == 0 ? 2 : 1;
                    r.depthwise = (a + w) % 3 == 0;
                    mq_pack_plan plan = best(state, &r);
                    check_plan(&r, &plan);
                    for (int i = 0; i < plan.parts; i++) {
                        mq_proof proof;
                        mq_error error = {0};
                        const mq_packing *p = plan.part[i].packing;
                        if (p->weights + p->activations > 12)
                            continue; /* long corners: `pack verify --all` */
                        if (mq_pack_prove(p, 3000, (uint64_t)packings, &proof, &error) != MQ_OK)
                            fail_msg("w%da%d k%d %s: %s", w, a, r.kernel, r.dsp.name, error.text);
                        packings++;
                        if (packings % 8) continue;
                        int more, found;
                        mq_pack_controls(p, 1, &more, &found);
                        run += more;
                        caught += found;
                    }
                }
    assert_true(packings > 300 && run > 300);
    assert_int_equal(run, caught);
}

static void depthwise_and_strides(void **state) {
    for (int w = 2; w <= 8; w += 3)
        for (int a = 2; a <= 8; a += 3)
            for (int k = 1; k <= 5; k += 2) {
                mq_pack_request r = ask(w, a, k, MQ_CLASS_II, false);
                double dense = best(state, &r).mults;
                r.depthwise = true;
                assert_true(best(state, &r).mults <= dense * (1 + 1e-9));
                r.depthwise = false;
                if (k == 1) continue;
                r.stride = 2;
                mq_pack_plan plan = best(state, &r);
                check_plan(&r, &plan);
                double taps = 0;
                for (int i = 0; i < plan.parts; i++)
                    if (plan.part[i].weight_shift + plan.part[i].activation_shift == 0)
                        taps += plan.part[i].count * plan.part[i].taps * plan.part[i].rows;
                if (!mq_pack_plan_splits(&plan)) assert_float_equal(taps, k * k, 1e-9);
                r.stride = k;
                r.lut_price = 0;
                mq_pack_request one = ask(w, a, 1, MQ_CLASS_II, false);
                one.lut_price = 0;
                assert_float_equal(best(state, &r).mults, best(state, &one).mults, 1e-9);
            }
}

static void pareto_sets(void **state) {
    mq_pack_plan plans[MQ_PACK_PARETO];
    int count;
    mq_pack_request r = ask(4, 4, 3, MQ_CLASS_III, false);
    mq_error error = {0};
    assert_int_equal(mq_pack_pareto(*state, &r, plans, &count, &error), MQ_OK);
    assert_true(count >= 4);
    for (int i = 0; i < count; i++) {
        check_plan(&r, &plans[i]);
        for (int j = 0; j < count; j++)
            if (i != j)
                assert_false(plans[j].mults >= plans[i].mults && plans[j].luts <= plans[i].luts &&
                             plans[j].accumulations >= plans[i].accumulations);
    }
}

/* Counting carries keeps the multiplications of one cycle, for LUTs; free LUTs always choose it. */
static void canaries(void **state) {
    for (int bits = 2; bits <= 8; bits += 2) {
        mq_pack_request r = ask(bits, bits, 3, MQ_CLASS_I, false);
        r.lut_price = 0;
        double one = best(state, &r).mults;
        r.cycles = 32;
        mq_pack_plan guarded = best(state, &r);
        r.canary = true;
        mq_pack_plan counted = best(state, &r);
        check_plan(&r, &counted);
        assert_true(counted.mults >= guarded.mults && counted.mults <= one * (1 + 1e-9));
        assert_true(counted.accumulations >= 32);
        if (bits == 2) assert_true(counted.mults > guarded.mults && counted.luts > 0);
        r.lut_price = 1e9;
        assert_float_equal(best(state, &r).mults, guarded.mults, 1e-9);
    }
}

static void refuses(void **state) {
    mq_error error = {0};
    mq_pack_plan plan;
    static const struct {
        int wbit, abit, kernel, stride;
        bool symmetric;
        int64_t cycles;
        const char *text;
    } CASES[] = {
        {0, 4, 3, 1, false, 1, "weight bits: got 0, expected 1..8"},
        {9, 4, 3, 1, false, 1, "weight bits: got 9, expected 1..8"},
        {4, 9, 3, 1, false, 1, "activation bits: got 9, expected 1..8"},
        {4, 4, 0, 1, false, 1, "kernel: got 0, expected 1..31"},
        {4, 4, 3, 4, false, 1, "stride: got 4, expected 1..3"},
        {1, 4, 3, 1, true, 1, "symmetric weights of 1 bit"},
        {4, 4, 3, 1, false, 0, "accumulations: got 0"},
        {4, 4, 3, 1, false, (int64_t)1 << 46, "keeps within the budget"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_pack_request r =
            ask(CASES[i].wbit, CASES[i].abit, CASES[i].kernel, MQ_CLASS_II, CASES[i].symmetric);
        r.stride = CASES[i].stride;
        r.cycles = CASES[i].cycles;
        if (mq_pack_best(*state, &r, &plan, &error) != MQ_USAGE)
            fail_msg("accepted case %zu: %g", i, plan.mults);
        if (!strstr(error.text, CASES[i].text)) fail_msg("%s", error.text);
    }
    mq_pack_request r = ask(8, 8, 3, MQ_CLASS_II, false);
    assert_int_equal(mq_dsp_find("4x4", &r.dsp, NULL), MQ_OK);
    r.kinds = "kernel";
    assert_int_equal(mq_pack_best(*state, &r, &plan, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "no packing of w8a8 on 4x4"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reaches_the_goals, make, drop),
        cmocka_unit_test_setup_teardown(single_cells, make, drop),
        cmocka_unit_test_setup_teardown(every_shape_is_exact, make, drop),
        cmocka_unit_test_setup_teardown(depthwise_and_strides, make, drop),
        cmocka_unit_test_setup_teardown(pareto_sets, make, drop),
        cmocka_unit_test_setup_teardown(canaries, make, drop),
        cmocka_unit_test_setup_teardown(refuses, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
