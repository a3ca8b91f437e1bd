/* optimizer.h - one update of all trained parameters, as PyTorch does it.
 *
 * SGD: g += decay*w; v = momentum*v + g (v = g at the first step, the same as starting from 0); w -= lr*v,
 * Nesterov w -= lr*(g + momentum*v).
 * Adam (Kingma and Ba, ICLR 2015; betas 0.9 and 0.999, eps 1e-8), t = 1, 2 ... counting updates:
 * g += decay*w; m = 0.9*m + 0.1*g; v = 0.999*v + 0.001*g*g;
 * w -= lr/(1 - 0.9^t) * m / (sqrt(v)/sqrt(1 - 0.999^t) + eps). The alphas of a search stay with SGD. */
#ifndef MIXQ_TRAIN_OPTIMIZER_H
#define MIXQ_TRAIN_OPTIMIZER_H

#include "ops/model.h"

/* How the tensors of a group are updated. Adam uses lr and decay of it. */
typedef struct mq_rule {
    double lr, momentum, decay;
    bool nesterov;
} mq_rule;

/* Every trained tensor is in one of these. */
typedef enum mq_group {
    MQ_GROUP_WEIGHTS, /* of conv and linear layers */
    MQ_GROUP_SCALES,  /* gamma of batch norms */
    MQ_GROUP_BIASES,  /* biases, and beta of batch norms */
    MQ_GROUP_ALPHAS,
    MQ_GROUPS
} mq_group;
mq_group mq_group_of(mq_param_kind kind);

typedef enum mq_method { MQ_SGD, MQ_ADAM } mq_method;
extern const char *const mq_method_names[]; /* "sgd", "adam", NULL */

typedef struct mq_optimizer mq_optimizer;
/* model is borrowed. */
mq_status mq_optimizer_create(mq_model *model, mq_method method, mq_optimizer **out,
                              mq_error *error) MQ_MUST_CHECK;
void mq_optimizer_destroy(mq_optimizer *optimizer); /* NULL is fine */
/* One update from the gradients; calls mq_model_touch. */
void mq_optimizer_step(mq_optimizer *optimizer, const mq_rule rules[MQ_GROUPS]);

/* What it remembers of parameter number i, float32[count] each: which = 0 momentum (Adam: m), 1 Adam's v;
 * NULL when there is no such memory. *name: "momentum", "moment1", "moment2". */
float *mq_optimizer_memory(mq_optimizer *optimizer, int i, int which, const char **name);
enum { MQ_OPTIMIZER_MEMORIES = 2 };
/* Updates done: Adam's t. */
uint64_t *mq_optimizer_updates(mq_optimizer *optimizer);

/* Cosine annealing: from 1 at epoch 0 to `end` at epoch == epochs. */
double mq_cosine(int epoch, int epochs, double end);

#endif
