/* trainer.c - the loop: what a run needs, its epochs, their tests and checkpoints. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/stop.h"
#include "base/text.h"
#include "data/share.h"
#include "detect/constant_box.h"
#include "train/epoch.h"
#include "train/evaluate.h"
#include "train/together.h"

static mq_status test_not_finite(const loop *l, double loss, mq_error *error) {
    const char *where = mq_model_find_nonfinite(l->run.model);
    char advice[MQ_ERROR_TEXT];
    return mq_fail(error, MQ_CHECK_FAILED,
                   "the test loss is %s after the steps of epoch %d; first value that is not finite: %s. %s",
                   isnan(loss) ? "NaN" : "infinite", l->run.state.epoch + 1,
                   where ? where : "the loss itself", epoch_advice(l, advice, sizeof advice));
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
    epoch_scores_text(l->objective, &r->state.scores, scores, sizeof scores);
    if (r->net->task == MQ_TASK_DETECTION)
        snprintf(constant, sizeof constant, " (best constant box %.4f)", l->constant);
    mq_log(MQ_LOG_INFO, "epoch %d/%d: %s in training; test %s %.4f%s, %.1f s", r->state.epoch + 1,
           r->settings->epochs, scores, l->objective->quality_name, mq_scores_quality(tested), constant,
           seconds);
}

/* last.safetensors comes last: until it is there, a resumed run repeats the epoch and writes the rest again.
 */
static mq_status write_epoch(const run *r, const json_t *line, bool better, mq_error *error) {
    if (better) MQ_TRY(run_save(r, "best.safetensors", false, error));
    MQ_TRY(run_append_metrics(r, line, error));
    MQ_TRY(run_write_bits(r, error));
    return run_save(r, "last.safetensors", true, error);
}

static mq_status finish_epoch(loop *l, const mq_dataset *test, double seconds, mq_error *error) {
    run *r = &l->run;
    mq_scores tested;
    MQ_TRY(mq_evaluate(r->model, test, &tested, NULL, error));
    if (!isfinite(tested.loss))
        return mq_ranks_agree(l->ranks, test_not_finite(l, tested.loss, error), error);
    double quality = mq_scores_quality(&tested);
    r->state.quality = quality;
    r->state.loss = mq_scores_loss(&r->state.scores);
    json_t *line = metrics_line(l, &tested, seconds);
    mq_status status = line ? MQ_OK : mq_fail_memory(error, "a metrics line", 0);
    log_epoch(l, &tested, seconds);
    if (status == MQ_OK && r->hooks && r->hooks->epoch)
        status = r->hooks->epoch(r->hooks->context, r->model, line, error);
    status = mq_ranks_agree(l->ranks, status, error);
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
    if (mq_ranks_first(l->ranks)) status = write_epoch(r, line, better, error);
    json_decref(line);
    MQ_TRY(mq_ranks_agree(l->ranks, status, error));
    return together_again(r, error);
}

static mq_status run_epochs(loop *l, const mq_dataset *test, mq_error *error) {
    run *r = &l->run;
    while (r->state.epoch < r->settings->epochs) {
        double start = mq_seconds();
        MQ_TRY(epoch_steps(l, error));
        mq_status status = finish_epoch(l, test, mq_seconds() - start, error);
        if (status == MQ_INTERRUPTED) {
            /* stopped while testing: the epoch's steps are done, only its test is repeated */
            MQ_TRY(epoch_save(l, error));
            return epoch_interrupted(l, error,
                                     "interrupted after the steps of epoch %d; saved: go on with --resume",
                                     r->state.epoch + 1);
        }
        MQ_TRY(status);
        bool stop;
        MQ_TRY(together_stop(l->ranks, &stop, error));
        if (stop && r->state.epoch < r->settings->epochs)
            return epoch_interrupted(l, error, "interrupted after epoch %d of %d; saved: go on with --resume",
                                     r->state.epoch, r->settings->epochs);
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

/* What each rank has of its own. */
static mq_status make_parts(loop *l, mq_error *error) {
    run *r = &l->run;
    const mq_train_settings *settings = r->settings;
    mq_model_options options = settings->model;
    options.training = true;
    options.batch = (int)mq_share_most(l->batch, mq_ranks_count(l->ranks));
    MQ_TRY(mq_objective_for(r->net, &l->objective, error));
    MQ_TRY(check_last_batch(r->net, l->images, l->batch, error));
    MQ_TRY(mq_model_create(r->net, &options, &r->model, error));
    MQ_TRY(mq_optimizer_create(r->model, settings->method, &r->optimizer, error));
    if (settings->accumulate > 1) MQ_TRY(make_gathered(l, error));
    if (l->ranks) MQ_TRY(mq_exchange_create(r->model, MQ_EXCHANGE_BYTES, &l->exchange, error));
    const mq_node *output = mq_net_output(r->net);
    return mq_alloc((size_t)options.batch * (size_t)(output->h * output->w * output->c), sizeof(float),
                    "the loss gradient", &l->d_output, error);
}

/* Where the run begins, from the folder. */
static mq_status open_folder(run *r, bool *resumed, mq_error *error) {
    if (r->settings->init && !run_goes_on(r)) MQ_TRY(run_init_from(r, error));
    return run_open(r, resumed, error);
}

static mq_status start_loader(loop *l, const mq_dataset *train, mq_error *error) {
    const mq_train_settings *settings = l->run.settings;
    mq_loader_options loading = {.batch = (int)l->batch,
                                 .share = mq_ranks_number(l->ranks),
                                 .shares = mq_ranks_count(l->ranks),
                                 .seed = settings->seed,
                                 .augment = settings->augment,
                                 .shuffle = true};
    return mq_loader_start(train, &loading, &l->loader, error);
}

static mq_status begin_hooks(loop *l, mq_error *error) {
    const run *r = &l->run;
    const uint64_t batches = (l->images + l->batch - 1) / l->batch;
    const uint64_t group = (uint64_t)r->settings->accumulate;
    if (!r->hooks || !r->hooks->begin) return MQ_OK;
    return r->hooks->begin(r->hooks->context, r->model, (batches + group - 1) / group,
                           *mq_optimizer_updates(r->optimizer), error);
}

static mq_status prepare(loop *l, const mq_dataset *train, mq_error *error) {
    run *r = &l->run;
    bool resumed = false;
    MQ_TRY(mq_ranks_agree(l->ranks, make_parts(l, error), error));
    mq_model_initialise(r->model, r->settings->seed);
    mq_status status = mq_ranks_first(l->ranks) ? open_folder(r, &resumed, error) : MQ_OK;
    MQ_TRY(mq_ranks_agree(l->ranks, status, error));
    MQ_TRY(together_begin(r, &resumed, error));
    if (r->hooks && r->hooks->after_update) r->hooks->after_update(r->hooks->context, r->model);
    mq_model_touch(r->model);
    if (resumed && r->state.epoch == r->settings->epochs)
        mq_log(MQ_LOG_INFO, "%s was at its end: %d epoch%s", r->settings->out, r->state.epoch,
               mq_s((uint64_t)r->state.epoch));
    else if (resumed)
        mq_log(MQ_LOG_INFO, "resumed %s at epoch %d, step %llu", r->settings->out, r->state.epoch + 1,
               (unsigned long long)r->state.step);
    MQ_TRY(mq_ranks_agree(l->ranks, begin_hooks(l, error), error));
    return mq_ranks_agree(l->ranks, start_loader(l, train, error), error);
}

/* What is wrong before anything is made. */
static mq_status check_call(const loop *l, const mq_dataset *train, const mq_dataset *test, mq_error *error) {
    const mq_train_settings *settings = l->run.settings;
    const int ranks = mq_ranks_count(l->ranks);
    if (settings->epochs < 1)
        return mq_fail(error, MQ_USAGE, "--epochs %d: at least 1 expected", settings->epochs);
    if (settings->batch < 1)
        return mq_fail(error, MQ_USAGE, "--batch %d: at least 1 expected", settings->batch);
    if (settings->accumulate < 0)
        return mq_fail(error, MQ_USAGE, "--accumulate %d: at least 1 expected", settings->accumulate);
    if (l->batch < (size_t)ranks)
        return mq_fail(error, MQ_USAGE,
                       "--batch %d and %zu training images: fewer than the %d ranks, which each need one of "
                       "a batch",
                       settings->batch, train->count, ranks);
    MQ_TRY(mq_check_dataset(l->run.net, train, error));
    return mq_check_dataset(l->run.net, test, error);
}

static mq_status run_all(loop *l, const mq_dataset *train, const mq_dataset *test, mq_error *error) {
    const mq_train_settings *settings = l->run.settings;
    MQ_TRY(mq_ranks_agree(l->ranks, check_call(l, train, test, error), error));
    mq_ranks_work(l->ranks, true);
    MQ_TRY(together_check(l->ranks, l->run.net, settings, train, test, error));
    mq_status status = mq_constant_box(test->targets, test->target_count, NULL, &l->constant, error);
    MQ_TRY(mq_ranks_agree(l->ranks, status, error));
    MQ_TRY(prepare(l, train, error));
    MQ_TRY(run_epochs(l, test, error));
    mq_ranks_work(l->ranks, false);
    return MQ_OK;
}

static void report(const loop *l, double start, mq_train_result *out) {
    const run_state *state = &l->run.state;
    out->epochs = state->epoch;
    out->best = state->best;
    out->quality = state->quality;
    out->loss = state->loss;
    out->constant = l->constant;
    out->seconds = mq_seconds() - start;
    if (l->step_seconds > 0) out->images_per_second = (double)l->step_images / l->step_seconds;
    if (l->loader) out->loader_wait = mq_loader_stats_get(l->loader).wait_seconds;
    out->steps = l->steps;
    out->step_seconds = l->step_seconds;
    out->ranks = l->used;
}

mq_status mq_train(const mq_net *net, const mq_train_settings *settings, const mq_train_hooks *hooks,
                   const mq_dataset *train, const mq_dataset *test, mq_train_result *out, mq_error *error) {
    *out = (mq_train_result){0};
    mq_train_settings complete = *settings;
    if (!settings->accumulate) complete.accumulate = 1;
    double start = mq_seconds();
    const size_t batch = settings->batch > 0 ? (size_t)settings->batch : 0;
    loop l = {.run = {.net = net, .settings = &complete, .hooks = hooks, .state = {.best = -1}, .lock = -1},
              .ranks = settings->model.ranks,
              .images = train->count,
              .batch = batch < train->count ? batch : train->count};
    mq_status status = run_all(&l, train, test, error);
    report(&l, start, out);
    run_close(&l.run);
    mq_loader_stop(l.loader);
    mq_exchange_destroy(l.exchange);
    mq_optimizer_destroy(l.run.optimizer);
    mq_model_destroy(l.run.model);
    mq_free(l.d_output);
    mq_free(l.gathered);
    mq_free(l.gathered_block);
    return status;
}
