/* bench_step.h - one step of search, training or inference on random images, to be timed. */
#ifndef MIXQ_CLI_BENCH_STEP_H
#define MIXQ_CLI_BENCH_STEP_H

#include "net/bits.h"
#include "ops/model.h"

typedef enum bench_mode { BENCH_SEARCH, BENCH_TRAIN, BENCH_INFER } bench_mode;

typedef struct bench_setup {
    bench_mode mode;
    mq_bits bits; /* train, infer */
    bool share;   /* search */
    mq_dtype compute;
    int batch;
} bench_setup;

typedef struct bench_step bench_step;

/* net is borrowed until destroy. */
mq_status bench_step_create(const mq_net *net, const bench_setup *setup, bench_step **out,
                            mq_error *error) MQ_MUST_CHECK;
void bench_step_destroy(bench_step *step); /* NULL is fine */
/* What a run does with one batch: forward, and unless inferring loss, backward, cost gradients, update. */
mq_status bench_step_run(bench_step *step, mq_error *error) MQ_MUST_CHECK;
const mq_model *bench_step_model(const bench_step *step);

#endif
