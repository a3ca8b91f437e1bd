/* helper_layer.c - layers of Verilog beside the reference simulator. */
#include <setjmp.h>
#include <stdarg.h>
#include "gen/helper_layer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/rtl_layer.h"
#include "inet/small_net.h"
#include "sim/sim.h"

enum { RESET = 64 };

/* ---- network and plan ---- */

static void add_layer(small_net *s, const layer_want *w, mq_rng *rng) {
    mq_inet_node node = {.kind = w->linear ? MQ_INET_LINEAR : MQ_INET_CONV, .name = "layer"};
    size_t inputs = w->linear ? (size_t)(w->h * w->w * w->c)
                              : (size_t)(w->kernel_h * w->kernel_w * (w->depthwise ? 1 : w->c));
    size_t count = inputs * (size_t)w->out;
    int8_t *weight = malloc(count);
    int64_t *bias = calloc((size_t)w->out, sizeof *bias);
    int high = (1 << (w->wbit - 1)) - 1, low = w->symmetric ? -high : -high - 1;
    for (size_t i = 0; i < count; i++)
        weight[i] = (int8_t)(low + (int)mq_rng_below(rng, i, (uint32_t)(high - low + 1)));
    /* two channels at the extremes, one that goes from one to the other */
    for (int o = 0; o < w->out; o++) {
        bias[o] = (int)mq_rng_below(rng, count + (size_t)o, 2001) - 1000;
        for (size_t i = 0; o < 3 && w->out > 3 && i < inputs; i++)
            weight[(size_t)o * inputs + i] = (int8_t)(o == 0 ? low : o == 1 ? high : i % 2 ? low : high);
    }
    if (w->linear) {
        node.linear = (mq_inet_linear){w->out, w->wbit, w->symmetric, 0, weight, w->bias ? bias : NULL};
    } else {
        node.conv = (mq_inet_conv){.out_channels = w->out,
                                   .kernel_h = w->kernel_h,
                                   .kernel_w = w->kernel_w,
                                   .stride_h = 1,
                                   .stride_w = 1,
                                   .pad_top = w->pad_top,
                                   .pad_left = w->pad_left,
                                   .pad_bottom = w->pad_bottom,
                                   .pad_right = w->pad_right,
                                   .groups = w->depthwise ? w->c : 1,
                                   .weight_bits = w->wbit,
                                   .weight_narrow = w->symmetric,
                                   .weight = weight,
                                   .bias = w->bias ? bias : NULL};
    }
    small_add(s, &node);
    free(weight);
    free(bias);
}

static void plan_layer(layer_case *l, mq_pack_explorer *explorer) {
    const layer_want *w = &l->want;
    mq_plan_layer *p = &l->plan;
    mq_error error = {0};
    *p = (mq_plan_layer){.node = 1,
                         .chain = w->chain ? w->chain : 1 << 20,
                         .simd = w->simd,
                         .pe = w->pe,
                         .rows = w->rows,
                         .blocks = w->blocks,
                         .out_pixels = w->out_pixels,
                         .requant = !w->out_bits ? MQ_PLAN_NO_REQUANT
                                    : w->lanes   ? MQ_PLAN_AFFINE
                                                 : MQ_PLAN_THRESHOLD,
                         .lanes = w->lanes,
                         .memory = w->logic ? MQ_PLAN_LUT_ROM : MQ_PLAN_BLOCK_RAM};
    if (w->lut) {
        p->multiplier = MQ_PLAN_LUT;
        return;
    }
    int kernel = w->linear ? 1 : w->kernel_w;
    if (w->packing) {
        p->kinds = 1;
        p->piece[0] = (mq_plan_piece){(kernel + w->taps - 1) / w->taps, w->taps, *w->packing};
        if (w->second) {
            p->kinds = 2;
            p->piece[0].count = 1;
            p->piece[1] = (mq_plan_piece){(kernel - w->taps) / w->second_taps, w->second_taps, *w->second};
        }
        return;
    }
    mq_pack_request request = {.class = w->class ? w->class : MQ_CLASS_II,
                               .stride = 1,
                               .cycles = 1,
                               .lut_price = -1,
                               .wbit = w->wbit,
                               .abit = w->abit,
                               .kernel = kernel,
                               .symmetric = w->symmetric,
                               .depthwise = w->depthwise};
    mq_pack_built built;
    assert_int_equal(mq_dsp_find("dsp48e2", &request.dsp, NULL), MQ_OK);
    if (mq_pack_build(explorer, &request, &built, &error) != MQ_OK) fail_msg("%s", error.text);
    p->kinds = built.kinds;
    if (!w->chain) p->chain = built.chain;
    for (int i = 0; i < built.kinds; i++)
        p->piece[i] = (mq_plan_piece){built.count[i], built.taps[i], *built.packing[i]};
}

void layer_make(layer_case *l, mq_pack_explorer *explorer, uint64_t seed) {
    const layer_want *w = &l->want;
    small_net s = {.rng = mq_rng_stream(seed, "layer", 0)};
    mq_rng rng = mq_rng_stream(seed, "layer weights", 0);
    mq_error error = {0};
    assert_int_equal(mq_inet_create(&s.net, &error), MQ_OK);
    strcpy(s.net->model, "layer");
    s.net->classes = w->out;
    s.net->task = MQ_INET_DETECTION;
    s.net->anchor_count = 1;
    s.net->anchor_w[0] = s.net->anchor_h[0] = 20;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {w->h, w->w, w->c, w->abit}};
    small_add(&s, &image);
    add_layer(&s, w, &rng);
    if (w->out_bits) small_requant(&s, "requant", "", w->out_bits, false, !w->lanes);
    l->net = s.net; /* no output: only this one layer is run */
    l->in = (mq_stream){w->h, w->w, w->c, w->in_channels, w->in_pixels, w->abit, false};
    plan_layer(l, explorer);
    if (mq_stage_make(l->net, &l->plan, &l->in, &l->stage, &error) != MQ_OK)
        fail_msg("%s: %s", l->name, error.text);
}

void layer_free(layer_case *l) {
    mq_inet_free(l->net);
}

/* ---- beats ---- */

typedef struct seen {
    int node;
    size_t elements;
    int64_t *codes; /* [frames][h][w][c] */
} seen;

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    seen *s = context;
    if (node == s->node) memcpy(s->codes + image * s->elements, codes, s->elements * sizeof *codes);
}

/* codes [h][w][c] as beats; returns their number. */
static int put_beats(FILE *file, const mq_stream *s, const int64_t *codes) {
    int bits = s->channels * s->pixels * s->bits, beats = 0;
    uint8_t *bit = malloc((size_t)bits + 4);
    for (int y = 0; y < s->h; y++)
        for (int g = 0; g < s->c; g += s->channels)
            for (int x = 0; x < s->w; x += s->pixels, beats++) {
                memset(bit, 0, (size_t)bits + 4);
                for (int p = 0; p < s->pixels; p++)
                    for (int c = 0; c < s->channels; c++)
                        for (int i = 0; i < s->bits && x + p < s->w && g + c < s->c; i++)
                            bit[(p * s->channels + c) * s->bits + i] =
                                codes[((size_t)y * (size_t)s->w + (size_t)(x + p)) * (size_t)s->c +
                                      (size_t)(g + c)] >>
                                    (i < 63 ? i : 63) &
                                1;
                for (int d = (bits + 3) / 4 - 1; d >= 0; d--)
                    fputc("0123456789abcdef"[bit[4 * d] | bit[4 * d + 1] << 1 | bit[4 * d + 2] << 2 |
                                             bit[4 * d + 3] << 3],
                          file);
                fputc('\n', file);
            }
    free(bit);
    return beats;
}

static FILE *open_in(const char *dir, const char *name, const char *suffix, const char *mode) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    return f;
}

void layer_write(layer_case *l, const char *dir, uint64_t seed) {
    const layer_want *w = &l->want;
    mq_inet_plan plan = {.count = 1, .layer = &l->plan, .in_pixels = 1};
    mq_rtl_build build = {l->net, &plan, dir};
    mq_error error = {0};
    if (mq_rtl_layer(&build, &l->plan, &l->in, l->name, &l->out, &error) != MQ_OK)
        fail_msg("%s: %s", l->name, error.text);

    size_t n = (size_t)(w->h * w->w * w->c);
    uint8_t *images = malloc(n * LAYER_FRAMES);
    int64_t *codes = malloc(n * sizeof *codes);
    mq_rng rng = mq_rng_stream(seed, "layer frames", 0);
    for (size_t i = 0; i < n * LAYER_FRAMES; i++) {
        uint32_t r = mq_rng_u32(&rng, i);
        images[i] = i < n ? (uint8_t)r : i < 2 * n ? 255 : r % 4 ? 255 * (r >> 8 & 1) : (uint8_t)(r >> 16);
    }
    seen s = {.node = w->out_bits ? 2 : 1};
    const mq_inet_edge *e = &l->net->nodes[s.node].edge;
    s.elements = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    s.codes = calloc(s.elements * LAYER_FRAMES, sizeof *s.codes);
    mq_sim *sim;
    mq_sim_visitor visitor = {keep, &s};
    if (mq_sim_create(l->net, &sim, &error) != MQ_OK ||
        mq_sim_run(sim, images, LAYER_FRAMES, MQ_SIM_NHWC, &visitor, NULL, NULL, &error) != MQ_OK)
        fail_msg("%s: %s", l->name, error.text);
    mq_sim_free(sim);
    FILE *in = open_in(dir, l->name, "_in.hex", "w"), *out = open_in(dir, l->name, "_out.hex", "w");
    for (int f = 0; f < LAYER_FRAMES; f++) {
        for (size_t i = 0; i < n; i++) codes[i] = images[(size_t)f * n + i] >> (8 - w->abit);
        put_beats(in, &l->in, codes);
        put_beats(out, &l->out, s.codes + (size_t)f * s.elements);
    }
    fclose(in);
    fclose(out);
    free(images);
    free(codes);
    free(s.codes);
}

/* ---- bench ---- */

static const char PARTS[] =
    "/* verilator lint_off DECLFILENAME */\n/* verilator lint_off WIDTH */\n/* verilator lint_off UNUSED */\n"
    "/* verilator lint_off BLKSEQ */\n/* verilator lint_off UNSIGNED */\n"
    "module layer_source #(parameter W = 1, COUNT = 1, STALL = 0, SEED = 1, FILE = \"none\") (\n"
    "    input clk, input rst, output reg valid, input ready, output reg [W-1:0] data);\n"
    "  reg [W-1:0] mem[0:COUNT-1];\n  initial $readmemh(FILE, mem);\n  integer n = 0;\n"
    "  reg [31:0] r = SEED * 2654435761 + 1;\n"
    "  always @(posedge clk) begin\n    r <= {r[30:0], r[31] ^ r[21] ^ r[1] ^ r[0]};\n"
    "    if (rst) valid <= 0;\n    else if (!valid || ready) begin\n"
    "      valid <= n < COUNT && r[7:0] >= STALL;\n"
    "      if (n < COUNT && r[7:0] >= STALL) begin data <= mem[n]; n <= n + 1; end\n    end\n  "
    "end\nendmodule\n"
    "module layer_sink #(parameter W = 1, COUNT = 1, FRAMES = 1, STALL = 0, SEED = 1, FILE = \"none\", NAME "
    "= \"\") (\n"
    "    input clk, input rst, input [31:0] t, input valid, output ready, input [W-1:0] data, output "
    "done);\n"
    "  reg [W-1:0] mem[0:COUNT-1];\n  initial $readmemh(FILE, mem);\n  integer n = 0, wrong = 0;\n"
    "  reg [31:0] r = SEED * 2246822519 + 7;\n  reg go = 0;\n  assign ready = go;\n  assign done = n >= "
    "COUNT;\n"
    "  always @(posedge clk) begin\n    r <= {r[30:0], r[31] ^ r[21] ^ r[1] ^ r[0]};\n    go <= r[7:0] >= "
    "STALL;\n"
    "    if (valid && ready && !rst) begin\n"
    "      if (n >= COUNT || data !== mem[n]) begin\n"
    "        if (wrong == 0) $display(\"first %s beat %0d: got %h, expected %h\", NAME, n, data, n < COUNT ? "
    "mem[n] : 0);\n"
    "        wrong = wrong + 1;\n      end\n      n = n + 1;\n"
    "      if (n % (COUNT / FRAMES) == 0) $display(\"frame %s %0d %0d %0d\", NAME, n / (COUNT / FRAMES) - 1, "
    "wrong, t);\n"
    "    end\n  end\nendmodule\n";

static void bench(const layer_case *l, int count, const char *dir, int cycles) {
    FILE *f = open_in(dir, "bench", ".v", "w");
    fprintf(
        f,
        "%smodule bench(input clk);\n  reg rst = 1;\n  integer t = 0, idle = 0;\n"
        "  wire [%d:0] done;\n  always @(posedge clk) begin\n    t <= t + 1;\n    if (t == %d) rst <= 0;\n"
        "    if (&done) idle <= idle + 1;\n    if (idle == 200 || t == %d) $finish;\n  end\n",
        PARTS, count - 1, RESET, cycles);
    for (int i = 0; i < count; i++) {
        const mq_stream *in = &l[i].in, *out = &l[i].out;
        int iw = in->channels * in->pixels * in->bits, ow = out->channels * out->pixels * out->bits;
        const char *n = l[i].name;
        fprintf(f,
                "  wire iv%d, ir%d, ov%d, or%d;\n  wire [%d:0] id%d;\n  wire [%d:0] od%d;\n"
                "  layer_source #(.W(%d), .COUNT(%d), .STALL(%d), .SEED(%d), .FILE(\"%s_in.hex\")) source%d "
                "(clk, rst, iv%d, "
                "ir%d, id%d);\n"
                "  %s dut%d (.clk(clk), .rst(rst), .s_valid(iv%d), .s_ready(ir%d), .s_data(id%d), "
                ".m_valid(ov%d), "
                ".m_ready(or%d), .m_data(od%d));\n"
                "  layer_sink #(.W(%d), .COUNT(%d), .FRAMES(%d), .STALL(%d), .SEED(%d), "
                ".FILE(\"%s_out.hex\"), .NAME(\"%s\")) "
                "sink%d (clk, rst, t, ov%d, or%d, od%d, done[%d]);\n",
                i, i, i, i, iw - 1, i, ow - 1, i, iw, (int)mq_stream_beats(in) * LAYER_FRAMES, l[i].stall_in,
                i + 1, n, i, i, i, i, n, i, i, i, i, i, i, i, ow, (int)mq_stream_beats(out) * LAYER_FRAMES,
                LAYER_FRAMES, l[i].stall_out, i + 1, n, n, i, i, i, i, i);
    }
    fprintf(f, "endmodule\n");
    fclose(f);
}

static void read_log(layer_case *l, int count, const char *dir) {
    char line[4096], name[64];
    FILE *f = open_in(dir, "log", ".txt", "r");
    for (int i = 0; i < count; i++) l[i].reported = l[i].mismatches = 0;
    while (fgets(line, sizeof line, f)) {
        int frame, wrong;
        int64_t t;
        if (strncmp(line, "first ", 6) == 0) print_message("%.200s\n", line);
        if (sscanf(line, "frame %63s %d %d %" SCNd64, name, &frame, &wrong, &t) != 4) continue;
        for (int i = 0; i < count; i++)
            if (strcmp(l[i].name, name) == 0) {
                l[i].reported++;
                l[i].mismatches = wrong;
                if (frame >= 0 && frame < LAYER_FRAMES) l[i].done[frame] = t;
            }
    }
    fclose(f);
    for (int i = 0; i < count; i++) l[i].missing = LAYER_FRAMES - l[i].reported;
}

static void run(const char *dir, const char *command) {
    char path[512];
    uint8_t *text;
    size_t size;
    int code = system(command);
    snprintf(path, sizeof path, "%s/log.txt", dir);
    assert_int_equal(mq_file_read(path, 1 << 24, &text, &size, NULL), MQ_OK);
    if (code != 0 || strstr((char *)text, "%Warning") || strstr((char *)text, "warning:") ||
        strstr((char *)text, "no such mode"))
        fail_msg("%.3000s", (char *)text);
    mq_free(text);
}

void layers_verilator(layer_case *l, int count, const char *dir, const char *flags, int cycles) {
    char command[2048];
    bench(l, count, dir, cycles);
    snprintf(command, sizeof command,
             "cd %s && rm -rf obj && verilator --cc --exe --build --no-timing -Wall %s --top-module bench "
             "-MAKEFLAGS "
             "'OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0' -Mdir obj main.cpp bench.v -y rtl -y %s/rtl -y "
             "%s/rtl/sim > "
             "log.txt 2>&1 && ./obj/Vbench >> log.txt 2>&1",
             dir, flags, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR);
    FILE *f = open_in(dir, "main", ".cpp", "w");
    fprintf(f, "#include \"Vbench.h\"\nint main() {\n  Vbench top;\n  while (!Verilated::gotFinish()) {\n    "
               "top.clk = "
               "!top.clk;\n    top.eval();\n  }\n}\n");
    fclose(f);
    run(dir, command);
    read_log(l, count, dir);
}

void layers_again(layer_case *l, int count, const char *dir) {
    char command[256];
    snprintf(command, sizeof command, "cd %s && ./obj/Vbench > log.txt 2>&1", dir);
    run(dir, command);
    read_log(l, count, dir);
}

void layers_icarus(layer_case *l, int count, const char *dir, int cycles) {
    char command[2048];
    FILE *f = open_in(dir, "clocked", ".v", "w");
    fprintf(f, "module clocked;\n  reg clk = 0;\n  always #1 clk = !clk;\n  bench bench(clk);\nendmodule\n");
    fclose(f);
    bench(l, count, dir, cycles);
    snprintf(command, sizeof command,
             "cd %s && iverilog -g2005 -DMIXQ_PRIMITIVES -s clocked -o bench.vvp clocked.v bench.v -y rtl -y "
             "%s/rtl -y "
             "%s/rtl/sim > "
             "log.txt 2>&1 && vvp -n bench.vvp >> log.txt 2>&1",
             dir, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR);
    run(dir, command);
    read_log(l, count, dir);
}

void layers_need(const char *simulator) {
    char command[128];
    snprintf(command, sizeof command, "command -v %s > /dev/null 2>&1", simulator);
    if (system(command) == 0) return;
    print_message("%s is not installed\n", simulator);
    skip();
}

void layers_check(const layer_case *l, int count) {
    int bad = 0;
    for (int i = 0; i < count; i++)
        if (l[i].mismatches || l[i].missing) {
            print_message("%s: %d mismatches, %d frames missing\n", l[i].name, l[i].mismatches, l[i].missing);
            bad++;
        }
    if (bad) fail_msg("%d of %d layers are wrong", bad, count);
}
