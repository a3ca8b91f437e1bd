/* pack_show.c - `mixq pack show` and `pack pareto`: one cell drawn, or all its plans worth having. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/pack_request.h"
#include "pack/draw.h"
#include "pack/packing_file.h"

/* Before anything is printed. */
static mq_status write_svg(const cli_args *args, const mq_packing *p, mq_error *error) {
    const char *svg = cli_value(args, "--svg");
    char *text;
    if (!svg) return MQ_OK;
    MQ_TRY(mq_pack_draw_svg(p, &text, error));
    mq_status status = mq_file_write(svg, text, strlen(text), error);
    mq_free(text);
    return status;
}

static mq_status print_packing(const mq_packing *p, mq_error *error) {
    char *text;
    MQ_TRY(mq_pack_draw_text(p, &text, error));
    fputs(text, stdout);
    mq_free(text);
    return MQ_OK;
}

static void show_built(const mq_pack_request *r, const mq_pack_built *b) {
    printf("\nas the generator builds it: %.4g multiplications per slice and cycle, %.3g LUT per slice with "
           "adders, "
           "borders and repair\n  a kernel row is",
           b->mults, b->luts);
    for (int i = 0; i < b->kinds; i++)
        printf("%s %d x %s of %d tap%s (%d weights, %d pixels)", i ? " +" : "", b->count[i],
               b->packing[i]->kind, b->taps[i], b->taps[i] > 1 ? "s" : "", b->packing[i]->weights,
               b->packing[i]->activations);
    if (b->canary)
        printf("; every slice accumulates, its carries counted\n");
    else
        printf("; %d slice%s in cascade per split\n", b->chain, b->chain > 1 ? "s" : "");
    printf("  realised: %.4g - %.3g / %.3g LUT of a LUT multiplier = %.4g\n", b->mults, b->luts,
           mq_luts_multiply_add(b->wbit, b->abit), b->realised);
    if (b->wbit != r->wbit || b->abit != r->abit)
        printf("  a layout for w%da%d, which takes these operands too\n", b->wbit, b->abit);
}

static mq_status show_plan(const cli_args *args, const mq_pack_request *r, const mq_pack_plan *plan,
                           const mq_pack_built *built, mq_error *error) {
    mq_proof proof;
    MQ_TRY(pack_prove_plan(plan, PACK_TABLE_VECTORS, args->seed, &proof, error));
    MQ_TRY(write_svg(args, plan->part[0].packing, error));
    if (args->json) {
        json_t *cell = pack_cell_json(r, plan, &proof, built), *packings = json_array();
        for (int i = 0; i < plan->parts; i++)
            json_array_append_new(packings, mq_packing_json(plan->part[i].packing));
        json_object_set_new(cell, "packings", packings); /* releases them when there is no cell */
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
        printf(", %d products each cycle: %.3g of the cycles%s\n", mq_packing_products(part->packing),
               part->share, part->canary ? "; carries counted by canary bits" : "");
        MQ_TRY(print_packing(part->packing, error));
    }
    printf("\nproved: %llu corners, %llu vectors%s, %llu accumulated cycles\n",
           (unsigned long long)proof.corners, (unsigned long long)proof.vectors,
           proof.exhaustive ? " (all there are)" : "", (unsigned long long)proof.accumulated);
    if (built) show_built(r, built);
    return MQ_OK;
}

mq_status pack_run_show(const cli_args *args, mq_error *error) {
    const char *file = cli_value(args, "--file");
    mq_pack_request r;
    mq_pack_plan plan;
    mq_pack_built built;
    MQ_TRY(pack_read_request(args, &r, error));
    if (file) {
        mq_packing packing;
        MQ_TRY(mq_packing_load(file, &packing, error));
        MQ_TRY(write_svg(args, &packing, error));
        return args->json ? cli_print_json(mq_packing_json(&packing), error) : print_packing(&packing, error);
    }
    MQ_TRY(pack_one_cell(args, error));
    mq_pack_explorer *explorer;
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    mq_status status = mq_pack_best(explorer, &r, &plan, error);
    bool buildable = r.stride == 1;
    if (status == MQ_OK && buildable) status = mq_pack_build(explorer, &r, &built, error);
    if (status == MQ_OK) status = show_plan(args, &r, &plan, buildable ? &built : NULL, error);
    mq_pack_explorer_free(explorer);
    return status;
}

/* ---- pack pareto ---- */

mq_status pack_run_pareto(const cli_args *args, mq_error *error) {
    mq_pack_request r;
    mq_pack_plan plans[MQ_PACK_PARETO];
    mq_pack_explorer *explorer;
    int count;
    MQ_TRY(pack_read_request(args, &r, error));
    MQ_TRY(pack_one_cell(args, error));
    MQ_TRY(mq_pack_explorer_create(&explorer, error));
    json_t *list = json_array();
    mq_status status = mq_pack_pareto(explorer, &r, plans, &count, error);
    if (status == MQ_OK && !args->json) printf("mults     luts  accumulations  class  kind\n");
    for (int i = 0; status == MQ_OK && i < count; i++) {
        char kind[64];
        mq_pack_plan_kind(&plans[i], kind, sizeof kind);
        if (args->json)
            json_array_append_new(list, pack_cell_json(&r, &plans[i], NULL, NULL));
        else
            printf("%-8.4g %5.1f %14lld  %-5s  %s%s\n", plans[i].mults, plans[i].luts,
                   (long long)plans[i].accumulations, PACK_CLASSES[plans[i].class - 1], kind,
                   plans[i].part[0].canary ? " canary" : "");
    }
    mq_pack_explorer_free(explorer);
    if (status != MQ_OK || !args->json) {
        json_decref(list);
        return status;
    }
    return cli_print_json(json_pack("{s:o}", "front", list), error);
}
