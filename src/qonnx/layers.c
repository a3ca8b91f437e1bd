/* layers.c - Conv, MatMul and Gemm: weights as codes, their scales into the layer's chain. */
#include <math.h>
#include <string.h>

#include "qonnx/graph.h"

/* Where a weight stands in the file's tensor: output o, the i-th of its inputs. */
typedef struct place {
    size_t outputs, inputs;
    size_t output_step, input_step;
} place;

/* Bits that hold whole numbers low..high. */
static int bits_for(float low, float high) {
    int bits = 1;
    while (low < -ldexpf(1, bits - 1) || high > ldexpf(1, bits - 1) - 1) bits++;
    return bits;
}

/* The tensor's codes, and what is known of their type: declared by a Quant, or whole numbers as they are. */
static mq_status find_codes(const mq_graph *g, const mq_known *w, const float **codes, int *bits,
                            bool *narrow) {
    float low = 0, high = 0;
    bool whole = true;
    *codes = w->codes ? w->codes : w->real;
    for (size_t i = 0; i < w->count; i++) {
        float v = (*codes)[i];
        whole = whole && fabsf(v) <= 128 && v == rintf(v);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    if (!w->codes && !whole)
        return mq_graph_fail(g, "its weights are real numbers: a Quant node for them expected");
    if (!w->codes) {
        *bits = bits_for(low, high);
        *narrow = *bits > 1 && low > -ldexpf(1, *bits - 1);
    } else {
        *bits = w->bits + !w->is_signed;
        *narrow = w->is_signed && w->narrow && w->bits > 1;
    }
    if (*bits <= MQ_BITS_MAX && whole) return MQ_OK;
    return mq_graph_fail(g, "weights of %d bits%s: 1 to 8, signed, expected", w->bits,
                         w->codes && !w->is_signed ? ", unsigned" : "");
}

/* Codes in our order, and one scale for each output. order: from our place of an input to the file's, or
 * NULL. */
static mq_status take_weights(mq_graph *g, mq_draft *d, const mq_known *w, const place *at,
                              const size_t *order, long double *scale) {
    const float *codes;
    float *own;
    MQ_TRY(find_codes(g, w, &codes, &d->weight_bits, &d->weight_narrow));
    MQ_TRY(mq_arena_alloc(g->arena, w->count, sizeof *own, "weights", &own, g->error));
    for (size_t o = 0; o < at->outputs; o++) {
        float first = w->scale ? w->scale[o * at->output_step] : 1;
        for (size_t i = 0; i < at->inputs; i++) {
            size_t from = o * at->output_step + (order ? order[i] : i) * at->input_step;
            if (w->scale && w->scale[from] != first)
                return mq_graph_fail(g, "output %zu: weights of several scales: one per output expected", o);
            own[o * at->inputs + i] = codes[from];
        }
        scale[o] = first;
    }
    d->weight = own;
    d->weight_count = w->count;
    return MQ_OK;
}

static mq_status take_bias(mq_graph *g, size_t input, int channels, float factor, long double *b) {
    const mq_named *in;
    const mq_known *k;
    MQ_TRY(mq_graph_input(g, input, &in));
    if (!in) return MQ_OK;
    MQ_TRY(mq_graph_real(g, input, "bias", &k));
    if (k->count != (size_t)channels && k->count != 1)
        return mq_graph_fail(g, "bias: %zu numbers: %d expected", k->count, channels);
    for (int c = 0; c < channels; c++) b[c] = (long double)factor * k->real[k->count == 1 ? 0 : c];
    return MQ_OK;
}

static mq_status result(mq_graph *g, const mq_graph_value *in, int index, long double *a, long double *b,
                        mq_graph_value *out) {
    mq_draft *d = &g->draft[index];
    d->input[d->input_count++] = in->from;
    d->in = in->type;
    for (int c = 0; c < d->c; c++) a[c] *= in->type.scale * in->factor;
    *out = (mq_graph_value){.from = index, .root = index, .chain = {.channels = d->c, .a = a, .b = b}};
    return MQ_OK;
}

static mq_status new_numbers(mq_graph *g, int channels, long double **a, long double **b) {
    MQ_TRY(mq_arena_alloc(g->arena, (size_t)channels, sizeof **a, "scales", a, g->error));
    return mq_arena_alloc(g->arena, (size_t)channels, sizeof **b, "offsets", b, g->error);
}

/* The padding on all four sides; SAME where it is even. */
static mq_status find_padding(const mq_graph *g, const mq_graph_value *s, int64_t kernel, int64_t stride,
                              int64_t *out) {
    const char *mode = "NOTSET";
    int64_t pads[4] = {0};
    size_t count = 0;
    MQ_TRY(mq_graph_text(g, "auto_pad", &mode));
    MQ_TRY(mq_graph_ints(g, "pads", pads, 4, &count));
    for (int side = 0; side < 2 && strncmp(mode, "SAME", 4) == 0; side++) {
        int64_t size = s->dim[2 + side], total = ((size + stride - 1) / stride - 1) * stride + kernel - size;
        if (total < 0) total = 0;
        pads[side] = total / 2;
        pads[side + 2] = total - total / 2;
    }
    for (int i = 0; i < 4; i++)
        if (pads[i] != pads[0] || pads[i] < 0 || pads[i] >= kernel)
            return mq_graph_fail(
                g, "padding %lld, %lld, %lld, %lld: the same on all sides, less than the kernel, expected",
                (long long)pads[0], (long long)pads[1], (long long)pads[2], (long long)pads[3]);
    *out = pads[0];
    return MQ_OK;
}

static mq_status on_conv(mq_graph *g, const mq_graph_value *in, const mq_known *w, mq_graph_value *out) {
    int64_t stride[2] = {1, 1}, dilation[2] = {1, 1}, groups = 1, padding = 0;
    size_t ignored = 0;
    const mq_draft *from = &g->draft[in->from];
    if (in->rank != 4 || in->nhwc || w->shape.rank != 4)
        return mq_graph_fail(g, "tensors [1, channels, rows, columns] and [out, in, rows, columns] expected");
    MQ_TRY(mq_graph_ints(g, "strides", stride, 2, &ignored));
    MQ_TRY(mq_graph_ints(g, "dilations", dilation, 2, &ignored));
    MQ_TRY(mq_graph_int(g, "group", &groups));
    const int64_t outputs = w->shape.dim[0], per_group = w->shape.dim[1], kernel = w->shape.dim[2];
    if (w->shape.dim[3] != kernel || kernel < 1 || kernel > 31 || stride[0] != stride[1] || stride[0] < 1 ||
        stride[0] > 31 || dilation[0] != 1 || dilation[1] != 1)
        return mq_graph_fail(
            g,
            "kernel %lld x %lld, stride %lld x %lld, dilation %lld: squares of at most 31, no "
            "dilation, expected",
            (long long)kernel, (long long)w->shape.dim[3], (long long)stride[0], (long long)stride[1],
            (long long)dilation[0]);
    if (groups < 1 || groups > from->c || from->c % groups || per_group != from->c / groups || outputs < 1 ||
        outputs > 65536 || outputs % groups)
        return mq_graph_fail(g, "%lld groups of %lld channels, %lld outputs: the input has %d channels",
                             (long long)groups, (long long)per_group, (long long)outputs, from->c);
    MQ_TRY(find_padding(g, in, kernel, stride[0], &padding));
    int64_t rows = from->h + 2 * padding - kernel, columns = from->w + 2 * padding - kernel;
    if (rows < 0 || columns < 0)
        return mq_graph_fail(g, "a kernel of %lld: the input is %d x %d", (long long)kernel, from->h,
                             from->w);
    mq_draft *d;
    int index;
    long double *a, *b;
    const int channels = from->c;
    MQ_TRY(mq_draft_add(g, MQ_OP_CONV, (int)(rows / stride[0] + 1), (int)(columns / stride[0] + 1),
                        (int)outputs, &d, &index));
    d->conv = (mq_conv_attr){.out_channels = d->c,
                             .in_channels = channels,
                             .kernel_h = (int)kernel,
                             .kernel_w = (int)kernel,
                             .stride = (int)stride[0],
                             .pad_h = (int)padding,
                             .pad_w = (int)padding,
                             .groups = (int)groups};
    MQ_TRY(new_numbers(g, d->c, &a, &b));
    const size_t inputs = (size_t)(per_group * kernel * kernel);
    const place at = {.outputs = (size_t)outputs, .inputs = inputs, .output_step = inputs, .input_step = 1};
    MQ_TRY(take_weights(g, d, w, &at, NULL, a));
    MQ_TRY(take_bias(g, 2, d->c, 1, b));
    MQ_TRY(result(g, in, index, a, b, out));
    out->rank = 4;
    out->dim[0] = 1;
    out->dim[1] = d->c;
    out->dim[2] = d->h;
    out->dim[3] = d->w;
    return MQ_OK;
}

/* Flattened with the channels last: input (c, y, x) stands at (y, x, c). */
static mq_status channel_order(mq_graph *g, const mq_draft *from, size_t **out) {
    size_t plane = (size_t)from->h * (size_t)from->w, channels = (size_t)from->c;
    MQ_TRY(mq_arena_alloc(g->arena, plane * channels, sizeof **out, "weights", out, g->error));
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < plane; p++) (*out)[c * plane + p] = p * channels + c;
    return MQ_OK;
}

static mq_status on_linear(mq_graph *g, const mq_graph_value *in, const mq_known *w, mq_graph_value *out) {
    bool gemm = strcmp(g->node->op, "Gemm") == 0;
    int64_t left = 0, right = 0;
    float alpha = 1, beta = 1;
    if (gemm) {
        MQ_TRY(mq_graph_int(g, "transA", &left));
        MQ_TRY(mq_graph_int(g, "transB", &right));
        MQ_TRY(mq_graph_float(g, "alpha", &alpha));
        MQ_TRY(mq_graph_float(g, "beta", &beta));
    }
    if (left || in->rank != 2 || w->shape.rank != 2 || !isfinite(alpha) || !isfinite(beta))
        return mq_graph_fail(g, "a row [1, inputs] times a constant matrix expected");
    const size_t inputs = (size_t)w->shape.dim[right ? 1 : 0], outputs = (size_t)w->shape.dim[right ? 0 : 1];
    if (inputs != (size_t)in->dim[1] || outputs < 1 || outputs > 65536)
        return mq_graph_fail(g, "a matrix of %zu inputs and %zu outputs: the row has %lld", inputs, outputs,
                             (long long)in->dim[1]);
    const place at = {.outputs = outputs,
                      .inputs = inputs,
                      .output_step = right ? inputs : 1,
                      .input_step = right ? 1 : outputs};
    mq_draft *d;
    int index;
    long double *a, *b;
    size_t *order = NULL;
    if (in->nhwc) MQ_TRY(channel_order(g, &g->draft[in->from], &order));
    MQ_TRY(mq_draft_add(g, MQ_OP_LINEAR, 1, 1, (int)outputs, &d, &index));
    MQ_TRY(new_numbers(g, d->c, &a, &b));
    MQ_TRY(take_weights(g, d, w, &at, order, a));
    for (int c = 0; c < d->c; c++) a[c] *= alpha;
    if (gemm) MQ_TRY(take_bias(g, 2, d->c, beta, b));
    MQ_TRY(result(g, in, index, a, b, out));
    out->rank = 2;
    out->dim[0] = 1;
    out->dim[1] = d->c;
    return MQ_OK;
}

static bool any_quant(const mq_graph *g) {
    for (size_t i = 0; i < g->model->node_count; i++)
        if (mq_graph_quant(&g->model->node[i])) return true;
    return false;
}

mq_status mq_layer_node(mq_graph *g, const mq_graph_value *in, mq_graph_value *out) {
    const mq_named *first, *second;
    MQ_TRY(mq_graph_input(g, 0, &first));
    MQ_TRY(mq_graph_input(g, 1, &second));
    if (!first || !first->stream || !second || !second->known)
        return mq_graph_fail(g, "a computed value with constant weights expected");
    if (!second->known->real) return mq_graph_fail(g, "its weights are integers: real numbers expected");
    if (!in->quantised)
        return mq_graph_fail(g, "its input is not quantised: a Quant node before it expected%s",
                             any_quant(g) ? "" : " (the file has none: a float network)");
    bool conv = strcmp(g->node->op, "Conv") == 0;
    return conv ? on_conv(g, in, second->known, out) : on_linear(g, in, second->known, out);
}
