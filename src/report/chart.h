/* chart.h - figures: curves, points and grids of numbers, each as SVG and as text for a terminal.
 *
 * Colour is never the only sign: curves differ in dashes and marks and are named at their ends, cells show
 * their number. SVG has a title and a description, takes its colours from mq_figure_style (light, dark by
 * prefers-color-scheme, always light in print) and loads nothing. */
#ifndef MIXQ_REPORT_CHART_H
#define MIXQ_REPORT_CHART_H

#include <stdbool.h>

#include "report/page.h"

enum { MQ_CHART_SERIES = 8, MQ_CHART_NAME = 64 };

typedef struct mq_chart_series {
    char name[MQ_CHART_NAME];
    int count;
    const double *x, *y; /* [count]; NaN: left out */
    /* [count] or NULL: bars from x - spread_x to x + spread_x; 0 or NaN: none */
    const double *spread_x, *spread_y;
    bool points; /* marks alone; else a line */
} mq_chart_series;

typedef struct mq_chart {
    const char *title, *x_label, *y_label;
    bool whole; /* x are whole numbers */
    bool log_x; /* logarithmic x, all positive; else linear */
    bool large;
    int count; /* of series, at most MQ_CHART_SERIES; more are not drawn */
    mq_chart_series series[MQ_CHART_SERIES];
} mq_chart;

/* A grid of numbers. value [rows][columns], NaN: empty. sure (may be NULL) [rows][columns] 0..1: drawn as a
 * bar below the number. */
typedef struct mq_grid {
    const char *title, *rows_label, *columns_label, *note;
    int rows, columns, decimals;
    const char *const *row; /* [rows] names */
    const char *const *column;
    const double *value, *sure;
    double low, high; /* values of the lightest and the darkest cell */
} mq_grid;

extern const char mq_figure_style[]; /* CSS rules */

/* alone: a whole SVG document, with the style in it; else a figure inside a page that has the style. */
void mq_chart_svg(const mq_chart *chart, bool alone, mq_page *page);
void mq_grid_svg(const mq_grid *grid, bool alone, mq_page *page);
/* At most `width` columns wide, 40 or more. */
void mq_chart_text(const mq_chart *chart, int width, mq_page *page);
void mq_grid_text(const mq_grid *grid, int width, mq_page *page);

/* For the other figures of this room: opens <svg> with title and description (both escaped), closes it. */
void mq_svg_open(mq_page *page, bool alone, int width, int height, const char *title, const char *about);
void mq_svg_close(mq_page *page);

#endif
