/* sim_fast.c - the fast engine: threads over images, or over the rows of a single one. */
#include "sim/sim_fast.h"

#include <string.h>

#include "base/machine.h"
#include "base/parallel.h"

enum {
    GROUP_BYTES = 512 << 10, /* of images that one thread takes through the network together */
    GROUP_IMAGES = 8,
    ROW_TASKS = 16 /* parts of a node that threads share */
};

static void release(void *engine) {
    mq_fast *f = engine;
    if (!f) return;
    mq_arena_destroy(f->arena);
    mq_free(f);
}

static mq_status create(const mq_inet *net, const mq_sim_options *options, void **out, mq_error *error) {
    mq_fast *f = NULL;
    *out = NULL;
    const mq_fast_kernels *kernels = mq_fast_kernels_for(options->cpu);
    if (!kernels)
        return mq_fail(error, MQ_USAGE, "this processor has no %s: choose other kernels",
                       mq_sim_cpu_name(options->cpu));
    MQ_TRY(mq_alloc(1, sizeof *f, "simulator", &f, error));
    f->net = net;
    f->kernels = kernels;
    mq_status status = mq_fast_prepare(f, error);
    if (status != MQ_OK) {
        release(f);
        return status;
    }
    *out = f;
    return MQ_OK;
}

static const char *kernels(const void *engine) {
    return ((const mq_fast *)engine)->kernels->name;
}

/* ---- running ---- */

typedef struct job {
    const mq_fast *f;
    const mq_sim_batch *batch;
    mq_fast_level level;
    size_t group; /* images of a thread's memory */
    size_t tasks;
    mq_status *status; /* [tasks] */
    mq_error *error;   /* [tasks] */
    /* of threads over rows */
    mq_fast_work *work;
    int node;
} job;

static size_t work_bytes(const job *j) {
    const mq_fast *f = j->f;
    return j->group * f->memory[j->level] + f->scratch + (j->batch->visitor ? f->largest * 8 : 0) +
           f->reference.memory * 8 + f->reference.patch * 2;
}

static void close_work(mq_fast_work *w) {
    mq_free(w->memory);
    mq_free(w->scratch);
    mq_free(w->seen);
    mq_free(w->reference.memory);
    mq_free(w->reference.patch);
}

static mq_status open_work(const job *j, mq_fast_work *w, mq_error *error) {
    const mq_fast *f = j->f;
    *w = (mq_fast_work){.level = j->level};
    MQ_TRY(mq_alloc(j->group, f->memory[j->level], "simulator", &w->memory, error));
    MQ_TRY(mq_alloc(f->scratch, 1, "simulator", &w->scratch, error));
    if (j->batch->visitor) MQ_TRY(mq_alloc(f->largest, sizeof *w->seen, "simulator", &w->seen, error));
    if (!f->slow) return MQ_OK;
    MQ_TRY(mq_alloc(f->reference.memory, sizeof(int64_t), "simulator", &w->reference.memory, error));
    return mq_alloc(f->reference.patch, sizeof(int16_t), "simulator", &w->reference.patch, error);
}

static void show(const job *j, mq_fast_work *w, int n, size_t first, size_t images) {
    const mq_sim_visitor *visitor = j->batch->visitor;
    const mq_fast *f = j->f;
    const int stored = f->net->nodes[n].kind == MQ_INET_OUTPUT ? f->net->nodes[n].input[0] : n;
    for (size_t i = 0; i < images; i++) {
        mq_fast_get_codes(f, stored, mq_fast_memory(f, w, stored, i), w->seen);
        visitor->see(visitor->context, first + i, n, w->seen);
    }
}

static mq_fast_part whole(const mq_fast *f, int n, size_t images) {
    return (mq_fast_part){
        .image_end = images, .row_end = f->net->nodes[n].edge.h, .super_end = f->node[n].super_count};
}

/* One thread: successive images, a group at a time through all nodes. */
static void run_images(void *context, size_t task) {
    job *j = context;
    const size_t count = j->batch->count, begin = count * task / j->tasks,
                 end = count * (task + 1) / j->tasks;
    mq_fast_work w;
    j->status[task] = open_work(j, &w, &j->error[task]);
    for (size_t first = begin; j->status[task] == MQ_OK && first < end; first += j->group) {
        const size_t images = end - first < j->group ? end - first : j->group;
        for (int n = 0; n < j->f->net->node_count; n++) {
            const mq_fast_part part = whole(j->f, n, images);
            if (!mq_fast_is_fused(j->f, n, j->level)) mq_fast_put_zeros(j->f, &w, n, 0, images);
            mq_fast_run_node(j->f, &w, n, j->batch, first, &part);
            if (j->batch->visitor) show(j, &w, n, first, images);
        }
    }
    close_work(&w);
}

/* One piece of one node: some rows, or where there are few of them some channels. */
static void run_piece(void *context, size_t task) {
    const job *j = context;
    mq_fast_part part = whole(j->f, j->node, j->batch->count);
    const int pieces = (int)j->tasks, t = (int)task;
    if (part.row_end >= part.super_end) {
        const int rows = part.row_end;
        part.row = rows * t / pieces;
        part.row_end = rows * (t + 1) / pieces;
    } else {
        const int supers = part.super_end;
        part.super = supers * t / pieces;
        part.super_end = supers * (t + 1) / pieces;
    }
    mq_fast_run_node(j->f, j->work, j->node, j->batch, 0, &part);
}

/* Fewer images than threads: all threads share each node. */
static mq_status run_rows(job *j, mq_error *error) {
    mq_fast_work w;
    mq_status status = open_work(j, &w, error);
    /* cppcheck-suppress autoVariables ; taken back before w ends */
    j->work = &w;
    for (int n = 0; status == MQ_OK && n < j->f->net->node_count; n++) {
        const mq_fast_part part = whole(j->f, n, j->batch->count);
        const int most = part.row_end > part.super_end ? part.row_end : part.super_end;
        j->node = n;
        j->tasks = j->f->node[n].slow ? 1 : (size_t)(most < ROW_TASKS ? most : ROW_TASKS);
        if (mq_fast_is_fused(j->f, n, j->level)) continue;
        mq_fast_put_zeros(j->f, &w, n, 0, j->batch->count);
        mq_parallel(j->tasks, run_piece, j);
        if (j->batch->visitor) show(j, &w, n, 0, j->batch->count);
    }
    j->work = NULL;
    close_work(&w);
    return status;
}

static mq_status run_groups(job *j, mq_error *error) {
    mq_status status = MQ_OK;
    MQ_TRY_GOTO(mq_alloc(j->tasks, sizeof *j->status, "simulator", &j->status, error), done);
    MQ_TRY_GOTO(mq_alloc(j->tasks, sizeof *j->error, "simulator", &j->error, error), done);
    mq_parallel(j->tasks, run_images, j);
    for (size_t t = 0; status == MQ_OK && t < j->tasks; t++) {
        status = j->status[t];
        if (status != MQ_OK && error) *error = j->error[t];
    }
done:
    mq_free(j->status);
    mq_free(j->error);
    return status;
}

static mq_status run(const void *engine, const mq_sim_batch *batch, mq_error *error) {
    job j = {.f = engine, .batch = batch, .tasks = (size_t)mq_threads()};
    const bool rows = batch->count < j.tasks;
    j.level = batch->visitor ? MQ_FAST_ALL : rows ? MQ_FAST_LAYERS : MQ_FAST_POOLS;
    j.group = GROUP_BYTES / j.f->memory[j.level];
    if (j.group > GROUP_IMAGES) j.group = GROUP_IMAGES;
    if (j.group < 1) j.group = 1;
    if (rows) j.group = batch->count;
    double need = (double)work_bytes(&j) * (rows ? 1 : (double)j.tasks), have = (double)mq_physical_memory();
    if (need > have)
        return mq_fail(error, MQ_BAD_INPUT,
                       "the network needs %.1f GB to simulate on %d threads, this machine has %.1f GB",
                       need / 1e9, mq_threads(), have / 1e9);
    return rows ? run_rows(&j, error) : run_groups(&j, error);
}

const mq_sim_engine_row mq_sim_row_FAST = {
    .create = create, .release = release, .run = run, .kernels = kernels};
