/* verify_rtl.h - the rung of `mixq verify` on a build folder: its Verilog simulated on the vectors, every
 * layer compared, cycles measured. */
#ifndef MIXQ_CLI_VERIFY_RTL_H
#define MIXQ_CLI_VERIFY_RTL_H

#include "cli/verify_vectors.h"
#include "gen/rtl_run.h"

typedef struct verify_rtl {
    const mq_inet *net;
    const verify_vectors *vectors;
    mq_rtl_bench bench; /* compiled by the first run */
    bool compiled;
    const char *dump; /* folder that gets the layers' codes of the run without stalls, or NULL */
    uint64_t seed;
} verify_rtl;

typedef struct verify_rtl_result {
    uint64_t mismatches;
    int layers;       /* compared */
    int64_t interval; /* cycles between frames; 0 with stalls */
    int64_t latency;  /* of the first frame, first beat in to last beat out */
    int64_t frames;
    double seconds;
} verify_rtl_result;

/* stalls: percent of cycles; 0: at least three frames are run, so that the interval is a steady one. */
mq_status verify_rtl_run(verify_rtl *job, int stalls, verify_rtl_result *out, mq_error *error) MQ_MUST_CHECK;

#endif
