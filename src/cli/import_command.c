/* import_command.c - `mixq import`: a checkpoint of the published framework, or a QONNX network, becomes a
 * checkpoint of ours. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "lower/lower.h"
#include "net/import.h"
#include "qonnx/qonnx_import.h"

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

/* ---- QONNX ---- */

static mq_status report_qonnx(const cli_args *args, const mq_checkpoint *c, bool own, const char *out,
                              mq_error *error) {
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(c->net, &c->bits, bitw, bita);
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b}", "out", out, "model",
                                        c->net->name, "mode", mq_mode_name(c->mode), "bitw", bitw, "bita",
                                        bita, "epoch", (json_int_t)c->epoch, "own", (int)own),
                              error);
    printf("%s: %s (%s), weights %s activations %s, from %s\n", out, c->net->name, mq_mode_name(c->mode),
           bitw, bita, own ? "a QONNX file of mixq" : "QONNX");
    return MQ_OK;
}

/* What cannot be lowered is refused here and not at the first export. */
static mq_status check_qonnx(const cli_args *args, const char *partial, const char *out, bool own,
                             mq_error *error) {
    mq_checkpoint checkpoint;
    mq_inet *net;
    MQ_TRY(mq_checkpoint_load(partial, &checkpoint, error));
    mq_status status = mq_lower(&checkpoint, NULL, &net, error);
    if (status == MQ_OK) {
        mq_inet_free(net);
        if (rename(partial, out) != 0) status = mq_fail_errno(error, "cannot write", out);
    }
    if (status == MQ_OK) status = report_qonnx(args, &checkpoint, own, out, error);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static mq_status run_qonnx(const cli_args *args, const char *out, mq_error *error) {
    char partial[MQ_PATH];
    mq_qonnx_options options = {.pixel_divisor = 255};
    bool own;
    MQ_TRY(cli_double(args, "--pixel-divisor", 1e-6, 1e9, &options.pixel_divisor, error));
    if (cli_value(args, "--model"))
        return mq_fail(error, MQ_USAGE,
                       "--model belongs to checkpoints: an ONNX file says its network itself");
    if ((size_t)snprintf(partial, sizeof partial, "%s.partial", out) >= sizeof partial)
        return mq_fail(error, MQ_USAGE, "--out: too long a path");
    MQ_TRY(mq_qonnx_import(args->word[0], &options, partial, &own, error));
    mq_status status = check_qonnx(args, partial, out, own, error);
    if (status == MQ_OK) return MQ_OK;
    unlink(partial);
    return mq_fail_context(error, status, "%s", args->word[0]);
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *out;
    mq_imported imported;
    MQ_TRY(cli_required(args, "--out", &out, error));
    if (mq_ends_with(args->word[0], ".onnx")) return run_qonnx(args, out, error);
    if (cli_value(args, "--pixel-divisor"))
        return mq_fail(error, MQ_USAGE, "--pixel-divisor belongs to files that end in .onnx");
    MQ_TRY(mq_import_open(args->word[0], cli_value(args, "--model"), &imported, error));
    mq_status status = mq_import_save(&imported, out, error);
    if (status == MQ_OK) status = report(args, &imported, out, error);
    mq_imported_free(&imported);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--model", "MODEL", "a built-in name or a .yaml file (found from the tensors)"},
    {"--out", "CKPT", "the .safetensors checkpoint to write"},
    {"--pixel-divisor", "N", "QONNX of real inputs: what a data set's pixels are divided by (255)"},
    {NULL, NULL, NULL},
};

const cli_command cli_import = {
    .name = "import",
    .usage = "FILE [--model M] --out CKPT",
    .summary = "Turn a checkpoint of the published framework, or a QONNX network, into a checkpoint of mixq",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "FILE is a .pt of AnyPackingNet (read as data: nothing in it is executed) or a .safetensors "
        "with the same\n"
        "tensor names. Search, fixed-precision and float checkpoints are recognised by their "
        "tensors.\n"
        "A FILE that ends in .onnx is QONNX: a network of Quant, Conv, MatMul, Gemm ... nodes. It becomes "
        "an\n"
        "exact integer network for export, simulate and test --engine integer; it is not trained further.\n"
        "What has no such form is refused, naming node and operator. An unchanged file of mixq export\n"
        "--format qonnx gives the checkpoint back.\n\n"
        "Examples:\n  mixq import checkpoint.pt --out vgg.safetensors\n"
        "  mixq import network.onnx --out network.safetensors\n",
    .run = run,
};
