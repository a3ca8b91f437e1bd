/* build_file.h - build.json: what a build folder holds, for those who verify and synthesise it later
 * (docs/accelerator.md, "Build folder"). */
#ifndef MIXQ_GEN_BUILD_FILE_H
#define MIXQ_GEN_BUILD_FILE_H

#include "accel/stage.h"

#define MQ_BUILD_FILE "build.json"

enum { MQ_BUILD_NAME = 2 * MQ_INET_MAX_NAME + 16, MQ_BUILD_PART = 64 };

/* What is counted of hardware. bram in halves of a RAMB36: a RAMB18 is 1. */
typedef struct mq_build_counts {
    int64_t dsp, lut, ff, bram18;
} mq_build_counts;

typedef struct mq_build_stage {
    int node;                   /* IMAGE, MAX_POOL, REORG, CONCAT, CONV or LINEAR */
    int result;                 /* the node whose codes leave: a layer's REQUANT; else node */
    char module[MQ_BUILD_NAME]; /* of Verilog, in rtl/<module>.v */
    mq_stream out;
    int64_t cycles;           /* of a frame, estimated; 0: not known */
    mq_build_counts expected; /* estimated */
} mq_build_stage;

typedef struct mq_build {
    char model[MQ_INET_MAX_NAME], top[MQ_BUILD_NAME];
    char network[MQ_DIGEST_TEXT]; /* sha256 of net.json */
    char device[MQ_PLAN_NAME], part[MQ_BUILD_PART];
    double clock_mhz;
    mq_stream in;          /* the images: 8 bits */
    int in_bits, out_bits; /* of the AXI-Stream ports */
    int count;
    mq_build_stage *stage;    /* [count] in order of the nodes; owned */
    int64_t cycles;           /* steady interval between frames, estimated; 0: not known */
    mq_build_counts expected; /* of everything, estimated */
    mq_build_counts budget;   /* of the device; 0: not known */
} mq_build;

mq_status mq_build_save(const mq_build *build, const mq_inet *net, const char *dir,
                        mq_error *error) MQ_MUST_CHECK;
/* Checked against the network; MQ_BAD_INPUT names what does not fit. */
mq_status mq_build_load(const char *dir, const mq_inet *net, mq_build **out, mq_error *error) MQ_MUST_CHECK;
void mq_build_free(mq_build *build); /* NULL is fine */

#endif
