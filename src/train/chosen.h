/* chosen.h - how far the network of chosen bits is from the mixed one that a search trains. */
#ifndef MIXQ_TRAIN_CHOSEN_H
#define MIXQ_TRAIN_CHOSEN_H

#include "data/dataset.h"
#include "ops/model.h"
#include "train/objective.h"

enum { MQ_CHOSEN_BATCHES = 32 };

typedef struct mq_chosen_scores {
    mq_scores as_is;   /* with the weights and the running statistics of the mixed network */
    mq_scores settled; /* after the batch norms have seen MQ_CHOSEN_BATCHES batches of training images at
                          these bits (or all, if there are fewer); weights are not trained */
} mq_chosen_scores;

/* mixed: a search model; it is only read. seed: of the order of the images. Memory for a second model of the
 * same batch. MQ_INTERRUPTED as mq_evaluate. */
mq_status mq_chosen_evaluate(mq_model *mixed, const mq_bits *bits, uint64_t seed, const mq_dataset *train,
                             const mq_dataset *test, mq_chosen_scores *out, mq_error *error) MQ_MUST_CHECK;

#endif
