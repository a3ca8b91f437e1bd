/* objective.h - what a task minimises and reports: one row per task in a table. */
#ifndef MIXQ_TRAIN_OBJECTIVE_H
#define MIXQ_TRAIN_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/loader.h"
#include "net/net.h"

/* Sums over the images seen so far. */
typedef struct mq_scores {
    double loss;    /* summed over images */
    double quality; /* correct classes (later: IoU), summed over images */
    uint64_t images;
} mq_scores;

typedef struct mq_objective {
    mq_task task;
    const char *quality_name; /* "accuracy" */
    /* output float32 [n][h][w][c] of the network's last layer for the n = batch->count valid samples. Returns
     * the mean loss of the batch, writes dL/d(output) (same shape; NULL: not wanted) and adds to the scores.
     */
    double (*loss)(const mq_net *net, const float *output, const mq_batch *batch, float *d_output,
                   mq_scores *scores);
} mq_objective;

mq_status mq_objective_for(const mq_net *net, const mq_objective **out, mq_error *error) MQ_MUST_CHECK;

/* Softmax cross-entropy, mean over n images: logits float32 [n][classes], labels 0..classes-1. d_logits may
 * be NULL. *correct: images whose largest logit (first of equals) is the label's. */
double mq_cross_entropy(const float *logits, const int32_t *labels, size_t n, int classes, float *d_logits,
                        uint64_t *correct);

#endif
