/* device_price.c - the table of shares, and the weights of the resources. */
#include "search/device_price.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/candidates.h"
#include "accel/estimate.h"
#include "accel/shape_network.h"
#include "base/memory.h"
#include "base/parallel.h"

enum {
    MIDDLE = 4,  /* bits at which the resources are weighed */
    LARGER = 64, /* devices, for a layer that alone exceeds one */
    ROUNDS = 300,
    PAIRS = MQ_BRANCHES * MQ_BRANCHES
};

/* Cycles next to the frame's: within it, and beyond; 0: none. */
typedef struct step_pair {
    int64_t within, beyond;
} step_pair;

/* Stages of one layer that are fast enough: used[r] / usable[r]. */
typedef struct stage_set {
    int count;
    double (*share)[MQ_RESOURCES]; /* owned */
    step_pair step;                /* of all stages looked at */
} stage_set;

typedef struct job {
    const mq_net *net;
    const mq_device *device;
    mq_resources budget;
    bool symmetric;
    mq_device_price *out;
    step_pair step[PAIRS], pinned_step;
    mq_status status[PAIRS];
    mq_error error[PAIRS];
} job;

static mq_status shape_of(const job *j, int weight, int activation, mq_inet **out, mq_error *error) {
    mq_bits bits;
    mq_bits_uniform(j->net, weight, activation, &bits);
    return mq_shape_network(j->net, &bits, j->symmetric, out, error);
}

/* ---- the frame's cycles ---- */

mq_status mq_device_price_reach(const mq_net *net, const mq_bits *bits, bool symmetric,
                                const mq_device *device, double clock_mhz, double target_fps, int64_t *cycles,
                                double *fps, mq_error *error) {
    const mq_accel_request request = {.device = device, .clock_mhz = clock_mhz, .target_fps = target_fps};
    mq_inet *inet;
    mq_inet_plan *plan = NULL;
    mq_estimate estimate = {0};
    MQ_TRY(mq_shape_network(net, bits, symmetric, &inet, error));
    mq_status status = mq_accel_allocate(inet, &request, &plan, error);
    if (status == MQ_OK) status = mq_estimate_make(inet, plan, device, clock_mhz, &estimate, error);
    *cycles = estimate.cycles;
    *fps = estimate.fps;
    mq_estimate_free(&estimate);
    mq_inet_plan_free(plan);
    mq_inet_free(inet);
    return status;
}

mq_status mq_device_price_reaches(const mq_net *net, const mq_bits *bits, bool symmetric,
                                  const mq_device *device, double clock_mhz, double fps, bool *out,
                                  mq_error *error) {
    const mq_accel_request request = {
        .device = device, .clock_mhz = clock_mhz, .target_fps = fps, .only_target = true};
    mq_inet *inet;
    mq_inet_plan *plan = NULL;
    mq_error refused = {0};
    MQ_TRY(mq_shape_network(net, bits, symmetric, &inet, error));
    mq_status status = mq_accel_allocate(inet, &request, &plan, &refused);
    mq_inet_plan_free(plan);
    mq_inet_free(inet);
    *out = status == MQ_OK;
    if (status == MQ_OK || status == MQ_BAD_INPUT) return MQ_OK;
    if (error) *error = refused;
    return status;
}

/* The rate at 4 bits everywhere, or whether 2 bits reach the one that is asked for. */
static mq_status find_cycles(job *j, mq_error *error) {
    mq_device_price *p = j->out;
    const double target = p->target_fps;
    const int width = target > 0 ? MQ_SEARCH_MIN : MIDDLE;
    mq_bits bits;
    mq_bits_uniform(j->net, width, width, &bits);
    mq_status status = mq_device_price_reach(j->net, &bits, j->symmetric, j->device, p->clock_mhz, target,
                                             &p->cycles, &p->target_fps, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "%d bits everywhere", width);
    if (target > 0) {
        p->cycles = (int64_t)(p->clock_mhz * 1e6 / target);
        p->target_fps = target;
    }
    return MQ_OK;
}

/* ---- steps of the rate ---- */

static void note_step(int64_t limit, int64_t cycles, step_pair *steps) {
    if (cycles <= limit && cycles > steps->within) steps->within = cycles;
    if (cycles > limit && (!steps->beyond || cycles < steps->beyond)) steps->beyond = cycles;
}

static void add_steps(int64_t limit, const step_pair *more, step_pair *steps) {
    if (more->within) note_step(limit, more->within, steps);
    if (more->beyond) note_step(limit, more->beyond, steps);
}

/* Nodes without multipliers take a beat per pixel, or less often as more go in parallel. */
static void note_edges(const mq_inet *inet, int64_t limit, step_pair *steps) {
    for (int i = 0; i < inet->node_count; i++) {
        const mq_inet_edge *e = &inet->nodes[i].edge;
        for (int p = 1; p <= 32; p *= 2) note_step(limit, (int64_t)e->h * ((e->w + p - 1) / p), steps);
    }
}

/* ---- stages of a layer ---- */

/* slow: all of them, as many side by side as the cycles need. */
static mq_status collect(const job *j, const mq_candidates *from, bool slow, stage_set *out,
                         mq_error *error) {
    const int64_t cycles = j->out->cycles;
    out->count = 0;
    for (int k = 0; k < from->count; k++) note_step(cycles, from->item[k].cycles, &out->step);
    MQ_TRY(mq_alloc((size_t)from->count + 1, sizeof *out->share, "stages", &out->share, error));
    for (int k = 0; k < from->count; k++) {
        const mq_candidate *c = &from->item[k];
        if (c->cycles > cycles && !slow) continue;
        const double times = slow ? (double)c->cycles / (double)cycles : 1;
        double *share = out->share[out->count++];
        for (int r = 0; r < MQ_RESOURCES; r++)
            share[r] = times * c->used[r] / (double)(j->budget.of[r] > 0 ? j->budget.of[r] : 1);
    }
    return MQ_OK;
}

static void free_set(stage_set *set) {
    mq_free(set->share);
    *set = (stage_set){0};
}

/* Within the device; else on a larger one; else several slow ones. */
static mq_status stages_of(const job *j, mq_pack_explorer *explorer, const mq_inet *inet, int node,
                           stage_set *out, mq_error *error) {
    mq_candidate_limits limits = {.multipliers = MQ_ACCEL_DSP | MQ_ACCEL_LUT, .budget = j->budget};
    *out = (stage_set){0};
    for (int attempt = 0; attempt < 2 && out->count == 0; attempt++) {
        mq_candidates candidates;
        for (int r = 0; r < MQ_RESOURCES && attempt; r++)
            limits.budget.of[r] = (j->budget.of[r] + LARGER) * LARGER;
        MQ_TRY(mq_candidates_make(explorer, &j->device->dsp, inet, node, &limits, &candidates, error));
        for (int slow = 0; slow <= attempt && out->count == 0; slow++) {
            free_set(out);
            mq_status status = collect(j, &candidates, slow, out, error);
            if (status != MQ_OK) {
                mq_candidates_free(&candidates);
                return status;
            }
        }
        mq_candidates_free(&candidates);
    }
    if (out->count) return MQ_OK;
    free_set(out);
    return mq_fail(error, MQ_BAD_INPUT, "%s: no stage is built for it", inet->nodes[node].name);
}

static double least(const stage_set *set, const double weight[MQ_RESOURCES], int *which) {
    double best = INFINITY;
    for (int k = 0; k < set->count; k++) {
        double sum = 0;
        for (int r = 0; r < MQ_RESOURCES; r++) sum += weight[r] * set->share[k][r];
        if (sum < best) {
            best = sum;
            if (which) *which = k;
        }
    }
    return best;
}

/* The layers of a shape network in order. */
static int next_layer(const mq_inet *inet, int node) {
    do node++;
    while (inet->nodes[node].kind != MQ_INET_CONV && inet->nodes[node].kind != MQ_INET_LINEAR);
    return node;
}

/* ---- the weights ---- */

/* Concave in the weights: multiplicative steps towards the resources that the cheapest stages use most. */
static void weigh(const stage_set *set, int layers, double best_weight[MQ_RESOURCES]) {
    double score[MQ_RESOURCES] = {0}, best = -1;
    for (int round = 1; round <= ROUNDS; round++) {
        double weight[MQ_RESOURCES], used[MQ_RESOURCES] = {0}, norm = 0, value = 0, most = 0, top = score[0];
        for (int r = 1; r < MQ_RESOURCES; r++) top = fmax(top, score[r]);
        for (int r = 0; r < MQ_RESOURCES; r++) {
            weight[r] = exp(score[r] - top);
            norm += weight[r];
        }
        for (int r = 0; r < MQ_RESOURCES; r++) weight[r] /= norm;
        for (int l = 0; l < layers; l++) {
            int which = 0;
            value += least(&set[l], weight, &which);
            for (int r = 0; r < MQ_RESOURCES; r++) used[r] += set[l].share[which][r];
        }
        if (value > best) {
            best = value;
            memcpy(best_weight, weight, sizeof weight);
        }
        for (int r = 0; r < MQ_RESOURCES; r++) most = fmax(most, used[r]);
        for (int r = 0; r < MQ_RESOURCES && most > 0; r++) score[r] += used[r] / most / sqrt(round);
    }
}

static mq_status find_weights(job *j, mq_error *error) {
    mq_device_price *p = j->out;
    const int layers = j->net->layer_count;
    mq_pack_explorer *explorer = NULL;
    mq_inet *inet = NULL;
    stage_set *set;
    MQ_TRY(mq_alloc((size_t)layers, sizeof *set, "stages", &set, error));
    mq_status status = mq_pack_explorer_create(&explorer, error);
    if (status == MQ_OK) status = shape_of(j, MIDDLE, MIDDLE, &inet, error);
    for (int l = 0, node = -1; l < layers && status == MQ_OK; l++) {
        node = next_layer(inet, node);
        status = stages_of(j, explorer, inet, node, &set[l], error);
    }
    if (status == MQ_OK) weigh(set, layers, p->weight);
    for (int l = 0; l < layers; l++) {
        if (status == MQ_OK && j->net->layers[l].pinned) {
            p->pinned += least(&set[l], p->weight, NULL);
            add_steps(p->cycles, &set[l].step, &j->pinned_step);
        }
        free_set(&set[l]);
    }
    mq_inet_free(inet);
    mq_pack_explorer_free(explorer);
    mq_free(set);
    return status;
}

/* ---- the table ---- */

static mq_status price_pair(const job *j, int weight, int activation, step_pair *steps, mq_error *error) {
    mq_pack_explorer *explorer;
    mq_inet *inet = NULL;
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    mq_status status = shape_of(j, weight, activation, &inet, error);
    for (int l = 0, node = -1; l < j->net->layer_count && status == MQ_OK; l++) {
        stage_set set;
        node = next_layer(inet, node);
        if (j->net->layers[l].pinned) continue;
        status = stages_of(j, explorer, inet, node, &set, error);
        if (status != MQ_OK) break;
        j->out->share[l][weight][activation] = least(&set, j->out->weight, NULL);
        add_steps(j->out->cycles, &set.step, steps);
        free_set(&set);
    }
    if (status == MQ_OK) note_edges(inet, j->out->cycles, steps);
    mq_inet_free(inet);
    mq_pack_explorer_free(explorer);
    return status;
}

static void price_task(void *context, size_t task) {
    job *j = context;
    j->status[task] = price_pair(j, MQ_SEARCH_MIN + (int)task / MQ_BRANCHES,
                                 MQ_SEARCH_MIN + (int)task % MQ_BRANCHES, &j->step[task], &j->error[task]);
}

/* A stage for more bits serves fewer. */
static void make_monotone(double share[MQ_BITS_MAX + 1][MQ_BITS_MAX + 1]) {
    for (int w = MQ_BITS_MAX; w >= MQ_SEARCH_MIN; w--)
        for (int a = MQ_BITS_MAX; a >= MQ_SEARCH_MIN; a--) {
            if (w < MQ_BITS_MAX) share[w][a] = fmin(share[w][a], share[w + 1][a]);
            if (a < MQ_BITS_MAX) share[w][a] = fmin(share[w][a], share[w][a + 1]);
        }
}

static mq_status make(job *j, mq_error *error) {
    MQ_TRY(find_cycles(j, error));
    MQ_TRY(find_weights(j, error));
    mq_parallel(PAIRS, price_task, j);
    for (int i = 0; i < PAIRS; i++)
        if (j->status[i] != MQ_OK) {
            if (error) *error = j->error[i];
            return j->status[i];
        }
    step_pair steps = j->pinned_step;
    for (int i = 0; i < PAIRS; i++) add_steps(j->out->cycles, &j->step[i], &steps);
    if (steps.within) j->out->rate_above = j->out->clock_mhz * 1e6 / (double)steps.within;
    if (steps.beyond) j->out->rate_below = j->out->clock_mhz * 1e6 / (double)steps.beyond;
    for (int l = 0; l < j->net->layer_count; l++) make_monotone(j->out->share[l]);
    return MQ_OK;
}

mq_status mq_device_price_make(const mq_net *net, bool symmetric, const mq_device *device, double clock_mhz,
                               double target_fps, mq_device_price *out, mq_error *error) {
    job *j;
    memset(out, 0, sizeof *out);
    snprintf(out->device, sizeof out->device, "%s", device->name);
    out->clock_mhz = clock_mhz > 0 ? clock_mhz : device->clock_mhz;
    out->target_fps = target_fps;
    MQ_TRY(mq_alloc(1, sizeof *j, "a price", &j, error));
    j->net = net;
    j->device = device;
    j->budget = mq_device_budget(device);
    j->symmetric = symmetric;
    j->out = out;
    mq_status status = make(j, error);
    mq_free(j);
    return status;
}

double mq_device_price_at(const mq_device_price *price, const mq_net *net, const mq_bits *bits) {
    double sum = price->pinned;
    for (int l = 0; l < net->layer_count; l++)
        if (!net->layers[l].pinned) sum += price->share[l][bits->weight[l]][bits->activation[l]];
    return sum;
}
