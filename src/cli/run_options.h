/* run_options.h - what `search` and `train` have in common: from options to a run. */
#ifndef MIXQ_CLI_RUN_OPTIONS_H
#define MIXQ_CLI_RUN_OPTIONS_H

#include "cli/cli.h"
#include "net/net.h"
#include "train/trainer.h"

/* Rows for a command's option table. */
#define RUN_OPTIONS                                                                                          \
    {"--model", "MODEL", "a built-in name (see mixq models) or a .yaml file"},                               \
        {"--data", "DATA",                                                                                   \
         "fashion-mnist[:DIR], mnist:DIR, cifar10:DIR, folder:DIR, npy:X,Y, npy:F.npz; detectors: "          \
         "dac-sdc:DIR, "                                                                                     \
         "shapes[:N]"},                                                                                      \
        {"--out", "DIR", "the run folder to write"}, {"--epochs", "N", "passes over the training set"},      \
        {"--batch", "N", "images per step, of all ranks together (128; detectors 64)"},                      \
        {"--accumulate", "N", "batches whose gradients make one update (1)"},                                \
        {"--optimizer", "O", "of the weights: sgd or adam (sgd)"},                                           \
        {"--lr", "X", "learning rate of the weights at the first epoch"},                                    \
        {"--limit", "N", "only the first N training and N test images"},                                     \
        {"--init", "CKPT", "take weights from a checkpoint or run folder (search, float or main)"},          \
        {"--precision", "P", "f32, bf16 or auto: operands of the convolutions (auto)"},                      \
        {"--symmetric", NULL, "weight codes without -2^(b-1)"},                                              \
        {"--resume", NULL, "go on with the run in --out"}, {                                                 \
        "--force", NULL, "replace the run in --out"                                                          \
    }

#define RUN_SETTINGS                                                                                         \
    "momentum", "nesterov", "weight_decay", "lr_end", "bias_rate", "warm_up", "warm_up_lr",                  \
        "warm_up_momentum", "pad", "flip", "rotate", "scale", "translate", "shear", "hue", "saturation",     \
        "value", CLI_STRICT

#define RUN_RANKS_HELP                                                                                       \
    "Built with MPI, `mpirun -n R mixq ...` trains in R processes, each on its share of every batch "        \
    "(docs/parallel.md).\n"

typedef struct run_setup {
    mq_net *net;
    const mq_recipe *recipe; /* of its task */
    mq_dataset *train, *test;
    mq_train_settings settings; /* out, init, settings borrowed or owned below */
    json_t *json;
} run_setup;

/* Reads the options above, with the defaults of a search or of main training for the network's task. Adds
 * every setting to setup->json. */
mq_status run_setup_open(const cli_args *args, bool search, run_setup *out, mq_error *error) MQ_MUST_CHECK;
/* Opens the data sets: last, since that takes time. */
mq_status run_setup_data(const cli_args *args, run_setup *setup, mq_error *error) MQ_MUST_CHECK;
void run_setup_free(run_setup *setup);

/* For a detector: adds constant_iou, the mean IoU of the best constant box, to a result. Returns root. */
json_t *run_add_constant(json_t *root, const mq_net *net, double iou);
/* Of several ranks: adds "ranks", what rank 0 sent and waited for in its steps. Returns root. */
json_t *run_add_ranks(json_t *root, const mq_ranks *ranks, const mq_train_result *result);
/* The same as run_add_constant for the printed line, into text: " (best constant box 0.1234)"; "" for
 * classifiers. */
const char *run_constant_text(const mq_net *net, double iou, char text[64]);

/* MQ_F32 or MQ_BF16 from --precision; bf16 on a CPU without it is MQ_USAGE. */
mq_status run_precision(const cli_args *args, mq_dtype *out, mq_error *error) MQ_MUST_CHECK;

#endif
