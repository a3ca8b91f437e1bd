/* inet_load.c - reading net.json + weights.safetensors as hostile input.
 *
 * The hash of the weights is checked before anything in them is believed, and every node goes through
 * mq_inet_add, so a loaded network has passed the same checks as a built one; then what the file declares
 * (edges, widths) must equal what was inferred. A file that was corrupted can therefore not give a result. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "inet/inet_files.h"
#include "inet/inet_load_internal.h"
#include "io/json.h"

enum { MAX_JSON = 1 << 24, WHERE = MQ_INET_MAX_NAME + 64 };

const char *const mq_inet_task_names[] = {"classification", "detection"};

/* Copies a string member into text[size]. */
static mq_status get_text(const json_t *object, const char *where, const char *key, char *text, size_t size,
                          mq_error *error) {
    const char *v;
    MQ_TRY(mq_json_string(object, where, key, &v, error));
    if (strlen(v) >= size)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %zu characters, expected at most %zu", where, key,
                       strlen(v), size - 1);
    strcpy(text, v);
    return MQ_OK;
}

/* ---- declared against inferred ---- */

static mq_status differs(const char *where, const char *key, long long got, long long expected,
                         mq_error *error) {
    return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %lld, expected %lld from the network's tensors", where,
                   key, got, expected);
}

static mq_status check_edge(const json_t *object, const char *where, const mq_inet_edge *e, mq_error *error) {
    static const char *const keys[] = {"h",      "w",     "c",   "bits", "signed",
                                       "narrow", "scale", "low", "high", NULL};
    MQ_TRY(mq_json_keys(object, where, keys, error));
    const int expected[] = {e->h, e->w, e->c, e->bits};
    for (int i = 0; i < 4; i++) {
        int got;
        MQ_TRY(mq_inet_read_int(object, where, keys[i], &got, error));
        if (got != expected[i]) return differs(where, keys[i], got, expected[i], error);
    }
    bool is_signed, narrow;
    double scale;
    int64_t low, high;
    MQ_TRY(mq_json_bool(object, where, "signed", &is_signed, error));
    MQ_TRY(mq_json_bool(object, where, "narrow", &narrow, error));
    MQ_TRY(mq_json_double(object, where, "scale", &scale, error));
    MQ_TRY(mq_json_int(object, where, "low", INT64_MIN, INT64_MAX, &low, error));
    MQ_TRY(mq_json_int(object, where, "high", INT64_MIN, INT64_MAX, &high, error));
    if (is_signed != e->is_signed) return differs(where, "signed", is_signed, e->is_signed, error);
    if (narrow != e->narrow) return differs(where, "narrow", narrow, e->narrow, error);
    if (low != e->low) return differs(where, "low", low, e->low, error);
    if (high != e->high) return differs(where, "high", high, e->high, error);
    if (scale != e->scale)
        return mq_fail(error, MQ_BAD_INPUT, "%s: scale: got %.17g, expected %.17g", where, scale, e->scale);
    return MQ_OK;
}

static mq_status check_widths(const json_t *attributes, const char *where, const mq_inet_node *node,
                              mq_error *error) {
    int got;
    bool requant = node->kind == MQ_INET_REQUANT;
    if (!requant && node->kind != MQ_INET_CONV && node->kind != MQ_INET_LINEAR) return MQ_OK;
    MQ_TRY(mq_inet_read_int(attributes, where, "bias_bits", &got, error));
    if (got != node->bias_bits) return differs(where, "bias_bits", got, node->bias_bits, error);
    if (!requant) return MQ_OK;
    MQ_TRY(mq_inet_read_int(attributes, where, "inc_bits", &got, error));
    return got == node->inc_bits ? MQ_OK : differs(where, "inc_bits", got, node->inc_bits, error);
}

/* ---- nodes and the whole ---- */

static mq_status read_kind(const json_t *object, const char *where, mq_inet_kind *out, mq_error *error) {
    const char *text;
    const char *names[MQ_INET_KIND_COUNT + 1] = {NULL};
    MQ_TRY(mq_json_string(object, where, "kind", &text, error));
    for (int k = 0; k < (int)MQ_INET_KIND_COUNT; k++) {
        names[k] = mq_inet_kind_name((mq_inet_kind)k);
        if (strcmp(text, names[k]) == 0) {
            *out = (mq_inet_kind)k;
            return MQ_OK;
        }
    }
    const char *near = mq_nearest(text, names);
    return mq_fail(error, MQ_BAD_INPUT, "%s: kind: got '%.40s', which is unknown%s%s", where, text,
                   near ? "; nearest: " : "", near ? near : "");
}

static mq_status read_inputs(const mq_inet *net, const json_t *object, const char *where, mq_inet_node *node,
                             mq_error *error) {
    json_t *inputs;
    MQ_TRY(mq_json_array(object, where, "inputs", &inputs, error));
    size_t count = json_array_size(inputs);
    if (count > MQ_INET_MAX_INPUTS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu inputs, expected at most %d", where, count,
                       MQ_INET_MAX_INPUTS);
    if (count == 0 && node->kind != MQ_INET_IMAGE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got no inputs, expected some", where);
    node->input_count = (int)count;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(inputs, i));
        if (!name) return mq_fail(error, MQ_BAD_INPUT, "%s: inputs[%zu]: expected a node's name", where, i);
        node->input[i] = mq_inet_find(net, name);
        if (node->input[i] < 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: inputs[%zu]: got '%.63s', expected an earlier node",
                           where, i, name);
    }
    return MQ_OK;
}

static mq_status read_node(mq_inet_reader *r, const json_t *object, size_t index, mq_error *error) {
    char where[WHERE];
    mq_inet_node node = {0};
    json_t *own, *edge;
    int at;
    snprintf(where, sizeof where, "nodes[%zu]", index);
    if (!json_is_object(object)) return mq_fail(error, MQ_BAD_INPUT, "%s: expected an object", where);
    MQ_TRY(get_text(object, where, "name", node.name, sizeof node.name, error));
    snprintf(where, sizeof where, "nodes[%zu] '%s'", index, node.name);
    static const char *const keys[] = {"kind", "name", "dump", "inputs", "attributes", "edge", NULL};
    MQ_TRY(mq_json_keys(object, where, keys, error));
    MQ_TRY(read_kind(object, where, &node.kind, error));
    MQ_TRY(get_text(object, where, "dump", node.dump, sizeof node.dump, error));
    MQ_TRY(read_inputs(r->net, object, where, &node, error));
    MQ_TRY(mq_json_object(object, where, "attributes", &own, error));
    MQ_TRY(mq_json_object(object, where, "edge", &edge, error));
    const mq_inet_edge *in = node.input_count ? &r->net->nodes[node.input[0]].edge : NULL;
    MQ_TRY(mq_inet_read_attributes(r, own, where, in, &node, error));
    MQ_TRY(mq_inet_add(r->net, &node, &at, error));
    MQ_TRY(check_widths(own, where, &r->net->nodes[at], error));
    snprintf(where, sizeof where, "nodes[%zu] '%s': edge", index, node.name);
    return check_edge(edge, where, &r->net->nodes[at].edge, error);
}

static mq_status read_head(mq_inet *net, const json_t *root, mq_error *error) {
    static const char *const keys[] = {"format", "version", "model",  "task",    "classes", "anchors",
                                       "bitw",   "bita",    "compat", "weights", "nodes",   NULL};
    const char *text;
    int version;
    json_t *anchors;
    if (!json_is_object(root)) return mq_fail(error, MQ_BAD_INPUT, "expected an object");
    MQ_TRY(mq_json_string(root, "net", "format", &text, error));
    if (strcmp(text, MQ_INET_FORMAT) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "format: got '%.40s', expected '%s'", text, MQ_INET_FORMAT);
    MQ_TRY(mq_inet_read_int(root, "net", "version", &version, error));
    if (version != MQ_INET_VERSION)
        return mq_fail(error, MQ_BAD_INPUT, "version: got %d, expected %d", version, MQ_INET_VERSION);
    MQ_TRY(mq_json_keys(root, "net", keys, error));
    MQ_TRY(get_text(root, "net", "model", net->model, sizeof net->model, error));
    MQ_TRY(mq_json_string(root, "net", "task", &text, error));
    if (strcmp(text, mq_inet_task_names[0]) != 0 && strcmp(text, mq_inet_task_names[1]) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "task: got '%.40s', expected 'classification' or 'detection'",
                       text);
    net->task = strcmp(text, mq_inet_task_names[0]) == 0 ? MQ_INET_CLASSIFICATION : MQ_INET_DETECTION;
    MQ_TRY(mq_inet_read_int(root, "net", "classes", &net->classes, error));
    MQ_TRY(get_text(root, "net", "bitw", net->bitw, sizeof net->bitw, error));
    MQ_TRY(get_text(root, "net", "bita", net->bita, sizeof net->bita, error));
    MQ_TRY(mq_json_bool(root, "net", "compat", &net->compat, error));
    MQ_TRY(mq_json_array(root, "net", "anchors", &anchors, error));
    if (json_array_size(anchors) > MQ_INET_MAX_ANCHORS)
        return mq_fail(error, MQ_BAD_INPUT, "anchors: got %zu, expected at most %d", json_array_size(anchors),
                       MQ_INET_MAX_ANCHORS);
    net->anchor_count = (int)json_array_size(anchors);
    for (int i = 0; i < net->anchor_count; i++) {
        const json_t *pair = json_array_get(anchors, (size_t)i);
        const json_t *w = json_array_get(pair, 0), *h = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_number(w) || !json_is_number(h))
            return mq_fail(error, MQ_BAD_INPUT, "anchors[%d]: expected [width, height] in pixels", i);
        net->anchor_w[i] = json_number_value(w);
        net->anchor_h[i] = json_number_value(h);
    }
    return MQ_OK;
}

/* Reads the weights once, checks their hash, then parses those very bytes. */
static mq_status open_weights(const json_t *root, const char *dir, mq_inet_reader *r, mq_error *error) {
    char path[MQ_PATH];
    const char *file, *hash;
    json_t *object;
    uint8_t *bytes = NULL;
    size_t size = 0;
    MQ_TRY(mq_json_object(root, "net", "weights", &object, error));
    MQ_TRY(mq_json_keys(object, "weights", (const char *const[]){"file", "sha256", "packed", NULL}, error));
    if (json_object_get(object, "packed"))
        MQ_TRY(mq_json_bool(object, "weights", "packed", &r->net->packed_weights, error));
    MQ_TRY(mq_json_string(object, "weights", "file", &file, error));
    MQ_TRY(mq_json_string(object, "weights", "sha256", &hash, error));
    if (strcmp(file, MQ_INET_WEIGHTS_FILE) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "weights: file: got '%.60s', expected '%s'", file,
                       MQ_INET_WEIGHTS_FILE);
    MQ_TRY(mq_path_join(dir, file, path, error));
    MQ_TRY(mq_file_read(path, MQ_INET_MAX_FILE, &bytes, &size, error));
    mq_sha256(bytes, size, r->net->weights_sha256);
    mq_status status;
    if (strcmp(r->net->weights_sha256, hash) != 0)
        status = mq_fail(error, MQ_BAD_INPUT,
                         "%s: sha256: got %s, expected %.64s; the file is not the one exported", path,
                         r->net->weights_sha256, hash);
    else
        status = mq_st_parse(path, bytes, size, &r->weights, error);
    mq_free(bytes);
    return status;
}

static mq_status read_net(const json_t *root, const char *dir, mq_inet_reader *r, mq_error *error) {
    json_t *nodes;
    MQ_TRY(read_head(r->net, root, error));
    MQ_TRY(open_weights(root, dir, r, error));
    MQ_TRY(mq_json_array(root, "net", "nodes", &nodes, error));
    for (size_t i = 0; i < json_array_size(nodes); i++)
        MQ_TRY(read_node(r, json_array_get(nodes, i), i, error));
    if (r->used != mq_st_count(r->weights))
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu tensors, expected the %zu that the nodes name",
                       MQ_INET_WEIGHTS_FILE, mq_st_count(r->weights), r->used);
    return mq_inet_finish(r->net, error);
}

static mq_status load_file(const char *path, const char *dir, mq_inet *net, mq_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    json_t *root = NULL;
    mq_inet_reader r = {.net = net};
    MQ_TRY(mq_file_read(path, MAX_JSON, &bytes, &size, error));
    mq_sha256(bytes, size, net->sha256);
    mq_status status = mq_json_parse(path, (const char *)bytes, size, &root, error);
    mq_free(bytes);
    if (status != MQ_OK) return status;
    status = mq_arena_create(&r.unpacked, error);
    if (status == MQ_OK) status = read_net(root, dir, &r, error);
    if (status != MQ_OK) status = mq_fail_context(error, status, "%s", path);
    mq_arena_destroy(r.unpacked);
    mq_st_free(r.weights);
    json_decref(root);
    return status;
}

mq_status mq_inet_load(const char *path, mq_inet **out, mq_error *error) {
    char file[MQ_PATH], dir[MQ_PATH];
    *out = NULL;
    if (mq_path_is_dir(path)) {
        MQ_TRY(mq_path_join(path, MQ_INET_NET_FILE, file, error));
        if (!mq_path_exists(file))
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: no " MQ_INET_NET_FILE " in it: a folder of `mixq export` expected", path);
    } else {
        if (strlen(path) >= MQ_PATH) return mq_fail(error, MQ_BAD_INPUT, "path too long: %.80s...", path);
        strcpy(file, path);
    }
    strcpy(dir, file);
    char *slash = strrchr(dir, '/');
    if (slash == dir) slash++; /* a file in the root folder */
    if (slash) *slash = 0;
    mq_inet *net = NULL;
    MQ_TRY(mq_inet_create(&net, error));
    mq_status status = load_file(file, slash ? dir : ".", net, error);
    if (status != MQ_OK) {
        mq_inet_free(net);
        return status;
    }
    *out = net;
    return MQ_OK;
}
