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
#include "inet/inet.h"
#include "inet/inet_files.h"
#include "inet/weight_bits.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { MAX_JSON = 1 << 24, WHERE = MQ_INET_MAX_NAME + 64 };

const char *const mq_inet_task_names[] = {"classification", "detection"};

typedef struct reader {
    mq_inet *net;
    mq_st_file *weights;
    size_t used;        /* tensors that a node asked for */
    mq_arena *unpacked; /* codes of packed weights; mq_inet_add copies them */
} reader;

static mq_status get_int(const json_t *object, const char *where, const char *key, int *out,
                         mq_error *error) {
    int64_t v;
    MQ_TRY(mq_json_int(object, where, key, INT32_MIN, INT32_MAX, &v, error));
    *out = (int)v;
    return MQ_OK;
}

/* An array of exactly n integers. */
static mq_status get_ints(const json_t *object, const char *where, const char *key, int n, int *out,
                          mq_error *error) {
    json_t *array;
    MQ_TRY(mq_json_array(object, where, key, &array, error));
    if (json_array_size(array) != (size_t)n)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %zu numbers, expected %d", where, key,
                       json_array_size(array), n);
    for (int i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, (size_t)i);
        json_int_t v = json_integer_value(item);
        if (!json_is_integer(item) || v < 0 || v > INT32_MAX)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s[%d]: expected an integer of 0 or more", where, key,
                           i);
        out[i] = (int)v;
    }
    return MQ_OK;
}

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

/* ---- tensors ---- */

static mq_status get_tensor(reader *r, const mq_inet_node *node, const char *suffix, mq_dtype dtype,
                            mq_shape shape, const void **data, mq_error *error) {
    char name[MQ_INET_MAX_NAME + 16];
    const mq_st_entry *entry;
    snprintf(name, sizeof name, "%s.%s", node->name, suffix);
    MQ_TRY(mq_st_require(r->weights, name, dtype, &shape, &entry, error));
    r->used++;
    *data = entry->tensor.data;
    return MQ_OK;
}

static mq_status get_packed(reader *r, const mq_inet_node *node, mq_shape shape, int bits,
                            const int8_t **weight, mq_error *error) {
    const void *data;
    size_t count;
    int8_t *codes;
    if (bits < 1 || bits > 8 || !mq_shape_count(&shape, &count) || count > MQ_INET_MAX_EDGE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d weight bits, or too many weights", node->name, bits);
    mq_shape stored = mq_shape1((int64_t)mq_weight_bytes(count, bits));
    MQ_TRY(get_tensor(r, node, "weight", MQ_U8, stored, &data, error));
    MQ_TRY(mq_arena_alloc(r->unpacked, count, 1, "weights", &codes, error));
    if (!mq_weight_unpack(data, count, bits, codes))
        return mq_fail(error, MQ_BAD_INPUT, "%s: weight: bits after the last code, zeros expected",
                       node->name);
    *weight = codes;
    return MQ_OK;
}

static mq_status get_weights(reader *r, const mq_inet_node *node, mq_shape shape, int bits, bool has_bias,
                             const int8_t **weight, const int64_t **bias, mq_error *error) {
    const void *data;
    if (r->net->packed_weights) {
        MQ_TRY(get_packed(r, node, shape, bits, weight, error));
    } else {
        MQ_TRY(get_tensor(r, node, "weight", MQ_I8, shape, &data, error));
        *weight = data;
    }
    *bias = NULL;
    if (!has_bias) return MQ_OK;
    MQ_TRY(get_tensor(r, node, "bias", MQ_I64, mq_shape1(shape.dim[0]), &data, error));
    *bias = data;
    return MQ_OK;
}

/* ---- attributes, one function per kind; `a` is the object, `in` the first input's edge ---- */

/* A number that float32 holds. */
static mq_status get_float(double v, const char *where, float *out, mq_error *error) {
    *out = (float)v;
    if ((double)*out == v) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: got %.17g, expected a float32 value", where, v);
}

static mq_status read_real_step(const json_t *item, const char *where, mq_real_step *out, mq_error *error) {
    json_t *values;
    const char *op;
    if (!json_is_object(item)) return mq_fail(error, MQ_BAD_INPUT, "%s: steps: objects expected", where);
    MQ_TRY(mq_json_keys(item, where, (const char *const[]){"op", "values", NULL}, error));
    MQ_TRY(mq_json_string(item, where, "op", &op, error));
    int found = 0;
    while (mq_real_op_names[found] && strcmp(mq_real_op_names[found], op) != 0) found++;
    if (found == MQ_REAL_OP_COUNT)
        return mq_fail(error, MQ_BAD_INPUT, "%s: op: got '%.20s', expected add, sub, mul or div", where, op);
    out->op = (mq_real_op)found;
    MQ_TRY(mq_json_array(item, where, "values", &values, error));
    if (json_array_size(values) > MQ_REAL_CHANNELS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: values: got %zu, expected at most %d", where,
                       json_array_size(values), MQ_REAL_CHANNELS);
    out->count = (int)json_array_size(values);
    for (int i = 0; i < out->count; i++) {
        const json_t *v = json_array_get(values, (size_t)i);
        if (!json_is_number(v)) return mq_fail(error, MQ_BAD_INPUT, "%s: values: numbers expected", where);
        MQ_TRY(get_float(json_number_value(v), where, &out->value[i], error));
    }
    return MQ_OK;
}

static mq_status read_real(reader *r, const json_t *a, const char *where, mq_inet_node *node,
                           mq_error *error) {
    static const char *const keys[] = {"signed", "narrow", "scale", "divisor", "steps", NULL};
    mq_real_input *real;
    json_t *steps;
    double divisor;
    if (!json_is_object(a)) return mq_fail(error, MQ_BAD_INPUT, "%s: real: an object expected", where);
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(mq_arena_alloc(r->unpacked, 1, sizeof *real, "real input", &real, error));
    MQ_TRY(mq_json_bool(a, where, "signed", &node->image.is_signed, error));
    MQ_TRY(mq_json_bool(a, where, "narrow", &node->image.narrow, error));
    MQ_TRY(mq_json_double(a, where, "scale", &node->image.scale, error));
    MQ_TRY(mq_json_double(a, where, "divisor", &divisor, error));
    MQ_TRY(get_float(divisor, where, &real->divisor, error));
    MQ_TRY(mq_json_array(a, where, "steps", &steps, error));
    if (json_array_size(steps) > MQ_REAL_STEPS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: steps: got %zu, expected at most %d", where,
                       json_array_size(steps), MQ_REAL_STEPS);
    real->count = (int)json_array_size(steps);
    for (int i = 0; i < real->count; i++)
        MQ_TRY(read_real_step(json_array_get(steps, (size_t)i), where, &real->step[i], error));
    node->image.real = real;
    return MQ_OK;
}

static mq_status read_IMAGE(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                            mq_inet_node *node, mq_error *error) {
    (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"h", "w", "c", "bits", "real", NULL}, error));
    MQ_TRY(get_int(a, where, "h", &node->image.h, error));
    MQ_TRY(get_int(a, where, "w", &node->image.w, error));
    MQ_TRY(get_int(a, where, "c", &node->image.c, error));
    MQ_TRY(get_int(a, where, "bits", &node->image.bits, error));
    const json_t *real = json_object_get(a, "real");
    return real ? read_real(r, real, where, node, error) : MQ_OK;
}

static mq_status read_CONV(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                           mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {
        "out_channels",  "kernel",       "stride", "pads",      "groups", "weight_bits",
        "weight_narrow", "weight_scale", "bias",   "bias_bits", NULL};
    mq_inet_conv *v = &node->conv;
    int kernel[2], stride[2], pads[4];
    bool has_bias;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(get_int(a, where, "out_channels", &v->out_channels, error));
    MQ_TRY(get_ints(a, where, "kernel", 2, kernel, error));
    MQ_TRY(get_ints(a, where, "stride", 2, stride, error));
    MQ_TRY(get_ints(a, where, "pads", 4, pads, error));
    MQ_TRY(get_int(a, where, "groups", &v->groups, error));
    MQ_TRY(get_int(a, where, "weight_bits", &v->weight_bits, error));
    MQ_TRY(mq_json_bool(a, where, "weight_narrow", &v->weight_narrow, error));
    MQ_TRY(mq_json_double(a, where, "weight_scale", &v->weight_scale, error));
    MQ_TRY(mq_json_bool(a, where, "bias", &has_bias, error));
    v->kernel_h = kernel[0], v->kernel_w = kernel[1];
    v->stride_h = stride[0], v->stride_w = stride[1];
    v->pad_top = pads[0], v->pad_left = pads[1], v->pad_bottom = pads[2], v->pad_right = pads[3];
    if (v->groups < 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s: groups: got %d, expected 1 or more", where, v->groups);
    mq_shape shape = mq_shape4(v->out_channels, in->c / v->groups, v->kernel_h, v->kernel_w);
    return get_weights(r, node, shape, v->weight_bits, has_bias, &v->weight, &v->bias, error);
}

static mq_status read_LINEAR(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {"out_features", "weight_bits", "weight_narrow", "weight_scale", "bias",
                                       "bias_bits",    NULL};
    mq_inet_linear *v = &node->linear;
    bool has_bias;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(get_int(a, where, "out_features", &v->out_features, error));
    MQ_TRY(get_int(a, where, "weight_bits", &v->weight_bits, error));
    MQ_TRY(mq_json_bool(a, where, "weight_narrow", &v->weight_narrow, error));
    MQ_TRY(mq_json_double(a, where, "weight_scale", &v->weight_scale, error));
    MQ_TRY(mq_json_bool(a, where, "bias", &has_bias, error));
    mq_shape shape = mq_shape2(v->out_features, (int64_t)in->c * in->h * in->w);
    return get_weights(r, node, shape, v->weight_bits, has_bias, &v->weight, &v->bias, error);
}

static mq_status read_REQUANT(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                              mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {"bits", "signed",   "narrow",    "scale",      "shift", "low",
                                       "high", "inc_bits", "bias_bits", "thresholds", NULL};
    mq_inet_requant *v = &node->requant;
    const void *data;
    bool thresholds;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(get_int(a, where, "bits", &v->bits, error));
    MQ_TRY(mq_json_bool(a, where, "signed", &v->is_signed, error));
    MQ_TRY(mq_json_bool(a, where, "narrow", &v->narrow, error));
    MQ_TRY(mq_json_double(a, where, "scale", &v->scale, error));
    MQ_TRY(get_int(a, where, "shift", &v->shift, error));
    MQ_TRY(get_int(a, where, "low", &v->low, error));
    MQ_TRY(get_int(a, where, "high", &v->high, error));
    MQ_TRY(mq_json_bool(a, where, "thresholds", &thresholds, error));
    MQ_TRY(get_tensor(r, node, "inc", MQ_I64, mq_shape1(in->c), &data, error));
    v->inc = data;
    MQ_TRY(get_tensor(r, node, "bias", MQ_I64, mq_shape1(in->c), &data, error));
    v->bias = data;
    if (!thresholds) return MQ_OK;
    MQ_TRY(get_tensor(r, node, "rule", MQ_U8, mq_shape1(in->c), &data, error));
    v->rule = data;
    MQ_TRY(
        get_tensor(r, node, "threshold", MQ_I64, mq_shape2(in->c, (int64_t)v->high - v->low), &data, error));
    v->threshold = data;
    return MQ_OK;
}

static mq_status read_MAX_POOL(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                               mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"kernel", "stride", NULL}, error));
    MQ_TRY(get_int(a, where, "kernel", &node->pool.kernel, error));
    return get_int(a, where, "stride", &node->pool.stride, error);
}

static mq_status read_nothing(const json_t *a, const char *where, mq_error *error) {
    return mq_json_keys(a, where, (const char *const[]){NULL}, error);
}

static mq_status read_REORG(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                            mq_inet_node *node, mq_error *error) {
    (void)r, (void)in, (void)node;
    return read_nothing(a, where, error);
}

static mq_status read_CONCAT(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    (void)r, (void)in, (void)node;
    return read_nothing(a, where, error);
}

static mq_status read_RESCALE(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                              mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    double multiply, divide;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"multiply", "divide", "bits", "scale", NULL}, error));
    MQ_TRY(mq_json_double(a, where, "multiply", &multiply, error));
    MQ_TRY(mq_json_double(a, where, "divide", &divide, error));
    MQ_TRY(get_int(a, where, "bits", &node->rescale.bits, error));
    MQ_TRY(mq_json_double(a, where, "scale", &node->rescale.scale, error));
    node->rescale.multiply = (float)multiply;
    node->rescale.divide = (float)divide;
    if ((double)node->rescale.multiply != multiply || (double)node->rescale.divide != divide)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got factors %.17g and %.17g, expected float32 values", where,
                       multiply, divide);
    return MQ_OK;
}

static mq_status read_OUTPUT(reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"divisor", "offset", NULL}, error));
    if (json_object_get(a, "offset")) MQ_TRY(mq_json_double(a, where, "offset", &node->output.offset, error));
    return mq_json_double(a, where, "divisor", &node->output.divisor, error);
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
        MQ_TRY(get_int(object, where, keys[i], &got, error));
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
    MQ_TRY(get_int(attributes, where, "bias_bits", &got, error));
    if (got != node->bias_bits) return differs(where, "bias_bits", got, node->bias_bits, error);
    if (!requant) return MQ_OK;
    MQ_TRY(get_int(attributes, where, "inc_bits", &got, error));
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

static mq_status read_node(reader *r, const json_t *object, size_t index, mq_error *error) {
    static mq_status (*const table[])(reader *, const json_t *, const char *, const mq_inet_edge *,
                                      mq_inet_node *, mq_error *) = {
#define READ(id, name, least, most) read_##id,
        MQ_INET_KINDS(READ)
#undef READ
    };
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
    MQ_TRY(table[node.kind](r, own, where, in, &node, error));
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
    MQ_TRY(get_int(root, "net", "version", &version, error));
    if (version != MQ_INET_VERSION)
        return mq_fail(error, MQ_BAD_INPUT, "version: got %d, expected %d", version, MQ_INET_VERSION);
    MQ_TRY(mq_json_keys(root, "net", keys, error));
    MQ_TRY(get_text(root, "net", "model", net->model, sizeof net->model, error));
    MQ_TRY(mq_json_string(root, "net", "task", &text, error));
    if (strcmp(text, mq_inet_task_names[0]) != 0 && strcmp(text, mq_inet_task_names[1]) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "task: got '%.40s', expected 'classification' or 'detection'",
                       text);
    net->task = strcmp(text, mq_inet_task_names[0]) == 0 ? MQ_INET_CLASSIFICATION : MQ_INET_DETECTION;
    MQ_TRY(get_int(root, "net", "classes", &net->classes, error));
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
static mq_status open_weights(const json_t *root, const char *dir, reader *r, mq_error *error) {
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

static mq_status read_net(const json_t *root, const char *dir, reader *r, mq_error *error) {
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
    reader r = {.net = net};
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
