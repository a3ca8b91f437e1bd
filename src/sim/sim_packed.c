/* sim_packed.c - the packed engine: the reference's network, its layers through the slices of the plan. */
#include "base/memory.h"
#include "sim/packed_layer.h"

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

static mq_status run_node(const void *engine, const mq_sim_reference *sim, int n, mq_sim_work *work,
                          mq_error *error) {
    const packed *e = engine;
    if (e->layer[n]) return mq_packed_layer_run(e->layer[n], work, error);
    mq_sim_reference_node(sim, n, work);
    return MQ_OK;
}

static mq_status run(const void *engine, const mq_sim_batch *batch, mq_error *error) {
    const packed *e = engine;
    return mq_sim_reference_over(e->reference, e, run_node, batch, error);
}

static const char *kernels(const void *engine) {
    (void)engine;
    return "packed words";
}

const mq_sim_engine_row mq_sim_row_PACKED = {
    .create = create, .release = release, .run = run, .kernels = kernels};
