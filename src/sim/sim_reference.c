/* sim_reference.c - the reference engine: preparing a network and running images through it, node after node.
 */
#include "sim/sim_reference.h"

#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"

enum { MAX_TASKS = 64 };

static size_t edge_count(const mq_inet_edge *edge) {
    return (size_t)edge->h * (size_t)edge->w * (size_t)edge->c;
}

mq_status mq_sim_place_edges(mq_sim_reference *sim, mq_error *error) {
    const mq_inet *net = sim->net;
    size_t *need, n = (size_t)net->node_count;
    int *last_reader;
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *need, "simulator", &need, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *last_reader, "simulator", &last_reader, error));
    for (int i = 0; i < net->node_count; i++) {
        need[i] = edge_count(&net->nodes[i].edge);
        for (int k = 0; k < net->nodes[i].input_count; k++) last_reader[net->nodes[i].input[k]] = i;
    }
    return mq_sim_place(sim->arena, n, need, last_reader, sim->offset, &sim->memory, error);
}

static mq_status prepare(mq_sim_reference *sim, mq_error *error) {
    size_t n = (size_t)sim->net->node_count;
    MQ_TRY(mq_arena_create(&sim->arena, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *sim->layer, "simulator", &sim->layer, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *sim->offset, "simulator", &sim->offset, error));
    for (int i = 0; i < sim->net->node_count; i++) {
        mq_inet_kind kind = sim->net->nodes[i].kind;
        if (kind == MQ_INET_CONV || kind == MQ_INET_LINEAR) MQ_TRY(mq_sim_layer_prepare(sim, i, error));
    }
    return mq_sim_place_edges(sim, error);
}

static void release(void *engine) {
    mq_sim_reference *sim = engine;
    if (!sim) return;
    mq_arena_destroy(sim->arena);
    mq_free(sim);
}

static mq_status create(const mq_inet *net, const mq_sim_options *options, void **out, mq_error *error) {
    (void)options;
    *out = NULL;
    mq_sim_reference *sim = NULL;
    MQ_TRY(mq_alloc(1, sizeof *sim, "simulator", &sim, error));
    sim->net = net;
    mq_status status = prepare(sim, error);
    if (status != MQ_OK) {
        release(sim);
        return status;
    }
    *out = sim;
    return MQ_OK;
}

/* ---- running ---- */

typedef struct job {
    const mq_sim_reference *sim;
    const void *engine;
    mq_sim_run_node node;
    const mq_sim_batch *batch;
    size_t per_task;
    mq_status status[MAX_TASKS];
    mq_error error[MAX_TASKS];
} job;

void mq_sim_reference_node(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    static void (*const table[])(const mq_sim_reference *, int, mq_sim_work *) = {
#define RUN(id, name, least, most) mq_sim_run_##id,
        MQ_INET_KINDS(RUN)
#undef RUN
    };
    table[sim->net->nodes[n].kind](sim, n, work);
}

static void put_outputs(const mq_sim_reference *sim, const mq_sim_batch *batch, const mq_sim_work *work,
                        size_t image) {
    const mq_inet *net = sim->net;
    const mq_inet_edge *out = &mq_inet_last(net)->edge;
    const int64_t *codes = mq_sim_codes(sim, work, net->node_count - 1);
    size_t pixels = (size_t)out->h * (size_t)out->w, channels = (size_t)out->c;
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++)
            mq_sim_put_output(net, batch, (image * channels + c) * pixels + p, codes[p * channels + c]);
}

static mq_status run_image(const job *j, mq_sim_work *work, size_t image, mq_error *error) {
    const mq_inet *net = j->sim->net;
    const mq_sim_visitor *visitor = j->batch->visitor;
    work->image = j->batch->images + image * edge_count(&net->nodes[0].edge);
    for (int n = 0; n < net->node_count; n++) {
        mq_status status = j->node(j->engine, j->sim, n, work, error);
        if (status != MQ_OK)
            return mq_fail_context(error, status, "layer %s, image %zu", net->nodes[n].name, image);
        if (visitor) visitor->see(visitor->context, image, n, mq_sim_codes(j->sim, work, n));
    }
    put_outputs(j->sim, j->batch, work, image);
    return MQ_OK;
}

static void run_task(void *context, size_t task) {
    job *j = context;
    mq_error *error = &j->error[task];
    size_t first = task * j->per_task, end = first + j->per_task;
    if (end > j->batch->count) end = j->batch->count;
    mq_sim_work work = {.layout = j->batch->layout};
    mq_status status = mq_alloc(j->sim->memory, sizeof *work.memory, "simulator", &work.memory, error);
    if (status == MQ_OK)
        status = mq_alloc(j->sim->patch, sizeof *work.patch, "simulator", &work.patch, error);
    for (size_t i = first; i < end && status == MQ_OK; i++) status = run_image(j, &work, i, error);
    mq_free(work.patch);
    mq_free(work.memory);
    j->status[task] = status;
}

mq_status mq_sim_reference_over(const mq_sim_reference *sim, const void *engine, mq_sim_run_node node,
                                const mq_sim_batch *batch, mq_error *error) {
    double need = (double)(sim->memory + sim->patch) * 8 * mq_threads(), have = (double)mq_physical_memory();
    if (need > have)
        return mq_fail(error, MQ_BAD_INPUT,
                       "the network needs %.1f GB to simulate on %d threads, this machine has %.1f GB",
                       need / 1e9, mq_threads(), have / 1e9);
    job *j = NULL;
    MQ_TRY(mq_alloc(1, sizeof *j, "simulator", &j, error));
    j->sim = sim;
    j->engine = engine;
    j->node = node;
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

static mq_status run_node(const void *engine, const mq_sim_reference *sim, int n, mq_sim_work *work,
                          mq_error *error) {
    (void)engine;
    (void)error;
    mq_sim_reference_node(sim, n, work);
    return MQ_OK;
}

static mq_status run(const void *engine, const mq_sim_batch *batch, mq_error *error) {
    return mq_sim_reference_over(engine, engine, run_node, batch, error);
}

const mq_sim_engine_row mq_sim_row_REFERENCE = {.create = create, .release = release, .run = run};
