/* sim.c - preparing a network and running images through it, node after node. */
#include "sim/sim.h"

#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "sim/sim_internal.h"

enum { MAX_TASKS = 64 };

static size_t edge_count(const mq_inet_edge *edge) {
    return (size_t)edge->h * (size_t)edge->w * (size_t)edge->c;
}

/* Gives every node a place for its codes: the largest place that no later node reads any more, or a new one.
 */
static mq_status place_edges(mq_sim *sim, mq_error *error) {
    const mq_inet *net = sim->net;
    size_t n = (size_t)net->node_count, places = 0;
    size_t *size, *start;
    int *place, *last_reader, *owner;
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *size, "simulator", &size, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *start, "simulator", &start, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *place, "simulator", &place, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *last_reader, "simulator", &last_reader, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *owner, "simulator", &owner, error));
    for (int i = 0; i < net->node_count; i++)
        for (int k = 0; k < net->nodes[i].input_count; k++) last_reader[net->nodes[i].input[k]] = i;
    for (int i = 0; i < net->node_count; i++) {
        size_t best = places;
        for (size_t p = 0; p < places; p++)
            if (last_reader[owner[p]] < i && (best == places || size[p] > size[best])) best = p;
        if (best == places) places++;
        size_t need = edge_count(&net->nodes[i].edge);
        if (size[best] < need) size[best] = need;
        owner[best] = i;
        place[i] = (int)best;
    }
    for (size_t p = 0; p < places; p++) {
        start[p] = sim->memory;
        sim->memory += size[p];
    }
    for (size_t i = 0; i < n; i++) sim->offset[i] = start[place[i]];
    return MQ_OK;
}

static mq_status prepare(mq_sim *sim, mq_error *error) {
    size_t n = (size_t)sim->net->node_count;
    MQ_TRY(mq_arena_create(&sim->arena, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *sim->layer, "simulator", &sim->layer, error));
    MQ_TRY(mq_arena_alloc(sim->arena, n, sizeof *sim->offset, "simulator", &sim->offset, error));
    for (int i = 0; i < sim->net->node_count; i++) {
        mq_inet_kind kind = sim->net->nodes[i].kind;
        if (kind == MQ_INET_CONV || kind == MQ_INET_LINEAR) MQ_TRY(mq_sim_layer_prepare(sim, i, error));
    }
    return place_edges(sim, error);
}

mq_status mq_sim_create(const mq_inet *net, mq_sim **out, mq_error *error) {
    *out = NULL;
    mq_sim *sim = NULL;
    MQ_TRY(mq_alloc(1, sizeof *sim, "simulator", &sim, error));
    sim->net = net;
    mq_status status = prepare(sim, error);
    if (status != MQ_OK) {
        mq_sim_free(sim);
        return status;
    }
    *out = sim;
    return MQ_OK;
}

void mq_sim_free(mq_sim *sim) {
    if (!sim) return;
    mq_arena_destroy(sim->arena);
    mq_free(sim);
}

/* ---- running ---- */

typedef struct job {
    const mq_sim *sim;
    const uint8_t *images;
    size_t count, per_task;
    mq_sim_layout layout;
    const mq_sim_visitor *visitor;
    int64_t *out;
    float *values;
    mq_status status[MAX_TASKS];
    mq_error error[MAX_TASKS];
} job;

static void run_image(const job *j, mq_sim_work *work, size_t image) {
    static void (*const table[])(const mq_sim *, int, mq_sim_work *) = {
#define RUN(id, name, least, most) mq_sim_run_##id,
        MQ_INET_KINDS(RUN)
#undef RUN
    };
    const mq_sim *sim = j->sim;
    const mq_inet *net = sim->net;
    work->image = j->images + image * edge_count(&net->nodes[0].edge);
    for (int n = 0; n < net->node_count; n++) {
        table[net->nodes[n].kind](sim, n, work);
        if (j->visitor) j->visitor->see(j->visitor->context, image, n, mq_sim_codes(sim, work, n));
    }

    const mq_inet_node *last = mq_inet_last(net);
    const int64_t *codes = mq_sim_codes(sim, work, net->node_count - 1);
    size_t pixels = (size_t)last->edge.h * (size_t)last->edge.w, channels = (size_t)last->edge.c;
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            size_t at = (image * channels + c) * pixels + p;
            int64_t acc = codes[p * channels + c];
            if (j->out) j->out[at] = acc;
            if (j->values) j->values[at] = (float)acc / (float)last->output.divisor;
        }
    }
}

static void run_task(void *context, size_t task) {
    job *j = context;
    size_t first = task * j->per_task, end = first + j->per_task < j->count ? first + j->per_task : j->count;
    mq_sim_work work = {.layout = j->layout};
    mq_status status =
        mq_alloc(j->sim->memory, sizeof *work.memory, "simulator", &work.memory, &j->error[task]);
    if (status == MQ_OK)
        status = mq_alloc(j->sim->patch, sizeof *work.patch, "simulator", &work.patch, &j->error[task]);
    if (status == MQ_OK)
        for (size_t i = first; i < end; i++) run_image(j, &work, i);
    mq_free(work.patch);
    mq_free(work.memory);
    j->status[task] = status;
}

mq_status mq_sim_run(const mq_sim *sim, const uint8_t *images, size_t count, mq_sim_layout layout,
                     const mq_sim_visitor *visitor, int64_t *out, float *values, mq_error *error) {
    if (count == 0) return MQ_OK;
    double need = (double)(sim->memory + sim->patch) * 8 * mq_threads(), have = (double)mq_physical_memory();
    if (need > have)
        return mq_fail(error, MQ_BAD_INPUT,
                       "the network needs %.1f GB to simulate on %d threads, this machine has %.1f GB",
                       need / 1e9, mq_threads(), have / 1e9);
    job *j = NULL;
    MQ_TRY(mq_alloc(1, sizeof *j, "simulator", &j, error));
    *j = (job){.sim = sim, .images = images, .count = count, .layout = layout};
    j->visitor = visitor;
    j->out = out;
    j->values = values;
    j->per_task = mq_task_count(count, MAX_TASKS);
    size_t tasks = mq_task_count(count, j->per_task);
    mq_parallel(tasks, run_task, j);
    mq_status status = MQ_OK;
    for (size_t t = 0; status == MQ_OK && t < tasks; t++) {
        status = j->status[t];
        if (status != MQ_OK && error) *error = j->error[t];
    }
    mq_free(j);
    return status;
}
