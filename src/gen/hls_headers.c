/* hls_headers.c - see hls_headers.h. The layout of the arrays is that of the published templates:
 *
 * - Kernel > 1: [PE][K][(och/PE)*(K*ich/SIMD)]; word (p, kc, o*n + j) holds, of channel o*PE + p and kernel
 *   column kc, the weights j*SIMD + lane of that column's K x ich (row major).
 *
 * - Kernel 1: [PE][och/(PE*PEP)*(ich/SIMD)]; word (p, o*n + j), lane l*PEP + e: channel (o*PE + p)*PEP + e,
 *   input j*SIMD + l.
 *
 * - Linear: [1][rows][channels/8][columns][out/2][8], words of 2; lane l is output 2i + l.
 *
 * - inc, bias, rule: [A][och/A]; element (p, f) is channel f*A + p; A = PE or, in four-column files, ACTP.
 *
 * Fields are two's complement, the lowest lane in the lowest bits. */
#include "gen/hls_headers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/hls_layers.h"

enum { MAX_WORD_BITS = 32768, MAX_RANK = 6 };

/* ---- a growing text; the first failure is kept and reported at the end ---- */

typedef struct text {
    char *bytes;
    size_t size, room;
    mq_status status;
    mq_error *error;
} text;

static void append(text *t, const char *bytes, size_t n) {
    if (t->status != MQ_OK) return;
    if (t->size + n > t->room) {
        size_t room = 2 * (t->size + n) + 4096;
        t->status = mq_resize(t->room, room, 1, "headers", &t->bytes, t->error);
        if (t->status != MQ_OK) return;
        t->room = room;
    }
    memcpy(t->bytes + t->size, bytes, n);
    t->size += n;
}

MQ_PRINTF(2, 3) static void print(text *t, const char *format, ...) {
    char line[512];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    append(t, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* The block whose text is ours; readers skip it. */
static void print_banner(text *t, const mq_inet *net, const char *file) {
    char stars[81];
    memset(stars, '*', 80);
    stars[80] = 0;
    print(t, "/%s\n* Filename: %s\n* Description: integer network %s, written by mixq %s\n", stars, file,
          net->model, MIXQ_VERSION);
    print(t, "*   weight bits %.120s, activation bits %.120s\n%s/\n\n", net->bitw, net->bita, stars);
}

/* ---- config.h ---- */

/* The bias as the templates want it: without the rounding half. */
static int64_t published_bias(const mq_hls_layer *layer, int c) {
    if (!layer->requant) return layer->bias[c];
    const mq_inet_requant *r = &layer->requant->requant;
    int64_t scale = (int64_t)1 << layer->doubled;
    if (r->rule && r->rule[c] != MQ_INET_AFFINE) return 0; /* thresholds instead */
    return r->bias[c] * scale - ((int64_t)1 << (r->shift + layer->doubled - 1));
}

static int64_t published_inc(const mq_hls_layer *layer, int c) {
    return layer->requant->requant.inc[c] * ((int64_t)1 << layer->doubled);
}

static int64_t published_rule(const mq_hls_layer *layer, int c) {
    return layer->requant->requant.rule[c];
}

static int levels(const mq_hls_layer *layer) {
    return layer->requant->requant.high - layer->requant->requant.low;
}

/* Threshold i of channel c; one that is never reached is just outside the accumulator's range. */
static int64_t threshold(const mq_hls_layer *layer, int c, int i) {
    int64_t v = layer->requant->requant.threshold[(size_t)c * (size_t)levels(layer) + (size_t)i];
    if (v == INT64_MAX) return layer->accumulators->channel_high[c] + 1;
    return v == INT64_MIN ? layer->accumulators->channel_low[c] : v;
}

static uint64_t magnitude(int64_t v) {
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static int width_of(uint64_t all) {
    int bits = 1;
    for (; all; all >>= 1) bits++;
    return bits;
}

/* 1 + bit length of the largest magnitude over the layer's channels. */
static int width(const mq_hls_layer *layer, int64_t (*value)(const mq_hls_layer *, int)) {
    uint64_t all = 0;
    for (int c = 0; c < layer->node->edge.c; c++) all |= magnitude(value(layer, c));
    return width_of(all);
}

static int threshold_width(const mq_hls_layer *layer) {
    uint64_t all = 0;
    for (int c = 0; c < layer->node->edge.c; c++)
        for (int i = 0; i < levels(layer); i++) all |= magnitude(threshold(layer, c, i));
    return width_of(all);
}

static bool has_thresholds(const mq_hls_layer *layer) {
    return layer->requant && layer->requant->requant.rule;
}

static void define(text *t, const char *kind, int n, const char *name, int value) {
    print(t, "#define %s_%d_%s %d\n", kind, n, name, value);
}

static void print_config_conv(text *t, int n, const mq_hls_layer *layer, const mq_parallelism_row *row) {
    const mq_inet_edge *out = &layer->node->edge;
    print(t, "// conv_%d\n", n);
    define(t, "CONV", n, "K", layer->node->conv.kernel_h);
    define(t, "CONV", n, "IFM_CH", layer->in->c);
    define(t, "CONV", n, "IFM_ROW", layer->in->h);
    define(t, "CONV", n, "IFM_COL", layer->in->w);
    define(t, "CONV", n, "OFM_CH", out->c);
    define(t, "CONV", n, "OFM_ROW", out->h);
    define(t, "CONV", n, "OFM_COL", out->w);
    define(t, "CONV", n, "IN_BIT", layer->in->bits);
    define(t, "CONV", n, "W_BIT", layer->weight_bits);
    if (layer->requant) define(t, "CONV", n, "INC_BIT", width(layer, published_inc));
    if (layer->requant || layer->bias) define(t, "CONV", n, "BIAS_BIT", width(layer, published_bias));
    define(t, "CONV", n, "SIMD", row->simd);
    define(t, "CONV", n, "PE", row->pe);
    if (layer->requant) define(t, "CONV", n, "L_SHIFT", layer->l_shift);
    if (!has_thresholds(layer)) return;
    define(t, "CONV", n, "THRESHOLDS", levels(layer));
    define(t, "CONV", n, "THRESHOLD_BIT", threshold_width(layer));
}

static void print_config_linear(text *t, int n, const mq_hls_layer *layer) {
    const mq_inet_edge *in = layer->in;
    print(t, "// linear_%d\n", n);
    define(t, "LINEAR", n, "IFM_CH", in->c * in->h * in->w);
    define(t, "LINEAR", n, "IFM_ROW", in->h);
    define(t, "LINEAR", n, "IFM_COL", in->w);
    define(t, "LINEAR", n, "OFM_CH", layer->node->edge.c);
    define(t, "LINEAR", n, "IN_BIT", in->bits);
    define(t, "LINEAR", n, "W_BIT", layer->weight_bits);
    if (layer->bias) define(t, "LINEAR", n, "BIAS_BIT", width(layer, published_bias));
}

static void print_config(text *t, const mq_inet *net, const mq_hls_layer *layers, int count,
                         const mq_parallelism *parallelism) {
    print_banner(t, net, "config.h");
    print(t, "#ifndef _CONFIG_H_\n#define _CONFIG_H_\n\n");
    for (int n = 0, conv = 0; n < count; n++) {
        if (layers[n].node->kind == MQ_INET_CONV)
            print_config_conv(t, n, &layers[n], &parallelism->rows[conv++]);
        else
            print_config_linear(t, n, &layers[n]);
        print(t, "\n");
    }
    print(t, "#endif\n");
}

/* ---- weights.hpp: nested braces over an index, with one function per kind of leaf ---- */

typedef struct array {
    text *t;
    const mq_hls_layer *layer;
    const mq_parallelism_row *row;               /* NULL for a linear layer */
    int64_t (*value)(const mq_hls_layer *, int); /* inc or bias */
    int rank, dim[MAX_RANK], index[MAX_RANK];
    void (*leaf)(struct array *a);
} array;

static void print_array(array *a, int level) {
    bool innermost = level == a->rank - 1;
    print(a->t, "{");
    for (int i = 0; i < a->dim[level]; i++) {
        a->index[level] = i;
        if (i) print(a->t, innermost ? "," : ",\n");
        if (innermost)
            a->leaf(a);
        else
            print_array(a, level + 1);
    }
    print(a->t, innermost ? "}" : "\n}");
}

/* A word of `lanes` fields of `bits`, as quoted hexadecimal without leading zeros. */
typedef struct word {
    uint8_t nibble[MAX_WORD_BITS / 4 + 2];
    int bits, lanes;
} word;

static void put_lane(word *w, int value) {
    for (int b = 0; b < w->bits; b++) {
        int at = w->lanes * w->bits + b;
        w->nibble[at / 4] |= (uint8_t)(((unsigned)value >> b & 1u) << at % 4);
    }
    w->lanes++;
}

static void print_word(text *t, const word *w) {
    char digits[MAX_WORD_BITS / 4 + 8];
    int n = 0, top = w->lanes * w->bits / 4 + 1;
    while (top > 0 && w->nibble[top] == 0) top--;
    n += snprintf(digits, sizeof digits, "\"0x");
    for (; top >= 0; top--) digits[n++] = "0123456789abcdef"[w->nibble[top]];
    digits[n++] = '"';
    append(t, digits, (size_t)n);
}

/* index [p][kc][word] */
static void leaf_conv(array *a) {
    const mq_inet_conv *v = &a->layer->node->conv;
    int k = v->kernel_h, ich = a->layer->in->c / v->groups, simd = a->row->simd, per = k * ich / simd;
    int channel = a->index[2] / per * a->row->pe + a->index[0], first = a->index[2] % per * simd;
    word w = {.bits = a->layer->weight_bits};
    for (int lane = 0; lane < simd; lane++) {
        int row = (first + lane) / ich, i = (first + lane) % ich;
        put_lane(&w,
                 a->layer->weight[(((size_t)channel * (size_t)ich + (size_t)i) * (size_t)k + (size_t)row) *
                                      (size_t)k +
                                  (size_t)a->index[1]]);
    }
    print_word(a->t, &w);
}

/* index [p][word] */
static void leaf_pointwise(array *a) {
    const mq_parallelism_row *row = a->row;
    int ich = a->layer->in->c / a->layer->node->conv.groups, per = ich / row->simd;
    int block = a->index[1] / per * row->pe + a->index[0], first = a->index[1] % per * row->simd;
    word w = {.bits = a->layer->weight_bits};
    for (int lane = 0; lane < row->simd; lane++)
        for (int e = 0; e < row->pep; e++)
            put_lane(&w,
                     a->layer->weight[(size_t)(block * row->pep + e) * (size_t)ich + (size_t)(first + lane)]);
    print_word(a->t, &w);
}

/* index [0][row][channel/8][column][output/2][channel%8] */
static void leaf_linear(array *a) {
    const mq_inet_edge *in = a->layer->in;
    size_t channel = (size_t)(a->index[2] * MQ_HLS_LINEAR_GROUP + a->index[5]);
    size_t at = (channel * (size_t)in->h + (size_t)a->index[1]) * (size_t)in->w + (size_t)a->index[3];
    size_t inputs = (size_t)in->c * (size_t)in->h * (size_t)in->w;
    word w = {.bits = a->layer->weight_bits};
    for (int lane = 0; lane < MQ_HLS_LINEAR_LANES; lane++)
        put_lane(&w, a->layer->weight[(size_t)(MQ_HLS_LINEAR_LANES * a->index[4] + lane) * inputs + at]);
    print_word(a->t, &w);
}

/* index [p][f] of dim [A][och/A], or [channel] */
static void leaf_value(array *a) {
    int64_t v = a->value(a->layer, a->rank == 1 ? a->index[0] : a->index[1] * a->dim[0] + a->index[0]);
    print(a->t, "\"%s0x%llx\"", v < 0 ? "-" : "", (unsigned long long)magnitude(v));
}

/* index [p][f][threshold] */
static void leaf_threshold(array *a) {
    int64_t v = threshold(a->layer, a->index[1] * a->dim[0] + a->index[0], a->index[2]);
    print(a->t, "\"%s0x%llx\"", v < 0 ? "-" : "", (unsigned long long)magnitude(v));
}

/* `const TYPE<bits> kind_n_name[..]..=` newline, braces, `;` newline */
static void print_constant(array *a, const char *type, int bits, const char *kind, int n, const char *name) {
    print(a->t, "const %s<%d> %s_%d_%s", type, bits, kind, n, name);
    for (int i = 0; i < a->rank; i++) print(a->t, "[%d]", a->dim[i]);
    print(a->t, "=\n");
    print_array(a, 0);
    print(a->t, ";\n");
}

static void print_values(text *t, const char *kind, int n, const char *name, const mq_hls_layer *layer,
                         int columns, int64_t (*value)(const mq_hls_layer *, int)) {
    int channels = layer->node->edge.c;
    array a = {.t = t,
               .layer = layer,
               .value = value,
               .leaf = leaf_value,
               .rank = 2,
               .dim = {columns, channels / columns}};
    if (columns == channels && layer->node->kind == MQ_INET_LINEAR) a.rank = 1;
    print_constant(&a, "ap_int", width(layer, value), kind, n, name);
}

static void print_conv(text *t, int n, const mq_hls_layer *layer, const mq_parallelism_row *row,
                       bool has_actp) {
    const mq_inet_conv *v = &layer->node->conv;
    int k = v->kernel_h, ich = layer->in->c / v->groups, och = v->out_channels;
    array a = {.t = t, .layer = layer, .row = row};
    print(t, "// layer: %d, PE: %d, ", n, row->pe);
    if (has_actp && k == 1) print(t, "PEP: %d, ", row->pep);
    print(t, "SIMD: %d, ", row->simd);
    if (has_actp) print(t, "ACTP: %d, ", row->actp);
    print(t, "wbit: %d\n", layer->weight_bits);
    if (k > 1) {
        a.leaf = leaf_conv;
        a.rank = 3;
        a.dim[0] = row->pe, a.dim[1] = k, a.dim[2] = och / row->pe * (k * ich / row->simd);
    } else {
        a.leaf = leaf_pointwise;
        a.rank = 2;
        a.dim[0] = row->pe, a.dim[1] = och / (row->pe * row->pep) * (ich / row->simd);
    }
    print_constant(&a, "ap_uint", row->simd * row->pep * layer->weight_bits, "conv", n, "w");
    if (layer->requant) print_values(t, "conv", n, "inc", layer, row->actp, published_inc);
    if (layer->requant || layer->bias) print_values(t, "conv", n, "bias", layer, row->actp, published_bias);
    if (!has_thresholds(layer)) return;
    print_values(t, "conv", n, "rule", layer, row->actp, published_rule);
    a.leaf = leaf_threshold;
    a.rank = 3;
    a.dim[0] = row->actp, a.dim[1] = och / row->actp, a.dim[2] = levels(layer);
    print_constant(&a, "ap_int", threshold_width(layer), "conv", n, "threshold");
}

static void print_linear(text *t, int n, const mq_hls_layer *layer) {
    const mq_inet_edge *in = layer->in;
    int outputs = layer->node->edge.c;
    array a = {.t = t, .layer = layer, .leaf = leaf_linear, .rank = 6};
    a.dim[0] = 1, a.dim[1] = in->h, a.dim[2] = in->c / MQ_HLS_LINEAR_GROUP, a.dim[3] = in->w;
    a.dim[4] = outputs / MQ_HLS_LINEAR_LANES, a.dim[5] = MQ_HLS_LINEAR_GROUP;
    print(t, "// layer: %d, wbit: %d\n", n, layer->weight_bits);
    print_constant(&a, "ap_uint", MQ_HLS_LINEAR_LANES * layer->weight_bits, "linear", n, "w");
    if (layer->bias) print_values(t, "linear", n, "bias", layer, outputs, published_bias);
}

static void print_weights(text *t, const mq_inet *net, const mq_hls_layer *layers, int count,
                          const mq_parallelism *parallelism) {
    print_banner(t, net, "weights.hpp");
    print(t, "#ifndef _WEIGHTS_HPP_\n#define _WEIGHTS_HPP_\n#include <ap_int.h>\n\n");
    for (int n = 0, conv = 0; n < count; n++) {
        if (layers[n].node->kind == MQ_INET_CONV)
            print_conv(t, n, &layers[n], &parallelism->rows[conv++], parallelism->has_actp);
        else
            print_linear(t, n, &layers[n]);
    }
    print(t, "#endif\n");
}

/* ---- the files ---- */

static mq_status check_words(const mq_hls_layer *layers, int count, const mq_parallelism *parallelism,
                             mq_error *error) {
    int conv = 0;
    for (int n = 0; n < count; n++) {
        if (layers[n].node->kind != MQ_INET_CONV) continue;
        if (conv == parallelism->count) break;
        const mq_parallelism_row *row = &parallelism->rows[conv++];
        int64_t bits = (int64_t)row->simd * row->pep * layers[n].weight_bits;
        if (bits > MAX_WORD_BITS)
            return mq_fail(error, MQ_USAGE,
                           "%s: simd %d and pep %d make words of %lld bits, at most %d expected",
                           layers[n].node->name, row->simd, row->pep, (long long)bits, MAX_WORD_BITS);
    }
    if (conv == parallelism->count) return MQ_OK;
    return mq_fail(error, MQ_INTERNAL, "parallelism of another network: got %d rows", parallelism->count);
}

static mq_status save_text(text *t, const char *dir, const char *name, mq_error *error) {
    char path[MQ_PATH];
    if (t->status != MQ_OK) return t->status;
    MQ_TRY(mq_path_join(dir, name, path, error));
    return mq_file_write(path, t->bytes, t->size, error);
}

mq_status mq_hls_headers_write(const mq_inet *net, const mq_parallelism *parallelism, const char *dir,
                               mq_error *error) {
    mq_hls_layer layers[MQ_INET_MAX_NODES];
    int count;
    MQ_TRY(mq_hls_layers_collect(net, layers, &count, error));
    MQ_TRY(check_words(layers, count, parallelism, error));
    MQ_TRY(mq_make_dirs(dir, error));
    text config = {.error = error}, weights = {.error = error};
    print_config(&config, net, layers, count, parallelism);
    print_weights(&weights, net, layers, count, parallelism);
    mq_status status = weights.status == MQ_OK ? save_text(&config, dir, "config.h", error) : weights.status;
    if (status == MQ_OK) status = save_text(&weights, dir, "weights.hpp", error);
    mq_free(config.bytes);
    mq_free(weights.bytes);
    return status;
}
