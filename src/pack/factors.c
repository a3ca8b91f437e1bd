/* factors.c - reading cost tables. */
#include "pack/factors.h"

#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/text.h"
#include "io/csv.h"
#include "pack/built.h"

/* The columns: [depthwise,] kernel, wbit, [a1,] a2, ..., a8. */
typedef struct layout {
    bool depthwise;
    size_t kernel, first; /* columns of `kernel` and of the least activation width */
    int least;            /* that width */
} layout;

static mq_status read_layout(const mq_csv *table, layout *out, mq_error *error) {
    static const char *const columns[] = {"depthwise", "kernel", "wbit", "a1", "a2", "a3",
                                          "a4",        "a5",     "a6",   "a7", "a8"};
    const char *expected[sizeof columns / sizeof *columns];
    size_t n = 0;
    *out = (layout){.depthwise = strcmp(table->name[0], columns[0]) == 0};
    out->kernel = out->depthwise ? 1 : 0;
    out->first = out->kernel + 2;
    out->least = table->columns > out->first && strcmp(table->name[out->first], "a1") == 0 ? 1 : 2;
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        if ((c > 0 || out->depthwise) && (c != 3 || out->least == 1)) expected[n++] = columns[c];
    for (size_t c = 0; c < n && c < table->columns; c++)
        if (strcmp(table->name[c], expected[c]) != 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: column %zu is '%s': '%s' expected", table->file, c + 1,
                           table->name[c], expected[c]);
    if (table->columns != n)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %zu columns: [depthwise,]kernel,wbit,[a1,]a2,...,a8 expected", table->file,
                       table->columns);
    return MQ_OK;
}

static mq_status find_kernel(mq_factor_rows *rows, int kernel, int *out) {
    int k = 0;
    while (k < rows->kernel_count && rows->kernel[k] != kernel) k++;
    if (k == MQ_MAX_KERNELS) return MQ_USAGE;
    if (k == rows->kernel_count) rows->kernel[rows->kernel_count++] = kernel;
    *out = k;
    return MQ_OK;
}

static mq_status fill(const mq_csv *table, mq_factors *out, mq_error *error) {
    layout l;
    MQ_TRY(read_layout(table, &l, error));
    for (size_t r = 0; r < table->rows; r++) {
        int depthwise = 0, kernel, wbit, k;
        if (l.depthwise) MQ_TRY(mq_csv_int(table, r, 0, 0, 1, &depthwise, error));
        MQ_TRY(mq_csv_int(table, r, l.kernel, 1, 31, &kernel, error));
        MQ_TRY(mq_csv_int(table, r, l.kernel + 1, 1, MQ_BITS_MAX, &wbit, error));
        mq_factor_rows *rows = &out->rows[depthwise];
        if (find_kernel(rows, kernel, &k) != MQ_OK)
            return mq_csv_fail(table, r, error, "more than %d kernel sizes", MQ_MAX_KERNELS);
        if (rows->f[k][wbit][2] > 0)
            return mq_csv_fail(table, r, error, "kernel %d, wbit %d stands there twice", kernel, wbit);
        for (int a = l.least; a <= MQ_BITS_MAX; a++) {
            size_t column = l.first + (size_t)(a - l.least);
            double value = table->value[r * table->columns + column];
            if (!(value > 0))
                return mq_csv_fail(table, r, error, "a%d: got %g, expected a positive number", a, value);
            rows->f[k][wbit][a] = value;
        }
    }
    return MQ_OK;
}

mq_status mq_factors_load(const char *name, mq_factors *out, mq_error *error) {
    *out = (mq_factors){0};
    snprintf(out->name, sizeof out->name, "%s", name);
    mq_csv *table;
    char file[160];
    snprintf(file, sizeof file, "%.120s.csv", name);
    const mq_embedded_file *builtin = mixq_builtin_factors;
    while (builtin->name && strcmp(builtin->name, file) != 0) builtin++;
    if (builtin->name) {
        out->source = strcmp(name, "ideal") == 0  ? MQ_FACTORS_IDEAL
                      : strcmp(name, "ours") == 0 ? MQ_FACTORS_OURS
                                                  : MQ_FACTORS_FILE;
        MQ_TRY(mq_csv_parse(builtin->name, (const char *)builtin->bytes, builtin->size, &table, error));
    } else if (mq_ends_with(name, ".csv")) {
        MQ_TRY(mq_csv_load(name, &table, error));
    } else {
        return mq_fail(error, MQ_USAGE,
                       "unknown cost table '%s': ours, ideal, published or a .csv file expected", name);
    }
    mq_status status = fill(table, out, error);
    mq_csv_free(table);
    return status;
}

/* One kernel size of a table of ours, as `mixq pack table --csv` makes it. */
static mq_status compute(mq_factors *factors, mq_pack_explorer *explorer, int kernel, bool depthwise,
                         mq_error *error) {
    mq_factor_rows *rows = &factors->rows[depthwise];
    mq_pack_request r = {.kernel = kernel,
                         .stride = 1,
                         .depthwise = depthwise,
                         .class = MQ_CLASS_II,
                         .cycles = 1,
                         .lut_price = -1};
    int k;
    if (find_kernel(rows, kernel, &k) != MQ_OK)
        return mq_fail(error, MQ_USAGE, "cost table '%s': more than %d kernel sizes", factors->name,
                       MQ_MAX_KERNELS);
    MQ_TRY(mq_dsp_find("dsp48e2", &r.dsp, error));
    for (r.wbit = 1; r.wbit <= MQ_BITS_MAX; r.wbit++)
        for (r.abit = 1; r.abit <= MQ_BITS_MAX; r.abit++) {
            mq_pack_plan plan;
            mq_pack_built built;
            if (factors->source == MQ_FACTORS_IDEAL)
                MQ_TRY(mq_pack_best(explorer, &r, &plan, error));
            else
                MQ_TRY(mq_pack_build(explorer, &r, &built, error));
            rows->f[k][r.wbit][r.abit] = factors->source == MQ_FACTORS_IDEAL ? plan.mults : built.realised;
        }
    return MQ_OK;
}

mq_status mq_factors_complete(mq_factors *factors, int kernel, bool depthwise, mq_error *error) {
    const mq_factor_rows *rows = &factors->rows[depthwise];
    if (factors->source == MQ_FACTORS_FILE) return MQ_OK;
    for (int k = 0; k < rows->kernel_count; k++)
        if (rows->kernel[k] == kernel) return MQ_OK;
    mq_pack_explorer *explorer;
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    mq_status status = compute(factors, explorer, kernel, depthwise, error);
    mq_pack_explorer_free(explorer);
    return status;
}

mq_status mq_factors_get(const mq_factors *factors, int kernel, bool depthwise, int wbit, int abit,
                         double *out, mq_error *error) {
    const mq_factor_rows *rows = &factors->rows[depthwise && factors->rows[1].kernel_count > 0];
    for (int k = 0; k < rows->kernel_count; k++) {
        if (rows->kernel[k] != kernel) continue;
        *out = rows->f[k][wbit][abit];
        if (*out > 0) return MQ_OK;
        return mq_fail(error, MQ_USAGE, "cost table '%s' has no entry for w%da%d at kernel size %d",
                       factors->name, wbit, abit, kernel);
    }
    return mq_fail(
        error, MQ_USAGE,
        "cost table '%s' has no entry for kernel size %d; --factors FILE.csv gives another table (columns "
        "kernel,wbit,a2,...,a8)",
        factors->name, kernel);
}
