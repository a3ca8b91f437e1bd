/* packed_slice.c - Verilog around one DSP48E2.
 *
 * Ports and modes as in UG579: M = (D - A) * B with the pre-adder (activations on the wide port, A the
 * constant that recentres and moves them), or A * B; P = M + C + RND (+ CARRYIN). C = -+(other word << shift)
 * is wires: -x = ~x + 1, and the 1, like the zero points inside the other word, is a constant and goes to
 * RND. All paths have 4 registers. */
#include "gen/packed_slice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"

enum { TEXT = 1 << 16 };

typedef struct writer {
    char *text;
    size_t used;
} writer;

static void say(writer *w, const char *format, ...) MQ_PRINTF(2, 3);

static void say(writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->used, TEXT - w->used, format, args);
    va_end(args);
    if (n > 0) w->used += (size_t)n < TEXT - w->used ? (size_t)n : TEXT - w->used - 1;
}

static uint64_t low_bits(int64_t value, int bits) {
    return (uint64_t)value & (((uint64_t)1 << bits) - 1);
}

/* The value of the weights' word before any fix of its port. */
static int64_t weights_value(const mq_packing *p, const int32_t *w) {
    int64_t value = 0;
    for (int i = 0; i < p->weights; i++) value += (int64_t)w[i] * ((int64_t)1 << p->weight[i].position);
    return value;
}

mq_slice_word mq_slice_weights(const mq_packing *p, const int32_t *w) {
    int64_t value = weights_value(p, w), by = 0;
    if (p->fix_weights && p->fix == MQ_PORT_OFFSET) by = p->fix_sign * ((int64_t)1 << p->fix_shift);
    if (p->fix_weights && p->fix == MQ_PORT_EXTRA) by = (value < 0 ? 1 : -1) * ((int64_t)1 << p->fix_shift);
    return (mq_slice_word){value + by, value < 0};
}

/* The zero points' part of the other word is left out of C's wires when an offset on the weights meets
 * recentred activations. */
static bool raw_activations_in_c(const mq_packing *p) {
    return p->fix == MQ_PORT_OFFSET && p->fix_weights;
}

uint64_t mq_slice_constant(const mq_packing *p) {
    uint64_t constant = (uint64_t)p->bias;
    if (p->fix == MQ_PORT_OFFSET) {
        if (p->fix_sign > 0) constant += 1; /* C = -x = ~x + 1 */
        if (raw_activations_in_c(p)) constant += (uint64_t)(p->fix_sign * p->zero_word) << p->fix_shift;
    }
    return constant & (((uint64_t)1 << p->dsp.accumulator) - 1);
}

static void inputs(writer *o, const mq_packing *p, const char *name, int abits) {
    int port = p->weights_wide ? p->dsp.wide : p->dsp.narrow;
    say(o,
        "module %s(input clk, input signed [%d:0] u, input ux, input [%d:0] wl, input [%d:0] a, output "
        "[%d:0] s);\n",
        name, port - 1, 2 * p->weights - 1, abits * p->activations - 1, MQ_SLICE_SUM * p->fields - 1);
    say(o, "  // the codes side by side at their bits, and less their zero points\n  wire [47:0] raw =");
    for (int j = 0; j < p->activations; j++)
        say(o, "%s ({%d'b0, a[%d:%d]} << %d)", j ? " |" : "", 48 - abits, abits * (j + 1) - 1, abits * j,
            p->activation[j].position);
    say(o, ";\n  wire signed [47:0] v = raw - 48'h%012" PRIx64 ";\n", low_bits(p->zero_word, 48));
}

/* C, as an expression of this cycle's words, and CARRYIN. */
static void c_port(writer *o, const mq_packing *p) {
    const char *other = !p->fix_weights ? "u48" : raw_activations_in_c(p) ? "raw" : "v";
    say(o, "  wire signed [47:0] u48 = u;\n");
    if (p->fix == MQ_PORT_FITS) {
        say(o, "  wire [47:0] c0 = 48'b0;\n  wire negative = 1'b0;\n");
    } else if (p->fix == MQ_PORT_OFFSET) {
        say(o, "  wire [47:0] c0 = %s(%s << %d);\n  wire negative = 1'b0;\n", p->fix_sign > 0 ? "~" : "",
            other, p->fix_shift);
    } else {
        say(o, "  wire negative = %s;\n", p->fix_weights ? "ux" : "v[47]");
        say(o, "  wire [47:0] c0 = {48{negative}} ^ (%s << %d);\n", other, p->fix_shift);
    }
    say(o, "  reg [47:0] c1, c2;\n  reg n1, n2, n3;\n"
           "  always @(posedge clk) begin c1 <= c0; c2 <= c1; n1 <= negative; n2 <= n1; n3 <= n2; end\n");
}

static void slice(writer *o, const mq_packing *p) {
    bool pre_adder = !p->weights_wide;
    int64_t by = 0;
    if (!p->fix_weights && p->fix == MQ_PORT_OFFSET) by = p->fix_sign * ((int64_t)1 << p->fix_shift);
    if (!p->fix_weights && p->fix == MQ_PORT_EXTRA)
        by = (int64_t)1 << p->fix_shift; /* either sign: modulo the port */
    if (pre_adder)
        say(o,
            "  wire [29:0] dsp_a = 30'h%08" PRIx64
            ";\n  wire [26:0] dsp_d = raw[26:0];\n  wire [17:0] dsp_b = u;\n",
            low_bits(mq_wrap(p->zero_word - by, p->dsp.wide), 30));
    else
        say(o,
            "  wire [47:0] moved = v + 48'h%012" PRIx64
            ";\n  wire [29:0] dsp_a = {{3{u[26]}}, u};\n  wire [26:0] dsp_d = 27'b0;\n  wire [17:0] dsp_b = "
            "moved[17:0];\n",
            low_bits(by, 48));
    say(o,
        "  wire [47:0] q;\n"
        "  DSP48E2 #(.AMULTSEL(\"%s\"), .AREG(%d), .ACASCREG(%d), .ADREG(%d), .DREG(%d), .BREG(2), "
        ".BCASCREG(2), .CREG(1), "
        ".MREG(1), .PREG(1),\n"
        "            .INMODEREG(0), .OPMODEREG(0), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), "
        ".USE_MULT(\"MULTIPLY\"),\n"
        "            .RND(48'h%012" PRIx64 ")) dsp (\n"
        "    .CLK(clk), .A(dsp_a), .B(dsp_b), .C(c2), .D(dsp_d), .P(q), .CARRYIN(n3), .CARRYINSEL(3'b0), "
        ".ALUMODE(4'b0),\n"
        "    .INMODE(5'b%s), .OPMODE(9'b10_%s_01_01), .PCIN(48'b0), .ACIN(30'b0), .BCIN(18'b0), "
        ".CARRYCASCIN(1'b0), "
        ".MULTSIGNIN(1'b0),\n"
        "    .CEA1(1'b1), .CEA2(1'b1), .CEAD(1'b1), .CEALUMODE(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), "
        ".CECARRYIN(1'b1),\n"
        "    .CECTRL(1'b1), .CED(1'b1), .CEINMODE(1'b1), .CEM(1'b1), .CEP(1'b1), .RSTA(1'b0), "
        ".RSTALLCARRYIN(1'b0), "
        ".RSTALUMODE(1'b0),\n"
        "    .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0), .RSTINMODE(1'b0), .RSTM(1'b0), "
        ".RSTP(1'b0));\n",
        pre_adder ? "AD" : "A", pre_adder ? 1 : 2, pre_adder ? 1 : 2, pre_adder ? 1 : 0, pre_adder ? 1 : 0,
        mq_slice_constant(p), pre_adder ? "01100" : "00000", p->fix == MQ_PORT_FITS ? "000" : "011");
}

/* The low bits of the operands, 4 cycles on, and what they say about each field that is overlapped from
 * below. */
static void known_bits(writer *o, const mq_packing *p, int abits) {
    int used = abits < 2 ? abits : 2;
    say(o, "  reg [%d:0] w1, w2, w3, w4;\n  reg [%d:0] a1, a2, a3, a4;\n", 2 * p->weights - 1,
        2 * p->activations - 1);
    say(o, "  always @(posedge clk) begin w1 <= wl; w2 <= w1; w3 <= w2; w4 <= w3; a2 <= a1; a3 <= a2; a4 <= "
           "a3;\n    a1 <= {");
    for (int j = p->activations - 1; j >= 0; j--)
        say(o, "%sa[%d:%d]%s", used < 2 ? "1'b0, " : "", abits * j + used - 1, abits * j,
            j ? ", " : "};\n  end\n");
    for (int f = 1; f < p->fields; f++) {
        int r = p->field[f - 1].overlap;
        if (r == 0) continue;
        say(o, "  wire [1:0] known%d = 2'd%d", f, (int)(-p->field[f].low & 3));
        for (int i = 0; i < p->weights; i++)
            for (int j = 0; j < p->activations; j++)
                if (p->field_of[i][j] == f)
                    say(o, " + w4[%d:%d] * (a4[%d:%d] - 2'd%d)", 2 * i + 1, 2 * i, 2 * j + 1, 2 * j,
                        p->activation[j].zero & 3);
        say(o, ";\n  wire [%d:0] carry%d = q[%d:%d] - known%d[%d:0];\n", r - 1, f,
            p->field[f].position + r - 1, p->field[f].position, f, r - 1);
    }
}

static void split(writer *o, const mq_packing *p) {
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        bool below = f > 0 && p->field[f - 1].overlap > 0;
        int width = field->spacing < MQ_SLICE_SUM - 4 ? field->spacing : MQ_SLICE_SUM - 4;
        int bits = width + field->overlap;
        say(o, "  assign s[%d:%d] = {%d'b0, ", MQ_SLICE_SUM * (f + 1) - 1, MQ_SLICE_SUM * f,
            MQ_SLICE_SUM - bits);
        if (field->overlap) say(o, "carry%d, ", f + 1);
        say(o, "q[%d:%d]}", field->position + width - 1, field->position);
        if (below) say(o, " - {%d'b0, carry%d}", MQ_SLICE_SUM - p->field[f - 1].overlap, f);
        say(o, " + 32'h%08" PRIx64 ";\n", low_bits(field->low, 32));
    }
    say(o, "endmodule\n");
}

mq_status mq_gen_packed_slice(const mq_packing *packing, const char *name, char **out, mq_error *error) {
    if (packing->dsp.wide != 27 || packing->dsp.narrow != 18 || packing->dsp.accumulator != 48)
        return mq_fail(error, MQ_USAGE, "packed slice: got a %s, expected a dsp48e2", packing->dsp.name);
    writer o = {0};
    MQ_TRY(mq_alloc(1, TEXT, "Verilog", &o.text, error));
    int abits = mq_bit_length(packing->activation_codes.high);
    inputs(&o, packing, name, abits);
    c_port(&o, packing);
    slice(&o, packing);
    known_bits(&o, packing, abits);
    split(&o, packing);
    *out = o.text;
    return MQ_OK;
}
