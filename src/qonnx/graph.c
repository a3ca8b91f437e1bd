/* graph.c - names of tensors, attributes and messages of an ONNX graph while it is read. */
#include "qonnx/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

mq_status mq_graph_fail(const mq_graph *g, const char *format, ...) {
    char text[MQ_ERROR_TEXT / 2];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const mq_onnx_node *n = g->node;
    if (!n) return mq_fail(g->error, MQ_BAD_INPUT, "%s: %s", g->file, text);
    const char *name = *n->name ? n->name : n->output_count ? n->output[0] : "?";
    return mq_fail(g->error, MQ_BAD_INPUT, "%s: node %.200s (%s%s%.100s): %s", g->file, name, n->domain,
                   *n->domain ? "::" : "", n->op, text);
}

mq_status mq_graph_spend(mq_graph *g, size_t count) {
    if (count > g->left)
        return mq_graph_fail(g, "more than %d numbers are made of the file's constants", MQ_GRAPH_NUMBERS);
    g->left -= count;
    return MQ_OK;
}

/* ---- the table of names: FNV-1a, open addressing, at most half full ---- */

static size_t slot_of(const mq_graph *g, const char *name) {
    uint64_t hash = 14695981039346656037u;
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    size_t i = (size_t)hash & (g->room - 1);
    while (g->table[i].name && strcmp(g->table[i].name, name) != 0) i = (i + 1) & (g->room - 1);
    return i;
}

const mq_named *mq_graph_find(const mq_graph *g, const char *name) {
    const mq_named *n = &g->table[slot_of(g, name)];
    return n->name ? n : NULL;
}

mq_status mq_graph_set(mq_graph *g, const char *name, const mq_known *known, const mq_graph_value *stream) {
    size_t i = slot_of(g, name);
    if (g->table[i].name) return mq_graph_fail(g, "tensor '%.200s' is made twice", name);
    if (2 * (g->named + 1) > g->room) return mq_graph_fail(g, "too many tensors");
    g->table[i] = (mq_named){.name = name, .known = known, .stream = stream};
    g->named++;
    return MQ_OK;
}

mq_status mq_graph_input(const mq_graph *g, size_t i, const mq_named **out) {
    *out = NULL;
    if (i >= g->node->input_count || !*g->node->input[i]) return MQ_OK;
    *out = mq_graph_find(g, g->node->input[i]);
    if (*out) return MQ_OK;
    return mq_graph_fail(g, "input '%.200s' is made by no node before it", g->node->input[i]);
}

mq_status mq_graph_real(const mq_graph *g, size_t i, const char *what, const mq_known **out) {
    const mq_named *in;
    MQ_TRY(mq_graph_input(g, i, &in));
    if (!in) return mq_graph_fail(g, "%s: missing", what);
    if (!in->known || !in->known->real) return mq_graph_fail(g, "%s: constant real numbers expected", what);
    *out = in->known;
    return MQ_OK;
}

/* ---- attributes ---- */

static mq_status get(const mq_graph *g, const char *name, int kind, const mq_onnx_attr **out) {
    *out = mq_onnx_find_attr(g->node, name);
    if (*out && (*out)->kind != kind)
        return mq_graph_fail(g, "attribute %s: of another kind than ONNX has", name);
    return MQ_OK;
}

mq_status mq_graph_int(const mq_graph *g, const char *name, int64_t *out) {
    const mq_onnx_attr *a;
    MQ_TRY(get(g, name, MQ_ONNX_INT, &a));
    if (a) *out = a->i;
    return MQ_OK;
}

mq_status mq_graph_float(const mq_graph *g, const char *name, float *out) {
    const mq_onnx_attr *a;
    MQ_TRY(get(g, name, MQ_ONNX_FLOAT, &a));
    if (a) *out = a->f;
    return MQ_OK;
}

mq_status mq_graph_text(const mq_graph *g, const char *name, const char **out) {
    const mq_onnx_attr *a;
    MQ_TRY(get(g, name, MQ_ONNX_STRING, &a));
    if (a) *out = a->s;
    return MQ_OK;
}

mq_status mq_graph_ints(const mq_graph *g, const char *name, int64_t *out, size_t most, size_t *count) {
    const mq_onnx_attr *a;
    MQ_TRY(get(g, name, MQ_ONNX_INTS, &a));
    if (!a) return MQ_OK;
    if (a->count > most)
        return mq_graph_fail(g, "attribute %s: %zu numbers: at most %zu expected", name, a->count, most);
    for (size_t i = 0; i < a->count; i++) out[i] = a->ints[i];
    *count = a->count;
    return MQ_OK;
}

/* ---- operators ---- */

bool mq_graph_standard(const mq_onnx_node *node) {
    return !*node->domain || strcmp(node->domain, "ai.onnx") == 0;
}

static bool of_domain(const mq_onnx_node *node) {
    static const char *const domains[] = {"onnx.brevitas", "finn.custom_op.general",
                                          "qonnx.custom_op.general"};
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (strcmp(node->domain, domains[i]) == 0) return true;
    return false;
}

bool mq_graph_quant(const mq_onnx_node *node) {
    return of_domain(node) && (strcmp(node->op, "Quant") == 0 || strcmp(node->op, "IntQuant") == 0);
}

bool mq_graph_bipolar(const mq_onnx_node *node) {
    return of_domain(node) && strcmp(node->op, "BipolarQuant") == 0;
}

mq_status mq_quant_read(const mq_graph *g, mq_quant_params *out) {
    const mq_known *zero, *bits;
    int64_t is_signed = 1, narrow = 0;
    const char *rounding = "ROUND";
    MQ_TRY(mq_graph_real(g, 1, "scale", &out->scale));
    MQ_TRY(mq_graph_real(g, 2, "zero point", &zero));
    MQ_TRY(mq_graph_real(g, 3, "bit width", &bits));
    for (size_t i = 0; i < out->scale->count; i++)
        if (!(out->scale->real[i] > 0 && out->scale->real[i] < 1e38f))
            return mq_graph_fail(g, "scale: got %g, expected numbers above 0", (double)out->scale->real[i]);
    for (size_t i = 0; i < zero->count; i++)
        if (zero->real[i] != 0)
            return mq_graph_fail(g, "zero point: got %g, expected 0", (double)zero->real[i]);
    if (bits->count != 1 || !(bits->real[0] >= 1 && bits->real[0] <= 32) ||
        bits->real[0] != (float)(int)bits->real[0])
        return mq_graph_fail(g, "bit width: got %g, expected one whole number from 1 to 32",
                             bits->count ? (double)bits->real[0] : 0.0);
    out->bits = (int)bits->real[0];
    MQ_TRY(mq_graph_int(g, "signed", &is_signed));
    MQ_TRY(mq_graph_int(g, "narrow", &narrow));
    MQ_TRY(mq_graph_text(g, "rounding_mode", &rounding));
    out->is_signed = is_signed != 0;
    out->narrow = narrow != 0;
    if (strcasecmp(rounding, "FLOOR") == 0)
        out->rounding = MQ_ROUND_FLOOR;
    else if (strcasecmp(rounding, "ROUND") == 0 || strcasecmp(rounding, "HALF_EVEN") == 0)
        out->rounding = MQ_ROUND_EVEN;
    else
        return mq_graph_fail(g, "rounding_mode: got '%.20s', expected ROUND", rounding);
    return MQ_OK;
}

/* ---- drafts ---- */

static bool taken(const mq_graph *g, const char *name) {
    for (int i = 0; i < g->draft_count; i++)
        if (strcmp(g->draft[i].name, name) == 0) return true;
    return strcmp(name, "input") == 0;
}

mq_status mq_draft_add(mq_graph *g, mq_op op, int h, int w, int c, mq_draft **out, int *index) {
    enum { LONGEST = MQ_MAX_NAME - 16 };
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    char stem[MQ_MAX_NAME], name[MQ_MAX_NAME + 16];
    if (g->draft_count == MQ_MAX_NODES)
        return mq_graph_fail(g, "too large a network: at most %d nodes", MQ_MAX_NODES);
    const char *from = *g->node->name ? g->node->name : g->node->op;
    size_t n = strlen(from), length = 0;
    if (n > LONGEST) from += n - LONGEST; /* the end of a path tells more */
    for (; *from && length < LONGEST; from++)
        if (length || (*from != '.' && *from != '/' && *from != '-'))
            stem[length++] = strchr(plain, *from) ? *from : '_';
    if (!length) stem[length++] = 'n';
    stem[length] = 0;
    snprintf(name, sizeof name, "%s", stem);
    for (int i = 2; taken(g, name); i++) snprintf(name, sizeof name, "%s.%d", stem, i);
    *index = g->draft_count++;
    *out = &g->draft[*index];
    **out = (mq_draft){.op = op, .h = h, .w = w, .c = c};
    snprintf((*out)->name, sizeof(*out)->name, "%.47s", name);
    return MQ_OK;
}
