/* ref_loss.c - cross entropy and the three cost terms (numerics.md section 3; AnyPackingNet, ICCAD 2023). */
#include <math.h>

#include "ref/ref_op.h"

double mq_ref_cross_entropy(const double *logits, const int32_t *labels, int n, int classes,
                            double *d_logits) {
    double loss = 0;
    for (int b = 0; b < n; b++) {
        const double *z = logits + (size_t)b * (size_t)classes;
        double top = z[0], sum = 0;
        for (int k = 0; k < classes; k++) top = fmax(top, z[k]);
        for (int k = 0; k < classes; k++) sum += exp(z[k] - top);
        loss += (log(sum) - (z[labels[b]] - top)) / n;
        for (int k = 0; d_logits && k < classes; k++)
            d_logits[(size_t)b * (size_t)classes + (size_t)k] =
                (exp(z[k] - top) / sum - (k == labels[b])) / n;
    }
    return loss;
}

typedef struct conv_size {
    int kernel;
    double macs;   /* millions */
    double params; /* millions */
    double input;  /* thousands of values */
    double cache;  /* thousands of values in the window cache */
} conv_size;

static conv_size size_of(const mq_net *net, const mq_node *node) {
    const mq_conv_attr *a = &node->conv;
    const mq_node *in = &net->nodes[node->input[0]];
    const double k = a->kernel_h, ich = a->in_channels, och = a->out_channels, g = a->groups, s = a->stride;
    const double h = in->h, w = in->w;
    return (conv_size){
        .kernel = a->kernel_h,
        .macs = ich * och * k * k / g * h * w / (s * s) * 1e-6,
        .params = ich * och * k * k / g * 1e-6,
        .input = ich * h * w * 1e-3,
        .cache = (a->kernel_h == 1 ? 2 : k + 1) * w * ich * 1e-3,
    };
}

static double expected_bits(const ref_mixture *m) {
    double sum = 0;
    for (int i = 0; i < m->count; i++) sum += m->share[i] * m->bits[i];
    return sum;
}

/* One convolution's part, not yet divided by the first convolution's size; dw[i], da[j] = its derivative to
 * the share of weight branch i and activation branch j. */
static mq_status layer_cost(mq_ref_cost cost, const mq_ref_factors *factors, const mq_node *node,
                            const conv_size *size, const ref_mixture *w, const ref_mixture *a, double *value,
                            double *dw, double *da, mq_error *error) {
    const double ew = expected_bits(w), ea = expected_bits(a);
    *value = 0;
    switch (cost) {
    case MQ_REF_COMPLEXITY:
        for (int i = 0; i < w->count; i++)
            for (int j = 0; j < a->count; j++) {
                const int k = size->kernel, row = w->bits[i] - REF_FIRST_BITS,
                          column = a->bits[j] - REF_FIRST_BITS;
                const double f =
                    k < MQ_REF_KERNELS && row >= 0 && column >= 0 ? factors->f[k][row][column] : 0;
                if (!(f > 0))
                    return mq_fail(error, MQ_USAGE, "%s: no cost factor for kernel %d at w%da%d", node->name,
                                   k, w->bits[i], a->bits[j]);
                const double operations = 64 * size->macs / f;
                *value += w->share[i] * a->share[j] * operations;
                dw[i] += a->share[j] * operations;
                da[j] += w->share[i] * operations;
            }
        break;
    case MQ_REF_TRIVIAL:
        *value = size->macs * ew * ea;
        for (int i = 0; i < w->count; i++) dw[i] = size->macs * w->bits[i] * ea;
        for (int j = 0; j < a->count; j++) da[j] = size->macs * ew * a->bits[j];
        break;
    case MQ_REF_BRAM:
        *value = 64 * (size->params * 1e3 * ew + size->cache * ea);
        for (int i = 0; i < w->count; i++) dw[i] = 64 * size->params * 1e3 * w->bits[i];
        for (int j = 0; j < a->count; j++) da[j] = 64 * size->cache * a->bits[j];
        break;
    }
    return MQ_OK;
}

mq_status mq_ref_cost_term(mq_ref *ref, mq_ref_cost cost, const mq_ref_factors *factors, double scale,
                           double *value, mq_error *error) {
    if (ref->options.mode == MQ_MODE_FLOAT)
        return mq_fail(error, MQ_USAGE, "cost of %s: a float network has no bits", ref->net->name);
    double first = 0, sum = 0;
    for (int l = 0; l < ref->net->layer_count; l++) {
        const mq_node *node = &ref->net->nodes[ref->net->layers[l].node];
        if (node->op != MQ_OP_CONV) continue;
        const conv_size size = size_of(ref->net, node);
        if (first == 0) first = cost == MQ_REF_BRAM ? size.input : size.macs;
        const ref_mixture w = ref_weight_mixture(ref, l), a = ref_activation_mixture(ref, l);
        double part, dw[REF_BRANCHES] = {0}, da[REF_BRANCHES] = {0};
        MQ_TRY(layer_cost(cost, factors, node, &size, &w, &a, &part, dw, da, error));
        sum += part;
        ref_mixture_gradient(&w, dw, scale / first);
        ref_mixture_gradient(&a, da, scale / first);
    }
    if (first == 0) return mq_fail(error, MQ_USAGE, "cost of %s: no convolutions", ref->net->name);
    if (value) *value = sum / first;
    return MQ_OK;
}
