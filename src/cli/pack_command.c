/* pack_command.c - `mixq pack`: tables of multiplications per DSP slice, one packing drawn, proofs run again.
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/pack_request.h"

/* Which words use an option; the others would ignore it. */
static const struct {
    const char *option;
    bool flag;
    const char *words;
} USERS[] = {
    {"--kernel", false, "table show pareto verify"},
    {"--wbit", false, "show pareto verify"},
    {"--abit", false, "show pareto verify"},
    {"--range", false, "table show pareto verify"},
    {"--stride", false, "table show pareto verify"},
    {"--depthwise", true, "table show pareto verify"},
    {"--accumulate", false, "table show known verify"},
    {"--canary", true, "table show verify"},
    {"--lut-price", false, "table show known verify"},
    {"--kinds", false, "table show pareto verify"},
    {"--one-bit", true, "table"},
    {"--compare", false, "table"},
    {"--csv", false, "table"},
    {"--plot", false, "table"},
    {"--svg", false, "show"},
    {"--file", false, "show verify"},
    {"--all", true, "verify"},
    {"--vectors", false, "verify"},
};

static mq_status check_options(const cli_args *args, const char *word, mq_error *error) {
    for (size_t i = 0; i < sizeof USERS / sizeof *USERS; i++) {
        bool given =
            USERS[i].flag ? cli_flag(args, USERS[i].option) : cli_value(args, USERS[i].option) != NULL;
        if (given && !strstr(USERS[i].words, word))
            return mq_fail(error, MQ_USAGE, "pack %s does not use %s (but: %s)", word, USERS[i].option,
                           USERS[i].words);
    }
    return MQ_OK;
}

static bool is_word(const char *word) {
    static const char *const words[] = {"table", "show", "pareto", "known", "verify", NULL};
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return false;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *word = args->word[0];
    if (is_word(word)) MQ_TRY(check_options(args, word, error));
    if (strcmp(word, "known") == 0) return pack_run_known(args, error);
    if (args->word_count > 1)
        return mq_fail(error, MQ_USAGE, "pack %s: unexpected argument '%s'", word, args->word[1]);
    if (strcmp(word, "table") == 0) return pack_run_table(args, error);
    if (strcmp(word, "show") == 0) return pack_run_show(args, error);
    if (strcmp(word, "pareto") == 0) return pack_run_pareto(args, error);
    if (strcmp(word, "verify") == 0) return pack_run_verify(args, error);
    return mq_fail(error, MQ_USAGE, "pack: got '%s', expected table, show, pareto, known or verify", word);
}

static const cli_option OPTIONS[] = {
    {"--kernel", "K", "kernel size, 1..31 (table: 3)"},
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
    {"--plot", "FILE", "table: also as a figure (SVG); - prints one for a terminal"},
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
    .details = "Examples:\n  mixq pack table\n  mixq pack table --kernel 1 --plot table.svg\n  "
               "mixq pack show --wbit 4 --abit 4 --kernel 1\n"
               "  mixq pack table --compare published\n  mixq pack verify --all\n"
               "  mixq pack known net --accumulate 3\n",
    .run = run,
};
