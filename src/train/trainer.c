/* trainer.c - the loop: batches, steps, epochs, checkpoints. */
#include "train/trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/stop.h"
#include "data/loader.h"
#include "data/share.h"
#include "detect/constant_box.h"
#include "train/evaluate.h"
#include "train/exchange.h"
#include "train/state.h"
#include "train/together.h"

typedef struct loop {
    run run;
    mq_ranks *ranks; /* NULL: one process */
    mq_exchange *exchange;
    mq_status late; /* what ranks have not agreed on yet: how the last update ended here */
    mq_loader *loader;
    const mq_objective *objective;
    size_t images, batch; /* of the training set, of a full batch */
    float *d_output;
    float **gathered; /* [parameter] gradients of the batches so far; NULL when every batch is an update */
    float *gathered_block;
    double constant;     /* detection: mean IoU of the best constant box over the test images */
    double step_seconds; /* spent in steps by this call */
    uint64_t step_images, steps;
    mq_ranks_stats used; /* in these steps */
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
    size_t each = l->batch;
    size_t group = (size_t)l->run.settings->accumulate;
    size_t first = (size_t)batch / group * group * each, most = group * each;
    return l->images - first < most ? l->images - first : most;
}

/* The batch under way among those that share its update. */
typedef struct gathering {
    loop *l;
    float factor;
    bool first, more; /* of the batches; kept for the next one */
} gathering;

/* A mean over all images of an update weighs every batch by its images. */
static gathering gathering_of(loop *l, const mq_batch *batch, bool complete) {
    const run *r = &l->run;
    const double share = (double)batch->total / (double)group_images(l, r->state.step);
    return (gathering){l, l->objective->mean ? (float)share : 1,
                       r->state.step % (uint64_t)r->settings->accumulate == 0, !complete};
}

/* grad = factor * grad + what was gathered. */
static void gather(void *context, int i) {
    const gathering *g = context;
    const loop *l = g->l;
    int count;
    const mq_param *params = mq_model_params(l->run.model, &count);
    if (!l->gathered) return;
    float *sum = l->gathered[i], *grad = params[i].grad;
    for (size_t e = 0; grad && e < params[i].count; e++) {
        grad[e] = g->factor * grad[e] + (g->first ? 0 : sum[e]);
        if (g->more) sum[e] = grad[e];
    }
}

/* The gradients of an update are complete, on all ranks, after its last batch. */
static mq_status backward(loop *l, const mq_batch *batch, bool complete, mq_error *error) {
    gathering g = gathering_of(l, batch, complete);
    if (complete && l->exchange) return mq_exchange_backward(l->exchange, l->d_output, gather, &g, error);
    MQ_TRY(mq_model_backward(l->run.model, l->d_output, error));
    int count;
    mq_model_params(l->run.model, &count);
    for (int i = 0; i < count; i++) gather(&g, i);
    return MQ_OK;
}

/* The loss of the total batch: scores, and whether any rank is to stop. */
static mq_status score(loop *l, const float *output, const mq_batch *batch, bool *stop, mq_error *error) {
    run *r = &l->run;
    mq_scores own = {0};
    double told[2 + MQ_SCORES_VALUES];
    double loss =
        l->objective->loss(r->net, output, batch, l->d_output, l->ranks ? &own : &r->state.scores, NULL);
    mq_status status = isfinite(loss) ? MQ_OK : not_finite(l, loss, error);
    if (!l->ranks) return status;
    told[0] = status != MQ_OK;
    told[1] = mq_stop_requested();
    mq_scores_values(&own, told + 2);
    MQ_TRY(mq_ranks_sum(l->ranks, told, 2 + MQ_SCORES_VALUES, error));
    if (told[0] > 0) return mq_ranks_agree(l->ranks, status, error);
    *stop = told[1] > 0;
    mq_scores_add(l->objective, &r->state.scores, told + 2);
    return MQ_OK;
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

static mq_status step(loop *l, const mq_batch *batch, bool last, const mq_rule rules[MQ_GROUPS], bool *stop,
                      mq_error *error) {
    run *r = &l->run;
    const float *output;
    bool complete = last || (r->state.step + 1) % (uint64_t)r->settings->accumulate == 0;
    MQ_TRY(mq_model_forward(r->model, batch->images, (int)batch->count, true, &output, error));
    MQ_TRY(score(l, output, batch, stop, error));
    MQ_TRY(backward(l, batch, complete, error));
    mq_status status = complete ? update(l, group_images(l, r->state.step), rules, error) : MQ_OK;
    if (!l->ranks) {
        MQ_TRY(status);
        *stop = mq_stop_requested();
    }
    l->late = status;
    r->state.step++;
    return MQ_OK;
}

/* The next batch, of which *room holds what a share must know of the whole; NULL at the epoch's end. */
static mq_status next_batch(loop *l, mq_batch *room, const mq_batch **out, mq_error *error) {
    mq_status status = l->late;
    const mq_batch *batch = status == MQ_OK ? mq_loader_next(l->loader) : NULL;
    if (!batch && status == MQ_OK) status = mq_loader_status(l->loader, error);
    *out = batch;
    if (!l->ranks) return status;
    double told[] = {status != MQ_OK, batch ? (double)batch->target_count : 0};
    MQ_TRY(mq_ranks_sum(l->ranks, told, 2, error));
    if (told[0] > 0) return mq_ranks_agree(l->ranks, status, error);
    if (!batch) return MQ_OK;
    *room = *batch;
    room->target_total = (size_t)told[1];
    *out = room;
    return MQ_OK;
}

/* Rank 0 writes; all know whether it worked. */
static mq_status save(loop *l, mq_error *error) {
    mq_status status = MQ_OK;
    if (mq_ranks_first(l->ranks)) status = run_save(&l->run, "last.safetensors", true, error);
    return mq_ranks_agree(l->ranks, status, error);
}

static bool between_updates(const loop *l) {
    return l->run.state.step % (uint64_t)l->run.settings->accumulate == 0;
}

MQ_PRINTF(3, 4)
static mq_status interrupted(const loop *l, mq_error *error, const char *format, ...) {
    char text[MQ_ERROR_TEXT];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    return mq_ranks_agree(l->ranks, mq_fail(error, MQ_INTERRUPTED, "%s", text), error);
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

static void add_stats(mq_ranks_stats *to, mq_ranks_stats now, mq_ranks_stats before) {
    to->blocked += now.blocked - before.blocked;
    to->finish += now.finish - before.finish;
    to->started += now.started - before.started;
    to->summed += now.summed - before.summed;
    to->sums += now.sums - before.sums;
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
        return mq_ranks_agree(
            l->ranks,
            mq_fail(error, MQ_BAD_INPUT,
                    "cannot resume %s at step %llu of an epoch: the data set gives %zu steps", settings->out,
                    (unsigned long long)r->state.step, batches),
            error);
    for (uint64_t skipped = 0; skipped < r->state.step; skipped++)
        if (!mq_loader_next(l->loader)) break;
    char what[32];
    snprintf(what, sizeof what, "epoch %d/%d", r->state.epoch + 1, settings->epochs);
    double start = mq_seconds();
    mq_ranks_stats before = mq_ranks_stats_get(l->ranks);
    uint64_t images = 0;
    l->late = MQ_OK;
    for (;;) {
        const mq_batch *batch;
        mq_batch room;
        bool stop = false;
        MQ_TRY(next_batch(l, &room, &batch, error));
        if (!batch) break;
        MQ_TRY(step(l, batch, r->state.step + 1 == batches, rules, &stop, error));
        images += batch->total;
        l->steps++;
        char scores[256];
        scores_text(l->objective, &r->state.scores, scores, sizeof scores);
        mq_progress(what, r->state.step, batches, "%s, %.0f images/s", scores,
                    (double)images / (mq_seconds() - start));
        if (stop && r->state.step < batches && between_updates(l)) {
            MQ_TRY(mq_ranks_agree(l->ranks, l->late, error));
            MQ_TRY(save(l, error));
            return interrupted(l, error,
                               "interrupted at epoch %d, step %llu of %zu; saved: go on with --resume",
                               r->state.epoch + 1, (unsigned long long)r->state.step, batches);
        }
    }
    l->step_seconds += mq_seconds() - start;
    add_stats(&l->used, mq_ranks_stats_get(l->ranks), before);
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
        MQ_TRY(run_epoch(l, error));
        mq_status status = finish_epoch(l, test, mq_seconds() - start, error);
        if (status == MQ_INTERRUPTED) {
            /* stopped while testing: the epoch's steps are done, only its test is repeated */
            MQ_TRY(save(l, error));
            return interrupted(l, error,
                               "interrupted after the steps of epoch %d; saved: go on with --resume",
                               r->state.epoch + 1);
        }
        MQ_TRY(status);
        bool stop;
        MQ_TRY(together_stop(l->ranks, &stop, error));
        if (stop && r->state.epoch < r->settings->epochs)
            return interrupted(l, error, "interrupted after epoch %d of %d; saved: go on with --resume",
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
    if (resumed)
        mq_log(MQ_LOG_INFO, "resumed %s after epoch %d, step %llu", r->settings->out, r->state.epoch,
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
