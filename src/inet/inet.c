/* inet.c - building an integer network node by node: names, order and the checks of the whole. What a node
 * computes and how large it can get is in infer.c. */
#include "inet/inet.h"

#include <math.h>
#include <string.h>

#include "inet/inet_internal.h"

static const char *const kind_names[] = {
#define KIND_NAME(id, name, least, most) name,
    MQ_INET_KINDS(KIND_NAME)
#undef KIND_NAME
};

static const int kind_inputs[][2] = {
#define KIND_INPUTS(id, name, least, most) {least, most},
    MQ_INET_KINDS(KIND_INPUTS)
#undef KIND_INPUTS
};

const char *mq_inet_kind_name(mq_inet_kind kind) {
    return kind >= 0 && kind < MQ_INET_KIND_COUNT ? kind_names[kind] : "?";
}

mq_status mq_inet_create(mq_inet **out, mq_error *error) {
    *out = NULL;
    mq_inet *net = NULL;
    MQ_TRY(mq_alloc(1, sizeof *net, "integer network", &net, error));
    mq_status status = mq_alloc(MQ_INET_MAX_NODES, sizeof *net->nodes, "integer network", &net->nodes, error);
    if (status == MQ_OK) status = mq_arena_create(&net->arena, error);
    if (status != MQ_OK) {
        mq_inet_free(net);
        return status;
    }
    *out = net;
    return MQ_OK;
}

void mq_inet_free(mq_inet *net) {
    if (!net) return;
    mq_arena_destroy(net->arena);
    mq_free(net->nodes);
    mq_free(net);
}

int mq_inet_find(const mq_inet *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    return -1;
}

size_t mq_inet_weight_count(const mq_inet *net, const mq_inet_node *node) {
    if (node->kind != MQ_INET_CONV && node->kind != MQ_INET_LINEAR) return 0;
    const mq_inet_edge *in = &net->nodes[node->input[0]].edge;
    if (node->kind == MQ_INET_LINEAR)
        return (size_t)node->linear.out_features * (size_t)in->c * (size_t)in->h * (size_t)in->w;
    const mq_inet_conv *conv = &node->conv;
    return (size_t)conv->out_channels * (size_t)(in->c / conv->groups) * (size_t)conv->kernel_h *
           (size_t)conv->kernel_w;
}

/* Names become tensor and file names. */
static bool good_name(const char text[MQ_INET_MAX_NAME]) {
    size_t n = strnlen(text, MQ_INET_MAX_NAME);
    if (n == 0 || n == MQ_INET_MAX_NAME || text[0] == '.') return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.') return false;
    }
    return true;
}

static mq_status check_place(const mq_inet *net, const mq_inet_node *node, mq_error *error) {
    int n = net->node_count;
    if (!good_name(node->name))
        return mq_fail(error, MQ_BAD_INPUT,
                       "node %d: name: got '%.64s', expected 1 to %d letters, digits, _, -, .", n, node->name,
                       MQ_INET_MAX_NAME - 1);
    if (n >= MQ_INET_MAX_NODES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: too many nodes: at most %d expected", node->name,
                       MQ_INET_MAX_NODES);
    if (node->kind < 0 || node->kind >= MQ_INET_KIND_COUNT)
        return mq_fail(error, MQ_BAD_INPUT, "%s: unknown kind %d", node->name, (int)node->kind);
    if (node->dump[0] && !good_name(node->dump))
        return mq_fail(error, MQ_BAD_INPUT, "%s: dump: got '%.64s', expected a plain file name", node->name,
                       node->dump);
    for (int i = 0; i < n; i++) {
        if (strcmp(net->nodes[i].name, node->name) == 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: name used twice (nodes %d and %d)", node->name, i, n);
        if (node->dump[0] && strcmp(net->nodes[i].dump, node->dump) == 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: dump '%s' used twice, also by %s", node->name,
                           node->dump, net->nodes[i].name);
    }
    if (n > 0 && net->nodes[n - 1].kind == MQ_INET_OUTPUT)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a node after the output", node->name);
    if ((node->kind == MQ_INET_IMAGE) != (n == 0))
        return mq_fail(error, MQ_BAD_INPUT, "%s: the image must be the first node and the only one",
                       node->name);
    int least = kind_inputs[node->kind][0], most = kind_inputs[node->kind][1];
    if (node->input_count < least || node->input_count > most)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %d inputs, expected %d to %d", node->name,
                       node->input_count, least, most);
    for (int i = 0; i < node->input_count; i++)
        if (node->input[i] < 0 || node->input[i] >= n)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: input %d: got node %d, expected an earlier node, 0 to %d", node->name, i,
                           node->input[i], n - 1);
    return MQ_OK;
}

mq_status mq_inet_add(mq_inet *net, const mq_inet_node *node, int *index, mq_error *error) {
    MQ_TRY(check_place(net, node, error));
    mq_inet_node *slot = &net->nodes[net->node_count];
    *slot = *node;
    memset(&slot->edge, 0, sizeof slot->edge);
    slot->consumers = slot->inc_bits = slot->bias_bits = 0;
    mq_status status = mq_inet_infer(net, slot, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "%s", node->name);
    for (int i = 0; i < slot->input_count; i++) net->nodes[slot->input[i]].consumers++;
    if (index) *index = net->node_count;
    net->node_count++;
    return MQ_OK;
}

/* Text that other files quote. */
static mq_status check_bits_text(const char *key, const char *text, mq_error *error) {
    if (memchr(text, 0, MQ_INET_BITS_TEXT) && text[strspn(text, "0123456789,")] == 0) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: got '%.40s', expected digits and commas", key, text);
}

mq_status mq_inet_finish(mq_inet *net, mq_error *error) {
    if (net->node_count < 2 || mq_inet_last(net)->kind != MQ_INET_OUTPUT)
        return mq_fail(error, MQ_BAD_INPUT, "integer network: no output node at the end");
    for (int i = 0; i + 1 < net->node_count; i++)
        if (net->nodes[i].consumers == 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: no node reads its result", net->nodes[i].name);
    const mq_inet_edge *head = &mq_inet_last(net)->edge;
    const char *name = net->nodes[mq_inet_last(net)->input[0]].name;
    if (!good_name(net->model))
        return mq_fail(error, MQ_BAD_INPUT, "model: got '%.64s', expected 1 to %d letters, digits, _, -, .",
                       net->model, MQ_INET_MAX_NAME - 1);
    MQ_TRY(check_bits_text("bitw", net->bitw, error));
    MQ_TRY(check_bits_text("bita", net->bita, error));
    if (net->classes < 1 || net->classes > MQ_INET_MAX_CHANNELS)
        return mq_fail(error, MQ_BAD_INPUT, "classes: got %d, expected 1 to %d", net->classes,
                       MQ_INET_MAX_CHANNELS);
    if (net->task == MQ_INET_CLASSIFICATION) {
        if (net->anchor_count != 0)
            return mq_fail(error, MQ_BAD_INPUT, "anchors: got %d, expected none for a classifier",
                           net->anchor_count);
        if (head->h != 1 || head->w != 1 || head->c != net->classes)
            return mq_fail(error, MQ_BAD_INPUT, "%s: output: got %d x %d x %d, expected 1 x 1 x %d classes",
                           name, head->h, head->w, head->c, net->classes);
        return MQ_OK;
    }
    if (net->anchor_count < 1 || net->anchor_count > MQ_INET_MAX_ANCHORS)
        return mq_fail(error, MQ_BAD_INPUT, "anchors: got %d, expected 1 to %d", net->anchor_count,
                       MQ_INET_MAX_ANCHORS);
    for (int i = 0; i < net->anchor_count; i++)
        if (!(isfinite(net->anchor_w[i]) && isfinite(net->anchor_h[i]) && net->anchor_w[i] > 0 &&
              net->anchor_h[i] > 0))
            return mq_fail(error, MQ_BAD_INPUT, "anchors[%d]: got %g x %g, expected positive sizes", i,
                           net->anchor_w[i], net->anchor_h[i]);
    if (head->c != net->anchor_count * (5 + net->classes))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: output: got %d channels, expected %d anchors x (5 + %d classes)", name, head->c,
                       net->anchor_count, net->classes);
    return MQ_OK;
}
