/* ref_norm.c - batch norm (Ioffe and Szegedy, ICML 2015) with PyTorch's conventions: the biased variance
 * normalises, the unbiased one goes into the running variance. */
#include <math.h>
#include <string.h>

#include "ref/ref_op.h"

static const double EPSILON = 1e-5, MOMENTUM = 0.1;

static mq_ref_param *param(mq_ref *ref, const ref_node *s, mq_param_kind kind) {
    return mq_ref_find(ref, s->node->index, kind, -1);
}

static void batch_statistics(mq_ref *ref, ref_node *s) {
    const size_t channels = (size_t)s->node->c, count = (size_t)ref->n * s->elements, per = count / channels;
    const double *x = ref_input(ref, s, 0)->out;
    double *running_mean = param(ref, s, MQ_PARAM_MEAN)->value,
           *running_var = param(ref, s, MQ_PARAM_VAR)->value;
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (size_t e = c; e < count; e += channels) sum += x[e];
        const double mean = sum / (double)per;
        for (size_t e = c; e < count; e += channels) squares += (x[e] - mean) * (x[e] - mean);
        s->mean[c] = mean;
        s->spread[c] = sqrt(squares / (double)per + EPSILON);
        running_mean[c] = (1 - MOMENTUM) * running_mean[c] + MOMENTUM * mean;
        running_var[c] = (1 - MOMENTUM) * running_var[c] + MOMENTUM * squares / (double)(per - 1);
    }
}

static void batch_norm_forward(mq_ref *ref, ref_node *s) {
    const size_t channels = (size_t)s->node->c;
    const double *x = ref_input(ref, s, 0)->out;
    const double *gamma = param(ref, s, MQ_PARAM_GAMMA)->value, *beta = param(ref, s, MQ_PARAM_BETA)->value;
    if (ref->training) {
        batch_statistics(ref, s);
    } else {
        const double *mean = param(ref, s, MQ_PARAM_MEAN)->value, *var = param(ref, s, MQ_PARAM_VAR)->value;
        memcpy(s->mean, mean, channels * sizeof *mean);
        for (size_t c = 0; c < channels; c++) s->spread[c] = sqrt(var[c] + EPSILON);
    }
    for (size_t e = 0; e < (size_t)ref->n * s->elements; e++) {
        const size_t c = e % channels;
        s->out[e] = gamma[c] * ((x[e] - s->mean[c]) / s->spread[c]) + beta[c];
    }
}

/* With h = (x - mean)/spread over N values of a channel: dbeta = sum dy, dgamma = sum dy*h and, since mean
 * and spread depend on x in training, dx = gamma/spread * (dy - dbeta/N - h*dgamma/N). */
static void batch_norm_backward(mq_ref *ref, ref_node *s) {
    const size_t channels = (size_t)s->node->c, count = (size_t)ref->n * s->elements, per = count / channels;
    const ref_node *in = ref_input(ref, s, 0);
    mq_ref_param *gamma = param(ref, s, MQ_PARAM_GAMMA), *beta = param(ref, s, MQ_PARAM_BETA);
    for (size_t e = 0; e < count; e++) {
        const size_t c = e % channels;
        beta->grad[c] += s->grad[e];
        gamma->grad[c] += s->grad[e] * ((in->out[e] - s->mean[c]) / s->spread[c]);
    }
    for (size_t e = 0; e < count; e++) {
        const size_t c = e % channels;
        const double h = (in->out[e] - s->mean[c]) / s->spread[c];
        const double through = ref->training ? (beta->grad[c] + h * gamma->grad[c]) / (double)per : 0;
        in->grad[e] += gamma->value[c] / s->spread[c] * (s->grad[e] - through);
    }
}

const ref_op ref_op_BATCH_NORM = {batch_norm_forward, batch_norm_backward};
