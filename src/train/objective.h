/* objective.h - what a task minimises and reports: one row per task in a table. */
#ifndef MIXQ_TRAIN_OBJECTIVE_H
#define MIXQ_TRAIN_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/loader.h"
#include "detect/head.h"
#include "net/net.h"

enum { MQ_LOSS_PARTS = 3 };

/* A part of the loss, or another number that is reported beside it: a mean of its own. */
typedef struct mq_loss_part {
    double sum;
    uint64_t count; /* of what the mean is over; its mean is 0 when nothing was there */
} mq_loss_part;

/* Sums over the images seen so far. */
typedef struct mq_scores {
    double loss;    /* of the task, summed over images */
    double quality; /* correct classes or IoU, summed over the judged images */
    uint64_t images;
    uint64_t judged; /* images that have a right answer: detection leaves out those without a target */
    mq_loss_part part[MQ_LOSS_PARTS];
} mq_scores;

/* Means; 0 of nothing. */
double mq_scores_loss(const mq_scores *scores);
double mq_scores_quality(const mq_scores *scores);
double mq_scores_part(const mq_scores *scores, int part);
enum { MQ_SCORES_VALUES = 4 + 2 * MQ_LOSS_PARTS };
/* As numbers that add up, counts below 2^53 exactly. */
void mq_scores_values(const mq_scores *scores, double out[MQ_SCORES_VALUES]);

/* What a network says about images; a task fills its own. */
typedef struct mq_answers {
    int32_t *classes; /* classification: largest output, the first of equals */
    mq_found *found;  /* detection */
    float *outputs;   /* [n][h][w][c] of the last node; kept by who evaluates, not by the task */
} mq_answers;

typedef struct mq_objective {
    mq_task task;
    const char *quality_name;              /* "accuracy", "iou" */
    const char *part_names[MQ_LOSS_PARTS]; /* NULL = no such part */
    /* output float32 [n][h][w][c] of the network's last layer for the n = batch->count valid samples. Returns
     * what is minimised for this batch, writes its gradient (same shape; NULL: not wanted) and adds to the
     * scores. answers (may be NULL): of these n images. Of a share of a batch (data/loader.h) it is the share
     * of what is minimised for batch->total samples. */
    double (*loss)(const mq_net *net, const float *output, const mq_batch *batch, float *d_output,
                   mq_scores *scores, const mq_answers *answers);
    /* What is minimised is a mean over the batch's images (classification) or, as published, grows with them
     * (detection: batch/64): how gradients of several batches add up to one. */
    bool mean;
} mq_objective;

/* Adds other images' scores. */
void mq_scores_add(const mq_objective *objective, mq_scores *to, const double values[MQ_SCORES_VALUES]);

/* MQ_USAGE for a detector of several classes: the published class loss is none. */
mq_status mq_objective_for(const mq_net *net, const mq_objective **out, mq_error *error) MQ_MUST_CHECK;
const char *mq_quality_name(mq_task task); /* "accuracy", "iou" */

/* Softmax cross-entropy, mean over n images: logits float32 [n][classes], labels 0..classes-1. d_logits may
 * be NULL. *correct: images whose largest logit (first of equals) is the label's. */
double mq_cross_entropy(const float *logits, const int32_t *labels, size_t n, int classes, float *d_logits,
                        uint64_t *correct);

/* The detection head of a network (task detection). */
void mq_net_head(const mq_net *net, mq_head *out);

#endif
