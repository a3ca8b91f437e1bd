/* objective.c - the table of tasks, and classification. */
#include "train/objective.h"

#include <math.h>

double mq_cross_entropy(const float *logits, const int32_t *labels, size_t n, int classes, float *d_logits,
                        uint64_t *correct) {
    double total = 0;
    *correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * (size_t)classes;
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (z[c] > z[best]) best = c;
        *correct += best == labels[i];
        double sum = 0, top = (double)z[best];
        for (int c = 0; c < classes; c++) sum += exp((double)z[c] - top);
        total += log(sum) + (top - (double)z[labels[i]]);
        if (!d_logits) continue;
        for (int c = 0; c < classes; c++) {
            double p = exp((double)z[c] - top) / sum;
            d_logits[i * (size_t)classes + (size_t)c] = (float)((p - (c == labels[i])) / (double)n);
        }
    }
    return total / (double)n;
}

static double classification(const mq_net *net, const float *output, const mq_batch *batch, float *d_output,
                             mq_scores *scores) {
    uint64_t correct;
    double loss = mq_cross_entropy(output, batch->labels, batch->count, net->classes, d_output, &correct);
    scores->loss += loss * (double)batch->count;
    scores->quality += (double)correct;
    scores->images += batch->count;
    return loss;
}

static const mq_objective OBJECTIVES[] = {
    {MQ_TASK_CLASSIFICATION, "accuracy", classification},
};

mq_status mq_objective_for(const mq_net *net, const mq_objective **out, mq_error *error) {
    for (size_t i = 0; i < sizeof OBJECTIVES / sizeof *OBJECTIVES; i++) {
        if (OBJECTIVES[i].task != net->task) continue;
        *out = &OBJECTIVES[i];
        return MQ_OK;
    }
    return mq_fail(error, MQ_USAGE,
                   "network %s is a detector: training and testing detectors is not supported", net->name);
}
