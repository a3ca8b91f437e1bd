/* models_command.c - `mixq models`: the built-in networks, or one description read, checked and printed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "net/params.h"

static uint64_t layer_macs(const mq_node *node) {
    uint64_t pixels = (uint64_t)node->h * (uint64_t)node->w, out = (uint64_t)node->c;
    if (node->op == MQ_OP_LINEAR) return out * (uint64_t)node->linear.in_features;
    const mq_conv_attr *v = &node->conv;
    return pixels * out * (uint64_t)(v->in_channels / v->groups) * (uint64_t)(v->kernel_h * v->kernel_w);
}

typedef struct totals {
    uint64_t macs, parameters, of_node[MQ_MAX_NODES]; /* trained parameters */
} totals;

static mq_status count(const mq_net *net, totals *out, mq_error *error) {
    mq_param_spec *specs;
    int n;
    *out = (totals){0};
    MQ_TRY(mq_params_list(net, MQ_MODE_FLOAT, true, &specs, &n, error));
    for (int i = 0; i < n; i++) {
        size_t elements = 0;
        if (!mq_param_trained(specs[i].kind) || !mq_shape_count(&specs[i].shape, &elements)) continue;
        out->of_node[specs[i].node] += elements;
        out->parameters += elements;
    }
    mq_free(specs);
    for (int i = 0; i < net->layer_count; i++) out->macs += layer_macs(&net->nodes[net->layers[i].node]);
    return MQ_OK;
}

static const char *task_name(const mq_net *net) {
    return net->task == MQ_TASK_CLASSIFICATION ? "classification" : "detection";
}

static json_t *summary(const mq_net *net, const totals *t) {
    return json_pack("{s:s, s:s, s:s, s:i, s:[i,i,i], s:i, s:i, s:I, s:I}", "name", net->name, "task",
                     task_name(net), "quantizer", net->given ? "given" : mq_quantizer_names[net->quantizer],
                     "classes", net->classes, "input", net->in_c, net->in_h, net->in_w, "weighted_layers",
                     net->layer_count, "searched_layers", net->digit_count, "parameters",
                     (json_int_t)t->parameters, "macs", (json_int_t)t->macs);
}

/* ---- one network ---- */

/* The nodes that a description names; the activations in front of layers belong to these. */
static bool shown(const mq_node *node) {
    return node->op != MQ_OP_ACTIVATION;
}

static json_t *node_json(const mq_net *net, const mq_node *node, const totals *t) {
    json_t *root =
        json_pack("{s:s, s:s, s:[i,i,i], s:I}", "name", node->name, "op", mq_op_name(node->op), "output",
                  node->c, node->h, node->w, "parameters", (json_int_t)t->of_node[node->index]);
    if (!root || node->layer < 0) return root;
    const mq_layer *layer = &net->layers[node->layer];
    json_object_set_new(root, "macs", json_integer((json_int_t)layer_macs(node)));
    json_object_set_new(root, "pinned", json_boolean(layer->pinned));
    if (layer->pinned) {
        json_object_set_new(root, "weight_bits", json_integer(layer->pinned_weight_bits));
        json_object_set_new(root, "activation_bits", json_integer(layer->pinned_activation_bits));
    }
    return root;
}

static void print_node(const mq_net *net, const mq_node *node, const totals *t) {
    char shape[48], detail[96] = "", bits[32] = "";
    snprintf(shape, sizeof shape, "%d x %d x %d", node->c, node->h, node->w);
    if (node->op == MQ_OP_CONV) {
        const mq_conv_attr *v = &node->conv;
        int n = snprintf(detail, sizeof detail, "%dx%d", v->kernel_h, v->kernel_w);
        if (v->stride > 1) n += snprintf(detail + n, sizeof detail - (size_t)n, " stride %d", v->stride);
        if (v->groups > 1) snprintf(detail + n, sizeof detail - (size_t)n, " groups %d", v->groups);
    } else if (node->op == MQ_OP_MAX_POOL) {
        snprintf(detail, sizeof detail, "%dx%d stride %d", node->pool.kernel, node->pool.kernel,
                 node->pool.stride);
    }
    uint64_t macs = 0;
    if (node->layer >= 0) {
        const mq_layer *layer = &net->layers[node->layer];
        macs = layer_macs(node);
        snprintf(bits, sizeof bits, layer->pinned ? "w%d a%d" : "searched", layer->pinned_weight_bits,
                 layer->pinned_activation_bits);
    }
    printf("  %-14s %-11s %-22s %-18s %10" PRIu64 " %12.3f  %s\n", node->name, mq_op_name(node->op), detail,
           shape, t->of_node[node->index], (double)macs * 1e-6, bits);
}

static mq_status show_one(const cli_args *args, const char *model, mq_error *error) {
    mq_net *net;
    totals t;
    MQ_TRY(mq_net_open(model, &net, error));
    mq_status status = count(net, &t, error);
    if (status == MQ_OK && args->json) {
        json_t *root = summary(net, &t), *layers = json_array();
        for (int i = 0; i < net->node_count; i++)
            if (shown(&net->nodes[i])) json_array_append_new(layers, node_json(net, &net->nodes[i], &t));
        json_object_set_new(root, "layers", layers); /* releases them when there is no root */
        status = cli_print_json(root, error);
    } else if (status == MQ_OK) {
        printf("%s: %s of %d class%s, input %d x %d x %d, %s quantisers, %" PRIu64
               " parameters, %.3f M multiplications\n",
               net->name, task_name(net), net->classes, net->classes == 1 ? "" : "es", net->in_c, net->in_h,
               net->in_w, net->given ? "given" : mq_quantizer_names[net->quantizer], t.parameters,
               (double)t.macs * 1e-6);
        printf("  %-14s %-11s %-22s %-18s %10s %12s  %s\n", "name", "layer", "", "output C x H x W",
               "parameters", "M mult.", "bits");
        for (int i = 0; i < net->node_count; i++)
            if (shown(&net->nodes[i])) print_node(net, &net->nodes[i], &t);
    }
    mq_net_free(net);
    return status;
}

/* ---- the list ---- */

static mq_status add_one(const cli_args *args, const char *name, json_t *list, mq_error *error) {
    mq_net *net;
    totals t;
    MQ_TRY(mq_net_open(name, &net, error));
    mq_status status = count(net, &t, error);
    if (status == MQ_OK && args->json)
        json_array_append_new(list, summary(net, &t));
    else if (status == MQ_OK)
        printf("%-16s %-15s %-7s %3d x %3d x %3d  %3d layers  %8.3f M parameters  %9.3f M multiplications\n",
               net->name, task_name(net), net->given ? "given" : mq_quantizer_names[net->quantizer],
               net->in_c, net->in_h, net->in_w, net->layer_count, (double)t.parameters * 1e-6,
               (double)t.macs * 1e-6);
    mq_net_free(net);
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    if (args->word_count) return show_one(args, args->word[0], error);
    json_t *list = json_array();
    mq_status status = MQ_OK;
    for (const mq_embedded_file *f = mixq_builtin_models; f->name && status == MQ_OK; f++) {
        char name[MQ_MAX_NAME];
        const char *dot = strrchr(f->name, '.');
        snprintf(name, sizeof name, "%.*s", (int)(dot ? dot - f->name : (long)strlen(f->name)), f->name);
        status = add_one(args, name, list, error);
    }
    if (status == MQ_OK && args->json) return cli_print_json(json_pack("{s:o}", "models", list), error);
    json_decref(list);
    return status;
}

static const cli_option OPTIONS[] = {{NULL, NULL, NULL}};

const cli_command cli_models = {
    .name = "models",
    .usage = "[MODEL]",
    .summary = "List the built-in networks, or read, check and print one",
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "MODEL is a built-in name or a .yaml file; the first mistake in a file is reported with its line.\n\n"
        "Examples:\n  mixq models\n  mixq models vgg_tiny\n  mixq models my.yaml --json\n",
    .run = run,
};
