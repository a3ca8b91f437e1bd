/* pareto_runs.h - the runs of a sweep's points, each that of a command which can be given by hand as well. */
#ifndef MIXQ_CLI_PARETO_RUNS_H
#define MIXQ_CLI_PARETO_RUNS_H

#include "cli/pareto_setup.h"

/* Finds the point's bits: stage MQ_STAGE_SEARCHED or MQ_STAGE_FAILED. */
mq_status pareto_find_bits(const pareto_setup *setup, mq_sweep_point *point, mq_error *error) MQ_MUST_CHECK;
/* Main training at its bits: MQ_STAGE_TRAINED or MQ_STAGE_FAILED. */
mq_status pareto_train(const pareto_setup *setup, mq_sweep_point *point, mq_error *error) MQ_MUST_CHECK;

/* The 8-bit network of a seed, and the loss increases measured on it; in the folder bases/seedN. */
mq_status pareto_base_path(const pareto_setup *setup, uint64_t seed, const char *file, char path[MQ_PATH],
                           mq_error *error) MQ_MUST_CHECK;
#define PARETO_BASE_FILE "base.json" /* stands there when it is complete */
mq_status pareto_make_base(const pareto_setup *setup, uint64_t seed, mq_error *error) MQ_MUST_CHECK;

#endif
