/* test_command.c - `mixq test`: accuracy of a checkpoint. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "data/dataset.h"
#include "net/checkpoint.h"
#include "ops/precision.h"
#include "train/evaluate.h"

static mq_status evaluate(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                          mq_scores *scores, mq_error *error) {
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
    mq_status status = mq_evaluate(model, dataset, scores, NULL, error);
    mq_model_destroy(model);
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *data;
    int64_t limit = 0;
    mq_checkpoint checkpoint = {0};
    mq_dataset *dataset = NULL;
    mq_scores scores = {0};
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    MQ_TRY(mq_checkpoint_load(args->word[0], &checkpoint, error));
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = checkpoint.net->in_h,
                               .width = checkpoint.net->in_w,
                               .channels = checkpoint.net->in_c};
    mq_status status = mq_dataset_open(data, &request, &dataset, error);
    if (status == MQ_OK) status = evaluate(args, &checkpoint, dataset, &scores, error);
    if (status == MQ_OK) {
        double quality = scores.quality / (double)scores.images, loss = scores.loss / (double)scores.images;
        const char *name = checkpoint.net->task == MQ_TASK_CLASSIFICATION ? "accuracy" : "iou";
        if (args->json)
            status = cli_print_json(json_pack("{s:s, s:s, s:f, s:f, s:I}", "model", checkpoint.net->name,
                                              "engine", "float", name, quality, "loss", loss, "images",
                                              (json_int_t)scores.images),
                                    error);
        else
            printf("%s (%s): %s %.4f, loss %.4f, %llu images\n", checkpoint.net->name,
                   mq_mode_name(checkpoint.mode), name, quality, loss, (unsigned long long)scores.images);
    }
    mq_dataset_free(dataset);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA", "fashion-mnist[:DIR], mnist:DIR, cifar10:DIR; its test split is used"},
    {"--limit", "N", "only the first N images"},
    {"--batch", "N", "images per forward pass (100)"},
    {"--precision", "P", "f32, bf16 or auto: operands of the convolutions (f32)"},
    {NULL, NULL, NULL},
};

const cli_command cli_test = {
    .name = "test",
    .usage = "CKPT --data D [--limit N]",
    .summary = "Accuracy of a trained, searched or float network",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "CKPT is a .safetensors checkpoint, or a run folder (its best.safetensors).\n\n"
               "Example:\n  mixq test run --data fashion-mnist --json\n",
    .run = run,
};
