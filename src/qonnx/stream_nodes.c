/* stream_nodes.c - nodes on the running value: scalings, quantisers, pools and movements. */
#include <math.h>
#include <string.h>

#include "qonnx/graph.h"
#include "qonnx/pixel_shift.h"

static mq_status set_output(mq_graph *g, const mq_graph_value *s) {
    mq_graph_value *copy;
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *copy, "an ONNX graph", &copy, g->error));
    *copy = *s;
    return mq_graph_set(g, g->node->output[0], NULL, copy);
}

static mq_status new_chain(mq_graph *g, int channels, long double **a, long double **b) {
    MQ_TRY(mq_graph_spend(g, 8 * (size_t)channels));
    MQ_TRY(mq_arena_alloc(g->arena, (size_t)channels, sizeof **a, "scales", a, g->error));
    return mq_arena_alloc(g->arena, (size_t)channels, sizeof **b, "offsets", b, g->error);
}

mq_status mq_stream_commit(mq_graph *g, mq_graph_value *s) {
    if (s->root < 0) return MQ_OK;
    mq_draft *d = &g->draft[s->root];
    double *scale, *offset;
    MQ_TRY(mq_graph_spend(g, 4 * (size_t)d->c));
    MQ_TRY(mq_arena_alloc(g->arena, (size_t)d->c, sizeof *scale, "scales", &scale, g->error));
    MQ_TRY(mq_arena_alloc(g->arena, (size_t)d->c, sizeof *offset, "offsets", &offset, g->error));
    for (int c = 0; c < d->c; c++) {
        scale[c] = (double)s->chain.a[c];
        offset[c] = (double)s->chain.b[c];
        if (!isfinite(scale[c]) || !isfinite(offset[c]))
            return mq_graph_fail(g, "the scale or offset of channel %d is no finite number", c);
        if (d->committed && (scale[c] != d->scale[c] || offset[c] != d->offset[c]))
            return mq_graph_fail(g, "layer %s is scaled in two ways by those who read it", d->name);
    }
    d->committed = true;
    d->scale = scale;
    d->offset = offset;
    s->root = -1;
    return MQ_OK;
}

/* ---- scalings ---- */

/* The operand of channel c: one for all, or along the channel axis. */
static mq_status spread(const mq_graph *g, const mq_graph_value *s, const mq_known *k, int channels,
                        bool *single) {
    int axis = s->nhwc ? s->rank - 1 : 1;
    *single = k->count == 1;
    if (*single) return MQ_OK;
    bool good =
        k->count == (size_t)channels && k->shape.rank <= s->rank && s->rank >= 2 && s->dim[axis] == channels;
    for (int i = 0; good && i < k->shape.rank; i++)
        good = k->shape.dim[i] == (i + s->rank - k->shape.rank == axis ? channels : 1);
    if (good) return MQ_OK;
    char shape[MQ_SHAPE_TEXT];
    return mq_graph_fail(g, "an operand of shape %s: one number, or one per channel (%d), expected",
                         mq_shape_text(&k->shape, shape), channels);
}

static mq_status scale_input(mq_graph *g, mq_graph_value *s, const mq_known *k, mq_real_op op) {
    int channels = g->draft[0].c;
    bool single;
    mq_real_input *input;
    MQ_TRY(spread(g, s, k, channels, &single));
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *input, "an ONNX graph", &input, g->error));
    *input = *s->input;
    if (input->count == MQ_REAL_STEPS)
        return mq_graph_fail(g, "more than %d scalings of the input", MQ_REAL_STEPS);
    mq_real_step *step = &input->step[input->count++];
    *step = (mq_real_step){.op = op, .count = single ? 1 : channels};
    if (step->count > MQ_REAL_CHANNELS)
        return mq_graph_fail(g, "too many channels: at most %d", MQ_REAL_CHANNELS);
    for (int c = 0; c < step->count; c++) step->value[c] = k->real[c];
    mq_status status = mq_real_input_check(input, channels, g->error);
    if (status != MQ_OK) return mq_fail_context(g->error, status, "%s", g->file);
    s->input = input;
    return MQ_OK;
}

/* What all scalings of a layer's result need. */
static mq_status check_scalable(const mq_graph *g, const mq_graph_value *s) {
    if (s->quantised)
        return mq_graph_fail(g, "of quantised values: only a factor above 0, the same for all, is folded");
    if (s->root < 0) return mq_graph_fail(g, "after a Concat or SpaceToDepth: expected before it");
    return MQ_OK;
}

static mq_status scale_stream(mq_graph *g, mq_graph_value *s, const mq_known *k, mq_real_op op) {
    if (s->from == 0 && !s->quantised) return scale_input(g, s, k, op);
    bool single, factor = op == MQ_REAL_MUL || op == MQ_REAL_DIV;
    if (s->quantised && factor && k->count == 1 && k->shape.rank <= s->rank && k->real[0] > 0) {
        s->factor = op == MQ_REAL_MUL ? s->factor * k->real[0] : s->factor / k->real[0];
        return MQ_OK;
    }
    MQ_TRY(check_scalable(g, s));
    int channels = s->chain.channels;
    long double *a, *b;
    MQ_TRY(spread(g, s, k, channels, &single));
    if (s->relu && !factor) return mq_graph_fail(g, "after a Relu: a Quant expected next");
    MQ_TRY(new_chain(g, channels, &a, &b));
    for (int c = 0; c < channels; c++) {
        long double v = k->real[single ? 0 : c];
        a[c] = s->chain.a[c];
        b[c] = s->chain.b[c];
        if (factor && !(v > 0) && (s->relu || s->pooled))
            return mq_graph_fail(g, "by %g after a Relu or MaxPool: a factor above 0 expected", (double)v);
        if (op == MQ_REAL_DIV && v == 0) return mq_graph_fail(g, "by 0");
        if (op == MQ_REAL_ADD) b[c] += v;
        if (op == MQ_REAL_SUB) b[c] -= v;
        if (op == MQ_REAL_MUL) {
            a[c] *= v;
            b[c] *= v;
        }
        if (op == MQ_REAL_DIV) {
            a[c] /= v;
            b[c] /= v;
        }
    }
    s->chain.a = a;
    s->chain.b = b;
    return MQ_OK;
}

/* Add, Sub, Mul, Div with a constant on either side. */
static mq_status on_binary(mq_graph *g, mq_graph_value *s, mq_real_op op) {
    const mq_named *left, *right;
    MQ_TRY(mq_graph_input(g, 0, &left));
    MQ_TRY(mq_graph_input(g, 1, &right));
    if (!left || !right) return mq_graph_fail(g, "two operands expected");
    if (left->stream && right->stream)
        return mq_graph_fail(g, "of two computed values: one constant operand expected");
    const mq_known *k = left->stream ? right->known : left->known;
    if (!k->real) return mq_graph_fail(g, "constant real numbers expected");
    if (right->stream && op == MQ_REAL_DIV) return mq_graph_fail(g, "by a computed value");
    if (right->stream && op == MQ_REAL_SUB) { /* k - x = -1*x + k */
        static const float minus = -1;
        const mq_known flip = {.count = 1, .real = &minus};
        MQ_TRY(scale_stream(g, s, &flip, MQ_REAL_MUL));
        op = MQ_REAL_ADD;
    }
    return scale_stream(g, s, k, op);
}

static mq_status on_batch_norm(mq_graph *g, mq_graph_value *s) {
    static const char *const names[] = {"scale", "bias", "mean", "variance"};
    const mq_known *p[4];
    float epsilon = 1e-5f;
    int64_t training = 0;
    MQ_TRY(mq_graph_float(g, "epsilon", &epsilon));
    MQ_TRY(mq_graph_int(g, "training_mode", &training));
    if (training) return mq_graph_fail(g, "training_mode: 0 expected");
    if (s->from == 0 && !s->quantised) return mq_graph_fail(g, "of the input: a Quant expected before it");
    MQ_TRY(check_scalable(g, s));
    if (s->relu) return mq_graph_fail(g, "after a Relu: a Quant expected next");
    int channels = s->chain.channels;
    if (s->nhwc || s->rank < 2 || s->dim[1] != channels)
        return mq_graph_fail(g, "channels in dimension 1 expected");
    for (size_t i = 0; i < 4; i++) {
        MQ_TRY(mq_graph_real(g, i + 1, names[i], &p[i]));
        if (p[i]->count != (size_t)channels && p[i]->count != 1)
            return mq_graph_fail(g, "%s: %zu numbers: %d expected", names[i], p[i]->count, channels);
    }
    long double *a, *b;
    MQ_TRY(new_chain(g, channels, &a, &b));
    for (int c = 0; c < channels; c++) {
        long double v[4];
        for (int i = 0; i < 4; i++) v[i] = p[i]->real[p[i]->count == 1 ? 0 : c];
        if (!(v[3] + epsilon > 0))
            return mq_graph_fail(g, "variance %g of channel %d: above 0 expected", (double)v[3], c);
        long double k = v[0] / sqrtl(v[3] + epsilon);
        if (s->pooled && !(k > 0))
            return mq_graph_fail(g, "a falling scale in channel %d after a MaxPool", c);
        a[c] = s->chain.a[c] * k;
        b[c] = (s->chain.b[c] - v[2]) * k + v[1];
    }
    s->chain.a = a;
    s->chain.b = b;
    return MQ_OK;
}

/* ---- quantisers ---- */

static bool same_type(const mq_qtype *a, const mq_qtype *b) {
    return a->bits == b->bits && a->is_signed == b->is_signed && a->narrow == b->narrow &&
           a->scale == b->scale;
}

static mq_status quantise_input(mq_graph *g, const mq_graph_value *s) {
    if (g->real_input && !(mq_real_input_equal(g->real_input, s->input) &&
                           same_type(&g->input_type, &s->type) && g->input_floor == s->floor))
        return mq_graph_fail(g, "the input is quantised in two ways");
    g->real_input = s->input;
    g->input_type = s->type;
    g->input_floor = s->floor;
    const mq_real_step *first = &s->input->step[0];
    const int count = s->input->count;
    bool pixels = !s->type.is_signed && s->type.scale == ldexp(1, -s->type.bits);
    if (s->floor && !(pixels && count == 0))
        return mq_graph_fail(g, "rounding_mode FLOOR: only of pixels, unsigned in steps of 2^-bits");
    bool shifted = count == 1 && first->op == MQ_REAL_SUB && first->count == 1 &&
                   first->value[0] == mq_pixel_shift(s->type.bits);
    g->pixels = s->floor || (g->ours && pixels && (s->type.bits == 8 ? count == 0 : shifted));
    return MQ_OK;
}

static mq_status on_quant(mq_graph *g, mq_graph_value *s) {
    mq_quant_params q;
    MQ_TRY(mq_quant_read(g, &q));
    if (q.scale->count != 1)
        return mq_graph_fail(g, "scale: %zu numbers for an activation: one expected", q.scale->count);
    mq_qtype type = {.bits = q.bits, .is_signed = q.is_signed, .narrow = q.is_signed && q.narrow};
    type.scale = (double)q.scale->real[0];
    if (!q.is_signed && q.narrow) return mq_graph_fail(g, "narrow: only signed codes can be");
    if (s->quantised) {
        if (s->factor == 1 && same_type(&type, &s->type) && (q.rounding == MQ_ROUND_FLOOR) == s->floor)
            return MQ_OK;
        return mq_graph_fail(g, "of values that are quantised already");
    }
    if (q.is_signed && q.bits == 1)
        return mq_graph_fail(g, "signed, 1 bit: codes -1 and 1 without 0 are not supported");
    if (s->relu && q.is_signed) { /* what is left of the codes */
        type.is_signed = type.narrow = false;
        type.bits--;
    }
    if (type.bits > MQ_BITS_MAX)
        return mq_graph_fail(g, "%d bits: activations of 1 to 8 expected", type.bits);
    s->type = type;
    s->floor = q.rounding == MQ_ROUND_FLOOR;
    s->quantised = true;
    s->factor = 1;
    if (s->from == 0) return quantise_input(g, s);
    if (s->floor) return mq_graph_fail(g, "rounding_mode: got FLOOR, expected ROUND");
    return mq_stream_commit(g, s);
}

static mq_status on_relu(mq_graph *g, mq_graph_value *s) {
    if (!s->quantised) {
        s->relu = true;
        return MQ_OK;
    }
    if (s->type.is_signed) return mq_graph_fail(g, "of quantised signed values: expected before the Quant");
    return MQ_OK;
}

/* ---- movements ---- */

static mq_status need_image(const mq_graph *g, const mq_graph_value *s) {
    if (s->rank != 4 || s->nhwc) return mq_graph_fail(g, "a tensor [1, channels, rows, columns] expected");
    if (s->from == 0) return mq_graph_fail(g, "of the input itself: a layer expected first");
    return MQ_OK;
}

static mq_status on_max_pool(mq_graph *g, mq_graph_value *s) {
    int64_t kernel[2] = {0, 0}, stride[2] = {1, 1}, pads[4] = {0}, dilations[2] = {1, 1}, ceil = 0;
    size_t count = 0, ignored = 0;
    const char *pad = "NOTSET";
    MQ_TRY(need_image(g, s));
    MQ_TRY(mq_graph_ints(g, "kernel_shape", kernel, 2, &count));
    MQ_TRY(mq_graph_ints(g, "strides", stride, 2, &ignored));
    MQ_TRY(mq_graph_ints(g, "pads", pads, 4, &ignored));
    MQ_TRY(mq_graph_ints(g, "dilations", dilations, 2, &ignored));
    MQ_TRY(mq_graph_int(g, "ceil_mode", &ceil));
    MQ_TRY(mq_graph_text(g, "auto_pad", &pad));
    if (count != 2 || kernel[0] != kernel[1] || kernel[0] < 1 || kernel[0] > 16 || stride[0] != stride[1] ||
        stride[0] < 1 || stride[0] > 31)
        return mq_graph_fail(
            g, "kernel %lld x %lld, stride %lld x %lld: squares of at most 16 and 31 expected",
            (long long)kernel[0], (long long)kernel[1], (long long)stride[0], (long long)stride[1]);
    if (pads[0] || pads[1] || pads[2] || pads[3] || strncmp(pad, "SAME", 4) == 0 || dilations[0] != 1 ||
        dilations[1] != 1)
        return mq_graph_fail(g, "padding and dilation: none expected");
    const mq_draft *in = &g->draft[s->from];
    int k = (int)kernel[0], step = (int)stride[0];
    if (in->h < k || in->w < k)
        return mq_graph_fail(g, "a kernel of %d: the input is %d x %d", k, in->h, in->w);
    if (ceil && ((in->h - k) % step || (in->w - k) % step)) return mq_graph_fail(g, "ceil_mode: 0 expected");
    mq_draft *d;
    int index;
    MQ_TRY(
        mq_draft_add(g, MQ_OP_MAX_POOL, (in->h - k) / step + 1, (in->w - k) / step + 1, in->c, &d, &index));
    d->input[d->input_count++] = s->from;
    d->pool = (mq_pool_attr){.kernel = k, .stride = step};
    s->from = index;
    s->pooled = true;
    s->dim[2] = d->h;
    s->dim[3] = d->w;
    return MQ_OK;
}

static mq_status on_space_to_depth(mq_graph *g, mq_graph_value *s) {
    int64_t block = 0;
    MQ_TRY(need_image(g, s));
    MQ_TRY(mq_graph_int(g, "blocksize", &block));
    const mq_draft *in = &g->draft[s->from];
    if (block != 2 || in->h % 2 || in->w % 2)
        return mq_graph_fail(g, "blocksize %lld of %d x %d: 2 and even sizes expected", (long long)block,
                             in->h, in->w);
    if (!s->quantised) MQ_TRY(mq_stream_commit(g, s));
    mq_draft *d;
    int index;
    MQ_TRY(mq_draft_add(g, MQ_OP_REORG, in->h / 2, in->w / 2, 4 * in->c, &d, &index));
    d->input[d->input_count++] = s->from;
    d->pool = (mq_pool_attr){.kernel = 2, .stride = 2};
    s->from = index;
    s->dim[1] = d->c;
    s->dim[2] = d->h;
    s->dim[3] = d->w;
    return MQ_OK;
}

static mq_status on_concat(mq_graph *g, mq_graph_value *s) {
    int64_t axis = 1;
    size_t count = g->node->input_count;
    MQ_TRY(mq_graph_int(g, "axis", &axis));
    if ((axis != 1 && axis != -3) || count < 2 || count > MQ_MAX_INPUTS)
        return mq_graph_fail(g, "axis %lld of %zu tensors: channels (1) of 2 to 8 expected", (long long)axis,
                             count);
    int inputs[MQ_MAX_INPUTS], channels = 0;
    for (size_t i = 0; i < count; i++) {
        const mq_named *in;
        MQ_TRY(mq_graph_input(g, i, &in));
        if (!in || !in->stream) return mq_graph_fail(g, "of a constant");
        mq_graph_value part = *in->stream;
        MQ_TRY(need_image(g, &part));
        if (part.dim[2] != s->dim[2] || part.dim[3] != s->dim[3])
            return mq_graph_fail(g, "tensors of different sizes");
        if (part.quantised != s->quantised ||
            (part.quantised && (!same_type(&part.type, &s->type) || part.factor != s->factor)) ||
            part.relu != s->relu)
            return mq_graph_fail(g, "of values quantised in different ways");
        if (!part.quantised) MQ_TRY(mq_stream_commit(g, &part));
        inputs[i] = part.from;
        channels += g->draft[part.from].c;
    }
    mq_draft *d;
    int index;
    MQ_TRY(mq_draft_add(g, MQ_OP_CONCAT, (int)s->dim[2], (int)s->dim[3], channels, &d, &index));
    for (size_t i = 0; i < count; i++) d->input[d->input_count++] = inputs[i];
    s->from = index;
    s->root = -1;
    s->dim[1] = channels;
    return MQ_OK;
}

static mq_status on_reshape(mq_graph *g, mq_graph_value *s) {
    mq_shape from = {.rank = s->rank}, to;
    const mq_draft *d = &g->draft[s->from];
    memcpy(from.dim, s->dim, sizeof from.dim);
    MQ_TRY(mq_reshape_target(g, &from, &to));
    bool flat = to.rank == 2 && to.dim[0] == 1, same = mq_shape_equal(&from, &to);
    bool open = to.rank == 4 && to.dim[0] == 1 && to.dim[1] == d->c && to.dim[2] == d->h &&
                to.dim[3] == d->w && !s->nhwc;
    char text[MQ_SHAPE_TEXT];
    if (!flat && !same && !open)
        return mq_graph_fail(g, "to shape %s: [1, all] expected", mq_shape_text(&to, text));
    s->rank = to.rank;
    memcpy(s->dim, to.dim, sizeof s->dim);
    if (flat && (d->c == 1 || d->h * d->w == 1)) s->nhwc = false; /* the same order */
    return MQ_OK;
}

static mq_status on_transpose(mq_graph *g, mq_graph_value *s) {
    static const int64_t last[] = {0, 2, 3, 1}, first[] = {0, 3, 1, 2};
    int64_t perm[MQ_DIMS], old[MQ_DIMS];
    size_t count = 0;
    MQ_TRY(mq_graph_ints(g, "perm", perm, MQ_DIMS, &count));
    bool same = count == (size_t)s->rank;
    for (size_t i = 0; i < count; i++) same = same && perm[i] == (int64_t)i;
    if (same) return MQ_OK;
    bool to_last = count == 4 && s->rank == 4 && !s->nhwc && memcmp(perm, last, sizeof last) == 0;
    bool to_first = count == 4 && s->rank == 4 && s->nhwc && memcmp(perm, first, sizeof first) == 0;
    if (!to_last && !to_first)
        return mq_graph_fail(g, "perm: only channels to the last dimension and back are folded");
    memcpy(old, s->dim, sizeof old);
    for (int i = 0; i < 4; i++) s->dim[i] = old[perm[i]];
    s->nhwc = to_last;
    return MQ_OK;
}

static mq_status on_nothing(mq_graph *g, mq_graph_value *s) {
    int64_t to = 1;
    (void)s;
    MQ_TRY(mq_graph_int(g, "to", &to));
    return to == 1 ? MQ_OK : mq_graph_fail(g, "to: float32 expected");
}

static mq_status on_add(mq_graph *g, mq_graph_value *s) {
    return on_binary(g, s, MQ_REAL_ADD);
}
static mq_status on_sub(mq_graph *g, mq_graph_value *s) {
    return on_binary(g, s, MQ_REAL_SUB);
}
static mq_status on_mul(mq_graph *g, mq_graph_value *s) {
    return on_binary(g, s, MQ_REAL_MUL);
}
static mq_status on_div(mq_graph *g, mq_graph_value *s) {
    return on_binary(g, s, MQ_REAL_DIV);
}
static mq_status on_layer(mq_graph *g, mq_graph_value *s) {
    const mq_graph_value in = *s;
    return mq_layer_node(g, &in, s);
}

mq_status mq_stream_node(mq_graph *g) {
    static const struct {
        const char *op;
        mq_status (*run)(mq_graph *, mq_graph_value *);
    } table[] = {
        {"Conv", on_layer},
        {"MatMul", on_layer},
        {"Gemm", on_layer},
        {"BatchNormalization", on_batch_norm},
        {"Add", on_add},
        {"Sub", on_sub},
        {"Mul", on_mul},
        {"Div", on_div},
        {"Relu", on_relu},
        {"MaxPool", on_max_pool},
        {"Concat", on_concat},
        {"SpaceToDepth", on_space_to_depth},
        {"Reshape", on_reshape},
        {"Flatten", on_reshape},
        {"Squeeze", on_reshape},
        {"Unsqueeze", on_reshape},
        {"Transpose", on_transpose},
        {"Identity", on_nothing},
        {"Dropout", on_nothing},
        {"Cast", on_nothing},
    };
    const mq_onnx_node *n = g->node;
    mq_status (*run)(mq_graph *, mq_graph_value *) = mq_graph_quant(n) ? on_quant : NULL;
    for (size_t i = 0; !run && mq_graph_standard(n) && i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, n->op) == 0) run = table[i].run;
    if (!run && mq_graph_bipolar(n))
        return mq_graph_fail(g, "of computed values: codes -1 and 1 without 0 are not supported");
    if (!run)
        return mq_graph_fail(
            g, "operator not supported: Quant, Conv, MatMul, Gemm, BatchNormalization, Relu, MaxPool, "
               "Concat, SpaceToDepth, Add, Sub, Mul, Div, Reshape, Flatten or Transpose expected");
    const mq_named *in = NULL;
    for (size_t i = 0; i < n->input_count; i++) {
        MQ_TRY(mq_graph_input(g, i, &in));
        if (in && in->stream) break;
    }
    if (!in || !in->stream) return mq_graph_fail(g, "no input that is computed");
    mq_graph_value s = *in->stream;
    MQ_TRY(run(g, &s));
    return set_output(g, &s);
}
