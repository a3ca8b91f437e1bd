/* recipe.h - how learning rates go, and the published defaults of every task in one table. */
#ifndef MIXQ_TRAIN_RECIPE_H
#define MIXQ_TRAIN_RECIPE_H

#include "data/augment.h"
#include "net/net.h"
#include "train/optimizer.h"

/* The rates of a whole run. The rate of epoch e = 0, 1 ... of E is lr * mq_cosine(e, E, end). */
typedef struct mq_schedule {
    mq_rule weights, alphas; /* lr: of the first epoch */
    double weights_end, alphas_end;
    double bias_rate;      /* biases and beta have lr times this */
    bool decay_everywhere; /* weights.decay acts on gamma, beta and biases too, not on weights alone */
    /* In the first epochs biases and beta go linearly from warm_up_lr to bias_rate*lr, and their momentum
     * from warm_up_momentum to the usual one; MQ_WARM_UP_AUTO: max(round(30 / batches per epoch), 3) epochs.
     */
    int warm_up;
    double warm_up_lr, warm_up_momentum;
} mq_schedule;
enum { MQ_WARM_UP_AUTO = -1 };

/* The rules of one epoch. batches: per epoch. */
void mq_schedule_at(const mq_schedule *schedule, int epochs, int epoch, size_t batches,
                    mq_rule out[MQ_GROUPS]);

typedef struct mq_recipe {
    mq_task task;
    int search_epochs, train_epochs, batch;
    double search_lr, train_lr, adam_lr; /* of the weights */
    mq_schedule schedule;                /* weights.lr is one of the three above */
    double price;                        /* factor of cd, cdt and bd */
    const mq_augment *augment;
} mq_recipe;

const mq_recipe *mq_recipe_for(mq_task task);

#endif
