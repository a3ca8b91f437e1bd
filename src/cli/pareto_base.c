/* pareto_base.c - the 8-bit network of a seed, and what each layer's bits do to its loss. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/pareto_runs.h"
#include "net/checkpoint.h"
#include "train/evaluate.h"

#define BASE_FORMAT "mixq-base-1"

mq_status pareto_base_path(const pareto_setup *s, uint64_t seed, const char *file, char path[MQ_PATH],
                           mq_error *error) {
    const int n = snprintf(path, MQ_PATH, "%s/bases/seed%llu%s%s", s->out, (unsigned long long)seed,
                           file ? "/" : "", file ? file : "");
    return n < MQ_PATH ? MQ_OK : mq_fail(error, MQ_USAGE, "%s: the path is too long", s->out);
}

/* ---- measuring ---- */

typedef struct measurement {
    const pareto_setup *s;
    const mq_checkpoint *checkpoint;
    const mq_dataset *images;
} measurement;

static mq_status loss_at(void *context, const mq_bits *bits, double *loss, mq_error *error) {
    const measurement *m = context;
    const mq_model_options options = {.mode = MQ_MODE_FIXED,
                                      .bits = bits,
                                      .share = true,
                                      .symmetric = m->checkpoint->symmetric,
                                      .compute = strcmp(m->s->precision, "bf16") == 0 ? MQ_BF16 : MQ_F32,
                                      .batch = (int)m->s->batch};
    mq_model *model;
    mq_scores scores = {0};
    MQ_TRY(mq_model_create(m->s->net, &options, &model, error));
    mq_status status = mq_model_load(model, m->checkpoint, error);
    if (status == MQ_OK) status = mq_evaluate(model, m->images, &scores, NULL, error);
    mq_model_destroy(model);
    *loss = mq_scores_loss(&scores);
    return status;
}

/* The first images of the training split: the test split is no part of finding bits. */
static mq_status open_images(const pareto_setup *s, uint64_t seed, mq_dataset **out, mq_error *error) {
    bool strict = false;
    MQ_TRY(cli_strict(&s->args, &strict, error));
    const mq_data_request request = {
        .split = MQ_SPLIT_TRAIN,
        .limit = (size_t)(s->limit && s->limit < s->calibration ? s->limit : s->calibration),
        .height = s->net->in_h,
        .width = s->net->in_w,
        .channels = s->net->in_c,
        .seed = seed,
        .strict = strict,
        .second = true,
        .for_task = true,
        .task = s->net->task == MQ_TASK_DETECTION ? MQ_DATA_DETECT : MQ_DATA_CLASSIFY};
    return mq_dataset_open(cli_value(&s->args, "--data"), &request, out, error);
}

static mq_status measure(const pareto_setup *s, uint64_t seed, const char *run, mq_sensitivity *out,
                         mq_error *error) {
    char path[MQ_PATH];
    mq_checkpoint checkpoint;
    measurement m = {.s = s, .checkpoint = &checkpoint};
    mq_dataset *images;
    MQ_TRY(mq_path_join(run, "last.safetensors", path, error));
    MQ_TRY(mq_checkpoint_load(path, &checkpoint, error));
    mq_status status = open_images(s, seed, &images, error);
    if (status == MQ_OK) {
        m.images = images;
        mq_log(MQ_LOG_INFO, "seed %llu: the sensitivity of every layer on %zu training images",
               (unsigned long long)seed, images->count);
        status = mq_sensitivity_measure(s->net, loss_at, &m, out, error);
        mq_dataset_free(images);
    }
    mq_checkpoint_free(&checkpoint);
    return status;
}

/* ---- base.json ---- */

static json_t *increases(const double of[MQ_BITS_MAX + 1]) {
    json_t *list = json_array();
    for (int b = MQ_SEARCH_MIN; b <= MQ_BITS_MAX; b++) json_array_append_new(list, json_real(of[b]));
    return list;
}

static json_t *table(const mq_net *net, const mq_sensitivity *sensitivity) {
    json_t *layers = json_array();
    for (int l = 0; l < net->layer_count; l++)
        if (!net->layers[l].pinned)
            json_array_append_new(layers,
                                  json_pack("{s:s, s:o, s:o}", "layer", net->nodes[net->layers[l].node].name,
                                            "weight", increases(sensitivity->weight[l]), "activation",
                                            increases(sensitivity->activation[l])));
    return json_pack("{s:f, s:i, s:o}", "loss", sensitivity->loss, "from_bits", MQ_SEARCH_MIN, "layers",
                     layers);
}

mq_status pareto_make_base(const pareto_setup *s, uint64_t seed, mq_error *error) {
    char path[MQ_PATH], run[MQ_PATH];
    mq_sensitivity *sensitivity = NULL;
    double last, best;
    MQ_TRY(pareto_train_base(s, seed, &last, &best, error));
    MQ_TRY(pareto_base_path(s, seed, "train", run, error));
    MQ_TRY(pareto_base_path(s, seed, PARETO_BASE_FILE, path, error));
    json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f}", "format", BASE_FORMAT, "sweep", s->digest,
                             "seed", (json_int_t)seed, "epochs", (json_int_t)s->pretrain_epochs, "quality",
                             last, "best_quality", best);
    if (!root) return mq_fail_memory(error, path, 0);
    mq_status status = MQ_OK;
    if (s->plan.method[MQ_SWEEP_SENSITIVITY]) {
        status = mq_alloc(1, sizeof *sensitivity, "a table", &sensitivity, error);
        if (status == MQ_OK) status = measure(s, seed, run, sensitivity, error);
        if (status == MQ_OK) json_object_set_new(root, "sensitivity", table(s->net, sensitivity));
    }
    if (status == MQ_OK) status = mq_json_save(path, root, error);
    mq_free(sensitivity);
    json_decref(root);
    return status;
}

static mq_status read_widths(const json_t *layer, const char *where, const char *key,
                             double out[MQ_BITS_MAX + 1], mq_error *error) {
    json_t *list;
    MQ_TRY(mq_json_array(layer, where, key, &list, error));
    for (int b = MQ_SEARCH_MIN; b <= MQ_BITS_MAX; b++) {
        const json_t *v = json_array_get(list, (size_t)(b - MQ_SEARCH_MIN));
        out[b] = json_is_number(v) ? json_number_value(v) : NAN;
        if (!isfinite(out[b]))
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s[%d]: a number expected", where, key,
                           b - MQ_SEARCH_MIN);
    }
    return MQ_OK;
}

static mq_status read_table(const json_t *root, const char *path, const pareto_setup *s, mq_sensitivity *out,
                            mq_error *error) {
    const char *format, *of, *name;
    json_t *measured, *layers;
    size_t at = 0;
    MQ_TRY(mq_json_string(root, path, "format", &format, error));
    MQ_TRY(mq_json_string(root, path, "sweep", &of, error));
    if (strcmp(format, BASE_FORMAT) != 0 || strcmp(of, s->digest) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: not of this sweep", path);
    MQ_TRY(mq_json_object(root, path, "sensitivity", &measured, error));
    MQ_TRY(mq_json_double(measured, path, "loss", &out->loss, error));
    MQ_TRY(mq_json_array(measured, path, "layers", &layers, error));
    for (int l = 0; l < s->net->layer_count; l++) {
        if (s->net->layers[l].pinned) continue;
        const json_t *layer = json_array_get(layers, at++);
        const char *expected = s->net->nodes[s->net->layers[l].node].name;
        char where[MQ_PATH + 64];
        snprintf(where, sizeof where, "%s: sensitivity of %s", path, expected);
        MQ_TRY(mq_json_string(layer, where, "layer", &name, error));
        if (strcmp(name, expected) != 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: got layer %.40s", where, name);
        MQ_TRY(read_widths(layer, where, "weight", out->weight[l], error));
        MQ_TRY(read_widths(layer, where, "activation", out->activation[l], error));
    }
    return MQ_OK;
}

mq_status pareto_read_sensitivity(const pareto_setup *s, uint64_t seed, mq_sensitivity *out,
                                  mq_error *error) {
    char path[MQ_PATH];
    json_t *root;
    memset(out, 0, sizeof *out);
    MQ_TRY(pareto_base_path(s, seed, PARETO_BASE_FILE, path, error));
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = read_table(root, path, s, out, error);
    json_decref(root);
    return status;
}
