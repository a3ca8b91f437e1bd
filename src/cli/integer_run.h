/* integer_run.h - opening integer networks and running images through the simulator: what `simulate` and
 * `test --engine integer` have in common. */
#ifndef MIXQ_CLI_INTEGER_RUN_H
#define MIXQ_CLI_INTEGER_RUN_H

#include "data/loader.h"
#include "detect/head.h"
#include "inet/inet.h"
#include "sim/sim.h"

/* path: an export folder, its net.json, or (where the training side is built) a checkpoint or run folder,
 * which is lowered in memory. Release with mq_inet_free. */
mq_status integer_open(const char *path, mq_inet **out, mq_error *error) MQ_MUST_CHECK;

/* The network does the set's task, takes images of its shape and, a classifier, tells all its classes; or
 * MQ_USAGE. */
mq_status integer_check_dataset(const mq_inet *net, const mq_dataset *dataset, mq_error *error) MQ_MUST_CHECK;

/* Outputs of one image: c*h*w of the output node. */
size_t integer_outputs(const mq_inet *net);

/* A data set's pixels uint8 [count][h][w][c] as the network's bytes, where its input is real numbers; out may
 * be pixels. Without a real input nothing is to be done. */
mq_status integer_pixels(const mq_inet *net, const uint8_t *pixels, size_t count, uint8_t *out,
                         mq_error *error) MQ_MUST_CHECK;

/* Some images in file order, simulated. */
typedef struct integer_part {
    size_t first, count;
    const mq_batch *batch; /* of job->dataset; NULL without one */
    const int64_t *out;    /* [count][c][h][w] */
    const float *values;   /* the same as real numbers */
} integer_part;

typedef struct integer_job {
    const mq_dataset *dataset; /* its images in file order, damaged ones as the loader gives them; or NULL: */
    const uint8_t *images;     /* [count][c][h][w], as the simulator takes them */
    size_t count;
    mq_sim_options options; /* zero: the fast engine with the best kernels */
    const char *dump;       /* folder for every layer's codes, or NULL */
    bool keep;              /* all outputs, in out */
    mq_status (*part)(void *context, const integer_part *part, mq_error *error); /* or NULL */
    void *context;
    int64_t *out;                /* [count][c][h][w]; owned */
    char sha256[MQ_DIGEST_TEXT]; /* of the outputs, int64 in little-endian order */
    double seconds;              /* spent simulating */
    const char *kernels;         /* what computed: mq_sim_kernels */
} integer_job;

/* Runs the images part by part, showing progress. Interrupted between parts: MQ_INTERRUPTED. Fills what comes
 * after context; release it with integer_job_clear, also after a failure. */
mq_status integer_run(const mq_inet *net, integer_job *job, mq_error *error) MQ_MUST_CHECK;
void integer_job_clear(integer_job *job);

/* The class that an image's outputs say: the largest, the first of equals. */
int32_t integer_class(const mq_inet *net, const int64_t *out);

/* The detection head of a detector. */
mq_status integer_head(const mq_inet *net, mq_head *out, mq_error *error) MQ_MUST_CHECK;

#endif
