/* qonnx_import.c - the walk over an ONNX graph, and the checkpoint that comes of it. */
#include "qonnx/qonnx_import.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "net/checkpoint.h"
#include "qonnx/graph.h"
#include "qonnx/own_file.h"

enum { DESCRIPTION = 1 << 18 };

/* ---- the graph's ends ---- */

/* The one input that is no weight, as a stream; its shape becomes that of draft 0. */
static mq_status open_input(mq_graph *g) {
    const mq_onnx_value *found = NULL;
    for (size_t i = 0; i < g->model->input_count; i++) {
        const mq_onnx_value *v = &g->model->input[i];
        if (mq_graph_find(g, v->name)) continue;
        if (found)
            return mq_graph_fail(g, "two inputs, '%.100s' and '%.100s': one expected", found->name, v->name);
        found = v;
    }
    if (!found) return mq_graph_fail(g, "no input that is not a weight");
    if (found->type != 1 || found->rank < 2 || found->rank > 4)
        return mq_graph_fail(
            g, "input '%.100s': float32 of 2 to 4 dimensions, the first for images, expected", found->name);
    mq_graph_value *s;
    mq_real_input *chain;
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *s, "an ONNX graph", &s, g->error));
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *chain, "an ONNX graph", &chain, g->error));
    chain->divisor = 1; /* the description has the true one */
    *s = (mq_graph_value){.rank = found->rank, .root = -1, .input = chain};
    int size[3] = {1, 1, 1}; /* c, h, w */
    for (int i = 0; i < found->rank; i++) {
        int64_t dim = i ? found->dim[i] : 1;
        if (dim < 1 || dim > (i == 1 && found->rank == 4 ? 64 : 1 << 14))
            return mq_graph_fail(g, "input '%.100s': dimension %d is %lld", found->name, i, (long long)dim);
        s->dim[i] = dim;
        if (i) size[3 - found->rank + i] = (int)dim;
    }
    if (found->rank == 2 && s->dim[1] <= MQ_REAL_CHANNELS) { /* features, each with scalings of its own */
        size[0] = size[2];
        size[2] = 1;
    }
    g->draft[0] = (mq_draft){.op = MQ_OP_INPUT, .name = "input", .c = size[0], .h = size[1], .w = size[2]};
    g->draft_count = 1;
    return mq_graph_set(g, found->name, NULL, s);
}

static mq_status close_output(mq_graph *g, int *last) {
    g->node = NULL;
    if (g->model->output_count != 1)
        return mq_graph_fail(g, "%zu outputs: one expected", g->model->output_count);
    const char *name = g->model->output[0].name;
    for (size_t i = 0; i < g->model->node_count; i++) /* whom messages name */
        for (size_t k = 0; k < g->model->node[i].output_count; k++)
            if (strcmp(g->model->node[i].output[k], name) == 0) g->node = &g->model->node[i];
    const mq_named *end = mq_graph_find(g, name);
    if (!end || !end->stream) return mq_graph_fail(g, "output '%.100s' does not depend on the input", name);
    mq_graph_value s = *end->stream;
    if (s.quantised || s.relu)
        return mq_graph_fail(g, "the output is %s: real numbers of the last layer expected",
                             s.relu ? "cut off" : "quantised");
    if (s.root < 0 || s.from != s.root || s.nhwc)
        return mq_graph_fail(g, "the output comes of no layer: a Conv, MatMul or Gemm expected last");
    *last = s.from;
    const mq_draft *d = &g->draft[s.from];
    if (d->h != 1 || d->w != 1)
        return mq_graph_fail(g, "the output is %d x %d x %d: a classifier's 1 x 1 x classes expected", d->h,
                             d->w, d->c);
    for (int c = 0; c < d->c; c++) {
        double a = (double)s.chain.a[c];
        if (a != (double)s.chain.a[0] || !(a > 0))
            return mq_graph_fail(g, "output %d is scaled by %g, output 0 by %g: one positive scale expected",
                                 c, a, (double)s.chain.a[0]);
    }
    return mq_stream_commit(g, &s);
}

static mq_status walk(mq_graph *g, int *last) {
    const mq_onnx_model *m = g->model;
    for (size_t i = 0; i < m->tensor_count; i++) {
        const mq_onnx_tensor *t = &m->tensor[i];
        mq_known *k;
        MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *k, "an ONNX tensor", &k, g->error));
        *k = (mq_known){.shape = t->shape, .count = t->count, .real = t->real, .whole = t->whole};
        MQ_TRY(mq_graph_set(g, t->name, k, NULL));
    }
    MQ_TRY(open_input(g));
    for (size_t i = 0; i < m->node_count; i++) {
        bool folded;
        g->node = &m->node[i];
        if (g->node->output_count < 1 || !*g->node->output[0]) return mq_graph_fail(g, "no output");
        MQ_TRY(mq_fold_node(g, &folded));
        if (!folded) MQ_TRY(mq_stream_node(g));
    }
    return close_output(g, last);
}

/* ---- the description ---- */

typedef struct text {
    char *at;
    size_t used;
} text;

static void put(text *t, const char *format, ...) MQ_PRINTF(2, 3);
static void put(text *t, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int n = vsnprintf(t->at + t->used, DESCRIPTION - t->used, format, list);
    va_end(list);
    t->used += (size_t)n < DESCRIPTION - t->used ? (size_t)n : DESCRIPTION - t->used;
}

static void put_input(text *t, const mq_graph *g, double divisor) {
    const mq_draft *d = &g->draft[0];
    put(t, "input: {channels: %d, height: %d, width: %d", d->c, d->h, d->w);
    if (!g->pixels) {
        put(t, ", pixel_divisor: %.9g, steps: [", (double)(float)divisor);
        for (int i = 0; i < g->real_input->count; i++) {
            const mq_real_step *s = &g->real_input->step[i];
            put(t, "%s[%s", i ? ", " : "", mq_real_op_names[s->op]);
            for (int c = 0; c < s->count; c++) put(t, ", %.9g", (double)s->value[c]);
            put(t, "]");
        }
        put(t, "]");
    }
    put(t, "}\n");
}

static void put_layer(text *t, const mq_graph *g, const mq_draft *d) {
    static const char *const words[MQ_OPS] = {[MQ_OP_CONV] = "conv",
                                              [MQ_OP_LINEAR] = "linear",
                                              [MQ_OP_MAX_POOL] = "max_pool",
                                              [MQ_OP_REORG] = "reorg",
                                              [MQ_OP_CONCAT] = "concat"};
    put(t, "  - %s: {name: %s, from: %s", words[d->op], d->name, d->op == MQ_OP_CONCAT ? "[" : "");
    for (int i = 0; i < d->input_count; i++) put(t, "%s%s", i ? ", " : "", g->draft[d->input[i]].name);
    if (d->op == MQ_OP_CONCAT) put(t, "]");
    if (d->op == MQ_OP_CONV) {
        put(t, ", out: %d, kernel: %d, padding: %d", d->c, d->conv.kernel_h, d->conv.pad_h);
        if (d->conv.stride != 1) put(t, ", stride: %d", d->conv.stride);
        if (d->conv.groups != 1) put(t, ", groups: %d", d->conv.groups);
    }
    if (d->op == MQ_OP_LINEAR) put(t, ", out: %d", d->c);
    if (d->op == MQ_OP_MAX_POOL) put(t, ", kernel: %d, stride: %d", d->pool.kernel, d->pool.stride);
    if (d->op == MQ_OP_CONV || d->op == MQ_OP_LINEAR) {
        if (d->in.is_signed) put(t, ", activation_signed: true");
        if (d->in.narrow) put(t, ", activation_narrow: true");
        if (d->weight_narrow) put(t, ", weight_narrow: true");
    }
    put(t, "}\n");
}

static bool is_layer(const mq_draft *d) {
    return d->op == MQ_OP_CONV || d->op == MQ_OP_LINEAR;
}

/* Drafts that the output depends on; what nobody reads is left out. */
static void mark_used(mq_graph *g, int last) {
    g->draft[last].used = true;
    for (int i = last; i >= 0; i--)
        for (int k = 0; g->draft[i].used && k < g->draft[i].input_count; k++)
            g->draft[g->draft[i].input[k]].used = true;
}

/* The file's name without folder and ending. */
static void network_name(const char *path, char out[MQ_MAX_NAME]) {
    const char *slash = strrchr(path, '/');
    size_t n = 0;
    for (const char *c = slash ? slash + 1 : path; *c && *c != '.' && n < MQ_MAX_NAME - 1; c++) {
        bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c) != NULL;
        out[n] = (char)(plain && (n || *c != '-') ? *c : '_');
        n++;
    }
    if (!n) out[n++] = 'n';
    out[n] = 0;
}

static mq_status describe(mq_graph *g, int last, double divisor, mq_net **net, mq_bits *bits) {
    text t = {0};
    char name[MQ_MAX_NAME];
    int layers = 0;
    MQ_TRY(mq_arena_alloc(g->arena, DESCRIPTION, 1, "a description", &t.at, g->error));
    network_name(g->file, name);
    put(&t, "name: %s\ntask: classification\nquantizer: given\nclasses: %d\n", name, g->draft[last].c);
    put_input(&t, g, divisor);
    put(&t, "layers:\n");
    for (int i = 1; i <= last; i++) {
        const mq_draft *d = &g->draft[i];
        if (!d->used) continue;
        put_layer(&t, g, d);
        if (!is_layer(d)) continue;
        if (layers == MQ_MAX_LAYERS)
            return mq_graph_fail(g, "more than %d layers with weights", MQ_MAX_LAYERS);
        bits->weight[layers] = (int8_t)d->weight_bits;
        bits->activation[layers++] = (int8_t)d->in.bits;
    }
    bits->count = layers;
    if (t.used >= DESCRIPTION) return mq_graph_fail(g, "too large a network");
    mq_status status = mq_net_parse("its description", t.at, t.used, net, g->error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(g->error, status, "%s", g->file);
}

/* ---- the checkpoint ---- */

static mq_status add_tensor(mq_st_writer *writer, const mq_draft *d, const mq_param_spec *spec,
                            mq_error *error) {
    const void *data = spec->kind == MQ_PARAM_WEIGHT   ? (const void *)d->weight
                       : spec->kind == MQ_PARAM_SCALE  ? (const void *)d->scale
                       : spec->kind == MQ_PARAM_OFFSET ? (const void *)d->offset
                                                       : (const void *)&d->in.scale;
    mq_tensor tensor = {.dtype = spec->dtype, .shape = spec->shape};
    memcpy(&tensor.data, &data, sizeof data); /* the writer only reads */
    return mq_st_add(writer, spec->name, &tensor, error);
}

static mq_status add_tensors(const mq_graph *g, const mq_net *net, mq_st_writer *writer) {
    mq_param_spec *specs;
    int count;
    MQ_TRY(mq_params_list(net, MQ_MODE_FIXED, true, &specs, &count, g->error));
    mq_status status = MQ_OK;
    for (int i = 0; status == MQ_OK && i < count; i++) {
        const mq_draft *d = g->draft;
        while (strcmp(d->name, net->nodes[specs[i].node].name) != 0)
            d++; /* the description was made of them */
        status = add_tensor(writer, d, &specs[i], g->error);
    }
    mq_free(specs);
    return status;
}

static mq_status save(mq_graph *g, int last, const mq_qonnx_options *options, const char *checkpoint) {
    mq_net *net = NULL;
    mq_bits bits = {0};
    mq_st_writer *writer = NULL;
    mq_status status;
    mark_used(g, last);
    MQ_TRY_GOTO(describe(g, last, options->pixel_divisor, &net, &bits), done);
    const mq_checkpoint_info info = {
        .net = net, .mode = MQ_MODE_FIXED, .share = true, .bits = &bits, .precision = "f32"};
    MQ_TRY_GOTO(mq_st_writer_create(&writer, g->error), done);
    MQ_TRY_GOTO(mq_checkpoint_describe(writer, &info, g->error), done);
    MQ_TRY_GOTO(add_tensors(g, net, writer), done);
    if (checkpoint) status = mq_st_write(writer, checkpoint, g->error);
done:
    mq_st_writer_free(writer);
    mq_net_free(net);
    return status;
}

static size_t table_room(const mq_onnx_model *m) {
    size_t names = m->tensor_count + m->input_count + m->node_count + 2, room = 64;
    while (room < 4 * names) room *= 2;
    return room;
}

static mq_status import(const char *name, const mq_onnx_model *model, const mq_qonnx_options *options,
                        const char *checkpoint, mq_error *error) {
    mq_graph *g;
    int last = 0;
    MQ_TRY(mq_alloc(1, sizeof *g, "an ONNX graph", &g, error));
    g->file = name;
    g->model = model;
    g->error = error;
    g->ours = strcmp(model->producer, "mixq") == 0 || mq_onnx_meta(model, MQ_OWN_GRAPH);
    g->left = MQ_GRAPH_NUMBERS;
    g->room = table_room(model);
    mq_status status = mq_arena_create(&g->arena, error);
    if (status == MQ_OK)
        status = mq_arena_alloc(g->arena, g->room, sizeof *g->table, "an ONNX graph", &g->table, error);
    if (status == MQ_OK) status = walk(g, &last);
    if (status == MQ_OK) status = save(g, last, options, checkpoint);
    mq_arena_destroy(g->arena);
    mq_free(g);
    return status;
}

static mq_status import_model(const char *name, const mq_onnx_model *model, const mq_qonnx_options *options,
                              const char *checkpoint, bool *own, mq_error *error) {
    bool ours;
    if (!(isfinite(options->pixel_divisor) && options->pixel_divisor > 0))
        return mq_fail(error, MQ_USAGE, "pixel divisor: got %g, expected a number above 0",
                       options->pixel_divisor);
    MQ_TRY(mq_own_check(model, &ours, error));
    if (own) *own = ours;
    return ours ? mq_own_restore(model, name, checkpoint, error)
                : import(name, model, options, checkpoint, error);
}

mq_status mq_qonnx_import(const char *path, const mq_qonnx_options *options, const char *checkpoint,
                          bool *own, mq_error *error) {
    const mq_onnx_model *model;
    MQ_TRY(mq_onnx_load(path, &model, error));
    mq_status status = import_model(path, model, options, checkpoint, own, error);
    mq_onnx_free(model);
    return status;
}

mq_status mq_qonnx_import_bytes(const char *name, const void *bytes, size_t size,
                                const mq_qonnx_options *options, const char *checkpoint, bool *own,
                                mq_error *error) {
    const mq_onnx_model *model;
    MQ_TRY(mq_onnx_parse(name, bytes, size, &model, error));
    mq_status status = import_model(name, model, options, checkpoint, own, error);
    mq_onnx_free(model);
    return status;
}
