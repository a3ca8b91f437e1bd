/* pack_request.c - the options of `mixq pack` as a request, one cell as JSON. */
#include <string.h>

#include "cli/pack_request.h"

const char *const PACK_CLASSES[] = {"i", "ii", "iii", NULL};
const char *const PACK_RANGES[] = {"full", "symmetric", NULL};

mq_status pack_read_request(const cli_args *args, mq_pack_request *out, mq_error *error) {
    int class = 1, range = 0;
    int64_t kernel = 0, wbit = 0, abit = 0, stride = 1, cycles = 1;
    const char *dsp = cli_value(args, "--dsp");
    *out = (mq_pack_request){.lut_price = -1, .kinds = cli_value(args, "--kinds")};
    MQ_TRY(mq_dsp_find(dsp ? dsp : "dsp48e2", &out->dsp, error));
    MQ_TRY(cli_choice(args, "--class", PACK_CLASSES, &class, error));
    MQ_TRY(cli_choice(args, "--range", PACK_RANGES, &range, error));
    MQ_TRY(cli_int(args, "--kernel", 1, MQ_PACK_KERNEL, &kernel, error));
    MQ_TRY(cli_int(args, "--wbit", 1, MQ_PACK_BITS, &wbit, error));
    MQ_TRY(cli_int(args, "--abit", 1, MQ_PACK_BITS, &abit, error));
    MQ_TRY(cli_int(args, "--stride", 1, MQ_PACK_KERNEL, &stride, error));
    MQ_TRY(cli_int(args, "--accumulate", 1, (int64_t)1 << 24, &cycles, error));
    MQ_TRY(cli_double(args, "--lut-price", 0, 1e6, &out->lut_price, error));
    out->class = (mq_pack_class)(class + 1);
    out->symmetric = range == 1;
    out->depthwise = cli_flag(args, "--depthwise");
    out->canary = cli_flag(args, "--canary");
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

mq_status pack_one_cell(const cli_args *args, mq_error *error) {
    const char *text;
    MQ_TRY(cli_required(args, "--wbit", &text, error));
    MQ_TRY(cli_required(args, "--abit", &text, error));
    return cli_required(args, "--kernel", &text, error);
}

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
    return json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:i, s:i, s:b, s:o}", "kind", p->kind, "kp",
                     p->weights, "np", p->activations, "taps", part->taps, "luts", part->luts, "count",
                     part->count, "share", part->share, "weight_shift", part->weight_shift,
                     "activation_shift", part->activation_shift, "canary", part->canary, "offsets",
                     offsets(p));
}

static json_t *proof_json(const mq_proof *proof) {
    return json_pack("{s:b, s:I, s:I, s:b, s:I}", "exact", 1, "corners", (json_int_t)proof->corners,
                     "vectors", (json_int_t)proof->vectors, "exhaustive", proof->exhaustive, "accumulated",
                     (json_int_t)proof->accumulated);
}

mq_status pack_prove_plan(const mq_pack_plan *plan, uint64_t vectors, uint64_t seed, mq_proof *out,
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

/* What the generator would build, and what it costs. */
static json_t *built_json(const mq_pack_built *b) {
    json_t *pieces = json_array();
    for (int i = 0; i < b->kinds; i++)
        json_array_append_new(pieces,
                              json_pack("{s:i, s:i, s:s, s:i, s:i, s:o}", "count", b->count[i], "taps",
                                        b->taps[i], "kind", b->packing[i]->kind, "kp", b->packing[i]->weights,
                                        "np", b->packing[i]->activations, "offsets", offsets(b->packing[i])));
    return json_pack("{s:i, s:i, s:f, s:f, s:s, s:i, s:b, s:o}", "wbit", b->wbit, "abit", b->abit, "mults",
                     b->mults, "luts", b->luts, "class", PACK_CLASSES[b->class - 1], "chain", b->chain,
                     "canary", b->canary, "row", pieces);
}

json_t *pack_cell_json(const mq_pack_request *r, const mq_pack_plan *plan, const mq_proof *proof,
                       const mq_pack_built *built) {
    char kind[64];
    mq_pack_plan_kind(plan, kind, sizeof kind);
    const mq_packing *p = plan->part[0].packing;
    json_t *cell =
        json_pack("{s:i, s:i, s:f, s:s, s:s, s:i, s:i, s:o, s:I, s:f, s:f}", "wbit", r->wbit, "abit", r->abit,
                  "mults", plan->mults, "class", PACK_CLASSES[plan->class - 1], "kind", kind, "kp",
                  p->weights, "np", p->activations, "offsets", offsets(p), "accumulations",
                  (json_int_t)plan->accumulations, "luts", plan->luts, "bound", plan->bound);
    json_t *parts = json_array();
    for (int i = 0; i < plan->parts; i++) json_array_append_new(parts, part_json(&plan->part[i]));
    if (!cell) return NULL;
    json_object_set_new(cell, "of_bound", json_real(plan->mults / plan->bound));
    int taps = r->kernel < MQ_PACK_TAPS ? r->kernel : MQ_PACK_TAPS;
    json_object_set_new(cell, "bound_2d",
                        json_integer(mq_pack_area_bound(&r->dsp, mq_pack_weight_codes(r->wbit, r->symmetric),
                                                        mq_pack_activation_codes(r->abit), taps, r->class)));
    json_object_set_new(cell, "parts", parts);
    json_object_set_new(cell, "proof", proof ? proof_json(proof) : json_null());
    json_object_set_new(cell, "realised", built ? json_real(built->realised) : json_null());
    json_object_set_new(cell, "built", built ? built_json(built) : json_null());
    return cell;
}
