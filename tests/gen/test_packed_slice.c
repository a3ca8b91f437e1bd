/* test_packed_slice.c - a 3x3 layer, from weights to packed multiplications in Verilog around a DSP48E2 and
 * back to output sums: the filter, kernel, overlapped and extra-bit packings in Verilator against plain
 * convolution. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "gen/packed_slice.h"
#include "pack/plan.h"

enum { KERNEL = 3, IN = 2, MOST_OUT = 8, HEIGHT = 5, WIDTH = 24, SLICES = 7, BROKEN = 6, MOST_CYCLES = 4096 };

/* One slice, the layer it computes, and the cycles it takes. */
typedef struct job {
    const mq_packing *packing;
    int out;
    int32_t w[MOST_OUT][IN][KERNEL][KERNEL], a[IN][HEIGHT][WIDTH];
    int64_t y[MOST_OUT][HEIGHT][WIDTH];
    int cycles;
    struct cycle {
        int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
        int row, x, tap;
    } * cycle;
} job;

static int weight_groups(const mq_packing *p) {
    int most = 0;
    for (int i = 0; i < p->weights; i++)
        if (p->weight[i].group > most) most = p->weight[i].group;
    return most + 1;
}

static int steps(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].step > most) most = operand[i].step;
    return most + 1;
}

static int pixels(const mq_packing *p) {
    int groups = 0;
    for (int j = 0; j < p->activations; j++)
        if (p->activation[j].group > groups) groups = p->activation[j].group;
    return (groups + 1) * steps(p->activation, p->activations);
}

static void draw_layer(job *j, int which) {
    const mq_packing *p = j->packing;
    mq_rng rng = mq_rng_stream(7, "packed layer", (uint64_t)which);
    uint64_t n = 0;
    j->out = weight_groups(p);
    assert_true(j->out <= MOST_OUT);
    for (int32_t *w = &j->w[0][0][0][0]; w < &j->w[0][0][0][0] + MOST_OUT * IN * KERNEL * KERNEL; w++, n++)
        *w = p->weight_codes.low +
             (int32_t)mq_rng_below(&rng, n, (uint32_t)(p->weight_codes.high - p->weight_codes.low + 1));
    for (int32_t *a = &j->a[0][0][0]; a < &j->a[0][0][0] + IN * HEIGHT * WIDTH; a++, n++)
        *a = (int32_t)mq_rng_below(&rng, n, (uint32_t)p->activation_codes.high + 1);
    /* one channel at the extremes */
    for (int k = 0; k < KERNEL * KERNEL; k++) (&j->w[0][0][0][0])[k] = p->weight_codes.low;
    for (int k = 0; k < WIDTH; k++) j->a[0][1][k] = p->activation_codes.high;
}

/* The layer as cycles of the packing: kernel rows, pieces of taps, channels, blocks of pixels. */
static void schedule(job *j) {
    const mq_packing *p = j->packing;
    int taps = steps(p->weight, p->weights), per_group = steps(p->activation, p->activations), np = pixels(p);
    assert_true(KERNEL % taps == 0);
    j->cycle = calloc(MOST_CYCLES, sizeof *j->cycle);
    for (int y = 0; y < HEIGHT; y++)
        for (int dy = 0; dy < KERNEL; dy++)
            for (int tap = 0; tap < KERNEL; tap += taps)
                for (int c = 0; c < IN; c++)
                    for (int x = -1; x < WIDTH + KERNEL; x += np) {
                        assert_true(j->cycles < MOST_CYCLES);
                        struct cycle *t = &j->cycle[j->cycles++];
                        t->row = y;
                        t->x = x;
                        t->tap = tap;
                        for (int i = 0; i < p->weights; i++)
                            t->w[i] = j->w[p->weight[i].group][c][dy][tap + taps - 1 - p->weight[i].step];
                        for (int i = 0; i < p->activations; i++) {
                            int row = y + dy - 1,
                                column = x + p->activation[i].group * per_group + p->activation[i].step;
                            bool inside = row >= 0 && row < HEIGHT && column >= 0 && column < WIDTH;
                            t->a[i] = inside ? j->a[c][row][column] : 0; /* padding: the code 0 */
                        }
                    }
}

static int64_t convolution(const job *j, int o, int y, int x) {
    int64_t sum = 0;
    for (int c = 0; c < IN; c++)
        for (int dy = 0; dy < KERNEL; dy++)
            for (int dx = 0; dx < KERNEL; dx++) {
                int row = y + dy - 1, column = x + dx - 1;
                if (row >= 0 && row < HEIGHT && column >= 0 && column < WIDTH)
                    sum += (int64_t)j->w[o][c][dy][dx] * j->a[c][row][column];
            }
    return sum;
}

static void put(void **state, const char *name, const char *text) {
    mq_error error = {0};
    if (mq_file_write(temp_dir_path(state, name), text, strlen(text), &error) != MQ_OK)
        fail_msg("%s", error.text);
}

/* One line per cycle: u (48), ux (8), wl (64), a (128 bits). */
static void put_vectors(void **state, const job *j, int which) {
    const mq_packing *p = j->packing;
    char name[32];
    snprintf(name, sizeof name, "in%d.hex", which);
    FILE *file = fopen(temp_dir_path(state, name), "w");
    assert_non_null(file);
    int abits = 0;
    while (p->activation_codes.high >> abits) abits++;
    for (int t = 0; t < j->cycles; t++) {
        mq_slice_word word = mq_slice_weights(p, j->cycle[t].w);
        uint64_t wl = 0, a[2] = {0};
        for (int i = 0; i < p->weights; i++) wl |= (uint64_t)(j->cycle[t].w[i] & 3) << (2 * i);
        for (int i = 0; i < p->activations * abits; i++)
            a[i / 64] |= (uint64_t)(j->cycle[t].a[i / abits] >> (i % abits) & 1) << (i % 64);
        fprintf(file, "%012" PRIx64 "%02x%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "\n",
                (uint64_t)word.u & (((uint64_t)1 << 48) - 1), (unsigned)word.ux, wl, a[1], a[0]);
    }
    fclose(file);
}

static void put_bench(void **state, const job *jobs) {
    static char text[1 << 16];
    int n = snprintf(text, sizeof text,
                     "module bench;\n  reg clk = 0;\n  always #1 clk = !clk;\n  integer t = 0;\n  always "
                     "@(posedge clk) t <= t + 1;\n");
    for (int i = 0; i < SLICES; i++) {
        const mq_packing *p = jobs[i].packing;
        int port = p->weights_wide ? 27 : 18, abits = 0, cycles = jobs[i].cycles;
        while (p->activation_codes.high >> abits) abits++;
        n += snprintf(
            text + n, sizeof text - (size_t)n,
            "  reg [247:0] in%d [0:%d];\n  reg [247:0] x%d = 0;\n  wire [%d:0] s%d;\n  integer f%d;\n"
            "  initial begin $readmemh(\"in%d.hex\", in%d); f%d = $fopen(\"out%d.hex\", \"w\"); end\n"
            "  slice%d slice%d(clk, x%d[%d:200], x%d[192], x%d[%d:128], x%d[%d:0], s%d);\n"
            "  always @(posedge clk) begin if (t < %d) x%d <= in%d[t];\n"
            "    if (t >= %d && t < %d) $fdisplay(f%d, \"%%h\", s%d); end\n",
            i, cycles - 1, i, MQ_SLICE_SUM * p->fields - 1, i, i, i, i, i, i, i, i, i, 199 + port, i, i,
            127 + 2 * p->weights, i, p->activations * abits - 1, i, cycles, i, i, MQ_SLICE_LATENCY + 1,
            MQ_SLICE_LATENCY + 1 + cycles, i, i);
    }
    snprintf(text + n, sizeof text - (size_t)n, "  always @(posedge clk) if (t == %d) $finish;\nendmodule\n",
             MOST_CYCLES + 20);
    put(state, "bench.v", text);
}

/* Adds what the slice gave to the outputs; counts fields that are not the plain sums. */
static int collect(void **state, job *j, int which) {
    const mq_packing *p = j->packing;
    static char line[MQ_PACK_FIELDS * MQ_SLICE_SUM / 4 + 8];
    char name[32];
    int wrong = 0, taps = steps(p->weight, p->weights), per_group = steps(p->activation, p->activations);
    snprintf(name, sizeof name, "out%d.hex", which);
    FILE *file = fopen(temp_dir_path(state, name), "r");
    assert_non_null(file);
    for (int t = 0; t < j->cycles; t++) {
        const struct cycle *c = &j->cycle[t];
        if (!fgets(line, sizeof line, file)) fail_msg("slice %d: only %d of %d cycles", which, t, j->cycles);
        for (int f = 0; f < p->fields; f++) {
            char digits[9] = "";
            int64_t expected = 0;
            memcpy(digits, line + (size_t)(p->fields - 1 - f) * 8, 8);
            int64_t sum = (int32_t)(uint32_t)strtoul(digits, NULL, 16);
            for (int i = 0; i < p->weights; i++)
                for (int k = 0; k < p->activations; k++)
                    if (p->field_of[i][k] == f)
                        expected += (int64_t)c->w[i] * (c->a[k] - p->activation[k].zero);
            wrong += sum != expected;
            /* column of the activation less the tap, and the padding */
            const mq_pack_field *field = &p->field[f];
            int x = c->x + field->activation_group * per_group + field->step - (taps - 1) - c->tap + 1;
            if (x >= 0 && x < WIDTH)
                j->y[field->weight_group][c->row][x] += sum + mq_pack_correction(p, c->w, f);
        }
    }
    fclose(file);
    return wrong;
}

static const mq_packing *packing_of(mq_pack_explorer *explorer, int wbit, int abit, int kernel,
                                    mq_pack_class class, double lut_price, const char *kinds) {
    mq_pack_request r = {.wbit = wbit,
                         .abit = abit,
                         .kernel = kernel,
                         .stride = 1,
                         .class = class,
                         .cycles = 1,
                         .lut_price = lut_price,
                         .kinds = kinds};
    mq_pack_plan plan;
    mq_error error = {0};
    assert_int_equal(mq_dsp_find("dsp48e2", &r.dsp, NULL), MQ_OK);
    if (mq_pack_best(explorer, &r, &plan, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int i = 0; i < plan.parts; i++)
        if (KERNEL % steps(plan.part[i].packing->weight, plan.part[i].packing->weights) == 0)
            return plan.part[i].packing;
    fail_msg("w%da%d: no piece that divides %d taps", wbit, abit, KERNEL);
    return NULL;
}

/* Two 5-bit symmetric weights at 23 bits need a port of 28. */
static mq_packing extra_bit(void) {
    mq_packing p = {.weights_wide = true, .weights = 2, .activations = 1};
    assert_int_equal(mq_dsp_find("dsp48e2", &p.dsp, NULL), MQ_OK);
    p.weight_codes = (mq_span){-15, 15};
    p.activation_codes = (mq_span){0, 63};
    p.weight[1] = (mq_pack_operand){23, 1, 0, 0};
    p.activation[0].zero = 32;
    assert_int_equal(mq_packing_finish(&p, 1, NULL), MQ_OK);
    assert_int_equal(p.fix, MQ_PORT_EXTRA);
    return p;
}

static void layer_in_verilog(void **state) {
    if (system("verilator --version > /dev/null 2>&1") != 0) {
        print_message("verilator is not installed\n");
        skip();
    }
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    mq_packing extra = extra_bit();
    static job jobs[SLICES];
    memset(jobs, 0, sizeof jobs);
    jobs[0].packing = packing_of(explorer, 3, 3, 3, MQ_CLASS_I, -1, "filter");  /* class i */
    jobs[1].packing = packing_of(explorer, 4, 4, 1, MQ_CLASS_I, -1, "kernel");  /* port offset through C */
    jobs[2].packing = packing_of(explorer, 3, 3, 3, MQ_CLASS_II, 0, "filter");  /* 1-bit overlap */
    jobs[3].packing = packing_of(explorer, 4, 4, 3, MQ_CLASS_III, 0, "filter"); /* 2-bit overlap */
    jobs[4].packing = packing_of(explorer, 5, 7, 1, MQ_CLASS_II, -1, "kernel"); /* overlap and offset */
    jobs[5].packing = &extra;
    mq_packing broken = *jobs[0].packing; /* its constant is off by one: the bench must see it */
    broken.bias++;
    jobs[BROKEN].packing = &broken;
    assert_int_equal(jobs[1].packing->fix, MQ_PORT_OFFSET);
    assert_int_equal(jobs[2].packing->class, MQ_CLASS_II);
    assert_int_equal(jobs[3].packing->class, MQ_CLASS_III);
    for (int i = 0; i < SLICES; i++) {
        char name[32], file[48], *verilog;
        mq_error error = {0};
        draw_layer(&jobs[i], i);
        schedule(&jobs[i]);
        put_vectors(state, &jobs[i], i);
        snprintf(name, sizeof name, "slice%d", i);
        snprintf(file, sizeof file, "slice%d.v", i);
        if (mq_gen_packed_slice(jobs[i].packing, name, &verilog, &error) != MQ_OK) fail_msg("%s", error.text);
        put(state, file, verilog);
        mq_free(verilog);
    }
    put_bench(state, jobs);
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && verilator --binary -Wno-fatal -Wno-lint -Wno-style --top-module bench -CFLAGS -O0 "
             "-Mdir obj "
             "bench.v slice*.v %s/rtl/sim/DSP48E2.v > log.txt 2>&1 && ./obj/Vbench >> log.txt 2>&1",
             ((temp_dir *)*state)->path, MIXQ_SOURCE_DIR);
    if (system(command) != 0) {
        uint8_t *log;
        size_t size;
        assert_int_equal(mq_file_read(temp_dir_path(state, "log.txt"), 1 << 20, &log, &size, NULL), MQ_OK);
        fail_msg("%.2000s", (char *)log);
    }
    for (int i = 0; i < SLICES; i++) {
        int wrong = collect(state, &jobs[i], i);
        if (i == BROKEN) assert_true(wrong > 0);
        if (wrong && i != BROKEN)
            fail_msg("slice %d: %d wrong fields in %d cycles", i, wrong, jobs[i].cycles);
        for (int o = 0; i != BROKEN && o < jobs[i].out; o++)
            for (int y = 0; y < HEIGHT; y++)
                for (int x = 0; x < WIDTH; x++)
                    if (jobs[i].y[o][y][x] != convolution(&jobs[i], o, y, x))
                        fail_msg("slice %d: output %d row %d column %d: got %" PRId64 ", expected %" PRId64,
                                 i, o, y, x, jobs[i].y[o][y][x], convolution(&jobs[i], o, y, x));
        print_message("slice %d (%s): %d cycles, %d fields each, %d mismatches\n", i, jobs[i].packing->kind,
                      jobs[i].cycles, jobs[i].packing->fields, wrong);
        free(jobs[i].cycle);
    }
    mq_pack_explorer_free(explorer);
}

static void refuses_other_slices(void **state) {
    (void)state;
    mq_packing p = extra_bit();
    mq_error error = {0};
    char *text;
    assert_int_equal(mq_dsp_find("dsp58", &p.dsp, NULL), MQ_OK);
    assert_int_equal(mq_gen_packed_slice(&p, "x", &text, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "dsp58"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer_in_verilog),
                                       cmocka_unit_test(refuses_other_slices)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
