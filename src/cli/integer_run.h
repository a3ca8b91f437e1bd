/* integer_run.h - opening integer networks and running images through the simulator: what `simulate` and
 * `test --engine integer` have in common. */
#ifndef MIXQ_CLI_INTEGER_RUN_H
#define MIXQ_CLI_INTEGER_RUN_H

#include "data/dataset.h"
#include "inet/inet.h"
#include "sim/sim.h"

/* path: an export folder, its net.json, or (where the training side is built) a checkpoint or run folder,
 * which is lowered in memory. Release with mq_inet_free. */
mq_status integer_open(const char *path, mq_inet **out, mq_error *error) MQ_MUST_CHECK;

/* The network classifies images of the set's shape into at least its classes, or MQ_USAGE. */
mq_status integer_check_dataset(const mq_inet *net, const mq_dataset *dataset, mq_error *error) MQ_MUST_CHECK;

/* Outputs of one image: c*h*w of the output node. */
size_t integer_outputs(const mq_inet *net);

typedef struct integer_job {
    const uint8_t *images; /* [count], laid out as layout says */
    size_t count;
    mq_sim_layout layout;
    mq_sim_options options; /* zero: the fast engine with the best kernels */
    const char *dump;       /* folder for every layer's codes, or NULL */
    int64_t *out;           /* [count][c][h][w]; owned */
    float *values;          /* the same as real numbers; owned */
    double seconds;         /* spent simulating */
    const char *kernels;    /* what computed: mq_sim_kernels */
} integer_job;

/* Runs job->images in pieces, showing progress. Interrupted between pieces: MQ_INTERRUPTED. Fills out, values
 * and seconds; release them with integer_job_clear, also after a failure. */
mq_status integer_run(const mq_inet *net, integer_job *job, mq_error *error) MQ_MUST_CHECK;
void integer_job_clear(integer_job *job);

/* The class of image i: its largest output, the first of equals. */
int32_t integer_class(const mq_inet *net, const integer_job *job, size_t i);

#endif
