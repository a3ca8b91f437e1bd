/* sweep.c - points, groups and fronts. */
#include "sweep/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

const char *const mq_sweep_method_names[] = {"search", "published", "sensitivity", "uniform", NULL};
const char *const mq_sweep_aim_names[] = {"cd", "target_dsp_ops_M", "target_fps", "bits", NULL};
const char *const mq_sweep_stage_names[] = {"new", "searched", "trained", "failed", NULL};

/* ---- lists ---- */

mq_status mq_sweep_parse_list(const char *what, const char *text, double low, double high, mq_sweep_list *out,
                              mq_error *error) {
    out->count = 0;
    for (const char *at = text;; at++) {
        char item[32];
        size_t n = strcspn(at, ",");
        double value;
        snprintf(item, sizeof item, "%.*s", n < sizeof item ? (int)n : 0, at);
        if (!mq_parse_double(item, &value) || value < low || value > high)
            return mq_fail(error, MQ_USAGE, "%s: got '%.*s', expected numbers from %g to %g with commas",
                           what, (int)(n < 40 ? n : 40), at, low, high);
        for (int i = 0; i < out->count; i++)
            if (out->value[i] == value)
                return mq_fail(error, MQ_USAGE, "%s: %s stands there twice", what, item);
        if (out->count == MQ_SWEEP_VALUES)
            return mq_fail(error, MQ_USAGE, "%s: at most %d numbers expected", what, MQ_SWEEP_VALUES);
        out->value[out->count++] = value;
        at += n;
        if (!*at) return MQ_OK;
    }
}

mq_status mq_sweep_parse_methods(const char *text, mq_sweep_plan *plan, mq_error *error) {
    memset(plan->method, 0, sizeof plan->method);
    for (const char *at = text;; at++) {
        char item[32];
        size_t n = strcspn(at, ",");
        int which = 0;
        snprintf(item, sizeof item, "%.*s", n < sizeof item ? (int)n : 0, at);
        while (mq_sweep_method_names[which] && strcmp(item, mq_sweep_method_names[which]) != 0) which++;
        if (which == MQ_SWEEP_METHODS) {
            const char *near = mq_nearest(item, mq_sweep_method_names);
            return mq_fail(error, MQ_USAGE,
                           "--methods: got '%.*s'%s%s%s, expected words of search, published, sensitivity, "
                           "uniform with commas",
                           (int)(n < 40 ? n : 40), at, near ? " (did you mean '" : "", near ? near : "",
                           near ? "'?)" : "");
        }
        if (plan->method[which]) return mq_fail(error, MQ_USAGE, "--methods: %s stands there twice", item);
        plan->method[which] = true;
        at += n;
        if (!*at) return MQ_OK;
    }
}

/* ---- points ---- */

static void add(mq_sweep *sweep, const mq_sweep_plan *plan, mq_sweep_method method, mq_sweep_aim aim,
                const mq_sweep_list *list) {
    static const char *const words[MQ_AIMS] = {"cd", "dsp", "fps", "w"};
    for (int v = 0; v < list->count; v++)
        for (int s = 0; s < plan->seeds; s++) {
            mq_sweep_point *p = &sweep->point[sweep->count++];
            *p = (mq_sweep_point){.method = method,
                                  .aim = aim,
                                  .value = list->value[v],
                                  .seed = plan->seed + (uint64_t)s,
                                  .dsp_ops_M = NAN,
                                  .searched = NAN,
                                  .predicted = NAN,
                                  .quality = NAN,
                                  .best = NAN,
                                  .cycles = NAN,
                                  .fps = NAN};
            snprintf(p->name, sizeof p->name, "%s-%s%.6g-seed%llu", mq_sweep_method_names[method], words[aim],
                     p->value, (unsigned long long)p->seed);
        }
}

static int compare_names(const void *a, const void *b) {
    const mq_sweep_point *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Values that differ in their seventh digit alone would share a folder. */
static mq_status check_names(const mq_sweep *sweep, mq_error *error) {
    const mq_sweep_point **sorted;
    MQ_TRY(mq_alloc((size_t)sweep->count, sizeof(const mq_sweep_point *), "points", &sorted, error));
    for (int i = 0; i < sweep->count; i++) sorted[i] = &sweep->point[i];
    qsort(sorted, (size_t)sweep->count, sizeof *sorted, compare_names);
    mq_status status = MQ_OK;
    for (int i = 1; i < sweep->count && status == MQ_OK; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = mq_fail(error, MQ_USAGE, "two points would be named %s: values differ too little",
                             sorted[i]->name);
    mq_free(sorted);
    return status;
}

mq_status mq_sweep_make(const mq_sweep_plan *plan, mq_sweep *out, mq_error *error) {
    const mq_sweep_list none = {0};
    const bool *method = plan->method;
    const struct {
        mq_sweep_method method;
        mq_sweep_aim aim;
        const mq_sweep_list *list;
    } parts[] = {
        {MQ_SWEEP_SEARCH, MQ_AIM_PRICE, &plan->prices},
        {MQ_SWEEP_SEARCH, MQ_AIM_TARGET, &plan->targets},
        {MQ_SWEEP_SEARCH, MQ_AIM_RATE, &plan->rates},
        {MQ_SWEEP_PUBLISHED, MQ_AIM_PRICE, &plan->published},
        {MQ_SWEEP_SENSITIVITY, MQ_AIM_TARGET, &plan->budgets},
        {MQ_SWEEP_UNIFORM, MQ_AIM_BITS, &plan->widths},
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    *out = (mq_sweep){0};
    long long count = 0;
    for (int i = 0; i < PARTS; i++)
        count += method[parts[i].method] ? (long long)parts[i].list->count * plan->seeds : 0;
    if (count < 1 || count > MQ_SWEEP_POINTS)
        return mq_fail(error, MQ_USAGE, "a sweep of %lld points: 1 to %d expected", count, MQ_SWEEP_POINTS);
    MQ_TRY(mq_alloc((size_t)count, sizeof *out->point, "points", &out->point, error));
    for (int i = 0; i < PARTS; i++)
        add(out, plan, parts[i].method, parts[i].aim, method[parts[i].method] ? parts[i].list : &none);
    mq_status status = check_names(out, error);
    if (status != MQ_OK) mq_sweep_free(out);
    return status;
}

void mq_sweep_free(mq_sweep *sweep) {
    mq_free(sweep->point);
    *sweep = (mq_sweep){0};
}

/* ---- fronts ---- */

bool mq_sweep_unbeaten(const double *cost, const double *quality, const int *kind, int count, int i) {
    if (isnan(cost[i]) || isnan(quality[i])) return false;
    for (int j = 0; j < count; j++) {
        if (j == i || kind[j] != kind[i] || isnan(cost[j]) || isnan(quality[j])) continue;
        if (cost[j] > cost[i] || quality[j] < quality[i]) continue;
        if (cost[j] < cost[i] || quality[j] > quality[i] || j < i) return false;
    }
    return true;
}

static bool is_search(const mq_sweep_point *p) {
    return p->method == MQ_SWEEP_SEARCH || p->method == MQ_SWEEP_PUBLISHED;
}

bool mq_sweep_to_train(const mq_sweep *sweep, int i, bool front, int *waits) {
    const mq_sweep_point *p = &sweep->point[i];
    *waits = p->stage == MQ_STAGE_NEW;
    if (p->stage == MQ_STAGE_FAILED || p->stage == MQ_STAGE_TRAINED) return false;
    if (!front || !is_search(p)) return *waits == 0;
    bool beaten = false;
    for (int j = 0; j < sweep->count; j++) {
        const mq_sweep_point *o = &sweep->point[j];
        if (j == i || o->method != p->method || o->seed != p->seed) continue;
        *waits += o->stage == MQ_STAGE_NEW;
        if (isnan(o->dsp_ops_M) || isnan(o->searched)) continue;
        if (o->dsp_ops_M > p->dsp_ops_M || o->searched < p->searched) continue;
        beaten |= o->dsp_ops_M < p->dsp_ops_M || o->searched > p->searched || j < i;
    }
    return *waits == 0 && !beaten;
}

/* ---- groups ---- */

static bool same_group(const mq_sweep_point *a, const mq_sweep_point *b) {
    return a->method == b->method && a->aim == b->aim && a->value == b->value;
}

/* Mean and sample standard deviation by two passes. */
static void mean_of(const mq_sweep *sweep, int first, double (*get)(const mq_sweep_point *), double *mean,
                    double *spread) {
    double sum = 0, squares = 0;
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = first; i < sweep->count; i++) {
            const mq_sweep_point *p = &sweep->point[i];
            if (p->stage != MQ_STAGE_TRAINED || !same_group(p, &sweep->point[first])) continue;
            if (pass == 0) {
                sum += get(p);
                n++;
            } else {
                squares += (get(p) - sum / n) * (get(p) - sum / n);
            }
        }
    *mean = sum / n;
    if (spread) *spread = n > 1 ? sqrt(squares / (n - 1)) : 0;
}

static double quality_of(const mq_sweep_point *p) {
    return p->quality;
}
static double best_of(const mq_sweep_point *p) {
    return p->best;
}
static double dsp_of(const mq_sweep_point *p) {
    return p->dsp_ops_M;
}
static double cycles_of(const mq_sweep_point *p) {
    return p->cycles > 0 ? p->cycles : NAN; /* on a device that is too small: none */
}
static double fps_of(const mq_sweep_point *p) {
    return p->fps > 0 ? p->fps : NAN;
}

static mq_sweep_group make_group(const mq_sweep *sweep, int first) {
    const mq_sweep_point *p = &sweep->point[first];
    mq_sweep_group g = {.method = p->method, .aim = p->aim, .value = p->value, .first = first, .best = first};
    g.lowest = g.highest = p->quality;
    for (int i = first; i < sweep->count; i++) {
        const mq_sweep_point *o = &sweep->point[i];
        if (o->stage != MQ_STAGE_TRAINED || !same_group(o, p)) continue;
        g.seeds++;
        g.lowest = fmin(g.lowest, o->quality);
        g.highest = fmax(g.highest, o->quality);
        if (o->quality > sweep->point[g.best].quality) g.best = i;
    }
    mean_of(sweep, first, quality_of, &g.quality, &g.quality_spread);
    mean_of(sweep, first, best_of, &g.best_quality, NULL);
    mean_of(sweep, first, dsp_of, &g.dsp_ops_M, &g.dsp_ops_spread);
    mean_of(sweep, first, cycles_of, &g.cycles, &g.cycles_spread);
    mean_of(sweep, first, fps_of, &g.fps, NULL);
    return g;
}

static mq_status mark_front(mq_sweep_group *group, int count, mq_error *error) {
    double *numbers;
    int *kind;
    MQ_TRY(mq_alloc(2 * (size_t)count, sizeof *numbers, "a front", &numbers, error));
    mq_status status = mq_alloc((size_t)count, sizeof *kind, "a front", &kind, error);
    if (status != MQ_OK) {
        mq_free(numbers);
        return status;
    }
    for (int i = 0; i < count; i++) {
        numbers[i] = group[i].dsp_ops_M;
        numbers[count + i] = group[i].quality;
    }
    for (int i = 0; i < count; i++)
        group[i].front = mq_sweep_unbeaten(numbers, numbers + count, kind, count, i);
    mq_free(numbers);
    mq_free(kind);
    return MQ_OK;
}

mq_status mq_sweep_groups(const mq_sweep *sweep, mq_sweep_group **out, int *count, mq_error *error) {
    *count = 0;
    MQ_TRY(mq_alloc((size_t)sweep->count, sizeof **out, "groups", out, error));
    for (int i = 0; i < sweep->count; i++) {
        bool seen = sweep->point[i].stage != MQ_STAGE_TRAINED;
        for (int g = 0; g < *count && !seen; g++)
            seen = same_group(&sweep->point[(*out)[g].first], &sweep->point[i]);
        if (!seen) (*out)[(*count)++] = make_group(sweep, i);
    }
    mq_status status = mark_front(*out, *count, error);
    if (status != MQ_OK) {
        mq_free(*out);
        *out = NULL;
    }
    return status;
}
