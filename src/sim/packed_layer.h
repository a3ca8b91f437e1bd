/* packed_layer.h - one layer through the slices of its plan. Private to this folder. */
#ifndef MIXQ_SIM_PACKED_LAYER_H
#define MIXQ_SIM_PACKED_LAYER_H

#include "sim/sim_reference.h"

typedef struct mq_packed_layer mq_packed_layer;

/* Packs the weights of node n: prepared in the reference before. layer: the plan's; borrowed. */
mq_status mq_packed_layer_create(const mq_sim_reference *sim, int n, const mq_plan_layer *layer,
                                 mq_packed_layer **out, mq_error *error) MQ_MUST_CHECK;
void mq_packed_layer_free(mq_packed_layer *layer); /* NULL is fine */

/* Accumulators of node n into its place in work, as mq_sim_run_CONV would. MQ_CHECK_FAILED names output
 * channel, row, column and the products where packed and plain sums part. */
mq_status mq_packed_layer_run(const mq_packed_layer *layer, mq_sim_work *work, mq_error *error) MQ_MUST_CHECK;

#endif
