/* ref_quant.c - quantisers of weights, activations and the image, and their mixtures.
 *
 * HWGQ (Cai et al., CVPR 2017) as EdMIPS (Cai and Vasconcelos, CVPR 2020) uses it: numerics.md sections 1
 * and 2. DoReFa (Zhou et al., 2016) as UltraNet uses it: numerics.md section 4. */
#include <math.h>

#include "ref/ref_op.h"

/* Best uniform steps for a normal variable of unit variance, bits 1..8. */
static const double WEIGHT_UNIT[9] = {0, 1.596, 0.996, 0.586, 0.336, 0.190, 0.106, 0.059, 0.032};
static const double ACTIVATION_UNIT[9] = {0, 0.799, 0.538, 0.3217, 0.185, 0.104, 0.058, 0.033, 0.019};

/* ---- mixtures ---- */

static ref_mixture fixed_mixture(int bits) {
    return (ref_mixture){.count = 1, .bits = {bits}, .share = {1}};
}

static ref_mixture searched_mixture(mq_ref_param *alpha) {
    ref_mixture m = {.count = REF_BRANCHES, .alpha = alpha};
    double top = alpha->value[0], sum = 0;
    for (int i = 0; i < REF_BRANCHES; i++) top = fmax(top, alpha->value[i]);
    for (int i = 0; i < REF_BRANCHES; i++) sum += m.share[i] = exp(alpha->value[i] - top);
    for (int i = 0; i < REF_BRANCHES; i++) {
        m.share[i] /= sum;
        m.bits[i] = REF_FIRST_BITS + i;
    }
    return m;
}

ref_mixture ref_weight_mixture(mq_ref *ref, int layer) {
    const mq_layer *l = &ref->net->layers[layer];
    if (ref->options.mode == MQ_MODE_FLOAT) return (ref_mixture){0};
    if (ref->options.mode == MQ_MODE_FIXED) return fixed_mixture(ref->bits.weight[layer]);
    if (l->pinned) return fixed_mixture(l->pinned_weight_bits);
    return searched_mixture(mq_ref_find(ref, l->node, MQ_PARAM_ALPHA_WEIGHT, -1));
}

ref_mixture ref_activation_mixture(mq_ref *ref, int layer) {
    const mq_layer *l = &ref->net->layers[layer];
    if (ref->options.mode == MQ_MODE_FLOAT) return (ref_mixture){0};
    if (ref->options.mode == MQ_MODE_FIXED) return fixed_mixture(ref->bits.activation[layer]);
    if (l->pinned) return fixed_mixture(l->pinned_activation_bits);
    return searched_mixture(mq_ref_find(ref, l->node, MQ_PARAM_ALPHA_ACTIVATION, -1));
}

void ref_mixture_gradient(const ref_mixture *m, const double *g, double scale) {
    if (!m->alpha) return;
    double mean = 0;
    for (int i = 0; i < m->count; i++) mean += m->share[i] * g[i];
    for (int i = 0; i < m->count; i++) m->alpha->grad[i] += scale * m->share[i] * (g[i] - mean);
}

/* ---- weights: HWGQ ---- */

/* Unbiased standard deviation, rounded to float32. */
static float deviation(const double *w, size_t n) {
    if (n < 2) return 0;
    double sum = 0, squares = 0;
    for (size_t e = 0; e < n; e++) sum += w[e];
    const double mean = sum / (double)n;
    for (size_t e = 0; e < n; e++) squares += (w[e] - mean) * (w[e] - mean);
    return (float)sqrt(squares / (double)(n - 1));
}

static double rounded(float x, float step, int bits, bool narrow) {
    const float high = (float)((1 << (bits - 1)) - 1), low = -high - (narrow ? 0 : 1);
    const float code = fminf(fmaxf(rintf(x / step), low), high);
    return (double)code * (double)step;
}

static double weight_value(double w, int bits, bool narrow, float alpha) {
    const float step = (float)(WEIGHT_UNIT[bits] * (double)alpha);
    return step == 0 ? 0 : rounded((float)w, step, bits, narrow);
}

/* ---- weights: DoReFa ---- */

/* Which weights have the largest |tanh| is decided in float32, on the base. */
static float float_tanh(double w) {
    return fabsf((float)tanh((double)(float)w));
}

static float float_largest(const double *base, size_t n) {
    float most = 0;
    for (size_t e = 0; e < n; e++) most = fmaxf(most, float_tanh(base[e]));
    return most;
}

/* Their |tanh|; of several, the mean: a function with a derivative, and equal for equal weights. */
static double largest_tanh(const double *w, const double *base, size_t n) {
    const float most = float_largest(base, n);
    double sum = 0, count = 0;
    for (size_t e = 0; e < n; e++) {
        if (float_tanh(base[e]) != most) continue;
        sum += fabs(tanh(w[e]));
        count++;
    }
    return count > 0 ? sum / count : 0;
}

static double normal(double w, double most) {
    return most > 0 ? tanh(w) / most : w;
}

static double dorefa_value(double w, int bits, bool narrow, double most) {
    const float t = (float)tanh((double)(float)w), m = (float)most;
    return rounded(m > 0 ? t / m : 0, ldexpf(1, 1 - bits), bits, narrow);
}

/* grad += the derivative of sum_e dt[e]*normal(w[e]), the largest value being a function of weights too. */
static void dorefa_gradient(const double *w, const double *dt, size_t n, double *grad) {
    const double most = largest_tanh(w, w, n);
    const float decides = float_largest(w, n);
    double sum = 0, count = 0;
    for (size_t e = 0; e < n; e++) {
        sum += dt[e] * normal(w[e], most);
        count += float_tanh(w[e]) == decides;
    }
    for (size_t e = 0; e < n; e++) {
        const double t = tanh(w[e]), sign = t < 0 ? -1 : 1;
        const double own = float_tanh(w[e]) == decides ? sign * sum / count : 0;
        grad[e] += most > 0 ? (dt[e] - own) * (1 - t * t) / most : dt[e];
    }
}

/* ---- weights ---- */

/* Branch i's quantised weight. The surrogate: a line of slope 1 through the base, in w or, DoReFa, in its
 * normal. */
static double branch_weight(const mq_ref *ref, const ref_layer *layer, const ref_mixture *m, int i,
                            size_t e) {
    const double w = layer->weight[i]->value[e];
    const double base = ref->surrogate ? layer->base[i][e] : w;
    if (ref->net->quantizer == MQ_QUANTIZER_DOREFA) {
        const double line = normal(w, layer->largest[i]) - normal(base, layer->base_largest[i]);
        return dorefa_value(base, m->bits[i], ref->options.symmetric, layer->base_largest[i]) + line;
    }
    return weight_value(base, m->bits[i], ref->options.symmetric, layer->deviation[i]) + (w - base);
}

void ref_weights_forward(mq_ref *ref, int which) {
    ref_layer *layer = &ref->layers[which];
    const ref_mixture m = ref_weight_mixture(ref, which);
    const size_t count = layer->weight[0]->count;
    for (int i = 0; i < m.count; i++) {
        const double *w = layer->weight[i]->value;
        layer->largest[i] = largest_tanh(w, ref->surrogate ? layer->base[i] : w, count);
        if (ref->surrogate) continue;
        layer->base_largest[i] = layer->largest[i];
        layer->deviation[i] = deviation(w, count);
    }
    for (size_t e = 0; e < count; e++) {
        double sum = m.count ? 0 : layer->weight[0]->value[e];
        for (int i = 0; i < m.count; i++) sum += m.share[i] * branch_weight(ref, layer, &m, i, e);
        layer->operand[e] = sum;
    }
}

void ref_weights_backward(mq_ref *ref, int which) {
    ref_layer *layer = &ref->layers[which];
    const ref_mixture m = ref_weight_mixture(ref, which);
    const size_t count = layer->weight[0]->count;
    const double *dy = layer->operand_grad;
    double g[REF_BRANCHES] = {0};
    for (size_t e = 0; e < count; e++) {
        if (!m.count) layer->weight[0]->grad[e] += dy[e];
        for (int i = 0; i < m.count; i++) g[i] += dy[e] * branch_weight(ref, layer, &m, i, e);
    }
    for (int i = 0; i < m.count; i++) {
        double *grad = layer->weight[i]->grad, *dt = ref->scratch;
        for (size_t e = 0; e < count; e++) dt[e] = m.share[i] * dy[e];
        if (ref->net->quantizer == MQ_QUANTIZER_DOREFA)
            dorefa_gradient(layer->weight[i]->value, dt, count, grad);
        else
            for (size_t e = 0; e < count; e++) grad[e] += dt[e];
    }
    ref_mixture_gradient(&m, g, 1);
}

/* ---- activations ---- */

typedef struct quantised {
    double value, slope;
} quantised;

static quantised hwgq(float x, int bits) {
    const float step = (float)ACTIVATION_UNIT[bits];
    const float top = (float)(ACTIVATION_UNIT[bits] * ((1 << bits) - 1));
    const float code = rintf(fminf(fmaxf(x, 0), top) / step);
    return (quantised){(double)code * (double)step, x >= 0 && x <= top ? 1 : 0};
}

/* The gradient passes up to 1, above the largest value. */
static quantised dorefa(float x, int bits) {
    const float levels = (float)(1 << bits);
    const float code = fminf(rintf(fminf(fmaxf(x, 0), 1) * levels), levels - 1);
    return (quantised){(double)(code / levels), x >= 0 && x <= 1 ? 1 : 0};
}

static quantised image(double x, int bits) {
    const double levels = 1 << bits;
    return (quantised){floor(x * levels) / levels, 0};
}

/* ReLU, ReLU6: `decide` says which piece x is on. */
static quantised rectified(double x, float decide, mq_act_kind kind) {
    if (kind == MQ_ACT_IMAGE) return (quantised){x, 0};
    if (decide <= 0) return (quantised){0, 0};
    if (kind == MQ_ACT_RELU6 && decide >= 6) return (quantised){6, 0};
    return (quantised){x, 1};
}

/* Element e through a quantiser of `bits`; the surrogate is a line through the base. */
static quantised activate(mq_ref *ref, const ref_node *s, size_t e, int bits) {
    const double x = ref_input(ref, s, 0)->out[e];
    const double base = ref->surrogate ? s->base[e] : x;
    const float decide = s->decide ? s->decide[e] : (float)base;
    if (ref->options.mode == MQ_MODE_FLOAT) return rectified(x, decide, s->node->act.kind);
    if (s->node->act.kind == MQ_ACT_IMAGE) return image(x, bits);
    quantised q = ref->net->quantizer == MQ_QUANTIZER_DOREFA ? dorefa(decide, bits) : hwgq(decide, bits);
    q.value += q.slope * (x - base);
    return q;
}

static void activation_forward(mq_ref *ref, ref_node *s) {
    const ref_mixture m = ref_activation_mixture(ref, s->node->act.layer);
    for (size_t e = 0; e < (size_t)ref->n * s->elements; e++) {
        double sum = m.count ? 0 : activate(ref, s, e, 0).value;
        for (int i = 0; i < m.count; i++) sum += m.share[i] * activate(ref, s, e, m.bits[i]).value;
        s->out[e] = sum;
    }
}

static void activation_backward(mq_ref *ref, ref_node *s) {
    const ref_mixture m = ref_activation_mixture(ref, s->node->act.layer);
    double *dx = ref_input(ref, s, 0)->grad;
    double g[REF_BRANCHES] = {0};
    for (size_t e = 0; e < (size_t)ref->n * s->elements; e++) {
        double slope = m.count ? 0 : activate(ref, s, e, 0).slope;
        for (int i = 0; i < m.count; i++) {
            const quantised q = activate(ref, s, e, m.bits[i]);
            slope += m.share[i] * q.slope;
            g[i] += s->grad[e] * q.value;
        }
        dx[e] += s->grad[e] * slope;
    }
    ref_mixture_gradient(&m, g, 1);
}

const ref_op ref_op_ACTIVATION = {activation_forward, activation_backward};
