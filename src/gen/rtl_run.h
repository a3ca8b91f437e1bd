/* rtl_run.h - the accelerator of a build folder in a simulator: compiled into a work folder by the build
 * folder's own sim/Makefile, run over images, measured. */
#ifndef MIXQ_GEN_RTL_RUN_H
#define MIXQ_GEN_RTL_RUN_H

#include "gen/beats.h"
#include "gen/build_file.h"

typedef enum mq_rtl_simulator { MQ_RTL_VERILATOR, MQ_RTL_ICARUS, MQ_RTL_SIMULATORS } mq_rtl_simulator;

/* The program that must be on PATH: "verilator", "iverilog". */
extern const char *const mq_rtl_simulator_names[];

typedef struct mq_rtl_bench {
    const char *dir;  /* build folder */
    const char *work; /* folder for what the simulator makes; exists */
    const mq_build *build;
    mq_rtl_simulator simulator;
} mq_rtl_bench;

/* MQ_CHECK_FAILED: the program is missing, or refuses the Verilog (the log's end is in the message). */
mq_status mq_rtl_compile(const mq_rtl_bench *bench, mq_error *error) MQ_MUST_CHECK;

typedef struct mq_rtl_request {
    const uint8_t *images; /* [count][c][h][w] */
    int64_t count;
    int64_t frames;   /* to run, the images again from the first; at least count */
    int stalls;       /* percent of cycles in which either side waits */
    uint64_t seed;    /* of the stalls */
    int64_t patience; /* cycles in which nothing moves before it counts as a deadlock */
    double seconds;   /* limit, 0: none */
} mq_rtl_request;

typedef struct mq_rtl_measure {
    int64_t first; /* cycles from the first beat in to the first beat out, both counted */
    int64_t first_end, before_end,
        end; /* to the last beat of the first frame, of the last but one, the last */
    int64_t frames;
    int64_t cycles; /* of the whole run */
    double seconds;
} mq_rtl_measure;

/* Steady interval: between the ends of the last two frames; of one frame alone its end. */
int64_t mq_rtl_interval(const mq_rtl_measure *measure);

/* Runs it. MQ_CHECK_FAILED: a deadlock (where it stands), a wrong tlast, a beat that changed before it was
 * taken, in or between stages. */
mq_status mq_rtl_simulate(const mq_rtl_bench *bench, const mq_rtl_request *request, mq_rtl_measure *out,
                          mq_error *error) MQ_MUST_CHECK;

/* The codes that left stage i in the last run, `frames` of them, all dumped ones; those of the last stage are
 * the output port's. */
mq_status mq_rtl_codes(const mq_rtl_bench *bench, int stage, const char *dump, int64_t frames,
                       mq_beats_see *see, void *context, mq_error *error) MQ_MUST_CHECK;

#endif
