/* qonnx_export.c - one ONNX node or a few for every node of an integer network. */
#include "qonnx/qonnx_export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qonnx/float_line.h"
#include "qonnx/own_file.h"
#include "qonnx/pixel_shift.h"

#define DOMAIN "qonnx.custom_op.general"

enum { OPSET = 13, TEXT = MQ_INET_MAX_NAME + 48, EXACT_SUM = 1 << 24 };

typedef struct exporter {
    const mq_inet *net;
    mq_onnx_flavour flavour;
    mq_onnx_writer *w;
    mq_arena *arena;
    float unit[MQ_INET_MAX_NODES]; /* value of a code (or accumulator) in the file: a power of two */
    bool flat[MQ_INET_MAX_NODES];  /* [1, c] instead of [1, c, h, w] */
    int inexact;
    mq_error *error;
} exporter;

/* ---- tensors and names ---- */

static mq_shape shape_of(const mq_inet_edge *e, bool flat) {
    return flat ? mq_shape2(1, (int64_t)e->c * e->h * e->w) : mq_shape4(1, e->c, e->h, e->w);
}

static void add_scalar(exporter *x, const char *name, float v) {
    const mq_shape shape = {0};
    mq_onnx_add_real(x->w, name, &shape, &v);
}

/* "<node>.<what>" */
static const char *name_of(const char *node, const char *what, char text[TEXT]) {
    snprintf(text, TEXT, "%s.%s", node, what);
    return text;
}

/* output is a value of the graph, but for the last. */
static mq_onnx_new_node *put(exporter *x, const char *op, const char *name, const char *const *inputs,
                             const char *output, const mq_shape *shape) {
    if (strcmp(output, "output") != 0) mq_onnx_add_value(x->w, output, shape);
    return mq_onnx_add_node(x->w, strcmp(op, "Quant") == 0 ? DOMAIN : "", op, name, inputs, output);
}

/* Rounding to the codes of a type: a Quant node, or Clip and Round. */
static void put_quant(exporter *x, const char *n, const char *input, const char *output,
                      const mq_shape *shape, int bits, bool is_signed, bool narrow, float scale) {
    char a[TEXT], b[TEXT], c[TEXT];
    if (x->flavour == MQ_ONNX_QUANT) {
        add_scalar(x, name_of(n, "scale", a), scale);
        add_scalar(x, name_of(n, "zero_point", b), 0);
        add_scalar(x, name_of(n, "bit_width", c), (float)bits);
        mq_onnx_new_node *q = put(x, "Quant", n, (const char *const[]){input, a, b, c, NULL}, output, shape);
        mq_onnx_set_int(q, "signed", is_signed);
        mq_onnx_set_int(q, "narrow", narrow);
        mq_onnx_set_text(q, "rounding_mode", "ROUND");
        return;
    }
    float high = ldexpf(1, bits - is_signed) - 1, low = !is_signed ? 0 : narrow ? -high : -high - 1;
    char clipped[TEXT], steps[TEXT], rounded[TEXT];
    if (scale != 1) {
        char factor[TEXT];
        add_scalar(x, name_of(n, "scale", factor), scale);
        put(x, "Div", name_of(n, "div", steps), (const char *const[]){input, factor, NULL}, steps, shape);
        input = steps;
    }
    add_scalar(x, name_of(n, "low", a), low);
    add_scalar(x, name_of(n, "high", b), high);
    put(x, "Clip", name_of(n, "clip", clipped), (const char *const[]){input, a, b, NULL}, clipped, shape);
    bool scaled = scale != 1;
    put(x, "Round", name_of(n, "round", rounded), (const char *const[]){clipped, NULL},
        scaled ? rounded : output, shape);
    if (!scaled) return;
    put(x, "Mul", name_of(n, "mul", c), (const char *const[]){rounded, name_of(n, "scale", steps), NULL},
        output, shape);
}

/* The tensor of node `from` as the consumer wants it. */
static const char *input_of(exporter *x, const mq_inet_node *n, int i, bool flat, char text[TEXT]) {
    const mq_inet_node *from = &x->net->nodes[n->input[i]];
    if (x->flat[n->input[i]] == flat) return from->name;
    mq_shape shape = shape_of(&from->edge, flat);
    name_of(n->name, flat ? "flat" : "image", text);
    if (flat) {
        mq_onnx_set_int(put(x, "Flatten", text, (const char *const[]){from->name, NULL}, text, &shape),
                        "axis", 1);
        return text;
    }
    char target[TEXT];
    mq_shape four = mq_shape1(4);
    mq_onnx_add_whole(x->w, name_of(n->name, "shape", target), &four, shape.dim);
    put(x, "Reshape", text, (const char *const[]){from->name, target, NULL}, text, &shape);
    return text;
}

/* ---- nodes ---- */

static mq_status put_IMAGE(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    const mq_inet_image *image = &n->image;
    mq_shape shape = shape_of(&n->edge, false);
    mq_onnx_add_input(x->w, "input", &shape);
    if (!image->real) {
        /* Rounding down, as rounding to the nearest of numbers half a code less half a pixel lower: never a
         * tie. */
        char pixel[TEXT] = "input", half[TEXT];
        x->unit[index] = ldexpf(1, -image->bits);
        if (image->bits < 8) {
            add_scalar(x, name_of(n->name, "half", half), mq_pixel_shift(image->bits));
            put(x, "Sub", name_of(n->name, "down", pixel), (const char *const[]){"input", half, NULL}, pixel,
                &shape);
        }
        put_quant(x, n->name, pixel, n->name, &shape, image->bits, false, false, x->unit[index]);
        return MQ_OK;
    }
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div"};
    char from[TEXT] = "input", to[TEXT], what[40], value[TEXT];
    for (int i = 0; i <= image->real->count; i++) {
        const mq_real_step *s = &image->real->step[i];
        bool last = i == image->real->count; /* the scale, so that codes come out in steps of 1 */
        float scale = (float)image->scale;
        mq_shape operand = {0};
        if (!last && s->count > 1) operand = mq_shape4(1, s->count, 1, 1);
        snprintf(what, sizeof what, "value%d", i);
        mq_onnx_add_real(x->w, name_of(n->name, what, value), &operand, last ? &scale : s->value);
        snprintf(what, sizeof what, "step%d", i);
        name_of(n->name, what, to);
        put(x, last ? "Div" : ops[s->op], to, (const char *const[]){from, value, NULL}, to, &shape);
        memcpy(from, to, sizeof from);
    }
    x->unit[index] = 1;
    put_quant(x, n->name, from, n->name, &shape, image->bits, image->is_signed, image->narrow, 1);
    return MQ_OK;
}

/* Weights as whole numbers; their Quant says the type. Returns the tensor's name. */
static mq_status put_weights(exporter *x, const mq_inet_node *n, const int8_t *codes, const mq_shape *shape,
                             int bits, bool narrow, char name[TEXT]) {
    float *values;
    size_t count = mq_inet_weight_count(x->net, n);
    MQ_TRY(mq_arena_alloc(x->arena, count, sizeof *values, "weights", &values, x->error));
    for (size_t i = 0; i < count; i++) values[i] = codes[i];
    name_of(n->name, "codes", name);
    mq_onnx_add_real(x->w, name, shape, values);
    /* One bit means -1 and 1 to a Quant node: such codes, -1 and 0, are said to have two. */
    if (bits == 1) bits = 2;
    if (x->flavour == MQ_ONNX_PLAIN) return MQ_OK;
    char own[TEXT], node[TEXT];
    snprintf(own, sizeof own, "%s", name);
    put_quant(x, name_of(n->name, "weight", node), own, name_of(n->name, "weight", name), shape, bits, true,
              narrow, 1);
    return MQ_OK;
}

static mq_status put_bias(exporter *x, const mq_inet_node *n, const int64_t *bias, float unit,
                          char name[TEXT]) {
    float *values;
    mq_shape shape = mq_shape1(n->edge.c);
    MQ_TRY(mq_arena_alloc(x->arena, (size_t)n->edge.c, sizeof *values, "biases", &values, x->error));
    for (int c = 0; c < n->edge.c; c++) values[c] = (float)bias[c] * unit;
    mq_onnx_add_real(x->w, name_of(n->name, "bias", name), &shape, values);
    return MQ_OK;
}

static void count_inexact(exporter *x, const mq_inet_node *n) {
    x->inexact += n->edge.low < -EXACT_SUM || n->edge.high > EXACT_SUM;
}

static mq_status put_CONV(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    const mq_inet_conv *v = &n->conv;
    const mq_inet_edge *in = &x->net->nodes[n->input[0]].edge;
    char weight[TEXT], bias[TEXT], text[TEXT];
    mq_shape shape = mq_shape4(v->out_channels, in->c / v->groups, v->kernel_h, v->kernel_w),
             out = shape_of(&n->edge, false);
    x->unit[index] = x->unit[n->input[0]];
    MQ_TRY(put_weights(x, n, v->weight, &shape, v->weight_bits, v->weight_narrow, weight));
    if (v->bias) MQ_TRY(put_bias(x, n, v->bias, x->unit[index], bias));
    const char *const inputs[] = {input_of(x, n, 0, false, text), weight, v->bias ? bias : NULL, NULL};
    mq_onnx_new_node *conv = put(x, "Conv", n->name, inputs, n->name, &out);
    mq_onnx_set_ints(conv, "kernel_shape", (const int64_t[]){v->kernel_h, v->kernel_w}, 2);
    mq_onnx_set_ints(conv, "strides", (const int64_t[]){v->stride_h, v->stride_w}, 2);
    mq_onnx_set_ints(conv, "pads", (const int64_t[]){v->pad_top, v->pad_left, v->pad_bottom, v->pad_right},
                     4);
    mq_onnx_set_ints(conv, "dilations", (const int64_t[]){1, 1}, 2);
    mq_onnx_set_int(conv, "group", v->groups);
    count_inexact(x, n);
    return MQ_OK;
}

static mq_status put_LINEAR(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    const mq_inet_linear *v = &n->linear;
    const mq_inet_edge *in = &x->net->nodes[n->input[0]].edge;
    char weight[TEXT], bias[TEXT], text[TEXT];
    mq_shape shape = mq_shape2(v->out_features, (int64_t)in->c * in->h * in->w),
             out = shape_of(&n->edge, true);
    x->unit[index] = x->unit[n->input[0]];
    x->flat[index] = true;
    MQ_TRY(put_weights(x, n, v->weight, &shape, v->weight_bits, v->weight_narrow, weight));
    if (v->bias) MQ_TRY(put_bias(x, n, v->bias, x->unit[index], bias));
    const char *const inputs[] = {input_of(x, n, 0, true, text), weight, v->bias ? bias : NULL, NULL};
    mq_onnx_set_int(put(x, "Gemm", n->name, inputs, n->name, &out), "transB", 1);
    count_inexact(x, n);
    return MQ_OK;
}

/* The channels' lines as a batch norm; *found false: some channel has none in float32. */
static mq_status put_norm(exporter *x, const mq_inet_node *n, float unit, const mq_shape *out,
                          const char *norm, bool *found) {
    static const char *const names[] = {"factor", "offset", "mean", "variance"};
    const mq_inet_edge *acc = &x->net->nodes[n->input[0]].edge;
    float *values[4];
    char tensor[4][TEXT];
    *found = true;
    for (int i = 0; i < 4; i++)
        MQ_TRY(mq_arena_alloc(x->arena, (size_t)n->edge.c, sizeof *values[i], "batch norm", &values[i],
                              x->error));
    for (int c = 0; c < n->edge.c && *found; c++) {
        values[3][c] = 1;
        *found = mq_float_line(&n->requant, c, acc->channel_low[c], acc->channel_high[c], unit, &values[0][c],
                               &values[1][c]);
    }
    if (!*found) return MQ_OK;
    mq_shape shape = mq_shape1(n->edge.c);
    for (int i = 0; i < 4; i++)
        mq_onnx_add_real(x->w, name_of(n->name, names[i], tensor[i]), &shape, values[i]);
    const char *const inputs[] = {
        x->net->nodes[n->input[0]].name, tensor[0], tensor[1], tensor[2], tensor[3], NULL};
    mq_onnx_set_float(put(x, "BatchNormalization", norm, inputs, norm, out), "epsilon", 0);
    return MQ_OK;
}

/* Where no line of float32 is fine enough (8-bit codes of long sums): the thresholds themselves, whole
 * numbers. */
static mq_status put_thresholds(exporter *x, const mq_inet_node *n, float unit, const mq_shape *out,
                                const char *codes) {
    const mq_inet_edge *acc = &x->net->nodes[n->input[0]].edge;
    const size_t channels = (size_t)n->edge.c, levels = (size_t)(n->requant.high - n->requant.low);
    float *values, *sign;
    int64_t *t;
    bool falling, turned = false;
    char tensor[TEXT], turn[TEXT], type[24];
    const char *input = x->net->nodes[n->input[0]].name;
    MQ_TRY(mq_arena_alloc(x->arena, channels * levels, sizeof *values, "thresholds", &values, x->error));
    MQ_TRY(mq_arena_alloc(x->arena, levels, sizeof *t, "thresholds", &t, x->error));
    MQ_TRY(mq_arena_alloc(x->arena, channels, sizeof *sign, "thresholds", &sign, x->error));
    for (size_t c = 0; c < channels; c++) {
        mq_threshold_list(&n->requant, (int)c, acc->channel_low[c], acc->channel_high[c], &falling, t);
        sign[c] = falling ? -1 : 1;
        turned = turned || falling;
        for (size_t k = 0; k < levels; k++) {
            values[c * levels + k] = (float)t[k] * unit;
            if (t[k] < -EXACT_SUM || t[k] > EXACT_SUM)
                return mq_fail(x->error, MQ_BAD_INPUT,
                               "%s: channel %zu: threshold %lld: float32 holds whole numbers up to 2^24",
                               n->name, c, (long long)t[k]);
        }
    }
    if (turned) {
        mq_shape shape = out->rank == 2 ? mq_shape2(1, n->edge.c) : mq_shape4(1, n->edge.c, 1, 1);
        mq_onnx_add_real(x->w, name_of(n->name, "sign", tensor), &shape, sign);
        put(x, "Mul", name_of(n->name, "turned", turn), (const char *const[]){input, tensor, NULL}, turn,
            out);
        input = turn;
    }
    mq_shape shape = mq_shape2(n->edge.c, (int64_t)levels);
    mq_onnx_add_real(x->w, name_of(n->name, "thresholds", tensor), &shape, values);
    mq_onnx_add_value(x->w, codes, out);
    mq_onnx_new_node *m = mq_onnx_add_node(x->w, DOMAIN, "MultiThreshold", codes,
                                           (const char *const[]){input, tensor, NULL}, codes);
    snprintf(type, sizeof type, "%sINT%d", n->requant.is_signed ? "" : "U", n->requant.bits);
    mq_onnx_set_text(m, "out_dtype", type);
    mq_onnx_set_float(m, "out_scale", 1);
    mq_onnx_set_float(m, "out_bias", (float)n->requant.low);
    mq_onnx_set_text(m, "data_layout", out->rank == 2 ? "NC" : "NCHW");
    return MQ_OK;
}

/* The same in ONNX's own operators: the line in float64. */
static mq_status put_double(exporter *x, const mq_inet_node *n, float unit, const mq_shape *out,
                            const char *codes) {
    enum { FLOAT = 1, DOUBLE = 11 };
    const mq_inet_edge *acc = &x->net->nodes[n->input[0]].edge;
    double *values[2];
    char tensor[2][TEXT], wide[TEXT], product[TEXT], sum[TEXT], rounded[TEXT];
    for (int i = 0; i < 2; i++)
        MQ_TRY(mq_arena_alloc(x->arena, (size_t)n->edge.c, sizeof *values[i], "lines", &values[i], x->error));
    for (int c = 0; c < n->edge.c; c++)
        if (!mq_double_line(&n->requant, c, acc->channel_low[c], acc->channel_high[c], unit, &values[0][c],
                            &values[1][c]))
            return mq_fail(x->error, MQ_BAD_INPUT,
                           "%s: channel %d: its codes follow no line that float64 computes", n->name, c);
    mq_shape shape = out->rank == 2 ? mq_shape2(1, n->edge.c) : mq_shape4(1, n->edge.c, 1, 1);
    mq_onnx_add_double(x->w, name_of(n->name, "factor", tensor[0]), &shape, values[0]);
    mq_onnx_add_double(x->w, name_of(n->name, "offset", tensor[1]), &shape, values[1]);
    name_of(n->name, "wide", wide);
    name_of(n->name, "product", product);
    name_of(n->name, "sum", sum);
    name_of(n->name, "rounded", rounded);
    const char *const input = x->net->nodes[n->input[0]].name;
    mq_onnx_set_int(mq_onnx_add_node(x->w, "", "Cast", wide, (const char *const[]){input, NULL}, wide), "to",
                    DOUBLE);
    mq_onnx_add_node(x->w, "", "Mul", product, (const char *const[]){wide, tensor[0], NULL}, product);
    mq_onnx_add_node(x->w, "", "Add", sum, (const char *const[]){product, tensor[1], NULL}, sum);
    mq_onnx_add_node(x->w, "", "Round", rounded, (const char *const[]){sum, NULL}, rounded);
    mq_onnx_add_value(x->w, codes, out);
    mq_onnx_set_int(mq_onnx_add_node(x->w, "", "Cast", codes, (const char *const[]){rounded, NULL}, codes),
                    "to", FLOAT);
    return MQ_OK;
}

static mq_status put_REQUANT(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    const mq_inet_requant *r = &n->requant;
    const float unit = x->unit[n->input[0]];
    char between[TEXT];
    bool found;
    x->flat[index] = x->flat[n->input[0]];
    x->unit[index] = 1;
    mq_shape out = shape_of(&n->edge, x->flat[index]);
    name_of(n->name, "norm", between);
    MQ_TRY(put_norm(x, n, unit, &out, between, &found));
    if (!found && x->flavour == MQ_ONNX_QUANT)
        MQ_TRY(put_thresholds(x, n, unit, &out, name_of(n->name, "steps", between)));
    else if (!found)
        MQ_TRY(put_double(x, n, unit, &out, name_of(n->name, "steps", between)));
    put_quant(x, n->name, between, n->name, &out, r->bits, r->is_signed, r->narrow, 1);
    return MQ_OK;
}

static mq_status put_MAX_POOL(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    char text[TEXT];
    mq_shape out = shape_of(&n->edge, false);
    x->unit[index] = x->unit[n->input[0]];
    mq_onnx_new_node *pool = put(x, "MaxPool", n->name,
                                 (const char *const[]){input_of(x, n, 0, false, text), NULL}, n->name, &out);
    mq_onnx_set_ints(pool, "kernel_shape", (const int64_t[]){n->pool.kernel, n->pool.kernel}, 2);
    mq_onnx_set_ints(pool, "strides", (const int64_t[]){n->pool.stride, n->pool.stride}, 2);
    return MQ_OK;
}

static mq_status put_REORG(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    char text[TEXT];
    mq_shape out = shape_of(&n->edge, false);
    x->unit[index] = x->unit[n->input[0]];
    mq_onnx_set_int(put(x, "SpaceToDepth", n->name,
                        (const char *const[]){input_of(x, n, 0, false, text), NULL}, n->name, &out),
                    "blocksize", 2);
    return MQ_OK;
}

static mq_status put_CONCAT(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index];
    const char *inputs[MQ_INET_MAX_INPUTS + 1] = {NULL};
    mq_shape out = shape_of(&n->edge, false);
    x->unit[index] = x->unit[n->input[0]];
    for (int i = 0; i < n->input_count; i++) {
        if (x->flat[n->input[i]] || x->unit[n->input[i]] != x->unit[index])
            return mq_fail(x->error, MQ_BAD_INPUT, "%s: inputs of one kind expected", n->name);
        inputs[i] = x->net->nodes[n->input[i]].name;
    }
    mq_onnx_set_int(put(x, "Concat", n->name, inputs, n->name, &out), "axis", 1);
    return MQ_OK;
}

static mq_status put_RESCALE(exporter *x, int index) {
    return mq_fail(x->error, MQ_BAD_INPUT, "%s: a network by the published rules has no QONNX form",
                   x->net->nodes[index].name);
}

static mq_status put_OUTPUT(exporter *x, int index) {
    const mq_inet_node *n = &x->net->nodes[index], *from = &x->net->nodes[n->input[0]];
    bool shifted = n->output.offset != 0;
    char value[TEXT], second[TEXT], between[TEXT];
    x->flat[index] = x->flat[n->input[0]];
    mq_shape out = shape_of(&n->edge, x->flat[index]);
    mq_onnx_add_output(x->w, "output", &out);
    add_scalar(x, name_of(n->name, "divisor", value), (float)n->output.divisor * x->unit[n->input[0]]);
    name_of(n->name, "quotient", between);
    put(x, "Div", between, (const char *const[]){from->name, value, NULL}, shifted ? between : "output",
        &out);
    if (!shifted) return MQ_OK;
    add_scalar(x, name_of(n->name, "offset", second), (float)n->output.offset);
    put(x, "Add", name_of(n->name, "sum", value), (const char *const[]){between, second, NULL}, "output",
        &out);
    return MQ_OK;
}

/* ---- the network ---- */

static mq_status put_nodes(exporter *x) {
    static mq_status (*const table[])(exporter *, int) = {
#define PUT(id, name, least, most) put_##id,
        MQ_INET_KINDS(PUT)
#undef PUT
    };
    for (int i = 0; i < x->net->node_count; i++) {
        const mq_inet_node *n = &x->net->nodes[i];
        if (strcmp(n->name, "input") == 0 || (strcmp(n->name, "output") == 0) != (n->kind == MQ_INET_OUTPUT))
            return mq_fail(x->error, MQ_BAD_INPUT, "%s: a layer with the name of the graph's input or output",
                           n->name);
        MQ_TRY(table[n->kind](x, i));
    }
    return MQ_OK;
}

mq_status mq_qonnx_export(const mq_inet *net, const mq_checkpoint *checkpoint, mq_onnx_flavour flavour,
                          const char *path, int *inexact, mq_error *error) {
    exporter *x;
    MQ_TRY(mq_alloc(1, sizeof *x, "an ONNX model", &x, error));
    x->net = net;
    x->flavour = flavour;
    x->error = error;
    mq_status status = net->compat
                           ? mq_fail(error, MQ_BAD_INPUT,
                                     "%s: a network by the published rules has no ONNX form", net->model)
                           : mq_arena_create(&x->arena, error);
    if (status == MQ_OK) status = mq_onnx_writer_create(net->model, &x->w, error);
    if (status == MQ_OK) {
        mq_onnx_opset(x->w, "", OPSET);
        if (flavour == MQ_ONNX_QUANT) mq_onnx_opset(x->w, DOMAIN, 1);
        status = put_nodes(x);
    }
    if (status == MQ_OK && checkpoint && flavour == MQ_ONNX_QUANT)
        status = mq_own_store(x->w, checkpoint, error);
    if (status == MQ_OK) status = mq_onnx_save(x->w, path, error);
    if (inexact) *inexact = x->inexact;
    mq_onnx_writer_free(x->w);
    mq_arena_destroy(x->arena);
    mq_free(x);
    return status;
}
