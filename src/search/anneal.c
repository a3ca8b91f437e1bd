/* anneal.c - sharpening by bisection. */
#include "search/anneal.h"

#include <math.h>

/* Noise is not blown up at once. */
#define MOST_AT_ONCE 4.0
#define LARGEST      40.0
#define EQUAL        1e-9

double mq_anneal_bound(const mq_anneal *anneal, double done) {
    if (!anneal->on || done <= anneal->from) return 1;
    if (done >= anneal->to) return anneal->entropy;
    return 1 - (1 - anneal->entropy) * (done - anneal->from) / (anneal->to - anneal->from);
}

/* Of the softmax of times * logits; 1 = undecided. */
static double entropy(const double logits[MQ_BRANCHES], double times) {
    double top = logits[0], sum = 0, mean = 0;
    for (int b = 1; b < MQ_BRANCHES; b++) top = fmax(top, logits[b]);
    for (int b = 0; b < MQ_BRANCHES; b++) {
        const double x = times * (logits[b] - top), e = exp(x);
        sum += e;
        mean += e * x;
    }
    return (log(sum) - mean / sum) / log(MQ_BRANCHES);
}

void mq_anneal_logits(float *logits, double bound) {
    double x[MQ_BRANCHES], mean = 0, most = 0, low = 1, high = MOST_AT_ONCE;
    for (int b = 0; b < MQ_BRANCHES; b++) mean += (double)logits[b];
    mean /= MQ_BRANCHES;
    for (int b = 0; b < MQ_BRANCHES; b++) {
        x[b] = (double)logits[b] - mean;
        most = fmax(most, fabs(x[b]));
    }
    if (most < EQUAL || entropy(x, 1) <= bound) return;
    high = fmin(high, fmax(LARGEST / most, 1)); /* ties stay ties */
    for (int i = 0; i < 40 && entropy(x, high) < bound; i++) {
        const double middle = (low + high) / 2;
        if (entropy(x, middle) > bound)
            low = middle;
        else
            high = middle;
        if (high - low < 1e-9) break;
    }
    for (int b = 0; b < MQ_BRANCHES; b++) logits[b] = (float)(high * x[b]);
}

void mq_anneal_model(const mq_anneal *anneal, const mq_search *search, mq_model *model, double done) {
    const mq_net *net = mq_model_net(model);
    const double bound = mq_anneal_bound(anneal, done);
    for (int n = 0; n < search->cost.count && bound < 1; n++) {
        const int layer = search->cost.layer[n], node = net->layers[layer].node;
        if (search->fix.fixed[layer]) continue;
        mq_anneal_logits(mq_model_param(model, node, MQ_PARAM_ALPHA_WEIGHT, -1)->value, bound);
        mq_anneal_logits(mq_model_param(model, node, MQ_PARAM_ALPHA_ACTIVATION, -1)->value, bound);
    }
}
