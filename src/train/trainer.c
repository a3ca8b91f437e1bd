/* trainer.c - the loop: batches, steps, epochs, checkpoints. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/stop.h"
#include "data/loader.h"
#include "train/evaluate.h"
#include "train/state.h"

typedef struct loop {
    run run;
    mq_loader *loader;
    const mq_objective *objective;
    float *d_output;
    double step_seconds; /* spent in steps by this call */
    uint64_t step_images;
} loop;

static mq_status diverged(const loop *l, const char *param, mq_error *error) {
    return mq_fail(error, MQ_CHECK_FAILED,
                   "training diverged at epoch %d, step %llu: %s is not finite any more. Checkpoints of "
                   "finished epochs are kept in %s; try a smaller --lr",
                   l->run.state.epoch + 1, (unsigned long long)l->run.state.step + 1, param,
                   l->run.settings->out);
}

static mq_status not_finite(const loop *l, double loss, mq_error *error) {
    const char *where = mq_model_find_nonfinite(l->run.model);
    return mq_fail(
        error, MQ_CHECK_FAILED,
        "the loss is %s at epoch %d, step %llu; first value that is not finite: %s. Checkpoints of finished "
        "epochs are kept in %s; try a smaller --lr",
        isnan(loss) ? "NaN" : "infinite", l->run.state.epoch + 1, (unsigned long long)l->run.state.step + 1,
        where ? where : "the loss itself", l->run.settings->out);
}

static mq_status test_not_finite(const loop *l, double loss, mq_error *error) {
    const char *where = mq_model_find_nonfinite(l->run.model);
    return mq_fail(
        error, MQ_CHECK_FAILED,
        "the test loss is %s after the steps of epoch %d; first value that is not finite: %s. Checkpoints of "
        "finished epochs are kept in %s; try a smaller --lr",
        isnan(loss) ? "NaN" : "infinite", l->run.state.epoch + 1, where ? where : "the loss itself",
        l->run.settings->out);
}

static mq_status step(loop *l, const mq_batch *batch, const mq_sgd_group groups[MQ_SGD_GROUPS],
                      mq_error *error) {
    run *r = &l->run;
    const mq_train_hooks *hooks = r->hooks;
    const float *output;
    MQ_TRY(mq_model_forward(r->model, batch->images, (int)batch->count, true, &output, error));
    double loss = l->objective->loss(r->net, output, batch, l->d_output, &r->state.scores);
    if (!isfinite(loss)) return not_finite(l, loss, error);
    MQ_TRY(mq_model_backward(r->model, l->d_output, error));
    if (hooks && hooks->after_backward) {
        double extra = hooks->after_backward(hooks->context, r->model);
        r->state.extra += extra * (double)batch->count;
        if (!isfinite(extra)) return not_finite(l, extra, error);
    }
    mq_sgd_step(r->sgd, groups, 1);
    if (hooks && hooks->after_update) hooks->after_update(hooks->context, r->model);
    const char *damaged = mq_model_find_nonfinite_param(r->model);
    if (damaged) return diverged(l, damaged, error);
    r->state.step++;
    return MQ_OK;
}

/* The steps of one epoch from state.step on. */
static mq_status run_epoch(loop *l, mq_error *error) {
    run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    mq_sgd_group groups[MQ_SGD_GROUPS];
    for (int g = 0; g < MQ_SGD_GROUPS; g++) {
        groups[g] = settings->group[g];
        groups[g].lr *= mq_cosine(r->state.epoch, settings->epochs, settings->lr_end[g]);
    }
    mq_loader_epoch(l->loader, (uint64_t)r->state.epoch);
    size_t batches = mq_loader_batches(l->loader);
    if (r->state.step > batches)
        return mq_fail(error, MQ_BAD_INPUT,
                       "cannot resume %s at step %llu of an epoch: the data set gives %zu steps",
                       settings->out, (unsigned long long)r->state.step, batches);
    for (uint64_t skipped = 0; skipped < r->state.step; skipped++)
        if (!mq_loader_next(l->loader)) break;
    char what[32];
    snprintf(what, sizeof what, "epoch %d/%d", r->state.epoch + 1, settings->epochs);
    double start = mq_seconds();
    uint64_t images = 0;
    for (const mq_batch *batch; (batch = mq_loader_next(l->loader));) {
        MQ_TRY(step(l, batch, groups, error));
        images += batch->count;
        const mq_scores *s = &r->state.scores;
        mq_progress(what, r->state.step, batches, "loss %.4f, %s %.4f, %.0f images/s",
                    s->loss / (double)s->images, l->objective->quality_name, s->quality / (double)s->images,
                    (double)images / (mq_seconds() - start));
        if (mq_stop_requested() && r->state.step < batches) {
            MQ_TRY(run_save(r, "last.safetensors", true, error));
            return mq_fail(error, MQ_INTERRUPTED,
                           "interrupted at epoch %d, step %llu of %zu; saved: go on with --resume",
                           r->state.epoch + 1, (unsigned long long)r->state.step, batches);
        }
    }
    l->step_seconds += mq_seconds() - start;
    l->step_images += images;
    return MQ_OK;
}

static mq_status finish_epoch(loop *l, const mq_dataset *test, double seconds, mq_error *error) {
    run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    mq_scores tested;
    MQ_TRY(mq_evaluate(r->model, test, &tested, NULL, error));
    if (!isfinite(tested.loss)) return test_not_finite(l, tested.loss, error);
    double images = (double)r->state.scores.images;
    double quality = tested.quality / (double)tested.images;
    const char *name = l->objective->quality_name;
    char train_name[64];
    snprintf(train_name, sizeof train_name, "train_%s", name);
    r->state.quality = quality;
    r->state.loss = r->state.scores.loss / images;
    json_t *line = json_pack(
        "{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "epoch", r->state.epoch + 1, "lr",
        settings->group[0].lr * mq_cosine(r->state.epoch, settings->epochs, settings->lr_end[0]), "loss",
        r->state.loss, "extra_loss", r->state.extra / images, train_name, r->state.scores.quality / images,
        "test_loss", tested.loss / (double)tested.images, name, quality, "seconds", seconds);
    if (!line) return mq_fail_memory(error, "a metrics line", 0);
    mq_log(MQ_LOG_INFO, "epoch %d/%d: loss %.4f, train %s %.4f, test %s %.4f, %.1f s", r->state.epoch + 1,
           settings->epochs, r->state.loss, name, r->state.scores.quality / images, name, quality, seconds);
    mq_status status = MQ_OK;
    if (r->hooks && r->hooks->epoch) status = r->hooks->epoch(r->hooks->context, r->model, line, error);
    bool better = quality > r->state.best;
    r->state.epoch++;
    r->state.step = 0;
    r->state.extra = 0;
    r->state.scores = (mq_scores){0};
    if (better) r->state.best = quality;
    /* last.safetensors comes last: until it is there, a resumed run repeats the epoch and writes the rest
     * again. */
    if (status == MQ_OK && better) status = run_save(r, "best.safetensors", false, error);
    if (status == MQ_OK) status = run_append_metrics(r, line, error);
    if (status == MQ_OK) status = run_write_bits(r, error);
    if (status == MQ_OK) status = run_save(r, "last.safetensors", true, error);
    json_decref(line);
    return status;
}

static mq_status run_epochs(loop *l, const mq_dataset *test, mq_error *error) {
    run *r = &l->run;
    while (r->state.epoch < r->settings->epochs) {
        double start = mq_seconds();
        MQ_TRY(run_epoch(l, error));
        mq_status status = finish_epoch(l, test, mq_seconds() - start, error);
        if (status == MQ_INTERRUPTED) {
            /* stopped while testing: the epoch's steps are done, only its test is repeated */
            MQ_TRY(run_save(r, "last.safetensors", true, error));
            return mq_fail(error, MQ_INTERRUPTED,
                           "interrupted after the steps of epoch %d; saved: go on with --resume",
                           r->state.epoch + 1);
        }
        MQ_TRY(status);
        if (mq_stop_requested() && r->state.epoch < r->settings->epochs)
            return mq_fail(error, MQ_INTERRUPTED,
                           "interrupted after epoch %d of %d; saved: go on with --resume", r->state.epoch,
                           r->settings->epochs);
    }
    return MQ_OK;
}

/* A batch norm over one value has no variance. The epoch's last batch is the smallest: found now and not
 * after an epoch's work. */
static mq_status check_last_batch(const mq_net *net, size_t images, size_t batch, mq_error *error) {
    size_t last = images % batch ? images % batch : batch;
    for (int i = 0; i < net->node_count && last == 1; i++) {
        const mq_node *node = &net->nodes[i];
        if (node->op == MQ_OP_BATCH_NORM && node->h * node->w == 1)
            return mq_fail(error, MQ_USAGE,
                           "layer %s: batch norm in training needs more than one value per channel, and the "
                           "last of the batches of %zu of %zu images has one: use another --batch",
                           node->name, batch, images);
    }
    return MQ_OK;
}

static mq_status prepare(loop *l, const mq_dataset *train, mq_error *error) {
    run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    mq_model_options options = settings->model;
    options.training = true;
    options.batch = (size_t)settings->batch < train->count ? settings->batch : (int)train->count;
    MQ_TRY(mq_objective_for(r->net, &l->objective, error));
    MQ_TRY(check_last_batch(r->net, train->count, (size_t)options.batch, error));
    MQ_TRY(mq_model_create(r->net, &options, &r->model, error));
    MQ_TRY(mq_sgd_create(r->model, &r->sgd, error));
    mq_model_initialise(r->model, settings->seed);
    if (settings->init && !run_goes_on(r)) MQ_TRY(run_init_from(r, error));
    bool resumed;
    MQ_TRY(run_open(r, &resumed, error));
    if (r->hooks && r->hooks->after_update) r->hooks->after_update(r->hooks->context, r->model);
    mq_model_touch(r->model);
    if (resumed)
        mq_log(MQ_LOG_INFO, "resumed %s after epoch %d, step %llu", settings->out, r->state.epoch,
               (unsigned long long)r->state.step);
    const mq_node *output = mq_net_output(r->net);
    MQ_TRY(mq_alloc((size_t)options.batch * (size_t)(output->h * output->w * output->c), sizeof(float),
                    "the loss gradient", &l->d_output, error));
    mq_loader_options loading = {
        .batch = options.batch, .seed = settings->seed, .augment = settings->augment, .shuffle = true};
    return mq_loader_start(train, &loading, &l->loader, error);
}

mq_status mq_train(const mq_net *net, const mq_train_settings *settings, const mq_train_hooks *hooks,
                   const mq_dataset *train, const mq_dataset *test, mq_train_result *out, mq_error *error) {
    *out = (mq_train_result){0};
    if (settings->epochs < 1)
        return mq_fail(error, MQ_USAGE, "--epochs %d: at least 1 expected", settings->epochs);
    if (settings->batch < 1)
        return mq_fail(error, MQ_USAGE, "--batch %d: at least 1 expected", settings->batch);
    MQ_TRY(mq_check_dataset(net, train, error));
    MQ_TRY(mq_check_dataset(net, test, error));
    double start = mq_seconds();
    loop l = {.run = {.net = net, .settings = settings, .hooks = hooks, .state = {.best = -1}, .lock = -1}};
    mq_status status = prepare(&l, train, error);
    if (status == MQ_OK) status = run_epochs(&l, test, error);
    out->epochs = l.run.state.epoch;
    out->best = l.run.state.best;
    out->quality = l.run.state.quality;
    out->loss = l.run.state.loss;
    out->seconds = mq_seconds() - start;
    if (l.step_seconds > 0) out->images_per_second = (double)l.step_images / l.step_seconds;
    if (l.loader) out->loader_wait = mq_loader_stats_get(l.loader).wait_seconds;
    run_close(&l.run);
    mq_loader_stop(l.loader);
    mq_sgd_destroy(l.run.sgd);
    mq_model_destroy(l.run.model);
    mq_free(l.d_output);
    return status;
}
