/* pareto_results.h - what `pareto` prints, draws and writes at its end. */
#ifndef MIXQ_CLI_PARETO_RESULTS_H
#define MIXQ_CLI_PARETO_RESULTS_H

#include "cli/pareto_setup.h"

/* Writes results.json and results.csv, the plot of --plot with its .csv, and prints a table or JSON. */
mq_status pareto_report(const cli_args *args, const pareto_setup *setup, mq_error *error) MQ_MUST_CHECK;

/* Words of --against, as mq_sweep_cost; ends with NULL. */
extern const char *const pareto_costs[];

#endif
