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
           : json_is_number(json_object_get(group, "target_fps"))     ? "frame rate"
           : json_is_number(json_object_get(group, "bits"))           ? "bits"
                                                                      : "price";
}

static const struct {
    const char *key, *spread, *title, *label;
} COSTS[] = {
    {"dsp_ops_M", "dsp_ops_spread_M", "DSP operations", "M DSP operations"},
    {"cycles", "cycles_spread", "cycles", "cycles a frame"},
};

static mq_status read_spot(const json_t *group, size_t i, mq_sweep_cost cost, spot *out, mq_error *error) {
    char where[64];
    snprintf(where, sizeof where, "results of a sweep: groups[%zu]", i);
    MQ_TRY(mq_json_string(group, where, "method", &out->method, error));
    MQ_TRY(mq_json_double(group, where, COSTS[cost].key, &out->x, error));
    MQ_TRY(mq_json_double(group, where, "accuracy", &out->y, error));
    MQ_TRY(mq_json_double(group, where, COSTS[cost].spread, &out->spread_x, error));
    MQ_TRY(mq_json_double(group, where, "accuracy_spread", &out->spread_y, error));
    out->aim = aim_of(group);
    if (!(out->x > 0)) return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %g", where, COSTS[cost].key, out->x);
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

static mq_status draw(const json_t *results, const json_t *groups, mq_sweep_cost cost, mq_arena *arena,
                      mq_figure_form form, mq_page *page, bool *drawn, mq_error *error) {
    size_t count = 0;
    const size_t groups_count = json_array_size(groups);
    const char *quality, *model;
    char title[160], where[] = "results of a sweep";
    spot *all, *sorted;
    double *numbers, low = INFINITY, high = 0;
    MQ_TRY(mq_json_string(results, where, "quality", &quality, error));
    MQ_TRY(mq_json_string(results, where, "model", &model, error));
    MQ_TRY(mq_arena_alloc(arena, groups_count, sizeof *all, "a figure", &all, error));
    MQ_TRY(mq_arena_alloc(arena, groups_count, sizeof *sorted, "a figure", &sorted, error));
    MQ_TRY(mq_arena_alloc(arena, 4 * groups_count, sizeof *numbers, "a figure", &numbers, error));
    for (size_t i = 0; i < groups_count; i++) {
        const json_t *group = json_array_get(groups, i);
        if (cost == MQ_SWEEP_CYCLES && json_is_null(json_object_get(group, COSTS[cost].key))) continue;
        MQ_TRY(read_spot(group, i, cost, &all[count], error));
        low = fmin(low, all[count].x);
        high = fmax(high, all[count++].x);
    }
    if (!count) return MQ_OK;
    memcpy(sorted, all, count * sizeof *all);
    qsort(sorted, count, sizeof *sorted, by_cost);
    const char *device = json_string_value(json_object_get(results, "device"));
    snprintf(title, sizeof title, "%.60s: %.20s against %s%s%.40s", model, quality, COSTS[cost].title,
             cost == MQ_SWEEP_CYCLES ? " on " : "", cost == MQ_SWEEP_CYCLES && device ? device : "");
    mq_chart chart = {.title = title,
                      .x_label = COSTS[cost].label,
                      .y_label = quality,
                      .large = true,
                      .log_x = high > LOG_FROM * low};
    make_curves(all, sorted, count, numbers, &chart);
    mq_figure_chart(&chart, form, page);
    *drawn = true;
    return page->status;
}

mq_status mq_figure_sweep(const json_t *results, mq_sweep_cost cost, mq_figure_form form, mq_page *page,
                          bool *drawn, mq_error *error) {
    json_t *groups;
    mq_arena *arena;
    *drawn = false;
    MQ_TRY(mq_json_array(results, "results of a sweep", "groups", &groups, error));
    MQ_TRY(mq_arena_create(&arena, error));
    mq_status status = draw(results, groups, cost, arena, form, page, drawn, error);
    mq_arena_destroy(arena);
    return status;
}

/* ---- in a report ---- */

#define RESULTS_FILE "results.json"

mq_status mq_sweep_data_read(const char *path, mq_sweep_data *out, mq_error *error) {
    char file[MQ_PATH];
    const char *format;
    *out = (mq_sweep_data){0};
    mq_folder_name(path, out->name);
    MQ_TRY(mq_path_join(path, RESULTS_FILE, file, error));
    if (!mq_path_exists(file))
        return mq_fail(error, MQ_BAD_INPUT, "%s: a sweep without results yet: mixq pareto --out %s --collect",
                       path, path);
    MQ_TRY(mq_json_load(file, &out->results, error));
    mq_status status = mq_json_string(out->results, file, "format", &format, error);
    if (status == MQ_OK && strcmp(format, "mixq-sweep-results-1") != 0)
        status = mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%.40s', expected 'mixq-sweep-results-1'",
                         file, format);
    if (status != MQ_OK) mq_sweep_data_clear(out);
    return status;
}

void mq_sweep_data_clear(mq_sweep_data *sweep) {
    json_decref(sweep->results);
    *sweep = (mq_sweep_data){0};
}

static void text_cell(const json_t *root, const char *key, mq_page *page) {
    const char *text = json_string_value(json_object_get(root, key));
    mq_page_say(page, "<td><code>");
    mq_page_text(page, text ? text : "");
    mq_page_say(page, "</code></td>");
}

static void number_cells(const json_t *root, const char *const *keys, const int *decimals, int count,
                         mq_page *page) {
    for (int i = 0; i < count; i++) {
        const json_t *v = json_object_get(root, keys[i]);
        if (json_is_number(v))
            mq_page_say(page, "<td class=n>%.*f</td>", decimals[i], json_number_value(v));
        else
            mq_page_say(page, "<td></td>");
    }
}

static void group_row(const json_t *g, mq_page *page) {
    static const char *const words[] = {"cd", "target_dsp_ops_M", "target_fps", "bits"},
                             *const before[] = {"cd ", "", "", ""},
                             *const after[] = {"", " M", " fps", " bits"};
    static const char *const keys[] = {
        "seeds", "accuracy", "accuracy_spread", "dsp_ops_M", "dsp_ops_spread_M", "cycles", "fps"};
    static const int decimals[] = {0, 4, 4, 3, 3, 0, 1};
    char value[64] = "";
    for (int i = 0; i < 4; i++) {
        const json_t *v = json_object_get(g, words[i]);
        if (json_is_number(v))
            snprintf(value, sizeof value, "%s%g%s", before[i], json_number_value(v), after[i]);
    }
    const char *method = json_string_value(json_object_get(g, "method"));
    mq_page_say(page, "<tr><th scope=row>");
    mq_page_text(page, method ? method : "");
    mq_page_say(page, "</th><td>%s</td>", value);
    text_cell(g, "bitw", page);
    text_cell(g, "bita", page);
    number_cells(g, keys, decimals, 7, page);
    mq_page_say(page, "<td>%s</td></tr>\n", json_is_true(json_object_get(g, "front")) ? "front" : "");
}

mq_status mq_sweep_section(const mq_sweep_data *sweep, int i, mq_page *page, mq_error *error) {
    bool drawn;
    size_t k;
    json_t *g;
    const char *quality = json_string_value(json_object_get(sweep->results, "quality"));
    mq_page_say(page, "<section id=\"sweep%d\"><h2>Sweep ", i);
    mq_page_text(page, sweep->name);
    mq_page_say(page, "</h2>\n<figure>");
    MQ_TRY(mq_figure_sweep(sweep->results, MQ_SWEEP_CYCLES, MQ_FIGURE_IN_PAGE, page, &drawn, error));
    if (drawn) mq_page_say(page, "</figure><figure>");
    MQ_TRY(mq_figure_sweep(sweep->results, MQ_SWEEP_DSP_OPS, MQ_FIGURE_IN_PAGE, page, &drawn, error));
    mq_page_say(page, "</figure><p>%s</p>\n",
                drawn ? "Means over seeds; bars are one standard deviation." : "No trained point yet.");
    if (drawn) {
        mq_page_say(page, "<div class=wide><table><thead><tr><th>method</th><th>value</th><th>weight "
                          "bits</th><th>activation "
                          "bits</th><th>seeds</th><th>");
        mq_page_text(page, quality ? quality : "accuracy");
        mq_page_say(page, "</th><th>+-</th><th>M DSP operations</th><th>+-</th><th>cycles</th><th>frames a "
                          "second</th><th></th>"
                          "</tr></thead><tbody>\n");
        json_array_foreach(json_object_get(sweep->results, "groups"), k, g) {
            group_row(g, page);
        }
        mq_page_say(page, "</tbody></table></div><p>Bits are those of the best seed.</p>\n");
    }
    mq_page_say(page, "</section>\n");
    return page->status;
}
