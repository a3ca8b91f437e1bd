/* lower.c - the walk over the trained graph: layers in execution order, the codes they read made on demand.
 */
#include "lower/lower.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lower/exact_code.h"
#include "lower/fold.h"
#include "quant/quant.h"

/* Networks of the published framework and how it exports them. */
static const struct {
    const char *name;
    int lshift;
    bool special;
} PUBLISHED[] = {
    {"vgg_tiny", 16, true}, {"ultranet", 16, true}, {"ultranet_bypass", 16, true},
    {"skynet", 6, false},   {"skynetk5", 6, false},
};

/* Codes made so far: of which trained node, of which type, where. */
typedef struct made {
    int node, index;
    mq_qtype type;
} made;

typedef struct lowering {
    const mq_checkpoint *checkpoint;
    const mq_net *net;
    bool compat, special;
    int lshift;
    mq_inet *out;
    mq_arena *scratch;
    int accumulator[MQ_MAX_NODES]; /* integer node of a trained conv or linear node */
    double weight_step[MQ_MAX_NODES], input_step[MQ_MAX_NODES]; /* of that node */
    made codes[MQ_INET_MAX_NODES];
    int code_count;
    mq_error *error;
} lowering;

/* ---- names ---- */

/* "base", or "base.2", "base.3" ... when several consumers need the same node in another type. */
static mq_status set_name(const lowering *l, const char *base, const char *suffix,
                          char out[MQ_INET_MAX_NAME]) {
    char name[2 * MQ_INET_MAX_NAME];
    snprintf(name, sizeof name, "%s%s", base, suffix);
    for (int i = 2; mq_inet_find(l->out, name) >= 0 && i < MQ_INET_MAX_NODES; i++)
        snprintf(name, sizeof name, "%s%s.%d", base, suffix, i);
    if (strlen(name) >= MQ_INET_MAX_NAME)
        return mq_fail(l->error, MQ_BAD_INPUT,
                       "layer name too long: %s: at most %d characters in the integer network", name,
                       MQ_INET_MAX_NAME - 1);
    strcpy(out, name);
    return MQ_OK;
}

/* The dump of the requantisation "conv0.requant" is "conv0", that of "conv0.requant.2" "conv0.2". */
static void set_dump(const char *layer, mq_inet_node *node) {
    const char *number = node->name + strlen(layer) + strlen(".requant");
    snprintf(node->dump, sizeof node->dump, "%.47s%.15s", layer, number);
}

/* ---- codes ---- */

static bool same_type(const mq_qtype *a, const mq_qtype *b) {
    return a->bits == b->bits && a->is_signed == b->is_signed && a->narrow == b->narrow &&
           a->scale == b->scale;
}

/* Codes of a trained node made before; type NULL: of any type, the first. */
static const made *find_codes(const lowering *l, int node, const mq_qtype *type) {
    for (int i = 0; i < l->code_count; i++)
        if (l->codes[i].node == node && (!type || same_type(&l->codes[i].type, type))) return &l->codes[i];
    return NULL;
}

static mq_status add(lowering *l, const mq_inet_node *node, int *index) {
    mq_status status = mq_inet_add(l->out, node, index, l->error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(l->error, status, "lowering %s", l->net->name);
}

static mq_status add_image(lowering *l, const mq_qtype *type, int *index) {
    if (l->out->node_count && l->net->real)
        return mq_fail(l->error, MQ_BAD_INPUT,
                       "lowering %s: two layers read the input in different codes: the same expected",
                       l->net->name);
    if (l->out->node_count)
        return mq_fail(
            l->error, MQ_BAD_INPUT,
            "lowering %s: two layers read the image in different widths, %d and %d bits: the same expected",
            l->net->name, l->out->nodes[0].image.bits, type->bits);
    mq_inet_node node = {.kind = MQ_INET_IMAGE, .name = "image"};
    node.image = (mq_inet_image){.h = l->net->in_h, .w = l->net->in_w, .c = l->net->in_c, .bits = type->bits};
    if (l->net->real) {
        node.image.real = &l->net->real_input;
        node.image.is_signed = type->is_signed;
        node.image.narrow = type->narrow;
        node.image.scale = type->scale;
    }
    return add(l, &node, index);
}

/* The published simulation quantises a layer once, for its first consumer, and rescales those codes for
 * others. */
static mq_status add_rescale(lowering *l, const made *first, const char *layer, const mq_qtype *type,
                             int *index) {
    mq_inet_node node = {.kind = MQ_INET_RESCALE, .input = {first->index}, .input_count = 1};
    MQ_TRY(set_name(l, layer, ".rescale", node.name));
    node.rescale = (mq_inet_rescale){.multiply = (float)first->type.scale,
                                     .divide = (float)type->scale,
                                     .bits = type->bits,
                                     .scale = type->scale};
    return add(l, &node, index);
}

/* The published shift: T = lshift + weight bits + activation bits - 1 of the producing layer. */
static int published_shift(const lowering *l, int layer) {
    const mq_bits *bits = &l->checkpoint->bits;
    return l->lshift + bits->weight[layer] + bits->activation[layer] - 1;
}

static mq_status published_rules(const lowering *l, const mq_fold *fold, int shift, const mq_qtype *type,
                                 mq_rules *out) {
    size_t n = (size_t)fold->channels;
    *out = (mq_rules){.shift = shift};
    MQ_TRY(mq_arena_alloc(l->scratch, n, sizeof *out->inc, "inc", &out->inc, l->error));
    MQ_TRY(mq_arena_alloc(l->scratch, n, sizeof *out->bias, "bias", &out->bias, l->error));
    return mq_fold_published(fold, shift, type, out->inc, out->bias, l->error);
}

/* Codes of a conv or linear node's result: of its batch norm's, when norm is one. */
static mq_status add_requant(lowering *l, int layer_node, int norm, const mq_qtype *type, int *index) {
    const mq_checkpoint *c = l->checkpoint;
    const mq_node *layer = &l->net->nodes[layer_node];
    const made *first = find_codes(l, norm >= 0 ? norm : layer_node, NULL);
    if (l->compat && first) return add_rescale(l, first, layer->name, type, index);
    mq_fold fold = {.channels = layer->c};
    fold.weight_step = l->weight_step[layer_node];
    fold.input_step = l->input_step[layer_node];
    fold.bias = mq_checkpoint_values(c, layer_node, MQ_PARAM_BIAS);
    fold.scale = mq_checkpoint_doubles(c, layer_node, MQ_PARAM_SCALE);
    fold.offset = mq_checkpoint_doubles(c, layer_node, MQ_PARAM_OFFSET);
    if (norm >= 0) {
        fold.gamma = mq_checkpoint_values(c, norm, MQ_PARAM_GAMMA);
        fold.beta = mq_checkpoint_values(c, norm, MQ_PARAM_BETA);
        fold.mean = mq_checkpoint_values(c, norm, MQ_PARAM_MEAN);
        fold.var = mq_checkpoint_values(c, norm, MQ_PARAM_VAR);
    }
    mq_rules rules;
    mq_status status;
    if (l->compat)
        status = published_rules(l, &fold, published_shift(l, layer->layer), type, &rules);
    else
        status = mq_fold_exact(&fold, &l->out->nodes[l->accumulator[layer_node]].edge, type, l->scratch,
                               &rules, l->error);
    if (status != MQ_OK)
        return mq_fail_context(l->error, status, "lowering %s: layer %s", l->net->name, layer->name);
    mq_inet_node node = {.kind = MQ_INET_REQUANT, .input = {l->accumulator[layer_node]}, .input_count = 1};
    node.requant = (mq_inet_requant){.bits = type->bits,
                                     .is_signed = type->is_signed,
                                     .narrow = type->narrow,
                                     .scale = type->scale,
                                     .shift = rules.shift,
                                     .low = mq_code_low(type->bits, type->is_signed, type->narrow),
                                     .high = mq_code_high(type->bits, type->is_signed),
                                     .inc = rules.inc,
                                     .bias = rules.bias,
                                     .rule = rules.rule,
                                     .threshold = rules.threshold};
    MQ_TRY(set_name(l, layer->name, ".requant", node.name));
    set_dump(layer->name, &node);
    return add(l, &node, index);
}

static mq_status codes_of(lowering *l, int index, const mq_qtype *type, int *out);

/* Pool, reorg and concat on codes. */
static mq_status add_movement(lowering *l, const mq_node *trained, const mq_qtype *type, int *index) {
    mq_inet_node node = {.kind = MQ_INET_CONCAT, .input_count = trained->input_count};
    for (int i = 0; i < trained->input_count; i++)
        MQ_TRY(codes_of(l, trained->input[i], type, &node.input[i]));
    if (trained->op == MQ_OP_MAX_POOL) {
        node.kind = MQ_INET_MAX_POOL;
        node.pool = (mq_inet_pool){.kernel = trained->pool.kernel, .stride = trained->pool.stride};
    } else if (trained->op == MQ_OP_REORG) {
        node.kind = MQ_INET_REORG;
        if (trained->pool.stride != 2)
            return mq_fail(l->error, MQ_BAD_INPUT,
                           "lowering %s: %s: reorg of stride %d, the integer network has stride 2",
                           l->net->name, trained->name, trained->pool.stride);
    }
    MQ_TRY(set_name(l, trained->name, "", node.name));
    return add(l, &node, index);
}

/* The integer node with a trained node's values as codes of a type. At most as deep as the graph. */
static mq_status codes_of(lowering *l, int index, const mq_qtype *type, int *out) {
    const made *known = find_codes(l, index, type);
    if (known) {
        *out = known->index;
        return MQ_OK;
    }
    const mq_node *node = &l->net->nodes[index];
    switch (node->op) {
    case MQ_OP_INPUT:
        MQ_TRY(add_image(l, type, out));
        break;
    case MQ_OP_BATCH_NORM:
        MQ_TRY(add_requant(l, node->input[0], index, type, out));
        break;
    case MQ_OP_CONV:
    case MQ_OP_LINEAR:
        MQ_TRY(add_requant(l, index, -1, type, out));
        break;
    case MQ_OP_MAX_POOL:
    case MQ_OP_REORG:
    case MQ_OP_CONCAT:
        MQ_TRY(add_movement(l, node, type, out));
        break;
    default:
        return mq_fail(l->error, MQ_BAD_INPUT, "lowering %s: %s: a %s cannot be quantised again",
                       l->net->name, node->name, mq_op_name(node->op));
    }
    l->codes[l->code_count++] =
        (made){.node = index, .index = *out, .type = *type}; /* one per integer node */
    return MQ_OK;
}

/* ---- layers ---- */

/* Bit pairs whose packing in the published accelerator cannot take the lowest weight code. */
static bool special_pair(int weight, int activation) {
    static const char pairs[][2] = {{4, 2}, {5, 3}, {5, 4}, {5, 5}, {5, 6}, {5, 7}, {5, 8}, {7, 2}, {7, 3}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i][0] == weight && pairs[i][1] == activation) return true;
    return false;
}

/* The layer's weight codes and their step; *narrow: without the lowest code. */
static mq_status weight_codes(lowering *l, const mq_node *layer, size_t count, const int8_t **out,
                              double *step, bool *narrow) {
    int bits = l->checkpoint->bits.weight[layer->layer];
    const float *weight = mq_checkpoint_values(l->checkpoint, layer->index, MQ_PARAM_WEIGHT);
    int32_t *wide;
    int8_t *codes;
    MQ_TRY(mq_arena_alloc(l->scratch, count, sizeof *wide, "weight codes", &wide, l->error));
    MQ_TRY(mq_arena_alloc(l->scratch, count, sizeof *codes, "weight codes", &codes, l->error));
    if (l->net->given) { /* checked when the checkpoint was read */
        for (size_t i = 0; i < count; i++) codes[i] = (int8_t)weight[i];
        *narrow = l->net->layers[layer->layer].weight_narrow;
        *step = 0; /* in the layer's scale, channel by channel */
        *out = codes;
        return MQ_OK;
    }
    float *normal = NULL, scale;
    if (l->net->quantizer == MQ_QUANTIZER_DOREFA)
        MQ_TRY(mq_arena_alloc(l->scratch, count, sizeof *normal, "weight codes", &normal, l->error));
    weight = mq_weight_prepare(l->net->quantizer, weight, count, normal, &scale);
    *step = mq_weight_step_of(l->net->quantizer, bits, scale);
    *narrow = l->checkpoint->symmetric;
    mq_weight_codes(weight, count, bits, *narrow, *step, wide);
    if (l->special && special_pair(bits, l->checkpoint->bits.activation[layer->layer])) *narrow = true;
    int32_t low = mq_code_low(bits, true, *narrow);
    for (size_t i = 0; i < count; i++) codes[i] = (int8_t)(wide[i] < low ? low : wide[i]);
    /* Equal weights have deviation 0 and codes 0, which any step describes; 0 would leave the output no
     * scale. */
    if (*step == 0) *step = mq_weight_unit(bits);
    *out = codes;
    return MQ_OK;
}

/* The head's bias joins its accumulators, in their unit: off by at most half of one. */
static mq_status output_bias(lowering *l, const mq_node *layer, double divisor, const int64_t **out) {
    const float *bias = mq_checkpoint_values(l->checkpoint, layer->index, MQ_PARAM_BIAS);
    *out = NULL;
    if (!bias) return MQ_OK;
    int64_t *codes;
    MQ_TRY(mq_arena_alloc(l->scratch, (size_t)layer->c, sizeof *codes, "bias", &codes, l->error));
    for (int c = 0; c < layer->c; c++) {
        float v = rintf(bias[c] * (float)divisor);
        bool fits = l->compat ? fabsf(v) < 0x1p61f
                              : isfinite(l->weight_step[layer->index]) &&
                                    mq_exact_bias(bias[c], l->weight_step[layer->index],
                                                  l->input_step[layer->index], &codes[c]);
        if (!fits)
            return mq_fail(l->error, MQ_BAD_INPUT,
                           "lowering %s: layer %s: bias %g of channel %d does not fit: %g units",
                           l->net->name, layer->name, (double)bias[c], c, bias[c] * divisor);
        if (l->compat) codes[c] = (int64_t)v;
    }
    *out = codes;
    return MQ_OK;
}

/* The head of a network of given quantisers: all channels have one scale, which `divisor` undoes. An offset
 * that is the same in all stays a real number; others join the accumulators in their unit, off by at most
 * half of one. */
static mq_status given_head(lowering *l, const mq_node *layer, mq_inet_output *out, const int64_t **bias) {
    const double *scale = mq_checkpoint_doubles(l->checkpoint, layer->index, MQ_PARAM_SCALE);
    const double *offset = mq_checkpoint_doubles(l->checkpoint, layer->index, MQ_PARAM_OFFSET);
    int64_t *codes;
    bool same = true;
    *bias = NULL;
    for (int c = 0; c < layer->c; c++) {
        if (scale[c] != scale[0] || !(scale[c] > 0))
            return mq_fail(
                l->error, MQ_BAD_INPUT,
                "lowering %s: layer %s: channel %d of the output has scale %g, channel 0 %g: one positive "
                "scale expected",
                l->net->name, layer->name, c, scale[c], scale[0]);
        same = same && offset[c] == offset[0];
    }
    *out = (mq_inet_output){.divisor = 1 / scale[0], .offset = same ? offset[0] : 0};
    if (same) return MQ_OK;
    MQ_TRY(mq_arena_alloc(l->scratch, (size_t)layer->c, sizeof *codes, "bias", &codes, l->error));
    for (int c = 0; c < layer->c; c++)
        if (!mq_exact_bias(offset[c], scale[c], 1, &codes[c]))
            return mq_fail(l->error, MQ_BAD_INPUT,
                           "lowering %s: layer %s: offset %g of channel %d does not fit", l->net->name,
                           layer->name, offset[c], c);
    *bias = codes;
    return MQ_OK;
}

static mq_status lower_layer(lowering *l, const mq_node *layer) {
    bool head = layer->index == l->net->output;
    mq_qtype type = mq_checkpoint_input_type(l->checkpoint, layer->layer);
    mq_inet_node node = {.input_count = 1};
    /* The activation's own input: its node only marks where values become codes. */
    MQ_TRY(codes_of(l, l->net->nodes[layer->input[0]].input[0], &type, &node.input[0]));
    const mq_conv_attr *a = &layer->conv;
    size_t per_output = layer->op == MQ_OP_LINEAR ? (size_t)layer->linear.in_features
                                                  : (size_t)(a->in_channels / a->groups) *
                                                        (size_t)a->kernel_h * (size_t)a->kernel_w;
    const int8_t *weight;
    const int64_t *bias = NULL;
    double step;
    bool narrow;
    MQ_TRY(weight_codes(l, layer, per_output * (size_t)layer->c, &weight, &step, &narrow));
    l->weight_step[layer->index] = step;
    l->input_step[layer->index] = type.scale;
    mq_inet_output end = {.divisor = 1 / (step * type.scale)};
    if (head && l->net->given)
        MQ_TRY(given_head(l, layer, &end, &bias));
    else if (head)
        MQ_TRY(output_bias(l, layer, end.divisor, &bias));
    int bits = l->checkpoint->bits.weight[layer->layer];
    if (layer->op == MQ_OP_LINEAR) {
        node.kind = MQ_INET_LINEAR;
        node.linear = (mq_inet_linear){.out_features = layer->c,
                                       .weight_bits = bits,
                                       .weight_narrow = narrow,
                                       .weight_scale = step,
                                       .weight = weight,
                                       .bias = bias};
    } else {
        node.kind = MQ_INET_CONV;
        node.conv = (mq_inet_conv){.out_channels = layer->c,
                                   .kernel_h = a->kernel_h,
                                   .kernel_w = a->kernel_w,
                                   .stride_h = a->stride,
                                   .stride_w = a->stride,
                                   .pad_top = a->pad_h,
                                   .pad_left = a->pad_w,
                                   .pad_bottom = a->pad_h,
                                   .pad_right = a->pad_w,
                                   .groups = a->groups,
                                   .weight_bits = bits,
                                   .weight_narrow = narrow,
                                   .weight_scale = step,
                                   .weight = weight,
                                   .bias = bias};
    }
    MQ_TRY(set_name(l, layer->name, "", node.name));
    if (head) strcpy(node.dump, layer->name);
    MQ_TRY(add(l, &node, &l->accumulator[layer->index]));
    if (!head) return MQ_OK;
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .input = {l->accumulator[layer->index]}, .input_count = 1};
    output.output = end;
    MQ_TRY(set_name(l, "output", "", output.name));
    return add(l, &output, NULL);
}

/* ---- the whole network ---- */

static mq_status choose_rules(lowering *l, const mq_lower_options *options) {
    if (!options || !options->compat) return MQ_OK;
    l->compat = true;
    l->lshift = options->lshift;
    if (l->net->given)
        return mq_fail(l->error, MQ_USAGE, "--compat: %s was imported: its layers have no published form",
                       l->net->name);
    for (size_t i = 0; i < sizeof PUBLISHED / sizeof *PUBLISHED; i++) {
        if (strcmp(l->net->name, PUBLISHED[i].name) != 0) continue;
        l->special = PUBLISHED[i].special;
        if (options->lshift == MQ_LSHIFT_BY_NAME) l->lshift = PUBLISHED[i].lshift;
    }
    if (l->lshift == MQ_LSHIFT_BY_NAME)
        return mq_fail(
            l->error, MQ_USAGE,
            "--compat: the published framework has no network '%s': give its shift with --lshift N",
            l->net->name);
    if (l->lshift < 0 || l->lshift > MQ_LSHIFT_MAX)
        return mq_fail(l->error, MQ_USAGE, "--lshift: got %d, expected 0 to %d", l->lshift, MQ_LSHIFT_MAX);
    return MQ_OK;
}

static void describe(const lowering *l) {
    const mq_net *net = l->net;
    mq_inet *out = l->out;
    /* Names of files and tensors are made of it: other characters become '_'. */
    size_t n = 0;
    for (const char *c = net->name; *c && n < MQ_INET_MAX_NAME - 1; c++) {
        bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c) ||
                     (*c == '.' && n > 0);
        out->model[n++] = (char)(plain ? *c : '_');
    }
    out->task = net->task == MQ_TASK_DETECTION ? MQ_INET_DETECTION : MQ_INET_CLASSIFICATION;
    out->classes = net->classes;
    out->anchor_count = net->anchor_count;
    for (int i = 0; i < net->anchor_count; i++) {
        out->anchor_w[i] = net->anchor_w[i];
        out->anchor_h[i] = net->anchor_h[i];
    }
    mq_bits_text(net, &l->checkpoint->bits, out->bitw, out->bita);
    out->compat = l->compat;
}

static mq_status lower_network(lowering *l) {
    MQ_TRY(mq_arena_create(&l->scratch, l->error));
    MQ_TRY(mq_inet_create(&l->out, l->error));
    describe(l);
    for (int i = 0; i < l->net->node_count; i++)
        if (l->net->nodes[i].layer >= 0) MQ_TRY(lower_layer(l, &l->net->nodes[i]));
    mq_status status = mq_inet_finish(l->out, l->error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(l->error, status, "lowering %s", l->net->name);
}

mq_status mq_lower(const mq_checkpoint *checkpoint, const mq_lower_options *options, mq_inet **out,
                   mq_error *error) {
    *out = NULL;
    if (checkpoint->mode != MQ_MODE_FIXED)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a %s checkpoint has no integer network: %s",
                       checkpoint->net->name, mq_mode_name(checkpoint->mode),
                       checkpoint->mode == MQ_MODE_SEARCH ? "train it at its bits first"
                                                          : "train it at fixed bits first");
    lowering *l;
    MQ_TRY(mq_alloc(1, sizeof *l, "lowering", &l, error));
    l->checkpoint = checkpoint;
    l->net = checkpoint->net;
    l->error = error;
    mq_status status = choose_rules(l, options);
    if (status == MQ_OK) status = lower_network(l);
    if (status == MQ_OK)
        *out = l->out;
    else
        mq_inet_free(l->out);
    mq_arena_destroy(l->scratch);
    mq_free(l);
    return status;
}
