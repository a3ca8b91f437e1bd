/* pareto_runs.c - a point's commands. */
#include "cli/pareto_runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "cli/bits_file.h"
#include "cli/commands.h"
#include "report/run_data.h"
#include "search/device_price.h"

/* ---- command lines ---- */

typedef struct run_line {
    mq_arena *arena;
    int count;
    char *word[2 * CLI_MAX_OPTIONS + 2 * CLI_MAX_WORDS];
    char folder[MQ_PATH];
} run_line;

static mq_status add(run_line *l, const char *option, const char *value, mq_error *error) {
    if (l->count + 2 > (int)(sizeof l->word / sizeof *l->word))
        return mq_fail(error, MQ_INTERNAL, "a run of too many options");
    MQ_TRY(mq_arena_strdup(l->arena, option, &l->word[l->count++], error));
    return value ? mq_arena_strdup(l->arena, value, &l->word[l->count++], error) : MQ_OK;
}

static mq_status add_whole(run_line *l, const char *option, int64_t value, mq_error *error) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return add(l, option, text, error);
}

/* An option of the sweep, under the run's name, when it is given. */
static mq_status pass(run_line *l, const pareto_setup *s, const char *from, const char *to, mq_error *error) {
    const char *value = cli_value(&s->args, from);
    return value ? add(l, to, value, error) : MQ_OK;
}

/* Settings of the alphas mean nothing to main training. */
static bool takes(const cli_command *command, const char *set) {
    for (int i = 0; command->settable && command->settable[i]; i++) {
        const size_t n = strlen(command->settable[i]);
        if (strncmp(set, command->settable[i], n) == 0 && set[n] == '=') return true;
    }
    return false;
}

/* What every run has; --set of those keys that both commands have. */
static mq_status begin(run_line *l, const pareto_setup *s, const char *folder, uint64_t seed, int64_t epochs,
                       mq_error *error) {
    snprintf(l->folder, sizeof l->folder, "%s", folder);
    MQ_TRY(pass(l, s, "--model", "--model", error));
    MQ_TRY(pass(l, s, "--data", "--data", error));
    MQ_TRY(add(l, "--out", folder, error));
    MQ_TRY(add_whole(l, "--seed", (int64_t)seed, error));
    MQ_TRY(add_whole(l, "--epochs", epochs, error));
    MQ_TRY(add_whole(l, "--batch", s->batch, error));
    MQ_TRY(pass(l, s, "--accumulate", "--accumulate", error));
    MQ_TRY(pass(l, s, "--optimizer", "--optimizer", error));
    MQ_TRY(pass(l, s, "--limit", "--limit", error));
    MQ_TRY(add(l, "--precision", s->precision, error));
    if (cli_flag(&s->args, "--symmetric")) MQ_TRY(add(l, "--symmetric", NULL, error));
    for (int i = 0; i < s->args.set_count; i++)
        if (takes(&cli_train, s->args.set[i])) MQ_TRY(add(l, "--set", s->args.set[i], error));
    MQ_TRY(add_whole(l, "--threads", mq_threads(), error));
    return mq_dir_has_entries(folder) ? add(l, "--resume", NULL, error) : MQ_OK;
}

/* The result stays in the run's folder. */
static mq_status run(const run_line *l, const cli_command *command, mq_error *error) {
    cli_args args;
    char words[1024] = "";
    for (int i = 0; i < l->count; i++) {
        strncat(words, " ", sizeof words - strlen(words) - 1);
        strncat(words, l->word[i], sizeof words - strlen(words) - 1);
    }
    mq_log(MQ_LOG_DEBUG, "mixq %s%s", command->name, words);
    MQ_TRY(cli_parse(command, l->count, (char **)(uintptr_t)l->word, &args, error));
    args.silent = true;
    return command->run(&args, error);
}

/* ---- results ---- */

/* Quality of the last and the best epoch. */
static mq_status read_quality(const char *folder, double *last, double *best, mq_error *error) {
    mq_run_data data;
    MQ_TRY(mq_run_data_read(folder, &data, error));
    const int epochs = mq_run_data_epochs(&data);
    const json_t *value = json_object_get(json_array_get(data.epoch, (size_t)epochs - 1), data.quality);
    *last = json_is_number(value) ? json_number_value(value) : NAN;
    *best = mq_run_data_best(&data);
    mq_run_data_clear(&data);
    return isnan(*last) ? mq_fail(error, MQ_BAD_INPUT, "%s: metrics.jsonl has no epoch", folder) : MQ_OK;
}

static mq_status take_bits(const pareto_setup *s, const mq_bits *bits, mq_sweep_point *p, mq_error *error) {
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_cost_report report;
    _Static_assert((int)MQ_BITS_TEXT <= (int)MQ_SWEEP_BITS, "bits of every network");
    mq_bits_text(s->net, bits, bitw, bita);
    MQ_TRY(mq_cost_at(&s->cost, s->net, bits, &report, error));
    snprintf(p->bitw, sizeof p->bitw, "%s", bitw);
    snprintf(p->bita, sizeof p->bita, "%s", bita);
    p->dsp_ops_M = report.dsp_ops_M;
    p->stage = MQ_STAGE_SEARCHED;
    return MQ_OK;
}

/* A run that diverged is the point's result. */
static mq_status ended(mq_status status, mq_sweep_point *p, mq_error *error) {
    if (status != MQ_CHECK_FAILED) return mq_fail_context(error, status, "point %s", p->name);
    p->stage = MQ_STAGE_FAILED;
    snprintf(p->failure, sizeof p->failure, "%.*s", (int)sizeof p->failure - 1,
             error ? error->text : "diverged");
    mq_log(MQ_LOG_WARN, "point %s: %s", p->name, p->failure);
    if (error) *error = (mq_error){0};
    return MQ_OK;
}

/* ---- the 8-bit network ---- */

static mq_status bits_options(run_line *l, const pareto_setup *s, const mq_bits *bits, mq_error *error) {
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(s->net, bits, bitw, bita);
    MQ_TRY(add(l, "--bitw", bitw, error));
    MQ_TRY(add(l, "--bita", bita, error));
    return add(l, "--factors", s->factors.name, error);
}

static mq_status train_base(const pareto_setup *s, run_line *l, uint64_t seed, mq_error *error) {
    char folder[MQ_PATH];
    mq_bits bits;
    mq_bits_uniform(s->net, MQ_BITS_MAX, MQ_BITS_MAX, &bits);
    MQ_TRY(pareto_base_path(s, seed, "train", folder, error));
    MQ_TRY(begin(l, s, folder, seed, s->pretrain_epochs, error));
    MQ_TRY(pass(l, s, "--lr", "--lr", error));
    MQ_TRY(bits_options(l, s, &bits, error));
    return run(l, &cli_train, error);
}

mq_status pareto_train_base(const pareto_setup *s, uint64_t seed, double *last, double *best,
                            mq_error *error) {
    run_line *l;
    MQ_TRY(mq_alloc(1, sizeof *l, "a run", &l, error));
    mq_status status = mq_arena_create(&l->arena, error);
    if (status == MQ_OK) {
        mq_log(MQ_LOG_INFO, "seed %llu: the 8-bit network", (unsigned long long)seed);
        status = train_base(s, l, seed, error);
        if (status == MQ_OK) status = read_quality(l->folder, last, best, error);
        mq_arena_destroy(l->arena);
    }
    mq_free(l);
    return status == MQ_OK
               ? MQ_OK
               : mq_fail_context(error, status, "the 8-bit network of seed %llu", (unsigned long long)seed);
}

/* ---- bits ---- */

/* The published method has these settings alone; what this program adds is off, whatever its defaults are. */
static bool published_has(const char *set) {
    static const char *const theirs[] = {"alpha_momentum=", "alpha_weight_decay=", "lra_end="};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        if (strncmp(set, theirs[i], strlen(theirs[i])) == 0) return true;
    return false;
}
static const char *const PUBLISHED[] = {"rest=0", "prior=0", "anneal=1"};

static mq_status search_line(run_line *l, const pareto_setup *s, const mq_sweep_point *p, mq_error *error) {
    static const char *const aims[MQ_AIMS] = {"--cd", "--target-dsp-ops", "--target-fps", NULL};
    char folder[MQ_PATH], value[40];
    const bool published = p->method == MQ_SWEEP_PUBLISHED;
    MQ_TRY(mq_sweep_path(s->out, p->name, "search", folder, error));
    MQ_TRY(begin(l, s, folder, p->seed, s->search_epochs, error));
    for (int i = 0; i < s->args.set_count; i++)
        if (!takes(&cli_train, s->args.set[i]) && (!published || published_has(s->args.set[i])))
            MQ_TRY(add(l, "--set", s->args.set[i], error));
    for (size_t i = 0; i < sizeof PUBLISHED / sizeof *PUBLISHED && published; i++)
        MQ_TRY(add(l, "--set", PUBLISHED[i], error));
    MQ_TRY(pass(l, s, "--search-lr", "--lr", error));
    MQ_TRY(pass(l, s, "--lra", "--lra", error));
    if (cli_flag(&s->args, "--measure-gap")) MQ_TRY(add(l, "--measure-gap", NULL, error));
    if (p->aim == MQ_AIM_RATE) {
        MQ_TRY(pass(l, s, "--device", "--device", error));
        MQ_TRY(pass(l, s, "--clock", "--clock", error));
    } else {
        MQ_TRY(add(l, "--factors", published ? "published" : s->factors.name, error));
    }
    snprintf(value, sizeof value, "%.17g", p->value);
    return add(l, aims[p->aim], value, error);
}

static mq_status search(const pareto_setup *s, run_line *l, mq_sweep_point *p, mq_error *error) {
    mq_bits bits;
    double best;
    MQ_TRY(search_line(l, s, p, error));
    MQ_TRY(run(l, &cli_search, error));
    MQ_TRY(read_quality(l->folder, &p->searched, &best, error));
    MQ_TRY(bits_file_read(l->folder, s->net, &bits, error));
    p->searched_epochs = (int)s->search_epochs;
    return take_bits(s, &bits, p, error);
}

/* All but the training of a search. */
static mq_status rehearse(const pareto_setup *s, run_line *l, const mq_sweep_point *p, mq_error *error) {
    cli_args args;
    search_settings settings;
    run_setup setup = {0};
    search_run *search = NULL;
    MQ_TRY(search_line(l, s, p, error));
    MQ_TRY(cli_parse(&cli_search, l->count, l->word, &args, error));
    mq_status status = run_setup_open(&args, true, &setup, error);
    if (status == MQ_OK) status = search_settings_read(&args, &setup, &settings, error);
    if (status == MQ_OK) status = search_run_open(&setup, &settings, &search, error);
    search_run_free(search);
    run_setup_free(&setup);
    return status;
}

mq_status pareto_rehearse(const pareto_setup *s, mq_error *error) {
    mq_status status = MQ_OK;
    for (int i = 0; i < s->sweep.count && status == MQ_OK; i++) {
        const mq_sweep_point *p = &s->sweep.point[i];
        run_line *l;
        if ((p->method != MQ_SWEEP_SEARCH && p->method != MQ_SWEEP_PUBLISHED) || p->seed != s->plan.seed)
            continue;
        MQ_TRY(mq_alloc(1, sizeof *l, "a run", &l, error));
        status = mq_arena_create(&l->arena, error);
        if (status == MQ_OK) {
            status = rehearse(s, l, p, error);
            mq_arena_destroy(l->arena);
        }
        mq_free(l);
    }
    return status;
}

static mq_status uniform(const pareto_setup *s, mq_sweep_point *p, mq_error *error) {
    mq_bits bits;
    mq_bits_uniform(s->net, (int)p->value, (int)p->value, &bits);
    p->searched_epochs = s->own ? (int)s->pretrain_epochs : 0;
    return take_bits(s, &bits, p, error);
}

static mq_status sensitivity(const pareto_setup *s, mq_sweep_point *p, mq_error *error) {
    mq_sensitivity *table;
    mq_bits bits;
    MQ_TRY(mq_alloc(1, sizeof *table, "a table", &table, error));
    mq_status status = pareto_read_sensitivity(s, p->seed, table, error);
    if (status == MQ_OK)
        status = mq_sensitivity_choose(table, s->net, &s->cost, p->value, &bits, &p->predicted, error);
    mq_free(table);
    p->searched_epochs = (int)s->pretrain_epochs;
    return status == MQ_OK ? take_bits(s, &bits, p, error) : status;
}

static mq_status find(const pareto_setup *s, run_line *l, mq_sweep_point *p, mq_error *error) {
    switch (p->method) {
    case MQ_SWEEP_SEARCH:
    case MQ_SWEEP_PUBLISHED:
        return search(s, l, p, error);
    case MQ_SWEEP_UNIFORM:
        return uniform(s, p, error);
    default:
        return sensitivity(s, p, error);
    }
}

mq_status pareto_find_bits(const pareto_setup *s, mq_sweep_point *p, mq_error *error) {
    run_line *l;
    MQ_TRY(mq_alloc(1, sizeof *l, "a run", &l, error));
    mq_status status = mq_arena_create(&l->arena, error);
    if (status == MQ_OK) {
        status = find(s, l, p, error);
        mq_arena_destroy(l->arena);
    }
    mq_free(l);
    return status == MQ_OK ? MQ_OK : ended(status, p, error);
}

/* ---- main training ---- */

/* Where main training starts, when not at scratch. */
static mq_status start_of(const pareto_setup *s, const mq_sweep_point *p, char path[MQ_PATH],
                          mq_error *error) {
    if (p->method == MQ_SWEEP_SEARCH || p->method == MQ_SWEEP_PUBLISHED)
        return mq_sweep_path(s->out, p->name, "search", path, error);
    return pareto_base_path(s, p->seed, "train", path, error);
}

static mq_status train(const pareto_setup *s, run_line *l, mq_sweep_point *p, mq_error *error) {
    char folder[MQ_PATH], start[MQ_PATH];
    mq_bits bits;
    MQ_TRY(mq_bits_parse(s->net, p->bitw, p->bita, &bits, error));
    MQ_TRY(mq_sweep_path(s->out, p->name, "main", folder, error));
    MQ_TRY(begin(l, s, folder, p->seed, s->epochs, error));
    MQ_TRY(pass(l, s, "--lr", "--lr", error));
    MQ_TRY(bits_options(l, s, &bits, error));
    if (s->own) {
        MQ_TRY(start_of(s, p, start, error));
        MQ_TRY(add(l, "--init", start, error));
    }
    MQ_TRY(run(l, &cli_train, error));
    MQ_TRY(read_quality(folder, &p->quality, &p->best, error));
    p->stage = MQ_STAGE_TRAINED;
    if (!s->has_device) return MQ_OK;
    int64_t cycles;
    mq_status status = mq_device_price_reach(s->net, &bits, cli_flag(&s->args, "--symmetric"), &s->device,
                                             s->clock_mhz, 0, &cycles, &p->fps, error);
    if (status == MQ_BAD_INPUT) { /* the device is too small */
        p->cycles = p->fps = 0;
        if (error) *error = (mq_error){0};
        return MQ_OK;
    }
    p->cycles = (double)cycles;
    return status;
}

mq_status pareto_train(const pareto_setup *s, mq_sweep_point *p, mq_error *error) {
    run_line *l;
    MQ_TRY(mq_alloc(1, sizeof *l, "a run", &l, error));
    mq_status status = mq_arena_create(&l->arena, error);
    if (status == MQ_OK) {
        status = train(s, l, p, error);
        mq_arena_destroy(l->arena);
    }
    mq_free(l);
    return status == MQ_OK ? MQ_OK : ended(status, p, error);
}
