/* run_figures.c - curves of a run, its bits, and several runs against each other. */
#include "report/run_figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_COLUMNS = 40, BRANCHES = 7, TITLE = 160 };

void mq_figure_chart(const mq_chart *chart, mq_figure_form form, mq_page *page) {
    if (form == MQ_FIGURE_TEXT)
        mq_chart_text(chart, MQ_FIGURE_COLUMNS, page);
    else
        mq_chart_svg(chart, form == MQ_FIGURE_SVG, page);
}

void mq_figure_grid(const mq_grid *grid, mq_figure_form form, mq_page *page) {
    if (form == MQ_FIGURE_TEXT)
        mq_grid_text(grid, MQ_FIGURE_COLUMNS, page);
    else
        mq_grid_svg(grid, form == MQ_FIGURE_SVG, page);
}

/* Columns of metrics.jsonl against `epoch`. */
static mq_status curves(const mq_run_data *run, const char *what, const char *y_label,
                        const char *const *keys, const char *const *names, int count, mq_figure_form form,
                        mq_page *page, mq_error *error) {
    size_t n = (size_t)mq_run_data_epochs(run);
    char title[TITLE];
    double *numbers;
    MQ_TRY(mq_alloc((size_t)(count + 1) * n, sizeof *numbers, "a figure", &numbers, error));
    snprintf(title, sizeof title, "%s: %s", run->name, what);
    mq_chart chart = {.title = title, .x_label = "epoch", .y_label = y_label, .whole = true};
    mq_run_data_column(run, "epoch", numbers);
    for (int k = 0; k < count; k++) {
        double *column = numbers + (size_t)(k + 1) * n;
        bool any = false;
        mq_run_data_column(run, keys[k], column);
        for (size_t i = 0; i < n; i++) any |= !isnan(column[i]);
        if (!any) continue;
        mq_chart_series *s = &chart.series[chart.count++];
        snprintf(s->name, sizeof s->name, "%s", names[k]);
        s->count = (int)n;
        s->x = numbers;
        s->y = column;
    }
    mq_figure_chart(&chart, form, page);
    mq_free(numbers);
    return page->status;
}

mq_status mq_figure_loss(const mq_run_data *run, mq_figure_form form, mq_page *page, mq_error *error) {
    static const char *const keys[] = {"loss", "test_loss"}, *const names[] = {"training", "test"};
    return curves(run, "loss", "loss", keys, names, 2, form, page, error);
}

mq_status mq_figure_quality(const mq_run_data *run, mq_figure_form form, mq_page *page, mq_error *error) {
    char train[32];
    snprintf(train, sizeof train, "train_%s", run->quality);
    const char *const keys[] = {train, run->quality, "constant_iou"};
    static const char *const names[] = {"training", "test", "constant box"};
    return curves(run, run->quality, run->quality, keys, names, 3, form, page, error);
}

/* ---- bits ---- */

typedef struct bits_table {
    int layers, columns;
    double *value, *sure;                 /* [2 * layers][columns] */
    char (*row_name)[MQ_REPORT_NAME + 8]; /* [2 * layers] */
    char (*column_name)[12];
    const char **row, **column;
} bits_table;

/* Column c of the figure is this epoch's line. */
static size_t epoch_of(int c, int columns, int epochs) {
    return columns == epochs ? (size_t)c : (size_t)lround((double)c * (epochs - 1) / (columns - 1));
}

static mq_status allot(bits_table *t, mq_arena *arena, mq_error *error) {
    size_t rows = 2 * (size_t)t->layers, cells = rows * (size_t)t->columns;
    MQ_TRY(mq_arena_alloc(arena, cells, sizeof *t->value, "a figure", &t->value, error));
    MQ_TRY(mq_arena_alloc(arena, cells, sizeof *t->sure, "a figure", &t->sure, error));
    MQ_TRY(mq_arena_alloc(arena, rows, sizeof *t->row_name, "a figure", &t->row_name, error));
    MQ_TRY(mq_arena_alloc(arena, rows, sizeof *t->row, "a figure", &t->row, error));
    MQ_TRY(mq_arena_alloc(arena, (size_t)t->columns, sizeof *t->column, "a figure", &t->column, error));
    return mq_arena_alloc(arena, (size_t)t->columns, sizeof *t->column_name, "a figure", &t->column_name,
                          error);
}

static void fill(const mq_run_data *run, bits_table *t) {
    static const char *const bits[] = {"bitw", "bita"}, *const entropy[] = {"entropy_w", "entropy_a"};
    int digit[MQ_REPORT_LAYERS];
    for (int r = 0; r < 2 * t->layers; r++) {
        char name[MQ_REPORT_NAME];
        mq_run_data_layer(run, r / 2, name);
        snprintf(t->row_name[r], sizeof t->row_name[r], "%s %s", name, r % 2 ? "act." : "weights");
        t->row[r] = t->row_name[r];
    }
    for (int c = 0; c < t->columns; c++) {
        const json_t *line = json_array_get(run->epoch, epoch_of(c, t->columns, mq_run_data_epochs(run)));
        snprintf(t->column_name[c], sizeof t->column_name[c], "%lld",
                 (long long)json_integer_value(json_object_get(line, "epoch")));
        t->column[c] = t->column_name[c];
        for (int k = 0; k < 2; k++) {
            const char *text = json_string_value(json_object_get(line, bits[k]));
            int count = text ? mq_bits_digits(text, digit) : 0;
            for (int i = 0; i < t->layers; i++) {
                const json_t *e = json_array_get(json_object_get(line, entropy[k]), (size_t)i);
                size_t at = (size_t)(2 * i + k) * (size_t)t->columns + (size_t)c;
                t->value[at] = i < count ? digit[i] : NAN;
                t->sure[at] = json_is_number(e) ? 1 - json_number_value(e) / log2(BRANCHES) : NAN;
            }
        }
    }
}

mq_status mq_figure_bits(const mq_run_data *run, mq_figure_form form, mq_page *page, bool *drawn,
                         mq_error *error) {
    int digit[MQ_REPORT_LAYERS], epochs = mq_run_data_epochs(run);
    const char *first = json_string_value(json_object_get(json_array_get(run->epoch, 0), "bitw"));
    bits_table t = {.layers = first ? mq_bits_digits(first, digit) : 0};
    *drawn = t.layers > 0;
    if (!*drawn) return MQ_OK;
    t.columns = epochs < MOST_COLUMNS ? epochs : MOST_COLUMNS;
    mq_arena *arena;
    MQ_TRY(mq_arena_create(&arena, error));
    mq_status status = allot(&t, arena, error);
    if (status == MQ_OK) {
        char title[TITLE];
        fill(run, &t);
        snprintf(title, sizeof title, "%s: bits after every epoch", run->name);
        mq_grid grid = {
            .title = title,
            .rows_label = "layer",
            .columns_label = "epoch",
            .note =
                form == MQ_FIGURE_TEXT
                    ? "after a row: how decided its softmax is (full: one branch alone)"
                    : "The bar in a cell: how decided the layer's softmax is (full width: one branch alone)",
            .rows = 2 * t.layers,
            .columns = t.columns,
            .row = t.row,
            .column = t.column,
            .value = t.value,
            .sure = t.sure,
            .low = 2,
            .high = 8};
        mq_figure_grid(&grid, form, page);
        status = page->status;
    }
    mq_arena_destroy(arena);
    return status;
}

/* ---- several runs ---- */

mq_status mq_figure_front(const mq_run_data *runs, int count, mq_figure_form form, mq_page *page, bool *drawn,
                          mq_error *error) {
    mq_chart chart = {.x_label = "M DSP operations", .y_label = count ? runs[0].quality : ""};
    char title[TITLE];
    int points = 0, left_out = 0;
    mq_arena *arena;
    *drawn = false;
    MQ_TRY(mq_arena_create(&arena, error));
    mq_status status = MQ_OK;
    for (int i = 0; i < count && status == MQ_OK; i++) {
        const mq_run_data *r = &runs[i];
        bool search = strcmp(r->mode, "search") == 0;
        int n = search ? mq_run_data_epochs(r) : 1;
        double *x, *y;
        if (strcmp(r->quality, runs[0].quality) != 0 || n == 0 || (!search && isnan(mq_run_data_dsp(r))))
            continue;
        if (chart.count == MQ_CHART_SERIES) {
            left_out++;
            continue;
        }
        MQ_TRY_GOTO(mq_arena_alloc(arena, (size_t)n, sizeof *x, "a figure", &x, error), done);
        MQ_TRY_GOTO(mq_arena_alloc(arena, (size_t)n, sizeof *y, "a figure", &y, error), done);
        if (search) {
            mq_run_data_column(r, "dsp_ops_M", x);
            mq_run_data_column(r, r->quality, y);
        } else {
            x[0] = mq_run_data_dsp(r);
            y[0] = mq_run_data_best(r);
        }
        mq_chart_series *s = &chart.series[chart.count++];
        snprintf(s->name, sizeof s->name, "%.30s%s", r->name, search ? " (search)" : "");
        s->count = n;
        s->x = x;
        s->y = y;
        s->points = !search;
        points += n;
    }
    if (points > 1) {
        snprintf(title, sizeof title, "%s against DSP operations%s", runs[0].quality,
                 left_out ? " (the first 8 runs)" : "");
        chart.title = title;
        mq_figure_chart(&chart, form, page);
        *drawn = true;
        status = page->status;
    }
done:
    mq_arena_destroy(arena);
    return status;
}
