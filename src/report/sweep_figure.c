/* sweep_figure.c - the curves of a sweep. */
#include "report/sweep_figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define LOG_FROM 4.0 /* largest cost over least */

typedef struct spot {
    const char *method, *aim;
    double x, y, spread_x, spread_y;
} spot;

/* "search" has prices and targets: curves of their own. */
static const char *aim_of(const json_t *group) {
    return json_is_number(json_object_get(group, "target_dsp_ops_M")) ? "target"
           : json_is_number(json_object_get(group, "bits"))           ? "bits"
                                                                      : "price";
}

static mq_status read_spot(const json_t *group, size_t i, spot *out, mq_error *error) {
    char where[64];
    snprintf(where, sizeof where, "results of a sweep: groups[%zu]", i);
    MQ_TRY(mq_json_string(group, where, "method", &out->method, error));
    MQ_TRY(mq_json_double(group, where, "dsp_ops_M", &out->x, error));
    MQ_TRY(mq_json_double(group, where, "accuracy", &out->y, error));
    MQ_TRY(mq_json_double(group, where, "dsp_ops_spread_M", &out->spread_x, error));
    MQ_TRY(mq_json_double(group, where, "accuracy_spread", &out->spread_y, error));
    out->aim = aim_of(group);
    if (!(out->x > 0)) return mq_fail(error, MQ_BAD_INPUT, "%s: dsp_ops_M: got %g", where, out->x);
    return MQ_OK;
}

static int by_cost(const void *a, const void *b) {
    const spot *p = a, *q = b;
    return (p->x > q->x) - (p->x < q->x);
}

static bool same_curve(const spot *a, const spot *b) {
    return strcmp(a->method, b->method) == 0 && strcmp(a->aim, b->aim) == 0;
}

/* The method has curves of another aim. */
static bool ambiguous(const spot *all, size_t count, const spot *one) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].method, one->method) == 0 && strcmp(all[i].aim, one->aim) != 0) return true;
    return false;
}

/* numbers: room for 4*count; the marks of each curve follow each other, by cost. */
static void make_curves(const spot *all, const spot *sorted, size_t count, double *numbers, mq_chart *chart) {
    size_t used = 0;
    for (size_t i = 0; i < count && chart->count < MQ_CHART_SERIES; i++) {
        bool begun = false;
        for (size_t k = 0; k < i; k++) begun |= same_curve(&all[k], &all[i]);
        if (begun) continue;
        mq_chart_series *s = &chart->series[chart->count++];
        double *x = numbers + used, *y = x + count, *dx = y + count, *dy = dx + count;
        snprintf(s->name, sizeof s->name, "%.40s%s%s", all[i].method,
                 ambiguous(all, count, &all[i]) ? ", by " : "",
                 ambiguous(all, count, &all[i]) ? all[i].aim : "");
        for (size_t k = 0; k < count; k++) {
            if (!same_curve(&sorted[k], &all[i])) continue;
            x[s->count] = sorted[k].x;
            y[s->count] = sorted[k].y;
            dx[s->count] = sorted[k].spread_x;
            dy[s->count++] = sorted[k].spread_y;
        }
        s->x = x;
        s->y = y;
        s->spread_x = dx;
        s->spread_y = dy;
        used += (size_t)s->count;
    }
}

static mq_status draw(const json_t *results, const json_t *groups, mq_arena *arena, mq_figure_form form,
                      mq_page *page, bool *drawn, mq_error *error) {
    const size_t count = json_array_size(groups);
    const char *quality, *model;
    char title[160], where[] = "results of a sweep";
    spot *all, *sorted;
    double *numbers, low = INFINITY, high = 0;
    MQ_TRY(mq_json_string(results, where, "quality", &quality, error));
    MQ_TRY(mq_json_string(results, where, "model", &model, error));
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *all, "a figure", &all, error));
    MQ_TRY(mq_arena_alloc(arena, count, sizeof *sorted, "a figure", &sorted, error));
    MQ_TRY(mq_arena_alloc(arena, 4 * count, sizeof *numbers, "a figure", &numbers, error));
    for (size_t i = 0; i < count; i++) {
        MQ_TRY(read_spot(json_array_get(groups, i), i, &all[i], error));
        low = fmin(low, all[i].x);
        high = fmax(high, all[i].x);
    }
    if (!count) return MQ_OK;
    memcpy(sorted, all, count * sizeof *all);
    qsort(sorted, count, sizeof *sorted, by_cost);
    snprintf(title, sizeof title, "%.60s: %.20s against DSP operations", model, quality);
    mq_chart chart = {
        .title = title, .x_label = "M DSP operations", .y_label = quality, .log_x = high > LOG_FROM * low};
    make_curves(all, sorted, count, numbers, &chart);
    mq_figure_chart(&chart, form, page);
    *drawn = true;
    return page->status;
}

mq_status mq_figure_sweep(const json_t *results, mq_figure_form form, mq_page *page, bool *drawn,
                          mq_error *error) {
    json_t *groups;
    mq_arena *arena;
    *drawn = false;
    MQ_TRY(mq_json_array(results, "results of a sweep", "groups", &groups, error));
    MQ_TRY(mq_arena_create(&arena, error));
    mq_status status = draw(results, groups, arena, form, page, drawn, error);
    mq_arena_destroy(arena);
    return status;
}
