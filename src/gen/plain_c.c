/* plain_c.c - the plan of the C program (types, names, buffers by liveness), its helpers and its frame. The
 * layers are in plain_c_layers.c.
 *
 * A CONV or LINEAR whose readers all requantise it hands every sum to them at once, so that accumulators are
 * stored only where a pool or the output reads them. Buffers are shared: one is free when its last reader has
 * run; two types never share one, so that no rule of C about aliasing is touched. */
#include "gen/plain_c.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "gen/plain_c_layers.h"

enum { MAX_TABLE = 1 << 16 /* codes of a RESCALE */, MAX_NAME = MQ_INET_MAX_NAME + 16 };

const plain_type_row plain_types[PLAIN_TYPES] = {
    [PLAIN_U8] = {"uint8_t", "u8", 1, 0, UINT8_MAX},
    [PLAIN_I8] = {"int8_t", "i8", 1, INT8_MIN, INT8_MAX},
    [PLAIN_I16] = {"int16_t", "i16", 2, INT16_MIN, INT16_MAX},
    [PLAIN_I32] = {"int32_t", "i32", 4, INT32_MIN, INT32_MAX},
    [PLAIN_I64] = {"int64_t", "i64", 8, INT64_MIN, INT64_MAX},
};

plain_type plain_type_of(int64_t low, int64_t high) {
    int t = PLAIN_U8;
    while (t < PLAIN_I64 && (low < plain_types[t].low || high > plain_types[t].high)) t++;
    return (plain_type)t;
}

void plain_say(plain_writer *w, const char *format, ...) {
    char text[4096]; /* node names are the longest parts; every line is far shorter */
    va_list args;
    if (w->status != MQ_OK) return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof text)
        w->status = mq_fail(w->error, MQ_INTERNAL, "a line of %d characters", n);
    else
        w->status = mq_outfile_write(w->file, text, (size_t)n, w->error);
}

void plain_table(plain_writer *w, plain_type type, const char *name, const char *suffix, const int64_t *value,
                 size_t rows, size_t columns) {
    size_t count = (rows ? rows : 1) * columns, width = 0;
    plain_say(w, "static const %s %s_%s", plain_types[type].c, name, suffix);
    if (rows) plain_say(w, "[%zu]", rows);
    plain_say(w, "[%zu] = {", columns);
    for (size_t i = 0; i < count && w->status == MQ_OK; i++) {
        char text[40];
        int n;
        /* -2^63 is no constant of C */
        if (value[i] == INT64_MIN)
            n = snprintf(text, sizeof text, "INT64_MIN,");
        else
            n = snprintf(text, sizeof text, type == PLAIN_I64 ? "INT64_C(%" PRId64 ")," : "%" PRId64 ",",
                         value[i]);
        bool first = rows && i % columns == 0;
        if (first && i) plain_say(w, "},");
        if (first || width == 0 || width + (size_t)n > 96) {
            plain_say(w, first ? "\n    {" : "\n    ");
            width = 0;
        }
        width += (size_t)n;
        w->status = w->status == MQ_OK ? mq_outfile_write(w->file, text, (size_t)n, w->error) : w->status;
    }
    plain_say(w, "%s\n};\n", rows ? "}," : "");
}

/* ---- the plan ---- */

static void c_name(const char *from, const char *prefix, char out[MAX_NAME]) {
    snprintf(out, MAX_NAME, "%s%s", isdigit((unsigned char)from[0]) ? prefix : "", from);
    for (char *c = out; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
}

void mq_plain_c_name(const mq_inet *net, char out[MAX_NAME]) {
    c_name(net->model[0] ? net->model : "network", "net_", out);
}

/* Unique among those before it, and not `run`, which is the network's own function. */
static void name_node(plain_net *p, int n) {
    char base[MAX_NAME];
    c_name(p->net->nodes[n].name, "n", base);
    snprintf(p->node[n].name, MAX_NAME, "%s", base);
    for (int i = -1, number = 2; i < n; i++) {
        if (strcmp(i < 0 ? "run" : p->node[i].name, p->node[n].name) != 0) continue;
        snprintf(p->node[n].name, MAX_NAME, "%.*s_%d", MAX_NAME - 12, base, number++);
        i = -2; /* from the start */
    }
}

mq_inet_conv plain_conv(const mq_inet *net, const mq_inet_node *node) {
    if (node->kind == MQ_INET_CONV) return node->conv;
    const mq_inet_edge *in = &net->nodes[node->input[0]].edge;
    const mq_inet_linear *v = &node->linear;
    return (mq_inet_conv){.out_channels = v->out_features,
                          .kernel_h = in->h,
                          .kernel_w = in->w,
                          .stride_h = 1,
                          .stride_w = 1,
                          .groups = 1,
                          .weight_bits = v->weight_bits,
                          .weight = v->weight,
                          .bias = v->bias};
}

bool plain_bound(const mq_inet *net, const mq_inet_node *node, int64_t *out) {
    const mq_inet_edge *in = &net->nodes[node->input[0]].edge;
    mq_inet_conv v = plain_conv(net, node);
    int channels = in->c / v.groups, area = v.kernel_h * v.kernel_w;
    const int8_t *weight = v.weight;
    *out = 0;
    for (int o = 0; o < v.out_channels; o++) {
        int64_t sum = v.bias ? v.bias[o] : 0;
        if (sum == INT64_MIN) return false;
        if (sum < 0) sum = -sum;
        for (int i = 0; i < channels; i++) {
            int c = o / (v.out_channels / v.groups) * channels + i;
            int64_t code = in->channel_high[c], below = -in->channel_low[c]; /* within 16 bits */
            if (below > code) code = below;
            for (int t = 0; t < area; t++, weight++)
                if (__builtin_add_overflow(sum, (*weight < 0 ? -*weight : *weight) * code, &sum))
                    return false;
        }
        if (sum > *out) *out = sum;
    }
    return true;
}

static bool is_layer(const mq_inet_node *node) {
    return node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR;
}

/* When node n runs: a fused REQUANT with its layer. */
static int time_of(const plain_net *p, int n) {
    return p->net->nodes[n].kind == MQ_INET_REQUANT && p->node[n].fused ? p->net->nodes[n].input[0] : n;
}

static int last_reader(const plain_net *p, int n) {
    int last = -1;
    for (int i = n + 1; i < p->net->node_count; i++)
        for (int k = 0; k < p->net->nodes[i].input_count; k++)
            if (p->net->nodes[i].input[k] == n && time_of(p, i) > last) last = time_of(p, i);
    return last;
}

/* The largest buffer of the type that is free, or a new one. */
static void place(plain_net *p, int n) {
    const mq_inet_edge *e = &p->net->nodes[n].edge;
    size_t count = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    int best = p->buffers;
    for (int b = 0; b < p->buffers; b++)
        if (p->buffer[b].type == p->node[n].type && last_reader(p, p->buffer[b].owner) < time_of(p, n) &&
            (best == p->buffers || p->buffer[b].count > p->buffer[best].count))
            best = b;
    if (best == p->buffers) p->buffer[p->buffers++] = (plain_buffer){.type = p->node[n].type};
    if (p->buffer[best].count < count) p->buffer[best].count = count;
    p->buffer[best].owner = n;
    p->node[n].buffer = best;
}

static void place_all(plain_net *p) {
    for (int t = 0; t < p->net->node_count; t++)
        for (int n = t; n < p->net->node_count; n++)
            if (time_of(p, n) == t && p->net->nodes[n].kind != MQ_INET_OUTPUT &&
                !(is_layer(&p->net->nodes[n]) && p->node[n].fused))
                place(p, n);
}

static mq_status plan_layer(plain_net *p, int n, mq_error *error) {
    const mq_inet *net = p->net;
    const mq_inet_node *node = &net->nodes[n];
    const mq_inet_edge *in = &net->nodes[node->input[0]].edge;
    plain_node *own = &p->node[n];
    mq_inet_conv v = plain_conv(net, node);
    int64_t bound;
    if (!plain_bound(net, node, &bound))
        return mq_fail(error, MQ_BAD_INPUT, "layer %s: its partial sums may leave 64 bits", node->name);
    own->type = bound <= INT32_MAX ? PLAIN_I32 : PLAIN_I64;
    size_t taps = (size_t)v.kernel_h * (size_t)v.kernel_w * (size_t)(in->c / v.groups);
    if (taps > p->filter) p->filter = taps;
    p->weights += (taps * (size_t)v.out_channels * (size_t)v.weight_bits + 7) / 8;
    p->dot[p->node[node->input[0]].type][own->type == PLAIN_I64] = true;
    own->fused = true;
    for (int i = n + 1; i < net->node_count; i++)
        for (int k = 0; k < net->nodes[i].input_count; k++)
            if (net->nodes[i].input[k] == n && net->nodes[i].kind != MQ_INET_REQUANT) own->fused = false;
    return MQ_OK;
}

static void plan_requant(plain_net *p, int n) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_requant *r = &node->requant;
    const mq_inet_edge *in = &p->net->nodes[node->input[0]].edge;
    plain_node *own = &p->node[n];
    own->fused = is_layer(&p->net->nodes[node->input[0]]) && p->node[node->input[0]].fused;
    if (r->low == r->high) return;
    own->threshold_type = in->high < INT32_MAX && in->low >= INT32_MIN ? PLAIN_I32 : PLAIN_I64;
    for (int c = 0; r->rule && c < node->edge.c; c++) own->thresholds += r->rule[c] != MQ_INET_AFFINE;
    if (own->thresholds) p->reached[own->threshold_type] = true;
    if (own->thresholds < node->edge.c) p->affine = true;
}

static mq_status plan_node(plain_net *p, int n, mq_error *error) {
    const mq_inet_node *node = &p->net->nodes[n];
    plain_node *own = &p->node[n];
    const mq_inet_edge *e = &node->edge;
    name_node(p, n);
    own->buffer = -1;
    own->type = plain_type_of(e->low, e->high);
    if (is_layer(node)) return plan_layer(p, n, error);
    if (node->kind == MQ_INET_REQUANT) plan_requant(p, n);
    if (node->kind == MQ_INET_RESCALE) {
        const mq_inet_edge *in = &p->net->nodes[node->input[0]].edge;
        if (in->high - in->low >= MAX_TABLE)
            return mq_fail(error, MQ_BAD_INPUT,
                           "layer %s: a rescale of codes %" PRId64 "..%" PRId64
                           ": at most %d different ones in plain C",
                           node->name, in->low, in->high, MAX_TABLE);
    }
    if (node->kind == MQ_INET_OUTPUT && plain_types[own->type].bytes > 4)
        return mq_fail(error, MQ_BAD_INPUT,
                       "layer %s: outputs %" PRId64 "..%" PRId64 " in plain C: at most 32 bits expected",
                       p->net->nodes[node->input[0]].name, e->low, e->high);
    return MQ_OK;
}

static void release(plain_net *p) {
    mq_free(p->node);
    mq_free(p->buffer);
}

static mq_status plan(const mq_inet *net, plain_net *p, mq_error *error) {
    mq_status status = MQ_OK;
    *p = (plain_net){.net = net};
    mq_plain_c_name(net, p->name);
    for (int i = 0; i < MAX_NAME; i++) p->capital[i] = (char)toupper((unsigned char)p->name[i]);
    MQ_TRY_GOTO(mq_alloc((size_t)net->node_count, sizeof *p->node, "plain C", &p->node, error), done);
    MQ_TRY_GOTO(mq_alloc((size_t)net->node_count, sizeof *p->buffer, "plain C", &p->buffer, error), done);
    for (int n = 0; n < net->node_count; n++) MQ_TRY_GOTO(plan_node(p, n, error), done);
    place_all(p);
done:
    if (status != MQ_OK) release(p);
    return status;
}

mq_status mq_plain_c_check(const mq_inet *net, mq_error *error) {
    plain_net p;
    MQ_TRY(plan(net, &p, error));
    release(&p);
    return MQ_OK;
}

/* ---- the files ---- */

static void identity(const plain_net *p, plain_writer *w) {
    plain_say(w, " * Written by mixq %s from the integer network", mq_version());
    if (p->net->sha256[0]) plain_say(w, " whose net.json has the SHA-256\n * %s", p->net->sha256);
    plain_say(w, ".\n");
}

static void write_header(const plain_net *p, plain_writer *w) {
    const mq_inet *net = p->net;
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    plain_say(w, "/* %s.h - the quantised network %s as plain C.\n *\n", p->name, net->model);
    identity(p, w);
    plain_say(w, " */\n#ifndef %s_H\n#define %s_H\n\n#include <stdint.h>\n\n", p->capital, p->capital);
    plain_say(w, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\nenum {\n");
    plain_say(w, "    %s_CHANNELS = %d,\n    %s_HEIGHT = %d,\n    %s_WIDTH = %d,\n", p->capital, in->c,
              p->capital, in->h, p->capital, in->w);
    plain_say(w,
              "    %s_OUTPUT_CHANNELS = %d,\n    %s_OUTPUT_HEIGHT = %d,\n    %s_OUTPUT_WIDTH = %d,\n"
              "    %s_OUTPUTS = %d\n};\n\n",
              p->capital, out->c, p->capital, out->h, p->capital, out->w, p->capital,
              out->c * out->h * out->w);
    plain_say(w, "/* An output divided by this is its real value. */\n#define %s_DIVISOR %.17g\n\n",
              p->capital, mq_inet_last(net)->output.divisor);
    if (net->task == MQ_INET_DETECTION) {
        plain_say(
            w,
            "/* Per anchor, in this order, the channels x, y, w, h, objectness and %d class%s: x, y and\n"
            " * objectness through a sigmoid, w and h through exp, times the anchor (pixels of the image).\n"
            " */\n#define %s_ANCHORS {",
            net->classes, net->classes == 1 ? "" : "es", p->capital);
        for (int a = 0; a < net->anchor_count; a++)
            plain_say(w, "%s{%.17g, %.17g}", a ? ", " : "", net->anchor_w[a], net->anchor_h[a]);
        plain_say(w, "}\n\n");
    }
    plain_say(
        w,
        "/* image: [%d][%d][%d], channel, row, column, bytes 0..255; output: [%d][%d][%d], channel, row,\n"
        " * column%s. Static buffers: one call at a time. */\n"
        "void %s_run(const uint8_t *image, int32_t *output);\n",
        in->c, in->h, in->w, out->c, out->h, out->w,
        net->task == MQ_INET_CLASSIFICATION ? "; the class is the index of the largest" : "", p->name);
    plain_say(w, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}

static void write_helpers(const plain_net *p, plain_writer *w) {
    if (p->filter)
        plain_say(w, "%s",
                  "/* Weights first to first + n - 1 of a stream of bits, the first in the lowest bits of "
                  "the first\n"
                  " * byte, two's complement. */\n"
                  "static void unpack(const uint8_t *stream, int first, int n, int bits, int8_t *weight) {\n"
                  "    int at = first * bits;\n"
                  "    for (int i = 0; i < n; i++, at += bits) {\n"
                  "        unsigned pair = stream[at / 8];\n"
                  "        if (at % 8 + bits > 8) pair |= (unsigned)stream[at / 8 + 1] << 8;\n"
                  "        int code = (int)(pair >> at % 8 & ((1u << bits) - 1));\n"
                  "        weight[i] = (int8_t)(code >> (bits - 1) ? code - (1 << bits) : code);\n"
                  "    }\n"
                  "}\n\n");
    for (int t = 0; t < PLAIN_TYPES; t++)
        for (int wide = 0; wide < 2; wide++)
            if (p->dot[t][wide])
                plain_say(w,
                          "static int%d_t dot_%s_%d(const %s *code, const int8_t *weight, int n) {\n"
                          "    int%d_t sum = 0;\n"
                          "    for (int i = 0; i < n; i++) sum += code[i] * weight[i];\n"
                          "    return sum;\n"
                          "}\n\n",
                          wide ? 64 : 32, plain_types[t].mark, wide ? 64 : 32, plain_types[t].c,
                          wide ? 64 : 32);
    if (p->affine)
        plain_say(
            w, "%s",
            "/* (acc*inc + bias) >> shift, rounded down, within low..high. */\n"
            "static int affine(int64_t acc, int64_t inc, int64_t bias, int shift, int low, int high) {\n"
            "    int64_t v = acc * inc + bias;\n"
            "    v = v < 0 ? ~(~v >> shift) : v >> shift;\n"
            "    return v < low ? low : v > high ? high : (int)v;\n"
            "}\n\n");
    for (int t = 0; t < PLAIN_TYPES; t++)
        if (p->reached[t])
            plain_say(w,
                      "/* How many of the n ascending thresholds are at most acc. */\n"
                      "static int reached_%s(const %s *threshold, int n, %s acc) {\n"
                      "    int low = 0, high = n;\n"
                      "    while (low < high) {\n"
                      "        int middle = (low + high) / 2;\n"
                      "        if (threshold[middle] <= acc)\n"
                      "            low = middle + 1;\n"
                      "        else\n"
                      "            high = middle;\n"
                      "    }\n"
                      "    return low;\n"
                      "}\n\n",
                      plain_types[t].mark, plain_types[t].c, plain_types[t].c);
}

static void write_buffers(const plain_net *p, plain_writer *w) {
    size_t total = p->filter;
    for (int b = 0; b < p->buffers; b++)
        total += p->buffer[b].count * (size_t)plain_types[p->buffer[b].type].bytes;
    plain_say(
        w,
        "/* Codes between the layers, row by row, pixel by pixel, channel by channel; %zu bytes with the\n"
        " * unpacked filter. */\n",
        total);
    for (int b = 0; b < p->buffers; b++) {
        plain_say(w, "static %s buffer%d[%zu]; /*", plain_types[p->buffer[b].type].c, b, p->buffer[b].count);
        for (int n = 0; n < p->net->node_count; n++)
            if (p->node[n].buffer == b) plain_say(w, " %s", p->net->nodes[n].name);
        plain_say(w, " */\n");
    }
    if (p->filter) plain_say(w, "static int8_t filter[%zu]; /* of one output channel */\n", p->filter);
    plain_say(w, "\n");
}

static void write_run(const plain_net *p, plain_writer *w) {
    const mq_inet *net = p->net;
    plain_say(w, "void %s_run(const uint8_t *image, int32_t *output) {\n", p->name);
    for (int n = 0; n < net->node_count; n++) {
        const mq_inet_node *node = &net->nodes[n];
        bool layer = is_layer(node);
        if (node->kind == MQ_INET_REQUANT && p->node[n].fused) continue;
        plain_say(w, "    layer_%s(", p->node[n].name);
        if (node->kind == MQ_INET_IMAGE) plain_say(w, "image");
        for (int k = 0; k < node->input_count; k++)
            plain_say(w, "%sbuffer%d", k ? ", " : "", p->node[node->input[k]].buffer);
        if (node->kind == MQ_INET_OUTPUT) plain_say(w, ", output");
        if (p->node[n].buffer >= 0) plain_say(w, ", buffer%d", p->node[n].buffer);
        for (int i = n + 1; layer && p->node[n].fused && i < net->node_count; i++)
            if (net->nodes[i].input[0] == n) plain_say(w, ", buffer%d", p->node[i].buffer);
        plain_say(w, ");\n");
    }
    plain_say(w, "}\n");
}

static mq_status write_source(const plain_net *p, plain_writer *w) {
    plain_say(
        w, "/* %s.c - the quantised network %s as plain C11: whole numbers only, no library, no heap.\n *\n",
        p->name, p->net->model);
    identity(p, w);
    plain_say(w,
              " *\n * Weights take %zu bytes. Compile with -O2 or -O3; there is nothing to configure. */\n",
              p->weights);
    plain_say(w, "#include \"%s.h\"\n\n", p->name);
    plain_say(w, "_Static_assert(sizeof(int) >= 4, \"int of 32 bits or more\");\n\n");
    write_helpers(p, w);
    write_buffers(p, w);
    for (int n = 0; n < p->net->node_count; n++) MQ_TRY(plain_layer(p, n, w));
    write_run(p, w);
    return w->status;
}

static mq_status open_file(const char *dir, const char *name, const char *end, char path[MQ_PATH],
                           plain_writer *w, mq_error *error) {
    char file[MAX_NAME + 4];
    snprintf(file, sizeof file, "%s%s", name, end);
    MQ_TRY(mq_path_join(dir, file, path, error));
    *w = (plain_writer){.error = error};
    return mq_outfile_open(path, &w->file, error);
}

static mq_status write_both(const plain_net *p, const char *dir, mq_error *error) {
    plain_writer source = {0}, header = {0};
    char path[MQ_PATH], other[MQ_PATH];
    mq_status status;
    MQ_TRY_GOTO(open_file(dir, p->name, ".c", path, &source, error), failed);
    MQ_TRY_GOTO(open_file(dir, p->name, ".h", other, &header, error), failed);
    MQ_TRY_GOTO(write_source(p, &source), failed);
    write_header(p, &header);
    MQ_TRY_GOTO(header.status, failed);
    status = mq_outfile_commit(source.file, error);
    source.file = NULL;
    if (status != MQ_OK) goto failed;
    status = mq_outfile_commit(header.file, error);
    if (status != MQ_OK) remove(path);
    return status;
failed:
    mq_outfile_abort(source.file);
    mq_outfile_abort(header.file);
    return status;
}

mq_status mq_plain_c_write(const mq_inet *net, const char *dir, mq_error *error) {
    plain_net p;
    MQ_TRY(plan(net, &p, error));
    mq_status status = write_both(&p, dir, error);
    release(&p);
    return status;
}
