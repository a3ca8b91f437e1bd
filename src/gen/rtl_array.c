/* rtl_array.c - the multipliers of one packing's output channels: cascades, fields, repairs, trees,
 * accumulators.
 *
 * Time is counted from the cycle in which a slice of skew 0 has its operands at its ports. A slice of skew p
 * has them at p, P of every cascade is complete at longest - 1 + 4. A field that the one below reaches into
 * loses a carry T = P's bit ^ its own parity, and the one below gains T * 2^spacing. Here the inverse n = ~T
 * is formed: it is the field's upper bit inverted (in the adder's table), and -T = n - 1: a carry input, and
 * 1 more in the constant that the accumulators begin with. A parity of n products takes LUTs of 3 products
 * each, in registers beside the slices, and one that adds them, P's bit and what products are left. */
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"
#include "gen/rtl_shape.h"

enum { LATENCY = 4, NAME = 64, LUT = 6 };

/* ---- what a cascade of `length` slices gives ---- */

typedef struct fields {
    bool carry[MQ_PACK_FIELDS + 1]; /* something may arrive from below */
    int64_t most[MQ_PACK_FIELDS];   /* of the bits that are read, the carry from below included */
    int width[MQ_PACK_FIELDS];      /* bits of P that are read; at least 1 */
    int64_t bias[MQ_PACK_FIELDS];   /* what the sum is too high by */
} fields;

static void fields_of(const mq_packing *p, int length, fields *out) {
    *out = (fields){0};
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        int64_t most = (field->high - field->low) * length + out->carry[f];
        out->most[f] = most;
        out->carry[f + 1] = f + 1 < p->fields && most >= (int64_t)1 << field->spacing;
        out->width[f] = out->carry[f + 1] ? field->spacing : most > 0 ? mq_bit_length(most) : 1;
        out->bias[f] = -field->low * length + out->carry[f];
    }
}

static int length_of(const rtl_shape *x, int chain) {
    int n = 0;
    for (int q = 0; q < x->slices; q++) n += x->q_chain[q] == chain;
    return n;
}

static int first_of(const rtl_shape *x, int chain) {
    int q = 0;
    while (x->q_chain[q] != chain) q++;
    return q;
}

int rtl_unit_bits(const rtl_shape *x, int kind) {
    const rtl_kind *k = &x->kind[kind];
    return (k->p->weights_wide ? k->p->dsp.narrow : k->p->dsp.wide) + (k->parity ? k->p->activations : 0) +
           (k->offset && k->weights_c ? k->p->dsp.accumulator : 0);
}

/* ---- operands of a coefficient ---- */

typedef struct operand {
    char name[NAME];
    int width;
    int64_t most;
    uint64_t inverted;
} operand;

typedef struct lane {
    operand *in;         /* [count] */
    char (*carry)[NAME]; /* [carries] */
    int count, carries;
    int64_t bias;
} lane;

static int levels_of(int count) {
    int levels = 0;
    for (int64_t most = 2; most < count; most *= 3) levels++;
    return levels;
}

/* The fields that end in coefficient v of output channel wg. */
static int count_of(const rtl_shape *x, int wg, int v) {
    int n = 0;
    for (int i = 0; i < x->pieces; i++) {
        const mq_packing *p = x->kind[x->piece[i].kind].p;
        for (int b = 0; b < x->layer->blocks; b++)
            for (int f = 0; f < p->fields; f++)
                n += p->field[f].weight_group == wg && rtl_coefficient(x, &x->piece[i], b, f) == v;
    }
    return n * x->chains;
}

static void collect(const rtl_shape *x, int wg, int v, lane *out) {
    out->count = out->carries = 0;
    out->bias = 0;
    for (int i = 0; i < x->pieces; i++) {
        const mq_packing *p = x->kind[x->piece[i].kind].p;
        for (int c = 0; c < x->chains; c++) {
            fields f;
            fields_of(p, length_of(x, c), &f);
            for (int b = 0; b < x->layer->blocks; b++)
                for (int n = 0; n < p->fields; n++) {
                    if (p->field[n].weight_group != wg || rtl_coefficient(x, &x->piece[i], b, n) != v)
                        continue;
                    operand *o = &out->in[out->count++];
                    *o = (operand){.width = f.width[n] + f.carry[n + 1], .most = f.most[n]};
                    if (f.carry[n + 1]) o->inverted = (uint64_t)1 << f.width[n];
                    snprintf(o->name, NAME, "f_%d_%d_%d_%d", i, b, c, n);
                    if (f.carry[n]) snprintf(out->carry[out->carries++], NAME, "n_%d_%d_%d_%d", i, b, c, n);
                    out->bias += f.bias[n];
                }
        }
    }
}

/* ---- trees ---- */

static void delayed(mq_rtl_text *t, const char *from, const char *to, int width, int cycles) {
    mq_rtl_say(
        t, "  wire [%d:0] %s;\n  mixq_delay #(.WIDTH(%d), .CYCLES(%d)) d_%s (.clk(clk), .d(%s), .q(%s));\n",
        width - 1, to, width, cycles, to, from, to);
}

/* An operand as W bits. */
static void wide(char *out, size_t size, const operand *o, int w) {
    if (o->width == w)
        snprintf(out, size, "%s", o->name);
    else if (o->width > w)
        snprintf(out, size, "%s[%d:0]", o->name, w - 1);
    else
        snprintf(out, size, "{%d'b0, %s}", w - o->width, o->name);
}

static void ternary(mq_rtl_text *t, const char *name, const operand *in, int count,
                    const char *const carry[2], int w, const char *sum) {
    char text[3][NAME + 32];
    uint64_t inverted[3] = {0};
    for (int i = 0; i < 3; i++) {
        if (i < count) {
            wide(text[i], sizeof text[i], &in[i], w);
            inverted[i] = rtl_low((int64_t)in[i].inverted, w);
        } else {
            snprintf(text[i], sizeof text[i], "%d'b0", w);
        }
    }
    mq_rtl_say(
        t,
        "  mixq_ternary #(.W(%d), .NA(%d'h%llx), .NB(%d'h%llx), .NC(%d'h%llx)) %s (.first(1'b0), .a(%s), "
        ".b(%s), .c(%s), .ci0(%s), .ci1(%s), .s(%s));\n",
        w, w, (unsigned long long)inverted[0], w, (unsigned long long)inverted[1], w,
        (unsigned long long)inverted[2], name, text[0], text[1], text[2], carry[0], carry[1], sum);
}

/* One register stage: as many adders as the next levels need. Carries that find no adder wait. */
static void level(const rtl_shape *x, mq_rtl_text *t, lane *l, int number, int left, const char *lane_name) {
    int most = 2, to = 0, from = 0, carries = 0, adders = 0;
    for (int i = 1; i < left; i++) most *= 3;
    int reduce = l->count > most ? l->count - most : 0;
    char name[NAME], instance[NAME];
    while (from < l->count) {
        if (reduce > 0) {
            int take = reduce >= 2 ? 3 : 2;
            operand sum = {.most = 0};
            const char *carry[2] = {"1'b0", "1'b0"};
            for (int i = 0; i < 2 && carries < l->carries; i++, sum.most++) carry[i] = l->carry[carries++];
            for (int i = 0; i < take; i++) sum.most += l->in[from + i].most;
            sum.width = mq_bit_length(sum.most) < x->acc ? mq_bit_length(sum.most) : x->acc;
            if (sum.width == 0) sum.width = 1;
            snprintf(sum.name, NAME, "t_%s_%d_%d", lane_name, number, adders);
            snprintf(name, sizeof name, "s_%s_%d_%d", lane_name, number, adders++);
            mq_rtl_say(t, "  wire [%d:0] %s;\n  reg [%d:0] %s;\n  always @(posedge clk) %s <= %s;\n",
                       sum.width - 1, name, sum.width - 1, sum.name, sum.name, name);
            snprintf(instance, sizeof instance, "add_%s_%d_%d", lane_name, number, adders - 1);
            ternary(t, instance, &l->in[from], take, carry, sum.width, name);
            from += take;
            reduce -= take - 1;
            l->in[to++] = sum;
        } else {
            operand o = l->in[from++];
            snprintf(name, sizeof name, "h_%s_%d_%d", lane_name, number, to);
            delayed(t, o.name, name, o.width, 1);
            memcpy(o.name, name, NAME);
            l->in[to++] = o;
        }
    }
    int kept = 0;
    for (int i = carries; i < l->carries; i++, kept++) {
        snprintf(name, sizeof name, "c_%s_%d_%d", lane_name, number, kept);
        delayed(t, l->carry[i], name, 1, 1);
        memcpy(l->carry[kept], name, NAME);
    }
    l->count = to;
    l->carries = kept;
}

static void accumulator(const rtl_shape *x, mq_rtl_text *t, const lane *l, int wg, int v) {
    char a[NAME + 32] = "", b[NAME + 32] = "";
    int w = x->acc, at = (wg * x->coefficients + v) * w;
    if (l->count > 0) wide(a, sizeof a, &l->in[0], w);
    if (l->count > 1) wide(b, sizeof b, &l->in[1], w);
    if (!*a) snprintf(a, sizeof a, "%d'b0", w);
    if (!*b) snprintf(b, sizeof b, "%d'b0", w);
    mq_rtl_say(t,
               "  wire [%d:0] next_%d_%d;\n  reg [%d:0] acc_%d_%d = 0;\n  always @(posedge clk) acc_%d_%d <= "
               "next_%d_%d;\n"
               "  assign acc[%d:%d] = acc_%d_%d;\n"
               "  mixq_ternary #(.W(%d), .GATE(1), .INIT(%d'h%llx), .NB(%d'h%llx), .NC(%d'h%llx)) sum_%d_%d "
               "(.first(first), .a(acc_%d_%d), .b(%s), .c(%s), .ci0(%s), .ci1(%s), .s(next_%d_%d));\n",
               w - 1, wg, v, w - 1, wg, v, wg, v, wg, v, at + w - 1, at, wg, v, w, w,
               (unsigned long long)rtl_low(-l->bias * x->s.steps, w), w,
               (unsigned long long)(l->count > 0 ? rtl_low((int64_t)l->in[0].inverted, w) : 0), w,
               (unsigned long long)(l->count > 1 ? rtl_low((int64_t)l->in[1].inverted, w) : 0), wg, v, wg, v,
               a, b, l->carries > 0 ? l->carry[0] : "1'b0", l->carries > 1 ? l->carry[1] : "1'b0", wg, v);
}

static mq_status trees(const rtl_shape *x, mq_rtl_text *t, mq_error *error) {
    int most = 1;
    for (int wg = 0; wg < x->s.weight_groups; wg++)
        for (int v = 0; v < x->coefficients; v++) {
            int n = count_of(x, wg, v);
            if (n > most) most = n;
        }
    lane l = {0};
    MQ_TRY(mq_alloc((size_t)most, sizeof *l.in, "adder trees", &l.in, error));
    mq_status status = mq_alloc((size_t)most, sizeof *l.carry, "adder trees", &l.carry, error);
    for (int wg = 0; status == MQ_OK && wg < x->s.weight_groups; wg++)
        for (int v = 0; v < x->coefficients; v++) {
            char name[32];
            snprintf(name, sizeof name, "%d_%d", wg, v);
            collect(x, wg, v, &l);
            mq_rtl_say(t, "\n  // output channel %d, coefficient %d: %d fields\n", wg, v, l.count);
            for (int i = 0; i < x->tree_levels; i++) level(x, t, &l, i, x->tree_levels - i, name);
            accumulator(x, t, &l, wg, v);
        }
    mq_free(l.in);
    mq_free(l.carry);
    return status;
}

/* ---- slices ---- */

static void put_at(mq_rtl_text *t, const char *word, int high, int low, int position, int width, bool *any) {
    if (high < low) return;
    mq_rtl_say(t, "%s({%d'b0, %s[%d:%d]} << %d)", *any ? " | " : "", width - (high - low + 1), word, high,
               low, position);
    *any = true;
}

/* The weights' ports of slice q of piece i, and their lowest bits. */
static void weights(const rtl_shape *x, mq_rtl_text *t, int i, int q, int at) {
    const rtl_kind *k = &x->kind[x->piece[i].kind];
    const mq_packing *p = k->p;
    char word[NAME];
    snprintf(word, sizeof word, "w_%d_%d", i, q);
    mq_rtl_say(t, "  wire [%d:0] %s = w[%d:%d];\n", k->weight_bits - 1, word, at + k->weight_bits - 1, at);
    if (k->raw) {
        int bits = k->weight_bits / p->weights;
        bool any = false;
        mq_rtl_say(t, "  wire [26:0] wd_%d_%d = ", i, q);
        for (int n = 0; n < p->weights; n++)
            put_at(t, word, n * bits + bits - 2, n * bits, p->weight[n].position, 27, &any);
        if (k->place > 0 || !any)
            mq_rtl_say(t, "%s27'h%llx", any ? " | " : "", (unsigned long long)(k->place > 0 ? k->place : 0));
        any = false;
        mq_rtl_say(t, ";\n  wire [26:0] wa_%d_%d = ", i, q);
        for (int n = 0; n < p->weights; n++)
            put_at(t, word, n * bits + bits - 1, n * bits + bits - 1, p->weight[n].position + bits - 1, 27,
                   &any);
        if (k->place < 0) mq_rtl_say(t, " | 27'h%llx", (unsigned long long)-k->place);
        mq_rtl_say(t, ";\n");
    }
    if (!k->parity) return;
    mq_rtl_say(t, "  wire [%d:0] wl_%d_%d_0 = {", p->weights - 1, i, q);
    for (int n = p->weights - 1; n >= 0; n--) {
        int s = p->weight[n].position;
        if (k->raw)
            mq_rtl_say(t, "%s[%d]", word, n * (k->weight_bits / p->weights));
        else if (k->low_bits)
            mq_rtl_say(t, "%s[%d]", word, (p->weights_wide ? 27 : 18) + n);
        else if (s > 0)
            mq_rtl_say(t, "%s[%d] ^ %s[%d]", word, s, word, s - 1);
        else
            mq_rtl_say(t, "%s[0]", word);
        mq_rtl_say(t, "%s", n ? ", " : "};\n");
    }
}

static void slice(const rtl_shape *x, mq_rtl_text *t, int i, int b, int q) {
    const rtl_kind *k = &x->kind[x->piece[i].kind];
    const mq_packing *p = k->p;
    bool head = q == 0 || x->q_chain[q - 1] != x->q_chain[q];
    int length = length_of(x, x->q_chain[q]), port = p->weights_wide ? 18 : 27, unit = x->piece[i].kind;
    uint64_t rnd =
        rtl_low((int64_t)((uint64_t)mq_pack_bias(p, length) + (uint64_t)(k->per_slice * length)), 48);
    char a[NAME], d[NAME], u[NAME], c[NAME + 48];
    snprintf(u, sizeof u, "u_%d_%d_%d[%d:0]", unit, q, b, port - 1);
    snprintf(c, sizeof c, "48'b0");
    if (k->offset && k->weights_c) {
        int at = port + (k->parity ? p->activations : 0);
        snprintf(c, sizeof c, "u_%d_%d_%d[%d:%d]", unit, q, b, at + 47, at);
    } else if (k->offset) {
        snprintf(c, sizeof c, "wc_%d_%d_2", i, q);
    }
    if (p->weights_wide && k->raw) {
        snprintf(a, sizeof a, "wa_%d_%d", i, q);
        snprintf(d, sizeof d, "wd_%d_%d", i, q);
    } else if (p->weights_wide) {
        snprintf(a, sizeof a, "w_%d_%d[26:0]", i, q);
        snprintf(d, sizeof d, "27'b0");
    } else {
        snprintf(a, sizeof a, "27'h%llx", (unsigned long long)rtl_low(k->constant, 27));
        snprintf(d, sizeof d, "%s", u);
        snprintf(u, sizeof u, "w_%d_%d[17:0]", i, q);
    }
    char pcin[NAME] = "48'b0";
    if (!head) snprintf(pcin, sizeof pcin, "pc_%d_%d_%d", i, b, q - 1);
    mq_rtl_say(
        t,
        "  wire [47:0] p_%d_%d_%d, pc_%d_%d_%d;\n"
        "  mixq_slice #(.PRE_ADD(%d), .HEAD(%d), .USE_C(%d), .RND(48'h%012llx)) slice_%d_%d_%d (.clk(clk), "
        ".a(%s), .d(%s), .b(%s), .c(%s), .pcin(%s), .pcout(pc_%d_%d_%d), .p(p_%d_%d_%d));\n",
        i, b, q, i, b, q, k->pre_add, head, k->offset, (unsigned long long)(head ? rnd : 0), i, b, q, a, d, u,
        c, pcin, i, b, q, i, b, q);
}

/* ---- parities ---- */

typedef struct product {
    int q, w, a;
} product;

/* n ANDs of lowest bits at time `when`. */
static void ands(const rtl_shape *x, mq_rtl_text *t, int i, int b, const product *of, int n, int when) {
    const rtl_kind *k = &x->kind[x->piece[i].kind];
    for (int m = 0; m < n; m++) {
        int late = when - x->q_skew[of[m].q];
        mq_rtl_say(t, "%s(wl_%d_%d_%d[%d] & %sal_%d_%d_%d_%d[%d])", m ? " ^ " : "", i, of[m].q, late, of[m].w,
                   k->p->activation[of[m].a].zero & 1 ? "~" : "", x->piece[i].kind, of[m].q, b, late,
                   of[m].a);
    }
}

/* n = ~(P's bit ^ the field's parity), at the time of P. */
static void repair(const rtl_shape *x, mq_rtl_text *t, int i, int b, int c, int f, mq_error *error,
                   mq_status *status) {
    const mq_packing *p = x->kind[x->piece[i].kind].p;
    int length = length_of(x, c), first = first_of(x, c), n = 0, ready = x->longest - 1 + LATENCY;
    product *list;
    *status = mq_alloc((size_t)(length * p->field[f].products), sizeof *list, "parity", &list, error);
    if (*status != MQ_OK) return;
    for (int q = first; q < first + length; q++)
        for (int w = 0; w < p->weights; w++)
            for (int a = 0; a < p->activations; a++)
                if (p->field_of[w][a] == f) list[n++] = (product){q, w, a};
    int kept = n <= 2                        ? n
               : n <= 5                      ? n - 3
               : (n - 1) % 3 == 0 && n <= 10 ? 1
                                             : 0; /* products of the last LUT */
    int groups = (n - kept + 2) / 3, signals = 0;
    for (int g = 0; g < groups; g++, signals++) {
        int from = 3 * g, count = n - kept - from < 3 ? n - kept - from : 3;
        int when = x->q_skew[list[from + count - 1].q], wait = ready - when - 1;
        mq_rtl_say(t, "  reg x_%d_%d_%d_%d_%d;\n  always @(posedge clk) x_%d_%d_%d_%d_%d <= ", i, b, c, f, g,
                   i, b, c, f, g);
        ands(x, t, i, b, &list[from], count, when);
        char from_name[NAME], to[NAME];
        snprintf(from_name, sizeof from_name, "x_%d_%d_%d_%d_%d", i, b, c, f, g);
        snprintf(to, sizeof to, "y_%d_%d_%d_%d_%d", i, b, c, f, g);
        mq_rtl_say(t, ";\n");
        delayed(t, from_name, to, 1, wait);
    }
    int constant = 1 ^ (int)(-p->field[f].low * length & 1);
    mq_rtl_say(t, "  wire n_%d_%d_%d_%d = %sp_%d_%d_%d[%d]", i, b, c, f, constant ? "~" : "", i, b,
               first + length - 1, p->field[f].position);
    for (int g = 0; g < groups; g++) mq_rtl_say(t, " ^ y_%d_%d_%d_%d_%d", i, b, c, f, g);
    if (kept) {
        mq_rtl_say(t, " ^ ");
        ands(x, t, i, b, &list[n - kept], kept, ready);
    }
    mq_rtl_say(t, ";\n");
    mq_free(list);
}

static mq_status split(const rtl_shape *x, mq_rtl_text *t, int i, int b, int c, mq_error *error) {
    const mq_packing *p = x->kind[x->piece[i].kind].p;
    int last = first_of(x, c) + length_of(x, c) - 1;
    fields f;
    fields_of(p, length_of(x, c), &f);
    mq_status status = MQ_OK;
    for (int n = 0; n < p->fields && status == MQ_OK; n++)
        if (f.carry[n]) repair(x, t, i, b, c, n, error, &status);
    for (int n = 0; n < p->fields && status == MQ_OK; n++) {
        int low = p->field[n].position, bits = f.width[n];
        mq_rtl_say(t, "  wire [%d:0] f_%d_%d_%d_%d = ", bits + f.carry[n + 1] - 1, i, b, c, n);
        if (f.carry[n + 1])
            mq_rtl_say(t, "{n_%d_%d_%d_%d, p_%d_%d_%d[%d:%d]};\n", i, b, c, n + 1, i, b, last, low + bits - 1,
                       low);
        else
            mq_rtl_say(t, "p_%d_%d_%d[%d:%d];\n", i, b, last, low + bits - 1, low);
    }
    return status;
}

static void inputs(const rtl_shape *x, mq_rtl_text *t) {
    int at = 0;
    for (int k = 0; k < x->kinds; k++)
        for (int q = 0; q < x->slices; q++)
            for (int b = 0; b < x->layer->blocks; b++) {
                int bits = rtl_unit_bits(x, k), n = x->kind[k].p->activations,
                    port = x->kind[k].p->weights_wide ? 18 : 27;
                mq_rtl_say(t, "  wire [%d:0] u_%d_%d_%d = u[%d:%d];\n", bits - 1, k, q, b, at + bits - 1, at);
                at += bits;
                if (!x->kind[k].parity) continue;
                mq_rtl_say(t, "  wire [%d:0] al_%d_%d_%d_0 = u_%d_%d_%d[%d:%d];\n", n - 1, k, q, b, k, q, b,
                           port + n - 1, port);
                for (int d = 1; d <= x->longest - 1 + LATENCY - x->q_skew[q]; d++) {
                    char from[NAME], to[NAME];
                    snprintf(from, sizeof from, "al_%d_%d_%d_%d", k, q, b, d - 1);
                    snprintf(to, sizeof to, "al_%d_%d_%d_%d", k, q, b, d);
                    delayed(t, from, to, n, 1);
                }
            }
    at = 0;
    for (int i = 0; i < x->pieces; i++)
        for (int q = 0; q < x->slices; q++) {
            const rtl_kind *k = &x->kind[x->piece[i].kind];
            weights(x, t, i, q, at);
            at += k->weight_bits;
            char from[NAME], to[NAME];
            for (int d = 1; k->parity && d <= x->longest - 1 + LATENCY - x->q_skew[q]; d++) {
                snprintf(from, sizeof from, "wl_%d_%d_%d", i, q, d - 1);
                snprintf(to, sizeof to, "wl_%d_%d_%d", i, q, d);
                delayed(t, from, to, k->p->weights, 1);
            }
            if (!k->offset || k->weights_c) continue;
            int port = k->p->weights_wide ? 27 : 18;
            mq_rtl_say(t, "  wire [47:0] wc_%d_%d_0 = %s({{%d{w_%d_%d[%d]}}, w_%d_%d[%d:0]} << %d);\n", i, q,
                       k->p->fix_sign > 0 ? "~" : "", 48 - port, i, q, port - 1, i, q, port - 1,
                       k->p->fix_shift);
            snprintf(from, sizeof from, "wc_%d_%d_0", i, q);
            snprintf(to, sizeof to, "wc_%d_%d_2", i, q);
            delayed(t, from, to, 48, 2);
        }
}

mq_status rtl_array(rtl_shape *x, mq_rtl_text *t, mq_error *error) {
    if (!t) {
        x->tree_levels = 0;
        for (int wg = 0; wg < x->s.weight_groups; wg++)
            for (int v = 0; v < x->coefficients; v++) {
                int levels = levels_of(count_of(x, wg, v));
                if (levels > x->tree_levels) x->tree_levels = levels;
            }
        x->array = LATENCY + x->longest - 1 + x->tree_levels;
        return MQ_OK;
    }
    int64_t u = 0, w = 0;
    for (int k = 0; k < x->kinds; k++) u += (int64_t)rtl_unit_bits(x, k) * x->slices * x->layer->blocks;
    for (int i = 0; i < x->pieces; i++) w += (int64_t)x->kind[x->piece[i].kind].weight_bits * x->slices;
    mq_rtl_say(t,
               "\n/* verilator lint_off UNUSED */\n/* verilator lint_off DECLFILENAME */\nmodule %s_pe (\n   "
               " input clk,\n    input first,\n    input [%lld:0] "
               "u,\n    input [%lld:0] w,\n    output [%d:0] acc\n);\n",
               x->module, (long long)u - 1, (long long)w - 1,
               x->s.weight_groups * x->coefficients * x->acc - 1);
    inputs(x, t);
    mq_status status = MQ_OK;
    for (int i = 0; i < x->pieces; i++)
        for (int b = 0; b < x->layer->blocks; b++) {
            mq_rtl_say(t, "\n  // taps from %d, pixels from %d\n", x->piece[i].first_tap,
                       b * x->kind[x->piece[i].kind].p->activations);
            for (int q = 0; q < x->slices; q++) slice(x, t, i, b, q);
            for (int c = 0; c < x->chains && status == MQ_OK; c++) status = split(x, t, i, b, c, error);
        }
    if (status == MQ_OK) status = trees(x, t, error);
    mq_rtl_say(t, "endmodule\n/* verilator lint_on DECLFILENAME */\n/* verilator lint_on UNUSED */\n");
    return status;
}
