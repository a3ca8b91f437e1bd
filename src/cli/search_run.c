/* search_run.c - settings of a search, and what can be refused before it trains. */
#include "cli/search_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* ---- options ---- */

static mq_status read_anneal(const cli_args *args, search_settings *s, mq_error *error) {
    mq_anneal *a = &s->anneal;
    *a = (mq_anneal){.from = s->aim ? 0.4 : 1, .to = 0.95, .entropy = 0.05};
    MQ_TRY(cli_setting(args, "anneal", 0, 1, &a->from, error));
    MQ_TRY(cli_setting(args, "anneal_end", 0, 1, &a->to, error));
    MQ_TRY(cli_setting(args, "anneal_entropy", 0.001, 1, &a->entropy, error));
    a->on = a->from < 1;
    if (a->on && a->from >= a->to)
        return mq_fail(error, MQ_USAGE, "--set anneal=%g: less than anneal_end = %g expected", a->from,
                       a->to);
    return MQ_OK;
}

static mq_status check_options(const cli_args *args, const search_settings *s, mq_error *error) {
    const bool price = cli_value(args, "--cd") != NULL;
    if (s->target_dsp_ops > 0 && s->device)
        return mq_fail(error, MQ_USAGE,
                       "--target-dsp-ops and --device: one target expected, got both; --target-fps is the "
                       "target of a device");
    if (s->target_dsp_ops > 0 && price)
        return mq_fail(error, MQ_USAGE,
                       "--target-dsp-ops and --cd: the target finds the price itself, got both");
    if (!s->device && cli_value(args, "--clock"))
        return mq_fail(error, MQ_USAGE, "--clock: only with --device");
    if (!s->device && s->target_fps > 0) return mq_fail(error, MQ_USAGE, "--target-fps: only with --device");
    if (s->device && s->factors)
        return mq_fail(error, MQ_USAGE, "--device and --factors: one price expected, got both");
    return MQ_OK;
}

mq_status search_settings_read(const cli_args *args, run_setup *setup, search_settings *out,
                               mq_error *error) {
    mq_schedule *schedule = &setup->settings.schedule;
    mq_rule *alphas = &schedule->alphas;
    *out = (search_settings){.cd = 3e-5,
                             .factors = cli_value(args, "--factors"),
                             .fix = cli_value(args, "--fix"),
                             .device = cli_value(args, "--device"),
                             .measure_gap = cli_flag(args, "--measure-gap")};
    MQ_TRY(cli_double(args, "--cd", 0, 1e6, &out->cd, error));
    MQ_TRY(cli_double(args, "--cdt", 0, 1e6, &out->cdt, error));
    MQ_TRY(cli_double(args, "--bd", 0, 1e6, &out->bd, error));
    MQ_TRY(cli_double(args, "--clock", 1, 2000, &out->clock_mhz, error));
    MQ_TRY(cli_double(args, "--target-fps", 1e-3, 1e9, &out->target_fps, error));
    MQ_TRY(cli_double(args, "--target-dsp-ops", 1e-9, 1e12, &out->target_dsp_ops, error));
    MQ_TRY(check_options(args, out, error));
    out->aim = out->target_dsp_ops > 0 || (out->target_fps > 0 && !cli_value(args, "--cd"));
    if (out->aim) out->cd = 0;
    MQ_TRY(cli_double(args, "--lra", 0, 1e30, &alphas->lr, error));
    MQ_TRY(cli_setting(args, "alpha_momentum", 0, 0.9999, &alphas->momentum, error));
    MQ_TRY(cli_setting(args, "alpha_weight_decay", 0, 10, &alphas->decay, error));
    MQ_TRY(cli_setting(args, "lra_end", 0, 1, &schedule->alphas_end, error));
    MQ_TRY(cli_setting(args, "rest", 0, 1e6, &out->rest, error));
    out->prior = out->aim ? 1 : 0;
    MQ_TRY(cli_setting(args, "prior", 0, 20, &out->prior, error));
    MQ_TRY(read_anneal(args, out, error));
    setup->settings.model.mode = MQ_MODE_SEARCH;
    setup->settings.model.share = !cli_flag(args, "--no-share");
    return MQ_OK;
}

/* ---- settings that are stored ---- */

static mq_status add_json(json_t *to, json_t *more, mq_error *error) {
    mq_status status =
        more && json_object_update(to, more) == 0 ? MQ_OK : mq_fail_memory(error, "settings", 0);
    json_decref(more);
    return status;
}

static mq_status store(search_run *r, const json_t *base, mq_error *error) {
    const search_settings *g = &r->given;
    const mq_schedule *schedule = &r->settings.schedule;
    const mq_rule *alphas = &schedule->alphas;
    r->json = json_deep_copy(base);
    if (!r->json) return mq_fail_memory(error, "settings", 0);
    r->settings.settings = r->json;
    MQ_TRY(
        add_json(r->json,
                 json_pack("{s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:s?, s:f, s:f, s:b}", "mode",
                           "search", "share", (int)r->settings.model.share, "cd", g->cd, "cdt", g->cdt, "bd",
                           g->bd, "lra", alphas->lr, "alpha_momentum", alphas->momentum, "alpha_weight_decay",
                           alphas->decay, "lra_end", schedule->alphas_end, "factors", r->factors.name, "fix",
                           g->fix, "rest", g->rest, "prior", g->prior, "measure_gap", (int)g->measure_gap),
                 error));
    if (g->anneal.on)
        MQ_TRY(add_json(r->json,
                        json_pack("{s:f, s:f, s:f}", "anneal", g->anneal.from, "anneal_end", g->anneal.to,
                                  "anneal_entropy", g->anneal.entropy),
                        error));
    if (g->device)
        MQ_TRY(add_json(r->json,
                        json_pack("{s:s, s:f, s:f}", "device", r->device.name, "clock_mhz",
                                  r->price.clock_mhz, "target_fps", r->price.target_fps),
                        error));
    if (g->target_dsp_ops > 0)
        MQ_TRY(add_json(r->json, json_pack("{s:f}", "target_dsp_ops_M", g->target_dsp_ops), error));
    if (g->aim) MQ_TRY(add_json(r->json, json_pack("{s:b}", "target", 1), error));
    return MQ_OK;
}

/* ---- prices and targets ---- */

/* --device: complexity is its share. */
static mq_status open_device(search_run *r, mq_error *error) {
    const search_settings *g = &r->given;
    MQ_TRY(mq_device_open(g->device, &r->device, error));
    mq_log(MQ_LOG_INFO, "%s: pricing 2 to 8 bits of every layer", r->device.name);
    MQ_TRY(mq_device_price_make(r->net, r->settings.model.symmetric, &r->device, g->clock_mhz, g->target_fps,
                                &r->price, error));
    mq_cost_use_device(&r->search.cost, &r->price);
    mq_bits bits;
    mq_bits_uniform(r->net, 4, 4, &bits);
    mq_log(MQ_LOG_INFO, "%s at %g MHz, %.1f frames a second (%lld cycles): 4 bits everywhere take %.1f %%",
           r->device.name, r->price.clock_mhz, r->price.target_fps, (long long)r->price.cycles,
           100 * mq_device_price_at(&r->price, r->net, &bits));
    return MQ_OK;
}

static const char *but_fixed(const search_run *r) {
    return r->given.fix ? " but in the fixed layers" : "";
}

/* How the nearest possible target is to be given: rounded to the side that is possible. */
static double written(double value, double (*to)(double)) {
    const double digits = pow(10, 5 - ceil(log10(value)));
    return to(value * digits) / digits;
}

static mq_status check_dsp_target(search_run *r, mq_error *error) {
    const double target = r->given.target_dsp_ops;
    double least, most;
    mq_knapsack_range(&r->choices, &least, &most);
    if (target < least)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "--target-dsp-ops %g: out of reach: 2 bits everywhere%s take %.6g million DSP operations; "
            "the nearest possible target is %.5g",
            target, but_fixed(r), least, written(least, ceil));
    if (most < (1 - r->target.tolerance) * target)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "--target-dsp-ops %g: out of reach: 8 bits everywhere%s take %.6g million DSP operations; "
            "the nearest possible target is %.5g",
            target, but_fixed(r), most, written(most, ceil));
    mq_knapsack_choice *near;
    MQ_TRY(mq_alloc(1, sizeof *near, "a choice", &near, error));
    mq_status status = mq_knapsack_near(&r->choices, target, r->target.tolerance, near, error);
    const double cost = near->cost;
    mq_free(near);
    MQ_TRY(status);
    r->target.state.cost = target;
    if (cost >= (1 - r->target.tolerance) * target * (1 - 1e-9)) return MQ_OK;
    mq_log(MQ_LOG_WARN,
           "no bits take between %.5g and %.5g million DSP operations; the nearest below take %.5g",
           (1 - r->target.tolerance) * target, target, cost);
    r->target.state.cost = cost;
    return MQ_OK;
}

static void put_fixed(const search_run *r, mq_bits *bits) {
    for (int l = 0; l < r->net->layer_count; l++)
        if (r->search.fix.fixed[l]) {
            bits->weight[l] = r->search.fix.weight[l];
            bits->activation[l] = r->search.fix.activation[l];
        }
}

/* Bits everywhere that are not fixed. */
static mq_status rate_of(search_run *r, int width, double *fps, mq_error *error) {
    mq_bits bits;
    mq_bits_uniform(r->net, width, width, &bits);
    put_fixed(r, &bits);
    const mq_device_target aim = search_run_device_target(r);
    return mq_device_target_rate(&aim, &bits, fps, error);
}

/* 8 bits everywhere faster than the target: nothing has to be given up. */
static mq_status check_most_bits(search_run *r, mq_error *error) {
    const double target = r->given.target_fps;
    mq_bits bits;
    bool faster;
    double fps;
    mq_bits_uniform(r->net, MQ_BITS_MAX, MQ_BITS_MAX, &bits);
    put_fixed(r, &bits);
    MQ_TRY(mq_device_price_reaches(r->net, &bits, r->settings.model.symmetric, &r->device, r->price.clock_mhz,
                                   (1 + r->target.tolerance) * target, &faster, error));
    if (!faster) return MQ_OK;
    MQ_TRY(rate_of(r, MQ_BITS_MAX, &fps, error));
    return mq_fail(
        error, MQ_BAD_INPUT,
        "--target-fps %g: 8 bits everywhere%s reach %.6g frames a second on %s: no bits are so slow; "
        "the nearest possible target is %.5g",
        target, but_fixed(r), fps, r->device.name, written(fps, floor));
}

static mq_status out_of_reach(search_run *r, mq_error *error) {
    double fps;
    MQ_TRY(rate_of(r, MQ_SEARCH_MIN, &fps, error));
    if (!(fps > 0))
        return mq_fail(error, MQ_BAD_INPUT,
                       "--target-fps %g: %s is too small: 2 bits everywhere%s do not fit",
                       r->given.target_fps, r->device.name, but_fixed(r));
    return mq_fail(error, MQ_BAD_INPUT,
                   "--target-fps %g: out of reach: 2 bits everywhere%s reach %.6g frames a second on %s; the "
                   "nearest possible target is %.5g",
                   r->given.target_fps, but_fixed(r), fps, r->device.name, written(fps, floor));
}

/* Where the search shall go, before it knows what matters: bits spread evenly. */
static mq_status check_fps_target(search_run *r, mq_error *error) {
    enum { ROUNDS = 3 };
    const double target = r->given.target_fps, guess = 0.85 - r->price.pinned;
    mq_device_choice *even;
    MQ_TRY(check_most_bits(r, error));
    MQ_TRY(mq_alloc(1, sizeof *even, "a choice", &even, error));
    const mq_device_target aim = search_run_device_target(r);
    mq_device_target_even(&r->choices);
    mq_status status = mq_device_target_choose(&aim, &r->choices, guess, ROUNDS, false, even, error);
    if (status == MQ_OK && !even->found) status = out_of_reach(r, error);
    r->target.state.cost = even->choice.cost;
    mq_free(even);
    if (status == MQ_OK && r->price.rate_above > (1 + r->target.tolerance) * target)
        mq_log(
            MQ_LOG_WARN,
            "rates come in steps: no stage of any bits works at %g to %g frames a second; the next ones are "
            "%.1f and %.1f",
            target, (1 + r->target.tolerance) * target, r->price.rate_below, r->price.rate_above);
    return status;
}

mq_device_target search_run_device_target(const search_run *r) {
    return (mq_device_target){.net = r->net,
                              .device = &r->device,
                              .cost = &r->search.cost,
                              .symmetric = r->settings.model.symmetric,
                              .target_fps = r->given.target_fps,
                              .tolerance = r->target.tolerance};
}

static mq_status open_run(search_run *r, const run_setup *setup, mq_error *error) {
    const search_settings *g = &r->given;
    const double factor = setup->recipe->price;
    r->net = setup->net;
    r->settings = setup->settings;
    r->search.prices = (mq_search_prices){factor * g->cd, factor * g->cdt, factor * g->bd};
    MQ_TRY(mq_factors_load(g->factors ? g->factors : MQ_FACTORS_DEFAULT, &r->factors, error));
    MQ_TRY(mq_cost_create(r->net, &r->factors, &r->search.cost, error));
    if (g->fix) MQ_TRY(mq_search_parse_fix(r->net, g->fix, &r->search.fix, error));
    if (g->device) MQ_TRY(open_device(r, error));
    mq_knapsack_price(&r->choices, &r->search.cost, &r->search.fix);
    mq_target_start(&r->target, &r->choices, 0);
    if (g->aim) MQ_TRY(g->device ? check_fps_target(r, error) : check_dsp_target(r, error));
    return store(r, setup->json, error);
}

mq_status search_run_open(const run_setup *setup, const search_settings *settings, search_run **out,
                          mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof **out, "a search", out, error));
    (*out)->given = *settings;
    mq_status status = open_run(*out, setup, error);
    if (status != MQ_OK) {
        search_run_free(*out);
        *out = NULL;
    }
    return status;
}

void search_run_free(search_run *run) {
    if (!run) return;
    json_decref(run->json);
    mq_free(run);
}
