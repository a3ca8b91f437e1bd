/* epoch.h - one run's loop and the steps of an epoch of it (inside of the train module). */
#ifndef MIXQ_TRAIN_EPOCH_H
#define MIXQ_TRAIN_EPOCH_H

#include "data/loader.h"
#include "train/exchange.h"
#include "train/state.h"

typedef struct loop {
    run run;
    mq_ranks *ranks; /* NULL: one process */
    mq_exchange *exchange;
    mq_status late; /* what ranks have not agreed on yet: how the last update ended here */
    mq_loader *loader;
    const mq_objective *objective;
    size_t images, batch; /* of the training set, of a full batch */
    float *d_output;
    float **gathered; /* [parameter] gradients of the batches so far; NULL when every batch is an update */
    float *gathered_block;
    double constant;     /* detection: mean IoU of the best constant box over the test images */
    double step_seconds; /* spent in steps by this call */
    uint64_t step_images, steps;
    mq_ranks_stats used; /* in these steps */
} loop;

/* The steps of one epoch from state.step on. Asked to stop, it saves and says so. */
mq_status epoch_steps(loop *l, mq_error *error) MQ_MUST_CHECK;
/* last.safetensors, by rank 0; all know whether it worked. */
mq_status epoch_save(loop *l, mq_error *error) MQ_MUST_CHECK;
/* MQ_INTERRUPTED, on all ranks. */
MQ_PRINTF(3, 4)
mq_status epoch_interrupted(const loop *l, mq_error *error, const char *format, ...) MQ_MUST_CHECK;
/* What to do about numbers that are not finite: of static life, or in text. */
const char *epoch_advice(const loop *l, char *text, size_t size);
/* "loss 3.2 (box 2.1, objectness 1.1), iou 0.41" */
void epoch_scores_text(const mq_objective *objective, const mq_scores *s, char *text, size_t size);

#endif
