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

static mq_status evaluate_batches(mq_model *model, mq_loader *loader, const mq_dataset *dataset,
                                  const mq_objective *objective, const mq_answers *answers, mq_scores *out,
                                  mq_error *error) {
    size_t first = 0;
    mq_loader_epoch(loader, 0);
    for (const mq_batch *batch; (batch = mq_loader_next(loader)); first += batch->count) {
        const float *output;
        mq_answers here = {0};
        if (answers && answers->classes) here.classes = answers->classes + first;
        if (answers && answers->found) here.found = answers->found + first;
        MQ_TRY(mq_model_forward(model, batch->images, (int)batch->count, false, &output, error));
        objective->loss(mq_model_net(model), output, batch, NULL, out, &here);
        mq_progress("test", first + batch->count, dataset->count, "%s %.4f", objective->quality_name,
                    mq_scores_quality(out));
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return mq_loader_status(loader, error);
}

mq_status mq_evaluate(mq_model *model, const mq_dataset *dataset, mq_scores *out, const mq_answers *answers,
                      mq_error *error) {
    const mq_net *net = mq_model_net(model);
    const mq_objective *objective;
    mq_loader *loader;
    *out = (mq_scores){0};
    MQ_TRY(mq_objective_for(net, &objective, error));
    MQ_TRY(mq_check_dataset(net, dataset, error));
    const mq_loader_options options = {.batch =
                                           mq_model_get_options(model)->batch}; /* file order, as they are */
    MQ_TRY(mq_loader_start(dataset, &options, &loader, error));
    mq_status status = evaluate_batches(model, loader, dataset, objective, answers, out, error);
    mq_loader_stop(loader);
    return status;
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
