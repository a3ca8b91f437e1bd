/* state.h - a run's position and its checkpoints (inside of the train module). */
#ifndef MIXQ_TRAIN_STATE_H
#define MIXQ_TRAIN_STATE_H

#include "train/trainer.h"

/* Where a run stands. */
typedef struct run_state {
    int epoch;        /* finished epochs */
    uint64_t step;    /* batches done in the epoch under way: whole updates */
    double best;      /* best quality so far, -1 = none */
    double quality;   /* of the last finished epoch */
    double loss;      /* mean training loss of the last finished epoch */
    mq_scores scores; /* of the epoch under way */
    double extra;     /* hook loss of the epoch under way, summed over images */
} run_state;

typedef struct run {
    const mq_net *net;
    const mq_train_settings *settings;
    const mq_train_hooks *hooks;
    mq_model *model;
    mq_optimizer *optimizer;
    run_state state;
    int lock;     /* the run folder, held open and locked against a second writer; -1 = none */
    bool drifted; /* ranks' parameters have differed */
} run;

/* Whether run_open will load the last checkpoint: then no other weights are needed. */
bool run_goes_on(const run *r);
/* Makes the run folder, or opens it for resume; writes run.json. *resumed: last.safetensors was there and is
 * loaded. */
mq_status run_open(run *r, bool *resumed, mq_error *error) MQ_MUST_CHECK;
void run_close(run *r);
mq_status run_save(const run *r, const char *name, bool with_optimiser, mq_error *error) MQ_MUST_CHECK;
/* Takes the tensors of settings->init that fit. */
mq_status run_init_from(run *r, mq_error *error) MQ_MUST_CHECK;
mq_status run_append_metrics(const run *r, const json_t *line, mq_error *error) MQ_MUST_CHECK;
mq_status run_write_bits(const run *r, mq_error *error) MQ_MUST_CHECK;

#endif
