/* inet_plan.c - choosing, writing, reading and checking plans. */
#include "inet/inet_plan.h"
#include "base/bit_length.h"

#include <stdio.h>
#include <string.h>

#include "pack/packing_file.h"

#define FORMAT "mixq-plan"

enum { VERSION = 1, WHERE = 600, MOST_PARALLEL = 1 << 17 };

static const char *const MULTIPLIERS[] = {"dsp", "lut", NULL},
                         *const REQUANTS[] = {"none", "threshold", "affine", NULL},
                         *const MEMORIES[] = {"block", "logic", NULL};

/* What a plan must know of a layer. */
typedef struct layer_view {
    const mq_inet_node *node;
    const mq_inet_edge *in;
    int kernel_w, stride_w, weight_bits;
    bool narrow, depthwise;
    const int8_t *weight;
    size_t weights;
} layer_view;

static layer_view view(const mq_inet *net, const mq_inet_node *node) {
    layer_view v = {.node = node, .in = &net->nodes[node->input[0]].edge};
    v.weights = mq_inet_weight_count(net, node);
    if (node->kind == MQ_INET_LINEAR) {
        v.kernel_w = v.stride_w = 1; /* pieces of one tap */
        v.weight_bits = node->linear.weight_bits;
        v.narrow = node->linear.weight_narrow;
        v.weight = node->linear.weight;
        return v;
    }
    v.kernel_w = node->conv.kernel_w;
    v.stride_w = node->conv.stride_w;
    v.weight_bits = node->conv.weight_bits;
    v.narrow = node->conv.weight_narrow;
    v.depthwise = node->conv.groups > 1 && node->conv.groups == v.in->c;
    v.weight = node->conv.weight;
    return v;
}

static bool is_layer(const mq_inet_node *node) {
    return node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR;
}

const mq_plan_layer *mq_inet_plan_layer(const mq_inet_plan *plan, int node) {
    for (int i = 0; i < plan->count; i++)
        if (plan->layer[i].node == node) return &plan->layer[i];
    return NULL;
}

static mq_status make(const mq_inet *net, mq_inet_plan **out, mq_error *error) {
    mq_inet_plan *plan;
    int layers = 0;
    *out = NULL;
    for (int i = 0; i < net->node_count; i++) layers += is_layer(&net->nodes[i]);
    MQ_TRY(mq_alloc(1, sizeof *plan, "a plan", &plan, error));
    plan->count = layers;
    snprintf(plan->network, sizeof plan->network, "%s", net->sha256);
    mq_status status = mq_alloc((size_t)layers, sizeof *plan->layer, "a plan", &plan->layer, error);
    if (status != MQ_OK) {
        mq_free(plan);
        return status;
    }
    for (int i = 0, n = 0; i < net->node_count; i++)
        if (is_layer(&net->nodes[i]))
            plan->layer[n++] = (mq_plan_layer){
                .node = i, .chain = 1, .simd = 1, .pe = 1, .rows = 1, .blocks = 1, .out_pixels = 1};
    plan->in_pixels = 1;
    *out = plan;
    return MQ_OK;
}

void mq_inet_plan_free(mq_inet_plan *plan) {
    if (!plan) return;
    mq_free(plan->layer);
    mq_free(plan->stream);
    mq_free(plan);
}

/* ---- choosing ---- */

static mq_status choose(const mq_inet *net, mq_pack_explorer *explorer, mq_pack_request request,
                        mq_plan_layer *out, mq_error *error) {
    layer_view v = view(net, &net->nodes[out->node]);
    mq_pack_built built;
    if (v.in->low < 0 || v.in->high >= 1 << MQ_PACK_BITS) {
        out->multiplier = MQ_PLAN_LUT;
        return MQ_OK;
    }
    request.wbit = v.weight_bits;
    request.abit = v.in->high > 0 ? mq_bit_length(v.in->high) : 1;
    if (v.in->bits > request.abit && v.in->bits <= MQ_PACK_BITS) request.abit = v.in->bits;
    request.kernel = v.stride_w > 1 ? 1 : v.kernel_w;
    request.symmetric = v.narrow && v.weight_bits > 1;
    request.depthwise = v.depthwise;
    /* mq_pack_build takes kernel x kernel taps of so many channels: as many products as an output has */
    size_t products = v.weights / (size_t)v.node->edge.c, taps = (size_t)(request.kernel * request.kernel);
    request.channels = v.depthwise ? 0 : (int)((products + taps - 1) / taps);
    MQ_TRY(mq_pack_build(explorer, &request, &built, error));
    out->kinds = built.kinds;
    out->chain = built.chain;
    for (int i = 0; i < built.kinds; i++)
        out->piece[i] = (mq_plan_piece){built.count[i], built.taps[i], *built.packing[i]};
    if (v.stride_w > 1) out->piece[0].count = v.kernel_w; /* taps one by one */
    return MQ_OK;
}

mq_status mq_inet_plan_choose(const mq_inet *net, const mq_dsp *dsp, mq_pack_class class, mq_inet_plan **out,
                              mq_error *error) {
    mq_pack_explorer *explorer;
    mq_pack_request request = {.dsp = *dsp, .class = class, .stride = 1, .cycles = 1, .lut_price = -1};
    MQ_TRY(make(net, out, error));
    (*out)->dsp = *dsp;
    mq_status status = mq_pack_explorer_create(&explorer, error);
    for (int i = 0; i < (*out)->count && status == MQ_OK; i++) {
        status = choose(net, explorer, request, &(*out)->layer[i], error);
        if (status != MQ_OK)
            status = mq_fail_context(error, status, "layer %s", net->nodes[(*out)->layer[i].node].name);
    }
    mq_pack_explorer_free(explorer);
    if (status != MQ_OK) {
        mq_inet_plan_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- checking ---- */

/* Every step of every group stands on the port exactly once: no tap, output channel or pixel is forgotten or
 * counted twice. */
static bool complete(const mq_pack_operand *operand, int count) {
    int groups = 0, steps = 0;
    for (int i = 0; i < count; i++) {
        if (operand[i].group >= groups) groups = operand[i].group + 1;
        if (operand[i].step >= steps) steps = operand[i].step + 1;
        for (int k = 0; k < i; k++)
            if (operand[k].group == operand[i].group && operand[k].step == operand[i].step) return false;
    }
    return groups * steps == count;
}

/* The pieces cover a kernel row, and the packings take every weight and code. */
static mq_status check(const mq_inet *net, const mq_plan_layer *l, const char *where, mq_error *error) {
    layer_view v = view(net, &net->nodes[l->node]);
    int taps = 0, last = 0;
    if (l->multiplier == MQ_PLAN_LUT) return MQ_OK;
    for (int i = 0; i < l->kinds; i++) {
        const mq_plan_piece *piece = &l->piece[i];
        const mq_packing *p = &piece->packing;
        int deepest = 0;
        for (int k = 0; k < p->weights; k++)
            if (p->weight[k].step > deepest) deepest = p->weight[k].step;
        if (deepest + 1 != piece->taps)
            return mq_fail(error, MQ_BAD_INPUT, "%s: row[%d]: %d taps, but its weights have steps up to %d",
                           where, i, piece->taps, deepest);
        if (!complete(p->weight, p->weights) || !complete(p->activation, p->activations))
            return mq_fail(error, MQ_BAD_INPUT, "%s: row[%d]: %s: every step of every group expected once",
                           where, i, complete(p->weight, p->weights) ? "activations" : "weights");
        if (piece->taps > 1 && v.stride_w > 1)
            return mq_fail(error, MQ_BAD_INPUT, "%s: row[%d]: %d taps in one slice need stride 1, got %d",
                           where, i, piece->taps, v.stride_w);
        if (p->accumulations < l->chain)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: row[%d]: %d slices in cascade, the packing holds %lld accumulations", where,
                           i, l->chain, (long long)p->accumulations);
        if (v.in->low < 0 || v.in->high > p->activation_codes.high)
            return mq_fail(error, MQ_BAD_INPUT, "%s: row[%d]: codes %lld..%lld, the packing takes 0..%d",
                           where, i, (long long)v.in->low, (long long)v.in->high, p->activation_codes.high);
        for (size_t k = 0; k < v.weights; k++)
            if (v.weight[k] < p->weight_codes.low || v.weight[k] > p->weight_codes.high)
                return mq_fail(error, MQ_BAD_INPUT, "%s: row[%d]: weight %zu is %d, the packing takes %d..%d",
                               where, i, k, v.weight[k], p->weight_codes.low, p->weight_codes.high);
        taps += piece->count * piece->taps;
        last = piece->taps;
    }
    if (taps < v.kernel_w || taps - last >= v.kernel_w)
        return mq_fail(error, MQ_BAD_INPUT, "%s: pieces of %d taps together, a kernel row has %d", where,
                       taps, v.kernel_w);
    return MQ_OK;
}

/* ---- plan.json ---- */

static json_t *hardware_json(const mq_plan_layer *l) {
    return json_pack("{s:i, s:i, s:i, s:s, s:i, s:s}", "rows", l->rows, "blocks", l->blocks, "out_pixels",
                     l->out_pixels, "requant", REQUANTS[l->requant], "lanes", l->lanes, "weights",
                     MEMORIES[l->memory]);
}

static json_t *accelerator_json(const mq_inet *net, const mq_inet_plan *plan) {
    json_t *streams = json_array();
    for (int i = 0; i < plan->streams; i++)
        json_array_append_new(streams,
                              json_pack("{s:s, s:s, s:I}", "from", net->nodes[plan->stream[i].from].name,
                                        "to", net->nodes[plan->stream[i].to].name, "depth",
                                        (json_int_t)plan->stream[i].depth));
    return json_pack("{s:s, s:f, s:i, s:o}", "device", plan->device, "clock_mhz", plan->clock_mhz,
                     "in_pixels", plan->in_pixels, "streams", streams);
}

static json_t *layer_json(const mq_inet *net, const mq_plan_layer *l) {
    json_t *row = json_array();
    for (int i = 0; i < l->kinds; i++)
        json_array_append_new(row,
                              json_pack("{s:i, s:i, s:o}", "count", l->piece[i].count, "taps",
                                        l->piece[i].taps, "packing", mq_packing_json(&l->piece[i].packing)));
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "layer", net->nodes[l->node].name, "multiplier",
                     MULTIPLIERS[l->multiplier], "simd", l->simd, "pe", l->pe, "chain", l->chain, "row", row);
}

mq_status mq_inet_plan_save(const mq_inet_plan *plan, const mq_inet *net, const char *path, mq_error *error) {
    json_t *layers = json_array();
    for (int i = 0; i < plan->count; i++) {
        json_t *layer = layer_json(net, &plan->layer[i]);
        if (plan->device[0]) json_object_set_new(layer, "hardware", hardware_json(&plan->layer[i]));
        json_array_append_new(layers, layer);
    }
    json_t *root = json_pack("{s:s, s:i, s:s, s:s, s:o}", "format", FORMAT, "version", VERSION, "network",
                             plan->network, "dsp", plan->dsp.name, "layers", layers);
    if (!root) return mq_fail_memory(error, "a plan", 0);
    if (plan->device[0]) json_object_set_new(root, "accelerator", accelerator_json(net, plan));
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

static mq_status read_pieces(const json_t *object, const char *where, const mq_dsp *dsp, mq_plan_layer *out,
                             mq_error *error) {
    static const char *const keys[] = {"count", "taps", "packing", NULL};
    json_t *row;
    MQ_TRY(mq_json_array(object, where, "row", &row, error));
    size_t kinds = json_array_size(row);
    bool dsps = out->multiplier == MQ_PLAN_DSP;
    if (dsps ? kinds < 1 || kinds > MQ_BUILT_PIECES : kinds > 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: row: got %zu kinds of pieces, expected %s", where, kinds,
                       dsps ? "1 or 2" : "none for LUT multipliers");
    for (size_t i = 0; i < kinds; i++) {
        char inside[WHERE + 16];
        json_t *one = json_array_get(row, i), *packing;
        int64_t count, taps;
        snprintf(inside, sizeof inside, "%s: row[%zu]", where, i);
        if (!json_is_object(one)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", inside);
        MQ_TRY(mq_json_keys(one, inside, keys, error));
        MQ_TRY(mq_json_int(one, inside, "count", 1, MQ_INET_MAX_KERNEL, &count, error));
        MQ_TRY(mq_json_int(one, inside, "taps", 1, MQ_PACK_TAPS, &taps, error));
        MQ_TRY(mq_json_object(one, inside, "packing", &packing, error));
        mq_plan_piece *piece = &out->piece[i];
        piece->count = (int)count;
        piece->taps = (int)taps;
        MQ_TRY(mq_packing_read(packing, inside, &piece->packing, error));
        if (strcmp(piece->packing.dsp.name, dsp->name) != 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: a packing for %s in a plan for %s", inside,
                           piece->packing.dsp.name, dsp->name);
    }
    out->kinds = (int)kinds;
    return MQ_OK;
}

/* One of a list of words that ends with NULL. */
static mq_status read_word(const json_t *object, const char *where, const char *key, const char *const *words,
                           int *out, mq_error *error) {
    const char *got;
    char expected[64] = "";
    MQ_TRY(mq_json_string(object, where, key, &got, error));
    for (int i = 0; words[i]; i++) {
        if (strcmp(got, words[i]) == 0) {
            *out = i;
            return MQ_OK;
        }
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i ? ", " : "", words[i]);
    }
    return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got '%.60s', expected one of %s", where, key, got, expected);
}

/* How a stage is folded: what must divide is checked here, what its streams allow by the generator. */
static mq_status read_hardware(const json_t *layer, const mq_inet *net, const char *where, mq_plan_layer *out,
                               mq_error *error) {
    static const char *const keys[] = {"rows", "blocks", "out_pixels", "requant", "lanes", "weights", NULL};
    json_t *object;
    int64_t rows, blocks, pixels, lanes;
    int requant, memory;
    MQ_TRY(mq_json_object(layer, where, "hardware", &object, error));
    MQ_TRY(mq_json_keys(object, where, keys, error));
    MQ_TRY(mq_json_int(object, where, "rows", 1, MQ_INET_MAX_KERNEL, &rows, error));
    MQ_TRY(mq_json_int(object, where, "blocks", 1, MQ_INET_MAX_SIDE, &blocks, error));
    MQ_TRY(mq_json_int(object, where, "out_pixels", 1, MQ_INET_MAX_SIDE, &pixels, error));
    MQ_TRY(mq_json_int(object, where, "lanes", 0, MOST_PARALLEL, &lanes, error));
    MQ_TRY(read_word(object, where, "requant", REQUANTS, &requant, error));
    MQ_TRY(read_word(object, where, "weights", MEMORIES, &memory, error));
    const mq_inet_node *node = &net->nodes[out->node];
    int kernel = node->kind == MQ_INET_CONV ? node->conv.kernel_h : 1;
    if (kernel % rows)
        return mq_fail(error, MQ_BAD_INPUT, "%s: rows: got %d, expected a divisor of %d (kernel rows)", where,
                       (int)rows, kernel);
    if (requant == MQ_PLAN_AFFINE ? lanes < 1 || out->pe * pixels % lanes : lanes != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: lanes: got %d, expected %s", where, (int)lanes,
                       requant == MQ_PLAN_AFFINE ? "a divisor of pe * out_pixels" : "0 but for affine");
    out->rows = (int)rows;
    out->blocks = (int)blocks;
    out->out_pixels = (int)pixels;
    out->lanes = (int)lanes;
    out->requant = (mq_plan_requant)requant;
    out->memory = (mq_plan_memory)memory;
    return MQ_OK;
}

static mq_status read_node(const json_t *object, const char *where, const char *key, const mq_inet *net,
                           int *out, mq_error *error) {
    const char *name;
    MQ_TRY(mq_json_string(object, where, key, &name, error));
    *out = mq_inet_find(net, name);
    if (*out < 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: no node '%.60s' in the network", where, key, name);
    return MQ_OK;
}

static mq_status read_accelerator(const json_t *root, const char *path, const mq_inet *net, mq_inet_plan *out,
                                  mq_error *error) {
    static const char *const keys[] = {"device", "clock_mhz", "in_pixels", "streams", NULL};
    static const char *const stream_keys[] = {"from", "to", "depth", NULL};
    const char *device;
    json_t *object, *streams;
    int64_t pixels;
    char where[WHERE];
    snprintf(where, sizeof where, "%.400s: accelerator", path);
    MQ_TRY(mq_json_object(root, path, "accelerator", &object, error));
    MQ_TRY(mq_json_keys(object, where, keys, error));
    MQ_TRY(mq_json_string(object, where, "device", &device, error));
    if (device[0] == 0 || strlen(device) >= sizeof out->device)
        return mq_fail(error, MQ_BAD_INPUT, "%s: device: got '%.60s', expected a name of 1 to %zu characters",
                       where, device, sizeof out->device - 1);
    snprintf(out->device, sizeof out->device, "%s", device);
    MQ_TRY(mq_json_double(object, where, "clock_mhz", &out->clock_mhz, error));
    if (!(out->clock_mhz > 0))
        return mq_fail(error, MQ_BAD_INPUT, "%s: clock_mhz: got %g, expected a positive number", where,
                       out->clock_mhz);
    MQ_TRY(mq_json_int(object, where, "in_pixels", 1, MQ_INET_MAX_SIDE, &pixels, error));
    out->in_pixels = (int)pixels;
    MQ_TRY(mq_json_array(object, where, "streams", &streams, error));
    size_t count = json_array_size(streams);
    if (count > MQ_PLAN_STREAMS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: streams: got %zu, at most %d", where, count,
                       MQ_PLAN_STREAMS);
    if (count) MQ_TRY(mq_alloc(count, sizeof *out->stream, "streams", &out->stream, error));
    for (size_t i = 0; i < count; i++) {
        mq_plan_stream *s = &out->stream[i];
        json_t *one = json_array_get(streams, i);
        char inside[WHERE + 24];
        snprintf(inside, sizeof inside, "%s: streams[%zu]", where, i);
        if (!json_is_object(one)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", inside);
        MQ_TRY(mq_json_keys(one, inside, stream_keys, error));
        MQ_TRY(read_node(one, inside, "from", net, &s->from, error));
        MQ_TRY(read_node(one, inside, "to", net, &s->to, error));
        MQ_TRY(mq_json_int(one, inside, "depth", 0, MQ_INET_MAX_EDGE, &s->depth, error));
        bool edge = false;
        for (int k = 0; k < net->nodes[s->to].input_count; k++)
            edge = edge || net->nodes[s->to].input[k] == s->from;
        if (!edge)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s does not read %s", inside, net->nodes[s->to].name,
                           net->nodes[s->from].name);
        out->streams = (int)i + 1;
    }
    return MQ_OK;
}

static mq_status read_layer(const json_t *object, const mq_inet *net, const char *path, const mq_dsp *dsp,
                            mq_plan_layer *out, mq_error *error) {
    static const char *const keys[] = {"layer", "multiplier", "simd", "pe", "chain", "row", "hardware", NULL};
    const char *name, *expected = net->nodes[out->node].name;
    char where[WHERE];
    int64_t simd, pe, chain;
    snprintf(where, sizeof where, "%.400s: layer %s", path, expected);
    if (!json_is_object(object)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", where);
    MQ_TRY(mq_json_keys(object, where, keys, error));
    MQ_TRY(mq_json_string(object, where, "layer", &name, error));
    if (strcmp(name, expected) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: layer: got '%.60s' in its place", where, name);
    int multiplier;
    MQ_TRY(read_word(object, where, "multiplier", MULTIPLIERS, &multiplier, error));
    out->multiplier = (mq_plan_multiplier)multiplier;
    MQ_TRY(mq_json_int(object, where, "simd", 1, MOST_PARALLEL, &simd, error));
    MQ_TRY(mq_json_int(object, where, "pe", 1, MOST_PARALLEL, &pe, error));
    MQ_TRY(mq_json_int(object, where, "chain", 1, 1 << 24, &chain, error));
    out->simd = (int)simd;
    out->pe = (int)pe;
    out->chain = (int)chain;
    MQ_TRY(read_pieces(object, where, dsp, out, error));
    if (json_object_get(object, "hardware")) MQ_TRY(read_hardware(object, net, where, out, error));
    return check(net, out, where, error);
}

static mq_status read_plan(const json_t *root, const char *path, const mq_inet *net, mq_inet_plan *out,
                           mq_error *error) {
    static const char *const keys[] = {"format", "version", "network", "dsp", "layers", "accelerator", NULL};
    const char *format, *network, *dsp;
    int64_t version;
    json_t *layers;
    if (!json_is_object(root)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", path);
    MQ_TRY(mq_json_keys(root, path, keys, error));
    MQ_TRY(mq_json_string(root, path, "format", &format, error));
    if (strcmp(format, FORMAT) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%.60s', expected '" FORMAT "'", path, format);
    MQ_TRY(mq_json_int(root, path, "version", VERSION, VERSION, &version, error));
    MQ_TRY(mq_json_string(root, path, "network", &network, error));
    if (strcmp(network, net->sha256) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: network: a plan for %.16s..., the network is %.16s...", path,
                       network, net->sha256);
    MQ_TRY(mq_json_string(root, path, "dsp", &dsp, error));
    mq_status status = mq_dsp_find(dsp, &out->dsp, error);
    if (status != MQ_OK) return mq_fail_context(error, mq_input_status(status), "%s: dsp", path);
    MQ_TRY(mq_json_array(root, path, "layers", &layers, error));
    if (json_array_size(layers) != (size_t)out->count)
        return mq_fail(error, MQ_BAD_INPUT, "%s: layers: got %zu, the network has %d", path,
                       json_array_size(layers), out->count);
    for (int i = 0; i < out->count; i++)
        MQ_TRY(read_layer(json_array_get(layers, (size_t)i), net, path, &out->dsp, &out->layer[i], error));
    if (json_object_get(root, "accelerator")) return read_accelerator(root, path, net, out, error);
    return MQ_OK;
}

mq_status mq_inet_plan_load(const char *path, const mq_inet *net, mq_inet_plan **out, mq_error *error) {
    json_t *root;
    *out = NULL;
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = make(net, out, error);
    if (status == MQ_OK) status = read_plan(root, path, net, *out, error);
    json_decref(root);
    if (status != MQ_OK) {
        mq_inet_plan_free(*out);
        *out = NULL;
    }
    return status;
}
