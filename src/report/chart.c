/* chart.c - curves and points as SVG, and what all figures share: style, frame, axes. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/axis.h"

enum { LEFT = 62, TOP = 34, BOTTOM = 44, MARKS = 5 };

/* A chart with its scales and its size. */
typedef struct drawing {
    const mq_chart *chart;
    mq_axis x, y;
    int plot, height; /* width of the plot, height of the whole */
} drawing;

const char mq_figure_style[] =
    ".mq{font:12px system-ui,\"DejaVu Sans\",sans-serif;max-width:100%;height:auto}"
    ".mq text{fill:#1a1a1a}.mq .title{font-weight:600;font-size:13px}.mq .small{font-size:10px}"
    ".mq .back{fill:#fff}.mq .axis{stroke:#444;fill:none}.mq .rule{stroke:#d4d4d4;fill:none}"
    ".mq .box{stroke:#444}.mq .line{fill:none;stroke-width:2}"
    ".mq .s0{stroke:#0b61a4}.mq .s1{stroke:#a84300;stroke-dasharray:7 3}.mq "
    ".s2{stroke:#1a7f37;stroke-dasharray:2 3}"
    ".mq .s3{stroke:#7a35d6;stroke-dasharray:9 3 2 3}.mq .s4{stroke:#a4133c}.mq "
    ".s5{stroke:#555;stroke-dasharray:7 3}"
    ".mq .s6{stroke:#00707a;stroke-dasharray:2 3}.mq .s7{stroke:#7d5a00;stroke-dasharray:9 3 2 3}"
    ".mq .m0{fill:#0b61a4}.mq .m1{fill:#a84300}.mq .m2{fill:#1a7f37}.mq .m3{fill:#7a35d6}.mq "
    ".m4{fill:#a4133c}"
    ".mq .m5{fill:#555}.mq .m6{fill:#00707a}.mq .m7{fill:#7d5a00}"
    ".mq .c0{fill:#eef4fb}.mq .c1{fill:#d6e6f4}.mq .c2{fill:#b7d4ea}.mq .c3{fill:#8fc1de}.mq "
    ".c4{fill:#5ba3cf}"
    ".mq .c5{fill:#2a6fb0}.mq .c6{fill:#1a559a}.mq .c7{fill:#0b3b75}"
    ".mq text.on0{fill:#111}.mq text.on1{fill:#fff}.mq .bar0{fill:#111}.mq .bar1{fill:#fff}"
    ".mq .f0{fill:#c6dbef}.mq .f1{fill:#c7e9c0}.mq .f2{fill:#fdd0a2}.mq .f3{fill:#dadaeb}.mq "
    ".f4{fill:#fcbba1}"
    ".mq .f5{fill:#d9d9d9}.mq .spread{fill:none;stroke-width:1.2;stroke-dasharray:none}"
    "@media screen and (prefers-color-scheme:dark){"
    ".mq text{fill:#e6edf3}.mq .back{fill:#0d1117}.mq .axis{stroke:#9aa4ae}.mq .rule{stroke:#30363d}"
    ".mq .box{stroke:#9aa4ae}"
    ".mq .s0{stroke:#6cb6ff}.mq .s1{stroke:#ffa657}.mq .s2{stroke:#7ee787}.mq .s3{stroke:#d2a8ff}"
    ".mq .s4{stroke:#ff8fa3}.mq .s5{stroke:#b5b5b5}.mq .s6{stroke:#5fd7e0}.mq .s7{stroke:#e3c15f}"
    ".mq .m0{fill:#6cb6ff}.mq .m1{fill:#ffa657}.mq .m2{fill:#7ee787}.mq .m3{fill:#d2a8ff}.mq "
    ".m4{fill:#ff8fa3}"
    ".mq .m5{fill:#b5b5b5}.mq .m6{fill:#5fd7e0}.mq .m7{fill:#e3c15f}"
    ".mq .f0{fill:#1f4e79}.mq .f1{fill:#1f5c33}.mq .f2{fill:#6b3f12}.mq .f3{fill:#4b3a75}.mq "
    ".f4{fill:#702a2a}"
    ".mq .f5{fill:#444b53}}";

void mq_svg_open(mq_page *page, bool alone, int width, int height, const char *title, const char *about) {
    int id = page->figures++;
    mq_page_say(page,
                "<svg class=\"mq\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" ",
                width, height, width);
    mq_page_say(page, "height=\"%d\" role=\"img\" aria-labelledby=\"t%d d%d\"><title id=\"t%d\">", height, id,
                id, id);
    mq_page_text(page, title);
    mq_page_say(page, "</title><desc id=\"d%d\">", id);
    mq_page_text(page, about);
    mq_page_say(page, "</desc>\n");
    if (alone) mq_page_say(page, "<style>%s</style>\n", mq_figure_style);
    mq_page_say(page, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", width, height);
}

void mq_svg_close(mq_page *page) {
    mq_page_say(page, "</svg>\n");
}

/* ---- axes ---- */

static void widen(double v, double *low, double *high) {
    if (isnan(v)) return;
    if (isnan(*low) || v < *low) *low = v;
    if (isnan(*high) || v > *high) *high = v;
}

static double spread(const double *spreads, int i) {
    return spreads && spreads[i] > 0 ? spreads[i] : 0;
}

bool mq_axis_ranges(const mq_chart *chart, mq_axis *x, mq_axis *y) {
    double xl = NAN, xh = NAN, yl = NAN, yh = NAN;
    for (int s = 0; s < chart->count; s++)
        for (int i = 0; i < chart->series[s].count; i++) {
            if (isnan(chart->series[s].x[i]) || isnan(chart->series[s].y[i])) continue;
            const double dx = spread(chart->series[s].spread_x, i), dy = spread(chart->series[s].spread_y, i);
            widen(chart->series[s].x[i], &xl, &xh);
            if (!chart->log_x || chart->series[s].x[i] > dx) widen(chart->series[s].x[i] - dx, &xl, &xh);
            widen(chart->series[s].x[i] + dx, &xl, &xh);
            widen(chart->series[s].y[i] - dy, &yl, &yh);
            widen(chart->series[s].y[i] + dy, &yl, &yh);
        }
    if (isnan(xl)) return false;
    *x = chart->log_x && xl > 0 ? mq_axis_log(xl, xh) : mq_axis_make(xl, xh, 8);
    if (chart->whole && x->step < 1) *x = mq_axis_whole(xl, xh);
    *y = mq_axis_make(yl, yh, 5);
    return true;
}

mq_axis mq_axis_make(double low, double high, int ticks) {
    if (!(high - low > 1e-9 * fmax(fabs(low), fabs(high)))) {
        double around = fabs(low) > 0 ? 0.1 * fabs(low) : 1;
        low -= around;
        high += around;
    }
    double step = pow(10, floor(log10((high - low) / ticks)));
    static const double times[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if ((high - low) / (step * times[i]) <= ticks) {
            step *= times[i];
            break;
        }
    mq_axis a = {.step = step, .low = floor(low / step) * step, .high = ceil(high / step) * step};
    a.decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    return a;
}

mq_axis mq_axis_whole(double low, double high) {
    return (mq_axis){.low = low, .high = high > low ? high : low + 1, .step = 1};
}

mq_axis mq_axis_log(double low, double high) {
    const double margin = high > low * 1.02 ? pow(high / low, 0.03) : 1.2;
    return (mq_axis){.low = low / margin, .high = high * margin};
}

double mq_axis_part(const mq_axis *a, double v) {
    double part = a->step > 0  ? (v - a->low) / (a->high - a->low)
                  : v > a->low ? log(v / a->low) / log(a->high / a->low)
                               : 0;
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

/* Round numbers of every decade: few of them, or more where the axis is short. */
static int log_ticks(const mq_axis *a, double out[MQ_AXIS_TICKS]) {
    static const double few[] = {1, 2, 5, 0}, more[] = {1, 1.5, 2, 3, 4, 5, 7, 0},
                        most[] = {1,   1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2,   2.2, 2.4, 2.6, 2.8, 3, 3.3,
                                  3.6, 4,   4.5, 5,   5.5, 6,   6.5, 7,   7.5, 8,   8.5, 9,   9.5, 0};
    static const double *const tables[] = {few, more, most};
    int count = 0;
    for (int t = 0; t < 3 && count < 4; t++) {
        count = 0;
        for (int decade = (int)floor(log10(a->low)); decade <= (int)floor(log10(a->high)); decade++)
            for (const double *m = tables[t]; *m > 0; m++) {
                const double v = *m * pow(10, decade);
                if (v >= a->low && v <= a->high && count < MQ_AXIS_TICKS) out[count++] = v;
            }
    }
    if (count < 2) {
        out[0] = a->low;
        out[1] = a->high;
        count = 2;
    }
    return count;
}

int mq_axis_ticks(const mq_axis *a, double out[MQ_AXIS_TICKS]) {
    if (!(a->step > 0)) return log_ticks(a, out);
    int count = 1 + (int)((a->high - a->low) / a->step + 0.5);
    if (count > MQ_AXIS_TICKS) count = MQ_AXIS_TICKS;
    for (int i = 0; i < count; i++) out[i] = a->low + i * a->step;
    return count;
}

void mq_axis_text(const mq_axis *a, double v, char out[32]) {
    if (a->step > 0)
        snprintf(out, 32, "%.*f", a->decimals, v);
    else
        snprintf(out, 32, "%.3g", v);
}

/* ---- the chart ---- */

static double place_x(const drawing *d, double v) {
    return LEFT + mq_axis_part(&d->x, v) * d->plot;
}
static double place_y(const drawing *d, double v) {
    return d->height - BOTTOM - mq_axis_part(&d->y, v) * (d->height - TOP - BOTTOM);
}

static void axes(const drawing *d, mq_page *page) {
    double tick[MQ_AXIS_TICKS];
    char text[32];
    for (int i = 0, n = mq_axis_ticks(&d->y, tick); i < n; i++) {
        double at = place_y(d, tick[i]);
        mq_axis_text(&d->y, tick[i], text);
        mq_page_say(page,
                    "<path class=\"rule\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
                    "text-anchor=\"end\">%s</text>\n",
                    LEFT, at, LEFT + d->plot, LEFT - 6, at + 4, text);
    }
    for (int i = 0, n = mq_axis_ticks(&d->x, tick); i < n; i++) {
        double at = place_x(d, tick[i]);
        mq_axis_text(&d->x, tick[i], text);
        mq_page_say(page,
                    "<path class=\"axis\" d=\"M%.1f %dv5\"/><text x=\"%.1f\" y=\"%d\" "
                    "text-anchor=\"middle\">%s</text>\n",
                    at, d->height - BOTTOM, at, d->height - BOTTOM + 17, text);
    }
    mq_page_say(page, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, d->height - BOTTOM,
                LEFT + d->plot);
    mq_page_say(page, "<text class=\"title\" x=\"%d\" y=\"18\">", LEFT);
    mq_page_text(page, d->chart->title);
    mq_page_say(page, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", LEFT + d->plot / 2,
                d->height - 8);
    mq_page_text(page, d->chart->x_label);
    mq_page_say(page, "</text><text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">",
                (TOP + d->height - BOTTOM) / 2);
    mq_page_text(page, d->chart->y_label);
    mq_page_say(page, "</text>\n");
}

static void mark(mq_page *page, int s, double x, double y) {
    mq_page_say(page, "<path class=\"m%d\" d=\"", s);
    switch (s % MARKS) {
    case 0:
        mq_page_say(page, "M%.1f %.1fm-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x, y);
        break;
    case 1:
        mq_page_say(page, "M%.1f %.1fm-4 -4h8v8h-8z", x, y);
        break;
    case 2:
        mq_page_say(page, "M%.1f %.1fm0 -5l5 8h-10z", x, y);
        break;
    case 3:
        mq_page_say(page, "M%.1f %.1fm0 -5l5 5l-5 5l-5 -5z", x, y);
        break;
    default:
        mq_page_say(page, "M%.1f %.1fm0 5l5 -8h-10z", x, y);
    }
    mq_page_say(page, "\"/>");
}

static void spread_bars(const drawing *d, const mq_chart_series *v, int i, int s, mq_page *page) {
    const double dx = spread(v->spread_x, i), dy = spread(v->spread_y, i), at_x = place_x(d, v->x[i]),
                 at_y = place_y(d, v->y[i]);
    if (dy > 0) {
        const double low = place_y(d, v->y[i] - dy), high = place_y(d, v->y[i] + dy);
        mq_page_say(page, "<path class=\"spread s%d\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh6M%.1f %.1fh6\"/>", s,
                    at_x, low, high, at_x - 3, low, at_x - 3, high);
    }
    if (dx > 0) {
        const double left = place_x(d, v->x[i] - dx), right = place_x(d, v->x[i] + dx);
        mq_page_say(page, "<path class=\"spread s%d\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6\"/>", s,
                    left, at_y, right, left, at_y - 3, right, at_y - 3);
    }
}

static void draw_series(const drawing *d, int s, mq_page *page) {
    const mq_chart_series *v = &d->chart->series[s];
    bool open = false;
    if (!v->points) {
        mq_page_say(page, "<path class=\"line s%d\" d=\"", s);
        for (int i = 0; i < v->count; i++) {
            bool there = !isnan(v->x[i]) && !isnan(v->y[i]);
            if (there)
                mq_page_say(page, "%c%.1f %.1f", open ? 'L' : 'M', place_x(d, v->x[i]), place_y(d, v->y[i]));
            open = there;
        }
        mq_page_say(page, "\"/>\n");
    }
    for (int i = 0; i < v->count; i++)
        if (!isnan(v->x[i]) && !isnan(v->y[i])) spread_bars(d, v, i, s, page);
    if (v->points || v->count <= 30)
        for (int i = 0; i < v->count; i++)
            if (!isnan(v->x[i]) && !isnan(v->y[i])) mark(page, s, place_x(d, v->x[i]), place_y(d, v->y[i]));
    int at = TOP + 8 + s * 20;
    if (!v->points)
        mq_page_say(page, "<path class=\"line s%d\" d=\"M%d %dh24\"/>", s, LEFT + d->plot + 10, at);
    mark(page, s, LEFT + d->plot + 22, at);
    mq_page_say(page, "<text x=\"%d\" y=\"%d\">", LEFT + d->plot + 40, at + 4);
    mq_page_text(page, v->name);
    mq_page_say(page, "</text>\n");
}

static void describe(const mq_chart *chart, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "%s against %s.", chart->y_label, chart->x_label);
    for (int s = 0; s < chart->count && used < size; s++) {
        const mq_chart_series *v = &chart->series[s];
        int first = 0, last = v->count - 1;
        while (first < v->count && isnan(v->y[first])) first++;
        while (last >= 0 && isnan(v->y[last])) last--;
        if (first > last) continue;
        int n = snprintf(out + used, size - used, " %s: %.4g at %.4g", v->name, v->y[first], v->x[first]);
        used += n > 0 ? (size_t)n : 0;
        if (last > first && used < size) {
            n = snprintf(out + used, size - used, " to %.4g at %.4g", v->y[last], v->x[last]);
            used += n > 0 ? (size_t)n : 0;
        }
        if (used < size) used += (size_t)snprintf(out + used, size - used, ".");
    }
}

void mq_chart_svg(const mq_chart *chart, bool alone, mq_page *page) {
    drawing d = {.chart = chart, .plot = chart->large ? 500 : 340, .height = chart->large ? 380 : 290};
    char about[1024];
    describe(chart, about, sizeof about);
    size_t longest = 0;
    for (int s = 0; s < chart->count; s++)
        if (strlen(chart->series[s].name) > longest) longest = strlen(chart->series[s].name);
    mq_svg_open(page, alone, LEFT + d.plot + 56 + 7 * (int)longest, d.height, chart->title, about);
    if (mq_axis_ranges(chart, &d.x, &d.y)) {
        axes(&d, page);
        for (int s = 0; s < chart->count; s++) draw_series(&d, s, page);
    } else {
        mq_page_say(page, "<text x=\"%d\" y=\"%d\">no numbers yet</text>\n", LEFT, d.height / 2);
    }
    mq_svg_close(page);
}
