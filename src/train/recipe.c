/* recipe.c - the recipes of AnyPackingNet (ICCAD 2023) and its schedules. */
#include "train/recipe.h"

#include <math.h>

static const mq_augment CLASSIFIER = {.pad = 4, .flip = true};

static const mq_recipe RECIPES[] = {
    {.task = MQ_TASK_CLASSIFICATION,
     .search_epochs = 40,
     .train_epochs = 200,
     .batch = 128,
     .search_lr = 0.1,
     .train_lr = 0.03,
     .adam_lr = 0.001,
     .schedule = {.weights = {.momentum = 0.9, .decay = 5e-4},
                  .alphas = {.lr = 0.1, .momentum = 0.9, .decay = 5e-4},
                  .weights_end = 0.01,
                  .alphas_end = 0.3,
                  .bias_rate = 1,
                  .decay_everywhere = true},
     .price = 1,
     .augment = &CLASSIFIER},
    {.task = MQ_TASK_DETECTION,
     .search_epochs = 35,
     .train_epochs = 200,
     .batch = 64,
     .search_lr = 0.01,
     .train_lr = 0.01,
     .adam_lr = 0.01,
     .schedule = {.weights = {.momentum = 0.937, .nesterov = true},
                  .alphas = {.lr = 0.01, .momentum = 0.937, .decay = 4.84e-4},
                  .weights_end = 0.001,
                  .alphas_end = 0.1,
                  .bias_rate = 2,
                  .warm_up = MQ_WARM_UP_AUTO,
                  .warm_up_lr = 0.1,
                  .warm_up_momentum = 0.9},
     .price = 4,
     .augment = &mq_augment_detector},
};

const mq_recipe *mq_recipe_for(mq_task task) {
    size_t i = 0;
    while (RECIPES[i].task != task) i++;
    return &RECIPES[i];
}

void mq_schedule_at(const mq_schedule *schedule, int epochs, int epoch, size_t batches,
                    mq_rule out[MQ_GROUPS]) {
    double factor = mq_cosine(epoch, epochs, schedule->weights_end);
    mq_rule weights = schedule->weights;
    weights.lr *= factor;
    out[MQ_GROUP_WEIGHTS] = out[MQ_GROUP_SCALES] = out[MQ_GROUP_BIASES] = weights;
    if (!schedule->decay_everywhere) out[MQ_GROUP_SCALES].decay = out[MQ_GROUP_BIASES].decay = 0;
    out[MQ_GROUP_BIASES].lr *= schedule->bias_rate;
    out[MQ_GROUP_ALPHAS] = schedule->alphas;
    out[MQ_GROUP_ALPHAS].lr *= mq_cosine(epoch, epochs, schedule->alphas_end);
    int warm_up = schedule->warm_up;
    if (warm_up == MQ_WARM_UP_AUTO) warm_up = (int)fmax(rint(30 / (double)batches), 3);
    if (epoch >= warm_up) return;
    double done = (double)epoch / warm_up, end = schedule->weights.lr * schedule->bias_rate;
    mq_rule *biases = &out[MQ_GROUP_BIASES];
    biases->lr = schedule->warm_up_lr + (end - schedule->warm_up_lr) * done;
    biases->momentum =
        schedule->warm_up_momentum + (schedule->weights.momentum - schedule->warm_up_momentum) * done;
}
