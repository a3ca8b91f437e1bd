/* sim_packed.c - the packed engine: the reference's network, its layers through the slices of the plan. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "sim/packed_layer.h"

enum { MAX_TASKS = 64 };

typedef struct packed {
    mq_sim_reference *reference; /* from the reference engine's row */
    mq_packed_layer **layer;     /* [node]; NULL: plain */
} packed;

static void release(void *engine) {
    packed *e = engine;
    if (!e) return;
    for (int n = 0; e->layer && e->reference && n < e->reference->net->node_count; n++)
        mq_packed_layer_free(e->layer[n]);
    mq_free(e->layer);
    mq_sim_row_REFERENCE.release(e->reference);
    mq_free(e);
}

static mq_status fill(packed *e, const mq_inet *net, const mq_sim_options *options, mq_error *error) {
    void *reference;
    MQ_TRY(mq_sim_row_REFERENCE.create(net, options, &reference, error));
    e->reference = reference;
    MQ_TRY(mq_alloc((size_t)net->node_count, sizeof *e->layer, "packed simulator", &e->layer, error));
    for (int i = 0; i < options->plan->count; i++) {
        const mq_plan_layer *layer = &options->plan->layer[i];
        if (layer->multiplier != MQ_PLAN_DSP) continue;
        mq_status status =
            mq_packed_layer_create(e->reference, layer->node, layer, &e->layer[layer->node], error);
        if (status != MQ_OK) return mq_fail_context(error, status, "layer %s", net->nodes[layer->node].name);
    }
    return MQ_OK;
}

static mq_status create(const mq_inet *net, const mq_sim_options *options, void **out, mq_error *error) {
    packed *e;
    *out = NULL;
    if (!options->plan)
        return mq_fail(error, MQ_USAGE, "the packed simulator needs a plan of network %s", net->model);
    MQ_TRY(mq_alloc(1, sizeof *e, "packed simulator", &e, error));
    mq_status status = fill(e, net, options, error);
    if (status != MQ_OK) {
        release(e);
        return status;
    }
    *out = e;
    return MQ_OK;
}

typedef struct job {
    const packed *engine;
    const mq_sim_batch *batch;
    size_t per_task;
    mq_status status[MAX_TASKS];
    mq_error error[MAX_TASKS];
} job;

static mq_status run_image(const job *j, mq_sim_work *work, size_t image, mq_error *error) {
    const packed *e = j->engine;
    const mq_inet *net = e->reference->net;
    uint64_t slices = 0;
    mq_sim_reference_image(e->reference, j->batch, work, image);
    for (int n = 0; n < net->node_count; n++) {
        if (e->layer[n]) {
            mq_status status = mq_packed_layer_run(e->layer[n], work, &slices, error);
            if (status != MQ_OK)
                return mq_fail_context(error, status, "layer %s, image %zu", net->nodes[n].name, image);
        } else {
            mq_sim_reference_node(e->reference, n, work);
        }
        if (j->batch->visitor)
            j->batch->visitor->see(j->batch->visitor->context, image, n, mq_sim_codes(e->reference, work, n));
    }
    mq_sim_reference_output(e->reference, j->batch, work, image);
    return MQ_OK;
}

static void run_task(void *context, size_t task) {
    job *j = context;
    size_t end = (task + 1) * j->per_task;
    if (end > j->batch->count) end = j->batch->count;
    mq_sim_work work;
    mq_status status = mq_sim_reference_begin(j->engine->reference, j->batch, &work, &j->error[task]);
    for (size_t i = task * j->per_task; i < end && status == MQ_OK; i++)
        status = run_image(j, &work, i, &j->error[task]);
    mq_sim_reference_end(&work);
    j->status[task] = status;
}

static mq_status run(const void *engine, const mq_sim_batch *batch, mq_error *error) {
    job *j;
    MQ_TRY(mq_alloc(1, sizeof *j, "packed simulator", &j, error));
    j->engine = engine;
    j->batch = batch;
    j->per_task = mq_task_count(batch->count, MAX_TASKS);
    size_t tasks = mq_task_count(batch->count, j->per_task);
    mq_parallel(tasks, run_task, j);
    mq_status status = MQ_OK;
    for (size_t t = 0; status == MQ_OK && t < tasks; t++) {
        status = j->status[t];
        if (status != MQ_OK && error) *error = j->error[t];
    }
    mq_free(j);
    return status;
}

static const char *kernels(const void *engine) {
    (void)engine;
    return "packed words";
}

const mq_sim_engine_row mq_sim_row_PACKED = {
    .create = create, .release = release, .run = run, .kernels = kernels};
