/* search_command.c - `mixq search`: differentiable search of bit widths under a hardware price. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/plot_file.h"
#include "cli/search_run.h"

static mq_status report(const cli_args *args, const search_run *r, mq_error *error) {
    if (args->silent) return MQ_OK;
    const mq_train_result *t = &r->result;
    const char *quality = mq_quality_name(r->net->task);
    char constant[64], target[512];
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    if (args->json) return cli_print_json(search_run_json(r), error);
    mq_bits_text(r->net, &r->bits, bitw, bita);
    printf("%s: %s chosen weights %s activations %s, %.3f M DSP operations (%s table), mixed %s %.4f%s, "
           "%d epoch%s, %.0f s, "
           "%.0f images/s\n",
           r->settings.out, r->net->name, bitw, bita, r->cost.dsp_ops_M, r->factors.name, quality, t->quality,
           run_constant_text(r->net, t->constant, constant), t->epochs, t->epochs == 1 ? "" : "s", t->seconds,
           t->images_per_second);
    if (r->search.cost.device)
        printf("%.1f %% of %s at %g MHz and %.1f frames a second; allocated, it reaches %.1f\n",
               100 * r->cost.device_share, r->price.device, r->price.clock_mhz, r->price.target_fps,
               r->reached);
    if (r->given.aim) printf("%s\n", search_run_target_text(r, target));
    return MQ_OK;
}

/* --plot: the run folder's figures of bits and quality. */
static mq_status plot(const char *folder, const char *path, mq_error *error) {
    mq_run_data data;
    mq_page page;
    bool drawn;
    MQ_TRY(mq_run_data_read(folder, &data, error));
    mq_page_begin(&page, error);
    mq_status status = mq_figure_bits(&data, plot_form(path), &page, &drawn, error);
    mq_run_data_clear(&data);
    mq_status written = plot_write(path, &page, error);
    return status == MQ_OK ? written : status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *plotted = cli_value(args, "--plot");
    if (plotted) MQ_TRY(plot_check(args, plotted, error));
    run_setup setup;
    search_settings settings;
    search_run *search = NULL;
    mq_status status;
    MQ_TRY_GOTO(run_setup_open(args, true, &setup, error), done);
    MQ_TRY_GOTO(search_settings_read(args, &setup, &settings, error), done);
    MQ_TRY_GOTO(search_run_open(&setup, &settings, &search, error), done);
    MQ_TRY_GOTO(run_setup_data(args, &setup, error), done);
    MQ_TRY_GOTO(search_run_train(search, setup.train, setup.test, error), done);
    if (!mq_ranks_first(args->ranks)) goto done;
    if (plotted) MQ_TRY_GOTO(plot(setup.settings.out, plotted, error), done);
    status = report(args, search, error);
done:
    search_run_free(search);
    run_setup_free(&setup);
    return status;
}

static const cli_option OPTIONS[] = {
    RUN_OPTIONS,
    SEARCH_OPTIONS,
    {"--plot", "FILE",
     "at the end the bits of every layer over the epochs (SVG); - prints them for a terminal"},
    {NULL, NULL, NULL},
};
static const char *const SETTINGS[] = {RUN_SETTINGS, SEARCH_SETTINGS, NULL};

const cli_command cli_search = {
    .name = "search",
    .usage = "--model M --data D --out DIR [options]",
    .summary = "Search the bit widths of every layer under a hardware price",
    .options = OPTIONS,
    .settable = SETTINGS,
    .ranks = true,
    .details =
        "Every layer mixes its weights and activations of 2 to 8 bits by two softmaxes; training "
        "minimises the task\n"
        "loss + cd*complexity + cdt*trivial + bd*bram; detectors pay four times these prices. Defaults "
        "are the published\n"
        "recipes. Classifiers: 40 epochs, batch 128, SGD lr 0.1 for weights and architecture, momentum "
        "0.9, weight decay\n"
        "5e-4, cosine annealing. Detectors: 35 epochs, batch 64, SGD lr 0.01 for both, momentum 0.937, "
        "Nesterov for the\n"
        "weights, biases at twice the rate after a warm-up, weight decay 4.84e-4 on the architecture "
        "alone. After each\n"
        "epoch one line shows the bits chosen and how undecided each layer is. bits.json holds the last "
        "choice;\n"
        "best.safetensors the mixed network of highest test accuracy or mean IoU. With --device complexity "
        "is the "
        "share of\n"
        "the FPGA that the layers need at a frame rate; more than 100 % does not fit.\n"
        "With --target-dsp-ops, or --device and --target-fps without --cd, a multiplier takes the place of "
        "the "
        "price and is\n"
        "controlled so that the chosen bits end within 3 % of the target "
        "(docs/training.md).\n" RUN_RANKS_HELP CLI_STRICT_HELP "\n"
        "Examples:\n"
        "  mixq search --model vgg_tiny --data fashion-mnist --cd 3e-5 --epochs 5 --out search\n"
        "  mixq search --model my.yaml --data cifar10:DIR --cd 1e-3 --fix conv0=w8a8 --out search\n"
        "  mixq search --model vgg_tiny --data fashion-mnist --target-dsp-ops 20 --out search\n"
        "  mixq search --model vgg_tiny --data fashion-mnist --device ultra96v2 --target-fps 4000 --out "
        "search\n"
        "  mixq train --model vgg_tiny --data fashion-mnist --bits search --init search --out main\n",
    .run = run,
};
