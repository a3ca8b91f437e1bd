/* hls_net.c - stages, streams and accumulators of an HLS accelerator. */
#include "gen/hls_net.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"

static const char *name_of(const mq_hls_net *h, const mq_hls_stage *s) {
    return h->net->nodes[s->node].name;
}

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

/* Bits of a code on a stream: a RESCALE may leave the range of its type. */
static int stream_bits(const mq_inet_edge *e) {
    int needed = e->is_signed ? e->bits : mq_bit_length(e->high);
    return needed > e->bits ? needed : e->bits;
}

/* Words of C++, macros, files and names of the generated sources (hls_build.c, hls_layer.c). */
static bool is_reserved(const char *name) {
    static const char *const words[] = {"alignas",      "alignof",
                                        "and",          "asm",
                                        "assert",       "auto",
                                        "axis",         "bench",
                                        "bitand",       "bitor",
                                        "bool",         "break",
                                        "case",         "catch",
                                        "char",         "class",
                                        "co_await",     "co_return",
                                        "co_yield",     "compl",
                                        "concept",      "const",
                                        "consteval",    "constexpr",
                                        "constinit",    "continue",
                                        "decltype",     "default",
                                        "delete",       "do",
                                        "double",       "else",
                                        "enum",         "errno",
                                        "explicit",     "export",
                                        "extern",       "false",
                                        "float",        "for",
                                        "friend",       "goto",
                                        "hls",          "if",
                                        "inline",       "int",
                                        "layers",       "linux",
                                        "long",         "main",
                                        "mutable",      "namespace",
                                        "new",          "noexcept",
                                        "not",          "nullptr",
                                        "operator",     "or",
                                        "packing0",     "packing1",
                                        "private",      "protected",
                                        "public",       "register",
                                        "requant",      "requires",
                                        "return",       "shape",
                                        "short",        "signed",
                                        "sizeof",       "static",
                                        "std",          "stderr",
                                        "stdin",        "stdout",
                                        "struct",       "switch",
                                        "template",     "this",
                                        "throw",        "top",
                                        "true",         "try",
                                        "typedef",      "typeid",
                                        "typename",     "union",
                                        "unix",         "unsigned",
                                        "using",        "virtual",
                                        "void",         "volatile",
                                        "while",        "xor",
                                        "and_eq",       "not_eq",
                                        "or_eq",        "xor_eq",
                                        "char8_t",      "char16_t",
                                        "char32_t",     "const_cast",
                                        "dynamic_cast", "static_assert",
                                        "wchar_t",      "reinterpret_cast",
                                        "static_cast",  "thread_local"};
    static const char *const begins[] = {"mixq", "ap_", "s_", "f_", "table_", "requant_", "hls_"};
    bool small = false;
    for (const char *c = name; *c; c++) small = small || islower((unsigned char)*c);
    if (!small) return true; /* as macros are written */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0) return true;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(begins[i], name, strlen(begins[i])) == 0) return true;
    return false;
}

static bool taken(const mq_hls_net *h, const mq_hls_stage *s) {
    for (const mq_hls_stage *t = h->stage; t < s; t++)
        if (strcmp(t->id, s->id) == 0) return true;
    return false;
}

static void make_id(const mq_hls_net *h, mq_hls_stage *s) {
    char clean[MQ_INET_MAX_NAME + 2];
    const char *name = name_of(h, s);
    snprintf(clean, sizeof clean, "%s%s", isalpha((unsigned char)name[0]) ? "" : "n", name);
    for (char *c = clean; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    snprintf(s->id, sizeof s->id, "%s%s", is_reserved(clean) ? "layer_" : "", clean);
    size_t n = strlen(s->id);
    for (int number = s->node; taken(h, s); number++) snprintf(s->id + n, sizeof s->id - n, "_%d", number);
}

/* The stage whose result node n reads. */
static int stage_of(const mq_hls_net *h, int n) {
    for (int i = 0; i < h->count; i++)
        if (h->stage[i].result == n) return i;
    return -1;
}

/* ---- weights ---- */

int mq_hls_zero(const mq_hls_stage *s) {
    return s->layer->kinds ? s->layer->piece[0].packing.activation[0].zero : 0;
}

int mq_hls_weight(const mq_hls_net *h, const mq_hls_stage *s, int out, int channel, int ky, int kx) {
    const mq_inet_node *n = &h->net->nodes[s->node];
    const mq_inet_edge *in = &h->net->nodes[n->input[0]].edge;
    if (out >= n->edge.c || kx >= s->shape.kernel_w) return 0;
    if (n->kind == MQ_INET_LINEAR) {
        const mq_stream *b = &h->stage[s->input[0]].out;
        int each = b->channels * b->pixels, xs = ceil_div(b->w, b->pixels), gs = ceil_div(b->c, b->channels);
        int beat = channel / each, c = channel % each % b->channels, p = channel % each / b->channels;
        int y = beat / (xs * gs), x = beat % xs * b->pixels + p;
        c += beat / xs % gs * b->channels;
        if (y >= in->h || c >= in->c || x >= in->w) return 0;
        size_t inputs = (size_t)in->c * (size_t)in->h * (size_t)in->w;
        return n->linear.weight[(size_t)out * inputs +
                                ((size_t)c * (size_t)in->h + (size_t)y) * (size_t)in->w + (size_t)x];
    }
    const mq_inet_conv *v = &n->conv;
    int channels = s->shape.depthwise ? 1 : in->c;
    if (s->shape.depthwise) channel = 0;
    if (channel >= channels) return 0;
    return v->weight[(((size_t)out * (size_t)channels + (size_t)channel) * (size_t)v->kernel_h + (size_t)ky) *
                         (size_t)v->kernel_w +
                     (size_t)kx];
}

/* Sums of weights by tap; from them what borders and recentring leave, and how wide accumulators get. */
static mq_status constants(mq_hls_net *h, mq_hls_stage *s, mq_error *error) {
    const mq_inet_node *n = &h->net->nodes[s->node];
    const int64_t *bias = n->kind == MQ_INET_LINEAR ? n->linear.bias : n->conv.bias;
    int channels = mq_hls_channels(s), taps = s->shape.kernel_w, zero = mq_hls_zero(s);
    int inputs = s->shape.depthwise ? 1 : s->shape.in_c;
    size_t all = (size_t)channels;
    MQ_TRY(mq_arena_alloc(h->arena, all * (size_t)taps, sizeof *s->left, "borders", &s->left, error));
    MQ_TRY(mq_arena_alloc(h->arena, all * (size_t)taps, sizeof *s->right, "borders", &s->right, error));
    MQ_TRY(mq_arena_alloc(h->arena, all, sizeof *s->constant, "constants", &s->constant, error));
    int64_t low = 0, high = 0;
    for (int o = 0; o < channels; o++) {
        int64_t tap[MQ_INET_MAX_KERNEL] = {0}, whole = 0;
        for (int c = 0; c < inputs && o < n->edge.c; c++)
            for (int ky = 0; ky < s->shape.kernel_h; ky++)
                for (int kx = 0; kx < taps; kx++) tap[kx] += mq_hls_weight(h, s, o, c, ky, kx);
        for (int v = 0; v < taps - 1; v++)
            for (int kx = 0; kx <= taps - 2 - v; kx++) s->left[(size_t)v * all + (size_t)o] -= zero * tap[kx];
        for (int v = 0; v < s->shape.lead; v++)
            for (int kx = taps - 1 - v; kx < taps; kx++)
                s->right[(size_t)v * all + (size_t)o] -= zero * tap[kx];
        for (int kx = 0; kx < taps; kx++) whole += tap[kx];
        s->constant[o] = zero * whole;
        if (o >= n->edge.c) continue;
        if (bias) s->constant[o] += bias[o];
        if (n->edge.channel_low[o] - s->constant[o] < low) low = n->edge.channel_low[o] - s->constant[o];
        if (n->edge.channel_high[o] - s->constant[o] > high) high = n->edge.channel_high[o] - s->constant[o];
    }
    int64_t reach = high > -low ? high : -low;
    s->acc_bits = mq_bit_length(reach) + 1;
    if (s->acc_bits > 60)
        return mq_fail(error, MQ_BAD_INPUT, "%s: accumulators of %d bits, at most 60", n->name, s->acc_bits);
    if (s->head && n->edge.bits > MQ_HLS_HEAD_BITS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: the last layer's accumulators take %d bits, at most %d",
                       n->name, n->edge.bits, MQ_HLS_HEAD_BITS);
    return MQ_OK;
}

/* ---- stages ---- */

static mq_status layer(mq_hls_net *h, mq_hls_stage *s, mq_error *error) {
    const mq_inet *net = h->net;
    const mq_inet_node *n = &net->nodes[s->node];
    s->layer = mq_inet_plan_layer(h->plan, s->node);
    if (!s->layer) return mq_fail(error, MQ_BAD_INPUT, "%s: not in the plan", n->name);
    int next = -1;
    for (int i = net->node_count - 1; i > s->node; i--)
        for (int k = 0; k < net->nodes[i].input_count; k++) {
            if (net->nodes[i].input[k] != s->node) continue;
            mq_inet_kind kind = net->nodes[i].kind;
            if (kind != MQ_INET_REQUANT && (kind != MQ_INET_OUTPUT || n->consumers > 1))
                return mq_fail(
                    error, MQ_BAD_INPUT,
                    "%s: %s reads its accumulators; stages are built with requantisers, or as the last layer",
                    n->name, net->nodes[i].name);
            next = i;
        }
    s->head = net->nodes[next].kind == MQ_INET_OUTPUT;
    s->result = s->head ? s->node : next;
    const mq_stream *in = &h->stage[s->input[0]].out;
    MQ_TRY(mq_stage_make(net, s->layer, in, &s->shape, error));
    const mq_stage *g = &s->shape;
    if (g->lead < 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: padding of %d columns for a kernel of %d", n->name,
                       g->pad_left, g->kernel_w);
    if (g->pad_top >= g->kernel_h && !g->linear)
        return mq_fail(error, MQ_BAD_INPUT, "%s: padding of %d rows for a kernel of %d", n->name, g->pad_top,
                       g->kernel_h);
    if (g->out_w > g->in_blocks * g->npx)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d output columns, its %d blocks of %d pixels have %d",
                       n->name, g->out_w, g->in_blocks, g->npx, g->in_blocks * g->npx);
    if (g->npx % s->layer->out_pixels)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: out_pixels: got %d, expected a divisor of its blocks of %d pixels", n->name,
                       s->layer->out_pixels, g->npx);
    if (g->depthwise && g->weight_groups != 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a packing of %d output channels for a depthwise layer",
                       n->name, g->weight_groups);
    const mq_inet_edge *e = &net->nodes[s->result].edge;
    s->out = (mq_stream){.h = g->out_h,
                         .w = g->out_w,
                         .c = g->out_c,
                         .channels = s->layer->pe,
                         .pixels = s->layer->out_pixels,
                         .bits = s->head ? MQ_HLS_HEAD_BITS : e->bits,
                         .is_signed = s->head || e->is_signed};
    return constants(h, s, error);
}

static mq_status pool(const mq_hls_net *h, mq_hls_stage *s, mq_error *error) {
    const mq_inet_node *n = &h->net->nodes[s->node];
    int k = n->pool.kernel;
    const mq_stream *in = &h->stage[s->input[0]].out;
    if (n->pool.stride != k)
        return mq_fail(error, MQ_BAD_INPUT, "%s: kernel %d, stride %d; stages are built for equal ones",
                       n->name, k, n->pool.stride);
    if (in->pixels != 1 && in->pixels % k)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d pixels, expected 1 or a multiple of %d", n->name,
                       in->pixels, k);
    if (mq_stream_row_beats(in) < MQ_HLS_POOL_BEATS)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: rows of %lld beats, at least %d expected in HLS C++, where a row's memory is "
                       "read soon after it was "
                       "written: a lower --target-fps makes more of them",
                       n->name, (long long)mq_stream_row_beats(in), MQ_HLS_POOL_BEATS);
    s->out = *in;
    s->out.h = n->edge.h, s->out.w = n->edge.w;
    if (in->pixels > 1) s->out.pixels = in->pixels / k;
    return MQ_OK;
}

static mq_status reorg(const mq_hls_net *h, mq_hls_stage *s, mq_error *error) {
    const mq_inet_node *n = &h->net->nodes[s->node];
    const mq_stream *in = &h->stage[s->input[0]].out;
    if (in->pixels > 1 && in->pixels % 2)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d pixels, expected 1 or an even number", n->name,
                       in->pixels);
    if (in->c % in->channels)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %d channels in beats of %d: padding would stand between them", n->name, in->c,
                       in->channels);
    s->out = *in;
    s->out.h = n->edge.h, s->out.w = n->edge.w, s->out.c = n->edge.c;
    if (in->pixels > 1) s->out.pixels = in->pixels / 2;
    return MQ_OK;
}

static mq_status concat(const mq_hls_net *h, mq_hls_stage *s, mq_error *error) {
    const mq_inet_node *n = &h->net->nodes[s->node];
    const mq_stream *first = &h->stage[s->input[0]].out;
    s->out = *first;
    s->out.c = n->edge.c;
    for (int i = 0; i < s->inputs; i++) {
        const mq_stream *in = &h->stage[s->input[i]].out;
        if (in->channels != first->channels || in->pixels != first->pixels)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: input %d has beats of %d channels x %d pixels, input 0 of %d x %d", n->name,
                           i, in->channels, in->pixels, first->channels, first->pixels);
        if (i + 1 < s->inputs && in->c % in->channels)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: input %d: %d channels in beats of %d: padding would stand between them",
                           n->name, i, in->c, in->channels);
        if (in->is_signed != first->is_signed)
            return mq_fail(error, MQ_BAD_INPUT, "%s: signed and unsigned codes", n->name);
        if (in->bits > s->out.bits) s->out.bits = in->bits;
    }
    return MQ_OK;
}

/* A second requantiser of a layer, beside the first. */
static void add_beside(mq_hls_net *h, int node) {
    const mq_inet_node *n = &h->net->nodes[node];
    mq_hls_stage *s = &h->stage[h->count];
    int owner = 0;
    while (h->stage[owner].node != n->input[0]) owner++;
    *s = h->stage[owner];
    s->node = s->result = node;
    s->beside = owner;
    s->inputs = s->readers = 0;
    s->out.bits = n->edge.bits;
    s->out.is_signed = n->edge.is_signed;
    make_id(h, s);
    h->count++;
}

static mq_status add_stage(mq_hls_net *h, int node, mq_error *error) {
    const mq_inet_node *n = &h->net->nodes[node];
    mq_hls_stage *s = &h->stage[h->count];
    *s = (mq_hls_stage){.node = node, .result = node, .inputs = n->input_count, .beside = -1};
    make_id(h, s);
    for (int i = 0; i < n->input_count; i++) {
        s->input[i] = stage_of(h, n->input[i]);
        if (s->input[i] < 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: reads accumulators of %s", n->name,
                           h->net->nodes[n->input[i]].name);
        h->stage[s->input[i]].readers++;
    }
    switch (n->kind) {
    case MQ_INET_IMAGE:
        s->out = (mq_stream){.h = n->edge.h,
                             .w = n->edge.w,
                             .c = n->edge.c,
                             .channels = n->edge.c,
                             .pixels = h->plan->in_pixels,
                             .bits = n->edge.bits};
        break;
    case MQ_INET_CONV:
    case MQ_INET_LINEAR:
        MQ_TRY(layer(h, s, error));
        break;
    case MQ_INET_MAX_POOL:
        MQ_TRY(pool(h, s, error));
        break;
    case MQ_INET_REORG:
        MQ_TRY(reorg(h, s, error));
        break;
    case MQ_INET_CONCAT:
        MQ_TRY(concat(h, s, error));
        break;
    case MQ_INET_RESCALE:
        s->out = h->stage[s->input[0]].out;
        s->out.bits = stream_bits(&n->edge);
        if (s->out.is_signed || h->stage[s->input[0]].out.bits > 12)
            return mq_fail(error, MQ_BAD_INPUT, "%s: a table of unsigned codes up to 12 bits expected",
                           n->name);
        break;
    default:
        return mq_fail(error, MQ_BAD_INPUT, "%s: no stage is built for a %s here", n->name,
                       mq_inet_kind_name(n->kind));
    }
    int bits = s->out.channels * s->out.pixels * s->out.bits;
    if (bits > MQ_HLS_WORD)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d bits, at most %d", n->name, bits, MQ_HLS_WORD);
    h->count++;
    return MQ_OK;
}

static mq_status create(mq_hls_net *h, mq_error *error) {
    const mq_inet *net = h->net;
    if (strcmp(h->plan->network, net->sha256) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "the plan is for network %.16s, not %.16s", h->plan->network,
                       net->sha256);
    MQ_TRY(mq_arena_alloc(h->arena, (size_t)net->node_count, sizeof *h->stage, "stages", &h->stage, error));
    for (int i = 0; i < net->node_count; i++) {
        mq_inet_kind kind = net->nodes[i].kind;
        if (kind == MQ_INET_OUTPUT) continue;
        if (kind == MQ_INET_REQUANT && stage_of(h, i) >= 0) continue;
        const mq_inet_kind before = i ? net->nodes[net->nodes[i].input[0]].kind : MQ_INET_IMAGE;
        if (kind == MQ_INET_REQUANT && (before == MQ_INET_CONV || before == MQ_INET_LINEAR)) {
            add_beside(h, i);
            continue;
        }
        MQ_TRY(add_stage(h, i, error));
    }
    if (!h->stage[h->count - 1].head)
        return mq_fail(error, MQ_BAD_INPUT, "%s: the last stage is no layer without requantiser",
                       name_of(h, &h->stage[h->count - 1]));
    return MQ_OK;
}

mq_status mq_hls_net_create(const mq_inet *net, const mq_inet_plan *plan, mq_hls_net **out, mq_error *error) {
    mq_hls_net *h;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *h, "an accelerator", &h, error));
    h->net = net;
    h->plan = plan;
    mq_status status = mq_arena_create(&h->arena, error);
    if (status == MQ_OK) status = create(h, error);
    if (status != MQ_OK) {
        mq_hls_net_free(h);
        return status;
    }
    *out = h;
    return MQ_OK;
}

void mq_hls_net_free(mq_hls_net *h) {
    if (!h) return;
    mq_arena_destroy(h->arena);
    mq_free(h);
}

int64_t mq_hls_depth(const mq_hls_net *h, int from, int to) {
    const mq_hls_stage *a = &h->stage[from], *b = &h->stage[to];
    int64_t depth = 2;
    for (int i = 0; i < h->plan->streams; i++)
        if (h->plan->stream[i].from == a->result && h->plan->stream[i].to == b->node &&
            h->plan->stream[i].depth > depth)
            depth = h->plan->stream[i].depth;
    int64_t frame = mq_stream_beats(&a->out);
    return h->net->nodes[b->node].kind == MQ_INET_CONCAT && frame > depth ? frame : depth;
}
