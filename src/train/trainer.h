/* trainer.h - a whole training or search run in a run folder.
 *
 * Folder: run.json (settings, seed, versions, processor), metrics.jsonl (a line per epoch), bits.json,
 * last.safetensors (with the optimizer's state: --resume goes on from there, also in the middle of an epoch,
 * between two updates) and best.safetensors (highest test quality). A resumed run ends with the same bits as
 * an undisturbed one on the same number of threads. */
#ifndef MIXQ_TRAIN_TRAINER_H
#define MIXQ_TRAIN_TRAINER_H

#include "data/augment.h"
#include "data/dataset.h"
#include "io/json.h"
#include "ops/model.h"
#include "train/objective.h"
#include "train/recipe.h"

/* What the search adds to a training run. Every member may be NULL. */
typedef struct mq_train_hooks {
    void *context;
    /* Before the first step of this call, parameters and state being in place: an epoch has `updates`, `done`
     * are behind (of all epochs). */
    mq_status (*begin)(void *context, mq_model *model, uint64_t updates, uint64_t done, mq_error *error);
    /* After the backward passes of an update: adds its gradients and returns what it adds to the loss. */
    double (*after_backward)(void *context, mq_model *model);
    /* After the optimiser's step and after loading parameters. */
    void (*after_update)(void *context, mq_model *model);
    /* At the end of an epoch: adds fields to the metrics line and may log. Called again when the run is
     * interrupted before the epoch is saved. */
    mq_status (*epoch)(void *context, mq_model *model, json_t *metrics, mq_error *error);
    /* bits.json at the end of an epoch; a new reference, NULL = no such file. */
    json_t *(*bits)(void *context, mq_model *model);
    /* The bits that a checkpoint names; NULL: the largest alphas. Borrowed. */
    const mq_bits *(*chosen)(void *context);
    /* What the hooks remember between updates: saved with last.safetensors, put back on resume. */
    double *memory;
    size_t memory_count;
} mq_train_hooks;

typedef struct mq_train_settings {
    mq_model_options model; /* training and batch are set by the trainer */
    int epochs, batch;      /* batch: of all of model.ranks together */
    int accumulate;         /* batches whose gradients make one update; 0 = 1 */
    mq_method method;
    mq_schedule schedule;
    mq_augment augment;
    uint64_t seed;
    const char *out;  /* the run folder */
    const char *init; /* checkpoint to take weights from, or NULL */
    bool resume, force;
    json_t *settings; /* all of the above as the user gave it: stored, compared on resume; borrowed */
} mq_train_settings;

typedef struct mq_train_result {
    int epochs;               /* finished */
    double quality, best;     /* of the last epoch and of the best one */
    double loss;              /* mean training loss of the last epoch */
    double constant;          /* detection: quality of the best constant box on the test images */
    double seconds;           /* of this call */
    double images_per_second; /* of training steps in this call */
    double loader_wait;       /* seconds that training waited for data */
    uint64_t steps;           /* of this call */
    double step_seconds;      /* spent in them */
    mq_ranks_stats ranks;     /* of this rank in the steps of this call */
} mq_train_result;

/* MQ_USAGE: the folder exists and neither resume nor force is given, or resume with other settings.
 * MQ_CHECK_FAILED: a loss that is not finite (epoch, step and layer named; checkpoints stay). MQ_INTERRUPTED:
 * stopped after saving, once an update is complete.
 *
 * With settings->model.ranks, collective: every rank has its share of each batch, rank 0 alone reads and
 * writes the folder (so --init too), and the hooks run on all ranks. Its first collective call is
 * mq_ranks_agree. */
mq_status mq_train(const mq_net *net, const mq_train_settings *settings, const mq_train_hooks *hooks,
                   const mq_dataset *train, const mq_dataset *test, mq_train_result *out,
                   mq_error *error) MQ_MUST_CHECK;

#endif
