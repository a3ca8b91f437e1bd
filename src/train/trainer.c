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
#include "detect/constant_box.h"
#include "train/evaluate.h"
#include "train/state.h"

typedef struct loop {
    run run;
    mq_loader *loader;
    const mq_objective *objective;
    size_t images; /* of the training set */
    float *d_output;
    float **gathered; /* [parameter] gradients of the batches so far; NULL when every batch is an update */
    float *gathered_block;
    double constant;     /* detection: mean IoU of the best constant box over the test images */
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

/* Batches that share an update: number of the first one, and all their images. */
static size_t group_images(const loop *l, uint64_t batch) {
    size_t each = (size_t)mq_model_get_options(l->run.model)->batch;
    size_t group = (size_t)l->run.settings->accumulate;
    size_t first = (size_t)batch / group * group * each, most = group * each;
    return l->images - first < most ? l->images - first : most;
}

/* grad = factor * grad + what was gathered; more: kept for the next batch. A mean over all images of an
 * update weighs every batch by its images. */
static void gather(loop *l, uint64_t batch, size_t images, bool more) {
    if (!l->gathered) return;
    int count;
    const mq_param *params = mq_model_params(l->run.model, &count);
    bool first = batch % (uint64_t)l->run.settings->accumulate == 0;
    float factor = l->objective->mean ? (float)((double)images / (double)group_images(l, batch)) : 1;
    for (int i = 0; i < count; i++) {
        float *sum = l->gathered[i], *grad = params[i].grad;
        for (size_t e = 0; grad && e < params[i].count; e++) {
            grad[e] = factor * grad[e] + (first ? 0 : sum[e]);
            if (more) sum[e] = grad[e];
        }
    }
}

static mq_status update(loop *l, size_t images, const mq_rule rules[MQ_GROUPS], mq_error *error) {
    run *r = &l->run;
    const mq_train_hooks *hooks = r->hooks;
    if (hooks && hooks->after_backward) {
        double extra = hooks->after_backward(hooks->context, r->model);
        r->state.extra += extra * (double)images;
        if (!isfinite(extra)) return not_finite(l, extra, error);
    }
    mq_optimizer_step(r->optimizer, rules);
    if (hooks && hooks->after_update) hooks->after_update(hooks->context, r->model);
    const char *damaged = mq_model_find_nonfinite_param(r->model);
    return damaged ? diverged(l, damaged, error) : MQ_OK;
}

static mq_status step(loop *l, const mq_batch *batch, bool last, const mq_rule rules[MQ_GROUPS],
                      mq_error *error) {
    run *r = &l->run;
    const float *output;
    bool complete = last || (r->state.step + 1) % (uint64_t)r->settings->accumulate == 0;
    MQ_TRY(mq_model_forward(r->model, batch->images, (int)batch->count, true, &output, error));
    double loss = l->objective->loss(r->net, output, batch, l->d_output, &r->state.scores, NULL);
    if (!isfinite(loss)) return not_finite(l, loss, error);
    MQ_TRY(mq_model_backward(r->model, l->d_output, error));
    gather(l, r->state.step, batch->count, !complete);
    if (complete) MQ_TRY(update(l, group_images(l, r->state.step), rules, error));
    r->state.step++;
    return MQ_OK;
}

static bool between_updates(const loop *l) {
    return l->run.state.step % (uint64_t)l->run.settings->accumulate == 0;
}

/* "loss 3.2 (box 2.1, objectness 1.1), iou 0.41" */
static void scores_text(const mq_objective *objective, const mq_scores *s, char *text, size_t size) {
    int n = snprintf(text, size, "loss %.4f", mq_scores_loss(s));
    for (int i = 0; i < MQ_LOSS_PARTS && objective->part_names[i]; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%s %.4f", i ? ", " : " (", objective->part_names[i],
                      mq_scores_part(s, i));
    snprintf(text + n, size - (size_t)n, "%s, %s %.4f", objective->part_names[0] ? ")" : "",
             objective->quality_name, mq_scores_quality(s));
}

/* The steps of one epoch from state.step on. */
static mq_status run_epoch(loop *l, mq_error *error) {
    run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    size_t batches = mq_loader_batches(l->loader);
    mq_rule rules[MQ_GROUPS];
    mq_schedule_at(&settings->schedule, settings->epochs, r->state.epoch, batches, rules);
    mq_loader_epoch(l->loader, (uint64_t)r->state.epoch);
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
        MQ_TRY(step(l, batch, r->state.step + 1 == batches, rules, error));
        images += batch->count;
        char scores[256];
        scores_text(l->objective, &r->state.scores, scores, sizeof scores);
        mq_progress(what, r->state.step, batches, "%s, %.0f images/s", scores,
                    (double)images / (mq_seconds() - start));
        if (mq_stop_requested() && r->state.step < batches && between_updates(l)) {
            MQ_TRY(run_save(r, "last.safetensors", true, error));
            return mq_fail(error, MQ_INTERRUPTED,
                           "interrupted at epoch %d, step %llu of %zu; saved: go on with --resume",
                           r->state.epoch + 1, (unsigned long long)r->state.step, batches);
        }
    }
    MQ_TRY(mq_loader_status(l->loader, error));
    l->step_seconds += mq_seconds() - start;
    l->step_images += images;
    return MQ_OK;
}

/* The fields of an epoch, "train_..." and "test_..." of what both have. */
static json_t *metrics_line(const loop *l, const mq_scores *tested, double seconds) {
    const run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    const mq_scores *trained = &r->state.scores;
    const mq_objective *o = l->objective;
    char name[64];
    mq_rule rules[MQ_GROUPS];
    mq_schedule_at(&settings->schedule, settings->epochs, r->state.epoch, mq_loader_batches(l->loader),
                   rules);
    json_t *line = json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "epoch", r->state.epoch + 1, "lr",
                             rules[MQ_GROUP_WEIGHTS].lr, "loss", mq_scores_loss(trained), "extra_loss",
                             r->state.extra / (double)trained->images, "test_loss", mq_scores_loss(tested),
                             o->quality_name, mq_scores_quality(tested), "seconds", seconds);
    if (!line) return NULL;
    snprintf(name, sizeof name, "train_%s", o->quality_name);
    json_object_set_new(line, name, json_real(mq_scores_quality(trained)));
    for (int i = 0; i < MQ_LOSS_PARTS && o->part_names[i]; i++) {
        json_object_set_new(line, o->part_names[i], json_real(mq_scores_part(trained, i)));
        snprintf(name, sizeof name, "test_%s", o->part_names[i]);
        json_object_set_new(line, name, json_real(mq_scores_part(tested, i)));
    }
    if (r->net->task == MQ_TASK_DETECTION) json_object_set_new(line, "constant_iou", json_real(l->constant));
    return line;
}

static void log_epoch(const loop *l, const mq_scores *tested, double seconds) {
    const run *r = &l->run;
    char scores[256], constant[64] = "";
    scores_text(l->objective, &r->state.scores, scores, sizeof scores);
    if (r->net->task == MQ_TASK_DETECTION)
        snprintf(constant, sizeof constant, " (best constant box %.4f)", l->constant);
    mq_log(MQ_LOG_INFO, "epoch %d/%d: %s in training; test %s %.4f%s, %.1f s", r->state.epoch + 1,
           r->settings->epochs, scores, l->objective->quality_name, mq_scores_quality(tested), constant,
           seconds);
}

static mq_status finish_epoch(loop *l, const mq_dataset *test, double seconds, mq_error *error) {
    run *r = &l->run;
    mq_scores tested;
    MQ_TRY(mq_evaluate(r->model, test, &tested, NULL, error));
    if (!isfinite(tested.loss)) return test_not_finite(l, tested.loss, error);
    double quality = mq_scores_quality(&tested);
    r->state.quality = quality;
    r->state.loss = mq_scores_loss(&r->state.scores);
    json_t *line = metrics_line(l, &tested, seconds);
    if (!line) return mq_fail_memory(error, "a metrics line", 0);
    log_epoch(l, &tested, seconds);
    mq_status status = MQ_OK;
    if (r->hooks && r->hooks->epoch) status = r->hooks->epoch(r->hooks->context, r->model, line, error);
    if (status != MQ_OK) { /* the epoch is not finished: a resumed run ends it again */
        json_decref(line);
        return status;
    }
    bool better = quality > r->state.best;
    r->state.epoch++;
    r->state.step = 0;
    r->state.extra = 0;
    r->state.scores = (mq_scores){0};
    if (better) r->state.best = quality;
    /* last.safetensors comes last: until it is there, a resumed run repeats the epoch and writes the rest
     * again. */
    if (better) status = run_save(r, "best.safetensors", false, error);
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

static mq_status make_gathered(loop *l, mq_error *error) {
    int count;
    const mq_param *params = mq_model_params(l->run.model, &count);
    size_t total = 0;
    for (int i = 0; i < count; i++) total += params[i].grad ? params[i].count : 0;
    MQ_TRY(mq_alloc((size_t)count, sizeof *l->gathered, "gathered gradients", &l->gathered, error));
    MQ_TRY(mq_alloc(total, sizeof(float), "gathered gradients", &l->gathered_block, error));
    float *next = l->gathered_block;
    for (int i = 0; i < count; i++) {
        l->gathered[i] = next;
        next += params[i].grad ? params[i].count : 0;
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
    MQ_TRY(mq_optimizer_create(r->model, settings->method, &r->optimizer, error));
    if (settings->accumulate > 1) MQ_TRY(make_gathered(l, error));
    mq_model_initialise(r->model, settings->seed);
    if (settings->init && !run_goes_on(r)) MQ_TRY(run_init_from(r, error));
    bool resumed;
    MQ_TRY(run_open(r, &resumed, error));
    if (r->hooks && r->hooks->after_update) r->hooks->after_update(r->hooks->context, r->model);
    mq_model_touch(r->model);
    if (resumed)
        mq_log(MQ_LOG_INFO, "resumed %s after epoch %d, step %llu", settings->out, r->state.epoch,
               (unsigned long long)r->state.step);
    const uint64_t batches = (train->count + (size_t)options.batch - 1) / (size_t)options.batch;
    const uint64_t group = (uint64_t)settings->accumulate;
    if (r->hooks && r->hooks->begin)
        MQ_TRY(r->hooks->begin(r->hooks->context, r->model, (batches + group - 1) / group,
                               *mq_optimizer_updates(r->optimizer), error));
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
    mq_train_settings complete = *settings;
    if (settings->accumulate < 0)
        return mq_fail(error, MQ_USAGE, "--accumulate %d: at least 1 expected", settings->accumulate);
    if (!settings->accumulate) complete.accumulate = 1;
    settings = &complete;
    MQ_TRY(mq_check_dataset(net, train, error));
    MQ_TRY(mq_check_dataset(net, test, error));
    double start = mq_seconds();
    loop l = {.run = {.net = net, .settings = settings, .hooks = hooks, .state = {.best = -1}, .lock = -1},
              .images = train->count};
    mq_status status = mq_constant_box(test->targets, test->target_count, NULL, &l.constant, error);
    if (status == MQ_OK) status = prepare(&l, train, error);
    if (status == MQ_OK) status = run_epochs(&l, test, error);
    out->epochs = l.run.state.epoch;
    out->best = l.run.state.best;
    out->quality = l.run.state.quality;
    out->loss = l.run.state.loss;
    out->constant = l.constant;
    out->seconds = mq_seconds() - start;
    if (l.step_seconds > 0) out->images_per_second = (double)l.step_images / l.step_seconds;
    if (l.loader) out->loader_wait = mq_loader_stats_get(l.loader).wait_seconds;
    run_close(&l.run);
    mq_loader_stop(l.loader);
    mq_optimizer_destroy(l.run.optimizer);
    mq_model_destroy(l.run.model);
    mq_free(l.d_output);
    mq_free(l.gathered);
    mq_free(l.gathered_block);
    return status;
}
