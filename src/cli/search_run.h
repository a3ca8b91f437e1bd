/* search_run.h - a search in a run folder, from settings that are read: what `search` does, for other
 * commands to do too.
 *
 *     run_setup_open(args, true, &setup)            the data, network and recipe
 *     search_settings_read(args, &setup, &settings)
 *     search_run_open(&setup, &settings, &run)      prices, device, target: everything that can be refused
 *     run_setup_data(args, &setup)
 *     search_run_train(run, setup.train, setup.test)
 *     search_run_free(run)
 *
 * For further searches change setup.settings.out, .seed ... and settings, and open another run: setup->json
 * is not changed. (Settings that are stored there, like the seed, go into it as well.) */
#ifndef MIXQ_CLI_SEARCH_RUN_H
#define MIXQ_CLI_SEARCH_RUN_H

#include "cli/run_options.h"
#include "search/anneal.h"
#include "search/device_target.h"
#include "search/search.h"
#include "search/target.h"

/* Rows for a command's option table, and its --set keys. */
#define SEARCH_OPTIONS                                                                                       \
    {"--lra", "X", "learning rate of the architecture parameters (0.1; detectors 0.01)"},                    \
        {"--cd", "X", "price of DSP operations, or of the device's share (3e-5)"},                           \
        {"--cdt", "X", "price of bit operations (0)"}, {"--bd", "X", "price of block RAM (0)"},              \
        {"--factors", "T", "cost table: ours (what can be built), ideal, published or a .csv file (ours)"},  \
        {"--target-dsp-ops", "M", "end at M million DSP operations instead of paying a price for them"},     \
        {"--device", "X", "price the share of this FPGA that the estimator finds, instead of --factors"},    \
        {"--target-fps", "N",                                                                                \
         "with --device: end at bits that reach N frames a second; with --cd the rate that is priced "       \
         "(what the device reaches at 4 bits everywhere)"},                                                  \
        {"--clock", "MHZ", "with --device: clock (the device's)"},                                           \
        {"--no-share", NULL, "seven float weight tensors per layer instead of one"},                         \
        {"--fix", "LIST", "layers whose bits are not searched: conv0=w8a8,conv3=w4a4"}, {                    \
        "--measure-gap", NULL, "after each epoch also test the network of the chosen bits"                   \
    }
#define SEARCH_SETTINGS                                                                                      \
    "alpha_momentum", "alpha_weight_decay", "lra_end", "rest", "prior", "anneal", "anneal_end",              \
        "anneal_entropy"

typedef struct search_settings {
    double cd, cdt, bd;                 /* as given: a detector's factor is not in them */
    const char *factors, *fix, *device; /* NULL: not given; borrowed */
    double clock_mhz;                   /* 0: the device's */
    double target_fps, target_dsp_ops;  /* 0: none */
    bool aim;                           /* the target is a constraint; else target_fps is the price's rate */
    double rest;                        /* epochs in which the alphas rest */
    double prior;                       /* of the alphas that start equal */
    mq_anneal anneal;
    bool measure_gap;
} search_settings;

typedef struct search_run {
    const mq_net *net;
    const mq_dataset *train, *test;
    mq_train_settings settings; /* of the run; .settings is json */
    search_settings given;
    json_t *json; /* owned */
    mq_search search;
    mq_factors factors;
    mq_device device; /* --device */
    mq_device_price price;
    mq_knapsack choices;
    mq_cost_target target;
    uint64_t updates, all_updates; /* done; of the whole run */
    uint64_t epoch_updates;
    bool updated;        /* gradients were made: an update follows */
    bool chosen;         /* bits are those of an epoch's end */
    mq_bits bits;        /* the choice after the last epoch */
    mq_cost_report cost; /* of it */
    double largest_cost; /* of the largest alphas; as target.state.cost */
    double mixed_cost;
    double reached; /* frames a second of the chosen bits on the device, by allocation; 0: it does not fit */
    double next_cost; /* of target.state, from the end of the epoch on */
    bool missed;      /* bits of more shares that were tried and miss the frame rate, and theirs */
    mq_bits missed_bits;
    double beside; /* 0: not known */
    mq_train_result result;
} search_run;

/* Reads the options above, and what they change in setup->settings. */
mq_status search_settings_read(const cli_args *args, run_setup *setup, search_settings *out,
                               mq_error *error) MQ_MUST_CHECK;
/* setup and settings are borrowed until search_run_free. MQ_USAGE: options that exclude each other.
 * MQ_BAD_INPUT: tables, devices, a target out of reach. */
mq_status search_run_open(const run_setup *setup, const search_settings *settings, search_run **out,
                          mq_error *error) MQ_MUST_CHECK;
/* Trains and writes the run folder; fills the result. */
mq_status search_run_train(search_run *run, const mq_dataset *train, const mq_dataset *test,
                           mq_error *error) MQ_MUST_CHECK;
void search_run_free(search_run *run); /* NULL is fine */

/* The result as --json prints it. A new reference, NULL = out of memory. */
json_t *search_run_json(const search_run *run);
/* The chosen bits are within 3 % of the target; true without one. */
bool search_run_target_met(const search_run *run);
/* What mq_device_target_choose wants. */
mq_device_target search_run_device_target(const search_run *run);
/* How near the target the chosen bits are, in one line: "" without one. */
const char *search_run_target_text(const search_run *run, char text[512]);

#endif
