/* helper_graph.c - building, evaluating and comparing small graphs. */
#include "qonnx/helper_graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/rng.h"
#include "lower/certify.h"
#include "lower/lower.h"
#include "qonnx/qonnx_import.h"
#include "sim/sim.h"

mq_onnx_writer *graph;
static uint64_t drawn;
enum { MOST = 1 << 16, NAMES = 256 };

/* ---- building ---- */

void graph_begin(const char *input, mq_shape shape) {
    assert_int_equal(mq_onnx_writer_create("test", &graph, NULL), MQ_OK);
    mq_onnx_opset(graph, "", 13);
    mq_onnx_opset(graph, "qonnx.custom_op.general", 1);
    mq_onnx_add_input(graph, input, &shape);
    drawn = 0;
}

void graph_values(const char *name, mq_shape shape, const float *values) {
    mq_onnx_add_real(graph, name, &shape, values);
}

void graph_real(const char *name, mq_shape shape, float low, float high) {
    size_t count;
    assert_true(mq_shape_count(&shape, &count));
    float *values = malloc(count * sizeof *values + 1);
    mq_rng rng = mq_rng_stream(11, "graph", 0);
    for (size_t i = 0; i < count; i++) values[i] = low + (high - low) * mq_rng_uniform(&rng, drawn++);
    graph_values(name, shape, values);
    free(values);
}

void graph_whole(const char *name, int count, const int64_t *values) {
    mq_shape shape = mq_shape1(count);
    mq_onnx_add_whole(graph, name, &shape, values);
}

mq_onnx_new_node *graph_node(const char *domain, const char *op, const char *name, const char *inputs,
                             const char *output) {
    char copy[512];
    const char *list[9] = {NULL};
    int count = 0;
    snprintf(copy, sizeof copy, "%s", inputs);
    for (char *save, *word = strtok_r(copy, " ", &save); word && count < 8; word = strtok_r(NULL, " ", &save))
        list[count++] = word;
    return mq_onnx_add_node(graph, domain, op, name, list, output);
}

void graph_quant(const char *name, const char *input, float scale, int bits, bool is_signed, bool narrow) {
    char a[64], b[64], c[64], inputs[256];
    const mq_shape scalar = {0};
    const float zero = 0, width = (float)bits;
    snprintf(a, sizeof a, "%s.s", name);
    snprintf(b, sizeof b, "%s.z", name);
    snprintf(c, sizeof c, "%s.b", name);
    graph_values(a, scalar, &scale);
    graph_values(b, scalar, &zero);
    graph_values(c, scalar, &width);
    snprintf(inputs, sizeof inputs, "%s %s %s %s", input, a, b, c);
    mq_onnx_new_node *n = graph_node("qonnx.custom_op.general", "Quant", name, inputs, name);
    mq_onnx_set_int(n, "signed", is_signed);
    mq_onnx_set_int(n, "narrow", narrow);
    mq_onnx_set_text(n, "rounding_mode", "ROUND");
}

void graph_norm(const char *name, const char *input, int c, float low, float high) {
    char p[4][64], inputs[400];
    static const char *const ends[] = {"g", "o", "m", "v"};
    for (int i = 0; i < 4; i++) snprintf(p[i], sizeof p[i], "%s.%s", name, ends[i]);
    graph_real(p[0], mq_shape1(c), low, high);
    graph_real(p[1], mq_shape1(c), -1, 1);
    graph_real(p[2], mq_shape1(c), -1, 1);
    graph_real(p[3], mq_shape1(c), 0.5f, 4);
    snprintf(inputs, sizeof inputs, "%s %s %s %s %s", input, p[0], p[1], p[2], p[3]);
    mq_onnx_set_float(graph_node("", "BatchNormalization", name, inputs, name), "epsilon", 1e-3f);
}

void graph_end(const char *output, mq_shape shape, const char *path) {
    mq_error error = {0};
    mq_onnx_add_output(graph, output, &shape);
    if (mq_onnx_save(graph, path, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_onnx_writer_free(graph);
    graph = NULL;
}

void graph_small(const char *path) {
    mq_onnx_new_node *n;
    const mq_shape scalar = {0};
    graph_begin("x", mq_shape4(1, 2, 6, 6));
    graph_values("k", scalar, &(float){2});
    graph_node("", "Mul", "scale", "x k", "a");
    graph_quant("q0", "a", 0.1f, 4, true, true);
    graph_real("w0.w", mq_shape4(4, 2, 3, 3), -1, 1);
    graph_quant("w0", "w0.w", 0.2f, 4, true, true);
    n = graph_node("", "Conv", "conv", "q0 w0", "c");
    mq_onnx_set_ints(n, "pads", (const int64_t[]){1, 1, 1, 1}, 4);
    graph_norm("bn", "c", 4, 0.5f, 1);
    graph_node("", "Relu", "relu", "bn", "r");
    graph_quant("q1", "r", 0.3f, 4, false, false);
    n = graph_node("", "MaxPool", "pool", "q1", "p");
    mq_onnx_set_ints(n, "kernel_shape", (const int64_t[]){2, 2}, 2);
    mq_onnx_set_ints(n, "strides", (const int64_t[]){2, 2}, 2);
    mq_onnx_set_ints(graph_node("", "Transpose", "turn", "p", "t"), "perm", (const int64_t[]){0, 2, 3, 1}, 4);
    graph_whole("row", 2, (const int64_t[]){1, -1});
    graph_node("", "Reshape", "flat", "t row", "f");
    graph_real("w1.w", mq_shape2(36, 3), -1, 1);
    graph_quant("w1", "w1.w", 0.1f, 5, true, false);
    graph_node("", "MatMul", "fc", "f w1", "m");
    graph_values("o", scalar, &(float){0.5f});
    graph_node("", "Add", "shift", "m o", "y");
    graph_end("y", mq_shape2(1, 3), path);
}

/* ---- plain evaluation ---- */

typedef struct value {
    const char *name;
    mq_shape shape;
    size_t count;
    double *v;
} value;

typedef struct evaluation {
    value value[NAMES];
    int count;
    const mq_onnx_node *node;
} evaluation;

static const value *find(const evaluation *e, const char *name) {
    for (int i = 0; i < e->count; i++)
        if (strcmp(e->value[i].name, name) == 0) return &e->value[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static const value *in(const evaluation *e, size_t i) {
    return find(e, e->node->input[i]);
}

static value *add(evaluation *e, const char *name, mq_shape shape) {
    assert_true(e->count < NAMES);
    value *v = &e->value[e->count++];
    *v = (value){.name = name, .shape = shape};
    assert_true(mq_shape_count(&shape, &v->count) && v->count <= MOST);
    v->v = calloc(v->count + 1, sizeof *v->v);
    return v;
}

static int64_t attr(const evaluation *e, const char *name, size_t i, int64_t absent) {
    const mq_onnx_attr *a = mq_onnx_find_attr(e->node, name);
    return !a ? absent : a->kind == MQ_ONNX_INT ? a->i : a->ints[i];
}

/* The element of a tensor broadcast over shape at flat index i. */
static double broadcast(const value *t, const mq_shape *shape, size_t i) {
    size_t at = 0, step = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        int own = d - (shape->rank - t->shape.rank);
        size_t index = i % (size_t)shape->dim[d];
        i /= (size_t)shape->dim[d];
        if (own < 0) continue;
        if (t->shape.dim[own] != 1) at += index * step;
        step *= (size_t)t->shape.dim[own];
    }
    return t->v[at];
}

static void run_elementwise(evaluation *e) {
    const char *op = e->node->op;
    const value *a = in(e, 0), *b = in(e, 1);
    mq_shape shape = a->count >= b->count ? a->shape : b->shape;
    value *out = add(e, e->node->output[0], shape);
    for (size_t i = 0; i < out->count; i++) {
        double x = broadcast(a, &shape, i), y = broadcast(b, &shape, i);
        out->v[i] = *op == 'A'   ? x + y
                    : *op == 'S' ? x - y
                    : *op == 'M' ? x * y
                    : *op == 'P' ? pow(x, y)
                                 : x / y;
    }
}

static void run_quant(evaluation *e) {
    const value *x = in(e, 0), *s = in(e, 1);
    int bits = (int)in(e, 3)->v[0], is_signed = (int)attr(e, "signed", 0, 1),
        narrow = (int)attr(e, "narrow", 0, 0);
    double high = ldexp(1, bits - is_signed) - 1, low = !is_signed ? 0 : narrow ? -high : -high - 1;
    value *out = add(e, e->node->output[0], x->shape);
    for (size_t i = 0; i < out->count; i++) {
        double scale = broadcast(s, &x->shape, i), v = fmin(fmax(x->v[i] / scale, low), high);
        out->v[i] = rint(v) * scale;
    }
}

static void run_product(evaluation *e) {
    const value *x = in(e, 0), *w = in(e, 1);
    bool turned = attr(e, "transB", 0, 0) != 0;
    size_t inputs = (size_t)x->shape.dim[1], outputs = (size_t)w->shape.dim[turned ? 0 : 1];
    const mq_onnx_attr *alpha = mq_onnx_find_attr(e->node, "alpha"),
                       *beta = mq_onnx_find_attr(e->node, "beta");
    value *out = add(e, e->node->output[0], mq_shape2(1, (int64_t)outputs));
    for (size_t o = 0; o < outputs; o++) {
        for (size_t i = 0; i < inputs; i++)
            out->v[o] += x->v[i] * w->v[turned ? o * inputs + i : i * outputs + o];
        if (alpha) out->v[o] *= (double)alpha->f;
        if (e->node->input_count > 2) out->v[o] += (beta ? (double)beta->f : 1) * in(e, 2)->v[o];
    }
}

static void run_conv(evaluation *e) {
    const value *x = in(e, 0), *w = in(e, 1);
    int64_t g = attr(e, "group", 0, 1), s = attr(e, "strides", 0, 1), p = attr(e, "pads", 0, 0);
    int64_t oc = w->shape.dim[0], ic = w->shape.dim[1], k = w->shape.dim[2], h = x->shape.dim[2],
            wide = x->shape.dim[3];
    int64_t oh = (h + 2 * p - k) / s + 1, ow = (wide + 2 * p - k) / s + 1;
    value *out = add(e, e->node->output[0], mq_shape4(1, oc, oh, ow));
    for (int64_t o = 0, at = 0; o < oc; o++)
        for (int64_t y = 0; y < oh; y++)
            for (int64_t c = 0; c < ow; c++, at++) {
                double sum = e->node->input_count > 2 ? in(e, 2)->v[o] : 0;
                for (int64_t i = 0; i < ic * k * k; i++) {
                    int64_t channel = o / (oc / g) * ic + i / (k * k);
                    int64_t row = y * s - p + i / k % k, column = c * s - p + i % k;
                    if (row >= 0 && row < h && column >= 0 && column < wide)
                        sum += w->v[o * ic * k * k + i] * x->v[(channel * h + row) * wide + column];
                }
                out->v[at] = sum;
            }
}

static void run_norm(evaluation *e) {
    const value *x = in(e, 0);
    size_t plane = x->count / (size_t)x->shape.dim[1];
    double epsilon = (double)mq_onnx_find_attr(e->node, "epsilon")->f;
    value *out = add(e, e->node->output[0], x->shape);
    for (size_t i = 0; i < out->count; i++) {
        size_t c = i / plane;
        out->v[i] =
            in(e, 1)->v[c] * (x->v[i] - in(e, 3)->v[c]) / sqrt(in(e, 4)->v[c] + epsilon) + in(e, 2)->v[c];
    }
}

static void run_pool(evaluation *e) {
    const value *x = in(e, 0);
    int64_t k = attr(e, "kernel_shape", 0, 1), s = attr(e, "strides", 0, 1), h = x->shape.dim[2],
            w = x->shape.dim[3];
    int64_t oh = (h - k) / s + 1, ow = (w - k) / s + 1;
    value *out = add(e, e->node->output[0], mq_shape4(1, x->shape.dim[1], oh, ow));
    for (size_t i = 0; i < out->count; i++) {
        int64_t c = (int64_t)i / (oh * ow), y = (int64_t)i / ow % oh, z = (int64_t)i % ow;
        out->v[i] = -1e300;
        for (int64_t t = 0; t < k * k; t++)
            out->v[i] = fmax(out->v[i], x->v[(c * h + y * s + t / k) * w + z * s + t % k]);
    }
}

/* Depth = (dy*2 + dx)*C + c, as ONNX defines it. */
static void run_depth(evaluation *e) {
    const value *x = in(e, 0);
    int64_t c = x->shape.dim[1], h = x->shape.dim[2], w = x->shape.dim[3];
    value *out = add(e, e->node->output[0], mq_shape4(1, 4 * c, h / 2, w / 2));
    for (int64_t k = 0; k < 4 * c; k++)
        for (int64_t y = 0; y < h / 2; y++)
            for (int64_t z = 0; z < w / 2; z++)
                out->v[(k * (h / 2) + y) * (w / 2) + z] =
                    x->v[(k % c * h + 2 * y + k / c / 2) * w + 2 * z + k / c % 2];
}

static void run_concat(evaluation *e) {
    mq_shape shape = in(e, 0)->shape;
    shape.dim[1] = 0;
    for (size_t i = 0; i < e->node->input_count; i++) shape.dim[1] += in(e, i)->shape.dim[1];
    value *out = add(e, e->node->output[0], shape);
    for (size_t i = 0, at = 0; i < e->node->input_count; at += in(e, i)->count, i++)
        memcpy(out->v + at, in(e, i)->v, in(e, i)->count * sizeof *out->v);
}

static void run_transpose(evaluation *e) {
    const value *x = in(e, 0);
    mq_shape shape = x->shape;
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = x->shape.dim[attr(e, "perm", (size_t)i, 0)];
    value *out = add(e, e->node->output[0], shape);
    for (size_t i = 0; i < out->count; i++) {
        size_t rest = i, index[MQ_DIMS] = {0}, at = 0;
        for (int d = shape.rank - 1; d >= 0; d--) {
            index[attr(e, "perm", (size_t)d, 0)] = rest % (size_t)shape.dim[d];
            rest /= (size_t)shape.dim[d];
        }
        for (int d = 0; d < shape.rank; d++) at = at * (size_t)x->shape.dim[d] + index[d];
        out->v[i] = x->v[at];
    }
}

/* QONNX: out_bias + how many of the channel's thresholds are at most x. */
static void run_thresholds(evaluation *e) {
    const value *x = in(e, 0), *t = in(e, 1);
    size_t plane = x->count / (size_t)x->shape.dim[1], levels = (size_t)t->shape.dim[1];
    value *out = add(e, e->node->output[0], x->shape);
    for (size_t i = 0; i < out->count; i++) {
        out->v[i] = (double)mq_onnx_find_attr(e->node, "out_bias")->f;
        for (size_t k = 0; k < levels; k++) out->v[i] += x->v[i] >= t->v[i / plane * levels + k];
    }
}

/* To one row; no other reshape is in these graphs. */
static void run_flatten(evaluation *e) {
    const value *x = in(e, 0);
    value *out = add(e, e->node->output[0], mq_shape2(1, (int64_t)x->count));
    memcpy(out->v, x->v, x->count * sizeof *x->v);
}

static void run_relu(evaluation *e) {
    const value *x = in(e, 0);
    value *out = add(e, e->node->output[0], x->shape);
    for (size_t i = 0; i < x->count; i++) out->v[i] = fmax(x->v[i], 0);
}

void graph_evaluate(const mq_onnx_model *model, const float *x, double *out, size_t most, size_t *count) {
    static const struct {
        const char *op;
        void (*run)(evaluation *);
    } table[] = {{"Quant", run_quant},
                 {"IntQuant", run_quant},
                 {"Add", run_elementwise},
                 {"Sub", run_elementwise},
                 {"Mul", run_elementwise},
                 {"Div", run_elementwise},
                 {"Pow", run_elementwise},
                 {"MatMul", run_product},
                 {"Gemm", run_product},
                 {"Conv", run_conv},
                 {"Relu", run_relu},
                 {"MaxPool", run_pool},
                 {"Concat", run_concat},
                 {"Flatten", run_flatten},
                 {"Reshape", run_flatten},
                 {"Transpose", run_transpose},
                 {"SpaceToDepth", run_depth},
                 {"MultiThreshold", run_thresholds},
                 {"BatchNormalization", run_norm}};
    evaluation *e = calloc(1, sizeof *e);
    mq_shape shape = {.rank = model->input[0].rank};
    memcpy(shape.dim, model->input[0].dim, sizeof shape.dim);
    value *input = add(e, model->input[0].name, shape);
    for (size_t i = 0; i < input->count; i++) input->v[i] = (double)x[i];
    for (size_t i = 0; i < model->tensor_count; i++) {
        const mq_onnx_tensor *t = &model->tensor[i];
        value *v = add(e, t->name, t->shape);
        for (size_t k = 0; k < v->count; k++) v->v[k] = t->real ? (double)t->real[k] : (double)t->whole[k];
    }
    for (size_t i = 0; i < model->node_count; i++) {
        size_t k = 0;
        e->node = &model->node[i];
        while (k < sizeof table / sizeof *table && strcmp(table[k].op, e->node->op) != 0) k++;
        if (k == sizeof table / sizeof *table) fail_msg("no evaluation of %s", e->node->op);
        table[k].run(e);
    }
    const value *last = find(e, model->output[0].name);
    *count = last->count;
    assert_true(last->count <= most);
    memcpy(out, last->v, last->count * sizeof *out);
    for (int i = 0; i < e->count; i++) free(e->value[i].v);
    free(e);
}

/* ---- using ---- */

static const mq_qonnx_options OPTIONS = {.pixel_divisor = 255};

void graph_import(const char *path, mq_checkpoint *out) {
    char to[1024];
    mq_error error = {0};
    snprintf(to, sizeof to, "%s.safetensors", path);
    if (mq_qonnx_import(path, &OPTIONS, to, NULL, &error) != MQ_OK) fail_msg("%s", error.text);
    if (mq_checkpoint_load(to, out, &error) != MQ_OK) fail_msg("%s", error.text);
}

void graph_refused(const char *path, const char *words) {
    mq_error error = {0};
    char copy[512];
    mq_status status = mq_qonnx_import(path, &OPTIONS, NULL, NULL, &error);
    if (status != MQ_BAD_INPUT)
        fail_msg("status %d (%s), expected a refusal: %s", (int)status, error.text, words);
    snprintf(copy, sizeof copy, "%s", words);
    for (char *save, *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save))
        if (!strstr(error.text, part)) fail_msg("expected '%s' in: %s", part, error.text);
}

void graph_agrees(const char *path, int count, float spread) {
    mq_checkpoint checkpoint;
    mq_inet *net;
    mq_sim *sim;
    const mq_onnx_model *model;
    mq_error error = {0};
    graph_import(path, &checkpoint);
    if (mq_lower(&checkpoint, NULL, &net, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_onnx_load(path, &model, NULL), MQ_OK);
    assert_int_equal(mq_sim_create_with(net, &(mq_sim_options){.engine = MQ_SIM_FAST}, &sim, NULL), MQ_OK);
    const mq_inet_node *image = &net->nodes[0];
    const mq_inet_edge *e = &image->edge;
    assert_non_null(image->image.real);
    size_t size = (size_t)e->c * (size_t)e->h * (size_t)e->w, outputs;
    float *x = malloc(size * sizeof *x), *values = malloc(MOST * sizeof *values);
    uint8_t *bytes = malloc(size);
    double *expected = malloc(MOST * sizeof *expected), largest = 0;
    mq_rng rng = mq_rng_stream(3, "inputs", 0);
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < size; k++) x[k] = spread * mq_rng_normal(&rng, (uint64_t)i * size + k);
        assert_int_equal(mq_real_codes(image->image.real, (float)image->image.scale, (int)e->low,
                                       (int)e->high, x, 1, e->c, (size_t)e->h * (size_t)e->w, bytes, NULL),
                         MQ_OK);
        assert_int_equal(mq_sim_run(sim, bytes, 1, MQ_SIM_NCHW, NULL, NULL, values, NULL), MQ_OK);
        graph_evaluate(model, x, expected, MOST, &outputs);
        for (size_t k = 0; k < outputs; k++) largest = fmax(largest, fabs(expected[k]));
        for (size_t k = 0; k < outputs; k++)
            if (!(fabs((double)values[k] - expected[k]) <= 1e-5 * (largest + 1)))
                fail_msg("%s: input %d, output %zu: got %.9g, expected %.9g", path, i, k, (double)values[k],
                         expected[k]);
    }
    assert_true(largest > 0);
    free(x);
    free(values);
    free(bytes);
    free(expected);
    mq_sim_free(sim);
    mq_onnx_free(model);
    mq_inet_free(net);
    mq_checkpoint_free(&checkpoint);
}
