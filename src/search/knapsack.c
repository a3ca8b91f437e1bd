/* knapsack.c - states by cost, bounds by the concave hulls of the layers that are left. */
#include "search/knapsack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    CHOICES = MQ_BRANCHES * MQ_BRANCHES,
    FIRST_STATES = 64, /* per layer in the first pass */
    MORE_STATES = 16,  /* times as many in the next */
    MOST_STATES = 1 << 18
};
#define UNITS          0x1p50
#define VALUE_ACCURACY 1e-12

typedef struct item {
    int64_t cost;
    double value;
    int choice;
} item;

typedef struct item_set {
    int layer; /* of the knapsack */
    int count;
    item item[CHOICES]; /* by cost, no two of the same */
} item_set;

/* A corner of a concave function of the cost. */
typedef struct corner {
    int64_t cost;
    double value;
} corner;

/* What the layers from one on reach at most at an exact cost. */
typedef struct hull {
    int count, peak;
    corner *corner; /* owned */
} hull;

typedef struct state {
    int64_t cost;
    double value, bound;
    uint32_t parent; /* in the level before */
    int16_t item;
} state;

typedef struct level {
    size_t count, room;
    state *state; /* owned */
} level;

typedef struct solver {
    const mq_knapsack *knapsack;
    int count;
    double unit;
    int64_t floor, limit;
    double accuracy;
    item_set *set;  /* [count], the widest costs first */
    hull *hull;     /* [count + 1] */
    level *level;   /* [count + 1] */
    double best;    /* value of the best choice so far */
    int *best_item; /* [count] */
    double lost;    /* largest bound of the states left out by the pass */
} solver;

/* ---- a cost model's knapsack ---- */

/* One stage often serves several bits: of equal shares the allocation finds more room with fewer bits. */
static double told_apart(double share, int weight, int activation) {
    const double most = MQ_BITS_MAX * MQ_BITS_MAX, least = MQ_SEARCH_MIN * MQ_SEARCH_MIN;
    return share * (1 + MQ_SHARE_TIES * (weight * activation - least) / (most - least));
}

void mq_knapsack_price(mq_knapsack *knapsack, const mq_cost_model *cost, const mq_search_fix *fix) {
    knapsack->count = cost->count;
    for (int n = 0; n < cost->count; n++) {
        const int layer = cost->layer[n];
        for (int i = 0; i < MQ_BRANCHES; i++)
            for (int j = 0; j < MQ_BRANCHES; j++) {
                const int w = MQ_SEARCH_MIN + i, a = MQ_SEARCH_MIN + j;
                const bool allowed =
                    !fix || !fix->fixed[layer] || (fix->weight[layer] == w && fix->activation[layer] == a);
                knapsack->value[n][i][j] = allowed ? 0 : -INFINITY;
                knapsack->cost[n][i][j] = cost->device
                                              ? told_apart(cost->device->share[layer][w][a], w, a)
                                              : mq_workload_macs_M(&cost->work[n]) / cost->f[n][w][a];
            }
    }
}

void mq_knapsack_range(const mq_knapsack *knapsack, double *least, double *most) {
    *least = *most = 0;
    for (int n = 0; n < knapsack->count; n++) {
        double low = INFINITY, high = -INFINITY;
        for (int c = 0; c < CHOICES; c++) {
            if (knapsack->value[n][c / MQ_BRANCHES][c % MQ_BRANCHES] == -INFINITY) continue;
            low = fmin(low, knapsack->cost[n][c / MQ_BRANCHES][c % MQ_BRANCHES]);
            high = fmax(high, knapsack->cost[n][c / MQ_BRANCHES][c % MQ_BRANCHES]);
        }
        *least += low;
        *most += high;
    }
}

void mq_knapsack_bits(const mq_knapsack_choice *choice, const mq_cost_model *cost, mq_bits *bits) {
    for (int n = 0; n < cost->count; n++) {
        bits->weight[cost->layer[n]] = choice->weight[n];
        bits->activation[cost->layer[n]] = choice->activation[n];
    }
}

/* ---- preparation ---- */

static int by_cost_then_value(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static int64_t spread(const item_set *set) {
    return set->item[set->count - 1].cost - set->item[0].cost;
}

/* The wide ones first: what is left then closes every gap or none. */
static int by_spread(const void *a, const void *b) {
    const item_set *x = a, *y = b;
    if (spread(x) != spread(y)) return spread(x) > spread(y) ? -1 : 1;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

static mq_status read_layer(const mq_knapsack *k, int layer, double unit, item_set *out, mq_error *error) {
    double top = -INFINITY;
    out->layer = layer;
    out->count = 0;
    for (int c = 0; c < CHOICES; c++) top = fmax(top, k->value[layer][c / MQ_BRANCHES][c % MQ_BRANCHES]);
    for (int c = 0; c < CHOICES; c++) {
        const double value = k->value[layer][c / MQ_BRANCHES][c % MQ_BRANCHES];
        if (value == -INFINITY) continue;
        if (!isfinite(value))
            return mq_fail(error, MQ_INTERNAL, "knapsack: layer %d has a value of %g", layer, value);
        const double cost = k->cost[layer][c / MQ_BRANCHES][c % MQ_BRANCHES];
        out->item[out->count++] = (item){llround(cost / unit), value - top, c};
    }
    if (!out->count) return mq_fail(error, MQ_INTERNAL, "knapsack: layer %d has no choice", layer);
    qsort(out->item, (size_t)out->count, sizeof *out->item, by_cost_then_value);
    int kept = 1;
    for (int c = 1; c < out->count; c++)
        if (out->item[c].cost != out->item[kept - 1].cost) out->item[kept++] = out->item[c];
    out->count = kept;
    return MQ_OK;
}

static double slope(const corner *a, const corner *b) {
    return (b->value - a->value) / (double)(b->cost - a->cost);
}

/* The upper concave hull of a layer's items. */
static int hull_of(const item_set *set, corner out[CHOICES]) {
    int count = 0;
    for (int c = 0; c < set->count; c++) {
        const corner next = {set->item[c].cost, set->item[c].value};
        while (count > 1 && slope(&out[count - 2], &out[count - 1]) <= slope(&out[count - 1], &next)) count--;
        out[count++] = next;
    }
    return count;
}

/* The hull of a sum is made of the same edges in order of slope. */
static mq_status add_hull(const item_set *set, const hull *rest, hull *out, mq_error *error) {
    corner own[CHOICES];
    const int count = hull_of(set, own);
    MQ_TRY(mq_alloc((size_t)(count + rest->count), sizeof *out->corner, "bounds", &out->corner, error));
    corner at = {own[0].cost + rest->corner[0].cost, own[0].value + rest->corner[0].value};
    out->corner[out->count++] = at;
    for (int i = 1, j = 1; i < count || j < rest->count;) {
        const bool mine =
            j == rest->count ||
            (i < count && slope(&own[i - 1], &own[i]) >= slope(&rest->corner[j - 1], &rest->corner[j]));
        const corner *to = mine ? &own[i++] : &rest->corner[j++];
        at.cost += to->cost - to[-1].cost;
        at.value += to->value - to[-1].value;
        out->corner[out->count++] = at;
    }
    for (int i = 1; i < out->count; i++)
        if (out->corner[i].value > out->corner[out->peak].value) out->peak = i;
    return MQ_OK;
}

static mq_status check_costs(const mq_knapsack *k, double *sum, mq_error *error) {
    *sum = 0;
    if (k->count < 1 || k->count > MQ_MAX_LAYERS)
        return mq_fail(error, MQ_INTERNAL, "knapsack: %d layers", k->count);
    for (int n = 0; n < k->count; n++) {
        double most = 0;
        for (int c = 0; c < CHOICES; c++) {
            const double cost = k->cost[n][c / MQ_BRANCHES][c % MQ_BRANCHES];
            if (!isfinite(cost) || cost < 0)
                return mq_fail(error, MQ_INTERNAL, "knapsack: layer %d has a cost of %g", n, cost);
            most = fmax(most, cost);
        }
        *sum += most;
    }
    return MQ_OK;
}

static mq_status prepare(solver *s, double floor, double limit, mq_error *error) {
    double sum, range = 0;
    const size_t count = (size_t)s->knapsack->count;
    MQ_TRY(check_costs(s->knapsack, &sum, error));
    s->count = s->knapsack->count;
    s->unit = sum > 0 ? sum / UNITS : 1;
    MQ_TRY(mq_alloc(count, sizeof *s->set, "choices", &s->set, error));
    MQ_TRY(mq_alloc(count + 1, sizeof *s->hull, "bounds", &s->hull, error));
    MQ_TRY(mq_alloc(count + 1, sizeof *s->level, "states", &s->level, error));
    MQ_TRY(mq_alloc(count, sizeof *s->best_item, "choices", &s->best_item, error));
    for (int n = 0; n < s->count; n++) MQ_TRY(read_layer(s->knapsack, n, s->unit, &s->set[n], error));
    qsort(s->set, count, sizeof *s->set, by_spread);
    hull *last = &s->hull[s->count];
    MQ_TRY(mq_alloc(1, sizeof *last->corner, "bounds", &last->corner, error));
    last->count = 1;
    for (int n = s->count - 1; n >= 0; n--) {
        MQ_TRY(add_hull(&s->set[n], &s->hull[n + 1], &s->hull[n], error));
        double low = INFINITY, high = -INFINITY;
        for (int c = 0; c < s->set[n].count; c++) {
            low = fmin(low, s->set[n].item[c].value);
            high = fmax(high, s->set[n].item[c].value);
        }
        range += high - low;
    }
    s->accuracy = VALUE_ACCURACY * range;
    /* costs are rounded by half a unit a layer */
    const double top = 2 * UNITS;
    s->limit = (int64_t)fmin(fmax(ceil(limit / s->unit) + s->count, -1), top);
    s->floor = (int64_t)fmax(fmin(ceil(floor / s->unit) - s->count, top), -1);
    return MQ_OK;
}

static void clear(solver *s) {
    for (int n = 0; n <= s->count; n++) {
        if (s->hull) mq_free(s->hull[n].corner);
        if (s->level) mq_free(s->level[n].state);
    }
    mq_free(s->set);
    mq_free(s->hull);
    mq_free(s->level);
    mq_free(s->best_item);
}

/* ---- states ---- */

/* The most that layers from n on add, within what the limits leave: the linear program's value; -INFINITY:
 * nothing fits. */
static double most_of_rest(const solver *s, int n, int64_t cost) {
    const hull *h = &s->hull[n];
    const int64_t low = s->floor - cost, high = s->limit - cost;
    if (high < h->corner[0].cost || low > h->corner[h->count - 1].cost) return -INFINITY;
    const int64_t peak = h->corner[h->peak].cost;
    const int64_t at = peak < low ? low : peak > high ? high : peak;
    int left = 0, right = h->count - 1;
    while (right - left > 1) {
        const int middle = (left + right) / 2;
        if (h->corner[middle].cost <= at)
            left = middle;
        else
            right = middle;
    }
    const corner *a = &h->corner[left], *b = &h->corner[right];
    if (at <= a->cost) return a->value;
    if (at >= b->cost) return b->value;
    return a->value + slope(a, b) * (double)(at - a->cost);
}

static bool hopeless(const solver *s, double bound) {
    return bound == -INFINITY || bound <= s->best + s->accuracy;
}

static mq_status add_state(level *l, const state *next, mq_error *error) {
    if (l->count == l->room) {
        const size_t room = l->room ? 2 * l->room : FIRST_STATES;
        MQ_TRY(mq_resize(l->room, room, sizeof *l->state, "states", &l->state, error));
        l->room = room;
    }
    l->state[l->count++] = *next;
    return MQ_OK;
}

static int state_by_cost(const void *a, const void *b) {
    const state *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static int state_by_bound(const void *a, const void *b) {
    const state *x = a, *y = b;
    if (x->bound != y->bound) return x->bound > y->bound ? -1 : 1;
    return state_by_cost(a, b);
}

/* Drops states that another replaces whatever follows: a cheaper one that cannot fall below the floor, a
 * dearer one that cannot exceed the limit, one of the same cost. */
static void drop_dominated(const solver *s, int n, level *l) {
    const hull *rest = &s->hull[n];
    const int64_t least = rest->corner[0].cost, most = rest->corner[rest->count - 1].cost;
    if (!l->count) return;
    qsort(l->state, l->count, sizeof *l->state, state_by_cost);
    size_t kept = 0;
    double cheaper = -INFINITY, dearer = -INFINITY;
    for (size_t i = 0; i < l->count; i++) {
        const state *x = &l->state[i];
        if ((kept && l->state[kept - 1].cost == x->cost) || x->value <= cheaper) continue;
        if (x->cost + least >= s->floor) cheaper = x->value;
        l->state[kept++] = *x;
    }
    size_t first = kept;
    for (size_t i = kept; i-- > 0;) {
        const state *x = &l->state[i];
        if (x->value < dearer) continue;
        if (x->cost + most <= s->limit) dearer = x->value;
        l->state[--first] = *x;
    }
    l->count = kept - first;
    memmove(l->state, l->state + first, l->count * sizeof *l->state);
}

static mq_status expand(solver *s, int n, size_t most, mq_error *error) {
    const level *from = &s->level[n];
    level *to = &s->level[n + 1];
    to->count = 0;
    for (size_t p = 0; p < from->count; p++)
        for (int c = 0; c < s->set[n].count; c++) {
            const item *it = &s->set[n].item[c];
            state next = {.cost = from->state[p].cost + it->cost,
                          .value = from->state[p].value + it->value,
                          .parent = (uint32_t)p,
                          .item = (int16_t)c};
            next.bound = next.value + most_of_rest(s, n + 1, next.cost);
            if (!hopeless(s, next.bound)) MQ_TRY(add_state(to, &next, error));
        }
    drop_dominated(s, n + 1, to);
    if (to->count > most) {
        qsort(to->state, to->count, sizeof *to->state, state_by_bound);
        s->lost = fmax(s->lost, to->state[most].bound);
        to->count = most;
    }
    return MQ_OK;
}

/* At most `most` states a layer. */
static mq_status pass(solver *s, size_t most, mq_error *error) {
    s->lost = -INFINITY;
    s->level[0].count = 0;
    MQ_TRY(add_state(&s->level[0], &(state){.bound = INFINITY}, error));
    for (int n = 0; n < s->count; n++) MQ_TRY(expand(s, n, most, error));
    const level *end = &s->level[s->count];
    size_t best = 0;
    for (size_t i = 1; i < end->count; i++)
        if (end->state[i].value > end->state[best].value) best = i;
    if (!end->count) return MQ_OK; /* none is better than the one known */
    s->best = end->state[best].value;
    for (int n = s->count; n > 0; n--) {
        const state *x = &s->level[n].state[best];
        s->best_item[n - 1] = x->item;
        best = x->parent;
    }
    return MQ_OK;
}

static void put_choice(const solver *s, mq_knapsack_choice *out) {
    out->found = s->best > -INFINITY;
    for (int n = 0; n < s->count && out->found; n++) {
        const int layer = s->set[n].layer, c = s->set[n].item[s->best_item[n]].choice;
        out->weight[layer] = (int8_t)(MQ_SEARCH_MIN + c / MQ_BRANCHES);
        out->activation[layer] = (int8_t)(MQ_SEARCH_MIN + c % MQ_BRANCHES);
    }
    for (int n = 0; n < s->count && out->found; n++) {
        const int i = out->weight[n] - MQ_SEARCH_MIN, j = out->activation[n] - MQ_SEARCH_MIN;
        out->value += s->knapsack->value[n][i][j];
        out->cost += s->knapsack->cost[n][i][j];
    }
    const bool proven = hopeless(s, s->lost);
    if (!out->found)
        out->bound = proven ? -INFINITY : s->lost;
    else
        out->bound = out->value + (proven ? 0 : s->lost - s->best);
}

mq_status mq_knapsack_solve(const mq_knapsack *knapsack, double floor, double limit, mq_knapsack_choice *out,
                            mq_error *error) {
    solver s = {.knapsack = knapsack, .best = -INFINITY};
    *out = (mq_knapsack_choice){0};
    mq_status status = prepare(&s, floor, limit, error);
    for (size_t most = FIRST_STATES; most <= MOST_STATES && status == MQ_OK; most *= MORE_STATES) {
        status = pass(&s, most, error);
        if (hopeless(&s, s.lost)) break;
    }
    if (status == MQ_OK) put_choice(&s, out);
    clear(&s);
    return status;
}

mq_status mq_knapsack_near(const mq_knapsack *knapsack, double target, double tolerance,
                           mq_knapsack_choice *out, mq_error *error) {
    MQ_TRY(mq_knapsack_solve(knapsack, (1 - tolerance) * target, target, out, error));
    if (out->found) return MQ_OK;
    MQ_TRY(mq_knapsack_solve(knapsack, -INFINITY, target, out, error));
    if (!out->found) return MQ_OK;
    double low = out->cost, high = (1 - tolerance) * target;
    while (high - low > 1e-6 * target) {
        mq_knapsack_choice next;
        const double middle = low + (high - low) / 2;
        MQ_TRY(mq_knapsack_solve(knapsack, middle, target, &next, error));
        if (next.found) {
            *out = next;
            low = fmax(middle, next.cost);
        } else
            high = middle;
    }
    return MQ_OK;
}
