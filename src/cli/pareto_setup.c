/* pareto_setup.c - options of a sweep. */
#include "cli/pareto_setup.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"

/* The names of PARETO_OPTIONS. */
static const cli_option KEPT[] = {PARETO_OPTIONS, {NULL, NULL, NULL}};
static const char *const DEFAULT_PRICES = "3e-6,1e-5,3e-5,1e-4,3e-4", *const DEFAULT_WIDTHS = "2,3,4,5,6,7,8";
#define TOLERANCE 0.03 /* of a target, as of a search */
enum { CALIBRATION = 1024, CALIBRATION_DETECTOR = 256 };

bool pareto_given(const cli_args *args, const char **first) {
    *first = NULL;
    for (int i = 0; KEPT[i].name && !*first; i++)
        if (cli_value(args, KEPT[i].name)) *first = KEPT[i].name;
    if (!*first && cli_value(args, "--seed")) *first = "--seed";
    if (!*first && args->set_count) *first = "--set";
    return *first != NULL;
}

bool pareto_any_build(const cli_args *args) {
    return cli_flag(args, "--other-build") || cli_flag(args, "--collect"); /* which trains nothing */
}

/* The options as they are to be read again: the precision decided, so that all machines have one. */
static mq_status keep_words(pareto_setup *s, mq_error *error) {
    const cli_args *args = &s->args;
    s->words = json_array();
    if (!s->words) return mq_fail_memory(error, "options", 0);
    for (int i = 0; KEPT[i].name; i++) {
        const char *value = cli_value(args, KEPT[i].name);
        if (strcmp(KEPT[i].name, "--precision") == 0) value = s->precision;
        if (!value) continue;
        json_array_append_new(s->words, json_string(KEPT[i].name));
        if (KEPT[i].argument) json_array_append_new(s->words, json_string(value));
    }
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)args->seed);
    json_array_append_new(s->words, json_string("--seed"));
    json_array_append_new(s->words, json_string(seed));
    for (int i = 0; i < args->set_count; i++) {
        json_array_append_new(s->words, json_string("--set"));
        json_array_append_new(s->words, json_string(args->set[i]));
    }
    return MQ_OK;
}

static mq_status read_numbers(pareto_setup *s, mq_error *error) {
    const cli_args *args = &s->args;
    static const char *const train[] = {"front", "all", NULL}, *const start[] = {"scratch", "own", NULL};
    int64_t seeds = 1;
    int which = 0, from = 0;
    s->search_epochs = s->recipe->search_epochs;
    s->epochs = s->recipe->train_epochs;
    s->batch = s->recipe->batch;
    s->calibration = s->net->task == MQ_TASK_DETECTION ? CALIBRATION_DETECTOR : CALIBRATION;
    MQ_TRY(cli_int(args, "--seeds", 1, 1000, &seeds, error));
    MQ_TRY(cli_int(args, "--search-epochs", 1, 1000000, &s->search_epochs, error));
    MQ_TRY(cli_int(args, "--epochs", 1, 1000000, &s->epochs, error));
    s->pretrain_epochs = s->search_epochs;
    MQ_TRY(cli_int(args, "--pretrain-epochs", 1, 1000000, &s->pretrain_epochs, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &s->batch, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &s->limit, error));
    MQ_TRY(cli_int(args, "--calibration", 1, INT32_MAX, &s->calibration, error));
    MQ_TRY(cli_choice(args, "--train", train, &which, error));
    MQ_TRY(cli_choice(args, "--start", start, &from, error));
    s->front = which == 0;
    s->own = from == 1;
    s->plan.seed = args->seed;
    s->plan.seeds = (int)seeds;
    mq_dtype compute;
    MQ_TRY(run_precision(args, &compute, error));
    snprintf(s->precision, sizeof s->precision, "%s", compute == MQ_BF16 ? "bf16" : "f32");
    return MQ_OK;
}

static mq_status read_device(pareto_setup *s, mq_error *error) {
    const char *name = cli_value(&s->args, "--device");
    if (!name && cli_value(&s->args, "--clock"))
        return mq_fail(error, MQ_USAGE, "--clock: only with --device");
    if (!name) return MQ_OK;
    MQ_TRY(cli_double(&s->args, "--clock", 1, 2000, &s->clock_mhz, error));
    s->has_device = true;
    return mq_device_open(name, &s->device, error);
}

/* ---- lists ---- */

static double cost_of(const pareto_setup *s, int width) {
    mq_bits bits;
    mq_cost_report report = {0};
    mq_bits_uniform(s->net, width, width, &bits);
    return mq_cost_at(&s->cost, s->net, &bits, &report, NULL) == MQ_OK ? report.dsp_ops_M : NAN;
}

/* What sensitivity aims at; a search checks its targets itself. */
static mq_status check_budgets(const pareto_setup *s, mq_error *error) {
    mq_knapsack *knapsack;
    double least, most;
    MQ_TRY(mq_alloc(1, sizeof *knapsack, "a knapsack", &knapsack, error));
    mq_knapsack_price(knapsack, &s->cost, NULL);
    mq_knapsack_range(knapsack, &least, &most);
    mq_free(knapsack);
    for (int i = 0; i < s->plan.targets.count; i++) {
        const double target = s->plan.targets.value[i];
        if (target >= least && target * (1 - TOLERANCE) <= most) continue;
        const bool low = target < least;
        const double nearest = low ? least : most, digits = pow(10, 5 - ceil(log10(nearest)));
        return mq_fail(
            error, MQ_BAD_INPUT,
            "--target-dsp-ops %g: out of reach: %d bits everywhere take %.6g million DSP operations "
            "(%s table); the nearest possible target is %.5g",
            target, low ? MQ_SEARCH_MIN : MQ_BITS_MAX, nearest, s->factors.name,
            (low ? ceil(nearest * digits) : floor(nearest * digits)) / digits);
    }
    return MQ_OK;
}

/* Without targets sensitivity spends what uniform bits do. */
static void budgets_of_widths(pareto_setup *s) {
    mq_sweep_plan *plan = &s->plan;
    for (int i = 0; i < plan->widths.count; i++) {
        const double budget = cost_of(s, (int)plan->widths.value[i]);
        bool there = false;
        for (int k = 0; k < plan->budgets.count; k++)
            there |= fabs(plan->budgets.value[k] - budget) < 1e-6 * budget;
        if (!there) plan->budgets.value[plan->budgets.count++] = budget;
    }
}

static mq_status read_lists(pareto_setup *s, mq_error *error) {
    const cli_args *args = &s->args;
    mq_sweep_plan *plan = &s->plan;
    const char *methods = cli_value(args, "--methods"), *prices = cli_value(args, "--cd"),
               *published = cli_value(args, "--published-cd"), *targets = cli_value(args, "--target-dsp-ops"),
               *rates = cli_value(args, "--target-fps"), *widths = cli_value(args, "--uniform-bits");
    MQ_TRY(mq_sweep_parse_methods(methods ? methods : "search", plan, error));
    const struct {
        const char *option;
        bool used;
    } wanted[] = {
        {"--cd", plan->method[MQ_SWEEP_SEARCH] || plan->method[MQ_SWEEP_PUBLISHED]},
        {"--published-cd", plan->method[MQ_SWEEP_PUBLISHED]},
        {"--target-dsp-ops", plan->method[MQ_SWEEP_SEARCH] || plan->method[MQ_SWEEP_SENSITIVITY]},
        {"--target-fps", plan->method[MQ_SWEEP_SEARCH]},
        {"--measure-gap", plan->method[MQ_SWEEP_SEARCH] || plan->method[MQ_SWEEP_PUBLISHED]},
        {"--uniform-bits", plan->method[MQ_SWEEP_UNIFORM] || plan->method[MQ_SWEEP_SENSITIVITY]},
        {"--calibration", plan->method[MQ_SWEEP_SENSITIVITY]},
        {"--pretrain-epochs", plan->method[MQ_SWEEP_SENSITIVITY] || s->own},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (cli_value(args, wanted[i].option) && !wanted[i].used)
            return mq_fail(error, MQ_USAGE, "%s: none of the methods uses it", wanted[i].option);
    if (targets) MQ_TRY(mq_sweep_parse_list("--target-dsp-ops", targets, 1e-9, 1e12, &plan->targets, error));
    if (rates && !s->has_device) return mq_fail(error, MQ_USAGE, "--target-fps: only with --device");
    if (rates) MQ_TRY(mq_sweep_parse_list("--target-fps", rates, 1e-3, 1e9, &plan->rates, error));
    if (prices || (!targets && !rates))
        MQ_TRY(mq_sweep_parse_list("--cd", prices ? prices : DEFAULT_PRICES, 0, 1e6, &plan->prices, error));
    if (!published) published = prices ? prices : DEFAULT_PRICES;
    MQ_TRY(mq_sweep_parse_list("--published-cd", published, 0, 1e6, &plan->published, error));
    MQ_TRY(mq_sweep_parse_list("--uniform-bits", widths ? widths : DEFAULT_WIDTHS, MQ_SEARCH_MIN, MQ_BITS_MAX,
                               &plan->widths, error));
    for (int i = 0; i < plan->widths.count; i++)
        if (plan->widths.value[i] != (int)plan->widths.value[i])
            return mq_fail(error, MQ_USAGE, "--uniform-bits: got %g, expected whole numbers from %d to %d",
                           plan->widths.value[i], MQ_SEARCH_MIN, MQ_BITS_MAX);
    MQ_TRY(check_budgets(s, error));
    plan->budgets = plan->targets;
    if (!targets) budgets_of_widths(s);
    return mq_sweep_make(plan, &s->sweep, error);
}

/* ---- settings ---- */

static json_t *numbers(const mq_sweep_list *list) {
    json_t *out = json_array();
    for (int i = 0; i < list->count; i++) json_array_append_new(out, json_real(list->value[i]));
    return out;
}

static mq_status make_settings(pareto_setup *s, mq_error *error) {
    const cli_args *args = &s->args;
    char source[MQ_DIGEST_TEXT];
    mq_sha256(s->net->source, strlen(s->net->source), source);
    json_t *methods = json_array(), *costs = json_array(), *set = json_array();
    for (int m = 0; m < MQ_SWEEP_METHODS; m++)
        if (s->plan.method[m]) json_array_append_new(methods, json_string(mq_sweep_method_names[m]));
    for (int b = MQ_SEARCH_MIN; b <= MQ_BITS_MAX; b++) json_array_append_new(costs, json_real(cost_of(s, b)));
    for (int i = 0; i < args->set_count; i++) json_array_append_new(set, json_string(args->set[i]));
    const struct {
        const char *key;
        json_t *value;
    } all[] = {
        {"model", json_string(s->net->name)},
        {"model_sha256", json_string(source)},
        {"data", json_string(cli_value(args, "--data"))},
        {"methods", methods},
        {"cd", numbers(&s->plan.prices)},
        {"published_cd", numbers(&s->plan.published)},
        {"target_dsp_ops_M", numbers(&s->plan.targets)},
        {"target_fps", numbers(&s->plan.rates)},
        {"uniform_bits", numbers(&s->plan.widths)},
        {"budget_dsp_ops_M", numbers(&s->plan.budgets)},
        {"seed", json_integer((json_int_t)s->plan.seed)},
        {"seeds", json_integer(s->plan.seeds)},
        {"search_epochs", json_integer(s->search_epochs)},
        {"epochs", json_integer(s->epochs)},
        {"pretrain_epochs", json_integer(s->pretrain_epochs)},
        {"batch", json_integer(s->batch)},
        {"limit", json_integer(s->limit)},
        {"precision", json_string(s->precision)},
        {"symmetric", json_boolean(cli_flag(args, "--symmetric"))},
        {"factors", json_string(s->factors.name)},
        {"uniform_dsp_ops_M", costs},
        {"train", json_string(s->front ? "front" : "all")},
        {"start", json_string(s->own ? "own" : "scratch")},
        {"measure_gap", json_boolean(cli_flag(args, "--measure-gap"))},
        {"calibration", json_integer(s->calibration)},
        {"device", s->has_device ? json_string(s->device.name) : json_null()},
        {"clock_mhz", json_real(s->clock_mhz)},
        {"set", set},
    };
    s->settings = json_object();
    mq_status status = s->settings ? MQ_OK : mq_fail_memory(error, "settings", 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (json_object_set_new(s->settings, all[i].key, all[i].value) != 0)
            status = mq_fail_memory(error, "settings", 0);
    MQ_TRY(status);
    /* their defaults are those of the runs */
    static const char *const passed[] = {"--accumulate", "--optimizer", "--lr", "--search-lr", "--lra"};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = cli_value(args, passed[i]);
        json_object_set_new(s->settings, passed[i] + 2, value ? json_string(value) : json_null());
    }
    return mq_sweep_digest(s->settings, s->digest, error);
}

bool pareto_searches(const pareto_setup *s) {
    return s->plan.method[MQ_SWEEP_SEARCH] || s->plan.method[MQ_SWEEP_PUBLISHED];
}

/* ---- the whole ---- */

/* One spelling for all workers: it stands in the runs' settings when they start from each other. */
static mq_status place(const char *out, pareto_setup *s, mq_error *error) {
    char here[MQ_PATH];
    if (realpath(out, s->out)) return MQ_OK;
    if (out[0] == '/') {
        snprintf(s->out, sizeof s->out, "%s", out);
        return strlen(out) < sizeof s->out ? MQ_OK : mq_fail(error, MQ_USAGE, "--out: the path is too long");
    }
    if (!getcwd(here, sizeof here)) return mq_fail_errno(error, "cannot find", "the working folder");
    return mq_path_join(here, out, s->out, error);
}

static mq_status read_all(pareto_setup *s, mq_error *error) {
    const cli_args *args = &s->args;
    const char *model, *data, *table = cli_value(args, "--factors");
    MQ_TRY(cli_required(args, "--model", &model, error));
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(mq_net_open(model, &s->net, error));
    if (s->net->given)
        return mq_fail(error, MQ_USAGE,
                       "%s: its quantisers are given (an imported network): it is not trained", s->net->name);
    s->recipe = mq_recipe_for(s->net->task);
    MQ_TRY(read_numbers(s, error));
    MQ_TRY(read_device(s, error));
    MQ_TRY(mq_factors_load(table ? table : MQ_FACTORS_DEFAULT, &s->factors, error));
    MQ_TRY(mq_cost_create(s->net, &s->factors, &s->cost, error));
    MQ_TRY(read_lists(s, error));
    if (!s->words) MQ_TRY(keep_words(s, error));
    return make_settings(s, error);
}

mq_status pareto_setup_open(const cli_args *args, pareto_setup *s, mq_error *error) {
    const char *out;
    memset(s, 0, sizeof *s);
    s->args = *args;
    MQ_TRY(cli_required(args, "--out", &out, error));
    MQ_TRY(place(out, s, error));
    return read_all(s, error);
}

mq_status pareto_setup_load(const cli_args *args, pareto_setup *s, mq_error *error) {
    enum { MOST = 2 * CLI_MAX_OPTIONS + 2 * CLI_MAX_WORDS };
    const char *out, *first;
    char *words[MOST], path[MQ_PATH];
    memset(s, 0, sizeof *s);
    MQ_TRY(cli_required(args, "--out", &out, error));
    MQ_TRY(place(out, s, error));
    if (pareto_given(args, &first) && strcmp(first, "--seed") != 0)
        return mq_fail(
            error, MQ_USAGE,
            "%s: the sweep in %s has its settings: leave it out, or give all of them from --model on", first,
            out);
    MQ_TRY(mq_path_join(s->out, MQ_SWEEP_FILE, path, error));
    MQ_TRY(mq_sweep_load_words(s->out, pareto_any_build(args), &s->words, error));
    const size_t count = json_array_size(s->words);
    if (count > MOST) return mq_fail(error, MQ_BAD_INPUT, "%s: options: too many", path);
    for (size_t i = 0; i < count; i++)
        words[i] = (char *)(uintptr_t)json_string_value(json_array_get(s->words, i));
    const int threads = mq_threads();
    mq_status status = cli_parse(args->command, (int)count, words, &s->args, error);
    mq_threads_set(threads);
    if (status == MQ_OK && (s->args.word_count || cli_value(&s->args, "--out")))
        status = mq_fail(error, MQ_BAD_INPUT, "options: not those of a sweep");
    if (status == MQ_OK) status = read_all(s, error);
    if (status == MQ_USAGE) return mq_fail_context(error, MQ_BAD_INPUT, "%s", path);
    return status;
}

void pareto_setup_free(pareto_setup *s) {
    mq_net_free(s->net);
    mq_sweep_free(&s->sweep);
    json_decref(s->settings);
    json_decref(s->words);
    memset(s, 0, sizeof *s);
}
