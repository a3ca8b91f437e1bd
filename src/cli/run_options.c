/* run_options.c - options of training runs. */
#include "cli/run_options.h"

#include <stddef.h>
#include <stdio.h>

#include "base/parallel.h"
#include "ops/precision.h"

mq_status run_precision(const cli_args *args, mq_dtype *out, mq_error *error) {
    static const char *const words[] = {"f32", "bf16", "auto", NULL};
    int which = 2;
    MQ_TRY(cli_choice(args, "--precision", words, &which, error));
    return mq_precision((mq_precision_word)which, out, error);
}

/* The published defaults of the network's task, changed by options. */
static mq_status read_schedule(const cli_args *args, const mq_recipe *recipe, bool search, run_setup *s,
                               mq_error *error) {
    mq_schedule *schedule = &s->settings.schedule;
    mq_rule *weights = &schedule->weights;
    int method = MQ_SGD;
    *schedule = recipe->schedule;
    MQ_TRY(cli_choice(args, "--optimizer", mq_method_names, &method, error));
    s->settings.method = (mq_method)method;
    weights->lr = method == MQ_ADAM ? recipe->adam_lr : search ? recipe->search_lr : recipe->train_lr;
    double nesterov = weights->nesterov, warm_up = schedule->warm_up;
    MQ_TRY(cli_double(args, "--lr", 0, 1e30, &weights->lr, error));
    MQ_TRY(cli_setting(args, "momentum", 0, 0.9999, &weights->momentum, error));
    MQ_TRY(cli_setting(args, "nesterov", 0, 1, &nesterov, error));
    MQ_TRY(cli_setting(args, "weight_decay", 0, 10, &weights->decay, error));
    MQ_TRY(cli_setting(args, "lr_end", 0, 1, &schedule->weights_end, error));
    MQ_TRY(cli_setting(args, "bias_rate", 0, 1000, &schedule->bias_rate, error));
    MQ_TRY(cli_setting(args, "warm_up", 0, 1000000, &warm_up, error));
    MQ_TRY(cli_setting(args, "warm_up_lr", 0, 1e30, &schedule->warm_up_lr, error));
    MQ_TRY(cli_setting(args, "warm_up_momentum", 0, 0.9999, &schedule->warm_up_momentum, error));
    if (nesterov != (int)nesterov || warm_up != (int)warm_up)
        return mq_fail(error, MQ_USAGE,
                       "--set nesterov and warm_up: whole numbers expected (0 or 1; epochs)");
    weights->nesterov = nesterov != 0;
    schedule->warm_up = (int)warm_up;
    return MQ_OK;
}

/* Augmentation by --set; the largest value is that of mq_augment_check. */
static const struct {
    const char *key;
    mq_task task;
    size_t offset; /* of a float in mq_augment */
    double most;
} WARPS[] = {
    {"rotate", MQ_TASK_DETECTION, offsetof(mq_augment, rotate), 180},
    {"scale", MQ_TASK_DETECTION, offsetof(mq_augment, scale), 0.9},
    {"translate", MQ_TASK_DETECTION, offsetof(mq_augment, translate), 1},
    {"shear", MQ_TASK_DETECTION, offsetof(mq_augment, shear), 45},
    {"hue", MQ_TASK_DETECTION, offsetof(mq_augment, hue), 1},
    {"saturation", MQ_TASK_DETECTION, offsetof(mq_augment, saturation), 1},
    {"value", MQ_TASK_DETECTION, offsetof(mq_augment, value), 1},
};
enum { WARP_COUNT = sizeof WARPS / sizeof *WARPS };

static float *warp_value(mq_augment *augment, int which) {
    return (float *)(void *)((char *)augment + WARPS[which].offset);
}

static mq_status read_augment(const cli_args *args, const mq_recipe *recipe, run_setup *s, mq_error *error) {
    mq_augment *augment = &s->settings.augment;
    bool detector = recipe->task == MQ_TASK_DETECTION;
    *augment = *recipe->augment;
    double pad = augment->pad, flip = augment->flip, given = -1;
    MQ_TRY(cli_setting(args, "pad", 0, MQ_AUGMENT_PAD, &given, error));
    if (given >= 0 && detector)
        return mq_fail(error, MQ_USAGE, "--set pad is for classifiers: %s is a detector", s->net->name);
    if (given >= 0) pad = given;
    MQ_TRY(cli_setting(args, "flip", 0, 1, &flip, error));
    if (pad != (int)pad || flip != (int)flip)
        return mq_fail(error, MQ_USAGE, "--set pad and flip: whole numbers expected (pixels; 0 or 1)");
    augment->pad = (int)pad;
    augment->flip = flip != 0;
    for (int i = 0; i < WARP_COUNT; i++) {
        given = -1;
        MQ_TRY(cli_setting(args, WARPS[i].key, 0, WARPS[i].most, &given, error));
        if (given < 0) continue;
        if (!detector)
            return mq_fail(error, MQ_USAGE, "--set %s is for detectors: %s classifies images", WARPS[i].key,
                           s->net->name);
        *warp_value(augment, i) = (float)given;
    }
    return MQ_OK;
}

/* Adds them to the stored settings. */
static void add_augment(json_t *json, const mq_recipe *recipe, mq_augment augment) {
    json_object_set_new(json, "flip", json_integer(augment.flip));
    if (recipe->task != MQ_TASK_DETECTION) json_object_set_new(json, "pad", json_integer(augment.pad));
    for (int i = 0; i < WARP_COUNT; i++)
        if (recipe->task == WARPS[i].task)
            json_object_set_new(json, WARPS[i].key, json_real((double)*warp_value(&augment, i)));
}

static json_t *settings_json(const cli_args *args, const char *model, const char *data, int64_t limit,
                             const mq_train_settings *t) {
    const mq_schedule *s = &t->schedule;
    return json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:I, s:s, s:f, s:f, s:b, s:f, s:f, s:f, s:i, s:f, "
                     "s:f, s:s, s:b, "
                     "s:s?}",
                     "command", args->command->name, "model", model, "data", data, "seed",
                     (json_int_t)args->seed, "epochs", t->epochs, "batch", t->batch, "accumulate",
                     t->accumulate, "limit", (json_int_t)limit, "optimizer", mq_method_names[t->method], "lr",
                     s->weights.lr, "momentum", s->weights.momentum, "nesterov", (int)s->weights.nesterov,
                     "weight_decay", s->weights.decay, "lr_end", s->weights_end, "bias_rate", s->bias_rate,
                     "warm_up", s->warm_up, "warm_up_lr", s->warm_up_lr, "warm_up_momentum",
                     s->warm_up_momentum, "precision", t->model.compute == MQ_BF16 ? "bf16" : "f32",
                     "symmetric", (int)t->model.symmetric, "init", t->init);
}

mq_status run_setup_open(const cli_args *args, bool search, run_setup *out, mq_error *error) {
    *out = (run_setup){0};
    const char *model, *data, *folder;
    MQ_TRY(cli_required(args, "--model", &model, error));
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_required(args, "--out", &folder, error));
    MQ_TRY(mq_net_open(model, &out->net, error));
    if (out->net->given)
        return mq_fail(error, MQ_USAGE,
                       "%s: its quantisers are given (an imported network): it is not trained",
                       out->net->name);
    const mq_recipe *recipe = mq_recipe_for(out->net->task);
    int64_t epochs = search ? recipe->search_epochs : recipe->train_epochs, batch = recipe->batch, limit = 0,
            accumulate = 1;
    out->recipe = recipe;
    MQ_TRY(cli_int(args, "--epochs", 1, 1000000, &epochs, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &batch, error));
    MQ_TRY(cli_int(args, "--accumulate", 1, 65536, &accumulate, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    if (cli_flag(args, "--resume") && cli_flag(args, "--force"))
        return mq_fail(error, MQ_USAGE, "--resume and --force exclude each other");
    mq_train_settings *t = &out->settings;
    MQ_TRY(read_schedule(args, recipe, search, out, error));
    MQ_TRY(read_augment(args, recipe, out, error));
    MQ_TRY(run_precision(args, &t->model.compute, error));
    t->model.symmetric = cli_flag(args, "--symmetric");
    t->model.share = true;
    t->model.ranks = args->ranks;
    t->epochs = (int)epochs;
    t->batch = (int)batch;
    t->accumulate = (int)accumulate;
    t->seed = args->seed;
    t->out = folder;
    t->init = cli_value(args, "--init");
    t->resume = cli_flag(args, "--resume");
    t->force = cli_flag(args, "--force");
    out->json = t->settings = settings_json(args, model, data, limit, t);
    if (!out->json) return mq_fail_memory(error, "settings", 0);
    add_augment(out->json, recipe, t->augment);
    return MQ_OK;
}

mq_status run_setup_data(const cli_args *args, run_setup *setup, mq_error *error) {
    const mq_net *net = setup->net;
    int64_t limit = 0;
    bool strict = false;
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    MQ_TRY(cli_strict(args, &strict, error));
    mq_data_request request = {.split = MQ_SPLIT_TRAIN,
                               .limit = (size_t)limit,
                               .height = net->in_h,
                               .width = net->in_w,
                               .channels = net->in_c,
                               .seed = args->seed,
                               .strict = strict,
                               .for_task = true,
                               .task = net->task == MQ_TASK_DETECTION ? MQ_DATA_DETECT : MQ_DATA_CLASSIFY};
    const char *data = cli_value(args, "--data");
    MQ_TRY(mq_dataset_open(data, &request, &setup->train, error));
    request.split = MQ_SPLIT_TEST;
    request.second = true;
    return mq_dataset_open(data, &request, &setup->test, error);
}

json_t *run_add_constant(json_t *root, const mq_net *net, double iou) {
    if (root && net->task == MQ_TASK_DETECTION) json_object_set_new(root, "constant_iou", json_real(iou));
    return root;
}

json_t *run_add_ranks(json_t *root, const mq_ranks *ranks, const mq_train_result *r) {
    if (!root || !ranks) return root;
    const double steps = r->steps ? (double)r->steps : 1;
    json_t *of =
        json_pack("{s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "count", mq_ranks_count(ranks), "threads",
                  mq_threads(), "steps", (json_int_t)r->steps, "step_seconds", r->step_seconds,
                  "gradient_bytes_per_step", (double)r->ranks.started / steps, "statistics_bytes_per_step",
                  (double)r->ranks.summed / steps, "sums_per_step", (double)r->ranks.sums / steps,
                  "gradient_wait_seconds", r->ranks.finish, "statistics_wait_seconds", r->ranks.blocked);
    if (of) json_object_set_new(root, "ranks", of);
    return root;
}

const char *run_constant_text(const mq_net *net, double iou, char text[64]) {
    text[0] = 0;
    if (net->task == MQ_TASK_DETECTION) snprintf(text, 64, " (best constant box %.4f)", iou);
    return text;
}

void run_setup_free(run_setup *setup) {
    mq_dataset_free(setup->train);
    mq_dataset_free(setup->test);
    mq_net_free(setup->net);
    json_decref(setup->json);
    *setup = (run_setup){0};
}
