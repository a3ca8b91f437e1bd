/* parse.c - from a YAML description to a checked graph.
 *
 * Layers stand in execution order; each reads the one before it unless `from` names others. Every message
 * carries file, line and column. docs/networks.md describes the keys. */
#include "net/parse_internal.h"

#include <string.h>

#include "base/memory.h"

enum { MAX_SIDE = 1 << 14 };

static mq_status parse_anchors(mq_parser *p, const mq_yaml_node *list) {
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

static mq_status check_output(mq_parser *p, const mq_yaml_node *root) {
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
static mq_status parse_step(mq_parser *p, const mq_yaml_node *item, mq_real_step *out) {
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
static mq_status parse_real(mq_parser *p, const mq_yaml_node *input) {
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

static mq_status parse_root(mq_parser *p, const mq_yaml_node *root) {
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
    if (h * w * c > MQ_PARSE_MAX_ELEMENTS)
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
    MQ_TRY(mq_parse_node(p, root, MQ_OP_INPUT, "input", -1, &node));
    node->h = net->in_h;
    node->w = net->in_w;
    node->c = net->in_c;
    for (size_t i = 0; i < layers->count; i++) MQ_TRY(mq_parse_layer(p, layers->child[i]));
    return check_output(p, root);
}

mq_status mq_net_parse(const char *name, const char *text, size_t size, mq_net **out, mq_error *error) {
    *out = NULL;
    mq_yaml *yaml = NULL;
    MQ_TRY(mq_yaml_parse(name, text, size, &yaml, error));
    mq_parser p = {.error = error};
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
