/* allocate.c - search over the cycles, and the plan that comes out. */
#include "accel/allocate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/choice_search.h"
#include "accel/estimate.h"
#include "accel/streams.h"
#include "base/log.h"
#include "base/memory.h"

enum { LARGER = 64, TRIES = 8 };

typedef struct job {
    const mq_inet *net;
    const mq_accel_request *request;
    const mq_device *device;
    double clock_mhz;
    mq_pack_explorer *explorer;
    int layers;
    mq_candidates *candidates;
    mq_resources budget;
    int times;
    int64_t *time; /* that occur, ascending */
    mq_choice_result best;
    int64_t cycles; /* of best */
    int64_t open;   /* most cycles below best of which it is not known whether they are possible; 0: none */
    mq_error *error;
} job;

static bool is_layer(const mq_inet_node *n) {
    return n->kind == MQ_INET_CONV || n->kind == MQ_INET_LINEAR;
}

/* ---- candidates ---- */

/* Whether a node's stream is joined with others before a layer reads it. */
static bool joined(const mq_inet *net, int node) {
    for (int k = node + 1; k < net->node_count; k++)
        for (int j = 0; j < net->nodes[k].input_count; j++)
            if (net->nodes[k].input[j] == node && !is_layer(&net->nodes[k]) &&
                (net->nodes[k].kind == MQ_INET_CONCAT || joined(net, k)))
                return true;
    return false;
}

static void free_candidates(job *j) {
    for (int i = 0; i < j->layers && j->candidates; i++) mq_candidates_free(&j->candidates[i]);
    mq_free(j->candidates);
    j->candidates = NULL;
}

static mq_status make_candidates(job *j, const mq_resources *budget) {
    free_candidates(j);
    MQ_TRY(mq_alloc((size_t)j->layers, sizeof *j->candidates, "candidates", &j->candidates, j->error));
    for (int i = 0, n = 0; i < j->net->node_count; i++) {
        if (!is_layer(&j->net->nodes[i])) continue;
        mq_candidate_limits limits = {.multipliers = j->request->multipliers, .budget = *budget};
        if (limits.multipliers == 0) limits.multipliers = MQ_ACCEL_DSP | MQ_ACCEL_LUT;
        if (j->request->fixed) limits.fixed = j->request->fixed[n];
        limits.all_beats = joined(j->net, i);
        MQ_TRY(mq_candidates_make(j->explorer, &j->device->dsp, j->net, i, &limits, &j->candidates[n++],
                                  j->error));
    }
    return MQ_OK;
}

/* ---- cycles ---- */

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static mq_status collect_times(job *j) {
    size_t count = 1, kept = 0;
    int64_t movers = 0; /* beats of one pixel and channel: no stage is slower */
    for (int i = 0; i < j->layers; i++) count += (size_t)j->candidates[i].count;
    MQ_TRY(mq_alloc(count + 64 * (size_t)j->net->node_count, sizeof *j->time, "cycles", &j->time, j->error));
    count = 0;
    for (int i = 0; i < j->layers; i++)
        for (int k = 0; k < j->candidates[i].count; k++)
            if (k == 0 || j->candidates[i].item[k].cycles != j->candidates[i].item[k - 1].cycles)
                j->time[count++] = j->candidates[i].item[k].cycles;
    for (int i = 0; i < j->net->node_count; i++) {
        const mq_inet_edge *e = &j->net->nodes[i].edge;
        int64_t beats = (int64_t)e->h * e->w * e->c;
        if (beats > movers) movers = beats;
        for (int p = 1; p <= 32; p *= 2) j->time[count++] = (int64_t)e->h * ((e->w + p - 1) / p);
    }
    j->time[count++] = movers;
    qsort(j->time, count, sizeof *j->time, by_value);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || j->time[i] != j->time[kept - 1]) j->time[kept++] = j->time[i];
    j->times = (int)kept;
    return MQ_OK;
}

static mq_status attempt(job *j, int64_t cycles, bool optimise, mq_choice_result *out) {
    mq_choice_graph graph;
    MQ_TRY(mq_choice_graph_make(j->net, j->candidates, j->layers, cycles, &j->budget, &graph, j->error));
    mq_status status =
        mq_choice_search(&graph, j->layers, &j->budget, optimise, MQ_CHOICE_ROUNDS, out, j->error);
    mq_choice_graph_free(&graph);
    if (status == MQ_OK && !out->found && out->undecided && cycles > j->open) j->open = cycles;
    return status;
}

/* Sum over the layers of the least cycles * share of the budget: no faster network fits, whatever the shares
 * of the resources weigh. */
static double time_bound(const job *j) {
    static const double weights[][MQ_RESOURCES] = {{1, 0, 0, 0},     {0, 1, 0, 0},     {0.7, 0.3, 0, 0},
                                                   {0.5, 0.5, 0, 0}, {0.3, 0.7, 0, 0}, {0.4, 0.4, 0, 0.2}};
    double best = 0;
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
        double sum = 0;
        for (int i = 0; i < j->layers; i++) {
            double least = INFINITY;
            for (int k = 0; k < j->candidates[i].count; k++) {
                const mq_candidate *c = &j->candidates[i].item[k];
                double share = 0;
                for (int r = 0; r < MQ_RESOURCES; r++)
                    if (weights[w][r] > 0 && j->budget.of[r] > 0)
                        share += weights[w][r] * c->used[r] / (double)j->budget.of[r];
                least = fmin(least, share * (double)c->cycles);
            }
            sum += least;
        }
        best = fmax(best, sum);
    }
    return best;
}

static int first_time(const job *j, double least) {
    int at = 0;
    while (at < j->times - 1 && (double)j->time[at] < least) at++;
    return at;
}

/* The least time within the budget and a way to reach it in j->best; found false: there is none. */
static mq_status least_time(job *j) {
    double least = time_bound(j) * (1 - 1e-9), stride = 1.02;
    if (!isfinite(least)) return MQ_OK;                        /* a layer without candidates */
    if (j->cycles > 0) least = fmax(least, (double)j->cycles); /* of a try with more budget */
    int low = first_time(j, least) - 1, high = j->times;       /* low fails, high is possible */
    int at = low + 1;
    while (high - low > 1) {
        mq_choice_result result;
        MQ_TRY(attempt(j, j->time[at], false, &result));
        if (result.found) {
            mq_choice_result_free(&j->best);
            j->best = result;
            j->cycles = j->time[at];
            high = at;
        } else {
            mq_choice_result_free(&result);
            if (at == j->times - 1) return MQ_OK;
            low = at;
        }
        if (high == j->times) { /* upwards in growing strides */
            stride = 1 + (stride - 1) * 2;
            at = first_time(j, stride * (double)j->time[low]);
            if (at <= low) at = low + 1;
        } else {
            at = low + (high - low) / 2;
        }
    }
    return MQ_OK;
}

/* A cheaper way of the same cycles, where one is found. */
static mq_status cheapen(job *j) {
    mq_choice_result result;
    MQ_TRY(attempt(j, j->cycles, true, &result));
    if (result.found && (!j->best.found || result.price < j->best.price)) {
        mq_choice_result_free(&j->best);
        j->best = result;
    } else {
        mq_choice_result_free(&result);
    }
    return MQ_OK;
}

/* ---- what is in the way ---- */

static mq_status explain(job *j) {
    mq_resources large = j->budget;
    for (int i = 0; i < MQ_RESOURCES; i++) large.of[i] = (large.of[i] + 64) * LARGER;
    MQ_TRY(make_candidates(j, &large));
    for (int i = 0; i < j->layers; i++) {
        const mq_candidates *c = &j->candidates[i];
        if (c->count) continue;
        const char *name = j->net->nodes[c->node].name;
        if (j->request->fixed && (j->request->fixed[i].pe || j->request->fixed[i].lanes))
            return mq_fail(
                j->error, MQ_BAD_INPUT,
                "%s: no stage has simd %d (kernel rows x channels) and pe %d: simd is a divisor of %d "
                "kernel rows times channels, pe a multiple of a packing's output channels",
                name, j->request->fixed[i].lanes, j->request->fixed[i].pe, c->shape.kernel_h);
        return mq_fail(j->error, MQ_BAD_INPUT,
                       "%s: no %smultipliers are built for its %d-bit weights and codes", name,
                       j->request->multipliers == MQ_ACCEL_DSP ? "DSP " : "", c->shape.weight_bits);
    }
    mq_choice_graph graph;
    MQ_TRY(mq_choice_graph_make(j->net, j->candidates, j->layers, INT64_MAX, &large, &graph, j->error));
    mq_status status = MQ_OK;
    if (graph.stuck >= 0) {
        const mq_inet_node *n = &j->net->nodes[graph.stuck];
        status =
            mq_fail(j->error, MQ_BAD_INPUT,
                    "%s: its parallelism divides no beats that %s can send: simd must divide the pe before "
                    "it, or the other way round",
                    n->name, n->input_count ? j->net->nodes[n->input[0]].name : "the input");
    }
    for (int i = 0; i < MQ_RESOURCES && status == MQ_OK; i++) {
        int64_t least;
        status = mq_choice_least(&graph, j->layers, (mq_resource)i, &least, j->error);
        if (status == MQ_OK && least > j->budget.of[i])
            status =
                mq_fail(j->error, MQ_BAD_INPUT,
                        "%s is too small for %s: it needs at least %lld %s, %lld may be used (%lld short)",
                        j->device->name, j->net->model, (long long)least, mq_resource_names[i],
                        (long long)j->budget.of[i], (long long)(least - j->budget.of[i]));
    }
    if (status == MQ_OK) {
        mq_choice_result r;
        status = mq_choice_search(&graph, j->layers, &large, true, MQ_CHOICE_ROUNDS, &r, j->error);
        if (status == MQ_OK)
            status =
                mq_fail(j->error, MQ_BAD_INPUT,
                        "%s is too small for %s: the smallest accelerator takes %lld DSP, %lld LUT, %lld FF, "
                        "%lld RAMB18; %lld, %lld, %lld, %lld may be used",
                        j->device->name, j->net->model, (long long)r.used.of[0], (long long)r.used.of[1],
                        (long long)r.used.of[2], (long long)r.used.of[3], (long long)j->budget.of[0],
                        (long long)j->budget.of[1], (long long)j->budget.of[2], (long long)j->budget.of[3]);
        mq_choice_result_free(&r);
    }
    mq_choice_graph_free(&graph);
    return status;
}

/* Nodes that no stage is built for, whatever the parallelism: the smallest accelerator says which. */
static mq_status check_nodes(job *j) {
    mq_inet_plan plan = {.dsp = j->device->dsp, .count = j->layers, .in_pixels = 1};
    mq_pipeline pipeline;
    MQ_TRY(mq_alloc((size_t)j->layers, sizeof *plan.layer, "a plan", &plan.layer, j->error));
    for (int i = 0, n = 0; i < j->net->node_count; i++) {
        if (!is_layer(&j->net->nodes[i])) continue;
        mq_layer_shape s = mq_layer_shape_of(j->net, i);
        int steps = (s.depthwise ? 1 : s.in_c) * s.kernel_h;
        plan.layer[n] = (mq_plan_layer){.node = i,
                                        .multiplier = MQ_PLAN_LUT,
                                        .chain = 1,
                                        .simd = 1,
                                        .pe = 1,
                                        .rows = 1,
                                        .blocks = s.lead > 1 ? s.lead : 1,
                                        .out_pixels = 1,
                                        .requant = s.requants ? MQ_PLAN_THRESHOLD : MQ_PLAN_NO_REQUANT};
        if (s.lead > steps) plan.layer[n].out_pixels = s.lead;
        n++;
    }
    mq_status status = mq_pipeline_make(j->net, &plan, &pipeline, j->error);
    if (status == MQ_OK) mq_pipeline_free(&pipeline);
    mq_free(plan.layer);
    return status;
}

/* ---- the plan ---- */

static mq_status make_plan(job *j, mq_inet_plan **out) {
    mq_inet_plan *plan;
    MQ_TRY(mq_alloc(1, sizeof *plan, "a plan", out, j->error));
    plan = *out;
    MQ_TRY(mq_alloc((size_t)j->layers, sizeof *plan->layer, "a plan", &plan->layer, j->error));
    plan->dsp = j->device->dsp;
    plan->count = j->layers;
    plan->in_pixels = j->best.in_pixels;
    plan->clock_mhz = j->clock_mhz;
    snprintf(plan->network, sizeof plan->network, "%s", j->net->sha256);
    snprintf(plan->device, sizeof plan->device, "%s", j->device->name);
    for (int i = 0; i < j->layers; i++)
        mq_candidate_plan(&j->candidates[i], &j->candidates[i].item[j->best.candidate[i]], &plan->layer[i]);
    mq_pipeline pipeline;
    MQ_TRY(mq_pipeline_make(j->net, plan, &pipeline, j->error));
    mq_status status = mq_streams_depths(&pipeline, plan, j->error);
    mq_pipeline_free(&pipeline);
    return status;
}

/* What the streams' FIFOs take beyond the budget is taken off what the stages may use: less than these did.
 */
static mq_status excess(job *j, const mq_inet_plan *plan, bool *fits) {
    mq_estimate e;
    mq_resources budget = mq_device_budget(j->device);
    MQ_TRY(mq_estimate_make(j->net, plan, j->device, j->clock_mhz, &e, j->error));
    *fits = e.fits;
    for (int i = 0; i < MQ_RESOURCES; i++)
        if (e.used.of[i] > budget.of[i])
            j->budget.of[i] = (j->best.used.of[i] < j->budget.of[i] ? j->best.used.of[i] : j->budget.of[i]) -
                              (e.used.of[i] - budget.of[i]);
    mq_estimate_free(&e);
    return MQ_OK;
}

static mq_status allocate(job *j, mq_inet_plan **out) {
    const double target = j->request->target_fps;
    int64_t wanted = target > 0 ? (int64_t)(j->clock_mhz * 1e6 / target) : 0;
    if (target > 0 && wanted < 1) wanted = 1; /* nothing is that fast */
    MQ_TRY(make_candidates(j, &j->budget));
    MQ_TRY(collect_times(j));
    for (int i = 0; i < TRIES; i++) {
        mq_choice_result_free(&j->best);
        if (wanted > 0) {
            j->cycles = wanted;
            MQ_TRY(attempt(j, wanted, false, &j->best));
        }
        if (!j->best.found) {
            mq_choice_result_free(&j->best);
            if (wanted > 0 && j->request->only_target)
                return mq_fail(j->error, MQ_BAD_INPUT, "%s on %s at %g MHz: out of reach: %g frames a second",
                               j->net->model, j->device->name, j->clock_mhz, target);
            MQ_TRY(least_time(j));
            if (!j->best.found) return explain(j);
            if (wanted > 0)
                return mq_fail(j->error, MQ_BAD_INPUT,
                               "%s on %s at %g MHz: %g frames a second asked for, the best is %.2f (%lld "
                               "cycles a frame)",
                               j->net->model, j->device->name, j->clock_mhz, target,
                               j->clock_mhz * 1e6 / (double)j->cycles, (long long)j->cycles);
        }
        MQ_TRY(cheapen(j));
        bool fits;
        mq_inet_plan_free(*out);
        *out = NULL;
        MQ_TRY(make_plan(j, out));
        MQ_TRY(excess(j, *out, &fits));
        if (fits) break;
        if (i == TRIES - 1)
            return mq_fail(j->error, MQ_BAD_INPUT, "%s is too small for the streams' FIFOs of %s",
                           j->device->name, j->net->model);
    }
    if (j->open && j->open < j->cycles)
        mq_log(MQ_LOG_WARN,
               "%s on %s: %lld cycles a frame found; whether up to %lld are possible is left open",
               j->net->model, j->device->name, (long long)j->cycles, (long long)j->open);
    return MQ_OK;
}

mq_status mq_accel_allocate(const mq_inet *net, const mq_accel_request *request, mq_inet_plan **out,
                            mq_error *error) {
    job j = {.net = net, .request = request, .device = request->device, .error = error};
    *out = NULL;
    j.budget = mq_device_budget(j.device);
    j.clock_mhz = request->clock_mhz > 0 ? request->clock_mhz : j.device->clock_mhz;
    for (int i = 0; i < net->node_count; i++) j.layers += is_layer(&net->nodes[i]);
    if (request->fixed && request->fixed_count != j.layers)
        return mq_fail(error, MQ_USAGE, "parallelism of %d layers, the network has %d", request->fixed_count,
                       j.layers);
    mq_status status = check_nodes(&j);
    if (status == MQ_OK) status = mq_pack_explorer_create(&j.explorer, error);
    if (status == MQ_OK) status = allocate(&j, out);
    free_candidates(&j);
    mq_choice_result_free(&j.best);
    mq_free(j.time);
    mq_pack_explorer_free(j.explorer);
    if (status != MQ_OK) {
        mq_inet_plan_free(*out);
        *out = NULL;
    }
    return status;
}
