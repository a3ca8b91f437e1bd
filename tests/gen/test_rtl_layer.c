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

enum { GIVEN = 7, RANDOM = 10, MOST = 64 };

/* Named cases: what a random draw might miss. */
static const layer_want WANTED[GIVEN] = {
    {.wbit = 3,
     .abit = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
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
     .in_pixels = 1},
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
    return w;
}

/* The packing decides pixels and multiples. False: no stage for this one. */
static bool settle(layer_want *w, uint64_t seed, mq_pack_explorer *explorer) {
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
    return true;
}

static void cases(void **state, const layer_want *wanted, int count, uint64_t seed, const char *flags) {
    const char *dir = ((temp_dir *)*state)->path;
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    static layer_case l[MOST];
    assert_true(count <= MOST);
    memset(l, 0, sizeof l);
    for (int i = 0; i < count; i++) {
        snprintf(l[i].name, sizeof l[i].name, "layer%d", (int)seed + i);
        l[i].want = wanted ? wanted[i] : draw(seed + (uint64_t)i);
        if (!wanted) settle(&l[i].want, seed + (uint64_t)i, explorer);
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

static void given(void **state) {
    cases(state, WANTED, 2, 900, "");
}

static void by_chance(void **state) {
    const char *more = getenv("MIXQ_RTL_LAYERS"), *from = getenv("MIXQ_RTL_FROM");
    int rounds = more ? atoi(more) : 1;
    for (int r = 0; r < rounds; r++)
        cases(state, NULL, RANDOM, (uint64_t)((from ? atoi(from) : 0) + r) * RANDOM, "");
}

/* 3 taps side by side, activations side by side, all `spacing` bits apart. */
static mq_packing filter(int wbit, bool symmetric, int abit, bool weights_wide, int spacing, int pixels,
                         int cycles) {
    mq_packing p = {.weights_wide = weights_wide, .weights = 3, .activations = pixels};
    mq_error error = {0};
    assert_int_equal(mq_dsp_find("dsp48e2", &p.dsp, NULL), MQ_OK);
    p.weight_codes = mq_pack_weight_codes(wbit, symmetric);
    p.activation_codes = mq_pack_activation_codes(abit);
    for (int i = 0; i < 3; i++) p.weight[i] = (mq_pack_operand){i * spacing, 0, i, 0};
    for (int j = 0; j < pixels; j++) p.activation[j] = (mq_pack_operand){j * spacing, 0, j, 1 << (abit - 1)};
    if (mq_packing_finish(&p, cycles, &error) != MQ_OK) fail_msg("%s", error.text);
    return p;
}

enum { WHOLE = 4 };

/* Layers of 96 multiplying slices as networks have them; tests/gen/rtl_luts.sh synthesises them. */
static int whole_layers(layer_case *l, mq_packing *p) {
    p[0] = filter(3, false, 3, false, 7, 4, 3);
    p[1] = filter(2, false, 3, false, 7, 4, 3);
    p[2] = filter(4, false, 4, true, 11, 2, 6);
    p[3] = filter(5, true, 6, true, 11, 2, 2);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(given), cmocka_unit_test(by_chance),
                                       cmocka_unit_test(emit)};
    if (getenv("MIXQ_RTL_TEST")) cmocka_set_test_filter(getenv("MIXQ_RTL_TEST"));
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
