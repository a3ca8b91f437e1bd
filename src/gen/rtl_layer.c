/* rtl_layer.c - the module of a layer: ring, walk, activations to the slices' ports, columns of slices,
 * borders, beats, requantiser, queue. */
#include "gen/rtl_layer.h"

#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/file.h"
#include "base/memory.h"
#include "gen/rtl_requant.h"
#include "gen/rtl_shape.h"

enum { NAME = 96, BEFORE = 3 /* cycles from walk's addresses to the slices' ports */ };

static int columns(const rtl_shape *x) {
    return x->layer->pe / x->s.weight_groups;
}

/* ---- the comment that opens the module ---- */

static void story(const rtl_shape *x, const char *module, mq_rtl_text *t) {
    const mq_stage *s = &x->s;
    mq_rtl_say(t,
               "// %s: %s, %d x %d, %d x %d x %d -> %d x %d x %d.\n"
               "// At once: input channels %d, kernel rows %d, pixels %d, output channels %d; %d steps a "
               "block, %lld "
               "cycles a frame.\n",
               module, x->node->name, s->kernel_h, s->kernel_w, s->in_h, s->in_w, s->in_c, s->out_h, s->out_w,
               s->out_c, s->depthwise ? 1 : x->layer->simd, x->layer->rows, s->npx, x->layer->pe, s->steps,
               (long long)(s->cycles + s->flush));
    if (x->lut)
        mq_rtl_say(t, "//\n// Multipliers of LUTs: plain products of %d-bit weights and %d-bit codes.\n",
                   x->weight_bits, x->bits);
    for (int k = 0; k < x->kinds; k++) {
        const mq_packing *p = x->kind[k].p;
        mq_rtl_say(t, "//\n// Slices for a kernel row: %d, of %d taps each. U = ", x->layer->piece[k].count,
                   x->kind[k].taps);
        for (int i = 0; i < p->weights; i++)
            mq_rtl_say(t, "%sw%d<<%d", i ? " + " : "", i, p->weight[i].position);
        mq_rtl_say(t, ", V = ");
        for (int j = 0; j < p->activations; j++)
            mq_rtl_say(t, "%s(a%d - %d)<<%d", j ? " + " : "", j, p->activation[j].zero,
                       p->activation[j].position);
        mq_rtl_say(
            t,
            ";\n// weights %d..%d, codes 0..%d.\n// U*V is a sum of fields. Each is counted from its least "
            "value, so that it is 0 or more:\n",
            p->weight_codes.low, p->weight_codes.high, p->activation_codes.high);
        for (int f = 0; f < p->fields; f++) {
            const mq_pack_field *field = &p->field[f];
            int64_t values = field->high - field->low;
            mq_rtl_say(t, "//   bit %2d: %d product%s, %lld..%lld; in %d slice%s 0..%lld", field->position,
                       field->products, field->products == 1 ? "" : "s", (long long)field->low,
                       (long long)field->high, x->longest, x->longest == 1 ? "" : "s",
                       (long long)(values * x->longest));
            if (f + 1 < p->fields)
                mq_rtl_say(t, " in %d bits%s", field->spacing,
                           field->overlap ? "; the bit above is told by the next field's low bit" : "");
            mq_rtl_say(t, "\n");
        }
        mq_rtl_say(t,
                   "// Exact: in a cascade of at most %lld slices no field outgrows these bits, so P is cut "
                   "where they end.\n",
                   (long long)p->accumulations);
    }
}

/* ---- activations ---- */

/* The code of channel s, kernel row r of those at once, pixel of the block. */
static void code_text(const rtl_shape *x, int s, int r, int pixel, char *out, size_t size) {
    if (pixel >= x->ring_pixels) {
        snprintf(out, size, "%d'b0", x->bits);
        return;
    }
    int bank = x->bank_channels * x->ring_pixels * x->bits, word = bank * x->banks;
    int at =
        r * word + s / x->bank_channels * bank + (pixel * x->bank_channels + s % x->bank_channels) * x->bits;
    snprintf(out, size, "ring[%d:%d]", at + x->bits - 1, at);
}

static void delayed(mq_rtl_text *t, const char *from, const char *to, int width, int cycles) {
    mq_rtl_say(
        t, "  wire [%d:0] %s;\n  mixq_delay #(.WIDTH(%d), .CYCLES(%d)) d_%s (.clk(clk), .d(%s), .q(%s));\n",
        width - 1, to, width, cycles, to, from, to);
}

static void placed(mq_rtl_text *t, const rtl_shape *x, const mq_packing *p, const char *codes, int width) {
    for (int j = 0; j < p->activations; j++) {
        int at = p->activation[j].position, bits = x->bits < width - at ? x->bits : width - at;
        mq_rtl_say(t, "%s({%d'b0, %s[%d:%d]} << %d)", j ? " | " : "", width - bits, codes,
                   j * x->bits + bits - 1, j * x->bits, at);
    }
}

/* One unit: the activations of channel s, row r, packing block b, in time for slice q: into u at `at`. */
static void unit(const rtl_shape *x, mq_rtl_text *t, const char *bus, int k, int s, int r, int q, int b,
                 int at) {
    const rtl_kind *kind = &x->kind[k];
    const mq_packing *p = kind->p;
    int n = p->activations, port = p->weights_wide ? 18 : 27, skew = x->q_skew[q], codes = n * x->bits;
    char base[NAME - 8], from[NAME], to[NAME], text[NAME];
    snprintf(base, sizeof base, "%s_%d_%d_%d_%d", bus, k, s, r, b);
    mq_rtl_say(t, "  wire [%d:0] a_%s = {", codes - 1, base);
    for (int j = n - 1; j >= 0; j--) {
        code_text(x, s, r, rtl_pixel(kind, b, j), text, sizeof text);
        mq_rtl_say(t, "%s%s", text, j ? ", " : "};\n");
    }
    snprintf(from, sizeof from, "a_%s", base);
    snprintf(to, sizeof to, "b_%s", base);
    delayed(t, from, to, codes, 1 + skew);
    if (p->weights_wide && kind->constant) {
        mq_rtl_say(t, "  wire [17:0] r_%s = ", base);
        placed(t, x, p, from, 18);
        mq_rtl_say(t, ";\n  reg [17:0] v_%s;\n  always @(posedge clk) v_%s <= r_%s - 18'h%llx;\n", base, base,
                   base, (unsigned long long)rtl_low(kind->constant, 18));
        snprintf(from, sizeof from, "v_%s", base);
        snprintf(text, sizeof text, "z_%s", base);
        delayed(t, from, text, 18, skew);
        mq_rtl_say(t, "  assign %s[%d:%d] = %s;\n", bus, at + 17, at, text);
    } else {
        mq_rtl_say(t, "  assign %s[%d:%d] = ", bus, at + port - 1, at);
        placed(t, x, p, to, port);
        mq_rtl_say(t, ";\n");
    }
    at += port;
    if (kind->parity) {
        mq_rtl_say(t, "  assign %s[%d:%d] = {", bus, at + n - 1, at);
        for (int j = n - 1; j >= 0; j--) mq_rtl_say(t, "%s[%d]%s", to, j * x->bits, j ? ", " : "};\n");
        at += n;
    }
    if (kind->offset && kind->weights_c) {
        snprintf(from, sizeof from, "b_%s", base);
        snprintf(to, sizeof to, "c_%s", base);
        delayed(t, from, to, codes, 2);
        mq_rtl_say(t, "  assign %s[%d:%d] = %s((", bus, at + 47, at, p->fix_sign > 0 ? "~" : "");
        placed(t, x, p, to, 48);
        mq_rtl_say(t, ") << %d);\n", p->fix_shift);
    }
}

/* LUT multipliers: the codes of all slices and pixels. */
static void codes(const rtl_shape *x, mq_rtl_text *t, int g) {
    int rows = x->layer->rows, bits = x->slices * x->s.npx * x->bits;
    char text[NAME], from[NAME], to[NAME];
    mq_rtl_say(t, "\n  wire [%d:0] a%d = {", bits - 1, g);
    for (int q = x->slices - 1; q >= 0; q--)
        for (int pixel = x->s.npx - 1; pixel >= 0; pixel--) {
            code_text(x, x->s.depthwise ? g : q / rows, q % rows, pixel, text, sizeof text);
            mq_rtl_say(t, "%s%s", text, q || pixel ? ", " : "};\n");
        }
    snprintf(from, sizeof from, "a%d", g);
    snprintf(to, sizeof to, "u%d", g);
    delayed(t, from, to, bits, 1);
}

static void units(const rtl_shape *x, mq_rtl_text *t) {
    int64_t bits = 0;
    for (int k = 0; k < x->kinds; k++) bits += (int64_t)rtl_unit_bits(x, k) * x->slices * x->layer->blocks;
    int buses = x->s.depthwise ? columns(x) : 1, rows = x->layer->rows;
    for (int g = 0; x->lut && g < buses; g++) codes(x, t, g);
    for (int g = 0; !x->lut && g < buses; g++) {
        char bus[16];
        snprintf(bus, sizeof bus, "u%d", g);
        mq_rtl_say(t, "\n  wire [%lld:0] %s;\n", (long long)bits - 1, bus);
        int at = 0;
        for (int k = 0; k < x->kinds; k++)
            for (int q = 0; q < x->slices; q++)
                for (int b = 0; b < x->layer->blocks; b++) {
                    unit(x, t, bus, k, x->s.depthwise ? g : q / rows, q % rows, q, b, at);
                    at += rtl_unit_bits(x, k);
                }
    }
}

/* ---- weights and columns ---- */

static void weights(const rtl_shape *x, mq_rtl_text *t) {
    for (int skew = 0; skew < x->longest; skew++) {
        long long bits = rtl_weight_word_bits(x, skew);
        char from[NAME] = "w_address", to[NAME];
        if (skew) snprintf(from, sizeof from, "w_address_%d", skew - 1);
        snprintf(to, sizeof to, "w_address_%d", skew);
        delayed(t, from, to, x->weight_address, 1);
        mq_rtl_say(
            t,
            "  wire [%lld:0] w_%d;\n  mixq_weights #(.WIDTH(%lld), .DEPTH(%d), .ADDRESS(%d), .ROM(\"%s\"), "
            ".FILE(\"mem/%s_w%d.hex\")) weights_%d (.clk(clk), .address(w_address_%d), .data(w_%d));\n",
            bits - 1, skew, bits, x->s.groups * x->s.steps, x->weight_address,
            x->layer->memory == MQ_PLAN_LUT_ROM ? "logic" : "block", x->module, skew, skew, skew, skew);
    }
}

static mq_status pe_columns(const rtl_shape *x, mq_rtl_text *t, mq_error *error) {
    int *at; /* [longest]: next word of each memory */
    MQ_TRY(mq_alloc((size_t)x->longest, sizeof *at, "weights", &at, error));
    int64_t bits = 0;
    int each = x->s.weight_groups * x->coefficients * x->acc;
    for (int i = 0; i < x->pieces; i++) bits += (int64_t)x->kind[x->piece[i].kind].weight_bits * x->slices;
    if (x->lut) bits = rtl_weight_word_bits(x, 0) / x->layer->pe;
    mq_rtl_say(t, "\n  wire [%d:0] acc;\n", each * columns(x) - 1);
    for (int g = 0; g < columns(x); g++) {
        mq_rtl_say(t, "  wire [%lld:0] w%d;\n", (long long)bits - 1, g);
        int to = 0;
        if (x->lut)
            mq_rtl_say(t, "  assign w%d = w_0[%lld:%lld];\n", g, (long long)(bits * (g + 1) - 1),
                       (long long)(bits * g));
        for (int i = 0; i < x->pieces; i++)
            for (int q = 0; q < x->slices; q++) {
                int n = x->kind[x->piece[i].kind].weight_bits, *from = &at[x->q_skew[q]];
                mq_rtl_say(t, "  assign w%d[%d:%d] = w_%d[%d:%d];\n", g, to + n - 1, to, x->q_skew[q],
                           *from + n - 1, *from);
                to += n;
                *from += n;
            }
        mq_rtl_say(t, "  %s_pe pe%d (.clk(clk), .first(first), .u(u%d), .w(w%d), .acc(acc[%d:%d]));\n",
                   x->module, g, x->s.depthwise ? g : 0, g, (g + 1) * each - 1, g * each);
    }
    mq_free(at);
    return MQ_OK;
}

/* ---- ring, walk ---- */

static const char *ram_style(int64_t depth) {
    return depth > 64 ? "block" : "distributed";
}

static void front(const rtl_shape *x, mq_rtl_text *t) {
    const mq_stage *s = &x->s;
    int rows = x->layer->rows, word = x->ring_pixels * x->bank_channels * x->banks * x->bits;
    int64_t depth = (int64_t)x->words * s->in_blocks * (rows > 1 ? 1 : x->ring_rows);
    mq_rtl_say(t,
               "  wire room, row_taken, row_done, popped, released;\n  wire [%d:0] r_address;\n  wire [%d:0] "
               "r_select;\n"
               "  wire [%d:0] r_zero;\n  wire [%d:0] ring;\n  wire [%d:0] w_address;\n  wire [4:0] tag;\n",
               x->address - 1, rows * x->select - 1, rows - 1, rows * word - 1, x->weight_address - 1);
    mq_rtl_say(
        t,
        "  mixq_ring #(.BITS(%d), .IN_CHANNELS(%d), .IN_PIXELS(%d), .WORD_PIXELS(%d), .BEATS(%d), "
        ".GROUPS(%d), "
        ".BANKS(%d), .PARTS(%d), .WORDS(%d), .BLOCKS(%d), .ROWS(%d), .PORTS(%d), .RAM(\"%s\"), .ADDRESS(%d), "
        ".SELECT(%d)) rows (.clk(clk), .rst(rst), .s_valid(s_valid), .s_ready(s_ready), .s_data(s_data), "
        ".room(room), .row_taken(row_taken), .row_done(row_done), .r_address(r_address), "
        ".r_select(r_select), "
        ".r_zero(r_zero), .r_data(ring));\n",
        x->bits, x->ring_in_channels, x->ring_in_pixels, x->ring_pixels, x->ring_beats, x->ring_groups,
        x->banks, x->parts, x->words, s->in_blocks, x->ring_rows, rows, ram_style(depth), x->address,
        x->select);
    mq_rtl_say(
        t,
        "  mixq_walk #(.OUT_ROWS(%d), .GROUPS(%d), .BLOCKS(%d), .STEPS_ROWS(%d), .STEPS_WORDS(%d), "
        ".WORDS(%d), "
        ".DEPTHWISE(%d), .PORTS(%d), .KERNEL(%d), .PAD_TOP(%d), .IN_ROWS(%d), .ROWS(%d), .FLUSH(%d), "
        ".BEATS(%d), .ROOM(%d), .ADDRESS(%d), .SELECT(%d), .WEIGHTS(%d)) walk (.clk(clk), .rst(rst), "
        ".row_taken(row_taken), .row_done(row_done), .room(room), .returned(popped), .released(released), "
        ".r_address(r_address), .r_select(r_select), .r_zero(r_zero), .w_address(w_address), .tag(tag));\n",
        s->out_h, s->groups, s->in_blocks, s->kernel_h / rows, s->steps / (s->kernel_h / rows), x->words,
        s->depthwise, rows, s->kernel_h, s->pad_top, s->in_h, x->ring_rows, s->lead > 0, x->slots, x->room,
        x->address, x->select, x->weight_address);
    mq_rtl_say(
        t,
        "  wire first, strobe, head, start, flush;\n"
        "  mixq_tag #(.WIDTH(1), .CYCLES(%d)) first_tag (.clk(clk), .rst(rst), .d(tag[0]), .q(first));\n"
        "  mixq_tag #(.WIDTH(4), .CYCLES(%d)) last_tag (.clk(clk), .rst(rst), .d(tag[4:1] & {4{tag[1]}}), "
        ".q({flush, start, head, strobe}));\n",
        x->latency - 1, x->latency);
}

/* ---- borders, beats ---- */

static void edges(const rtl_shape *x, mq_rtl_text *t) {
    int k = x->s.kernel_w, pe = x->layer->pe, each = k > 1 ? (k - 1) * x->acc : 1, groups = x->s.groups;
    mq_rtl_say(t, "\n  wire [%d:0] edges;\n", pe * each - 1);
    if (k == 1 || x->zero == 0) {
        mq_rtl_say(t, "  assign edges = %d'b0;\n", pe * each);
        return;
    }
    int bits = rtl_bits(groups);
    /* a word for each row's first block: in the LUTs of the adders while it depends on few bits */
    bool block = groups > 32 && (int64_t)x->s.in_blocks * x->s.steps > 2;
    mq_rtl_say(t,
               "  reg [%d:0] edge_group;\n  always @(posedge clk)\n    if (rst) edge_group <= %d'd0;\n    "
               "else if (strobe "
               "&& head && !flush) edge_group <= edge_group == %d'd%d ? %d'd0 : edge_group + 1'b1;\n"
               "  mixq_rom #(.W(%d), .DEPTH(%d), .AW(%d), .BLOCK(%d), .FILE(\"mem/%s_edges.hex\")) edge_rom "
               "(.clk(clk), .addr(edge_group), .q(edges));\n",
               bits - 1, bits, bits, groups - 1, bits, pe * each, groups, bits, block, x->module);
}

static void back(const rtl_shape *x, mq_rtl_text *t) {
    const mq_stage *s = &x->s;
    int pe = x->layer->pe, op = x->layer->out_pixels, k = s->kernel_w, slot = rtl_bits(x->slots),
        group = rtl_bits(s->groups), each = k > 1 ? (k - 1) * x->acc : 1;
    edges(x, t);
    mq_rtl_say(
        t,
        "  wire [%d:0] slot;\n  wire rq_in_valid, rq_in_last;\n  wire [%d:0] rq_in_group;\n  wire [%d:0] "
        "rq_in_acc;\n",
        slot - 1, group - 1, pe * op * x->acc - 1);
    mq_rtl_say(
        t,
        "  mixq_beats #(.SLOTS(%d), .SPACING(%d), .PRE(%d), .ROW(%d), .BEATS(%d), .GROUPS(%d), .GROUP(%d), "
        ".SLOT(%d)) beats (.clk(clk), .rst(rst), .strobe(strobe), .start(start), .flush(flush), .slot(slot), "
        ".valid(rq_in_valid), .last(rq_in_last), .group(rq_in_group), .released(released));\n",
        x->slots, x->spacing, x->pre, x->slots * s->in_blocks, x->beats, s->groups, group, slot);
    for (int o = 0; o < pe; o++) {
        int at = o * x->coefficients * x->acc;
        mq_rtl_say(
            t,
            "  wire [%d:0] pixels%d;\n  wire [%d:0] picked%d;\n"
            "  mixq_border #(.ACC(%d), .NPX(%d), .KERNEL(%d), .LEAD(%d)) border%d (.clk(clk), "
            ".strobe(strobe), "
            ".head(head), .acc(acc[%d:%d]), .edges(edges[%d:%d]), .q(pixels%d));\n"
            "  mixq_pick #(.ACC(%d), .NPX(%d), .OUT_PIXELS(%d), .OFFSET(%d), .SLOT(%d)) pick%d (.clk(clk), "
            ".strobe(strobe), .slot(slot), .pixels(pixels%d), .q(picked%d));\n",
            s->npx * x->acc - 1, o, op * x->acc - 1, o, x->acc, s->npx, k, s->lead, o,
            at + x->coefficients * x->acc - 1, at, (o + 1) * each - 1, o * each, o, x->acc, s->npx, op,
            s->lead % op, slot, o, o, o);
        for (int p = 0; p < op; p++)
            mq_rtl_say(t, "  assign rq_in_acc[%d:%d] = picked%d[%d:%d];\n", (p * pe + o + 1) * x->acc - 1,
                       (p * pe + o) * x->acc, o, (p + 1) * x->acc - 1, p * x->acc);
    }
}

/* Accumulators that leave as they are. */
static void plain(const rtl_shape *x, mq_rtl_text *t) {
    int pe = x->layer->pe, op = x->layer->out_pixels, groups = x->s.groups, group = rtl_bits(groups),
        bits = x->out.bits;
    mq_rtl_say(t, "\n  wire [%d:0] offsets;\n", pe * bits - 1);
    if (x->offsets)
        mq_rtl_say(
            t,
            "  mixq_rom #(.W(%d), .DEPTH(%d), .AW(%d), .BLOCK(0), .FILE(\"mem/%s_offsets.hex\")) offset_rom "
            "(.clk(clk), .addr(rq_in_group), .q(offsets));\n",
            pe * bits, groups, group, x->module);
    else
        mq_rtl_say(t, "  assign offsets = %d'b0;\n", pe * bits);
    mq_rtl_say(
        t,
        "  reg rq_out_valid;\n  reg [%d:0] rq_out_code;\n  always @(posedge clk) begin\n    rq_out_valid <= "
        "rq_in_valid && !rst;\n",
        pe * op * bits - 1);
    for (int l = 0; l < pe * op; l++) {
        int top = (l + 1) * x->acc - 1, o = l % pe;
        mq_rtl_say(t, "    rq_out_code[%d:%d] <= ", (l + 1) * bits - 1, l * bits);
        if (x->acc < bits)
            mq_rtl_say(t, "{{%d{rq_in_acc[%d]}}, rq_in_acc[%d:%d]}", bits - x->acc, top, top, l * x->acc);
        else
            mq_rtl_say(t, "rq_in_acc[%d:%d]", l * x->acc + bits - 1, l * x->acc);
        mq_rtl_say(t, " + offsets[%d:%d];\n", (o + 1) * bits - 1, o * bits);
    }
    mq_rtl_say(t, "  end\n");
}

/* The queue; the last beat of a row has zeros behind the row's last pixel. */
static void queue(const rtl_shape *x, mq_rtl_text *t) {
    int pe = x->layer->pe, op = x->layer->out_pixels, bits = pe * op * x->out.bits, rest = x->s.out_w % op;
    mq_rtl_say(t, "  wire [%d:0] beat;\n", bits - 1);
    if (rest == 0) {
        mq_rtl_say(t, "  assign beat = rq_out_code;\n");
    } else {
        int n = rtl_bits(x->beats), used = rest * pe * x->out.bits;
        mq_rtl_say(t,
                   "  reg [%d:0] column;\n  wire row_end = column == %d'd%d;\n  always @(posedge clk)\n    "
                   "if (rst) column "
                   "<= %d'd0;\n    else if (rq_out_valid) column <= row_end ? %d'd0 : column + 1'b1;\n"
                   "  assign beat = {rq_out_code[%d:%d] & {%d{!row_end}}, rq_out_code[%d:0]};\n",
                   n - 1, n, x->beats - 1, n, n, bits - 1, used, bits - used, used - 1);
    }
    mq_rtl_say(
        t,
        "  mixq_outbox #(.WIDTH(%d), .DEPTH(%d)) outbox (.clk(clk), .rst(rst), .push(rq_out_valid), "
        ".data(beat), "
        ".popped(popped), .m_valid(m_valid), .m_ready(m_ready), .m_data(m_data));\n"
        "  /* verilator lint_off UNUSED */\n  wire unused = rq_in_last;\n  /* verilator lint_on UNUSED */\n"
        "endmodule\n",
        bits, x->room);
}

static mq_status write(rtl_shape *x, mq_rtl_text *t, mq_error *error) {
    const mq_stream *in = &x->in, *out = &x->out;
    char *requant = NULL;
    int requant_latency = 1;
    if (x->requant)
        MQ_TRY(mq_rtl_requant(x->build, x->requant, x->layer, x->offset, x->acc, x->module, &requant,
                              &requant_latency, error));
    x->latency = BEFORE + x->array + 1;
    /* beats between a block's start and the return of its credits, at full speed */
    int wait = x->latency + 2 * x->s.steps + x->slots * x->spacing + requant_latency + 6;
    int most = x->slots * ((wait + x->s.steps - 1) / x->s.steps + 1);
    for (x->room = 16; x->room < most;) x->room *= 2;
    story(x, x->module, t);
    mq_rtl_say(t,
               "/* verilator lint_off UNUSED */  // of words: some bits\nmodule %s (\n    input wire clk,\n  "
               "  input wire rst,\n    input wire s_valid,\n    output "
               "wire s_ready,\n"
               "    input wire [%d:0] s_data,\n    output wire m_valid,\n    input wire m_ready,\n    output "
               "wire [%d:0] "
               "m_data\n);\n",
               x->module, in->channels * in->pixels * in->bits - 1,
               out->channels * out->pixels * out->bits - 1);
    front(x, t);
    weights(x, t);
    units(x, t);
    mq_status status = pe_columns(x, t, error);
    back(x, t);
    if (requant) {
        int bits = out->channels * out->pixels * out->bits;
        mq_rtl_say(t, "\n  wire rq_out_valid;\n  wire [%d:0] rq_out_code;\n%s", bits - 1, requant);
    } else {
        plain(x, t);
    }
    mq_free(requant);
    queue(x, t);
    mq_rtl_say(t, "/* verilator lint_on UNUSED */\n");
    return status != MQ_OK ? status : x->lut ? rtl_lut_array(x, t, error) : rtl_array(x, t, error);
}

mq_status mq_rtl_layer(const mq_rtl_build *build, const mq_plan_layer *layer, const mq_stream *in,
                       const char *module, mq_stream *out, mq_error *error) {
    rtl_shape x;
    mq_rtl_text text = {0};
    char folder[MQ_PATH], file[RTL_MODULE + 8];
    if (strlen(module) >= RTL_MODULE)
        return mq_fail(error, MQ_USAGE, "module: got a name of %zu characters, at most %d", strlen(module),
                       RTL_MODULE - 1);
    MQ_TRY(rtl_shape_make(build, layer, in, module, &x, error));
    mq_status status = rtl_memories(&x, error);
    if (status == MQ_OK) status = write(&x, &text, error);
    if (status == MQ_OK) status = mq_path_join(build->dir, "rtl", folder, error);
    snprintf(file, sizeof file, "%s.v", module);
    if (status == MQ_OK)
        status = mq_rtl_text_save(&text, folder, file, error);
    else
        mq_rtl_text_free(&text);
    *out = x.out;
    rtl_shape_free(&x);
    return status;
}
