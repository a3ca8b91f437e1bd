/* test_figures.c - figures as SVG and text: well-formed whatever the words and numbers, right in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <expat.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pack/built.h"
#include "pack/explorer.h"
#include "pack/plan.h"
#include "report/axis.h"
#include "report/bit_fields.h"

__attribute__((noinline)) static char *taken(mq_page *page) {
    mq_error error;
    char *text;
    assert_int_equal(mq_page_take(page, &text, &error), MQ_OK);
    return text;
}

typedef struct seen {
    int titles, rects, paths, texts;
} seen;

static void on_start(void *context, const char *name, const char **attributes) {
    seen *s = context;
    s->titles += strcmp(name, "title") == 0;
    s->rects += strcmp(name, "rect") == 0;
    s->paths += strcmp(name, "path") == 0;
    s->texts += strcmp(name, "text") == 0;
    for (int i = 0; attributes[i]; i += 2) {
        assert_null(strstr(attributes[i + 1], "nan"));
        assert_null(strstr(attributes[i + 1], "inf"));
        if (strcmp(attributes[i], "xmlns") != 0) assert_null(strstr(attributes[i + 1], "http"));
    }
}

static seen parse(const char *text) {
    seen s = {0};
    XML_Parser parser = XML_ParserCreate(NULL);
    XML_SetUserData(parser, &s);
    XML_SetStartElementHandler(parser, on_start);
    if (XML_Parse(parser, text, (int)strlen(text), 1) != XML_STATUS_OK)
        fail_msg("line %lu: %s in %.200s", XML_GetCurrentLineNumber(parser),
                 XML_ErrorString(XML_GetErrorCode(parser)), text);
    XML_ParserFree(parser);
    return s;
}

static void words_of_others(void **state) {
    (void)state;
    mq_page page;
    mq_page_begin(&page, NULL);
    mq_page_text(&page, "<b> & \"q\" 'a' \x01 \x7f \xff\xc0\x80 \xc3\xa9 \xed\xa0\x80 \xe2\x82");
    char *text = taken(&page);
    assert_string_equal(text, "&lt;b&gt; &amp; &quot;q&quot; &#39;a&#39; ? ? ??? \xc3\xa9 ??? ??");
    mq_free(text);
    text = taken(&page); /* empty again */
    assert_string_equal(text, "");
    mq_free(text);
}

static void axes(void **state) {
    (void)state;
    static const double ends[][2] = {{0, 1}, {0.2, 0.93}, {15, 46},     {5, 5},
                                     {0, 0}, {-3, 1e6},   {1e-9, 2e-9}, {-0.5, -0.4}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        mq_axis a = mq_axis_make(ends[i][0], ends[i][1], 8);
        double steps = (a.high - a.low) / a.step;
        assert_true(a.low <= ends[i][0] + a.step * 1e-6 && a.high >= ends[i][1] - a.step * 1e-6);
        assert_true(steps > 0.99 && steps < 10.01);
        assert_true(fabs(steps - round(steps)) < 1e-6);
    }
}

/* Logarithmic: ends inside, equal factors at equal distances, round ticks within. */
static void log_axes(void **state) {
    (void)state;
    static const double ends[][2] = {{1, 10},     {0.9, 93},      {14, 16}, {5, 5},
                                     {1e-7, 1e6}, {10.05, 10.06}, {2, 9}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const mq_axis a = mq_axis_log(ends[i][0], ends[i][1]);
        double tick[MQ_AXIS_TICKS];
        const int n = mq_axis_ticks(&a, tick);
        assert_true(a.low < ends[i][0] && a.high > ends[i][1] && a.low > 0);
        assert_true(n >= 2 && n <= MQ_AXIS_TICKS);
        for (int t = 0; t < n; t++) {
            char text[32];
            assert_true(tick[t] >= a.low && tick[t] <= a.high && (t == 0 || tick[t] > tick[t - 1]));
            mq_axis_text(&a, tick[t], text);
            if (n > 2) assert_true(fabs(strtod(text, NULL) / tick[t] - 1) < 1e-9);
        }
        const double whole = mq_axis_part(&a, sqrt(a.low * a.high));
        assert_true(fabs(whole - 0.5) < 1e-9);
        assert_true(mq_axis_part(&a, 0) == 0 && mq_axis_part(&a, -1) == 0 &&
                    mq_axis_part(&a, 2 * a.high) == 1);
    }
}

/* Bars of a spread are in the picture, and within its frame. */
static void spreads(void **state) {
    (void)state;
    const double x[] = {1, 10, 100}, y[] = {0.5, 0.6, 0.7}, dx[] = {5, 0, NAN}, dy[] = {0.1, NAN, 0.2};
    mq_chart chart = {.title = "t", .x_label = "x", .y_label = "y", .count = 1, .log_x = true, .large = true};
    mq_axis ax, ay;
    mq_page page;
    chart.series[0] = (mq_chart_series){.name = "a", .count = 3, .x = x, .y = y};
    mq_page_begin(&page, NULL);
    mq_chart_svg(&chart, true, &page);
    char *text = taken(&page);
    parse(text);
    assert_null(strstr(text, "class=\"spread "));
    mq_free(text);
    chart.series[0].spread_x = dx;
    chart.series[0].spread_y = dy;
    mq_chart_svg(&chart, true, &page);
    text = taken(&page);
    parse(text);
    int bars = 0;
    for (const char *c = text; (c = strstr(c, "class=\"spread ")); c++) bars++;
    assert_int_equal(bars, 3);
    mq_free(text);
    assert_true(mq_axis_ranges(&chart, &ax, &ay));
    assert_true(ax.low > 0 && ax.low < 1 && ax.high > 100 && ay.low <= 0.4 && ay.high >= 0.9);
    mq_chart_text(&chart, 60, &page);
    text = taken(&page);
    assert_non_null(strstr(text, "x (log)"));
    mq_free(text);
}

static void charts(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4}, y[] = {0.5, NAN, 0.7, 0.9}, far[] = {10, 20, 30, NAN};
    mq_chart chart = {
        .title = "<loss> & more", .x_label = "epoch", .y_label = "\"loss\"", .count = 2, .whole = true};
    snprintf(chart.series[0].name, MQ_CHART_NAME, "a<b");
    chart.series[0] = (mq_chart_series){.name = "a<b", .count = 4, .x = x, .y = y};
    chart.series[1] = (mq_chart_series){.name = "points", .count = 4, .x = x, .y = far, .points = true};
    mq_page page;
    mq_page_begin(&page, NULL);
    mq_chart_svg(&chart, true, &page);
    char *text = taken(&page);
    seen s = parse(text);
    assert_int_equal(s.titles, 1);
    assert_non_null(strstr(text, "prefers-color-scheme:dark"));
    assert_non_null(strstr(text, "role=\"img\""));
    mq_free(text);
    mq_chart_text(&chart, 60, &page);
    text = taken(&page);
    assert_non_null(strstr(text, "o a<b  x points"));
    int marks = 0; /* of the first series: 3 and its name, of the second 3 and its name */
    for (const char *c = strchr(text, '\n'); *c; c++) marks += *c == 'x';
    assert_int_equal(marks, 3 + 1);
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        assert_true(end - line < 80);
    mq_free(text);

    chart.count = 0;
    mq_chart_svg(&chart, true, &page);
    text = taken(&page);
    parse(text);
    assert_non_null(strstr(text, "no numbers yet"));
    mq_free(text);
}

static void grids(void **state) {
    (void)state;
    static const char *const rows[] = {"conv0 weights", "<i>"}, *const columns[] = {"1", "2", "3"};
    const double value[] = {8, 4, 2, 3, NAN, 5}, sure[] = {0, 0.5, 1, NAN, 1, 2};
    mq_grid grid = {.title = "bits",
                    .rows_label = "layer",
                    .columns_label = "epoch",
                    .rows = 2,
                    .columns = 3,
                    .row = rows,
                    .column = columns,
                    .value = value,
                    .sure = sure,
                    .low = 2,
                    .high = 8};
    mq_page page;
    mq_page_begin(&page, NULL);
    mq_grid_svg(&grid, true, &page);
    char *text = taken(&page);
    seen s = parse(text);
    assert_int_equal(s.rects, 1 + 5 + 4); /* background, cells, bars */
    assert_non_null(strstr(text, "class=\"c7\""));
    assert_non_null(strstr(text, "class=\"c0\""));
    mq_free(text);
    mq_grid_text(&grid, 80, &page);
    text = taken(&page);
    assert_non_null(strstr(text, "conv0 weights   8   4   2   ##########"));
    assert_non_null(strstr(text, "<i>             3       5   ##########"));
    mq_free(text);
}

/* Every box of a drawn packing lies in the picture. */
static void bit_fields(void **state) {
    (void)state;
    mq_error error = {0};
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, &error), MQ_OK);
    for (int bits = 2; bits <= 8; bits += 2) {
        mq_pack_request request = {.kernel = 3,
                                   .stride = 1,
                                   .wbit = bits,
                                   .abit = 10 - bits,
                                   .cycles = 1,
                                   .lut_price = -1,
                                   .class = MQ_CLASS_II};
        mq_pack_built built;
        assert_int_equal(mq_dsp_find("dsp48e2", &request.dsp, &error), MQ_OK);
        if (mq_pack_build(explorer, &request, &built, &error) != MQ_OK) fail_msg("%s", error.text);
        mq_page page;
        mq_page_begin(&page, &error);
        mq_bit_fields_svg(built.packing[0], "a & b", true, &page);
        char *text = taken(&page);
        seen s = parse(text);
        assert_int_equal(s.rects, 1 + 3 + built.packing[0]->weights + built.packing[0]->activations +
                                      built.packing[0]->fields);
        int width = 0, x, w;
        assert_int_equal(sscanf(strstr(text, "viewBox"), "viewBox=\"0 0 %d", &width), 1);
        for (const char *at = text; (at = strstr(at, "\" x=\"")); at++)
            if (sscanf(at, "\" x=\"%d\" y=\"%*d\" width=\"%d\"", &x, &w) == 2)
                assert_true(x >= 96 && x + w <= width);
        mq_free(text);
    }
    mq_pack_explorer_free(explorer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_of_others), cmocka_unit_test(axes),
                                       cmocka_unit_test(charts),          cmocka_unit_test(log_axes),
                                       cmocka_unit_test(spreads),         cmocka_unit_test(grids),
                                       cmocka_unit_test(bit_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
