/* bench_command.c - `mixq bench`: how fast a step is, beside the same shapes' convolutions alone.
 *
 * Steps and convolutions alternate in rounds, so that both see the same machine. A step's time is the median
 * over all steps; the convolutions' time in a round is the sum of each pass's median time, and the median
 * over the rounds counts: a ceiling that leaves nothing out. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "base/text.h"
#include "cli/bench_step.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "ops/conv_specs.h"

enum { WARM_UP = 2, ROUNDS = 5, MAX_STEPS = 10000 };
static const char *const MODES[] = {"search", "train", "infer", NULL};

typedef struct measured {
    double step[MAX_STEPS]; /* seconds, sorted in the end */
    int steps;
    double convs[ROUNDS];
    int rounds;
    size_t peak; /* bytes, before the convolutions alone took theirs */
} measured;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values: the one below which the fraction q lies. */
static double quantile(const double *v, int n, double q) {
    return v[(int)(q * (n - 1) + 0.5)];
}

static mq_status time_steps(bench_step *step, int count, double *out, mq_error *error) {
    for (int i = 0; i < count; i++) {
        double start = mq_seconds();
        MQ_TRY(bench_step_run(step, error));
        if (out) out[i] = mq_seconds() - start;
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
}

static mq_status time_convs(bench_step *step, int batch, int repeats, double *out, mq_error *error) {
    mq_dnn_conv_spec specs[MQ_MAX_LAYERS];
    mq_dnn_time times[MQ_MAX_LAYERS];
    int count = mq_model_conv_specs(bench_step_model(step), batch, specs, MQ_MAX_LAYERS);
    MQ_TRY(mq_dnn_conv_time(specs, count, batch, repeats, times, error));
    *out = 0;
    for (int i = 0; i < count; i++)
        *out += times[i].forward + times[i].backward_data + times[i].backward_weights;
    return mq_stop_requested() ? mq_fail(error, MQ_INTERRUPTED, "interrupted") : MQ_OK;
}

static mq_status measure(bench_step *step, int batch, int steps, measured *m, mq_error *error) {
    MQ_TRY(time_steps(step, WARM_UP, NULL, error));
    m->peak = mq_peak_memory();
    while (m->steps < steps) {
        int left = steps - m->steps, count = (left + ROUNDS - m->rounds - 1) / (ROUNDS - m->rounds);
        MQ_TRY(time_steps(step, count, m->step + m->steps, error));
        m->steps += count;
        MQ_TRY(time_convs(step, batch, count, &m->convs[m->rounds++], error));
        mq_progress("bench", (uint64_t)m->steps, (uint64_t)steps, "%.1f ms", 1e3 * m->step[m->steps - 1]);
    }
    qsort(m->step, (size_t)m->steps, sizeof *m->step, ascending);
    qsort(m->convs, (size_t)m->rounds, sizeof *m->convs, ascending);
    return MQ_OK;
}

static mq_status report(const cli_args *args, const mq_net *net, const bench_setup *setup, const measured *m,
                        const bench_step *step, mq_error *error) {
    double median = quantile(m->step, m->steps, 0.5), convs = quantile(m->convs, m->rounds, 0.5);
    double low = quantile(m->step, m->steps, 0.1), high = quantile(m->step, m->steps, 0.9);
    double rate = setup->batch / median, ceiling = setup->batch / convs;
    const char *precision = setup->compute == MQ_BF16 ? "bf16" : "f32";
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                                        "model", net->name, "mode", MODES[setup->mode], "batch", setup->batch,
                                        "steps", m->steps, "threads", mq_threads(), "precision", precision,
                                        "images_per_second", rate, "conv_images_per_second", ceiling,
                                        "step_ms", 1e3 * median, "step_ms_p10", 1e3 * low, "step_ms_p90",
                                        1e3 * high, "peak_mb", (double)m->peak / 1e6, "model_mb",
                                        (double)mq_model_bytes(bench_step_model(step)) / 1e6),
                              error);
    printf("%s %s, batch %d, %s, %d threads: %.0f images/s; its convolutions alone %.0f images/s (%.0f %%)\n"
           "  a step takes %.2f ms (10 %% to 90 %%: %.2f to %.2f ms, %d step%s), peak memory %.0f MB\n",
           net->name, MODES[setup->mode], setup->batch, precision, mq_threads(), rate, ceiling,
           100 * rate / ceiling, 1e3 * median, 1e3 * low, 1e3 * high, m->steps, mq_s((uint64_t)m->steps),
           (double)m->peak / 1e6);
    return MQ_OK;
}

static mq_status read_setup(const cli_args *args, const mq_net *net, bench_setup *setup, int64_t *steps,
                            mq_error *error) {
    int64_t batch = mq_recipe_for(net->task)->batch;
    int mode = -1;
    const char *word, *bitw = cli_value(args, "--bitw"), *bita = cli_value(args, "--bita");
    MQ_TRY(cli_required(args, "--mode", &word, error));
    MQ_TRY(cli_choice(args, "--mode", MODES, &mode, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &batch, error));
    MQ_TRY(cli_int(args, "--steps", 1, MAX_STEPS, steps, error));
    if (!bitw != !bita) return mq_fail(error, MQ_USAGE, "bench: --bitw and --bita go together");
    *setup =
        (bench_setup){.mode = (bench_mode)mode, .share = !cli_flag(args, "--no-share"), .batch = (int)batch};
    MQ_TRY(run_precision(args, &setup->compute, error));
    if (bitw) return mq_bits_parse(net, bitw, bita, &setup->bits, error);
    mq_bits_uniform(net, 4, 4, &setup->bits);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *model;
    mq_net *net;
    bench_setup setup;
    bench_step *step = NULL;
    measured *m = NULL;
    int64_t steps = 20;
    MQ_TRY(cli_required(args, "--model", &model, error));
    MQ_TRY(mq_net_open(model, &net, error));
    mq_status status;
    if (net->given) {
        status = mq_fail(error, MQ_USAGE,
                         "%s: its quantisers are given (an imported network): it is not trained", net->name);
        goto done;
    }
    MQ_TRY_GOTO(read_setup(args, net, &setup, &steps, error), done);
    MQ_TRY_GOTO(mq_alloc(1, sizeof *m, "measurements", &m, error), done);
    MQ_TRY_GOTO(bench_step_create(net, &setup, &step, error), done);
    MQ_TRY_GOTO(measure(step, setup.batch, (int)steps, m, error), done);
    status = report(args, net, &setup, m, step, error);
done:
    bench_step_destroy(step);
    mq_free(m);
    mq_net_free(net);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--model", "MODEL", "a built-in name or a .yaml file"},
    {"--mode", "MODE", "search, train or infer"},
    {"--batch", "N", "images per step (128; detectors 64)"},
    {"--steps", "N", "steps to time (20)"},
    {"--precision", "P", "f32, bf16 or auto: operands of the convolutions (auto)"},
    {"--bitw", "S", "train, infer: weight bits (4 everywhere)"},
    {"--bita", "S", "train, infer: activation bits (4 everywhere)"},
    {"--no-share", NULL, "search: seven float weight tensors per layer"},
    {NULL, NULL, NULL},
};

const cli_command cli_bench = {
    .name = "bench",
    .usage = "--model M --mode search|train|infer [--batch N] [--precision P] [--steps N]",
    .summary = "Measure the speed of one step, beside its convolutions alone",
    .options = OPTIONS,
    .details = "Random images (and boxes), without loading and augmenting. A step of search and train is "
               "forward, loss, "
               "backward and\n"
               "update; of infer, forward. The same shapes' oneDNN convolutions run alone in between, in the "
               "same precision;\n"
               "peak memory is that of the steps.\n\n"
               "Example:\n  mixq bench --model vgg_tiny --mode train --batch 128 --json\n",
    .run = run,
};
