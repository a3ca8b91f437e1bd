/* report.c - the page: style, contents, runs; networks are in report_net.c. */
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "inet/inet_files.h"
#include "report/report_net.h"
#include "report/run_figures.h"

static const char STYLE[] =
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,\"DejaVu Sans\",sans-serif;color:#1a1a1a;background:#fff;margin:0 auto;"
    "max-width:1080px;padding:1em}"
    "h1{font-size:1.5em}h2{border-bottom:2px solid #999;margin-top:2em}h3{margin:1.4em 0 .4em}"
    "a{color:#0b55a0}code{font-size:.9em;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;font-size:.88em}th,td{padding:.2em "
    ".45em;text-align:left;border-bottom:1px solid #ccc;"
    "vertical-align:top}thead th{border-bottom:2px solid #777}tbody th{font-weight:600}.n{text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}.v{display:inline-block;min-width:4em}.k{white-"
    "space:nowrap}.wide{overflow-x:auto}"
    "figure{margin:.6em 0;overflow-x:auto}.pair{display:flex;flex-wrap:wrap;gap:.5em}"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15em,1fr));gap:.1em 1em;font-size:.88em}"
    "dl div{display:flex;gap:.5em;border-bottom:1px solid #ddd}dt{color:#555}dd{margin:0 0 0 "
    "auto;text-align:right;"
    "overflow-wrap:anywhere}"
    "@media screen and (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#6cb6ff}"
    "th,td{border-color:#30363d}thead th{border-color:#8b949e}dl div{border-color:#30363d}dt{color:#adb5be}"
    "h2{border-color:#565f69}}"
    "@media print{body{max-width:none;font-size:11px}section h2{break-before:page}h2,h3{break-after:avoid}"
    "figure,tr,svg{break-inside:avoid}.wide,figure{overflow:visible}nav{display:none}code{font-size:8px}"
    "table{font-size:8.5px}th,td{padding:.15em .4em}"
    "svg,svg *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}";

mq_status mq_report_add(mq_report *report, const char *path, mq_error *error) {
    char file[MQ_PATH];
    if (report->sweep_count + report->run_count + report->net_count == MQ_REPORT_FOLDERS)
        return mq_fail(error, MQ_USAGE, "a report of more than %d folders", MQ_REPORT_FOLDERS);
    MQ_TRY(mq_path_join(path, "run.json", file, error));
    if (mq_path_exists(file)) {
        MQ_TRY(mq_run_data_read(path, &report->run[report->run_count], error));
        report->run_count++;
        return MQ_OK;
    }
    MQ_TRY(mq_path_join(path, "sweep.json", file, error));
    if (mq_path_exists(file)) {
        MQ_TRY(mq_sweep_data_read(path, &report->sweep[report->sweep_count], error));
        report->sweep_count++;
        return MQ_OK;
    }
    MQ_TRY(mq_path_join(path, MQ_INET_NET_FILE, file, error));
    if (!mq_path_exists(file))
        return mq_fail(
            error, MQ_BAD_INPUT,
            "%s: neither the folder of a run (run.json), nor of a sweep (sweep.json), nor of a network "
            "(net.json)",
            path);
    MQ_TRY(mq_net_data_read(path, &report->net[report->net_count], error));
    report->net_count++;
    return MQ_OK;
}

void mq_report_clear(mq_report *report) {
    for (int i = 0; i < report->run_count; i++) mq_run_data_clear(&report->run[i]);
    for (int i = 0; i < report->net_count; i++) mq_net_data_clear(&report->net[i]);
    for (int i = 0; i < report->sweep_count; i++) mq_sweep_data_clear(&report->sweep[i]);
    report->run_count = report->net_count = report->sweep_count = 0;
}

/* ---- runs ---- */

static const char *bits_of(const mq_run_data *r, const char *key) {
    const char *text = json_string_value(json_object_get(r->bits, key));
    return text ? text : "";
}

static void number_cell(double v, int decimals, mq_page *page) {
    if (isnan(v))
        mq_page_say(page, "<td></td>");
    else
        mq_page_say(page, "<td class=n>%.*f</td>", decimals, v);
}

static void summary(const mq_report *report, mq_page *page) {
    mq_page_say(
        page,
        "<div "
        "class=wide><table><thead><tr><th>run</th><th>kind</th><th>network</th><th>epochs</th><th>weight "
        "bits</th><th>activation bits</th><th>best</th><th>last</th><th>M DSP "
        "operations</th></tr></thead><tbody>\n");
    for (int i = 0; i < report->run_count; i++) {
        const mq_run_data *r = &report->run[i];
        int epochs = mq_run_data_epochs(r);
        const json_t *last = epochs ? json_array_get(r->epoch, (size_t)epochs - 1) : NULL;
        const json_t *quality = json_object_get(last, r->quality);
        mq_page_say(page, "<tr><th scope=row><a href=\"#run%d\">", i);
        mq_page_text(page, r->name);
        mq_page_say(page, "</a></th><td>");
        mq_page_text(page, strcmp(r->mode, "search") == 0  ? "search"
                           : strcmp(r->mode, "float") == 0 ? "float training"
                                                           : "training");
        mq_page_say(page, "</td><td>");
        mq_page_text(page, r->model);
        mq_page_say(page, "</td><td class=n>%d</td><td><code>", epochs);
        mq_page_text(page, bits_of(r, "bitw"));
        mq_page_say(page, "</code></td><td><code>");
        mq_page_text(page, bits_of(r, "bita"));
        mq_page_say(page, "</code></td>");
        if (isnan(mq_run_data_best(r)))
            mq_page_say(page, "<td></td>");
        else
            mq_page_say(page, "<td class=n>%s %.4f</td>", r->quality, mq_run_data_best(r));
        number_cell(json_is_number(quality) ? json_number_value(quality) : NAN, 4, page);
        number_cell(mq_run_data_dsp(r), 3, page);
        mq_page_say(page, "</tr>\n");
    }
    mq_page_say(page, "</tbody></table></div>\n");
}

static void setting(const char *key, const json_t *value, mq_page *page) {
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    mq_page_say(page, "<div><dt>");
    mq_page_text(page, key);
    mq_page_say(page, "</dt><dd>");
    mq_page_text(page, json_is_string(value) ? json_string_value(value) : text ? text : "");
    mq_page_say(page, "</dd></div>\n");
    free(text);
}

static void settings(const mq_run_data *r, mq_page *page) {
    static const char *const own[] = {"version", "threads"}, *const cpu[] = {"name", "features"},
                             *const of_cpu[] = {"cpu", "cpu features"};
    json_t *all = json_object_get(r->run, "settings"), *value;
    const char *key;
    mq_page_say(page, "<h3>Settings</h3><dl>\n");
    json_object_foreach(all, key, value) if (!json_is_null(value)) setting(key, value, page);
    for (int i = 0; i < 2; i++) setting(own[i], json_object_get(r->run, own[i]), page);
    for (int i = 0; i < 2; i++)
        setting(of_cpu[i], json_object_get(json_object_get(r->run, "cpu"), cpu[i]), page);
    mq_page_say(page, "</dl>\n");
    if (r->best[0]) mq_page_say(page, "<p>best.safetensors <code>%s</code></p>\n", r->best);
}

static mq_status run_section(const mq_report *report, int i, mq_page *page, mq_error *error) {
    const mq_run_data *r = &report->run[i];
    bool drawn;
    mq_page_say(page, "<section id=\"run%d\"><h2>Run ", i);
    mq_page_text(page, r->name);
    mq_page_say(page, "</h2>\n");
    if (mq_run_data_epochs(r)) {
        mq_page_say(page, "<h3>Learning curves</h3><div class=pair><figure>");
        MQ_TRY(mq_figure_loss(r, MQ_FIGURE_IN_PAGE, page, error));
        mq_page_say(page, "</figure><figure>");
        MQ_TRY(mq_figure_quality(r, MQ_FIGURE_IN_PAGE, page, error));
        mq_page_say(page, "</figure></div>\n");
        if (json_object_get(json_array_get(r->epoch, 0), "bitw")) {
            mq_page_say(page, "<h3>How the search decided</h3><figure>");
            MQ_TRY(mq_figure_bits(r, MQ_FIGURE_IN_PAGE, page, &drawn, error));
            mq_page_say(page, "</figure>\n");
        }
    } else {
        mq_page_say(page, "<p>No finished epoch yet.</p>\n");
    }
    settings(r, page);
    mq_page_say(page, "</section>\n");
    return page->status;
}

/* ---- the page ---- */

static void contents(const mq_report *report, mq_page *page) {
    mq_page_say(page, "<nav aria-label=\"contents\"><p>");
    for (int i = 0; i < report->sweep_count; i++) {
        mq_page_say(page, "%s<a href=\"#sweep%d\">", i ? " &middot; " : "", i);
        mq_page_text(page, report->sweep[i].name);
        mq_page_say(page, "</a>");
    }
    for (int i = 0; i < report->run_count; i++) {
        mq_page_say(page, "%s<a href=\"#run%d\">", i || report->sweep_count ? " &middot; " : "", i);
        mq_page_text(page, report->run[i].name);
        mq_page_say(page, "</a>");
    }
    for (int i = 0; i < report->net_count; i++) {
        mq_page_say(page, "%s<a href=\"#net%d\">",
                    i || report->run_count || report->sweep_count ? " &middot; " : "", i);
        mq_page_text(page, report->net[i].name);
        mq_page_say(page, "</a>");
    }
    mq_page_say(page, "</p></nav>\n");
}

static mq_status front(const mq_report *report, mq_page *page, mq_error *error) {
    mq_page figure;
    bool drawn;
    char *text;
    mq_page_begin(&figure, error);
    figure.figures = page->figures;
    MQ_TRY(mq_figure_front(report->run, report->run_count, MQ_FIGURE_IN_PAGE, &figure, &drawn, error));
    page->figures = figure.figures;
    MQ_TRY(mq_page_take(&figure, &text, error));
    if (drawn) {
        mq_page_say(page, "<h2>Quality and cost</h2><figure>");
        mq_page_say(page, "%s", text);
        mq_page_say(page, "</figure><p>A training is at its best epoch; a search is drawn over its epochs, "
                          "with the accuracy of "
                          "its mixed network and the cost of the bits it would choose.</p>\n");
    }
    mq_free(text);
    return page->status;
}

static mq_status write_page(const mq_report *report, mq_page *page, mq_error *error) {
    mq_page_say(page, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                      "'unsafe-inline'\">\n"
                      "<title>mixq report</title>\n");
    mq_page_say(page, "<style>%s%s</style></head>\n", STYLE, mq_figure_style);
    mq_page_say(page, "<body><h1>mixq report</h1>\n");
    contents(report, page);
    mq_page_say(page, "<main>\n");
    if (report->run_count) {
        summary(report, page);
        MQ_TRY(front(report, page, error));
    }
    for (int i = 0; i < report->sweep_count; i++) MQ_TRY(mq_sweep_section(&report->sweep[i], i, page, error));
    for (int i = 0; i < report->run_count; i++) MQ_TRY(run_section(report, i, page, error));
    for (int i = 0; i < report->net_count; i++) mq_report_net(report, i, page);
    mq_page_say(page, "</main><footer><p>Written by mixq %s.</p></footer></body></html>\n", mq_version());
    return page->status;
}

mq_status mq_report_html(const mq_report *report, char **out, mq_error *error) {
    mq_page page;
    mq_page_begin(&page, error);
    mq_status status = write_page(report, &page, error), taken = mq_page_take(&page, out, error);
    if (status == MQ_OK) return taken;
    mq_free(*out);
    *out = NULL;
    return status;
}

static mq_status write_text(const mq_report *report, mq_page *page, mq_error *error) {
    bool drawn;
    for (int i = 0; i < report->sweep_count; i++) {
        MQ_TRY(
            mq_figure_sweep(report->sweep[i].results, MQ_SWEEP_DSP_OPS, MQ_FIGURE_TEXT, page, &drawn, error));
        mq_page_say(page, drawn ? "\n" : "%s: no trained point yet\n\n", report->sweep[i].name);
    }
    for (int i = 0; i < report->run_count; i++) {
        const mq_run_data *r = &report->run[i];
        if (mq_run_data_epochs(r)) {
            MQ_TRY(mq_figure_loss(r, MQ_FIGURE_TEXT, page, error));
            mq_page_say(page, "\n");
            MQ_TRY(mq_figure_quality(r, MQ_FIGURE_TEXT, page, error));
            mq_page_say(page, "\n");
            MQ_TRY(mq_figure_bits(r, MQ_FIGURE_TEXT, page, &drawn, error));
            if (drawn) mq_page_say(page, "\n");
        } else {
            mq_page_say(page, "%s: no finished epoch yet\n\n", r->name);
        }
    }
    return mq_figure_front(report->run, report->run_count, MQ_FIGURE_TEXT, page, &drawn, error);
}

mq_status mq_report_text(const mq_report *report, char **out, mq_error *error) {
    mq_page page;
    mq_page_begin(&page, error);
    mq_status status = write_text(report, &page, error), taken = mq_page_take(&page, out, error);
    if (status == MQ_OK) return taken;
    mq_free(*out);
    *out = NULL;
    return status;
}
