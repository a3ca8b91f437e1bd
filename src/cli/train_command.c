/* train_command.c - `mixq train`: main training at fixed bits, or in float. */
#include <stdio.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/parallel.h"
#include "cli/bits_file.h"
#include "cli/commands.h"
#include "cli/run_options.h"

typedef struct train_context {
    const mq_net *net;
    mq_cost_model cost;
    mq_factors factors;
    bool priced;
    mq_bits bits;
} train_context;

static json_t *make_bits(void *context, mq_model *model) {
    (void)model;
    const train_context *c = context;
    return bits_file_make(c->net, &c->bits, c->priced ? &c->cost : NULL, c->factors.name);
}

static mq_status read_bits(const cli_args *args, const run_setup *setup, mq_bits *bits, bool *is_float,
                           mq_error *error) {
    const char *bitw = cli_value(args, "--bitw"), *bita = cli_value(args, "--bita"),
               *file = cli_value(args, "--bits");
    *is_float = cli_flag(args, "--float");
    int ways = (bitw || bita) + (file != NULL) + *is_float;
    if (ways != 1 || (bitw && !bita) || (bita && !bitw))
        return mq_fail(error, MQ_USAGE, "train: one of --bitw S --bita S, --bits FILE and --float expected");
    if (*is_float) return MQ_OK;
    if (file) return bits_file_read(file, setup->net, bits, error);
    return mq_bits_parse(setup->net, bitw, bita, bits, error);
}

static mq_status report(const cli_args *args, const run_setup *setup, const train_context *c,
                        const mq_train_result *result, mq_error *error) {
    if (args->silent) return MQ_OK;
    const char *quality = mq_quality_name(setup->net->task);
    char constant[64];
    char bitw[MQ_BITS_TEXT] = "", bita[MQ_BITS_TEXT] = "";
    if (c->bits.count) mq_bits_text(setup->net, &c->bits, bitw, bita);
    if (args->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "out",
                                 setup->settings.out, "model", setup->net->name, "bitw", bitw, "bita", bita,
                                 "epochs", result->epochs, quality, result->quality, "best", result->best,
                                 "loss", result->loss, "seconds", result->seconds, "images_per_second",
                                 result->images_per_second, "loader_wait_seconds", result->loader_wait);
        run_add_ranks(root, args->ranks, result);
        return cli_print_json(run_add_constant(root, setup->net, result->constant), error);
    }
    printf("%s: %s %s%s%s%s, %s %.4f (best %.4f)%s after %d epoch%s, %.0f s, %.0f images/s\n",
           setup->settings.out, setup->net->name, c->bits.count ? "weights " : "float", bitw,
           c->bits.count ? " activations " : "", bita, quality, result->quality, result->best,
           run_constant_text(setup->net, result->constant, constant), result->epochs,
           result->epochs == 1 ? "" : "s", result->seconds, result->images_per_second);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    run_setup setup;
    train_context context = {0};
    bool is_float;
    mq_status status;
    MQ_TRY_GOTO(run_setup_open(args, false, &setup, error), done);
    MQ_TRY_GOTO(read_bits(args, &setup, &context.bits, &is_float, error), done);
    mq_train_settings *settings = &setup.settings;
    settings->model.mode = is_float ? MQ_MODE_FLOAT : MQ_MODE_FIXED;
    settings->model.bits = is_float ? NULL : &context.bits;
    context.net = setup.net;
    mq_train_hooks hooks = {.context = &context};
    char bitw[MQ_BITS_TEXT] = "", bita[MQ_BITS_TEXT] = "";
    if (!is_float) {
        const char *table = cli_value(args, "--factors");
        MQ_TRY_GOTO(mq_factors_load(table ? table : MQ_FACTORS_DEFAULT, &context.factors, error), done);
        /* a network that the table cannot price can be trained all the same: bits.json then says null */
        mq_error unpriced;
        context.priced = mq_cost_create(setup.net, &context.factors, &context.cost, &unpriced) == MQ_OK;
        if (!context.priced) mq_log(MQ_LOG_WARN, "no DSP operations in bits.json: %s", unpriced.text);
        mq_bits_text(setup.net, &context.bits, bitw, bita);
        hooks.bits = make_bits;
    }
    json_object_set_new(setup.json, "mode", json_string(is_float ? "float" : "fixed"));
    json_object_set_new(setup.json, "bitw", json_string(bitw));
    json_object_set_new(setup.json, "bita", json_string(bita));
    MQ_TRY_GOTO(run_setup_data(args, &setup, error), done);
    mq_train_result result;
    MQ_TRY_GOTO(mq_train(setup.net, settings, &hooks, setup.train, setup.test, &result, error), done);
    if (!mq_ranks_first(args->ranks)) goto done;
    mq_log(MQ_LOG_DEBUG, "peak memory %.0f MB, waited %.2f s for data", (double)mq_peak_memory() / 1e6,
           result.loader_wait);
    status = report(args, &setup, &context, &result, error);
done:
    run_setup_free(&setup);
    return status;
}

static const cli_option OPTIONS[] = {
    RUN_OPTIONS,
    {"--bitw", "S", "weight bits, one digit 1..8 per layer that is not pinned: 822222"},
    {"--bita", "S", "activation bits, likewise: 833363"},
    {"--bits", "FILE", "bits.json of a search, or its folder, instead of --bitw and --bita"},
    {"--float", NULL, "train the float network"},
    {"--factors", "T", "cost table for bits.json: ours, ideal, published or a .csv file (ours)"},
    {NULL, NULL, NULL},
};
static const char *const SETTINGS[] = {RUN_SETTINGS, NULL};

const cli_command cli_train = {
    .name = "train",
    .usage = "--model M --data D --out DIR (--bitw S --bita S, --bits FILE or --float) [options]",
    .summary = "Main training at fixed bits, or in float",
    .options = OPTIONS,
    .settable = SETTINGS,
    .ranks = true,
    .details =
        "Defaults are the published recipes, 200 epochs. Classifiers: batch 128, SGD lr 0.03, momentum 0.9,\n"
        "weight decay 5e-4, cosine annealing each epoch to 0.01 of it, zero padding of 4 with random crops, "
        "flips.\n"
        "Detectors: batch 64, SGD lr 0.01 to 0.001 of it, momentum 0.937 (Nesterov), no weight decay, biases "
        "at twice the\n"
        "rate after a warm-up; --optimizer adam is the published alternative.\n"
        "The folder gets run.json, metrics.jsonl, bits.json, last.safetensors and best.safetensors.\n"
        "Ctrl-C finishes the step and saves; --resume goes on and, with the same\n"
        "--threads, ends with the same bits.\n" RUN_RANKS_HELP CLI_STRICT_HELP "\n"
        "Examples:\n"
        "  mixq train --model vgg_tiny --data fashion-mnist --bitw 822222 --bita 833363 --epochs 3 --out "
        "run\n"
        "  mixq train --model vgg_tiny --data cifar10:cifar-10-batches-bin --bits search --init search --out "
        "main\n"
        "  mixq train --model lenet --data fashion-mnist --float --epochs 5 --out float\n",
    .run = run,
};
