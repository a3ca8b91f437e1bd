/* constants.c - nodes whose inputs are all known: folded in float32 (or integers), as a runtime would compute
 * them. */
#include <math.h>
#include <string.h>

#include "qonnx/graph.h"

static mq_status new_known(mq_graph *g, const mq_shape *shape, bool real, mq_known **out, float **floats,
                           int64_t **wholes) {
    mq_known *k;
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *k, "an ONNX tensor", &k, g->error));
    k->shape = *shape;
    if (!mq_shape_count(shape, &k->count)) return mq_graph_fail(g, "a result of too many elements");
    MQ_TRY(mq_graph_spend(g, k->count));
    if (real) {
        MQ_TRY(mq_arena_alloc(g->arena, k->count, sizeof **floats, "an ONNX tensor", floats, g->error));
        k->real = *floats;
    } else {
        MQ_TRY(mq_arena_alloc(g->arena, k->count, sizeof **wholes, "an ONNX tensor", wholes, g->error));
        k->whole = *wholes;
    }
    *out = k;
    return MQ_OK;
}

static mq_status finish(mq_graph *g, const mq_known *k) {
    return mq_graph_set(g, g->node->output[0], k, NULL);
}

/* ---- shapes ---- */

static void strides_of(const mq_shape *shape, const mq_shape *over, size_t stride[MQ_DIMS]) {
    size_t step = 1;
    for (int i = over->rank - 1; i >= 0; i--) {
        int own = i - (over->rank - shape->rank);
        int64_t dim = own < 0 ? 1 : shape->dim[own];
        stride[i] = dim == 1 ? 0 : step;
        step *= (size_t)dim;
    }
}

static bool broadcast(const mq_shape *a, const mq_shape *b, mq_shape *out) {
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < out->rank; i++) {
        int ia = i - (out->rank - a->rank), ib = i - (out->rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1) return false;
        out->dim[i] = da == 1 ? db : da;
    }
    return true;
}

/* Counts through a shape, with the place in two tensors broadcast over it. */
typedef struct counter {
    const mq_shape *shape;
    int64_t index[MQ_DIMS];
    size_t a, b, stride_a[MQ_DIMS], stride_b[MQ_DIMS];
} counter;

static void advance(counter *k) {
    for (int i = k->shape->rank - 1; i >= 0; i--) {
        k->a += k->stride_a[i];
        k->b += k->stride_b[i];
        if (++k->index[i] < k->shape->dim[i]) return;
        k->a -= (size_t)k->shape->dim[i] * k->stride_a[i];
        k->b -= (size_t)k->shape->dim[i] * k->stride_b[i];
        k->index[i] = 0;
    }
}

static mq_status axes_of(const mq_graph *g, int64_t axes[MQ_DIMS], size_t *count) {
    *count = 0;
    MQ_TRY(mq_graph_ints(g, "axes", axes, MQ_DIMS, count));
    const mq_named *in;
    MQ_TRY(mq_graph_input(g, 1, &in));
    if (!in) return MQ_OK;
    if (!in->known || !in->known->whole || in->known->count > MQ_DIMS)
        return mq_graph_fail(g, "axes: at most 6 constant integers expected");
    *count = in->known->count;
    for (size_t i = 0; i < *count; i++) axes[i] = in->known->whole[i];
    return MQ_OK;
}

static mq_status reshape(const mq_graph *g, const mq_shape *from, mq_shape *out) {
    const mq_named *in;
    int64_t left = 1, product = 1, zero = 0;
    int open = -1;
    MQ_TRY(mq_graph_int(g, "allowzero", &zero));
    MQ_TRY(mq_graph_input(g, 1, &in));
    int64_t old[MQ_DIMS];
    size_t n = 0;
    const int64_t *target = old;
    MQ_TRY(mq_graph_ints(g, "shape", old, MQ_DIMS, &n)); /* opset 1 */
    if (in && in->known && in->known->whole && in->known->count <= MQ_DIMS) {
        n = in->known->count;
        target = in->known->whole;
    } else if (in || !n) {
        return mq_graph_fail(g, "shape: at most 6 constant integers expected");
    }
    for (int i = 0; i < from->rank; i++) left *= from->dim[i];
    out->rank = (int)n;
    for (int i = 0; i < out->rank; i++) {
        out->dim[i] = target[i];
        if (target[i] == 0 && !zero && i < from->rank) out->dim[i] = from->dim[i];
        if (out->dim[i] == -1 && open < 0)
            open = i;
        else if (out->dim[i] < 0 || __builtin_mul_overflow(product, out->dim[i], &product))
            return mq_graph_fail(g, "shape: dimension %d is %lld", i, (long long)out->dim[i]);
    }
    if (open >= 0 && product > 0 && left % product == 0) {
        out->dim[open] = left / product;
        product = left;
    }
    if (product != left || (open >= 0 && out->dim[open] < 0))
        return mq_graph_fail(g, "shape: another number of elements");
    return MQ_OK;
}

mq_status mq_reshape_target(const mq_graph *g, const mq_shape *from, mq_shape *out) {
    const char *op = g->node->op;
    int64_t axes[MQ_DIMS], axis = 1;
    size_t count;
    *out = (mq_shape){0};
    if (strcmp(op, "Reshape") == 0) return reshape(g, from, out);
    if (strcmp(op, "Flatten") == 0) {
        MQ_TRY(mq_graph_int(g, "axis", &axis));
        if (axis < 0) axis += from->rank;
        if (axis < 0 || axis > from->rank) return mq_graph_fail(g, "axis: outside the shape");
        *out = mq_shape2(1, 1);
        for (int i = 0; i < from->rank; i++) out->dim[i >= axis] *= from->dim[i];
        return MQ_OK;
    }
    MQ_TRY(axes_of(g, axes, &count));
    bool squeeze = strcmp(op, "Squeeze") == 0;
    int rank = squeeze ? from->rank : from->rank + (int)count;
    if (rank > MQ_DIMS) return mq_graph_fail(g, "more than 6 dimensions");
    bool marked[MQ_DIMS] = {false};
    for (size_t i = 0; i < count; i++) {
        int64_t a = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (a < 0 || a >= rank || marked[a] || (squeeze && from->dim[a] != 1))
            return mq_graph_fail(g, "axes: %lld", (long long)axes[i]);
        marked[a] = true;
    }
    for (int i = 0, next = 0; i < rank; i++) {
        if (squeeze && (marked[i] || (!count && from->dim[i] == 1))) continue;
        out->dim[out->rank++] = !squeeze && marked[i] ? 1 : squeeze ? from->dim[i] : from->dim[next++];
    }
    return MQ_OK;
}

static mq_status fold_reshape(mq_graph *g, const mq_known *x) {
    mq_known *k;
    mq_shape shape;
    MQ_TRY(mq_reshape_target(g, &x->shape, &shape));
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *k, "an ONNX tensor", &k, g->error));
    *k = *x;
    k->shape = shape;
    return finish(g, k);
}

/* to[i] = from at the transposed place. */
static void permute(const counter *start, size_t count, const float *from, float *to) {
    counter k = *start;
    for (size_t i = 0; i < count; i++, advance(&k)) to[i] = from[k.a];
}

static mq_status fold_transpose(mq_graph *g, const mq_known *x) {
    int64_t perm[MQ_DIMS];
    size_t count = 0, stride[MQ_DIMS];
    mq_shape shape = {.rank = x->shape.rank};
    counter k = {.shape = &shape};
    bool seen[MQ_DIMS] = {false};
    MQ_TRY(mq_graph_ints(g, "perm", perm, MQ_DIMS, &count));
    for (int i = 0; count == 0 && i < shape.rank; i++) perm[i] = shape.rank - 1 - i;
    if (count && count != (size_t)shape.rank) return mq_graph_fail(g, "perm: %zu numbers", count);
    strides_of(&x->shape, &x->shape, stride);
    for (int i = 0; i < shape.rank; i++) {
        if (perm[i] < 0 || perm[i] >= shape.rank || seen[perm[i]])
            return mq_graph_fail(g, "perm: no permutation");
        seen[perm[i]] = true;
        shape.dim[i] = x->shape.dim[perm[i]];
        k.stride_a[i] = stride[perm[i]];
    }
    mq_known *out;
    float *real, *codes, *scale;
    int64_t *whole;
    MQ_TRY(new_known(g, &shape, x->real != NULL, &out, &real, &whole));
    if (x->real) {
        permute(&k, out->count, x->real, real);
    } else {
        counter at = k;
        for (size_t i = 0; i < out->count; i++, advance(&at)) whole[i] = x->whole[at.a];
    }
    if (x->codes) {
        MQ_TRY(mq_arena_alloc(g->arena, out->count, sizeof *codes, "an ONNX tensor", &codes, g->error));
        MQ_TRY(mq_arena_alloc(g->arena, out->count, sizeof *scale, "an ONNX tensor", &scale, g->error));
        permute(&k, out->count, x->codes, codes);
        permute(&k, out->count, x->scale, scale);
        out->codes = codes;
        out->scale = scale;
        out->bits = x->bits;
        out->is_signed = x->is_signed;
        out->narrow = x->narrow;
    }
    return finish(g, out);
}

/* ---- arithmetic ---- */

static bool compute_real(const char *op, float a, float b, float *out) {
    if (strcmp(op, "Add") == 0)
        *out = a + b;
    else if (strcmp(op, "Sub") == 0)
        *out = a - b;
    else if (strcmp(op, "Mul") == 0)
        *out = a * b;
    else if (strcmp(op, "Div") == 0)
        *out = a / b;
    else
        *out = powf(a, b);
    return isfinite(*out);
}

static bool compute_whole(const char *op, int64_t a, int64_t b, int64_t *out) {
    if (strcmp(op, "Add") == 0) return !__builtin_add_overflow(a, b, out);
    if (strcmp(op, "Sub") == 0) return !__builtin_sub_overflow(a, b, out);
    if (strcmp(op, "Mul") == 0) return !__builtin_mul_overflow(a, b, out);
    if (strcmp(op, "Div") != 0 || b == 0 || (b == -1 && a == INT64_MIN)) return false;
    *out = a / b;
    return true;
}

static mq_status fold_binary(mq_graph *g, const mq_known *a, const mq_known *b) {
    mq_shape shape;
    mq_known *out;
    float *real = NULL;
    int64_t *whole = NULL;
    if (!a->real != !b->real) return mq_graph_fail(g, "real numbers and integers together");
    if (!broadcast(&a->shape, &b->shape, &shape)) return mq_graph_fail(g, "shapes that do not go together");
    MQ_TRY(new_known(g, &shape, a->real != NULL, &out, &real, &whole));
    counter k = {.shape = &shape};
    strides_of(&a->shape, &shape, k.stride_a);
    strides_of(&b->shape, &shape, k.stride_b);
    for (size_t i = 0; i < out->count; i++, advance(&k))
        if (a->real ? !compute_real(g->node->op, a->real[k.a], b->real[k.b], &real[i])
                    : !compute_whole(g->node->op, a->whole[k.a], b->whole[k.b], &whole[i]))
            return mq_graph_fail(g, "element %zu of the result is no finite number", i);
    return finish(g, out);
}

static mq_status fold_unary(mq_graph *g, const mq_known *x) {
    mq_known *out;
    float *real;
    int64_t *whole;
    const bool root = strcmp(g->node->op, "Sqrt") == 0;
    if (!x->real) return mq_graph_fail(g, "real numbers expected");
    MQ_TRY(new_known(g, &x->shape, true, &out, &real, &whole));
    for (size_t i = 0; i < x->count; i++) {
        real[i] = root ? sqrtf(x->real[i]) : -x->real[i];
        if (!isfinite(real[i])) return mq_graph_fail(g, "element %zu of the result is no finite number", i);
    }
    return finish(g, out);
}

/* A Quant of constants: codes and scales are kept beside the values. */
typedef struct coded {
    mq_known *known;
    float *real, *codes, *scale;
    counter at; /* a: of the scale */
} coded;

static mq_status new_codes(mq_graph *g, const mq_known *x, const mq_known *scale, coded *out) {
    mq_shape shape;
    int64_t *whole;
    if (!x->real) return mq_graph_fail(g, "real numbers expected");
    if (!broadcast(&x->shape, &scale->shape, &shape) || !mq_shape_equal(&shape, &x->shape))
        return mq_graph_fail(g, "scale: its shape does not go with the tensor's");
    MQ_TRY(new_known(g, &x->shape, true, &out->known, &out->real, &whole));
    MQ_TRY(mq_arena_alloc(g->arena, x->count, sizeof *out->codes, "an ONNX tensor", &out->codes, g->error));
    MQ_TRY(mq_arena_alloc(g->arena, x->count, sizeof *out->scale, "an ONNX tensor", &out->scale, g->error));
    out->known->codes = out->codes;
    out->known->scale = out->scale;
    out->at = (counter){.shape = &out->known->shape};
    strides_of(&scale->shape, &out->known->shape, out->at.stride_a);
    return MQ_OK;
}

static void put_code(coded *k, size_t i, float code, float scale) {
    k->codes[i] = code;
    k->scale[i] = scale;
    k->real[i] = code * scale;
    advance(&k->at);
}

static mq_status fold_quant(mq_graph *g, const mq_known *x) {
    mq_quant_params q;
    coded k;
    MQ_TRY(mq_quant_read(g, &q));
    MQ_TRY(new_codes(g, x, q.scale, &k));
    const bool bipolar = q.bits == 1 && q.is_signed; /* as qonnx defines it: -1 and 1 */
    double high = ldexp(1, q.bits - q.is_signed) - 1 - (!q.is_signed && q.narrow);
    double low = !q.is_signed ? 0 : q.narrow ? -high : -high - 1;
    for (size_t i = 0; i < x->count; i++) {
        float scale = q.scale->real[k.at.a], v = x->real[i] / scale;
        if (!isfinite(v)) return mq_graph_fail(g, "element %zu: no finite number", i);
        if (bipolar)
            v = v >= 0 ? 1 : -1;
        else if (v > (float)high)
            v = (float)high;
        else if (v < (float)low)
            v = (float)low;
        put_code(&k, i, q.rounding == MQ_ROUND_FLOOR ? floorf(v) : rintf(v), scale);
    }
    k.known->bits = bipolar ? 2 : q.bits;
    k.known->is_signed = q.is_signed;
    k.known->narrow = q.narrow || bipolar;
    return finish(g, k.known);
}

/* BipolarQuant: 1 where the number is 0 or above, else -1, times the scale. */
static mq_status fold_bipolar(mq_graph *g, const mq_known *x) {
    const mq_known *scale;
    coded k;
    MQ_TRY(mq_graph_real(g, 1, "scale", &scale));
    for (size_t i = 0; i < scale->count; i++)
        if (!(scale->real[i] > 0 && scale->real[i] < 1e38f))
            return mq_graph_fail(g, "scale: got %g, expected numbers above 0", (double)scale->real[i]);
    MQ_TRY(new_codes(g, x, scale, &k));
    for (size_t i = 0; i < x->count; i++) put_code(&k, i, x->real[i] >= 0 ? 1 : -1, scale->real[k.at.a]);
    k.known->bits = 2;
    k.known->is_signed = k.known->narrow = true;
    return finish(g, k.known);
}

/* ---- shapes as numbers ---- */

static mq_status fold_shape(mq_graph *g, const mq_named *in) {
    mq_known *out;
    float *real;
    int64_t *whole;
    int rank = in->known ? in->known->shape.rank : in->stream->rank;
    mq_shape shape = mq_shape1(rank);
    MQ_TRY(new_known(g, &shape, false, &out, &real, &whole));
    for (int i = 0; i < rank; i++) whole[i] = in->known ? in->known->shape.dim[i] : in->stream->dim[i];
    return finish(g, out);
}

static mq_status fold_gather(mq_graph *g, const mq_known *x, const mq_known *at) {
    mq_known *out;
    float *real = NULL;
    int64_t *whole = NULL, axis = 0;
    MQ_TRY(mq_graph_int(g, "axis", &axis));
    if (x->shape.rank != 1 || axis != 0 || !at->whole)
        return mq_graph_fail(g, "of a list along axis 0 expected");
    MQ_TRY(new_known(g, &at->shape, x->real != NULL, &out, &real, &whole));
    for (size_t i = 0; i < at->count; i++) {
        int64_t k = at->whole[i] < 0 ? at->whole[i] + x->shape.dim[0] : at->whole[i];
        if (k < 0 || k >= x->shape.dim[0])
            return mq_graph_fail(g, "index %lld outside the list", (long long)k);
        if (real)
            real[i] = x->real[k];
        else
            whole[i] = x->whole[k];
    }
    return finish(g, out);
}

static mq_status fold_concat(mq_graph *g) {
    mq_known *out;
    float *real = NULL;
    int64_t *whole = NULL, total = 0;
    const mq_named *in;
    bool has_real = false;
    for (size_t i = 0; i < g->node->input_count; i++) {
        MQ_TRY(mq_graph_input(g, i, &in));
        if (!in || in->known->shape.rank != 1) return mq_graph_fail(g, "constants: lists expected");
        if (i && has_real != (in->known->real != NULL))
            return mq_graph_fail(g, "real numbers and integers together");
        has_real = in->known->real != NULL;
        total += in->known->shape.dim[0];
    }
    mq_shape shape = mq_shape1(total);
    MQ_TRY(new_known(g, &shape, has_real, &out, &real, &whole));
    for (size_t i = 0, at = 0; i < g->node->input_count; i++) {
        MQ_TRY(mq_graph_input(g, i, &in));
        for (size_t k = 0; k < in->known->count; k++, at++) {
            if (real)
                real[at] = in->known->real[k];
            else
                whole[at] = in->known->whole[k];
        }
    }
    return finish(g, out);
}

static mq_status fold_constant(mq_graph *g) {
    const mq_onnx_attr *a = mq_onnx_find_attr(g->node, "value");
    mq_known *k;
    if (!a || a->kind != MQ_ONNX_TENSOR) return mq_graph_fail(g, "a tensor as attribute value expected");
    MQ_TRY(mq_arena_alloc(g->arena, 1, sizeof *k, "an ONNX tensor", &k, g->error));
    *k = (mq_known){.shape = a->t.shape, .count = a->t.count, .real = a->t.real, .whole = a->t.whole};
    return finish(g, k);
}

static mq_status fold_cast(mq_graph *g, const mq_known *x) {
    enum { FLOAT = 1, INT32 = 6, INT64 = 7 };
    int64_t to = 0, *whole = NULL;
    mq_known *out;
    float *real = NULL;
    MQ_TRY(mq_graph_int(g, "to", &to));
    if (to != FLOAT && to != INT32 && to != INT64)
        return mq_graph_fail(g, "to: float, int32 or int64 expected");
    if ((to == FLOAT) == (x->real != NULL)) return finish(g, x);
    MQ_TRY(new_known(g, &x->shape, to == FLOAT, &out, &real, &whole));
    for (size_t i = 0; i < x->count; i++) {
        if (real) {
            real[i] = (float)x->whole[i];
            continue;
        }
        if (!(fabsf(x->real[i]) < 9e18f)) return mq_graph_fail(g, "element %zu does not fit", i);
        whole[i] = (int64_t)x->real[i];
    }
    return finish(g, out);
}

static bool is_one_of(const char *op, const char *const *words) {
    while (*words && strcmp(*words, op) != 0) words++;
    return *words != NULL;
}

mq_status mq_fold_node(mq_graph *g, bool *folded) {
    static const char *const shapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", NULL};
    static const char *const binary[] = {"Add", "Sub", "Mul", "Div", "Pow", NULL};
    static const char *const unary[] = {"Sqrt", "Neg", NULL};
    const mq_onnx_node *n = g->node;
    const char *op = n->op;
    const mq_named *in[2] = {NULL, NULL}, *each;
    bool all = true;
    for (size_t i = 0; i < n->input_count; i++) {
        MQ_TRY(mq_graph_input(g, i, &each));
        if (i < 2) in[i] = each;
        all = all && (!each || each->known);
    }
    *folded = true;
    if (mq_graph_quant(n) && all && in[0]) return fold_quant(g, in[0]->known);
    if (mq_graph_bipolar(n) && all && in[0]) return fold_bipolar(g, in[0]->known);
    if (mq_graph_standard(n)) {
        if (strcmp(op, "Shape") == 0 && in[0]) return fold_shape(g, in[0]);
        if (strcmp(op, "Constant") == 0) return fold_constant(g);
        if (all && in[0]) {
            const mq_known *x = in[0]->known, *y = in[1] ? in[1]->known : NULL;
            if (strcmp(op, "Identity") == 0) return finish(g, x);
            if (strcmp(op, "Transpose") == 0) return fold_transpose(g, x);
            if (strcmp(op, "Concat") == 0) return fold_concat(g);
            if (strcmp(op, "Cast") == 0) return fold_cast(g, x);
            if (is_one_of(op, shapes)) return fold_reshape(g, x);
            if (is_one_of(op, unary)) return fold_unary(g, x);
            if (is_one_of(op, binary) && y) return fold_binary(g, x, y);
            if (strcmp(op, "Gather") == 0 && y) return fold_gather(g, x, y);
        }
    }
    *folded = false;
    if (all) return mq_graph_fail(g, "of constants: this operator is not folded");
    return MQ_OK;
}
