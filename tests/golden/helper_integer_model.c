/* helper_integer_model.c - integer_model.json lists the layers; pools and the bypass come from the model's
 * name. */
#include "helper_integer_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden_files.h"
#include "io/json.h"
#include "io/safetensors.h"

typedef struct topology {
    const char *model, *pooled; /* 'p' where a 2x2 max pool follows the layer */
    int bypass; /* layer whose codes are reorganised and concatenated before the last 3x3, or -1 */
} topology;

static const topology topologies[] = {{"vgg_tiny", ".p.p.p.", -1},
                                      {"ultranet", "pppp.....", -1},
                                      {"ultranet_bypass", "pppp.....", 3},
                                      {"skynet", ".p.p.p.......", -1},
                                      {"skynetk5", ".p.p.p.......", -1}};

typedef struct builder {
    mq_inet *net;
    const json_t *layers;
    const mq_st_file *tensors;
    int last; /* node that the next layer reads */
    mq_error *error;
} builder;

static mq_status read_model_name(const char *folder, const json_t *layers, char name[64], mq_error *error) {
    char path[GOLDEN_PATH];
    name[0] = 0;
    static const char *const places[] = {"expected.json", "../expected.json"};
    for (int i = 0; i < 2 && !name[0]; i++) {
        if (!golden_path(path, folder, places[i]) || !mq_path_exists(path)) continue;
        json_t *expected;
        MQ_TRY(mq_json_load(path, &expected, error));
        const char *text = json_string_value(json_object_get(expected, "model"));
        if (text) snprintf(name, 64, "%s", text);
        json_decref(expected);
    }
    if (name[0]) return MQ_OK;
    int k = (int)json_integer_value(json_object_get(json_array_get(layers, 0), "k"));
    const char *guess = json_array_size(layers) == 7 ? "vgg_tiny" : k == 5 ? "skynetk5" : "skynet";
    if (json_array_size(layers) == 9) {
        bool wide = json_integer_value(json_object_get(json_array_get(layers, 7), "ich")) == 320;
        guess = wide ? "ultranet_bypass" : "ultranet";
    }
    snprintf(name, 64, "%s", guess);
    return MQ_OK;
}

static int number(const json_t *layer, const char *key, int otherwise) {
    const json_t *v = json_object_get(layer, key);
    return v ? (int)json_integer_value(v) : otherwise;
}

static double real(const json_t *layer, const char *key) {
    return json_number_value(json_object_get(layer, key));
}

/* A tensor of layer n's, or NULL. */
static const mq_tensor *tensor(const builder *b, int n, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "layer%d.%s", n, name);
    const mq_st_entry *entry = mq_st_find(b->tensors, full);
    return entry ? &entry->tensor : NULL;
}

static mq_status add(builder *b, mq_inet_node *node) {
    if (node->kind != MQ_INET_IMAGE && node->input_count == 0) {
        node->input[0] = b->last;
        node->input_count = 1;
    }
    return mq_inet_add(b->net, node, &b->last, b->error);
}

static mq_status add_layer(builder *b, int n, const json_t *layer, const int8_t *weight) {
    const char *type = json_string_value(json_object_get(layer, "type"));
    bool linear = type && strcmp(type, "linear") == 0, head = !json_object_get(layer, "lshift_T");
    const mq_tensor *bias = head ? tensor(b, n, "bias") : NULL;
    mq_inet_node node = {.kind = linear ? MQ_INET_LINEAR : MQ_INET_CONV};
    snprintf(node.name, sizeof node.name, "%s%d", linear ? "linear" : "conv", n);
    if (head) snprintf(node.dump, sizeof node.dump, "%s", node.name);
    if (linear) {
        node.linear = (mq_inet_linear){.out_features = number(layer, "och", 0),
                                       .weight_bits = number(layer, "wbit", 0)};
        node.linear.weight_scale = real(layer, "wstep");
        node.linear.weight = weight;
        node.linear.bias = bias ? bias->data : NULL;
    } else {
        mq_inet_conv *v = &node.conv;
        int k = number(layer, "k", 0), s = number(layer, "s", 1), p = number(layer, "p", 0);
        *v = (mq_inet_conv){
            .out_channels = number(layer, "och", 0), .kernel_h = k, .kernel_w = k, .stride_h = s};
        v->stride_w = s;
        v->pad_top = v->pad_left = v->pad_bottom = v->pad_right = p;
        v->groups = number(layer, "groups", 1);
        v->weight_bits = number(layer, "wbit", 0);
        v->weight_scale = real(layer, "wstep");
        v->weight = weight;
        v->bias = bias ? bias->data : NULL;
    }
    return add(b, &node);
}

static mq_status add_requant(builder *b, int n, const json_t *layer) {
    const mq_tensor *inc = tensor(b, n, "inc"), *published = tensor(b, n, "bias");
    int channels = number(layer, "och", 0), T = number(layer, "lshift_T", 0);
    if (!inc || !published) return mq_fail(b->error, MQ_BAD_INPUT, "layer %d: no inc or bias", n);
    int64_t *bias = malloc((size_t)channels * sizeof *bias);
    for (int c = 0; c < channels; c++)
        bias[c] = ((const int64_t *)published->data)[c] + ((int64_t)1 << (T - 1));
    mq_inet_node node = {.kind = MQ_INET_REQUANT};
    snprintf(node.name, sizeof node.name, "conv%d.requant", n);
    snprintf(node.dump, sizeof node.dump, "conv%d", n);
    node.requant =
        (mq_inet_requant){.bits = number(layer, "obit", 0), .scale = real(layer, "ostep"), .shift = T};
    node.requant.high = (1 << node.requant.bits) - 1;
    node.requant.inc = inc->data;
    node.requant.bias = bias;
    mq_status status = add(b, &node);
    free(bias);
    return status;
}

/* reorg2(B) rescaled, before what came last. */
static mq_status add_bypass(builder *b, int from, double from_step, const json_t *consumer) {
    int main_branch = b->last;
    mq_inet_node reorg = {.kind = MQ_INET_REORG, .name = "bypass.reorg", .input = {from}, .input_count = 1};
    MQ_TRY(add(b, &reorg));
    mq_inet_node rescale = {.kind = MQ_INET_RESCALE, .name = "bypass.rescale"};
    rescale.rescale =
        (mq_inet_rescale){.multiply = (float)from_step, .divide = (float)real(consumer, "astep")};
    rescale.rescale.bits = number(consumer, "abit", 0);
    rescale.rescale.scale = real(consumer, "astep");
    MQ_TRY(add(b, &rescale));
    mq_inet_node concat = {.kind = MQ_INET_CONCAT, .name = "concat", .input = {b->last, main_branch}};
    concat.input_count = 2;
    return add(b, &concat);
}

static mq_status build_nodes(builder *b, const topology *t) {
    const json_t *first = json_array_get(b->layers, 0);
    int count = (int)json_array_size(b->layers), bypassed = -1;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image"};
    image.image = (mq_inet_image){.h = number(first, "irow", 0), .w = number(first, "icol", 0)};
    image.image.c = number(first, "ich", 0);
    image.image.bits = number(first, "abit", 0);
    MQ_TRY(add(b, &image));
    if ((size_t)count != strlen(t->pooled))
        return mq_fail(b->error, MQ_BAD_INPUT, "%s: got %d layers, expected %zu", t->model, count,
                       strlen(t->pooled));
    for (int n = 0; n < count; n++) {
        const json_t *layer = json_array_get(b->layers, (size_t)n);
        const mq_tensor *codes = tensor(b, n, "weight");
        if (!codes || codes->dtype != MQ_I32)
            return mq_fail(b->error, MQ_BAD_INPUT, "layer %d: no weight", n);
        size_t weights = mq_tensor_count(codes);
        if (t->bypass >= 0 && n == count - 2)
            MQ_TRY(
                add_bypass(b, bypassed, real(json_array_get(b->layers, (size_t)t->bypass), "ostep"), layer));
        int8_t *weight = malloc(weights);
        for (size_t i = 0; i < weights; i++) weight[i] = (int8_t)((const int32_t *)codes->data)[i];
        mq_status status = add_layer(b, n, layer, weight);
        free(weight);
        if (status != MQ_OK) return status;
        if (n + 1 == count) break;
        MQ_TRY(add_requant(b, n, layer));
        if (n == t->bypass) bypassed = b->last;
        if (t->pooled[n] != 'p') continue;
        mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .pool = {.kernel = 2, .stride = 2}};
        snprintf(pool.name, sizeof pool.name, "pool%d", n);
        MQ_TRY(add(b, &pool));
    }
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output"};
    output.output.divisor = real(json_array_get(b->layers, (size_t)count - 1), "div");
    MQ_TRY(add(b, &output));
    return mq_inet_finish(b->net, b->error);
}

static mq_status build(const char *folder, const json_t *layers, const mq_st_file *tensors, mq_inet *net,
                       mq_error *error) {
    MQ_TRY(read_model_name(folder, layers, net->model, error));
    const topology *t = NULL;
    for (size_t i = 0; i < sizeof topologies / sizeof *topologies; i++)
        if (strcmp(topologies[i].model, net->model) == 0) t = &topologies[i];
    if (!t) return mq_fail(error, MQ_BAD_INPUT, "%s: unknown model '%s'", folder, net->model);
    net->compat = true;
    net->task = strcmp(net->model, "vgg_tiny") == 0 ? MQ_INET_CLASSIFICATION : MQ_INET_DETECTION;
    net->classes = net->task == MQ_INET_CLASSIFICATION ? 10 : 1;
    for (int i = 0; net->task == MQ_INET_DETECTION && i < 6; i++) {
        net->anchor_count = 6;
        net->anchor_w[i] = net->anchor_h[i] = 20;
    }
    builder b = {.net = net, .layers = layers, .tensors = tensors, .error = error};
    return build_nodes(&b, t);
}

mq_status golden_integer_model(const char *folder, mq_inet **out, mq_error *error) {
    char path[GOLDEN_PATH];
    json_t *layers = NULL;
    mq_st_file *tensors = NULL;
    mq_status status = MQ_BAD_INPUT;
    *out = NULL;
    if (golden_path(path, folder, "integer_model.json")) status = mq_json_load(path, &layers, error);
    if (status == MQ_OK && golden_path(path, folder, "integer_model.safetensors"))
        status = mq_st_load(path, &tensors, error);
    if (status == MQ_OK) status = mq_inet_create(out, error);
    if (status == MQ_OK) status = build(folder, layers, tensors, *out, error);
    if (status != MQ_OK) {
        mq_inet_free(*out);
        *out = NULL;
    }
    mq_st_free(tensors);
    json_decref(layers);
    return status;
}
