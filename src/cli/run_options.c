/* run_options.c - options of training runs. */
#include "cli/run_options.h"

#include <string.h>

#include "ops/precision.h"

mq_status run_precision(const cli_args *args, mq_dtype *out, mq_error *error) {
    static const char *const words[] = {"f32", "bf16", "auto", NULL};
    int which = 2;
    MQ_TRY(cli_choice(args, "--precision", words, &which, error));
    return mq_precision((mq_precision_word)which, out, error);
}

static mq_status recipe(const cli_args *args, run_setup *s, double default_lr, mq_error *error) {
    mq_sgd_group *weights = &s->settings.group[MQ_SGD_WEIGHTS];
    double pad = 4, flip = 1;
    *weights = (mq_sgd_group){.lr = default_lr, .momentum = 0.9, .decay = 5e-4};
    s->settings.lr_end[MQ_SGD_WEIGHTS] = 0.01;
    MQ_TRY(cli_double(args, "--lr", 0, 1e30, &weights->lr, error));
    MQ_TRY(cli_setting(args, "momentum", 0, 0.9999, &weights->momentum, error));
    MQ_TRY(cli_setting(args, "weight_decay", 0, 10, &weights->decay, error));
    MQ_TRY(cli_setting(args, "lr_end", 0, 1, &s->settings.lr_end[MQ_SGD_WEIGHTS], error));
    MQ_TRY(cli_setting(args, "pad", 0, MQ_AUGMENT_PAD, &pad, error));
    MQ_TRY(cli_setting(args, "flip", 0, 1, &flip, error));
    if (pad != (int)pad || flip != (int)flip)
        return mq_fail(error, MQ_USAGE, "--set pad and flip: whole numbers expected (pixels; 0 or 1)");
    s->settings.augment = (mq_augment){.pad = (int)pad, .flip = flip != 0};
    return MQ_OK;
}

mq_status run_setup_open(const cli_args *args, int default_epochs, double default_lr, run_setup *out,
                         mq_error *error) {
    *out = (run_setup){0};
    const char *model, *data, *folder;
    int64_t epochs = default_epochs, batch = 128, limit = 0;
    MQ_TRY(cli_required(args, "--model", &model, error));
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_required(args, "--out", &folder, error));
    MQ_TRY(cli_int(args, "--epochs", 1, 1000000, &epochs, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &batch, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    if (cli_flag(args, "--resume") && cli_flag(args, "--force"))
        return mq_fail(error, MQ_USAGE, "--resume and --force exclude each other");
    mq_train_settings *t = &out->settings;
    MQ_TRY(recipe(args, out, default_lr, error));
    MQ_TRY(run_precision(args, &t->model.compute, error));
    t->model.symmetric = cli_flag(args, "--symmetric");
    t->model.share = true;
    t->epochs = (int)epochs;
    t->batch = (int)batch;
    t->seed = args->seed;
    t->out = folder;
    t->init = cli_value(args, "--init");
    t->resume = cli_flag(args, "--resume");
    t->force = cli_flag(args, "--force");
    MQ_TRY(mq_net_open(model, &out->net, error));
    out->json = t->settings = json_pack(
        "{s:s, s:s, s:s, s:I, s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:i, s:b, s:s, s:b, s:s?}", "command",
        args->command->name, "model", model, "data", data, "seed", (json_int_t)args->seed, "epochs",
        t->epochs, "batch", t->batch, "limit", (json_int_t)limit, "lr", t->group[0].lr, "momentum",
        t->group[0].momentum, "weight_decay", t->group[0].decay, "lr_end", t->lr_end[0], "pad",
        t->augment.pad, "flip", (int)t->augment.flip, "precision",
        t->model.compute == MQ_BF16 ? "bf16" : "f32", "symmetric", (int)t->model.symmetric, "init", t->init);
    return out->json ? MQ_OK : mq_fail_memory(error, "settings", 0);
}

mq_status run_setup_data(const cli_args *args, run_setup *setup, mq_error *error) {
    const mq_net *net = setup->net;
    int64_t limit = 0;
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    mq_data_request request = {.split = MQ_SPLIT_TRAIN,
                               .limit = (size_t)limit,
                               .height = net->in_h,
                               .width = net->in_w,
                               .channels = net->in_c,
                               .seed = args->seed};
    const char *data = cli_value(args, "--data");
    MQ_TRY(mq_dataset_open(data, &request, &setup->train, error));
    request.split = MQ_SPLIT_TEST;
    return mq_dataset_open(data, &request, &setup->test, error);
}

void run_setup_free(run_setup *setup) {
    mq_dataset_free(setup->train);
    mq_dataset_free(setup->test);
    mq_net_free(setup->net);
    json_decref(setup->json);
    *setup = (run_setup){0};
}
