/* test_rtl_requant.c - both requantisers in Verilog, with the memory files that C writes for them, against
 * the rule itself: any mixture of rules, offsets, padded channels, signs, ranges; and the model of the slice
 * they use against mq_dsp_eval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "gen/helper_rtl.h"
#include "gen/rtl_requant.h"
#include "pack/dsp.h"

enum { CHANNELS = 40, BEATS = 200 };

typedef struct draw {
    mq_rng rng;
    uint64_t n;
} draw;

static uint32_t below(draw *d, uint32_t bound) {
    return mq_rng_below(&d->rng, d->n++, bound);
}

static int64_t bits_of(draw *d, int bits) { /* any signed number of that many bits */
    uint64_t v = (uint64_t)mq_rng_u32(&d->rng, d->n++) << 32;
    v |= mq_rng_u32(&d->rng, d->n++);
    return mq_wrap((int64_t)v, bits);
}

typedef struct rule {
    mq_inet_node node;
    int64_t inc[CHANNELS], bias[CHANNELS], offset[CHANNELS];
    uint8_t kind[CHANNELS];
    int64_t threshold[CHANNELS * 256];
} rule;

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A requantisation of accumulators of acc_bits; stored: thresholds beside affine rules. */
static void draw_rule(draw *d, rule *r, int channels, int bits, bool is_signed, int acc_bits, int inc_bits,
                      bool stored) {
    mq_inet_requant *q = &r->node.requant;
    memset(r, 0, sizeof *r);
    r->node.kind = MQ_INET_REQUANT;
    strcpy(r->node.name, "conv3.requant");
    r->node.edge.c = channels;
    int type_low = is_signed ? -(1 << (bits - 1)) : 0, span = (1 << bits) - 1;
    q->bits = bits, q->is_signed = is_signed;
    q->low = type_low, q->high = type_low + span;
    if (bits > 1 && below(d, 2)) q->low += (int)below(d, 2), q->high -= (int)below(d, 2);
    q->shift = acc_bits + inc_bits - 2 - bits > 0 ? acc_bits + inc_bits - 2 - bits : 0;
    q->inc = r->inc, q->bias = r->bias;
    if (stored) q->rule = r->kind, q->threshold = r->threshold;
    int steps = q->high - q->low;
    for (int c = 0; c < channels; c++) {
        r->offset[c] = bits_of(d, acc_bits);
        if (stored && below(d, 3)) {
            r->kind[c] = (uint8_t)(MQ_INET_RISING + (int)below(d, 2));
            int64_t *t = r->threshold + c * steps;
            for (int i = 0; i < steps; i++) t[i] = bits_of(d, acc_bits) + r->offset[c];
            qsort(t, (size_t)steps, sizeof *t, compare);
            if (below(d, 3) == 0) {
                if (r->kind[c] == MQ_INET_RISING)
                    t[steps - 1] = INT64_MAX;
                else
                    t[0] = INT64_MIN;
            }
        } else {
            r->inc[c] = below(d, 5) ? bits_of(d, inc_bits) : 0;
            r->bias[c] = bits_of(d, acc_bits + inc_bits - 2);
        }
    }
}

static int code_of(const rule *r, int c, int64_t hw) {
    const mq_inet_requant *q = &r->node.requant;
    int64_t acc = hw + r->offset[c], steps = q->high - q->low;
    int kind = q->rule ? q->rule[c] : MQ_INET_AFFINE, code = q->low;
    if (kind == MQ_INET_AFFINE) {
        int64_t v = (acc * q->inc[c] + q->bias[c]) >> q->shift;
        return (int)(v < q->low ? q->low : v > q->high ? q->high : v);
    }
    for (int64_t i = 0; i < steps; i++)
        code +=
            kind == MQ_INET_RISING ? acc >= q->threshold[c * steps + i] : acc < q->threshold[c * steps + i];
    return code;
}

typedef struct requant_case {
    const char *name;
    int channels, pe, pixels, bits, acc_bits, inc_bits, lanes; /* lanes 0: thresholds */
    bool is_signed, stored;
    const char *broken; /* module of the broken copy */
} requant_case;

static const requant_case cases[] = {
    {"t3", 13, 4, 2, 3, 13, 8, 0, false, true, NULL},
    {"t1", 7, 3, 1, 1, 6, 4, 0, false, true, NULL},
    {"t1s", 5, 5, 1, 1, 9, 4, 0, true, true, NULL},
    {"t4s", 40, 8, 1, 4, 15, 9, 0, true, true, NULL},
    {"t8", 6, 2, 1, 8, 20, 10, 0, false, true, NULL},
    {"t7", 4, 4, 1, 7, 18, 10, 0, false, true, NULL},
    {"t5", 40, 2, 2, 5, 12, 10, 0, false, false, NULL},
    {"tb", 13, 4, 2, 3, 13, 8, 0, false, true, "mixq_requant_threshold"},
    {"a4", 13, 4, 1, 4, 14, 12, 2, false, false, NULL},
    {"a4all", 13, 4, 2, 4, 14, 12, 8, false, false, NULL},
    {"a6one", 9, 3, 2, 6, 22, 18, 1, false, false, NULL},
    {"a8wide", 12, 6, 2, 8, 16, 26, 4, true, false, NULL},
    {"a7big", 40, 5, 1, 7, 27, 17, 5, false, false, NULL},
    {"a2rom", 40, 1, 4, 2, 11, 9, 2, true, false, NULL},
    {"ab", 13, 4, 1, 4, 14, 12, 2, false, false, "mixq_requant_affine"},
};
enum { CASES = sizeof cases / sizeof *cases };

static void put_case(rtl_bench *b, const requant_case *t, int which, const char *dir, int *sink) {
    static rule r;
    draw d = {mq_rng_stream(3, "requant", (uint64_t)which), 0};
    draw_rule(&d, &r, t->channels, t->bits, t->is_signed, t->acc_bits, t->inc_bits, t->stored);
    mq_rtl_build build = {.dir = dir};
    mq_plan_layer layer = {.pe = t->pe,
                           .out_pixels = t->pixels,
                           .lanes = t->lanes,
                           .requant = t->lanes ? MQ_PLAN_AFFINE : MQ_PLAN_THRESHOLD};
    char *text, module[32], in[32], out[32];
    int latency, lanes = t->pe * t->pixels, groups = (t->channels + t->pe - 1) / t->pe, gw = 1;
    while (1 << gw < groups) gw++;
    mq_error error = {0};
    snprintf(module, sizeof module, "u_%s", t->name);
    snprintf(in, sizeof in, "in_%s", t->name);
    snprintf(out, sizeof out, "out_%s", t->name);
    if (mq_rtl_requant(&build, &r.node, &layer, r.offset, t->acc_bits, module, &text, &latency, &error) !=
        MQ_OK)
        fail_msg("%s: %s", t->name, error.text);
    int acc_all = lanes * t->acc_bits;
    int source = rtl_source(b, in, gw + acc_all, 32, t->lanes ? lanes / t->lanes : 1);
    *sink = rtl_sink(b, out, lanes * t->bits, 0);
    char *broken = strstr(text, " #(");
    rtl_say(b,
            "  generate if (1) begin : g_%s\n    wire rq_in_valid = %s_valid;\n    wire rq_out_valid;\n    "
            "assign "
            "%s_ready = "
            "1'b1;\n    wire [%d:0] rq_in_group = %s_data[%d:%d];\n    wire [%d:0] rq_in_acc = "
            "%s_data[%d:0];\n    wire [%d:0] rq_out_code;\n    assign %s_valid = rq_out_valid;\n    assign "
            "%s_data = rq_out_code;\n%.*s%s%s"
            "    reg [%d:0] pipe;\n    always @(posedge clk) begin\n      pipe <= rst ? 0 : {pipe[%d:0], "
            "rq_in_valid};\n      if (!rst && rq_out_valid !== pipe[%d]) begin $display(\"Warning: latency "
            "of %s\"); "
            "$finish; end\n    end\n  end endgenerate\n",
            t->name, in, in, gw - 1, in, acc_all + gw - 1, acc_all, acc_all - 1, in, acc_all - 1,
            lanes * t->bits - 1, out, out, (int)(broken - text), text, t->broken ? "_broken" : "", broken,
            latency - 1, latency - 2 + (latency < 2), latency - 1, t->name);
    mq_free(text);
    for (int n = 0; n < BEATS; n++) {
        int group = (int)below(&d, (uint32_t)groups);
        rtl_beat(b, source);
        rtl_beat(b, *sink);
        rtl_put(b, source, acc_all, (uint64_t)group, gw);
        for (int l = 0; l < lanes; l++) {
            int c = group * t->pe + l % t->pe, code;
            int64_t hw = bits_of(&d, t->acc_bits), most = ((int64_t)1 << (t->acc_bits - 1)) - 1;
            uint32_t how = below(&d, 8);
            if (how == 0) hw = most;
            if (how == 1) hw = -most - 1;
            if (how == 2) hw = 0;
            int steps = r.node.requant.high - r.node.requant.low;
            if (how < 5 && how > 1 && c < t->channels && r.kind[c] && steps) {
                int64_t at = r.threshold[c * steps + (int)below(&d, (uint32_t)steps)];
                if (at != INT64_MAX && at != INT64_MIN)
                    hw = mq_wrap(at - r.offset[c] + (int64_t)below(&d, 3) - 1, t->acc_bits);
            }
            if (c < t->channels)
                code = code_of(&r, c, hw);
            else if (t->lanes)
                code = r.node.requant.low > 0 ? r.node.requant.low : 0;
            else { /* 0 for the accumulator 0 */
                int top = t->is_signed ? (1 << (t->bits - 1)) - 1 : (1 << t->bits) - 1;
                code = hw > 0 ? top : hw == 0 || !t->is_signed ? 0 : -top - 1;
            }
            rtl_put(b, source, l * t->acc_bits, (uint64_t)hw, t->acc_bits);
            rtl_put(b, *sink, l * t->bits, (uint64_t)(int64_t)code, t->bits);
        }
    }
}

static void put_cases(rtl_bench *b, const char *dir, int *sinks) {
    rtl_start(b, dir);
    rtl_broken_copy(b, "mixq_requant_threshold", "mixq_requant_threshold_broken", "next ^ {BITS{flip}}",
                    "next ^ {BITS{!flip}}");
    rtl_broken_copy(b, "mixq_requant_affine", "mixq_requant_affine_broken", "wrap ? base : addr + 1'b1",
                    "base");
    for (int i = 0; i < CASES; i++) put_case(b, &cases[i], i, dir, &sinks[i]);
}

static void check_cases(rtl_bench *b, const int *sinks) {
    for (int i = 0; i < CASES; i++) {
        if (!cases[i].broken)
            rtl_check(b, sinks[i]);
        else if (rtl_wrong(b, sinks[i]) == 0)
            fail_msg("%s: the broken copy was not noticed", cases[i].name);
    }
}

static void requantisers_in_verilator(void **state) {
    static rtl_bench b;
    int sinks[CASES];
    if (!rtl_have("verilator")) skip();
    put_cases(&b, ((temp_dir *)*state)->path, sinks);
    rtl_verilator(&b, "");
    check_cases(&b, sinks);
    rtl_free(&b);
}

static void requantisers_in_icarus(void **state) {
    static rtl_bench b;
    int sinks[CASES];
    if (!rtl_have("iverilog")) skip();
    put_cases(&b, ((temp_dir *)*state)->path, sinks);
    rtl_icarus(&b, "-DMIXQ_PRIMITIVES");
    check_cases(&b, sinks);
    rtl_free(&b);
}

/* Words of a slice in every mode: D + A, D - A, A * B; W and Z. */
typedef struct dsp_mode {
    const char *name, *mult, *inmode, *w, *z;
    int areg, dreg, breg, creg;
} dsp_mode;

static const dsp_mode modes[] = {
    {"mul", "A", "00000", "10", "000", 2, 0, 2, 1},     {"mulc", "A", "00000", "00", "011", 1, 0, 1, 1},
    {"cascade", "A", "00000", "00", "001", 2, 0, 2, 1}, {"plus", "AD", "00100", "10", "011", 1, 0, 2, 1},
    {"plusd", "AD", "00100", "10", "001", 1, 1, 2, 1},  {"minus", "AD", "01100", "10", "000", 1, 1, 2, 1},
    {"minusp", "AD", "01100", "00", "001", 1, 1, 2, 1}, {"both", "AD", "01100", "11", "001", 1, 1, 2, 0},
};
enum { MODES = sizeof modes / sizeof *modes };

static void slice_model(void **state) {
    static rtl_bench b;
    if (!rtl_have("verilator")) skip();
    rtl_start(&b, ((temp_dir *)*state)->path);
    mq_dsp dsp;
    assert_int_equal(mq_dsp_find("dsp48e2", &dsp, NULL), MQ_OK);
    for (int m = 0; m < MODES; m++) {
        const dsp_mode *t = &modes[m];
        char in[32], out[32];
        draw d = {mq_rng_stream(5, "slice", (uint64_t)m), 0};
        uint64_t rnd = (uint64_t)bits_of(&d, 48) & (((uint64_t)1 << 48) - 1);
        snprintf(in, sizeof in, "in_%s", t->name);
        snprintf(out, sizeof out, "out_%s", t->name);
        /* words held for 8 cycles, so that registers do not matter; then P is looked at */
        int source = rtl_source(&b, in, 27 + 27 + 18 + 48 + 48 + 1, 0, 8), sink = rtl_sink(&b, out, 96, 0);
        rtl_say(
            &b,
            "  reg [168:0] %s_held; reg [7:0] %s_age;\n  always @(posedge clk) begin if (%s_valid) %s_held "
            "<= "
            "%s_data;\n    %s_age <= rst ? 8'b0 : {%s_age[6:0], %s_valid}; end\n  assign %s_ready = 1'b1;\n"
            "  assign %s_valid = %s_age[6];\n",
            t->name, t->name, in, t->name, in, t->name, t->name, in, in, out, t->name);
        rtl_say(
            &b,
            "  DSP48E2 #(.AMULTSEL(\"%s\"), .AREG(%d), .ACASCREG(%d), .ADREG(%d), .DREG(%d), .BREG(%d), "
            ".BCASCREG(%d), .CREG(%d), .INMODEREG(0), .OPMODEREG(0), .ALUMODEREG(0), .CARRYINREG(0), "
            ".CARRYINSELREG(0), .RND(48'd%llu)) dsp_%s (.CLK(clk), .A({3'b0, %s_held[26:0]}), "
            ".D(%s_held[53:27]), "
            ".B(%s_held[71:54]), .C(%s_held[119:72]), .PCIN(%s_held[167:120]), .CARRYIN(%s_held[168]),\n"
            "    .P(%s_data[47:0]), .PCOUT(%s_data[95:48]), .CARRYINSEL(3'b0), .ALUMODE(4'b0), "
            ".INMODE(5'b%s), "
            ".OPMODE(9'b%s_%s_0101), .ACIN(30'b0), .BCIN(18'b0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0), "
            ".CEA1(1'b1), .CEA2(1'b1), .CEAD(1'b1), .CEALUMODE(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), "
            ".CECARRYIN(1'b1), .CECTRL(1'b1), .CED(1'b1), .CEINMODE(1'b1), .CEM(1'b1), .CEP(1'b1), "
            ".RSTA(1'b0), "
            ".RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0), "
            ".RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0));\n",
            t->mult, t->areg, t->areg, strcmp(t->mult, "AD") == 0, t->dreg, t->breg, t->breg, t->creg,
            (unsigned long long)rnd, t->name, t->name, t->name, t->name, t->name, t->name, t->name, out, out,
            t->inmode, t->w, t->z);
        for (int n = 0; n < 400; n++) {
            static const int width[5] = {27, 27, 18, 48, 48};
            int64_t v[5], p = 0;
            rtl_beat(&b, source);
            rtl_beat(&b, sink);
            for (int i = 0, at = 0; i < 5; at += width[i], i++) {
                uint32_t how = below(&d, 6);
                int64_t most = ((int64_t)1 << (width[i] - 1)) - 1;
                v[i] = how == 0 ? most : how == 1 ? -most - 1 : how == 2 ? 0 : bits_of(&d, width[i]);
                rtl_put(&b, source, at, (uint64_t)v[i], width[i]);
            }
            int carry = (int)below(&d, 2);
            rtl_put(&b, source, 168, (uint64_t)carry, 1);
            bool add = strcmp(t->mult, "AD") == 0, c = t->z[1] == '1' || t->w[1] == '1';
            mq_dsp_inputs x = {.a = v[0],
                               .d = add ? v[1] : 0,
                               .b = v[2],
                               .c = c ? v[3] : 0,
                               .w = strcmp(t->w, "10") == 0 ? mq_wrap((int64_t)rnd, 48) : 0,
                               .pcin = t->z[1] == '0' && t->z[2] == '1' ? v[4] : 0,
                               .subtract = t->inmode[1] == '1',
                               .carry_in = carry};
            assert_true(mq_dsp_eval(&dsp, &x, &p));
            rtl_put(&b, sink, 0, (uint64_t)p, 48);
            rtl_put(&b, sink, 48, (uint64_t)p, 48);
        }
    }
    rtl_verilator(&b, "");
    rtl_check_all(&b);
    rtl_free(&b);
}

static void refuses_what_slices_cannot(void **state) {
    static rule r;
    draw d = {mq_rng_stream(9, "refuse", 0), 0};
    mq_rtl_build build = {.dir = ((temp_dir *)*state)->path};
    mq_plan_layer layer = {.pe = 4, .out_pixels = 1, .lanes = 2, .requant = MQ_PLAN_AFFINE};
    char *text;
    int latency;
    mq_error error = {0};
    draw_rule(&d, &r, 8, 4, false, 14, 12, true);
    assert_false(mq_rtl_affine_fits(&r.node, NULL, 14, NULL, NULL));
    assert_int_equal(mq_rtl_requant(&build, &r.node, &layer, NULL, 14, "x", &text, &latency, &error),
                     MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "conv3.requant"));
    draw_rule(&d, &r, 8, 4, false, 14, 12, false);
    assert_true(mq_rtl_affine_fits(&r.node, NULL, 14, NULL, NULL));
    assert_true(mq_rtl_affine_fits(&r.node, NULL, 27, NULL, NULL));
    assert_false(mq_rtl_affine_fits(&r.node, NULL, 28, NULL, NULL));
    r.inc[3] = 1 << 17; /* 19 bits */
    assert_true(mq_rtl_affine_fits(&r.node, NULL, 18, NULL, NULL));
    assert_false(mq_rtl_affine_fits(&r.node, NULL, 19, NULL, NULL));
    r.inc[3] = 1 << 26;
    assert_false(mq_rtl_affine_fits(&r.node, NULL, 14, NULL, NULL));
    r.inc[3] = 5;
    r.bias[2] = (int64_t)1 << 47;
    assert_false(mq_rtl_affine_fits(&r.node, NULL, 14, NULL, NULL));
    r.bias[2] = 0;
    r.offset[3] = (int64_t)1 << 46;
    assert_false(mq_rtl_affine_fits(&r.node, r.offset, 14, NULL, NULL));
    r.offset[3] = 0;
    layer.lanes = 3;
    assert_int_equal(mq_rtl_requant(&build, &r.node, &layer, NULL, 14, "x", &text, &latency, &error),
                     MQ_BAD_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slice_model, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(requantisers_in_verilator, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(requantisers_in_icarus, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refuses_what_slices_cannot, temp_dir_make, temp_dir_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
