/* pareto_runs.h - the runs of a sweep's points, each that of a command which can be given by hand as well. */
#ifndef MIXQ_CLI_PARETO_RUNS_H
#define MIXQ_CLI_PARETO_RUNS_H

#include "cli/pareto_setup.h"
#include "search/sensitivity.h"

/* What would end a search before it trains: options, tables, targets out of reach. */
mq_status pareto_rehearse(const pareto_setup *setup, mq_error *error) MQ_MUST_CHECK;
/* Finds the point's bits: stage MQ_STAGE_SEARCHED or MQ_STAGE_FAILED. */
mq_status pareto_find_bits(const pareto_setup *setup, mq_sweep_point *point, mq_error *error) MQ_MUST_CHECK;
/* Main training at its bits: MQ_STAGE_TRAINED or MQ_STAGE_FAILED. */
mq_status pareto_train(const pareto_setup *setup, mq_sweep_point *point, mq_error *error) MQ_MUST_CHECK;

/* The 8-bit network of a seed: trained in the run folder bases/seedN/train; quality of its last and best
 * epoch. */
mq_status pareto_train_base(const pareto_setup *setup, uint64_t seed, double *last, double *best,
                            mq_error *error) MQ_MUST_CHECK;

/* pareto_base.c: bases/seedN or a file in it. */
mq_status pareto_base_path(const pareto_setup *setup, uint64_t seed, const char *file, char path[MQ_PATH],
                           mq_error *error) MQ_MUST_CHECK;
#define PARETO_BASE_FILE "base.json" /* stands there when network and table are complete */
/* The network, and if the sweep wants it the sensitivity of its layers. */
mq_status pareto_make_base(const pareto_setup *setup, uint64_t seed, mq_error *error) MQ_MUST_CHECK;
mq_status pareto_read_sensitivity(const pareto_setup *setup, uint64_t seed, mq_sensitivity *out,
                                  mq_error *error) MQ_MUST_CHECK;

#endif
