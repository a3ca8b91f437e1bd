/* epoch.c - batches, steps, and gradients gathered over several batches. */
#include "train/epoch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/stop.h"

const char *epoch_advice(const loop *l, char *text, size_t size) {
    if (l->run.state.epoch == 0) return "Try a smaller --lr";
    snprintf(text, size, "Checkpoints of finished epochs are kept in %s; try a smaller --lr",
             l->run.settings->out);
    return text;
}

static mq_status diverged(const loop *l, const char *param, mq_error *error) {
    char advice[MQ_ERROR_TEXT];
    return mq_fail(error, MQ_CHECK_FAILED,
                   "training diverged at epoch %d, step %llu: %s is not finite any more. %s",
                   l->run.state.epoch + 1, (unsigned long long)l->run.state.step + 1, param,
                   epoch_advice(l, advice, sizeof advice));
}

static mq_status not_finite(const loop *l, double loss, mq_error *error) {
    const char *where = mq_model_find_nonfinite(l->run.model);
    char advice[MQ_ERROR_TEXT];
    return mq_fail(error, MQ_CHECK_FAILED,
                   "the loss is %s at epoch %d, step %llu; first value that is not finite: %s. %s",
                   isnan(loss) ? "NaN" : "infinite", l->run.state.epoch + 1,
                   (unsigned long long)l->run.state.step + 1, where ? where : "the loss itself",
                   epoch_advice(l, advice, sizeof advice));
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

mq_status epoch_save(loop *l, mq_error *error) {
    mq_status status = MQ_OK;
    if (mq_ranks_first(l->ranks)) status = run_save(&l->run, "last.safetensors", true, error);
    return mq_ranks_agree(l->ranks, status, error);
}

static bool between_updates(const loop *l) {
    return l->run.state.step % (uint64_t)l->run.settings->accumulate == 0;
}

mq_status epoch_interrupted(const loop *l, mq_error *error, const char *format, ...) {
    char text[MQ_ERROR_TEXT];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    return mq_ranks_agree(l->ranks, mq_fail(error, MQ_INTERRUPTED, "%s", text), error);
}

void epoch_scores_text(const mq_objective *objective, const mq_scores *s, char *text, size_t size) {
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

mq_status epoch_steps(loop *l, mq_error *error) {
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
        epoch_scores_text(l->objective, &r->state.scores, scores, sizeof scores);
        mq_progress(what, r->state.step, batches, "%s, %.0f images/s", scores,
                    (double)images / (mq_seconds() - start));
        if (stop && r->state.step < batches && between_updates(l)) {
            MQ_TRY(mq_ranks_agree(l->ranks, l->late, error));
            MQ_TRY(epoch_save(l, error));
            return epoch_interrupted(l, error,
                                     "interrupted at epoch %d, step %llu of %zu; saved: go on with --resume",
                                     r->state.epoch + 1, (unsigned long long)r->state.step, batches);
        }
    }
    l->step_seconds += mq_seconds() - start;
    add_stats(&l->used, mq_ranks_stats_get(l->ranks), before);
    l->step_images += images;
    return MQ_OK;
}
