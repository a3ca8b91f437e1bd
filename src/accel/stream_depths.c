/* stream_depths.c - the least depths at which nothing waits longer than for the slowest stage. */
#include "accel/streams.h"

#include "base/memory.h"

enum { FRAMES = 4, FIRST_DEPTH = 2, MARGIN = 8 };

typedef struct job {
    const mq_pipeline *p;
    mq_inet_plan *plan;
    int64_t goal; /* interval */
    mq_error *error;
} job;

static mq_status try_depths(job *j, bool *good, mq_streams_run *run) {
    MQ_TRY(mq_streams_simulate(j->p, FRAMES, run, j->error));
    *good = !run->deadlock && run->interval <= j->goal;
    return MQ_OK;
}

/* Every edge between stages, in the plan's list. */
static mq_status list_edges(job *j) {
    const mq_inet *net = j->p->net;
    mq_inet_plan *plan = j->plan;
    mq_free(plan->stream);
    plan->stream = NULL;
    plan->streams = 0;
    MQ_TRY(mq_alloc((size_t)net->node_count * MQ_INET_MAX_INPUTS, sizeof *plan->stream, "streams",
                    &plan->stream, j->error));
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        for (int k = 0; k < n->input_count && n->kind != MQ_INET_REQUANT; k++) {
            if (plan->streams == MQ_PLAN_STREAMS)
                return mq_fail(j->error, MQ_BAD_INPUT, "more than %d streams", MQ_PLAN_STREAMS);
            plan->stream[plan->streams++] = (mq_plan_stream){n->input[k], i, 0};
        }
    }
    return MQ_OK;
}

static void set_all(job *j, int64_t depth) {
    for (int i = 0; i < j->plan->streams; i++) j->plan->stream[i].depth = depth;
}

/* Whole frames on an edge, at most. */
static int64_t most_depth(const job *j) {
    int64_t most = 1;
    for (int i = 0; i < j->p->count; i++) {
        int64_t beats = mq_stream_beats(&j->p->stage[i].out);
        if (beats > most) most = beats;
    }
    return most;
}

/* The least depth of one edge, the others as they are. */
static mq_status shrink(job *j, mq_plan_stream *s) {
    int64_t low = -1, high = s->depth; /* low fails, high is good */
    while (high - low > 1) {
        bool good;
        mq_streams_run run;
        s->depth = low < 0 ? 0 : low + (high - low) / 2;
        MQ_TRY(try_depths(j, &good, &run));
        if (good)
            high = s->depth;
        else
            low = s->depth;
    }
    s->depth = high;
    return MQ_OK;
}

static mq_status find(job *j) {
    bool good;
    mq_streams_run run;
    MQ_TRY(try_depths(j, &good, &run));
    if (good) return MQ_OK;
    int64_t depth = FIRST_DEPTH, most = most_depth(j);
    for (; !good && depth < 2 * most; depth *= 2) {
        set_all(j, depth);
        MQ_TRY(try_depths(j, &good, &run));
    }
    if (!good) { /* no depth reaches the slowest stage's interval: the best there is */
        MQ_TRY(mq_streams_refuse(j->p, &run, j->error));
        j->goal = run.interval;
    }
    /* Most often only the joins need one, and there the stream that leaves first: it is made small last. */
    depth = j->plan->stream[0].depth;
    good = false;
    for (int64_t more = depth; !good && more <= 4 * depth; more *= 2) {
        for (int i = 0; i < j->plan->streams; i++)
            j->plan->stream[i].depth = j->p->net->nodes[j->plan->stream[i].to].input_count < 2 ? 0 : more;
        MQ_TRY(try_depths(j, &good, &run));
    }
    if (!good) set_all(j, depth);
    for (int i = j->plan->streams - 1; i >= 0; i--)
        if (j->plan->stream[i].depth) MQ_TRY(shrink(j, &j->plan->stream[i]));
    return MQ_OK;
}

mq_status mq_streams_depths(const mq_pipeline *pipeline, mq_inet_plan *plan, mq_error *error) {
    job j = {pipeline, plan, pipeline->stage[pipeline->slowest].cycles, error};
    MQ_TRY(list_edges(&j));
    MQ_TRY(find(&j));
    int kept = 0;
    for (int i = 0; i < plan->streams; i++) {
        if (!plan->stream[i].depth) continue;
        plan->stream[kept] = plan->stream[i];
        plan->stream[kept++].depth += plan->stream[i].depth / MARGIN; /* for what beats alone do not show */
    }
    plan->streams = kept;
    return MQ_OK;
}
