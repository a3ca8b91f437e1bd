/* pareto_work.h - the pieces of a sweep: whoever has time takes the next one that nobody has. */
#ifndef MIXQ_CLI_PARETO_WORK_H
#define MIXQ_CLI_PARETO_WORK_H

#include "cli/pareto_setup.h"

/* Works until nothing is left to do; waits for what other processes have under way, and takes it over when
 * they end without having finished it. only: the number of one point, whose pieces alone are done, or -1; it
 * does not wait for other points (*waits: of so many). setup->sweep holds all results afterwards.
 * MQ_INTERRUPTED: stopped after saving. A run that diverges is a result (MQ_STAGE_FAILED); other failures end
 * the work. */
mq_status pareto_work(pareto_setup *setup, int only, int *waits, mq_error *error) MQ_MUST_CHECK;

#endif
