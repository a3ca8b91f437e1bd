/* together.h - what the ranks of a run have in common (inside of the train module). All calls are collective;
 * without ranks they do nothing. */
#ifndef MIXQ_TRAIN_TOGETHER_H
#define MIXQ_TRAIN_TOGETHER_H

#include "train/state.h"

/* MQ_USAGE, agreed on, where a rank has another program, settings, network or data than rank 0. */
mq_status together_check(mq_ranks *ranks, const mq_net *net, const mq_train_settings *settings,
                         const mq_dataset *train, const mq_dataset *test, mq_error *error) MQ_MUST_CHECK;
/* Rank 0's position, parameters and optimiser, and what its hooks remember. */
mq_status together_begin(run *r, bool *resumed, mq_error *error) MQ_MUST_CHECK;
/* Parameters that differ (processors of several kinds round differently) become rank 0's, with a warning at
 * the first time. */
mq_status together_again(run *r, mq_error *error) MQ_MUST_CHECK;
/* Whether any rank was asked to stop. */
mq_status together_stop(mq_ranks *ranks, bool *stop, mq_error *error) MQ_MUST_CHECK;

#endif
