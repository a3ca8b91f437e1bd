/* pack_command.c - `mixq pack`: tables of multiplications per DSP slice, one packing drawn, proofs run again.
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/pack_request.h"

static mq_status run(const cli_args *args, mq_error *error) {
    const char *word = args->word[0];
    if (strcmp(word, "known") == 0) return pack_run_known(args, error);
    if (args->word_count > 1)
        return mq_fail(error, MQ_USAGE, "mixq pack %s: unexpected argument '%s'", word, args->word[1]);
    if (strcmp(word, "table") == 0) return pack_run_table(args, error);
    if (strcmp(word, "show") == 0) return pack_run_show(args, error);
    if (strcmp(word, "pareto") == 0) return pack_run_pareto(args, error);
    if (strcmp(word, "verify") == 0) return pack_run_verify(args, error);
    return mq_fail(error, MQ_USAGE, "mixq pack: got '%s', expected table, show, pareto, known or verify",
                   word);
}

static const cli_option OPTIONS[] = {
    {"--kernel", "K", "kernel size, 1..31"},
    {"--wbit", "W", "weight bits, 1..8 (show, pareto, verify)"},
    {"--abit", "A", "activation bits, 1..8 (show, pareto, verify)"},
    {"--dsp", "D", "dsp48e2 (default), dsp48e1, dsp58, or NxM"},
    {"--class", "C",
     "i: constants and wires; ii (default): 1-bit overlaps repaired; iii: 2 bits, an extra port bit"},
    {"--range", "R", "full (default) or symmetric weight codes"},
    {"--stride", "S", "stride of the convolution (1)"},
    {"--depthwise", NULL, "one channel per slice"},
    {"--accumulate", "N", "cycles accumulated inside the slice (1: outside)"},
    {"--canary", NULL, "with --accumulate: also past a field's bits, its carries counted"},
    {"--lut-price", "X", "multiplications one LUT is worth (default: as a LUT multiplier)"},
    {"--kinds", "LIST", "solvers to use: lanes,kernel,filter,interleaved"},
    {"--one-bit", NULL, "table: 1-bit operands too"},
    {"--compare", "TABLE", "table: cell by cell against a cost table (published)"},
    {"--csv", "T",
     "table: as a cost table, ideal or ours (what can be built), for kernels 1, 3, 5, 7 or --kernel"},
    {"--svg", "FILE", "show: also a drawing of the main packing"},
    {"--file", "FILE", "show, verify: a packing written by hand (JSON)"},
    {"--all", NULL, "verify: every cell of kernels 1, 3, 5, 7, dense and depthwise, both ranges"},
    {"--vectors", "N", "verify: random vectors per packing that is not run exhaustively (10000000)"},
    {NULL, NULL, NULL},
};

const cli_command cli_pack = {
    .name = "pack",
    .usage = "table|show|pareto|known NET|verify [options]",
    .summary = "Multiplications per DSP slice: tables, drawings, proofs",
    .least_words = 1,
    .most_words = 2,
    .options = OPTIONS,
    .details = "Examples:\n  mixq pack table --kernel 3\n  mixq pack show --wbit 4 --abit 4 --kernel 1\n"
               "  mixq pack table --compare published\n  mixq pack verify --all\n"
               "  mixq pack known net --accumulate 3\n",
    .run = run,
};
