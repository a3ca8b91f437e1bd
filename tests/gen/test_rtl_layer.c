/* test_rtl_layer.c - layers in Verilog against the reference simulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/temp_dir.h"
#include "gen/helper_layer.h"
#include "gen/rtl_layer.h"

enum { GIVEN = 7, RANDOM = 6, MOST = 64 };

/* Taps side by side, activations side by side, all `spacing` bits apart. */
static mq_packing filter(int taps, int wbit, bool symmetric, int abit, bool weights_wide, int spacing,
                         int pixels, int cycles) {
    mq_packing p = {.weights_wide = weights_wide, .weights = taps, .activations = pixels};
    mq_error error = {0};
    assert_int_equal(mq_dsp_find("dsp48e2", &p.dsp, NULL), MQ_OK);
    p.weight_codes = mq_pack_weight_codes(wbit, symmetric);
    p.activation_codes = mq_pack_activation_codes(abit);
    for (int i = 0; i < taps; i++) p.weight[i] = (mq_pack_operand){i * spacing, 0, i, 0};
    for (int j = 0; j < pixels; j++) p.activation[j] = (mq_pack_operand){j * spacing, 0, j, 1 << (abit - 1)};
    if (mq_packing_finish(&p, cycles, &error) != MQ_OK) fail_msg("%s", error.text);
    return p;
}

#define SAME3 .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1

/* Named cases: what a random draw might miss. Their streams are fast enough for the full rate. */
static const layer_want WANTED[GIVEN] = {
    /* a step a block */
    {.wbit = 3,
     .abit = 3,
     SAME3,
     .h = 6,
     .w = 16,
     .c = 4,
     .out = 8,
     .simd = 4,
     .pe = 4,
     .rows = 3,
     .blocks = 1,
     .out_pixels = 5,
     .in_channels = 4,
     .in_pixels = 5},
    /* valid, rows one by one, requantised */
    {.wbit = 4,
     .abit = 4,
     .kernel_h = 3,
     .kernel_w = 3,
     .h = 7,
     .w = 11,
     .c = 6,
     .out = 6,
     .simd = 3,
     .pe = 2,
     .rows = 1,
     .blocks = 1,
     .out_pixels = 1,
     .in_channels = 3,
     .in_pixels = 1,
     .out_bits = 3,
     .bias = true},
    /* spills over more than one block */
    {.wbit = 6,
     .abit = 6,
     .kernel_h = 5,
     .kernel_w = 5,
     .pad_top = 2,
     .pad_left = 2,
     .pad_bottom = 2,
     .pad_right = 2,
     .h = 6,
     .w = 9,
     .c = 2,
     .out = 4,
     .simd = 1,
     .pe = 2,
     .rows = 5,
     .blocks = 1,
     .out_pixels = 1,
     .in_channels = 2,
     .in_pixels = 1,
     .out_bits = 4},
    {.wbit = 4,
     .abit = 5,
     SAME3,
     .h = 5,
     .w = 10,
     .c = 6,
     .out = 6,
     .depthwise = true,
     .simd = 1,
     .pe = 2,
     .rows = 1,
     .blocks = 1,
     .out_pixels = 1,
     .in_channels = 2,
     .in_pixels = 1,
     .out_bits = 4,
     .logic = true},
    {.wbit = 2,
     .abit = 3,
     SAME3,
     .h = 5,
     .w = 10,
     .c = 6,
     .out = 5,
     .lut = true,
     .simd = 2,
     .pe = 2,
     .rows = 3,
     .blocks = 2,
     .out_pixels = 1,
     .in_channels = 2,
     .in_pixels = 2,
     .out_bits = 2,
     .bias = true},
    /* kernel packing, a port moved through C */
    {.wbit = 4,
     .abit = 4,
     .kernel_h = 1,
     .kernel_w = 1,
     .h = 4,
     .w = 8,
     .c = 16,
     .out = 8,
     .simd = 4,
     .pe = 3,
     .rows = 1,
     .blocks = 1,
     .out_pixels = 1,
     .in_channels = 4,
     .in_pixels = 1,
     .out_bits = 4,
     .lanes = 3},
    /* repaired cascades of 3; its packing comes later */
    {.wbit = 3,
     .abit = 3,
     SAME3,
     .h = 8,
     .w = 16,
     .c = 16,
     .out = 8,
     .simd = 4,
     .pe = 4,
     .rows = 3,
     .blocks = 1,
     .out_pixels = 1,
     .in_channels = 4,
     .in_pixels = 4,
     .out_bits = 3,
     .taps = 3,
     .chain = 3},
};

static int below(mq_rng *rng, uint64_t *n, int limit) {
    return (int)mq_rng_below(rng, (*n)++, (uint32_t)limit);
}

static int divisor(mq_rng *rng, uint64_t *n, int of) {
    int d;
    do d = 1 + below(rng, n, of);
    while (of % d);
    return d;
}

/* A layer by chance; pixels and folding are settled once the packing is known. */
static layer_want draw(uint64_t seed) {
    static const int kernels[] = {1, 3, 3, 3, 5, 2};
    mq_rng rng = mq_rng_stream(seed, "wanted layer", 0);
    uint64_t n = 0;
    layer_want w = {.wbit = 2 + below(&rng, &n, 7), .abit = 2 + below(&rng, &n, 7)};
    w.kernel_h = kernels[below(&rng, &n, 6)];
    w.kernel_w = below(&rng, &n, 4) ? w.kernel_h : kernels[below(&rng, &n, 6)];
    bool same = below(&rng, &n, 3) > 0;
    w.pad_top = same ? w.kernel_h / 2 : below(&rng, &n, w.kernel_h);
    w.pad_bottom = same ? (w.kernel_h - 1) / 2 : below(&rng, &n, w.kernel_h);
    w.pad_left = same ? w.kernel_w / 2 : below(&rng, &n, w.kernel_w);
    w.pad_right = same ? (w.kernel_w - 1) / 2 : below(&rng, &n, w.kernel_w);
    w.h = w.kernel_h + below(&rng, &n, 6);
    w.w = w.kernel_w + below(&rng, &n, 14);
    w.c = 1 + below(&rng, &n, 9);
    w.out = 1 + below(&rng, &n, 9);
    w.depthwise = below(&rng, &n, 5) == 0;
    w.linear = !w.depthwise && below(&rng, &n, 6) == 0;
    if (w.depthwise) w.out = w.c;
    if (w.linear) w.h = 1 + below(&rng, &n, 4), w.w = 1 + below(&rng, &n, 4), w.kernel_h = w.kernel_w = 1;
    w.symmetric = below(&rng, &n, 3) == 0;
    w.bias = below(&rng, &n, 2);
    w.out_bits = below(&rng, &n, 3) ? 1 + below(&rng, &n, 5) : 0;
    w.logic = below(&rng, &n, 2);
    w.blocks = below(&rng, &n, 3) ? 1 : 2;
    w.rows = w.linear ? 1 : divisor(&rng, &n, w.kernel_h);
    w.in_channels = 1 << below(&rng, &n, 3);
    if (w.linear) {
        w.in_pixels = 1 + below(&rng, &n, 3);
        w.simd = divisor(&rng, &n, w.in_channels * w.in_pixels);
    } else {
        w.simd = w.in_channels << below(&rng, &n, 2);
        if (below(&rng, &n, 2)) w.simd = divisor(&rng, &n, w.in_channels);
    }
    w.pe = 1 + below(&rng, &n, 4);
    if (w.depthwise) w.pe = w.simd, w.simd = 1;
    w.lut = below(&rng, &n, 6) == 0;
    return w;
}

static bool one_zero_point(const mq_pack_built *built) {
    for (int i = 0; i < built->kinds; i++)
        for (int j = 0; j < built->packing[i]->activations; j++)
            if (built->packing[i]->activation[j].zero != built->packing[0]->activation[0].zero) return false;
    return true;
}

/* The packing decides pixels and multiples. */
static void settle(layer_want *w, uint64_t seed, mq_pack_explorer *explorer) {
    mq_rng rng = mq_rng_stream(seed, "settled layer", 0);
    uint64_t n = 0;
    mq_pack_request request = {.class = MQ_CLASS_II,
                               .stride = 1,
                               .cycles = 1,
                               .lut_price = -1,
                               .wbit = w->wbit,
                               .abit = w->abit,
                               .kernel = w->linear ? 1 : w->kernel_w,
                               .symmetric = w->symmetric,
                               .depthwise = w->depthwise};
    mq_pack_built built;
    assert_int_equal(mq_dsp_find("dsp48e2", &request.dsp, NULL), MQ_OK);
    assert_int_equal(mq_pack_build(explorer, &request, &built, NULL), MQ_OK);
    int groups = 1;
    for (int i = 0; i < built.packing[0]->weights; i++)
        if (built.packing[0]->weight[i].group >= groups) groups = built.packing[0]->weight[i].group + 1;
    int pixels = built.packing[0]->activations;
    if (!one_zero_point(&built))
        w->lut = true; /* stages are built for one: nor would the allocator take it */
    if (w->lut) groups = pixels = 1;
    if (!w->depthwise) w->pe *= groups;
    while (pixels * w->blocks < w->kernel_w - 1 - w->pad_left) w->blocks++;
    int npx = pixels * w->blocks, blocks = (w->w + npx - 1) / npx;
    if (!w->linear) w->in_pixels = divisor(&rng, &n, npx);
    int out_w = w->w + w->pad_left + w->pad_right - w->kernel_w + 1;
    if (!w->linear && out_w > blocks * npx) w->pad_right = w->kernel_w - 1 - w->pad_left;
    int words = w->depthwise ? 1
                : w->linear
                    ? w->h * ((w->c + w->in_channels - 1) / w->in_channels) *
                          ((w->w + w->in_pixels - 1) / w->in_pixels) * w->in_channels * w->in_pixels / w->simd
                    : (w->c + w->simd - 1) / w->simd;
    int steps = words * (w->kernel_h / w->rows);
    do w->out_pixels = divisor(&rng, &n, npx);
    while (npx / w->out_pixels > steps);
    if (w->out_bits && below(&rng, &n, 2)) { /* slices, where a block's products take long enough */
        w->lanes = divisor(&rng, &n, w->pe * w->out_pixels);
        if (npx / w->out_pixels * (w->pe * w->out_pixels / w->lanes) > steps)
            w->lanes = w->pe * w->out_pixels;
    }
}

static void cases(void **state, int count, uint64_t seed, const char *flags) {
    const char *dir = ((temp_dir *)*state)->path;
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    static layer_case l[MOST];
    assert_true(count <= MOST);
    memset(l, 0, sizeof l);
    for (int i = 0; i < count; i++) {
        snprintf(l[i].name, sizeof l[i].name, "layer%d", (int)seed + i);
        l[i].want = draw(seed + (uint64_t)i);
        settle(&l[i].want, seed + (uint64_t)i, explorer);
        l[i].stall_in = i % 3 == 1 ? 80 : 0;
        l[i].stall_out = i % 3 == 2 ? 80 : i % 6 == 1 ? 60 : 0;
        layer_make(&l[i], explorer, seed + (uint64_t)i);
        layer_write(&l[i], dir, seed + (uint64_t)i);
    }
    layers_verilator(l, count, dir, flags, 200000);
    layers_check(l, count);
    for (int i = 0; i < count; i++) layer_free(&l[i]);
    mq_pack_explorer_free(explorer);
}

/* One bit of a memory file is the other one. */
static void flip(void **state, const char *name) {
    FILE *f = fopen(temp_dir_path(state, name), "r+");
    assert_non_null(f);
    int digit = fgetc(f);
    rewind(f);
    fputc(digit == '0' ? '1' : '0', f);
    fclose(f);
}

static void given(void **state) {
    layers_need("verilator");
    const char *dir = ((temp_dir *)*state)->path;
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    mq_packing repaired = filter(3, 3, false, 3, false, 7, 4, 3);
    static layer_case l[GIVEN];
    memset(l, 0, sizeof l);
    for (int i = 0; i < GIVEN; i++) {
        snprintf(l[i].name, sizeof l[i].name, "given%d", i);
        l[i].want = WANTED[i];
        if (i == GIVEN - 1) l[i].want.packing = &repaired;
        layer_make(&l[i], explorer, (uint64_t)i);
        layer_write(&l[i], dir, (uint64_t)i);
    }
    layers_verilator(l, GIVEN, dir, "", 100000);
    layers_check(l, GIVEN);
    for (int i = 0; i < GIVEN; i++) {
        int64_t interval = l[i].done[2] - l[i].done[1], expected = l[i].stage.cycles + l[i].stage.flush;
        print_message("%s: %" PRId64 " cycles a frame, %" PRId64 " by the stage's geometry\n", l[i].name,
                      interval, expected);
        /* the ring holds kernel_h + 1 rows: without padding some of the next frame's wait for the end of this
         */
        const mq_stage *g = &l[i].stage;
        int late = g->kernel_h - 1 - g->pad_top - g->pad_bottom;
        int64_t slack = g->flush ? 0 : g->steps + (late > 0 ? late * (mq_stream_row_beats(&l[i].in) + 4) : 0);
        if (interval < expected || interval > expected + slack) fail_msg("%s", l[i].name);
    }
    /* a weight, an edge */
    flip(state, "mem/given0_w0.hex");
    flip(state, "mem/given6_edges.hex");
    layers_again(l, GIVEN, dir);
    for (int i = 0; i < GIVEN; i++) assert_int_equal(l[i].mismatches > 0, i == 0 || i == 6);
    for (int i = 0; i < GIVEN; i++) layer_free(&l[i]);
    mq_pack_explorer_free(explorer);
}

/* The primitives that synthesis gets, and another simulator. One layer has two kinds of pieces. */
static void primitives(void **state) {
    static const int chosen[] = {0, 4, 6, 2};
    enum { CHOSEN = 4 };
    layers_need("iverilog");
    const char *dir = ((temp_dir *)*state)->path;
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    mq_packing repaired = filter(3, 3, false, 3, false, 7, 4, 3),
               three = filter(3, 4, false, 4, true, 11, 2, 6), two = filter(2, 4, false, 4, true, 11, 2, 6);
    layer_case l[CHOSEN] = {0};
    for (int i = 0; i < CHOSEN; i++) {
        layer_want *w = &l[i].want;
        snprintf(l[i].name, sizeof l[i].name, "primitive%d", i);
        *w = WANTED[chosen[i]];
        if (i == 2) w->packing = &repaired;
        if (i == 3) {
            w->packing = &three, w->second = &two, w->taps = 3, w->second_taps = 2;
            w->wbit = w->abit = 4;
        }
        w->h = w->kernel_h;
        l[i].stall_in = l[i].stall_out = 40;
        layer_make(&l[i], explorer, (uint64_t)i);
        layer_write(&l[i], dir, (uint64_t)i);
    }
    layers_icarus(l, CHOSEN, dir, 20000);
    layers_check(l, CHOSEN);
    for (int i = 0; i < CHOSEN; i++) layer_free(&l[i]);
    mq_pack_explorer_free(explorer);
}

static void by_chance(void **state) {
    layers_need("verilator");
    const char *more = getenv("MIXQ_RTL_LAYERS"), *from = getenv("MIXQ_RTL_FROM");
    int rounds = more ? atoi(more) : 1;
    for (int r = 0; r < rounds; r++)
        cases(state, RANDOM, (uint64_t)((from ? atoi(from) : 0) + r) * RANDOM, "");
}

enum { WHOLE = 4 };

/* Layers of 96 multiplying slices as networks have them; tests/gen/rtl_luts.sh synthesises them. */
static int whole_layers(layer_case *l, mq_packing *p) {
    p[0] = filter(3, 3, false, 3, false, 7, 4, 3);
    p[1] = filter(3, 2, false, 3, false, 7, 4, 3);
    p[2] = filter(3, 4, false, 4, true, 11, 2, 6);
    p[3] = filter(3, 5, true, 6, true, 11, 2, 2);
    static const char *const names[WHOLE] = {"w3a3", "w2a3", "w4a4", "w5a6"};
    const layer_want common = {.kernel_h = 3,
                               .kernel_w = 3,
                               .pad_top = 1,
                               .pad_left = 1,
                               .pad_bottom = 1,
                               .pad_right = 1,
                               .simd = 4,
                               .pe = 8,
                               .rows = 3,
                               .blocks = 1,
                               .out_pixels = 1,
                               .in_channels = 4,
                               .in_pixels = 1,
                               .taps = 3};
    for (int i = 0; i < WHOLE; i++) {
        layer_want w = common;
        w.packing = &p[i];
        w.chain = (int)p[i].accumulations;
        snprintf(l[i].name, sizeof l[i].name, "%s", names[i]);
        l[i].want = w;
    }
    l[0].want.wbit = 3, l[0].want.abit = 3, l[0].want.h = 80, l[0].want.w = 160, l[0].want.c = 16,
    l[0].want.out = 32;
    l[0].want.out_bits = 3;
    l[1].want.wbit = 2, l[1].want.abit = 3, l[1].want.h = 40, l[1].want.w = 80, l[1].want.c = 32,
    l[1].want.out = 64;
    l[1].want.out_bits = 6, l[1].want.lanes = 4;
    l[2].want.wbit = 4, l[2].want.abit = 4, l[2].want.h = 80, l[2].want.w = 160, l[2].want.c = 16,
    l[2].want.out = 32;
    l[2].want.out_bits = 4, l[2].want.lanes = 4;
    l[3].want.wbit = 5, l[3].want.abit = 6, l[3].want.h = 20, l[3].want.w = 40, l[3].want.c = 64,
    l[3].want.out = 64;
    l[3].want.out_bits = 6, l[3].want.lanes = 1, l[3].want.symmetric = true;
    return WHOLE;
}

/* The message names the layer and what it has. */
static void refuse(void **state, layer_want want, const mq_packing *packing, const char *words) {
    layer_case l = {.name = "refused", .want = want};
    mq_error error = {0};
    l.want.packing = packing;
    layer_make(&l, NULL, 1);
    mq_inet_plan plan = {.count = 1, .layer = &l.plan, .in_pixels = 1};
    mq_rtl_build build = {l.net, &plan, ((temp_dir *)*state)->path};
    assert_int_equal(mq_rtl_layer(&build, &l.plan, &l.in, l.name, &l.out, &error), MQ_BAD_INPUT);
    if (!strstr(error.text, words) || !strstr(error.text, "layer: ")) fail_msg("%s", error.text);
    layer_free(&l);
}

static void refusals(void **state) {
    layer_want want = WANTED[GIVEN - 1];
    mq_packing good = filter(3, 3, false, 3, false, 7, 4, 3), bad = good;
    bad.field[2].overlap = 2;
    refuse(state, want, &bad, "overlap of 2 bits");
    bad = good;
    bad.fix = MQ_PORT_EXTRA;
    refuse(state, want, &bad, "extra port bit");
    bad = good;
    snprintf(bad.dsp.name, sizeof bad.dsp.name, "dsp48e1");
    bad.dsp.wide = 25;
    refuse(state, want, &bad, "dsp48e1");
    want.out_pixels = 3;
    refuse(state, want, &good, "out_pixels: got 3");
    want.out_pixels = 1;
    want.simd = 16;
    refuse(state, want, &good, "4 beats take 4 cycles, its products 1");
    want = WANTED[GIVEN - 1];
    want.pad_left = want.pad_right = 2;
    refuse(state, want, &good, "18 output columns");
}

/* Writes the whole layers to MIXQ_RTL_EMIT; nothing without. */
static void emit(void **state) {
    (void)state;
    const char *dir = getenv("MIXQ_RTL_EMIT");
    if (!dir) skip();
    static layer_case l[WHOLE];
    static mq_packing p[WHOLE];
    int count = whole_layers(l, p);
    for (int i = 0; i < count; i++) {
        layer_make(&l[i], NULL, (uint64_t)i);
        layer_write(&l[i], dir, (uint64_t)i);
        layer_free(&l[i]);
    }
}

/* MIXQ_RTL_DIR: a folder to work in and keep; MIXQ_RTL_TEST: one test alone. */
static int make_dir(void **state) {
    const char *own = getenv("MIXQ_RTL_DIR");
    if (!own) return temp_dir_make(state);
    temp_dir *dir = calloc(1, sizeof *dir);
    if (!dir) return -1;
    snprintf(dir->path, sizeof dir->path, "%s", own);
    *state = dir;
    return 0;
}

static int remove_dir(void **state) {
    if (!getenv("MIXQ_RTL_DIR")) return temp_dir_remove(state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(given), cmocka_unit_test(primitives),
                                       cmocka_unit_test(by_chance), cmocka_unit_test(refusals),
                                       cmocka_unit_test(emit)};
    if (getenv("MIXQ_RTL_TEST")) cmocka_set_test_filter(getenv("MIXQ_RTL_TEST"));
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
