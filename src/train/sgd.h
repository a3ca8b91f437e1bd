/* sgd.h - stochastic gradient descent with momentum, as PyTorch: g += decay*w; v = momentum*v + g (v = g at
 * the first step, the same as starting from 0); w -= lr*v, Nesterov w -= lr*(g + momentum*v). Decay acts on
 * every tensor of its group, batch norm and biases too. */
#ifndef MIXQ_TRAIN_SGD_H
#define MIXQ_TRAIN_SGD_H

#include "ops/model.h"

typedef struct mq_sgd_group {
    double lr, momentum, decay;
    bool nesterov;
} mq_sgd_group;

typedef enum mq_sgd_which { MQ_SGD_WEIGHTS, MQ_SGD_ALPHAS, MQ_SGD_GROUPS } mq_sgd_which;

typedef struct mq_sgd mq_sgd;
mq_status mq_sgd_create(mq_model *model, mq_sgd **out, mq_error *error) MQ_MUST_CHECK; /* model borrowed */
void mq_sgd_destroy(mq_sgd *sgd);
/* One update of all trained parameters; calls mq_model_touch. Learning rates times lr_bias for names in
 * ".bias" and
 * ".beta" (1 = the same). */
void mq_sgd_step(mq_sgd *sgd, const mq_sgd_group groups[MQ_SGD_GROUPS], double lr_bias);
/* The momentum buffer of parameter number i, float32[count], or NULL for running statistics. */
float *mq_sgd_momentum(mq_sgd *sgd, int i);

/* Cosine annealing: from 1 at epoch 0 to `end` at epoch == epochs. */
double mq_cosine(int epoch, int epochs, double end);

#endif
