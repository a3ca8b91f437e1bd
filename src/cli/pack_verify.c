/* pack_verify.c - `mixq pack verify`: proofs run again, broken copies that must be caught. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "cli/pack_request.h"
#include "pack/packing_file.h"

enum { VERIFY_VECTORS = 10000000 };

typedef struct verify_job {
    const mq_packing **packing;
    int count, room;
    uint64_t vectors, seed;
    mq_proof *proof;
    mq_error *failure; /* [count], empty text = proved */
    int *controls, *caught;
} verify_job;

static bool same_operands(const mq_pack_operand *a, const mq_pack_operand *b, int count) {
    for (int i = 0; i < count; i++)
        if (a[i].position != b[i].position || a[i].group != b[i].group || a[i].step != b[i].step ||
            a[i].zero != b[i].zero)
            return false;
    return true;
}

/* One layout found by several cells is proved once, for as many accumulations as each claims. */
static bool same(const mq_packing *a, const mq_packing *b) {
    return strcmp(a->dsp.name, b->dsp.name) == 0 && a->weight_codes.low == b->weight_codes.low &&
           a->weight_codes.high == b->weight_codes.high &&
           a->activation_codes.high == b->activation_codes.high && a->weights_wide == b->weights_wide &&
           a->weights == b->weights && a->activations == b->activations &&
           a->accumulations == b->accumulations && a->canary == b->canary && a->luts == b->luts &&
           same_operands(a->weight, b->weight, a->weights) &&
           same_operands(a->activation, b->activation, a->activations);
}

static mq_status add_packing(verify_job *job, const mq_packing *packing, mq_error *error) {
    for (int i = 0; i < job->count; i++)
        if (job->packing[i] == packing || same(job->packing[i], packing)) return MQ_OK;
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
    if (r->stride > 1) return MQ_OK;
    mq_pack_built built;
    MQ_TRY(mq_pack_build(explorer, r, &built, error));
    for (int i = 0; i < built.kinds; i++) MQ_TRY(add_packing(job, built.packing[i], error));
    return MQ_OK;
}

static mq_status add_all(verify_job *job, mq_pack_explorer *explorer, mq_pack_request r, mq_error *error) {
    static const int kernels[] = {1, 3, 5, 7};
    for (int variant = 0; variant < 4; variant++)
        for (int k = 0; k < 4; k++)
            for (r.wbit = 1; r.wbit <= MQ_PACK_BITS; r.wbit++)
                for (r.abit = 1; r.abit <= MQ_PACK_BITS; r.abit++) {
                    r.kernel = kernels[k];
                    r.symmetric = variant & 1;
                    r.depthwise = variant & 2;
                    if (r.symmetric && r.wbit == 1) continue;
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

mq_status pack_run_verify(const cli_args *args, mq_error *error) {
    verify_job job = {.seed = args->seed};
    mq_pack_request r;
    mq_packing by_hand;
    int64_t vectors = VERIFY_VECTORS;
    const char *file = cli_value(args, "--file");
    MQ_TRY(pack_read_request(args, &r, error));
    MQ_TRY(cli_int(args, "--vectors", 1, (int64_t)1 << 40, &vectors, error));
    job.vectors = (uint64_t)vectors;
    if (file)
        MQ_TRY(mq_packing_load(file, &by_hand, error));
    else if (!cli_flag(args, "--all"))
        MQ_TRY(pack_one_cell(args, error));
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
