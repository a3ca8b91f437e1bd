/* parse.c - from a YAML description to a checked graph.
 *
 * Layers stand in execution order; each reads the one before it unless `from` names others. Every message
 * carries file, line and column. docs/networks.md describes the keys. */
#include "net/net.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/yaml.h"

enum {
    MAX_SIDE = 1 << 14,
    MAX_CHANNELS = 1 << 16,
    MAX_KERNEL = 31,
    MAX_POOL = 16 /* a winner's place in its window is a byte */,
    MAX_ELEMENTS = 1 << 30
};

typedef struct parser {
    mq_net *net;
    int counter[MQ_OPS]; /* nodes of each operator, for default names */
    mq_error *error;
} parser;

static const char *const ACTIVATION_WORDS[] = {"relu", "relu6", NULL};

static int find_node(const mq_net *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    return -1;
}

/* Appends a node with one input (or none yet when input < 0). */
static mq_status add_node(parser *p, const mq_yaml_node *at, mq_op op, const char *name, int input,
                          mq_node **out) {
    mq_net *net = p->net;
    if (net->node_count == MQ_MAX_NODES)
        return mq_yaml_fail(at, p->error, "network too large: at most %d nodes", MQ_MAX_NODES);
    if (!*name || *name == '.') /* names of files are made of it */
        return mq_yaml_fail(at, p->error, "layer name '%s': a letter, digit, '_' or '-' expected first",
                            name);
    if (strlen(name) >= MQ_MAX_NAME)
        return mq_yaml_fail(at, p->error, "layer name too long: '%s': at most %d characters", name,
                            MQ_MAX_NAME - 1);
    for (const char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *c))
            return mq_yaml_fail(at, p->error, "layer name '%s': letters, digits, '_', '-' and '.' expected",
                                name);
    if (find_node(net, name) >= 0) return mq_yaml_fail(at, p->error, "two layers are named '%s'", name);
    mq_node *node = &net->nodes[net->node_count];
    *node = (mq_node){.op = op, .index = net->node_count, .layer = -1};
    strcpy(node->name, name);
    if (input >= 0) {
        node->input[node->input_count++] = input;
        net->nodes[input].consumers++;
    }
    net->node_count++;
    *out = node;
    return MQ_OK;
}

/* The activation in front of a weighted layer. */
static mq_status add_activation(parser *p, const mq_yaml_node *at, const char *layer_name, int input,
                                int word, int *out) {
    const mq_node *source = &p->net->nodes[input];
    char name[MQ_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.act", layer_name);
    mq_node *node;
    MQ_TRY(add_node(p, at, MQ_OP_ACTIVATION, name, input, &node));
    node->h = source->h;
    node->w = source->w;
    node->c = source->c;
    node->act.layer = p->net->layer_count;
    if (source->op == MQ_OP_INPUT)
        node->act.kind = MQ_ACT_IMAGE;
    else
        node->act.kind = word == 1 ? MQ_ACT_RELU6 : MQ_ACT_RELU;
    *out = node->index;
    return MQ_OK;
}

/* Signs of a layer's codes, in a network of given quantisers; other networks have no such keys. */
static mq_status given_types(parser *p, const mq_yaml_node *attrs, mq_layer *layer) {
    static const char *const keys[] = {"activation_signed", "activation_narrow", "weight_narrow"};
    static const char *const others[] = {"bias", "activation"};
    mq_net *net = p->net;
    mq_act_attr *act = &net->nodes[layer->act].act;
    for (int i = 0; i < 3 && !net->given; i++) {
        const mq_yaml_node *key = mq_yaml_get(attrs, keys[i]);
        if (key) return mq_yaml_fail(key, p->error, "%s belongs to 'quantizer: given'", keys[i]);
    }
    for (int i = 0; i < 2 && net->given; i++) {
        const mq_yaml_node *key = mq_yaml_get(attrs, others[i]);
        if (key) return mq_yaml_fail(key, p->error, "%s: a network of given quantisers has none", others[i]);
    }
    MQ_TRY(mq_yaml_opt_bool(attrs, keys[0], &act->is_signed, p->error));
    MQ_TRY(mq_yaml_opt_bool(attrs, keys[1], &act->narrow, p->error));
    MQ_TRY(mq_yaml_opt_bool(attrs, keys[2], &layer->weight_narrow, p->error));
    if (act->narrow && !act->is_signed)
        return mq_yaml_fail(attrs, p->error, "activation_narrow: only signed codes can be");
    if (act->kind == MQ_ACT_IMAGE && act->is_signed && !net->real)
        return mq_yaml_fail(attrs, p->error,
                            "activation_signed: pixels are not; give the input a pixel_divisor");
    return MQ_OK;
}

/* Registers a conv or linear node as a weighted layer, with its pinned bits. */
static mq_status add_layer(parser *p, const mq_yaml_node *attrs, mq_node *node, int act) {
    mq_net *net = p->net;
    if (net->layer_count == MQ_MAX_LAYERS)
        return mq_yaml_fail(attrs, p->error, "network too large: at most %d layers with weights",
                            MQ_MAX_LAYERS);
    int64_t weight = 0, activation = 0;
    MQ_TRY(mq_yaml_opt_int(attrs, "weight_bits", 1, 8, &weight, p->error));
    MQ_TRY(mq_yaml_opt_int(attrs, "activation_bits", 1, 8, &activation, p->error));
    if (!weight != !activation)
        return mq_yaml_fail(attrs, p->error,
                            "weight_bits and activation_bits go together: only one is given");
    node->layer = net->layer_count;
    net->layers[net->layer_count++] = (mq_layer){.node = node->index,
                                                 .act = act,
                                                 .pinned = weight != 0,
                                                 .pinned_weight_bits = (int)weight,
                                                 .pinned_activation_bits = (int)activation};
    if (!weight) net->digit_count++;
    return given_types(p, attrs, &net->layers[net->layer_count - 1]);
}

static mq_status parse_conv(parser *p, const mq_yaml_node *attrs, const char *name, int input) {
    static const char *const keys[] = {"name",
                                       "from",
                                       "out",
                                       "kernel",
                                       "stride",
                                       "padding",
                                       "groups",
                                       "bias",
                                       "activation",
                                       "weight_bits",
                                       "activation_bits",
                                       "activation_signed",
                                       "activation_narrow",
                                       "weight_narrow",
                                       NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    const mq_node source = p->net->nodes[input];
    int64_t out = 0, kernel, stride = 1, groups = 1, padding = -1;
    bool bias = false;
    int activation = 0;
    const mq_yaml_node *groups_node = mq_yaml_get(attrs, "groups"),
                       *padding_node = mq_yaml_get(attrs, "padding");
    const mq_yaml_node *activation_node = mq_yaml_get(attrs, "activation");
    MQ_TRY(mq_yaml_req_int(attrs, "kernel", 1, MAX_KERNEL, &kernel, p->error));
    MQ_TRY(mq_yaml_opt_int(attrs, "stride", 1, MAX_KERNEL, &stride, p->error));
    MQ_TRY(mq_yaml_opt_bool(attrs, "bias", &bias, p->error));
    if (activation_node) MQ_TRY(mq_yaml_choice(activation_node, ACTIVATION_WORDS, &activation, p->error));
    if (groups_node && groups_node->text && strcmp(groups_node->text, "depthwise") == 0) {
        groups = out = source.c;
    } else {
        MQ_TRY(mq_yaml_opt_int(attrs, "groups", 1, MAX_CHANNELS, &groups, p->error));
    }
    if (out && !mq_yaml_get(attrs, "out"))
        out = source.c;
    else
        MQ_TRY(mq_yaml_req_int(attrs, "out", 1, MAX_CHANNELS, &out, p->error));
    if (padding_node && !(padding_node->text && strcmp(padding_node->text, "same") == 0)) {
        MQ_TRY(mq_yaml_int(padding_node, 0, MAX_KERNEL, &padding, p->error));
        if (padding >= kernel)
            return mq_yaml_fail(padding_node, p->error, "padding %d: less than the kernel size %d expected",
                                (int)padding, (int)kernel);
    } else {
        if (kernel % 2 == 0)
            return mq_yaml_fail(attrs, p->error,
                                "kernel %d: 'same' padding needs an odd kernel; give padding as a number",
                                (int)kernel);
        padding = (kernel - 1) / 2;
    }
    if (source.c % groups || out % groups)
        return mq_yaml_fail(attrs, p->error, "groups %d: must divide the %d input and %d output channels",
                            (int)groups, source.c, (int)out);
    int64_t rows = source.h + 2 * padding - kernel, columns = source.w + 2 * padding - kernel;
    if (rows < 0 || columns < 0)
        return mq_yaml_fail(attrs, p->error, "kernel %d does not fit: the input is %d x %d with padding %d",
                            (int)kernel, source.h, source.w, (int)padding);
    int act;
    MQ_TRY(add_activation(p, attrs, name, input, activation, &act));
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_CONV, name, act, &node));
    node->h = (int)(rows / stride + 1);
    node->w = (int)(columns / stride + 1);
    node->c = (int)out;
    node->conv = (mq_conv_attr){.out_channels = (int)out,
                                .in_channels = source.c,
                                .kernel_h = (int)kernel,
                                .kernel_w = (int)kernel,
                                .stride = (int)stride,
                                .pad_h = (int)padding,
                                .pad_w = (int)padding,
                                .groups = (int)groups,
                                .bias = bias};
    return add_layer(p, attrs, node, act);
}

static mq_status parse_linear(parser *p, const mq_yaml_node *attrs, const char *name, int input) {
    static const char *const keys[] = {"name",
                                       "from",
                                       "out",
                                       "bias",
                                       "activation",
                                       "weight_bits",
                                       "activation_bits",
                                       "activation_signed",
                                       "activation_narrow",
                                       "weight_narrow",
                                       NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    int64_t out;
    bool bias = !p->net->given;
    int activation = 0;
    const mq_yaml_node *activation_node = mq_yaml_get(attrs, "activation");
    MQ_TRY(mq_yaml_req_int(attrs, "out", 1, MAX_CHANNELS, &out, p->error));
    MQ_TRY(mq_yaml_opt_bool(attrs, "bias", &bias, p->error));
    if (activation_node) MQ_TRY(mq_yaml_choice(activation_node, ACTIVATION_WORDS, &activation, p->error));
    int act;
    MQ_TRY(add_activation(p, attrs, name, input, activation, &act));
    const mq_node source = p->net->nodes[input];
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_LINEAR, name, act, &node));
    node->h = node->w = 1;
    node->c = (int)out;
    node->linear = (mq_linear_attr){
        .out_features = (int)out, .in_features = source.h * source.w * source.c, .bias = bias};
    return add_layer(p, attrs, node, act);
}

static mq_status parse_batch_norm(parser *p, const mq_yaml_node *attrs, const char *name, int input) {
    static const char *const keys[] = {"name", "from", NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    const mq_node *source = &p->net->nodes[input];
    if (p->net->given)
        return mq_yaml_fail(attrs, p->error, "batch_norm: a network of given quantisers has none");
    if (source->op != MQ_OP_CONV && source->op != MQ_OP_LINEAR)
        return mq_yaml_fail(attrs, p->error,
                            "batch_norm must follow a conv or linear layer: it reads '%s' (%s)", source->name,
                            mq_op_name(source->op));
    int h = source->h, w = source->w, c = source->c;
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_BATCH_NORM, name, input, &node));
    node->h = h;
    node->w = w;
    node->c = c;
    return MQ_OK;
}

static mq_status parse_max_pool(parser *p, const mq_yaml_node *attrs, const char *name, int input) {
    static const char *const keys[] = {"name", "from", "kernel", "stride", NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    const mq_node source = p->net->nodes[input];
    int64_t kernel = 2, stride;
    MQ_TRY(mq_yaml_opt_int(attrs, "kernel", 1, MAX_POOL, &kernel, p->error));
    stride = kernel;
    MQ_TRY(mq_yaml_opt_int(attrs, "stride", 1, MAX_KERNEL, &stride, p->error));
    if (source.op == MQ_OP_INPUT)
        return mq_yaml_fail(attrs, p->error, "max_pool cannot read the image itself: put a conv layer first");
    if (source.h < kernel || source.w < kernel)
        return mq_yaml_fail(attrs, p->error, "max_pool kernel %d does not fit: the input is %d x %d",
                            (int)kernel, source.h, source.w);
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_MAX_POOL, name, input, &node));
    node->pool = (mq_pool_attr){.kernel = (int)kernel, .stride = (int)stride};
    node->h = (int)((source.h - kernel) / stride + 1);
    node->w = (int)((source.w - kernel) / stride + 1);
    node->c = source.c;
    return MQ_OK;
}

static mq_status parse_reorg(parser *p, const mq_yaml_node *attrs, const char *name, int input) {
    static const char *const keys[] = {"name", "from", "stride", NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    const mq_node source = p->net->nodes[input];
    int64_t stride = 2;
    MQ_TRY(mq_yaml_opt_int(attrs, "stride", 2, 8, &stride, p->error));
    if (source.op == MQ_OP_INPUT)
        return mq_yaml_fail(attrs, p->error, "reorg cannot read the image itself: put a conv layer first");
    if (source.h % stride || source.w % stride)
        return mq_yaml_fail(attrs, p->error, "reorg stride %d must divide the input's %d rows and %d columns",
                            (int)stride, source.h, source.w);
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_REORG, name, input, &node));
    node->pool = (mq_pool_attr){.kernel = (int)stride, .stride = (int)stride};
    node->h = (int)(source.h / stride);
    node->w = (int)(source.w / stride);
    node->c = (int)(source.c * stride * stride);
    return MQ_OK;
}

static mq_status parse_concat(parser *p, const mq_yaml_node *attrs, const char *name, const int *inputs,
                              int count) {
    static const char *const keys[] = {"name", "from", NULL};
    MQ_TRY(mq_yaml_keys(attrs, keys, p->error));
    const mq_node first = p->net->nodes[inputs[0]];
    int channels = 0;
    for (int i = 0; i < count; i++) {
        const mq_node *source = &p->net->nodes[inputs[i]];
        if (source->h != first.h || source->w != first.w)
            return mq_yaml_fail(attrs, p->error,
                                "concat: '%s' is %d x %d but '%s' is %d x %d: the same size expected",
                                first.name, first.h, first.w, source->name, source->h, source->w);
        if (source->op == MQ_OP_INPUT)
            return mq_yaml_fail(attrs, p->error,
                                "concat cannot read the image itself: put a conv layer first");
        channels += source->c;
    }
    mq_node *node;
    MQ_TRY(add_node(p, attrs, MQ_OP_CONCAT, name, -1, &node));
    for (int i = 0; i < count; i++) {
        node->input[node->input_count++] = inputs[i];
        p->net->nodes[inputs[i]].consumers++;
    }
    node->h = first.h;
    node->w = first.w;
    node->c = channels;
    return MQ_OK;
}

/* The layer that `from` names. Activations are no layers of a description: each belongs to the layer it
 * stands in front of and has no other reader. */
static mq_status resolve(parser *p, const mq_yaml_node *word, int *out) {
    const char *name;
    MQ_TRY(mq_yaml_text(word, &name, p->error));
    *out = find_node(p->net, name);
    if (*out < 0 || p->net->nodes[*out].op == MQ_OP_ACTIVATION) {
        const char *names[MQ_MAX_NODES + 1];
        int count = 0;
        for (int i = 0; i < p->net->node_count; i++)
            if (p->net->nodes[i].op != MQ_OP_ACTIVATION) names[count++] = p->net->nodes[i].name;
        names[count] = NULL;
        const char *near = mq_nearest(name, names);
        return mq_yaml_fail(word, p->error, "from: no earlier layer is named '%s'%s%s%s", name,
                            near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    return MQ_OK;
}

/* One item of `layers`: a word, or a map of one word to its attributes. */
static mq_status parse_item(parser *p, const mq_yaml_node *item) {
    static const char *const words[] = {"conv", "linear", "batch_norm", "max_pool", "reorg", "concat", NULL};
    static const mq_op ops[] = {MQ_OP_CONV,     MQ_OP_LINEAR, MQ_OP_BATCH_NORM,
                                MQ_OP_MAX_POOL, MQ_OP_REORG,  MQ_OP_CONCAT};
    static const char *const stems[MQ_OPS] = {
        [MQ_OP_CONV] = "conv",     [MQ_OP_LINEAR] = "linear", [MQ_OP_BATCH_NORM] = "bn",
        [MQ_OP_MAX_POOL] = "pool", [MQ_OP_REORG] = "reorg",   [MQ_OP_CONCAT] = "concat",
    };
    mq_net *net = p->net;
    const mq_yaml_node *attrs = item;
    const char *word = item->text;
    mq_yaml_node empty = {
        .kind = MQ_YAML_MAP, .line = item->line, .column = item->column, .file = item->file};
    if (item->kind == MQ_YAML_MAP && item->count == 1) {
        attrs = item->child[0];
        word = attrs->key;
        if (attrs->kind == MQ_YAML_SCALAR && (!attrs->text || !*attrs->text))
            attrs = &empty;
        else if (attrs->kind != MQ_YAML_MAP)
            return mq_yaml_fail(attrs, p->error,
                                "layer '%s': attributes in braces expected, as in {out: 64, kernel: 3}",
                                word);
    } else if (item->kind == MQ_YAML_SCALAR) {
        attrs = &empty;
    } else {
        return mq_yaml_fail(item, p->error,
                            "a layer is one word with its attributes, as in '- conv: {out: 64, kernel: 3}'");
    }
    int kind = -1;
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0) kind = i;
    if (kind < 0) {
        const char *near = mq_nearest(word, words);
        return mq_yaml_fail(
            item, p->error,
            "unknown layer '%s'%s%s%s: expected conv, linear, batch_norm, max_pool, reorg or concat", word,
            near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    mq_op op = ops[kind];
    const char *given = NULL;
    char name[MQ_MAX_NAME];
    MQ_TRY(mq_yaml_opt_text(attrs, "name", &given, p->error));
    if (given && strlen(given) >= MQ_MAX_NAME - 8)
        return mq_yaml_fail(attrs, p->error, "layer name too long: '%.60s': at most %d characters", given,
                            MQ_MAX_NAME - 9);
    snprintf(name, sizeof name, "%s", given ? given : "");
    if (!given) snprintf(name, sizeof name, "%s%d", stems[op], p->counter[op]);
    p->counter[op]++;

    int inputs[MQ_MAX_INPUTS], count = 0;
    const mq_yaml_node *from = mq_yaml_get(attrs, "from");
    if (!from) {
        inputs[count++] = net->node_count - 1;
    } else if (from->kind == MQ_YAML_LIST) {
        if (from->count > MQ_MAX_INPUTS)
            return mq_yaml_fail(from, p->error, "from: %zu inputs, at most %d expected", from->count,
                                MQ_MAX_INPUTS);
        for (size_t i = 0; i < from->count; i++) MQ_TRY(resolve(p, from->child[i], &inputs[count++]));
    } else {
        MQ_TRY(resolve(p, from, &inputs[count++]));
    }
    if (op == MQ_OP_CONCAT ? count < 2 : count != 1)
        return mq_yaml_fail(from ? from : attrs, p->error, "%s '%s' has %d inputs: %s expected", word, name,
                            count, op == MQ_OP_CONCAT ? "2 to 8 names in `from`" : "1");
    switch (op) {
    case MQ_OP_CONV:
        MQ_TRY(parse_conv(p, attrs, name, inputs[0]));
        break;
    case MQ_OP_LINEAR:
        MQ_TRY(parse_linear(p, attrs, name, inputs[0]));
        break;
    case MQ_OP_BATCH_NORM:
        MQ_TRY(parse_batch_norm(p, attrs, name, inputs[0]));
        break;
    case MQ_OP_MAX_POOL:
        MQ_TRY(parse_max_pool(p, attrs, name, inputs[0]));
        break;
    case MQ_OP_REORG:
        MQ_TRY(parse_reorg(p, attrs, name, inputs[0]));
        break;
    default:
        MQ_TRY(parse_concat(p, attrs, name, inputs, count));
        break;
    }
    const mq_node *last = &net->nodes[net->node_count - 1];
    if (last->c > MAX_CHANNELS || (int64_t)last->h * last->w * last->c > MAX_ELEMENTS)
        return mq_yaml_fail(attrs, p->error, "layer '%s' is too large: %d x %d x %d", last->name, last->h,
                            last->w, last->c);
    return MQ_OK;
}

static mq_status parse_anchors(parser *p, const mq_yaml_node *list) {
    mq_net *net = p->net;
    if (list->kind != MQ_YAML_LIST || list->count == 0 || list->count > MQ_MAX_ANCHORS)
        return mq_yaml_fail(list, p->error, "anchors: a list of 1 to %d pairs [width, height] expected",
                            MQ_MAX_ANCHORS);
    for (size_t i = 0; i < list->count; i++) {
        const mq_yaml_node *pair = list->child[i];
        if (pair->kind != MQ_YAML_LIST || pair->count != 2)
            return mq_yaml_fail(pair, p->error, "anchor %zu: a pair [width, height] in pixels expected", i);
        double w, h;
        MQ_TRY(mq_yaml_double(pair->child[0], 0.01, 1e5, &w, p->error));
        MQ_TRY(mq_yaml_double(pair->child[1], 0.01, 1e5, &h, p->error));
        net->anchor_w[i] = (float)w;
        net->anchor_h[i] = (float)h;
    }
    net->anchor_count = (int)list->count;
    return MQ_OK;
}

static mq_status check_output(parser *p, const mq_yaml_node *root) {
    mq_net *net = p->net;
    net->output = net->node_count - 1;
    for (int i = 0; i < net->output; i++)
        if (net->nodes[i].consumers == 0)
            return mq_yaml_fail(root, p->error, "layer '%s' is read by no other layer", net->nodes[i].name);
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *node = &net->nodes[i];
        if (node->op == MQ_OP_BATCH_NORM && net->nodes[node->input[0]].consumers != 1)
            return mq_yaml_fail(
                root, p->error,
                "layer '%s' is read by '%s' and by others: a batch norm must be the only reader",
                net->nodes[node->input[0]].name, node->name);
    }
    const mq_node *out = mq_net_output(net);
    if (out->op != MQ_OP_CONV && out->op != MQ_OP_LINEAR)
        return mq_yaml_fail(root, p->error, "the last layer '%s' is a %s: a conv or linear layer expected",
                            out->name, mq_op_name(out->op));
    if (net->task == MQ_TASK_CLASSIFICATION && (out->h != 1 || out->w != 1 || out->c != net->classes))
        return mq_yaml_fail(root, p->error,
                            "the output of '%s' is %d x %d x %d: 1 x 1 x %d (classes) expected", out->name,
                            out->h, out->w, out->c, net->classes);
    if (net->task == MQ_TASK_DETECTION && out->c != net->anchor_count * (5 + net->classes))
        return mq_yaml_fail(
            root, p->error, "the output of '%s' has %d channels: %d anchors x (5 + %d classes) = %d expected",
            out->name, out->c, net->anchor_count, net->classes, net->anchor_count * (5 + net->classes));
    return MQ_OK;
}

static int find_word(const char *word, const char *const *words) {
    int i = 0;
    while (words[i] && strcmp(words[i], word) != 0) i++;
    return words[i] ? i : -1;
}

/* [mul, 2], or [sub, 0.5, 0.4, 0.3] with a value per channel; float32. */
static mq_status parse_step(parser *p, const mq_yaml_node *item, mq_real_step *out) {
    mq_net *net = p->net;
    if (item->kind != MQ_YAML_LIST || (item->count != 2 && item->count != (size_t)net->in_c + 1) ||
        !item->child[0]->text)
        return mq_yaml_fail(item, p->error,
                            "a step [add, 1] of one value, or of one for each of %d channels, expected",
                            net->in_c);
    int op = find_word(item->child[0]->text, mq_real_op_names);
    if (op < 0) return mq_yaml_fail(item->child[0], p->error, "step: add, sub, mul or div expected");
    out->op = (mq_real_op)op;
    out->count = (int)item->count - 1;
    for (int i = 0; i < out->count; i++) {
        double v;
        MQ_TRY(mq_yaml_double(item->child[i + 1], -3.5e38, 3.5e38, &v, p->error));
        out->value[i] = (float)v;
    }
    return MQ_OK;
}

/* The input of a network of given quantisers may be real numbers: then it has a pixel_divisor. */
static mq_status parse_real(parser *p, const mq_yaml_node *input) {
    mq_net *net = p->net;
    const mq_yaml_node *divisor = mq_yaml_get(input, "pixel_divisor"), *steps = mq_yaml_get(input, "steps");
    if (!divisor && !steps) return MQ_OK;
    if (!net->given || !divisor)
        return mq_yaml_fail(divisor ? divisor : steps, p->error,
                            "pixel_divisor and steps go together and belong to 'quantizer: given'");
    double v;
    MQ_TRY(mq_yaml_double(divisor, 1e-30, 1e30, &v, p->error));
    net->real = true;
    net->real_input.divisor = (float)v;
    if (steps && (steps->kind != MQ_YAML_LIST || steps->count > MQ_REAL_STEPS))
        return mq_yaml_fail(steps, p->error, "steps: a list of at most %d expected", MQ_REAL_STEPS);
    net->real_input.count = steps ? (int)steps->count : 0;
    for (int i = 0; i < net->real_input.count; i++)
        MQ_TRY(parse_step(p, steps->child[i], &net->real_input.step[i]));
    mq_status status = mq_real_input_check(&net->real_input, net->in_c, p->error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(p->error, status, "input");
}

static mq_status parse_root(parser *p, const mq_yaml_node *root) {
    _Static_assert(MQ_QUANTIZERS == 2, "the words below are those of mq_quantizer_names, then given");
    static const char *const keys[] = {"name",    "task",  "quantizer", "classes",
                                       "anchors", "input", "layers",    NULL};
    static const char *const tasks[] = {"classification", "detection", NULL};
    static const char *const input_keys[] = {"channels", "height", "width", "pixel_divisor", "steps", NULL};
    static const char *const quantizers[] = {"hwgq", "dorefa", "given", NULL};
    mq_net *net = p->net;
    MQ_TRY(mq_yaml_keys(root, keys, p->error));
    const char *name;
    MQ_TRY(mq_yaml_req_text(root, "name", &name, p->error));
    if (strlen(name) >= MQ_MAX_NAME) return mq_yaml_fail(root, p->error, "name too long: '%.60s'", name);
    strcpy(net->name, name);
    const mq_yaml_node *task = mq_yaml_get(root, "task"), *input = mq_yaml_get(root, "input");
    const mq_yaml_node *layers = mq_yaml_get(root, "layers"), *anchors = mq_yaml_get(root, "anchors");
    const mq_yaml_node *quantizer = mq_yaml_get(root, "quantizer");
    int task_index = 0, quantizer_index = MQ_QUANTIZER_HWGQ;
    if (task) MQ_TRY(mq_yaml_choice(task, tasks, &task_index, p->error));
    net->task = (mq_task)task_index;
    if (quantizer) MQ_TRY(mq_yaml_choice(quantizer, quantizers, &quantizer_index, p->error));
    net->given = quantizer_index == MQ_QUANTIZERS;
    net->quantizer = net->given ? MQ_QUANTIZER_HWGQ : (mq_quantizer)quantizer_index;
    int64_t classes, c, h, w;
    MQ_TRY(mq_yaml_req_int(root, "classes", 1, 100000, &classes, p->error));
    net->classes = (int)classes;
    if (!input)
        return mq_yaml_fail(root, p->error,
                            "missing key 'input': {channels: 3, height: 32, width: 32} expected");
    MQ_TRY(mq_yaml_keys(input, input_keys, p->error));
    MQ_TRY(mq_yaml_req_int(input, "channels", 1, 64, &c, p->error));
    MQ_TRY(mq_yaml_req_int(input, "height", 1, MAX_SIDE, &h, p->error));
    MQ_TRY(mq_yaml_req_int(input, "width", 1, MAX_SIDE, &w, p->error));
    if (h * w * c > MAX_ELEMENTS)
        return mq_yaml_fail(input, p->error, "input is too large: %d x %d x %d", (int)h, (int)w, (int)c);
    net->in_c = (int)c;
    net->in_h = (int)h;
    net->in_w = (int)w;
    MQ_TRY(parse_real(p, input));
    if (anchors && net->task != MQ_TASK_DETECTION)
        return mq_yaml_fail(anchors, p->error, "anchors belong to 'task: detection' only");
    if (!anchors && net->task == MQ_TASK_DETECTION)
        return mq_yaml_fail(root, p->error, "missing key 'anchors': 'task: detection' needs them");
    if (anchors) MQ_TRY(parse_anchors(p, anchors));
    if (!layers || layers->kind != MQ_YAML_LIST || layers->count == 0)
        return mq_yaml_fail(layers ? layers : root, p->error, "missing or empty 'layers': a list expected");
    mq_node *node;
    MQ_TRY(add_node(p, root, MQ_OP_INPUT, "input", -1, &node));
    node->h = net->in_h;
    node->w = net->in_w;
    node->c = net->in_c;
    for (size_t i = 0; i < layers->count; i++) MQ_TRY(parse_item(p, layers->child[i]));
    return check_output(p, root);
}

mq_status mq_net_parse(const char *name, const char *text, size_t size, mq_net **out, mq_error *error) {
    *out = NULL;
    mq_yaml *yaml = NULL;
    MQ_TRY(mq_yaml_parse(name, text, size, &yaml, error));
    parser p = {.error = error};
    mq_status status;
    MQ_TRY_GOTO(mq_alloc(1, sizeof *p.net, "a network", &p.net, error), done);
    MQ_TRY_GOTO(mq_alloc(MQ_MAX_NODES, sizeof(mq_node), "a network", &p.net->nodes, error), done);
    MQ_TRY_GOTO(mq_alloc(size + 1, 1, "a network", &p.net->source, error), done);
    memcpy(p.net->source, text, size);
    MQ_TRY_GOTO(parse_root(&p, mq_yaml_root(yaml)), done);
    *out = p.net;
done:
    if (status != MQ_OK) mq_net_free(p.net);
    mq_yaml_free(yaml);
    return status;
}
