/* grid.c - grids of numbers as SVG, and grids and charts as text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "report/axis.h"

enum { CELL_H = 24, HEAD = 56, SHADES = 8, PLOT_ROWS = 12, NAME = 12 };

static int shade(const mq_grid *grid, double v) {
    double part = grid->high > grid->low ? (v - grid->low) / (grid->high - grid->low) : 0;
    int s = (int)lround(part * (SHADES - 1));
    return s < 0 ? 0 : s >= SHADES ? SHADES - 1 : s;
}

static void cell(const mq_grid *grid, int r, int c, int x, int y, int width, mq_page *page) {
    double v = grid->value[r * grid->columns + c];
    if (isnan(v)) return;
    int s = shade(grid, v), on = s >= 5;
    mq_page_say(page, "<rect class=\"c%d\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", s, x, y,
                width - 1, CELL_H - 1);
    mq_page_say(page, "<text class=\"on%d\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%.*f</text>", on,
                x + width / 2, y + 15, grid->decimals, v);
    if (grid->sure && !isnan(grid->sure[r * grid->columns + c])) {
        double part = grid->sure[r * grid->columns + c];
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        mq_page_say(page, "<rect class=\"bar%d\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"3\"/>", on, x + 2,
                    y + CELL_H - 6, part * (width - 5));
    }
    mq_page_say(page, "\n");
}

void mq_grid_svg(const mq_grid *grid, bool alone, mq_page *page) {
    size_t longest = 6;
    for (int r = 0; r < grid->rows; r++)
        if (strlen(grid->row[r]) > longest) longest = strlen(grid->row[r]);
    int left = 16 + 7 * (int)longest, cell_w = grid->decimals ? 44 : 26;
    int width = left + grid->columns * cell_w + 16, height = HEAD + grid->rows * CELL_H + 30;
    int title_w = 16 + 8 * (int)strlen(grid->title);
    size_t note_w = grid->note ? strlen(grid->note) * 6 + 20 : 0;
    if (width < title_w) width = title_w;
    if ((size_t)width < note_w) width = (int)note_w;
    char about[256];
    snprintf(about, sizeof about, "%d rows (%s) of %d columns (%s). %s", grid->rows, grid->rows_label,
             grid->columns, grid->columns_label, grid->note ? grid->note : "");
    mq_svg_open(page, alone, width, height, grid->title, about);
    mq_page_say(page, "<text class=\"title\" x=\"8\" y=\"18\">");
    mq_page_text(page, grid->title);
    mq_page_say(page, "</text><text x=\"8\" y=\"%d\">", HEAD - 6);
    mq_page_text(page, grid->rows_label);
    mq_page_say(page, "</text><text x=\"%d\" y=\"36\">", left);
    mq_page_text(page, grid->columns_label);
    mq_page_say(page, "</text>\n");
    for (int c = 0; c < grid->columns; c++) {
        mq_page_say(page, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                    left + c * cell_w + cell_w / 2, HEAD - 6);
        mq_page_text(page, grid->column[c]);
        mq_page_say(page, "</text>");
    }
    for (int r = 0; r < grid->rows; r++) {
        int y = HEAD + r * CELL_H;
        mq_page_say(page, "<text x=\"8\" y=\"%d\">", y + 16);
        mq_page_text(page, grid->row[r]);
        mq_page_say(page, "</text>\n");
        for (int c = 0; c < grid->columns; c++) cell(grid, r, c, left + c * cell_w, y, cell_w, page);
    }
    if (grid->note) {
        mq_page_say(page, "<text class=\"small\" x=\"8\" y=\"%d\">", height - 10);
        mq_page_text(page, grid->note);
        mq_page_say(page, "</text>\n");
    }
    mq_svg_close(page);
}

/* ---- text ---- */

void mq_grid_text(const mq_grid *grid, int width, mq_page *page) {
    int each = grid->decimals ? 5 + grid->decimals : 4, name = NAME;
    for (int r = 0; r < grid->rows; r++)
        if ((int)strlen(grid->row[r]) > name) name = (int)strlen(grid->row[r]);
    int fit = (width - name - 2) / each, first = grid->columns > fit ? grid->columns - fit : 0;
    if (first < 0 || fit < 1) first = grid->columns - 1;
    mq_page_say(page, "%s\n", grid->title);
    if (first) mq_page_say(page, "(the last %d of %d columns)\n", grid->columns - first, grid->columns);
    mq_page_say(page, "  %-*s", name, grid->rows_label);
    for (int c = first; c < grid->columns; c++) mq_page_say(page, "%*s", each, grid->column[c]);
    mq_page_say(page, "   %s\n", grid->columns_label);
    for (int r = 0; r < grid->rows; r++) {
        mq_page_say(page, "  %-*s", name, grid->row[r]);
        for (int c = first; c < grid->columns; c++) {
            double v = grid->value[r * grid->columns + c];
            if (isnan(v))
                mq_page_say(page, "%*s", each, "");
            else
                mq_page_say(page, "%*.*f", each, grid->decimals, v);
        }
        double sure = grid->sure && grid->columns ? grid->sure[(r + 1) * grid->columns - 1] : NAN;
        if (!isnan(sure)) {
            mq_page_say(page, "   ");
            for (int i = 0; i < 10; i++) mq_page_say(page, "%c", i < lround(10 * sure) ? '#' : '.');
        }
        mq_page_say(page, "\n");
    }
    if (grid->note) mq_page_say(page, "  %s\n", grid->note);
}

void mq_chart_text(const mq_chart *chart, int width, mq_page *page) {
    static const char marks[] = "ox+*#@%&";
    char plot[PLOT_ROWS][200];
    mq_axis x, y;
    mq_page_say(page, "%s\n", chart->title);
    if (!mq_axis_ranges(chart, &x, &y)) {
        mq_page_say(page, "  no numbers yet\n");
        return;
    }
    int columns = width - 14 > (int)sizeof plot[0] ? (int)sizeof plot[0] : width - 14 < 20 ? 20 : width - 14;
    memset(plot, ' ', sizeof plot);
    for (int s = 0; s < chart->count; s++)
        for (int i = 0; i < chart->series[s].count; i++) {
            double px = chart->series[s].x[i], py = chart->series[s].y[i];
            if (isnan(px) || isnan(py)) continue;
            int c = (int)lround(mq_axis_part(&x, px) * (columns - 1));
            int r = (int)lround((1 - mq_axis_part(&y, py)) * (PLOT_ROWS - 1));
            plot[r][c] = marks[s];
        }
    for (int r = 0; r < PLOT_ROWS; r++) {
        int end = columns;
        while (end > 0 && plot[r][end - 1] == ' ') end--;
        double v = y.high - (y.high - y.low) * r / (PLOT_ROWS - 1);
        if (r == 0 || r == PLOT_ROWS - 1 || r == PLOT_ROWS / 2)
            mq_page_say(page, "%10.*f |%.*s\n", y.decimals + 1, v, end, plot[r]);
        else
            mq_page_say(page, "%10s |%.*s\n", "", end, plot[r]);
    }
    mq_page_say(page, "%10s +", "");
    for (int c = 0; c < columns; c++) mq_page_say(page, "-");
    char low[32], high[32];
    mq_axis_text(&x, x.low, low);
    mq_axis_text(&x, x.high, high);
    mq_page_say(page, "\n%12s%s%*s  %s%s\n", "", low, columns - (int)strlen(low), high, chart->x_label,
                x.step > 0 ? "" : " (log)");
    mq_page_say(page, "%12s", chart->y_label);
    for (int s = 0; s < chart->count; s++) mq_page_say(page, "  %c %s", marks[s], chart->series[s].name);
    mq_page_say(page, "\n");
}
