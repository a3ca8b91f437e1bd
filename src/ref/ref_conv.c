/* ref_conv.c - convolution (cross-correlation, as in every framework) and the linear layer.
 *
 *   y[b][v][u][o] = bias[o] + sum over r, c, i of x[b][v*stride - pad_h + r][u*stride - pad_w + c][i] *
 * w[o][i][r][c]
 *
 * where i runs over the input channels of o's group. A linear layer's weights [out][c*h*w] are exactly those
 * of a convolution whose kernel is as large as its input. Weights are read in the order [r][c][group][i][o]
 * (or [o][i]), only so that the inner loop runs over neighbours. */
#include <string.h>

#include "base/parallel.h"
#include "ref/ref_op.h"

typedef struct conv {
    int n, ih, iw, ic, oh, ow, oc, kh, kw, stride, pad_h, pad_w, groups, gi,
        go; /* gi, go: channels of one group */
    const double *x, *bias;
    double *y, *dx;
    const double *dy;
    double *taps; /* weights or their gradient in tap order */
} conv;

static conv describe(mq_ref *ref, ref_node *s) {
    ref_node *in = ref_input(ref, s, 0);
    const mq_node *from = in->node, *to = s->node;
    conv k = {
        .n = ref->n, .ih = from->h, .iw = from->w, .ic = from->c, .oh = to->h, .ow = to->w, .oc = to->c};
    if (to->op == MQ_OP_CONV) {
        k.kh = to->conv.kernel_h;
        k.kw = to->conv.kernel_w;
        k.stride = to->conv.stride;
        k.pad_h = to->conv.pad_h;
        k.pad_w = to->conv.pad_w;
        k.groups = to->conv.groups;
    } else {
        k.kh = from->h;
        k.kw = from->w;
        k.stride = k.groups = 1;
    }
    k.gi = k.ic / k.groups;
    k.go = k.oc / k.groups;
    k.x = in->out;
    k.dx = in->grad;
    k.y = s->out;
    k.dy = s->grad;
    const mq_ref_param *bias = mq_ref_find(ref, to->index, MQ_PARAM_BIAS, -1);
    k.bias = bias ? bias->value : NULL;
    k.taps = ref->scratch;
    return k;
}

/* Element (o, i, r, c) of OIHW weights; i is the channel inside o's group. */
static size_t oihw(const conv *k, int o, int i, int r, int c) {
    return (((size_t)o * (size_t)k->gi + (size_t)i) * (size_t)k->kh + (size_t)r) * (size_t)k->kw + (size_t)c;
}

/* The gi x go block of tap (r, c) and group g. */
static double *tap(const conv *k, int r, int c, int g) {
    const size_t block = (size_t)k->gi * (size_t)k->go;
    return k->taps + ((size_t)(r * k->kw + c) * (size_t)k->groups + (size_t)g) * block;
}

typedef enum tap_order { INPUT_MAJOR, OUTPUT_MAJOR } tap_order;

/* taps = weights, or (back) weights = taps. */
static void reorder(const conv *k, double *weights, tap_order order, bool back) {
    for (int r = 0; r < k->kh; r++)
        for (int c = 0; c < k->kw; c++)
            for (int g = 0; g < k->groups; g++)
                for (int i = 0; i < k->gi; i++)
                    for (int o = 0; o < k->go; o++) {
                        double *t = tap(k, r, c, g) + (order == INPUT_MAJOR ? i * k->go + o : o * k->gi + i);
                        double *w = weights + oihw(k, g * k->go + o, i, r, c);
                        *(back ? w : t) = *(back ? t : w);
                    }
}

/* Offset of the input pixel that tap (r, c) of output (v, u) reads, or -1 in the padding. */
static ptrdiff_t source(const conv *k, int b, int v, int u, int r, int c) {
    const int row = v * k->stride - k->pad_h + r, column = u * k->stride - k->pad_w + c;
    if (row < 0 || row >= k->ih || column < 0 || column >= k->iw) return -1;
    return (((ptrdiff_t)b * k->ih + row) * k->iw + column) * k->ic;
}

static ptrdiff_t target(const conv *k, int b, int v, int u) {
    return (((ptrdiff_t)b * k->oh + v) * k->ow + u) * k->oc;
}

/* y += a * x */
static inline void add_scaled(int count, double a, const double *restrict x, double *restrict y) {
    for (int j = 0; j < count; j++) y[j] += a * x[j];
}

MQ_CLONES static void forward_image(void *context, size_t b) {
    const conv *k = context;
    for (int v = 0; v < k->oh; v++)
        for (int u = 0; u < k->ow; u++) {
            double *y = k->y + target(k, (int)b, v, u);
            for (int o = 0; o < k->oc; o++) y[o] = k->bias ? k->bias[o] : 0;
            for (int r = 0; r < k->kh; r++)
                for (int c = 0; c < k->kw; c++) {
                    const ptrdiff_t at = source(k, (int)b, v, u, r, c);
                    if (at < 0) continue;
                    for (int g = 0; g < k->groups; g++)
                        for (int i = 0; i < k->gi; i++)
                            add_scaled(k->go, k->x[at + g * k->gi + i], tap(k, r, c, g) + i * k->go,
                                       y + g * k->go);
                }
        }
}

MQ_CLONES static void backward_image(void *context, size_t b) {
    const conv *k = context;
    for (int v = 0; v < k->oh; v++)
        for (int u = 0; u < k->ow; u++) {
            const double *dy = k->dy + target(k, (int)b, v, u);
            for (int r = 0; r < k->kh; r++)
                for (int c = 0; c < k->kw; c++) {
                    const ptrdiff_t at = source(k, (int)b, v, u, r, c);
                    if (at < 0) continue;
                    for (int g = 0; g < k->groups; g++)
                        for (int o = 0; o < k->go; o++)
                            add_scaled(k->gi, dy[g * k->go + o], tap(k, r, c, g) + o * k->gi,
                                       k->dx + at + g * k->gi);
                }
        }
}

MQ_CLONES static void backward_tap(void *context, size_t task) {
    const conv *k = context;
    const int r = (int)task / k->kw, c = (int)task % k->kw;
    for (int b = 0; b < k->n; b++)
        for (int v = 0; v < k->oh; v++)
            for (int u = 0; u < k->ow; u++) {
                const ptrdiff_t at = source(k, b, v, u, r, c);
                if (at < 0) continue;
                const double *dy = k->dy + target(k, b, v, u);
                for (int g = 0; g < k->groups; g++)
                    for (int i = 0; i < k->gi; i++)
                        add_scaled(k->go, k->x[at + g * k->gi + i], dy + g * k->go,
                                   tap(k, r, c, g) + i * k->go);
            }
}

static void layer_forward(mq_ref *ref, ref_node *s) {
    conv k = describe(ref, s);
    ref_weights_forward(ref, s->node->layer);
    reorder(&k, ref->layers[s->node->layer].operand, INPUT_MAJOR, false);
    mq_parallel((size_t)k.n, forward_image, &k);
}

static void layer_backward(mq_ref *ref, ref_node *s) {
    conv k = describe(ref, s);
    ref_layer *layer = &ref->layers[s->node->layer];
    mq_ref_param *bias = mq_ref_find(ref, s->node->index, MQ_PARAM_BIAS, -1);
    for (size_t e = 0; bias && e < (size_t)k.n * s->elements; e++) bias->grad[e % (size_t)k.oc] += s->grad[e];

    reorder(&k, layer->operand, OUTPUT_MAJOR, false);
    mq_parallel((size_t)k.n, backward_image, &k);

    memset(k.taps, 0, layer->weight[0]->count * sizeof *k.taps);
    mq_parallel((size_t)(k.kh * k.kw), backward_tap, &k);
    reorder(&k, layer->operand_grad, INPUT_MAJOR, true);
    ref_weights_backward(ref, s->node->layer);
}

const ref_op ref_op_CONV = {layer_forward, layer_backward};
const ref_op ref_op_LINEAR = {layer_forward, layer_backward};
