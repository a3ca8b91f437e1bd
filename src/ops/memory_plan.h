/* memory_plan.h - the memory of a step: buffers with lifetimes, packed into one block before the run.
 *
 * Time runs forward over the nodes, then backward. Two buffers may share memory when their lifetimes do not
 * touch. Greedy: largest first, lowest offset that is free over its lifetime. */
#ifndef MIXQ_OPS_MEMORY_PLAN_H
#define MIXQ_OPS_MEMORY_PLAN_H

#include <stddef.h>

#include "base/status.h"

typedef struct mq_plan mq_plan;
typedef int mq_slot; /* a buffer of the plan; -1 = none */

mq_status mq_plan_create(mq_plan **out, mq_error *error) MQ_MUST_CHECK;
void mq_plan_destroy(mq_plan *plan);
/* A buffer of `bytes` bytes alive from time first to time last, both included. */
mq_status mq_plan_add(mq_plan *plan, size_t bytes, int first, int last, mq_slot *out,
                      mq_error *error) MQ_MUST_CHECK;
/* Places all buffers and allocates the block. */
mq_status mq_plan_place(mq_plan *plan, mq_error *error) MQ_MUST_CHECK;
void *mq_plan_memory(const mq_plan *plan, mq_slot slot); /* NULL for slot -1 */
int mq_plan_last(const mq_plan *plan, mq_slot slot);
size_t mq_plan_bytes(const mq_plan *plan);

#endif
