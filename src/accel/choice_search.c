/* choice_search.c - shortest paths under prices, and exact fronts between their bounds. */
#include "accel/choice_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { BOUNDS = 6, CHUNK = 4096 };

static const double ROUNDING = 1e-9;

typedef double price_vector[MQ_RESOURCES];

/* Cost to come of every state under one price, and the way there. */
typedef struct potential {
    price_vector price;
    double limit;  /* a way worth having costs less (optimise) or at most this */
    double **come; /* [steps][states] */
} potential;

typedef struct search {
    const mq_choice_graph *g;
    const mq_resources *budget;
    price_vector share; /* 1 / budget */
    bool optimise;
    int rounds;
    mq_arena *arena;
    double **come;
    int32_t **from, **item; /* state before; item of a layer, arc of others */
    double *class_best;     /* of one rest, [classes] */
    int32_t *class_from;
    double *cell_best;
    int32_t *cell_item;
    potential bound[BOUNDS];
    int bounds;
    mq_choice_result *out;
    mq_error *error;
} search;

static double cost32(const price_vector p, const int32_t used[MQ_RESOURCES]) {
    double sum = 0;
    for (int i = 0; i < MQ_RESOURCES; i++) sum += p[i] * used[i];
    return sum;
}

static double cost(const price_vector p, const mq_resources *used) {
    double sum = 0;
    for (int i = 0; i < MQ_RESOURCES; i++) sum += p[i] * (double)used->of[i];
    return sum;
}

/* ---- shortest paths ---- */

static void layer_costs(search *s, const mq_choice_step *step, int t, const price_vector p) {
    const mq_choice_step *before = step - 1;
    for (int i = 0; i < step->states; i++) s->come[t][i] = INFINITY;
    for (int c = 0; c < step->cells; c++) {
        const mq_choice_cell *cell = &step->cell[c];
        s->cell_best[c] = INFINITY;
        for (int i = cell->first; i < cell->first + cell->count; i++) {
            double v = cost32(p, step->item[i].used);
            if (v < s->cell_best[c]) {
                s->cell_best[c] = v;
                s->cell_item[c] = i;
            }
        }
    }
    for (int rest = 0; rest < step->rests; rest++) {
        for (int k = 0; k < step->classes; k++) s->class_best[k] = INFINITY;
        for (int i = 0; i < before->states; i++) {
            if (step->rest_of[i] != rest) continue;
            const uint8_t *takes = step->takes + step->input_of[i];
            double come = s->come[t - 1][i];
            for (int k = 0; k < step->classes; k++)
                if (takes[(size_t)k * (size_t)step->inputs] && come < s->class_best[k]) {
                    s->class_best[k] = come;
                    s->class_from[k] = i;
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
static double shortest(search *s, const price_vector p) {
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
            double v = s->come[t - 1][arc->from] + cost(p, &arc->used);
            if (v < s->come[t][arc->to]) {
                s->come[t][arc->to] = v;
                s->from[t][arc->to] = arc->from;
                s->item[t][arc->to] = a;
            }
        }
    }
    return s->come[g->count - 1][0];
}

/* Resources of the way found last; candidates of its layers. */
static mq_resources trace(const search *s, int32_t *candidate, int *in_pixels) {
    const mq_choice_graph *g = s->g;
    mq_resources used = {{0}};
    int at = 0;
    for (int t = g->count - 1; t > 0; t--) {
        const mq_choice_step *step = &g->step[t];
        int item = s->item[t][at];
        if (step->layer >= 0) {
            for (int i = 0; i < MQ_RESOURCES; i++) used.of[i] += step->item[item].used[i];
            if (candidate) candidate[step->layer] = step->item[item].candidate;
        } else {
            mq_resources_add(&used, &step->arc[item].used);
        }
        at = s->from[t][at];
    }
    if (in_pixels) *in_pixels = g->key[g->step[0].state[at][0]][1];
    return used;
}

/* ---- bounds ---- */

static mq_status remember(search *s, const price_vector p, double limit, int slot) {
    const mq_choice_graph *g = s->g;
    potential *b = &s->bound[slot];
    if (!b->come) {
        MQ_TRY(mq_arena_alloc(s->arena, (size_t)g->count, sizeof *b->come, "bounds", &b->come, s->error));
        for (int t = 0; t < g->count; t++)
            MQ_TRY(mq_arena_alloc(s->arena, (size_t)g->step[t].states, sizeof **b->come, "bounds",
                                  &b->come[t], s->error));
    }
    memcpy(b->price, p, sizeof(price_vector));
    b->limit = limit;
    for (int t = 0; t < g->count; t++)
        memcpy(b->come[t], s->come[t], (size_t)g->step[t].states * sizeof(double));
    return MQ_OK;
}

/* Takes a way that fits, if it is the first or cheaper. */
static void offer(search *s, const mq_resources *used) {
    mq_choice_result *r = s->out;
    double price = cost(s->share, used);
    if (!mq_resources_fit(used, s->budget) || (r->found && price >= r->price)) return;
    r->found = true;
    r->price = price;
    r->used = *used;
    trace(s, r->candidate, &r->in_pixels);
}

/* Prices of exceeded resources rise, others fall. True: decided. */
static mq_status relax(search *s, bool *decided) {
    price_vector mu = {0}, p;
    double best = -INFINITY, kept[BOUNDS];
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
        mq_resources used = trace(s, NULL, NULL);
        offer(s, &used);
        if (s->out->found && !s->optimise) {
            *decided = true;
            return MQ_OK;
        }
        int slot = -1;
        if (s->bounds < BOUNDS)
            slot = s->bounds++;
        else
            for (int i = 0; i < BOUNDS; i++)
                if (kept[i] < bound && (slot < 0 || kept[i] < kept[slot])) slot = i;
        if (slot >= 0) {
            kept[slot] = bound;
            MQ_TRY(remember(s, p, weight, slot));
        }
        if (bound > best) best = bound;
        s->out->bound = best;
        if (s->optimise ? s->out->found && best >= s->out->price * (1 - ROUNDING) : best > ROUNDING) {
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

/* ---- exact fronts from the end ---- */

typedef struct vector {
    int32_t used[MQ_RESOURCES];
    int32_t item; /* of the step after */
    int32_t to;   /* state after it */
    const struct vector *next;
} vector;

typedef struct front {
    int count, room;
    vector **of;
} front;

typedef struct exact {
    search *s;
    front *after, *now;
    vector *chunk;
    int left;
} exact;

static bool hopeless(const search *s, const double *come, const int32_t used[MQ_RESOURCES]) {
    for (int b = 0; b < s->bounds; b++) {
        double limit =
            s->bound[b].limit + (s->optimise && s->out->found ? s->out->price * (1 - ROUNDING) : 0);
        if (s->optimise && !s->out->found) limit += MQ_RESOURCES; /* no share above 1 */
        if (come[b] + cost32(s->bound[b].price, used) > limit + ROUNDING) return true;
    }
    return false;
}

static mq_status keep(exact *x, front *f, const int32_t used[MQ_RESOURCES], int item, int to,
                      const vector *next) {
    search *s = x->s;
    int kept = 0;
    if (s->out->vectors >= MQ_CHOICE_VECTORS) {
        s->out->undecided = true;
        return MQ_OK;
    }
    for (int i = 0; i < f->count; i++) {
        bool beaten = true;
        for (int r = 0; r < MQ_RESOURCES; r++) beaten = beaten && f->of[i]->used[r] <= used[r];
        if (beaten) return MQ_OK;
    }
    for (int i = 0; i < f->count; i++) {
        bool beats = true;
        for (int r = 0; r < MQ_RESOURCES; r++) beats = beats && used[r] <= f->of[i]->used[r];
        if (!beats) f->of[kept++] = f->of[i];
    }
    f->count = kept;
    if (f->count == f->room) {
        int room = f->room ? 2 * f->room : 16;
        MQ_TRY(mq_resize((size_t)f->room, (size_t)room, sizeof(vector *), "fronts", &f->of, s->error));
        f->room = room;
    }
    if (x->left == 0) {
        MQ_TRY(mq_arena_alloc(s->arena, CHUNK, sizeof *x->chunk, "fronts", &x->chunk, s->error));
        x->left = CHUNK;
    }
    vector *v = &x->chunk[--x->left];
    memcpy(v->used, used, sizeof v->used);
    v->item = item;
    v->to = to;
    v->next = next;
    f->of[f->count++] = v;
    s->out->vectors++;
    return MQ_OK;
}

static mq_status sum_up(exact *x, front *f, const double *come, const int32_t *more, int item, int to) {
    const front *suffix = &x->after[to];
    for (int i = 0; i < suffix->count; i++) {
        int32_t used[MQ_RESOURCES];
        for (int r = 0; r < MQ_RESOURCES; r++) used[r] = suffix->of[i]->used[r] + more[r];
        if (hopeless(x->s, come, used)) continue;
        MQ_TRY(keep(x, f, used, item, to, suffix->of[i]));
    }
    return MQ_OK;
}

/* One rest: a front per class, then the union for every state before. */
static mq_status layer_fronts(exact *x, int t, int rest, front *of_class) {
    search *s = x->s;
    const mq_choice_step *step = &s->g->step[t], *before = step - 1;
    for (int k = 0; k < step->classes; k++) of_class[k].count = 0;
    for (int c = 0; c < step->cells; c++) {
        const mq_choice_cell *cell = &step->cell[c];
        int to = rest * step->outs + cell->out;
        if (x->after[to].count == 0) continue;
        double come[BOUNDS];
        for (int b = 0; b < s->bounds; b++) {
            come[b] = INFINITY;
            for (int i = 0; i < before->states; i++)
                if (step->rest_of[i] == rest &&
                    step->takes[(size_t)cell->class * (size_t)step->inputs + (size_t)step->input_of[i]])
                    come[b] = fmin(come[b], s->bound[b].come[t - 1][i]);
        }
        for (int i = cell->first; i < cell->first + cell->count; i++)
            MQ_TRY(sum_up(x, &of_class[cell->class], come, step->item[i].used, i, to));
    }
    for (int i = 0; i < before->states; i++) {
        if (step->rest_of[i] != rest) continue;
        double come[BOUNDS];
        for (int b = 0; b < s->bounds; b++) come[b] = s->bound[b].come[t - 1][i];
        for (int k = 0; k < step->classes; k++) {
            if (!step->takes[(size_t)k * (size_t)step->inputs + (size_t)step->input_of[i]]) continue;
            for (int j = 0; j < of_class[k].count; j++) {
                const vector *v = of_class[k].of[j];
                if (!hopeless(s, come, v->used))
                    MQ_TRY(keep(x, &x->now[i], v->used, v->item, v->to, v->next));
            }
        }
    }
    return MQ_OK;
}

static void free_fronts(front *fronts, int count) {
    for (int i = 0; fronts && i < count; i++) mq_free(fronts[i].of);
    mq_free(fronts);
}

static mq_status step_back(exact *x, int t) {
    search *s = x->s;
    const mq_choice_step *step = &s->g->step[t];
    mq_status status = MQ_OK;
    if (step->layer < 0) {
        for (int a = 0; a < step->arcs && status == MQ_OK; a++) {
            const mq_choice_arc *arc = &step->arc[a];
            double come[BOUNDS];
            int32_t used[MQ_RESOURCES];
            for (int b = 0; b < s->bounds; b++) come[b] = s->bound[b].come[t - 1][arc->from];
            for (int r = 0; r < MQ_RESOURCES; r++) used[r] = (int32_t)arc->used.of[r];
            status = sum_up(x, &x->now[arc->from], come, used, a, arc->to);
        }
        return status;
    }
    front *of_class;
    MQ_TRY(mq_alloc((size_t)step->classes, sizeof *of_class, "fronts", &of_class, s->error));
    for (int rest = 0; rest < step->rests && status == MQ_OK; rest++)
        status = layer_fronts(x, t, rest, of_class);
    free_fronts(of_class, step->classes);
    return status;
}

/* The cheapest vector of the first states that fits. */
static void accept(exact *x) {
    search *s = x->s;
    mq_choice_result *r = s->out;
    for (int i = 0; i < s->g->step[0].states; i++)
        for (int j = 0; j < x->after[i].count; j++) {
            const vector *v = x->after[i].of[j];
            mq_resources used;
            for (int k = 0; k < MQ_RESOURCES; k++) used.of[k] = v->used[k];
            double price = cost(s->share, &used);
            if (!mq_resources_fit(&used, s->budget) || (r->found && price >= r->price)) continue;
            r->found = true;
            r->price = price;
            r->used = used;
            r->in_pixels = s->g->key[s->g->step[0].state[i][0]][1];
            for (int t = 1; t < s->g->count; t++, v = v->next)
                if (s->g->step[t].layer >= 0)
                    r->candidate[s->g->step[t].layer] = s->g->step[t].item[v->item].candidate;
        }
}

static mq_status decide(search *s) {
    const mq_choice_graph *g = s->g;
    exact x = {.s = s};
    static const int32_t none[MQ_RESOURCES];
    MQ_TRY(mq_alloc(1, sizeof *x.after, "fronts", &x.after, s->error));
    mq_status status = keep(&x, &x.after[0], none, 0, 0, NULL);
    for (int t = g->count - 1; t > 0 && status == MQ_OK; t--) {
        status = mq_alloc((size_t)g->step[t - 1].states, sizeof *x.now, "fronts", &x.now, s->error);
        if (status == MQ_OK) status = step_back(&x, t);
        free_fronts(x.after, g->step[t].states);
        x.after = x.now;
        x.now = NULL;
        if (status != MQ_OK) {
            free_fronts(x.after, g->step[t - 1].states);
            return status;
        }
    }
    accept(&x);
    free_fronts(x.after, g->step[0].states);
    return MQ_OK;
}

/* ---- entry ---- */

static mq_status prepare(search *s) {
    const mq_choice_graph *g = s->g;
    size_t n = (size_t)g->count;
    MQ_TRY(mq_arena_create(&s->arena, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->come, "paths", &s->come, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->from, "paths", &s->from, s->error));
    MQ_TRY(mq_arena_alloc(s->arena, n, sizeof *s->item, "paths", &s->item, s->error));
    size_t classes = 1, cells = 1;
    for (int t = 0; t < g->count; t++) {
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
    search s = {
        .g = graph, .budget = budget, .optimise = optimise, .rounds = rounds, .out = out, .error = error};
    *out = (mq_choice_result){0};
    if (graph->stuck >= 0) return MQ_OK;
    for (int i = 0; i < MQ_RESOURCES; i++) s.share[i] = 1.0 / (double)(budget->of[i] > 0 ? budget->of[i] : 1);
    bool decided = false;
    mq_status status =
        mq_alloc((size_t)layers + 1, sizeof *out->candidate, "an allocation", &out->candidate, error);
    if (status == MQ_OK) status = prepare(&s);
    if (status == MQ_OK) status = relax(&s, &decided);
    if (status == MQ_OK && !decided && !optimise) status = decide(&s);
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
    search s = {.g = graph, .error = error};
    (void)layers;
    mq_status status = prepare(&s);
    if (status == MQ_OK) {
        price_vector p = {0};
        p[resource] = 1;
        *out = (int64_t)(shortest(&s, p) + 0.5);
    }
    mq_arena_destroy(s.arena);
    return status;
}
