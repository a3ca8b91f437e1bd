/* streams.c - the token simulator. */
#include "accel/streams.h"

#include <string.h>

#include "base/memory.h"

enum {
    REGISTERS = 2, /* beats that an edge without a FIFO holds */
    MOST_FRAMES = 16
};

typedef struct edge {
    int from, to; /* nodes of the network */
    int input;    /* of the reader */
    int64_t room, held;
} edge;

/* A block on its way through the pipeline. */
typedef struct flight {
    int64_t time;
    int beats;
} flight;

typedef struct actor {
    int node;
    mq_inet_kind kind;
    const mq_pipeline_stage *stage;
    int inputs, in[MQ_INET_MAX_INPUTS]; /* edges */
    int outs, *out;
    mq_stream from, to;           /* beats of the first input, and those sent */
    int64_t from_beats, to_beats; /* of a row */
    int64_t row_in, beat_in;      /* rows arrived (all frames), beats of the row that arrives */
    int64_t row_out, beat_out;    /* of what leaves */
    int64_t frames;               /* sent, or ended at the output */
    /* layers */
    int64_t y, place; /* output row and block of the frame; place = group * in_blocks + block */
    int64_t frame, busy_until;
    bool running, flushing;
    int64_t group_beats, gathered,
        gather;                  /* beats of a row's channel group; of a ring's word, arrived and all */
    int64_t parts, writes_until; /* words that they fall into, one a cycle */
    bool word_waits;
    int latency;
    int64_t queued, reserved, capacity; /* beats behind the requantiser: there, and promised */
    int held;                           /* beats of the block before, which the next block completes */
    flight *flight;
    int first, count, room;
} actor;

typedef struct simulation {
    const mq_pipeline *p;
    int actors, edges;
    actor *actor;
    edge *edge;
    int frames;
    int64_t now, ends[MOST_FRAMES];
    mq_arena *arena;
    mq_error *error;
} simulation;

static bool is_layer(mq_inet_kind kind) {
    return kind == MQ_INET_CONV || kind == MQ_INET_LINEAR;
}

int64_t mq_streams_depth(const mq_inet_plan *plan, int from, int to) {
    for (int i = 0; i < plan->streams; i++)
        if (plan->stream[i].from == from && plan->stream[i].to == to) return plan->stream[i].depth;
    return 0;
}

/* ---- setting up ---- */

/* The node whose stage sends node i's stream. */
static int sender(const mq_inet *net, int i) {
    return net->nodes[i].kind == MQ_INET_REQUANT ? net->nodes[i].input[0] : i;
}

static mq_status make_layer(simulation *s, actor *a) {
    const mq_stage *g = &a->stage->stage;
    int beats = g->npx / a->to.pixels;
    a->capacity = mq_pipeline_fifo(a->stage->layer, g);
    a->latency = mq_pipeline_latency(a->stage->layer);
    a->room = (int)(a->capacity / beats) + 3;
    a->group_beats = (a->from.w + a->from.pixels - 1) / a->from.pixels;
    a->gather = g->linear ? 1 : g->npx / a->from.pixels;
    a->parts = mq_stage_parts(a->stage->layer, g, &a->from);
    return mq_arena_alloc(s->arena, (size_t)a->room, sizeof *a->flight, "a simulation", &a->flight, s->error);
}

static mq_status make(simulation *s) {
    const mq_inet *net = s->p->net;
    int *of_node;
    MQ_TRY(mq_arena_create(&s->arena, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, (size_t)net->node_count, sizeof *s->actor, "a simulation", &s->actor,
                          s->error));
    MQ_TRY(mq_arena_alloc(s->arena, (size_t)net->node_count * MQ_INET_MAX_INPUTS, sizeof *s->edge,
                          "a simulation", &s->edge, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, (size_t)net->node_count, sizeof *of_node, "a simulation", &of_node,
                          s->error));
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        if (n->kind == MQ_INET_REQUANT) continue;
        of_node[i] = s->actors;
        actor *a = &s->actor[s->actors++];
        *a = (actor){.node = i, .kind = n->kind, .stage = &s->p->stage[i], .to = s->p->stage[i].out};
        for (int k = 0; k < n->input_count; k++) {
            a->in[a->inputs++] = s->edges;
            s->edge[s->edges] = (edge){.from = n->input[k], .to = i, .input = k};
            s->edge[s->edges++].room = REGISTERS + mq_streams_depth(s->p->plan, n->input[k], i);
        }
        if (a->inputs) {
            a->from = s->p->stage[n->input[0]].out;
            a->from_beats = mq_stream_row_beats(&a->from);
        }
        a->to_beats = mq_stream_row_beats(&a->to);
        MQ_TRY(mq_arena_alloc(s->arena, (size_t)net->node_count, sizeof *a->out, "a simulation", &a->out,
                              s->error));
        if (is_layer(n->kind)) MQ_TRY(make_layer(s, a));
    }
    for (int e = 0; e < s->edges; e++) {
        actor *a = &s->actor[of_node[sender(net, s->edge[e].from)]];
        a->out[a->outs++] = e;
    }
    return MQ_OK;
}

/* ---- beats ---- */

static bool can_send(const simulation *s, const actor *a) {
    for (int i = 0; i < a->outs; i++)
        if (s->edge[a->out[i]].held >= s->edge[a->out[i]].room) return false;
    return true;
}

static void send(simulation *s, actor *a) {
    for (int i = 0; i < a->outs; i++) s->edge[a->out[i]].held++;
    if (++a->beat_out < a->to_beats) return;
    a->beat_out = 0;
    if (++a->row_out % a->to.h == 0) a->frames++;
}

static void take(simulation *s, actor *a, int input) {
    s->edge[a->in[input]].held--;
}

/* A beat of the only input arrives; true at the end of its row. */
static bool arrive(simulation *s, actor *a) {
    take(s, a, 0);
    if (++a->beat_in < a->from_beats) return false;
    a->beat_in = 0;
    a->row_in++;
    return true;
}

/* ---- stages: true when something happened ---- */

static bool run_image(simulation *s, actor *a) {
    if (a->frames >= s->frames || !can_send(s, a)) return false;
    send(s, a);
    return true;
}

static bool run_output(simulation *s, actor *a) {
    if (s->edge[a->in[0]].held == 0) return false;
    if (arrive(s, a) && a->row_in % a->from.h == 0) {
        if (a->frames < MOST_FRAMES) s->ends[a->frames] = s->now;
        a->frames++;
    }
    return true;
}

/* Rows that an output row of this frame reads, counted over all frames: first and one past the last. */
static void window(const actor *a, int64_t *first, int64_t *end) {
    const mq_stage *g = &a->stage->stage;
    if (g->linear) { /* the whole frame */
        *first = a->frame * a->from.h;
        *end = *first + a->from.h;
        return;
    }
    int64_t low = a->y - g->pad_top, high = low + g->kernel_h;
    if (low < 0) low = 0;
    if (low > g->in_h) low = g->in_h;
    if (high > g->in_h) high = g->in_h;
    if (high < 0) high = 0;
    *first = a->frame * g->in_h + low;
    *end = a->frame * g->in_h + high;
}

static bool start_block(simulation *s, actor *a) {
    const mq_stage *g = &a->stage->stage;
    int64_t first, end;
    if (a->flushing) {
        a->flushing = false;
        a->running = true;
        a->busy_until = s->now + g->flush;
        a->place = -1;
        return true;
    }
    if (a->frame >= s->frames) return false;
    window(a, &first, &end);
    int beats = g->npx / a->to.pixels;
    if (a->row_in < end || a->reserved + a->queued + beats > a->capacity) return false;
    a->running = true;
    a->busy_until = s->now + g->steps;
    a->reserved += beats;
    return true;
}

static void fly(simulation *s, actor *a, int beats) {
    if (beats) a->flight[(a->first + a->count++) % a->room] = (flight){s->now + a->latency, beats};
}

static void end_block(simulation *s, actor *a) {
    const mq_stage *g = &a->stage->stage;
    a->running = false;
    fly(s, a, a->held);
    a->held = 0;
    if (a->place < 0) { /* flushed */
        a->place = 0;
        return;
    }
    /* beats of a row beyond its last pixel are not sent */
    int64_t block = a->place % g->in_blocks, beats = g->npx / a->to.pixels,
            last = (a->to.w + a->to.pixels - 1) / a->to.pixels - block * beats;
    int64_t sent = last < beats ? (last > 0 ? last : 0) : beats;
    a->reserved -= beats - sent;
    /* The last coefficients of a block wait for the next one, be it of the next row. */
    if (g->flush > 0)
        a->held = (int)sent;
    else
        fly(s, a, (int)sent);
    if (++a->place < (int64_t)g->groups * g->in_blocks) return;
    a->place = 0;
    if (++a->y < g->out_h) return;
    a->y = 0;
    a->frame++;
    a->flushing = g->flush > 0;
}

/* A beat for the ring. Beats of more channels than a word has are written word by word, while the next ones
 * are gathered. */
static void gather(simulation *s, actor *a) {
    bool group_ends = (a->beat_in + 1) % a->group_beats == 0;
    arrive(s, a);
    if (++a->gathered < a->gather && !group_ends) return;
    a->gathered = 0;
    a->word_waits = a->parts > 1;
}

static bool run_layer(simulation *s, actor *a) {
    const mq_stage *g = &a->stage->stage;
    bool moved = false;
    if (a->word_waits && a->writes_until <= s->now) {
        a->word_waits = false;
        a->writes_until = s->now + a->parts;
        moved = true;
    }
    if (a->queued > 0 && can_send(s, a)) {
        send(s, a);
        a->queued--;
        moved = true;
    }
    while (a->count && a->flight[a->first].time <= s->now) {
        a->queued += a->flight[a->first].beats;
        a->reserved -= a->flight[a->first].beats;
        a->first = (a->first + 1) % a->room;
        a->count--;
        moved = true;
    }
    if (a->running && a->busy_until <= s->now) {
        end_block(s, a);
        moved = true;
    }
    if (!a->running && a->count + 1 < a->room && start_block(s, a)) moved = true;
    int64_t first, end, rows = g->linear ? 2 * a->from.h : g->kernel_h + 1;
    window(a, &first, &end);
    if (s->edge[a->in[0]].held > 0 && a->row_in < first + rows && !a->word_waits) {
        gather(s, a);
        moved = true;
    }
    return moved;
}

/* Rows kept: output rows wait for all of theirs, the last one leaves as it arrives. */
static bool run_pool(simulation *s, actor *a) {
    const int k = s->p->net->nodes[a->node].pool.kernel;
    if (s->edge[a->in[0]].held == 0) return false;
    int64_t y = a->row_in % a->from.h;
    bool sends = y / k < a->to.h && y % k == k - 1;
    int64_t ratio = a->from.pixels == 1 ? k : 1;
    int64_t across = (a->from.w + a->from.pixels - 1) / a->from.pixels, x = a->beat_in % across;
    sends = sends && x % ratio == ratio - 1 && x / ratio < (a->to.w + a->to.pixels - 1) / a->to.pixels;
    if (sends && !can_send(s, a)) return false;
    if (sends) send(s, a);
    arrive(s, a);
    return true;
}

/* Two rows are written while two others are read. */
static bool run_reorg(simulation *s, actor *a) {
    bool moved = false;
    if (a->row_in / 2 > a->row_out && can_send(s, a)) {
        send(s, a);
        moved = true;
    }
    if (s->edge[a->in[0]].held > 0 && a->row_in / 2 < a->row_out + 2) {
        arrive(s, a);
        moved = true;
    }
    return moved;
}

static bool run_concat(simulation *s, actor *a) {
    const mq_inet_node *n = &s->p->net->nodes[a->node];
    int64_t at = a->beat_out;
    int input = 0;
    for (; input < a->inputs - 1; input++) {
        int64_t beats = mq_stream_row_beats(&s->p->stage[n->input[input]].out);
        if (at < beats) break;
        at -= beats;
    }
    if (s->edge[a->in[input]].held == 0 || !can_send(s, a)) return false;
    take(s, a, input);
    send(s, a);
    return true;
}

static bool run_actor(simulation *s, actor *a) {
    switch (a->kind) {
    case MQ_INET_IMAGE:
        return run_image(s, a);
    case MQ_INET_OUTPUT:
        return run_output(s, a);
    case MQ_INET_MAX_POOL:
        return run_pool(s, a);
    case MQ_INET_REORG:
        return run_reorg(s, a);
    case MQ_INET_CONCAT:
        return run_concat(s, a);
    default:
        return run_layer(s, a);
    }
}

/* The next cycle at which a layer's own clock moves something; INT64_MAX: never. */
static int64_t next_time(const simulation *s) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < s->actors; i++) {
        const actor *a = &s->actor[i];
        if (!is_layer(a->kind)) continue;
        if (a->running && a->busy_until < next) next = a->busy_until;
        if (a->word_waits && a->writes_until < next) next = a->writes_until;
        if (a->count && a->flight[a->first].time < next) next = a->flight[a->first].time;
    }
    return next;
}

/* The full edge farthest down, and an empty one that its reader's side waits for. */
static void find_deadlock(const simulation *s, mq_streams_run *out) {
    out->deadlock = true;
    out->full_from = out->full_to = out->empty_from = out->empty_to = -1;
    for (int e = 0; e < s->edges; e++) {
        const edge *x = &s->edge[e];
        if (x->held < x->room) continue;
        out->full_from = x->from;
        out->full_to = x->to;
        for (int k = 0; k < s->edges; k++)
            if (s->edge[k].to == x->to && s->edge[k].held == 0) {
                out->empty_from = s->edge[k].from;
                out->empty_to = x->to;
                return;
            }
    }
}

static void run(simulation *s, mq_streams_run *out) {
    actor *sink = &s->actor[s->actors - 1];
    while (sink->frames < s->frames) {
        bool moved = false;
        for (int i = s->actors - 1; i >= 0; i--) moved = run_actor(s, &s->actor[i]) || moved;
        if (moved) {
            s->now++;
            continue;
        }
        int64_t next = next_time(s);
        if (next == INT64_MAX || next <= s->now) {
            find_deadlock(s, out);
            return;
        }
        s->now = next;
    }
    out->latency = s->ends[0] + 1;
    out->interval = s->ends[s->frames - 1] - s->ends[s->frames - 2];
}

mq_status mq_streams_simulate(const mq_pipeline *pipeline, int frames, mq_streams_run *out, mq_error *error) {
    simulation s = {.p = pipeline, .frames = frames, .error = error};
    *out = (mq_streams_run){0};
    if (frames < 3 || frames > MOST_FRAMES)
        return mq_fail(error, MQ_USAGE, "frames: got %d, expected 3 to %d", frames, MOST_FRAMES);
    mq_status status = make(&s);
    if (status == MQ_OK) run(&s, out);
    mq_arena_destroy(s.arena);
    return status;
}

mq_status mq_streams_refuse(const mq_pipeline *p, const mq_streams_run *run, mq_error *error) {
    const mq_inet_node *n = p->net->nodes;
    if (!run->deadlock) return MQ_OK;
    if (run->full_from < 0)
        return mq_fail(error, MQ_BAD_INPUT, "deadlock: the pipeline stands still with empty streams");
    if (run->empty_from < 0)
        return mq_fail(error, MQ_BAD_INPUT, "deadlock: the stream %s -> %s is full (depth %lld)",
                       n[run->full_from].name, n[run->full_to].name,
                       (long long)mq_streams_depth(p->plan, run->full_from, run->full_to));
    return mq_fail(error, MQ_BAD_INPUT,
                   "deadlock: the stream %s -> %s is full (depth %lld) while %s waits for %s",
                   n[run->full_from].name, n[run->full_to].name,
                   (long long)mq_streams_depth(p->plan, run->full_from, run->full_to), n[run->empty_to].name,
                   n[run->empty_from].name);
}
