/* pack_table.c - `mixq pack table`: all bit widths of a kernel size, as text, JSON or a cost table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/pack_request.h"
#include "cli/plot_file.h"
#include "pack/factors.h"
#include "pack/published.h"

typedef struct comparison {
    const mq_factors *factors; /* NULL = none */
    double logs;               /* sum of log(ours / theirs) */
    int cells, matched, beaten, below, not_exact;
} comparison;

static mq_status compare(comparison *c, const mq_pack_request *r, const mq_pack_plan *plan, json_t *cell,
                         bool text, mq_error *error) {
    double theirs;
    MQ_TRY(mq_factors_get(c->factors, r->kernel, r->depthwise, r->wbit, r->abit, &theirs, error));
    const char *verdict = plan->mults > theirs + 0.005   ? "beaten"
                          : plan->mults < theirs - 0.005 ? "below"
                                                         : "matched";
    mq_published how = mq_pack_published(r, theirs);
    c->cells++;
    c->logs += log(plan->mults / theirs);
    c->beaten += verdict[1] == 'e' && verdict[2] == 'a';
    c->below += verdict[2] == 'l';
    c->matched += verdict[0] == 'm';
    c->not_exact += !how.exact;
    if (cell) {
        json_object_set_new(cell, "published", json_real(theirs));
        json_object_set_new(cell, "verdict", json_string(verdict));
        json_object_set_new(cell, "published_exact", json_boolean(how.exact));
    }
    if (text) {
        char structure[48] = "no structure of that factor";
        if (how.taps)
            snprintf(structure, sizeof structure, "%d x %d%s", how.taps, how.pixels,
                     how.weight_parts * how.activation_parts > 1 ? " split" : "");
        printf("  k%d w%d a%d  published %6.3f  ours %7.3f  %-8s%s%s%s\n", r->kernel, r->wbit, r->abit,
               theirs, plan->mults, verdict, how.exact ? "" : " not exact as published (",
               how.exact ? "" : structure, how.exact ? "" : ")");
    }
    return MQ_OK;
}

static void print_head(const mq_pack_request *r, int least) {
    printf(
        "kernel %d x %d, stride %d%s, %s, class %s, %s weights: multiplications per slice and cycle\n      ",
        r->kernel, r->kernel, r->stride, r->depthwise ? ", depthwise" : "", r->dsp.name,
        PACK_CLASSES[r->class - 1], PACK_RANGES[r->symmetric]);
    for (int a = least; a <= MQ_PACK_BITS; a++) printf("      a%d", a);
    printf("\n");
}

static void print_row(const mq_pack_request *r, const double *mults, const double *luts,
                      const double *of_bound, const double *realised, int least) {
    printf("  w%d ", r->wbit);
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %7.3f", mults[a]);
    printf("   luts");
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %5.1f", luts[a]);
    printf("   of bound");
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %4.2f", of_bound[a]);
    if (realised) printf("   realised");
    for (int a = least; realised && a <= MQ_PACK_BITS; a++) printf(" %5.2f", realised[a]);
    printf("\n");
}

typedef struct table_job {
    const cli_args *args;
    mq_pack_explorer *explorer;
    mq_pack_request request;
    comparison comparison;
    int least; /* bits */
    bool csv;  /* a cost table: of what can be built (ours), or of the plans (ideal) */
    bool ours;
    json_t *cells;
    double plot[MQ_PACK_BITS * MQ_PACK_BITS]; /* [wbit - least][abit - least], NaN where there is none */
} table_job;

static mq_status table_of_kernel(table_job *job, int kernel, mq_error *error) {
    mq_pack_request *r = &job->request;
    const bool text = !job->args->json && !job->csv, buildable = r->stride == 1;
    r->kernel = kernel;
    bool headed = false;
    for (r->wbit = job->least; r->wbit <= MQ_PACK_BITS; r->wbit++) {
        double mults[MQ_PACK_BITS + 1], luts[MQ_PACK_BITS + 1], of_bound[MQ_PACK_BITS + 1],
            realised[MQ_PACK_BITS + 1];
        if (r->symmetric && r->wbit == 1) continue;
        for (r->abit = job->least; r->abit <= MQ_PACK_BITS; r->abit++) {
            mq_pack_plan plan;
            mq_pack_built built = {0};
            json_t *cell = NULL;
            MQ_TRY(mq_pack_best(job->explorer, r, &plan, error));
            if (buildable) MQ_TRY(mq_pack_build(job->explorer, r, &built, error));
            realised[r->abit] = built.realised;
            mults[r->abit] = plan.mults;
            luts[r->abit] = plan.luts;
            of_bound[r->abit] = plan.mults / plan.bound;
            job->plot[(r->wbit - job->least) * (MQ_PACK_BITS + 1 - job->least) + r->abit - job->least] =
                plan.mults;
            if (job->args->json) {
                mq_proof proof;
                MQ_TRY(pack_prove_plan(&plan, PACK_TABLE_VECTORS, job->args->seed, &proof, error));
                cell = pack_cell_json(r, &plan, &proof, buildable ? &built : NULL);
                json_object_set_new(cell, "kernel", json_integer(kernel));
                json_array_append_new(job->cells, cell);
            }
            if (job->comparison.factors) MQ_TRY(compare(&job->comparison, r, &plan, cell, text, error));
        }
        if (job->csv) {
            printf("%d,%d,%d", r->depthwise, kernel, r->wbit);
            for (int a = job->least; a <= MQ_PACK_BITS; a++)
                printf(",%.9g", job->ours ? realised[a] : mults[a]);
            printf("\n");
        } else if (text && !job->comparison.factors) {
            if (!headed) print_head(r, job->least);
            headed = true;
            print_row(r, mults, luts, of_bound, buildable ? realised : NULL, job->least);
        }
    }
    return MQ_OK;
}

static mq_status tables(table_job *job, mq_error *error) {
    static const int all[] = {1, 3, 5, 7};
    int kernel = job->request.kernel;
    comparison *c = &job->comparison;
    for (int i = 0; i < (kernel ? 1 : c->factors ? 3 : 4); i++) {
        int k = kernel ? kernel : all[i];
        double logs = c->logs;
        int cells = c->cells;
        MQ_TRY(table_of_kernel(job, k, error));
        if (c->factors && !job->args->json)
            printf("kernel %d: geometric mean of ours / published %.4f\n", k,
                   exp((c->logs - logs) / (c->cells - cells)));
    }
    if (c->factors && !job->args->json)
        printf(
            "%d cells: %d beaten, %d matched, %d below; %d published values not exact by published means\n",
            c->cells, c->beaten, c->matched, c->below, c->not_exact);
    return MQ_OK;
}

enum { USUAL_KERNEL = 3 };

/* --plot: the numbers of the table as a figure. */
static mq_status plot(const table_job *job, const char *path, mq_error *error) {
    const mq_pack_request *r = &job->request;
    const int count = MQ_PACK_BITS + 1 - job->least;
    char title[160], name[2][MQ_PACK_BITS][4];
    const char *row[MQ_PACK_BITS], *column[MQ_PACK_BITS];
    double most = 1;
    for (int i = 0; i < count; i++) {
        snprintf(name[0][i], sizeof name[0][i], "w%d", job->least + i);
        snprintf(name[1][i], sizeof name[1][i], "a%d", job->least + i);
        row[i] = name[0][i];
        column[i] = name[1][i];
    }
    for (int i = 0; i < count * count; i++)
        if (job->plot[i] > most) most = job->plot[i];
    snprintf(title, sizeof title,
             "%d x %d%s on %s, class %s, %s weights: multiplications per slice and cycle", r->kernel,
             r->kernel, r->depthwise ? " depthwise" : "", r->dsp.name, PACK_CLASSES[r->class - 1],
             PACK_RANGES[r->symmetric]);
    const mq_grid grid = {.title = title,
                          .rows_label = "weights",
                          .columns_label = "activation bits",
                          .rows = count,
                          .columns = count,
                          .decimals = 2,
                          .row = row,
                          .column = column,
                          .value = job->plot,
                          .high = most};
    mq_page page;
    mq_page_begin(&page, error);
    mq_figure_grid(&grid, plot_form(path), &page);
    return plot_write(path, &page, error);
}

/* Both kinds of layers in one file, as factors/ has them. */
static mq_status cost_table(table_job *job, mq_error *error) {
    printf("depthwise,kernel,wbit,a1,a2,a3,a4,a5,a6,a7,a8\n");
    int kernel = job->request.kernel;
    for (int depthwise = 0; depthwise < 2; depthwise++) {
        job->request.depthwise = depthwise;
        job->request.kernel = kernel;
        MQ_TRY(tables(job, error));
    }
    return MQ_OK;
}

mq_status pack_run_table(const cli_args *args, mq_error *error) {
    static const char *const kinds[] = {"ideal", "ours", NULL};
    table_job job = {.args = args, .csv = cli_value(args, "--csv") != NULL};
    mq_factors factors;
    int which = 0;
    MQ_TRY(cli_choice(args, "--csv", kinds, &which, error));
    job.ours = which == 1;
    MQ_TRY(pack_read_request(args, &job.request, error));
    const char *against = cli_value(args, "--compare");
    if (against) {
        MQ_TRY(mq_factors_load(against, &factors, error));
        job.comparison.factors = &factors;
    }
    if (!job.csv && !against && !job.request.kernel) job.request.kernel = USUAL_KERNEL;
    if (job.csv && (args->json || against))
        return mq_fail(error, MQ_USAGE, "--csv does not go with --json or --compare");
    if (job.csv && (job.request.stride > 1 || job.request.symmetric || job.request.depthwise))
        return mq_fail(error, MQ_USAGE,
                       "--csv: a cost table has full-range weights, stride 1, dense and depthwise layers");
    if (job.request.stride > (job.request.kernel ? job.request.kernel : 1))
        return mq_fail(error, MQ_USAGE, "--stride: got %d, expected at most the kernel", job.request.stride);
    const char *plotted = cli_value(args, "--plot");
    if (plotted && (job.csv || against))
        return mq_fail(error, MQ_USAGE, "--plot does not go with --csv or --compare");
    if (plotted) MQ_TRY(plot_check(args, plotted, error));
    for (int i = 0; i < MQ_PACK_BITS * MQ_PACK_BITS; i++) job.plot[i] = NAN;
    job.least = job.csv || cli_flag(args, "--one-bit") ? 1 : PACK_LOWEST_BITS;
    MQ_TRY(mq_pack_explorer_create(&job.explorer, error));
    if (args->json) job.cells = json_array();
    mq_status status = job.csv ? cost_table(&job, error) : tables(&job, error);
    mq_pack_explorer_free(job.explorer);
    if (status == MQ_OK && plotted) status = plot(&job, plotted, error);
    if (status != MQ_OK || !args->json) {
        json_decref(job.cells);
        return status;
    }
    const mq_pack_request *r = &job.request;
    const comparison *c = &job.comparison;
    json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:b, s:o}", "dsp", r->dsp.name, "class",
                             PACK_CLASSES[r->class - 1], "range", PACK_RANGES[r->symmetric], "stride",
                             r->stride, "depthwise", r->depthwise, "cells", job.cells);
    if (root && c->factors) {
        json_object_set_new(root, "geometric_mean", json_real(exp(c->logs / c->cells)));
        json_object_set_new(root, "beaten", json_integer(c->beaten));
        json_object_set_new(root, "matched", json_integer(c->matched));
        json_object_set_new(root, "below", json_integer(c->below));
        json_object_set_new(root, "not_exact", json_integer(c->not_exact));
    }
    return cli_print_json(root, error);
}
