/* certify.c - the walk over both networks, and the check of every channel. */
#include "lower/certify.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "lower/exact_code.h"
#include "lower/fold.h"
#include "lower/trained.h"

enum { PUBLISHED_LSHIFT = 16, UNSEEN = -1 };

typedef struct proof {
    const mq_checkpoint *checkpoint;
    const mq_net *trained;
    const mq_inet *net;
    int meaning[MQ_INET_MAX_NODES];       /* trained node that an integer node was found to be, or UNSEEN */
    json_t *published[MQ_INET_MAX_NODES]; /* of REQUANT nodes */
    mq_error *error;
} proof;

static mq_status differs(proof *p, const mq_inet_node *n, const char *what, double got, double expected) {
    return mq_fail(p->error, MQ_CHECK_FAILED, "%s: %s: got %.17g, the trained network has %.17g", n->name,
                   what, got, expected);
}

#define SAME(n, what, got, expected)                                                                         \
    do {                                                                                                     \
        double got_ = (double)(got), expected_ = (double)(expected);                                         \
        if (got_ != expected_) return differs(p, n, what, got_, expected_);                                  \
    } while (0)

static mq_status wrong_kind(proof *p, const mq_inet_node *n, const mq_node *trained) {
    return mq_fail(p->error, MQ_CHECK_FAILED, "%s: got a %s where the trained network has %s, a %s", n->name,
                   mq_inet_kind_name(n->kind), trained->name, mq_op_name(trained->op));
}

/* ---- the channels of one requantisation ---- */

typedef struct channels {
    const mq_inet_requant *rule;
    const mq_channel *trained;
    const int64_t *low, *high;
    int64_t *wrong; /* [c] an accumulator with another code, or INT64_MIN */
} channels;

/* The first accumulator where rule and trained network are found to differ, or INT64_MIN. */
static int64_t find_difference(const mq_inet_requant *rule, int c, const mq_channel *trained, int64_t low,
                               int64_t high) {
    int64_t at = low;
    if (mq_rule_code(rule, c, low) != mq_exact_code(trained, low)) return low;
    while (mq_rule_next_step(rule, c, at, high, &at)) {
        if (mq_rule_code(rule, c, at - 1) != mq_exact_code(trained, at - 1)) return at - 1;
        if (mq_rule_code(rule, c, at) != mq_exact_code(trained, at)) return at;
    }
    return mq_rule_code(rule, c, high) != mq_exact_code(trained, high) ? high : INT64_MIN;
}

static void check_channel(void *context, size_t c) {
    const channels *j = context;
    j->wrong[c] = find_difference(j->rule, (int)c, &j->trained[c], j->low[c], j->high[c]);
}

static int magnitude_bits(const int64_t *v, int n) {
    uint64_t all = 0;
    int bits = 1;
    for (int i = 0; i < n; i++) all |= v[i] < 0 ? 0 - (uint64_t)v[i] : (uint64_t)v[i];
    for (; all; all >>= 1) bits++;
    return bits;
}

/* The published rule at the same place, for comparison. Its bias stands here with the rounding half, as ours.
 */
static mq_status describe_published(proof *p, const mq_trained_layer *layer, int norm, const mq_qtype *type,
                                    channels j, int64_t *inc, int64_t *bias, json_t **out) {
    int n = layer->node->c, shift = PUBLISHED_LSHIFT + layer->weight_bits + layer->input.bits - 1;
    mq_fold fold = {.channels = n, .weight_step = layer->weight_step, .input_step = layer->input.scale};
    fold.bias = layer->bias;
    if (norm >= 0) {
        fold.gamma = mq_checkpoint_values(p->checkpoint, norm, MQ_PARAM_GAMMA);
        fold.beta = mq_checkpoint_values(p->checkpoint, norm, MQ_PARAM_BETA);
        fold.mean = mq_checkpoint_values(p->checkpoint, norm, MQ_PARAM_MEAN);
        fold.var = mq_checkpoint_values(p->checkpoint, norm, MQ_PARAM_VAR);
    }
    if (layer->scale || mq_fold_published(&fold, shift, type, inc, bias, NULL) != MQ_OK) {
        *out = json_null();
        return MQ_OK;
    }
    mq_inet_requant rule = {.high = (1 << type->bits) - 1, .shift = shift, .inc = inc, .bias = bias};
    j.rule = &rule;
    mq_parallel((size_t)n, check_channel, &j);
    int wrong = 0;
    for (int c = 0; c < n; c++) wrong += j.wrong[c] != INT64_MIN;
    *out = json_pack("{s:i, s:i, s:i, s:i}", "shift", shift, "inc_bits", magnitude_bits(inc, n), "bias_bits",
                     magnitude_bits(bias, n), "channels_differing", wrong);
    return *out ? MQ_OK : mq_fail_memory(p->error, MQ_CERTIFICATE_FILE, 0);
}

static mq_status check_channels(proof *p, const mq_trained_layer *layer, int norm, const mq_qtype *type,
                                int at, mq_arena *arena) {
    const mq_inet_node *n = &p->net->nodes[at];
    const mq_inet_edge *acc = &p->net->nodes[n->input[0]].edge;
    size_t count = (size_t)layer->node->c;
    mq_channel *trained;
    int64_t *inc, *bias;
    channels j = {.rule = &n->requant, .low = acc->channel_low, .high = acc->channel_high};
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *trained, "certificate", &trained, p->error));
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *j.wrong, "certificate", &j.wrong, p->error));
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *inc, "certificate", &inc, p->error));
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *bias, "certificate", &bias, p->error));
    for (size_t c = 0; c < count; c++)
        trained[c] = mq_trained_channel(p->checkpoint, layer, norm, type, (int)c);
    j.trained = trained;
    mq_parallel(count, check_channel, &j);
    for (size_t c = 0; c < count; c++) {
        int64_t acc_value = j.wrong[c];
        if (acc_value != INT64_MIN)
            return mq_fail(p->error, MQ_CHECK_FAILED,
                           "%s: channel %zu: accumulator %lld gives code %lld, in the trained network %d",
                           n->name, c, (long long)acc_value,
                           (long long)mq_rule_code(j.rule, (int)c, acc_value),
                           mq_exact_code(&trained[c], acc_value));
    }
    return describe_published(p, layer, norm, type, j, inc, bias, &p->published[at]);
}

/* ---- the walk ---- */

static mq_status match_codes(proof *p, const mq_node *t, const mq_qtype *type, int at);

/* An integer layer is the trained one; its input is walked on. */
static mq_status match_layer(proof *p, const mq_node *t, int at) {
    const mq_inet_node *n = &p->net->nodes[at];
    if (p->meaning[at] != UNSEEN) return p->meaning[at] == t->index ? MQ_OK : wrong_kind(p, n, t);
    bool linear = t->op == MQ_OP_LINEAR;
    if (n->kind != (linear ? MQ_INET_LINEAR : MQ_INET_CONV)) return wrong_kind(p, n, t);
    p->meaning[at] = t->index;
    mq_trained_layer l = mq_trained_layer_of(p->checkpoint, t->index);
    const mq_conv_attr *a = &l.conv;
    const mq_inet_conv *v = &n->conv;
    if (!linear) {
        SAME(n, "kernel rows", v->kernel_h, a->kernel_h);
        SAME(n, "kernel columns", v->kernel_w, a->kernel_w);
        SAME(n, "row stride", v->stride_h, a->stride);
        SAME(n, "column stride", v->stride_w, a->stride);
        SAME(n, "top padding", v->pad_top, a->pad_h);
        SAME(n, "bottom padding", v->pad_bottom, a->pad_h);
        SAME(n, "left padding", v->pad_left, a->pad_w);
        SAME(n, "right padding", v->pad_right, a->pad_w);
        SAME(n, "groups", v->groups, a->groups);
    }
    SAME(n, "outputs", n->edge.c, t->c);
    SAME(n, "rows", n->edge.h, t->h);
    SAME(n, "columns", n->edge.w, t->w);
    SAME(n, "weight bits", linear ? n->linear.weight_bits : v->weight_bits, l.weight_bits);
    SAME(n, "weight scale", linear ? n->linear.weight_scale : v->weight_scale, l.weight_step);
    MQ_TRY(match_codes(p, l.in, &l.input, n->input[0]));
    if (mq_inet_weight_count(p->net, n) != l.count)
        return differs(p, n, "weights", (double)mq_inet_weight_count(p->net, n), (double)l.count);
    int8_t *codes;
    MQ_TRY(mq_alloc(l.count, 1, "weight codes", &codes, p->error));
    mq_status status = mq_trained_weights(p->checkpoint, &l, codes, p->error);
    const int8_t *own = linear ? n->linear.weight : v->weight;
    size_t i = 0;
    while (status == MQ_OK && i < l.count && codes[i] == own[i]) i++;
    if (status == MQ_OK && i < l.count)
        status =
            mq_fail(p->error, MQ_CHECK_FAILED, "%s: weight %zu: got %d, the trained network's code is %d",
                    n->name, i, own[i], codes[i]);
    mq_free(codes);
    return status;
}

static mq_status match_requant(proof *p, const mq_node *t, const mq_qtype *type, int at) {
    const mq_inet_node *n = &p->net->nodes[at];
    const mq_node *layer = t->op == MQ_OP_BATCH_NORM ? &p->trained->nodes[t->input[0]] : t;
    if (n->kind != MQ_INET_REQUANT || layer->layer < 0) return wrong_kind(p, n, t);
    SAME(n, "bits", n->requant.bits, type->bits);
    SAME(n, "signed", n->requant.is_signed, type->is_signed);
    SAME(n, "narrow", n->requant.narrow, type->narrow);
    SAME(n, "low", n->requant.low, mq_code_low(type->bits, type->is_signed, type->narrow));
    SAME(n, "high", n->requant.high, mq_code_high(type->bits, type->is_signed));
    SAME(n, "scale", n->requant.scale, type->scale);
    MQ_TRY(match_layer(p, layer, n->input[0]));
    const mq_inet_node *from = &p->net->nodes[n->input[0]];
    if (from->kind == MQ_INET_LINEAR ? from->linear.bias != NULL : from->conv.bias != NULL)
        return mq_fail(p->error, MQ_CHECK_FAILED, "%s: a bias before a requantisation", from->name);
    mq_trained_layer l = mq_trained_layer_of(p->checkpoint, layer->index);
    mq_arena *arena;
    MQ_TRY(mq_arena_create(&arena, p->error));
    mq_status status = check_channels(p, &l, t == layer ? -1 : t->index, type, at, arena);
    mq_arena_destroy(arena);
    return status;
}

/* An integer node holds the trained node's values as codes of a type. At most as deep as the graph. */
static mq_status match_codes(proof *p, const mq_node *t, const mq_qtype *type, int at) {
    const mq_inet_node *n = &p->net->nodes[at];
    if (n->edge.scale != type->scale) return differs(p, n, "scale", n->edge.scale, type->scale);
    if (p->meaning[at] != UNSEEN) return p->meaning[at] == t->index ? MQ_OK : wrong_kind(p, n, t);
    p->meaning[at] = t->index;
    switch (t->op) {
    case MQ_OP_INPUT:
        if (n->kind != MQ_INET_IMAGE) return wrong_kind(p, n, t);
        SAME(n, "rows", n->image.h, t->h);
        SAME(n, "columns", n->image.w, t->w);
        SAME(n, "channels", n->image.c, t->c);
        SAME(n, "bits", n->image.bits, type->bits);
        SAME(n, "real input", n->image.real != NULL, p->trained->real);
        if (!n->image.real) return MQ_OK;
        SAME(n, "signed", n->image.is_signed, type->is_signed);
        SAME(n, "narrow", n->image.narrow, type->narrow);
        SAME(n, "same steps", mq_real_input_equal(n->image.real, &p->trained->real_input), true);
        return MQ_OK;
    case MQ_OP_CONV:
    case MQ_OP_LINEAR:
    case MQ_OP_BATCH_NORM:
        return match_requant(p, t, type, at);
    case MQ_OP_MAX_POOL:
        if (n->kind != MQ_INET_MAX_POOL) return wrong_kind(p, n, t);
        SAME(n, "kernel", n->pool.kernel, t->pool.kernel);
        SAME(n, "stride", n->pool.stride, t->pool.stride);
        break;
    case MQ_OP_REORG:
        if (n->kind != MQ_INET_REORG || t->pool.stride != 2) return wrong_kind(p, n, t);
        break;
    case MQ_OP_CONCAT:
        if (n->kind != MQ_INET_CONCAT) return wrong_kind(p, n, t);
        break;
    default:
        return wrong_kind(p, n, t);
    }
    SAME(n, "inputs", n->input_count, t->input_count);
    for (int i = 0; i < t->input_count; i++)
        MQ_TRY(match_codes(p, &p->trained->nodes[t->input[i]], type, n->input[i]));
    return MQ_OK;
}

/* Given quantisers: one scale, and the offsets as one real number or as biases to the nearest unit. */
static mq_status match_given_head(proof *p, const mq_trained_layer *l, const mq_inet_node *n,
                                  const int64_t *bias, double *rounding) {
    const mq_inet_node *last = mq_inet_last(p->net);
    for (int c = 0; c < l->node->c; c++) {
        int64_t expected = 0;
        SAME(n, "scale of a channel", l->scale[c], l->scale[0]);
        if (!bias) {
            SAME(last, "offset", last->output.offset, l->offset[c]);
            continue;
        }
        SAME(last, "offset", last->output.offset, 0);
        if (!mq_exact_bias(l->offset[c], l->scale[c], 1, &expected) || bias[c] != expected)
            return differs(p, n, "bias of a channel", (double)bias[c], (double)expected);
        double off = fabs(l->offset[c] / l->scale[c] - (double)bias[c]);
        if (off > *rounding) *rounding = off;
    }
    SAME(last, "divisor", last->output.divisor, 1 / l->scale[0]);
    return MQ_OK;
}

/* The last layer: its bias to the nearest unit, its divisor the nearest float64. */
static mq_status match_head(proof *p, double *rounding) {
    const mq_node *t = mq_net_output(p->trained);
    const mq_inet_node *last = mq_inet_last(p->net), *n = &p->net->nodes[last->input[0]];
    *rounding = 0;
    p->meaning[p->net->node_count - 1] = t->index;
    if (t->layer < 0) return wrong_kind(p, n, t);
    MQ_TRY(match_layer(p, t, last->input[0]));
    mq_trained_layer l = mq_trained_layer_of(p->checkpoint, t->index);
    const int64_t *bias = n->kind == MQ_INET_LINEAR ? n->linear.bias : n->conv.bias;
    if (l.scale) return match_given_head(p, &l, n, bias, rounding);
    SAME(last, "offset", last->output.offset, 0);
    SAME(n, "bias", bias != NULL, l.bias != NULL);
    for (int c = 0; bias && c < t->c; c++) {
        int64_t expected;
        if (!mq_exact_bias(l.bias[c], l.weight_step, l.input.scale, &expected) || bias[c] != expected)
            return mq_fail(p->error, MQ_CHECK_FAILED, "%s: bias of channel %d: got %lld, expected %lld",
                           n->name, c, (long long)bias[c], (long long)expected);
        double off = fabs((double)l.bias[c] / (l.weight_step * l.input.scale) - (double)bias[c]);
        if (off > *rounding) *rounding = off;
    }
    SAME(last, "divisor", last->output.divisor, 1 / (l.weight_step * l.input.scale));
    return MQ_OK;
}

static mq_status prove(proof *p, const char *checkpoint_sha256, json_t *certificate) {
    double rounding;
    json_t *published = json_array();
    json_object_set_new(certificate, "checkpoint_sha256", json_string(checkpoint_sha256));
    json_object_set_new(certificate, "published", published);
    MQ_TRY(match_head(p, &rounding));
    json_object_set_new(certificate, "bias_rounding", json_real(rounding));
    for (int i = 0; i < p->net->node_count; i++) {
        if (p->meaning[i] == UNSEEN)
            return mq_fail(p->error, MQ_CHECK_FAILED, "%s: the trained network has no such node",
                           p->net->nodes[i].name);
        if (p->published[i]) json_array_append(published, p->published[i]);
    }
    return MQ_OK;
}

mq_status mq_certify(const mq_checkpoint *checkpoint, const char *checkpoint_sha256, const mq_inet *net,
                     json_t **certificate, mq_error *error) {
    *certificate = NULL;
    if (checkpoint->mode != MQ_MODE_FIXED || net->compat)
        return mq_fail(error, MQ_USAGE, "%s: no promise to certify: %s", net->model,
                       net->compat ? "made by the published rules" : "a checkpoint of fixed bits expected");
    proof *p;
    json_t *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *p, "certificate", &p, error));
    p->checkpoint = checkpoint;
    p->trained = checkpoint->net;
    p->net = net;
    p->error = error;
    for (int i = 0; i < MQ_INET_MAX_NODES; i++) p->meaning[i] = UNSEEN;
    mq_status status = mq_certificate_describe(net, &out, error);
    if (status == MQ_OK) status = prove(p, checkpoint_sha256, out);
    for (int i = 0; i < MQ_INET_MAX_NODES; i++) json_decref(p->published[i]);
    mq_free(p);
    if (status != MQ_OK) {
        json_decref(out);
        return status;
    }
    *certificate = out;
    return MQ_OK;
}
