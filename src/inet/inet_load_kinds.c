/* inet_load_kinds.c - what net.json says of a node beyond its edge: the attributes of each kind, and its
 * tensors. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "inet/inet_load_internal.h"
#include "inet/weight_bits.h"
#include "io/json.h"

mq_status mq_inet_read_int(const json_t *object, const char *where, const char *key, int *out,
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

/* ---- tensors ---- */

static mq_status get_tensor(mq_inet_reader *r, const mq_inet_node *node, const char *suffix, mq_dtype dtype,
                            mq_shape shape, const void **data, mq_error *error) {
    char name[MQ_INET_MAX_NAME + 16];
    const mq_st_entry *entry;
    snprintf(name, sizeof name, "%s.%s", node->name, suffix);
    MQ_TRY(mq_st_require(r->weights, name, dtype, &shape, &entry, error));
    r->used++;
    *data = entry->tensor.data;
    return MQ_OK;
}

static mq_status get_packed(mq_inet_reader *r, const mq_inet_node *node, mq_shape shape, int bits,
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

static mq_status get_weights(mq_inet_reader *r, const mq_inet_node *node, mq_shape shape, int bits,
                             bool has_bias, const int8_t **weight, const int64_t **bias, mq_error *error) {
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

static mq_status read_real(mq_inet_reader *r, const json_t *a, const char *where, mq_inet_node *node,
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

static mq_status read_IMAGE(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                            mq_inet_node *node, mq_error *error) {
    (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"h", "w", "c", "bits", "real", NULL}, error));
    MQ_TRY(mq_inet_read_int(a, where, "h", &node->image.h, error));
    MQ_TRY(mq_inet_read_int(a, where, "w", &node->image.w, error));
    MQ_TRY(mq_inet_read_int(a, where, "c", &node->image.c, error));
    MQ_TRY(mq_inet_read_int(a, where, "bits", &node->image.bits, error));
    const json_t *real = json_object_get(a, "real");
    return real ? read_real(r, real, where, node, error) : MQ_OK;
}

static mq_status read_CONV(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                           mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {
        "out_channels",  "kernel",       "stride", "pads",      "groups", "weight_bits",
        "weight_narrow", "weight_scale", "bias",   "bias_bits", NULL};
    mq_inet_conv *v = &node->conv;
    int kernel[2], stride[2], pads[4];
    bool has_bias;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(mq_inet_read_int(a, where, "out_channels", &v->out_channels, error));
    MQ_TRY(get_ints(a, where, "kernel", 2, kernel, error));
    MQ_TRY(get_ints(a, where, "stride", 2, stride, error));
    MQ_TRY(get_ints(a, where, "pads", 4, pads, error));
    MQ_TRY(mq_inet_read_int(a, where, "groups", &v->groups, error));
    MQ_TRY(mq_inet_read_int(a, where, "weight_bits", &v->weight_bits, error));
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

static mq_status read_LINEAR(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {"out_features", "weight_bits", "weight_narrow", "weight_scale", "bias",
                                       "bias_bits",    NULL};
    mq_inet_linear *v = &node->linear;
    bool has_bias;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(mq_inet_read_int(a, where, "out_features", &v->out_features, error));
    MQ_TRY(mq_inet_read_int(a, where, "weight_bits", &v->weight_bits, error));
    MQ_TRY(mq_json_bool(a, where, "weight_narrow", &v->weight_narrow, error));
    MQ_TRY(mq_json_double(a, where, "weight_scale", &v->weight_scale, error));
    MQ_TRY(mq_json_bool(a, where, "bias", &has_bias, error));
    mq_shape shape = mq_shape2(v->out_features, (int64_t)in->c * in->h * in->w);
    return get_weights(r, node, shape, v->weight_bits, has_bias, &v->weight, &v->bias, error);
}

static mq_status read_REQUANT(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                              mq_inet_node *node, mq_error *error) {
    static const char *const keys[] = {"bits", "signed",   "narrow",    "scale",      "shift", "low",
                                       "high", "inc_bits", "bias_bits", "thresholds", NULL};
    mq_inet_requant *v = &node->requant;
    const void *data;
    bool thresholds;
    MQ_TRY(mq_json_keys(a, where, keys, error));
    MQ_TRY(mq_inet_read_int(a, where, "bits", &v->bits, error));
    MQ_TRY(mq_json_bool(a, where, "signed", &v->is_signed, error));
    MQ_TRY(mq_json_bool(a, where, "narrow", &v->narrow, error));
    MQ_TRY(mq_json_double(a, where, "scale", &v->scale, error));
    MQ_TRY(mq_inet_read_int(a, where, "shift", &v->shift, error));
    MQ_TRY(mq_inet_read_int(a, where, "low", &v->low, error));
    MQ_TRY(mq_inet_read_int(a, where, "high", &v->high, error));
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

static mq_status read_MAX_POOL(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                               mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"kernel", "stride", NULL}, error));
    MQ_TRY(mq_inet_read_int(a, where, "kernel", &node->pool.kernel, error));
    return mq_inet_read_int(a, where, "stride", &node->pool.stride, error);
}

static mq_status read_nothing(const json_t *a, const char *where, mq_error *error) {
    return mq_json_keys(a, where, (const char *const[]){NULL}, error);
}

static mq_status read_REORG(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                            mq_inet_node *node, mq_error *error) {
    (void)r, (void)in, (void)node;
    return read_nothing(a, where, error);
}

static mq_status read_CONCAT(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    (void)r, (void)in, (void)node;
    return read_nothing(a, where, error);
}

static mq_status read_RESCALE(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                              mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    double multiply, divide;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"multiply", "divide", "bits", "scale", NULL}, error));
    MQ_TRY(mq_json_double(a, where, "multiply", &multiply, error));
    MQ_TRY(mq_json_double(a, where, "divide", &divide, error));
    MQ_TRY(mq_inet_read_int(a, where, "bits", &node->rescale.bits, error));
    MQ_TRY(mq_json_double(a, where, "scale", &node->rescale.scale, error));
    node->rescale.multiply = (float)multiply;
    node->rescale.divide = (float)divide;
    if ((double)node->rescale.multiply != multiply || (double)node->rescale.divide != divide)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got factors %.17g and %.17g, expected float32 values", where,
                       multiply, divide);
    return MQ_OK;
}

static mq_status read_OUTPUT(mq_inet_reader *r, const json_t *a, const char *where, const mq_inet_edge *in,
                             mq_inet_node *node, mq_error *error) {
    (void)r, (void)in;
    MQ_TRY(mq_json_keys(a, where, (const char *const[]){"divisor", "offset", NULL}, error));
    if (json_object_get(a, "offset")) MQ_TRY(mq_json_double(a, where, "offset", &node->output.offset, error));
    return mq_json_double(a, where, "divisor", &node->output.divisor, error);
}

mq_status mq_inet_read_attributes(mq_inet_reader *r, const json_t *a, const char *where,
                                  const mq_inet_edge *in, mq_inet_node *node, mq_error *error) {
    static mq_status (*const table[])(mq_inet_reader *, const json_t *, const char *, const mq_inet_edge *,
                                      mq_inet_node *, mq_error *) = {
#define READ(id, name, least, most) read_##id,
        MQ_INET_KINDS(READ)
#undef READ
    };
    return table[node->kind](r, a, where, in, node, error);
}
