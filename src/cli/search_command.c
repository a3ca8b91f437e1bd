/* search_command.c - `mixq search`: differentiable search of bit widths under a hardware price. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/bits_file.h"
#include "cli/commands.h"
#include "cli/plot_file.h"
#include "cli/run_options.h"
#include "search/search.h"

typedef struct search_context {
    const mq_net *net;
    mq_search search;
    mq_factors factors;
    mq_device device; /* --device */
    mq_device_price price;
    double reached; /* frames a second of the chosen bits on it, by allocation; 0: it does not fit */
    mq_bits bits;   /* the choice after the last epoch */
    mq_cost_report cost;
} search_context;

static double after_backward(void *context, mq_model *model) {
    const search_context *c = context;
    const mq_search_prices *p = &c->search.prices;
    mq_cost_losses losses = mq_search_add_gradients(&c->search, model);
    return p->complexity * losses.complexity + p->trivial * losses.trivial + p->bram * losses.bram;
}

static void after_update(void *context, mq_model *model) {
    const search_context *c = context;
    mq_search_apply_fix(&c->search, model);
}

/* One line: every layer's bits with how undecided they are: w4.1 = 4 bits, 10 % of the largest entropy. */
static void log_choice(const search_context *c, mq_model *model) {
    char line[MQ_ERROR_TEXT] = "";
    const double most = 2.807354922057604; /* log2 of 7 branches */
    for (int i = 0; i < c->net->layer_count; i++) {
        if (c->net->layers[i].pinned) continue;
        double w, a;
        char item[96];
        mq_search_entropy(model, i, &w, &a);
        snprintf(item, sizeof item, "  %s w%d(%.2f)a%d(%.2f)", c->net->nodes[c->net->layers[i].node].name,
                 c->bits.weight[i], w / most, c->bits.activation[i], a / most);
        strncat(line, item, sizeof line - strlen(line) - 1);
    }
    char share[96] = "";
    if (c->search.cost.device)
        snprintf(share, sizeof share, ", %.1f %% of %s", 100 * c->cost.device_share, c->price.device);
    mq_log(MQ_LOG_INFO, "  bits (entropy, 1 = undecided):%s  | %.3f M DSP operations%s", line,
           c->cost.dsp_ops_M, share);
}

static mq_status epoch(void *context, mq_model *model, json_t *metrics, mq_error *error) {
    search_context *c = context;
    mq_model_chosen_bits(model, &c->bits);
    MQ_TRY(mq_cost_at(&c->search.cost, c->net, &c->bits, &c->cost, error));
    mq_cost_losses terms = mq_search_terms(&c->search, model);
    log_choice(c, model);
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(c->net, &c->bits, bitw, bita);
    json_object_set_new(metrics, "bitw", json_string(bitw));
    json_object_set_new(metrics, "bita", json_string(bita));
    json_object_set_new(metrics, "dsp_ops_M", json_real(c->cost.dsp_ops_M));
    json_object_set_new(metrics, "bit_ops_M", json_real(c->cost.bit_ops_M));
    if (c->search.cost.device) json_object_set_new(metrics, "device_share", json_real(c->cost.device_share));
    json_object_set_new(metrics, "mix_dsp_ops_M", json_real(terms.mix_dsp_ops_M));
    json_object_set_new(metrics, "complexity", json_real(terms.complexity));
    json_object_set_new(metrics, "trivial", json_real(terms.trivial));
    json_object_set_new(metrics, "bram", json_real(terms.bram));
    json_t *w_list = json_array(), *a_list = json_array();
    for (int i = 0; i < c->net->layer_count; i++) {
        if (c->net->layers[i].pinned) continue;
        double w, a;
        mq_search_entropy(model, i, &w, &a);
        json_array_append_new(w_list, json_real(w));
        json_array_append_new(a_list, json_real(a));
    }
    json_object_set_new(metrics, "entropy_w", w_list);
    json_object_set_new(metrics, "entropy_a", a_list);
    return MQ_OK;
}

static json_t *make_bits(void *context, mq_model *model) {
    search_context *c = context;
    mq_bits bits;
    mq_model_chosen_bits(model, &bits);
    return bits_file_make(c->net, &bits, &c->search.cost, c->factors.name);
}

/* --device: complexity is its share. */
static mq_status read_device(const cli_args *args, run_setup *setup, search_context *c, mq_error *error) {
    const char *name = cli_value(args, "--device");
    double clock_mhz = 0, target_fps = 0;
    if (!name) {
        if (cli_value(args, "--clock") || cli_value(args, "--target-fps"))
            return mq_fail(error, MQ_USAGE, "%s: only with --device",
                           cli_value(args, "--clock") ? "--clock" : "--target-fps");
        return MQ_OK;
    }
    if (cli_value(args, "--factors"))
        return mq_fail(error, MQ_USAGE, "--device and --factors: one price expected, got both");
    MQ_TRY(cli_double(args, "--clock", 1, 2000, &clock_mhz, error));
    MQ_TRY(cli_double(args, "--target-fps", 1e-3, 1e9, &target_fps, error));
    MQ_TRY(mq_device_open(name, &c->device, error));
    mq_log(MQ_LOG_INFO, "%s: pricing 2 to 8 bits of every layer", c->device.name);
    MQ_TRY(mq_device_price_make(setup->net, setup->settings.model.symmetric, &c->device, clock_mhz,
                                target_fps, &c->price, error));
    mq_cost_use_device(&c->search.cost, &c->price);
    mq_bits bits;
    mq_bits_uniform(setup->net, 4, 4, &bits);
    mq_log(MQ_LOG_INFO, "%s at %g MHz, %.1f frames a second (%lld cycles): 4 bits everywhere take %.1f %%",
           c->device.name, c->price.clock_mhz, c->price.target_fps, (long long)c->price.cycles,
           100 * mq_device_price_at(&c->price, setup->net, &bits));
    json_t *more = json_pack("{s:s, s:f, s:f}", "device", c->device.name, "clock_mhz", c->price.clock_mhz,
                             "target_fps", c->price.target_fps);
    mq_status status =
        more && json_object_update(setup->json, more) == 0 ? MQ_OK : mq_fail_memory(error, "settings", 0);
    json_decref(more);
    return status;
}

static mq_status read_prices(const cli_args *args, run_setup *setup, search_context *c, mq_error *error) {
    mq_train_settings *t = &setup->settings;
    mq_schedule *schedule = &t->schedule;
    mq_rule *alphas = &schedule->alphas;
    const char *table = cli_value(args, "--factors"), *fix = cli_value(args, "--fix");
    mq_search_prices given = {.complexity = 3e-5};
    MQ_TRY(cli_double(args, "--cd", 0, 1e6, &given.complexity, error));
    MQ_TRY(cli_double(args, "--cdt", 0, 1e6, &given.trivial, error));
    MQ_TRY(cli_double(args, "--bd", 0, 1e6, &given.bram, error));
    MQ_TRY(cli_double(args, "--lra", 0, 1e30, &alphas->lr, error));
    MQ_TRY(cli_setting(args, "alpha_momentum", 0, 0.9999, &alphas->momentum, error));
    MQ_TRY(cli_setting(args, "alpha_weight_decay", 0, 10, &alphas->decay, error));
    MQ_TRY(cli_setting(args, "lra_end", 0, 1, &schedule->alphas_end, error));
    double factor = setup->recipe->price;
    c->search.prices =
        (mq_search_prices){factor * given.complexity, factor * given.trivial, factor * given.bram};
    MQ_TRY(mq_factors_load(table ? table : MQ_FACTORS_DEFAULT, &c->factors, error));
    MQ_TRY(mq_cost_create(setup->net, &c->factors, &c->search.cost, error));
    if (fix) MQ_TRY(mq_search_parse_fix(setup->net, fix, &c->search.fix, error));
    json_t *more =
        json_pack("{s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:s?}", "mode", "search", "share",
                  (int)t->model.share, "cd", given.complexity, "cdt", given.trivial, "bd", given.bram, "lra",
                  alphas->lr, "alpha_momentum", alphas->momentum, "alpha_weight_decay", alphas->decay,
                  "lra_end", schedule->alphas_end, "factors", c->factors.name, "fix", fix);
    if (!more || json_object_update(setup->json, more) != 0) {
        json_decref(more);
        return mq_fail_memory(error, "settings", 0);
    }
    json_decref(more);
    return read_device(args, setup, c, error);
}

static mq_status report(const cli_args *args, const run_setup *setup, const search_context *c,
                        const mq_train_result *r, mq_error *error) {
    const char *quality = mq_quality_name(setup->net->task);
    char constant[64];
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(setup->net, &c->bits, bitw, bita);
    if (args->json) {
        json_t *root =
            json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:s, s:i, s:f, s:f, s:f}", "out", setup->settings.out,
                      "model", setup->net->name, "bitw", bitw, "bita", bita, "dsp_ops_M", c->cost.dsp_ops_M,
                      "bit_ops_M", c->cost.bit_ops_M, "factors", c->factors.name, "epochs", r->epochs,
                      quality, r->quality, "seconds", r->seconds, "images_per_second", r->images_per_second);
        if (c->search.cost.device && root) {
            json_object_set_new(root, "device", json_string(c->price.device));
            json_object_set_new(root, "clock_mhz", json_real(c->price.clock_mhz));
            json_object_set_new(root, "target_fps", json_real(c->price.target_fps));
            json_object_set_new(root, "device_share", json_real(c->cost.device_share));
            json_object_set_new(root, "device_fps", json_real(c->reached));
        }
        run_add_ranks(root, args, r);
        return cli_print_json(run_add_constant(root, setup->net, r->constant), error);
    }
    printf("%s: %s chosen weights %s activations %s, %.3f M DSP operations (%s table), mixed %s %.4f%s, "
           "%d epochs, %.0f s, "
           "%.0f images/s\n",
           setup->settings.out, setup->net->name, bitw, bita, c->cost.dsp_ops_M, c->factors.name, quality,
           r->quality, run_constant_text(setup->net, r->constant, constant), r->epochs, r->seconds,
           r->images_per_second);
    if (c->search.cost.device)
        printf("%.1f %% of %s at %g MHz and %.1f frames a second; allocated, it reaches %.1f\n",
               100 * c->cost.device_share, c->price.device, c->price.clock_mhz, c->price.target_fps,
               c->reached);
    return MQ_OK;
}

/* Where the device is too small, the bits are still good for a larger one. */
static mq_status reach(const run_setup *setup, search_context *c, mq_error *error) {
    int64_t cycles;
    if (!c->search.cost.device) return MQ_OK;
    mq_status status = mq_device_price_reach(setup->net, &c->bits, setup->settings.model.symmetric,
                                             &c->device, c->price.clock_mhz, 0, &cycles, &c->reached, error);
    if (status != MQ_BAD_INPUT) return status;
    c->reached = 0;
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
    search_context context = {0};
    mq_status status;
    MQ_TRY_GOTO(run_setup_open(args, true, &setup, error), done);
    setup.settings.model.mode = MQ_MODE_SEARCH;
    setup.settings.model.share = !cli_flag(args, "--no-share");
    context.net = setup.net;
    MQ_TRY_GOTO(read_prices(args, &setup, &context, error), done);
    MQ_TRY_GOTO(run_setup_data(args, &setup, error), done);
    mq_train_hooks hooks = {&context, after_backward, after_update, epoch, make_bits};
    mq_train_result result;
    MQ_TRY_GOTO(mq_train(setup.net, &setup.settings, &hooks, setup.train, setup.test, &result, error), done);
    if (!mq_ranks_first(args->ranks)) goto done;
    if (!context.bits.count) { /* resumed after its last epoch */
        MQ_TRY_GOTO(bits_file_read(setup.settings.out, setup.net, &context.bits, error), done);
        MQ_TRY_GOTO(mq_cost_at(&context.search.cost, setup.net, &context.bits, &context.cost, error), done);
    }
    MQ_TRY_GOTO(reach(&setup, &context, error), done);
    if (plotted) MQ_TRY_GOTO(plot(setup.settings.out, plotted, error), done);
    status = report(args, &setup, &context, &result, error);
done:
    run_setup_free(&setup);
    return status;
}

static const cli_option OPTIONS[] = {
    RUN_OPTIONS,
    {"--lra", "X", "learning rate of the architecture parameters (0.1; detectors 0.01)"},
    {"--cd", "X", "price of DSP operations, or of the device's share (3e-5)"},
    {"--cdt", "X", "price of bit operations (0)"},
    {"--bd", "X", "price of block RAM (0)"},
    {"--factors", "T", "cost table: ours (what can be built), ideal, published or a .csv file (ours)"},
    {"--device", "X", "price the share of this FPGA that the estimator finds, instead of --factors"},
    {"--target-fps", "N", "with --device: at this frame rate (what the device reaches at 4 bits everywhere)"},
    {"--clock", "MHZ", "with --device: clock (the device's)"},
    {"--plot", "FILE",
     "at the end the bits of every layer over the epochs (SVG); - prints them for a terminal"},
    {"--no-share", NULL, "seven float weight tensors per layer instead of one"},
    {"--fix", "LIST", "layers whose bits are not searched: conv0=w8a8,conv3=w4a4"},
    {NULL, NULL, NULL},
};
static const char *const SETTINGS[] = {RUN_SETTINGS, "alpha_momentum", "alpha_weight_decay", "lra_end", NULL};

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
        "the FPGA that the layers need at a frame rate; more than 100 % does not fit.\n" RUN_RANKS_HELP
            CLI_STRICT_HELP "\n"
        "Examples:\n"
        "  mixq search --model vgg_tiny --data fashion-mnist --cd 3e-5 --epochs 5 --out search\n"
        "  mixq search --model my.yaml --data cifar10:DIR --cd 1e-3 --fix conv0=w8a8 --out search\n"
        "  mixq search --model vgg_tiny --data fashion-mnist --device ultra96v2 --target-fps 4000 --out "
        "search\n"
        "  mixq train --model vgg_tiny --data fashion-mnist --bits search --init search --out main\n",
    .run = run,
};
