/* csv.c - a strict reader of small numeric tables: two passes over the lines, no guessing. */
#include "io/csv.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/one_line.h"

enum { MAX_BYTES = 1 << 20, MAX_COLUMNS = 256, FIRST_ROW_LINE = 2 };

/* A table while it is read; one arena holds all of it. */
typedef struct table {
    mq_csv csv; /* first: the public pointer is this one */
    mq_arena *arena;
    double *value;
} table;

typedef struct span {
    const char *at, *end;
} span;

/* Cuts the next piece off *rest, up to `separator` or the end. */
static span cut(span *rest, char separator) {
    const char *found = memchr(rest->at, separator, (size_t)(rest->end - rest->at));
    span piece = {rest->at, found ? found : rest->end};
    rest->at = found ? found + 1 : rest->end;
    return piece;
}

static span next_line(span *rest) {
    span line = cut(rest, '\n');
    if (line.end > line.at && line.end[-1] == '\r') line.end--;
    return line;
}

static span trimmed(span s) {
    while (s.at < s.end && *s.at == ' ') s.at++;
    while (s.at < s.end && s.end[-1] == ' ') s.end--;
    return s;
}

static size_t count_fields(span line) {
    size_t n = 1;
    for (const char *c = line.at; c < line.end; c++) n += *c == ',';
    return n;
}

mq_status mq_csv_fail(const mq_csv *csv, size_t row, mq_error *error, const char *format, ...) {
    char what[MQ_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return mq_one_line(error,
                       mq_fail(error, MQ_BAD_INPUT, "%s:%zu: %s", csv->file, row + FIRST_ROW_LINE, what));
}

static mq_status fail_names(const mq_csv *csv, const char *what, mq_error *error) {
    return mq_fail(error, MQ_BAD_INPUT, "%s:1: %s", csv->file, what);
}

static mq_status read_names(table *t, span line, mq_error *error) {
    mq_csv *csv = &t->csv;
    csv->columns = count_fields(line);
    if (csv->columns > MAX_COLUMNS) return fail_names(csv, "got over 256 columns", error);
    MQ_TRY(mq_arena_alloc(t->arena, csv->columns, sizeof *csv->name, "column names", &csv->name, error));
    for (size_t c = 0; c < csv->columns; c++) {
        span field = trimmed(cut(&line, ','));
        size_t size = (size_t)(field.end - field.at);
        if (size == 0) return fail_names(csv, "got an empty column name", error);
        for (const char *p = field.at; p < field.end; p++)
            if (*p < 0x20 || *p > 0x7e || *p == '"')
                return fail_names(csv, "a column name: expected printable ASCII without quotes", error);
        char *copy;
        MQ_TRY(mq_arena_alloc(t->arena, size + 1, 1, "a column name", &copy, error));
        memcpy(copy, field.at, size);
        csv->name[c] = copy;
        for (size_t other = 0; other < c; other++)
            if (strcmp(csv->name[other], copy) == 0) return fail_names(csv, "got a column name twice", error);
    }
    return MQ_OK;
}

static mq_status read_number(const mq_csv *csv, size_t row, size_t column, span field, double *out,
                             mq_error *error) {
    char text[64];
    size_t size = (size_t)(field.end - field.at);
    bool fits = size < sizeof text;
    memcpy(text, field.at, fits ? size : 0);
    text[fits ? size : 0] = 0;
    /* The set keeps out what strtod takes beside decimal numbers, and a zero byte. */
    if (!fits || strspn(text, "+-.0123456789eE") != size || !mq_parse_double(text, out))
        return mq_csv_fail(csv, row, error, "%s: got \"%.*s\", expected a number", csv->name[column],
                           (int)(size < 40 ? size : 40), field.at);
    return MQ_OK;
}

static mq_status read_rows(table *t, span rest, mq_error *error) {
    mq_csv *csv = &t->csv;
    size_t rows = 0;
    /* The widths come first: they bound rows * columns by the size of the text. */
    for (span scan = rest; scan.at < scan.end; rows++) {
        size_t fields = count_fields(next_line(&scan));
        if (fields != csv->columns)
            return mq_csv_fail(csv, rows, error, "got %zu fields, expected %zu", fields, csv->columns);
    }
    if (rows == 0)
        return mq_csv_fail(csv, 0, error, "got no row below the header line, expected at least one");
    MQ_TRY(mq_arena_alloc(t->arena, rows * csv->columns, sizeof *t->value, "a table", &t->value, error));
    csv->value = t->value;
    csv->rows = rows;
    for (size_t r = 0; r < rows; r++) {
        span line = next_line(&rest);
        for (size_t c = 0; c < csv->columns; c++)
            MQ_TRY(read_number(csv, r, c, trimmed(cut(&line, ',')), &t->value[r * csv->columns + c], error));
    }
    return MQ_OK;
}

mq_status mq_csv_parse(const char *name, const char *text, size_t size, mq_csv **out, mq_error *error) {
    *out = NULL;
    if (size > MAX_BYTES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: table too large: got %zu bytes, expected at most %d", name,
                       size, MAX_BYTES);
    table *t;
    char *copy;
    MQ_TRY(mq_alloc(1, sizeof *t, "a table", &t, error));
    span rest = {text, text + size};
    mq_status status = mq_arena_create(&t->arena, error);
    if (status != MQ_OK) goto failed;
    MQ_TRY_GOTO(mq_arena_strdup(t->arena, name, &copy, error), failed);
    t->csv.file = copy;
    MQ_TRY_GOTO(read_names(t, next_line(&rest), error), failed);
    MQ_TRY_GOTO(read_rows(t, rest, error), failed);
    *out = &t->csv;
    return MQ_OK;
failed:
    mq_csv_free(&t->csv);
    return status;
}

mq_status mq_csv_load(const char *path, mq_csv **out, mq_error *error) {
    *out = NULL;
    uint8_t *text;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_BYTES, &text, &size, error));
    mq_status status = mq_csv_parse(path, (const char *)text, size, out, error);
    mq_free(text);
    return status;
}

void mq_csv_free(mq_csv *csv) {
    if (!csv) return;
    table *t = (table *)csv;
    mq_arena_destroy(t->arena);
    mq_free(t);
}

mq_status mq_csv_column(const mq_csv *csv, const char *name, size_t *out, mq_error *error) {
    const char *candidates[MAX_COLUMNS + 1] = {NULL};
    for (size_t c = 0; c < csv->columns; c++) {
        candidates[c] = csv->name[c];
        if (strcmp(csv->name[c], name) != 0) continue;
        *out = c;
        return MQ_OK;
    }
    const char *nearest = mq_nearest(name, candidates);
    return mq_fail(error, MQ_BAD_INPUT, "%s:1: missing column %s%s%s%s", csv->file, name,
                   nearest ? "; the nearest is \"" : "", nearest ? nearest : "", nearest ? "\"" : "");
}

mq_status mq_csv_int(const mq_csv *csv, size_t row, size_t column, int low, int high, int *out,
                     mq_error *error) {
    double value = csv->value[row * csv->columns + column];
    if (!(value >= low && value <= high) || value != (double)(int)value)
        return mq_csv_fail(csv, row, error, "%s: got %g, expected an integer in %d..%d", csv->name[column],
                           value, low, high);
    *out = (int)value;
    return MQ_OK;
}
