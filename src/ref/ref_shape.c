/* ref_shape.c - operators that only choose or move values: max pool, reorg, concat. */
#include "ref/ref_op.h"

/* Element (b, row, column, channel) of a node's output. */
static size_t at(const mq_node *node, int b, int row, int column, int channel) {
    return (((size_t)b * (size_t)node->h + (size_t)row) * (size_t)node->w + (size_t)column) *
               (size_t)node->c +
           (size_t)channel;
}

#define FOR_EACH_OUTPUT(n, node, b, y, x, c)                                                                 \
    for (int b = 0; b < (n); b++)                                                                            \
        for (int y = 0; y < (node)->h; y++)                                                                  \
            for (int x = 0; x < (node)->w; x++)                                                              \
                for (int c = 0; c < (node)->c; c++)

/* ---- max pool: the first maximum of the window in row-major order ---- */

static float operand(const ref_node *s, const ref_node *in, size_t e) {
    return s->decide ? s->decide[e] : (float)in->out[e];
}

static size_t first_maximum(const ref_node *s, const ref_node *in, int b, int y, int x, int c) {
    const int kernel = s->node->pool.kernel, top = y * s->node->pool.stride, left = x * s->node->pool.stride;
    size_t best = at(in->node, b, top, left, c);
    for (int r = 0; r < kernel; r++)
        for (int q = 0; q < kernel; q++) {
            const size_t e = at(in->node, b, top + r, left + q, c);
            if (operand(s, in, e) > operand(s, in, best)) best = e;
        }
    return best;
}

static void max_pool_forward(mq_ref *ref, ref_node *s) {
    const ref_node *in = ref_input(ref, s, 0);
    FOR_EACH_OUTPUT(ref->n, s->node, b, y, x, c) {
        const size_t e = at(s->node, b, y, x, c);
        if (!ref->surrogate) s->winner[e] = first_maximum(s, in, b, y, x, c);
        s->out[e] = in->out[s->winner[e]];
    }
}

static void max_pool_backward(mq_ref *ref, ref_node *s) {
    const ref_node *in = ref_input(ref, s, 0);
    for (size_t e = 0; e < (size_t)ref->n * s->elements; e++) in->grad[s->winner[e]] += s->grad[e];
}

const ref_op ref_op_MAX_POOL = {max_pool_forward, max_pool_backward};

/* ---- reorg (YOLOv2): channel (stride*dy + dx)*C + c at (y, x) is channel c at (stride*y + dy, stride*x +
 * dx) ---- */

static size_t reorg_source(const ref_node *s, const ref_node *in, int b, int y, int x, int c) {
    const int stride = s->node->pool.stride, channels = in->node->c, block = c / channels;
    return at(in->node, b, stride * y + block / stride, stride * x + block % stride, c % channels);
}

static void reorg_forward(mq_ref *ref, ref_node *s) {
    const ref_node *in = ref_input(ref, s, 0);
    FOR_EACH_OUTPUT(ref->n, s->node, b, y, x, c)
    s->out[at(s->node, b, y, x, c)] = in->out[reorg_source(s, in, b, y, x, c)];
}

static void reorg_backward(mq_ref *ref, ref_node *s) {
    const ref_node *in = ref_input(ref, s, 0);
    FOR_EACH_OUTPUT(ref->n, s->node, b, y, x, c)
    in->grad[reorg_source(s, in, b, y, x, c)] += s->grad[at(s->node, b, y, x, c)];
}

const ref_op ref_op_REORG = {reorg_forward, reorg_backward};

/* ---- concat: the channels of the inputs one after the other ---- */

static void concat_forward(mq_ref *ref, ref_node *s) {
    int first = 0;
    for (int i = 0; i < s->node->input_count; i++) {
        const ref_node *in = ref_input(ref, s, i);
        FOR_EACH_OUTPUT(ref->n, in->node, b, y, x, c)
        s->out[at(s->node, b, y, x, first + c)] = in->out[at(in->node, b, y, x, c)];
        first += in->node->c;
    }
}

static void concat_backward(mq_ref *ref, ref_node *s) {
    int first = 0;
    for (int i = 0; i < s->node->input_count; i++) {
        const ref_node *in = ref_input(ref, s, i);
        FOR_EACH_OUTPUT(ref->n, in->node, b, y, x, c)
        in->grad[at(in->node, b, y, x, c)] += s->grad[at(s->node, b, y, x, first + c)];
        first += in->node->c;
    }
}

const ref_op ref_op_CONCAT = {concat_forward, concat_backward};
