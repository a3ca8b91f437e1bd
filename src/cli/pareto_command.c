/* pareto_command.c - `mixq pareto`: many searches and trainings that show accuracy against cost. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "cli/commands.h"
#include "cli/pareto_results.h"
#include "cli/pareto_runs.h"
#include "cli/pareto_setup.h"
#include "cli/pareto_work.h"
#include "cli/plot_file.h"
#include "report/sweep_figure.h"
#include "sweep/claim.h"
#include "sweep/launch.h"
#include "sweep/slurm.h"
#include "train/evaluate.h"

enum { WAIT_SECONDS = 60 }; /* for the first rank's sweep.json */

static mq_status sweep_file(const cli_args *args, char path[MQ_PATH], mq_error *error) {
    const char *out;
    MQ_TRY(cli_required(args, "--out", &out, error));
    return mq_path_join(out, MQ_SWEEP_FILE, path, error);
}

/* ---- the folder ---- */

/* What would fail in every point's run fails before the sweep is there: options, and the data set. */
static mq_status rehearse(const pareto_setup *s, mq_error *error) {
    run_setup *setup;
    MQ_TRY(mq_alloc(1, sizeof *setup, "a run", &setup, error));
    cli_args args = s->args;
    mq_status status = run_setup_open(&args, false, setup, error);
    if (status == MQ_OK) status = run_setup_data(&args, setup, error);
    if (status == MQ_OK) status = mq_check_dataset(setup->net, setup->train, error);
    run_setup_free(setup);
    mq_free(setup);
    return status == MQ_OK ? pareto_rehearse(s, error) : status;
}

/* Under the sweep's lock, so that of several beginners one makes it. */
static mq_status create(const pareto_setup *s, const cli_args *args, bool join, mq_error *error) {
    char path[MQ_PATH], lock[MQ_PATH];
    int claim = -1;
    MQ_TRY(mq_path_join(s->out, MQ_SWEEP_FILE, path, error));
    MQ_TRY(mq_path_join(s->out, "lock", lock, error));
    if (mq_path_exists(s->out) && !mq_path_is_dir(s->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there",
                       cli_value(args, "--out"));
    if (!mq_path_exists(path)) {
        if (mq_dir_has_entries(s->out) && !mq_path_exists(lock))
            return mq_fail(error, MQ_USAGE, "--out %s: the folder is not empty, and holds no sweep",
                           cli_value(args, "--out"));
        MQ_TRY(rehearse(s, error));
        MQ_TRY(mq_make_dirs(s->out, error));
        for (int tries = 0; claim < 0 && tries < 20 * WAIT_SECONDS; tries++) {
            MQ_TRY(mq_claim_take(lock, &claim, error));
            if (claim < 0) nanosleep(&(struct timespec){0, 50000000L}, NULL);
        }
        mq_status status = MQ_OK;
        if (claim < 0) status = mq_fail(error, MQ_BAD_INPUT, "%s: another process holds it", lock);
        if (status == MQ_OK && !mq_path_exists(path)) {
            status = mq_sweep_save(s->out, &s->sweep, s->settings, s->words, error);
            mq_claim_release(&claim);
            return status;
        }
        mq_claim_release(&claim);
        MQ_TRY(status);
    } else if (!join) {
        return mq_fail(error, MQ_USAGE,
                       "--out %s: a sweep is there: give --resume to go on with it or to help",
                       cli_value(args, "--out"));
    }
    json_t *words;
    MQ_TRY(mq_sweep_load_words(s->out, pareto_any_build(args), &words, error));
    json_decref(words);
    return mq_sweep_compare(s->out, &s->sweep, s->settings, error);
}

/* Another rank makes the folder: waits until it is there. */
static mq_status await(const cli_args *args, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(sweep_file(args, path, error));
    for (int tries = 0; !mq_path_exists(path); tries++) {
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted before the sweep began");
        if (tries >= 10 * WAIT_SECONDS)
            return mq_fail(error, MQ_BAD_INPUT, "%s: not made by the first process within %d seconds", path,
                           WAIT_SECONDS);
        nanosleep(&(struct timespec){0, 100000000L}, NULL);
    }
    return MQ_OK;
}

static mq_status check_plot(const cli_args *args, const pareto_setup *s, mq_error *error) {
    int against = MQ_SWEEP_DSP_OPS;
    MQ_TRY(cli_choice(args, "--against", pareto_costs, &against, error));
    if (against == MQ_SWEEP_CYCLES && !s->has_device)
        return mq_fail(error, MQ_USAGE, "--against cycles: the sweep has no --device");
    return MQ_OK;
}

static mq_status open_sweep(const cli_args *args, const mq_launch *launch, pareto_setup *s, mq_error *error) {
    const char *first;
    const bool join = cli_flag(args, "--resume") || cli_flag(args, "--point") ||
                      cli_flag(args, "--collect") || cli_flag(args, "--slurm") || launch->size > 1;
    if (join && !cli_value(args, "--model")) {
        char path[MQ_PATH];
        MQ_TRY(sweep_file(args, path, error));
        if (mq_path_exists(path) || !pareto_given(args, &first)) {
            MQ_TRY(pareto_setup_load(args, s, error));
            MQ_TRY(check_plot(args, s, error));
            return mq_sweep_compare(s->out, &s->sweep, s->settings, error);
        }
    }
    MQ_TRY(pareto_setup_open(args, s, error));
    MQ_TRY(check_plot(args, s, error));
    if (launch->rank > 0) MQ_TRY(await(args, error));
    return create(s, args, join, error);
}

/* ---- what is to be done ---- */

static mq_status write_script(const cli_args *args, const pareto_setup *s, mq_error *error) {
    char program[MQ_PATH], here[MQ_PATH];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0) return mq_fail_errno(error, "cannot find", "this program's file");
    program[n] = 0;
    if (!getcwd(here, sizeof here)) return mq_fail_errno(error, "cannot find", "the working folder");
    const char *path = cli_value(args, "--slurm");
    MQ_TRY(mq_slurm_write(path, &s->sweep, program, here, s->out, mq_threads(),
                          s->front && pareto_searches(s), error));
    if (args->json)
        return cli_print_json(
            json_pack("{s:s, s:s, s:i}", "out", s->out, "script", path, "points", s->sweep.count), error);
    printf("%s: a job array of %d tasks; sbatch %s\n", path, s->sweep.count, path);
    return MQ_OK;
}

/* One point of a job array: its piece alone. */
static mq_status one_point(const cli_args *args, pareto_setup *s, mq_error *error) {
    int64_t number = 0;
    int waits;
    MQ_TRY(cli_int(args, "--point", 1, s->sweep.count, &number, error));
    const mq_sweep_point *p = &s->sweep.point[number - 1];
    MQ_TRY(pareto_work(s, (int)number - 1, &waits, error));
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:i}", "out", s->out, "point", p->name, "stage",
                                        mq_sweep_stage_names[p->stage], "waits_for", waits),
                              error);
    printf("%s: %s", p->name, mq_sweep_stage_names[p->stage]);
    if (waits)
        printf("; whether it is trained is known when %d more searches have ended: run it again then\n",
               waits);
    else
        printf("%s\n", p->stage == MQ_STAGE_SEARCHED ? ", not on the front" : "");
    return MQ_OK;
}

static mq_status run_sweep(const cli_args *args, const mq_launch *launch, pareto_setup *s, mq_error *error) {
    int waits = 0;
    MQ_TRY(open_sweep(args, launch, s, error));
    if (cli_value(args, "--slurm")) return write_script(args, s, error);
    if (cli_value(args, "--point")) return one_point(args, s, error);
    if (cli_flag(args, "--collect"))
        MQ_TRY(mq_sweep_load_points(s->out, s->digest, &s->sweep, error));
    else
        MQ_TRY(pareto_work(s, -1, &waits, error));
    return launch->rank ? MQ_OK : pareto_report(args, s, error);
}

static mq_status check_modes(const cli_args *args, mq_error *error) {
    static const char *const modes[] = {"--slurm", "--point", "--collect"};
    const char *plotted = cli_value(args, "--plot"), *mode = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!cli_value(args, modes[i])) continue;
        if (mode) return mq_fail(error, MQ_USAGE, "%s and %s exclude each other", mode, modes[i]);
        mode = modes[i];
    }
    if (plotted && mode && strcmp(mode, "--collect") != 0)
        return mq_fail(error, MQ_USAGE, "--plot: not with %s", mode);
    if (cli_value(args, "--against") && !plotted)
        return mq_fail(error, MQ_USAGE, "--against: only with --plot");
    return plotted ? plot_check(args, plotted, error) : MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    pareto_setup *s;
    const mq_launch launch = mq_launch_get();
    MQ_TRY(check_modes(args, error));
    if (launch.rank > 0) console_open(true, false); /* the first process speaks */
    if (launch.local > 1 && !cli_value(args, "--threads"))
        mq_threads_set(mq_threads() >= launch.local ? mq_threads() / launch.local : 1);
    MQ_TRY(mq_alloc(1, sizeof *s, "a sweep", &s, error));
    mq_status status = run_sweep(args, &launch, s, error);
    pareto_setup_free(s);
    mq_free(s);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--out", "DIR", "the sweep's folder"},
    PARETO_OPTIONS,
    {"--resume", NULL, "go on with the sweep in --out, or help others with it"},
    {"--other-build", NULL, "though another build of this version began the sweep"},
    {"--point", "K", "work on point K alone, for job arrays"},
    {"--slurm", "FILE", "write a Slurm job array of the sweep instead of running it"},
    {"--collect", NULL, "gather what the points have so far instead of working"},
    {"--against", "COST", "of the plot: dsp-ops, or cycles on the sweep's device (dsp-ops)"},
    {"--plot", "FILE",
     "accuracy against DSP operations (SVG, and a .csv beside it); - prints it for a terminal"},
    {NULL, NULL, NULL},
};
static const char *const SETTINGS[] = {PARETO_SETTINGS, NULL};

const cli_command cli_pareto = {
    .name = "pareto",
    .usage = "--model M --data D --out DIR [options], or --out DIR --resume",
    .summary = "Sweep prices, targets or methods: accuracy against DSP operations",
    .options = OPTIONS,
    .settable = SETTINGS,
    .details =
        "A point is a method with a price (--cd), a target (--target-dsp-ops) or a width (--uniform-bits), "
        "under one "
        "seed. Its\n"
        "bits are found first, then trained like those of every other point. Methods: search, the "
        "differentiable search; "
        "published,\n"
        "the same with the published table of factors; sensitivity, the loss increase of each layer alone "
        "and a knapsack; "
        "uniform,\n"
        "the same bits everywhere. Of searches the front is trained, or with --train all every one.\n"
        "The folder keeps all results: stopped or killed at any time, the sweep goes on with --resume. Any "
        "number of "
        "processes\n"
        "on any machines that share the folder may work on it, started by hand, mpirun or srun: each takes "
        "the next piece "
        "that\n"
        "nobody has.\n" CLI_STRICT_HELP "\n"
        "Examples:\n"
        "  mixq pareto --model vgg_tiny --data fashion-mnist --cd 1e-5,1e-4,1e-3 --search-epochs 5 --epochs "
        "10 --out sweep\n"
        "  mixq pareto --out sweep --resume --plot front.svg\n"
        "  mixq pareto --model ultranet --data shapes --methods search,published,sensitivity,uniform --seeds "
        "3 --train all "
        "--out four\n"
        "  mpirun -n 4 mixq pareto --model vgg_tiny --data fashion-mnist --target-dsp-ops 2,3,4 --out sweep\n"
        "  mixq pareto --model vgg_tiny --data fashion-mnist --out sweep --slurm sweep.sh && sbatch "
        "sweep.sh\n",
    .run = run,
};
