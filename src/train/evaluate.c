/* evaluate.c - evaluation, and models from checkpoints. */
#include "train/evaluate.h"

#include <string.h>

#include "base/log.h"
#include "base/stop.h"

mq_status mq_check_dataset(const mq_net *net, const mq_dataset *d, mq_error *error) {
    if (d->height != net->in_h || d->width != net->in_w || d->channels != net->in_c)
        return mq_fail(error, MQ_USAGE,
                       "data set %s has images of %d x %d x %d: network %s takes %d x %d x %d", d->name,
                       d->height, d->width, d->channels, net->name, net->in_h, net->in_w, net->in_c);
    if (net->task == MQ_TASK_CLASSIFICATION && d->classes > net->classes)
        return mq_fail(error, MQ_USAGE, "data set %s has %d classes: network %s has %d outputs", d->name,
                       d->classes, net->name, net->classes);
    return MQ_OK;
}

mq_status mq_evaluate(mq_model *model, const mq_dataset *dataset, mq_scores *out, int32_t *predicted,
                      mq_error *error) {
    const mq_net *net = mq_model_net(model);
    const mq_objective *objective;
    *out = (mq_scores){0};
    MQ_TRY(mq_objective_for(net, &objective, error));
    MQ_TRY(mq_check_dataset(net, dataset, error));
    size_t most = (size_t)mq_model_get_options(model)->batch, image = mq_dataset_image_bytes(dataset);
    for (size_t first = 0; first < dataset->count; first += most) {
        size_t n = dataset->count - first < most ? dataset->count - first : most;
        const float *output;
        MQ_TRY(mq_model_forward(model, dataset->images + first * image, (int)n, false, &output, error));
        mq_batch batch = {
            .images = dataset->images + first * image, .labels = dataset->labels + first, .count = n};
        objective->loss(net, output, &batch, NULL, out);
        for (size_t i = 0; predicted && i < n; i++) {
            const float *z = output + i * (size_t)net->classes;
            int best = 0;
            for (int c = 1; c < net->classes; c++)
                if (z[c] > z[best]) best = c;
            predicted[first + i] = best;
        }
        mq_progress("test", first + n, dataset->count, "%s %.4f", objective->quality_name,
                    out->quality / (double)out->images);
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
}

mq_status mq_evaluate_outputs(mq_model *model, const mq_dataset *dataset, float *outputs, mq_error *error) {
    const mq_net *net = mq_model_net(model);
    const mq_node *head = mq_net_output(net);
    MQ_TRY(mq_check_dataset(net, dataset, error));
    size_t most = (size_t)mq_model_get_options(model)->batch, image = mq_dataset_image_bytes(dataset);
    size_t each = (size_t)head->h * (size_t)head->w * (size_t)head->c;
    for (size_t first = 0; first < dataset->count; first += most) {
        size_t n = dataset->count - first < most ? dataset->count - first : most;
        const float *output;
        MQ_TRY(mq_model_forward(model, dataset->images + first * image, (int)n, false, &output, error));
        memcpy(outputs + first * each, output, n * each * sizeof *outputs);
        mq_progress("test", first + n, dataset->count, "outputs");
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
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
