/* exchange.h - gradients summed over the ranks while the backward pass goes on (inside of the train module).
 *
 * Gradients that are final are copied together until a bucket of MQ_EXCHANGE_BYTES (of large networks, more)
 * is full, and its sum is started.
 * Those of gamma and beta are the whole batch's already (ops/model.h). */
#ifndef MIXQ_TRAIN_EXCHANGE_H
#define MIXQ_TRAIN_EXCHANGE_H

#include "ops/model.h"

enum { MQ_EXCHANGE_BYTES = 1 << 18 };

typedef struct mq_exchange mq_exchange;
/* Of the model's ranks. model is borrowed. bytes: of a bucket at least. */
mq_status mq_exchange_create(mq_model *model, size_t bytes, mq_exchange **out, mq_error *error) MQ_MUST_CHECK;
void mq_exchange_destroy(mq_exchange *exchange); /* NULL is fine */

/* The backward pass of the total batch: mq_model_backward and then the sum of all trained parameters'
 * gradients over the ranks. ready (may be NULL) is called with the number of every trained parameter as soon
 * as its gradient is final here; it may change it. */
mq_status mq_exchange_backward(mq_exchange *exchange, const float *d_output,
                               void (*ready)(void *context, int param), void *context,
                               mq_error *error) MQ_MUST_CHECK;

#endif
