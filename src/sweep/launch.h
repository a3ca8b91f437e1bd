/* launch.h - what a launcher (mpirun, mpiexec, srun) says about the processes it started, by environment
 * variables. */
#ifndef MIXQ_SWEEP_LAUNCH_H
#define MIXQ_SWEEP_LAUNCH_H

typedef struct mq_launch {
    int rank, size; /* 0 and 1 without a launcher */
    int local;      /* processes on this machine, where it says so; else 1 */
} mq_launch;

mq_launch mq_launch_get(void);

#endif
