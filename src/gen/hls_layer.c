/* hls_layer.c - the C++ of one layer. */
#include "gen/hls_layer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"
#include "gen/packed_slice.h"

/* One kind of pieces of a layer: a packing of the plan, or plain multiplications in LUTs. */
typedef struct kind {
    const mq_packing *p; /* NULL: LUTs */
    int index, count, taps, first_tap, chain;
    int weights, activations, fields, weight_groups;
    int port, known; /* bits of a weight word's port part; low bits kept of every weight */
    bool flag;       /* the word's sign beside it */
    int channels;    /* of the word that one sum sees */
} kind;

static const char *name_of(const mq_hls_net *h, const mq_hls_stage *s) {
    return h->net->nodes[s->node].name;
}

static int kinds_of(const mq_hls_stage *s) {
    return s->layer->kinds ? s->layer->kinds : 1;
}

static int word_channels(const mq_hls_stage *s) { /* of the ring's words */
    return s->shape.depthwise ? s->layer->pe : s->layer->simd;
}

static const mq_stream *stream_before(const mq_hls_net *h, const mq_hls_stage *s) {
    return &h->stage[s->input[0]].out;
}

static int weight_bits(const mq_inet_node *n) {
    return n->kind == MQ_INET_LINEAR ? n->linear.weight_bits : n->conv.weight_bits;
}

static kind make_kind(const mq_hls_net *h, const mq_hls_stage *s, int i) {
    kind k = {.index = i, .channels = s->shape.depthwise ? 1 : s->layer->simd};
    int length = k.channels * s->layer->rows;
    if (!s->layer->kinds) {
        k.count = s->shape.kernel_w, k.taps = k.weights = k.activations = k.fields = k.weight_groups = 1;
        k.chain = length;
        k.port = weight_bits(&h->net->nodes[s->node]);
        return k;
    }
    const mq_plan_piece *piece = &s->layer->piece[i];
    const mq_packing *p = k.p = &piece->packing;
    k.count = piece->count, k.taps = piece->taps;
    k.first_tap = i ? s->layer->piece[0].count * s->layer->piece[0].taps : 0;
    k.chain = s->layer->chain < length ? s->layer->chain : length;
    k.weights = p->weights, k.activations = p->activations, k.fields = p->fields;
    k.weight_groups = s->shape.weight_groups;
    k.port = p->weights_wide ? p->dsp.wide : p->dsp.narrow;
    k.flag = p->fix == MQ_PORT_EXTRA && p->fix_weights;
    for (int f = 0; f < p->fields; f++)
        if (p->field[f].overlap > k.known) k.known = p->field[f].overlap;
    return k;
}

static int slices_of(const mq_hls_stage *s, const kind *k) {
    return s->layer->pe / k->weight_groups * k->count * k->channels * s->layer->rows;
}

static int word_bits(const kind *k) {
    return k->port + k->flag + k->known * k->weights;
}

/* ---- limits ---- */

mq_status mq_hls_layer_check(const mq_hls_net *h, const mq_hls_stage *s, mq_error *error) {
    const mq_stage *g = &s->shape;
    const mq_stream *in = stream_before(h, s);
    int pe = s->layer->pe, word = word_channels(s), fields = g->npx + g->kernel_w - 1, memory = 0;
    int64_t slices = 0, cascades = 0;
    for (int i = 0; i < kinds_of(s); i++) {
        kind k = make_kind(h, s, i);
        slices += slices_of(s, &k);
        if (word_bits(&k) > memory) memory = word_bits(&k);
        int64_t operands = (int64_t)s->layer->rows * word * (g->npx / k.activations) * k.activations;
        if (operands > cascades) cascades = operands;
    }
    const mq_stream *o = &s->out;
    const struct {
        const char *what;
        int64_t got;
        int most;
        const char *unit;
    } limits[] = {
        {"memories of weights", slices, MQ_HLS_PARTITION, "elements of a partitioned array"},
        {"codes of a cycle", (int64_t)s->layer->rows * word * g->npx, MQ_HLS_PARTITION,
         "elements of a partitioned array"},
        {"operands of a cycle", cascades, MQ_HLS_PARTITION, "elements of a partitioned array"},
        {"accumulators", (int64_t)pe * fields, MQ_HLS_PARTITION, "elements of a partitioned array"},
        {"memories of the row ring",
         g->linear ? 1
                   : (int64_t)(g->kernel_h + 1) * (word > in->channels ? word / in->channels : 1) *
                         (g->npx / in->pixels),
         MQ_HLS_PARTITION, "elements of a partitioned array"},
        {"operand words", (int64_t)word * g->npx * in->bits, MQ_HLS_WORD, "bits of a word"},
        {"sums of a block", (int64_t)(g->npx + g->lead) * s->acc_bits, MQ_HLS_WORD, "bits of a word"},
        {"beats out", (int64_t)o->channels * o->pixels * o->bits, MQ_HLS_WORD, "bits of a word"},
        {"a weight's word", memory, 64, "bits"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].got > limits[i].most)
            return mq_fail(
                error, MQ_BAD_INPUT,
                "%s: %s: %lld, Vitis HLS takes at most %d %s: a lower --target-fps or --multipliers dsp "
                "needs fewer",
                name_of(h, s), limits[i].what, (long long)limits[i].got, limits[i].most, limits[i].unit);
    return MQ_OK;
}

/* ---- weights ---- */

static uint64_t low_bits(int64_t value, int bits) {
    return bits >= 64 ? (uint64_t)value : (uint64_t)value & (((uint64_t)1 << bits) - 1);
}

/* The word of slice (output group o, piece q, channel c of the word, row r) at group g, step t. */
static uint64_t word_at(const mq_hls_net *h, const mq_hls_stage *s, const kind *k, int o, int q, int c, int r,
                        int g, int t) {
    int turns = s->shape.kernel_h / s->layer->rows;
    int ky = t % turns * s->layer->rows + r, channel = t / turns * s->layer->simd + c;
    int first = g * s->layer->pe + o * k->weight_groups, tap = k->first_tap + q * k->taps;
    if (!k->p) return low_bits(mq_hls_weight(h, s, first, channel, ky, tap), k->port);
    int32_t w[MQ_PACK_OPERANDS] = {0};
    for (int i = 0; i < k->weights; i++) {
        const mq_pack_operand *m = &k->p->weight[i];
        w[i] = mq_hls_weight(h, s, first + m->group, channel, ky, tap + k->taps - 1 - m->step);
    }
    mq_slice_word port = mq_slice_weights(k->p, w);
    uint64_t word = low_bits(port.u, k->port);
    int at = k->port;
    if (k->flag) word |= (uint64_t)port.ux << at++;
    for (int i = 0; k->known && i < k->weights; i++, at += k->known) word |= low_bits(w[i], k->known) << at;
    return word;
}

static void weights_table(const mq_hls_net *h, const mq_hls_stage *s, const kind *k, mq_hls_text *t) {
    int outputs = s->layer->pe / k->weight_groups, depth = s->shape.groups * s->shape.steps;
    mq_hls_say(t,
               "// [output group, piece, channel, kernel row][group of output channels, step]: %d bits of "
               "the port%s%s\n"
               "static const mixq::rom_word<%d> %s_weights%d[%d][%d] = {\n",
               k->port, k->flag ? ", its sign" : "", k->known ? ", low bits of each weight" : "",
               word_bits(k), s->id, k->index, slices_of(s, k), depth);
    for (int o = 0; o < outputs; o++)
        for (int q = 0; q < k->count; q++)
            for (int c = 0; c < k->channels; c++)
                for (int r = 0; r < s->layer->rows; r++) {
                    mq_hls_say(t, "{");
                    for (int g = 0, n = 0; g < s->shape.groups; g++)
                        for (int step = 0; step < s->shape.steps; step++, n++)
                            mq_hls_say(t, "%s0x%" PRIx64,
                                       n == 0   ? ""
                                       : n % 16 ? ","
                                                : ",\n",
                                       word_at(h, s, k, o, q, c, r, g, step));
                    mq_hls_say(t, "},\n");
                }
    mq_hls_say(t, "};\n");
}

/* Border constants [v][pe][group], at least one row of zeros. */
static mq_status borders(const mq_hls_stage *s, const char *side, const int64_t *values, int rows,
                         mq_hls_text *t, mq_error *error) {
    int pe = s->layer->pe, groups = s->shape.groups, all = pe * groups, count = rows > 0 ? rows : 1;
    int64_t *table;
    char type[64];
    MQ_TRY(mq_alloc((size_t)count * (size_t)all, sizeof *table, "borders", &table, error));
    for (int v = 0; v < rows; v++)
        for (int c = 0; c < all; c++) table[v * all + c % pe * groups + c / pe] = values[v * all + c];
    snprintf(type, sizeof type, "mixq::rom_int<%d>", s->acc_bits);
    mq_hls_say(t, "static const %s %s_%s[%d][%d][%d] = {\n", type, s->id, side, count, pe, groups);
    for (int v = 0; v < count; v++) {
        mq_hls_say(t, "{");
        for (int p = 0; p < pe; p++) {
            mq_hls_say(t, "{");
            for (int g = 0; g < groups; g++)
                mq_hls_say(t, "%lld%s", (long long)mq_wrap(table[v * all + p * groups + g], s->acc_bits),
                           g + 1 < groups ? "," : "");
            mq_hls_say(t, "}%s", p + 1 < pe ? ",\n" : "");
        }
        mq_hls_say(t, "}%s\n", v + 1 < count ? "," : "");
    }
    mq_hls_say(t, "};\n");
    mq_free(table);
    return MQ_OK;
}

/* ---- the page ---- */

/* " 0, 11, 22" */
static void positions(const mq_pack_operand *operand, int count, char *out, size_t size) {
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s %d", i ? "," : "", operand[i].position);
}

static const char *plural(int64_t n) {
    return n == 1 ? "" : "s";
}

/* What the comment says: which products share a slice, and the count of values that proves it exact. */
static void explain(const mq_hls_net *h, const mq_hls_stage *s, const kind *k, mq_hls_text *t) {
    static const char *const classes[] = {[MQ_CLASS_I] = "i", [MQ_CLASS_II] = "ii", [MQ_CLASS_III] = "iii"};
    const mq_packing *p = k->p;
    const mq_inet_node *n = &h->net->nodes[s->node];
    char weights[128], codes[128];
    if (!p) {
        mq_hls_comment(
            t, 1,
            "No packing: one product of a %d-bit weight and a %d-bit code at a time, in LUTs. Sums of all "
            "%d taps are exact modulo 2^%d.",
            weight_bits(n), stream_before(h, s)->bits, k->count, s->acc_bits);
        return;
    }
    positions(p->weight, p->weights, weights, sizeof weights);
    positions(p->activation, p->activations, codes, sizeof codes);
    mq_hls_comment(
        t, 1,
        "Packing %d, for %d piece%s of %d tap%s of a kernel row: a %s slice (%d x %d bits) multiplies %d "
        "weight%s, %d..%d, by %d code%s, 0..%d: %d products, class %s.",
        k->index, k->count, plural(k->count), k->taps, plural(k->taps), p->dsp.name, p->dsp.wide,
        p->dsp.narrow, p->weights, plural(p->weights), p->weight_codes.low, p->weight_codes.high,
        p->activations, plural(p->activations), p->activation_codes.high, p->weights * p->activations,
        classes[p->class]);
    mq_hls_comment(t, 3,
                   "Ports: the weights at bits%s of the %s one; the codes less %d at bits%s of the other.",
                   weights, p->weights_wide ? "wide" : "narrow", mq_hls_zero(s), codes);
    if (p->fix == MQ_PORT_OFFSET)
        mq_hls_comment(t, 3, "The %s' word is moved by %s2^%d to fit its port; port C takes that back.",
                       p->fix_weights ? "weights" : "codes", p->fix_sign > 0 ? "" : "-", p->fix_shift);
    if (p->fix == MQ_PORT_EXTRA)
        mq_hls_comment(
            t, 1,
            "The %s' word has one bit more than its port: it is moved by 2^%d by its sign; port C takes "
            "that back.",
            p->fix_weights ? "weights" : "codes", p->fix_shift);
    mq_hls_comment(t, 3,
                   "Exact: P is cut into fields after a cascade of %d slice%s. By then each field's sum, "
                   "counted from its "
                   "least value, fits its bits, so that none reaches into the next:",
                   k->chain, plural(k->chain));
    int64_t carry = 0;
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        int64_t reach = k->chain * (field->high - field->low) + carry;
        mq_hls_comment(
            t, 11, "  bit %2d: sums of %d product%s, %lld..%lld: at most %lld < 2^%d%s", field->position,
            field->products, plural(field->products), (long long)(k->chain * field->low),
            (long long)(k->chain * field->high), (long long)reach, field->spacing + field->overlap,
            field->overlap ? "; beyond its bits only by what the next field's low bits, known from the "
                             "operands, tell"
                           : "");
        carry = reach >> field->spacing;
    }
}

#define TABLE(t, name, count, value)                                                                         \
    do {                                                                                                     \
        mq_hls_say(t, "    MIXQ_TABLE(%s", name);                                                            \
        for (int i = 0; i < (count); i++) mq_hls_say(t, ", %lld", (long long)(value));                       \
        mq_hls_say(t, ")\n");                                                                                \
    } while (0)

static void packing(const mq_hls_net *h, const mq_hls_stage *s, const kind *k, mq_hls_text *t) {
    const mq_packing *p = k->p;
    static const mq_packing plain = {.fields = 1};
    int fix = !p || p->fix == MQ_PORT_FITS ? 0 : (p->fix == MQ_PORT_OFFSET ? 1 : 3) + !p->fix_weights;
    static const char *const fixes[] = {"FITS", "OFFSET_WEIGHTS", "OFFSET_ACTIVATIONS", "EXTRA_WEIGHTS",
                                        "EXTRA_ACTIVATIONS"};
    explain(h, s, k, t);
    mq_hls_say(t,
               "struct packing%d {\n"
               "    static constexpr int COUNT = %d, TAPS = %d, CHAIN = %d, WEIGHTS = %d, ACTIVATIONS = %d, "
               "FIELDS = %d;\n"
               "    static constexpr int WEIGHT_GROUPS = %d, WEIGHT_PORT = %d, ACTIVATION_PORT = %d, P_BITS "
               "= %d, KNOWN = %d;\n"
               "    static constexpr int FIX = mixq::%s, FIX_SHIFT = %d, FIX_SIGN = %d;\n"
               "    static constexpr bool PLAIN = %s;\n"
               "    static constexpr long long ZERO_WORD = %lldLL, BIAS = %lldLL;\n",
               k->index, k->count, k->taps, k->chain, k->weights, k->activations, k->fields, k->weight_groups,
               k->port, p ? (p->weights_wide ? p->dsp.narrow : p->dsp.wide) : stream_before(h, s)->bits + 1,
               p ? p->dsp.accumulator : s->acc_bits + 1, k->known, fixes[fix], p ? p->fix_shift : 0,
               p ? p->fix_sign : 0, p ? "false" : "true", (long long)(p ? p->zero_word : 0),
               (long long)(p ? p->bias : 0));
    const mq_packing *q = p ? p : &plain;
    TABLE(t, "activation_position", k->activations, q->activation[i].position);
    TABLE(t, "zero", k->activations, q->activation[i].zero);
    TABLE(t, "field", k->weights * k->activations, q->field_of[i / k->activations][i % k->activations]);
    TABLE(t, "position", k->fields, q->field[i].position);
    TABLE(t, "spacing", k->fields, p ? q->field[i].spacing : s->acc_bits + 1);
    TABLE(t, "overlap", k->fields, q->field[i].overlap);
    TABLE(t, "low", k->fields, q->field[i].low);
    int pixels = 1;
    for (int j = 0; j < k->activations; j++)
        if (q->activation[j].step >= pixels) pixels = q->activation[j].step + 1;
    TABLE(t, "column", k->fields,
          q->field[i].activation_group * pixels + q->field[i].step + s->shape.kernel_w - k->taps -
              k->first_tap);
    TABLE(t, "channel", k->fields, q->field[i].weight_group);
    mq_hls_say(t, "};\n\n");
}

/* Start of the accumulators: minus all constants that the fields bring in a block's steps. */
static void first_values(const mq_hls_net *h, const mq_hls_stage *s, int64_t *first) {
    const mq_stage *g = &s->shape;
    for (int i = 0; i < kinds_of(s); i++) {
        kind k = make_kind(h, s, i);
        if (!k.p) continue;
        int pixels = 1;
        for (int j = 0; j < k.activations; j++)
            if (k.p->activation[j].step >= pixels) pixels = k.p->activation[j].step + 1;
        for (int q = 0; q < k.count; q++)
            for (int b = 0; b < g->npx / k.activations; b++)
                for (int f = 0; f < k.fields; f++) {
                    const mq_pack_field *field = &k.p->field[f];
                    int v = b * k.activations + field->activation_group * pixels + field->step + g->kernel_w -
                            k.taps - k.first_tap - q * k.taps;
                    if (field->weight_group == 0 && v >= 0 && v < g->npx + g->kernel_w - 1)
                        first[v] += field->low * k.channels * s->layer->rows * g->steps;
                }
    }
}

static mq_status shape(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_text *t, mq_error *error) {
    const mq_stage *g = &s->shape;
    const mq_stream *in = stream_before(h, s);
    int fields = g->npx + g->kernel_w - 1;
    int64_t *first;
    MQ_TRY(mq_alloc((size_t)fields, sizeof *first, "a layer", &first, error));
    first_values(h, s, first);
    mq_hls_say(
        t,
        "struct shape {\n"
        "    static constexpr int CH = %d, PX = %d, BITS = %d, CHANNELS = %d, IN_H = %d, IN_W = %d; // in\n"
        "    static constexpr bool SIGNED = %s, DEPTHWISE = %s;\n"
        "    static constexpr int KH = %d, KW = %d, PAD_TOP = %d, PAD_LEFT = %d, OUT_H = %d, OUT_W = %d;\n"
        "    static constexpr int SIMD = %d, ROWS = %d, NPX = %d, PE = %d, GROUPS = %d, OUT_PIXELS = %d, ACC "
        "= %d;\n",
        in->channels, in->pixels, in->bits, g->in_c, g->in_h, g->in_w, in->is_signed ? "true" : "false",
        g->depthwise ? "true" : "false", g->kernel_h, g->kernel_w, g->pad_top, g->pad_left, g->out_h,
        g->out_w, word_channels(s), s->layer->rows, g->npx, s->layer->pe, g->groups, s->layer->out_pixels,
        s->acc_bits);
    if (g->linear)
        mq_hls_say(t, "    static constexpr int FRAME_BEATS = %lld, BEAT_BITS = %d;\n",
                   (long long)mq_stream_beats(in), in->channels * in->pixels * in->bits);
    TABLE(t, "first", fields, mq_wrap(first[i], s->acc_bits));
    mq_hls_say(t, "};\n\n");
    mq_free(first);
    return MQ_OK;
}

void mq_hls_signature(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_text *t) {
    const mq_stream *in = stream_before(h, s);
    mq_hls_say(t, "void %s(hls::stream<ap_uint<%d>> &in, hls::stream<ap_uint<%d>> &out", s->id,
               in->channels * in->pixels * in->bits, s->out.channels * s->out.pixels * s->out.bits);
    for (int i = 0; i < h->count; i++) {
        const mq_stream *o = &h->stage[i].out;
        if (h->stage[i].beside == s - h->stage)
            mq_hls_say(t, ", hls::stream<ap_uint<%d>> &out_%s", o->channels * o->pixels * o->bits,
                       h->stage[i].id);
    }
    mq_hls_say(t, ")");
}

/* The layer's own, and those beside it. */
static void requantisers(const mq_hls_net *h, const mq_hls_stage *s, const mq_hls_requant *r,
                         mq_hls_text *t) {
    mq_hls_requant other;
    mq_hls_requant_page(s, r, t);
    for (int i = 0; i < h->count && t->status == MQ_OK; i++) {
        if (h->stage[i].beside != s - h->stage) continue;
        t->status = mq_hls_requant_make(h, &h->stage[i], &other, t->error);
        if (t->status == MQ_OK) mq_hls_requant_page(&h->stage[i], &other, t);
    }
}

static void finishes(const mq_hls_net *h, const mq_hls_stage *s, const mq_hls_requant *r, mq_hls_text *t) {
    static const char *const quants[] = {"head", "threshold", "affine"};
    char from[MQ_HLS_ID + 16] = "sums";
    for (int i = 0; i < h->count && t->status == MQ_OK; i++) {
        const char *id = h->stage[i].id;
        mq_hls_requant other;
        if (h->stage[i].beside != s - h->stage) continue;
        t->status = mq_hls_requant_make(h, &h->stage[i], &other, t->error);
        if (t->status != MQ_OK) return;
        mq_hls_say(
            t,
            "    hls::stream<mixq::block_sums<shape>> sums_%s[shape::PE], rest_%s[shape::PE];\n"
            "#pragma HLS STREAM variable=sums_%s depth=2\n#pragma HLS STREAM variable=rest_%s depth=2\n"
            "    mixq::both<shape>(%s, sums_%s, rest_%s);\n"
            "    mixq::finish<shape, mixq::%s<shape, requant_%s>>(sums_%s, out_%s);\n",
            id, id, id, id, from, id, id, quants[other.kind], id, id, id);
        snprintf(from, sizeof from, "rest_%s", id);
    }
    mq_hls_say(t, "    mixq::finish<shape, mixq::%s<shape, requant>>(%s, out);\n}\n", quants[r->kind], from);
}

static mq_status page(const mq_hls_net *h, const mq_hls_stage *s, const mq_hls_requant *r, const char *dir,
                      mq_error *error) {
    const mq_stage *g = &s->shape;
    char file[MQ_HLS_ID + 16];
    snprintf(file, sizeof file, "%s.cpp", s->id);
    mq_hls_text t = mq_hls_open(dir, file, error);
    mq_hls_say(&t,
               "// %s: %s %d x %d, %d -> %d channels of %d x %d pixels; %lld cycles a frame.\n"
               "// Every cycle %d input channel%s, %d kernel row%s, %d output channel%s, %d pixel%s: SIMD, "
               "ROWS, PE, "
               "NPX; %d tap%s of a row.\n"
               "#include \"layers.h\"\n#include \"mixq_finish.h\"\n#include \"mixq_multiply.h\"\n#include "
               "\"mixq_window.h\"\n\n"
               "namespace {\n\n",
               name_of(h, s),
               g->linear      ? "linear"
               : g->depthwise ? "depthwise convolution"
                              : "convolution",
               g->kernel_h, g->kernel_w, h->net->nodes[h->net->nodes[s->node].input[0]].edge.c, g->out_c,
               g->out_h, g->out_w, (long long)(g->cycles + g->flush), g->depthwise ? 1 : word_channels(s),
               plural(g->depthwise ? 1 : word_channels(s)), s->layer->rows, plural(s->layer->rows),
               s->layer->pe, plural(s->layer->pe), g->npx, plural(g->npx), g->kernel_w, plural(g->kernel_w));
    if (t.status == MQ_OK) {
        mq_status status = shape(h, s, &t, error);
        if (status != MQ_OK) t.status = status;
    }
    for (int i = 0; i < kinds_of(s); i++) {
        kind k = make_kind(h, s, i);
        packing(h, s, &k, &t);
    }
    mq_hls_say(&t, "#include \"%s_data.h\"\n\n", s->id);
    requantisers(h, s, r, &t);
    mq_hls_say(&t, "} // namespace\n\n");
    mq_hls_signature(h, s, &t);
    mq_hls_say(&t,
               " {\n#pragma HLS DATAFLOW\n"
               "    hls::stream<mixq::step_word<shape>> steps[shape::ROWS];\n"
               "    hls::stream<mixq::block_sums<shape>> sums[shape::PE];\n"
               "#pragma HLS STREAM variable=steps depth=2\n#pragma HLS STREAM variable=sums depth=2\n"
               "    mixq::%s<shape>(in, steps);\n",
               g->linear ? "linear_window" : "window");
    if (kinds_of(s) == 2)
        mq_hls_say(&t,
                   "    mixq::multiply<shape, packing0, packing1>(steps, %s_weights0, %s_weights1, %s_left, "
                   "%s_right, sums);\n",
                   s->id, s->id, s->id, s->id);
    else
        mq_hls_say(&t, "    mixq::multiply<shape, packing0>(steps, %s_weights0, %s_left, %s_right, sums);\n",
                   s->id, s->id, s->id);
    finishes(h, s, r, &t);
    return mq_hls_close(&t);
}

mq_status mq_hls_layer_write(const mq_hls_net *h, const mq_hls_stage *s, const char *dir, mq_error *error) {
    mq_hls_requant r;
    char file[MQ_HLS_ID + 16];
    MQ_TRY(mq_hls_requant_make(h, s, &r, error));
    MQ_TRY(page(h, s, &r, dir, error));
    snprintf(file, sizeof file, "%s_data.h", s->id);
    mq_hls_text t = mq_hls_open(dir, file, error);
    mq_hls_say(&t, "// Constants of %s: included by its page only.\n", name_of(h, s));
    for (int i = 0; i < kinds_of(s); i++) {
        kind k = make_kind(h, s, i);
        weights_table(h, s, &k, &t);
    }
    if (t.status == MQ_OK) t.status = borders(s, "left", s->left, s->shape.kernel_w - 1, &t, error);
    if (t.status == MQ_OK) t.status = borders(s, "right", s->right, s->shape.lead, &t, error);
    if (t.status == MQ_OK) t.status = mq_hls_requant_tables(h, s, &r, &t, error);
    for (int i = 0; i < h->count && t.status == MQ_OK; i++) {
        if (h->stage[i].beside != s - h->stage) continue;
        t.status = mq_hls_requant_make(h, &h->stage[i], &r, error);
        if (t.status == MQ_OK) t.status = mq_hls_requant_tables(h, &h->stage[i], &r, &t, error);
    }
    return mq_hls_close(&t);
}
