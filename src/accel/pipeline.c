/* pipeline.c - the stages of a network, in order, and what the beats between them look like. */
#include "accel/pipeline.h"

#include "base/memory.h"

enum {
    ACCUMULATOR_BITS = 32, /* of the head's results */
    SLICE_AND_TREE = 16,   /* cycles: ring and operands 4, slice 4, tree and accumulator 6, border 2 */
    LEAST_FIFO = 32
};

static bool is_layer(const mq_inet_node *node) {
    return node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR;
}

mq_stream mq_pipeline_image(const mq_inet *net, int in_pixels) {
    const mq_inet_edge *e = &net->nodes[0].edge;
    return (mq_stream){e->h, e->w, e->c, e->c, in_pixels, e->bits, e->is_signed};
}

/* ---- nodes that only move codes ---- */

static mq_status move_pool(const mq_inet_node *n, const mq_stream *in, mq_stream *out, mq_error *error) {
    int k = n->pool.kernel;
    if (n->pool.stride != k)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: kernel %d, stride %d; stages are built for pools of one size", n->name, k,
                       n->pool.stride);
    if (in->pixels != 1 && in->pixels % k)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d pixels, expected 1 or a multiple of %d", n->name,
                       in->pixels, k);
    out->pixels = in->pixels == 1 ? 1 : in->pixels / k;
    return MQ_OK;
}

static mq_status move_reorg(const mq_inet_node *n, const mq_stream *in, mq_stream *out, mq_error *error) {
    if (in->c % in->channels)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d channels, expected a divisor of %d", n->name,
                       in->channels, in->c);
    if (in->pixels != 1 && in->pixels % 2)
        return mq_fail(error, MQ_BAD_INPUT, "%s: beats of %d pixels, expected 1 or an even number", n->name,
                       in->pixels);
    out->pixels = in->pixels == 1 ? 1 : in->pixels / 2;
    return MQ_OK;
}

static mq_status move_concat(const mq_inet *net, const mq_inet_node *n, const mq_stream *in,
                             mq_error *error) {
    for (int i = 0; i < n->input_count; i++) {
        const char *name = net->nodes[n->input[i]].name;
        if (in[i].channels != in[0].channels || in[i].pixels != in[0].pixels)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: %s: beats of %d channels x %d pixels, expected %d x %d as of the first input",
                           n->name, name, in[i].channels, in[i].pixels, in[0].channels, in[0].pixels);
        if (i + 1 < n->input_count && in[i].c % in[i].channels)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s: beats of %d channels, expected a divisor of %d",
                           n->name, name, in[i].channels, in[i].c);
    }
    return MQ_OK;
}

mq_status mq_pipeline_move(const mq_inet *net, int node, const mq_stream *in, mq_stream *out,
                           mq_error *error) {
    const mq_inet_node *n = &net->nodes[node];
    const mq_inet_edge *e = &n->edge;
    *out = (mq_stream){e->h, e->w, e->c, in->channels, in->pixels, e->bits, e->is_signed};
    switch (n->kind) {
    case MQ_INET_MAX_POOL:
        return move_pool(n, in, out, error);
    case MQ_INET_REORG:
        return move_reorg(n, in, out, error);
    case MQ_INET_CONCAT:
        return move_concat(net, n, in, error);
    case MQ_INET_REQUANT:
        if (!is_layer(&net->nodes[n->input[0]]))
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: reads %s; a requantiser stands behind the layer whose accumulators it reads",
                           n->name, net->nodes[n->input[0]].name);
        return MQ_OK;
    case MQ_INET_OUTPUT:
        if (!is_layer(&net->nodes[n->input[0]]))
            return mq_fail(error, MQ_BAD_INPUT, "%s: reads %s; the accumulators of a layer expected", n->name,
                           net->nodes[n->input[0]].name);
        out->bits = ACCUMULATOR_BITS;
        out->is_signed = true;
        return MQ_OK;
    default:
        return mq_fail(error, MQ_BAD_INPUT, "%s: no stage is built for %s", n->name,
                       mq_inet_kind_name(n->kind));
    }
}

/* ---- layers ---- */

/* Who reads a layer: requantisers, or the output alone. */
static mq_status check_readers(const mq_inet *net, int node, const mq_plan_layer *l, mq_error *error) {
    const char *name = net->nodes[node].name;
    bool head = false, requant = false;
    for (int k = node + 1; k < net->node_count; k++)
        for (int j = 0; j < net->nodes[k].input_count; j++) {
            if (net->nodes[k].input[j] != node) continue;
            requant = requant || net->nodes[k].kind == MQ_INET_REQUANT;
            head = head || net->nodes[k].kind == MQ_INET_OUTPUT;
            if (net->nodes[k].kind != MQ_INET_REQUANT && net->nodes[k].kind != MQ_INET_OUTPUT)
                return mq_fail(error, MQ_BAD_INPUT,
                               "%s: %s reads its accumulators; no stage is built for that", name,
                               net->nodes[k].name);
        }
    if (head && requant)
        return mq_fail(error, MQ_BAD_INPUT, "%s: read by the output and by a requantiser", name);
    if (requant != (l->requant != MQ_PLAN_NO_REQUANT))
        return mq_fail(error, MQ_BAD_INPUT, "%s: the plan has %s requantiser, the network has %s", name,
                       requant ? "no" : "a", requant ? "one" : "none");
    return MQ_OK;
}

static mq_status check_beats(const char *name, const mq_plan_layer *l, const mq_stage *s, mq_error *error) {
    if (s->npx % l->out_pixels)
        return mq_fail(error, MQ_BAD_INPUT, "%s: out_pixels: got %d, expected a divisor of %d (a block)",
                       name, l->out_pixels, s->npx);
    if (s->npx / l->out_pixels > s->steps)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: out_pixels: got %d, but a block of %d pixels takes %d cycles", name,
                       l->out_pixels, s->npx, s->steps);
    if (l->requant == MQ_PLAN_AFFINE &&
        (l->lanes < 1 || (int64_t)l->pe * s->npx > (int64_t)s->steps * l->lanes))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: lanes: got %d, but a block of %d results takes %d cycles: at least %d expected",
                       name, l->lanes, l->pe * s->npx, s->steps, (l->pe * s->npx + s->steps - 1) / s->steps);
    return MQ_OK;
}

static mq_status add_layer(mq_pipeline *p, int node, mq_error *error) {
    const mq_inet_node *n = &p->net->nodes[node];
    mq_pipeline_stage *s = &p->stage[node];
    s->layer = mq_inet_plan_layer(p->plan, node);
    if (!s->layer) return mq_fail(error, MQ_BAD_INPUT, "%s: not in the plan", n->name);
    const mq_stream *in = &p->stage[n->input[0]].out;
    MQ_TRY(check_readers(p->net, node, s->layer, error));
    MQ_TRY(mq_stage_make(p->net, s->layer, in, &s->stage, error));
    MQ_TRY(check_beats(n->name, s->layer, &s->stage, error));
    s->cycles = s->stage.cycles + s->stage.flush;
    int64_t writes = mq_stage_writes(s->layer, &s->stage, in);
    if (writes > s->cycles) s->cycles = writes;
    const mq_inet_edge *e = &n->edge;
    s->out = (mq_stream){e->h, e->w, e->c, s->layer->pe, s->layer->out_pixels, e->bits, e->is_signed};
    if (s->layer->requant == MQ_PLAN_NO_REQUANT) {
        s->out.bits = ACCUMULATOR_BITS;
        s->out.is_signed = true;
    }
    return MQ_OK;
}

static mq_status add_mover(mq_pipeline *p, int node, mq_error *error) {
    const mq_inet_node *n = &p->net->nodes[node];
    mq_stream in[MQ_INET_MAX_INPUTS];
    mq_pipeline_stage *s = &p->stage[node];
    int64_t beats = 0;
    for (int i = 0; i < n->input_count; i++) {
        in[i] = p->stage[n->input[i]].out;
        beats += mq_stream_beats(&in[i]);
    }
    MQ_TRY(mq_pipeline_move(p->net, node, in, &s->out, error));
    if (n->kind == MQ_INET_REQUANT) return MQ_OK; /* at its layer's speed */
    int64_t leaving = mq_stream_beats(&s->out);
    s->cycles = beats > leaving ? beats : leaving;
    return MQ_OK;
}

int mq_pipeline_latency(const mq_plan_layer *l) {
    int requant = l->requant == MQ_PLAN_AFFINE      ? l->pe * l->out_pixels / l->lanes + 5
                  : l->requant == MQ_PLAN_THRESHOLD ? 2 * MQ_PACK_BITS
                                                    : 1;
    return SLICE_AND_TREE + l->chain + requant;
}

int mq_pipeline_fifo(const mq_plan_layer *l, const mq_stage *s) {
    int beats = s->npx / l->out_pixels, cycles = mq_pipeline_latency(l) + (s->lead > 0 ? s->steps : 0),
        needed = beats * (cycles / s->steps + 3), size = LEAST_FIFO;
    while (size < needed) size *= 2;
    return size;
}

static mq_status make(mq_pipeline *p, mq_error *error) {
    const mq_inet *net = p->net;
    MQ_TRY(mq_alloc((size_t)p->count, sizeof *p->stage, "a pipeline", &p->stage, error));
    for (int i = 0; i < p->count; i++) {
        if (net->nodes[i].kind == MQ_INET_IMAGE) {
            p->stage[i].out = mq_pipeline_image(net, p->plan->in_pixels);
            p->stage[i].cycles = mq_stream_beats(&p->stage[i].out);
        } else if (is_layer(&net->nodes[i])) {
            MQ_TRY(add_layer(p, i, error));
        } else {
            MQ_TRY(add_mover(p, i, error));
        }
        if (p->stage[i].cycles > p->stage[p->slowest].cycles) p->slowest = i;
    }
    return MQ_OK;
}

mq_status mq_pipeline_make(const mq_inet *net, const mq_inet_plan *plan, mq_pipeline *out, mq_error *error) {
    *out = (mq_pipeline){.net = net, .plan = plan, .count = net->node_count};
    mq_status status = make(out, error);
    if (status != MQ_OK) mq_pipeline_free(out);
    return status;
}

void mq_pipeline_free(mq_pipeline *pipeline) {
    mq_free(pipeline->stage);
    *pipeline = (mq_pipeline){0};
}
