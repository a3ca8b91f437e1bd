/* search_hooks.c - a search while it trains: prices, multiplier, annealing, and what is logged. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/bits_file.h"
#include "cli/search_run.h"
#include "train/chosen.h"

/* ---- updates ---- */

static mq_status begin(void *context, mq_model *model, uint64_t updates, uint64_t done, mq_error *error) {
    search_run *r = context;
    (void)error;
    r->epoch_updates = updates;
    r->updates = done;
    r->all_updates = updates * (uint64_t)r->settings.epochs;
    mq_target_length(&r->target, r->all_updates);
    if (done == 0) {
        mq_target_alphas alphas[MQ_MAX_LAYERS];
        mq_target_alphas_of(&r->search, model, alphas);
        mq_target_prior(alphas, r->search.cost.count, r->given.prior);
        mq_model_touch(model);
    }
    return MQ_OK;
}

static double part_done(const search_run *r) {
    return (double)r->updates / (double)r->all_updates;
}

static bool resting(const search_run *r) {
    return (double)r->updates < r->given.rest * (double)r->epoch_updates;
}

static void let_rest(mq_target_alphas *alphas, int count) {
    for (int n = 0; n < count; n++) {
        memset(alphas[n].weight_grad, 0, MQ_BRANCHES * sizeof(float));
        memset(alphas[n].activation_grad, 0, MQ_BRANCHES * sizeof(float));
    }
}

static double after_backward(void *context, mq_model *model) {
    search_run *r = context;
    const mq_search_prices *p = &r->search.prices;
    mq_target_alphas alphas[MQ_MAX_LAYERS];
    mq_cost_losses losses = mq_search_add_gradients(&r->search, model);
    double extra = p->complexity * losses.complexity + p->trivial * losses.trivial + p->bram * losses.bram;
    mq_target_alphas_of(&r->search, model, alphas);
    if (resting(r))
        let_rest(alphas, r->search.cost.count);
    else if (r->given.aim) {
        const mq_schedule *s = &r->settings.schedule;
        const int epoch = (int)(r->updates / r->epoch_updates);
        const double rate = s->alphas.lr * mq_cosine(epoch, r->settings.epochs, s->alphas_end);
        extra += mq_target_add_gradients(&r->target, alphas, rate, s->alphas.momentum);
    }
    r->updated = true;
    return extra;
}

static void after_update(void *context, mq_model *model) {
    search_run *r = context;
    mq_search_apply_fix(&r->search, model);
    if (!r->updated) return; /* parameters were loaded */
    r->updated = false;
    r->updates++;
    if (resting(r) || mq_anneal_bound(&r->given.anneal, part_done(r)) >= 1) return;
    mq_target_alphas alphas[MQ_MAX_LAYERS];
    mq_target_alphas_of(&r->search, model, alphas);
    const double mixed = mq_target_mixed(&r->target, alphas);
    mq_anneal_model(&r->given.anneal, &r->search, model, part_done(r));
    if (r->given.aim) mq_target_hold(&r->target, alphas, mixed);
}

/* ---- the choice ---- */

static double cost_of(const search_run *r, const mq_bits *bits) {
    double sum = 0;
    for (int n = 0; n < r->choices.count; n++) {
        const int l = r->search.cost.layer[n];
        sum += r->choices.cost[n][bits->weight[l] - MQ_SEARCH_MIN][bits->activation[l] - MQ_SEARCH_MIN];
    }
    return sum;
}

/* The last choice is worth more allocations. */
static mq_status choose_for_device(search_run *r, const mq_target_alphas *alphas, mq_error *error) {
    enum { ROUNDS = 2, LAST_ROUNDS = 6 };
    const bool last = r->updates == r->all_updates;
    mq_device_choice *best;
    MQ_TRY(mq_alloc(1, sizeof *best, "a choice", &best, error));
    const mq_device_target aim = search_run_device_target(r);
    mq_target_likelihood(&r->choices, alphas);
    mq_status status = mq_device_target_choose(&aim, &r->choices, r->target.state.cost,
                                               last ? LAST_ROUNDS : ROUNDS, last, best, error);
    if (status == MQ_OK && best->found) {
        r->bits = best->bits;
        r->next_cost = best->choice.cost;
        r->missed = best->missed;
        r->missed_bits = best->missed_bits;
    }
    mq_free(best);
    return status;
}

static mq_status choose_at_target(search_run *r, mq_model *model, mq_error *error) {
    mq_target_alphas alphas[MQ_MAX_LAYERS];
    mq_target_alphas_of(&r->search, model, alphas);
    r->largest_cost = cost_of(r, &r->bits);
    r->next_cost = r->target.state.cost;
    r->mixed_cost = mq_target_mixed(&r->target, alphas);
    mq_knapsack_choice choice;
    if (!r->given.device) {
        MQ_TRY(mq_target_choose(&r->target, alphas, &choice, error));
        if (choice.found) mq_knapsack_bits(&choice, &r->search.cost, &r->bits);
        return MQ_OK;
    }
    return choose_for_device(r, alphas, error);
}

/* ---- the end of an epoch ---- */

/* One line: every layer's bits with how undecided they are: w4.1 = 4 bits, 10 % of the largest entropy. */
static void log_choice(const search_run *r, mq_model *model) {
    char line[MQ_ERROR_TEXT] = "";
    const double most = 2.807354922057604; /* log2 of 7 branches */
    for (int i = 0; i < r->net->layer_count; i++) {
        if (r->net->layers[i].pinned) continue;
        double w, a;
        char item[96];
        mq_search_entropy(model, i, &w, &a);
        snprintf(item, sizeof item, "  %s w%d(%.2f)a%d(%.2f)", r->net->nodes[r->net->layers[i].node].name,
                 r->bits.weight[i], w / most, r->bits.activation[i], a / most);
        strncat(line, item, sizeof line - strlen(line) - 1);
    }
    char share[96] = "";
    if (r->search.cost.device)
        snprintf(share, sizeof share, ", %.1f %% of %s", 100 * r->cost.device_share, r->price.device);
    mq_log(MQ_LOG_INFO, "  bits (entropy, 1 = undecided):%s  | %.3f M DSP operations%s", line,
           r->cost.dsp_ops_M, share);
}

static void put(json_t *to, const char *key, double value) {
    json_object_set_new(to, key, json_real(value));
}

static void add_target(const search_run *r, json_t *metrics) {
    const mq_target_state *s = &r->target.state;
    const bool device = r->given.device != NULL;
    const double pinned = device ? r->price.pinned : 0, unit = device ? 100 : 1;
    const double chosen = cost_of(r, &r->bits);
    put(metrics, "multiplier", s->multiplier);
    put(metrics, "target_cost", s->cost + pinned);
    put(metrics, "mixed_cost", r->mixed_cost + pinned);
    put(metrics, "largest_cost", r->largest_cost + pinned);
    put(metrics, "chosen_cost", chosen + pinned);
    mq_log(MQ_LOG_INFO, "  target %.4g %s: mixed %.4g, largest alphas %.4g, chosen %.4g; multiplier %.4g",
           unit * (s->cost + pinned), device ? "% of the device" : "M DSP operations",
           unit * (r->mixed_cost + pinned), unit * (r->largest_cost + pinned), unit * (chosen + pinned),
           s->multiplier);
}

static mq_status measure_gap(const search_run *r, mq_model *model, json_t *metrics, mq_error *error) {
    const char *quality = mq_quality_name(r->net->task);
    mq_chosen_scores s;
    char name[64];
    MQ_TRY(mq_chosen_evaluate(model, &r->bits, r->settings.seed, r->train, r->test, &s, error));
    snprintf(name, sizeof name, "chosen_%s", quality);
    put(metrics, name, mq_scores_quality(&s.as_is));
    put(metrics, "chosen_loss", mq_scores_loss(&s.as_is));
    snprintf(name, sizeof name, "settled_%s", quality);
    put(metrics, name, mq_scores_quality(&s.settled));
    put(metrics, "settled_loss", mq_scores_loss(&s.settled));
    mq_log(MQ_LOG_INFO, "  these bits untrained: test %s %.4f, with batch norms settled %.4f", quality,
           mq_scores_quality(&s.as_is), mq_scores_quality(&s.settled));
    return MQ_OK;
}

static void add_entropies(const search_run *r, mq_model *model, json_t *metrics) {
    json_t *w_list = json_array(), *a_list = json_array();
    for (int i = 0; i < r->net->layer_count; i++) {
        if (r->net->layers[i].pinned) continue;
        double w, a;
        mq_search_entropy(model, i, &w, &a);
        json_array_append_new(w_list, json_real(w));
        json_array_append_new(a_list, json_real(a));
    }
    json_object_set_new(metrics, "entropy_w", w_list);
    json_object_set_new(metrics, "entropy_a", a_list);
}

static mq_status epoch(void *context, mq_model *model, json_t *metrics, mq_error *error) {
    search_run *r = context;
    mq_model_chosen_bits(model, &r->bits);
    if (r->given.aim) MQ_TRY(choose_at_target(r, model, error));
    r->chosen = true;
    MQ_TRY(mq_cost_at(&r->search.cost, r->net, &r->bits, &r->cost, error));
    mq_cost_losses terms = mq_search_terms(&r->search, model);
    log_choice(r, model);
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(r->net, &r->bits, bitw, bita);
    json_object_set_new(metrics, "bitw", json_string(bitw));
    json_object_set_new(metrics, "bita", json_string(bita));
    put(metrics, "dsp_ops_M", r->cost.dsp_ops_M);
    put(metrics, "bit_ops_M", r->cost.bit_ops_M);
    if (r->search.cost.device) put(metrics, "device_share", r->cost.device_share);
    put(metrics, "mix_dsp_ops_M", terms.mix_dsp_ops_M);
    put(metrics, "complexity", terms.complexity);
    put(metrics, "trivial", terms.trivial);
    put(metrics, "bram", terms.bram);
    add_entropies(r, model, metrics);
    if (r->given.aim) add_target(r, metrics);
    if (r->given.measure_gap) MQ_TRY(measure_gap(r, model, metrics, error));
    if (r->given.aim) r->target.state.cost = r->next_cost; /* last: an interrupted epoch ends again */
    return MQ_OK;
}

static json_t *make_bits(void *context, mq_model *model) {
    search_run *r = context;
    (void)model;
    return bits_file_make(r->net, &r->bits, &r->search.cost, r->factors.name);
}

static const mq_bits *chosen(void *context) {
    const search_run *r = context;
    return r->chosen ? &r->bits : NULL;
}

/* ---- the whole ---- */

/* Where the device is too small, the bits are still good for a larger one. */
static mq_status reach(search_run *r, mq_error *error) {
    if (!r->search.cost.device) return MQ_OK;
    const mq_device_target aim = search_run_device_target(r);
    MQ_TRY(mq_device_target_rate(&aim, &r->bits, &r->reached, error));
    if (search_run_target_met(r) || !r->missed) return MQ_OK;
    return mq_device_target_rate(&aim, &r->missed_bits, &r->beside, error);
}

mq_status search_run_train(search_run *r, const mq_dataset *train, const mq_dataset *test, mq_error *error) {
    mq_train_hooks hooks = {.context = r,
                            .begin = begin,
                            .after_backward = after_backward,
                            .after_update = after_update,
                            .epoch = epoch,
                            .bits = make_bits,
                            .chosen = chosen};
    if (r->given.aim) {
        hooks.memory = (double *)(void *)&r->target.state;
        hooks.memory_count = MQ_TARGET_NUMBERS;
    }
    r->train = train;
    r->test = test;
    MQ_TRY(mq_train(r->net, &r->settings, &hooks, train, test, &r->result, error));
    if (!mq_ranks_first(r->settings.model.ranks)) return MQ_OK;
    if (!r->chosen) { /* resumed after its last epoch */
        MQ_TRY(bits_file_read(r->settings.out, r->net, &r->bits, error));
        MQ_TRY(mq_cost_at(&r->search.cost, r->net, &r->bits, &r->cost, error));
        r->chosen = true;
    }
    return reach(r, error);
}

json_t *search_run_json(const search_run *r) {
    const mq_train_result *t = &r->result;
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT], text[512];
    mq_bits_text(r->net, &r->bits, bitw, bita);
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:s, s:i, s:f, s:f, s:f}", "out",
                             r->settings.out, "model", r->net->name, "bitw", bitw, "bita", bita, "dsp_ops_M",
                             r->cost.dsp_ops_M, "bit_ops_M", r->cost.bit_ops_M, "factors", r->factors.name,
                             "epochs", t->epochs, mq_quality_name(r->net->task), t->quality, "seconds",
                             t->seconds, "images_per_second", t->images_per_second);
    if (!root) return NULL;
    if (r->search.cost.device) {
        json_object_set_new(root, "device", json_string(r->price.device));
        put(root, "clock_mhz", r->price.clock_mhz);
        put(root, "target_fps", r->price.target_fps);
        put(root, "device_share", r->cost.device_share);
        put(root, "device_fps", r->reached);
    }
    if (r->given.target_dsp_ops > 0) put(root, "target_dsp_ops_M", r->given.target_dsp_ops);
    if (r->given.aim) {
        json_object_set_new(root, "target_met", json_boolean(search_run_target_met(r)));
        json_object_set_new(root, "target", json_string(search_run_target_text(r, text)));
    }
    run_add_ranks(root, r->settings.model.ranks, t);
    return run_add_constant(root, r->net, t->constant);
}

bool search_run_target_met(const search_run *r) {
    if (!r->given.aim) return true;
    const double tolerance = r->target.tolerance * (1 + 1e-9);
    if (r->given.device)
        return r->reached >= r->given.target_fps && r->reached <= (1 + tolerance) * r->given.target_fps;
    return r->cost.dsp_ops_M <= r->given.target_dsp_ops * (1 + 1e-9) &&
           r->cost.dsp_ops_M >= (1 - tolerance) * r->given.target_dsp_ops;
}

const char *search_run_target_text(const search_run *r, char text[512]) {
    const char *met = search_run_target_met(r) ? "met" : "not met within 3 %";
    text[0] = 0;
    if (!r->given.aim) return text;
    if (!r->given.device) {
        snprintf(text, 512, "target %g M DSP operations: %s, %+.2f %%", r->given.target_dsp_ops, met,
                 100 * (r->cost.dsp_ops_M / r->given.target_dsp_ops - 1));
        return text;
    }
    const double fps = r->given.target_fps;
    int n = snprintf(text, 512, "target %g frames a second: %s, %+.2f %%", fps, met,
                     100 * (r->reached / fps - 1));
    if (search_run_target_met(r)) return text;
    if (r->price.rate_above > (1 + r->target.tolerance) * fps)
        snprintf(text + n, 512 - (size_t)n, "; no stage of any bits works between %.1f and %.1f",
                 r->price.rate_below, r->price.rate_above);
    else if (r->beside > 0)
        snprintf(text + n, 512 - (size_t)n, "; the next choices with more bits reach %.1f", r->beside);
    return text;
}
