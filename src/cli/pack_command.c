/* pack_command.c - `mixq pack`: tables of multiplications per DSP slice, one packing drawn, proofs run again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "cli/commands.h"
#include "pack/draw.h"
#include "pack/factors.h"
#include "pack/packing_file.h"
#include "pack/plan.h"
#include "pack/proof.h"
#include "pack/published.h"

enum { TABLE_VECTORS = 4096, VERIFY_VECTORS = 10000000, LOWEST_BITS = 2 };

static const char *const CLASSES[] = {"i", "ii", "iii", NULL};
static const char *const RANGES[] = {"full", "symmetric", NULL};

/* ---- the request ---- */

static mq_status read_request(const cli_args *args, mq_pack_request *out, mq_error *error) {
    int class = 1, range = 0;
    int64_t kernel = 0, wbit = 0, abit = 0, stride = 1, cycles = 1;
    const char *dsp = cli_value(args, "--dsp");
    *out = (mq_pack_request){.lut_price = -1, .kinds = cli_value(args, "--kinds")};
    MQ_TRY(mq_dsp_find(dsp ? dsp : "dsp48e2", &out->dsp, error));
    MQ_TRY(cli_choice(args, "--class", CLASSES, &class, error));
    MQ_TRY(cli_choice(args, "--range", RANGES, &range, error));
    MQ_TRY(cli_int(args, "--kernel", 1, MQ_PACK_KERNEL, &kernel, error));
    MQ_TRY(cli_int(args, "--wbit", 1, MQ_PACK_BITS, &wbit, error));
    MQ_TRY(cli_int(args, "--abit", 1, MQ_PACK_BITS, &abit, error));
    MQ_TRY(cli_int(args, "--stride", 1, MQ_PACK_KERNEL, &stride, error));
    MQ_TRY(cli_int(args, "--accumulate", 1, (int64_t)1 << 24, &cycles, error));
    MQ_TRY(cli_double(args, "--lut-price", 0, 1e6, &out->lut_price, error));
    out->class = (mq_pack_class)(class + 1);
    out->symmetric = range == 1;
    out->depthwise = cli_flag(args, "--depthwise");
    out->kernel = (int)kernel;
    out->wbit = (int)wbit;
    out->abit = (int)abit;
    out->stride = (int)stride;
    out->cycles = cycles;
    for (const char *at = out->kinds; at;) {
        size_t n = strcspn(at, ",");
        bool known = false;
        for (int i = 0; mq_pack_solvers[i]; i++)
            known |= strlen(mq_pack_solvers[i]->kind) == n && strncmp(at, mq_pack_solvers[i]->kind, n) == 0;
        if (!known)
            return mq_fail(error, MQ_USAGE,
                           "--kinds: got '%.*s', expected lanes, kernel, filter, interleaved", (int)n, at);
        at = at[n] ? at + n + 1 : NULL;
    }
    return MQ_OK;
}

static mq_status one_cell(const cli_args *args, mq_error *error) {
    const char *text;
    MQ_TRY(cli_required(args, "--wbit", &text, error));
    MQ_TRY(cli_required(args, "--abit", &text, error));
    return cli_required(args, "--kernel", &text, error);
}

/* ---- one cell as JSON ---- */

static json_t *positions(const mq_pack_operand *operand, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_integer(operand[i].position));
    return list;
}

static json_t *offsets(const mq_packing *p) {
    return json_pack("{s:o, s:o}", "weights", positions(p->weight, p->weights), "activations",
                     positions(p->activation, p->activations));
}

static json_t *part_json(const mq_pack_part *part) {
    const mq_packing *p = part->packing;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:i, s:i, s:o}", "kind", p->kind, "kp", p->weights,
                     "np", p->activations, "taps", part->taps, "luts", p->luts, "count", part->count, "share",
                     part->share, "weight_shift", part->weight_shift, "activation_shift",
                     part->activation_shift, "offsets", offsets(p));
}

static json_t *proof_json(const mq_proof *proof) {
    return json_pack("{s:b, s:I, s:I, s:b, s:I}", "exact", 1, "corners", (json_int_t)proof->corners,
                     "vectors", (json_int_t)proof->vectors, "exhaustive", proof->exhaustive, "accumulated",
                     (json_int_t)proof->accumulated);
}

static mq_status prove_plan(const mq_pack_plan *plan, uint64_t vectors, uint64_t seed, mq_proof *out,
                            mq_error *error) {
    *out = (mq_proof){.exhaustive = true};
    for (int i = 0; i < plan->parts; i++) {
        mq_proof one;
        MQ_TRY(mq_pack_prove(plan->part[i].packing, vectors, seed, &one, error));
        out->corners += one.corners;
        out->vectors += one.vectors;
        out->accumulated += one.accumulated;
        out->exhaustive &= one.exhaustive;
    }
    return MQ_OK;
}

static json_t *cell_json(const mq_pack_request *r, const mq_pack_plan *plan, const mq_proof *proof) {
    char kind[64];
    mq_pack_plan_kind(plan, kind, sizeof kind);
    const mq_packing *p = plan->part[0].packing;
    json_t *cell =
        json_pack("{s:i, s:i, s:f, s:s, s:s, s:i, s:i, s:o, s:I, s:f, s:f}", "wbit", r->wbit, "abit", r->abit,
                  "mults", plan->mults, "class", CLASSES[plan->class - 1], "kind", kind, "kp", p->weights,
                  "np", p->activations, "offsets", offsets(p), "accumulations",
                  (json_int_t)plan->accumulations, "luts", plan->luts, "bound", plan->bound);
    json_t *parts = json_array();
    for (int i = 0; i < plan->parts; i++) json_array_append_new(parts, part_json(&plan->part[i]));
    if (!cell) return NULL;
    json_object_set_new(cell, "of_bound", json_real(plan->mults / plan->bound));
    json_object_set_new(cell, "parts", parts);
    json_object_set_new(cell, "proof", proof ? proof_json(proof) : json_null());
    json_object_set_new(cell, "realised", json_null());
    return cell;
}

/* ---- pack table ---- */

typedef struct comparison {
    const mq_factors *factors; /* NULL = none */
    double logs;               /* sum of log(ours / theirs) */
    int cells, matched, beaten, below, not_exact;
} comparison;

static mq_status compare(comparison *c, const mq_pack_request *r, const mq_pack_plan *plan, json_t *cell,
                         bool text, mq_error *error) {
    double theirs;
    MQ_TRY(mq_factors_get(c->factors, r->kernel, r->wbit, r->abit, &theirs, error));
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
        CLASSES[r->class - 1], RANGES[r->symmetric]);
    for (int a = least; a <= MQ_PACK_BITS; a++) printf("      a%d", a);
    printf("\n");
}

static void print_row(const mq_pack_request *r, const double *mults, const double *luts,
                      const double *of_bound, int least) {
    printf("  w%d ", r->wbit);
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %7.3f", mults[a]);
    printf("   luts");
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %5.1f", luts[a]);
    printf("   of bound");
    for (int a = least; a <= MQ_PACK_BITS; a++) printf(" %4.2f", of_bound[a]);
    printf("\n");
}

typedef struct table_job {
    const cli_args *args;
    mq_pack_explorer *explorer;
    mq_pack_request request;
    comparison comparison;
    int least; /* bits */
    bool csv;
    json_t *cells;
} table_job;

static mq_status table_of_kernel(table_job *job, int kernel, mq_error *error) {
    mq_pack_request *r = &job->request;
    const bool text = !job->args->json && !job->csv;
    r->kernel = kernel;
    bool headed = false;
    for (r->wbit = job->least; r->wbit <= MQ_PACK_BITS; r->wbit++) {
        double mults[MQ_PACK_BITS + 1], luts[MQ_PACK_BITS + 1], of_bound[MQ_PACK_BITS + 1];
        if (r->symmetric && r->wbit == 1) continue;
        for (r->abit = job->least; r->abit <= MQ_PACK_BITS; r->abit++) {
            mq_pack_plan plan;
            json_t *cell = NULL;
            MQ_TRY(mq_pack_best(job->explorer, r, &plan, error));
            mults[r->abit] = plan.mults;
            luts[r->abit] = plan.luts;
            of_bound[r->abit] = plan.mults / plan.bound;
            if (job->args->json) {
                mq_proof proof;
                MQ_TRY(prove_plan(&plan, TABLE_VECTORS, job->args->seed, &proof, error));
                cell = cell_json(r, &plan, &proof);
                json_object_set_new(cell, "kernel", json_integer(kernel));
                json_array_append_new(job->cells, cell);
            }
            if (job->comparison.factors) MQ_TRY(compare(&job->comparison, r, &plan, cell, text, error));
        }
        if (job->csv) {
            printf("%d,%d", kernel, r->wbit);
            for (int a = LOWEST_BITS; a <= MQ_PACK_BITS; a++) printf(",%.9g", mults[a]);
            printf("\n");
        } else if (text && !job->comparison.factors) {
            if (!headed) print_head(r, job->least);
            headed = true;
            print_row(r, mults, luts, of_bound, job->least);
        }
    }
    return MQ_OK;
}

static mq_status tables(table_job *job, mq_error *error) {
    static const int all[] = {1, 3, 5, 7};
    int kernel = job->request.kernel;
    comparison *c = &job->comparison;
    if (job->csv) printf("kernel,wbit,a2,a3,a4,a5,a6,a7,a8\n");
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

static mq_status run_table(const cli_args *args, mq_error *error) {
    table_job job = {.args = args, .csv = cli_flag(args, "--csv")};
    mq_factors factors;
    const char *text;
    MQ_TRY(read_request(args, &job.request, error));
    const char *against = cli_value(args, "--compare");
    if (against) {
        MQ_TRY(mq_factors_load(against, &factors, error));
        job.comparison.factors = &factors;
    }
    if (!job.csv && !against) MQ_TRY(cli_required(args, "--kernel", &text, error));
    if (job.csv && (args->json || against))
        return mq_fail(error, MQ_USAGE, "--csv does not go with --json or --compare");
    if (job.request.stride > (job.request.kernel ? job.request.kernel : 1))
        return mq_fail(error, MQ_USAGE, "--stride: got %d, expected at most the kernel", job.request.stride);
    job.least = job.csv || cli_flag(args, "--one-bit") ? 1 : LOWEST_BITS;
    MQ_TRY(mq_pack_explorer_create(&job.explorer, error));
    if (args->json) job.cells = json_array();
    mq_status status = tables(&job, error);
    mq_pack_explorer_free(job.explorer);
    if (status != MQ_OK || !args->json) {
        json_decref(job.cells);
        return status;
    }
    const mq_pack_request *r = &job.request;
    const comparison *c = &job.comparison;
    json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:b, s:o}", "dsp", r->dsp.name, "class",
                             CLASSES[r->class - 1], "range", RANGES[r->symmetric], "stride", r->stride,
                             "depthwise", r->depthwise, "cells", job.cells);
    if (root && c->factors) {
        json_object_set_new(root, "geometric_mean", json_real(exp(c->logs / c->cells)));
        json_object_set_new(root, "beaten", json_integer(c->beaten));
        json_object_set_new(root, "matched", json_integer(c->matched));
        json_object_set_new(root, "below", json_integer(c->below));
        json_object_set_new(root, "not_exact", json_integer(c->not_exact));
    }
    return cli_print_json(root, error);
}

/* ---- pack show ---- */

static mq_status show_packing(const cli_args *args, const mq_packing *p, mq_error *error) {
    const char *svg = cli_value(args, "--svg");
    char *text;
    if (svg) {
        MQ_TRY(mq_pack_draw_svg(p, &text, error));
        mq_status status = mq_file_write(svg, text, strlen(text), error);
        mq_free(text);
        MQ_TRY(status);
    }
    if (args->json) return MQ_OK;
    MQ_TRY(mq_pack_draw_text(p, &text, error));
    fputs(text, stdout);
    mq_free(text);
    return MQ_OK;
}

static mq_status show_plan(const cli_args *args, const mq_pack_request *r, const mq_pack_plan *plan,
                           mq_error *error) {
    mq_proof proof;
    MQ_TRY(prove_plan(plan, TABLE_VECTORS, args->seed, &proof, error));
    if (args->json) {
        json_t *cell = cell_json(r, plan, &proof), *packings = json_array();
        for (int i = 0; i < plan->parts; i++)
            json_array_append_new(packings, mq_packing_json(plan->part[i].packing));
        if (cell) json_object_set_new(cell, "packings", packings);
        MQ_TRY(show_packing(args, plan->part[0].packing, error));
        return cli_print_json(cell, error);
    }
    printf(
        "w%da%d, kernel %d: %.4g multiplications per slice and cycle, %.3g LUT per slice; field bound %.4g\n",
        r->wbit, r->abit, r->kernel, plan->mults, plan->luts, plan->bound);
    printf("%d x %d taps / sum over the pieces of (taps / products):\n", r->kernel, r->kernel);
    for (int i = 0; i < plan->parts; i++) {
        const mq_pack_part *part = &plan->part[i];
        printf("\n%g pieces of %d x %d taps", part->count, part->rows, part->taps);
        if (mq_pack_plan_splits(plan))
            printf(" for the operand bits from w%d, a%d", part->weight_shift, part->activation_shift);
        printf(", %d products each cycle: %.3g of the cycles\n", mq_packing_products(part->packing),
               part->share);
        if (i == 0) {
            MQ_TRY(show_packing(args, part->packing, error));
            continue;
        }
        char *text;
        MQ_TRY(mq_pack_draw_text(part->packing, &text, error));
        fputs(text, stdout);
        mq_free(text);
    }
    printf("\nproved: %llu corners, %llu vectors%s, %llu accumulated cycles\n",
           (unsigned long long)proof.corners, (unsigned long long)proof.vectors,
           proof.exhaustive ? " (all there are)" : "", (unsigned long long)proof.accumulated);
    return MQ_OK;
}

static mq_status run_show(const cli_args *args, mq_error *error) {
    const char *file = cli_value(args, "--file");
    mq_pack_request r;
    mq_pack_plan plan;
    MQ_TRY(read_request(args, &r, error));
    if (file) {
        mq_packing packing;
        MQ_TRY(mq_packing_load(file, &packing, error));
        MQ_TRY(show_packing(args, &packing, error));
        return args->json ? cli_print_json(mq_packing_json(&packing), error) : MQ_OK;
    }
    MQ_TRY(one_cell(args, error));
    mq_pack_explorer *explorer;
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    mq_status status = mq_pack_best(explorer, &r, &plan, error);
    if (status == MQ_OK) status = show_plan(args, &r, &plan, error);
    mq_pack_explorer_free(explorer);
    return status;
}

/* ---- pack pareto ---- */

static mq_status run_pareto(const cli_args *args, mq_error *error) {
    mq_pack_request r;
    mq_pack_plan plans[MQ_PACK_PARETO];
    mq_pack_explorer *explorer;
    int count;
    MQ_TRY(read_request(args, &r, error));
    MQ_TRY(one_cell(args, error));
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    json_t *list = json_array();
    mq_status status = mq_pack_pareto(explorer, &r, plans, &count, error);
    if (status == MQ_OK && !args->json) printf("mults     luts  accumulations  class  kind\n");
    for (int i = 0; status == MQ_OK && i < count; i++) {
        char kind[64];
        mq_pack_plan_kind(&plans[i], kind, sizeof kind);
        if (args->json)
            json_array_append_new(list, cell_json(&r, &plans[i], NULL));
        else
            printf("%-8.4g %5.1f %14lld  %-5s  %s\n", plans[i].mults, plans[i].luts,
                   (long long)plans[i].accumulations, CLASSES[plans[i].class - 1], kind);
    }
    mq_pack_explorer_free(explorer);
    if (status != MQ_OK || !args->json) {
        json_decref(list);
        return status;
    }
    return cli_print_json(json_pack("{s:o}", "front", list), error);
}

/* ---- pack verify ---- */

typedef struct verify_job {
    const mq_packing **packing;
    int count, room;
    uint64_t vectors, seed;
    mq_proof *proof;
    mq_error *failure; /* [count], empty text = proved */
    int *controls, *caught;
} verify_job;

static mq_status add_packing(verify_job *job, const mq_packing *packing, mq_error *error) {
    for (int i = 0; i < job->count; i++)
        if (job->packing[i] == packing) return MQ_OK;
    if (job->count == job->room) {
        int room = job->room ? 2 * job->room : 64;
        MQ_TRY(mq_resize((size_t)job->room, (size_t)room, sizeof(void *), "packings", &job->packing, error));
        job->room = room;
    }
    job->packing[job->count++] = packing;
    return MQ_OK;
}

static mq_status add_cell(verify_job *job, mq_pack_explorer *explorer, const mq_pack_request *r,
                          mq_error *error) {
    mq_pack_plan plan;
    MQ_TRY(mq_pack_best(explorer, r, &plan, error));
    for (int i = 0; i < plan.parts; i++) MQ_TRY(add_packing(job, plan.part[i].packing, error));
    return MQ_OK;
}

static mq_status add_all(verify_job *job, mq_pack_explorer *explorer, mq_pack_request r, mq_error *error) {
    static const int kernels[] = {1, 3, 5, 7};
    for (int symmetric = 0; symmetric < 2; symmetric++)
        for (int k = 0; k < 4; k++)
            for (r.wbit = LOWEST_BITS; r.wbit <= MQ_PACK_BITS; r.wbit++)
                for (r.abit = LOWEST_BITS; r.abit <= MQ_PACK_BITS; r.abit++) {
                    r.kernel = kernels[k];
                    r.symmetric = symmetric;
                    MQ_TRY(add_cell(job, explorer, &r, error));
                }
    return MQ_OK;
}

static void verify_one(void *context, size_t task) {
    verify_job *job = context;
    (void)!mq_pack_prove(job->packing[task], job->vectors, job->seed + task, &job->proof[task],
                         &job->failure[task]);
    mq_pack_controls(job->packing[task], job->seed, &job->controls[task], &job->caught[task]);
}

static mq_status verify(const cli_args *args, verify_job *job, mq_error *error) {
    size_t n = (size_t)job->count;
    MQ_TRY(mq_alloc(n, sizeof *job->proof, "proofs", &job->proof, error));
    MQ_TRY(mq_alloc(n, sizeof *job->failure, "proofs", &job->failure, error));
    MQ_TRY(mq_alloc(n, sizeof *job->controls, "proofs", &job->controls, error));
    MQ_TRY(mq_alloc(n, sizeof *job->caught, "proofs", &job->caught, error));
    mq_parallel(n, verify_one, job);
    mq_proof sum = {0};
    int failures = 0, exhaustive = 0, controls = 0, caught = 0;
    for (size_t i = 0; i < n; i++) {
        sum.corners += job->proof[i].corners;
        sum.vectors += job->proof[i].vectors;
        sum.accumulated += job->proof[i].accumulated;
        exhaustive += job->proof[i].exhaustive;
        controls += job->controls[i];
        caught += job->caught[i];
        if (!job->failure[i].text[0]) continue;
        if (failures++ == 0) *error = job->failure[i];
    }
    if (args->json) {
        MQ_TRY(
            cli_print_json(json_pack("{s:i, s:I, s:I, s:I, s:i, s:i, s:i, s:i}", "packings", job->count,
                                     "vectors", (json_int_t)sum.vectors, "corners", (json_int_t)sum.corners,
                                     "accumulated", (json_int_t)sum.accumulated, "exhaustive", exhaustive,
                                     "failures", failures, "controls", controls, "controls_caught", caught),
                           error));
    } else {
        printf("%d packings (%d of them exhaustively): %llu vectors, %llu corners, %llu accumulated cycles, "
               "%d failures\n"
               "%d broken copies, %d caught\n",
               job->count, exhaustive, (unsigned long long)sum.vectors, (unsigned long long)sum.corners,
               (unsigned long long)sum.accumulated, failures, controls, caught);
    }
    if (failures) return MQ_CHECK_FAILED;
    return controls == caught ? MQ_OK
                              : mq_fail(error, MQ_CHECK_FAILED, "%d of %d broken packings were not caught",
                                        controls - caught, controls);
}

static mq_status run_verify(const cli_args *args, mq_error *error) {
    verify_job job = {.seed = args->seed};
    mq_pack_request r;
    mq_packing by_hand;
    int64_t vectors = VERIFY_VECTORS;
    const char *file = cli_value(args, "--file");
    MQ_TRY(read_request(args, &r, error));
    MQ_TRY(cli_int(args, "--vectors", 1, (int64_t)1 << 40, &vectors, error));
    job.vectors = (uint64_t)vectors;
    if (file)
        MQ_TRY(mq_packing_load(file, &by_hand, error));
    else if (!cli_flag(args, "--all"))
        MQ_TRY(one_cell(args, error));
    mq_pack_explorer *explorer;
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    mq_status status = file                      ? add_packing(&job, &by_hand, error)
                       : cli_flag(args, "--all") ? add_all(&job, explorer, r, error)
                                                 : add_cell(&job, explorer, &r, error);
    if (status == MQ_OK) status = verify(args, &job, error);
    mq_free(job.packing);
    mq_free(job.proof);
    mq_free(job.failure);
    mq_free(job.controls);
    mq_free(job.caught);
    mq_pack_explorer_free(explorer);
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *word = args->word[0];
    if (strcmp(word, "table") == 0) return run_table(args, error);
    if (strcmp(word, "show") == 0) return run_show(args, error);
    if (strcmp(word, "pareto") == 0) return run_pareto(args, error);
    if (strcmp(word, "verify") == 0) return run_verify(args, error);
    return mq_fail(error, MQ_USAGE, "mixq pack: got '%s', expected table, show, pareto or verify", word);
}

static const cli_option OPTIONS[] = {
    {"--kernel", "K", "kernel size, 1..31"},
    {"--wbit", "W", "weight bits, 1..8 (show, pareto, verify)"},
    {"--abit", "A", "activation bits, 1..8 (show, pareto, verify)"},
    {"--dsp", "D", "dsp48e2 (default), dsp48e1, dsp58, or NxM"},
    {"--class", "C",
     "i: constants and wires; ii (default): 1-bit overlaps repaired; iii: 2 bits, an extra port bit"},
    {"--range", "R", "full (default) or symmetric weight codes"},
    {"--stride", "S", "stride of the convolution (1)"},
    {"--depthwise", NULL, "one channel per slice"},
    {"--accumulate", "N", "cycles accumulated inside the slice (1: outside)"},
    {"--lut-price", "X", "multiplications one LUT is worth (default: as a LUT multiplier)"},
    {"--kinds", "LIST", "solvers to use: lanes,kernel,filter,interleaved"},
    {"--one-bit", NULL, "table: 1-bit operands too"},
    {"--compare", "TABLE", "table: cell by cell against a cost table (published)"},
    {"--csv", NULL, "table: as a cost table, for kernels 1, 3, 5, 7 or --kernel"},
    {"--svg", "FILE", "show: also a drawing of the main packing"},
    {"--file", "FILE", "show, verify: a packing written by hand (JSON)"},
    {"--all", NULL, "verify: every cell of kernels 1, 3, 5, 7, both ranges"},
    {"--vectors", "N", "verify: random vectors per packing that is not run exhaustively (10000000)"},
    {NULL, NULL, NULL},
};

const cli_command cli_pack = {
    .name = "pack",
    .usage = "table|show|pareto|verify [options]",
    .summary = "Multiplications per DSP slice: tables, drawings, proofs",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "Examples:\n  mixq pack table --kernel 3\n  mixq pack show --wbit 4 --abit 4 --kernel 1\n"
               "  mixq pack table --compare published\n  mixq pack verify --all\n",
    .run = run,
};
