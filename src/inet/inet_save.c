/* inet_save.c - an integer network as net.json + weights.safetensors (docs/formats.md). Keys in a fixed
 * order, no dates: the same network gives the same bytes. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "inet/inet.h"
#include "inet/inet_files.h"
#include "inet/weight_bits.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "tensor/tensor.h"

/* ---- tensors ---- */

static mq_status put_tensor(mq_st_writer *writer, const mq_inet_node *node, const char *suffix,
                            mq_dtype dtype, mq_shape shape, const void *data, mq_error *error) {
    char name[MQ_INET_MAX_NAME + 16];
    snprintf(name, sizeof name, "%s.%s", node->name, suffix);
    mq_tensor tensor = {.dtype = dtype, .shape = shape};
    memcpy(&tensor.data, &data, sizeof data); /* the writer only reads */
    return mq_st_add(writer, name, &tensor, error);
}

/* The codes in the arena, at their own width. */
static mq_status put_packed(mq_st_writer *writer, const mq_inet *net, const mq_inet_node *node,
                            mq_arena *arena, mq_error *error) {
    bool conv = node->kind == MQ_INET_CONV;
    int bits = conv ? node->conv.weight_bits : node->linear.weight_bits;
    size_t count = mq_inet_weight_count(net, node), bytes = mq_weight_bytes(count, bits);
    uint8_t *packed;
    MQ_TRY(mq_arena_alloc(arena, bytes, 1, "weights", &packed, error));
    mq_weight_pack(conv ? node->conv.weight : node->linear.weight, count, bits, packed);
    return put_tensor(writer, node, "weight", MQ_U8, mq_shape1((int64_t)bytes), packed, error);
}

static mq_status put_node_tensors(mq_st_writer *writer, const mq_inet *net, const mq_inet_node *node,
                                  mq_arena *arena, mq_error *error) {
    const mq_inet_edge *in = node->input_count ? &net->nodes[node->input[0]].edge : NULL;
    mq_shape channels = mq_shape1(node->edge.c);
    if (node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR) {
        bool conv = node->kind == MQ_INET_CONV;
        const int64_t *bias = conv ? node->conv.bias : node->linear.bias;
        mq_shape shape = conv ? mq_shape4(node->edge.c, in->c / node->conv.groups, node->conv.kernel_h,
                                          node->conv.kernel_w)
                              : mq_shape2(node->edge.c, (int64_t)in->c * in->h * in->w);
        MQ_TRY(net->packed_weights ? put_packed(writer, net, node, arena, error)
                                   : put_tensor(writer, node, "weight", MQ_I8, shape,
                                                conv ? node->conv.weight : node->linear.weight, error));
        return bias ? put_tensor(writer, node, "bias", MQ_I64, channels, bias, error) : MQ_OK;
    }
    if (node->kind != MQ_INET_REQUANT) return MQ_OK;
    const mq_inet_requant *r = &node->requant;
    MQ_TRY(put_tensor(writer, node, "inc", MQ_I64, channels, r->inc, error));
    MQ_TRY(put_tensor(writer, node, "bias", MQ_I64, channels, r->bias, error));
    if (!r->rule) return MQ_OK;
    MQ_TRY(put_tensor(writer, node, "rule", MQ_U8, channels, r->rule, error));
    return put_tensor(writer, node, "threshold", MQ_I64, mq_shape2(node->edge.c, r->high - r->low),
                      r->threshold, error);
}

static mq_status save_weights(const mq_inet *net, const char *path, mq_error *error) {
    mq_st_writer *writer = NULL;
    mq_arena *arena = NULL;
    MQ_TRY(mq_st_writer_create(&writer, error));
    mq_status status = mq_arena_create(&arena, error);
    if (status == MQ_OK) status = mq_st_add_meta(writer, "format", MQ_INET_FORMAT, error);
    for (int i = 0; status == MQ_OK && i < net->node_count; i++)
        status = put_node_tensors(writer, net, &net->nodes[i], arena, error);
    if (status == MQ_OK) status = mq_st_write(writer, path, error);
    mq_st_writer_free(writer);
    mq_arena_destroy(arena);
    return status;
}

/* ---- net.json ---- */

/* How real numbers become the image's codes. */
static json_t *real_input(const mq_inet_image *image) {
    json_t *steps = json_array();
    for (int i = 0; i < image->real->count; i++) {
        const mq_real_step *s = &image->real->step[i];
        json_t *values = json_array();
        for (int c = 0; c < s->count; c++) json_array_append_new(values, json_real((double)s->value[c]));
        json_array_append_new(steps, json_pack("{s:s,s:o}", "op", mq_real_op_names[s->op], "values", values));
    }
    return json_pack("{s:b,s:b,s:f,s:f,s:o}", "signed", image->is_signed, "narrow", image->narrow, "scale",
                     image->scale, "divisor", (double)image->real->divisor, "steps", steps);
}

/* The kind's own members; NULL when out of memory. */
static json_t *attributes(const mq_inet_node *node) {
    switch (node->kind) {
    case MQ_INET_IMAGE: {
        json_t *image = json_pack("{s:i,s:i,s:i,s:i}", "h", node->image.h, "w", node->image.w, "c",
                                  node->image.c, "bits", node->image.bits);
        if (image && node->image.real) json_object_set_new(image, "real", real_input(&node->image));
        return image;
    }
    case MQ_INET_CONV: {
        const mq_inet_conv *v = &node->conv;
        return json_pack("{s:i,s:[ii],s:[ii],s:[iiii],s:i,s:i,s:b,s:f,s:b,s:i}", "out_channels",
                         v->out_channels, "kernel", v->kernel_h, v->kernel_w, "stride", v->stride_h,
                         v->stride_w, "pads", v->pad_top, v->pad_left, v->pad_bottom, v->pad_right, "groups",
                         v->groups, "weight_bits", v->weight_bits, "weight_narrow", v->weight_narrow,
                         "weight_scale", v->weight_scale, "bias", v->bias != NULL, "bias_bits",
                         node->bias_bits);
    }
    case MQ_INET_LINEAR: {
        const mq_inet_linear *v = &node->linear;
        return json_pack("{s:i,s:i,s:b,s:f,s:b,s:i}", "out_features", v->out_features, "weight_bits",
                         v->weight_bits, "weight_narrow", v->weight_narrow, "weight_scale", v->weight_scale,
                         "bias", v->bias != NULL, "bias_bits", node->bias_bits);
    }
    case MQ_INET_REQUANT: {
        const mq_inet_requant *r = &node->requant;
        return json_pack("{s:i,s:b,s:b,s:f,s:i,s:i,s:i,s:i,s:i,s:b}", "bits", r->bits, "signed", r->is_signed,
                         "narrow", r->narrow, "scale", r->scale, "shift", r->shift, "low", r->low, "high",
                         r->high, "inc_bits", node->inc_bits, "bias_bits", node->bias_bits, "thresholds",
                         r->rule != NULL);
    }
    case MQ_INET_MAX_POOL:
        return json_pack("{s:i,s:i}", "kernel", node->pool.kernel, "stride", node->pool.stride);
    case MQ_INET_RESCALE:
        return json_pack("{s:f,s:f,s:i,s:f}", "multiply", (double)node->rescale.multiply, "divide",
                         (double)node->rescale.divide, "bits", node->rescale.bits, "scale",
                         node->rescale.scale);
    case MQ_INET_OUTPUT:
        return node->output.offset == 0
                   ? json_pack("{s:f}", "divisor", node->output.divisor)
                   : json_pack("{s:f,s:f}", "divisor", node->output.divisor, "offset", node->output.offset);
    default:
        return json_object();
    }
}

static json_t *node_object(const mq_inet *net, const mq_inet_node *node) {
    const mq_inet_edge *e = &node->edge;
    json_t *inputs = json_array();
    for (int i = 0; i < node->input_count; i++)
        json_array_append_new(inputs, json_string(net->nodes[node->input[i]].name));
    json_t *own = attributes(node);
    json_t *edge = json_pack("{s:i,s:i,s:i,s:i,s:b,s:b,s:f,s:I,s:I}", "h", e->h, "w", e->w, "c", e->c, "bits",
                             e->bits, "signed", e->is_signed, "narrow", e->narrow, "scale", e->scale, "low",
                             (json_int_t)e->low, "high", (json_int_t)e->high);
    /* json_pack takes the three objects over, also when it fails. */
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "kind", mq_inet_kind_name(node->kind), "name", node->name,
                     "dump", node->dump, "inputs", inputs, "attributes", own, "edge", edge);
}

static json_t *net_object(const mq_inet *net) {
    json_t *anchors = json_array(), *nodes = json_array();
    for (int i = 0; i < net->anchor_count; i++)
        json_array_append_new(anchors, json_pack("[ff]", net->anchor_w[i], net->anchor_h[i]));
    for (int i = 0; i < net->node_count; i++) json_array_append_new(nodes, node_object(net, &net->nodes[i]));
    if (json_array_size(nodes) != (size_t)net->node_count ||
        json_array_size(anchors) != (size_t)net->anchor_count) {
        json_decref(anchors);
        json_decref(nodes);
        return NULL;
    }
    json_t *weights = json_pack("{s:s,s:s}", "file", MQ_INET_WEIGHTS_FILE, "sha256", net->weights_sha256);
    if (net->packed_weights) json_object_set_new(weights, "packed", json_true());
    return json_pack("{s:s,s:i,s:s,s:s,s:i,s:o,s:s,s:s,s:b,s:o,s:o}", "format", MQ_INET_FORMAT, "version",
                     MQ_INET_VERSION, "model", net->model, "task", mq_inet_task_names[net->task], "classes",
                     net->classes, "anchors", anchors, "bitw", net->bitw, "bita", net->bita, "compat",
                     net->compat, "weights", weights, "nodes", nodes);
}

mq_status mq_inet_hash_file(const char *path, char out[MQ_DIGEST_TEXT], mq_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    MQ_TRY(mq_file_read(path, MQ_INET_MAX_FILE, &bytes, &size, error));
    mq_sha256(bytes, size, out);
    mq_free(bytes);
    return MQ_OK;
}

mq_status mq_inet_save(mq_inet *net, const char *dir, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_inet_finish(net, error));
    MQ_TRY(mq_make_dirs(dir, error));
    MQ_TRY(mq_path_join(dir, MQ_INET_WEIGHTS_FILE, path, error));
    MQ_TRY(save_weights(net, path, error));
    MQ_TRY(mq_inet_hash_file(path, net->weights_sha256, error));
    MQ_TRY(mq_path_join(dir, MQ_INET_NET_FILE, path, error));
    json_t *object = net_object(net);
    if (!object) return mq_fail_memory(error, "net.json", 0);
    mq_status status = mq_json_save(path, object, error);
    json_decref(object);
    if (status == MQ_OK) status = mq_inet_hash_file(path, net->sha256, error);
    return status;
}
