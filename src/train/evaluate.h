/* evaluate.h - a model over a whole data set, running statistics. */
#ifndef MIXQ_TRAIN_EVALUATE_H
#define MIXQ_TRAIN_EVALUATE_H

#include "data/dataset.h"
#include "data/loader.h"
#include "net/checkpoint.h"
#include "ops/model.h"
#include "train/objective.h"

/* All images in file order, in batches of the model's size. Interrupted between batches: MQ_INTERRUPTED.
 * answers (may be NULL): room for [count] of the task's kind. With ranks, collective: each has its share of
 * every batch, all get the scores of all; no answers. */
mq_status mq_evaluate(mq_model *model, const mq_dataset *dataset, mq_scores *out, const mq_answers *answers,
                      mq_error *error) MQ_MUST_CHECK;

/* The batches of a model's shares: of all ranks together as many images as their models hold. */
void mq_evaluate_shares(const mq_model *model, mq_loader_options *options);
/* Collective: MQ_OK when all ranks bring that and none is to stop (MQ_INTERRUPTED). */
mq_status mq_evaluate_goes_on(mq_ranks *ranks, mq_status status, mq_error *error) MQ_MUST_CHECK;

/* Copies a checkpoint's tensors into a model of the same network, mode and sharing. */
mq_status mq_model_load(mq_model *model, const mq_checkpoint *checkpoint, mq_error *error) MQ_MUST_CHECK;

/* A model to evaluate a checkpoint with. net is the checkpoint's: it must live longer. */
mq_status mq_model_from_checkpoint(const mq_checkpoint *checkpoint, int batch, mq_dtype compute,
                                   mq_model **out, mq_error *error) MQ_MUST_CHECK;

/* The data set's task, images and labels are those that the network takes, or MQ_USAGE. */
mq_status mq_check_dataset(const mq_net *net, const mq_dataset *dataset, mq_error *error) MQ_MUST_CHECK;

#endif
