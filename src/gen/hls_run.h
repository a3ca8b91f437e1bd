/* hls_run.h - an HLS accelerator simulated: its bench compiled and run, every stage's beats compared. */
#ifndef MIXQ_GEN_HLS_RUN_H
#define MIXQ_GEN_HLS_RUN_H

#include "gen/hls_net.h"

typedef struct mq_hls_difference {
    uint64_t mismatches; /* codes, of all stages and frames */
    int node;            /* the first stage that differs: its result node; -1: none */
    size_t image;
    int c, y, x;
    int64_t got, expected;
} mq_hls_difference;

typedef struct mq_hls_times {
    double compile_s, run_s;
} mq_hls_times;

/* Compiles the bench of a folder of mq_hls_build with make (jobs at once) into the folder `work` (may be the
 * same one) and runs it over `vectors` into WORK/dumps. *differs: the bench's own verdict on the head.
 * MQ_CHECK_FAILED with the end of WORK/bench.log when something does not compile, dies or takes longer than
 * limit_s; MQ_INTERRUPTED. times: may be NULL. */
mq_status mq_hls_run(const char *dir, const char *work, const char *vectors, int jobs, double limit_s,
                     bool *differs, mq_hls_times *times, mq_error *error) MQ_MUST_CHECK;

/* Sees the codes [h][w][c] of a stage's result node. */
typedef void mq_hls_see(void *context, const mq_hls_stage *stage, size_t image, const int64_t *codes);
/* All of WORK/dumps. MQ_CHECK_FAILED when a file has not the bytes of `images` frames. */
mq_status mq_hls_codes(const mq_hls_net *h, const char *work, size_t images, mq_hls_see *see, void *context,
                       mq_error *error) MQ_MUST_CHECK;
/* Compares them with codes[image * node_count + node], [h][w][c] of the node or NULL where there are none. */
mq_status mq_hls_compare(const mq_hls_net *h, const char *work, size_t images, const int64_t *const *codes,
                         mq_hls_difference *out, mq_error *error) MQ_MUST_CHECK;

#endif
