/* test_command.c - `mixq test`: accuracy of a checkpoint, as it was trained or as the integer network made of
 * it. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "cli/integer_run.h"
#include "data/dataset.h"
#include "lower/lower.h"
#include "net/checkpoint.h"
#include "ops/precision.h"
#include "train/evaluate.h"

typedef enum engine { ENGINE_FLOAT, ENGINE_INTEGER, ENGINES } engine;
static const char *const ENGINE_NAMES[] = {"float", "integer", NULL};

/* What one engine found. */
typedef struct findings {
    mq_scores scores;
    int32_t *classes; /* [images]; owned */
} findings;

static mq_status run_float(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                           findings *out, mq_error *error) {
    static const char *const words[] = {"f32", "bf16", "auto", NULL};
    int which = 0;
    int64_t batch = 100;
    mq_dtype compute;
    mq_model *model;
    MQ_TRY(cli_choice(args, "--precision", words, &which, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &batch, error));
    MQ_TRY(mq_precision((mq_precision_word)which, &compute, error));
    if ((size_t)batch > dataset->count) batch = (int64_t)dataset->count;
    MQ_TRY(mq_model_from_checkpoint(checkpoint, (int)batch, compute, &model, error));
    mq_status status = mq_evaluate(model, dataset, &out->scores, out->classes, error);
    mq_model_destroy(model);
    return status;
}

static mq_status run_integer(const mq_checkpoint *checkpoint, const mq_dataset *dataset, findings *out,
                             mq_error *error) {
    mq_inet *net;
    integer_job job = {.images = dataset->images, .count = dataset->count, .layout = MQ_SIM_NHWC};
    MQ_TRY(mq_lower(checkpoint, NULL, &net, error));
    mq_status status = integer_check_dataset(net, dataset, error);
    if (status == MQ_OK) status = integer_run(net, &job, error);
    if (status == MQ_OK) {
        uint64_t correct = 0;
        double loss = mq_cross_entropy(job.values, dataset->labels, job.count, net->classes, NULL, &correct);
        correct = 0; /* by the integers themselves */
        for (size_t i = 0; i < job.count; i++) {
            out->classes[i] = integer_class(net, &job, i);
            correct += out->classes[i] == dataset->labels[i];
        }
        out->scores = (mq_scores){
            .loss = loss * (double)job.count, .quality = (double)correct, .images = (uint64_t)job.count};
    }
    integer_job_clear(&job);
    mq_inet_free(net);
    return status;
}

static mq_status report(const cli_args *args, const mq_checkpoint *checkpoint, engine which, bool compare,
                        const findings found[ENGINES], mq_error *error) {
    const mq_scores *s = &found[which].scores;
    double images = (double)s->images, quality = s->quality / images, loss = s->loss / images;
    const char *name = checkpoint->net->task == MQ_TASK_CLASSIFICATION ? "accuracy" : "iou";
    uint64_t differing = 0;
    for (uint64_t i = 0; compare && i < s->images; i++)
        differing += found[ENGINE_FLOAT].classes[i] != found[ENGINE_INTEGER].classes[i];
    if (args->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:f, s:f, s:I}", "model", checkpoint->net->name, "mode",
                                 mq_mode_name(checkpoint->mode), "engine", ENGINE_NAMES[which], name, quality,
                                 "loss", loss, "images", (json_int_t)s->images);
        if (root && compare) json_object_set_new(root, "differing", json_integer((json_int_t)differing));
        return cli_print_json(root, error);
    }
    printf("%s (%s%s): %s %.4f, loss %.4f, %llu images\n", checkpoint->net->name,
           mq_mode_name(checkpoint->mode), which == ENGINE_INTEGER ? ", integer network" : "", name, quality,
           loss, (unsigned long long)s->images);
    if (compare)
        printf("the class differs between the trained and the integer network for %llu images\n",
               (unsigned long long)differing);
    return MQ_OK;
}

static mq_status evaluate(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                          mq_error *error) {
    int which = ENGINE_FLOAT;
    bool compare = cli_flag(args, "--compare");
    findings found[ENGINES] = {0};
    mq_status status = cli_choice(args, "--engine", ENGINE_NAMES, &which, error);
    for (int i = 0; i < ENGINES && status == MQ_OK; i++)
        status = mq_alloc(dataset->count, sizeof *found[i].classes, "classes", &found[i].classes, error);
    if (status == MQ_OK && (compare || which == ENGINE_FLOAT))
        status = run_float(args, checkpoint, dataset, &found[ENGINE_FLOAT], error);
    if (status == MQ_OK && (compare || which == ENGINE_INTEGER)) {
        status = run_integer(checkpoint, dataset, &found[ENGINE_INTEGER], error);
        if (status != MQ_OK) status = mq_fail_context(error, status, "%s", args->word[0]);
    }
    if (status == MQ_OK) status = report(args, checkpoint, (engine)which, compare, found, error);
    for (int i = 0; i < ENGINES; i++) mq_free(found[i].classes);
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *data;
    int64_t limit = 0;
    mq_checkpoint checkpoint = {0};
    mq_dataset *dataset = NULL;
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    MQ_TRY(mq_checkpoint_load(args->word[0], &checkpoint, error));
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = checkpoint.net->in_h,
                               .width = checkpoint.net->in_w,
                               .channels = checkpoint.net->in_c,
                               .seed = args->seed};
    mq_status status = mq_dataset_open(data, &request, &dataset, error);
    if (status == MQ_OK) status = evaluate(args, &checkpoint, dataset, error);
    mq_dataset_free(dataset);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA", "fashion-mnist[:DIR], mnist:DIR, cifar10:DIR; its test split is used"},
    {"--limit", "N", "only the first N images"},
    {"--engine", "E", "float: as trained; integer: lowered in memory and simulated (float)"},
    {"--compare", NULL, "run both engines and count the images whose class differs"},
    {"--batch", "N", "float: images per forward pass (100)"},
    {"--precision", "P", "float: f32, bf16 or auto: operands of the convolutions (f32)"},
    {NULL, NULL, NULL},
};

const cli_command cli_test = {
    .name = "test",
    .usage = "CKPT --data D [--limit N] [--engine float|integer] [--compare]",
    .summary = "Accuracy of a trained, searched or float network",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "CKPT is a .safetensors checkpoint, or a run folder (its best.safetensors).\n\n"
               "Examples:\n"
               "  mixq test run --data fashion-mnist --json\n"
               "  mixq test run --data fashion-mnist --engine integer --compare --limit 1000\n",
    .run = run,
};
