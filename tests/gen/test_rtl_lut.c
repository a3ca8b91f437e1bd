/* test_rtl_lut.c - adders, accumulator step and sums of products in LUTs: as primitives and as simulated,
 * both against C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/temp_dir.h"
#include "gen/helper_rtl.h"
#include "gen/rtl_lut.h"

static mq_rng rng;
static uint64_t drawn;

static uint64_t bits(int n) {
    uint32_t how = mq_rng_below(&rng, drawn++, 8);
    uint64_t v = (uint64_t)mq_rng_u32(&rng, drawn++) << 16;
    v ^= mq_rng_u32(&rng, drawn++);
    if (how == 0) v = 0;
    if (how == 1) v = UINT64_MAX;
    return v & (((uint64_t)1 << n) - 1);
}

static void put_add3(rtl_bench *b, int w) {
    char in[32], out[32];
    snprintf(in, sizeof in, "add%d_i", w);
    snprintf(out, sizeof out, "add%d_o", w);
    int source = rtl_source(b, in, 3 * w + 3, 20, 1), sink = rtl_sink(b, out, 5 * w + 2, 0);
    uint64_t init = 0xb5a5a5b5 & (((uint64_t)1 << w) - 1);
    rtl_say(b, "  assign %s_ready = 1'b1, %s_valid = %s_valid;\n", in, out, in);
    rtl_say(b,
            "  mixq_ternary #(.W(%d)) add3_%d (.first(1'b0), .a(%s_data[%d:0]), .b(%s_data[%d:%d]), "
            ".c(%s_data[%d:%d]), "
            ".ci0(%s_data[%d]), .ci1(%s_data[%d]), .s(%s_data[%d:0]));\n",
            w, w, in, w - 1, in, 2 * w - 1, w, in, 3 * w - 1, 2 * w, in, 3 * w, in, 3 * w + 1, out, w - 1);
    rtl_say(b,
            "  mixq_ternary #(.W(%d), .GATE(1), .INIT(%d'h%llx)) step_%d (.first(%s_data[%d]), "
            ".a(%s_data[%d:0]), "
            ".b(%s_data[%d:%d]), .c(%s_data[%d:%d]), .ci0(%s_data[%d]), .ci1(%s_data[%d]), "
            ".s(%s_data[%d:%d]));\n",
            w, w, (unsigned long long)init, w, in, 3 * w + 2, in, w - 1, in, 2 * w - 1, w, in, 3 * w - 1,
            2 * w, in, 3 * w, in, 3 * w + 1, out, 2 * w - 1, w);
    rtl_say(b,
            "  mixq_sum3 #(.W(%d)) sum3_%d (.a(%s_data[%d:0]), .b(%s_data[%d:%d]), .c(%s_data[%d:%d]), "
            ".s(%s_data[%d:%d]));\n",
            w, w, in, w - 1, in, 2 * w - 1, w, in, 3 * w - 1, 2 * w, out, 3 * w + 1, 2 * w);
    rtl_say(b,
            "  wire [%d:0] pair%d;\n  mixq_gated_pair #(.W(%d)) gated_%d (.a(%s_data[%d:0]), "
            ".b(%s_data[%d:%d]), .wa(%s_data[%d]), .wb(%s_data[%d]), .s(pair%d));\n"
            "  assign %s_data[%d:%d] = {{%d{1'b0}}, pair%d};\n",
            w, w, w, w, in, w - 1, in, 2 * w - 1, w, in, 3 * w, in, 3 * w + 1, w, out, 5 * w + 1, 3 * w + 2,
            w - 1, w);
    for (int n = 0; n < 300; n++) {
        uint64_t v[3] = {bits(w), bits(w), bits(w)}, c0 = bits(1), c1 = bits(1), first = bits(1);
        uint64_t mask = ((uint64_t)1 << w) - 1;
        rtl_beat(b, source);
        rtl_beat(b, sink);
        for (int i = 0; i < 3; i++) rtl_put(b, source, i * w, v[i], w);
        rtl_put(b, source, 3 * w, c0, 1);
        rtl_put(b, source, 3 * w + 1, c1, 1);
        rtl_put(b, source, 3 * w + 2, first, 1);
        rtl_put(b, sink, 0, (v[0] + v[1] + v[2] + c0 + c1) & mask, w);
        rtl_put(b, sink, w, ((first ? init : v[0]) + v[1] + v[2] + c0 + c1) & mask, w);
        rtl_put(b, sink, 2 * w, v[0] + v[1] + v[2], w + 2);
        rtl_put(b, sink, 3 * w + 2, (c0 ? v[0] : 0) + (c1 ? v[1] : 0), w + 1);
    }
}

typedef struct product {
    int n, weight_bits, code_bits, out;
} product;

static const product products[] = {{1, 1, 1, 3},   {2, 2, 3, 7},   {3, 3, 3, 9},   {5, 4, 4, 11},
                                   {9, 2, 3, 9},   {27, 5, 7, 16}, {30, 2, 3, 10}, {16, 3, 3, 10},
                                   {11, 8, 8, 20}, {6, 1, 4, 8},   {31, 6, 5, 9},  {56, 2, 3, 11}};
enum { PRODUCTS = sizeof products / sizeof *products };

static void put_product(rtl_bench *b, const product *p, int which) {
    char in[32], out[32];
    snprintf(in, sizeof in, "sum%d_i", which);
    snprintf(out, sizeof out, "sum%d_o", which);
    int latency = mq_rtl_lut_latency(p->n, p->weight_bits), words = p->n * (p->weight_bits + p->code_bits);
    int source = rtl_source(b, in, words, 40, 1), sink = rtl_sink(b, out, p->out, 0);
    rtl_say(b,
            "  reg [%d:0] pipe%d;\n  always @(posedge clk) pipe%d <= rst ? 0 : {pipe%d, %s_valid};\n"
            "  assign %s_valid = pipe%d[%d], %s_ready = 1'b1;\n",
            latency, which, which, which, in, out, which, latency - 1, in);
    rtl_say(b,
            "  mixq_lut_sum #(.N(%d), .WBITS(%d), .ABITS(%d), .OUT(%d)) sum%d (.clk(clk), .w(%s_data[%d:0]), "
            ".a(%s_data[%d:%d]), .s(%s_data));\n",
            p->n, p->weight_bits, p->code_bits, p->out, which, in, p->n * p->weight_bits - 1, in, words - 1,
            p->n * p->weight_bits, out);
    for (int k = 0; k < 150; k++) {
        int64_t sum = 0;
        rtl_beat(b, source);
        rtl_beat(b, sink);
        for (int i = 0; i < p->n; i++) {
            int64_t w = (int64_t)bits(p->weight_bits), a = (int64_t)bits(p->code_bits);
            if (k == 0) w = 1 << (p->weight_bits - 1), a = (1 << p->code_bits) - 1;
            if (k == 1) w = (1 << (p->weight_bits - 1)) - 1, a = (1 << p->code_bits) - 1;
            rtl_put(b, source, i * p->weight_bits, (uint64_t)w, p->weight_bits);
            rtl_put(b, source, p->n * p->weight_bits + i * p->code_bits, (uint64_t)a, p->code_bits);
            sum += (w >> (p->weight_bits - 1) ? w - (1 << p->weight_bits) : w) * a;
        }
        rtl_put(b, sink, 0, (uint64_t)sum, p->out);
    }
}

static void put_all(rtl_bench *b, const char *dir) {
    static const int widths[] = {1, 2, 7, 8, 13};
    rtl_start(b, dir);
    rng = mq_rng_stream(21, "lut", 0);
    drawn = 0;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) put_add3(b, widths[i]);
    for (int i = 0; i < PRODUCTS; i++) put_product(b, &products[i], i);
}

static void as_simulated(void **state) {
    static rtl_bench b;
    if (!rtl_have("verilator")) skip();
    put_all(&b, ((temp_dir *)*state)->path);
    rtl_verilator(&b, "");
    rtl_check_all(&b);
    rtl_free(&b);
}

static void as_primitives(void **state) {
    static rtl_bench b;
    if (!rtl_have("iverilog")) skip();
    put_all(&b, ((temp_dir *)*state)->path);
    rtl_icarus(&b, "-DMIXQ_PRIMITIVES");
    rtl_check_all(&b);
    rtl_free(&b);
}

/* Compiled and linted as primitives by Verilator too: one sum, all adders. */
static void primitives_in_verilator(void **state) {
    static rtl_bench b;
    if (!rtl_have("verilator")) skip();
    rtl_start(&b, ((temp_dir *)*state)->path);
    put_add3(&b, 9);
    put_product(&b, &products[3], 3);
    put_product(&b, &products[4], 4);
    rtl_verilator(&b, "-DMIXQ_PRIMITIVES");
    rtl_check_all(&b);
    rtl_free(&b);
}

static const char *const mutants[][3] = {
    {"mixq_ternary", "(Y & Z)", "(Y & ~Z)"},
    {"mixq_ternary", "~FIRST & (A", "(A"},
    {"mixq_carry", "carry[(i == 0 ? 1 : 8 * i) - 1]", "1'b0"},
    {"mixq_sum3", "64'hFF00FF00_00000000", "64'h00000000_00000000"},
    {"mixq_gated_pair", "64'h78887888_88888888", "64'h78887888_A0A0A0A0"},
    {"mixq_lut_sum", "ONE != 0)", "1'b0)"},
    {"mixq_tree3", "terms * 3 > N ? N : terms * 3", "terms * 2"},
};

static void broken_copies_are_noticed(void **state) {
    static rtl_bench b;
    (void)state;
    if (!rtl_have("iverilog")) skip();
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        void *dir = NULL;
        int wrong = 0;
        assert_int_equal(temp_dir_make(&dir), 0);
        rtl_start(&b, ((temp_dir *)dir)->path);
        put_add3(&b, 13);
        put_product(&b, &products[5], 5);
        b.broken = true;
        rtl_broken_copy(&b, mutants[i][0], mutants[i][0], mutants[i][1], mutants[i][2]);
        rtl_icarus(&b, "-DMIXQ_PRIMITIVES");
        for (int k = 0; k < b.ports; k++)
            if (b.port[k].sink) wrong += rtl_wrong(&b, k);
        if (!wrong) fail_msg("%s with %s was not noticed", mutants[i][0], mutants[i][2]);
        rtl_free(&b);
        temp_dir_remove(&dir);
    }
}

/* Yosys 0.23 makes 293, 435 and 1479 LUTs of these (unit_luts.sh). */
static void counts_its_luts(void **state) {
    (void)state;
    assert_int_equal(mq_rtl_lut_sum_luts(48, 2, 3, 11), 295);
    assert_int_equal(mq_rtl_lut_sum_luts(48, 3, 3, 12), 438);
    assert_int_equal(mq_rtl_lut_sum_luts(48, 5, 7, 18), 1484);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_simulated, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(as_primitives, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(primitives_in_verilator, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(broken_copies_are_noticed), cmocka_unit_test(counts_its_luts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
