/* pareto_setup.h - what a sweep is: from options, or from the sweep.json that they were written to. */
#ifndef MIXQ_CLI_PARETO_SETUP_H
#define MIXQ_CLI_PARETO_SETUP_H

#include "base/file.h"
#include "cli/search_run.h"
#include "search/cost.h"
#include "sweep/sweep_file.h"

/* Options that decide the results: kept in sweep.json, the same for all workers. */
#define PARETO_OPTIONS                                                                                       \
    {"--model", "MODEL", "a built-in name (see mixq models) or a .yaml file"},                               \
        {"--data", "DATA", "as for mixq search"},                                                            \
        {"--methods", "LIST", "of search, published, sensitivity, uniform (search)"},                        \
        {"--cd", "LIST", "prices of search and published (3e-6,1e-5,3e-5,1e-4,3e-4)"},                       \
        {"--published-cd", "LIST", "other prices for published"},                                            \
        {"--target-dsp-ops", "LIST", "millions of DSP operations: search and sensitivity aim at them"},      \
        {"--target-fps", "LIST", "with --device: frames a second that search aims at"},                      \
        {"--uniform-bits", "LIST", "widths of uniform (2,3,4,5,6,7,8)"},                                     \
        {"--seeds", "N", "seeds of every point, from --seed on (1)"},                                        \
        {"--search-epochs", "N", "of every search (40; detectors 35)"},                                      \
        {"--epochs", "N", "of every main training (200)"},                                                   \
        {"--pretrain-epochs", "N",                                                                           \
         "of the 8-bit networks of sensitivity and --start own (--search-epochs)"},                          \
        {"--batch", "N", "images per step (128; detectors 64)"},                                             \
        {"--accumulate", "N", "batches whose gradients make one update (1)"},                                \
        {"--optimizer", "O", "of the weights: sgd or adam (sgd)"},                                           \
        {"--lr", "X", "learning rate of main training, as for mixq train"},                                  \
        {"--search-lr", "X", "learning rate of the weights in searches, as for mixq search"},                \
        {"--lra", "X", "learning rate of the architecture in searches"},                                     \
        {"--limit", "N", "only the first N training and N test images"},                                     \
        {"--precision", "P", "f32, bf16 or auto (auto)"},                                                    \
        {"--symmetric", NULL, "weight codes without -2^(b-1)"},                                              \
        {"--factors", "T",                                                                                   \
         "cost table of search and of all results: ours, ideal, published or .csv (ours)"},                  \
        {"--train", "WHICH", "main training of the searches on the front, or of all (front)"},               \
        {"--start", "FROM",                                                                                  \
         "main training begins at scratch, or at own: search or 8-bit network (scratch)"},                   \
        {"--measure-gap", NULL, "after each epoch of a search also test the network of the chosen bits"},    \
        {"--calibration", "N", "training images that sensitivity is measured on (1024; detectors 256)"},     \
        {"--device", "X", "report cycles and frames a second on this FPGA"}, {                               \
        "--clock", "MHZ", "with --device: clock (the device's)"                                              \
    }
#define PARETO_SETTINGS RUN_SETTINGS, SEARCH_SETTINGS

typedef struct pareto_setup {
    cli_args args;     /* of the sweep: words borrowed from the command line or from `words` */
    json_t *words;     /* the same as options, [string] */
    char out[MQ_PATH]; /* absolute */
    char precision[8];
    mq_net *net;
    const mq_recipe *recipe;
    mq_factors factors;
    mq_cost_model cost;
    bool has_device;
    mq_device device;
    double clock_mhz; /* 0: the device's */
    int64_t search_epochs, epochs, pretrain_epochs, batch, calibration, limit;
    bool front; /* main training of the front alone */
    bool own;   /* from the method's own network */
    mq_sweep_plan plan;
    mq_sweep sweep;
    json_t *settings;
    char digest[MQ_DIGEST_TEXT];
} pareto_setup;

/* The command line gives options of the sweep. *first: the first of them, or NULL. */
bool pareto_given(const cli_args *args, const char **first);
/* Another build of this version may have begun the sweep. */
bool pareto_any_build(const cli_args *args);
/* From the command line; --out is there or not. Large: not for the stack. */
mq_status pareto_setup_open(const cli_args *args, pareto_setup *out, mq_error *error) MQ_MUST_CHECK;
/* From the sweep.json in --out of args. */
mq_status pareto_setup_load(const cli_args *args, pareto_setup *out, mq_error *error) MQ_MUST_CHECK;
void pareto_setup_free(pareto_setup *setup);

/* There are searches among the points. */
bool pareto_searches(const pareto_setup *setup);

#endif
