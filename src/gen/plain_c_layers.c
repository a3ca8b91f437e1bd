/* plain_c_layers.c - the nodes of an integer network as functions of C: one comment, its tables and its loops
 * each. Codes lie as [row][column][channel], weights as [output][kernel row][kernel column][channel]. */
#include "gen/plain_c_layers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"

static const mq_inet_edge *input_edge(const plain_net *p, const mq_inet_node *node) {
    return &p->net->nodes[node->input[0]].edge;
}
static const char *type_of(const plain_net *p, int n) {
    return plain_types[p->node[n].type].c;
}

/* In the smallest type that holds it. */
static void small_table(plain_writer *w, const char *name, const char *suffix, const int64_t *value,
                        size_t count) {
    int64_t low = 0, high = 0;
    for (size_t i = 0; i < count; i++) {
        if (value[i] < low) low = value[i];
        if (value[i] > high) high = value[i];
    }
    plain_table(w, plain_type_of(low, high), name, suffix, value, 0, count);
}

/* ---- weights ---- */

static void pack_bits(int64_t *bytes, size_t index, int bits, int8_t code) {
    size_t at = index * (size_t)bits;
    unsigned field = ((unsigned)code & ((1u << bits) - 1)) << at % 8;
    bytes[at / 8] |= field & 0xff;
    if (field >> 8) bytes[at / 8 + 1] |= field >> 8;
}

/* From [oc][ic/groups][kh][kw] to the order of the loops, packed. */
static mq_status weight_table(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    mq_inet_conv v = plain_conv(p->net, node);
    size_t channels = (size_t)(input_edge(p, node)->c / v.groups), area = (size_t)(v.kernel_h * v.kernel_w);
    size_t taps = channels * area, count = taps * (size_t)v.out_channels;
    size_t bytes = (count * (size_t)v.weight_bits + 7) / 8;
    int64_t *stream;
    MQ_TRY(mq_alloc(bytes, sizeof *stream, "weights in plain C", &stream, w->error));
    const int8_t *from = v.weight;
    for (size_t o = 0; o < (size_t)v.out_channels; o++)
        for (size_t i = 0; i < channels; i++)
            for (size_t t = 0; t < area; t++)
                pack_bits(stream, o * taps + t * channels + i, v.weight_bits, *from++);
    plain_table(w, PLAIN_U8, p->node[n].name, "weights", stream, 0, bytes);
    mq_free(stream);
    return MQ_OK;
}

/* ---- requantisation ---- */

static int64_t within(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* The rows of the channels that have thresholds. One that the channel cannot reach is put just outside its
 * reach, so that it fits the accumulator's type. */
static mq_status threshold_tables(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_requant *r = &node->requant;
    const mq_inet_edge *in = input_edge(p, node);
    const plain_node *own = &p->node[n];
    size_t levels = (size_t)(r->high - r->low), c_count = (size_t)node->edge.c, row = 0;
    int64_t *rows, *falls, *table;
    MQ_TRY(mq_alloc(c_count * 2 + (size_t)own->thresholds * levels, sizeof *rows, "thresholds", &rows,
                    w->error));
    falls = rows + c_count;
    table = falls + c_count;
    for (size_t c = 0; c < c_count; c++) {
        rows[c] = -1;
        if (r->rule[c] == MQ_INET_AFFINE) continue;
        int64_t beyond = in->channel_high[c];
        if (beyond < INT64_MAX) beyond++;
        for (size_t i = 0; i < levels; i++)
            table[row * levels + i] = within(r->threshold[c * levels + i], in->channel_low[c], beyond);
        falls[row] = r->rule[c] == MQ_INET_FALLING;
        rows[c] = (int64_t)row++;
    }
    if (row < c_count) small_table(w, own->name, "row", rows, c_count);
    small_table(w, own->name, "falls", falls, row);
    plain_table(w, own->threshold_type, own->name, "threshold", table, row, levels);
    mq_free(rows);
    return MQ_OK;
}

/* static T <name>_code(A acc, int c). */
static mq_status requant_code(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_requant *r = &node->requant;
    const plain_node *own = &p->node[n];
    const char *type = type_of(p, n);
    bool constant = r->low == r->high, all = own->thresholds == node->edge.c;
    if (!constant && !all) {
        small_table(w, own->name, "inc", r->inc, (size_t)node->edge.c);
        small_table(w, own->name, "bias", r->bias, (size_t)node->edge.c);
    }
    if (own->thresholds) MQ_TRY(threshold_tables(p, n, w));
    plain_say(w, "static %s %s_code(%s acc, int c) {\n", type, own->name, type_of(p, node->input[0]));
    if (constant) {
        plain_say(w, "    (void)acc;\n    (void)c;\n    return %d;\n}\n", r->low);
        return w->status;
    }
    if (own->thresholds) {
        const char *mark = plain_types[own->threshold_type].mark, *name = own->name;
        int levels = r->high - r->low;
        plain_say(w, all ? "    int row = c;\n" : "    int row = %s_row[c];\n", name);
        if (!all)
            plain_say(w, "    if (row < 0) return (%s)affine(acc, %s_inc[c], %s_bias[c], %d, %d, %d);\n",
                      type, name, name, r->shift, r->low, r->high);
        plain_say(w, "    int n = reached_%s(%s_threshold[row], %d, (%s)acc);\n", mark, name, levels,
                  plain_types[own->threshold_type].c);
        plain_say(w, "    return (%s)(%d + (%s_falls[row] ? %d - n : n));\n}\n", type, r->low, name, levels);
        return w->status;
    }
    plain_say(w, "    return (%s)affine(acc, %s_inc[c], %s_bias[c], %d, %d, %d);\n}\n", type, own->name,
              own->name, r->shift, r->low, r->high);
    return w->status;
}

static void requant_comment(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_requant *r = &p->net->nodes[n].requant;
    int stored = p->node[n].thresholds;
    plain_say(w, " * %s: codes %d..%d", p->net->nodes[n].name, r->low, r->high);
    if (stored < p->net->nodes[n].edge.c) plain_say(w, ", (acc*inc + bias) >> %d", r->shift);
    if (stored)
        plain_say(w, "%s %d channels by thresholds", stored < p->net->nodes[n].edge.c ? ";" : ",", stored);
    plain_say(w, ".\n");
}

/* ---- layers ---- */

static void layer_comment(const plain_net *p, int n, const mq_inet_conv *v, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *in = input_edge(p, node), *out = &node->edge;
    if (node->kind == MQ_INET_LINEAR)
        plain_say(w, "/* %s: linear, %d x %d x %d -> %d, ", node->name, in->c, in->h, in->w, out->c);
    else
        plain_say(
            w, "/* %s: convolution %d x %d, stride %d x %d, %d group%s, %d x %d x %d -> %d x %d x %d,\n * ",
            node->name, v->kernel_h, v->kernel_w, v->stride_h, v->stride_w, v->groups,
            v->groups == 1 ? "" : "s", in->c, in->h, in->w, out->c, out->h, out->w);
    plain_say(w, "weights of %d bit%s; sums %" PRId64 "..%" PRId64 ".\n", v->weight_bits,
              v->weight_bits == 1 ? "" : "s", out->low, out->high);
}

static void layer_sum(const plain_net *p, int n, const mq_inet_conv *v, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *in = input_edge(p, node);
    int channels = in->c / v->groups, outputs = v->out_channels / v->groups;
    char dot[16];
    snprintf(dot, sizeof dot, "dot_%s_%d", plain_types[p->node[node->input[0]].type].mark,
             p->node[n].type == PLAIN_I64 ? 64 : 32);
    plain_say(w, "                for (int ky = 0; ky < %d; ky++) {\n", v->kernel_h);
    plain_say(w, "                    int row = y * %d - %d + ky;\n", v->stride_h, v->pad_top);
    plain_say(w, "                    if (row < 0 || row >= %d) continue;\n", in->h);
    if (v->groups == 1) {
        plain_say(w,
                  "                    acc += %s(in + (row * %d + from) * %d, filter + (ky * %d + from - "
                  "left) * %d,\n"
                  "                                  (to - from) * %d);\n",
                  dot, in->w, in->c, v->kernel_w, in->c, in->c);
    } else {
        plain_say(w, "                    for (int x0 = from; x0 < to; x0++)\n");
        plain_say(w,
                  "                        acc += %s(in + (row * %d + x0) * %d + o / %d * %d,\n"
                  "                                      filter + (ky * %d + x0 - left) * %d, %d);\n",
                  dot, in->w, in->c, outputs, channels, v->kernel_w, channels, channels);
    }
    plain_say(w, "                }\n");
}

static void layer_stores(const plain_net *p, int n, int channels, plain_writer *w) {
    if (!p->node[n].fused) {
        plain_say(w, "                out[(y * %d + x) * %d + o] = acc;\n", p->net->nodes[n].edge.w,
                  channels);
        return;
    }
    for (int i = n + 1; i < p->net->node_count; i++)
        if (p->net->nodes[i].kind == MQ_INET_REQUANT && p->net->nodes[i].input[0] == n)
            plain_say(w, "                to_%s[(y * %d + x) * %d + o] = %s_code(acc, o);\n", p->node[i].name,
                      p->net->nodes[n].edge.w, channels, p->node[i].name);
}

static mq_status layer(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *in = input_edge(p, node), *out = &node->edge;
    const mq_inet_conv v = plain_conv(p->net, node);
    const char *name = p->node[n].name, *type = type_of(p, n);
    const int channels = in->c / v.groups, taps = channels * v.kernel_h * v.kernel_w;
    layer_comment(p, n, &v, w);
    for (int i = n + 1; p->node[n].fused && i < p->net->node_count; i++)
        if (p->net->nodes[i].input[0] == n) requant_comment(p, i, w);
    plain_say(w, " */\n");
    MQ_TRY(weight_table(p, n, w));
    if (v.bias) small_table(w, name, "bias", v.bias, (size_t)v.out_channels);
    for (int i = n + 1; p->node[n].fused && i < p->net->node_count; i++)
        if (p->net->nodes[i].input[0] == n) MQ_TRY(requant_code(p, i, w));
    plain_say(w, "static void layer_%s(const %s *in", name, type_of(p, node->input[0]));
    if (!p->node[n].fused) plain_say(w, ", %s *out", type);
    for (int i = n + 1; p->node[n].fused && i < p->net->node_count; i++)
        if (p->net->nodes[i].input[0] == n) plain_say(w, ", %s *to_%s", type_of(p, i), p->node[i].name);
    plain_say(w, ") {\n    for (int o = 0; o < %d; o++) {\n", v.out_channels);
    plain_say(w, "        unpack(%s_weights, o * %d, %d, %d, filter);\n", name, taps, taps, v.weight_bits);
    plain_say(w, "        for (int y = 0; y < %d; y++) {\n", out->h);
    plain_say(w, "            for (int x = 0; x < %d; x++) {\n", out->w);
    plain_say(w, "                int left = x * %d - %d; /* columns from to to - 1 lie in the image */\n",
              v.stride_w, v.pad_left);
    plain_say(w, "                int from = left < 0 ? 0 : left, to = left + %d > %d ? %d : left + %d;\n",
              v.kernel_w, in->w, in->w, v.kernel_w);
    plain_say(w, v.bias ? "                %s acc = %s_bias[o];\n" : "                %s acc = 0;\n", type,
              name);
    layer_sum(p, n, &v, w);
    layer_stores(p, n, out->c, w);
    plain_say(w, "            }\n        }\n    }\n}\n\n");
    return w->status;
}

/* ---- the others ---- */

static void open_function(const plain_net *p, int n, const char *what, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    plain_say(w, "/* %s: %s, %d x %d x %d. */\n", node->name, what, node->edge.c, node->edge.h, node->edge.w);
    plain_say(w, "static void layer_%s(", p->node[n].name);
}

static void image(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_edge *e = &p->net->nodes[n].edge;
    open_function(p, n, "the image as codes, channels last", w);
    plain_say(w,
              "const uint8_t *in, %s *out) {\n"
              "    for (int p = 0; p < %d; p++)\n"
              "        for (int c = 0; c < %d; c++) *out++ = (%s)(in[c * %d + p] >> %d);\n}\n\n",
              type_of(p, n), e->h * e->w, e->c, type_of(p, n), e->h * e->w, 8 - p->net->nodes[n].image.bits);
}

static mq_status requant(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *e = &node->edge;
    if (p->node[n].fused) return MQ_OK;
    plain_say(w, "/*\n");
    requant_comment(p, n, w);
    plain_say(w, " */\n");
    MQ_TRY(requant_code(p, n, w));
    plain_say(w,
              "static void layer_%s(const %s *in, %s *out) {\n"
              "    for (int p = 0; p < %d; p++)\n"
              "        for (int c = 0; c < %d; c++) *out++ = %s_code(*in++, c);\n}\n\n",
              p->node[n].name, type_of(p, node->input[0]), type_of(p, n), e->h * e->w, e->c, p->node[n].name);
    return w->status;
}

static void max_pool(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *in = input_edge(p, node), *out = &node->edge;
    const char *type = type_of(p, n), *from = type_of(p, node->input[0]);
    open_function(p, n, "maximum", w);
    plain_say(w, "const %s *in, %s *out) { /* %d x %d, stride %d */\n", from, type, node->pool.kernel,
              node->pool.kernel, node->pool.stride);
    plain_say(w, "    for (int y = 0; y < %d; y++)\n        for (int x = 0; x < %d; x++)\n", out->h, out->w);
    plain_say(w, "            for (int c = 0; c < %d; c++) {\n", out->c);
    plain_say(w, "                const %s *see = in + (y * %d * %d + x * %d) * %d + c;\n", from,
              node->pool.stride, in->w, node->pool.stride, in->c);
    plain_say(w, "                %s most = *see;\n", from);
    plain_say(w, "                for (int k = 1; k < %d; k++) {\n", node->pool.kernel * node->pool.kernel);
    plain_say(w, "                    %s v = see[(k / %d * %d + k %% %d) * %d];\n", from, node->pool.kernel,
              in->w, node->pool.kernel, in->c);
    plain_say(w, "                    if (v > most) most = v;\n                }\n");
    plain_say(w, "                *out++ = (%s)most;\n            }\n}\n\n", type);
}

static void reorg(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *in = input_edge(p, node), *out = &node->edge;
    open_function(p, n, "every 2 x 2 pixels become channels", w);
    plain_say(w, "const %s *in, %s *out) {\n", type_of(p, node->input[0]), type_of(p, n));
    plain_say(w, "    for (int y = 0; y < %d; y++)\n        for (int x = 0; x < %d; x++)\n", out->h, out->w);
    plain_say(w, "            for (int d = 0; d < 4; d++)\n");
    plain_say(w, "                for (int c = 0; c < %d; c++)\n", in->c);
    plain_say(w,
              "                    *out++ = (%s)in[((2 * y + d / 2) * %d + 2 * x + d %% 2) * %d + c];\n}\n\n",
              type_of(p, n), in->w, in->c);
}

static void concat(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    open_function(p, n, "channels of its inputs in a row", w);
    for (int k = 0; k < node->input_count; k++)
        plain_say(w, "const %s *in%d, ", type_of(p, node->input[k]), k);
    plain_say(w, "%s *out) {\n    for (int p = 0; p < %d; p++) {\n", type_of(p, n),
              node->edge.h * node->edge.w);
    for (int k = 0; k < node->input_count; k++)
        plain_say(w, "        for (int c = 0; c < %d; c++) *out++ = (%s)*in%d++;\n",
                  p->net->nodes[node->input[k]].edge.c, type_of(p, n), k);
    plain_say(w, "    }\n}\n\n");
}

/* The published formula in float32, worked out here for every code. */
static mq_status rescale(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_rescale *r = &node->rescale;
    const mq_inet_edge *in = input_edge(p, node), *e = &node->edge;
    size_t count = (size_t)(in->high - in->low + 1);
    int64_t *table;
    MQ_TRY(mq_alloc(count, sizeof *table, "rescale in plain C", &table, w->error));
    for (size_t i = 0; i < count; i++) {
        float product = (float)(in->low + (int64_t)i) * r->multiply;
        table[i] = (int64_t)rintf(product / r->divide);
    }
    plain_say(w,
              "/* %s: code times %.9g over %.9g in float32, of codes from %" PRId64 " on; %d x %d x %d. */\n",
              node->name, (double)r->multiply, (double)r->divide, in->low, e->c, e->h, e->w);
    small_table(w, p->node[n].name, "table", table, count);
    mq_free(table);
    plain_say(w,
              "static void layer_%s(const %s *in, %s *out) {\n"
              "    for (int i = 0; i < %d; i++) out[i] = (%s)%s_table[in[i] - (%" PRId64 ")];\n}\n\n",
              p->node[n].name, type_of(p, node->input[0]), type_of(p, n), e->h * e->w * e->c, type_of(p, n),
              p->node[n].name, in->low);
    return w->status;
}

static void output(const plain_net *p, int n, plain_writer *w) {
    const mq_inet_node *node = &p->net->nodes[n];
    const mq_inet_edge *e = &node->edge;
    open_function(p, n, "channel by channel", w);
    plain_say(w,
              "const %s *in, int32_t *out) {\n"
              "    for (int c = 0; c < %d; c++)\n"
              "        for (int p = 0; p < %d; p++) *out++ = (int32_t)in[p * %d + c];\n}\n\n",
              type_of(p, node->input[0]), e->c, e->h * e->w, e->c);
}

mq_status plain_layer(const plain_net *p, int n, plain_writer *w) {
    switch (p->net->nodes[n].kind) {
    case MQ_INET_IMAGE:
        image(p, n, w);
        return w->status;
    case MQ_INET_CONV:
    case MQ_INET_LINEAR:
        return layer(p, n, w);
    case MQ_INET_REQUANT:
        return requant(p, n, w);
    case MQ_INET_MAX_POOL:
        max_pool(p, n, w);
        return w->status;
    case MQ_INET_REORG:
        reorg(p, n, w);
        return w->status;
    case MQ_INET_CONCAT:
        concat(p, n, w);
        return w->status;
    case MQ_INET_RESCALE:
        return rescale(p, n, w);
    case MQ_INET_OUTPUT:
        output(p, n, w);
        return w->status;
    case MQ_INET_KIND_COUNT:
        break;
    }
    return mq_fail(w->error, MQ_INTERNAL, "node kind %d in plain C", (int)p->net->nodes[n].kind);
}
