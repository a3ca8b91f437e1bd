/* parse_layers.c - the items of `layers`: words, keys, names, `from`; each becomes nodes of the graph. */
#include "net/parse_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum {
    MAX_CHANNELS = 1 << 16,
    MAX_KERNEL = 31,
    MAX_POOL = 16 /* a winner's place in its window is a byte */
};

static const char *const ACTIVATION_WORDS[] = {"relu", "relu6", NULL};

static int find_node(const mq_net *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    return -1;
}

/* Appends a node with one input (or none yet when input < 0). */
mq_status mq_parse_node(mq_parser *p, const mq_yaml_node *at, mq_op op, const char *name, int input,
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
static mq_status add_activation(mq_parser *p, const mq_yaml_node *at, const char *layer_name, int input,
                                int word, int *out) {
    const mq_node *source = &p->net->nodes[input];
    char name[MQ_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.act", layer_name);
    mq_node *node;
    MQ_TRY(mq_parse_node(p, at, MQ_OP_ACTIVATION, name, input, &node));
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
static mq_status given_types(mq_parser *p, const mq_yaml_node *attrs, mq_layer *layer) {
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
static mq_status add_layer(mq_parser *p, const mq_yaml_node *attrs, mq_node *node, int act) {
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

static mq_status parse_conv(mq_parser *p, const mq_yaml_node *attrs, const char *name, int input) {
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_CONV, name, act, &node));
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

static mq_status parse_linear(mq_parser *p, const mq_yaml_node *attrs, const char *name, int input) {
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_LINEAR, name, act, &node));
    node->h = node->w = 1;
    node->c = (int)out;
    node->linear = (mq_linear_attr){
        .out_features = (int)out, .in_features = source.h * source.w * source.c, .bias = bias};
    return add_layer(p, attrs, node, act);
}

static mq_status parse_batch_norm(mq_parser *p, const mq_yaml_node *attrs, const char *name, int input) {
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_BATCH_NORM, name, input, &node));
    node->h = h;
    node->w = w;
    node->c = c;
    return MQ_OK;
}

static mq_status parse_max_pool(mq_parser *p, const mq_yaml_node *attrs, const char *name, int input) {
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_MAX_POOL, name, input, &node));
    node->pool = (mq_pool_attr){.kernel = (int)kernel, .stride = (int)stride};
    node->h = (int)((source.h - kernel) / stride + 1);
    node->w = (int)((source.w - kernel) / stride + 1);
    node->c = source.c;
    return MQ_OK;
}

static mq_status parse_reorg(mq_parser *p, const mq_yaml_node *attrs, const char *name, int input) {
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_REORG, name, input, &node));
    node->pool = (mq_pool_attr){.kernel = (int)stride, .stride = (int)stride};
    node->h = (int)(source.h / stride);
    node->w = (int)(source.w / stride);
    node->c = (int)(source.c * stride * stride);
    return MQ_OK;
}

static mq_status parse_concat(mq_parser *p, const mq_yaml_node *attrs, const char *name, const int *inputs,
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
    MQ_TRY(mq_parse_node(p, attrs, MQ_OP_CONCAT, name, -1, &node));
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
static mq_status resolve(mq_parser *p, const mq_yaml_node *word, int *out) {
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
mq_status mq_parse_layer(mq_parser *p, const mq_yaml_node *item) {
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
    if (last->c > MAX_CHANNELS || (int64_t)last->h * last->w * last->c > MQ_PARSE_MAX_ELEMENTS)
        return mq_yaml_fail(attrs, p->error, "layer '%s' is too large: %d x %d x %d", last->name, last->h,
                            last->w, last->c);
    return MQ_OK;
}
