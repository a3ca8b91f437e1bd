/* sim_internal.h - what an engine is to sim.c: a row of functions. */
#ifndef MIXQ_SIM_SIM_INTERNAL_H
#define MIXQ_SIM_SIM_INTERNAL_H

#include "base/memory.h"
#include "sim/sim.h"

/* The arguments of mq_sim_run; count is not 0. */
typedef struct mq_sim_batch {
    const uint8_t *images;
    size_t count;
    mq_sim_layout layout;
    const mq_sim_visitor *visitor; /* or NULL */
    int64_t *out;                  /* or NULL */
    float *values;                 /* or NULL */
} mq_sim_batch;

typedef struct mq_sim_engine_row {
    /* *engine is the engine's own; net is borrowed until release. On failure nothing is left. */
    mq_status (*create)(const mq_inet *net, const mq_sim_options *options, void **engine, mq_error *error);
    void (*release)(void *engine);
    mq_status (*run)(const void *engine, const mq_sim_batch *batch, mq_error *error);
    const char *(*kernels)(const void *engine); /* name of what computes; NULL: "plain C" */
} mq_sim_engine_row;

#define MQ_SIM_ROW(id, name) extern const mq_sim_engine_row mq_sim_row_##id;
MQ_SIM_ENGINES(MQ_SIM_ROW)
#undef MQ_SIM_ROW

/* Lays out what the nodes store, by liveness: node i, in order, takes the largest place that no later node
 * reads any more, or a new one. need [n] in whatever unit, 0 = stores nothing; last_reader [n]: index of the
 * last node that reads it, 0 = none. offset [n] and *memory are set; work arrays come from the arena. */
mq_status mq_sim_place(mq_arena *arena, size_t n, const size_t *need, const int *last_reader, size_t *offset,
                       size_t *memory, mq_error *error) MQ_MUST_CHECK;

/* The real value of an output; a zero offset adds nothing, not even to -0. */
static inline float mq_sim_output_value(const mq_inet_output *output, int64_t acc) {
    float value = (float)acc / (float)output->divisor;
    return output->offset == 0 ? value : value + (float)output->offset;
}

/* Element `at` of the batch's outputs [count][c][h][w]. */
static inline void mq_sim_put_output(const mq_inet *net, const mq_sim_batch *batch, size_t at, int64_t acc) {
    if (batch->out) batch->out[at] = acc;
    if (batch->values) batch->values[at] = mq_sim_output_value(&mq_inet_last(net)->output, acc);
}

#endif
