/* import_command.c - `mixq import`: a checkpoint of the published framework becomes one of ours. */
#include <stdio.h>

#include "cli/commands.h"
#include "net/import.h"

static mq_status report(const cli_args *args, const mq_imported *imported, const char *out, mq_error *error) {
    char bitw[MQ_BITS_TEXT] = "", bita[MQ_BITS_TEXT] = "";
    const char *mode = mq_mode_name(imported->mode);
    if (imported->mode != MQ_MODE_FLOAT) mq_bits_text(imported->net, &imported->bits, bitw, bita);
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "out", out, "model",
                                        imported->net->name, "mode", mode, "bitw", bitw, "bita", bita,
                                        "epoch", (json_int_t)imported->epoch),
                              error);
    printf("%s: %s (%s)", out, imported->net->name, mode);
    if (*bitw) printf(", weights %s activations %s", bitw, bita);
    printf(", after %lld epochs\n", (long long)imported->epoch);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *out;
    mq_imported imported;
    MQ_TRY(cli_required(args, "--out", &out, error));
    MQ_TRY(mq_import_open(args->word[0], cli_value(args, "--model"), &imported, error));
    mq_status status = mq_import_save(&imported, out, error);
    if (status == MQ_OK) status = report(args, &imported, out, error);
    mq_imported_free(&imported);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--model", "MODEL", "a built-in name or a .yaml file (found from the tensors)"},
    {"--out", "CKPT", "the .safetensors checkpoint to write"},
    {NULL, NULL, NULL},
};

const cli_command cli_import = {
    .name = "import",
    .usage = "FILE [--model M] --out CKPT",
    .summary = "Turn a checkpoint of the published framework into one of mixq",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "FILE is a .pt of AnyPackingNet (read as data: nothing in it is executed) or a .safetensors "
               "with the same\n"
               "tensor names. Search, fixed-precision and float checkpoints are recognised by their "
               "tensors.\n\n"
               "Example:\n  mixq import checkpoint.pt --out vgg.safetensors\n",
    .run = run,
};
