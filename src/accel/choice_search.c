/* choice_search.c - shortest paths under prices, and what they find. */
#include "accel/choice_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/choice_internal.h"

/* ---- shortest paths ---- */

static void layer_costs(mq_choice_job *s, const mq_choice_step *step, int t, const mq_price_vector p) {
    for (int i = 0; i < step->states; i++) s->come[t][i] = INFINITY;
    for (int c = 0; c < step->cells; c++) {
        const mq_choice_cell *cell = &step->cell[c];
        s->cell_best[c] = INFINITY;
        for (int i = cell->first; i < cell->first + cell->count; i++) {
            double v = mq_cost32(p, step->item[i].used);
            if (v < s->cell_best[c]) {
                s->cell_best[c] = v;
                s->cell_item[c] = i;
            }
        }
    }
    for (int rest = 0; rest < step->rests; rest++) {
        for (int k = 0; k < step->classes; k++) s->class_best[k] = INFINITY;
        const int32_t *from = s->rests[t].first + rest;
        for (int n = from[0]; n < from[1]; n++) {
            int i = s->rests[t].of[n];
            const int32_t *first = s->takers[t].first + step->input_of[i];
            double come = s->come[t - 1][i];
            for (int j = first[0]; j < first[1]; j++) {
                int k = s->takers[t].of[j];
                if (come < s->class_best[k]) {
                    s->class_best[k] = come;
                    s->class_from[k] = i;
                }
            }
        }
        for (int c = 0; c < step->cells; c++) {
            const mq_choice_cell *cell = &step->cell[c];
            double v = s->class_best[cell->class] + s->cell_best[c];
            int to = rest * step->outs + cell->out;
            if (v < s->come[t][to]) {
                s->come[t][to] = v;
                s->from[t][to] = s->class_from[cell->class];
                s->item[t][to] = s->cell_item[c];
            }
        }
    }
}

/* The least cost under a price; the way in from[], item[]. */
static double shortest(mq_choice_job *s, const mq_price_vector p) {
    const mq_choice_graph *g = s->g;
    for (int i = 0; i < g->step[0].states; i++) s->come[0][i] = 0;
    for (int t = 1; t < g->count; t++) {
        const mq_choice_step *step = &g->step[t];
        if (step->layer >= 0) {
            layer_costs(s, step, t, p);
            continue;
        }
        for (int i = 0; i < step->states; i++) s->come[t][i] = INFINITY;
        for (int a = 0; a < step->arcs; a++) {
            const mq_choice_arc *arc = &step->arc[a];
            double v = s->come[t - 1][arc->from] + mq_cost(p, &arc->used);
            if (v < s->come[t][arc->to]) {
                s->come[t][arc->to] = v;
                s->from[t][arc->to] = arc->from;
                s->item[t][arc->to] = a;
            }
        }
    }
    return s->come[g->count - 1][0];
}

/* Resources of the way found last; its items into s->way, -1 for nodes that are no layer. */
static mq_resources trace(mq_choice_job *s, int *in_pixels) {
    const mq_choice_graph *g = s->g;
    mq_resources used = {{0}};
    int at = 0;
    for (int t = g->count - 1; t > 0; t--) {
        const mq_choice_step *step = &g->step[t];
        int item = s->item[t][at];
        s->way[t] = step->layer >= 0 ? item : -1;
        if (step->layer >= 0)
            for (int i = 0; i < MQ_RESOURCES; i++) used.of[i] += step->item[item].used[i];
        else
            mq_resources_add(&used, &step->arc[item].used);
        at = s->from[t][at];
    }
    *in_pixels = g->key[g->step[0].state[at][0]][1];
    return used;
}

/* How far resources are beyond the budget, in shares of it; with a little of all that is used, so that of two
 * ways that fit the cheaper one is better. */
static double badness(const mq_choice_job *s, const mq_resources *used) {
    double sum = 0;
    for (int i = 0; i < MQ_RESOURCES; i++) {
        double share = (double)used->of[i] * s->share[i];
        sum += (share > 1 ? share - 1 : 0) + 1e-3 * share;
    }
    return sum;
}

static const mq_choice_cell *cell_of(const mq_choice_step *step, int item) {
    int low = 0, high = step->cells - 1; /* by the first item, ascending */
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (step->cell[middle].first <= item)
            low = middle;
        else
            high = middle - 1;
    }
    return &step->cell[low];
}

/* Items of the same cells suit the same neighbours: exchanges the one that helps most, until none does. */
static void mend(mq_choice_job *s, mq_resources *used) {
    const mq_choice_graph *g = s->g;
    double now = badness(s, used);
    for (;;) {
        double best = now * (1 - MQ_CHOICE_ROUNDING);
        int best_step = 0, best_item = 0;
        mq_resources best_used = *used;
        for (int t = 1; t < g->count; t++) {
            if (s->way[t] < 0) continue;
            const mq_choice_step *step = &g->step[t];
            const mq_choice_cell *cell = cell_of(step, s->way[t]);
            for (int i = cell->first; i < cell->first + cell->count; i++) {
                mq_resources with = *used;
                for (int r = 0; r < MQ_RESOURCES; r++)
                    with.of[r] += step->item[i].used[r] - step->item[s->way[t]].used[r];
                double bad = badness(s, &with);
                if (bad >= best) continue;
                best = bad;
                best_step = t;
                best_item = i;
                best_used = with;
            }
        }
        if (!best_step) return;
        s->way[best_step] = best_item;
        *used = best_used;
        now = best;
    }
}

/* ---- bounds ---- */

static mq_status remember(mq_choice_job *s, const mq_price_vector p, double limit, int slot) {
    const mq_choice_graph *g = s->g;
    mq_choice_bound *b = &s->bound[slot];
    if (!b->come) {
        MQ_TRY(mq_arena_alloc(s->arena, (size_t)g->count, sizeof *b->come, "bounds", &b->come, s->error));
        for (int t = 0; t < g->count; t++)
            MQ_TRY(mq_arena_alloc(s->arena, (size_t)g->step[t].states, sizeof **b->come, "bounds",
                                  &b->come[t], s->error));
    }
    memcpy(b->price, p, sizeof(mq_price_vector));
    b->limit = limit;
    for (int t = 0; t < g->count; t++)
        memcpy(b->come[t], s->come[t], (size_t)g->step[t].states * sizeof(double));
    return MQ_OK;
}

/* Takes a way that fits, if it is the first or cheaper. */
static void offer(mq_choice_job *s, const mq_resources *used, int in_pixels) {
    mq_choice_result *r = s->out;
    double price = mq_cost(s->share, used);
    if (!mq_resources_fit(used, s->budget) || (r->found && price >= r->price)) return;
    r->found = true;
    r->price = price;
    r->used = *used;
    r->in_pixels = in_pixels;
    for (int t = 1; t < s->g->count; t++)
        if (s->way[t] >= 0) r->candidate[s->g->step[t].layer] = s->g->step[t].item[s->way[t]].candidate;
}

static void find_scarce(mq_choice_job *s, const mq_price_vector mu) {
    for (int r = 0; r < MQ_RESOURCES; r++) {
        int before = 0;
        for (int i = 0; i < MQ_RESOURCES; i++) before += mu[i] > mu[r] || (i < r && mu[i] == mu[r]);
        s->scarce[r] = before < 2;
    }
}

/* Prices of exceeded resources rise, others fall. True: decided. */
static mq_status relax(mq_choice_job *s, bool *decided) {
    mq_price_vector mu = {0}, p;
    double best = -INFINITY, kept[MQ_CHOICE_BOUNDS];
    *decided = false;
    if (!s->optimise)
        for (int i = 0; i < MQ_RESOURCES; i++) mu[i] = 1.0 / MQ_RESOURCES;
    for (int round = 0; round < s->rounds; round++) {
        double weight = 0;
        for (int i = 0; i < MQ_RESOURCES; i++) {
            p[i] = ((s->optimise ? 1 : 0) + mu[i]) * s->share[i];
            weight +=
                p[i] * (double)s->budget->of[i] - (s->optimise ? s->share[i] * (double)s->budget->of[i] : 0);
        }
        double least = shortest(s, p);
        double bound = least - weight; /* optimise: of the price; else of the excess */
        int in_pixels;
        mq_resources used = trace(s, &in_pixels), mended = used;
        offer(s, &used, in_pixels);
        mend(s, &mended);
        offer(s, &mended, in_pixels);
        if (s->out->found && !s->optimise) {
            *decided = true;
            return MQ_OK;
        }
        int slot = -1;
        if (s->bounds < MQ_CHOICE_BOUNDS)
            slot = s->bounds++;
        else
            for (int i = 0; i < MQ_CHOICE_BOUNDS; i++)
                if (kept[i] < bound && (slot < 0 || kept[i] < kept[slot])) slot = i;
        if (slot >= 0) {
            kept[slot] = bound;
            MQ_TRY(remember(s, p, weight, slot));
        }
        if (bound > best) {
            best = bound;
            find_scarce(s, mu);
        }
        s->out->bound = best;
        if (s->optimise ? s->out->found && best >= s->out->price * (1 - MQ_CHOICE_ROUNDING)
                        : best > MQ_CHOICE_ROUNDING) {
            *decided = true;
            return MQ_OK;
        }
        double step = (s->optimise ? 1.0 : 0.5) / (1 + 0.3 * round), sum = 0;
        for (int i = 0; i < MQ_RESOURCES; i++) {
            double excess = (double)used.of[i] * s->share[i] - 1;
            if (excess < -0.5) excess = -0.5;
            if (excess > 1) excess = 1;
            mu[i] += step * excess;
            if (mu[i] < 0) mu[i] = 0;
            sum += mu[i];
        }
        if (!s->optimise)
            for (int i = 0; i < MQ_RESOURCES; i++) mu[i] = sum > 0 ? mu[i] / sum : 1.0 / MQ_RESOURCES;
    }
    return MQ_OK;
}

/* ---- entry ---- */

static mq_status make_listing(mq_choice_job *s, size_t entries, size_t all, mq_listing *out) {
    MQ_TRY(mq_arena_alloc(s->arena, entries + 1, sizeof *out->first, "paths", &out->first, s->error));
    return mq_arena_alloc(s->arena, all + 1, sizeof *out->of, "paths", &out->of, s->error);
}

static mq_status list_takers(mq_choice_job *s, int t) {
    const mq_choice_step *step = &s->g->step[t];
    mq_listing *l = &s->takers[t];
    size_t inputs = (size_t)step->inputs, all = 0;
    for (size_t i = 0; i < inputs * (size_t)step->classes; i++) all += step->takes[i];
    MQ_TRY(make_listing(s, inputs, all, l));
    int32_t count = 0;
    for (size_t i = 0; i < inputs; i++) {
        for (int k = 0; k < step->classes; k++)
            if (step->takes[(size_t)k * inputs + i]) l->of[count++] = k;
        l->first[i + 1] = count;
    }
    return MQ_OK;
}

static mq_status list_rests(mq_choice_job *s, int t) {
    const mq_choice_step *step = &s->g->step[t];
    int states = step[-1].states;
    mq_listing *l = &s->rests[t];
    MQ_TRY(make_listing(s, (size_t)step->rests, (size_t)states, l));
    for (int i = 0; i < states; i++) l->first[step->rest_of[i] + 1]++;
    for (int r = 0; r < step->rests; r++) l->first[r + 1] += l->first[r];
    for (int i = states - 1; i >= 0; i--) { /* from the end, so that first[r + 1] ends as the start of r */
        int r = step->rest_of[i];
        l->of[--l->first[r + 1]] = i;
    }
    for (int r = 0; r < step->rests; r++) l->first[r] = l->first[r + 1];
    l->first[step->rests] = states;
    return MQ_OK;
}

static mq_status prepare(mq_choice_job *s) {
    const mq_choice_graph *g = s->g;
    size_t n = (size_t)g->count;
    MQ_TRY(mq_arena_create(&s->arena, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->come, "paths", &s->come, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->from, "paths", &s->from, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->item, "paths", &s->item, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->way, "paths", &s->way, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->takers, "paths", &s->takers, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->rests, "paths", &s->rests, s->error));
    size_t classes = 1, cells = 1;
    for (int t = 0; t < g->count; t++) {
        if (t && g->step[t].layer >= 0) {
            MQ_TRY(list_takers(s, t));
            MQ_TRY(list_rests(s, t));
        }
        size_t states = (size_t)g->step[t].states;
        MQ_TRY(mq_arena_alloc(s->arena, states, sizeof **s->come, "paths", &s->come[t], s->error));
        MQ_TRY(mq_arena_alloc(s->arena, states, sizeof **s->from, "paths", &s->from[t], s->error));
        MQ_TRY(mq_arena_alloc(s->arena, states, sizeof **s->item, "paths", &s->item[t], s->error));
        if ((size_t)g->step[t].classes > classes) classes = (size_t)g->step[t].classes;
        if ((size_t)g->step[t].cells > cells) cells = (size_t)g->step[t].cells;
    }
    MQ_TRY(mq_arena_alloc(s->arena, classes, sizeof *s->class_best, "paths", &s->class_best, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, classes, sizeof *s->class_from, "paths", &s->class_from, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, cells, sizeof *s->cell_best, "paths", &s->cell_best, s->error));
    return mq_arena_alloc(s->arena, cells, sizeof *s->cell_item, "paths", &s->cell_item, s->error);
}

mq_status mq_choice_search(const mq_choice_graph *graph, int layers, const mq_resources *budget,
                           bool optimise, int rounds, mq_choice_result *out, mq_error *error) {
    mq_choice_job s = {
        .g = graph, .budget = budget, .optimise = optimise, .rounds = rounds, .out = out, .error = error};
    *out = (mq_choice_result){0};
    if (graph->stuck >= 0) return MQ_OK;
    for (int i = 0; i < MQ_RESOURCES; i++) s.share[i] = 1.0 / (double)(budget->of[i] > 0 ? budget->of[i] : 1);
    bool decided = false;
    mq_status status =
        mq_alloc((size_t)layers + 1, sizeof *out->candidate, "an allocation", &out->candidate, error);
    if (status == MQ_OK) status = prepare(&s);
    if (status == MQ_OK) status = relax(&s, &decided);
    if (status == MQ_OK && !decided && !optimise) {
        status = mq_choice_fronts(&s, false);
        if (status == MQ_OK && !out->found) status = mq_choice_fronts(&s, true);
    }
    mq_arena_destroy(s.arena);
    if (status != MQ_OK) mq_choice_result_free(out);
    return status;
}

void mq_choice_result_free(mq_choice_result *result) {
    mq_free(result->candidate);
    *result = (mq_choice_result){0};
}

mq_status mq_choice_least(const mq_choice_graph *graph, int layers, mq_resource resource, int64_t *out,
                          mq_error *error) {
    mq_choice_job s = {.g = graph, .error = error};
    (void)layers;
    mq_status status = prepare(&s);
    if (status == MQ_OK) {
        mq_price_vector p = {0};
        p[resource] = 1;
        *out = (int64_t)(shortest(&s, p) + 0.5);
    }
    mq_arena_destroy(s.arena);
    return status;
}
