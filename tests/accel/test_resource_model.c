/* test_resource_model.c - the model against layers that were synthesised (Yosys 0.23, synth_xilinx -family
 * xcup, every LUT one): a table to be lengthened with every measured layer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "accel/helper_accel.h"
#include "accel/row_choices.h"

/* 12 slices x 8 output channels behind a line buffer, 4 input channels x 3 rows; out_bits by thresholds or by
 * one requantising slice per output channel. */
static const struct {
    const char *name;
    int h, w, in, out, weight_bits, in_bits, out_bits;
    bool narrow, affine;
    int activations, chain; /* of the packing that was built */
    int dsp, lut, ff;       /* measured */
} LAYERS[] = {
    {"w3a3 chain of 3, repaired", 80, 160, 16, 32, 3, 3, 3, false, false, 4, 3, 96, 2930, 4079},
    {"w3a3, of rtl/", 80, 160, 16, 32, 3, 3, 3, false, false, 4, 3, 96, 2652, 6461},
    {"w2a3 chain of 3", 40, 80, 32, 64, 2, 3, 6, false, true, 4, 3, 104, 2271, 3222},
    {"w4a4 chain of 6", 80, 160, 16, 32, 4, 4, 4, false, true, 2, 6, 104, 1391, 2010},
    {"w5a6 symmetric, chain of 2, repaired", 20, 40, 64, 64, 5, 6, 6, true, true, 2, 2, 104, 3088, 4429},
};

static mq_inet *one_layer(int i) {
    accel_net a = accel_begin(LAYERS[i].h, LAYERS[i].w, LAYERS[i].in, LAYERS[i].in_bits);
    accel_conv(&a, 0, LAYERS[i].out, 3, LAYERS[i].weight_bits, LAYERS[i].out_bits);
    return a.net;
}

static void measured_layers(void **state) {
    (void)state;
    mq_pack_explorer *explorer;
    mq_error error = {0};
    mq_dsp dsp;
    assert_int_equal(mq_dsp_find("dsp48e2", &dsp, &error), MQ_OK);
    assert_int_equal(mq_pack_explorer_create(&explorer, &error), MQ_OK);
    for (size_t i = 0; i < sizeof LAYERS / sizeof *LAYERS; i++) {
        mq_inet *net = one_layer((int)i);
        if (LAYERS[i].narrow) net->nodes[1].conv.weight_narrow = true;
        mq_row_choices rows;
        assert_int_equal(mq_row_choices_make(explorer, &dsp, net, 1, &rows, &error), MQ_OK);
        mq_layer_shape shape = mq_layer_shape_of(net, 1);
        int best = INT32_MAX, ff = 0, slices = 0;
        for (int k = 0; k < rows.count; k++) {
            const mq_row_model *r = &rows.choice[k].model;
            if (r->pieces != 1 || r->activations != LAYERS[i].activations || r->weight_groups != 1 ||
                r->longest < LAYERS[i].chain)
                continue;
            mq_fold f = {.simd = 4,
                         .pe = 8,
                         .rows = 3,
                         .blocks = 1,
                         .chain = LAYERS[i].chain,
                         .out_pixels = 1,
                         .npx = LAYERS[i].activations,
                         .in_channels = 4,
                         .in_pixels = 1,
                         .requant = LAYERS[i].affine ? MQ_PLAN_AFFINE : MQ_PLAN_THRESHOLD,
                         .lanes = LAYERS[i].affine ? 8 : 0};
            f.groups = LAYERS[i].out / 8;
            f.steps = LAYERS[i].in / 4;
            f.in_blocks = LAYERS[i].w / f.npx;
            f.acc_bits = mq_layer_acc_bits(&shape, r->zero);
            mq_resources used = mq_model_layer(&shape, r, &f);
            if (used.of[MQ_RES_LUT] >= best) continue;
            best = (int)used.of[MQ_RES_LUT];
            ff = (int)used.of[MQ_RES_FF];
            slices = (int)used.of[MQ_RES_DSP];
        }
        double off = 100.0 * (best - LAYERS[i].lut) / LAYERS[i].lut;
        printf("%-38s LUT model %5d measured %5d (%+.1f %%)  FF %5d / %5d  DSP %d / %d\n", LAYERS[i].name,
               best, LAYERS[i].lut, off, ff, LAYERS[i].ff, slices, LAYERS[i].dsp);
        assert_int_equal(slices, LAYERS[i].dsp);
        assert_true(off > -25 && off < 25);
        mq_row_choices_free(&rows);
        mq_inet_free(net);
    }
    mq_pack_explorer_free(explorer);
}

static void block_ram(void **state) {
    (void)state;
    assert_int_equal(mq_model_ram18(36, 512), 1);
    assert_int_equal(mq_model_ram18(37, 512), 2);
    assert_int_equal(mq_model_ram18(18, 1024), 1);
    assert_int_equal(mq_model_ram18(9, 513), 1);
    assert_int_equal(mq_model_ram18(72, 1024), 4);
    assert_int_equal(mq_model_ram18(1, 16385), 2);
    assert_int_equal(mq_model_ram18(100, 1), 0);
}

/* Depthwise 5x5 of 512 channels of 20 x 40, 4 bits; a channel, all kernel rows and 4 pixels at once: 6 rows
 * of 5120 words of 16 bits, 512 words of weights, thresholds for a channel and 4 pixels. Yosys: 42 RAMB18 and
 * 2 RAMB36. */
static void block_ram_of_a_layer(void **state) {
    (void)state;
    accel_net a = accel_begin(20, 40, 512, 4);
    accel_depthwise(&a, 0, 5, 4, 4);
    mq_layer_shape shape = mq_layer_shape_of(a.net, 1);
    mq_fold f = {.simd = 1,
                 .pe = 1,
                 .rows = 5,
                 .blocks = 1,
                 .chain = 1,
                 .out_pixels = 4,
                 .npx = 4,
                 .in_channels = 4,
                 .in_pixels = 1,
                 .requant = MQ_PLAN_THRESHOLD,
                 .groups = 512,
                 .steps = 1,
                 .in_blocks = 10,
                 .acc_bits = 11}; /* of trained weights */
    assert_int_equal(mq_model_layer(&shape, NULL, &f).of[MQ_RES_RAM18], 46);
    mq_inet_free(a.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(measured_layers), cmocka_unit_test(block_ram),
                                       cmocka_unit_test(block_ram_of_a_layer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
