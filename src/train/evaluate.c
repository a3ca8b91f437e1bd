/* evaluate.c - evaluation, and models from checkpoints. */
#include "train/evaluate.h"

#include <string.h>

#include "base/log.h"
#include "base/stop.h"

mq_status mq_check_dataset(const mq_net *net, const mq_dataset *d, mq_error *error) {
    bool detector = net->task == MQ_TASK_DETECTION;
    if (detector != (d->task == MQ_DATA_DETECT))
        return mq_fail(error, MQ_USAGE, "data set %s has %s: network %s %s", d->name,
                       detector ? "classes of images" : "boxes of objects", net->name,
                       detector ? "is a detector" : "classifies images");
    if (d->height != net->in_h || d->width != net->in_w || d->channels != net->in_c)
        return mq_fail(error, MQ_USAGE,
                       "data set %s has images of %d x %d x %d: network %s takes %d x %d x %d", d->name,
                       d->height, d->width, d->channels, net->name, net->in_h, net->in_w, net->in_c);
    if (!detector && d->classes > net->classes)
        return mq_fail(error, MQ_USAGE, "data set %s has %d classes: network %s has %d outputs", d->name,
                       d->classes, net->name, net->classes);
    return MQ_OK;
}

typedef struct evaluation {
    mq_model *model;
    const mq_objective *objective;
    const mq_answers *answers;
    mq_scores scores; /* of this rank's shares */
    size_t first;     /* images before the batch under way */
} evaluation;

static mq_status judge(evaluation *e, const mq_batch *batch, mq_error *error) {
    const mq_net *net = mq_model_net(e->model);
    const mq_node *head = mq_net_output(net);
    const size_t each = (size_t)head->h * (size_t)head->w * (size_t)head->c;
    const mq_answers *answers = e->answers;
    const float *output;
    mq_answers here = {0};
    if (batch->count == 0) return MQ_OK;
    if (answers && answers->classes) here.classes = answers->classes + e->first;
    if (answers && answers->found) here.found = answers->found + e->first;
    MQ_TRY(mq_model_forward(e->model, batch->images, (int)batch->count, false, &output, error));
    if (answers && answers->outputs)
        memcpy(answers->outputs + e->first * each, output, batch->count * each * sizeof *output);
    e->objective->loss(net, output, batch, NULL, &e->scores, &here);
    return MQ_OK;
}

mq_status mq_evaluate_goes_on(mq_ranks *ranks, mq_status status, mq_error *error) {
    double told[] = {status != MQ_OK, mq_stop_requested()};
    if (ranks) MQ_TRY(mq_ranks_sum(ranks, told, 2, error));
    if (told[0] > 0) return mq_ranks_agree(ranks, status, error);
    return told[1] > 0 ? mq_fail(error, MQ_INTERRUPTED, "interrupted") : MQ_OK;
}

static mq_status evaluate_batches(evaluation *e, mq_loader *loader, const mq_dataset *dataset,
                                  mq_error *error) {
    mq_ranks *ranks = mq_model_get_options(e->model)->ranks;
    mq_loader_epoch(loader, 0);
    for (const mq_batch *batch; (batch = mq_loader_next(loader)); e->first += batch->total) {
        const mq_status status = judge(e, batch, error);
        mq_progress("test", e->first + batch->total, dataset->count, "%s %.4f", e->objective->quality_name,
                    mq_scores_quality(&e->scores));
        MQ_TRY(mq_evaluate_goes_on(ranks, status, error));
    }
    const mq_status status = mq_loader_status(loader, error);
    return ranks ? mq_evaluate_goes_on(ranks, status, error) : status;
}

/* The scores of all ranks. */
static mq_status add_up(const evaluation *e, mq_scores *out, mq_error *error) {
    mq_ranks *ranks = mq_model_get_options(e->model)->ranks;
    double values[MQ_SCORES_VALUES];
    *out = e->scores;
    if (!ranks) return MQ_OK;
    mq_scores_values(&e->scores, values);
    MQ_TRY(mq_ranks_sum(ranks, values, MQ_SCORES_VALUES, error));
    *out = (mq_scores){0};
    mq_scores_add(e->objective, out, values);
    return MQ_OK;
}

void mq_evaluate_shares(const mq_model *model, mq_loader_options *options) {
    const mq_model_options *o = mq_model_get_options(model);
    const int ranks = mq_ranks_count(o->ranks), batch = o->batch * ranks;
    options->batch = batch < MQ_LOADER_BATCH ? batch : MQ_LOADER_BATCH;
    options->share = mq_ranks_number(o->ranks);
    options->shares = ranks;
}

mq_status mq_evaluate(mq_model *model, const mq_dataset *dataset, mq_scores *out, const mq_answers *answers,
                      mq_error *error) {
    const mq_net *net = mq_model_net(model);
    const mq_model_options *o = mq_model_get_options(model);
    evaluation e = {.model = model, .answers = answers};
    mq_loader *loader = NULL;
    mq_loader_options options = {.batch = 0}; /* file order, as they are */
    mq_evaluate_shares(model, &options);
    *out = (mq_scores){0};
    mq_status status = mq_objective_for(net, &e.objective, error);
    if (status == MQ_OK) status = mq_check_dataset(net, dataset, error);
    if (status == MQ_OK) status = mq_loader_start(dataset, &options, &loader, error);
    status = mq_ranks_agree(o->ranks, status, error);
    if (status == MQ_OK) status = evaluate_batches(&e, loader, dataset, error);
    mq_loader_stop(loader);
    return status == MQ_OK ? add_up(&e, out, error) : status;
}

mq_status mq_model_load(mq_model *model, const mq_checkpoint *checkpoint, mq_error *error) {
    int count;
    mq_param *params = mq_model_params(model, &count);
    for (int i = 0; i < count; i++) {
        const mq_st_entry *entry;
        MQ_TRY(mq_st_require(checkpoint->file, params[i].spec->name, MQ_F32, &params[i].spec->shape, &entry,
                             error));
        memcpy(params[i].value, entry->tensor.data, params[i].count * sizeof(float));
    }
    mq_model_touch(model);
    return MQ_OK;
}

mq_status mq_model_from_checkpoint(const mq_checkpoint *checkpoint, int batch, mq_dtype compute,
                                   mq_model **out, mq_error *error) {
    mq_model_options options = {.mode = checkpoint->mode,
                                .bits = checkpoint->mode == MQ_MODE_FIXED ? &checkpoint->bits : NULL,
                                .share = checkpoint->share,
                                .symmetric = checkpoint->symmetric,
                                .compute = compute,
                                .batch = batch};
    MQ_TRY(mq_model_create(checkpoint->net, &options, out, error));
    mq_status status = mq_model_load(*out, checkpoint, error);
    if (status != MQ_OK) {
        mq_model_destroy(*out);
        *out = NULL;
    }
    return status;
}
