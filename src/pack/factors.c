/* factors.c - reading cost tables. */
#include "pack/factors.h"

#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/text.h"
#include "io/csv.h"

static mq_status fill(const mq_csv *table, mq_factors *out, mq_error *error) {
    static const char *const columns[] = {"kernel", "wbit", "a2", "a3", "a4", "a5", "a6", "a7", "a8"};
    const size_t width = sizeof columns / sizeof *columns;
    if (table->columns != width)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %zu columns: kernel,wbit,a2,...,a8 expected", table->file,
                       table->columns);
    for (size_t c = 0; c < width; c++)
        if (strcmp(table->name[c], columns[c]) != 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: column %zu is '%s': '%s' expected", table->file, c + 1,
                           table->name[c], columns[c]);
    for (size_t r = 0; r < table->rows; r++) {
        int kernel, wbit, k = 0;
        MQ_TRY(mq_csv_int(table, r, 0, 1, 31, &kernel, error));
        MQ_TRY(mq_csv_int(table, r, 1, 1, MQ_BITS_MAX, &wbit, error));
        while (k < out->kernel_count && out->kernel[k] != kernel) k++;
        if (k == MQ_MAX_KERNELS)
            return mq_csv_fail(table, r, error, "more than %d kernel sizes", MQ_MAX_KERNELS);
        if (k == out->kernel_count) out->kernel[out->kernel_count++] = kernel;
        if (out->f[k][wbit][2] > 0)
            return mq_csv_fail(table, r, error, "kernel %d, wbit %d stands there twice", kernel, wbit);
        for (size_t c = 2; c < width; c++) {
            double value = table->value[r * width + c];
            if (!(value > 0))
                return mq_csv_fail(table, r, error, "%s: got %g, expected a positive number", columns[c],
                                   value);
            out->f[k][wbit][c] = value;
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
        MQ_TRY(mq_csv_parse(builtin->name, (const char *)builtin->bytes, builtin->size, &table, error));
    } else if (mq_ends_with(name, ".csv")) {
        MQ_TRY(mq_csv_load(name, &table, error));
    } else {
        return mq_fail(error, MQ_USAGE,
                       "unknown cost table '%s': published, ideal, ideal_depthwise or a .csv file expected",
                       name);
    }
    mq_status status = fill(table, out, error);
    mq_csv_free(table);
    return status;
}

mq_status mq_factors_get(const mq_factors *factors, int kernel, int wbit, int abit, double *out,
                         mq_error *error) {
    for (int k = 0; k < factors->kernel_count; k++) {
        if (factors->kernel[k] != kernel) continue;
        *out = factors->f[k][wbit][abit];
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
