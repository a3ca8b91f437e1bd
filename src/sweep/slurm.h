/* slurm.h - a job array for a sweep: one task per point. */
#ifndef MIXQ_SWEEP_SLURM_H
#define MIXQ_SWEEP_SLURM_H

#include <stdbool.h>

#include "base/status.h"
#include "sweep/sweep.h"

/* Writes the script. program, here (where relative paths of the sweep start) and out are absolute paths;
 * twice: main training waits for all searches, so the script is to be submitted a second time. */
mq_status mq_slurm_write(const char *path, const mq_sweep *sweep, const char *program, const char *here,
                         const char *out, int threads, bool twice, mq_error *error) MQ_MUST_CHECK;

#endif
